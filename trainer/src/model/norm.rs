//! The norm of convolutional networks, of the kind that the recipe chooses.
//!
//! Batch norm is ours, not burn's: PyTorch's running variance is the mean of unbiased variances, burn's of biased ones.

use burn::module::{Flag, Module, Param, RunningState};
use burn::nn::Initializer;
use burn::tensor::module::{batch_norm, batch_norm_train};
use burn::tensor::{Device, Tensor};

use crate::cpu::Affine;
use crate::precision::in_32_bits;
use crate::recipe::NormKind;

/// Weight of a batch in the running statistics; PyTorch's default.
pub const MOMENTUM: f64 = 0.1;
/// Added to the variance; PyTorch's default.
pub const EPSILON: f64 = 1e-5;
/// Channels of a group of group norm (Wu 2018, arXiv 1803.08494, table 3, which finds 16 as good as any).
const GROUP: usize = 16;

/// What a norm goes by.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// A batch's own statistics, which are then noted.
    Batch,
    /// The running statistics of batches.
    Running,
    /// No statistics of batches.
    Other,
}

/// A norm of channels `[batch, channels, height, width]`, with a scale and a shift for each.
#[derive(Module, Debug)]
pub struct Norm {
    pub(super) gamma: Option<Param<Tensor<1>>>,
    pub(super) beta: Option<Param<Tensor<1>>>,
    pub(super) running_mean: Option<RunningState<Tensor<1>>>,
    pub(super) running_var: Option<RunningState<Tensor<1>>>,
    /// Off while the layer is frozen: a batch norm then goes by its running statistics.
    training: Param<Flag>,
    #[module(skip)]
    kind: NormKind,
    epsilon: f64,
    momentum: f64,
}

impl Norm {
    /// A norm that is the identity on normalized channels, with PyTorch's settings.
    pub fn new(kind: NormKind, channels: usize, device: &Device) -> Self {
        Self::with(kind, channels, EPSILON, MOMENTUM, device)
    }

    /// A norm with its own epsilon and, for batch norm, weight of a batch in the running statistics.
    pub fn with(kind: NormKind, channels: usize, epsilon: f64, momentum: f64, device: &Device) -> Self {
        let is_batch = kind == NormKind::Batch;
        let affine = |initializer: Initializer| (kind != NormKind::None).then(|| initializer.init([channels], device));
        Self {
            gamma: affine(Initializer::Ones),
            beta: affine(Initializer::Zeros),
            running_mean: is_batch.then(|| RunningState::new(Tensor::zeros([channels], device))),
            running_var: is_batch.then(|| RunningState::new(Tensor::ones([channels], device))),
            training: Param::from_bool(true),
            kind,
            epsilon,
            momentum,
        }
    }

    /// What it goes by on a device.
    pub(super) fn mode(&self, device: &Device) -> Mode {
        match (self.kind, device.is_autodiff() && self.training.is_enabled()) {
            (NormKind::Batch, true) => Mode::Batch,
            (NormKind::Batch, false) => Mode::Running,
            _ => Mode::Other,
        }
    }

    /// Scale and shift of a batch norm, as the kernels for the CPU want them.
    pub(super) fn affine(&self) -> Affine {
        let [gamma, beta] = [&self.gamma, &self.beta].map(parameter);
        Affine { gamma, beta, epsilon: self.epsilon }
    }

