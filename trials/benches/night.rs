//! Simulated nights on eight slots: how long they take, how much of them is idle, and, on the learning curves of
//! ../shared/data, the regret at the deadline of fixed-epoch random search, of plain ASHA, and of the time plan.
//!
//! `cargo bench --workspace --bench night`; `NIGHTSWEEP_SEEDS=3` for more than one seed, `NIGHTSWEEP_WAYS=auto` for the ways
//! with that in their names.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nightsweep_search::pruner::{Asha, FreezeThaw};
use nightsweep_search::{
    Direction, Distribution, Parameter, PrunerKind, SamplerKind, Scale, SearchSpace, Study, StudyConfig, TrialState,
};
use nightsweep_store::{NewStudy, Store};
use nightsweep_trainer::data::DataSpec;
use nightsweep_trainer::probe::Probe;
use nightsweep_trainer::recipe::{OptimizerSpec, Sgd};
use nightsweep_trainer::{DeviceName, Metric, Recipe};
use nightsweep_trials::confirm::Confirm;
use nightsweep_trials::controller::{self, Options, Session, Work};
use nightsweep_trials::executor::Executor;
use nightsweep_trials::pace::Pace;
use nightsweep_trials::protocol::{Assignment, DataSource};
use nightsweep_trials::simulate::{Disk, Fault, Simulated, World};
use nightsweep_trials::slots::Slot;
use nightsweep_trials::time_plan::{Stage, TimePlan};
use npyz::npz::NpzArchive;
use tokio::sync::mpsc;

const SLOTS: usize = 8;

/// Fields of a recipe that carry a point of a table into the simulated worker: what they mean in training does not matter here.
const CARRIERS: [&str; 8] = [
    "label_smoothing",
    "clip_norm",
    "clip_value",
    "clip_adaptive",
    "optimizer.lr",
    "optimizer.momentum",
    "optimizer.weight_decay",
    "augment.flip",
];

/// A hyperparameter of a table: its range, and how far apart its values count. The ranges are those of the benchmarks; the
/// weights are those with which the four nearest neighbours best predict the rank of a left-out configuration.
struct Axis {
    low: f64,
    high: f64,
    is_log: bool,
    weight: f64,
}

const fn axis(low: f64, high: f64, is_log: bool, weight: f64) -> Axis {
    Axis { low, high, is_log, weight }
}

impl Axis {
    /// In [0, 1].
    fn unit(&self, value: f64) -> f64 {
        let scale = |value: f64| if self.is_log { value.ln() } else { value };
        ((scale(value) - scale(self.low)) / (scale(self.high) - scale(self.low))).clamp(0.0, 1.0)
    }
}

/// LCBench (Zimmer et al. 2021): batch size, learning rate, momentum, weight decay, layers, units, dropout.
const LCBENCH: [Axis; 7] = [
    axis(16.0, 512.0, true, 1.0),
    axis(1e-4, 0.1, true, 1.5),
    axis(0.1, 0.99, false, 1.0),
    axis(1e-5, 0.1, false, 1.0),
    axis(1.0, 5.0, false, 1.5),
    axis(64.0, 1024.0, true, 0.5),
    axis(0.0, 1.0, false, 0.5),
];

/// TaskSet's Adam with eight settings (Metz et al. 2020): learning rate, 1 - β₁, 1 - β₂, ε, l1, l2, linear and
/// exponential decay.
const TASKSET: [Axis; 8] = [
    axis(1e-8, 10.0, true, 4.0),
    axis(1e-4, 1.0, true, 0.4),
    axis(1e-6, 1.0, true, 0.5),
    axis(1e-10, 1e3, true, 3.0),
    axis(1e-8, 10.0, true, 1.0),
    axis(1e-8, 10.0, true, 1.0),
    axis(1e-7, 1e-4, true, 0.5),
    axis(1e-6, 1e-3, true, 1.0),
];

/// Learning curves of a thousand configurations of one task, interpolated between the four nearest.
#[derive(Clone)]
struct Table {
    axes: &'static [Axis],
    /// Each configuration as a point of the unit cube.
    points: Vec<Vec<f64>>,
    /// What is maximized, after each epoch.
    curves: Vec<Vec<f64>>,
    /// Seconds of an epoch.
    epoch: Vec<f64>,
}

