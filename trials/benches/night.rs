//! Simulated nights on eight slots: how long they take, how much of them is idle, and, on the learning curves of
//! ../shared/data, the regret at the deadline of fixed-epoch random search, of plain ASHA, and of the time plan.
//!
//! `cargo bench --workspace --bench night`; `NIGHTSWEEP_SEEDS=3` for more than one seed.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nightsweep_search::pruner::Asha;
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
const CARRIERS: [&str; 7] = [
    "label_smoothing",
    "clip_norm",
    "clip_value",
    "clip_adaptive",
    "optimizer.lr",
    "optimizer.momentum",
    "optimizer.weight_decay",
];

/// Learning curves of a thousand configurations of one task.
#[derive(Clone)]
struct Table {
    /// Each configuration as a point of the unit cube.
    points: Vec<[f64; CARRIERS.len()]>,
    /// What is maximized, after each epoch.
    curves: Vec<Vec<f64>>,
    /// Seconds of an epoch.
    epoch: Vec<f64>,
}

impl Table {
    /// The configuration that is nearest to what the recipe carries.
    fn row(&self, recipe: &Recipe) -> usize {
        let OptimizerSpec::Sgd(Sgd { lr, momentum, weight_decay, .. }) = recipe.optimizer else { panic!("it is SGD") };
        let Recipe { label_smoothing, clip_norm, clip_value, clip_adaptive, .. } = *recipe;
        let point = [label_smoothing, clip_norm, clip_value, clip_adaptive, lr, momentum, weight_decay];
        let distance = |row: &usize| -> f64 { self.points[*row].iter().zip(point).map(|(a, b)| (a - b).powi(2)).sum() };
        (0..self.points.len()).min_by(|a, b| distance(a).total_cmp(&distance(b))).expect("a table has rows")
    }

    fn epochs(&self) -> u64 {
        self.curves[0].len() as u64
    }

    fn mean_training(&self) -> f64 {
        self.epoch.iter().sum::<f64>() / self.epoch.len() as f64 * self.epochs() as f64
    }

    /// 0 for the best final value of the table, 1 for the median one.
    fn regret(&self, value: f64) -> f64 {
        let mut finals: Vec<f64> = self.curves.iter().map(|curve| curve[curve.len() - 1]).collect();
        finals.sort_by(f64::total_cmp);
        let (best, median) = (finals[finals.len() - 1], finals[finals.len() / 2]);
        (best - value) / (best - median).max(1e-12)
    }
}

/// All tables of the file, by name; nothing if it is not there.
fn tables(folder: &Path, file: &str, points: &str, values: &str, times: Option<&str>) -> Vec<(String, Table)> {
    let Ok(file) = File::open(folder.join(file)) else {
        println!("skipped: {} is not there", folder.join(file).display());
        return Vec::new();
    };
    let mut archive = NpzArchive::new(file).unwrap();
    let mut read = |name: &str| -> (Vec<usize>, Vec<f64>) {
        let array = archive.by_name(name).unwrap().unwrap();
        let shape = array.shape().iter().map(|size| *size as usize).collect();
        let is_double = array.dtype().descr().contains("f8");
        match is_double {
            true => (shape, array.into_vec::<f64>().unwrap()),
            false => (shape, array.into_vec::<f32>().unwrap().into_iter().map(f64::from).collect()),
        }
    };
    let (size, hyper) = read(points);
    let (rows, width) = (size[0], size[1]);
    // Ranks: hyperparameters of all scales are spread evenly.
    let mut cube = vec![[0.5; CARRIERS.len()]; rows];
    for column in 0..width.min(CARRIERS.len()) {
        let mut order: Vec<usize> = (0..rows).collect();
        order.sort_by(|a, b| hyper[a * width + column].total_cmp(&hyper[b * width + column]));
        order.into_iter().enumerate().for_each(|(rank, row)| cube[row][column] = (rank as f64 + 0.5) / rows as f64);
    }
    let (shape, all) = read(values);
    let (tasks, epochs) = (shape[0], shape[2]);
    let time = times.map(|name| read(name).1);
    let sign = if times.is_some() { 1.0 } else { -1.0 };
    let table = |task: usize| {
        let at = |row: usize, epoch: usize| (task * rows + row) * epochs + epoch;
        let worst = |value: f64| if value.is_finite() { sign * value } else { -1e3 };
        let curve = |row: usize| (0..epochs).map(|epoch| worst(all[at(row, epoch)]).max(-1e3)).collect();
        let seconds = |row: usize| match &time {
            // What LCBench's surrogate says of the last epoch is the sum of all.
            Some(time) => (time[at(row, epochs - 1)] / epochs as f64).max(0.1),
            None => 60.0,
        };
        let curves = (0..rows).map(curve).collect();
        Table { points: cube.clone(), curves, epoch: (0..rows).map(seconds).collect() }
    };
    (0..tasks).map(|task| (format!("{values} {task}"), table(task))).collect()
}

struct Curves {
    table: Table,
}

impl World for Curves {
    fn value(&self, assignment: &Assignment, epoch: u64) -> f64 {
        self.table.curves[self.table.row(&assignment.recipe)][epoch as usize - 1]
    }

    fn epoch_time(&self, assignment: &Assignment) -> Duration {
        Duration::from_secs_f64(self.table.epoch[self.table.row(&assignment.recipe)])
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
    let way = |name, sampler, pruner, is_planned, confirm| Way { name, sampler, pruner, is_planned, confirm };
    vec![
        way("random, fixed epochs", SamplerKind::Random, PrunerKind::None, false, none()),
        way("random + plain ASHA", SamplerKind::Random, asha(), false, none()),
        way("random + ASHA, planned", SamplerKind::Random, asha(), true, none()),
        way("auto + ASHA, planned", SamplerKind::Auto, asha(), true, none()),
        way("auto + ASHA, planned, confirmed", SamplerKind::Auto, asha(), true, Confirm::default()),
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
        ..StudyConfig::new(SearchSpace(CARRIERS.iter().map(parameter).collect()))
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
        let row = table.row(&recipe);
        table.regret(table.curves[row][table.epochs() as usize - 1])
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
    let mut all = tables(&folder, "lcbench_dev.npz", "configs", "val_acc", Some("time"));
    all.extend(tables(&folder, "taskset_dev.npz", "hp", "valid", None));
    let (mut late, mut nights) = (0, 0);
    let mut one_night: Option<Morning> = None;
    println!("| way to spend the night | trainings paid | regret, mean | geometric | median | busy | nights |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    for trainings in [20.0, 40.0, 80.0] {
        for way in ways() {
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
