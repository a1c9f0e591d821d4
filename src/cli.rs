//! The command line's words.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueHint};
use nightsweep_trainer::DeviceName;
use nightsweep_trials::slots::SlotOptions;

/// Overnight hyperparameter sweeps for image classification.
///
/// Start in the evening: nightsweep init FOLDER, then nightsweep run sweep.toml --until 07:00.
/// Read in the morning: nightsweep report, or the leaderboard at http://127.0.0.1:8787.
///
/// Exit status: 0 done, 1 failed, 2 wrong usage or study file, 3 interrupted (the same command goes on),
/// 4 another process runs the study.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, verbatim_doc_comment)]
pub struct Cli {
    /// Folder of the store and of all trials' checkpoints.
    #[arg(long, global = true, env = "NIGHTSWEEP_RUNS", default_value = "nightsweep-runs", value_hint = ValueHint::DirPath)]
    pub runs: PathBuf,
    /// How log lines on standard error look; NIGHTSWEEP_LOG says which there are, as info or warn,nightsweep_trials=debug.
    #[arg(long, global = true, env = "NIGHTSWEEP_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    #[command(subcommand)]
    pub command: Command,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people; warnings unless NIGHTSWEEP_LOG asks for more.
    Text,
    /// A JSON object a line, from info on.
    Json,
}

impl Cli {
    /// How log lines look. What a worker says becomes a trial's log, which people read.
    pub fn log_format(&self) -> LogFormat {
        if matches!(self.command, Command::Worker { .. }) { LogFormat::Text } else { self.log_format }
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Look at a folder of images and write a study file that fits it.
    Init(Init),
    /// Measure what a study's models take on this machine, and say what a night of it will bring; runs nothing.
    Plan(Plan),
    /// Run a study, or go on with it; the leaderboard is open meanwhile.
    Run(Run),
    /// Train a study's best trials again on fresh seeds, so that the winner is not just the luckiest one. `run` does it
    /// at its end; this does it again, for example with more seeds.
    Confirm(Confirm),
    /// Show the leaderboard of what is in the store.
    Serve(Serve),
    /// Print who won, what was tried and what was wasted.
    Report(Report),
    /// Draw a figure of a study to a file.
    Plot(Plot),
    /// Write a trial's recipe, weights and result to a folder.
    Export(Export),
    /// Let a study learn from Optuna's trials, or make a study file of a sweep of Weights & Biases.
    Import(Import),
    /// Train one recipe, for example an exported one, and compare its score.
    Train(Train),
    /// Draw what a recipe's augmentation does to training images.
    AugmentPreview(AugmentPreview),
    /// Score weights on a split of a recipe's data, for example weights that were trained elsewhere.
    Evaluate(Evaluate),
    /// Find the learning rates worth searching: a short training with growing rates, drawn and read.
    LrFind(LrFind),
    /// Learn which augmentation suits some images, and whether it is worth it.
    #[command(subcommand)]
    Policy(Policy),
    /// Check this machine: GPUs, driver, disk, store; say what would fail.
    Doctor,
    /// Ask the search again for every suggestion of a study, and compare.
    Replay(StudyName),
    /// Drive the search from another program: a JSON object a line in, one out.
    AskTell,
    /// Print a completion script for a shell.
    Completions {
        /// Which one.
        shell: clap_complete::Shell,
    },
    /// Train what the controller sends. Not for people.
    #[command(hide = true)]
    Worker {
        /// Where to compute.
        #[arg(long)]
        device: DeviceName,
    },
    /// Measure a short training that the caller describes. Not for people.
    #[command(hide = true)]
    Probe {
        /// Where to compute.
        #[arg(long)]
        device: DeviceName,
    },
}

/// Arguments of `init`.
#[derive(Debug, clap::Args)]
pub struct Init {
    /// A folder per class, IDX files, CIFAR batches, an NPZ file, or a CSV of path,label; or fashion-mnist-mini.
    #[arg(value_hint = ValueHint::AnyPath)]
    pub data: String,
    /// The study file to write.
    #[arg(short, long, default_value = "sweep.toml", value_hint = ValueHint::FilePath)]
    pub output: PathBuf,
    /// Replace the file if it exists.
    #[arg(long)]
    pub force: bool,
}

/// Arguments of `run`.
#[derive(Debug, clap::Args)]
pub struct Run {
    /// The study file.
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Stop at this time of day, as 07:00; the study can go on later.
    #[arg(long, value_name = "HH:MM", conflicts_with = "for_")]
    pub until: Option<String>,
    /// Stop after this long, as 8h or 90m.
    #[arg(long = "for", value_name = "DURATION")]
    pub for_: Option<String>,
    /// Start this many trials in all, whatever the file says.
    #[arg(long)]
    pub trials: Option<u64>,
    /// Change one value of the study file, as recipe.epochs=3; can be given often.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Where trials train.
    #[command(flatten)]
    pub slots: Slots,
    /// Address of the leaderboard; a taken port gives way to the next free one.
    #[arg(long, default_value = "127.0.0.1:8787")]
    pub listen: SocketAddr,
    /// Open no leaderboard.
    #[arg(long)]
    pub no_web: bool,
    /// A command to run, or an address to send JSON to, at the end, at a pause and at each new best trial; can be given
    /// often.
    #[arg(long, value_name = "COMMAND|URL", env = "NIGHTSWEEP_NOTIFY", hide_env_values = true)]
    pub notify: Vec<String>,
    /// Write event files for TensorBoard to the folder `tensorboard` of the study, while it runs.
    #[arg(long)]
    pub tensorboard: bool,
}

/// Where trials train.
#[derive(Clone, Debug, clap::Args)]
pub struct Slots {
    /// Where trials run, as cuda:0,cuda:1 or cpu:1,cpu:1; one worker each. Else every GPU, or every CPU core.
    #[arg(long, value_delimiter = ',')]
    pub devices: Option<Vec<DeviceName>>,
    /// Most trials at once, on the CPU.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub workers: Option<u16>,
    /// Use these GPUs only, as 0,2.
    #[arg(long, value_delimiter = ',', conflicts_with = "devices")]
    pub gpus: Option<Vec<usize>>,
    /// Share of each GPU's memory that trials may have together; what other processes have is theirs.
    #[arg(long, value_name = "SHARE", default_value_t = 0.9, value_parser = share)]
    pub gpu_memory: f64,
    /// Most trials that share a GPU; fewer do if that is not faster in sum, or if their memory does not fit.
    #[arg(long, value_name = "TRIALS", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=16))]
    pub per_gpu: u8,
    /// How far trials give way to other processes, from 0 to 19.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=19))]
    pub nice: u8,
    /// Keep each trial on CPU cores of its own.
    #[arg(long)]
    pub pin: bool,
}

/// A share in (0, 1].
fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if share > 0.0 && share <= 1.0 => Ok(share),
        _ => Err("it must be above 0 and at most 1, as 0.8".to_owned()),
    }
}

