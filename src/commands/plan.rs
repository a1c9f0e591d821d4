//! `nightsweep plan`: what a study will do with its time, measured and simulated, before anything runs.

use std::time::Duration;

use miette::{IntoDiagnostic, Result};
use nightsweep_search::{Distribution, ParamValue, Params};
use nightsweep_trainer::probe::{Probe, probe};
use nightsweep_trainer::{Recipe, TrialSeed, data};
use nightsweep_trials::controller::Ending as RunEnding;
use nightsweep_trials::forecast::{Forecast, forecast};
use nightsweep_trials::slots::{self, SlotOptions};
use nightsweep_trials::{Plan, bind, study_file};

use super::{block_on, run};
use crate::cli;
use crate::failure::{Ending, StudyFileReport, advise};

/// The seeds of a probe, whose result counts for nothing.
const TRIAL: TrialSeed = TrialSeed { study: 0, trial: 0 };

/// Probes every model of the space on this machine, and simulates the night.
pub fn plan(arguments: &cli::Plan) -> Result<Ending> {
    let mut plan = study_file::read(&arguments.file, &arguments.set).map_err(StudyFileReport::from)?;
    plan.folder = std::path::absolute(&plan.folder).into_diagnostic()?;
    let length = arguments.for_.as_deref().map(run::duration).transpose()?;
    if length.is_none() && plan.trials.is_none() {
        return Err(advise("the study has no end to plan for", "say --for 8h, or set `trials` in the study file"));
    }
    let options = SlotOptions { devices: arguments.devices.clone(), workers: arguments.workers };
    let slots = slots::find(&options).into_diagnostic()?;
    let name = slots[0].device;
    // Before anything else computes: the number of threads cannot change afterwards.
    let device = name.open().into_diagnostic()?;
    let data = data::load(&plan.data, &plan.folder, plan.seed).into_diagnostic()?;
    println!("probing on {name}, one training alone on it");
    println!("| model | batch | an epoch | {} epochs | memory | checkpoint |", plan.recipe.epochs);
    println!("| --- | ---: | ---: | ---: | ---: | ---: |");
    let mut probes = Vec::new();
    for recipe in recipes(&plan) {
        let probe = probe(&recipe, &data, plan.metric, &device, TRIAL).into_diagnostic()?;
        let Some(probe) = probe else {
            return Err(advise("a probe ended early: its loss was no number", "lower the learning rate of `[recipe]`"));
        };
        let model = model_name(&recipe);
        println!(
            "| {model} | {} | {} | {} | {} | {:.1} MB |",
            recipe.batch_size,
            seconds(probe.epoch),
            seconds(probe.epoch.mul_f64(plan.recipe.epochs as f64)),
            probe.peak_memory.map_or("-".to_owned(), |bytes| format!("{} MB", bytes / 1_000_000)),
            probe.checkpoint as f64 / 1e6,
        );
        probes.push(Probed { model, batch_size: recipe.batch_size, probe });
    }
    let search = length.map(|length| length.mul_f64(plan.confirm.search_share()));
    let workers = slots.len();
    let temporary = tempfile::tempdir().into_diagnostic()?;
    let epoch_time = |recipe: &Recipe| nearest(&probes, recipe).epoch;
    let forecast = block_on(async {
        forecast(&plan, slots, search, epoch_time, temporary.path().to_owned()).await.into_diagnostic()
    })?;
    print!("{}", describe(&plan, &forecast, &probes, workers, length));
    Ok(Ending::Done)
}

fn describe(plan: &Plan, forecast: &Forecast, probes: &[Probed], workers: usize, length: Option<Duration>) -> String {
    let states = &forecast.summary.states;
    let trials: usize = states.values().sum();
    let complete = states.get("complete").copied().unwrap_or(0);
    let mut text = format!(
        "\nsimulated on {workers} workers, with this study's pruner and random points:\n\
         about {trials} trials, {complete} of them to the end; {} epochs in {}; workers busy {:.1} % of the time\n",
        forecast.epochs,
        seconds(forecast.length),
        100.0 * forecast.busy,
    );
    let full: Vec<Duration> = probes.iter().map(|probe| probe.probe.epoch.mul_f64(plan.recipe.epochs as f64)).collect();
    let (shortest, longest) = (full.iter().min(), full.iter().max());
    if let (Some(shortest), Some(longest)) = (shortest, longest)
        && plan.confirm.top > 0
    {
        let trainings = (plan.confirm.top * plan.confirm.seeds) as f64 / workers as f64;
        text += &format!(
            "confirmation: up to {} trainings, {} to {}\n",
            plan.confirm.top * plan.confirm.seeds,
            seconds(shortest.mul_f64(trainings.ceil())),
            seconds(longest.mul_f64(trainings.ceil())),
        );
        if let Some(length) = length {
            let kept = length.mul_f64(plan.confirm.share);
            text += &format!("kept for it: the last {}\n", seconds(kept));
            if kept < longest.mul_f64(trainings.ceil()) {
                text +=
                    "note: that may be too short: raise `confirm.share`, or lower `confirm.top` or `confirm.seeds`\n";
            }
        }
    }
    let checkpoint = probes.iter().map(|probe| probe.probe.checkpoint).max().unwrap_or(0);
    text += &format!("checkpoints: up to {:.1} GB if all are kept\n", checkpoint as f64 * trials as f64 / 1e9);
    if forecast.summary.ending == RunEnding::Deadline && complete < 3 {
        text += "note: hardly any trial gets to its end: lower `recipe.epochs` or `data.image_size`, or use a pruner\n";
    }
    text
}

/// A recipe for each model of the space, with its smallest and its largest batch.
fn recipes(plan: &Plan) -> Vec<Recipe> {
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

/// What a short training of one recipe took.
struct Probed {
    model: String,
    batch_size: usize,
    probe: Probe,
}

/// The probe of the same model whose batch is nearest.
fn nearest<'a>(probes: &'a [Probed], recipe: &Recipe) -> &'a Probe {
    let name = model_name(recipe);
    let distance = |probe: &&Probed| (probe.batch_size as f64 / recipe.batch_size as f64).ln().abs();
    let same = probes.iter().filter(|probe| probe.model == name);
    let found = same.min_by(|a, b| distance(a).total_cmp(&distance(b)));
    &found.unwrap_or(&probes[0]).probe
}

fn model_name(recipe: &Recipe) -> String {
    let model = serde_json::to_value(&recipe.model).unwrap_or_default();
    model.get("kind").and_then(|kind| kind.as_str()).unwrap_or("model").to_owned()
}

fn seconds(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        ..10.0 => format!("{seconds:.1} s"),
        ..120.0 => format!("{seconds:.0} s"),
        ..7200.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.1} h", seconds / 3600.0),
    }
}
