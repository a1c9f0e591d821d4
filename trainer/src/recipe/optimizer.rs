//! The optimizers of a recipe, and what is done to gradients and weights around them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rule::{Rule, closed_share, not_negative, positive, share};

/// The optimizers, each with its own settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum OptimizerSpec {
    /// Stochastic gradient descent with momentum, as torch.optim.SGD.
    Sgd(Sgd),
    /// Adam (Kingma 2015, arXiv 1412.6980) with an L2 penalty, as torch.optim.Adam.
    Adam(Adam),
    /// Adam with decoupled weight decay (Loshchilov 2019, arXiv 1711.05101), as torch.optim.AdamW.
    Adamw(Adamw),
    /// Gradients over the root of their mean square (Hinton 2012, lecture 6e), as torch.optim.RMSprop.
    Rmsprop(Rmsprop),
    /// Adam with a rate for each layer, for large batches (You 2020, arXiv 1904.00962), as timm.optim.Lamb.
    Lamb(Lamb),
    /// SGD with a rate for each layer, for large batches (You 2017, arXiv 1708.03888), as timm.optim.Lars.
    Lars(Lars),
    /// Adam's second moments by rows and columns (Shazeer 2018, arXiv 1804.04235), as torch.optim.Adafactor.
    Adafactor(Adafactor),
    /// The sign of a momentum (Chen 2023, arXiv 2302.06675), as timm.optim.Lion.
    Lion(Lion),
    /// Orthogonal momentum for matrices and filters (Jordan 2024), as torch.optim.Muon; AdamW for the rest.
    Muon(Muon),
    /// Adam until an epoch, then SGD: the idea of SWATS (Keskar 2017, arXiv 1712.07628) at an epoch of choice.
    AdamThenSgd(AdamThenSgd),
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

/// Adam. Defaults are PyTorch's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Adam {
    /// Learning rate.
    pub lr: f64,
    /// Weight of the older gradients in their mean, in [0, 1).
    pub beta1: f64,
    /// Weight of the older squares in their mean, in [0, 1).
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// L2 penalty on weights, which the second moment scales with the rest; norms and biases have none.
    pub weight_decay: f64,
}

impl Default for Adam {
    fn default() -> Self {
        Self { lr: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 0.0 }
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

/// RMSprop. Defaults are PyTorch's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Rmsprop {
    /// Learning rate.
    pub lr: f64,
    /// Weight of the older squares in their mean, in [0, 1).
    pub alpha: f64,
    /// Added to the root of the mean square (TensorFlow adds it below the root).
    pub epsilon: f64,
    /// Weight of the older steps, in [0, 1).
    pub momentum: f64,
    /// Divides by the deviation rather than by the root of the mean square.
    pub centered: bool,
    /// L2 penalty on weights; norms and biases have none.
    pub weight_decay: f64,
}

impl Default for Rmsprop {
    fn default() -> Self {
        Self { lr: 1e-2, alpha: 0.99, epsilon: 1e-8, momentum: 0.0, centered: false, weight_decay: 0.0 }
    }
}

/// LAMB. Defaults are timm's, without its own clipping: `clip_norm` does that.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Lamb {
    /// Learning rate.
    pub lr: f64,
    /// Weight of the older gradients in their mean, in [0, 1).
    pub beta1: f64,
    /// Weight of the older squares in their mean, in [0, 1).
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Share of a weight added to its step before the layer's rate is found; norms and biases have neither.
    pub weight_decay: f64,
}

impl Default for Lamb {
    fn default() -> Self {
        Self { lr: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-6, weight_decay: 0.01 }
    }
}

/// LARS. Momentum and weight decay are the paper's for ImageNet, the rest is timm's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Lars {
    /// Learning rate.
    pub lr: f64,
    /// Weight of the older gradients, in [0, 1).
    pub momentum: f64,
    /// Looks ahead along the momentum.
    pub nesterov: bool,
    /// A layer's step as a share of its weights' norm.
    pub trust_coefficient: f64,
    /// Added to the gradient's norm.
    pub epsilon: f64,
    /// L2 penalty on weights; norms and biases have neither it nor a rate of their own.
    pub weight_decay: f64,
}

