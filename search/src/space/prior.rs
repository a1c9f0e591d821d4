//! What its user believes of a parameter before any trial: where good values lie, and how sure that is.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Normal};
use thiserror::Error;

use crate::domain::Axis;
use crate::params::ParamValue;

/// A normal distribution over the parameter's scale, cut off at its bounds; for choices, a preference for one of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prior {
    /// The best guess.
    pub center: ParamValue,
    /// Standard deviation as a share of the way from low to high, on the parameter's scale; for choices, the probability
    /// of all others together.
    #[serde(default = "quarter")]
    pub width: f64,
}

/// Two thirds of the draws then lie within the half of the range around the center.
fn quarter() -> f64 {
    Prior::WIDTH
}

/// Why a prior makes no sense.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum PriorError {
    /// There is no such parameter.
    #[error("the prior of `{param}` is for no parameter of the space")]
    Unknown {
        /// What was named.
        param: String,
    },
    /// The center is no value of the parameter.
    #[error("the prior of `{param}` cannot be around `{center}`, which the parameter does not take")]
    Center {
        /// Whose prior.
        param: String,
        /// Its center.
        center: ParamValue,
    },
    /// The width is out of its range.
    #[error("the prior of `{param}` cannot be {width} wide: above 0, and at most 1 for choices")]
    Width {
        /// Whose prior.
        param: String,
        /// Its width.
        width: f64,
    },
    /// Orders and single values have none.
    #[error("`{param}` cannot have a prior")]
    NoAxis {
        /// Whose prior.
        param: String,
    },
}

impl Prior {
    /// The width of a prior that says nothing of it.
    pub const WIDTH: f64 = 0.25;
}

/// A prior on an axis.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AxisPrior {
    /// Mean and deviation in coordinates.
    Normal { center: f64, width: f64 },
    /// The favoured choice, and the probability of each other.
    Choice { favoured: f64, others: f64, choices: f64 },
}

impl AxisPrior {
    pub(crate) fn new(axis: &Axis, prior: &Prior) -> Self {
        let center = axis.encode(&prior.center);
        match axis.choices() {
            Some(choices) if choices > 1 => {
                let choices = choices as f64;
                Self::Choice { favoured: center, others: prior.width / (choices - 1.0), choices }
            }
            _ => Self::Normal { center, width: prior.width },
        }
    }

    /// The coordinate below which that share of the prior lies; not yet snapped to a value.
    pub(crate) fn quantile(self, share: f64) -> f64 {
        match self {
            Self::Normal { center, width } => {
                let (below, inside) = mass(center, width);
                (center + width * standard().inverse_cdf(below + share * inside)).clamp(0.0, 1.0)
            }
            Self::Choice { favoured, others, choices } => {
                let (start, mass) = (others * favoured, 1.0 - others * (choices - 1.0));
                if share < start {
                    (share / others).floor()
                } else if share < start + mass {
                    favoured
                } else {
                    (favoured + 1.0 + ((share - start - mass) / others).floor()).min(choices - 1.0)
                }
            }
        }
    }

    /// Log density against that of even draws.
    pub(crate) fn log_density(self, at: f64) -> f64 {
        match self {
            Self::Normal { center, width } => {
                let z = (at - center) / width;
                let (_, inside) = mass(center, width);
                -z * z / 2.0 - (width * inside * (2.0 * std::f64::consts::PI).sqrt()).ln()
            }
            Self::Choice { favoured, others, choices } => {
                let probability = if at == favoured { 1.0 - others * (choices - 1.0) } else { others };
                // A choice that its user rules out is still tried at last.
                (probability * choices).max(1e-3).ln()
            }
        }
    }
}

/// Share of the whole normal below 0, and between 0 and 1.
fn mass(center: f64, width: f64) -> (f64, f64) {
    let below = standard().cdf(-center / width);
    (below, standard().cdf((1.0 - center) / width) - below)
}

fn standard() -> Normal {
    Normal::standard()
}
