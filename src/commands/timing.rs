//! What `plan` and `run` measure before a night, and how they say what it will bring.

use std::time::Duration;

use miette::{IntoDiagnostic, Result};
use nightsweep_search::Outlook;
use nightsweep_trials::Plan;
use nightsweep_trials::controller::Ending as RunEnding;
use nightsweep_trials::forecast::{Forecast, forecast};
use nightsweep_trials::pace::{Family, Pace};
use nightsweep_trials::probes::{self, ProbeError};
use nightsweep_trials::slots::{self, Slot};
use nightsweep_trials::worker::chain;

use crate::failure::advise;
use crate::progress::counted;

/// Epochs that are simulated at most: a longer night is as the first part of it.
const SIMULATED_EPOCHS: f64 = 3000.0;

/// What was measured of a study's models.
pub struct Measured {
    /// What epochs take.
    pub pace: Pace,
    /// The shortest and the longest epoch.
    pub epochs: Option<(Duration, Duration)>,
}

/// Probes every model of the space on these slots and prints what was found. A model that cannot be trained is a note; that
/// none can is an error.
pub async fn measure(plan: &Plan, slots: &[Slot]) -> Result<Measured> {
    let recipes = probes::recipes(plan);
    say!("probing {} of model and batch on {}", counted(recipes.len(), "combination"), slots[0].device);
    say!("| model | batch | an epoch | {} | memory | checkpoint |", counted(plan.recipe.epochs, "epoch"));
    say!("| --- | ---: | ---: | ---: | ---: | ---: |");
    let (mut pace, mut errors, mut epochs) = (Pace::default(), Vec::new(), Vec::new());
    for (recipe, found) in probes::run(plan, recipes, &slots::certain(slots)).await {
        let (model, batch) = (Family::of(&recipe).kind().to_owned(), recipe.batch_size);
        match found {
            Ok(found) => {
                let memory = found.probe.device_memory.or(found.probe.peak_memory);
                say!(
                    "| {model} | {batch} | {} | {} | {} | {:.1} MB |",
                    seconds(found.probe.epoch),
                    seconds(found.probe.epoch.mul_f64(recipe.epochs as f64)),
                    memory.map_or("-".to_owned(), |bytes| format!("{} MB", bytes / 1_000_000)),
                    found.probe.checkpoint as f64 / 1e6,
                );
                pace.learn_probe(&recipe, &found.probe, found.start_up);
                epochs.push(found.probe.epoch);
            }
            Err(error) => {
                say!("| {model} | {batch} | - | - | - | - |");
                errors.push((model, batch, error));
            }
        }
    }
    for (model, batch, error) in &errors {
        say!("note: {model} with batches of {batch}: {}", chain(error));
    }
    match errors.into_iter().next() {
        Some((_, _, error)) if pace.is_empty() => {
            let hint = match error {
                ProbeError::Diverged => "lower the learning rate of `[recipe]`",
                ProbeError::Slow => "a smaller model, smaller images, or a GPU",
                ProbeError::Died { .. } => "mend what it says; `nightsweep doctor` checks the machine",
            };
            Err(advise(format!("no model of the study could be probed: {error}"), hint))
        }
        _ => Ok(Measured { pace, epochs: epochs.iter().min().copied().zip(epochs.iter().max().copied()) }),
    }
}

/// What a simulation of the night brings, scaled up to its length if that is long.
pub async fn simulate(plan: &Plan, slots: &[Slot], night: Option<Duration>, pace: &Pace) -> Result<Forecast> {
    let temporary = scratch()?;
    let slots = slots::certain(slots);
    let mean = pace.mean().unwrap_or(Duration::from_secs(60)).max(Duration::from_millis(1));
    let most = mean.mul_f64(SIMULATED_EPOCHS / slots.len() as f64);
    let simulated = night.map(|night| night.min(most));
    let folder = temporary.path().to_owned();
    let mut found = forecast(plan, slots, simulated, pace, folder).await.into_diagnostic()?;
    // A search that came to its own end is the whole of it.
    if let (Some(night), Some(simulated), RunEnding::Deadline) = (night, simulated, &found.summary.ending) {
        let factor = night.as_secs_f64() / simulated.as_secs_f64();
        let grow = |count: u64| (count as f64 * factor).round() as u64;
        found.epochs = grow(found.epochs);
        found.length = found.length.mul_f64(factor);
        found.summary.states.values_mut().for_each(|count| *count = grow(*count as u64) as usize);
    }
    Ok(found)
}

/// A folder in memory if there is one: the log of a virtual night need not survive a power cut.
fn scratch() -> Result<tempfile::TempDir> {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).into_diagnostic()
}

/// An outlook in a few lines.
pub fn describe(outlook: &Outlook) -> String {
    let of = |seconds: f64| self::seconds(Duration::from_secs_f64(seconds.max(0.0)));
    let mut text = format!(
        "plan: {} left on {}: about {}, {} of them to the end, {}",
        of(outlook.left_seconds),
        counted(outlook.workers, "worker"),
        counted(outlook.trials, "trial"),
        outlook.complete,
        counted(outlook.epochs, "epoch"),
    );
    if outlook.reserved_seconds > 0.0 {
        text += &format!("; the last {} are kept for the confirmation", of(outlook.reserved_seconds));
    }
    text
}

/// What a person should know if the confirmation has less time than it needs.
pub fn note_short_confirmation(plan: &Plan, measured: &Measured, night: Duration, workers: usize) -> Option<String> {
    let (_, longest) = measured.epochs.filter(|_| plan.confirm.top > 0)?;
    let rounds = (plan.confirm.top * plan.confirm.seeds).div_ceil(workers as u64);
    let need = longest.mul_f64((plan.recipe.epochs * rounds) as f64);
    let most = night.mul_f64(plan.confirm.share);
    (most < need).then(|| {
        format!(
            "note: the confirmation may need {} and has {} at most: raise `confirm.share`, or lower `confirm.top` or \
             `confirm.seeds`",
            seconds(need),
            seconds(most)
        )
    })
}

/// What does not change in the course of a night: rungs and disk.
pub fn describe_frame(outlook: &Outlook) -> String {
    let rungs = |bracket: &Vec<u64>| match bracket.as_slice() {
        [] => "none".to_owned(),
        rungs => rungs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    };
    let brackets: Vec<String> = outlook.brackets.iter().map(rungs).collect();
    let judged = match brackets.as_slice() {
        [] => "every trial is trained to its end or judged at each epoch".to_owned(),
        [one] => format!("judged after epochs {one}"),
        many => format!("{} brackets, judged after epochs {}", many.len(), many.join(" | ")),
    };
    format!(
        "      {} to a training, {judged}; checkpoints up to {:.1} GB if all are kept",
        counted(outlook.max_epochs, "epoch"),
        outlook.disk_bytes as f64 / 1e9
    )
}

/// A time with two digits or so.
pub fn seconds(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        ..10.0 => format!("{seconds:.1} s"),
        ..120.0 => format!("{seconds:.0} s"),
        ..7200.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.1} h", seconds / 3600.0),
    }
}