impl Table {
    /// The four configurations that are nearest to what the recipe carries, and how much each counts.
    fn nearest(&self, recipe: &Recipe) -> [(usize, f64); 4] {
        let OptimizerSpec::Sgd(Sgd { lr, momentum, weight_decay, .. }) = recipe.optimizer else { panic!("it is SGD") };
        let Recipe { label_smoothing, clip_norm, clip_value, clip_adaptive, .. } = *recipe;
        let flip = recipe.augment.flip;
        let point = [label_smoothing, clip_norm, clip_value, clip_adaptive, lr, momentum, weight_decay, flip];
        let distance = |row: &[f64]| -> f64 {
            let apart = row.iter().zip(point).zip(self.axes).map(|((a, b), axis)| (axis.weight * (a - b)).powi(2));
            apart.sum()
        };
        let mut rows: Vec<(usize, f64)> = self.points.iter().map(|row| distance(row)).enumerate().collect();
        rows.select_nth_unstable_by(3, |a, b| a.1.total_cmp(&b.1));
        let weights = [0, 1, 2, 3].map(|at| (rows[at].0, 1.0 / (rows[at].1 + 1e-4)));
        let sum: f64 = weights.iter().map(|(_, weight)| weight).sum();
        weights.map(|(row, weight)| (row, weight / sum))
    }

    /// What is maximized, after that epoch.
    fn value(&self, recipe: &Recipe, epoch: u64) -> f64 {
        self.nearest(recipe).into_iter().map(|(row, weight)| weight * self.curves[row][epoch as usize - 1]).sum()
    }

    fn epoch_seconds(&self, recipe: &Recipe) -> f64 {
        self.nearest(recipe).into_iter().map(|(row, weight)| weight * self.epoch[row]).sum()
    }

    fn epochs(&self) -> u64 {
        self.curves[0].len() as u64
    }

    fn mean_training(&self) -> f64 {
        self.epoch.iter().sum::<f64>() / self.epoch.len() as f64 * self.epochs() as f64
    }

    /// 0 for the best value of the table, 1 for the median configuration's last one.
    fn regret(&self, value: f64) -> f64 {
        let mut finals: Vec<f64> = self.curves.iter().map(|curve| curve[curve.len() - 1]).collect();
        finals.sort_by(f64::total_cmp);
        let median = finals[finals.len() / 2];
        let best = self.curves.iter().flatten().copied().fold(f64::NEG_INFINITY, f64::max);
        (best - value) / (best - median).max(1e-12)
    }
}

/// The arrays of a file of ../shared/data by name; nothing if it is not there.
fn arrays(folder: &Path, file: &str, names: &[&str]) -> Option<Vec<(Vec<usize>, Vec<f64>)>> {
    let path = folder.join(file);
    let Ok(file) = File::open(&path) else {
        println!("skipped: {} is not there", path.display());
        return None;
    };
    let mut archive = NpzArchive::new(file).unwrap();
    let mut read = |name: &&str| {
        let array = archive.by_name(name).unwrap().unwrap();
        let shape = array.shape().iter().map(|size| *size as usize).collect();
        let is_double = array.dtype().descr().contains("f8");
        match is_double {
            true => (shape, array.into_vec::<f64>().unwrap()),
            false => (shape, array.into_vec::<f32>().unwrap().into_iter().map(f64::from).collect()),
        }
    };
    Some(names.iter().map(&mut read).collect())
}

/// Rows of a matrix as points of the unit cube.
fn points(axes: &'static [Axis], size: &[usize], rows: &[f64]) -> Vec<Vec<f64>> {
    let point = |row: &[f64]| row.iter().zip(axes).map(|(value, axis)| axis.unit(*value)).collect();
    rows.chunks(size[1]).map(point).collect()
}

/// LCBench as its surrogate has it: validation accuracy and seconds of 51 epochs. The first column is the untrained net.
fn lcbench(folder: &Path) -> Vec<(String, Table)> {
    let Some(read) = arrays(folder, "lcbench_dev.npz", &["configs", "val_acc", "time"]) else { return Vec::new() };
    let [(size, configs), (shape, accuracy), (_, time)] = &read[..] else { panic!("three were asked for") };
    let (rows, columns) = (shape[1], shape[2]);
    let table = |task: usize| {
        let of = |row: usize| (task * rows + row) * columns..(task * rows + row + 1) * columns;
        let curve = |row: usize| accuracy[of(row)][1..].iter().map(|percent| percent / 100.0).collect();
        // What it says of the last epoch is the sum of all.
        let seconds = |row: usize| (time[of(row)][columns - 1] / (columns - 1) as f64).max(0.1);
        let (curves, epoch) = ((0..rows).map(curve).collect(), (0..rows).map(seconds).collect());
        Table { axes: &LCBENCH, points: points(&LCBENCH, size, configs), curves, epoch }
    };
    (0..shape[0]).map(|task| (format!("LCBench {task}"), table(task))).collect()
}

