//! Whole studies on a virtual machine: every way in which a worker or the controller can fail, and what must hold after.

mod names;
mod population;

mod nights;
mod remedies;
mod sharing;

use std::collections::BTreeSet;
use std::future::{Future, poll_fn};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use nightsweep_search::pruner::Asha;
use nightsweep_search::{
    Direction, Distribution, Parameter, PrunerKind, SamplerKind, Scale, SearchSpace, StudyConfig, Trial,
};
use nightsweep_store::NewStudy;
use nightsweep_trainer::data::DataSpec;
use nightsweep_trainer::{DeviceName, Metric, Recipe};
use tempfile::TempDir;

use super::*;
use crate::launch::Local;
use crate::protocol::DataSource;
use crate::simulate::{Disk, Fault, Simulated, World};

const EPOCHS: u64 = 9;
const EPOCH: Duration = Duration::from_secs(60);

/// Curves that rise and cross, so that ASHA has something to decide.
fn value(trial: TrialNumber, epoch: u64) -> f64 {
    let spread = (trial.0 * 7919 % 13) as f64;
    1.0 - (1.0 + spread / 13.0) / (1.0 + epoch as f64) - spread / 100.0
}

/// A world whose faults are a function of trial, attempt and epoch.
struct Faulty<F>(F);

impl<F: FnMut(u64, u32, u64) -> Option<Fault> + Send> World for Faulty<F> {
    fn value(&self, assignment: &Assignment, epoch: u64) -> f64 {
        value(assignment.trial, epoch)
    }

    fn epoch_time(&self, _: &Assignment) -> Duration {
        EPOCH
    }

    fn fault(&mut self, assignment: &Assignment, epoch: u64) -> Option<Fault> {
        (self.0)(assignment.trial.0, assignment.attempt.0, epoch)
    }
}

/// A study that outlives its controllers.
struct Night {
    store: TestStore,
    config: StudyConfig,
    work: Work,
    disk: Disk,
    slots: usize,
    /// Slots beyond those of a CPU.
    shares: Vec<Slot>,
    options: Options,
    time: Option<TimePlan>,
    begin: Instant,
}

impl Night {
    async fn new(trials: u64, slots: usize) -> Self {
        let lr = Distribution::Float { low: 0.001, high: 1.0, scale: Scale::Log };
        let config = StudyConfig {
            direction: Direction::Maximize,
            seed: 1,
            sampler: SamplerKind::Random,
            pruner: PrunerKind::Asha(Asha::default()),
            max_trials: Some(trials),
            max_step: Some(EPOCHS),
            ..StudyConfig::new(SearchSpace(vec![Parameter {
                name: "optimizer.lr".to_owned(),
                distribution: lr,
                when: None,
            }]))
        };
        let work = Work {
            seed: 1,
            recipe: Recipe { epochs: EPOCHS, ..Recipe::default() },
            repeats: None,
            data: DataSource { spec: DataSpec::new("nowhere"), base: PathBuf::new(), seed: 1 },
            files: None,
            metric: Metric::ValAccuracy,
            checkpoints: PathBuf::from("nowhere"),
        };
        let store = TestStore::new(&config).await;
        let begin = Instant::now();
        Self {
            store,
            config,
            work,
            disk: Disk::default(),
            slots,
            shares: Vec::new(),
            options: Options::default(),
            time: None,
            begin,
        }
    }

    fn simulated<W: World>(&self, world: W) -> Simulated<W> {
        Simulated::new(world, self.disk.clone(), self.begin)
    }

    /// Leads the study with a new controller; an event may make it wish for something.
    async fn run<E: Executor>(
        &self,
        executor: &mut E,
        mut wish: impl FnMut(&Event) -> Option<Control> + Send,
    ) -> Summary {
        let mut study = self.study().await;
        let (sender, mut control) = mpsc::unbounded_channel();
        let slot = |index| Slot::new(index, DeviceName::Cpu { threads: 1 });
        let mut time = self.time.clone();
        let session = Session {
            study: &mut study,
            store: &self.store.store,
            id: self.store.id,
            work: &self.work,
            slots: (0..self.slots).map(slot).chain(self.shares.iter().cloned()).collect(),
            options: self.options.clone(),
            time: time.as_mut(),
        };
        let mut on_event = |event: &Event| {
            if let Some(control) = wish(event) {
                sender.send(control).unwrap();
            }
        };
        run(session, executor, &mut control, &mut on_event).await.unwrap()
    }

