//! The networks of a recipe.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rule::{Rule, share};

/// The networks and what each can vary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ModelSpec {
    /// Fully connected layers with ReLU.
    Mlp(Mlp),
    /// Three stages of 3×3 convolution, norm, ReLU and 2×2 max pooling.
    Convnet(Convnet),
    /// ResNet-8 for small images (He 2016, arXiv 1512.03385, section 4.2, n = 1).
    Resnet8(CifarResnet),
    /// ResNet-20 for small images (n = 3).
    Resnet20(CifarResnet),
    /// ResNet-32 for small images (n = 5).
    Resnet32(CifarResnet),
    /// ResNet-44 for small images (n = 7).
    Resnet44(CifarResnet),
    /// ResNet-56 for small images (n = 9).
    Resnet56(CifarResnet),
    /// ResNet-18 (He 2016, arXiv 1512.03385, table 1).
    Resnet18(Resnet),
    /// ResNet-34.
    Resnet34(Resnet),
    /// ResNet-50, with the stride in the 3×3 convolutions as in torchvision.
    Resnet50(Resnet),
    /// Wide residual network (Zagoruyko 2016, arXiv 1605.07146).
    Wrn(Wrn),
    /// EfficientNet-Lite0: B0 without squeeze-excitation and with ReLU6.
    EfficientnetLite0(Efficientnet),
    /// EfficientNet-B0 (Tan 2019, arXiv 1905.11946, table 1).
    EfficientnetB0(Efficientnet),
    /// Vision transformer of free size (Dosovitskiy 2021, arXiv 2010.11929).
    Vit(Vit),
    /// ViT-Ti: 12 blocks of width 192 with 3 heads (Touvron 2021, arXiv 2012.12877, table 1).
    VitTiny(VitSized),
    /// ViT-S: 12 blocks of width 384 with 6 heads.
    VitSmall(VitSized),
    /// Vision transformer whose patches come from convolutions (Xiao 2021, arXiv 2106.14881).
    Hybrid(Hybrid),
    /// Convolutions, then attention with relative positions (Dai 2021, arXiv 2106.04803).
    Coatnet(Coatnet),
}

/// Fully connected layers with ReLU.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Mlp {
    /// Units of each hidden layer.
    pub width: usize,
    /// Hidden layers; 0 is softmax regression.
    pub depth: usize,
    /// Share of hidden activations dropped in training, in [0, 1) (Srivastava 2014).
    pub dropout: f64,
}

impl Default for Mlp {
    fn default() -> Self {
        Self { width: 256, depth: 2, dropout: 0.0 }
    }
}

/// Three stages of convolution and pooling.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Convnet {
    /// Channels of the first stage; each further stage has twice as many.
    pub width: usize,
    /// The norm after each convolution.
    pub norm: NormKind,
    /// Share of pooled features dropped before the last layer in training, in [0, 1).
    pub dropout: f64,
}

impl Default for Convnet {
    fn default() -> Self {
        Self { width: 16, norm: NormKind::Batch, dropout: 0.0 }
    }
}

/// A residual network of 6n + 2 layers for small images. The defaults are the paper's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CifarResnet {
    /// The norm after each convolution.
    pub norm: NormKind,
    /// Share of pooled features dropped before the last layer in training, in [0, 1).
    pub dropout: f64,
    /// Chance that the last block is left out in training, in [0, 1); earlier ones less (Huang 2016, arXiv 1603.09382).
    pub stochastic_depth: f64,
}

/// A residual network for photographs. The defaults are the paper's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Resnet {
    /// The layers before the first stage.
    pub stem: Stem,
    /// The norm after each convolution.
    pub norm: NormKind,
    /// Share of pooled features dropped before the last layer in training, in [0, 1).
    pub dropout: f64,
    /// Chance that the last block is left out in training, in [0, 1); earlier ones less (Huang 2016, arXiv 1603.09382).
    pub stochastic_depth: f64,
}

/// A wide residual network. The defaults are the paper's smallest with less than 5 % error on CIFAR-10 (table 4).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Wrn {
    /// Layers: 6n + 4.
    pub depth: usize,
    /// Times the width of a ResNet for CIFAR.
    pub widen: usize,
    /// The norm before each convolution.
    pub norm: NormKind,
    /// Share of activations dropped between the two convolutions of a block in training, in [0, 1) (section 2.4).
    pub dropout: f64,
}

