//! Generated images among those that are trained on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rule::Rule;

/// Images of `nightsweep policy generate` that are mixed into the training split. The default has none.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Generated {
    /// The file; where relative, from the study file's folder. Empty is none.
    pub path: String,
    /// Generated images in an epoch for each real one of the same class, from 0 to 100; drawn anew each epoch.
    pub ratio: f64,
}

impl Default for Generated {
    fn default() -> Self {
        Self { path: String::new(), ratio: 1.0 }
    }
}

impl Generated {
    /// Whether there is anything to mix in.
    pub fn is_on(&self) -> bool {
        !self.path.is_empty() && self.ratio > 0.0
    }

    pub(super) fn rules(&self, rules: &mut Vec<Rule>) {
        rules.push(("augment.generated.ratio", "from 0 to 100", self.ratio, |x| (0.0..=100.0).contains(&x)));
    }
}
