//! CoAtNet (Dai 2021, arXiv 2106.04803): two stages of inverted bottlenecks, then two of attention with relative
//! positions. Laid out and named as timm's `coatnet_0`, without its hidden layer in the head.

use burn::module::{Module, Param};
use burn::nn::{Dropout, DropoutConfig, Initializer, LayerNorm, Linear};
use burn::tensor::module::{adaptive_avg_pool2d, avg_pool2d};
use burn::tensor::ops::AvgPoolOptions;
use burn::tensor::{Device, Int, Tensor, TensorData, activation};
use nightsweep_kernels::Activation;

use super::InputShape;
use super::conv::Conv;
use super::dense::{dense, layer_norm, normed};
use super::drop_path::DropPath;
use super::efficientnet::SqueezeExcite;
use super::init::linear;
use super::norm::Norm;
use super::resnet::conv;
use super::vit::{TransformerMlp, attend};
use crate::recipe::{self, NormKind};

/// Numbers of an attention head (section A.2).
const HEAD_SIZE: usize = 32;
/// Channels in the middle of a bottleneck for one of its outputs.
const EXPANSION: usize = 4;
/// Channels of a bottleneck's output for one in the middle of its squeeze-excitation.
const SQUEEZE: usize = 4;

/// A stem, four stages, a global average and one linear layer.
#[derive(Module, Debug)]
pub struct Coatnet {
    stem: CoatStem,
    convs: Vec<CoatConvStage>,
    attentions: Vec<CoatAttentionStage>,
    norm: LayerNorm,
    dropout: Dropout,
    fc: Linear,
}

/// Two 3×3 convolutions.
#[derive(Module, Debug)]
pub struct CoatStem {
    conv1: Conv,
    norm1: Norm,
    conv2: Conv,
}

/// Bottlenecks of one width.
#[derive(Module, Debug)]
pub struct CoatConvStage {
    blocks: Vec<CoatConv>,
}

/// Attention blocks of one width.
#[derive(Module, Debug)]
pub struct CoatAttentionStage {
    blocks: Vec<CoatAttention>,
}

/// An inverted bottleneck behind a norm.
#[derive(Module, Debug)]
pub struct CoatConv {
    shortcut: Shortcut,
    pre_norm: Norm,
    conv1_1x1: Conv,
    norm1: Norm,
    conv2_kxk: Conv,
    norm2: Norm,
    se: SqueezeExcite,
    conv3_1x1: Conv,
    drop_path: DropPath,
}

/// Attention with relative positions, and an MLP.
#[derive(Module, Debug)]
pub struct CoatAttention {
    shortcut: Shortcut,
    norm1: LayerNorm,
    qkv: Linear,
    /// `[(2 rows - 1) (2 columns - 1), heads]`: what a distance adds to the likeness of two tokens.
    relative_position_bias_table: Param<Tensor<2>>,
    proj: Linear,
    dropout: Dropout,
    drop_path1: DropPath,
    norm2: LayerNorm,
    mlp: TransformerMlp,
    drop_path2: DropPath,
    /// Rows and columns of the map.
    window: [usize; 2],
}

/// Halves the map and widens it, where a stage begins.
#[derive(Module, Debug)]
pub struct Shortcut {
    halves: bool,
    expand: Option<Conv>,
}

