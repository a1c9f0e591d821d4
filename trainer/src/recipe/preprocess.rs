//! The preprocessing of a recipe.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rule::Rule;

/// What is done to all images once, to train on and to judge by: denoising, then equalization.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Preprocess {
    /// Removes noise.
    pub denoise: Denoise,
    /// Evens out brightness; of a colour image, that of its luma.
    pub equalize: Equalize,
}

/// How noise is removed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Denoise {
    /// It is not.
    None(AsItIs),
    /// Each value becomes the median of a square around it, as OpenCV's `medianBlur`: against salt and pepper.
    Median(Median),
    /// Gaussian blur, as OpenCV's `GaussianBlur`: against fine grain.
    Gaussian(Gaussian),
}

/// How brightness is evened out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Equalize {
    /// It is not.
    None(AsItIs),
    /// Each image's histogram is made flat, as OpenCV's `equalizeHist`.
    Histogram(AsItIs),
    /// Contrast-limited adaptive equalization (Zuiderveld 1994), as OpenCV's `createCLAHE`.
    Clahe(Clahe),
}

/// Nothing of it varies.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AsItIs {}

/// The median of a square.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Median {
    /// Pixels from the middle of the square to its border: 1 is 3×3.
    pub radius: usize,
}

impl Default for Median {
    fn default() -> Self {
        Self { radius: 1 }
    }
}

/// Gaussian blur.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Gaussian {
    /// Deviation in pixels. Default as scikit-image's `gaussian`.
    pub sigma: f64,
}

impl Default for Gaussian {
    fn default() -> Self {
        Self { sigma: 1.0 }
    }
}

/// Contrast-limited adaptive histogram equalization.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Clahe {
    /// How many times its even share a value's count may have before it is cut. Default as in OpenCV's tutorial.
    pub clip_limit: f64,
    /// Tiles along each side, each equalized by itself; never more than pixels. Default as in OpenCV.
    pub tiles: usize,
}

impl Default for Clahe {
    fn default() -> Self {
        Self { clip_limit: 2.0, tiles: 8 }
    }
}

impl Default for Denoise {
    fn default() -> Self {
        Self::None(AsItIs {})
    }
}

impl Default for Equalize {
    fn default() -> Self {
        Self::None(AsItIs {})
    }
}

impl Preprocess {
    pub(super) fn rules(&self, rules: &mut Vec<Rule>) {
        match &self.denoise {
            Denoise::None(_) => {}
            Denoise::Median(Median { radius }) => {
                rules.push(("preprocess.denoise.radius", "from 1 to 7", *radius as f64, |x| (1.0..=7.0).contains(&x)));
            }
            Denoise::Gaussian(Gaussian { sigma }) => {
                rules.push(("preprocess.denoise.sigma", "from 0.1 to 20", *sigma, |x| (0.1..=20.0).contains(&x)));
            }
        }
        if let Equalize::Clahe(Clahe { clip_limit, tiles }) = &self.equalize {
            let limit = "from 0 (no limit) to 256";
            rules.push(("preprocess.equalize.clip_limit", limit, *clip_limit, |x| (0.0..=256.0).contains(&x)));
            rules.push(("preprocess.equalize.tiles", "from 1 to 64", *tiles as f64, |x| (1.0..=64.0).contains(&x)));
        }
    }
}
