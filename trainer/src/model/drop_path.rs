//! Stochastic depth (Huang 2016, arXiv 1603.09382): in training, a residual branch is left out at random, by image.

use burn::module::{Flag, Module, Param};
use burn::tensor::{Device, Distribution, Tensor};

/// Leaves a branch out with a chance of `rate`, and scales it by 1 / (1 - `rate`) otherwise.
#[derive(Module, Debug)]
pub struct DropPath {
    rate: f64,
    /// Off while the layer is frozen.
    training: Param<Flag>,
}

impl DropPath {
    /// The branch of block `index` (from 0) of `count`: by the paper's linear rule its chance rises from 0 to `last`.
    pub fn linear(last: f64, index: usize, count: usize) -> Self {
        let rate = if count > 1 { last * index as f64 / (count - 1) as f64 } else { last };
        Self { rate, training: Param::from_bool(true) }
    }

    /// Whether it does anything on a device.
    pub fn acts(&self, device: &Device) -> bool {
        self.rate > 0.0 && device.is_autodiff() && self.training.is_enabled()
    }

    /// A branch `[batch, …]` on its way to the sum.
    pub fn forward<const D: usize>(&self, branch: Tensor<D>) -> Tensor<D> {
        let device = branch.device();
        if !self.acts(&device) {
            return branch;
        }
        let mut shape = [1; D];
        shape[0] = branch.dims()[0];
        let kept = 1.0 - self.rate;
        branch * Tensor::random(shape, Distribution::Bernoulli(kept), &device).div_scalar(kept)
    }
}