impl Coatnet {
    pub(super) fn new(spec: &recipe::Coatnet, shape: InputShape, device: &Device) -> Self {
        let norm = spec.norm;
        let (stem_width, widths, depths) = spec.size.layout();
        // Of a small image, the stem and the first stage keep the size, so that attention has something to look at.
        let (stem_stride, first_halves) = if shape.has_small_stem(spec.stem) { (1, false) } else { (2, true) };
        let stem = CoatStem {
            conv1: conv([shape.channels, stem_width[0]], 3, stem_stride, norm, device),
            norm1: Norm::new(norm, stem_width[0], device),
            conv2: conv(stem_width, 3, 1, norm, device),
        };
        let mut map = [shape.height, shape.width].map(|size| size.div_ceil(stem_stride));
        let (mut inputs, mut index, count) = (stem_width[1], 0, depths.iter().sum());
        let (mut convs, mut attentions) = (Vec::new(), Vec::new());
        for (stage, (width, depth)) in widths.into_iter().zip(depths).enumerate() {
            let halves = stage > 0 || first_halves;
            if halves {
                map = map.map(|size| size.div_ceil(2));
            }
            let mut block = |block: usize| {
                let shortcut = Shortcut {
                    halves: halves && block == 0,
                    expand: (inputs != width).then(|| Conv::new([inputs, width], 1, 1, device).with_bias(device)),
                };
                let drop_path = || DropPath::linear(spec.stochastic_depth, index, count);
                let paths = [drop_path(), drop_path()];
                let channels = [inputs, width];
                (inputs, index) = (width, index + 1);
                (channels, shortcut, paths)
            };
            match stage {
                0 | 1 => {
                    let blocks = (0..depth).map(|number| {
                        let (channels, shortcut, [drop_path, _]) = block(number);
                        CoatConv::new(channels, shortcut, drop_path, norm, device)
                    });
                    convs.push(CoatConvStage { blocks: blocks.collect() });
                }
                _ => {
                    let blocks = (0..depth).map(|number| {
                        let (channels, shortcut, paths) = block(number);
                        CoatAttention::new(channels, shortcut, paths, map, spec.dropout, device)
                    });
                    attentions.push(CoatAttentionStage { blocks: blocks.collect() });
                }
            }
        }
        Self {
            stem,
            convs,
            attentions,
            norm: layer_norm(inputs, device),
            dropout: DropoutConfig::new(spec.dropout).init(),
            fc: linear(inputs, shape.classes, device),
        }
    }

    pub(super) fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let Self { stem, .. } = self;
        let x = activation::gelu(stem.norm1.forward(stem.conv1.forward(images)));
        let mut x = stem.conv2.forward(x);
        for block in self.convs.iter().flat_map(|stage| &stage.blocks) {
            x = block.forward(x);
        }
        for block in self.attentions.iter().flat_map(|stage| &stage.blocks) {
            x = block.forward(x);
        }
        // The norm is each pixel's own, so it comes before the average.
        let x = normed(&self.norm, tokens(x)).mean_dim(1).squeeze_dim(1);
        dense(&self.fc, self.dropout.forward(x), Activation::Nothing)
    }
}

impl CoatConv {
    fn new(
        [inputs, outputs]: [usize; 2],
        shortcut: Shortcut,
        drop_path: DropPath,
        norm: NormKind,
        device: &Device,
    ) -> Self {
        let middle = outputs * EXPANSION;
        let stride = if shortcut.halves { 2 } else { 1 };
        let depthwise = Conv::depthwise(middle, 3, stride, device);
        Self {
            shortcut,
            pre_norm: Norm::new(norm, inputs, device),
            conv1_1x1: conv([inputs, middle], 1, 1, norm, device),
            norm1: Norm::new(norm, middle, device),
            conv2_kxk: if norm == NormKind::None { depthwise.with_bias(device) } else { depthwise },
            norm2: Norm::new(norm, middle, device),
            se: SqueezeExcite::new(middle, outputs / SQUEEZE, device),
            conv3_1x1: Conv::new([middle, outputs], 1, 1, device).with_bias(device),
            drop_path,
        }
    }

    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let x = self.conv1_1x1.forward(self.pre_norm.forward(input.clone()));
        let x = self.conv2_kxk.forward(activation::gelu(self.norm1.forward(x)));
        let x = self.se.forward(activation::gelu(self.norm2.forward(x)));
        self.drop_path.forward(self.conv3_1x1.forward(x)) + self.shortcut.forward(input)
    }
}

