//! Which trials go on: the trait, and the list of all pruners.

mod asha;
mod median;
mod rung;

use serde::{Deserialize, Serialize};

pub use self::asha::Asha;
pub use self::median::Median;
use crate::config::{ConfigError, StudyConfig};
use crate::event::Verdict;
use crate::record::Trial;
use crate::trial::{Direction, TrialNumber};

/// What a pruner may look at.
pub(crate) struct View<'a> {
    pub(crate) trials: &'a [Trial],
    pub(crate) direction: Direction,
}

/// A way to end or pause trials early. All it knows it was told, in the order of the log.
pub(crate) trait Pruner {
    /// The trial has just reported. Says what it is to do.
    fn reported(&mut self, trial: &Trial, view: &View) -> Verdict;

    /// The trial goes on after a pause.
    fn resumed(&mut self, _trial: TrialNumber) {}

    /// The paused trial that a free worker should go on with.
    fn promotable(&self, _view: &View) -> Option<TrialNumber> {
        None
    }
}

/// The pruners as users write them: `pruner = { kind = "asha", min_epochs = 1 }`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum PrunerKind {
    /// Every trial runs to its end.
    #[default]
    None,
    /// Asynchronous successive halving with promotion.
    Asha(Asha),
    /// Ends trials that are worse than the median of the finished ones.
    Median(Median),
}

impl PrunerKind {
    /// The names of all pruners.
    pub fn names() -> impl Iterator<Item = &'static str> {
        ["none", "asha", "median"].into_iter()
    }

    /// The pruner of that name with its defaults.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "none" => Self::None,
            "asha" => Self::Asha(Asha::default()),
            "median" => Self::Median(Median::default()),
            _ => return None,
        })
    }

    /// Gives the first rung and the reduction factor to a pruner that has them.
    pub(crate) fn set_halving(&mut self, halving: Asha) {
        if let Self::Asha(asha) = self {
            *asha = halving;
        }
    }

    pub(crate) fn validate(&self, max_step: Option<u64>) -> Result<(), ConfigError> {
        match self {
            Self::None => Ok(()),
            Self::Asha(asha) => asha.validate(max_step),
            Self::Median(_) => Ok(()),
        }
    }

    pub(crate) fn pruner(&self, config: &StudyConfig) -> Box<dyn Pruner + Send + Sync> {
        match self {
            Self::None => Box::new(Nothing),
            Self::Asha(asha) => Box::new(asha::Ladder::new(asha, config.max_step)),
            Self::Median(median) => Box::new(median::MedianPruner(median.clone())),
        }
    }
}

struct Nothing;

impl Pruner for Nothing {
    fn reported(&mut self, _trial: &Trial, _view: &View) -> Verdict {
        Verdict::Continue
    }
}
