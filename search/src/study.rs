//! A study: what is known of all trials, what a free worker shall do, and what a running trial shall do.
//!
//! `ask` looks, `tell` is all that changes it, and both depend on nothing but the config and the log told so far.

use std::collections::{BTreeSet, VecDeque};

use thiserror::Error;

use crate::config::{ConfigError, Objective, StudyConfig, Terminate};
use crate::domain::{Domain, Point};
use crate::event::{Event, PauseReason, Suggestion, Verdict};
use crate::expression::Expression;
use crate::front;
use crate::history::{History, Stage};
use crate::open;
use crate::order::{Order, Wish};
use crate::params::{ParamValue, Params};
use crate::pruner::{self, Fork, Pruner};
use crate::record::{Failure, Origin, Report, Trial};
use crate::sampler::{self, Sampler, regret, transfer};
use crate::space::PointError;
use crate::stream::{Purpose, stream};
use crate::trial::{Attempt, Loss, TrialNumber, TrialState};
use crate::warm::Warm;

/// The search of one study.
pub struct Study {
    config: StudyConfig,
    domain: Domain,
    sampler: Box<dyn Sampler + Send + Sync>,
    pruner: Box<dyn Pruner + Send + Sync>,
    trials: Vec<Trial>,
    history: History,
    /// Place of each trial in the history.
    places: Vec<usize>,
    warm: Warm,
    enqueued: VecDeque<Params>,
    running: usize,
    /// Trials that began at the start of training, as forks do not.
    fresh: u64,
    /// There was too little left to gain.
    has_converged: bool,
    /// Waiting, or paused because the controller was asked to stop.
    to_resume: BTreeSet<TrialNumber>,
    held: bool,
}

/// An event that cannot have happened.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum TellError {
    /// Nothing is known of such a trial.
    #[error("there is no trial {trial}")]
    UnknownTrial {
        /// The number.
        trial: TrialNumber,
    },
    /// Numbers are given in order, without gaps.
    #[error("trial {trial} was started where trial {expected} is next")]
    NotNext {
        /// The number.
        trial: TrialNumber,
        /// The next free one.
        expected: TrialNumber,
    },
    /// The trial's state does not allow it.
    #[error("trial {trial} cannot be {what}: it is {state:?}")]
    WrongState {
        /// The number.
        trial: TrialNumber,
        /// Where it stands.
        state: TrialState,
        /// What was told of it, as "reported".
        what: &'static str,
    },
    /// Another attempt of the trial is the current one.
    #[error("trial {trial}: attempt {attempt} was told where {expected} is current")]
    WrongAttempt {
        /// The number.
        trial: TrialNumber,
        /// The attempt told.
        attempt: Attempt,
        /// The attempt due.
        expected: Attempt,
    },
    /// Each epoch is reported once and in order.
    #[error("trial {trial}: step {step} was reported where {expected} is next")]
    WrongStep {
        /// The number.
        trial: TrialNumber,
        /// The step told.
        step: u64,
        /// The step due.
        expected: u64,
    },
    /// A result is a number.
    #[error("the value told is not a finite number")]
    NotFinite,
    /// What was started cannot be taken back.
    #[error("the study cannot have {trials} trials: {started} were started")]
    TooFew {
        /// Asked for.
        trials: u64,
        /// Trials there are.
        started: u64,
    },
    /// The point does not lie in the space.
    #[error("the point does not lie in the space")]
    Point(#[from] PointError),
}

impl Study {
    /// A study without trials.
    pub fn new(config: StudyConfig) -> Result<Self, ConfigError> {
        config.validate()?;
        Ok(Self {
            domain: Domain::of(&config),
            sampler: config.sampler.sampler(&config),
            pruner: config.pruner.pruner(&config),
            config,
            trials: Vec::new(),
            history: History::default(),
            places: Vec::new(),
            warm: Warm::default(),
            enqueued: VecDeque::new(),
            running: 0,
            fresh: 0,
            has_converged: false,
            to_resume: BTreeSet::new(),
            held: false,
        })
    }

