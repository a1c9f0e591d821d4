//! Learning a relaxed policy while a child trains under it: the policy shall make the child's next step good for images
//! that are held out. The gradient is DARTS's second-order one (Liu 2019, arXiv 1806.09055, equation 7), as DADA uses it,
//! with the product of Hessian and vector as a difference quotient.

use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor, TensorData};
use rand::RngExt;
use rand::seq::SliceRandom;

use super::{Move, Relaxed, RelaxedSettings};
use crate::augment::Size;
use crate::batches::Scaling;
use crate::data::Images;
use crate::fit::{FitError, Job, input_shape};
use crate::loss::{Loss, Targets};
use crate::model::{InputShape, Model};
use crate::optimizer::{Gradients, Optimizer, Rates};
use crate::recipe::{Policy, Recipe};
use crate::schedule::{Past, Progress};
use crate::seed::Purpose;

/// Size of the difference quotient's step over the gradient's norm: DARTS's.
const EPSILON: f64 = 0.01;
/// Every so-many-th training image is held out for the policy.
const HELD_OUT: usize = 4;

/// How a relaxed policy is learned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bilevel {
    /// Of the policy.
    pub relaxed: RelaxedSettings,
    /// Steps before the policy begins to learn: a child that knows nothing has nothing to say.
    pub warm_up: u64,
}

impl Default for Bilevel {
    fn default() -> Self {
        Self { relaxed: RelaxedSettings::default(), warm_up: 50 }
    }
}

/// Trains a child by the job's recipe, with the moves in the place of its policy, and learns the policy meanwhile; `go_on`
/// hears of each step, with how many there are, and may end it. The validation split is not looked at.
pub fn learn_relaxed(
    job: &Job,
    moves: &[Move],
    bilevel: Bilevel,
    go_on: &mut dyn FnMut(u64, u64) -> bool,
) -> Result<Policy, FitError> {
    job.recipe.check()?;
    let images = job.recipe.preprocess.apply(&job.data.train);
    let is_held_out = |index: &usize| index % HELD_OUT == HELD_OUT - 1;
    let (held_out, train): (Vec<usize>, Vec<usize>) = (0..images.len()).partition(is_held_out);
    if held_out.is_empty() {
        return Err(FitError::Empty { split: "held-out" });
    }
    let mut child = Child::new(job, &images);
    let mut relaxed = Relaxed::new(moves.to_vec(), bilevel.relaxed);
    let batch_size = job.recipe.batch_size.min(train.len());
    let per_epoch = (train.len() / batch_size) as u64;
    let total = per_epoch * job.recipe.epochs;
    for step in 0..total {
        if !go_on(step, total) {
            break;
        }
        let (epoch, place) = (step / per_epoch, (step % per_epoch) as usize);
        let order = shuffled(&train, job, epoch);
        let indices = &order[place * batch_size..(place + 1) * batch_size];
        let mut random = job.seed.stream(Purpose::Policy, 1, step);
        let drawn = relaxed.draw(&images, indices, &child.scaling, &mut random);
        let classes = classes_of(&images, indices);
        let gradients = child.gradients(&drawn.pixels, &classes);
        let rate = child.lr(step, per_epoch, total);
        if step >= bilevel.warm_up {
            let judges: Vec<usize> =
                (0..batch_size).map(|_| held_out[random.random_range(0..held_out.len())]).collect();
            let judges = (child.plain(&images, &judges), classes_of(&images, &judges));
            let slope = child.image_gradient(&gradients, rate, (&drawn.pixels, &classes), (&judges.0, &judges.1));
            relaxed.learn(&drawn, &images, &child.scaling, &slope);
        }
        child.update(gradients, epoch, rate);
    }
    Ok(relaxed.policy())
}

/// The training images in the order of an epoch.
fn shuffled(train: &[usize], job: &Job, epoch: u64) -> Vec<usize> {
    let mut order = train.to_vec();
    order.shuffle(&mut job.seed.stream(Purpose::Order, epoch, 0));
    order
}

fn classes_of(images: &Images, indices: &[usize]) -> Vec<i64> {
    indices.iter().map(|index| i64::from(images.labels[*index])).collect()
}

/// A network under training.
struct Child<'a> {
    recipe: &'a Recipe,
    model: Model,
    optimizer: Optimizer,
    loss: Loss,
    scaling: Scaling,
    shape: InputShape,
    device: Device,
}

impl<'a> Child<'a> {
    fn new(job: &'a Job, images: &Images) -> Self {
        let device = job.device.clone().autodiff();
        let shape = input_shape(job.data);
        Self {
            recipe: job.recipe,
            model: Model::new(&job.recipe.model, shape, job.seed, &device),
            optimizer: Optimizer::new(job.recipe),
            loss: Loss::new(job.recipe, images, shape.classes),
            scaling: Scaling::new(job.recipe.normalize, images),
            shape,
            device,
        }
    }