impl Default for Wrn {
    fn default() -> Self {
        Self { depth: 16, widen: 8, norm: NormKind::Batch, dropout: 0.0 }
    }
}

/// An EfficientNet of the B0 size. The defaults are those of the paper's code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Efficientnet {
    /// The first convolution.
    pub stem: Stem,
    /// Whose convolutions and norms: the pre-trained weights say.
    pub style: ConvStyle,
    /// The norm after each convolution.
    pub norm: NormKind,
    /// Share of pooled features dropped before the last layer in training, in [0, 1).
    pub dropout: f64,
    /// Chance that the last block is left out in training, in [0, 1); earlier ones less (Huang 2016, arXiv 1603.09382).
    pub stochastic_depth: f64,
}

impl Default for Efficientnet {
    fn default() -> Self {
        Self {
            stem: Stem::Auto,
            style: ConvStyle::Tensorflow,
            norm: NormKind::Batch,
            dropout: 0.2,
            stochastic_depth: 0.2,
        }
    }
}

/// Where two frameworks differ in what a convolutional network computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConvStyle {
    /// Padding `SAME`, epsilon 1e-3 and momentum 0.99 in norms: the paper's code, timm's `tf_` models, and
    /// efficientnet-lite-pytorch.
    #[default]
    Tensorflow,
    /// The same padding at each side, epsilon 1e-5 and momentum 0.9 in norms: timm's other models.
    Pytorch,
}

/// A vision transformer of free size. The defaults are small enough for 32×32 images on a CPU.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Vit {
    /// Pixels of a patch's side; 0 is 4 for images of at most 64 pixels, else 16.
    pub patch: usize,
    /// Numbers of a token; a multiple of `heads`.
    pub dim: usize,
    /// Blocks of attention and MLP.
    pub depth: usize,
    /// Attention heads of a block.
    pub heads: usize,
    /// What the last layer sees.
    pub pool: TokenPool,
    /// Share dropped in training behind positions and dense layers, in [0, 1) (section B.1).
    pub dropout: f64,
    /// Chance that the last block is left out in training, in [0, 1); earlier ones less (Touvron 2021, arXiv 2012.12877).
    pub stochastic_depth: f64,
}

impl Default for Vit {
    fn default() -> Self {
        Self { patch: 0, dim: 128, depth: 6, heads: 4, pool: TokenPool::Token, dropout: 0.0, stochastic_depth: 0.0 }
    }
}

/// A vision transformer of a size of the papers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct VitSized {
    /// Pixels of a patch's side; 0 is 4 for images of at most 64 pixels, else 16.
    pub patch: usize,
    /// What the last layer sees.
    pub pool: TokenPool,
    /// Share dropped in training behind positions and dense layers, in [0, 1) (section B.1).
    pub dropout: f64,
    /// Chance that the last block is left out in training, in [0, 1); earlier ones less (Touvron 2021, arXiv 2012.12877).
    pub stochastic_depth: f64,
}

/// What a transformer's last layer sees.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TokenPool {
    /// A token of its own, as in the paper.
    #[default]
    Token,
    /// The mean of all patches (Beyer 2022, arXiv 2205.01580).
    Mean,
}

/// A transformer behind convolutions. The default is the paper's smallest: a ViT-Ti with one block less.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Hybrid {
    /// Pixels that a token stands for, a power of two; 0 is 4 for images of at most 64 pixels, else 16.
    pub patch: usize,
    /// Numbers of a token; a multiple of `heads`.
    pub dim: usize,
    /// Blocks of attention and MLP.
    pub depth: usize,
    /// Attention heads of a block.
    pub heads: usize,
    /// What the last layer sees.
    pub pool: TokenPool,
    /// The norm of the convolutions.
    pub norm: NormKind,
    /// Share dropped in training behind positions and dense layers, in [0, 1).
    pub dropout: f64,
    /// Chance that the last block is left out in training, in [0, 1); earlier ones less (Touvron 2021, arXiv 2012.12877).
    pub stochastic_depth: f64,
}