impl Default for Lars {
    fn default() -> Self {
        Self { lr: 1.0, momentum: 0.9, nesterov: false, trust_coefficient: 1e-3, epsilon: 1e-8, weight_decay: 5e-4 }
    }
}

/// Adafactor. Defaults are PyTorch's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Adafactor {
    /// Most of the learning rate, relative to a weight's own size; 1 over the root of the step bounds it too.
    pub lr: f64,
    /// The newest square weighs step to this power, below 0.
    pub beta2_decay: f64,
    /// Least root mean square that a weight is taken to have.
    pub min_scale: f64,
    /// Largest root mean square of a step before the rate, at least 1.
    pub clip_threshold: f64,
    /// Share of a weight taken off per unit of learning rate; norms and biases have none.
    pub weight_decay: f64,
}

impl Default for Adafactor {
    fn default() -> Self {
        Self { lr: 1e-2, beta2_decay: -0.8, min_scale: 1e-3, clip_threshold: 1.0, weight_decay: 0.0 }
    }
}

/// Lion. Defaults are timm's, which are the paper's; its rate is 3 to 10 times smaller than AdamW's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Lion {
    /// Learning rate.
    pub lr: f64,
    /// Weight of the momentum in the step's sign, in [0, 1).
    pub beta1: f64,
    /// Weight of the older gradients in the momentum, in [0, 1).
    pub beta2: f64,
    /// Share of a weight taken off per unit of learning rate; norms and biases have none.
    pub weight_decay: f64,
}

impl Default for Lion {
    fn default() -> Self {
        Self { lr: 1e-4, beta1: 0.9, beta2: 0.99, weight_decay: 0.0 }
    }
}

/// Muon for matrices and filters, AdamW for vectors and the last layer. Defaults are those of torch.optim.Muon and
/// AdamW, but for the size of a step: with AdamW's (Liu 2025, arXiv 2502.16982) one rate serves both.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Muon {
    /// Learning rate of the matrices.
    pub lr: f64,
    /// Weight of the older gradients of the matrices, in [0, 1).
    pub momentum: f64,
    /// Looks ahead along the momentum.
    pub nesterov: bool,
    /// Newton-Schulz iterations towards the nearest orthogonal matrix.
    pub iterations: usize,
    /// How a step's size follows from the matrix's shape.
    pub step_size: MuonStepSize,
    /// Share of a weight taken off per unit of learning rate; norms and biases have none.
    pub weight_decay: f64,
    /// AdamW's learning rate as a multiple of `lr`.
    pub adamw_factor: f64,
    /// AdamW's weight of the older gradients, in [0, 1).
    pub beta1: f64,
    /// AdamW's weight of the older squares, in [0, 1).
    pub beta2: f64,
    /// AdamW's addition to the root of the second moment.
    pub epsilon: f64,
}

/// How large Muon's step of a matrix is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MuonStepSize {
    /// The root of outputs over inputs, at least 1 (Jordan 2024).
    Original,
    /// A fifth of the root of the larger side, about as large as AdamW's steps (Liu 2025, arXiv 2502.16982).
    #[default]
    MatchRmsAdamw,
}

impl Default for Muon {
    fn default() -> Self {
        Self {
            lr: 1e-3,
            momentum: 0.95,
            nesterov: true,
            iterations: 5,
            step_size: MuonStepSize::default(),
            weight_decay: 0.1,
            adamw_factor: 1.0,
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
        }
    }
}