    async fn run_without_wishes<W: World>(&self, world: W) -> Summary {
        let mut executor = self.simulated(world);
        let summary = self.run(&mut executor, |_| None).await;
        assert_eq!(executor.double_assignments(), 0);
        summary
    }

    /// The study as its log tells it.
    async fn study(&self) -> Study {
        let mut study = Study::new(self.config.clone()).unwrap();
        for event in self.events().await {
            study.tell(&event).unwrap_or_else(|error| panic!("{error} at {event:?}"));
        }
        study
    }

    async fn events(&self) -> Vec<Event> {
        self.store.store.events(self.store.id, Seq::START).await.unwrap().into_iter().map(|entry| entry.event).collect()
    }

    /// What must hold whenever a run has ended: told by [`Study::tell`], which also checks attempts and steps.
    async fn check(&self) -> Study {
        let study = self.study().await;
        for trial in study.trials() {
            assert_ne!(trial.state, TrialState::Running, "trial {}", trial.number);
            for report in &trial.curve {
                assert_eq!(report.value, Some(value(trial.number, report.step)), "trial {}", trial.number);
            }
            if trial.state == TrialState::Complete {
                assert_eq!((trial.step(), trial.value), (EPOCHS, Some(value(trial.number, EPOCHS))));
            }
        }
        study
    }
}

/// A store with one study in it.
struct TestStore {
    store: Store,
    id: StudyId,
    _folder: TempDir,
}

impl TestStore {
    async fn new(config: &StudyConfig) -> Self {
        // In memory where that is possible: the tests are about other things than flushing.
        let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let store = Store::open(folder.path().join("studies.db")).await.unwrap();
        let study = NewStudy {
            name: "test".to_owned(),
            source: String::new(),
            plan: serde_json::Value::Null,
            metric: Metric::ValAccuracy.name().to_owned(),
            direction: config.direction,
            seed: config.seed,
            space: config.space.clone(),
        };
        let id = store.create_study(study).await.unwrap();
        Self { store, id, _folder: folder }
    }
}

fn never(_: u64, _: u32, _: u64) -> Option<Fault> {
    None
}

fn states(study: &Study) -> Vec<TrialState> {
    study.trials().iter().map(|trial| trial.state).collect()
}

/// Polls a future so often and then drops it, as a kill would.
async fn killed_after<F: Future>(polls: u32, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        future.as_mut().poll(context).map(Some)
    })
    .await
}

#[tokio::test]
async fn a_study_runs_until_its_search_is_done() {
    let night = Night::new(20, 3).await;
    let summary = night.run_without_wishes(Faulty(never)).await;
    assert_eq!(summary.ending, Ending::Done);
    let study = night.check().await;
    assert_eq!(summary.states.values().sum::<usize>(), 20);
    assert!(states(&study).contains(&TrialState::Complete) && states(&study).contains(&TrialState::Paused));
    assert!(matches!(night.events().await.first(), Some(Event::Opened { .. })));
    assert!(matches!(night.events().await.last(), Some(Event::Closed { .. })));
}

#[tokio::test]
async fn a_finished_study_starts_no_worker() {
    let night = Night::new(4, 2).await;
    night.run_without_wishes(Faulty(never)).await;
    let mut nothing = Local::with_program("/no/such/program", []);
    assert_eq!(night.run(&mut nothing, |_| None).await.ending, Ending::Done);
}

#[tokio::test]
async fn a_study_survives_every_fault_of_a_worker() {
    for fault in Fault::ALL {
        for at in [1, 2, 3, EPOCHS] {
            let mut night = Night::new(6, 2).await;
            night.config.pruner = PrunerKind::None;
            let once = Faulty(|trial, attempt, epoch| ((trial, attempt, epoch) == (1, 1, at)).then_some(fault));
            assert_eq!(night.run_without_wishes(once).await.ending, Ending::Done, "{fault:?} at epoch {at}");
            let study = night.check().await;
            let is_failure = matches!(fault, Fault::Diverges | Fault::Panics);
            let expected = if is_failure { TrialState::Failed } else { TrialState::Complete };
            assert_eq!(study.trials()[1].state, expected, "{fault:?} at epoch {at}");
            let fenced = night.events().await.iter().any(|event| matches!(event, Event::Fenced { .. }));
            assert_eq!(fenced, fault == Fault::SpeaksAsOlder);
            let requeued = night.events().await.iter().any(|event| matches!(event, Event::Requeued { .. }));
            assert_eq!(requeued, !is_failure && !fenced, "{fault:?} at epoch {at}");
            assert!(study.trials().iter().all(|trial| trial.number.0 == 1 || trial.state == TrialState::Complete));
        }
    }
}

