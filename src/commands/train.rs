//! `nightsweep train`: one recipe, from its file to its score.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use miette::{IntoDiagnostic, Result};
use nightsweep_trainer::{
    CheckpointFolder, DeviceName, EpochReport, Job, Metric, Next, Observer, Outcome, data, device, fit,
};

use crate::cli::Train;
use crate::failure::{Ending, advise};
use crate::recipe_file::{Expected, RecipeFile};

/// Trains, and says whether the expected score came out again.
pub fn train(arguments: &Train) -> Result<Ending> {
    let file = RecipeFile::read(&arguments.recipe)?;
    let name = arguments.device.unwrap_or_else(|| choose_device(file.expected.as_ref()));
    // Before anything else computes: the number of threads cannot change afterwards.
    let device = name.open().into_diagnostic()?;
    let data = data::load(&file.data, &RecipeFile::folder(&arguments.recipe), file.seed.study).into_diagnostic()?;
    data.notices.iter().for_each(|notice| say!("note: {notice}"));
    if let Some(expected) = &file.expected
        && expected.fingerprint != data.fingerprint
    {
        let differs = format!(
            "the data in `{}` is not what the expected score comes from (fingerprint {}, expected {})",
            file.data.path,
            short(&data.fingerprint),
            short(&expected.fingerprint)
        );
        if !arguments.other_data {
            let help = "put the data back as it was, or train on it as it is with --other-data: the score will differ";
            return Err(advise(differs, help));
        }
        say!("note: {differs}");
    }
    say!("training on {name}: {} images, {} to validate", data.train.len(), data.validation.len());
    let checkpoints = arguments.output.as_ref().map(CheckpointFolder::new);
    let interrupted = Arc::new(AtomicBool::new(false));
    let flag = interrupted.clone();
    super::on_interrupt(move || flag.store(true, Ordering::Relaxed))?;
    let epoch = file.expected.as_ref().map(|expected| expected.epoch);
    let mut printer = Printer { metric: file.metric, epochs: file.recipe.epochs, epoch, value: None, interrupted };
    let base = RecipeFile::folder(&arguments.recipe);
    let job = Job {
        recipe: &file.recipe,
        data: &data,
        base: &base,
        seed: file.seed,
        metric: file.metric,
        device: &device,
        checkpoints,
        reported: 0,
    };
    match fit(&job, &mut printer).into_diagnostic()? {
        Outcome::Completed { value, epoch } => {
            say!("{}: {value} (epoch {epoch})", file.metric.name());
            if let Some(expected) = &file.expected {
                // Of a trial that was not trained to its end, an earlier epoch's.
                compare(printer.value.unwrap_or(value), expected);
            }
            Ok(Ending::Done)
        }
        Outcome::Diverged { epoch } => Err(advise(
            format!("the loss is no number any more in epoch {epoch}"),
            "a smaller learning rate, a warm-up or `clip_norm` may help",
        )),
        Outcome::Interrupted | Outcome::Paused | Outcome::Stopped => {
            let next =
                if arguments.output.is_some() { "the same command goes on" } else { "without -o nothing was kept" };
            say!("interrupted; {next}");
            Ok(Ending::Interrupted)
        }
    }
}

/// Enough of a hash to tell it from another.
fn short(fingerprint: &str) -> &str {
    fingerprint.get(..12).unwrap_or(fingerprint)
}

fn compare(value: f64, expected: &Expected) {
    let Expected { value: there, epoch, device, .. } = expected;
    match value == *there {
        true => say!("epoch {epoch} has the expected score, bit for bit"),
        false => say!("epoch {epoch} had {there} on {device}: {:+} off", value - there),
    }
}

/// Where it was trained before, if that is a CPU or a GPU that is here; else the first GPU, else the CPU.
pub fn choose_device(expected: Option<&Expected>) -> DeviceName {
    let gpus = device::count_cuda();
    match expected.and_then(|expected| expected.device.parse().ok()) {
        Some(DeviceName::Cuda { index }) if index >= gpus => DeviceName::Cpu { threads: 0 },
        Some(name) => name,
        None if gpus > 0 => DeviceName::Cuda { index: 0 },
        None => DeviceName::Cpu { threads: 0 },
    }
}

struct Printer {
    metric: Metric,
    epochs: u64,
    /// The epoch that the expected score is of, …
    epoch: Option<u64>,
    /// … and what it has here.
    value: Option<f64>,
    interrupted: Arc<AtomicBool>,
}

impl Observer for Printer {
    fn report(&mut self, report: &EpochReport) -> Next {
        if self.epoch == Some(report.epoch) {
            self.value = Some(report.value(self.metric));
        }
        let figure = |name: &str| report.metrics.get(name).copied().unwrap_or(f64::NAN);
        say!(
            "epoch {}/{}  train_loss {:.4}  val_loss {:.4}  {} {:.4}  lr {:.3e}  {:.0} images/s",
            report.epoch,
            self.epochs,
            figure("train_loss"),
            figure("val_loss"),
            self.metric.name(),
            figure(self.metric.name()),
            figure("lr"),
            figure("images_per_second"),
        );
        Next::Train
    }

    fn notes(&mut self, text: &str) {
        say!("note: {text}");
    }

    fn is_interrupted(&mut self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }
}