    /// The values of images as they are.
    fn plain(&self, images: &Images, indices: &[usize]) -> Vec<f32> {
        let size = Size::of(images);
        let mut values = vec![0.0; indices.len() * size.bytes()];
        let places = values.chunks_exact_mut(size.bytes()).zip(indices);
        places.for_each(|(values, index)| self.scaling.apply(images.image(*index), values));
        values
    }

    fn images(&self, pixels: &[f32], count: usize) -> Tensor<4> {
        let InputShape { channels, height, width, .. } = self.shape;
        Tensor::from_data(TensorData::new(pixels.to_vec(), [count, channels, height, width]), &self.device)
    }

    fn targets(&self, classes: &[i64]) -> Targets {
        Targets::Classes(Tensor::from_data(TensorData::new(classes.to_vec(), [classes.len()]), &self.device))
    }

    fn gradients(&self, pixels: &[f32], classes: &[i64]) -> Gradients {
        Self::gradients_of(&self.model, &self.loss, self.images(pixels, classes.len()), &self.targets(classes))
    }

    fn gradients_of(model: &Model, loss: &Loss, images: Tensor<4>, targets: &Targets) -> Gradients {
        let loss = loss.mean(model.forward(images), targets);
        Gradients::of(model, GradientsParams::from_grads(loss.backward(), model))
    }

    /// The gradient, with respect to the drawn images, of the loss on the judging images after a step of gradient descent
    /// on the drawn ones. Waits for the device.
    fn image_gradient(
        &self,
        gradients: &Gradients,
        rate: f64,
        (pixels, classes): (&[f32], &[i64]),
        (judging, judging_classes): (&[f32], &[i64]),
    ) -> Vec<f32> {
        let ahead = gradients.shift(self.model.clone(), -rate);
        let judging = self.images(judging, judging_classes.len());
        let wanted = Self::gradients_of(&ahead, &self.loss, judging, &self.targets(judging_classes));
        // Waits for the device.
        let norm = wanted.norm().map_or(0.0, |norm| f64::from(norm.into_scalar::<f32>()));
        if !(norm > 0.0 && norm.is_finite()) {
            return vec![0.0; pixels.len()];
        }
        let epsilon = EPSILON / norm;
        let slope = |factor: f64| -> Vec<f32> {
            let model = wanted.shift(self.model.clone(), factor);
            let images = self.images(pixels, classes.len()).require_grad();
            let grads = self.loss.mean(model.forward(images.clone()), &self.targets(classes)).backward();
            let gradient = images.grad(&grads).expect("the loss depends on the images");
            gradient.into_data().iter::<f32>().collect()
        };
        let (above, below) = (slope(epsilon), slope(-epsilon));
        let factor = (-rate / (2.0 * epsilon)) as f32;
        above.iter().zip(below).map(|(above, below)| factor * (above - below)).collect()
    }

    fn lr(&self, step: u64, steps_per_epoch: u64, total_steps: u64) -> f64 {
        let past = Past { values: Vec::new(), is_maximized: true };
        let progress = Progress { step, total_steps, steps_per_epoch };
        self.recipe.lr(step / steps_per_epoch) * self.recipe.schedule.factor(progress, &past)
    }

    fn update(&mut self, gradients: Gradients, epoch: u64, lr: f64) {
        self.model = self.optimizer.step(self.model.clone(), gradients, Rates { epoch, lr, momentum: None });
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::data::{DataSpec, load};
    use crate::metric::Metric;
    use crate::recipe::{Adamw, Augment, Convnet, Direction, ModelSpec, Op, OptimizerSpec};
    use crate::seed::TrialSeed;

    #[test]
    fn operations_that_change_classes_are_unlearned() {
        let data = load(&DataSpec::new("arrows-and-disks"), Path::new(""), 1).unwrap();
        let recipe = Recipe {
            model: ModelSpec::Convnet(Convnet { width: 8, ..Default::default() }),
            optimizer: OptimizerSpec::Adamw(Adamw { lr: 0.01, ..Default::default() }),
            augment: Augment::none(),
            batch_size: 32,
            epochs: 8,
            ..Default::default()
        };
        let one = |op: Op| Move { op, direction: Direction::Either, most: op.has_strength().then_some(1.0) };
        let moves = [Op::Turn, Op::Grayscale, Op::TranslateX, Op::Sharpness].map(one);
        let device = Device::flex();
        let job = Job {
            recipe: &recipe,
            data: &data,
            base: Path::new(""),
            seed: TrialSeed { study: 1, trial: 0 },
            metric: Metric::ValAccuracy,
            device: &device,
            checkpoints: None,
            reported: 0,
        };
        let policy = learn_relaxed(&job, &moves, Bilevel::default(), &mut |_, _| true).unwrap();
        let weight = |op: Op| {
            let of = policy.sub_policies.iter().find(|sub| sub.ops[0].op == op);
            of.map_or(0.0, |sub| sub.weight * sub.ops[0].probability)
        };
        assert!(weight(Op::TranslateX) > weight(Op::Turn).max(weight(Op::Grayscale)), "{policy:?}");
    }
}
