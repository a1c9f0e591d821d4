//! A network that was trained to judge views of images.

use std::sync::Arc;

use burn::tensor::{Device, activation};

use crate::augment::Canvas;
use crate::batches::{Scaling, views};
use crate::data::Images;
use crate::fit::{FitError, Job, Observer, Outcome, fit_weights, images_of, input_shape};
use crate::model::{InputShape, Model};
use crate::recipe::Preprocess;
use crate::weights;

/// Images per batch where no gradients are kept.
const BATCH: usize = 256;

/// A trained network, with what prepares images for it.
#[derive(Debug)]
pub struct Child {
    model: Model,
    scaling: Scaling,
    preprocess: Preprocess,
    shape: InputShape,
    device: Device,
}

impl Child {
    /// Trains one. `None` as child if the loss was no number, or if the observer ended it before the first epoch's end.
    pub fn train(job: &Job, observer: &mut dyn Observer) -> Result<(Outcome, Option<Self>), FitError> {
        let (outcome, tensors) = fit_weights(job, observer)?;
        if tensors.is_empty() {
            return Ok((outcome, None));
        }
        let shape = input_shape(job.data);
        let model = weights::restore(Model::new(&job.recipe.model, shape, job.seed, job.device), tensors)?;
        let preprocess = job.recipe.preprocess.clone();
        let scaling = Scaling::new(job.recipe.normalize, &preprocess.apply(&job.data.train));
        Ok((outcome, Some(Self { model, scaling, preprocess, shape, device: job.device.clone() })))
    }

    /// Images as the child's training saw them before it augmented them.
    pub fn prepare(&self, images: &Arc<Images>) -> Arc<Images> {
        self.preprocess.apply(images)
    }

    /// Log-likelihoods of all classes, `[order, classes]`, of views of prepared images. `view` draws the view of the image
    /// at an index; one beyond the images is one of them that comes again. Waits for the device.
    pub fn log_likelihoods(
        &self,
        images: &Arc<Images>,
        order: Vec<usize>,
        view: impl Fn(&mut Canvas, &Images, usize) + Send + Sync + 'static,
    ) -> Vec<f32> {
        let mut all = Vec::with_capacity(order.len() * self.shape.classes);
        for batch in views(images.clone(), self.scaling.clone(), order, BATCH, view) {
            let scores = self.model.forward(images_of(batch, self.shape, &self.device));
            all.extend(activation::log_softmax(scores, 1).into_data().iter::<f32>());
        }
        all
    }
}
