//! What happens in a study. The log of these events is the truth: a study is resumed by telling it its log again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::order::{Annotation, Order};
use crate::params::Params;
use crate::trial::{Attempt, TrialNumber};

/// One entry of a study's log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// A controller took the study up. Changes nothing of the search.
    Opened {
        /// Process id of the controller.
        pid: u32,
        /// Name of the controller's machine.
        host: String,
        /// Version of the binary.
        version: String,
    },
    /// A point that is to be tried before the sampler's own suggestions.
    Enqueued {
        /// The point; must lie in the space.
        params: Params,
    },
    /// A finished trial from elsewhere, told as history. It has no number in this study.
    Imported {
        /// The point; must lie in the space.
        params: Params,
        /// Its metric.
        value: f64,
        /// The earlier study that it comes from. Its values may be on another scale then, so they are kept apart from
        /// this study's own; `None` for a result of this very objective.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<String>,
    },
    /// The trial was created and handed to a worker as its first attempt.
    Started {
        /// The next free number.
        trial: TrialNumber,
        /// What it tries.
        params: Params,
        /// What the sampler says of its choice, for people.
        why: String,
    },
    /// The trial was handed to a worker again, to go on from its checkpoint.
    Resumed {
        /// A waiting or paused trial.
        trial: TrialNumber,
        /// One more than its last.
        attempt: Attempt,
    },
    /// A worker said how the trial stands after an epoch.
    Reported {
        /// A running trial.
        trial: TrialNumber,
        /// The attempt that reports.
        attempt: Attempt,
        /// Epochs done, from 1; each is reported once and in order.
        step: u64,
        /// The study's metric; `None` where it is not a finite number.
        value: Option<f64>,
        /// Everything else that was measured, by name; finite numbers only.
        metrics: BTreeMap<String, f64>,
    },
    /// The trial gave its worker back and keeps its checkpoint.
    Paused {
        /// A running trial.
        trial: TrialNumber,
        /// The attempt that ends.
        attempt: Attempt,
        /// Why it paused.
        reason: PauseReason,
    },
    /// The trial's worker went away; it is to go on from its checkpoint.
    Requeued {
        /// A running trial.
        trial: TrialNumber,
        /// The attempt that ends.
        attempt: Attempt,
        /// What happened, for people.
        message: String,
    },
    /// The trial ran to its end.
    Completed {
        /// A running trial.
        trial: TrialNumber,
        /// The attempt that ends.
        attempt: Attempt,
        /// Its final metric.
        value: f64,
    },
    /// The trial was stopped for good because it did not pay.
    Pruned {
        /// A running or paused trial.
        trial: TrialNumber,
        /// The attempt that ends.
        attempt: Attempt,
    },
    /// The trial ended without a result.
    Failed {
        /// A trial that is not finished.
        trial: TrialNumber,
        /// The attempt that ends.
        attempt: Attempt,
        /// What kind of failure.
        cause: FailureCause,
        /// What happened, for people.
        message: String,
    },
    /// A message of an older attempt arrived and was ignored. Changes nothing of the search.
    Fenced {
        /// The trial it spoke of.
        trial: TrialNumber,
        /// The attempt that spoke.
        attempt: Attempt,
        /// What it said, for people.
        message: String,
    },
    /// A person wrote something about a trial. Changes nothing of the search.
    Annotated {
        /// Any trial.
        trial: TrialNumber,
        /// Who wrote it, as they call themselves.
        by: String,
        /// What of it is different now.
        change: Annotation,
    },
    /// A person asked for something; the events that follow say what came of it.
    Ordered {
        /// Who asked, as they call themselves.
        by: String,
        /// What for.
        #[serde(flatten)]
        order: Order,
    },
    /// The controller put the study down in good order. Changes nothing of the search.
    Closed {
        /// Why it ended, for people.
        reason: String,
    },
}

impl Event {
    /// The trial that the event is about.
    pub fn trial(&self) -> Option<TrialNumber> {
        match self {
            Self::Opened { .. } | Self::Enqueued { .. } | Self::Imported { .. } | Self::Closed { .. } => None,
            Self::Started { trial, .. }
            | Self::Resumed { trial, .. }
            | Self::Reported { trial, .. }
            | Self::Paused { trial, .. }
            | Self::Requeued { trial, .. }
            | Self::Completed { trial, .. }
            | Self::Pruned { trial, .. }
            | Self::Failed { trial, .. }
            | Self::Annotated { trial, .. }
            | Self::Fenced { trial, .. } => Some(*trial),
            Self::Ordered { order, .. } => order.trial(),
        }
    }

    /// The attempt that the event is about.
    pub fn attempt(&self) -> Option<Attempt> {
        match self {
            Self::Opened { .. }
            | Self::Enqueued { .. }
            | Self::Imported { .. }
            | Self::Annotated { .. }
            | Self::Ordered { .. }
            | Self::Closed { .. } => None,
            Self::Started { .. } => Some(Attempt::FIRST),
            Self::Resumed { attempt, .. }
            | Self::Reported { attempt, .. }
            | Self::Paused { attempt, .. }
            | Self::Requeued { attempt, .. }
            | Self::Completed { attempt, .. }
            | Self::Pruned { attempt, .. }
            | Self::Failed { attempt, .. }
            | Self::Fenced { attempt, .. } => Some(*attempt),
        }
    }
}

/// Why a trial paused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseReason {
    /// The pruner took its worker at a rung; it goes on if it is promoted.
    Rung,
    /// The controller was asked to stop; it goes on first when the study does.
    Interrupted,
    /// A person asked for it; it goes on when a person does again.
    Asked,
}

/// Why a trial failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureCause {
    /// The device or the host had no memory left.
    OutOfMemory,
    /// The loss became NaN or infinite, or grew past every bound.
    Diverged,
    /// The worker died or panicked.
    Crashed,
    /// The worker went away too often.
    Lost,
    /// The trial ran longer than it may.
    TimedOut,
    /// The recipe or the data cannot be trained with.
    Invalid,
}

/// What a running trial is to do after a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Train the next epoch.
    Continue,
    /// Keep the checkpoint and give the worker back; it may go on later.
    Pause,
    /// End for good.
    Stop,
}

/// What a free worker is to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Suggestion {
    /// Create this trial.
    Start {
        /// The next free number.
        trial: TrialNumber,
        /// What it tries.
        params: Params,
        /// What the sampler says of its choice, for people.
        why: String,
    },
    /// Go on with this waiting or paused trial.
    Resume {
        /// Whose checkpoint to go on from.
        trial: TrialNumber,
    },
    /// Nothing before a running trial reports.
    Wait,
    /// Nothing any more.
    Done,
}