#[tokio::test]
async fn a_trial_that_takes_its_workers_along_fails_and_the_others_do_not() {
    for (fault, cause) in
        [(Fault::DiesBeforeCheckpoint, FailureCause::Crashed), (Fault::OutOfMemory, FailureCause::HostOutOfMemory)]
    {
        let night = Night::new(5, 2).await;
        let always = Faulty(|trial, _, _| (trial == 1).then_some(fault));
        assert_eq!(night.run_without_wishes(always).await.ending, Ending::Done);
        let study = night.check().await;
        let failure = study.trials()[1].failure.clone();
        assert_eq!(study.trials()[1].attempt, Attempt(5), "{fault:?}");
        assert_eq!(failure.map(|failure| failure.cause), Some(cause), "{fault:?}");
        assert_eq!(states(&study).iter().filter(|state| **state == TrialState::Failed).count(), 1);
    }
}

#[tokio::test]
async fn ten_equal_failures_end_the_run_and_not_the_study() {
    let night = Night::new(50, 2).await;
    let summary = night.run_without_wishes(Faulty(|_, _, _| Some(Fault::Panics))).await;
    let Ending::Failing { times: 10, message } = &summary.ending else { panic!("{:?}", summary.ending) };
    assert!(message.contains("out of bounds"));
    assert!(night.check().await.trials().len() <= 12);
    assert_eq!(night.run_without_wishes(Faulty(never)).await.ending, Ending::Done);
}

#[tokio::test]
async fn a_full_disk_pauses_the_study_and_the_next_run_goes_on() {
    let mut night = Night::new(8, 3).await;
    night.config.pruner = PrunerKind::None;
    let full = Faulty(|trial, attempt, epoch| ((trial, attempt, epoch) == (4, 1, 2)).then_some(Fault::DiskFull));
    let summary = night.run_without_wishes(full).await;
    let Ending::DiskFull { message } = &summary.ending else { panic!("{:?}", summary.ending) };
    assert!(message.contains("no space left"));
    assert!(night.check().await.trials().iter().all(|trial| trial.state != TrialState::Failed));
    assert_eq!(night.run_without_wishes(Faulty(never)).await.ending, Ending::Done);
    assert!(states(&night.check().await).iter().all(|state| *state == TrialState::Complete));
}

#[tokio::test]
async fn diverged_trials_are_data_however_many_there_are() {
    let night = Night::new(30, 2).await;
    assert_eq!(night.run_without_wishes(Faulty(|_, _, _| Some(Fault::Diverges))).await.ending, Ending::Done);
    assert!(states(&night.check().await).iter().all(|state| *state == TrialState::Failed));
}

#[tokio::test]
async fn a_trial_that_takes_too_long_is_timed_out() {
    let mut night = Night::new(3, 1).await;
    night.options.trial_limit = Some(EPOCH * 3 / 2);
    night.config.pruner = PrunerKind::None;
    night.run_without_wishes(Faulty(never)).await;
    for trial in night.check().await.trials() {
        assert_eq!(trial.failure.as_ref().map(|failure| failure.cause), Some(FailureCause::TimedOut));
        assert_eq!(trial.step(), 1);
    }
}

#[tokio::test]
async fn the_deadline_is_kept_and_the_study_goes_on_the_next_night() {
    let mut night = Night::new(30, 4).await;
    let length = EPOCH * 5 + EPOCH / 3;
    night.options.deadline = Some(night.begin + length);
    let mut executor = night.simulated(Faulty(never));
    let summary = night.run(&mut executor, |_| None).await;
    assert_eq!(summary.ending, Ending::Deadline);
    assert_eq!(executor.now(), night.begin + length);
    let interrupted = |trial: &&Trial| trial.pause == Some(PauseReason::Interrupted);
    assert_eq!(night.check().await.trials().iter().filter(interrupted).count(), 4);
    night.options.deadline = None;
    assert_eq!(night.run_without_wishes(Faulty(never)).await.ending, Ending::Done);
    assert_eq!(night.check().await.trials().iter().filter(interrupted).count(), 0);
}

