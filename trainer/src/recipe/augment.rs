//! The augmentation of a recipe.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rule::{Rule, closed_share};

/// What is done to training images at random. The defaults are He 2016's for CIFAR.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Augment {
    /// Chance that an image is mirrored left to right, in [0, 1].
    pub flip: f64,
    /// Pixels of zeros added at each side, before a crop of the old size at a random place.
    pub crop_padding: usize,
}

impl Default for Augment {
    fn default() -> Self {
        Self { flip: 0.5, crop_padding: 4 }
    }
}

impl Augment {
    pub(super) fn rules(&self, rules: &mut Vec<Rule>) {
        rules.push(("augment.flip", "in [0, 1]", self.flip, closed_share));
        rules.push(("augment.crop_padding", "at most 1024", self.crop_padding as f64, |x| x <= 1024.0));
    }
}