impl Slots {
    /// As the search for slots takes it.
    pub fn options(&self) -> SlotOptions {
        SlotOptions {
            devices: self.devices.clone(),
            workers: self.workers.map(usize::from),
            gpus: self.gpus.clone(),
            gpu_memory: self.gpu_memory,
            per_gpu: usize::from(self.per_gpu),
            nice: self.nice,
            pin: self.pin,
        }
    }
}

/// Arguments of `plan`.
#[derive(Debug, clap::Args)]
pub struct Plan {
    /// The study file.
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// The length of the night, as 8h or 90m.
    #[arg(long = "for", value_name = "DURATION")]
    pub for_: Option<String>,
    /// Change one value of the study file, as for `run`.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Where trials train.
    #[command(flatten)]
    pub slots: Slots,
}

/// Arguments of `confirm`.
#[derive(Debug, clap::Args)]
pub struct Confirm {
    /// Its name; else the last study is meant.
    pub study: Option<String>,
    /// How many of the best trials, whatever the study file says.
    #[arg(long)]
    pub top: Option<u64>,
    /// Fresh seeds for each at most.
    #[arg(long)]
    pub seeds: Option<u64>,
    /// Where trials train.
    #[command(flatten)]
    pub slots: Slots,
}

/// Arguments of `serve`.
#[derive(Debug, clap::Args)]
pub struct Serve {
    /// Address of the leaderboard; any but this machine's own needs a token, which is printed.
    #[arg(long, default_value = "127.0.0.1:8787")]
    pub listen: SocketAddr,
    /// Let nobody write notes.
    #[arg(long)]
    pub read_only: bool,
    /// Where a proxy shows the pages, as /sweeps.
    #[arg(long, value_name = "PATH")]
    pub base_path: Option<String>,
    /// A name under which a proxy asks for the pages; others are refused, numbers and localhost are not.
    #[arg(long, value_name = "NAME")]
    pub host: Vec<String>,
}

