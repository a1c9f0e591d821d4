//! The ask-tell protocol, version 1: one JSON object per line in, one per line out, so that any program can be searched for.
//!
//! A session is a [`Study`] driven by lines instead of a log. What the driver need not say (that a trial paused, was pruned
//! or goes on) is told to the study here, from the answers given.

mod message;

use std::collections::BTreeMap;

use serde_json::{Value, json};
use thiserror::Error;

use self::message::{Command, Init, LoadedTrial};
use crate::config::{ConfigError, StudyConfig};
use crate::event::{Event, FailureCause, PauseReason, Suggestion, Verdict};
use crate::params::Params;
use crate::pruner::{Asha, PrunerKind};
use crate::sampler::{SamplerKind, UnknownSampler};
use crate::space::PointError;
use crate::study::{Study, TellError};
use crate::trial::{Attempt, TrialNumber, TrialState};

/// A conversation with one driver.
#[derive(Default)]
pub struct AskTell {
    study: Option<Study>,
}

/// What to print, and whether the conversation is over.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// One line of JSON, without its end.
    pub line: String,
    /// The driver said `quit`.
    pub quit: bool,
}

/// Why a line was not understood or cannot be answered.
#[derive(Debug, Error)]
enum LineError {
    #[error("the line is not understood: {0}")]
    Malformed(#[from] serde_json::Error),
    #[error("`init` must come first")]
    NotInitialized,
    #[error("`init` was sent before")]
    InitializedTwice,
    #[error("protocol {0} is not spoken here; 1 is")]
    Protocol(u64),
    #[error("{0}")]
    Space(String),
    #[error(transparent)]
    Sampler(#[from] UnknownSampler),
    #[error("there is no pruner `{name}`; there are {}", PrunerKind::names().collect::<Vec<_>>().join(", "))]
    Pruner { name: String },
    #[error("`{name}` continues trials from each other's checkpoints, which this protocol has no words for")]
    Forks { name: String },
    #[error("a pruner needs `max_step`")]
    NoMaxStep,
    #[error("{error}{}", cause(error))]
    Config { error: ConfigError },
    #[error("trial {at} of those loaded: {source}")]
    Loaded { at: usize, source: PointError },
    #[error("trial {at} of those loaded has no finite value")]
    LoadedValue { at: usize },
    #[error("{error}{}", cause(error))]
    Tell { error: TellError },
    #[error("there is no trial {0}")]
    UnknownTrial(TrialNumber),
    #[error("trial {0} is not open")]
    NotOpen(TrialNumber),
    #[error("a `tell` has a `value` or the status `fail`")]
    NoResult,
}

fn cause(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(String::new, |source| format!(": {source}"))
}

impl From<TellError> for LineError {
    fn from(error: TellError) -> Self {
        Self::Tell { error }
    }
}

impl AskTell {
    /// A conversation before its first line.
    pub fn new() -> Self {
        Self::default()
    }

    /// The answer to one line of the driver.
    pub fn answer(&mut self, line: &str) -> Answer {
        let command = serde_json::from_str(line).map_err(LineError::from);
        let quit = matches!(command, Ok(Command::Quit));
        let answer = command.and_then(|command| self.obey(command));
        Answer { line: answer.unwrap_or_else(|error| json!({ "error": error.to_string() })).to_string(), quit }
    }

    fn obey(&mut self, command: Command) -> Result<Value, LineError> {
        match command {
            Command::Init(_) if self.study.is_some() => Err(LineError::InitializedTwice),
            Command::Init(init) => {
                self.study = Some(begin(init)?);
                Ok(json!({ "ok": true, "name": "nightsweep", "version": env!("CARGO_PKG_VERSION") }))
            }
            Command::Quit => Ok(json!({ "ok": true })),
            Command::Ask => ask(self.study()?),
            Command::Tell { trial, value, status, metrics } => {
                tell(self.study()?, trial, value, status.as_deref(), metrics)
            }
            Command::Report { trial, step, value, metrics } => report(self.study()?, trial, step, value, metrics),
            Command::Load { trials } => load(self.study()?, &trials),
        }
    }

    fn study(&mut self) -> Result<&mut Study, LineError> {
        self.study.as_mut().ok_or(LineError::NotInitialized)
    }
}

fn begin(init: Init) -> Result<Study, LineError> {
    if init.protocol != 1 {
        return Err(LineError::Protocol(init.protocol));
    }
    let (sampler, pruner) = init.sampler.split_once('+').unwrap_or((&init.sampler, ""));
    let forks = |name: &&str| PrunerKind::named(name).is_some_and(|pruner| pruner.has_population());
    if let Some(name) = [sampler, pruner].iter().copied().find(forks) {
        return Err(LineError::Forks { name: name.to_owned() });
    }
    let sampler: SamplerKind = sampler.parse()?;
    let pruner = match pruner {
        // `auto` alone means both, where there is something to prune.
        "" if sampler == SamplerKind::Auto && init.max_step.is_some() => PrunerKind::named("freeze_thaw"),
        "" if sampler == SamplerKind::Bohb && init.max_step.is_some() => PrunerKind::named("hyperband"),
        "" => Some(PrunerKind::None),
        name => PrunerKind::named(name),
    };
    let mut pruner = pruner
        .ok_or_else(|| LineError::Pruner { name: init.sampler.rsplit('+').next().unwrap_or_default().to_owned() })?;
    if pruner != PrunerKind::None && init.max_step.is_none() {
        return Err(LineError::NoMaxStep);
    }
    pruner.set_halving(Asha {
        min_epochs: init.min_step.unwrap_or(Asha::default().min_epochs),
        reduction_factor: init.eta.unwrap_or(Asha::default().reduction_factor),
    });
    let config = StudyConfig {
        direction: init.direction,
        seed: init.seed,
        sampler,
        pruner,
        max_trials: None,
        max_step: init.max_step,
        workers: init.workers,
        objectives: init.objectives,
        cost: init.cost,
        ..StudyConfig::new(message::space(&init.space).map_err(LineError::Space)?)
    };
    Study::new(config).map_err(|error| LineError::Config { error })
}

fn ask(study: &mut Study) -> Result<Value, LineError> {
    match study.ask() {
        Suggestion::Wait => Ok(json!({ "wait": true })),
        Suggestion::Done => Ok(json!({ "done": true })),
        Suggestion::Start { trial, params, why } => {
            let answer = json!({ "trial": trial, "params": params });
            study.tell(&Event::Started { trial, params, why })?;
            Ok(answer)
        }
        Suggestion::Fork { .. } => Err(LineError::Forks { name: "fork".into() }),
        Suggestion::Resume { trial } => {
            let record = study.trial(trial).ok_or(LineError::UnknownTrial(trial))?;
            let answer = json!({ "trial": trial, "params": record.params, "resume": true });
            let attempt = record.attempt.next();
            study.tell(&Event::Resumed { trial, attempt })?;
            Ok(answer)
        }
    }
}

fn tell(
    study: &mut Study,
    trial: TrialNumber,
    value: Option<f64>,
    status: Option<&str>,
    metrics: BTreeMap<String, f64>,
) -> Result<Value, LineError> {
    let attempt = open(study, trial)?;
    if !metrics.is_empty() {
        // What is measured belongs to a report: the whole trial counts as one more step.
        let step = study.trial(trial).map_or(0, |trial| trial.step()) + 1;
        study.tell(&Event::Reported { trial, attempt, step, value, metrics })?;
    }
    let event = match (value, status) {
        (_, Some("fail")) => {
            let (cause, message) = (FailureCause::Crashed, "the driver said so".into());
            Event::Failed { trial, attempt, cause, message }
        }
        (Some(value), None | Some("ok")) => Event::Completed { trial, attempt, value },
        _ => return Err(LineError::NoResult),
    };
    study.tell(&event)?;
    Ok(json!({ "ok": true }))
}

fn report(
    study: &mut Study,
    trial: TrialNumber,
    step: u64,
    value: Option<f64>,
    metrics: BTreeMap<String, f64>,
) -> Result<Value, LineError> {
    let attempt = open(study, trial)?;
    study.tell(&Event::Reported { trial, attempt, step, value, metrics })?;
    // After the last step the driver tells the result, whatever is answered here.
    let is_last = study.config().max_step.is_some_and(|most| step >= most);
    let verdict = if is_last { Verdict::Continue } else { study.verdict(trial) };
    match verdict {
        Verdict::Continue => Ok(json!({ "action": "continue" })),
        Verdict::Pause => {
            study.tell(&Event::Paused { trial, attempt, reason: PauseReason::Rung })?;
            Ok(json!({ "action": "pause" }))
        }
        Verdict::Stop => {
            study.tell(&Event::Pruned { trial, attempt })?;
            Ok(json!({ "action": "stop" }))
        }
    }
}

fn load(study: &mut Study, trials: &[LoadedTrial]) -> Result<Value, LineError> {
    let space = &study.config().space;
    let params: Vec<Params> = trials.iter().map(|trial| message::in_order(space, &trial.params)).collect();
    for (at, (params, trial)) in params.iter().zip(trials).enumerate() {
        space.contains(params).map_err(|source| LineError::Loaded { at, source })?;
        if !trial.value.is_finite() {
            return Err(LineError::LoadedValue { at });
        }
    }
    for (params, trial) in params.into_iter().zip(trials) {
        study.tell(&Event::Imported { params, value: trial.value, from: None })?;
    }
    Ok(json!({ "ok": true, "n": trials.len() }))
}

/// The attempt of a trial that the driver has at hand.
fn open(study: &Study, trial: TrialNumber) -> Result<Attempt, LineError> {
    let record = study.trial(trial).ok_or(LineError::UnknownTrial(trial))?;
    if record.state == TrialState::Running { Ok(record.attempt) } else { Err(LineError::NotOpen(trial)) }
}
