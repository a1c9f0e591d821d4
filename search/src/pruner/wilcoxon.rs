//! Ends a trial that is worse than the best one by Wilcoxon's signed-rank test (1945) over what both were judged by: as
//! Optuna's WilcoxonPruner, whose test is SciPy's.
//!
//! For studies whose reports are folds, seeds or problem instances, each as hard for one trial as for another. The epochs
//! of one training are no such thing.

use serde::{Deserialize, Serialize};

use super::{Pruner, View};
use crate::config::ConfigError;
use crate::event::Verdict;
use crate::record::Trial;
use crate::trial::{Loss, TrialState};

/// Up to so many differences, without ties and zeros, SciPy counts all signs instead of taking the normal distribution.
const MOST_COUNTED: usize = 50;
/// The same where there are ties or zeros.
const MOST_COUNTED_WITH_TIES: usize = 13;

/// The settings of the signed-rank rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Wilcoxon {
    /// A trial ends if a difference like this one, or a greater one, had at most this probability among equals.
    pub p_threshold: f64,
    /// No trial ends before so many reports can be compared; two at least are needed.
    pub startup_steps: usize,
}

impl Default for Wilcoxon {
    /// Optuna's defaults.
    fn default() -> Self {
        Self { p_threshold: 0.1, startup_steps: 2 }
    }
}

impl Wilcoxon {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if (0.0..=1.0).contains(&self.p_threshold) {
            return Ok(());
        }
        Err(ConfigError::Pruner { setting: "p_threshold", value: self.p_threshold, rule: "from 0 to 1" })
    }
}

pub(super) struct WilcoxonPruner(pub(super) Wilcoxon);

impl Pruner for WilcoxonPruner {
    fn reported(&mut self, trial: &Trial, view: &View) -> Verdict {
        let losses = |trial: &Trial| {
            let losses = trial.curve.iter().map(|report| report.loss(view.direction));
            let known = losses.map(|loss| Some(loss.get()).filter(|loss| loss.is_finite()));
            known.collect::<Option<Vec<f64>>>()
        };
        let complete = view.trials.iter().filter(|trial| trial.state == TrialState::Complete);
        let value = |trial: &&Trial| trial.value.map_or(Loss::DIVERGED, |value| Loss::of(value, view.direction));
        let best = complete.min_by_key(value).and_then(losses);
        let (Some(own), Some(best)) = (losses(trial), best) else { return Verdict::Continue };
        let differences: Vec<f64> = own.iter().zip(&best).map(|(own, best)| own - best).collect();
        if differences.len() < self.0.startup_steps.max(2) {
            return Verdict::Continue;
        }
        let mean = |losses: &[f64]| losses.iter().sum::<f64>() / losses.len() as f64;
        // A trial that is better on the whole goes on, whatever the ranks say.
        let is_worse = p_value(&differences) < self.0.p_threshold && mean(&own) > mean(&best);
        if is_worse { Verdict::Stop } else { Verdict::Continue }
    }
}

/// Probability that the positive differences would rank so high if each were as likely to be negative. A difference of
/// zero counts half to each side.
fn p_value(differences: &[f64]) -> f64 {
    let mut sizes: Vec<f64> = differences.iter().map(|difference| difference.abs()).collect();
    sizes.sort_by(f64::total_cmp);
    // Twice the rank from 1, the mean of their ranks for equals: always a whole number.
    let first = |size: f64| sizes.partition_point(|other| *other < size);
    let after = |size: f64| sizes.partition_point(|other| *other <= size);
    let doubled = |size: f64| first(size) + after(size) + 1;
    let statistic: f64 = differences
        .iter()
        .map(|difference| match doubled(difference.abs()) as f64 / 2.0 {
            _ if *difference < 0.0 => 0.0,
            rank if *difference == 0.0 => rank / 2.0,
            rank => rank,
        })
        .sum();
    let count = differences.len();
    let has_ties = sizes.windows(2).any(|pair| pair[0] == pair[1]);
    let most = if has_ties || sizes.first() == Some(&0.0) { MOST_COUNTED_WITH_TIES } else { MOST_COUNTED };
    if count <= most {
        let moving: Vec<usize> = sizes.iter().filter(|size| **size > 0.0).map(|size| doubled(*size)).collect();
        let zeros: usize = sizes.iter().filter(|size| **size == 0.0).map(|size| doubled(*size)).sum();
        return share_above(&moving, (2.0 * statistic - zeros as f64 / 2.0).round() as usize);
    }
    let n = count as f64;
    let ties: f64 =
        sizes.chunk_by(|a, b| a == b).map(|equals| (equals.len() as f64).powi(3) - equals.len() as f64).sum();
    let deviation = ((n * (n + 1.0) * (2.0 * n + 1.0) - ties / 2.0) / 24.0).sqrt();
    let z = (statistic - n * (n + 1.0) / 4.0) / deviation;
    0.5 * libm::erfc(z * std::f64::consts::FRAC_1_SQRT_2)
}

/// Share of all choices of signs whose positive weights sum to at least so much.
fn share_above(weights: &[usize], least: usize) -> f64 {
    let total: usize = weights.iter().sum();
    let mut shares = vec![0.0; total + 1];
    shares[0] = 1.0;
    let mut reached = 0;
    for weight in weights {
        reached += weight;
        for sum in (0..=reached).rev() {
            let with = sum.checked_sub(*weight).map_or(0.0, |without| shares[without]);
            shares[sum] = (shares[sum] + with) / 2.0;
        }
    }
    shares.iter().skip(least).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Against SciPy 1.17.1; tests/golden/wilcoxon.py made the numbers.
    #[test]
    fn probabilities_are_those_of_scipy() {
        let golden: Vec<(Vec<f64>, f64)> =
            serde_json::from_str(include_str!("../../tests/golden/wilcoxon.json")).unwrap();
        for (differences, expected) in golden {
            let found = p_value(&differences);
            assert!((found - expected).abs() < 1e-12, "{differences:?}: {found}, not {expected}");
        }
    }
}
