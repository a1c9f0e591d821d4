//! What a run of a study is given, and what comes of it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nightsweep_search::{Order, Params, Study, TellError, TrialNumber};
use nightsweep_store::{AppendError, QueryError, Store, StudyId, WriteError};
use nightsweep_trainer::{Metric, Recipe, TrialSeed};

use crate::bind::{BindError, bind, bind_trial};
use crate::confirm::Repeats;
use tokio::sync::oneshot;

use crate::plan::Plan;
use crate::protocol::DataSource;
use crate::slots::Slot;
use crate::time_plan::TimePlan;

/// What trials are made of, beyond their parameters.
pub struct Work {
    /// Seed of the study.
    pub seed: u64,
    /// What does not vary.
    pub recipe: Recipe,
    /// For a confirmation, what its candidates were trained with; points are then bound by it.
    pub repeats: Option<Repeats>,
    /// What to train on.
    pub data: DataSource,
    /// Hash of the data's files, where it is known.
    pub files: Option<String>,
    /// What trials are judged by.
    pub metric: Metric,
    /// Folder of the study; each trial has one of its own in it.
    pub checkpoints: PathBuf,
}

impl Work {
    /// What a plan says. Its seed also decides how the data is split.
    pub fn new(plan: &Plan, checkpoints: PathBuf) -> Self {
        let data = DataSource { spec: plan.data.clone(), base: plan.folder.clone(), seed: plan.seed };
        let (recipe, files) = (plan.recipe.clone(), None);
        Self { seed: plan.seed, recipe, repeats: None, data, files, metric: plan.metric, checkpoints }
    }

    /// What a trial of the study trains with, and on which seeds.
    pub fn resolve(&self, study: &Study, trial: TrialNumber) -> Result<(Recipe, TrialSeed), BindError> {
        if let Some(repeats) = &self.repeats {
            let known = study.trial(trial).ok_or(BindError::NoSuchTrial { trial })?;
            return repeats.resolve(self.seed, &known.params);
        }
        let (recipe, root) = bind_trial(&self.recipe, study.trials(), trial)?;
        Ok((recipe, TrialSeed { study: self.seed, trial: root.0 }))
    }

    /// What a point trains with from its first epoch on, for who asks how long it takes and how much memory.
    pub fn recipe_of(&self, params: &Params) -> Result<Recipe, BindError> {
        match &self.repeats {
            Some(repeats) => Ok(repeats.resolve(self.seed, params)?.0),
            None => bind(&self.recipe, params),
        }
    }

    /// The folder of a trial's checkpoints.
    pub fn checkpoints_of(&self, trial: TrialNumber) -> PathBuf {
        trial_folder(&self.checkpoints, trial)
    }
}

/// The folder of a trial's checkpoints in its study's folder.
pub fn trial_folder(study: &Path, trial: TrialNumber) -> PathBuf {
    study.join(format!("trial-{trial}"))
}

/// How patient a controller is.
#[derive(Clone, Debug)]
pub struct Options {
    /// When everything has to be over: trials are interrupted then, or before it if there is a time plan. A person may move
    /// it.
    pub deadline: Option<Instant>,
    /// What comes after that, of which a person who moves the deadline need not know: scoring the test split, the report.
    pub aftermath: Duration,
    /// Longest that one attempt may train; `trial_limit_seconds` of a study file.
    pub trial_limit: Option<Duration>,
    /// A worker that says nothing for so long is killed.
    pub silence: Duration,
    /// How long interrupted trials may take to write their checkpoints.
    pub grace: Duration,
    /// A trial that loses its worker so often without a report between has failed. So often may a slot's workers die
    /// before they are ready.
    pub max_deaths: u32,
    /// So many equal failures in a row end the run.
    pub max_equal_failures: u32,
    /// Bytes that checkpoints may take; without it, as much as the disk has.
    pub disk: Option<u64>,
    /// Complete trials whose checkpoints stay when the disk gets short, the best ones.
    pub keep_best: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            deadline: None,
            aftermath: Duration::ZERO,
            trial_limit: None,
            // One step of a large network on one CPU thread takes minutes.
            silence: Duration::from_secs(1800),
            grace: Duration::from_secs(60),
            max_deaths: 5,
            max_equal_failures: 10,
            disk: None,
            keep_best: 10,
        }
    }
}

