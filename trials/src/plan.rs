//! A study as the program runs it: every default filled in, every name checked.

use std::path::PathBuf;

use nightsweep_search::{
    Direction, Expression, Forbid, Objective, Params, Priors, PrunerKind, SamplerKind, SearchSpace, StudyConfig,
    Terminate,
};
use nightsweep_trainer::data::DataSpec;
use nightsweep_trainer::{Metric, Recipe};
use serde::{Deserialize, Serialize};

use crate::confirm::Confirm;
use crate::notify::Notify;
use crate::policy::{Learning, Origin};

/// A resolved study file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Names the study in the store and on the page.
    pub name: String,
    /// What trials are judged by.
    pub metric: Metric,
    /// What counts besides the metric.
    #[serde(default)]
    pub objectives: Vec<Objective>,
    /// Root of all randomness.
    pub seed: u64,
    /// Trials to start; without it, a time limit ends the study.
    pub trials: Option<u64>,
    /// Longest that a trial may train without a break; one that takes longer has failed.
    #[serde(default)]
    pub trial_limit_seconds: Option<u64>,
    /// A worker that says nothing for so long is taken for hung; a default if it is left out.
    #[serde(default)]
    pub silence_seconds: Option<u64>,
    /// Bytes that checkpoints may take; without it, as much as the disk has.
    #[serde(default)]
    pub disk: Option<u64>,
    /// What to train on.
    pub data: DataSpec,
    /// Where relative paths of the data start.
    pub folder: PathBuf,
    /// What does not vary.
    pub recipe: Recipe,
    /// Whether the study file leaves `recipe.epochs` open, so that a night of known length decides.
    #[serde(default)]
    pub epochs_are_open: bool,
    /// What varies.
    pub space: SearchSpace,
    /// Parameters of it that a range test gives their range.
    #[serde(default)]
    pub finds: Vec<String>,
    /// Proposes trials.
    pub sampler: SamplerKind,
    /// Stops trials that do not pay.
    pub pruner: PrunerKind,
    /// Whether the first trial, which is the recipe's, trains to its end whatever the pruner makes of the others.
    #[serde(default)]
    pub baseline: bool,
    /// What the search is told before its first trial.
    #[serde(default)]
    pub knowledge: Knowledge,
    /// How its winners are confirmed.
    #[serde(default)]
    pub confirm: Confirm,
    /// How the recipe's augmentation policy is learned before the first trial, if it is.
    #[serde(default)]
    pub policy: Option<Learning>,
    /// Where the recipe's policy is from, once it was learned.
    #[serde(default)]
    pub learned: Option<Origin>,
    /// Whom to tell what becomes of it.
    #[serde(default)]
    pub notify: Notify,
    /// The recipe as a point of the space, if it is one: the first trial.
    pub default: Option<Params>,
    /// Text of the study file.
    pub source: String,
}

/// What the search is told before its first trial.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Knowledge {
    /// Points that are not tried.
    pub forbid: Vec<Forbid>,
    /// Where good values are believed to lie.
    pub priors: Priors,
    /// What a good trial's metrics keep.
    pub constraints: Vec<Expression>,
    /// When there is too little left to gain.
    #[serde(default)]
    pub terminate: Option<Terminate>,
    /// Earlier studies of the store to start from, by name; those that come with the program, if it is left out.
    pub warm_start: Option<Vec<String>>,
    /// Points that are tried first, in order.
    pub enqueue: Vec<Params>,
}

impl Knowledge {
    /// Whether a rule forbids the point.
    pub fn forbids(&self, point: &Params) -> bool {
        self.forbid.iter().any(|forbid| forbid.forbids(point))
    }

    /// The earlier studies that the study file names.
    pub fn named(&self) -> &[String] {
        self.warm_start.as_deref().unwrap_or_default()
    }
}

impl Plan {
    /// What the search needs to know. It says nothing of how many workers there are tonight: the same log has to give
    /// the same suggestions on a machine with more of them.
    pub fn study_config(&self) -> StudyConfig {
        StudyConfig {
            space: self.space.clone(),
            direction: if self.metric.is_maximized() { Direction::Maximize } else { Direction::Minimize },
            seed: self.seed,
            sampler: self.sampler,
            pruner: self.pruner.clone(),
            max_trials: self.trials,
            max_step: Some(self.recipe.epochs),
            workers: 1,
            objectives: self.objectives.clone(),
            cost: Some("train_seconds".into()),
            forbid: self.knowledge.forbid.clone(),
            priors: self.knowledge.priors.clone(),
            constraints: self.knowledge.constraints.clone(),
            terminate: self.knowledge.terminate,
            baseline: self.baseline && self.default.is_some(),
        }
    }

    /// Trains so many epochs, if the study file leaves them open and they fit the rest of the recipe.
    pub fn set_open_epochs(&mut self, epochs: u64) {
        let recipe = Recipe { epochs, ..self.recipe.clone() };
        if self.epochs_are_open && recipe.check().is_ok() && self.pruner_fits(epochs) {
            self.recipe = recipe;
        }
    }

    fn pruner_fits(&self, epochs: u64) -> bool {
        StudyConfig { max_step: Some(epochs), ..self.study_config() }.validate().is_ok()
    }

    /// What may not change between two runs of one study, by name of the table, where `later` differs.
    pub fn difference(&self, later: &Self) -> Option<&'static str> {
        let same = [
            ("study.metric", self.metric == later.metric),
            ("study.objectives", self.objectives == later.objectives),
            ("study.seed", self.seed == later.seed),
            ("data", self.data == later.data),
            ("policy", self.policy == later.policy),
            ("recipe", self.recipe == later.recipe),
            ("space", self.space == later.space),
            ("space", self.knowledge.priors == later.knowledge.priors),
            ("search.forbid", self.knowledge.forbid == later.knowledge.forbid),
            ("search.constraints", self.knowledge.constraints == later.knowledge.constraints),
            ("search.terminate", self.knowledge.terminate == later.knowledge.terminate),
            ("search.warm_start", self.knowledge.named() == later.knowledge.named()),
            ("search.sampler", self.sampler == later.sampler),
            ("search.pruner", self.pruner == later.pruner),
            ("search.baseline", self.baseline == later.baseline),
        ];
        same.into_iter().find(|(_, same)| !same).map(|(name, _)| name)
    }
}
