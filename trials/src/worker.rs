//! A worker process: takes assignments from its standard input, trains them one after the other, and reports on its
//! standard output. It never opens the store, and it dies with its controller.

use std::any::Any;
use std::error::Error;
use std::fs::{self, File, TryLockError};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{self, ExitCode};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nightsweep_search::{FailureCause, Verdict};
use nightsweep_store::Level;
use nightsweep_trainer::data::{self, Dataset};
use nightsweep_trainer::{CheckpointFolder, DeviceName, EpochReport, FitError, Job, Next, Observer, fit};
use rustix::process::{Signal, getpid, kill_process};

use crate::protocol::{self, Assignment, DataSource, FromWorker, MAX_LINE_BYTES, Outcome, ToWorker};
use crate::provenance;

/// How often a worker says that it is alive.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// How long a worker waits for an orphan of an earlier attempt to let go of a trial's folder.
const LOCK_PATIENCE: Duration = Duration::from_secs(20);

/// Works until the controller says quit or is gone.
pub fn run(device: DeviceName) -> ExitCode {
    match work(device) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn work(name: DeviceName) -> Result<(), Box<dyn Error>> {
    let line = Line::take_stdout()?;
    let interrupted = Arc::new(AtomicBool::new(false));
    // Reads from the start, so that a controller that goes away while CUDA starts takes the worker along.
    let inbox = spawn_reader(interrupted.clone());
    let device = name.open()?;
    line.say(&FromWorker::Hello {
        protocol: protocol::VERSION,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: process::id(),
        device: name.to_string(),
    });
    let pulse = Arc::new(Pulse::default());
    spawn_heartbeat(line.clone(), pulse.clone());
    let mut shelf = Shelf::default();
    for message in &inbox {
        let assignment = match message {
            ToWorker::Assign(assignment) => assignment,
            ToWorker::Quit => break,
            // Of a trial that has ended in the meantime.
            ToWorker::Verdict { .. } | ToWorker::Interrupt => continue,
        };
        let folder_lock = lock(&assignment.checkpoints)?;
        let mut observer =
            Reporter { line: &line, inbox: &inbox, interrupted: &interrupted, pulse: &pulse, assignment: &assignment };
        let trained = catch_unwind(AssertUnwindSafe(|| {
            let data = shelf.load(&assignment.data, &mut observer)?;
            let job = Job {
                recipe: &assignment.recipe,
                data,
                base: &assignment.data.base,
                seed: assignment.seed,
                metric: assignment.metric,
                device: &device,
                checkpoints: Some(CheckpointFolder::new(&assignment.checkpoints)),
                reported: assignment.reported,
            };
            let provenance = provenance::of(assignment.seed, &data.fingerprint, name);
            let (trial, attempt) = (assignment.trial, assignment.attempt);
            line.say(&FromWorker::Began { trial, attempt, provenance });
            pulse.train();
            fit(&job, &mut observer).map(outcome_of).map_err(|error| outcome_of_error(&error))
        }));
        pulse.rest();
        let (outcome, is_healthy) = match trained {
            Ok(outcome) => (outcome.unwrap_or_else(|failure| failure), true),
            Err(panic) => (of_panic(panic.as_ref()), false),
        };
        // Before the controller hears of it and hands the trial to another worker.
        drop(folder_lock);
        let Assignment { trial, attempt, .. } = *assignment;
        line.say(&FromWorker::Ended { trial, attempt, outcome });
        if !is_healthy {
            return Err("a trial panicked: a fresh worker is to take over".into());
        }
    }
    Ok(())
}

fn outcome_of(outcome: nightsweep_trainer::Outcome) -> Outcome {
    match outcome {
        nightsweep_trainer::Outcome::Completed { value, epoch } if value.is_finite() => {
            Outcome::Completed { value, epoch }
        }
        nightsweep_trainer::Outcome::Completed { epoch, .. } => diverged("the metric", epoch),
        nightsweep_trainer::Outcome::Diverged { epoch } => diverged("the training loss", epoch),
        nightsweep_trainer::Outcome::Paused => Outcome::Paused,
        nightsweep_trainer::Outcome::Stopped => Outcome::Stopped,
        nightsweep_trainer::Outcome::Interrupted => Outcome::Interrupted,
    }
}

fn diverged(what: &str, epoch: u64) -> Outcome {
    let message = format!("{what} was no finite number in epoch {epoch}");
    Outcome::Failed { cause: FailureCause::Diverged, message }
}

fn failed(cause: FailureCause, error: &dyn Error) -> Outcome {
    Outcome::Failed { cause, message: chain(error) }
}

fn outcome_of_error(error: &FitError) -> Outcome {
    match error {
        FitError::Save(save) if save.is_disk_full() => Outcome::DiskFull { message: chain(error) },
        FitError::Recipe(_) | FitError::Empty { .. } | FitError::Weights(_) | FitError::Precision(_) => {
            failed(FailureCause::Invalid, error)
        }
        _ => failed(FailureCause::Crashed, error),
    }
}

/// A panic of burn or CUDA is all that tells of a GPU whose memory is full.
fn of_panic(panic: &(dyn Any + Send)) -> Outcome {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without a text");
    let cause = if speaks_of_memory(text) { FailureCause::OutOfMemory } else { FailureCause::Crashed };
    Outcome::Failed { cause, message: text.chars().take(2000).collect() }
}

/// Whether a text of CUDA, burn or the allocator says that memory ran out.
pub(crate) fn speaks_of_memory(text: &str) -> bool {
    let text = text.to_lowercase();
    ["out of memory", "out_of_memory", "outofmemory", "memory allocation of", "cannot allocate memory"]
        .iter()
        .any(|sign| text.contains(sign))
}

/// An error with its causes on one line.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // A transparent error says the same as its cause.
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// Keeps everyone else from writing into a trial's folder until it is dropped.
fn lock(folder: &Path) -> Result<File, Box<dyn Error>> {
    fs::create_dir_all(folder).map_err(|error| format!("could not make the folder `{}`: {error}", folder.display()))?;
    let path = folder.join("lock");
    let file = File::options().create(true).append(true).open(&path);
    let file = file.map_err(|error| format!("could not open `{}`: {error}", path.display()))?;
    let begin = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if begin.elapsed() < LOCK_PATIENCE => {
                thread::sleep(Duration::from_millis(20))
            }
            Err(error) => return Err(format!("could not lock `{}`: {error}", path.display()).into()),
        }
    }
}

