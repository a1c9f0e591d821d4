//! The augmentation of a recipe.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::generated::Generated;
use super::mixing::Mixing;
use super::policy::{Policy, PolicySpec};
use super::rule::{Rule, at_least_one, closed_share, not_negative};

/// What is done to training images at random, in this order. The defaults are He 2016's for CIFAR; all else is off.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Augment {
    /// Chance that an image is mirrored left to right, in [0, 1].
    pub flip: f64,
    /// Pixels added at each side, before a crop of the old size at a random place.
    pub crop_padding: usize,
    /// Least share of the area of a random part that is made as large as the image again, in (0, 1]; 1 is off
    /// (Szegedy 2015, arXiv 1409.4842). torchvision's `RandomResizedCrop` has 0.08.
    pub crop_scale: f64,
    /// Largest aspect of such a part, and one over the least. Default as in torchvision.
    pub crop_ratio: f64,
    /// Chance that an image is turned upside down by mirroring, in [0, 1].
    pub flip_vertical: f64,
    /// Degrees by which an image is rotated at most, either way.
    pub rotate: f64,
    /// Share of each side by which it is moved at most, either way.
    pub translate: f64,
    /// Share by which it is made larger or smaller at most, in [0, 1).
    pub scale: f64,
    /// Degrees by which it is sheared at most, either way.
    pub shear: f64,
    /// Operations that are drawn from a policy.
    pub policy: PolicySpec,
    /// Reach of a factor around 1 by which values grow, as in torchvision's `ColorJitter`; the four are in random order.
    pub brightness: f64,
    /// Reach of a factor around 1 by which values leave the image's mean gray.
    pub contrast: f64,
    /// Reach of a factor around 1 by which values leave their gray; a gray image stays as it is.
    pub saturation: f64,
    /// Share of the colour circle by which hues turn at most, in [0, 0.5]; a gray image stays as it is.
    pub hue: f64,
    /// Chance that an image loses its colours, in [0, 1]; a gray image stays as it is.
    pub grayscale: f64,
    /// Chance of a Gaussian blur, in [0, 1].
    pub blur: f64,
    /// Largest deviation of the blur in pixels, at least 0.1, which is the least. Default as in SimCLR (Chen 2020,
    /// arXiv 2002.05709) and torchvision.
    pub blur_sigma: f64,
    /// Deviation of Gaussian noise on every value, as a share of the whole range.
    pub noise: f64,
    /// Chance that a rectangle is erased, in [0, 1] (Zhong 2020, arXiv 1708.04896).
    pub erase: f64,
    /// Largest share of the area that is erased, from 0.02 to 1. Default as in torchvision.
    pub erase_area: f64,
    /// What it is erased with.
    pub erase_with: ErasedWith,
    /// Side in pixels of a square that every image loses to the mean colour (DeVries 2017, arXiv 1708.04552); 0 is off.
    /// The paper has 16 for CIFAR-10 and 8 for CIFAR-100.
    pub cutout: usize,
    /// How moved pixels are computed.
    pub interpolation: Interpolation,
    /// Byte of what comes from outside an image. He 2016 and torchvision have 0.
    pub fill: u8,
    /// Both parameters of the beta distribution from which Mixup draws how much of each of two images a mixture has
    /// (Zhang 2018, arXiv 1710.09412); 0 is off. The paper's are 0.2 for ImageNet and 1 for CIFAR-10.
    pub mixup: f64,
    /// The same for CutMix, which pastes a rectangle of one image into another (Yun 2019, arXiv 1905.04899); 0 is off.
    /// The paper's is 1.
    pub cutmix: f64,
    /// Chance that a batch is mixed at all, in [0, 1]. Default as in timm.
    pub mix_chance: f64,
    /// Where both Mixup and CutMix are on, the chance that a mixed batch is CutMix's, in [0, 1]. Default as in timm.
    pub mix_switch: f64,
    /// Share of the training after which no batch is mixed any more, in [0, 1]: the last epochs see images as they are.
    pub mix_until: f64,
    /// Generated images that are trained on beside the real ones, and treated like them.
    pub generated: Generated,
}

/// What a rectangle is erased with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErasedWith {
    /// The mean colour of the training split: 0 after normalization by the data.
    #[default]
    Mean,
    /// Random bytes, which the paper found best.
    Noise,
}

/// How moved pixels are computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// From the nearest old pixel, torchvision's default.
    #[default]
    Nearest,
    /// From the four nearest.
    Bilinear,
}

/// How an image is evaluated: the mean of the class probabilities of several views of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TestTime {
    /// Each view mirrored too.
    pub flip: bool,
    /// Views: the image itself, then shifted to up-left, down-right, up-right, down-left, up, down, left, right; 9 at
    /// most.
    pub crops: usize,
    /// Pixels by which views are shifted; the border pixels are repeated.
    pub shift: usize,
}

impl Default for TestTime {
    fn default() -> Self {
        Self { flip: false, crops: 1, shift: 1 }
    }
}