    /// Normalizes; in training, batch norm takes the batch's own statistics and notes them.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        in_32_bits(x, |x| self.normalize(x))
    }

    fn normalize(&self, x: Tensor<4>) -> Tensor<4> {
        let (Some(gamma), Some(beta)) = (&self.gamma, &self.beta) else { return x };
        let (gamma, beta) = (gamma.val(), beta.val());
        let device = x.device();
        let [batch, channels, height, width] = x.dims();
        match self.mode(&device) {
            Mode::Other => group_norm(x, gamma, beta, group_count(self.kind, channels), self.epsilon),
            Mode::Running => {
                let [mean, variance] = self.running().map(|running| running.value().to_device(&device));
                batch_norm(x, gamma, beta, mean, variance, self.epsilon)
            }
            Mode::Batch => {
                let count = (batch * height * width) as f64;
                // PyTorch refuses a count of one; the batch's own variance is all there is.
                let unbiased = if count > 1.0 { count / (count - 1.0) } else { 1.0 };
                let trained = batch_norm_train(x, gamma, beta, self.epsilon);
                self.note(trained.mean.inner(), trained.variance.inner().mul_scalar(unbiased));
                trained.output
            }
        }
    }

    /// Takes a batch's mean and unbiased variance, without gradients, into the running ones.
    pub(super) fn note(&self, mean: Tensor<1>, variance: Tensor<1>) {
        for (running, batch) in self.running().into_iter().zip([mean, variance]) {
            let older = running.value_sync().inner();
            let newer = older.mul_scalar(1.0 - self.momentum) + batch.mul_scalar(self.momentum);
            running.update(Tensor::from_inner(newer));
        }
    }

    /// What a batch norm by its running statistics multiplies with and adds. Waits for the device.
    pub(super) fn scale_and_shift(&self) -> [Vec<f32>; 2] {
        let [mean, variance] = self.running().map(RunningState::value);
        let [gamma, beta] = [&self.gamma, &self.beta].map(parameter);
        let scale = gamma * (variance + self.epsilon).sqrt().recip();
        let shift = beta - mean * scale.clone();
        [scale, shift].map(|vector| vector.into_data().try_into_vec().expect("parameters are of f32 on the CPU"))
    }

    fn running(&self) -> [&RunningState<Tensor<1>>; 2] {
        [&self.running_mean, &self.running_var].map(|running| running.as_ref().expect("the caller saw a batch norm"))
    }
}

fn parameter(param: &Option<Param<Tensor<1>>>) -> Tensor<1> {
    param.as_ref().expect("the caller saw a batch norm").val()
}

/// Groups of group norm; layer norm is group norm with one group, over all channels and pixels of an image.
fn group_count(kind: NormKind, channels: usize) -> usize {
    match kind {
        NormKind::Group if channels.is_multiple_of(GROUP) => channels / GROUP,
        _ => 1,
    }
}

fn group_norm(x: Tensor<4>, gamma: Tensor<1>, beta: Tensor<1>, groups: usize, epsilon: f64) -> Tensor<4> {
    let [batch, channels, height, width] = x.dims();
    let x = x.reshape([batch, groups, channels / groups * height * width]);
    let centred = x.clone() - x.mean_dim(2);
    let variance = centred.clone().square().mean_dim(2);
    let normalized = (centred / (variance + epsilon).sqrt()).reshape([batch, channels, height, width]);
    normalized * gamma.reshape([1, channels, 1, 1]) + beta.reshape([1, channels, 1, 1])
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    /// tests/golden/norms.json; norms.py beside it says what it is.
    #[derive(Deserialize)]
    struct Golden {
        input: Vec<f32>,
        gamma: Vec<f32>,
        beta: Vec<f32>,
        batch: Vec<f32>,
        running_mean: Vec<f32>,
        running_var: Vec<f32>,
        evaluated: Vec<f32>,
        layer: Vec<f32>,
        group: Vec<f32>,
    }

    fn check(found: Tensor<1>, expected: &[f32]) {
        for (found, expected) in found.into_data().as_slice::<f32>().unwrap().iter().zip(expected) {
            assert!((found - expected).abs() < 2e-5, "{found} is not {expected}");
        }
    }

    #[test]
    fn outputs_and_running_statistics_are_those_of_pytorch() {
        let golden: Golden = serde_json::from_str(include_str!("../../tests/golden/norms.json")).unwrap();
        let device = Device::flex().autodiff();
        let vector = |values: &[f32]| Tensor::<1>::from_floats(values, &device);
        let input = vector(&golden.input).reshape([2, 32, 2, 3]);
        let norm = |kind| {
            let mut norm = Norm::new(kind, 32, &device);
            norm.gamma = Some(Param::from_tensor(vector(&golden.gamma)));
            norm.beta = Some(Param::from_tensor(vector(&golden.beta)));
            norm
        };
        let batch = norm(NormKind::Batch);
        check(batch.forward(input.clone()).reshape([-1]), &golden.batch);
        batch.forward(input.clone().mul_scalar(2.0));
        check(batch.running_mean.as_ref().unwrap().value_sync(), &golden.running_mean);
        check(batch.running_var.as_ref().unwrap().value_sync(), &golden.running_var);
        check(batch.valid().forward(input.clone().inner()).reshape([-1]), &golden.evaluated);
        check(batch.freeze().forward(input.clone()).reshape([-1]), &golden.evaluated);
        check(norm(NormKind::Layer).forward(input.clone()).reshape([-1]), &golden.layer);
        check(norm(NormKind::Group).forward(input).reshape([-1]), &golden.group);
    }
}
