//! Residual networks of basic blocks (He 2016, arXiv 1512.03385).

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::module::{adaptive_avg_pool2d, max_pool2d};
use burn::tensor::ops::MaxPoolOptions;
use burn::tensor::{Device, Tensor};
use nightsweep_kernels::norm::Clamp;

use super::InputShape;
use super::fused::conv_norm;
use crate::cpu::Added;
use crate::recipe::Stem;

/// Images of at most this many pixels a side get the small stem.
const SMALL_IMAGE: usize = 64;

/// A stem, stages of basic blocks, a global average and one linear layer.
#[derive(Module, Debug)]
pub struct Resnet {
    pub(super) conv1: Conv2d,
    pub(super) bn1: BatchNorm,
    /// Whether the stem ends in a 3×3 max pooling with stride 2.
    pub(super) pools: bool,
    pub(super) stages: Vec<Stage>,
    pub(super) fc: Linear,
}

/// Blocks of one width.
#[derive(Module, Debug)]
pub struct Stage {
    pub(super) blocks: Vec<BasicBlock>,
}

/// Two 3×3 convolutions beside a shortcut.
#[derive(Module, Debug)]
pub struct BasicBlock {
    pub(super) conv1: Conv2d,
    pub(super) bn1: BatchNorm,
    pub(super) conv2: Conv2d,
    pub(super) bn2: BatchNorm,
    /// The projection of option B; without it, a change of shape is option A: subsampling and channels of zeros.
    pub(super) downsample: Option<Projection>,
    pub(super) stride: usize,
    /// Output channels less input channels.
    pub(super) widening: usize,
}

/// A 1×1 convolution and its norm.
#[derive(Module, Debug)]
pub struct Projection {
    pub(super) conv: Conv2d,
    pub(super) norm: BatchNorm,
}

/// How a shortcut meets a change of shape, in the paper's letters.
#[derive(Clone, Copy, PartialEq)]
enum Shortcut {
    A,
    B,
}

impl Resnet {
    /// The paper's network of 6n + 2 layers for small images: widths 16, 32, 64 and shortcuts of option A.
    pub(super) fn cifar(blocks: usize, shape: InputShape, device: &Device) -> Self {
        Self {
            conv1: conv([shape.channels, 16], 3, 1, device),
            bn1: BatchNormConfig::new(16).init(device),
            pools: false,
            stages: stages(&[16, 32, 64], 16, blocks, Shortcut::A, device),
            fc: LinearConfig::new(64, shape.classes).init(device),
        }
    }

    /// The paper's 18 layers: widths 64 to 512 and shortcuts of option B, as in torchvision.
    pub(super) fn resnet18(stem: Stem, shape: InputShape, device: &Device) -> Self {
        let small = match stem {
            Stem::Small => true,
            Stem::Large => false,
            Stem::Auto => shape.height.max(shape.width) <= SMALL_IMAGE,
        };
        let (kernel, stride) = if small { (3, 1) } else { (7, 2) };
        Self {
            conv1: conv([shape.channels, 64], kernel, stride, device),
            bn1: BatchNormConfig::new(64).init(device),
            pools: !small,
            stages: stages(&[64, 128, 256, 512], 64, 2, Shortcut::B, device),
            fc: LinearConfig::new(512, shape.classes).init(device),
        }
    }

    pub(super) fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let (mut x, _) = conv_norm(&self.conv1, &self.bn1, images, Added::Nothing, Clamp::Relu);
        if self.pools {
            x = max_pool2d(x, MaxPoolOptions::new([3, 3]).with_stride([2, 2]).with_padding([1, 1]));
        }
        for block in self.stages.iter().flat_map(|stage| &stage.blocks) {
            x = block.forward(x);
        }
        self.fc.forward(adaptive_avg_pool2d(x, [1, 1]).flatten(1, 3))
    }
}

impl BasicBlock {
    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let (x, input) = conv_norm(&self.conv1, &self.bn1, input, Added::Nothing, Clamp::Relu);
        let shortcut = match &self.downsample {
            Some(Projection { conv, norm }) => {
                Added::Same(conv_norm(conv, norm, input, Added::Nothing, Clamp::Nothing).0)
            }
            None if self.stride == 1 && self.widening == 0 => Added::Same(input),
            // Option A: every stride-th pixel, and zeros for the new channels, half before and half behind.
            None => Added::Subsampled { images: input, stride: self.stride, before: self.widening / 2 },
        };
        conv_norm(&self.conv2, &self.bn2, x, shortcut, Clamp::Relu).0
    }
}

/// Stages of the given widths; all but the first halve the image.
fn stages(widths: &[usize], inputs: usize, blocks: usize, shortcut: Shortcut, device: &Device) -> Vec<Stage> {
    let mut inputs = inputs;
    let mut stages = Vec::with_capacity(widths.len());
    for (index, &width) in widths.iter().enumerate() {
        let mut list = Vec::with_capacity(blocks);
        for block in 0..blocks {
            let stride = if index > 0 && block == 0 { 2 } else { 1 };
            list.push(basic_block(inputs, width, stride, shortcut, device));
            inputs = width;
        }
        stages.push(Stage { blocks: list });
    }
    stages
}

fn basic_block(inputs: usize, width: usize, stride: usize, shortcut: Shortcut, device: &Device) -> BasicBlock {
    let changes_shape = stride != 1 || inputs != width;
    let downsample = (changes_shape && shortcut == Shortcut::B).then(|| Projection {
        conv: conv([inputs, width], 1, stride, device),
        norm: BatchNormConfig::new(width).init(device),
    });
    BasicBlock {
        conv1: conv([inputs, width], 3, stride, device),
        bn1: BatchNormConfig::new(width).init(device),
        conv2: conv([width, width], 3, 1, device),
        bn2: BatchNormConfig::new(width).init(device),
        downsample,
        stride,
        widening: width - inputs,
    }
}

/// A square convolution without bias that keeps the size at stride 1.
pub(super) fn conv(channels: [usize; 2], kernel: usize, stride: usize, device: &Device) -> Conv2d {
    let padding = kernel / 2;
    Conv2dConfig::new(channels, [kernel, kernel])
        .with_stride([stride, stride])
        .with_padding(PaddingConfig2d::Explicit(padding, padding, padding, padding))
        .with_bias(false)
        .init(device)
}