/// The last data set that was loaded; the trials of a study share it.
#[derive(Default)]
struct Shelf {
    last: Option<(DataSource, Dataset)>,
}

impl Shelf {
    fn load(&mut self, source: &DataSource, observer: &mut Reporter) -> Result<&Dataset, Outcome> {
        if self.last.as_ref().is_none_or(|(last, _)| last != source) {
            self.last = None;
            let loaded = data::load(&source.spec, &source.base, source.seed);
            let data = loaded.map_err(|error| failed(FailureCause::Invalid, &error))?;
            for notice in &data.notices {
                observer.log(Level::Info, notice.to_string());
            }
            self.last = Some((source.clone(), data));
        }
        let (_, data) = self.last.as_ref().expect("it was loaded above, or before");
        Ok(data)
    }
}

/// Tells the controller of a training and hears its verdicts.
struct Reporter<'a> {
    line: &'a Line,
    inbox: &'a Receiver<ToWorker>,
    interrupted: &'a AtomicBool,
    pulse: &'a Pulse,
    assignment: &'a Assignment,
}

impl Reporter<'_> {
    fn log(&mut self, level: Level, text: String) {
        let Assignment { trial, attempt, .. } = *self.assignment;
        self.line.say(&FromWorker::Log { trial, attempt, level, text });
    }
}

impl Observer for Reporter<'_> {
    fn report(&mut self, report: &EpochReport) -> Next {
        let Assignment { trial, attempt, .. } = *self.assignment;
        let step = report.epoch;
        let metrics = report.metrics.clone();
        self.line.say(&FromWorker::Report { trial, attempt, step, metrics });
        self.pulse.rest();
        let verdict = self.inbox.iter().find_map(|message| match message {
            ToWorker::Verdict { trial: of, attempt: at, step: to, verdict } => {
                ((of, at, to) == (trial, attempt, step)).then_some(verdict)
            }
            // The controller is in a hurry: the checkpoint is on disk.
            ToWorker::Quit => process::exit(0),
            ToWorker::Assign(_) | ToWorker::Interrupt => None,
        });
        self.pulse.train();
        match verdict.expect("the reader ends the process before it lets go of the inbox") {
            Verdict::Continue => Next::Train,
            Verdict::Pause => Next::Pause,
            Verdict::Stop => Next::Stop,
        }
    }

    fn notes(&mut self, text: &str) {
        self.log(Level::Warn, text.to_owned());
    }

    fn is_interrupted(&mut self) -> bool {
        self.pulse.beat();
        self.interrupted.load(Ordering::Relaxed)
    }

    fn evaluates(&mut self) {
        self.pulse.beat();
    }
}