/// What a person asks of a running controller.
#[derive(Debug)]
pub enum Control {
    /// Let running trials write their checkpoints, then end.
    Interrupt,
    /// End now; what came after the last checkpoints is trained again.
    Abort,
    /// Something about a trial or the study, from its page.
    Order {
        /// Who asks, as they call themselves.
        by: String,
        /// What for.
        order: Order,
        /// Hears once it is in the log, or why it is not.
        answer: oneshot::Sender<Result<(), OrderError>>,
    },
}

/// Why what a person asks for is not done.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// The study does not stand so that it can be.
    #[error(transparent)]
    Study(#[from] TellError),
    /// Nothing was planned for an end.
    #[error("this run was begun without a deadline: begin it again with --until or --for")]
    NoDeadline,
    /// Running trials have been told to let go.
    #[error("the run is ending already: run the study again for more time")]
    Ending,
    /// More than a year.
    #[error("that deadline is too far away")]
    TooFar,
}

/// Why a run ended. Its text goes into the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The search wants no more.
    Done,
    /// [`Control::Interrupt`].
    Interrupted,
    /// [`Control::Abort`].
    Aborted,
    /// [`Options::deadline`].
    Deadline,
    /// Trials fail in the same way one after the other.
    Failing {
        /// How many.
        times: u32,
        /// What the last one said.
        message: String,
    },
    /// There is no room for checkpoints and none that is not needed, or the disk does not let us write.
    DiskFull {
        /// What was wanted.
        message: String,
    },
    /// The data cannot be read.
    BadData {
        /// What the last trial said.
        message: String,
    },
    /// A GPU or its driver is gone.
    DeviceLost {
        /// What the last worker said.
        message: String,
    },
    /// No slot has a worker that starts.
    NoWorkers {
        /// What the last one said.
        message: String,
    },
    /// The search waits for trials, and none runs.
    Stuck,
}

impl Ending {
    /// Whether the study cannot go on before a person has mended something.
    pub fn needs_help(&self) -> bool {
        match self {
            Self::Done | Self::Interrupted | Self::Aborted | Self::Deadline => false,
            Self::Failing { .. } | Self::DiskFull { .. } | Self::BadData { .. } | Self::DeviceLost { .. } => true,
            Self::NoWorkers { .. } | Self::Stuck => true,
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("the search is done"),
            Self::Interrupted => f.write_str("interrupted"),
            Self::Aborted => f.write_str("aborted"),
            Self::Deadline => f.write_str("the deadline has come"),
            Self::Failing { times, message } => write!(f, "{times} trials in a row failed in the same way: {message}"),
            Self::DiskFull { message } => write!(f, "checkpoints cannot be written: {message}"),
            Self::BadData { message } => write!(f, "the data cannot be read: {message}"),
            Self::DeviceLost { message } => write!(f, "a device is lost: {message}"),
            Self::NoWorkers { message } => write!(f, "no worker starts: {message}"),
            Self::Stuck => f.write_str("the search waits for a trial, and none is running"),
        }
    }
}

/// How a run went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Why it ended.
    pub ending: Ending,
    /// Trials in each state, over the whole study.
    pub states: BTreeMap<&'static str, usize>,
    /// [`Options::deadline`] as it was at the end.
    pub deadline: Option<Instant>,
}

/// Why a run cannot go on. Its workers are killed; the log is whole.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The log cannot be written.
    #[error("could not write the study's log")]
    Append(#[from] AppendError),
    /// The log cannot be read.
    #[error("could not read the study's log")]
    Query(#[from] QueryError),
    /// What goes beside the log cannot be written.
    #[error("could not write to the study's store")]
    Write(#[from] WriteError),
    /// The log contradicts itself.
    #[error("the study's log does not fit its search")]
    Tell(#[from] TellError),
}

/// A study that is to be led.
pub struct Session<'a> {
    /// The search, which has been told the whole log.
    pub study: &'a mut Study,
    /// Where the log is.
    pub store: &'a Store,
    /// Which log.
    pub id: StudyId,
    /// What trials are made of.
    pub work: &'a Work,
    /// Where they train.
    pub slots: Vec<Slot>,
    /// When to lose patience.
    pub options: Options,
    /// With a deadline, what is known of the time that things take; it learns more.
    pub time: Option<&'a mut TimePlan>,
}
