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
    /// Three stages of 3×3 convolution, batch norm, ReLU and 2×2 max pooling.
    Convnet(Convnet),
    /// ResNet-8 for small images (He 2016, arXiv 1512.03385, section 4.2, n = 1).
    Resnet8(Resnet8),
    /// ResNet-20 for small images (He 2016, arXiv 1512.03385, section 4.2, n = 3).
    Resnet20(Resnet20),
    /// ResNet-18 (He 2016, arXiv 1512.03385, table 1).
    Resnet18(Resnet18),
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
    /// Share of pooled features dropped before the last layer in training, in [0, 1).
    pub dropout: f64,
}

impl Default for Convnet {
    fn default() -> Self {
        Self { width: 16, dropout: 0.0 }
    }
}

/// ResNet-8: nothing of it varies.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Resnet8 {}

/// ResNet-20: nothing of it varies.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Resnet20 {}

/// ResNet-18.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Resnet18 {
    /// The layers before the first stage.
    pub stem: Stem,
}

/// The first layers of a ResNet-18.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stem {
    /// `small` for images of at most 64 pixels, else `large`.
    #[default]
    Auto,
    /// One 3×3 convolution with stride 1, as is usual for CIFAR.
    Small,
    /// A 7×7 convolution with stride 2 and a 3×3 max pooling with stride 2, as in the paper.
    Large,
}

impl ModelSpec {
    pub(super) fn rules(&self, rules: &mut Vec<Rule>) {
        match self {
            Self::Mlp(mlp) => {
                rules.push(("model.width", "from 1 to 65536", mlp.width as f64, |x| (1.0..=65536.0).contains(&x)));
                rules.push(("model.depth", "at most 64", mlp.depth as f64, |x| x <= 64.0));
                rules.push(("model.dropout", "in [0, 1)", mlp.dropout, share));
            }
            Self::Convnet(net) => {
                rules.push(("model.width", "from 1 to 4096", net.width as f64, |x| (1.0..=4096.0).contains(&x)));
                rules.push(("model.dropout", "in [0, 1)", net.dropout, share));
            }
            Self::Resnet8(_) | Self::Resnet20(_) | Self::Resnet18(_) => {}
        }
    }
}
