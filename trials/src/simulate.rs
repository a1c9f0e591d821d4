//! A machine that is not there: workers that train in no time on a virtual clock, and die when they are told to. The
//! same seed of faults gives the same night.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nightsweep_search::{Attempt, FailureCause, TrialNumber, Verdict};
use nightsweep_trainer::DeviceName;

use crate::executor::{Executor, LaunchError, News, WorkerId};
use crate::protocol::{self, Assignment, FromWorker, Outcome, ToWorker};
use crate::slots::Slot;

/// From start to hello.
const START_UP: Duration = Duration::from_secs(3);

/// How virtual trials go.
pub trait World: Send {
    /// The trial's metric after an epoch, from 1.
    fn value(&self, assignment: &Assignment, epoch: u64) -> f64;

    /// How long an epoch takes.
    fn epoch_time(&self, assignment: &Assignment) -> Duration;

    /// How long an epoch takes beside so many others on the same device.
    fn epoch_time_beside(&self, assignment: &Assignment, _others: usize) -> Duration {
        self.epoch_time(assignment)
    }

    /// Bytes of its GPU that the trial has, if it is on one.
    fn gpu_memory(&self, _assignment: &Assignment) -> Option<u64> {
        None
    }

    /// Bytes that a worker has after so many trials.
    fn memory_of(&self, _worker: WorkerId, _trials: u32) -> u64 {
        0
    }

    /// What goes wrong at the end of an epoch.
    fn fault(&mut self, assignment: &Assignment, epoch: u64) -> Option<Fault>;
}

/// What can go wrong with a virtual worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Dies before the checkpoint of the epoch is written.
    DiesBeforeCheckpoint,
    /// Dies after the checkpoint and before the report.
    DiesBeforeReport,
    /// Dies right after the report, without waiting for the verdict.
    DiesAfterReport,
    /// Is killed by the kernel, whose memory is full, before the checkpoint is written.
    OutOfMemory,
    /// Dies in the middle of a line.
    HalfALine,
    /// Says something that is no message.
    Garbage,
    /// Says nothing any more and does not end.
    Hangs,
    /// Speaks as the attempt before it, then trains on.
    SpeaksAsOlder,
    /// Leaves out an epoch.
    SkipsAnEpoch,
    /// The checkpoint and the one before it are lost.
    LosesCheckpoints,
    /// The loss is no number.
    Diverges,
    /// The trial panics.
    Panics,
    /// The checkpoint does not fit on the disk.
    DiskFull,
    /// The data cannot be read.
    LosesData,
    /// The GPU falls off the bus.
    LosesDevice,
    /// Somebody else asks the worker to end.
    Preempted,
    /// The GPU's memory is full, unless half the batch or less goes through it at once.
    DeviceOutOfMemory,
}

impl Fault {
    /// All that a night survives without a person.
    pub const ALL: [Self; 14] = [
        Self::DiesBeforeCheckpoint,
        Self::DiesBeforeReport,
        Self::DiesAfterReport,
        Self::OutOfMemory,
        Self::HalfALine,
        Self::Garbage,
        Self::Hangs,
        Self::SpeaksAsOlder,
        Self::SkipsAnEpoch,
        Self::LosesCheckpoints,
        Self::Diverges,
        Self::Panics,
        Self::Preempted,
        Self::DeviceOutOfMemory,
    ];

    /// What pauses a study until a person has mended something.
    pub const PAUSING: [Self; 3] = [Self::DiskFull, Self::LosesData, Self::LosesDevice];
}

/// Checkpoints on a virtual disk, which outlives the machine's controller.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    epochs: Arc<Mutex<BTreeMap<TrialNumber, u64>>>,
}