/// TaskSet: validation loss of fifty reports of a minute each; diverged ones count as twice the untrained loss.
fn taskset(folder: &Path) -> Vec<(String, Table)> {
    let Some(read) = arrays(folder, "taskset_dev.npz", &["hp", "valid"]) else { return Vec::new() };
    let [(size, settings), (shape, losses)] = &read[..] else { panic!("two were asked for") };
    let (rows, columns) = (shape[1], shape[2]);
    let mut settings = settings.clone();
    for row in settings.chunks_mut(size[1]) {
        row[1] = 1.0 - row[1];
        row[2] = 1.0 - row[2];
    }
    let table = |task: usize| {
        let of = |row: usize| (task * rows + row) * columns..(task * rows + row + 1) * columns;
        let mut untrained: Vec<f64> = (0..rows).map(|row| losses[of(row)][0]).filter(|loss| loss.is_finite()).collect();
        untrained.sort_by(f64::total_cmp);
        let worst = 2.0 * untrained[untrained.len() / 2];
        let capped = |loss: &f64| if loss.is_finite() { -loss.min(worst) } else { -worst };
        let curves = (0..rows).map(|row| losses[of(row)][1..].iter().map(capped).collect()).collect();
        Table { axes: &TASKSET, points: points(&TASKSET, size, &settings), curves, epoch: vec![60.0; rows] }
    };
    (0..shape[0]).map(|task| (format!("TaskSet {task}"), table(task))).collect()
}

struct Curves {
    table: Table,
}

impl World for Curves {
    fn value(&self, assignment: &Assignment, epoch: u64) -> f64 {
        self.table.value(&assignment.recipe, epoch)
    }

    fn epoch_time(&self, assignment: &Assignment) -> Duration {
        Duration::from_secs_f64(self.table.epoch_seconds(&assignment.recipe))
    }

    fn fault(&mut self, _: &Assignment, _: u64) -> Option<Fault> {
        None
    }
}

/// A way to spend a night.
struct Way {
    name: &'static str,
    sampler: SamplerKind,
    pruner: PrunerKind,
    is_planned: bool,
    confirm: Confirm,
}

fn ways() -> Vec<Way> {
    let none = || Confirm { top: 0, ..Confirm::default() };
    let asha = || PrunerKind::Asha(Asha::default());
    let freeze_thaw = PrunerKind::FreezeThaw(FreezeThaw::default());
    let way = |name, sampler, pruner, is_planned, confirm| Way { name, sampler, pruner, is_planned, confirm };
    vec![
        way("random, fixed epochs", SamplerKind::Random, PrunerKind::None, false, none()),
        way("random + plain ASHA", SamplerKind::Random, asha(), false, none()),
        way("random + ASHA, planned", SamplerKind::Random, asha(), true, none()),
        way("auto + ASHA, planned", SamplerKind::Auto, asha(), true, none()),
        way("auto + ASHA, planned, confirmed", SamplerKind::Auto, asha(), true, Confirm::default()),
        way("auto + freeze-thaw, planned", SamplerKind::Auto, freeze_thaw, true, none()),
    ]
}

/// What came of a night.
struct Morning {
    regret: f64,
    busy: f64,
    late: bool,
    wall: Duration,
    epochs: u64,
}

