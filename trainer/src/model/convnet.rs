//! A small convolutional network: three stages of convolution, norm, ReLU and pooling.

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear};
use burn::tensor::{Device, Tensor};
use nightsweep_kernels::norm::Clamp;

use super::InputShape;
use super::conv::Conv;
use super::fused::conv_norm;
use super::init::linear;
use super::norm::Norm;
use super::pool::{global_average, max_pool};
use super::resnet::conv;
use crate::cpu::Added;
use crate::recipe;

/// Three stages, a global average, dropout and one linear layer.
#[derive(Module, Debug)]
pub struct Convnet {
    stages: Vec<ConvStage>,
    dropout: Dropout,
    output: Linear,
}

/// Convolution, norm.
#[derive(Module, Debug)]
pub struct ConvStage {
    conv: Conv,
    norm: Norm,
}

impl Convnet {
    pub(super) fn new(spec: &recipe::Convnet, shape: InputShape, device: &Device) -> Self {
        let widths = [spec.width, spec.width * 2, spec.width * 4];
        let mut inputs = shape.channels;
        let mut stages = Vec::with_capacity(widths.len());
        for width in widths {
            stages.push(ConvStage {
                conv: conv([inputs, width], 3, 1, spec.norm, device),
                norm: Norm::new(spec.norm, width, device),
            });
            inputs = width;
        }
        Self { stages, dropout: DropoutConfig::new(spec.dropout).init(), output: linear(inputs, shape.classes, device) }
    }

    pub(super) fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let mut x = images;
        for stage in &self.stages {
            x = conv_norm(&stage.conv, &stage.norm, x, Added::Nothing, Clamp::Relu).0;
            let [_, _, height, width] = x.dims();
            // A map of one pixel has nothing left to pool.
            if height > 1 && width > 1 {
                x = max_pool(x, 2, 2, 0);
            }
        }
        self.output.forward(self.dropout.forward(global_average(x)))
    }
}
