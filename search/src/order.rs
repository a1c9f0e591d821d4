//! What people say of trials, and what they ask of a study while it runs.

use serde::{Deserialize, Serialize};

use crate::params::Params;
use crate::trial::TrialNumber;

/// What a person wrote about a trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Annotation {
    /// The note, whole; empty for none.
    Note(String),
    /// The tags, all of them.
    Tags(Vec<String>),
    /// Whether it stays on top of the board.
    Pinned(bool),
    /// Whether it has a star.
    Starred(bool),
}

/// What a person asks of a running study.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub enum Order {
    /// End the trial for good, as a pruned one.
    Stop {
        /// A trial that is not finished.
        trial: TrialNumber,
    },
    /// Take the trial's worker until it is resumed.
    Pause {
        /// A running or waiting trial.
        trial: TrialNumber,
    },
    /// Go on with the trial until the pruner says something again.
    Resume {
        /// A paused trial.
        trial: TrialNumber,
    },
    /// Go on with the trial to its end, whatever the pruner says.
    Finish {
        /// A paused trial.
        trial: TrialNumber,
    },
    /// Try the same point again, as a new trial.
    Retry {
        /// A finished trial.
        trial: TrialNumber,
    },
    /// Try this point next.
    Enqueue {
        /// It lies in the space.
        params: Params,
    },
    /// Let running trials write their checkpoints, and hand out nothing until the study goes on.
    Hold,
    /// Hand out trials again.
    Release,
    /// Start so many trials in all.
    Extend {
        /// No fewer than were started.
        trials: u64,
    },
    /// Be over so long after the order, whenever it was to be over until then. To the search it is nothing.
    Deadline {
        /// Seconds.
        in_seconds: u64,
    },
}

impl Order {
    /// The trial that it is about.
    pub fn trial(&self) -> Option<TrialNumber> {
        match self {
            Self::Stop { trial }
            | Self::Pause { trial }
            | Self::Resume { trial }
            | Self::Finish { trial }
            | Self::Retry { trial } => Some(*trial),
            Self::Enqueue { .. } | Self::Hold | Self::Release | Self::Extend { .. } | Self::Deadline { .. } => None,
        }
    }
}

/// What a person wants of a trial that the trial has yet to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// To end.
    Stop,
    /// To wait.
    Pause,
    /// To train to its end.
    Finish,
}
