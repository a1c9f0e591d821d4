//! The command line's words.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueHint};
use nightsweep_trainer::DeviceName;

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
    /// Where trials run, as cuda:0,cuda:1 or cpu:1,cpu:1; one worker each. Else every GPU, or every CPU core.
    #[arg(long, value_delimiter = ',')]
    pub devices: Option<Vec<DeviceName>>,
    /// Most trials at once.
    #[arg(long)]
    pub workers: Option<usize>,
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
    /// Where trials would run, as for `run`; the first one is measured.
    #[arg(long, value_delimiter = ',')]
    pub devices: Option<Vec<DeviceName>>,
    /// Most trials at once.
    #[arg(long)]
    pub workers: Option<usize>,
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
    /// Where trials run, as for `run`.
    #[arg(long, value_delimiter = ',')]
    pub devices: Option<Vec<DeviceName>>,
    /// Most trials at once.
    #[arg(long)]
    pub workers: Option<usize>,
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