/// A study of the store.
#[derive(Debug, clap::Args)]
pub struct StudyName {
    /// Its name; not needed while there is only one, else the last one is meant.
    pub study: Option<String>,
}

/// Arguments of `plot`.
#[derive(Debug, clap::Args)]
pub struct Plot {
    /// history, parallel, importance, contour, slice, rank, edf, curves, slots, rungs, map, pareto, budget, failures or
    /// throughput.
    pub figure: String,
    /// Name of the study, if it is not the last one.
    #[arg(long)]
    pub study: Option<String>,
    /// The file to write, ending in .svg or .png.
    #[arg(short, long, value_hint = ValueHint::FilePath)]
    pub output: PathBuf,
    /// Light on black.
    #[arg(long)]
    pub dark: bool,
}

/// Arguments of `export`.
#[derive(Debug, clap::Args)]
pub struct Export {
    /// `best`, or a trial's number.
    #[arg(default_value = "best")]
    pub trial: String,
    /// Name of the study, if it is not the last one.
    #[arg(long)]
    pub study: Option<String>,
    /// Write all trials of the study to one file instead.
    #[arg(long, value_enum)]
    pub format: Option<ExportFormat>,
    /// The folder to write, `best` unless named; with --format the file or folder, else trials.csv, trials.json, optuna.db
    /// or tensorboard.
    #[arg(short, long, value_hint = ValueHint::AnyPath)]
    pub output: Option<PathBuf>,
}

/// What `export` can write a whole study as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ExportFormat {
    /// A line for each trial.
    Csv,
    /// An object for each trial.
    Json,
    /// A storage that optuna.load_study and optuna-dashboard open: sqlite:///optuna.db.
    Optuna,
    /// A folder of event files, a run for each trial: tensorboard --logdir tensorboard.
    Tensorboard,
}

/// Arguments of `import`: what it is comes first, or is a storage of Optuna's.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Import {
    /// Another kind.
    #[command(subcommand)]
    pub kind: Option<ImportKind>,
    /// A storage of Optuna's and a study file.
    #[command(flatten)]
    pub optuna: Option<ImportOptuna>,
}

/// What `import` can read.
#[derive(Debug, Subcommand)]
pub enum ImportKind {
    /// Let the search of a study learn from the trials of a storage of Optuna's.
    Optuna(ImportOptuna),
    /// Write a study file that searches what a sweep of Weights & Biases does.
    Wandb(ImportWandb),
}

/// Arguments of `import wandb`.
#[derive(Debug, clap::Args)]
pub struct ImportWandb {
    /// The sweep's YAML file.
    #[arg(value_hint = ValueHint::FilePath)]
    pub sweep: PathBuf,
    /// What to train on, which a sweep does not say: as for `init`.
    #[arg(long, value_hint = ValueHint::AnyPath)]
    pub data: Option<String>,
    /// The study file to write.
    #[arg(short, long, default_value = "sweep.toml", value_hint = ValueHint::FilePath)]
    pub output: PathBuf,
    /// Replace the file if it exists.
    #[arg(long)]
    pub force: bool,
}

/// Arguments of `import optuna`.
#[derive(Debug, clap::Args)]
pub struct ImportOptuna {
    /// A storage of Optuna's, as an SQLite file.
    #[arg(value_hint = ValueHint::FilePath)]
    pub storage: PathBuf,
    /// The study file whose search learns from it; `nightsweep run` goes on with it.
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Name of the study there, if the storage has several.
    #[arg(long)]
    pub from: Option<String>,
}

/// Arguments of `report`.
#[derive(Debug, clap::Args)]
pub struct Report {
    /// Name of the study; not needed while there is only one, else the last one is meant.
    pub study: Option<String>,
    /// Write it with figures to one HTML file that needs nothing else.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub html: Option<PathBuf>,
    /// Write it to a Markdown file.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub markdown: Option<PathBuf>,
}

/// Arguments of `augment-preview`.
#[derive(Debug, clap::Args)]
pub struct AugmentPreview {
    /// A recipe file, as `export` writes it, or a study file, of which the fixed recipe counts.
    #[arg(value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// The PNG to write: a row an image, with the image itself first.
    #[arg(short, long, default_value = "augmented.png", value_hint = ValueHint::FilePath)]
    pub output: PathBuf,
    /// Images to show.
    #[arg(short = 'n', long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub images: u16,
}