#[tokio::test]
async fn a_deadline_that_has_passed_starts_nothing() {
    let mut night = Night::new(30, 4).await;
    night.options.deadline = Some(night.begin);
    assert_eq!(night.run_without_wishes(Faulty(never)).await.ending, Ending::Deadline);
    assert!(night.check().await.trials().is_empty());
}

#[tokio::test]
async fn an_interrupted_study_keeps_its_trials() {
    for (control, ending) in [(false, Ending::Interrupted), (true, Ending::Aborted)] {
        let mut night = Night::new(10, 3).await;
        night.config.pruner = PrunerKind::None;
        let mut reports = 0;
        let wish = |event: &Event| {
            reports += usize::from(matches!(event, Event::Reported { .. }));
            (reports == 7 && matches!(event, Event::Reported { .. })).then_some(if control {
                Control::Abort
            } else {
                Control::Interrupt
            })
        };
        let mut executor = night.simulated(Faulty(never));
        assert_eq!(night.run(&mut executor, wish).await.ending, ending);
        let study = night.check().await;
        assert!(study.trials().iter().any(|trial| trial.pause == Some(PauseReason::Interrupted)));
        assert_eq!(night.run_without_wishes(Faulty(never)).await.ending, Ending::Done);
        night.check().await;
    }
}

/// An order whose answer nobody waits for.
fn order(order: Order) -> Control {
    Control::Order { by: "eve".to_owned(), order, answer: tokio::sync::oneshot::channel().0 }
}

#[tokio::test]
async fn what_a_person_asks_of_a_trial_is_done_and_logged() {
    let mut night = Night::new(8, 2).await;
    night.config.pruner = PrunerKind::None;
    let of = TrialNumber;
    let mut resumed = false;
    let wish = |event: &Event| match event {
        Event::Reported { trial: TrialNumber(0), step: 2, .. } => Some(order(Order::Stop { trial: of(0) })),
        Event::Reported { trial: TrialNumber(1), step: 3, .. } => Some(order(Order::Pause { trial: of(1) })),
        Event::Completed { trial: TrialNumber(3), .. } => Some(order(Order::Resume { trial: of(1) })),
        Event::Completed { trial: TrialNumber(4), .. } => Some(order(Order::Retry { trial: of(0) })),
        Event::Resumed { trial: TrialNumber(1), .. } => {
            resumed = true;
            // Refused: it runs already, so the log never has it.
            Some(order(Order::Resume { trial: of(1) }))
        }
        _ => None,
    };
    let mut executor = night.simulated(Faulty(never));
    assert_eq!(night.run(&mut executor, wish).await.ending, Ending::Done);
    assert!(resumed);
    let study = night.check().await;
    let states: Vec<_> = study.trials().iter().map(|trial| trial.state).collect();
    assert_eq!(states[0], TrialState::Pruned);
    assert!((2..=3).contains(&study.trials()[0].step()));
    assert!(states[1..].iter().all(|state| *state == TrialState::Complete), "{states:?}");
    assert!(study.trials()[1..].iter().any(|trial| trial.params == study.trials()[0].params));
    let events = night.events().await;
    assert!(events.iter().any(|event| matches!(event, Event::Paused { reason: PauseReason::Asked, .. })));
    let orders = events.iter().filter(|event| matches!(event, Event::Ordered { .. })).count();
    assert_eq!(orders, 4);
}

