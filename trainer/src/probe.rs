//! How long a training takes and how much it needs, measured on a few of its batches.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use crate::checkpoint::CheckpointFolder;
use crate::data::{Dataset, Images};
use crate::fit::{FitError, Job, Next, Observer, fit};
use crate::metric::Metric;
use crate::recipe::{Augment, Recipe};
use crate::report::EpochReport;
use crate::seed::TrialSeed;

/// Steps of a probe's epoch.
const STEPS: usize = 3;
/// Images that a probe validates on.
const VALIDATION: usize = 256;

/// What a training needs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// Time of one epoch on all the data, with its validation and its checkpoint.
    pub epoch: Duration,
    /// Of that, time of the validation and the checkpoint.
    pub validation: Duration,
    /// Bytes that the process took at its peak, where the system says.
    pub peak_memory: Option<u64>,
    /// Bytes that it took on a GPU.
    pub device_memory: Option<u64>,
    /// Bytes of a trial's checkpoints on disk.
    pub checkpoint: u64,
}

/// Trains two short epochs: the first one warms up, the second one is scaled up to the whole data. `None` if the loss
/// was no number. Writes into the system's folder for temporary files.
pub fn probe(
    recipe: &Recipe,
    data: &Dataset,
    metric: Metric,
    device: &Device,
    seed: TrialSeed,
) -> Result<Option<Probe>, FitError> {
    let short = Dataset {
        train: first(&data.train, STEPS * recipe.batch_size),
        validation: first(&data.validation, VALIDATION),
        ..data.clone()
    };
    // Weights of a file take no longer to train than fresh ones, and generated images no longer than real ones.
    let augment = Augment { generated: Default::default(), ..recipe.augment.clone() };
    let two = Recipe { epochs: 2, patience: 0, pretrained: Default::default(), augment, ..recipe.clone() };
    let folder = std::env::temp_dir().join(format!("nightsweep-probe-{}", std::process::id()));
    let checkpoints = Some(CheckpointFolder::new(&folder));
    let mut watch = Watch::default();
    let base = Path::new(".");
    let job = Job { recipe: &two, data: &short, base, seed, metric, device, checkpoints, reported: 0 };
    let trained = fit(&job, &mut watch);
    let checkpoint = size_of(&folder);
    // What is left there harms nobody.
    let _ = fs::remove_dir_all(&folder);
    trained?;
    let ([first_end, second_end], Some(report)) = (&watch.ends[..], &watch.last) else { return Ok(None) };
    let figure = |name: &str| report.metrics.get(name).copied().filter(|value| value.is_finite());
    let training = figure("train_seconds").unwrap_or(0.0);
    let rest = (second_end.duration_since(*first_end).as_secs_f64() - training).max(0.0);
    let steps = |images: usize| (images / recipe.batch_size).max(1) as f64;
    let validations = data.validation.len() as f64 / short.validation.len() as f64;
    let validation = rest * validations;
    let epoch = training * steps(data.train.len()) / steps(short.train.len()) + validation;
    Ok(Some(Probe {
        epoch: Duration::from_secs_f64(epoch),
        validation: Duration::from_secs_f64(validation),
        peak_memory: figure("peak_memory_bytes").map(|bytes| bytes as u64),
        device_memory: figure("device_memory_bytes").map(|bytes| bytes as u64),
        checkpoint,
    }))
}

/// Remembers when epochs ended.
#[derive(Default)]
struct Watch {
    ends: Vec<Instant>,
    last: Option<EpochReport>,
}

impl Observer for Watch {
    fn report(&mut self, report: &EpochReport) -> Next {
        self.ends.push(Instant::now());
        self.last = Some(report.clone());
        Next::Train
    }
}

/// The first images of a split, all of them if there are fewer.
fn first(images: &Images, count: usize) -> Arc<Images> {
    let count = count.min(images.len());
    let Images { height, width, channels, .. } = *images;
    let pixels = images.pixels[..count * height * width * channels].to_vec();
    Arc::new(Images { pixels, labels: images.labels[..count].to_vec(), height, width, channels })
}

fn size_of(folder: &Path) -> u64 {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).map(|about| about.len()).sum()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use crate::data::{self, DataSpec};
    use crate::recipe::{Mlp, ModelSpec};

    use super::*;

    #[test]
    fn a_probe_is_short_and_leaves_nothing_behind() {
        let data = data::load(&DataSpec::new("fashion-mnist-mini"), Path::new("."), 0).unwrap();
        let model = ModelSpec::Mlp(Mlp { width: 32, ..Mlp::default() });
        let recipe = Recipe { model, batch_size: 64, epochs: 100, ..Recipe::default() };
        let begin = Instant::now();
        let seed = TrialSeed { study: 0, trial: 0 };
        let found = probe(&recipe, &data, Metric::ValAccuracy, &Device::flex(), seed).unwrap().unwrap();
        assert!(found.epoch > Duration::ZERO && found.epoch < begin.elapsed() * 100);
        // Weights and momenta of about 26,000 parameters, in the last checkpoint and the one before.
        assert!(found.checkpoint > 2 * 2 * 26_000 * 4, "{found:?}");
        assert!(!std::env::temp_dir().join(format!("nightsweep-probe-{}", std::process::id())).exists());
    }
}