impl Default for Hybrid {
    fn default() -> Self {
        Self {
            patch: 0,
            dim: 192,
            depth: 11,
            heads: 3,
            pool: TokenPool::Token,
            norm: NormKind::Batch,
            dropout: 0.0,
            stochastic_depth: 0.0,
        }
    }
}

/// A CoAtNet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Coatnet {
    /// Widths and depths.
    pub size: CoatnetSize,
    /// The first convolution and whether the first stage halves the image.
    pub stem: Stem,
    /// The norm of the convolutions; the attention has layer norm.
    pub norm: NormKind,
    /// Share dropped in training behind dense layers, in [0, 1).
    pub dropout: f64,
    /// Chance that the last block is left out in training, in [0, 1); earlier ones less (Huang 2016, arXiv 1603.09382).
    pub stochastic_depth: f64,
}

/// Sizes of a CoAtNet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CoatnetSize {
    /// Half of timm's `pico` in width: 2 million parameters.
    #[default]
    Femto,
    /// As timm's `coatnet_pico`: 10 million.
    Pico,
    /// As timm's `coatnet_nano`: 14 million.
    Nano,
    /// The paper's CoAtNet-0: 23 million.
    Zero,
}

impl CoatnetSize {
    /// Widths of the stem's two convolutions, and widths and depths of the four stages.
    pub(crate) fn layout(self) -> ([usize; 2], [usize; 4], [usize; 4]) {
        match self {
            Self::Femto => ([32, 32], [32, 64, 128, 256], [2, 2, 3, 2]),
            Self::Pico => ([32, 64], [64, 128, 256, 512], [2, 3, 5, 2]),
            Self::Nano => ([32, 64], [64, 128, 256, 512], [3, 4, 6, 3]),
            Self::Zero => ([64, 64], [96, 192, 384, 768], [2, 3, 5, 2]),
        }
    }
}

/// What keeps activations in range.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NormKind {
    /// Over the images of a batch (Ioffe 2015, arXiv 1502.03167); poor below 8 images a batch.
    #[default]
    Batch,
    /// Over all channels of an image (Ba 2016, arXiv 1607.06450).
    Layer,
    /// Over 16 channels of an image at a time (Wu 2018, arXiv 1803.08494).
    Group,
    /// No norm; convolutions then have biases.
    None,
}

/// The first layers of a network for photographs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stem {
    /// `small` for images of at most 64 pixels, else `large`.
    #[default]
    Auto,
    /// A first convolution with stride 1 (of a ResNet 3×3 and without pooling), as is usual for CIFAR.
    Small,
    /// A first convolution with stride 2 (of a ResNet 7×7 and with 3×3 max pooling), as in the papers.
    Large,
}

/// Networks of one build, which take much the same settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Fully connected.
    Dense,
    /// 3×3 convolutions in a row.
    Plain,
    /// 3×3 convolutions with shortcuts.
    Residual,
    /// Depthwise convolutions between wide and narrow layers.
    Mobile,
    /// Attention, over patches or after convolutions.
    Transformer,
}

impl ModelSpec {
    /// How it is built.
    pub fn family(&self) -> Family {
        match self {
            Self::Mlp(_) => Family::Dense,
            Self::Convnet(_) => Family::Plain,
            Self::Resnet8(_) | Self::Resnet20(_) | Self::Resnet32(_) | Self::Resnet44(_) | Self::Resnet56(_) => {
                Family::Residual
            }
            Self::Resnet18(_) | Self::Resnet34(_) | Self::Resnet50(_) | Self::Wrn(_) => Family::Residual,
            Self::EfficientnetLite0(_) | Self::EfficientnetB0(_) => Family::Mobile,
            Self::Vit(_) | Self::VitTiny(_) | Self::VitSmall(_) => Family::Transformer,
            Self::Hybrid(_) | Self::Coatnet(_) => Family::Transformer,
        }
    }

