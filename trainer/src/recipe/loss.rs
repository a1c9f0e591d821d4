//! The loss of a recipe: what is counted as wrong, and how much each class weighs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rule::{Rule, closed_share, not_negative, share};

/// What training makes small.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LossSpec {
    /// Negative log-likelihood of the right class, as torch's `cross_entropy`.
    CrossEntropy(CrossEntropy),
    /// Cross-entropy that fades for images the network is sure of (Lin 2017, arXiv 1708.02002), over the softmax.
    Focal(Focal),
    /// One yes-or-no question a class, as timm's `BinaryCrossEntropy` (Wightman 2021, arXiv 2110.00476).
    BinaryCrossEntropy(BinaryCrossEntropy),
    /// The paper's focal loss of one yes-or-no question a class, as torchvision's `sigmoid_focal_loss`; summed over the
    /// classes, mean over the images.
    SigmoidFocal(SigmoidFocal),
}

/// Negative log-likelihood of the right class.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CrossEntropy {}

/// Focal loss over the softmax.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Focal {
    /// How fast what is sure fades; 0 is cross-entropy. The paper's best is 2.
    pub gamma: f64,
}

impl Default for Focal {
    fn default() -> Self {
        Self { gamma: 2.0 }
    }
}

/// One yes-or-no question a class.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BinaryCrossEntropy {
    /// Shares of a class above this count as a whole yes, others as a no, in [0, 1]; 0 leaves shares as they are. For
    /// Mixup and CutMix; timm's recipes have 0.2.
    pub target_threshold: f64,
    /// Sums over the classes instead of taking their mean, which makes gradients larger by the number of classes.
    pub sum_classes: bool,
}

/// Focal loss of yes-or-no questions. Defaults are torchvision's and the paper's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SigmoidFocal {
    /// How fast what is sure fades; 0 is binary cross-entropy.
    pub gamma: f64,
    /// Weight of a yes; a no weighs the rest to 1. In [0, 1].
    pub alpha: f64,
}

impl Default for SigmoidFocal {
    fn default() -> Self {
        Self { gamma: 2.0, alpha: 0.25 }
    }
}

impl LossSpec {
    pub(super) fn rules(&self, rules: &mut Vec<Rule>) {
        match self {
            Self::CrossEntropy(_) => {}
            Self::Focal(focal) => rules.push(("loss.gamma", "0 or more", focal.gamma, not_negative)),
            Self::BinaryCrossEntropy(bce) => {
                rules.push(("loss.target_threshold", "in [0, 1)", bce.target_threshold, share));
            }
            Self::SigmoidFocal(focal) => {
                rules.push(("loss.gamma", "0 or more", focal.gamma, not_negative));
                rules.push(("loss.alpha", "in [0, 1]", focal.alpha, closed_share));
            }
        }
    }
}

/// How much an image of each class weighs in the loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ClassWeights {
    /// As much as any other.
    None(Unweighted),
    /// Inversely to how many images its class has, as sklearn's `balanced`.
    Inverse(Inverse),
    /// Inversely to the effective number of its class's images (Cui 2019, arXiv 1901.05555).
    EffectiveNumber(EffectiveNumber),
}

/// All images weigh the same.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Unweighted {}

/// Weights inverse to the frequency of a class.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Inverse {}

/// Weights inverse to (1 - βⁿ) / (1 - β), n being the class's images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EffectiveNumber {
    /// β in [0, 1): 0 weighs all classes alike, towards 1 it comes near to the inverse frequency. Default as the
    /// paper's for CIFAR-10.
    pub beta: f64,
}

impl Default for EffectiveNumber {
    fn default() -> Self {
        Self { beta: 0.9999 }
    }
}

impl ClassWeights {
    pub(super) fn rules(&self, rules: &mut Vec<Rule>) {
        if let Self::EffectiveNumber(number) = self {
            rules.push(("class_weights.beta", "in [0, 1)", number.beta, share));
        }
    }
}

/// Which images make an epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Sampling {
    /// Each image once.
    #[default]
    Shuffled,
    /// As many images of each class: those of rare classes come several times, of frequent ones some are left out.
    Balanced,
}