    /// What it was made of.
    pub fn config(&self) -> &StudyConfig {
        &self.config
    }

    pub(crate) fn domain(&self) -> &Domain {
        &self.domain
    }

    /// What a free worker is to do.
    pub fn ask(&self) -> Suggestion {
        if let Some(trial) = self.to_resume.first() {
            return Suggestion::Resume { trial: *trial };
        }
        let trial = self.next_trial();
        // Before its parent goes on, so that the parent still stands where the fork begins.
        if let Some(Fork { params, why, origin }) = self.pruner.fork(&self.pruner_view()) {
            return Suggestion::Fork { trial, params, why, origin };
        }
        if let Some(trial) = self.pruner.promotable(&self.pruner_view()) {
            return Suggestion::Resume { trial };
        }
        let may_start = !self.has_converged && self.config.max_trials.is_none_or(|most| self.fresh < most);
        if may_start && let Some((params, why)) = self.next_point(trial) {
            return Suggestion::Start { trial, params, why };
        }
        // A running trial may still make a seat on a rung, or come back.
        if self.running > 0 { Suggestion::Wait } else { Suggestion::Done }
    }

    fn next_point(&self, trial: TrialNumber) -> Option<(Params, String)> {
        if let Some(params) = self.enqueued.front() {
            return Some((params.clone(), "enqueued".into()));
        }
        let Self { domain, history, trials, .. } = self;
        let is_open = |point: &Point| domain.allows(point) && !history.was_tried(point);
        if let Some((params, study)) = self.warm.start(domain, is_open) {
            return Some((params.clone(), format!("among the best of `{study}`")));
        }
        let mut rng = stream(self.config.seed, trial, Purpose::Suggest);
        let warm = self.warm.density(domain);
        let view = sampler::View { domain, history, trial, config: &self.config, trials, warm };
        let sampler::Choice { point, why } = self.sampler.suggest(&view, &mut rng)?;
        match open::instead_of(&point, domain, history, &mut stream(self.config.seed, trial, Purpose::Allowed)) {
            Some((open, reason)) => {
                Some((domain.decode(&open), format!("{why}; the nearest one, as that is {reason}")))
            }
            None => Some((domain.decode(&point), why)),
        }
    }

    /// How much better than the best complete trial the rest of the space may still be, in units of the metric: a bound
    /// that holds with nine in ten chances if a Gaussian process fits (Makarova et al. 2022, arXiv 2104.08166). `None` with
    /// fewer than twenty complete trials.
    pub fn remaining_regret(&self) -> Option<f64> {
        regret::bound(&self.pruner_view().search())
    }

    /// Whether the study ended because there is too little left to gain.
    pub fn has_converged(&self) -> bool {
        self.has_converged
    }

    /// What the trial is to do after its latest report. Continue, for one that has not reported or does not exist.
    pub fn verdict(&self, trial: TrialNumber) -> Verdict {
        self.trial(trial).map_or(Verdict::Continue, |trial| match trial.wish {
            Some(Wish::Stop) => Verdict::Stop,
            Some(Wish::Pause) => Verdict::Pause,
            Some(Wish::Finish) => Verdict::Continue,
            None => trial.verdict,
        })
    }

    /// Whether a person wants nothing to be handed out for now.
    pub fn is_held(&self) -> bool {
        self.held
    }

