//! Residual networks of basic and of bottleneck blocks (He 2016, arXiv 1512.03385), laid out as in torchvision.

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear};
use burn::tensor::{Device, Tensor, activation};
use nightsweep_kernels::norm::Clamp;

use super::InputShape;
use super::conv::Conv;
use super::drop_path::DropPath;
use super::fused::{conv_norm, plus};
use super::init::linear;
use super::norm::Norm;
use super::pool::{global_average, max_pool};
use crate::cpu::Added;
use crate::recipe::{self, NormKind, Stem};

/// Images of at most this many pixels a side count as small.
const SMALL_IMAGE: usize = 64;

/// A stem, stages of blocks, a global average and one linear layer.
#[derive(Module, Debug)]
pub struct Resnet {
    pub(super) conv1: Conv,
    pub(super) bn1: Norm,
    /// Whether the stem ends in a 3×3 max pooling with stride 2.
    pub(super) pools: bool,
    pub(super) stages: Vec<Stage>,
    pub(super) dropout: Dropout,
    pub(super) fc: Linear,
}

/// Blocks of one width.
#[derive(Module, Debug)]
pub struct Stage {
    pub(super) blocks: Vec<Block>,
}

/// Two 3×3 convolutions, or a 3×3 one between two of 1×1, beside a shortcut.
#[derive(Module, Debug)]
pub struct Block {
    pub(super) conv1: Conv,
    pub(super) bn1: Norm,
    pub(super) conv2: Conv,
    pub(super) bn2: Norm,
    /// Of a bottleneck.
    pub(super) conv3: Option<Conv>,
    pub(super) bn3: Option<Norm>,
    /// The projection of option B; without it, a change of shape is option A: subsampling and channels of zeros.
    pub(super) downsample: Option<Projection>,
    pub(super) drop_path: DropPath,
    pub(super) stride: usize,
    /// Output channels less input channels.
    pub(super) widening: usize,
}

/// A 1×1 convolution and its norm.
#[derive(Module, Debug)]
pub struct Projection {
    pub(super) conv: Conv,
    pub(super) norm: Norm,
}

/// What the two families differ in.
struct Layout<'a> {
    /// Channels of each stage inside its blocks.
    widths: &'a [usize],
    /// Blocks of each stage.
    blocks: &'a [usize],
    /// Channels out of a block for one inside it; 4 in bottlenecks, else 1.
    expansion: usize,
    shortcut: Shortcut,
    norm: NormKind,
    stochastic_depth: f64,
}

/// How a shortcut meets a change of shape, in the paper's letters.
#[derive(Clone, Copy, PartialEq)]
enum Shortcut {
    A,
    B,
}

impl Resnet {
    /// The paper's network of 6n + 2 layers for small images: widths 16, 32, 64 and shortcuts of option A.
    pub(super) fn cifar(n: usize, spec: &recipe::CifarResnet, shape: InputShape, device: &Device) -> Self {
        let layout = Layout {
            widths: &[16, 32, 64],
            blocks: &[n; 3],
            expansion: 1,
            shortcut: Shortcut::A,
            norm: spec.norm,
            stochastic_depth: spec.stochastic_depth,
        };
        Self {
            conv1: conv([shape.channels, 16], 3, 1, spec.norm, device),
            bn1: Norm::new(spec.norm, 16, device),
            pools: false,
            stages: layout.stages(device),
            dropout: DropoutConfig::new(spec.dropout).init(),
            fc: linear(64, shape.classes, device),
        }
    }

    /// The paper's networks for photographs, as torchvision lays them out: widths 64 to 512, shortcuts of option B.
    pub(super) fn large(
        blocks: [usize; 4],
        expansion: usize,
        spec: &recipe::Resnet,
        shape: InputShape,
        device: &Device,
    ) -> Self {
        let small = shape.has_small_stem(spec.stem);
        let (kernel, stride) = if small { (3, 1) } else { (7, 2) };
        let layout = Layout {
            widths: &[64, 128, 256, 512],
            blocks: &blocks,
            expansion,
            shortcut: Shortcut::B,
            norm: spec.norm,
            stochastic_depth: spec.stochastic_depth,
        };
        Self {
            conv1: conv([shape.channels, 64], kernel, stride, spec.norm, device),
            bn1: Norm::new(spec.norm, 64, device),
            pools: !small,
            stages: layout.stages(device),
            dropout: DropoutConfig::new(spec.dropout).init(),
            fc: linear(512 * expansion, shape.classes, device),
        }
    }

