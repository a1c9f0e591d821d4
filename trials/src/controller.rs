//! The loop that leads a study: asks the search what to do, hands trials to workers, and writes what happens into the
//! log before it acts on it. So it can be killed at any moment, and the next one goes on from the log.
//!
//! The life of a trial: `Started` is logged, a worker is given the assignment; each of its reports is logged and told to
//! the search, whose verdict goes back; `Completed`, `Paused`, `Pruned` or `Failed` ends it. If its worker dies it is
//! `Requeued`, and goes on from its checkpoint as its next attempt.

mod book;
mod hear;
mod remedy;
mod seat;
mod session;
#[cfg(test)]
mod tests;
mod time;
mod trace;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytesize::ByteSize;
use nightsweep_search::{
    Attempt, Event, FailureCause, Order, Origin, PauseReason, Study, Suggestion, TrialNumber, TrialState, Verdict, Wish,
};
use nightsweep_store::{Level, Seq, Store, StudyId};
use tokio::sync::mpsc;
use tracing::{info, warn};

use self::book::Book;
use self::seat::{Job, Life, Seat, Why};
pub use self::session::{Control, Ending, Options, OrderError, RunError, Session, Summary, Work, trial_folder};
use self::time::Schedule;
use crate::executor::{Executor, WorkerId};
use crate::pace::Family;
use crate::packing::Packing;
use crate::protocol::{Assignment, ToWorker};
use crate::room::Room;
use crate::slots::Slot;
use crate::time_plan::TimePlan;
use crate::worker::chain;

/// How long a killed worker may take to be gone before its slot is given up.
const KILL_GRACE: Duration = Duration::from_secs(30);
/// A turn of the loop that comes this much too late means that the controller itself was stopped.
const OVERSLEPT: Duration = Duration::from_secs(5);

/// The farthest deadline that a person can ask for, so that no clock overflows: a leap year.
const FARTHEST: Duration = Duration::from_secs(366 * 86_400);

