//! What leading a study costs beside the training: trials of one virtual second on a virtual machine with 64 slots, with the
//! store on the disk. `scripts/bench-overhead.sh` runs it beside Optuna.
//!
//!     cargo bench --workspace --bench overhead -- [TRIALS] [REPORTS A TRIAL]
//!
//! Prints one JSON object.

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nightsweep_search::{
    Distribution, ParamValue, Parameter, PrunerKind, SamplerKind, Scale, SearchSpace, Study, StudyConfig,
};
use nightsweep_store::{NewStudy, Store};
use nightsweep_trainer::data::DataSpec;
use nightsweep_trainer::{DeviceName, Metric, Recipe};
use nightsweep_trials::controller::{self, Ending, Options, Session, Work};
use nightsweep_trials::protocol::{Assignment, DataSource};
use nightsweep_trials::simulate::{Disk, Fault, Simulated, World};
use nightsweep_trials::slots::Slot;
use tokio::sync::mpsc;

const SLOTS: usize = 64;
/// Clock ticks of /proc/self/stat in a second, on every Linux of today.
const TICKS: f64 = 100.0;

/// A trial takes a second, whatever it is.
struct Second {
    reports: u64,
}

impl World for Second {
    fn value(&self, assignment: &Assignment, epoch: u64) -> f64 {
        1.0 - 1.0 / (1.0 + epoch as f64) - (assignment.trial.0 % 101) as f64 / 1000.0
    }

    fn epoch_time(&self, _: &Assignment) -> Duration {
        Duration::from_secs(1) / u32::try_from(self.reports).expect("a trial has few epochs")
    }

    fn fault(&mut self, _: &Assignment, _: u64) -> Option<Fault> {
        None
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    // cargo adds `--bench`.
    let mut numbers = std::env::args().filter_map(|argument| argument.parse().ok());
    let (trials, reports) = (numbers.next().unwrap_or(10_000), numbers.next().unwrap_or(5));
    tokio::runtime::Runtime::new()?.block_on(lead(trials, reports))
}

async fn lead(trials: u64, reports: u64) -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir_in(std::env::current_dir()?)?;
    let store = Store::open(folder.path().join("store.sqlite")).await?;
    let config = StudyConfig {
        seed: 1,
        sampler: SamplerKind::Random,
        pruner: PrunerKind::None,
        max_trials: Some(trials),
        max_step: Some(reports),
        ..StudyConfig::new(space())
    };
    let study = NewStudy {
        name: "overhead".to_owned(),
        source: String::new(),
        plan: serde_json::Value::Null,
        metric: Metric::ValAccuracy.name().to_owned(),
        direction: config.direction,
        seed: config.seed,
        space: config.space.clone(),
    };
    let id = store.create_study(study).await?;
    let mut study = Study::new(config)?;
    let work = Work {
        seed: 1,
        recipe: Recipe { epochs: reports, ..Recipe::default() },
        repeats: None,
        data: DataSource { spec: DataSpec::new("nowhere"), base: PathBuf::new(), seed: 1 },
        files: None,
        metric: Metric::ValAccuracy,
        checkpoints: folder.path().join("trials"),
    };
    let slot = |index| Slot { index, device: DeviceName::Cpu { threads: 1 } };
    let (slots, options) = ((0..SLOTS).map(slot).collect(), Options::default());
    let session = Session { study: &mut study, store: &store, id, work: &work, slots, options };
    let mut executor = Simulated::new(Second { reports }, Disk::default(), Instant::now());
    let (_person, mut control) = mpsc::unbounded_channel();
    let (begin, cpu) = (Instant::now(), cpu_seconds()?);
    let summary = controller::run(session, &mut executor, &mut control, &mut |_| {}).await?;
    let (cpu, wall) = (cpu_seconds()? - cpu, begin.elapsed().as_secs_f64());
    assert_eq!(summary.ending, Ending::Done);
    let total = (trials * reports) as f64;
    let figures = serde_json::json!({
        "trials": trials, "reports": reports, "slots": SLOTS, "cpu_seconds": cpu, "wall_seconds": wall,
        "cpu_ms_per_trial": 1000.0 * cpu / trials as f64, "cpu_ms_per_report": 1000.0 * cpu / total,
        "peak_mb": peak_bytes()? as f64 / 1e6,
        "store_mb": fs::metadata(folder.path().join("store.sqlite"))?.len() as f64 / 1e6,
    });
    println!("{figures}");
    Ok(())
}

fn space() -> SearchSpace {
    let parameter = |name: &str, distribution| Parameter { name: name.to_owned(), distribution, when: None };
    let sizes = [32, 64, 128, 256].map(ParamValue::Int).to_vec();
    SearchSpace(vec![
        parameter("optimizer.lr", Distribution::Float { low: 1e-3, high: 1.0, scale: Scale::Log }),
        parameter("optimizer.momentum", Distribution::Float { low: 0.8, high: 0.99, scale: Scale::Linear }),
        parameter("batch_size", Distribution::Ordinal { choices: sizes }),
    ])
}

/// Of the whole process, the database's threads too.
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let text = fs::read_to_string("/proc/self/stat")?;
    let (_, rest) = text.rsplit_once(") ").ok_or("no stat")?;
    let ticks: u64 = rest.split(' ').skip(11).take(2).map(str::parse::<u64>).sum::<Result<_, _>>()?;
    Ok(ticks as f64 / TICKS)
}

fn peak_bytes() -> Result<u64, Box<dyn Error>> {
    let text = fs::read_to_string("/proc/self/status")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(1024 * line.trim().trim_end_matches(" kB").parse::<u64>()?)
}
