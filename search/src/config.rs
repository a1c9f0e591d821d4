//! What a study searches and how: everything that, with its log, decides what comes next.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::pruner::PrunerKind;
use crate::sampler::SamplerKind;
use crate::space::{SearchSpace, SpaceError};
use crate::trial::Direction;

/// A study before its first trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StudyConfig {
    /// What may vary.
    pub space: SearchSpace,
    /// Which way the metric improves.
    pub direction: Direction,
    /// Seeds every random choice.
    pub seed: u64,
    /// Chooses the points.
    pub sampler: SamplerKind,
    /// Chooses which trials go on.
    pub pruner: PrunerKind,
    /// No more trials than this are started; unbounded, if `None`.
    #[serde(default)]
    pub max_trials: Option<u64>,
    /// Epochs of a full training, where it is the same for all trials.
    #[serde(default)]
    pub max_step: Option<u64>,
    /// How many trials run at once; a hint.
    #[serde(default = "one")]
    pub workers: usize,
    /// What counts besides the metric. With any, the best trials are a front: [`crate::Study::front`].
    #[serde(default)]
    pub objectives: Vec<Objective>,
    /// Name of the reported metric that says what an epoch cost, in seconds; costs are not looked at, if `None`.
    #[serde(default)]
    pub cost: Option<String>,
}

/// One more thing that a study wants, besides its metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Objective {
    /// Name among the metrics that a trial reports; the last report counts.
    pub metric: String,
    /// Which way it improves.
    pub direction: Direction,
}

fn one() -> usize {
    1
}

/// Why a study cannot begin.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum ConfigError {
    /// The space makes no sense.
    #[error("the space cannot be searched")]
    Space(#[from] SpaceError),
    /// A setting of the pruner is out of its range.
    #[error("the pruner's {setting} cannot be {value}: {rule}")]
    Pruner {
        /// Its name in the study file.
        setting: &'static str,
        /// What it was set to.
        value: f64,
        /// What it must be.
        rule: &'static str,
    },
    /// The pruner needs to know how long a full training is.
    #[error("the pruner `{pruner}` needs the number of epochs of a full training")]
    NeedsMaxStep {
        /// Which pruner.
        pruner: &'static str,
    },
    /// A race is for the space that a confirmation makes.
    #[error("the sampler `race` is for confirmations, not for a space of one's own")]
    NoRace,
    /// A grid has no end where a parameter takes every real number.
    #[error("the sampler `grid` needs a step for parameter `{param}`")]
    EndlessGrid {
        /// The parameter without a step.
        param: String,
    },
}

impl StudyConfig {
    /// The first thing wrong with the config.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.space.validate()?;
        self.sampler.validate(&self.space)?;
        self.pruner.validate(self.max_step)
    }
}
