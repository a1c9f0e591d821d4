//! The median rule of Vizier (Golovin et al. 2017), as Optuna has it: a trial ends when its best value so far is worse than
//! the median of the values that complete trials had at the same step.

use serde::{Deserialize, Serialize};

use super::{Pruner, View};
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

pub(super) struct MedianPruner(pub(super) Median);

impl Pruner for MedianPruner {
    fn reported(&mut self, trial: &Trial, view: &View) -> Verdict {
        let Median { startup_trials, warmup_epochs, interval_epochs } = self.0;
        let step = trial.step();
        if step <= warmup_epochs || !(step - warmup_epochs - 1).is_multiple_of(interval_epochs.max(1)) {
            return Verdict::Continue;
        }
        let complete = || view.trials.iter().filter(|other| other.state == TrialState::Complete);
        if complete().count() < startup_trials.max(1) {
            return Verdict::Continue;
        }
        let mut others: Vec<f64> = complete()
            .filter_map(|other| other.loss_at(step, view.direction))
            .filter(|loss| *loss < Loss::DIVERGED)
            .map(Loss::get)
            .collect();
        let best = trial.curve.iter().map(|report| report.loss(view.direction)).min().unwrap_or(Loss::DIVERGED);
        match percentile(&mut others, 50.0) {
            Some(median) if best.get() > median => Verdict::Stop,
            _ if best == Loss::DIVERGED => Verdict::Stop,
            _ => Verdict::Continue,
        }
    }
}

/// The value below which so many percent lie, between neighbours in proportion, as NumPy has it.
pub(super) fn percentile(values: &mut [f64], percent: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let at = percent / 100.0 * values.len().checked_sub(1)? as f64;
    let (low, high) = (values[at.floor() as usize], values[at.ceil() as usize]);
    Some(low + (high - low) * at.fract())
}