impl Disk {
    /// Epochs in each trial's checkpoint.
    pub fn epochs(&self) -> MutexGuard<'_, BTreeMap<TrialNumber, u64>> {
        self.epochs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A virtual machine.
pub struct Simulated<W> {
    world: W,
    disk: Disk,
    begin: Instant,
    clock: Duration,
    workers: BTreeMap<WorkerId, Worker>,
    /// What will happen, by time and order.
    agenda: BTreeMap<(Duration, u64), Happening>,
    happenings: u64,
    trained: Duration,
    /// Since when each worker has been at an epoch that is not done.
    epochs_since: BTreeMap<WorkerId, Duration>,
    double_assignments: u32,
    /// Attempts that were handed out.
    assigned: BTreeSet<(TrialNumber, Attempt)>,
    repeated_attempts: u32,
    /// Where each worker computes.
    devices: BTreeMap<WorkerId, DeviceName>,
    /// Trials that each worker was given, the dead ones too.
    had: BTreeMap<WorkerId, u32>,
}

#[derive(Debug)]
enum Worker {
    Idle,
    Training(Box<Training>),
    Hung,
}

#[derive(Debug)]
struct Training {
    assignment: Assignment,
    /// Epochs done.
    epoch: u64,
    /// Epochs that the controller has heard of.
    reported: u64,
    is_interrupted: bool,
}

#[derive(Debug)]
enum Happening {
    Ready(WorkerId),
    /// The epoch of the attempt is done, or its report due.
    Turn(WorkerId, Box<Assignment>),
    Tell(News),
}

impl<W: World> Simulated<W> {
    /// A machine without workers, whose clock starts at `begin`.
    pub fn new(world: W, disk: Disk, begin: Instant) -> Self {
        Self {
            world,
            disk,
            begin,
            clock: Duration::ZERO,
            workers: BTreeMap::new(),
            agenda: BTreeMap::new(),
            happenings: 0,
            trained: Duration::ZERO,
            epochs_since: BTreeMap::new(),
            double_assignments: 0,
            assigned: BTreeSet::new(),
            repeated_attempts: 0,
            devices: BTreeMap::new(),
            had: BTreeMap::new(),
        }
    }

    /// Time that all workers together spent in training; of an epoch that was broken off, what was spent on it.
    pub fn trained(&self) -> Duration {
        self.trained
    }

    /// How often a trial was given to a worker while another one still trained it.
    pub fn double_assignments(&self) -> u32 {
        self.double_assignments
    }

    /// How often an attempt of a trial was handed out again.
    pub fn repeated_attempts(&self) -> u32 {
        self.repeated_attempts
    }

    /// Workers that were started.
    pub fn launched(&self) -> usize {
        self.had.len()
    }

    /// Workers that have not ended.
    pub fn alive(&self) -> usize {
        self.workers.len()
    }

    /// What its world has come to.
    pub fn world(&self) -> &W {
        &self.world
    }

    fn plan(&mut self, after: Duration, happening: Happening) {
        self.happenings += 1;
        self.agenda.insert((self.clock + after, self.happenings), happening);
    }

    fn say(&mut self, worker: WorkerId, message: &FromWorker) {
        let line = protocol::to_line(message).trim_end().to_owned();
        self.plan(Duration::ZERO, Happening::Tell(News::Line { worker, line }));
    }

    /// An epoch is over for the worker, done or broken off.
    fn leave_epoch(&mut self, worker: WorkerId) {
        if let Some(since) = self.epochs_since.remove(&worker) {
            self.trained += self.clock - since;
        }
    }

    fn die(&mut self, worker: WorkerId, message: &str, cause: FailureCause) {
        self.leave_epoch(worker);
        if self.workers.remove(&worker).is_some() {
            let message = message.to_owned();
            self.plan(Duration::ZERO, Happening::Tell(News::Gone { worker, message, cause }));
        }
    }

    fn end(&mut self, worker: WorkerId, outcome: Outcome) {
        self.leave_epoch(worker);
        let Some(Worker::Training(training)) = self.workers.insert(worker, Worker::Idle) else { return };
        let Assignment { trial, attempt, .. } = training.assignment;
        self.say(worker, &FromWorker::Ended { trial, attempt, outcome });
    }

    /// Trains the next epoch, unless there is one to report again, or the trial is at its end.
    fn go_on(&mut self, worker: WorkerId) {
        let Some(Worker::Training(training)) = self.workers.get(&worker) else { return };
        let Training { assignment, epoch, reported, is_interrupted } = &**training;
        let is_done = *reported == *epoch && *epoch >= assignment.recipe.epochs;
        let device = self.devices.get(&worker);
        let is_beside = |(other, state): &(&WorkerId, &Worker)| {
            **other != worker && matches!(state, Worker::Training(_)) && self.devices.get(other) == device
        };
        let is_gpu = matches!(device, Some(DeviceName::Cuda { .. }));
        let others = if is_gpu { self.workers.iter().filter(is_beside).count() } else { 0 };
        let wait = match reported < epoch {
            true => Duration::ZERO,
            false => self.world.epoch_time_beside(assignment, others),
        };
        if is_done {
            let (value, epoch) = (self.world.value(assignment, *epoch), *epoch);
            self.end(worker, Outcome::Completed { value, epoch });
        } else if *is_interrupted && reported == epoch {
            self.end(worker, Outcome::Interrupted);
        } else {
            let assignment = Box::new(assignment.clone());
            self.epochs_since.insert(worker, self.clock);
            self.plan(wait, Happening::Turn(worker, assignment));
        }
    }

