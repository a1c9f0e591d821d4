//! The loop that leads a study: asks the search what to do, hands trials to workers, and writes what happens into the
//! log before it acts on it. So it can be killed at any moment, and the next one goes on from the log.
//!
//! The life of a trial: `Started` is logged, a worker is given the assignment; each of its reports is logged and told to
//! the search, whose verdict goes back; `Completed`, `Paused`, `Pruned` or `Failed` ends it. If its worker dies it is
//! `Requeued`, and goes on from its checkpoint as its next attempt.

mod book;
mod seat;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nightsweep_search::{
    Attempt, Event, FailureCause, PauseReason, Study, Suggestion, TellError, TrialNumber, TrialState, Verdict,
};
use nightsweep_store::{AppendError, Level, QueryError, Seq, Store, StudyId, WriteError};
use nightsweep_trainer::{Metric, Recipe, TrialSeed};
use tokio::sync::mpsc;
use tracing::{info, warn};

use self::book::Book;
use self::seat::{Job, Life, Seat, Why, back_off};
use crate::bind::bind;
use crate::executor::{Executor, News, WorkerId};
use crate::plan::Plan;
use crate::protocol::{self, Assignment, DataSource, FromWorker, Outcome, ToWorker};
use crate::slots::Slot;
use crate::worker::{chain, speaks_of_memory};

/// How long a killed worker may take to be gone before its slot is given up.
const KILL_GRACE: Duration = Duration::from_secs(30);
/// A turn of the loop that comes this much too late means that the controller itself was stopped.
const OVERSLEPT: Duration = Duration::from_secs(5);
/// Lines of standard error of one attempt that go into the trial's log.
const MAX_LINES: u32 = 1000;

/// What trials are made of, beyond their parameters.
pub struct Work {
    /// Seed of the study.
    pub seed: u64,
    /// What does not vary.
    pub recipe: Recipe,
    /// What to train on.
    pub data: DataSource,
    /// What trials are judged by.
    pub metric: Metric,
    /// Folder of the study; each trial has one of its own in it.
    pub checkpoints: PathBuf,
}

impl Work {
    /// What a plan says. Its seed also decides how the data is split.
    pub fn new(plan: &Plan, checkpoints: PathBuf) -> Self {
        let data = DataSource { spec: plan.data.clone(), base: plan.folder.clone(), seed: plan.seed };
        Self { seed: plan.seed, recipe: plan.recipe.clone(), data, metric: plan.metric, checkpoints }
    }

    /// The folder of a trial's checkpoints.
    pub fn checkpoints_of(&self, trial: TrialNumber) -> PathBuf {
        self.checkpoints.join(format!("trial-{trial}"))
    }
}

/// How patient a controller is.
#[derive(Clone, Debug)]
pub struct Options {
    /// When trials are interrupted and the study is put down.
    pub deadline: Option<Instant>,
    /// Longest that one attempt may train.
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
}

impl Default for Options {
    fn default() -> Self {
        Self {
            deadline: None,
            trial_limit: None,
            silence: Duration::from_secs(300),
            grace: Duration::from_secs(60),
            max_deaths: 5,
            max_equal_failures: 10,
        }
    }
}

/// What a person asks of a running controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control {
    /// Let running trials write their checkpoints, then end.
    Interrupt,
    /// End now; what came after the last checkpoints is trained again.
    Abort,
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
    /// No slot has a worker that starts.
    NoWorkers {
        /// What the last one said.
        message: String,
    },
    /// The search waits for trials, and none runs.
    Stuck,
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("the search is done"),
            Self::Interrupted => f.write_str("interrupted"),
            Self::Aborted => f.write_str("aborted"),
            Self::Deadline => f.write_str("the deadline has come"),
            Self::Failing { times, message } => write!(f, "{times} trials in a row failed in the same way: {message}"),
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
}