/// Arguments of `evaluate`.
#[derive(Debug, clap::Args)]
pub struct Evaluate {
    /// A recipe file: its model, its data and how they are prepared count.
    #[arg(value_hint = ValueHint::FilePath)]
    pub recipe: PathBuf,
    /// A file of safetensors, or PyTorch's .pth or .pt. Else the recipe's `pretrained.path`.
    #[arg(long, value_hint = ValueHint::FilePath)]
    pub weights: Option<PathBuf>,
    /// Which images.
    #[arg(long, value_enum, default_value_t = SplitName::Test)]
    pub split: SplitName,
    /// Where to compute, as cuda:0 or cpu:4. Else the first GPU, or all CPU cores.
    #[arg(long)]
    pub device: Option<DeviceName>,
}

/// The splits of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum SplitName {
    /// What recipes are trained on.
    Train,
    /// What recipes are judged by.
    Val,
    /// What no search looks at.
    Test,
}

/// Arguments of `train`.
#[derive(Debug, clap::Args)]
pub struct Train {
    /// A recipe file, as `export` writes it.
    #[arg(value_hint = ValueHint::FilePath)]
    pub recipe: PathBuf,
    /// Where to compute, as cuda:0 or cpu:4. Else where the recipe was trained, if that is here.
    #[arg(long)]
    pub device: Option<DeviceName>,
    /// Train even if the data is not what the expected score comes from.
    #[arg(long)]
    pub other_data: bool,
    /// Folder for checkpoints, from which the same command goes on; without it nothing is kept.
    #[arg(short, long, value_hint = ValueHint::DirPath)]
    pub output: Option<PathBuf>,
}

/// Arguments of `lr-find`.
#[derive(Debug, clap::Args)]
pub struct LrFind {
    /// Images as for `init`, a recipe file, or a study file, whose `[recipe]` is meant.
    #[arg(value_name = "DATA|FILE.toml", value_hint = ValueHint::AnyPath)]
    pub subject: PathBuf,
    /// The first rate.
    #[arg(long, default_value_t = 1e-7)]
    pub low: f64,
    /// The last rate, unless the loss goes up for good before it.
    #[arg(long, default_value_t = 10.0)]
    pub high: f64,
    /// Updates from the first to the last.
    #[arg(long, default_value_t = 100)]
    pub updates: u64,
    /// Where to compute, as cuda:0 or cpu:4. Else the first GPU, or all CPU cores.
    #[arg(long)]
    pub device: Option<DeviceName>,
    /// The picture to write.
    #[arg(short, long, default_value = "lr-find.svg", value_hint = ValueHint::FilePath)]
    pub output: PathBuf,
    /// Print one JSON object instead of text.
    #[arg(long)]
    pub json: bool,
}

/// What `policy` does.
#[derive(Debug, clap::Subcommand)]
pub enum Policy {
    /// Find out which operations change the class of images, and how strong the others may be.
    Harm(PolicyHarm),
    /// Learn a policy for images, and write it to a file that recipes can name.
    Learn(PolicyLearn),
    /// Train with several policies on the same fresh seeds, and say which differ.
    Compare(PolicyCompare),
    /// Have a network generate images of classes that have few, for recipes to mix in.
    Generate(PolicyGenerate),
}

/// What children are trained on, and how.
#[derive(Debug, clap::Args)]
pub struct Children {
    /// Images as for `init`, a recipe file, or a study file, whose `[recipe]` is meant.
    #[arg(value_name = "DATA|FILE.toml", value_hint = ValueHint::AnyPath)]
    pub subject: PathBuf,
    /// The network, as convnet or resnet8, whatever the file says.
    #[arg(long)]
    pub model: Option<String>,
    /// Epochs of a training, whatever the file says.
    #[arg(long)]
    pub epochs: Option<u64>,
    /// Uses so many of the training images only, the same number of each class.
    #[arg(long, value_name = "N")]
    pub reduced: Option<usize>,
    /// Keeps the first N training images of a class only, as --scarce "cat=20,dog=20": to see what is lost where a class
    /// has few.
    #[arg(long, value_name = "CLASS=N", value_delimiter = ',')]
    pub scarce: Vec<String>,
    /// Where all randomness comes from; the split of the data too.
    #[arg(long)]
    pub seed: Option<u64>,
    /// Where to compute, as cuda:0 or cpu:4. Else the first GPU, or all CPU cores.
    #[arg(long)]
    pub device: Option<DeviceName>,
}