impl Default for Augment {
    fn default() -> Self {
        Self {
            flip: 0.5,
            crop_padding: 4,
            crop_scale: 1.0,
            crop_ratio: 4.0 / 3.0,
            flip_vertical: 0.0,
            rotate: 0.0,
            translate: 0.0,
            scale: 0.0,
            shear: 0.0,
            policy: PolicySpec::default(),
            brightness: 0.0,
            contrast: 0.0,
            saturation: 0.0,
            hue: 0.0,
            grayscale: 0.0,
            blur: 0.0,
            blur_sigma: 2.0,
            noise: 0.0,
            erase: 0.0,
            erase_area: 0.33,
            erase_with: ErasedWith::Mean,
            cutout: 0,
            interpolation: Interpolation::Nearest,
            fill: 0,
            mixup: 0.0,
            cutmix: 0.0,
            mix_chance: 1.0,
            mix_switch: 0.5,
            mix_until: 1.0,
            generated: Generated::default(),
        }
    }
}

impl Augment {
    /// Nothing at all.
    pub fn none() -> Self {
        Self { flip: 0.0, crop_padding: 0, ..Self::default() }
    }

    /// Whether each image by itself stays as it is.
    pub fn is_off(&self) -> bool {
        self.flip == 0.0 && self.crop_padding == 0 && !self.is_rich()
    }

    /// Whether images are more than shifted and mirrored.
    pub(crate) fn is_rich(&self) -> bool {
        let chances = [self.flip_vertical, self.grayscale, self.blur, self.noise, self.erase];
        let jitter = [self.brightness, self.contrast, self.saturation, self.hue];
        self.crop_scale < 1.0
            || self.moves()
            || self.policy != PolicySpec::default()
            || self.cutout > 0
            || chances.iter().chain(&jitter).any(|most| *most > 0.0)
    }

    /// Whether images are rotated, moved, scaled or sheared.
    pub(crate) fn moves(&self) -> bool {
        [self.rotate, self.translate, self.scale, self.shear].iter().any(|most| *most > 0.0)
    }

    /// How batches are mixed at a progress in [0, 1); `None` leaves them as they are. A policy that says how stands in the
    /// place of the recipe's own fields.
    pub fn mixing(&self, progress: f64) -> Option<Mixing> {
        let own = Mixing {
            mixup: self.mixup,
            cutmix: self.cutmix,
            chance: self.mix_chance,
            switch: self.mix_switch,
            from: 0.0,
            until: self.mix_until,
        };
        let mixing = match &self.policy {
            PolicySpec::Custom(Policy { mix, .. }) if !mix.is_empty() => {
                mix.iter().copied().find(|mixing| mixing.holds(progress))
            }
            _ => Some(own).filter(|own| own.holds(progress)),
        };
        mixing.filter(|mixing| !mixing.is_off())
    }

    pub(super) fn rules(&self, rules: &mut Vec<Rule>) {
        rules.extend([
            ("augment.flip", "in [0, 1]", self.flip, closed_share as fn(f64) -> bool),
            ("augment.crop_padding", "at most 1024", self.crop_padding as f64, |x| x <= 1024.0),
            ("augment.crop_scale", "in (0, 1]", self.crop_scale, |x| x > 0.0 && x <= 1.0),
            ("augment.crop_ratio", "at least 1", self.crop_ratio, at_least_one),
            ("augment.flip_vertical", "in [0, 1]", self.flip_vertical, closed_share),
            ("augment.rotate", "from 0 to 180", self.rotate, |x| (0.0..=180.0).contains(&x)),
            ("augment.translate", "in [0, 1]", self.translate, closed_share),
            ("augment.scale", "in [0, 1)", self.scale, |x| (0.0..1.0).contains(&x)),
            ("augment.shear", "from 0 to below 90", self.shear, |x| (0.0..90.0).contains(&x)),
            ("augment.brightness", "0 (off) or more", self.brightness, not_negative),
            ("augment.contrast", "0 (off) or more", self.contrast, not_negative),
            ("augment.saturation", "0 (off) or more", self.saturation, not_negative),
            ("augment.hue", "in [0, 0.5]", self.hue, |x| (0.0..=0.5).contains(&x)),
            ("augment.grayscale", "in [0, 1]", self.grayscale, closed_share),
            ("augment.blur", "in [0, 1]", self.blur, closed_share),
            ("augment.blur_sigma", "from 0.1 to 100", self.blur_sigma, |x| (0.1..=100.0).contains(&x)),
            ("augment.noise", "in [0, 1]", self.noise, closed_share),
            ("augment.erase", "in [0, 1]", self.erase, closed_share),
            ("augment.erase_area", "from 0.02 to 1", self.erase_area, |x| (0.02..=1.0).contains(&x)),
            ("augment.cutout", "at most 4096", self.cutout as f64, |x| x <= 4096.0),
            ("augment.mixup", "0 (off) or more", self.mixup, not_negative),
            ("augment.cutmix", "0 (off) or more", self.cutmix, not_negative),
            ("augment.mix_chance", "in [0, 1]", self.mix_chance, closed_share),
            ("augment.mix_switch", "in [0, 1]", self.mix_switch, closed_share),
            ("augment.mix_until", "in [0, 1]", self.mix_until, closed_share),
        ]);
        self.policy.rules(rules);
        self.generated.rules(rules);
    }
}

impl TestTime {
    pub(super) fn rules(&self, rules: &mut Vec<Rule>) {
        rules.push(("test_time.crops", "from 1 to 9", self.crops as f64, |x| (1.0..=9.0).contains(&x)));
        rules.push(("test_time.shift", "from 1 to 64", self.shift as f64, |x| (1.0..=64.0).contains(&x)));
    }
}
