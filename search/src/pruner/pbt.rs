//! Population-based training (Jaderberg et al. 2017, arXiv 1711.09846): a fork takes over its parent's weights, and each
//! of its parameters is perturbed or drawn anew.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::population::{Explore, Settings, Site};
use crate::domain::{Axis, Point};
use crate::space::Scale;

/// A perturbed number is its fifth larger or smaller: the paper's factors, 1.2 and 0.8.
const PERTURBATION: f64 = 0.2;
/// A number on a linear scale moves by no less than this share of its range, or it would never leave zero.
const LEAST_MOVE: f64 = 0.05;
/// Draws for one that no rule forbids.
const DRAWS: usize = 100;

/// The settings of population-based training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pbt {
    /// Members that train side by side, on one worker in turns.
    pub population: u64,
    /// Epochs after which the worst members are replaced.
    pub interval_epochs: u64,
    /// Share of the members that are replaced each time, and of those from which they are continued; at most a half.
    pub quantile: f64,
    /// Chance that a parameter is drawn anew instead of perturbed.
    pub resample: f64,
    /// Parameters that stay as the parent had them.
    pub keep: Vec<String>,
}

impl Default for Pbt {
    /// Population, interval and quantile are those with which PBA trained image classifiers (Ho et al. 2019, arXiv
    /// 1905.05393); Ray Tune's chance to resample, as the paper gives none.
    fn default() -> Self {
        Self { population: 16, interval_epochs: 3, quantile: 0.25, resample: 0.25, keep: Vec::new() }
    }
}

impl Pbt {
    pub(super) fn settings(&self) -> Settings {
        let Self { population, interval_epochs, quantile, resample, keep } = self.clone();
        Settings { name: "pbt", members: population, interval: interval_epochs, quantile, resample, keep }
    }
}

impl Explore for Pbt {
    fn explore(&self, site: &Site, rng: &mut ChaCha8Rng) -> (Point, String) {
        let domain = site.view.domain;
        let from = domain.encode(&site.parent.params);
        let mut draw = || {
            domain.build(|at, axis| match from[at] {
                here if here.is_nan() => domain.spread(at, rng.random()),
                here if site.settings.keep.iter().any(|kept| kept == domain.name(at)) => here,
                _ if rng.random::<f64>() < self.resample => domain.spread(at, rng.random()),
                here => perturb(axis, here, rng),
            })
        };
        let mut draws = (0..DRAWS).map(|_| draw());
        let point = draws.find(|point| domain.allows(point));
        (point.unwrap_or(from), "perturbed or drawn anew".into())
    }
}

/// The coordinate of a number that is a fifth larger or smaller; the other way round where a bound is in the way. Choices
/// without an order stay.
fn perturb(axis: &Axis, here: f64, rng: &mut ChaCha8Rng) -> f64 {
    let is_up = rng.random::<bool>();
    let there = moved(axis, here, is_up);
    if there == here { moved(axis, here, !is_up) } else { there }
}

fn moved(axis: &Axis, here: f64, is_up: bool) -> f64 {
    let sign = if is_up { 1.0 } else { -1.0 };
    let number = axis.decode(here).as_f64().unwrap_or(0.0);
    let by = sign * PERTURBATION * number.abs();
    match axis {
        Axis::Categorical { .. } => here,
        Axis::Real { low, high, .. } if low == high => here,
        Axis::Real { scale: Scale::Log, .. } => axis.encode_number(number + by),
        // The odds are what is a fifth larger or smaller.
        Axis::Real { low, high, scale: Scale::Logit } => {
            let odds = number / (1.0 - number) * (1.0 + sign * PERTURBATION);
            axis.encode_number((odds / (1.0 + odds)).clamp(*low, *high))
        }
        Axis::Real { low, high, .. } => axis.encode_number(number + sign * by.abs().max(LEAST_MOVE * (high - low))),
        Axis::LogInt { low, high } => {
            axis.snap(axis.encode_number((number + sign * by.abs().round().max(1.0)).clamp(*low, *high)))
        }
        Axis::Grid { step, cells, .. } => {
            axis.snap(here + sign * (by.abs() / step).round().max((LEAST_MOVE * cells).round().max(1.0)) / cells)
        }
        Axis::Ordinal { choices } => axis.snap(here + sign / choices.len() as f64),
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::domain::Domain;
    use crate::params::ParamValue;
    use crate::space::{Distribution, Parameter, SearchSpace};

    /// What the value becomes, up and down.
    fn check(distribution: Distribution, value: ParamValue, expected: [f64; 2]) {
        let space = SearchSpace(vec![Parameter { name: "x".into(), distribution, when: None }]);
        let domain = Domain::new(&space);
        let axis = &domain.axes()[0];
        let to = [true, false].map(|is_up| axis.decode(moved(axis, axis.encode(&value), is_up)).as_f64().unwrap());
        for (found, expected) in to.into_iter().zip(expected) {
            assert!((found - expected).abs() < 1e-9, "{value} becomes {to:?}");
        }
    }

    #[test]
    fn a_number_becomes_a_fifth_larger_or_smaller_and_stays_in_its_bounds() {
        let float = |low, high, scale| Distribution::Float { low, high, scale };
        let int = |low, high, scale| Distribution::Int { low, high, scale };
        let (number, whole) = (ParamValue::Float, ParamValue::Int);
        check(float(1e-4, 1.0, Scale::Log), number(0.01), [0.012, 0.008]);
        check(float(1e-4, 1.0, Scale::Log), number(0.9), [1.0, 0.72]);
        check(float(0.0, 1.0, Scale::Linear), number(0.5), [0.6, 0.4]);
        check(float(0.0, 1.0, Scale::Linear), number(0.0), [0.05, 0.0]);
        check(float(-1.0, 1.0, Scale::Linear), number(-0.5), [-0.4, -0.6]);
        check(float(0.5, 0.99, Scale::Logit), number(0.9), [10.8 / 11.8, 7.2 / 8.2]);
        check(float(0.0, 1.0, Scale::Step(0.1)), number(0.5), [0.6, 0.4]);
        check(int(0, 30, Scale::Linear), whole(10), [12.0, 8.0]);
        check(int(0, 30, Scale::Linear), whole(1), [3.0, 0.0]);
        check(int(1, 1000, Scale::Log), whole(100), [120.0, 80.0]);
        check(int(1, 1000, Scale::Log), whole(1), [2.0, 1.0]);
        let ordinal = Distribution::Ordinal { choices: [16, 32, 64].map(ParamValue::Int).to_vec() };
        check(ordinal, whole(32), [64.0, 16.0]);
    }

    #[test]
    fn a_number_at_its_bound_moves_away_from_it() {
        let axis = Axis::Real { low: 1e-4, high: 1.0, scale: Scale::Log };
        for seed in 0..8 {
            let there = perturb(&axis, 1.0, &mut ChaCha8Rng::seed_from_u64(seed));
            assert!((axis.decode(there).as_f64().unwrap() - 0.8).abs() < 1e-9);
        }
    }
}