/// Arguments of `policy generate`.
#[derive(Debug, clap::Args)]
pub struct PolicyGenerate {
    #[command(flatten)]
    pub children: Children,
    /// Of which classes: scarce (fewer training images than half of the median class's), all, or names.
    #[arg(long, value_delimiter = ',', default_value = "scarce")]
    pub classes: Vec<String>,
    /// The file, for `augment.generated = { path = "…", ratio = 1 }`.
    #[arg(short, long, default_value = "generated.npz", value_hint = ValueHint::FilePath)]
    pub output: PathBuf,
    /// The PNG to write: for each class a row of real images and one of generated ones.
    #[arg(long, default_value = "generated.png", value_hint = ValueHint::FilePath)]
    pub picture: PathBuf,
    /// Images of each class; else as many as the median class has.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub images: Option<u32>,
    /// Likelihood that the filter has to give the asked class for an image to be kept.
    #[arg(long, default_value_t = 0.5)]
    pub likelihood: f64,
    /// Steps for which the generator learns.
    #[arg(long, default_value_t = 3000, value_parser = clap::value_parser!(u64).range(1..))]
    pub steps: u64,
    /// Channels of the generator's and the discriminator's largest maps: four times the work for twice as many.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub width: u16,
    /// Ends its learning after this long, as 90s, 10m or 2h. The filter's training, by the recipe, comes before it.
    #[arg(long, value_name = "DURATION", default_value = "10m")]
    pub budget: String,
}

/// Arguments of `policy harm`.
#[derive(Debug, clap::Args)]
pub struct PolicyHarm {
    #[command(flatten)]
    pub children: Children,
    /// The table to write, which `policy learn --within` reads.
    #[arg(short, long, default_value = "harm.toml", value_hint = ValueHint::FilePath)]
    pub output: PathBuf,
    /// The PNG to write: a row an operation, framed green where it is harmless, red where the class changes and amber
    /// where it can no longer be told.
    #[arg(long, default_value = "harm.png", value_hint = ValueHint::FilePath)]
    pub picture: PathBuf,
    /// Strengths of each operation.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=32))]
    pub levels: u8,
    /// Validation images to look at, at most.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub images: u32,
}

/// Arguments of `policy learn`.
#[derive(Debug, clap::Args)]
pub struct PolicyLearn {
    #[command(flatten)]
    pub children: Children,
    /// How.
    #[arg(long, value_enum)]
    pub method: LearnMethod,
    /// The policy's file, for `augment.policy = { kind = "file", path = "…" }`.
    #[arg(short, long, default_value = "policy.toml", value_hint = ValueHint::FilePath)]
    pub output: PathBuf,
    /// A table of `policy harm`: only what is harmless there is used, and no flip where flips are not.
    #[arg(long, value_name = "HARM.toml", value_hint = ValueHint::FilePath)]
    pub within: Option<PathBuf>,
    /// Leaves Mixup and CutMix to the recipe.
    #[arg(long)]
    pub without_mixing: bool,
    /// Ends after this long, as 90s, 10m or 2h, with the best so far.
    #[arg(long, value_name = "DURATION", default_value = "10m")]
    pub budget: String,
}

/// The methods of `policy learn`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum LearnMethod {
    /// Density matching (Fast AutoAugment): few trainings, many looks.
    Density,
    /// AutoAugment's controller: a training for each policy.
    Controller,
    /// A differentiable relaxation (DADA): one training, with gradients.
    Relaxed,
    /// Population-based training (PBA): eight trainings side by side, whose policies change as they go; a schedule.
    Pba,
    /// RandAugment's two numbers from a grid: a training for each.
    RandAugment,
    /// TrivialAugment: nothing is learned.
    TrivialAugment,
}

/// Arguments of `policy compare`.
#[derive(Debug, clap::Args)]
pub struct PolicyCompare {
    #[command(flatten)]
    pub children: Children,
    /// What to compare. Each is made of parts joined by +: flip, crop, a file of a
    /// policy, rand_augment, trivial_augment, auto_augment, aug_mix, balanced (each class alike
    /// often), generated images as generated.npz@0.5 (so many for each real one), or none. For example
    /// none,flip+crop,trivial_augment+flip+crop,policy.toml+crop.
    #[arg(long, value_delimiter = ',', required = true, num_args = 1..)]
    pub policies: Vec<String>,
    /// Those of them that all others are held against; else the first.
    #[arg(long, value_delimiter = ',', num_args = 1..)]
    pub against: Vec<String>,
    /// Seeds for each.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    pub seeds: u64,
    /// Write the figures as JSON too.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub json: Option<PathBuf>,
}
