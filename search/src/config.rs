//! What a study searches and how: everything that, with its log, decides what comes next.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::domain::Domain;
use crate::expression::Expression;
use crate::pruner::PrunerKind;
use crate::sampler::{SamplerKind, random};
use crate::space::{Distribution, Forbid, ForbidError, Prior, PriorError, SearchSpace, SpaceError};
use crate::trial::{Direction, TrialNumber};

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
    /// What must not be tried.
    #[serde(default)]
    pub forbid: Vec<Forbid>,
    /// What is believed of parameters, by name.
    #[serde(default)]
    pub priors: Priors,
    /// What a good trial keeps: inequalities over the metrics that it reports, as `seconds <= 30`. A trial that breaks
    /// one ranks behind all that keep them.
    #[serde(default)]
    pub constraints: Vec<Expression>,
    /// When there is too little left to gain; never, if `None`.
    #[serde(default)]
    pub terminate: Option<Terminate>,
    /// The first trial is what the others are held against: it pauses at no rung. A population has no use for that.
    #[serde(default)]
    pub baseline: bool,
}

/// When a study ends of itself.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terminate {
    /// No new trial starts once the metric of the best one is within so much of the best that the space may hold: see
    /// [`crate::Study::remaining_regret`].
    pub regret: f64,
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

/// What is believed of parameters, by name.
pub type Priors = IndexMap<String, Prior>;

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
    /// A population wants as many points as it has members.
    #[error("a population cannot be drawn from a grid: leave `sampler` out, or take `random` or `sobol`")]
    PopulationOnGrid,
    /// A setting names a parameter that there is not.
    #[error("the pruner is to keep `{param}`, which is no parameter of the space")]
    UnknownKept {
        /// The name.
        param: String,
    },
    /// A race is for the space that a confirmation makes.
    #[error("the sampler `race` is for confirmations, not for a space of one's own")]
    NoRace,
    /// A rule makes no sense.
    #[error("a rule of what is forbidden makes no sense")]
    Forbid(#[from] ForbidError),
    /// A prior makes no sense.
    #[error("a prior makes no sense")]
    Prior(#[from] PriorError),
    /// A constraint says by how much it is missed.
    #[error("the constraint `{constraint}` is no inequality between numbers, as `seconds <= 30` is")]
    Constraint {
        /// As written.
        constraint: String,
    },
    /// A regret to end at is a positive number.
    #[error("a study cannot end at a regret of {regret}: it must be a number above 0")]
    Terminate {
        /// As written.
        regret: f64,
    },
    /// A grid has no end where a parameter takes every real number.
    #[error("the sampler `grid` needs a step for parameter `{param}`")]
    EndlessGrid {
        /// The parameter without a step.
        param: String,
    },
}

impl StudyConfig {
    /// The defaults: the automatic sampler minimizes under seed 0, and nothing ends early.
    pub fn new(space: SearchSpace) -> Self {
        Self {
            space,
            direction: Direction::Minimize,
            seed: 0,
            sampler: SamplerKind::Auto,
            pruner: PrunerKind::None,
            max_trials: None,
            max_step: None,
            workers: one(),
            objectives: Vec::new(),
            cost: None,
            forbid: Vec::new(),
            priors: Priors::new(),
            constraints: Vec::new(),
            terminate: None,
            baseline: false,
        }
    }

    /// Whether the trial is the recipe's own, which no rung pauses.
    pub(crate) fn is_baseline(&self, trial: TrialNumber) -> bool {
        self.baseline && trial == TrialNumber(0) && !self.pruner.has_population()
    }

    /// The first thing wrong with the config.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.space.validate()?;
        self.sampler.validate(&self.space)?;
        self.pruner.validate(self.max_step)?;
        self.pruner.validate_space(&self.space, self.sampler)?;
        for (name, prior) in &self.priors {
            self.validate_prior(name, prior)?;
        }
        for forbid in &self.forbid {
            forbid.validate(&self.space)?;
        }
        if !self.forbid.is_empty() && random::allowed(&Domain::of(self), self.seed).is_none() {
            return Err(ForbidError::Everything.into());
        }
        if let Some(Terminate { regret }) = self.terminate.filter(|end| !(end.regret > 0.0 && end.regret.is_finite())) {
            return Err(ConfigError::Terminate { regret });
        }
        match self.constraints.iter().find(|constraint| !constraint.is_inequality()) {
            Some(constraint) => Err(ConfigError::Constraint { constraint: constraint.to_string() }),
            None => Ok(()),
        }
    }

    fn validate_prior(&self, name: &str, prior: &Prior) -> Result<(), PriorError> {
        let param = || name.to_owned();
        let parameter = self.space.get(name).ok_or_else(|| PriorError::Unknown { param: param() })?;
        let most = match &parameter.distribution {
            Distribution::Permutation { .. } | Distribution::Fixed { .. } => {
                return Err(PriorError::NoAxis { param: param() });
            }
            Distribution::Categorical { .. } => 1.0,
            _ => f64::INFINITY,
        };
        if !parameter.distribution.takes(&prior.center) {
            return Err(PriorError::Center { param: param(), center: prior.center.clone() });
        }
        if !(prior.width > 0.0 && prior.width <= most && prior.width.is_finite()) {
            return Err(PriorError::Width { param: param(), width: prior.width });
        }
        Ok(())
    }
}
