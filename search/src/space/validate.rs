//! Whether a space makes sense, before anything is drawn from it.

use std::collections::HashMap;

use thiserror::Error;

use super::{Distribution, Parameter, Scale, SearchSpace};
use crate::params::ParamValue;

/// Beyond this many values, neighbouring integers are no longer distinct as real numbers.
const MOST_VALUES: f64 = 9_007_199_254_740_992.0;

/// Why a space cannot be searched.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum SpaceError {
    /// Two parameters share a name.
    #[error("parameter `{param}` is there twice")]
    DuplicateName {
        /// The name.
        param: String,
    },
    /// The bounds are the wrong way round.
    #[error("parameter `{param}`: low ({low}) is above high ({high})")]
    LowAboveHigh {
        /// Whose bounds.
        param: String,
        /// Least value.
        low: f64,
        /// Greatest value.
        high: f64,
    },
    /// A bound is NaN or infinite.
    #[error("parameter `{param}`: the bounds are not finite")]
    NotFinite {
        /// Whose bounds.
        param: String,
    },
    /// A logarithm has no place for zero and below.
    #[error("parameter `{param}`: low ({low}) must be positive where log = true")]
    LogNotPositive {
        /// Whose bounds.
        param: String,
        /// Least value.
        low: f64,
    },
    /// Zero and one are infinitely far away on this scale.
    #[error("parameter `{param}`: {low} to {high} must lie between 0 and 1, without them, where logit = true")]
    LogitOutside {
        /// Whose bounds.
        param: String,
        /// Least value.
        low: f64,
        /// Greatest value.
        high: f64,
    },
    /// Integers do not lie between 0 and 1.
    #[error("parameter `{param}`: logit = true is for real numbers")]
    LogitOfIntegers {
        /// The integer.
        param: String,
    },
    /// The step is not a positive number, or not a whole one for an integer.
    #[error("parameter `{param}`: {step} is no valid step")]
    BadStep {
        /// Whose step.
        param: String,
        /// The step.
        step: f64,
    },
    /// More integers or steps than a real number can tell apart.
    #[error("parameter `{param}`: too many values between low and high")]
    TooManyValues {
        /// Whose bounds.
        param: String,
    },
    /// Nothing to choose from.
    #[error("parameter `{param}` has no choices")]
    NoChoices {
        /// The empty one.
        param: String,
    },
    /// A choice is listed twice.
    #[error("parameter `{param}`: choice `{choice}` is there twice")]
    DuplicateChoice {
        /// Whose choice.
        param: String,
        /// The choice.
        choice: ParamValue,
    },
    /// Ordinal choices are finite numbers, each greater than the one before.
    #[error("parameter `{param}`: choice `{choice}` is not a number above the one before it")]
    NotAscending {
        /// Whose choice.
        param: String,
        /// The choice.
        choice: ParamValue,
    },
    /// The parent is not an earlier parameter.
    #[error("parameter `{param}`: its parent `{parent}` is no earlier parameter")]
    UnknownParent {
        /// The child.
        param: String,
        /// What it names.
        parent: String,
    },
    /// Only choices have children.
    #[error("parameter `{param}`: its parent `{parent}` is not categorical")]
    ParentNotCategorical {
        /// The child.
        param: String,
        /// What it names.
        parent: String,
    },
    /// The child waits for a value that the parent never has.
    #[error("parameter `{param}`: `{value}` is no choice of its parent `{parent}`")]
    NotAChoiceOfParent {
        /// The child.
        param: String,
        /// Its parent.
        parent: String,
        /// The value.
        value: ParamValue,
    },
    /// The child is never active.
    #[error("parameter `{param}`: no value of `{parent}` is listed under which it is active")]
    NeverActive {
        /// The child.
        param: String,
        /// Its parent.
        parent: String,
    },
}

/// The first thing wrong with the space.
pub(super) fn validate(space: &SearchSpace) -> Result<(), SpaceError> {
    let mut earlier: HashMap<&str, &Parameter> = HashMap::new();
    for parameter in &space.0 {
        check_distribution(&parameter.name, &parameter.distribution)?;
        check_condition(parameter, &earlier)?;
        if earlier.insert(&parameter.name, parameter).is_some() {
            return Err(SpaceError::DuplicateName { param: parameter.name.clone() });
        }
    }
    Ok(())
}

