//! The search space: a list of parameters, each with a distribution, some active only under a choice of another.

use serde::{Deserialize, Serialize};

use crate::params::ParamValue;

/// All parameters in order; a parent precedes its children.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SearchSpace(pub Vec<Parameter>);

/// One dimension of a space.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parameter {
    /// Unique in the space.
    pub name: String,
    /// Which values it takes.
    pub distribution: Distribution,
    /// When it is active; always, if `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Condition>,
}

/// A parameter is active only if its parent is active and has one of these values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    /// Name of a categorical parameter earlier in the space.
    pub parent: String,
    /// Values of the parent under which the child is active.
    pub equals: Vec<ParamValue>,
}

/// The values that a parameter takes; bounds are inclusive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Distribution {
    /// Real numbers.
    Float {
        /// Least value.
        low: f64,
        /// Greatest value.
        high: f64,
        /// How values are spread between the bounds.
        #[serde(default)]
        scale: Scale,
    },
    /// Integers.
    Int {
        /// Least value.
        low: i64,
        /// Greatest value.
        high: i64,
        /// How values are spread between the bounds.
        #[serde(default)]
        scale: Scale,
    },
    /// Unordered choices.
    Categorical {
        /// Distinct.
        choices: Vec<ParamValue>,
    },
    /// Numbers in ascending order whose neighbours are alike, as batch sizes are.
    Ordinal {
        /// Distinct and ascending.
        choices: Vec<ParamValue>,
    },
}

/// How the values of a number are spread between its bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// Evenly.
    #[default]
    Linear,
    /// Evenly in the logarithm; bounds are positive.
    Log,
    /// Only low, low + step, … up to the greatest that is not above high.
    Step(f64),
}
