//! Wide residual networks (Zagoruyko 2016, arXiv 1605.07146): norm and ReLU before each convolution, dropout between.

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear};
use burn::tensor::{Device, Tensor};
use nightsweep_kernels::norm::Clamp;

use super::InputShape;
use super::conv::Conv;
use super::fused::{conv_norm, norm_clamp};
use super::init::linear;
use super::norm::Norm;
use super::pool::global_average;
use super::resnet::conv;
use crate::cpu::Added;
use crate::recipe;

/// A 3×3 convolution, three stages of blocks, a last norm, a global average and one linear layer.
#[derive(Module, Debug)]
pub struct Wrn {
    conv1: Conv,
    stages: Vec<WideStage>,
    bn1: Norm,
    fc: Linear,
}

/// Blocks of one width.
#[derive(Module, Debug)]
pub struct WideStage {
    blocks: Vec<WideBlock>,
}

/// Two 3×3 convolutions beside a shortcut.
#[derive(Module, Debug)]
pub struct WideBlock {
    bn1: Norm,
    conv1: Conv,
    bn2: Norm,
    dropout: Dropout,
    conv2: Conv,
    /// Where the shape changes; it starts behind the first norm.
    shortcut: Option<Conv>,
}

impl Wrn {
    pub(super) fn new(spec: &recipe::Wrn, shape: InputShape, device: &Device) -> Self {
        let mut inputs = 16;
        let mut stages = Vec::with_capacity(3);
        for stage in 0..3 {
            let width = (16 << stage) * spec.widen;
            let mut blocks = Vec::new();
            for block in 0..(spec.depth - 4) / 6 {
                let stride = if stage > 0 && block == 0 { 2 } else { 1 };
                let changes_shape = stride != 1 || inputs != width;
                blocks.push(WideBlock {
                    bn1: Norm::new(spec.norm, inputs, device),
                    conv1: conv([inputs, width], 3, stride, spec.norm, device),
                    bn2: Norm::new(spec.norm, width, device),
                    dropout: DropoutConfig::new(spec.dropout).init(),
                    conv2: conv([width, width], 3, 1, spec.norm, device),
                    shortcut: changes_shape.then(|| Conv::new([inputs, width], 1, stride, device)),
                });
                inputs = width;
            }
            stages.push(WideStage { blocks });
        }
        Self {
            conv1: Conv::new([shape.channels, 16], 3, 1, device),
            stages,
            bn1: Norm::new(spec.norm, inputs, device),
            fc: linear(inputs, shape.classes, device),
        }
    }

    pub(super) fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let mut x = self.conv1.forward(images);
        for block in self.stages.iter().flat_map(|stage| &stage.blocks) {
            x = block.forward(x);
        }
        let x = norm_clamp(&self.bn1, x, Clamp::Relu);
        self.fc.forward(global_average(x))
    }
}

impl WideBlock {
    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let active = norm_clamp(&self.bn1, input.clone(), Clamp::Relu);
        let (x, active) = conv_norm(&self.conv1, &self.bn2, active, Added::Nothing, Clamp::Relu);
        let x = self.conv2.forward(self.dropout.forward(x));
        match &self.shortcut {
            Some(shortcut) => x + shortcut.forward(active),
            None => x + input,
        }
    }
}
