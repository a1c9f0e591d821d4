//! What identifies a trial, and what is known of its result.

use std::cmp::Ordering;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Place of a trial in its study, from 0, in the order of creation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TrialNumber(pub u64);

impl fmt::Display for TrialNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How often a trial was handed to a worker, from 1. Messages of an older attempt are fenced off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Attempt(pub u32);

impl Attempt {
    /// The attempt that creates the trial.
    pub const FIRST: Self = Self(1);

    /// The attempt after this one.
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which way the metric improves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Smaller is better, as for a loss.
    Minimize,
    /// Larger is better, as for an accuracy.
    Maximize,
}

/// What a study minimizes: the metric, negated where larger is better. Never NaN, so it can be sorted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Loss(f64);

impl Loss {
    /// Worse than every finite loss.
    pub const DIVERGED: Self = Self(f64::INFINITY);

    /// The loss of a metric's value.
    pub fn of(value: f64, direction: Direction) -> Self {
        match direction {
            Direction::Minimize => Self::from(value),
            Direction::Maximize => Self::from(-value),
        }
    }

    /// The plain number; infinite for [`Loss::DIVERGED`].
    pub fn get(self) -> f64 {
        self.0
    }
}

impl From<f64> for Loss {
    /// NaN and both infinities become [`Loss::DIVERGED`].
    fn from(loss: f64) -> Self {
        if loss.is_finite() { Self(loss) } else { Self::DIVERGED }
    }
}

impl Eq for Loss {}

impl PartialOrd for Loss {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Loss {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// Where a trial stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrialState {
    /// Is to go on from its checkpoint as soon as a worker is free.
    Waiting,
    /// A worker has it.
    Running,
    /// Has its checkpoint and no worker; goes on if it is promoted or its study resumed.
    Paused,
    /// Ran to its end.
    Complete,
    /// Was stopped because it did not pay.
    Pruned,
    /// Ended without a result: see its cause.
    Failed,
    /// Its worker went away too often.
    Lost,
}

impl TrialState {
    /// Whether nothing more will happen to the trial.
    pub fn is_finished(self) -> bool {
        matches!(self, Self::Complete | Self::Pruned | Self::Failed | Self::Lost)
    }
}