    /// Whether the order can be followed as the study stands.
    pub fn allows(&self, order: &Order) -> Result<(), TellError> {
        let state_of = |trial| self.trial(trial).map(|it| it.state).ok_or(TellError::UnknownTrial { trial });
        let refuse = |trial, state, what| Err(TellError::WrongState { trial, state, what });
        match order {
            Order::Stop { trial } => match state_of(*trial)? {
                state if state.is_finished() => refuse(*trial, state, "stopped"),
                _ => Ok(()),
            },
            Order::Pause { trial } => match state_of(*trial)? {
                TrialState::Running | TrialState::Waiting => Ok(()),
                state => refuse(*trial, state, "paused"),
            },
            Order::Resume { trial } | Order::Finish { trial } => match state_of(*trial)? {
                TrialState::Paused => Ok(()),
                state => refuse(*trial, state, "resumed"),
            },
            Order::Retry { trial } => match state_of(*trial)? {
                state if state.is_finished() => Ok(()),
                state => refuse(*trial, state, "tried again"),
            },
            Order::Enqueue { params } => Ok(self.config.space.contains(params)?),
            Order::Hold | Order::Release | Order::Deadline { .. } => Ok(()),
            Order::Extend { trials } if *trials < self.fresh => {
                Err(TellError::TooFew { trials: *trials, started: self.fresh })
            }
            Order::Extend { .. } => Ok(()),
        }
    }

    fn obey(&mut self, order: &Order) -> Result<(), TellError> {
        self.allows(order)?;
        match order {
            Order::Stop { trial } => self.find(*trial)?.wish = Some(Wish::Stop),
            Order::Pause { trial } => self.find(*trial)?.wish = Some(Wish::Pause),
            Order::Resume { trial } => {
                self.find(*trial)?.wish = None;
                self.to_resume.insert(*trial);
            }
            Order::Finish { trial } => {
                self.find(*trial)?.wish = Some(Wish::Finish);
                self.to_resume.insert(*trial);
            }
            Order::Retry { trial } => {
                let params = self.find(*trial)?.params.clone();
                self.enqueued.push_back(params);
            }
            Order::Enqueue { params } => self.enqueued.push_back(params.clone()),
            Order::Hold => self.held = true,
            Order::Release => self.held = false,
            Order::Extend { trials } => self.config.max_trials = Some(*trials),
            Order::Deadline { .. } => {}
        }
        Ok(())
    }

    /// The trial of that number.
    pub fn trial(&self, trial: TrialNumber) -> Option<&Trial> {
        self.trials.get(usize::try_from(trial.0).ok()?)
    }