async fn night(table: &Table, way: &Way, trainings: f64, seed: u64) -> Morning {
    let parameter = |name: &&str| Parameter {
        name: (*name).to_owned(),
        distribution: Distribution::Float { low: 0.0001, high: 0.9999, scale: Scale::Linear },
        when: None,
    };
    let config = StudyConfig {
        direction: Direction::Maximize,
        seed,
        sampler: way.sampler,
        pruner: way.pruner.clone(),
        max_trials: None,
        max_step: Some(table.epochs()),
        cost: Some("train_seconds".to_owned()),
        ..StudyConfig::new(SearchSpace(CARRIERS[..table.axes.len()].iter().map(parameter).collect()))
    };
    let recipe = Recipe { epochs: table.epochs(), ..Recipe::default() };
    let work = Work {
        seed,
        recipe: recipe.clone(),
        repeats: None,
        data: DataSource { spec: DataSpec::new("nowhere"), base: PathBuf::new(), seed },
        files: None,
        metric: Metric::ValAccuracy,
        checkpoints: PathBuf::from("nowhere"),
    };
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let store = Store::open(folder.path().join("night.sqlite")).await.unwrap();
    let new = NewStudy {
        name: "night".to_owned(),
        source: String::new(),
        plan: serde_json::Value::Null,
        metric: Metric::ValAccuracy.name().to_owned(),
        direction: config.direction,
        seed,
        space: config.space.clone(),
    };
    let id = store.create_study(new).await.unwrap();
    let mut study = Study::new(config).unwrap();
    let begin = Instant::now();
    let length = Duration::from_secs_f64(trainings * table.mean_training() / SLOTS as f64);
    let mut pace = Pace::default();
    let epoch = Duration::from_secs_f64(table.mean_training() / table.epochs() as f64);
    let probe = Probe { epoch, validation: Duration::ZERO, peak_memory: None, device_memory: None, checkpoint: 0 };
    pace.learn_probe(&recipe, &probe, Duration::from_secs(3));
    let stage = Stage::Search { confirm: way.confirm.clone(), night: length };
    let mut time = way.is_planned.then_some(TimePlan { pace, stage, forecast: None });
    let mut machine = Simulated::new(Curves { table: table.clone() }, Disk::default(), begin);
    let session = Session {
        study: &mut study,
        store: &store,
        id,
        work: &work,
        slots: (0..SLOTS).map(|index| Slot::new(index, DeviceName::Cpu { threads: 1 })).collect(),
        options: Options { deadline: Some(begin + length), ..Options::default() },
        time: time.as_mut(),
    };
    let (_orders, mut control) = mpsc::unbounded_channel();
    let clock = Instant::now();
    controller::run(session, &mut machine, &mut control, &mut |_| {}).await.unwrap();
    let wall = clock.elapsed();
    // The best complete trial; without one, the best so far.
    let complete = study.trials().iter().filter(|trial| trial.state == TrialState::Complete);
    let best = |trials: Vec<&nightsweep_search::Trial>| {
        let valued = trials.into_iter().filter_map(|trial| Some((trial.last_value()?, trial.params.clone())));
        valued.max_by(|(a, _), (b, _)| a.total_cmp(b))
    };
    let chosen = best(complete.collect()).or_else(|| best(study.trials().iter().collect()));
    let regret = chosen.map_or(f64::NAN, |(_, params)| {
        let recipe = nightsweep_trials::bind::bind(&recipe, &params).unwrap();
        table.regret(table.value(&recipe, table.epochs()))
    });
    let used = (machine.now() - begin).as_secs_f64();
    Morning {
        regret,
        busy: machine.trained().as_secs_f64() / (SLOTS as f64 * used),
        late: machine.now() > begin + length,
        wall,
        epochs: study.trials().iter().map(|trial| trial.step()).sum(),
    }
}

fn main() {
    // `cargo test` runs benches, too, and wants none of it.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let seeds: u64 = std::env::var("NIGHTSWEEP_SEEDS").ok().and_then(|count| count.parse().ok()).unwrap_or(1);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let all = [lcbench(&folder), taskset(&folder)].concat();
    let (mut late, mut nights) = (0, 0);
    let mut one_night: Option<Morning> = None;
    println!("| way to spend the night | trainings paid | regret, mean | geometric | median | busy | nights |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    let wanted = std::env::var("NIGHTSWEEP_WAYS").unwrap_or_default();
    for trainings in [20.0, 40.0, 80.0] {
        for way in ways().into_iter().filter(|way| way.name.contains(&wanted)) {
            let mut by_table: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
            let mut busy = Vec::new();
            for (name, table) in &all {
                for seed in 0..seeds {
                    let morning = runtime.block_on(night(table, &way, trainings, seed));
                    by_table.entry(name).or_default().push(morning.regret);
                    busy.push(morning.busy);
                    late += u32::from(morning.late);
                    nights += 1;
                    one_night = Some(morning);
                }
            }
            let mut regrets: Vec<f64> = by_table.values().flatten().copied().collect();
            if regrets.is_empty() {
                continue;
            }
            regrets.sort_by(f64::total_cmp);
            let mean = regrets.iter().sum::<f64>() / regrets.len() as f64;
            // A thousandth stands for the optimum itself.
            let logs = regrets.iter().map(|regret| regret.max(1e-3).ln()).sum::<f64>();
            let geometric = (logs / regrets.len() as f64).exp();
            let median = regrets[regrets.len() / 2];
            let least = busy.iter().copied().fold(1.0, f64::min);
            let mean_busy = busy.iter().sum::<f64>() / busy.len() as f64;
            println!(
                "| {} | {trainings} | {mean:.4} | {geometric:.4} | {median:.4} | {:.1} % (least {:.1} %) | {} |",
                way.name,
                100.0 * mean_busy,
                100.0 * least,
                regrets.len()
            );
        }
    }
    println!("{nights} nights, {late} late");
    if let Some(Morning { wall, epochs, .. }) = one_night {
        println!("the last one: {epochs} epochs in {:.2} s of this machine", wall.as_secs_f64());
    }
}