    /// The norm of its convolutions, if it has such.
    pub fn norm(&self) -> Option<NormKind> {
        match self {
            Self::Mlp(_) | Self::Vit(_) | Self::VitTiny(_) | Self::VitSmall(_) => None,
            Self::Convnet(net) => Some(net.norm),
            Self::Resnet8(net) | Self::Resnet20(net) | Self::Resnet32(net) => Some(net.norm),
            Self::Resnet44(net) | Self::Resnet56(net) => Some(net.norm),
            Self::Resnet18(net) | Self::Resnet34(net) | Self::Resnet50(net) => Some(net.norm),
            Self::Wrn(net) => Some(net.norm),
            Self::EfficientnetLite0(net) | Self::EfficientnetB0(net) => Some(net.norm),
            Self::Hybrid(net) => Some(net.norm),
            Self::Coatnet(net) => Some(net.norm),
        }
    }

    /// Share dropped, and chance to leave out the last block, where the network has such.
    fn regularization(&self) -> (f64, Option<f64>) {
        match self {
            Self::Mlp(net) => (net.dropout, None),
            Self::Convnet(net) => (net.dropout, None),
            Self::Resnet8(net) | Self::Resnet20(net) | Self::Resnet32(net) => (net.dropout, Some(net.stochastic_depth)),
            Self::Resnet44(net) | Self::Resnet56(net) => (net.dropout, Some(net.stochastic_depth)),
            Self::Resnet18(net) | Self::Resnet34(net) | Self::Resnet50(net) => {
                (net.dropout, Some(net.stochastic_depth))
            }
            Self::Wrn(net) => (net.dropout, None),
            Self::EfficientnetLite0(net) | Self::EfficientnetB0(net) => (net.dropout, Some(net.stochastic_depth)),
            Self::Vit(net) => (net.dropout, Some(net.stochastic_depth)),
            Self::VitTiny(net) | Self::VitSmall(net) => (net.dropout, Some(net.stochastic_depth)),
            Self::Hybrid(net) => (net.dropout, Some(net.stochastic_depth)),
            Self::Coatnet(net) => (net.dropout, Some(net.stochastic_depth)),
        }
    }

    pub(super) fn rules(&self, rules: &mut Vec<Rule>) {
        let (dropout, stochastic_depth) = self.regularization();
        rules.push(("model.dropout", "in [0, 1)", dropout, share));
        rules.push(("model.stochastic_depth", "in [0, 1)", stochastic_depth.unwrap_or(0.0), share));
        match self {
            Self::Mlp(net) => {
                rules.push(("model.width", "from 1 to 65536", net.width as f64, |x| (1.0..=65536.0).contains(&x)));
                rules.push(("model.depth", "at most 64", net.depth as f64, |x| x <= 64.0));
            }
            Self::Convnet(net) => {
                rules.push(("model.width", "from 1 to 4096", net.width as f64, |x| (1.0..=4096.0).contains(&x)));
            }
            Self::Wrn(net) => {
                rules.push(("model.depth", "6 n + 4 with n from 1 to 20", net.depth as f64, |x| {
                    (10.0..=124.0).contains(&x) && (x - 4.0) % 6.0 == 0.0
                }));
                rules.push(("model.widen", "from 1 to 32", net.widen as f64, |x| (1.0..=32.0).contains(&x)));
            }
            Self::Vit(net) => transformer_rules(net.patch, net.dim, net.depth, net.heads, rules),
            Self::VitTiny(net) | Self::VitSmall(net) => transformer_rules(net.patch, 192, 12, 3, rules),
            Self::Hybrid(net) => {
                transformer_rules(net.patch, net.dim, net.depth, net.heads, rules);
                rules.push(("model.patch", "0 or a power of two from 2 to 256", net.patch as f64, |x| {
                    x == 0.0 || (x >= 2.0 && (x as u64).is_power_of_two())
                }));
            }
            _ => {}
        }
    }
}

fn transformer_rules(patch: usize, dim: usize, depth: usize, heads: usize, rules: &mut Vec<Rule>) {
    rules.push(("model.patch", "at most 256", patch as f64, |x| x <= 256.0));
    rules.push(("model.depth", "from 1 to 64", depth as f64, |x| (1.0..=64.0).contains(&x)));
    rules.push(("model.heads", "from 1 to 64", heads as f64, |x| (1.0..=64.0).contains(&x)));
    rules.push(("model.dim", "from 1 to 4096", dim as f64, |x| (1.0..=4096.0).contains(&x)));
    if heads > 0 && !dim.is_multiple_of(heads) {
        rules.push(("model.dim", "a multiple of `model.heads`", dim as f64, |_| false));
    }
}
