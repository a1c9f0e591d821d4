//! Ends a trial that has not improved for some epochs.

use serde::{Deserialize, Serialize};

use super::{Pruner, View};
use crate::event::Verdict;
use crate::record::Trial;
use crate::trial::Loss;

/// The settings of the patience rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Patience {
    /// So many epochs in a row may pass without a new best.
    pub epochs: u64,
    /// A new best is better by more than this.
    pub min_delta: f64,
}

impl Default for Patience {
    /// Keras and PyTorch Lightning start from three epochs or none; ten leaves room for a schedule's plateau.
    fn default() -> Self {
        Self { epochs: 10, min_delta: 0.0 }
    }
}

pub(super) struct PatiencePruner(pub(super) Patience);

impl Pruner for PatiencePruner {
    fn reported(&mut self, trial: &Trial, view: &View) -> Verdict {
        let (mut best, mut at) = (Loss::DIVERGED, 0);
        for report in &trial.curve {
            let loss = report.loss(view.direction);
            if loss < best && (best == Loss::DIVERGED || best.get() - loss.get() > self.0.min_delta) {
                (best, at) = (loss, report.step);
            }
        }
        if trial.step() - at > self.0.epochs { Verdict::Stop } else { Verdict::Continue }
    }
}