/// Whether there is progress: a training that stands still must not look alive.
#[derive(Default)]
struct Pulse {
    is_training: AtomicBool,
    beats: AtomicU64,
}

impl Pulse {
    fn train(&self) {
        self.is_training.store(true, Ordering::Relaxed);
        self.beat();
    }

    fn rest(&self) {
        self.is_training.store(false, Ordering::Relaxed);
    }

    fn beat(&self) {
        self.beats.fetch_add(1, Ordering::Relaxed);
    }
}

fn spawn_heartbeat(line: Line, pulse: Arc<Pulse>) {
    thread::spawn(move || {
        let mut last = 0;
        loop {
            thread::sleep(HEARTBEAT);
            let beats = pulse.beats.load(Ordering::Relaxed);
            if beats != last || !pulse.is_training.load(Ordering::Relaxed) {
                line.say(&FromWorker::Heartbeat);
            }
            last = beats;
        }
    });
}

/// The way to the controller. Everything else that prints goes to standard error.
#[derive(Clone)]
struct Line {
    file: Arc<Mutex<File>>,
}

impl Line {
    fn take_stdout() -> io::Result<Self> {
        let stdout: OwnedFd = rustix::io::fcntl_dupfd_cloexec(io::stdout(), 3)?;
        rustix::stdio::dup2_stdout(io::stderr())?;
        Ok(Self { file: Arc::new(Mutex::new(stdout.into())) })
    }

    /// A message that cannot be written means that the controller is gone.
    fn say(&self, message: &FromWorker) {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if file.write_all(protocol::to_line(message).as_bytes()).is_err() {
            die();
        }
    }
}

fn spawn_reader(interrupted: Arc<AtomicBool>) -> Receiver<ToWorker> {
    let (sender, inbox) = mpsc::channel();
    thread::spawn(move || {
        if let Err(message) = read(&sender, &interrupted) {
            eprintln!("{message}");
        }
        die();
    });
    inbox
}

/// Reads until the controller is gone.
fn read(inbox: &Sender<ToWorker>, interrupted: &AtomicBool) -> Result<(), String> {
    let mut stdin = BufReader::new(io::stdin());
    let mut line = Vec::new();
    loop {
        line.clear();
        let limited = stdin.by_ref().take(MAX_LINE_BYTES as u64).read_until(b'\n', &mut line);
        if limited.map_err(|error| format!("could not read from the controller: {error}"))? == 0 {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&line);
        let message = protocol::parse(text.trim_end()).map_err(|error| chain(&error))?;
        match message {
            ToWorker::Interrupt => interrupted.store(true, Ordering::Relaxed),
            ToWorker::Assign(_) => interrupted.store(false, Ordering::Relaxed),
            ToWorker::Verdict { .. } | ToWorker::Quit => {}
        }
        if inbox.send(message).is_err() {
            return Ok(());
        }
    }
}

/// At once: the way through `exit` runs the handlers of CUDA, which may wait for a kernel that never ends.
fn die() -> ! {
    let _ = kill_process(getpid(), Signal::KILL);
    process::abort()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_about_memory_is_told_from_others() {
        let check = |text: &str, expected| {
            let Outcome::Failed { cause, message } = of_panic(&text.to_owned()) else { panic!("not a failure") };
            assert_eq!((cause, message.as_str()), (expected, text));
        };
        check("DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")", FailureCause::OutOfMemory);
        check("memory allocation of 123456789 bytes failed", FailureCause::OutOfMemory);
        check("index out of bounds: the len is 3 but the index is 4", FailureCause::Crashed);
    }

    #[test]
    fn a_folder_is_locked_by_one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trial-1");
        let first = lock(&path).unwrap();
        let waiting = thread::spawn({
            let path = path.clone();
            move || lock(&path).map(drop).map_err(|error| error.to_string())
        });
        thread::sleep(Duration::from_millis(60));
        assert!(!waiting.is_finished());
        drop(first);
        waiting.join().unwrap().unwrap();
    }
}