    pub(super) fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let (mut x, _) = conv_norm(&self.conv1, &self.bn1, images, Added::Nothing, Clamp::Relu);
        if self.pools {
            x = max_pool(x, 3, 2, 1);
        }
        for block in self.stages.iter().flat_map(|stage| &stage.blocks) {
            x = block.forward(x);
        }
        self.fc.forward(self.dropout.forward(global_average(x)))
    }
}

impl InputShape {
    /// Whether a network begins as is usual for small images.
    pub(super) fn has_small_stem(&self, stem: Stem) -> bool {
        match stem {
            Stem::Small => true,
            Stem::Large => false,
            Stem::Auto => self.is_small(),
        }
    }

    /// Whether layers made for photographs would leave nothing of the image.
    pub(super) fn is_small(&self) -> bool {
        self.height.max(self.width) <= SMALL_IMAGE
    }
}

impl Layout<'_> {
    /// The stages; all but the first halve the image.
    fn stages(&self, device: &Device) -> Vec<Stage> {
        let count = self.blocks.iter().sum();
        let mut index = 0;
        let mut inputs = self.widths[0];
        let mut stages = Vec::with_capacity(self.widths.len());
        for (stage, (&width, &blocks)) in self.widths.iter().zip(self.blocks).enumerate() {
            let mut list = Vec::with_capacity(blocks);
            for block in 0..blocks {
                let stride = if stage > 0 && block == 0 { 2 } else { 1 };
                let drop_path = DropPath::linear(self.stochastic_depth, index, count);
                list.push(self.block(inputs, width, stride, drop_path, device));
                inputs = width * self.expansion;
                index += 1;
            }
            stages.push(Stage { blocks: list });
        }
        stages
    }

    fn block(&self, inputs: usize, width: usize, stride: usize, drop_path: DropPath, device: &Device) -> Block {
        let norm = self.norm;
        let outputs = width * self.expansion;
        let changes_shape = stride != 1 || inputs != outputs;
        let downsample = (changes_shape && self.shortcut == Shortcut::B).then(|| Projection {
            conv: conv([inputs, outputs], 1, stride, norm, device),
            norm: Norm::new(norm, outputs, device),
        });
        let is_bottleneck = self.expansion > 1;
        // Of a bottleneck, the 3×3 convolution has the stride, as in torchvision and unlike in the paper.
        let (kernel1, stride1, stride2) = if is_bottleneck { (1, 1, stride) } else { (3, stride, 1) };
        Block {
            conv1: conv([inputs, width], kernel1, stride1, norm, device),
            bn1: Norm::new(norm, width, device),
            conv2: conv([width, width], 3, stride2, norm, device),
            bn2: Norm::new(norm, width, device),
            conv3: is_bottleneck.then(|| conv([width, outputs], 1, 1, norm, device)),
            bn3: is_bottleneck.then(|| Norm::new(norm, outputs, device)),
            downsample,
            drop_path,
            stride,
            widening: outputs - inputs.min(outputs),
        }
    }
}

impl Block {
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
        let (conv, norm, x) = match (&self.conv3, &self.bn3) {
            (Some(conv3), Some(bn3)) => {
                (conv3, bn3, conv_norm(&self.conv2, &self.bn2, x, Added::Nothing, Clamp::Relu).0)
            }
            _ => (&self.conv2, &self.bn2, x),
        };
        if self.drop_path.acts(&x.device()) {
            let branch = conv_norm(conv, norm, x, Added::Nothing, Clamp::Nothing).0;
            return activation::relu(plus(self.drop_path.forward(branch), shortcut));
        }
        conv_norm(conv, norm, x, shortcut, Clamp::Relu).0
    }
}

/// A convolution before a norm: its bias would be in vain, unless there is no norm.
pub(super) fn conv(channels: [usize; 2], kernel: usize, stride: usize, norm: NormKind, device: &Device) -> Conv {
    let conv = Conv::new(channels, kernel, stride, device);
    if norm == NormKind::None { conv.with_bias(device) } else { conv }
}