/// Adam, then SGD. Defaults are those of `adam` and `sgd`; the epoch is the middle of the default recipe's ten.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AdamThenSgd {
    /// Adam's learning rate.
    pub lr: f64,
    /// Adam's weight of the older gradients, in [0, 1).
    pub beta1: f64,
    /// Adam's weight of the older squares, in [0, 1).
    pub beta2: f64,
    /// Adam's addition to the root of the second moment.
    pub epsilon: f64,
    /// Epochs with Adam before SGD goes on, without momentum at first.
    pub switch_epoch: u64,
    /// SGD's learning rate.
    pub sgd_lr: f64,
    /// SGD's weight of the older gradients, in [0, 1).
    pub momentum: f64,
    /// SGD looks ahead along the momentum.
    pub nesterov: bool,
    /// L2 penalty on weights, before and after; norms and biases have none.
    pub weight_decay: f64,
}

impl Default for AdamThenSgd {
    fn default() -> Self {
        let (Adam { lr, beta1, beta2, epsilon, .. }, sgd) = (Adam::default(), Sgd::default());
        let Sgd { lr: sgd_lr, momentum, nesterov, weight_decay } = sgd;
        Self { lr, beta1, beta2, epsilon, switch_epoch: 5, sgd_lr, momentum, nesterov, weight_decay }
    }
}

impl OptimizerSpec {
    /// The learning rate at the schedule's factor 1, at first.
    pub fn lr(&self) -> f64 {
        self.lr_in(0)
    }

    /// The learning rate at the schedule's factor 1 in an epoch, from 0.
    pub fn lr_in(&self, epoch: u64) -> f64 {
        match self {
            Self::Sgd(sgd) => sgd.lr,
            Self::Adam(adam) => adam.lr,
            Self::Adamw(adamw) => adamw.lr,
            Self::Rmsprop(rmsprop) => rmsprop.lr,
            Self::Lamb(lamb) => lamb.lr,
            Self::Lars(lars) => lars.lr,
            Self::Adafactor(adafactor) => adafactor.lr,
            Self::Lion(lion) => lion.lr,
            Self::Muon(muon) => muon.lr,
            Self::AdamThenSgd(both) if epoch >= both.switch_epoch => both.sgd_lr,
            Self::AdamThenSgd(both) => both.lr,
        }
    }