    fn turn(&mut self, worker: WorkerId, assignment: &Assignment) {
        let is_meant = |state: &Worker| matches!(state, Worker::Training(it) if it.assignment == *assignment);
        if !self.workers.get(&worker).is_some_and(is_meant) {
            return;
        }
        self.leave_epoch(worker);
        let Some(Worker::Training(training)) = self.workers.get_mut(&worker) else { return };
        let trial = assignment.trial;
        if training.reported < training.epoch {
            // A checkpoint knows more than the log.
            let step = training.reported + 1;
            return self.report(worker, step);
        }
        let step = training.epoch + 1;
        let fault = self.world.fault(assignment, step);
        let is_before_checkpoint = matches!(
            fault,
            Some(
                Fault::DiesBeforeCheckpoint
                    | Fault::OutOfMemory
                    | Fault::DeviceOutOfMemory
                    | Fault::LosesData
                    | Fault::LosesDevice
                    | Fault::Preempted
                    | Fault::DiskFull
            )
        );
        if !is_before_checkpoint {
            training.epoch = step;
            self.disk.epochs().insert(trial, step);
        }
        let attempt = assignment.attempt;
        match fault {
            None => self.report(worker, step),
            Some(Fault::DiesBeforeCheckpoint | Fault::DiesBeforeReport) => {
                self.die(worker, "was killed", FailureCause::Crashed)
            }
            Some(Fault::DiesAfterReport) => {
                self.report(worker, step);
                self.die(worker, "was killed", FailureCause::Crashed);
            }
            Some(Fault::OutOfMemory) => self.die(worker, "was killed", FailureCause::HostOutOfMemory),
            Some(Fault::HalfALine) => {
                self.garble(worker, r#"{"message":"report","trial":"#);
                self.die(worker, "was killed", FailureCause::Crashed);
            }
            Some(Fault::Garbage) => self.garble(worker, "\u{fffd}\u{0} Segmentation fault"),
            Some(Fault::Hangs) => {
                self.workers.insert(worker, Worker::Hung);
            }
            Some(Fault::SpeaksAsOlder) => {
                let older = Attempt(attempt.0.saturating_sub(1));
                self.say(worker, &FromWorker::Report { trial, attempt: older, step, metrics: BTreeMap::new() });
                self.report(worker, step);
            }
            Some(Fault::SkipsAnEpoch) => self.report(worker, step + 1),
            Some(Fault::LosesCheckpoints) => {
                self.disk.epochs().remove(&trial);
                self.die(worker, "was killed", FailureCause::Crashed);
            }
            Some(Fault::Diverges) => {
                let message = "the loss was NaN".to_owned();
                self.end(worker, Outcome::Failed { cause: FailureCause::Diverged, message });
            }
            Some(Fault::Panics) => {
                let message = format!("index {} out of bounds", trial);
                self.end(worker, Outcome::Failed { cause: FailureCause::Crashed, message });
                self.die(worker, "exited with status 1", FailureCause::Crashed);
            }
            Some(Fault::LosesData) => {
                let message = "could not read `images/7.png`: no such file".to_owned();
                self.end(worker, Outcome::Failed { cause: FailureCause::BadData, message });
            }
            Some(Fault::LosesDevice) => {
                let message = "GPU has fallen off the bus".to_owned();
                self.end(worker, Outcome::Failed { cause: FailureCause::DeviceLost, message });
            }
            Some(Fault::Preempted) => self.die(worker, "died of signal 15", FailureCause::Preempted),
            Some(Fault::DeviceOutOfMemory) => {
                let message = "CUDA_ERROR_OUT_OF_MEMORY".to_owned();
                self.end(worker, Outcome::Failed { cause: FailureCause::OutOfMemory, message });
                self.die(worker, "exited with status 1", FailureCause::Crashed);
            }
            Some(Fault::DiskFull) => {
                let message = "could not write a checkpoint: no space left on device".to_owned();
                self.end(worker, Outcome::DiskFull { message });
            }
        }
    }

    fn report(&mut self, worker: WorkerId, step: u64) {
        let Some(Worker::Training(training)) = self.workers.get(&worker) else { return };
        let assignment = &training.assignment;
        let Assignment { trial, attempt, metric, .. } = *assignment;
        let mut metrics = BTreeMap::from([(metric.name().to_owned(), self.world.value(assignment, step))]);
        metrics.insert("train_seconds".to_owned(), self.world.epoch_time(assignment).as_secs_f64());
        if let Some(bytes) = self.world.gpu_memory(assignment) {
            metrics.insert("device_memory_bytes".to_owned(), bytes as f64);
        }
        self.say(worker, &FromWorker::Report { trial, attempt, step, metrics });
    }

    fn garble(&mut self, worker: WorkerId, line: &str) {
        self.plan(Duration::ZERO, Happening::Tell(News::Line { worker, line: line.to_owned() }));
    }

    fn happen(&mut self, happening: Happening) -> Option<News> {
        match happening {
            Happening::Tell(news) => return Some(news),
            Happening::Turn(worker, assignment) => self.turn(worker, &assignment),
            Happening::Ready(worker) => {
                if self.workers.contains_key(&worker) {
                    let (version, pid) = ("simulated".to_owned(), worker.0 as u32);
                    let device = "simulated".to_owned();
                    self.say(worker, &FromWorker::Hello { protocol: protocol::VERSION, version, pid, device });
                }
            }
        }
        None
    }
}

impl<W: World> Executor for Simulated<W> {
    fn now(&self) -> Instant {
        self.begin + self.clock
    }

