//! How well weights do on images that they were not trained on.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use crate::batches::{Scaling, plain_batches};
use crate::data::{Dataset, Images};
use crate::metric::{Answer, Answers, Confusion, Evaluation, Tally};
use crate::model::{InputShape, Model};
use crate::recipe::{Recipe, TestTime};
use crate::report::EpochReport;
use crate::seed::TrialSeed;
use crate::test_time;
use crate::weights::{self, Head, NamedTensors, WeightsFile};

use super::{FitError, images_of, input_shape, labels};

/// Images per batch where no gradients are kept.
const EVALUATION_BATCH: usize = 256;

/// What evaluation.json in a trial's folder says of the epoch that counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvaluationFile {
    /// Epochs done, from 1.
    pub epoch: u64,
    /// All that was reported after it.
    pub metrics: BTreeMap<String, f64>,
    /// Names of the classes, in the order of what follows.
    pub classes: Vec<String>,
    /// For each class the share of its images that were taken for it; null for a class without images.
    pub recalls: Vec<Option<f64>>,
    /// Images by true class (rows) and most likely class (columns).
    pub confusion: Confusion,
}

impl EvaluationFile {
    pub(super) fn new(report: &EpochReport, classes: &[String], evaluation: Evaluation) -> Self {
        Self {
            epoch: report.epoch,
            metrics: report.metrics.clone(),
            classes: classes.to_vec(),
            recalls: evaluation.confusion.recalls(),
            confusion: evaluation.confusion,
        }
    }
}

/// The weights of a file for a recipe's model on a data set, every tensor of it.
pub fn read_weights(recipe: &Recipe, data: &Dataset, path: &Path, device: &Device) -> Result<NamedTensors, FitError> {
    let seed = TrialSeed { study: 0, trial: 0 };
    let model = Model::new(&recipe.model, input_shape(data), seed, device);
    let (model, _) = WeightsFile::read(path)?.put_into(model, Head::MustFit)?;
    Ok(weights::collect(&model))
}

/// Evaluates given weights on given images, prepared as the recipe does. Waits for the device.
pub fn evaluate_weights(
    recipe: &Recipe,
    data: &Dataset,
    weights: NamedTensors,
    images: Arc<Images>,
    device: &Device,
) -> Result<Evaluation, FitError> {
    let seed = TrialSeed { study: 0, trial: 0 };
    let model = weights::restore(Model::new(&recipe.model, input_shape(data), seed, device), weights)?;
    let scaling = Scaling::new(recipe.normalize, &recipe.preprocess.apply(&data.train));
    let images = recipe.preprocess.apply(&images);
    let (evaluation, _) = evaluate(&model, images, &scaling, &recipe.test_time, input_shape(data), device, &mut || {});
    Ok(evaluation)
}

/// What a model does on all images, and what it says of each. Gathers on the device and reads back at the end; calls
/// `after_batch` after each batch.
pub(super) fn evaluate(
    model: &Model,
    images: Arc<Images>,
    scaling: &Scaling,
    test_time: &TestTime,
    shape: InputShape,
    device: &Device,
    after_batch: &mut dyn FnMut(),
) -> (Evaluation, Vec<Answer>) {
    let (mut tally, mut answers) = (Tally::new(shape.classes, device), Answers::default());
    for batch in plain_batches(images, scaling.clone(), EVALUATION_BATCH) {
        let labels = labels(&batch, device);
        let images = images_of(batch, shape, device);
        let scores = test_time::scores(test_time, images, |view| model.forward(view));
        answers.add(scores.clone(), labels.clone());
        tally.add(scores, labels);
        after_batch();
    }
    // Waits for the device.
    (tally.read(), answers.read())
}
