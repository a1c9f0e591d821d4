//! `nightsweep plan`: what a study will do with its time, measured and simulated, before anything runs.

use std::time::Duration;

use miette::{IntoDiagnostic, Result};
use nightsweep_trainer::data;
use nightsweep_trials::Plan;
use nightsweep_trials::controller::Ending as RunEnding;
use nightsweep_trials::forecast::Forecast;
use nightsweep_trials::slots;
use nightsweep_trials::study_file;
use nightsweep_trials::time_plan::epochs_that_fit;

use super::run;
use super::timing::{self, Measured, seconds};
use crate::cli;
use crate::failure::{Ending, StudyFileReport, misuse};
use crate::progress::counted;

/// Probes every model of the space on this machine, and simulates the night.
pub async fn plan(arguments: &cli::Plan) -> Result<Ending> {
    let mut plan = study_file::read(&arguments.file, &arguments.set).map_err(StudyFileReport::from)?;
    plan.folder = std::path::absolute(&plan.folder).into_diagnostic()?;
    let length = arguments.for_.as_deref().map(|text| run::duration("--for", text)).transpose()?;
    if length.is_none() && plan.trials.is_none() {
        return Err(misuse("the study has no end to plan for", "say --for 8h, or set `trials` in the study file"));
    }
    let slots = slots::find(&arguments.slots.options()).into_diagnostic()?;
    // What is wrong with the data is said once, and not by each probe.
    data::load(&plan.data, &plan.folder, plan.seed).map_err(|error| run::bad_data(error, &plan, &arguments.file))?;
    if let Some(learning) = &plan.policy {
        say!("note: a policy is learned before the first trial, for {} and a table of harm", learning.budget);
    }
    plan.expect_policy();
    let measured = timing::measure(&plan, &slots).await?;
    if let Some(length) = length {
        let search = length.mul_f64(plan.confirm.search_share());
        plan.set_open_epochs(epochs_that_fit(&measured.pace, search, slots::certain(&slots).len(), plan.recipe.epochs));
    }
    let forecast = timing::simulate(&plan, &slots, length, &measured.pace).await?;
    let text = describe(&plan, &forecast, &measured, slots::certain(&slots).len(), length);
    say!("{}", text.trim_end());
    Ok(Ending::Done)
}

fn describe(plan: &Plan, forecast: &Forecast, measured: &Measured, workers: usize, length: Option<Duration>) -> String {
    let states = &forecast.summary.states;
    let trials: usize = states.values().sum();
    let complete = states.get("complete").copied().unwrap_or(0);
    let mut text = format!(
        "\nsimulated on {}, with this study's pruner and random points:\n\
         about {}, {complete} of them to the end; {} in {}; workers busy {:.1} % of the time\n",
        counted(workers, "worker"),
        counted(trials, "trial"),
        counted(forecast.epochs, "epoch"),
        seconds(forecast.length),
        100.0 * forecast.busy,
    );
    if let Some((shortest, longest)) = measured.epochs
        && plan.confirm.top > 0
    {
        let trainings = plan.confirm.top * plan.confirm.seeds;
        let rounds = trainings.div_ceil(workers as u64) as f64;
        let [shortest, longest] = [shortest, longest].map(|epoch| epoch.mul_f64(plan.recipe.epochs as f64 * rounds));
        let trainings = counted(trainings, "training");
        text += &format!("confirmation: up to {trainings}, {} to {}\n", seconds(shortest), seconds(longest));
        if let Some(length) = length {
            let most = length.mul_f64(plan.confirm.share);
            text += &format!("kept for it: what it needs, at most the last {}\n", seconds(most));
            if let Some(note) = timing::note_short_confirmation(plan, measured, length, workers) {
                text += &format!("{note}\n");
            }
        }
    }
    let checkpoint = measured.pace.checkpoint_bytes();
    text += &format!("checkpoints: up to {:.1} GB if all are kept\n", checkpoint as f64 * trials as f64 / 1e9);
    if forecast.summary.ending == RunEnding::Deadline && complete < 3 {
        text += "note: hardly any trial gets to its end: lower `recipe.epochs` or `data.image_size`, or use a pruner\n";
    }
    text
}
