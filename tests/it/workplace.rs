//! A folder with a study file in which the program is run.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nightsweep_search::{Event, TrialNumber, TrialState};
use nightsweep_store::{BoardQuery, Entry, Seq, Store, TrialRow};
use tempfile::TempDir;

/// No single run of these tests takes so long, on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(300);

/// A small study on real images: random points, so that a trial's parameters depend on its number alone.
pub const STUDY: &str = r#"
[study]
name = "small"
seed = 5
trials = 6
[data]
path = "fashion-mnist-mini"
val = 0.2
[recipe]
model = { kind = "convnet", width = 4 }
epochs = 4
[space]
batch_size = [64, 128]
[space.optimizer.sgd]
lr = { low = 1e-3, high = 0.3, log = true }
[space.optimizer.adamw]
lr = { low = 1e-4, high = 1e-1, log = true }
[search]
sampler = "random"
pruner = { kind = "asha", min_epochs = 1, reduction_factor = 2 }
[confirm]
top = 0
"#;

/// What each trial reported after each epoch.
pub type Curves = BTreeMap<(TrialNumber, u64), Option<f64>>;

/// A folder of its own for one test.
pub struct Workplace {
    folder: TempDir,
}

impl Workplace {
    /// With that study file as study.toml.
    pub fn new(study: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("study.toml"), study).unwrap();
        Self { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The program with these words.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_nightsweep"));
        command.current_dir(self.folder.path()).args(words).env_remove("NIGHTSWEEP_RUNS");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs the program to its end.
    pub fn run(&self, words: &[&str]) -> Output {
        let child = self.command(words).spawn().unwrap();
        wait(child)
    }

    /// Runs the program, which must succeed, and returns what it printed.
    pub fn succeed(&self, words: &[&str]) -> String {
        let output = self.run(words);
        let (printed, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{words:?}: {}\n{printed}\n{errors}", output.status);
        printed.into_owned()
    }

    /// Starts a run of the study on two workers, without a page.
    pub fn start(&self) -> Child {
        let words = ["run", "study.toml", "--no-web", "--devices", "cpu:1,cpu:1"];
        self.command(&words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// The log of the study; empty while there is none.
    pub fn log(&self) -> Vec<Entry> {
        self.log_of("small")
    }

    /// The log of the study of that name; empty while there is none.
    pub fn log_of(&self, study: &str) -> Vec<Entry> {
        self.read(|store| async move {
            let Some(row) = store.study_named(study).await.unwrap() else { return Vec::new() };
            store.events(row.id, Seq(0)).await.unwrap()
        })
        .unwrap_or_default()
    }

    /// The trials of the study.
    pub fn trials(&self) -> Vec<TrialRow> {
        self.read(|store| async move {
            let row = store.study_named("small").await.unwrap().unwrap();
            let all = BoardQuery { limit: u32::MAX, ..BoardQuery::default() };
            store.board(&row, &all).await.unwrap().trials
        })
        .unwrap()
    }

    /// Nothing is left under a worker or in the queue.
    pub fn assert_nothing_runs(&self) {
        for trial in self.trials() {
            assert!(!matches!(trial.state, TrialState::Running | TrialState::Waiting), "{trial:?}");
        }
    }

    fn read<T, F: Future<Output = T>>(&self, read: impl FnOnce(Store) -> F) -> Option<T> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let path = self.path("nightsweep-runs/store.sqlite");
            let store = Store::open_read_only(&path).await.ok()?;
            Some(read(store).await)
        })
    }
}

/// Waits for a program's end, within patience.
pub fn wait(mut child: Child) -> Output {
    let end = Instant::now() + PATIENCE;
    // Its pipes are small: they are emptied while it runs.
    let drain = |pipe: Option<Box<dyn io::Read + Send>>| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            pipe.map(|mut pipe| pipe.read_to_end(&mut bytes));
            bytes
        })
    };
    let stdout = drain(child.stdout.take().map(|pipe| Box::new(pipe) as _));
    let stderr = drain(child.stderr.take().map(|pipe| Box::new(pipe) as _));
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > end {
            child.kill().unwrap();
            panic!("it did not end: {}", String::from_utf8_lossy(&stdout.join().unwrap()));
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    Output { status, stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() }
}

/// What a log's trials reported.
pub fn curves(log: &[Entry]) -> Curves {
    let reports = log.iter().filter_map(|entry| match &entry.event {
        Event::Reported { trial, step, value, .. } => Some(((*trial, *step), *value)),
        _ => None,
    });
    let all: Vec<_> = reports.collect();
    let curves: Curves = all.iter().copied().collect();
    assert_eq!(curves.len(), all.len(), "a step was reported twice");
    curves
}

/// The process's children.
pub fn children(pid: u32) -> Vec<u32> {
    let list = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join(format!("task/{pid}/children")));
    let direct: Vec<u32> = list.unwrap_or_default().split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
    if !direct.is_empty() {
        return direct;
    }
    // Children belong to the thread that started them.
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect()
}

/// What the program printed as one line, however wide the terminal is.
pub fn flat(printed: &[u8]) -> String {
    let printed = String::from_utf8_lossy(printed);
    printed.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ")
}
