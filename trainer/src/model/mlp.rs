//! Fully connected layers with ReLU and dropout.

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear};
use burn::tensor::{Device, Tensor};
use nightsweep_kernels::Activation;

use super::InputShape;
use super::dense::dense;
use super::init::linear;
use crate::recipe;

/// Hidden layers of one width, then one score per class.
#[derive(Module, Debug)]
pub struct Mlp {
    hidden: Vec<Linear>,
    dropout: Dropout,
    output: Linear,
}

impl Mlp {
    pub(super) fn new(spec: &recipe::Mlp, shape: InputShape, device: &Device) -> Self {
        let mut inputs = shape.channels * shape.height * shape.width;
        let mut hidden = Vec::with_capacity(spec.depth);
        for _ in 0..spec.depth {
            hidden.push(linear(inputs, spec.width, device));
            inputs = spec.width;
        }
        Self { hidden, dropout: DropoutConfig::new(spec.dropout).init(), output: linear(inputs, shape.classes, device) }
    }

    pub(super) fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let mut x: Tensor<2> = images.flatten(1, 3);
        for layer in &self.hidden {
            x = self.dropout.forward(dense(layer, x, Activation::Relu));
        }
        dense(&self.output, x, Activation::Nothing)
    }
}
