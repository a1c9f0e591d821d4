//! EfficientNet (Tan 2019, arXiv 1905.11946, table 1) and its Lite form without squeeze-excitation and with ReLU6.
//! Fields have timm's names.

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear};
use burn::tensor::{Device, Tensor, activation};
use nightsweep_kernels::norm::Clamp;

use super::InputShape;
use super::conv::{Conv, Padding};
use super::drop_path::DropPath;
use super::fused::conv_norm;
use super::init::linear;
use super::norm::{self, Norm};
use super::pool::global_average;
use crate::cpu::Added;
use crate::recipe::{self, ConvStyle, NormKind};

/// The stages of the B0 size: kernel, stride, expansion, outputs, blocks.
const STAGES: [(usize, usize, usize, usize, usize); 7] = [
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
];
const STEM: usize = 32;
const HEAD: usize = 1280;
/// Channels in the middle of a squeeze-excitation, as a share of the block's inputs.
const SQUEEZE: usize = 4;

/// Stage and place in it of a block that is counted throughout.
pub fn stage_of(index: usize) -> (usize, usize) {
    let mut rest = index;
    for (stage, (.., blocks)) in STAGES.into_iter().enumerate() {
        if rest < blocks {
            return (stage, rest);
        }
        rest -= blocks;
    }
    (STAGES.len(), rest)
}

/// A stem, stages of inverted bottlenecks, a wide 1×1 convolution, a global average and one linear layer.
#[derive(Module, Debug)]
pub struct Efficientnet {
    conv_stem: Conv,
    bn1: Norm,
    stages: Vec<MbStage>,
    conv_head: Conv,
    bn2: Norm,
    dropout: Dropout,
    classifier: Linear,
    /// ReLU6 in place of SiLU.
    lite: bool,
}

/// Blocks of one width.
#[derive(Module, Debug)]
pub struct MbStage {
    blocks: Vec<MbConv>,
}

/// An inverted bottleneck: 1×1 to more channels, depthwise, squeeze-excitation, 1×1 to fewer.
#[derive(Module, Debug)]
pub struct MbConv {
    /// Not in the first stage, which has expansion 1.
    conv_pw: Option<Conv>,
    bn1: Option<Norm>,
    conv_dw: Conv,
    bn2: Norm,
    se: Option<SqueezeExcite>,
    conv_pwl: Conv,
    bn3: Norm,
    drop_path: DropPath,
    /// Whether the input is added.
    skips: bool,
    lite: bool,
}

/// Scales each channel by what all channels have on average (Hu 2018, arXiv 1709.01507).
#[derive(Module, Debug)]
pub struct SqueezeExcite {
    pub(super) conv_reduce: Conv,
    pub(super) conv_expand: Conv,
}

/// What all layers of a network share.
struct Layers<'a> {
    norm: NormKind,
    style: ConvStyle,
    device: &'a Device,
}

impl Efficientnet {
    /// The B0 size, whole or in its Lite form.
    pub(super) fn b0(lite: bool, spec: &recipe::Efficientnet, shape: InputShape, device: &Device) -> Self {
        let layers = Layers { norm: spec.norm, style: spec.style, device };
        let count = STAGES.iter().map(|stage| stage.4).sum();
        let (mut index, mut inputs) = (0, STEM);
        let stages = STAGES.map(|(kernel, first_stride, expansion, outputs, blocks)| {
            let blocks = (0..blocks).map(|block| {
                let stride = if block == 0 { first_stride } else { 1 };
                let middle = inputs * expansion;
                let squeezed = inputs / SQUEEZE;
                let mb_conv = MbConv {
                    conv_pw: (expansion > 1).then(|| layers.conv([inputs, middle], 1, 1)),
                    bn1: (expansion > 1).then(|| layers.norm(middle)),
                    conv_dw: layers.finish(Conv::depthwise(middle, kernel, stride, device)),
                    bn2: layers.norm(middle),
                    se: (!lite).then(|| SqueezeExcite::new(middle, squeezed, device)),
                    conv_pwl: layers.conv([middle, outputs], 1, 1),
                    bn3: layers.norm(outputs),
                    drop_path: DropPath::linear(spec.stochastic_depth, index, count),
                    skips: stride == 1 && inputs == outputs,
                    lite,
                };
                (inputs, index) = (outputs, index + 1);
                mb_conv
            });
            MbStage { blocks: blocks.collect() }
        });
        Self {
            conv_stem: layers.conv([shape.channels, STEM], 3, if shape.has_small_stem(spec.stem) { 1 } else { 2 }),
            bn1: layers.norm(STEM),
            stages: stages.into(),
            conv_head: layers.conv([inputs, HEAD], 1, 1),
            bn2: layers.norm(HEAD),
            dropout: DropoutConfig::new(spec.dropout).init(),
            classifier: linear(HEAD, shape.classes, device),
            lite,
        }
    }

