//! The optimizers of a recipe.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rule::{Rule, not_negative, positive, share};

/// The optimizers, each with its own settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum OptimizerSpec {
    /// Stochastic gradient descent with momentum, as torch.optim.SGD.
    Sgd(Sgd),
    /// Adam with decoupled weight decay (Loshchilov 2019, arXiv 1711.05101), as torch.optim.AdamW.
    Adamw(Adamw),
}

impl OptimizerSpec {
    /// The learning rate at the schedule's factor 1.
    pub fn lr(&self) -> f64 {
        match self {
            Self::Sgd(sgd) => sgd.lr,
            Self::Adamw(adamw) => adamw.lr,
        }
    }
}

/// Stochastic gradient descent. Defaults are those of He 2016 for CIFAR, with Nesterov as in WRN (arXiv 1605.07146).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sgd {
    /// Learning rate.
    pub lr: f64,
    /// Weight of the older gradients, in [0, 1).
    pub momentum: f64,
    /// Looks ahead along the momentum (Sutskever 2013).
    pub nesterov: bool,
    /// L2 penalty on weights; norms and biases have none (He 2019, arXiv 1812.01187, section 3.1).
    pub weight_decay: f64,
}

impl Default for Sgd {
    fn default() -> Self {
        Self { lr: 0.1, momentum: 0.9, nesterov: true, weight_decay: 5e-4 }
    }
}

/// AdamW. Defaults are PyTorch's, but for the weight decay, which is the paper's range for images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Adamw {
    /// Learning rate.
    pub lr: f64,
    /// Weight of the older gradients in their mean, in [0, 1).
    pub beta1: f64,
    /// Weight of the older squares in their mean, in [0, 1).
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Share of a weight taken off per unit of learning rate; norms and biases have none.
    pub weight_decay: f64,
}

impl Default for Adamw {
    fn default() -> Self {
        Self { lr: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.05 }
    }
}

impl OptimizerSpec {
    pub(super) fn rules(&self, rules: &mut Vec<Rule>) {
        match self {
            Self::Sgd(sgd) => {
                rules.push(("optimizer.lr", "0 or more", sgd.lr, not_negative));
                rules.push(("optimizer.momentum", "in [0, 1)", sgd.momentum, share));
                rules.push(("optimizer.weight_decay", "0 or more", sgd.weight_decay, not_negative));
            }
            Self::Adamw(adamw) => {
                rules.push(("optimizer.lr", "0 or more", adamw.lr, not_negative));
                rules.push(("optimizer.beta1", "in [0, 1)", adamw.beta1, share));
                rules.push(("optimizer.beta2", "in [0, 1)", adamw.beta2, share));
                rules.push(("optimizer.epsilon", "above 0", adamw.epsilon, positive));
                rules.push(("optimizer.weight_decay", "0 or more", adamw.weight_decay, not_negative));
            }
        }
    }
}
