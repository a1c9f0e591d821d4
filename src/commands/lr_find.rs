//! `nightsweep lr-find`: the learning-rate range test, on images, on a recipe file, or on a study file.

use std::fs;
use std::path::Path;

use miette::{Context, IntoDiagnostic, Result};
use nightsweep_store::Store;
use nightsweep_trainer::data;
use nightsweep_trainer::fit::{RateCurve, SuggestedRates};
use nightsweep_trainer::{DeviceName, Job, Metric, RangeTest, device};
use nightsweep_trials::Plan;
use nightsweep_web::figure::{Axis, Colour, Content, Figure, Format, Kind, Mark, Panel, Theme};
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use super::studies;
use super::subject::Subject;
use crate::cli::LrFind;
use crate::failure::{Ending, advise};
use crate::recipe_file::RecipeFile;

/// What `--json` prints.
#[derive(Debug, Serialize, Deserialize)]
struct Found {
    suggested: Option<SuggestedRates>,
    curve: RateCurve,
}

/// Measures, draws, and prints what the curve suggests.
pub fn lr_find(arguments: &LrFind) -> Result<Ending> {
    let subject = Subject::read(&arguments.subject)?;
    let gpu = || (device::count_cuda() > 0).then_some(DeviceName::Cuda { index: 0 });
    let name = arguments.device.or_else(gpu).unwrap_or(DeviceName::Cpu { threads: 0 });
    // Before anything else computes: the number of threads cannot change afterwards.
    let device = name.open().into_diagnostic()?;
    let data = data::load(&subject.data, &subject.folder, subject.seed.study).into_diagnostic()?;
    let job = Job {
        recipe: &subject.recipe,
        data: &data,
        seed: subject.seed,
        metric: Metric::default(),
        device: &device,
        base: &subject.folder,
        checkpoints: None,
        reported: 0,
    };
    let test = RangeTest { low: arguments.low, high: arguments.high, updates: arguments.updates };
    let speaks = !arguments.json;
    if speaks {
        say!("training on {name} with rates from {:.1e} to {:.1e}", test.low, test.high);
    }
    let mut updates = 0u64;
    let mut go_on = |point: &nightsweep_trainer::fit::RatePoint| {
        updates += 1;
        if speaks && updates.is_multiple_of(10) {
            say!("lr {:.3e}  loss {:.4}  smoothed {:.4}", point.lr, point.loss, point.smoothed);
        }
        true
    };
    let curve = nightsweep_trainer::lr_find(&job, test, &mut go_on).into_diagnostic()?;
    let suggested = curve.suggest();
    if curve.points.len() > 1 {
        let svg = figure(&curve, suggested).file(Format::Svg, Theme::Light).into_diagnostic()?;
        fs::write(&arguments.output, svg)
            .into_diagnostic()
            .wrap_err_with(|| format!("could not write `{}`", arguments.output.display()))?;
    }
    if arguments.json {
        say!("{}", serde_json::to_string(&Found { suggested, curve }).into_diagnostic()?);
        return Ok(Ending::Done);
    }
    let Some(SuggestedRates { steepest, valley, low, high }) = suggested else {
        return Err(advise(
            format!("the loss falls at no rate from {:.1e} to {:.1e}", test.low, test.high),
            "other bounds (--low, --high), more updates (--updates), or a warm-up may show where it does",
        ));
    };
    say!("steepest fall at {steepest:.2e}, valley at {valley:.2e}");
    say!("worth searching: lr = {{ low = {low:.1e}, high = {high:.1e}, log = true }}");
    say!("curve: {}", arguments.output.display());
    Ok(Ending::Done)
}