    pub(super) fn rules(&self, rules: &mut Vec<Rule>) {
        let shares = |rules: &mut Vec<Rule>, rows: &[(&'static str, f64)]| {
            rules.extend(rows.iter().map(|(field, value)| -> Rule { (*field, "in [0, 1)", *value, share) }));
        };
        rules.push(("optimizer.lr", "0 or more", self.lr(), not_negative));
        let weight_decay = match self {
            Self::Sgd(sgd) => {
                shares(rules, &[("optimizer.momentum", sgd.momentum)]);
                sgd.weight_decay
            }
            Self::Adam(Adam { beta1, beta2, epsilon, weight_decay, .. })
            | Self::Adamw(Adamw { beta1, beta2, epsilon, weight_decay, .. })
            | Self::Lamb(Lamb { beta1, beta2, epsilon, weight_decay, .. }) => {
                shares(rules, &[("optimizer.beta1", *beta1), ("optimizer.beta2", *beta2)]);
                rules.push(("optimizer.epsilon", "above 0", *epsilon, positive));
                *weight_decay
            }
            Self::Rmsprop(rmsprop) => {
                shares(rules, &[("optimizer.alpha", rmsprop.alpha), ("optimizer.momentum", rmsprop.momentum)]);
                rules.push(("optimizer.epsilon", "above 0", rmsprop.epsilon, positive));
                rmsprop.weight_decay
            }
            Self::Lars(lars) => {
                shares(rules, &[("optimizer.momentum", lars.momentum)]);
                rules.push(("optimizer.trust_coefficient", "above 0", lars.trust_coefficient, positive));
                rules.push(("optimizer.epsilon", "0 or more", lars.epsilon, not_negative));
                lars.weight_decay
            }
            Self::Adafactor(adafactor) => {
                rules.push(("optimizer.beta2_decay", "below 0", adafactor.beta2_decay, |x| x < 0.0 && x.is_finite()));
                rules.push(("optimizer.min_scale", "above 0", adafactor.min_scale, positive));
                rules.push(("optimizer.clip_threshold", "at least 1", adafactor.clip_threshold, |x| {
                    x >= 1.0 && x.is_finite()
                }));
                adafactor.weight_decay
            }
            Self::Lion(lion) => {
                shares(rules, &[("optimizer.beta1", lion.beta1), ("optimizer.beta2", lion.beta2)]);
                lion.weight_decay
            }
            Self::Muon(muon) => {
                let Muon { momentum, beta1, beta2, .. } = *muon;
                shares(
                    rules,
                    &[("optimizer.momentum", momentum), ("optimizer.beta1", beta1), ("optimizer.beta2", beta2)],
                );
                rules.push(("optimizer.iterations", "from 1 to 99", muon.iterations as f64, |x| {
                    (1.0..=99.0).contains(&x)
                }));
                rules.push(("optimizer.adamw_factor", "0 or more", muon.adamw_factor, not_negative));
                rules.push(("optimizer.epsilon", "above 0", muon.epsilon, positive));
                muon.weight_decay
            }
            Self::AdamThenSgd(both) => {
                let AdamThenSgd { momentum, beta1, beta2, .. } = *both;
                shares(
                    rules,
                    &[("optimizer.momentum", momentum), ("optimizer.beta1", beta1), ("optimizer.beta2", beta2)],
                );
                rules.push(("optimizer.sgd_lr", "0 or more", both.sgd_lr, not_negative));
                rules.push(("optimizer.epsilon", "above 0", both.epsilon, positive));
                both.weight_decay
            }
        };
        rules.push(("optimizer.weight_decay", "0 or more", weight_decay, not_negative));
    }
}

/// How the optimizer's learning rate follows the images of an update, so that both can be searched apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LrScaling {
    /// Not at all: the rate is as written.
    #[default]
    None,
    /// The rate is per 256 images and grows with them, as suits SGD (Goyal 2017, arXiv 1706.02677).
    Linear,
    /// The rate is per 256 images and grows with their root, as suits Adam and LAMB (You 2020, arXiv 1904.00962).
    Sqrt,
}

impl LrScaling {
    /// What to multiply a rate with for so many images an update.
    pub fn factor(self, images: usize) -> f64 {
        // Goyal's batch, and timm's `--lr-base-size`.
        let ratio = images as f64 / 256.0;
        match self {
            Self::None => 1.0,
            Self::Linear => ratio,
            Self::Sqrt => ratio.sqrt(),
        }
    }
}

/// Slow weights that follow the optimizer's every few updates (Zhang 2019, arXiv 1907.08610).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Lookahead {
    /// Updates between two steps of the slow weights; 0 has none. The paper and timm have 5 and 6.
    pub every: u64,
    /// How far the slow weights go towards the optimizer's, in [0, 1]; the paper's is the default.
    pub alpha: f64,
}

impl Default for Lookahead {
    fn default() -> Self {
        Self { every: 0, alpha: 0.5 }
    }
}

/// A running mean of the weights after each update, evaluated beside them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Ema {
    /// Share of the mean that stays at an update, in [0, 1); 0 has no mean. timm's is 0.9998.
    pub decay: f64,
    /// Lets the first updates weigh more, as timm's `--model-ema-warmup`.
    pub warmup: bool,
    /// Whether the mean is what the trial is judged by and keeps; else it is only measured.
    pub keep: bool,
}

impl Default for Ema {
    fn default() -> Self {
        Self { decay: 0.0, warmup: true, keep: true }
    }
}

impl Ema {
    /// Whether the mean is the trial's weights.
    pub fn counts(&self) -> bool {
        self.decay > 0.0 && self.keep
    }

    pub(super) fn rules(&self, rules: &mut Vec<Rule>) {
        rules.push(("ema.decay", "in [0, 1)", self.decay, share));
    }
}

impl Lookahead {
    pub(super) fn rules(&self, rules: &mut Vec<Rule>) {
        rules.push(("lookahead.alpha", "in [0, 1]", self.alpha, closed_share));
    }
}
