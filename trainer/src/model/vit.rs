//! Vision transformers (Dosovitskiy 2021, arXiv 2010.11929), laid out and named as in timm, and the hybrid whose patches
//! come from convolutions (Xiao 2021, arXiv 2106.14881).

use burn::module::{Module, Param};
use burn::nn::{Dropout, DropoutConfig, Initializer, LayerNorm, Linear};
use burn::tensor::ops::PadMode;
use burn::tensor::{Device, Tensor, activation, s};
use nightsweep_kernels::Activation;

use super::InputShape;
use super::conv::{Conv, Padding};
use super::dense::{dense, layer_norm, normed};
use super::drop_path::DropPath;
use super::init::linear;
use super::norm::Norm;
use super::resnet::conv;
use crate::cpu;
use crate::recipe::{self, NormKind, TokenPool};

/// Hidden units of a block's MLP for one of its width (table 1).
const MLP_RATIO: usize = 4;

/// What a vision transformer is made of.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout {
    /// Pixels of a patch's side; 0 is 4 for small images, else 16.
    pub patch: usize,
    /// Numbers of a token.
    pub dim: usize,
    /// Blocks.
    pub depth: usize,
    /// Attention heads of a block.
    pub heads: usize,
    /// What the last layer sees.
    pub pool: TokenPool,
    /// The norm of the convolutions that make the patches; without it, one linear map makes them.
    pub stem: Option<NormKind>,
    /// Share dropped behind positions and dense layers.
    pub dropout: f64,
    /// Chance that the last block is left out.
    pub stochastic_depth: f64,
}

impl Layout {
    /// Twelve blocks, as the papers' tiny and small sizes have.
    pub(super) fn sized(dim: usize, heads: usize, spec: &recipe::VitSized) -> Self {
        let recipe::VitSized { patch, pool, dropout, stochastic_depth } = *spec;
        Self { patch, dim, depth: 12, heads, pool, stem: None, dropout, stochastic_depth }
    }
}

impl From<&recipe::Vit> for Layout {
    fn from(spec: &recipe::Vit) -> Self {
        let recipe::Vit { patch, dim, depth, heads, pool, dropout, stochastic_depth } = *spec;
        Self { patch, dim, depth, heads, pool, stem: None, dropout, stochastic_depth }
    }
}

impl From<&recipe::Hybrid> for Layout {
    fn from(spec: &recipe::Hybrid) -> Self {
        let recipe::Hybrid { patch, dim, depth, heads, pool, norm, dropout, stochastic_depth } = *spec;
        Self { patch, dim, depth, heads, pool, stem: Some(norm), dropout, stochastic_depth }
    }
}

/// Patches, blocks of attention and MLP, one linear layer.
#[derive(Module, Debug)]
pub struct Vit {
    patch_embed: PatchEmbed,
    /// `[1, 1, dim]`.
    cls_token: Option<Param<Tensor<3>>>,
    /// `[1, tokens, dim]`.
    pos_embed: Param<Tensor<3>>,
    pos_drop: Dropout,
    blocks: Vec<TransformerBlock>,
    /// Of the token.
    norm: Option<LayerNorm>,
    /// Of the mean.
    fc_norm: Option<LayerNorm>,
    head: Linear,
}

/// Images to tokens.
#[derive(Module, Debug)]
pub struct PatchEmbed {
    /// Of the hybrid, each halving the image.
    stem: Vec<StemLayer>,
    proj: Conv,
    /// Pixels of a patch's side; images are filled up with zeros to a multiple of it.
    patch: usize,
}

/// A 3×3 convolution with stride 2 and its norm.
#[derive(Module, Debug)]
pub struct StemLayer {
    conv: Conv,
    norm: Norm,
}

/// Attention and an MLP, each behind a norm and beside a shortcut.
#[derive(Module, Debug)]
pub struct TransformerBlock {
    norm1: LayerNorm,
    attn: Attention,
    drop_path1: DropPath,
    norm2: LayerNorm,
    mlp: TransformerMlp,
    drop_path2: DropPath,
}

/// Self-attention of several heads.
#[derive(Module, Debug)]
pub struct Attention {
    qkv: Linear,
    proj: Linear,
    dropout: Dropout,
    heads: usize,
}

/// Two dense layers with GELU between.
#[derive(Module, Debug)]
pub struct TransformerMlp {
    fc1: Linear,
    fc2: Linear,
    dropout: Dropout,
}

impl Vit {
    pub(super) fn new(layout: Layout, shape: InputShape, device: &Device) -> Self {
        let Layout { dim, depth, heads, pool, dropout, stochastic_depth, .. } = layout;
        let patch = match layout.patch {
            0 if shape.is_small() => 4,
            0 => 16,
            patch => patch,
        };
        let has_token = pool == TokenPool::Token;
        let tokens = shape.height.div_ceil(patch) * shape.width.div_ceil(patch) + usize::from(has_token);
        let zeros = |tokens| Initializer::Zeros.init([1, tokens, dim], device);
        let drop_path = |index| DropPath::linear(stochastic_depth, index, depth);
        let block = |index| TransformerBlock {
            norm1: layer_norm(dim, device),
            attn: Attention {
                qkv: linear(dim, 3 * dim, device),
                proj: linear(dim, dim, device),
                dropout: DropoutConfig::new(dropout).init(),
                heads,
            },
            drop_path1: drop_path(index),
            norm2: layer_norm(dim, device),
            mlp: TransformerMlp::new(dim, dropout, device),
            drop_path2: drop_path(index),
        };
        Self {
            patch_embed: PatchEmbed::new(patch, dim, shape.channels, layout.stem, device),
            cls_token: has_token.then(|| zeros(1)),
            pos_embed: zeros(tokens),
            pos_drop: DropoutConfig::new(dropout).init(),
            blocks: (0..depth).map(block).collect(),
            norm: has_token.then(|| layer_norm(dim, device)),
            fc_norm: (!has_token).then(|| layer_norm(dim, device)),
            head: linear(dim, shape.classes, device),
        }
    }

