//! Whether a point lies in a space: exactly the active parameters, each with a value of its distribution; and which value of
//! a distribution is nearest to one that it does not take.

use thiserror::Error;

use super::{Distribution, Scale, SearchSpace};
use crate::domain::Axis;
use crate::params::{ParamValue, Params};

/// How far beside a bound or a step a real number may lie, relative to the greater bound.
const TOLERANCE: f64 = 1e-9;

/// Why a point does not lie in the space.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum PointError {
    /// An active parameter has no value.
    #[error("parameter `{param}` is missing")]
    Missing {
        /// The active one.
        param: String,
    },
    /// The space has no such parameter.
    #[error("there is no parameter `{param}`")]
    Unknown {
        /// What was named.
        param: String,
    },
    /// The parameter has a value although its parent rules it out.
    #[error("parameter `{param}` is not active here")]
    Inactive {
        /// The inactive one.
        param: String,
    },
    /// The value is not one that the parameter takes.
    #[error("parameter `{param}` cannot be `{value}`")]
    OutOfRange {
        /// Whose value.
        param: String,
        /// The value.
        value: ParamValue,
    },
}

pub(super) fn contains(space: &SearchSpace, params: &Params) -> Result<(), PointError> {
    let mut active = 0;
    for parameter in space.active(params) {
        let param = || parameter.name.clone();
        let value = params.get(&parameter.name).ok_or_else(|| PointError::Missing { param: param() })?;
        if !parameter.distribution.takes(value) {
            return Err(PointError::OutOfRange { param: param(), value: value.clone() });
        }
        active += 1;
    }
    if active == params.0.len() {
        return Ok(());
    }
    let is_active = |name: &str| space.active(params).any(|parameter| parameter.name == name);
    let extra = params.iter().map(|(name, _)| name).find(|name| !is_active(name));
    let param = extra.expect("more values than active parameters").to_owned();
    Err(if space.get(&param).is_some() { PointError::Inactive { param } } else { PointError::Unknown { param } })
}

impl Distribution {
    /// Whether the value is one of the distribution's.
    pub fn takes(&self, value: &ParamValue) -> bool {
        match self {
            Distribution::Float { low, high, scale } => {
                value.as_f64().is_some_and(|number| within(*low, *high, *scale, number))
            }
            Distribution::Int { low, high, scale } => value
                .as_f64()
                .is_some_and(|number| number.fract() == 0.0 && within(*low as f64, *high as f64, *scale, number)),
            Distribution::Categorical { choices } | Distribution::Ordinal { choices } => {
                choices.iter().any(|choice| choice.same(value))
            }
            Distribution::Permutation { items } => match value {
                ParamValue::List(list) => {
                    let has = |item: &ParamValue| list.iter().any(|other| other.same(item));
                    list.len() == items.len() && items.iter().all(has)
                }
                _ => false,
            },
            Distribution::Fixed { value: only } => only.same(value),
        }
    }

    /// The value itself where the distribution takes it, else the number that is nearest among those it takes. What is no
    /// number, or has none to go to, stays as it is.
    pub fn nearest(&self, value: &ParamValue) -> ParamValue {
        let Some(number) = value.as_f64().filter(|number| number.is_finite() && !self.takes(value)) else {
            return value.clone();
        };
        match self {
            Self::Float { low, high, .. } => Axis::new(self).nearest(number.clamp(*low, *high)),
            Self::Int { low, high, .. } => Axis::new(self).nearest(number.clamp(*low as f64, *high as f64)),
            Self::Ordinal { choices } | Self::Categorical { choices } => {
                let distances = choices.iter().filter_map(|choice| Some(((choice.as_f64()? - number).abs(), choice)));
                let nearest = distances.min_by(|(a, _), (b, _)| a.total_cmp(b));
                nearest.map_or(value, |(_, choice)| choice).clone()
            }
            Self::Permutation { .. } | Self::Fixed { .. } => value.clone(),
        }
    }
}

fn within(low: f64, high: f64, scale: Scale, number: f64) -> bool {
    let slack = TOLERANCE * low.abs().max(high.abs());
    let on_step = match scale {
        Scale::Step(step) => {
            let steps = (number - low) / step;
            (steps - steps.round()).abs() <= 1e-6
        }
        Scale::Linear | Scale::Log | Scale::Logit => true,
    };
    number.is_finite() && number >= low - slack && number <= high + slack && on_step
}
