//! The search space: a list of parameters, each with a distribution, some active only under a choice of another.

mod contains;
mod forbid;
mod prior;
mod validate;

use serde::{Deserialize, Serialize};

pub use self::contains::PointError;
pub(crate) use self::forbid::parameter;
pub use self::forbid::{Forbid, ForbidError};
pub(crate) use self::prior::AxisPrior;
pub use self::prior::{Prior, PriorError};
pub use self::validate::SpaceError;
use crate::params::{ParamValue, Params};

/// All parameters in order; a parent precedes its children.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SearchSpace(pub Vec<Parameter>);

impl SearchSpace {
    /// The space of these parameters, if it makes sense.
    pub fn new(parameters: Vec<Parameter>) -> Result<Self, SpaceError> {
        let space = Self(parameters);
        space.validate().map(|()| space)
    }

    /// The first thing wrong with the space, for one that did not come from [`SearchSpace::new`].
    pub fn validate(&self) -> Result<(), SpaceError> {
        validate::validate(self)
    }

    /// Whether the point has exactly the active parameters, each with a value that it takes.
    pub fn contains(&self, params: &Params) -> Result<(), PointError> {
        contains::contains(self, params)
    }

    /// The parameter of that name.
    pub fn get(&self, name: &str) -> Option<&Parameter> {
        self.0.iter().find(|parameter| parameter.name == name)
    }

    /// The parameters that are active at the point, in order.
    pub fn active<'a>(&'a self, params: &'a Params) -> impl Iterator<Item = &'a Parameter> {
        self.0.iter().filter(|parameter| self.is_active(parameter, params))
    }

    /// Whether the parameter, its parent, and so on up to the root are active at the point.
    pub fn is_active(&self, parameter: &Parameter, params: &Params) -> bool {
        let Some(condition) = &parameter.when else { return true };
        let holds =
            params.get(&condition.parent).is_some_and(|value| condition.equals.iter().any(|wanted| wanted.same(value)));
        holds && self.get(&condition.parent).is_some_and(|parent| self.is_active(parent, params))
    }
}

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
    /// All orders of some things; the value is a list with each of them once.
    Permutation {
        /// Distinct.
        items: Vec<ParamValue>,
    },
    /// One value, as a branch needs that sets what the others vary. Costs samplers no dimension.
    Fixed {
        /// The value.
        value: ParamValue,
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
    /// Evenly in ln(x / (1 - x)), for a momentum or a share whose distance from 0 or 1 counts; bounds lie between them.
    Logit,
    /// Only low, low + step, … up to the greatest that is not above high.
    Step(f64),
}