/// Leads a study until it is done, or its time is, or a person says so. Each event is shown once it is in the log.
pub async fn run<E: Executor>(
    session: Session<'_>,
    executor: &mut E,
    control: &mut mpsc::UnboundedReceiver<Control>,
    on_event: &mut (dyn FnMut(&Event) + Send),
) -> Result<Summary, RunError> {
    let Session { study, store, id, work, slots, options, time } = session;
    let now = executor.now();
    let packing = packing_of(&slots, time.as_deref());
    let seats = slots.into_iter().map(|slot| Seat::new(slot, now)).collect();
    let book = Book::default();
    let room = Room::new(work.checkpoints.clone(), options.disk, options.keep_best, study);
    let phase = Phase::Asking { word: Word::Ask };
    let mut controller = Controller {
        study,
        store,
        id,
        work,
        options,
        time,
        packing,
        schedule: Schedule::default(),
        executor,
        on_event,
        seats,
        book,
        phase,
        requeues: Vec::new(),
        workers: 0,
        room,
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
    time: Option<&'a mut TimePlan>,
    packing: Packing,
    schedule: Schedule,
    executor: &'a mut E,
    on_event: &'a mut (dyn FnMut(&Event) + Send),
    seats: Vec<Seat>,
    book: Book,
    phase: Phase,
    /// Trials that lost their worker and are held back for a while.
    requeues: Vec<Requeue>,
    /// Workers started so far.
    workers: u64,
    room: Room,
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
    /// What it suggested gets nowhere in the time that is left.
    Late,
}

struct Requeue {
    from: Instant,
    trial: TrialNumber,
    attempt: Attempt,
    cause: FailureCause,
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
                        None => self.end_silence().await?,
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
        if self.study.is_held() {
            // Whoever runs it again wants it to go on.
            self.log(Event::Ordered { by: "nightsweep run".to_owned(), order: Order::Release }).await?;
        }
        let orphans: Vec<(TrialNumber, Attempt)> = self.running().collect();
        for (trial, attempt) in orphans {
            let verdict = if self.book.is_undecided(trial) { self.study.verdict(trial) } else { Verdict::Continue };
            if let Some(event) = self.wished(trial, attempt) {
                self.log(event).await?;
                continue;
            }
            let event = match verdict {
                Verdict::Pause => Event::Paused { trial, attempt, reason: PauseReason::Rung },
                Verdict::Stop => Event::Pruned { trial, attempt },
                Verdict::Continue if self.book.deaths(trial) + 1 >= self.options.max_deaths => {
                    let message = "its controller went away too often".to_owned();
                    Event::Failed { trial, attempt, cause: FailureCause::Lost, message }
                }
                Verdict::Continue => {
                    let message = "its controller went away".to_owned();
                    Event::Requeued { trial, attempt, cause: None, message }
                }
            };
            self.log(event).await?;
        }
        self.plan_time().await?;
        if self.study.ask() == Suggestion::Done {
            self.phase = Phase::Asking { word: Word::Done };
        }
        Ok(())
    }

    /// Does what is due.
    async fn keep_time(&mut self) -> Result<(), RunError> {
        let now = self.executor.now();
        if self.schedule.finish.is_some_and(|finish| now >= finish) {
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
            let Requeue { trial, attempt, cause, message, .. } = self.requeues.remove(due);
            self.log(Event::Requeued { trial, attempt, cause: Some(cause), message }).await?;
        }
        for place in 0..self.seats.len() {
            match &self.seats[place].life {
                Life::Absent { from } if now >= *from && self.wants_worker(place) => self.launch(place).await?,
                // A share of a GPU that is given back.
                Life::Idle { .. } if !self.packing.is_open(&self.seats[place].slot) => self.kill(place, Why::Closing),
                Life::Busy { job, .. } if self.options.trial_limit.is_some_and(|limit| now >= job.begin + limit) => {
                    self.kill(place, Why::TimedOut);
                }
                Life::Dying { until, .. } if now >= *until => {
                    self.gone(place, "the worker does not die", FailureCause::Crashed).await?;
                    self.seats[place].life = Life::Retired;
                    self.give_up_without_workers("the worker does not die").await?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Kills workers that have said nothing for too long. Only asked when nothing is left to be heard.
    async fn end_silence(&mut self) -> Result<(), RunError> {
        let now = self.executor.now();
        for place in 0..self.seats.len() {
            let seat = &self.seats[place];
            if now >= seat.heard + self.options.silence && !matches!(seat.life, Life::Dying { .. }) {
                let silence = self.options.silence.as_secs_f64();
                let stands = seat.worker().map(|worker| self.executor.examine(worker)).unwrap_or_default();
                for line in stands {
                    self.note(place, Level::Warn, &line).await?;
                }
                self.kill(place, Why::Hung(format!("the worker said nothing for {silence} s")));
            }
        }
        Ok(())
    }

    /// Gives each idle worker what the search suggests.
    async fn hand_out(&mut self) -> Result<(), RunError> {
        for place in 0..self.seats.len() {
            let Life::Idle { worker } = self.seats[place].life else { continue };
            if !matches!(self.phase, Phase::Asking { word: Word::Ask }) || self.study.is_held() {
                return Ok(());
            }
            if !self.packing.is_open(&self.seats[place].slot) {
                continue;
            }
            let suggestion = self.study.ask();
            if !self.has_room_for(place, &suggestion) {
                continue;
            }
            let Some(suggestion) = self.timely(suggestion).await? else {
                self.phase = Phase::Asking { word: Word::Late };
                return Ok(());
            };
            match suggestion {
                Suggestion::Start { trial, params, why } => {
                    self.log(Event::Started { trial, params, why }).await?;
                    self.assign(place, worker, trial, Attempt::FIRST).await?;
                }
                Suggestion::Fork { trial, params, why, origin } => {
                    self.log(Event::Forked { trial, params, why, origin }).await?;
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
        let reported = known.step();
        if let Some(Origin { parent, epoch, .. }) = known.origin
            && epoch == reported
        {
            self.inherit(parent, trial);
        }
        let (recipe, seed) = match self.work.resolve(self.study, trial) {
            Ok((recipe, seed)) => (remedy::halved(recipe, self.book.halvings(trial)), seed),
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
            seed,
            recipe,
            data: self.work.data.clone(),
            metric: self.work.metric,
            checkpoints: self.work.checkpoints_of(trial),
            reported,
        };
        let begin = self.executor.now();
        let family = Family::of(&assignment.recipe);
        let job = Job { trial, attempt, begin, since: begin, has_reported: false, family, is_settled: false, lines: 0 };
        self.packing.began(&self.seats[place].slot, &job.family, begin);
        self.seats[place].life = Life::Busy { worker, job };
        info!(%trial, %attempt, "trial {trial} goes to {device}");
        self.executor.send(worker, &ToWorker::Assign(Box::new(assignment)));
        Ok(())
    }

    /// Lets a fork that has yet to train begin where its parent stands, if that is still where it begins. If not, it trains
    /// from the start and comes to the same: its recipe is its parent's until there, and so are its seeds.
    fn inherit(&mut self, parent: TrialNumber, fork: TrialNumber) {
        let step = |trial| self.study.trial(trial).map(|trial| (trial.step(), trial.state));
        let stands = step(parent)
            .zip(step(fork))
            .is_some_and(|((parent, state), (fork, _))| parent == fork && state != TrialState::Running);
        if !stands {
            return;
        }
        if let Err(error) = self.executor.inherit(&self.work.checkpoints, parent, fork) {
            warn!(trial = %fork, "trial {fork} trains from the start: no checkpoint of trial {parent} could be had: {error}");
        }
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
            Control::Order { by, order, answer } => {
                let allowed = self.allows(&order);
                if allowed.is_ok() {
                    self.follow(by, order).await?;
                }
                // Whoever asked may be gone.
                let _: Result<(), Result<(), OrderError>> = answer.send(allowed);
                Ok(())
            }
        }
    }

    /// Whether the order can be followed as the run stands.
    fn allows(&self, order: &Order) -> Result<(), OrderError> {
        self.study.allows(order)?;
        let Order::Deadline { in_seconds } = order else { return Ok(()) };
        if self.options.deadline.is_none() {
            return Err(OrderError::NoDeadline);
        }
        if matches!(self.phase, Phase::Ending { .. }) {
            return Err(OrderError::Ending);
        }
        if *in_seconds > FARTHEST.as_secs() { Err(OrderError::TooFar) } else { Ok(()) }
    }

    /// Logs what a person asked for, and begins with it.
    async fn follow(&mut self, by: String, order: Order) -> Result<(), RunError> {
        self.log(Event::Ordered { by, order: order.clone() }).await?;
        match order {
            Order::Stop { trial } | Order::Pause { trial } => {
                let state = self.study.trial(trial).map(|trial| trial.state);
                if state == Some(TrialState::Running) {
                    self.interrupt(|job| job.trial == trial);
                } else if let Some(event) = self.wished(trial, self.attempt(trial)) {
                    self.log(event).await?;
                }
            }
            Order::Hold => self.interrupt(|_| true),
            Order::Resume { .. } | Order::Finish { .. } | Order::Retry { .. } | Order::Enqueue { .. } => {}
            Order::Release | Order::Extend { .. } => {}
            Order::Deadline { in_seconds } => self.move_deadline(Duration::from_secs(in_seconds)).await?,
        }
        Ok(())
    }

    /// Asks those that have such a trial to write its checkpoint and to give it back.
    fn interrupt(&mut self, which: impl Fn(&Job) -> bool) {
        for seat in &self.seats {
            if let Life::Busy { worker, job } = &seat.life
                && which(job)
            {
                self.executor.send(*worker, &ToWorker::Interrupt);
            }
        }
    }

    /// What ends a trial's turn if a person wants it to end.
    fn wished(&self, trial: TrialNumber, attempt: Attempt) -> Option<Event> {
        Some(match self.study.trial(trial)?.wish? {
            Wish::Stop => Event::Pruned { trial, attempt },
            Wish::Pause => Event::Paused { trial, attempt, reason: PauseReason::Asked },
            Wish::Finish => return None,
        })
    }

    /// Hands out nothing more, and asks running trials to write their checkpoints.
    async fn end(&mut self, ending: Ending) -> Result<(), RunError> {
        if matches!(self.phase, Phase::Ending { .. }) {
            return Ok(());
        }
        info!("{ending}: running trials write their checkpoints");
        let now = self.executor.now();
        let patience = now + self.options.grace;
        // The deadline itself is kept, whoever takes long to let go.
        let until = match self.options.deadline.filter(|_| self.time.is_some()) {
            Some(deadline) => patience.min(deadline.max(now)),
            None => patience,
        };
        self.phase = Phase::Ending { ending, until };
        self.interrupt(|_| true);
        for Requeue { trial, attempt, cause, message, .. } in std::mem::take(&mut self.requeues) {
            self.log(Event::Requeued { trial, attempt, cause: Some(cause), message }).await?;
        }
        Ok(())
    }

    /// Why the run is over, if it is.
    fn ending(&self) -> Option<Ending> {
        let is_at_work = self.seats.iter().any(|seat| seat.open_job().is_some()) || !self.requeues.is_empty();
        match &self.phase {
            _ if is_at_work => None,
            Phase::Ending { ending, .. } => Some(ending.clone()),
            Phase::Asking { .. } if self.study.is_held() => None,
            Phase::Asking { word: Word::Ask } => None,
            Phase::Asking { word: Word::Wait } => Some(Ending::Stuck),
            Phase::Asking { word: Word::Done } => Some(Ending::Done),
            Phase::Asking { word: Word::Late } => Some(Ending::Deadline),
        }
    }

    async fn close(&mut self, ending: Ending) -> Result<Summary, RunError> {
        let needs_help = ending.needs_help();
        self.log(Event::Closed { reason: ending.to_string(), needs_help }).await?;
        let mut states = BTreeMap::new();
        for trial in self.study.trials() {
            *states.entry(state_name(trial.state)).or_default() += 1;
        }
        Ok(Summary { ending, states, deadline: self.options.deadline })
    }

    /// When something is due if nothing is heard.
    fn next_wake(&self) -> Instant {
        let seats = self.seats.iter().flat_map(|seat| {
            let silence = seat.heard + self.options.silence;
            match &seat.life {
                Life::Absent { from } => [self.wants_worker_in(seat).then_some(*from), None],
                Life::Starting { .. } | Life::Idle { .. } => [Some(silence), None],
                Life::Busy { job, .. } => [Some(silence), self.options.trial_limit.map(|limit| job.begin + limit)],
                Life::Dying { until, .. } => [Some(*until), None],
                Life::Retired => [None, None],
            }
        });
        let end = match &self.phase {
            Phase::Asking { .. } => self.schedule.finish,
            Phase::Ending { until, .. } => Some(*until).filter(|until| *until > self.executor.now()),
        };
        let requeues = self.requeues.iter().map(|requeue| requeue.from);
        let due = seats.flatten().chain(end).chain(requeues).min();
        due.unwrap_or_else(|| self.executor.now() + self.options.silence)
    }

    async fn give_up_without_workers(&mut self, message: &str) -> Result<(), RunError> {
        if self.seats.iter().all(|seat| matches!(seat.life, Life::Retired)) {
            self.end(Ending::NoWorkers { message: message.to_owned() }).await?;
        }
        Ok(())
    }

    /// Ends the worker there; what becomes of its trial is decided when it is gone.
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

    /// Deletes checkpoints that nobody needs if they take too much; ends the run if those that are needed do.
    async fn keep_room(&mut self, trial: TrialNumber) -> Result<(), RunError> {
        self.room.measure(trial);
        let running: Vec<TrialNumber> = self.running().map(|(trial, _)| trial).collect();
        running.into_iter().for_each(|trial| self.room.measure(trial));
        let excess = self.room.excess();
        if excess == 0 {
            return Ok(());
        }
        self.make_room(excess).await?;
        if let Some(budget) = self.options.disk
            && self.room.excess() > 0
        {
            let message = format!(
                "the checkpoints of paused and best trials take {}, and `study.disk` gives {}",
                ByteSize(self.room.used()).display().si(),
                ByteSize(budget).display().si(),
            );
            self.end(Ending::DiskFull { message }).await?;
        }
        Ok(())
    }

    /// Whether anything could be deleted.
    async fn make_room(&mut self, bytes: u64) -> Result<bool, RunError> {
        let freed = match self.room.free(self.study, bytes) {
            Ok(freed) => freed,
            Err(error) => {
                warn!("a checkpoint could not be deleted: {error}");
                Vec::new()
            }
        };
        for trial in &freed {
            let text = "its checkpoint was deleted, because the disk is short";
            self.store.append_log(self.id, *trial, self.attempt(*trial), Level::Info, text).await?;
        }
        Ok(!freed.is_empty())
    }

    /// The log first, then the search, then the rest.
    async fn log(&mut self, event: Event) -> Result<(), RunError> {
        self.store.append(self.id, &event).await?;
        self.study.tell(&event)?;
        self.book.hear(&event);
        trace::trace(&event);
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
    fn wants_worker(&self, place: usize) -> bool {
        self.wants_worker_in(&self.seats[place])
    }

    fn wants_worker_in(&self, seat: &Seat) -> bool {
        matches!(self.phase, Phase::Asking { word: Word::Ask | Word::Wait }) && self.packing.is_open(&seat.slot)
    }

    /// Whether what is suggested fits into the GPU of that place beside those that train there.
    fn has_room_for(&self, place: usize, suggestion: &Suggestion) -> bool {
        let slot = &self.seats[place].slot;
        let params = match suggestion {
            _ if slot.share.is_none() => return true,
            Suggestion::Start { params, .. } | Suggestion::Fork { params, .. } => params,
            Suggestion::Resume { trial } => match self.study.trial(*trial) {
                Some(known) => &known.params,
                None => return true,
            },
            Suggestion::Wait | Suggestion::Done => return true,
        };
        // What is no recipe fails when it is assigned.
        self.work.recipe_of(params).map_or(true, |recipe| self.packing.fits(slot, &Family::of(&recipe)))
    }

    /// Slots that are used now.
    fn open_slots(&self) -> usize {
        self.seats.iter().filter(|seat| self.packing.is_open(&seat.slot)).count()
    }
}

/// What is known of sharing GPUs before the first trial.
fn packing_of(slots: &[Slot], time: Option<&TimePlan>) -> Packing {
    let mut packing = Packing::new(slots);
    for (family, epoch, peak) in time.into_iter().flat_map(|time| time.pace.families()) {
        packing.learn_probe(family, Some(epoch), peak);
    }
    packing
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