/// Leads a study until it is done, or its time is, or a person says so. Each event is shown once it is in the log.
pub async fn run<E: Executor>(
    session: Session<'_>,
    executor: &mut E,
    control: &mut mpsc::UnboundedReceiver<Control>,
    on_event: &mut (dyn FnMut(&Event) + Send),
) -> Result<Summary, RunError> {
    let Session { study, store, id, work, slots, options } = session;
    let now = executor.now();
    let seats = slots.into_iter().map(|slot| Seat::new(slot, now)).collect();
    let book = Book::default();
    let phase = Phase::Asking { word: Word::Ask };
    let mut controller = Controller {
        study, store, id, work, options, executor, on_event, seats, book, phase, requeues: Vec::new(), workers: 0,
    };
    let result = controller.lead(control).await;
    // Whatever the end, no worker outlives its controller.
    let workers: Vec<WorkerId> = controller.seats.iter().filter_map(Seat::worker).collect();
    workers.into_iter().for_each(|worker| controller.executor.kill(worker));
    result
}

struct Controller<'a, E> {
    study: &'a mut Study,
    store: &'a Store,
    id: StudyId,
    work: &'a Work,
    options: Options,
    executor: &'a mut E,
    on_event: &'a mut (dyn FnMut(&Event) + Send),
    seats: Vec<Seat>,
    book: Book,
    phase: Phase,
    /// Trials that lost their worker and are held back for a while.
    requeues: Vec<Requeue>,
    /// Workers started so far.
    workers: u64,
}

/// Whether new trials are handed out.
enum Phase {
    Asking { word: Word },
    Ending { ending: Ending, until: Instant },
}

/// What the search said when it was last asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Word {
    Ask,
    Wait,
    Done,
}

struct Requeue {
    from: Instant,
    trial: TrialNumber,
    attempt: Attempt,
    message: String,
}