fn check_distribution(param: &str, distribution: &Distribution) -> Result<(), SpaceError> {
    match distribution {
        Distribution::Float { low, high, scale } => check_bounds(param, *low, *high, *scale, false),
        Distribution::Int { low, high, scale } => check_bounds(param, *low as f64, *high as f64, *scale, true),
        Distribution::Categorical { choices } | Distribution::Permutation { items: choices } => {
            check_distinct(param, choices)
        }
        Distribution::Fixed { value } => match value.as_f64() {
            Some(number) if !number.is_finite() => Err(SpaceError::NotFinite { param: param.into() }),
            _ => Ok(()),
        },
        Distribution::Ordinal { choices } => {
            check_distinct(param, choices)?;
            let mut last = f64::NEG_INFINITY;
            for choice in choices {
                match choice.as_f64() {
                    Some(number) if number.is_finite() && number > last => last = number,
                    _ => return Err(SpaceError::NotAscending { param: param.into(), choice: choice.clone() }),
                }
            }
            Ok(())
        }
    }
}

fn check_bounds(param: &str, low: f64, high: f64, scale: Scale, whole: bool) -> Result<(), SpaceError> {
    let param = || param.to_owned();
    if !(low.is_finite() && high.is_finite() && (high - low).is_finite()) {
        return Err(SpaceError::NotFinite { param: param() });
    }
    if low > high {
        return Err(SpaceError::LowAboveHigh { param: param(), low, high });
    }
    let step = match scale {
        Scale::Linear if whole => 1.0,
        Scale::Linear => return Ok(()),
        Scale::Log if low <= 0.0 => return Err(SpaceError::LogNotPositive { param: param(), low }),
        Scale::Log if whole => 1.0,
        Scale::Log => return Ok(()),
        Scale::Logit if whole => return Err(SpaceError::LogitOfIntegers { param: param() }),
        Scale::Logit if low <= 0.0 || high >= 1.0 => {
            return Err(SpaceError::LogitOutside { param: param(), low, high });
        }
        Scale::Logit => return Ok(()),
        Scale::Step(step) => step,
    };
    if !(step.is_finite() && step > 0.0 && (!whole || step.fract() == 0.0)) {
        return Err(SpaceError::BadStep { param: param(), step });
    }
    if (high - low) / step >= MOST_VALUES || (whole && high.abs().max(low.abs()) >= MOST_VALUES) {
        return Err(SpaceError::TooManyValues { param: param() });
    }
    Ok(())
}

fn check_distinct(param: &str, choices: &[ParamValue]) -> Result<(), SpaceError> {
    if choices.is_empty() {
        return Err(SpaceError::NoChoices { param: param.into() });
    }
    for (at, choice) in choices.iter().enumerate() {
        if choices[..at].iter().any(|other| other.same(choice)) {
            return Err(SpaceError::DuplicateChoice { param: param.into(), choice: choice.clone() });
        }
    }
    Ok(())
}

fn check_condition(child: &Parameter, earlier: &HashMap<&str, &Parameter>) -> Result<(), SpaceError> {
    let Some(condition) = &child.when else { return Ok(()) };
    let (param, parent) = (|| child.name.clone(), || condition.parent.clone());
    let Some(of) = earlier.get(condition.parent.as_str()) else {
        return Err(SpaceError::UnknownParent { param: param(), parent: parent() });
    };
    let Distribution::Categorical { choices } = &of.distribution else {
        return Err(SpaceError::ParentNotCategorical { param: param(), parent: parent() });
    };
    if condition.equals.is_empty() {
        return Err(SpaceError::NeverActive { param: param(), parent: parent() });
    }
    for value in &condition.equals {
        if !choices.iter().any(|choice| choice.same(value)) {
            return Err(SpaceError::NotAChoiceOfParent { param: param(), parent: parent(), value: value.clone() });
        }
    }
    Ok(())
}