/// The losses over the rates, with what they suggest.
fn figure(curve: &RateCurve, suggested: Option<SuggestedRates>) -> Figure {
    let rates: Vec<f64> = curve.points.iter().map(|point| point.lr).collect();
    let losses = |of: fn(&nightsweep_trainer::fit::RatePoint) -> f64| curve.points.iter().map(of).collect::<Vec<_>>();
    let smoothed = losses(|point| point.smoothed);
    let lowest = smoothed.iter().copied().fold(f64::INFINITY, f64::min);
    // What diverges would squeeze the rest.
    let highest = (2.0 * smoothed[0]).max(lowest + f64::EPSILON);
    let y = Axis { label: "training loss".to_owned(), kind: Kind::Linear, low: lowest.min(0.0), high: highest };
    let ends = (rates[0], rates[rates.len() - 1]);
    let x = Axis { label: "lr".to_owned(), kind: Kind::Log, low: ends.0, high: ends.1 };
    let line = |name: &str, x: Vec<f64>, y: Vec<f64>, colour, dashed| Mark::Line {
        name: name.to_owned(),
        x,
        y,
        trial: None,
        colour,
        dashed,
    };
    let shown = |losses: Vec<f64>| losses.into_iter().map(|loss| loss.clamp(lowest.min(0.0), highest)).collect();
    let mut marks = vec![
        line("each update", rates.clone(), shown(losses(|point| point.loss)), Colour::Grey, false),
        line("smoothed", rates, shown(smoothed), Colour::Blue, false),
    ];
    if let Some(SuggestedRates { steepest, valley, low, high }) = suggested {
        let upright = |name: &str, at: f64, colour| line(name, vec![at; 2], vec![y.low, highest], colour, true);
        marks.extend([
            upright("steepest", steepest, Colour::Orange),
            upright("valley", valley, Colour::Green),
            upright("range", low, Colour::Purple),
            upright("", high, Colour::Purple),
        ]);
    }
    let panel = Panel { title: String::new(), note: String::new(), x, y, marks, scale: None };
    Figure {
        name: "lr-find",
        title: "Learning-rate range test",
        about: "The training loss while the rate grows.",
        content: Content::Panels(vec![panel]),
    }
}

/// Finds the rates that the study file leaves open, or takes them from the study if it was begun already.
pub async fn find_rates(store: &Store, plan: &mut Plan, folder: &Path, device: DeviceName) -> Result<()> {
    if plan.finds.is_empty() {
        return Ok(());
    }
    if let Some(row) = store.study_named(&plan.name).await.into_diagnostic()? {
        plan.take_found_rates(&studies::plan(&row)?);
        return Ok(());
    }
    for rate in plan.finds.clone() {
        let picture = folder.join(format!("lr-find-{rate}.svg"));
        say!("{rate}: looking for the rates at which the loss falls, on {device}");
        let SuggestedRates { steepest, valley, low, high } = measure(plan, &rate, folder, &picture, device).await?;
        // Two digits say all that such a test can, and read well.
        let (low, high) = (round(low, f64::floor), round(high, f64::ceil));
        plan.search_rate(&rate, low, high);
        say!("{rate}: searched from {low} to {high} (steepest fall at {steepest:.2e}, valley at {valley:.2e})");
        say!("{rate}: curve in {}", picture.display());
    }
    Ok(())
}

/// Runs the test as a process of its own, so that no device stays taken and no failure is ours.
async fn measure(plan: &Plan, rate: &str, folder: &Path, picture: &Path, device: DeviceName) -> Result<SuggestedRates> {
    let advice = "give it a range, as { low = 1e-3, high = 1.0, log = true }";
    let recipe = plan.recipe_to_measure(rate).into_diagnostic()?;
    let file = folder.join(format!("lr-find-{rate}.toml"));
    RecipeFile::of(plan, recipe).write(&file)?;
    let mut command = Command::new(std::env::current_exe().into_diagnostic()?);
    command.arg("lr-find").arg(&file).arg("--json").arg("--output").arg(picture).arg("--device");
    let output = command.arg(device.to_string()).kill_on_drop(true).output().await.into_diagnostic()?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        return Err(advise(format!("the range test of `{rate}` failed: {}", errors.trim()), advice));
    }
    let found: Found = serde_json::from_slice(&output.stdout).into_diagnostic()?;
    found.suggested.ok_or_else(|| {
        let message = format!("no range was found for `{rate}`: the loss falls at none of the rates that were tried");
        advise(message, advice)
    })
}

/// To two significant digits.
fn round(value: f64, up_or_down: fn(f64) -> f64) -> f64 {
    let exponent = value.log10().floor() as i32 - 1;
    // Through text, so that the number is the one that is read.
    let digits = up_or_down(value / 10f64.powi(exponent));
    format!("{digits}e{exponent}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_found_rate_has_two_digits() {
        let check = |value: f64, down: f64, up: f64| {
            assert_eq!((round(value, f64::floor), round(value, f64::ceil)), (down, up));
        };
        check(0.012345, 0.012, 0.013);
        check(9.99e-4, 9.9e-4, 1e-3);
        check(5.55, 5.5, 5.6);
    }
}
