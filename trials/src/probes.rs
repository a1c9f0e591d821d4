//! Probes before a night: each model of the space trains a few batches in a process of its own, on a slot like those that
//! will train it, so that time and memory are those of a worker and one that breaks takes nothing along.

use std::error::Error;
use std::io::{self, Read};
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use nightsweep_search::{Distribution, ParamValue, Params};
use nightsweep_trainer::probe::{Probe, probe};
use nightsweep_trainer::{DeviceName, Metric, Recipe, TrialSeed, data};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::bind;
use crate::launch::{own_program, set_threads};
use crate::plan::Plan;
use crate::protocol::DataSource;
use crate::slots::Slot;
use crate::worker::chain;

/// The seeds of a probe, whose result counts for nothing.
const TRIAL: TrialSeed = TrialSeed { study: 0, trial: 0 };
/// A probe that takes longer says enough: such a model is too slow for a night.
const PATIENCE: Duration = Duration::from_secs(600);

/// What a probing process reads.
#[derive(Debug, Serialize, Deserialize)]
struct Task {
    recipe: Recipe,
    data: DataSource,
    metric: Metric,
}

/// What it prints.
#[derive(Debug, Serialize, Deserialize)]
struct Finding {
    /// `None` if the loss was no number.
    probe: Option<Probe>,
    /// Time of opening the device and reading the data.
    start_up: Duration,
}

/// What a short training of one recipe took.
#[derive(Clone, Debug, PartialEq)]
pub struct Probed {
    /// What was trained.
    pub recipe: Recipe,
    /// What it took.
    pub probe: Probe,
    /// From the start of a worker to its first step.
    pub start_up: Duration,
}

/// Why nothing is known of a recipe.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// The process could not be started, or ended badly.
    #[error("a probe ended early: {message}")]
    Died {
        /// What it said last.
        message: String,
    },
    /// It took too long.
    #[error("a probe took longer than {} s", PATIENCE.as_secs())]
    Slow,
    /// Its loss was not finite.
    #[error("a probe's loss was no number")]
    Diverged,
}

/// A recipe for each model of the space, with its smallest and its largest batch.
pub fn recipes(plan: &Plan) -> Vec<Recipe> {
    let choices = |name: &str| match plan.space.get(name).map(|parameter| &parameter.distribution) {
        Some(Distribution::Categorical { choices } | Distribution::Ordinal { choices }) => {
            choices.iter().cloned().map(Some).collect()
        }
        Some(Distribution::Int { low, high, .. }) => vec![Some(ParamValue::Int(*low)), Some(ParamValue::Int(*high))],
        _ => vec![None],
    };
    let batches: Vec<Option<ParamValue>> = choices("batch_size");
    let ends = if batches.len() > 1 { vec![batches[0].clone(), batches[batches.len() - 1].clone()] } else { batches };
    let mut recipes = Vec::new();
    for model in choices("model") {
        for batch in &ends {
            let values = [("model", model.clone()), ("batch_size", batch.clone())];
            let params: Params =
                values.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
            recipes.extend(bind::bind(&plan.recipe, &params));
        }
    }
    recipes
}

/// Probes the recipes, as many at once as there are slots: they will have the machine to themselves as little as that.
pub async fn run(plan: &Plan, recipes: Vec<Recipe>, slots: &[Slot]) -> Vec<(Recipe, Result<Probed, ProbeError>)> {
    let data = DataSource { spec: plan.data.clone(), base: plan.folder.clone(), seed: plan.seed };
    let mut found = Vec::new();
    for wave in recipes.chunks(slots.len().max(1)) {
        let mut running = JoinSet::new();
        for (at, (recipe, slot)) in wave.iter().cloned().zip(slots).enumerate() {
            let (task, device) = (Task { recipe, data: data.clone(), metric: plan.metric }, slot.device);
            running.spawn(async move { (at, one(&task, device).await) });
        }
        let mut results: Vec<_> = running.join_all().await;
        results.sort_by_key(|(at, _)| *at);
        found.extend(wave.iter().cloned().zip(results.into_iter().map(|(_, result)| result)));
    }
    found
}

async fn one(task: &Task, device: DeviceName) -> Result<Probed, ProbeError> {
    let died = |message: String| ProbeError::Died { message };
    let mut command = Command::new(own_program());
    command.args(["probe", "--device", &device.to_string()]);
    set_threads(&mut command, device);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let begin = Instant::now();
    let mut child = command.spawn().map_err(|error| died(error.to_string()))?;
    let text = serde_json::to_vec(task).expect("a task is JSON");
    let mut stdin = child.stdin.take().expect("it is piped");
    // One that has ended already says why below.
    let _ = stdin.write_all(&text).await;
    drop(stdin);
    let output = timeout(PATIENCE, child.wait_with_output()).await.map_err(|_| ProbeError::Slow)?;
    let output = output.map_err(|error| died(error.to_string()))?;
    let spawned = begin.elapsed();
    let finding: Finding = match serde_json::from_slice(&output.stdout) {
        Ok(finding) if output.status.success() => finding,
        _ => {
            let errors = String::from_utf8_lossy(&output.stderr);
            let last = errors.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
            return Err(died(format!("{}: {last}", output.status)));
        }
    };
    let probe = finding.probe.ok_or(ProbeError::Diverged)?;
    Ok(Probed { recipe: task.recipe.clone(), probe, start_up: finding.start_up.min(spawned) })
}

/// The probing process: reads a task from its standard input and prints what it found.
pub fn serve(device: DeviceName) -> ExitCode {
    match find(device) {
        Ok(finding) => {
            println!("{}", serde_json::to_string(&finding).expect("a finding is JSON"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{}", chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

fn find(device: DeviceName) -> Result<Finding, Box<dyn Error>> {
    let mut text = String::new();
    io::stdin().read_to_string(&mut text)?;
    let task: Task = serde_json::from_str(&text)?;
    let begin = Instant::now();
    let device = device.open()?;
    let data = data::load(&task.data.spec, &task.data.base, task.data.seed)?;
    let start_up = begin.elapsed();
    let probe = probe(&task.recipe, &data, task.metric, &device, TRIAL)?;
    Ok(Finding { probe, start_up })
}

#[cfg(test)]
mod tests {
    use crate::study_file;

    use super::*;

    fn check(space: &str, expected: &[usize]) {
        let text = format!("[study]\nname = 's'\n[data]\npath = 'x'\n[space]\n{space}");
        let plan = study_file::parse(&text, ".".into()).unwrap();
        let batches: Vec<usize> = recipes(&plan).iter().map(|recipe| recipe.batch_size).collect();
        assert_eq!(batches, expected, "{space}");
    }

    #[test]
    fn each_model_is_probed_with_its_smallest_and_its_largest_batch() {
        let default = Recipe::default().batch_size;
        check("label_smoothing = { low = 0.0, high = 0.5 }\n", &[default]);
        check("batch_size = [32, 64, 128]\n", &[32, 128]);
        check("batch_size = [32, 64, 128]\nmodel = ['mlp', 'convnet']\n", &[32, 128, 32, 128]);
        check("model = ['mlp', 'convnet']\n", &[default, default]);
    }
}
