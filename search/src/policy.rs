//! Augmentation policies as a search sees them: operations by name, each with its reach, and sub-policies of them as points
//! of a search space. What an operation does to an image is not known here.

mod density;
mod schedule;

use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::params::{ParamValue, Params};
use crate::space::{Condition, Distribution, Parameter, Scale, SearchSpace};

pub use density::{DensityMatching, Proposal, Settings};
pub use schedule::{Mixing, Phase, ScheduleSearch, ScheduleSettings, Turn};

/// Least chance of an operation in a searched sub-policy: at 0 it would be no operation, which density matching, for one,
/// likes best.
pub const LEAST_PROBABILITY: f64 = 0.2;

/// What sub-policies may be made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// Unique among the operations of a search.
    pub name: String,
    /// Its strength lies between 0 and this; `None` for one that has no strength.
    pub most: Option<f64>,
}

/// One operation of a sub-policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Place in the list of operations.
    pub operation: usize,
    /// Chance that it is done.
    pub probability: f64,
    /// Its strength; 0 for one that has none.
    pub magnitude: f64,
}

/// A mean with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// Of the numbers.
    pub mean: f64,
    /// Half of the interval.
    pub half_width: f64,
}

/// The mean of some numbers, for example of what one policy scores more than another on the same seed, with Student's
/// interval; `None` for fewer than two.
pub fn difference(values: &[f64]) -> Option<Difference> {
    let count = values.len() as f64;
    let student = StudentsT::new(0.0, 1.0, count - 1.0).ok().filter(|_| values.len() > 1)?;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (count - 1.0);
    Some(Difference { mean, half_width: student.inverse_cdf(0.975) * (variance / count).sqrt() })
}

/// The space of all sub-policies of so many steps.
pub fn space(operations: &[Operation], length: usize) -> SearchSpace {
    let names = |operations: &mut dyn Iterator<Item = &Operation>| -> Vec<ParamValue> {
        operations.map(|operation| ParamValue::Text(operation.name.clone())).collect()
    };
    let graded = names(&mut operations.iter().filter(|operation| operation.most.is_some()));
    let share = |low| Distribution::Float { low, high: 1.0, scale: Scale::Linear };
    let step = |place: usize| {
        let choices = names(&mut operations.iter());
        let op =
            Parameter { name: format!("op_{place}"), distribution: Distribution::Categorical { choices }, when: None };
        let when = Some(Condition { parent: op.name.clone(), equals: graded.clone() });
        let probability =
            Parameter { name: format!("probability_{place}"), distribution: share(LEAST_PROBABILITY), when: None };
        let magnitude = Parameter { name: format!("magnitude_{place}"), distribution: share(0.0), when };
        let magnitude = (!graded.is_empty()).then_some(magnitude);
        [Some(op), Some(probability), magnitude]
    };
    SearchSpace((1..=length).flat_map(step).flatten().collect())
}

/// The sub-policy that a point of [`space`] is.
pub fn steps(operations: &[Operation], params: &Params) -> Vec<Step> {
    let step = |place: usize| {
        let Some(ParamValue::Text(name)) = params.get(&format!("op_{place}")) else { return None };
        let number = |field: &str| params.get(&format!("{field}_{place}")).and_then(ParamValue::as_f64).unwrap_or(0.0);
        let operation = operations.iter().position(|operation| operation.name == *name)?;
        let most = operations[operation].most.unwrap_or(0.0);
        Some(Step { operation, probability: number("probability"), magnitude: most * number("magnitude") })
    };
    (1..).map_while(step).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn operations() -> Vec<Operation> {
        let operation = |(name, most): (&str, Option<f64>)| Operation { name: name.to_owned(), most };
        [("rotate", Some(0.5)), ("flip", None), ("blur", Some(1.0)), ("invert", None)].map(operation).to_vec()
    }

    fn params(values: &[(&str, ParamValue)]) -> Params {
        values.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
    }

    #[test]
    fn only_graded_operations_have_a_magnitude_and_it_keeps_to_their_reach() {
        let point = params(&[
            ("op_1", ParamValue::Text("rotate".into())),
            ("probability_1", ParamValue::Float(0.75)),
            ("magnitude_1", ParamValue::Float(0.5)),
            ("op_2", ParamValue::Text("flip".into())),
            ("probability_2", ParamValue::Float(1.0)),
        ]);
        space(&operations(), 2).contains(&point).unwrap();
        let expected = [
            Step { operation: 0, probability: 0.75, magnitude: 0.25 },
            Step { operation: 1, probability: 1.0, magnitude: 0.0 },
        ];
        assert_eq!(steps(&operations(), &point), expected);
    }

    #[test]
    fn the_interval_of_a_mean_is_students() {
        let Difference { mean, half_width } = difference(&[1.0, 2.0, 3.0]).unwrap();
        // t(0.975, 2) = 4.3027, over the root of 3.
        assert!((mean - 2.0).abs() < 1e-12 && (half_width - 4.3027 / 3f64.sqrt()).abs() < 1e-3);
        assert_eq!(difference(&[1.0]), None);
        assert_eq!(difference(&[]), None);
    }

    #[test]
    fn operations_without_strengths_alone_make_a_space_too() {
        let ungraded: Vec<Operation> = operations().into_iter().filter(|operation| operation.most.is_none()).collect();
        let space = space(&ungraded, 2);
        space.validate().unwrap();
        assert_eq!(space.0.len(), 4);
    }
}
