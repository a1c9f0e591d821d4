//! A batch's loss and gradients, in pieces that fit the memory and in the recipe's precision, and the update that they make.

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{FloatDType, Tensor};

use crate::batches::{Batch, EpochShape};
use crate::optimizer::Rates;
use crate::seed::Purpose;

use super::{Training, images_of, targets};

impl Training<'_> {
    /// Learns from a batch, with an update where one is due; returns the loss, on the device.
    pub(super) fn learn(&mut self, batch: Batch, rates: Rates) -> Tensor<1> {
        let EpochShape { batches_per_update, .. } = self.epoch_shape();
        self.device.seed(self.job.seed.number(Purpose::Dropout, self.place.epoch, self.place.step));
        let loss = self.gather(batch, 1.0 / batches_per_update as f64);
        self.place.step += 1;
        if self.place.step.is_multiple_of(batches_per_update) {
            self.update(rates);
        }
        loss
    }

    /// Adds a batch's gradients, times its share of the update, to those gathered for it; returns the batch's loss.
    fn gather(&mut self, batch: Batch, share: f64) -> Tensor<1> {
        let recipe = &self.recipe;
        let shape = self.input_shape();
        let model = recipe.precision.of_model(&self.model);
        let scale = self.place.loss_scale.map_or(1.0, |scale| scale.factor);
        let mass = |batch: &Batch| self.loss.mass(&batch.labels, batch.mixed.is_some());
        let all = mass(&batch);
        let mut sum: Option<Tensor<1>> = None;
        for piece in batch.pieces(recipe.micro_batch) {
            let part = mass(&piece) / all;
            let targets = targets(&piece, shape, &self.device);
            let images = images_of(piece, shape, &self.device).cast(recipe.precision.dtype());
            let loss = self.loss.mean(model.forward(images).cast(FloatDType::F32), &targets);
            let gradients = GradientsParams::from_grads(times(loss.clone(), scale).backward(), &model);
            self.gradients.add(&model, gradients, share * part / scale);
            let loss = times(loss.inner(), part);
            sum = Some(match sum {
                Some(sum) => sum + loss,
                None => loss,
            });
        }
        sum.expect("a batch has images")
    }

    /// Makes an update of what was gathered for it. Where half precision was too small for the gradients there is none,
    /// and the loss is scaled less from then on.
    fn update(&mut self, rates: Rates) {
        let gradients = std::mem::take(&mut self.gradients);
        if let Some(scale) = self.place.loss_scale {
            // Waits for the device.
            let overflowed = !gradients.are_finite();
            self.place.loss_scale = Some(scale.after(overflowed));
            if overflowed {
                self.place.skipped += 1;
                return;
            }
        }
        self.model = self.optimizer.step(self.model.clone(), gradients, rates);
        if let Some(average) = &mut self.average {
            average.follow(self.model.valid(), self.optimizer.updates());
        }
    }
}

fn times(loss: Tensor<1>, factor: f64) -> Tensor<1> {
    if factor == 1.0 { loss } else { loss.mul_scalar(factor) }
}