impl CoatAttention {
    fn new(
        [inputs, outputs]: [usize; 2],
        shortcut: Shortcut,
        [drop_path1, drop_path2]: [DropPath; 2],
        window: [usize; 2],
        dropout: f64,
        device: &Device,
    ) -> Self {
        let [rows, columns] = window;
        let distances = (2 * rows - 1) * (2 * columns - 1);
        Self {
            shortcut,
            norm1: layer_norm(inputs, device),
            qkv: linear(inputs, 3 * outputs, device),
            relative_position_bias_table: Initializer::Zeros.init([distances, outputs / HEAD_SIZE], device),
            proj: linear(outputs, outputs, device),
            dropout: DropoutConfig::new(dropout).init(),
            drop_path1,
            norm2: layer_norm(outputs, device),
            mlp: TransformerMlp::new(outputs, dropout, device),
            drop_path2,
            window,
        }
    }

    fn forward(&self, input: Tensor<4>) -> Tensor<4> {
        let [batch, channels, height, width] = input.dims();
        let x = normed(&self.norm1, tokens(input.clone()));
        let x = x.swap_dims(1, 2).reshape([batch, channels, height, width]);
        let x = if self.shortcut.halves { halve(x) } else { x };
        let shortcut = tokens(self.shortcut.forward(input));
        let x = shortcut + self.drop_path1.forward(self.attend(tokens(x)));
        let x = x.clone() + self.drop_path2.forward(self.mlp.forward(normed(&self.norm2, x)));
        let [_, _, outputs] = x.dims();
        x.swap_dims(1, 2).reshape([batch, outputs, self.window[0], self.window[1]])
    }

    fn attend(&self, x: Tensor<3>) -> Tensor<3> {
        let [batch, count, _] = x.dims();
        let [_, heads] = self.relative_position_bias_table.dims();
        // timm's order: a head's query, key and value are neighbours.
        let qkv =
            dense(&self.qkv, x, Activation::Nothing).reshape([batch, count, heads, 3 * HEAD_SIZE]).swap_dims(1, 2);
        let part = |index: usize| qkv.clone().narrow(3, index * HEAD_SIZE, HEAD_SIZE);
        let places = Tensor::<1, Int>::from_data(self.distances(), &qkv.device());
        let bias = self.relative_position_bias_table.val().select(0, places);
        let bias = bias.reshape([1, count, count, heads]).permute([0, 3, 1, 2]);
        let mixed = attend(part(0), part(1), part(2), Some(bias)).swap_dims(1, 2);
        let mixed = mixed.reshape([batch, count, heads * HEAD_SIZE]);
        self.dropout.forward(dense(&self.proj, mixed, Activation::Nothing))
    }

    /// Row of the table for each pair of tokens.
    fn distances(&self) -> TensorData {
        let [rows, columns] = self.window;
        let places: Vec<(usize, usize)> = (0..rows * columns).map(|token| (token / columns, token % columns)).collect();
        let place = |&(row, column): &(usize, usize), &(other_row, other_column): &(usize, usize)| {
            ((row + rows - 1 - other_row) * (2 * columns - 1) + column + columns - 1 - other_column) as i64
        };
        let all: Vec<i64> = places.iter().flat_map(|from| places.iter().map(move |to| place(from, to))).collect();
        let count = all.len();
        TensorData::new(all, [count])
    }
}

impl Shortcut {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let x = if self.halves { halve(x) } else { x };
        match &self.expand {
            Some(expand) => expand.forward(x),
            None => x,
        }
    }
}

/// Means of 2×2 pixels; of an odd side, of overlapping ones, so that its half is rounded up as a convolution does.
fn halve(x: Tensor<4>) -> Tensor<4> {
    let [_, _, height, width] = x.dims();
    match height % 2 + width % 2 {
        0 => avg_pool2d(x, AvgPoolOptions::new([2, 2]).with_stride([2, 2])),
        _ => adaptive_avg_pool2d(x, [height.div_ceil(2), width.div_ceil(2)]),
    }
}

/// `[batch, channels, height, width]` to `[batch, height · width, channels]`.
fn tokens(x: Tensor<4>) -> Tensor<3> {
    x.flatten::<3>(2, 3).swap_dims(1, 2)
}