    pub(super) fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let mut x = self.patch_embed.forward(images);
        let [batch, _, dim] = x.dims();
        if let Some(token) = &self.cls_token {
            x = Tensor::cat(vec![token.val().expand([batch, 1, dim]), x], 1);
        }
        x = self.pos_drop.forward(x + self.pos_embed.val());
        for block in &self.blocks {
            x = block.forward(x);
        }
        // timm norms every token and then takes the first, which is the same.
        let first: Tensor<2> = match &self.cls_token {
            Some(_) => x.slice(s![.., 0..1, ..]).squeeze_dim(1),
            None => x.mean_dim(1).squeeze_dim(1),
        };
        let first = self.norm.iter().chain(&self.fc_norm).fold(first, |x, norm| normed(norm, x));
        dense(&self.head, first, Activation::Nothing)
    }
}

impl PatchEmbed {
    fn new(patch: usize, dim: usize, channels: usize, stem: Option<NormKind>, device: &Device) -> Self {
        let Some(norm) = stem else {
            let proj = Conv::new([channels, dim], patch, patch, device).with_bias(device);
            return Self { stem: Vec::new(), proj: proj.with_padding(Padding::Sides(0)), patch };
        };
        // The last convolution has the transformer's width, each one before it half of the next.
        let count = patch.ilog2();
        let mut inputs = channels;
        let layers = (0..count).map(|index| {
            let outputs = (dim >> (count - 1 - index)).max(1);
            let layer =
                StemLayer { conv: conv([inputs, outputs], 3, 2, norm, device), norm: Norm::new(norm, outputs, device) };
            inputs = outputs;
            layer
        });
        let stem = layers.collect();
        Self { stem, proj: Conv::new([inputs, dim], 1, 1, device).with_bias(device), patch }
    }

    /// `[batch, channels, height, width]` to `[batch, tokens, dim]`.
    fn forward(&self, images: Tensor<4>) -> Tensor<3> {
        let [_, _, height, width] = images.dims();
        let missing = |size: usize| size.next_multiple_of(self.patch) - size;
        let mut x = match (missing(height), missing(width)) {
            (0, 0) => images,
            (rows, columns) => images.pad((0, columns, 0, rows), PadMode::Constant(0.0)),
        };
        for layer in &self.stem {
            x = activation::relu(layer.norm.forward(layer.conv.forward(x)));
        }
        self.proj.forward(x).flatten::<3>(2, 3).swap_dims(1, 2)
    }
}

impl TransformerBlock {
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let x = x.clone() + self.drop_path1.forward(self.attn.forward(normed(&self.norm1, x)));
        x.clone() + self.drop_path2.forward(self.mlp.forward(normed(&self.norm2, x)))
    }
}

impl Attention {
    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [batch, tokens, dim] = x.dims();
        let qkv = dense(&self.qkv, x, Activation::Nothing);
        let mixed = cpu::attention(&qkv, self.heads).unwrap_or_else(|| {
            // [batch, tokens, 3, heads, size] to [3, batch, heads, tokens, size].
            let qkv = qkv.reshape([batch, tokens, 3, self.heads, dim / self.heads]).permute([2, 0, 3, 1, 4]);
            let part =
                |index: usize| -> Tensor<4> { qkv.clone().slice(s![index..index + 1, .., .., .., ..]).squeeze_dim(0) };
            attend(part(0), part(1), part(2), None).swap_dims(1, 2).reshape([batch, tokens, dim])
        });
        self.dropout.forward(dense(&self.proj, mixed, Activation::Nothing))
    }
}

impl TransformerMlp {
    pub(super) fn new(dim: usize, dropout: f64, device: &Device) -> Self {
        Self {
            fc1: linear(dim, dim * MLP_RATIO, device),
            fc2: linear(dim * MLP_RATIO, dim, device),
            dropout: DropoutConfig::new(dropout).init(),
        }
    }

    pub(super) fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let x = self.dropout.forward(dense(&self.fc1, x, Activation::Gelu));
        self.dropout.forward(dense(&self.fc2, x, Activation::Nothing))
    }
}

/// softmax(q kᵀ / √size + bias) v, with `[batch, heads, tokens, size]` each and a bias `[1, heads, tokens, tokens]`.
pub(super) fn attend(query: Tensor<4>, key: Tensor<4>, value: Tensor<4>, bias: Option<Tensor<4>>) -> Tensor<4> {
    let [.., size] = query.dims();
    let likeness = query.matmul(key.transpose()).div_scalar((size as f64).sqrt());
    let likeness = match bias {
        Some(bias) => likeness + bias,
        None => likeness,
    };
    activation::softmax(likeness, 3).matmul(value)
}
