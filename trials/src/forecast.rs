//! What a night will bring, before it begins: the study's own controller leads its search on a virtual machine
//! (`simulate.rs`) whose epochs take as long as probes on the real one did.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use nightsweep_search::{Event, SamplerKind, Study, StudyConfig};
use nightsweep_store::{NewStudy, Store};
use tokio::sync::mpsc;

use crate::controller::{self, Options, RunError, Session, Summary, Work};
use crate::pace::Pace;
use crate::plan::Plan;
use crate::protocol::Assignment;
use crate::simulate::{Disk, Fault, Simulated, World};
use crate::slots::Slot;
use crate::time_plan::{Stage, TimePlan};

/// An epoch of which nothing is known.
const UNKNOWN: Duration = Duration::from_secs(60);

/// What came of a virtual night.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// How it ended, and the trials in each state.
    pub summary: Summary,
    /// Epochs trained.
    pub epochs: u64,
    /// How long it took.
    pub length: Duration,
    /// Share of the workers' time in which they trained.
    pub busy: f64,
}

/// Why there is no forecast.
#[derive(Debug, thiserror::Error)]
pub enum ForecastError {
    /// The search cannot begin.
    #[error("the study's search cannot begin")]
    Config(#[from] nightsweep_search::ConfigError),
    /// Its log cannot be kept.
    #[error("could not keep the log of a virtual night")]
    Store(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The controller gave up.
    #[error("the virtual night failed")]
    Run(#[from] RunError),
}

/// Simulates a study's search on these slots in a night of that length, of which it leaves a part to the confirmation, or to
/// its end. `pace` says how long an epoch of a recipe takes; the metric's curves are made up. Points are random, whatever
/// the sampler: what matters here is what the pruner does with them. The log is kept in `folder` and of no use afterwards.
pub async fn forecast(
    plan: &Plan,
    slots: Vec<Slot>,
    night: Option<Duration>,
    pace: &Pace,
    folder: PathBuf,
) -> Result<Forecast, ForecastError> {
    let store_error = |error| ForecastError::Store(error);
    let config = StudyConfig { sampler: SamplerKind::Random, ..plan.study_config() };
    let mut study = Study::new(config.clone())?;
    let store = Store::open(folder.join("forecast.sqlite")).await.map_err(|error| store_error(error.into()))?;
    let new = NewStudy {
        name: plan.name.clone(),
        source: String::new(),
        plan: serde_json::Value::Null,
        metric: plan.metric.name().to_owned(),
        direction: config.direction,
        seed: plan.seed,
        space: plan.space.clone(),
    };
    let id = store.create_study(new).await.map_err(|error| store_error(error.into()))?;
    let begin = Instant::now();
    let workers = slots.len() as f64;
    let work = Work::new(plan, folder.join("no-checkpoints"));
    let mut machine = Simulated::new(Dream { pace: pace.clone() }, Disk::default(), begin);
    let stage = |night| Stage::Search { confirm: plan.confirm.clone(), night };
    let mut time = night.map(|night| TimePlan { pace: pace.clone(), stage: stage(night), forecast: None });
    let session = Session {
        study: &mut study,
        store: &store,
        id,
        work: &work,
        slots,
        options: Options { deadline: night.map(|night| begin + night), ..Options::default() },
        time: time.as_mut(),
    };
    let (_orders, mut control) = mpsc::unbounded_channel();
    let mut epochs = 0;
    let mut count = |event: &Event| epochs += u64::from(matches!(event, Event::Reported { .. }));
    let summary = controller::run(session, &mut machine, &mut control, &mut count).await?;
    let length = crate::executor::Executor::now(&machine) - begin;
    let busy = machine.trained().as_secs_f64() / (length.as_secs_f64() * workers).max(f64::MIN_POSITIVE);
    Ok(Forecast { summary, epochs, length, busy: busy.min(1.0) })
}

/// A world without faults, where trials differ in how far they get and in how fast.
struct Dream {
    pace: Pace,
}

impl World for Dream {
    fn value(&self, assignment: &Assignment, epoch: u64) -> f64 {
        // Low bits of a number that looks random: a place in [0, 1) for each trial.
        let hash = assignment.trial.0.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let share = |shift: u32| f64::from((hash >> shift) as u16) / 65536.0;
        let (limit, speed) = (0.2 * share(16), 0.5 + share(40));
        let error = limit + 0.8 * (1.0 + epoch as f64).powf(-speed);
        if assignment.metric.is_maximized() { 1.0 - error } else { error }
    }

    fn epoch_time(&self, assignment: &Assignment) -> Duration {
        self.pace.epoch_of(&assignment.recipe).unwrap_or(UNKNOWN)
    }

    fn fault(&mut self, _: &Assignment, _: u64) -> Option<Fault> {
        None
    }
}

#[cfg(test)]
mod tests {
    use nightsweep_trainer::DeviceName;
    use nightsweep_trainer::probe::Probe;

    use super::*;
    use crate::controller::Ending;
    use crate::study_file;

    async fn check(tail: &str, confirm: &str, workers: usize, length: Option<Duration>) -> Forecast {
        let text = format!(
            "[study]\nname = 's'\n{tail}\n[data]\npath = 'x'\n[recipe]\nepochs = 9\n\
             [space.optimizer.sgd]\nlr = {{ low = 0.01, high = 1.0, log = true }}\n\
             [search]\npruner = {{ kind = 'asha', min_epochs = 1, reduction_factor = 3 }}\n[confirm]\n{confirm}\n"
        );
        let plan = study_file::parse(&text, ".".into()).unwrap();
        let slot = |index| Slot::new(index, DeviceName::Cpu { threads: 1 });
        let temporary = tempfile::tempdir().unwrap();
        let mut pace = Pace::default();
        let (epoch, validation) = (Duration::from_secs(60), Duration::ZERO);
        let probe = Probe { epoch, validation, peak_memory: None, device_memory: None, checkpoint: 0 };
        pace.learn_probe(&plan.recipe, &probe, Duration::ZERO);
        let slots = (0..workers).map(slot).collect();
        forecast(&plan, slots, length, &pace, temporary.path().to_owned()).await.unwrap()
    }

    #[tokio::test]
    async fn eight_hours_on_eight_workers_are_used_to_the_minute() {
        let night = Duration::from_secs(8 * 3600);
        let forecast = check("", "top = 0", 8, Some(night)).await;
        assert_eq!(forecast.summary.ending, Ending::Deadline);
        assert!(forecast.length <= night && forecast.length > night - Duration::from_secs(60), "{forecast:?}");
        // 8 × 480 epochs of a minute fit.
        assert!(forecast.busy > 0.97, "{forecast:?}");
        assert!((3700..=3840).contains(&forecast.epochs), "{forecast:?}");
        assert!(forecast.summary.states["complete"] > 20);
    }

    #[tokio::test]
    async fn the_slice_of_the_confirmation_is_left_alone() {
        let hour = Duration::from_secs(3600);
        // Six trainings of nine minutes on four workers: two rounds.
        let forecast = check("", "top = 2\nseeds = 3\nshare = 0.9", 4, Some(hour)).await;
        let kept = (hour - forecast.length).as_secs() / 60;
        assert!((18..=25).contains(&kept), "{kept} min");
    }

    #[tokio::test]
    async fn a_study_of_few_trials_ends_when_they_do() {
        // The recipe's own trial trains to its end.
        let forecast = check("trials = 1", "", 2, None).await;
        assert_eq!((forecast.summary.ending, forecast.epochs), (Ending::Done, 9));
    }
}