impl<E: Executor> Controller<'_, E> {
    async fn lead(&mut self, control: &mut mpsc::UnboundedReceiver<Control>) -> Result<Summary, RunError> {
        self.open().await?;
        let mut can_hear = true;
        loop {
            self.keep_time().await?;
            self.hand_out().await?;
            if let Some(ending) = self.ending() {
                return self.close(ending).await;
            }
            let wake = self.next_wake();
            tokio::select! {
                biased;
                order = control.recv(), if can_hear => match order {
                    Some(order) => self.obey(order).await?,
                    None => can_hear = false,
                },
                news = self.executor.next(wake) => {
                    let now = self.executor.now();
                    if now > wake + OVERSLEPT {
                        // Nobody could be heard while this process was stopped.
                        self.seats.iter_mut().for_each(|seat| seat.heard = now);
                    }
                    match news {
                        Some(news) => self.hear(news).await?,
                        None => self.end_silence(),
                    }
                }
            }
        }
    }

    /// Takes the study up: no trial is running yet, whatever the log says.
    async fn open(&mut self) -> Result<(), RunError> {
        for entry in self.store.events(self.id, Seq::START).await? {
            self.book.hear(&entry.event);
        }
        self.book.forgive();
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let version = env!("CARGO_PKG_VERSION").to_owned();
        self.log(Event::Opened { pid: std::process::id(), host, version }).await?;
        let orphans: Vec<(TrialNumber, Attempt)> = self.running().collect();
        for (trial, attempt) in orphans {
            let verdict = if self.book.is_undecided(trial) { self.study.verdict(trial) } else { Verdict::Continue };
            let event = match verdict {
                Verdict::Pause => Event::Paused { trial, attempt, reason: PauseReason::Rung },
                Verdict::Stop => Event::Pruned { trial, attempt },
                Verdict::Continue if self.book.deaths(trial) + 1 >= self.options.max_deaths => {
                    let message = "its controller went away too often".to_owned();
                    Event::Failed { trial, attempt, cause: FailureCause::Lost, message }
                }
                Verdict::Continue => {
                    Event::Requeued { trial, attempt, message: "its controller went away".to_owned() }
                }
            };
            self.log(event).await?;
        }
        if self.study.ask() == Suggestion::Done {
            self.phase = Phase::Asking { word: Word::Done };
        }
        Ok(())
    }

    /// Does what is due.
    async fn keep_time(&mut self) -> Result<(), RunError> {
        let now = self.executor.now();
        if self.options.deadline.is_some_and(|deadline| now >= deadline) {
            self.end(Ending::Deadline).await?;
        }
        if let Phase::Ending { until, .. } = self.phase
            && now >= until
        {
            for place in 0..self.seats.len() {
                if matches!(self.seats[place].life, Life::Busy { .. }) {
                    self.kill(place, Why::Closing);
                }
            }
        }
        while let Some(due) = self.requeues.iter().position(|requeue| now >= requeue.from) {
            let Requeue { trial, attempt, message, .. } = self.requeues.remove(due);
            self.log(Event::Requeued { trial, attempt, message }).await?;
        }
        for place in 0..self.seats.len() {
            match &self.seats[place].life {
                Life::Absent { from } if now >= *from && self.wants_workers() => self.launch(place).await?,
                Life::Busy { job, .. } if self.options.trial_limit.is_some_and(|limit| now >= job.begin + limit) => {
                    self.kill(place, Why::TimedOut);
                }
                Life::Dying { until, .. } if now >= *until => {
                    self.gone(place, "its worker does not die", false).await?;
                    self.seats[place].life = Life::Retired;
                    self.give_up_without_workers("its worker does not die").await?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Kills workers that have said nothing for too long. Only asked when nothing is left to be heard.
    fn end_silence(&mut self) {
        let now = self.executor.now();
        for place in 0..self.seats.len() {
            let seat = &self.seats[place];
            if now >= seat.heard + self.options.silence && !matches!(seat.life, Life::Dying { .. }) {
                let silence = self.options.silence.as_secs_f64();
                self.kill(place, Why::Faulty(format!("its worker said nothing for {silence} s")));
            }
        }
    }

    /// Gives each idle worker what the search suggests.
    async fn hand_out(&mut self) -> Result<(), RunError> {
        for place in 0..self.seats.len() {
            let Life::Idle { worker } = self.seats[place].life else { continue };
            if !matches!(self.phase, Phase::Asking { word: Word::Ask }) {
                return Ok(());
            }
            match self.study.ask() {
                Suggestion::Start { trial, params, why } => {
                    self.log(Event::Started { trial, params, why }).await?;
                    self.assign(place, worker, trial, Attempt::FIRST).await?;
                }
                Suggestion::Resume { trial } => {
                    let attempt = self.attempt(trial).next();
                    self.log(Event::Resumed { trial, attempt }).await?;
                    self.assign(place, worker, trial, attempt).await?;
                }
                Suggestion::Wait => self.phase = Phase::Asking { word: Word::Wait },
                Suggestion::Done => self.phase = Phase::Asking { word: Word::Done },
            }
        }
        Ok(())
    }

    async fn assign(
        &mut self,
        place: usize,
        worker: WorkerId,
        trial: TrialNumber,
        attempt: Attempt,
    ) -> Result<(), RunError> {
        let known = self.study.trial(trial).expect("it was told of the trial just before");
        let (params, reported) = (known.params.clone(), known.step());
        let recipe = match bind(&self.work.recipe, &params) {
            Ok(recipe) => recipe,
            Err(error) => {
                let message = chain(&error);
                return self.fail(Event::Failed { trial, attempt, cause: FailureCause::Invalid, message }).await;
            }
        };
        let seat = &self.seats[place];
        let (slot, device) = (seat.slot.index.to_string(), seat.slot.device.to_string());
        let pid = seat.pid.expect("an idle worker has said hello");
        self.store.record_assignment(self.id, trial, attempt, &slot, &device, pid).await?;
        match toml::to_string(&recipe) {
            Ok(text) => self.store.set_recipe(self.id, trial, &text).await?,
            // It can be trained with all the same.
            Err(error) => warn!(%trial, "trial {trial}: its recipe is no TOML: {error}"),
        }
        let assignment = Assignment {
            trial,
            attempt,
            seed: TrialSeed { study: self.work.seed, trial: trial.0 },
            recipe,
            data: self.work.data.clone(),
            metric: self.work.metric,
            checkpoints: self.work.checkpoints_of(trial),
            reported,
        };
        let job = Job { trial, attempt, begin: self.executor.now(), is_settled: false, lines: 0 };
        self.seats[place].life = Life::Busy { worker, job };
        info!(%trial, %attempt, "trial {trial} goes to {device}");
        self.executor.send(worker, &ToWorker::Assign(Box::new(assignment)));
        Ok(())
    }

    async fn launch(&mut self, place: usize) -> Result<(), RunError> {
        self.workers += 1;
        let worker = WorkerId(self.workers);
        let now = self.executor.now();
        let seat = &mut self.seats[place];
        seat.start(worker, now);
        if let Err(error) = self.executor.launch(worker, &seat.slot) {
            let message = format!("{error}: {}", error.source);
            seat.vacate(now, self.options.max_deaths);
            warn!("{message}");
            self.give_up_without_workers(&message).await?;
        }
        Ok(())
    }

    async fn obey(&mut self, order: Control) -> Result<(), RunError> {
        match order {
            Control::Interrupt => self.end(Ending::Interrupted).await,
            Control::Abort => {
                self.end(Ending::Aborted).await?;
                self.phase = Phase::Ending { ending: Ending::Aborted, until: self.executor.now() };
                Ok(())
            }
        }
    }

    /// Hands out nothing more, and asks running trials to write their checkpoints.
    async fn end(&mut self, ending: Ending) -> Result<(), RunError> {
        if matches!(self.phase, Phase::Ending { .. }) {
            return Ok(());
        }
        info!("{ending}: running trials write their checkpoints");
        self.phase = Phase::Ending { ending, until: self.executor.now() + self.options.grace };
        for seat in &self.seats {
            if let Life::Busy { worker, .. } = seat.life {
                self.executor.send(worker, &ToWorker::Interrupt);
            }
        }
        for Requeue { trial, attempt, message, .. } in std::mem::take(&mut self.requeues) {
            self.log(Event::Requeued { trial, attempt, message }).await?;
        }
        Ok(())
    }

    /// Why the run is over, if it is.
    fn ending(&self) -> Option<Ending> {
        let is_at_work = self.seats.iter().any(|seat| seat.open_job().is_some()) || !self.requeues.is_empty();
        match &self.phase {
            _ if is_at_work => None,
            Phase::Ending { ending, .. } => Some(ending.clone()),
            Phase::Asking { word: Word::Ask } => None,
            Phase::Asking { word: Word::Wait } => Some(Ending::Stuck),
            Phase::Asking { word: Word::Done } => Some(Ending::Done),
        }
    }

    async fn close(&mut self, ending: Ending) -> Result<Summary, RunError> {
        self.log(Event::Closed { reason: ending.to_string() }).await?;
        let mut states = BTreeMap::new();
        for trial in self.study.trials() {
            *states.entry(state_name(trial.state)).or_default() += 1;
        }
        Ok(Summary { ending, states })
    }

    /// When something is due if nothing is heard.
    fn next_wake(&self) -> Instant {
        let seats = self.seats.iter().flat_map(|seat| {
            let silence = seat.heard + self.options.silence;
            match &seat.life {
                Life::Absent { from } => [self.wants_workers().then_some(*from), None],
                Life::Starting { .. } | Life::Idle { .. } => [Some(silence), None],
                Life::Busy { job, .. } => [Some(silence), self.options.trial_limit.map(|limit| job.begin + limit)],
                Life::Dying { until, .. } => [Some(*until), None],
                Life::Retired => [None, None],
            }
        });
        let end = match &self.phase {
            Phase::Asking { .. } => self.options.deadline,
            Phase::Ending { until, .. } => Some(*until).filter(|until| *until > self.executor.now()),
        };
        let requeues = self.requeues.iter().map(|requeue| requeue.from);
        let due = seats.flatten().chain(end).chain(requeues).min();
        due.unwrap_or_else(|| self.executor.now() + self.options.silence)
    }

    async fn hear(&mut self, news: News) -> Result<(), RunError> {
        let (News::Line { worker, .. } | News::Aside { worker, .. } | News::Gone { worker, .. }) = &news;
        let Some(place) = self.seats.iter().position(|seat| seat.worker() == Some(*worker)) else {
            // A worker that was given up.
            return self.hear_stranger(*worker, news).await;
        };
        self.seats[place].heard = self.executor.now();
        match news {
            News::Line { worker, line } => match protocol::parse(&line) {
                Ok(message) => self.hear_worker(place, worker, message).await,
                Err(error) => {
                    self.note(place, Level::Error, &error.to_string()).await?;
                    self.kill(place, Why::Faulty(error.to_string()));
                    Ok(())
                }
            },
            News::Aside { line, .. } => {
                self.seats[place].overhear(line.clone());
                self.note_aside(place, &line).await
            }
            News::Gone { message, is_out_of_memory, .. } => self.gone(place, &message, is_out_of_memory).await,
        }
    }

    async fn hear_worker(&mut self, place: usize, worker: WorkerId, message: FromWorker) -> Result<(), RunError> {
        match message {
            FromWorker::Hello { protocol, version, .. } if protocol != protocol::VERSION => {
                let ours = protocol::VERSION;
                let text = format!("its worker (version {version}) speaks protocol {protocol} instead of {ours}");
                self.kill(place, Why::Faulty(text));
                Ok(())
            }
            FromWorker::Hello { pid, device, .. } => {
                info!(pid, "worker {pid} is ready on {device}");
                self.seats[place].ready(pid);
                Ok(())
            }
            FromWorker::Heartbeat => Ok(()),
            FromWorker::Report { trial, attempt, step, metrics } => {
                match self.holds(place, trial, attempt) {
                    true => self.reported(place, worker, step, metrics).await,
                    false => {
                        let what = format!("a report of epoch {step}");
                        self.fence(place, trial, attempt, &what).await?;
                        // Whoever trains it is to stop.
                        let verdict = Verdict::Stop;
                        self.executor.send(worker, &ToWorker::Verdict { trial, attempt, step, verdict });
                        Ok(())
                    }
                }
            }
            FromWorker::Log { trial, attempt, level, text } => match self.holds(place, trial, attempt) {
                true => self.note(place, level, &text).await,
                false => Ok(()),
            },
            FromWorker::Ended { trial, attempt, outcome } => match self.holds(place, trial, attempt) {
                true => self.ended(place, worker, outcome).await,
                false => self.fence(place, trial, attempt, "its end").await,
            },
        }
    }

    /// Whether the worker there has that trial in that attempt.
    fn holds(&self, place: usize, trial: TrialNumber, attempt: Attempt) -> bool {
        self.seats[place].job().is_some_and(|job| (job.trial, job.attempt) == (trial, attempt))
    }

    async fn reported(
        &mut self,
        place: usize,
        worker: WorkerId,
        step: u64,
        metrics: BTreeMap<String, f64>,
    ) -> Result<(), RunError> {
        let Job { trial, attempt, is_settled, .. } = self.seats[place].job().expect("the caller looked").clone();
        let answer = |verdict| ToWorker::Verdict { trial, attempt, step, verdict };
        if is_settled {
            return self.fence(place, trial, attempt, &format!("a report of epoch {step}")).await;
        }
        let last = self.study.trial(trial).map_or(0, |trial| trial.step());
        if step <= last {
            // Trained again from an older checkpoint: it went on then, so it goes on now.
            self.executor.send(worker, &answer(Verdict::Continue));
            return Ok(());
        }
        if step > last + 1 {
            let message = format!("its worker reported epoch {step} after epoch {last}");
            self.kill(place, Why::Faulty(message));
            return Ok(());
        }
        let value = metrics.get(self.work.metric.name()).copied();
        self.log(Event::Reported { trial, attempt, step, value, metrics }).await?;
        self.seats[place].was_of_use();
        let verdict = self.study.verdict(trial);
        let end = match verdict {
            Verdict::Continue => None,
            Verdict::Pause => Some(Event::Paused { trial, attempt, reason: PauseReason::Rung }),
            Verdict::Stop => Some(Event::Pruned { trial, attempt }),
        };
        if let Some(end) = end {
            // The checkpoint is on disk, so the worker need not be waited for.
            self.settle(place, end).await?;
        }
        self.executor.send(worker, &answer(verdict));
        Ok(())
    }

    async fn ended(&mut self, place: usize, worker: WorkerId, outcome: Outcome) -> Result<(), RunError> {
        let Job { trial, attempt, is_settled, .. } = self.seats[place].job().expect("the caller looked").clone();
        let breaks_worker =
            matches!(outcome, Outcome::Failed { cause: FailureCause::Crashed | FailureCause::OutOfMemory, .. });
        if !is_settled {
            let event = match outcome {
                Outcome::Completed { value, .. } => Event::Completed { trial, attempt, value },
                Outcome::Interrupted => Event::Paused { trial, attempt, reason: PauseReason::Interrupted },
                Outcome::Failed { cause, message } => Event::Failed { trial, attempt, cause, message },
                Outcome::Paused | Outcome::Stopped => {
                    self.kill(place, Why::Faulty("its worker ended it unasked".to_owned()));
                    return Ok(());
                }
            };
            self.settle(place, event).await?;
        }
        if matches!(self.seats[place].life, Life::Busy { .. }) {
            self.seats[place].last_words.clear();
            self.seats[place].life = Life::Idle { worker };
            if breaks_worker {
                self.kill(place, Why::Faulty("a trial broke it".to_owned()));
            } else {
                self.seats[place].was_of_use();
            }
        }
        Ok(())
    }

    /// Logs the end of the trial that the worker there has.
    async fn settle(&mut self, place: usize, event: Event) -> Result<(), RunError> {
        if let Some(job) = self.seats[place].job_mut() {
            job.is_settled = true;
        }
        self.fail(event).await
    }

    /// Logs an event, and ends the run if it is one equal failure too many.
    async fn fail(&mut self, event: Event) -> Result<(), RunError> {
        self.log(event).await?;
        let (times, message) = self.book.failures_in_row();
        if times >= self.options.max_equal_failures {
            let message = message.to_owned();
            self.end(Ending::Failing { times, message }).await?;
        }
        Ok(())
    }

    /// The worker there is gone.
    async fn gone(&mut self, place: usize, message: &str, is_out_of_memory: bool) -> Result<(), RunError> {
        let now = self.executor.now();
        let seat = &mut self.seats[place];
        let job = seat.open_job().cloned();
        let why = match &seat.life {
            Life::Dying { why, .. } => why.clone(),
            _ => Why::Faulty(format!("its worker died: {message}")),
        };
        let last_words: String = seat.last_words.iter().map(|line| format!("\n{line}")).collect();
        seat.vacate(now, self.options.max_deaths);
        let Some(Job { trial, attempt, .. }) = job else {
            let Why::Faulty(what) = why else { return Ok(()) };
            warn!("{what}{last_words}");
            return self.give_up_without_workers(&format!("{what}{last_words}")).await;
        };
        match why {
            Why::Closing => self.log(Event::Paused { trial, attempt, reason: PauseReason::Interrupted }).await,
            Why::TimedOut => {
                let limit = self.options.trial_limit.unwrap_or_default().as_secs_f64();
                let message = format!("it trained for longer than {limit} s");
                self.fail(Event::Failed { trial, attempt, cause: FailureCause::TimedOut, message }).await
            }
            Why::Faulty(what) => {
                let is_out_of_memory = is_out_of_memory || speaks_of_memory(&last_words);
                self.lost(trial, attempt, format!("{what}{last_words}"), is_out_of_memory).await
            }
        }
    }

    /// A trial has no worker any more and is to go on, unless that happens all the time.
    async fn lost(
        &mut self,
        trial: TrialNumber,
        attempt: Attempt,
        message: String,
        is_out_of_memory: bool,
    ) -> Result<(), RunError> {
        let deaths = self.book.deaths(trial) + 1;
        warn!(%trial, "trial {trial}: {message}");
        if deaths >= self.options.max_deaths {
            let cause = if is_out_of_memory { FailureCause::OutOfMemory } else { FailureCause::Crashed };
            return self.fail(Event::Failed { trial, attempt, cause, message }).await;
        }
        let wait = back_off(deaths);
        if wait.is_zero() || matches!(self.phase, Phase::Ending { .. }) {
            return self.log(Event::Requeued { trial, attempt, message }).await;
        }
        self.store.append_log(self.id, trial, attempt, Level::Error, &message).await?;
        self.requeues.push(Requeue { from: self.executor.now() + wait, trial, attempt, message });
        Ok(())
    }

    fn kill(&mut self, place: usize, why: Why) {
        let until = self.executor.now() + KILL_GRACE;
        let seat = &mut self.seats[place];
        let Some(worker) = seat.worker() else { return };
        if !matches!(seat.life, Life::Dying { .. }) {
            let job = seat.job().cloned();
            seat.life = Life::Dying { worker, job, why, until };
            self.executor.kill(worker);
        }
    }

    /// Records that an older attempt spoke.
    async fn fence(
        &mut self,
        place: usize,
        trial: TrialNumber,
        attempt: Attempt,
        what: &str,
    ) -> Result<(), RunError> {
        let is_known = self.study.trial(trial).is_some() && attempt <= self.attempt(trial);
        if is_known {
            return self.log(Event::Fenced { trial, attempt, message: what.to_owned() }).await;
        }
        self.kill(place, Why::Faulty(format!("its worker spoke of attempt {attempt} of trial {trial}, which is none")));
        Ok(())
    }

    /// Nothing of a worker that was given up counts any more, but it is on record.
    async fn hear_stranger(&mut self, worker: WorkerId, news: News) -> Result<(), RunError> {
        let News::Line { line, .. } = news else { return Ok(()) };
        self.executor.kill(worker);
        match protocol::parse(&line) {
            Ok(FromWorker::Report { trial, attempt, step, .. }) if self.study.trial(trial).is_some() => {
                let message = format!("a report of epoch {step}");
                self.log(Event::Fenced { trial, attempt, message }).await
            }
            Ok(FromWorker::Ended { trial, attempt, .. }) if self.study.trial(trial).is_some() => {
                self.log(Event::Fenced { trial, attempt, message: "its end".to_owned() }).await
            }
            _ => Ok(()),
        }
    }

    async fn give_up_without_workers(&mut self, message: &str) -> Result<(), RunError> {
        if self.seats.iter().all(|seat| matches!(seat.life, Life::Retired)) {
            self.end(Ending::NoWorkers { message: message.to_owned() }).await?;
        }
        Ok(())
    }

    /// A line of standard error goes into the log of the trial that its worker has.
    async fn note_aside(&mut self, place: usize, line: &str) -> Result<(), RunError> {
        let Some(job) = self.seats[place].job_mut() else { return Ok(()) };
        job.lines += 1;
        match job.lines {
            MAX_LINES => self.note(place, Level::Warn, "further lines are left out").await,
            lines if lines < MAX_LINES => self.note(place, Level::Info, line).await,
            _ => Ok(()),
        }
    }

    /// Something for people to read beside the trial that the worker there has.
    async fn note(&mut self, place: usize, level: Level, text: &str) -> Result<(), RunError> {
        match self.seats[place].job() {
            Some(Job { trial, attempt, .. }) => {
                Ok(self.store.append_log(self.id, *trial, *attempt, level, text).await?)
            }
            None => {
                warn!("a worker said: {text}");
                Ok(())
            }
        }
    }

    /// The log first, then the search, then the rest.
    async fn log(&mut self, event: Event) -> Result<(), RunError> {
        self.store.append(self.id, &event).await?;
        self.study.tell(&event)?;
        self.book.hear(&event);
        if let Phase::Asking { word } = &mut self.phase {
            *word = Word::Ask;
        }
        (self.on_event)(&event);
        Ok(())
    }

    /// Trials that the log has as running.
    fn running(&self) -> impl Iterator<Item = (TrialNumber, Attempt)> {
        let running = self.study.trials().iter().filter(|trial| trial.state == TrialState::Running);
        running.map(|trial| (trial.number, trial.attempt))
    }

    fn attempt(&self, trial: TrialNumber) -> Attempt {
        self.study.trial(trial).expect("the caller knows the trial from the study").attempt
    }

    /// Whether an absent worker is to be replaced.
    fn wants_workers(&self) -> bool {
        matches!(self.phase, Phase::Asking { word: Word::Ask | Word::Wait })
    }
}

fn state_name(state: TrialState) -> &'static str {
    match state {
        TrialState::Waiting => "waiting",
        TrialState::Running => "running",
        TrialState::Paused => "paused",
        TrialState::Complete => "complete",
        TrialState::Pruned => "pruned",
        TrialState::Failed => "failed",
        TrialState::Lost => "lost",
    }
}