    pub(super) fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let mut x = active(self.lite, &self.conv_stem, &self.bn1, images).0;
        for block in self.stages.iter().flat_map(|stage| &stage.blocks) {
            x = block.forward(x);
        }
        let x = active(self.lite, &self.conv_head, &self.bn2, x).0;
        self.classifier.forward(self.dropout.forward(global_average(x)))
    }
}

impl Layers<'_> {
    fn conv(&self, channels: [usize; 2], kernel: usize, stride: usize) -> Conv {
        self.finish(Conv::new(channels, kernel, stride, self.device))
    }

    fn finish(&self, conv: Conv) -> Conv {
        let conv = if self.norm == NormKind::None { conv.with_bias(self.device) } else { conv };
        match self.style {
            ConvStyle::Tensorflow => conv.with_padding(Padding::Same),
            ConvStyle::Pytorch => conv,
        }
    }

    fn norm(&self, channels: usize) -> Norm {
        let (epsilon, momentum) = match self.style {
            ConvStyle::Tensorflow => (1e-3, 0.01),
            ConvStyle::Pytorch => (norm::EPSILON, norm::MOMENTUM),
        };
        Norm::with(self.norm, channels, epsilon, momentum, self.device)
    }
}

impl MbConv {
    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let (mut x, input) = match (&self.conv_pw, &self.bn1) {
            (Some(conv_pw), Some(bn1)) => {
                let (x, input) = active(self.lite, conv_pw, bn1, input);
                (active(self.lite, &self.conv_dw, &self.bn2, x).0, input)
            }
            _ => active(self.lite, &self.conv_dw, &self.bn2, input),
        };
        if let Some(se) = &self.se {
            x = se.forward(x);
        }
        if self.skips && !self.drop_path.acts(&x.device()) {
            return conv_norm(&self.conv_pwl, &self.bn3, x, Added::Same(input), Clamp::Nothing).0;
        }
        let x = conv_norm(&self.conv_pwl, &self.bn3, x, Added::Nothing, Clamp::Nothing).0;
        if self.skips { self.drop_path.forward(x) + input } else { x }
    }
}

impl SqueezeExcite {
    pub(super) fn new(channels: usize, squeezed: usize, device: &Device) -> Self {
        Self {
            conv_reduce: Conv::new([channels, squeezed], 1, 1, device).with_bias(device),
            conv_expand: Conv::new([squeezed, channels], 1, 1, device).with_bias(device),
        }
    }

    pub(super) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let average = global_average(x.clone()).unsqueeze_dims::<4>(&[2, 3]);
        let squeezed = activation::silu(self.conv_reduce.forward(average));
        x * activation::sigmoid(self.conv_expand.forward(squeezed))
    }
}

/// A convolution, its norm, and ReLU6 or SiLU; and the input again for a shortcut.
fn active(lite: bool, conv: &Conv, norm: &Norm, x: Tensor<4>) -> (Tensor<4>, Tensor<4>) {
    let clamp = if lite { Clamp::Relu6 } else { Clamp::Nothing };
    let (x, input) = conv_norm(conv, norm, x, Added::Nothing, clamp);
    (if lite { x } else { activation::silu(x) }, input)
}