    /// All trials in the order of their numbers.
    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }

    /// The next free number.
    pub fn next_trial(&self) -> TrialNumber {
        TrialNumber(self.trials.len() as u64)
    }

    /// The complete trial with the best value among those that keep the constraints; the first of equals.
    pub fn best(&self) -> Option<&Trial> {
        let complete = self.trials.iter().filter(|trial| trial.state == TrialState::Complete);
        let loss = |trial: &Trial| trial.value.map_or(Loss::DIVERGED, |value| Loss::of(value, self.config.direction));
        complete.min_by_key(|trial| (self.violation(trial), loss(trial)))
    }

    /// By how much the trial breaks the constraints, all together; infinite where a metric is missing.
    pub fn violation(&self, trial: &Trial) -> Loss {
        let metric = |name: &str| trial.metrics.get(name).copied().map(ParamValue::Float);
        let missed = |constraint: &Expression| constraint.violation(&metric).unwrap_or(f64::INFINITY);
        Loss::from(self.config.constraints.iter().map(missed).sum::<f64>())
    }

    /// The complete trials that no other dominates, if all objectives count: each is the best compromise of its kind.
    pub fn front(&self) -> Vec<&Trial> {
        let is_complete = |trial: &&Trial| trial.state == TrialState::Complete;
        let complete: Vec<&Trial> = self.trials.iter().filter(is_complete).collect();
        let losses: Vec<Vec<f64>> =
            complete.iter().map(|trial| self.history.get(self.place(trial.number)).losses()).collect();
        front::front(&losses).into_iter().map(|at| complete[at]).collect()
    }

    /// Takes the event in, if it can have happened; else nothing changes.
    pub fn tell(&mut self, event: &Event) -> Result<(), TellError> {
        match event {
            Event::Opened { .. } | Event::Closed { .. } => Ok(()),
            Event::Planned { outlook } => {
                self.history.expect(outlook);
                Ok(())
            }
            Event::Fenced { .. } | Event::Annotated { .. } => Ok(()),
            Event::Ordered { order, .. } => self.obey(order),
            Event::Enqueued { params } => {
                self.config.space.contains(params)?;
                self.enqueued.push_back(params.clone());
                Ok(())
            }
            Event::Imported { params, value, from } => self.import(params, *value, from.as_deref()),
            Event::Started { trial, params, why } => self.start(*trial, params, why),
            Event::Forked { trial, params, why, origin } => self.fork(*trial, params, why, *origin),
            Event::Resumed { trial, attempt } => self.resume(*trial, *attempt),
            Event::Reported { trial, attempt, step, value, metrics } => {
                let cost = self.config.cost.as_ref().and_then(|name| metrics.get(name)).copied().unwrap_or_default();
                let record = self.running_trial(*trial, *attempt, "reported")?;
                let expected = record.step() + 1;
                if *step != expected {
                    return Err(TellError::WrongStep { trial: *trial, step: *step, expected });
                }
                let value = value.filter(|value| value.is_finite());
                record.curve.push(Report { step: *step, value });
                record.metrics.clone_from(metrics);
                record.cost += if cost > 0.0 && cost.is_finite() { cost } else { 0.0 };
                self.learn_report(*trial, *step, value);
                Ok(())
            }
            Event::Paused { trial, attempt, reason } => {
                let record = match reason {
                    // Also one that waits for a worker.
                    PauseReason::Asked => self.open_trial(*trial, *attempt, "paused")?,
                    _ => self.running_trial(*trial, *attempt, "paused")?,
                };
                let was_running = record.state == TrialState::Running;
                record.state = TrialState::Paused;
                record.pause = Some(*reason);
                record.wish = None;
                if was_running {
                    self.set_running(*trial, false);
                }
                self.to_resume.remove(trial);
                if *reason == PauseReason::Interrupted {
                    self.to_resume.insert(*trial);
                }
                Ok(())
            }
            Event::Requeued { trial, attempt, .. } => {
                self.running_trial(*trial, *attempt, "requeued")?.state = TrialState::Waiting;
                self.set_running(*trial, false);
                self.to_resume.insert(*trial);
                Ok(())
            }
            Event::Completed { trial, attempt, value } => {
                if !value.is_finite() {
                    return Err(TellError::NotFinite);
                }
                let record = self.running_trial(*trial, *attempt, "completed")?;
                record.value = Some(*value);
                self.finish(*trial, TrialState::Complete);
                let loss = Loss::of(*value, self.config.direction);
                let others = self.other_losses(*trial);
                self.history.set_result(self.place(*trial), Stage::Complete, loss);
                self.history.set_others(self.place(*trial), others);
                self.learned(self.place(*trial));
                if let Some(Terminate { regret }) = self.config.terminate {
                    self.has_converged = self.remaining_regret().is_some_and(|remaining| remaining < regret);
                }
                Ok(())
            }
            Event::Pruned { trial, attempt } => {
                self.open_trial(*trial, *attempt, "pruned")?;
                self.finish(*trial, TrialState::Pruned);
                Ok(())
            }
            Event::Failed { trial, attempt, cause, message } => {
                let record = self.open_trial(*trial, *attempt, "failed")?;
                record.failure = Some(Failure { cause: *cause, message: message.clone() });
                if cause.is_no_fault_of_the_trial() {
                    self.finish(*trial, TrialState::Lost);
                } else {
                    self.finish(*trial, TrialState::Failed);
                    // A matter of the point, to be avoided.
                    self.history.set_result(self.place(*trial), Stage::Failed, Loss::DIVERGED);
                    self.history.set_others(self.place(*trial), vec![Loss::DIVERGED; self.config.objectives.len()]);
                    self.learned(self.place(*trial));
                }
                Ok(())
            }
        }
    }

    fn import(&mut self, params: &Params, value: f64, from: Option<&str>) -> Result<(), TellError> {
        self.config.space.contains(params)?;
        if !value.is_finite() {
            return Err(TellError::NotFinite);
        }
        let (point, loss) = (self.domain.encode(params), Loss::of(value, self.config.direction));
        if let Some(study) = from {
            self.warm.add(study, params.clone(), point, loss);
            return Ok(());
        }
        let place = self.history.add(point);
        self.history.set_result(place, Stage::Complete, loss);
        self.history.set_others(place, vec![Loss::DIVERGED; self.config.objectives.len()]);
        self.history.close(place);
        self.learned(place);
        Ok(())
    }

    fn start(&mut self, trial: TrialNumber, params: &Params, why: &str) -> Result<(), TellError> {
        let expected = self.next_trial();
        if trial != expected {
            return Err(TellError::NotNext { trial, expected });
        }
        self.config.space.contains(params)?;
        if self.enqueued.front() == Some(params) {
            self.enqueued.pop_front();
        }
        let is_spared = self.config.is_baseline(trial) || self.is_transfer(trial, params);
        self.places.push(self.history.add(self.domain.encode(params)));
        self.trials.push(Trial { is_spared, ..Trial::new(trial, params.clone(), why.to_owned()) });
        self.fresh += 1;
        self.set_running(trial, true);
        let place = self.place(trial);
        let Self { domain, history, trials, config, sampler, warm, .. } = self;
        let warm = warm.density(domain);
        sampler.started(&sampler::View { domain, history, trial, config, trials, warm }, place);
        Ok(())
    }

    fn fork(&mut self, trial: TrialNumber, params: &Params, why: &str, origin: Origin) -> Result<(), TellError> {
        let expected = self.next_trial();
        if trial != expected {
            return Err(TellError::NotNext { trial, expected });
        }
        self.config.space.contains(params)?;
        let replaced = self.find(origin.replaces)?.state;
        if replaced == TrialState::Running {
            return Err(TellError::WrongState { trial: origin.replaces, state: replaced, what: "replaced" });
        }
        let parent = self.find(origin.parent)?;
        if origin.epoch == 0 || origin.epoch > parent.step() {
            let (step, expected) = (origin.epoch, parent.step());
            return Err(TellError::WrongStep { trial: origin.parent, step, expected });
        }
        let fork = Trial::fork(trial, params.clone(), why.to_owned(), origin, parent);
        let loss = fork.curve.last().map_or(Loss::DIVERGED, |report| report.loss(self.config.direction));
        self.trials.push(fork);
        self.places.push(self.history.add(self.domain.encode(params)));
        self.history.set_result(self.place(trial), Stage::Step(origin.epoch), loss);
        self.set_running(trial, true);
        if !replaced.is_finished() {
            self.finish(origin.replaces, TrialState::Pruned);
        }
        Ok(())
    }

    fn resume(&mut self, trial: TrialNumber, attempt: Attempt) -> Result<(), TellError> {
        let record = self.find(trial)?;
        let (state, expected) = (record.state, record.attempt.next());
        if !matches!(state, TrialState::Waiting | TrialState::Paused) {
            return Err(TellError::WrongState { trial, state, what: "resumed" });
        }
        if attempt != expected {
            return Err(TellError::WrongAttempt { trial, attempt, expected });
        }
        let was_promoted = record.pause == Some(PauseReason::Rung);
        record.state = TrialState::Running;
        record.attempt = attempt;
        record.pause = None;
        self.to_resume.remove(&trial);
        self.set_running(trial, true);
        if was_promoted {
            self.pruner.resumed(trial);
        }
        Ok(())
    }

    /// Whether the point is the transfer that is due.
    fn is_transfer(&self, trial: TrialNumber, params: &Params) -> bool {
        let Self { domain, history, trials, config, .. } = self;
        let view = sampler::View { domain, history, trial, config, trials, warm: None };
        transfer::due(&view).is_some_and(|transfer| domain.decode(&transfer.point) == *params)
    }

    /// The sampler is told that the last result of a point is known.
    fn learned(&mut self, place: usize) {
        let trial = self.next_trial();
        let Self { domain, history, trials, config, sampler, warm, .. } = self;
        let warm = warm.density(domain);
        sampler.learned(&sampler::View { domain, history, trial, config, trials, warm }, place);
    }

    /// Losses of the objectives besides the metric, as the trial last measured them.
    fn other_losses(&self, trial: TrialNumber) -> Vec<Loss> {
        let metrics = &self.trials[trial.0 as usize].metrics;
        let loss = |objective: &Objective| {
            metrics.get(&objective.metric).map_or(Loss::DIVERGED, |value| Loss::of(*value, objective.direction))
        };
        self.config.objectives.iter().map(loss).collect()
    }

    fn learn_report(&mut self, trial: TrialNumber, step: u64, value: Option<f64>) {
        let direction = self.config.direction;
        let loss = value.map_or(Loss::DIVERGED, |value| Loss::of(value, direction));
        if !self.config.constraints.is_empty() {
            let violation = self.violation(&self.trials[trial.0 as usize]);
            self.history.set_violation(self.place(trial), violation);
        }
        self.history.set_result(self.place(trial), Stage::Step(step), loss);
        let Self { trials, config, domain, history, pruner, warm, .. } = self;
        let at = trial.0 as usize;
        let verdict = pruner.reported(&trials[at], &pruner::View { trials, direction, config, domain, history, warm });
        trials[at].verdict =
            if trials[at].is_spared && verdict == Verdict::Pause { Verdict::Continue } else { verdict };
    }

    fn finish(&mut self, trial: TrialNumber, state: TrialState) {
        if self.trials[trial.0 as usize].state == TrialState::Running {
            self.set_running(trial, false);
        }
        let record = &mut self.trials[trial.0 as usize];
        record.state = state;
        record.pause = None;
        record.wish = None;
        self.to_resume.remove(&trial);
        self.history.close(self.place(trial));
    }

    /// A worker took the trial, or gave it back.
    fn set_running(&mut self, trial: TrialNumber, running: bool) {
        self.history.set_running(self.place(trial), running);
        if running { self.running += 1 } else { self.running -= 1 }
    }

    fn place(&self, trial: TrialNumber) -> usize {
        self.places[trial.0 as usize]
    }

    fn pruner_view(&self) -> pruner::View<'_> {
        let Self { trials, config, domain, history, warm, .. } = self;
        pruner::View { trials, direction: config.direction, config, domain, history, warm }
    }

    fn find(&mut self, trial: TrialNumber) -> Result<&mut Trial, TellError> {
        let at = usize::try_from(trial.0).ok();
        at.and_then(|at| self.trials.get_mut(at)).ok_or(TellError::UnknownTrial { trial })
    }

    fn running_trial(
        &mut self,
        trial: TrialNumber,
        attempt: Attempt,
        what: &'static str,
    ) -> Result<&mut Trial, TellError> {
        match self.open_trial(trial, attempt, what)? {
            record if record.state == TrialState::Running => Ok(record),
            record => Err(TellError::WrongState { trial, state: record.state, what }),
        }
    }

    fn open_trial(
        &mut self,
        trial: TrialNumber,
        attempt: Attempt,
        what: &'static str,
    ) -> Result<&mut Trial, TellError> {
        let record = self.find(trial)?;
        if record.state.is_finished() {
            return Err(TellError::WrongState { trial, state: record.state, what });
        }
        if record.attempt != attempt {
            return Err(TellError::WrongAttempt { trial, attempt, expected: record.attempt });
        }
        Ok(record)
    }
}
