//! Ends a trial whose metric leaves the bounds that its user sets, or is no number.

use serde::{Deserialize, Serialize};

use super::{Pruner, View};
use crate::event::Verdict;
use crate::record::Trial;

/// The settings of the threshold rule; the bounds are in the metric's own direction.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Threshold {
    /// Least metric with which a trial goes on.
    pub lower: Option<f64>,
    /// Greatest metric with which a trial goes on.
    pub upper: Option<f64>,
    /// Nothing is ended in the first epochs.
    pub warmup_epochs: u64,
}

pub(super) struct ThresholdPruner(pub(super) Threshold);

impl Pruner for ThresholdPruner {
    fn reported(&mut self, trial: &Trial, _view: &View) -> Verdict {
        let Threshold { lower, upper, warmup_epochs } = self.0;
        let within = |value: f64| lower.is_none_or(|lower| value >= lower) && upper.is_none_or(|upper| value <= upper);
        let last = trial.curve.last().and_then(|report| report.value);
        if trial.step() <= warmup_epochs || last.is_some_and(within) { Verdict::Continue } else { Verdict::Stop }
    }
}