#[tokio::test]
async fn a_study_that_is_held_goes_on_when_it_is_released_or_run_again() {
    let mut night = Night::new(4, 2).await;
    night.config.pruner = PrunerKind::None;
    let mut paused = 0;
    let wish = |event: &Event| match event {
        Event::Reported { trial: TrialNumber(1), step: 2, .. } => Some(order(Order::Hold)),
        Event::Paused { .. } => {
            paused += 1;
            (paused == 2).then(|| Control::Interrupt)
        }
        _ => None,
    };
    let mut executor = night.simulated(Faulty(never));
    assert_eq!(night.run(&mut executor, wish).await.ending, Ending::Interrupted);
    let wish = |event: &Event| match event {
        Event::Reported { trial: TrialNumber(3), step: 2, .. } => Some(order(Order::Extend { trials: 6 })),
        _ => None,
    };
    let mut executor = night.simulated(Faulty(never));
    assert_eq!(night.run(&mut executor, wish).await.ending, Ending::Done);
    let study = night.check().await;
    assert_eq!(study.trials().len(), 6);
    assert!(study.trials().iter().all(|trial| trial.state == TrialState::Complete));
}

#[tokio::test]
async fn a_worker_that_hangs_is_not_waited_for_when_the_run_ends() {
    let mut night = Night::new(2, 2).await;
    night.options.deadline = Some(night.begin + EPOCH * 3);
    let mut executor = night.simulated(Faulty(|trial, _, _| (trial == 0).then_some(Fault::Hangs)));
    assert_eq!(night.run(&mut executor, |_| None).await.ending, Ending::Deadline);
    assert!(executor.now() <= night.begin + EPOCH * 3 + night.options.grace);
    night.check().await;
}

#[tokio::test]
async fn a_machine_where_no_worker_starts_is_told_so() {
    let mut night = Night::new(10, 2).await;
    night.options.max_deaths = 2;
    let stranger = r#"echo '{"message":"hello","protocol":99,"version":"9.9","pid":1,"device":"cpu"}'; sleep 100"#;
    for mut workers in [
        Local::with_program("/no/such/program", []),
        Local::with_program("/bin/sh", ["-c".into(), "echo no driver >&2; exit 3".into()]),
        Local::with_program("/bin/sh", ["-c".into(), stranger.into()]),
    ] {
        let ending = night.run(&mut workers, |_| None).await.ending;
        assert!(matches!(ending, Ending::NoWorkers { .. }), "{ending:?}");
    }
    assert!(night.check().await.trials().is_empty());
}

#[tokio::test]
async fn the_controller_can_be_killed_at_every_moment() {
    let mut moments = BTreeSet::new();
    // Each await of the controller is a moment. Not all come up, since the database writes in a thread of its own; and where the
    // machine is busy, a run is over after fewer polls than the next.
    const ENOUGH: usize = 10;
    for polls in 1..=200 {
        let night = Night::new(5, 2).await;
        let mut executor = night.simulated(Faulty(never));
        let is_over = killed_after(polls, night.run(&mut executor, |_| None)).await.is_some();
        let before = night.events().await;
        moments.insert(before.len());
        // All workers died with it.
        night.run_without_wishes(Faulty(never)).await;
        let study = night.check().await;
        assert_eq!(night.events().await[..before.len()], before);
        assert_eq!(study.trials().len(), 5);
        let is_resumed = |state: TrialState| matches!(state, TrialState::Complete | TrialState::Paused);
        assert!(states(&study).into_iter().all(is_resumed), "killed at poll {polls}: {:?}", states(&study));
        assert!(study.trials().iter().all(|trial| trial.pause != Some(PauseReason::Interrupted)));
        if is_over && moments.len() > ENOUGH {
            break;
        }
    }
    assert!(moments.len() > ENOUGH, "{moments:?}");
}

#[tokio::test]
async fn a_trial_that_kills_its_controller_every_time_is_lost() {
    let night = Night::new(1, 1).await;
    let mut runs = 0;
    loop {
        let mut executor = night.simulated(Faulty(never));
        let is_handed_out = AtomicBool::new(false);
        let wish = |event: &Event| {
            let is_it = matches!(event, Event::Started { .. } | Event::Resumed { .. });
            is_handed_out.fetch_or(is_it, Ordering::Relaxed);
            None
        };
        let mut run = pin!(night.run(&mut executor, wish));
        let summary = poll_fn(|context| match run.as_mut().poll(context) {
            Poll::Ready(summary) => Poll::Ready(Some(summary)),
            Poll::Pending if is_handed_out.load(Ordering::Relaxed) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        });
        if summary.await.is_some() {
            break;
        }
        runs += 1;
    }
    assert_eq!(states(&night.check().await), [TrialState::Lost]);
    assert_eq!(runs, 5);
}
