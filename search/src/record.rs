//! What a study knows of one trial.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::{FailureCause, PauseReason, Verdict};
use crate::order::Wish;
use crate::params::Params;
use crate::trial::{Attempt, Direction, Loss, TrialNumber, TrialState};

/// One trial, as the log tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// Its place in the study.
    pub number: TrialNumber,
    /// Where it stands.
    pub state: TrialState,
    /// What it tries.
    pub params: Params,
    /// What the sampler said of its choice.
    pub why: String,
    /// Its latest attempt.
    pub attempt: Attempt,
    /// Where it began, if not at the start of training.
    pub origin: Option<Origin>,
    /// Its reports in order, one an epoch. Those of a fork begin with what its parent had reported.
    pub curve: Vec<Report>,
    /// What else was measured at the last report.
    pub metrics: BTreeMap<String, f64>,
    /// Its final metric, once complete.
    pub value: Option<f64>,
    /// Why it is paused, while it is.
    pub pause: Option<PauseReason>,
    /// Why it failed, if it did.
    pub failure: Option<Failure>,
    /// Seconds that its epochs took together, where the study says which metric tells.
    pub(crate) cost: f64,
    /// What it was to do after its latest report.
    pub(crate) verdict: Verdict,
    /// Whether no rung pauses it.
    pub(crate) is_spared: bool,
    /// What a person wants of it that it has yet to do.
    pub wish: Option<Wish>,
}

/// Where a forked trial begins: as if it had been its parent until then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Whose weights it goes on with.
    pub parent: TrialNumber,
    /// Epochs that the parent had done.
    pub epoch: u64,
    /// Whose place in the population it takes.
    pub replaces: TrialNumber,
}

/// How a trial stood after an epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Report {
    /// Epochs done, from 1.
    pub step: u64,
    /// The study's metric; `None` where it was not a finite number.
    pub value: Option<f64>,
}

/// Why a trial has no result.
#[derive(Clone, Debug, PartialEq)]
pub struct Failure {
    /// What kind of failure.
    pub cause: FailureCause,
    /// What happened, for people.
    pub message: String,
}

impl Trial {
    pub(crate) fn new(number: TrialNumber, params: Params, why: String) -> Self {
        Self {
            number,
            state: TrialState::Running,
            params,
            why,
            origin: None,
            attempt: Attempt::FIRST,
            curve: Vec::new(),
            metrics: BTreeMap::new(),
            value: None,
            pause: None,
            failure: None,
            cost: 0.0,
            verdict: Verdict::Continue,
            is_spared: false,
            wish: None,
        }
    }

    /// A fork of a parent that has reported the origin's epoch.
    pub(crate) fn fork(number: TrialNumber, params: Params, why: String, origin: Origin, parent: &Self) -> Self {
        let inherited = parent.curve.iter().take_while(|report| report.step <= origin.epoch).copied().collect();
        Self { origin: Some(origin), curve: inherited, ..Self::new(number, params, why) }
    }

    /// Epochs done, those of its parent included.
    pub fn step(&self) -> u64 {
        self.curve.last().map_or(0, |report| report.step)
    }

    /// The latest metric: the final one, or that of the last report.
    pub fn last_value(&self) -> Option<f64> {
        self.value.or_else(|| self.curve.last()?.value)
    }

    /// The best metric of the curve up to its end.
    pub fn best_value(&self, direction: Direction) -> Option<f64> {
        let reported = self.curve.iter().filter_map(|report| report.value);
        reported.chain(self.value).min_by_key(|value| Loss::of(*value, direction))
    }

    /// The loss at a step that was reported.
    pub(crate) fn loss_at(&self, step: u64, direction: Direction) -> Option<Loss> {
        let report = self.curve.get(usize::try_from(step.checked_sub(1)?).ok()?)?;
        Some(report.loss(direction))
    }
}

impl Report {
    pub(crate) fn loss(&self, direction: Direction) -> Loss {
        self.value.map_or(Loss::DIVERGED, |value| Loss::of(value, direction))
    }
}
