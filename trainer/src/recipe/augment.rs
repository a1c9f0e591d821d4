//! The augmentation of a recipe.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rule::{Rule, closed_share};

impl Augment {
    pub(super) fn rules(&self, rules: &mut Vec<Rule>) {
        rules.push(("augment.flip", "in [0, 1]", self.flip, closed_share));
        rules.push(("augment.crop_padding", "at most 1024", self.crop_padding as f64, |x| x <= 1024.0));
    }
}