    async fn next(&mut self, until: Instant) -> Option<News> {
        // A place where a test can end the controller.
        tokio::task::yield_now().await;
        let until = until.saturating_duration_since(self.begin).max(self.clock);
        while let Some(entry) = self.agenda.first_entry()
            && entry.key().0 <= until
        {
            let ((time, _), happening) = entry.remove_entry();
            self.clock = self.clock.max(time);
            if let Some(news) = self.happen(happening) {
                return Some(news);
            }
        }
        self.clock = until;
        None
    }

    fn launch(&mut self, worker: WorkerId, slot: &Slot) -> Result<(), LaunchError> {
        self.workers.insert(worker, Worker::Idle);
        self.had.insert(worker, 0);
        self.devices.insert(worker, slot.device);
        self.plan(START_UP, Happening::Ready(worker));
        Ok(())
    }

    fn send(&mut self, worker: WorkerId, message: &ToWorker) {
        match message {
            ToWorker::Assign(assignment) => {
                let trial = assignment.trial;
                self.repeated_attempts += u32::from(!self.assigned.insert((trial, assignment.attempt)));
                let is_held = |worker: &Worker| match worker {
                    Worker::Training(training) => training.assignment.trial == trial,
                    Worker::Idle | Worker::Hung => false,
                };
                self.double_assignments += u32::from(self.workers.values().any(is_held));
                *self.had.entry(worker).or_default() += 1;
                let Some(state) = self.workers.get_mut(&worker) else { return };
                let epoch = self.disk.epochs().get(&trial).copied().unwrap_or(0);
                let (assignment, reported) = (Assignment::clone(assignment), assignment.reported.min(epoch));
                *state = Worker::Training(Box::new(Training { assignment, epoch, reported, is_interrupted: false }));
                self.go_on(worker);
            }
            ToWorker::Verdict { trial, attempt, step, verdict } => {
                let Some(Worker::Training(training)) = self.workers.get_mut(&worker) else { return };
                let Training { assignment, reported, .. } = &mut **training;
                if (assignment.trial, assignment.attempt) != (*trial, *attempt) || *step != *reported + 1 {
                    return;
                }
                *reported = *step;
                match verdict {
                    Verdict::Continue => self.go_on(worker),
                    Verdict::Pause => self.end(worker, Outcome::Paused),
                    Verdict::Stop => self.end(worker, Outcome::Stopped),
                }
            }
            ToWorker::Interrupt => {
                let Some(Worker::Training(training)) = self.workers.get_mut(&worker) else { return };
                training.is_interrupted = true;
                if training.reported == training.epoch {
                    self.end(worker, Outcome::Interrupted);
                }
            }
            ToWorker::Quit => self.die(worker, "exited with status 0", FailureCause::Crashed),
        }
    }

    fn inherit(&mut self, _study: &Path, parent: TrialNumber, fork: TrialNumber) -> io::Result<()> {
        let mut epochs = self.disk.epochs();
        let epoch = epochs.get(&parent).copied().ok_or(io::ErrorKind::NotFound)?;
        epochs.entry(fork).or_insert(epoch);
        Ok(())
    }

    fn examine(&self, worker: WorkerId) -> Vec<String> {
        match self.workers.get(&worker) {
            Some(Worker::Hung) => vec!["thread simulated: hung".to_owned()],
            _ => Vec::new(),
        }
    }

    fn memory_of(&self, worker: WorkerId) -> Option<u64> {
        let trials = self.had.get(&worker).copied()?;
        self.workers.contains_key(&worker).then(|| self.world.memory_of(worker, trials))
    }

    fn kill(&mut self, worker: WorkerId) {
        self.die(worker, "was killed (signal 9)", FailureCause::Crashed);
    }
}
