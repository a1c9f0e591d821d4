//! The augmentation of a recipe.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rule::{Rule, closed_share, not_negative};

/// What is done to training images at random. The defaults are He 2016's for CIFAR.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Augment {
    /// Chance that an image is mirrored left to right, in [0, 1].
    pub flip: f64,
    /// Pixels of zeros added at each side, before a crop of the old size at a random place.
    pub crop_padding: usize,
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
}

impl Default for Augment {
    fn default() -> Self {
        Self { flip: 0.5, crop_padding: 4, mixup: 0.0, cutmix: 0.0, mix_chance: 1.0, mix_switch: 0.5, mix_until: 1.0 }
    }
}

impl Augment {
    pub(super) fn rules(&self, rules: &mut Vec<Rule>) {
        rules.extend([
            ("augment.flip", "in [0, 1]", self.flip, closed_share as fn(f64) -> bool),
            ("augment.crop_padding", "at most 1024", self.crop_padding as f64, |x| x <= 1024.0),
            ("augment.mixup", "0 (off) or more", self.mixup, not_negative),
            ("augment.cutmix", "0 (off) or more", self.cutmix, not_negative),
            ("augment.mix_chance", "in [0, 1]", self.mix_chance, closed_share),
            ("augment.mix_switch", "in [0, 1]", self.mix_switch, closed_share),
            ("augment.mix_until", "in [0, 1]", self.mix_until, closed_share),
        ]);
    }
}
