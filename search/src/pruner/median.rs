//! The median rule of Vizier (Golovin et al. 2017) and its other percentiles, as Optuna has them: a trial ends when its best
//! value so far is worse than that share of the values that complete trials had at the same step.

use serde::{Deserialize, Serialize};

use super::{Pruner, View};
use crate::config::ConfigError;
use crate::event::Verdict;
use crate::record::Trial;
use crate::trial::{Loss, TrialState};

/// The settings of the median rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Median {
    /// Nothing is pruned before so many trials are complete.
    pub startup_trials: usize,
    /// No trial is pruned in its first epochs.
    pub warmup_epochs: u64,
    /// Epochs from one judgement to the next.
    pub interval_epochs: u64,
}

impl Default for Median {
    /// Optuna's defaults.
    fn default() -> Self {
        Self { startup_trials: 5, warmup_epochs: 0, interval_epochs: 1 }
    }
}

/// The settings of the percentile rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Percentile {
    /// The share of trials that may go on, in percent; 50 is the median rule.
    pub percentile: f64,
    /// As for the median rule.
    pub startup_trials: usize,
    /// As for the median rule.
    pub warmup_epochs: u64,
    /// As for the median rule.
    pub interval_epochs: u64,
}

impl Default for Percentile {
    /// The best quarter goes on, as in Optuna's example; else as the median rule.
    fn default() -> Self {
        let Median { startup_trials, warmup_epochs, interval_epochs } = Median::default();
        Self { percentile: 25.0, startup_trials, warmup_epochs, interval_epochs }
    }
}

impl Percentile {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        if (0.0..=100.0).contains(&self.percentile) {
            return Ok(());
        }
        Err(ConfigError::Pruner { setting: "percentile", value: self.percentile, rule: "from 0 to 100" })
    }
}

impl From<&Median> for Percentile {
    fn from(median: &Median) -> Self {
        let Median { startup_trials, warmup_epochs, interval_epochs } = *median;
        Self { percentile: 50.0, startup_trials, warmup_epochs, interval_epochs }
    }
}

pub(super) struct PercentilePruner(pub(super) Percentile);

impl Pruner for PercentilePruner {
    fn reported(&mut self, trial: &Trial, view: &View) -> Verdict {
        let Percentile { percentile, startup_trials, warmup_epochs, interval_epochs } = self.0;
        let step = trial.step();
        if step <= warmup_epochs || !(step - warmup_epochs - 1).is_multiple_of(interval_epochs.max(1)) {
            return Verdict::Continue;
        }
        let complete = || view.trials.iter().filter(|other| other.state == TrialState::Complete);
        if complete().count() < startup_trials.max(1) {
            return Verdict::Continue;
        }
        let best = trial.curve.iter().map(|report| report.loss(view.direction)).min().unwrap_or(Loss::DIVERGED);
        if best == Loss::DIVERGED {
            return Verdict::Stop;
        }
        let others = complete().filter_map(|other| other.loss_at(step, view.direction));
        let mut others: Vec<f64> = others.filter(|loss| *loss < Loss::DIVERGED).map(Loss::get).collect();
        match value_at(&mut others, percentile) {
            Some(cut) if best.get() > cut => Verdict::Stop,
            _ => Verdict::Continue,
        }
    }
}

/// The value below which so many percent lie, between neighbours in proportion, as NumPy has it.
fn value_at(values: &mut [f64], percent: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let at = percent / 100.0 * values.len().checked_sub(1)? as f64;
    let (low, high) = (values[at.floor() as usize], values[at.ceil() as usize]);
    Some(low + (high - low) * at.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_numpy() {
        assert_eq!(value_at(&mut [3.0, 1.0, 2.0, 4.0], 50.0), Some(2.5));
        assert_eq!(value_at(&mut [3.0, 1.0, 2.0, 4.0], 25.0), Some(1.75));
        assert_eq!(value_at(&mut [], 50.0), None);
    }
}
