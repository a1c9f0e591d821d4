//! A recipe: everything that decides how a trial trains. Each field can be fixed by a study or searched over.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::metric::Metric;

/// How to train an image classifier. Every field has a default, so that `{}` is a recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Recipe {
    /// The network.
    pub model: ModelSpec,
    /// Passes over the training split.
    pub epochs: u64,
    /// Images per optimizer step.
    pub batch_size: usize,
    /// How gradients become steps, with its own learning rate.
    pub optimizer: OptimizerSpec,
    /// How the learning rate goes over training.
    pub schedule: ScheduleSpec,
    /// What is done to training images at random.
    pub augment: Augment,
    /// How bytes become the network's input.
    pub normalize: Normalize,
    /// Share of the target spread over all classes, in [0, 1) (Szegedy 2016, arXiv 1512.00567).
    pub label_smoothing: f64,
    /// Largest norm of all gradients together; 0 leaves them as they are (Pascanu 2013, arXiv 1211.5063).
    pub clip_norm: f64,
    /// Epochs without a better validation metric after which training ends; 0 never ends it early.
    pub patience: u64,
    /// Which epoch's weights and metric are the trial's.
    pub keep: Keep,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            model: ModelSpec::Resnet8(Resnet8 {}),
            epochs: 10,
            batch_size: 128,
            optimizer: OptimizerSpec::Sgd(Sgd::default()),
            schedule: ScheduleSpec::Cosine(Cosine::default()),
            augment: Augment::default(),
            normalize: Normalize::Data,
            label_smoothing: 0.0,
            clip_norm: 0.0,
            patience: 0,
            keep: Keep::Best,
        }
    }
}

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

/// The learning-rate schedules: pure functions of progress.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ScheduleSpec {
    /// The same rate throughout, after an optional warm-up.
    Constant(Constant),
    /// Half a cosine from the rate to nearly nothing (Loshchilov 2017, arXiv 1608.03983).
    Cosine(Cosine),
    /// Up to the peak and down again (Smith 2018, arXiv 1708.07120).
    OneCycle(OneCycle),
}

/// A constant rate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Constant {
    /// Epochs over which the rate rises linearly from nothing (Goyal 2017, arXiv 1706.02677).
    pub warmup_epochs: f64,
}

/// Half a cosine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cosine {
    /// Epochs over which the rate rises linearly from nothing (Goyal 2017, arXiv 1706.02677).
    pub warmup_epochs: f64,
    /// Rate at the end as a share of the rate, in [0, 1].
    pub final_factor: f64,
}

/// One cycle with cosine flanks. Defaults are those of torch.optim.lr_scheduler.OneCycleLR.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OneCycle {
    /// Share of the steps spent rising, in (0, 1).
    pub peak_at: f64,
    /// The peak divided by the first rate.
    pub div_factor: f64,
    /// The first rate divided by the last.
    pub final_div_factor: f64,
}

impl Default for OneCycle {
    fn default() -> Self {
        Self { peak_at: 0.3, div_factor: 25.0, final_div_factor: 1e4 }
    }
}

/// What is done to training images at random. The defaults are He 2016's for CIFAR.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Augment {
    /// Chance that an image is mirrored left to right, in [0, 1].
    pub flip: f64,
    /// Pixels of zeros added at each side, before a crop of the old size at a random place.
    pub crop_padding: usize,
}

impl Default for Augment {
    fn default() -> Self {
        Self { flip: 0.5, crop_padding: 4 }
    }
}

/// How bytes become the network's input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Normalize {
    /// Mean 0 and deviation 1 in each channel over the training split.
    #[default]
    Data,
    /// The mean and deviation of ImageNet's channels, for pre-trained weights.
    Imagenet,
    /// From 0 to 1.
    Unit,
}

/// Which epoch counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// The one with the best validation metric.
    #[default]
    Best,
    /// The last.
    Last,
}

/// A recipe that cannot be trained with.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("`{field}` must be {rule}, but is {value}")]
pub struct RecipeError {
    /// Path of the field, as in a study file.
    pub field: &'static str,
    /// What would be right.
    pub rule: &'static str,
    /// What it is.
    pub value: f64,
}

/// A row of the rules that numbers of a recipe keep: where, what, which, and whether it holds.
type Rule = (&'static str, &'static str, f64, fn(f64) -> bool);

impl Recipe {
    /// Checks every number; the first broken rule is the error.
    pub fn check(&self) -> Result<(), RecipeError> {
        let share = |x: f64| (0.0..1.0).contains(&x);
        let closed_share = |x: f64| (0.0..=1.0).contains(&x);
        let not_negative = |x: f64| x >= 0.0 && x.is_finite();
        let positive = |x: f64| x > 0.0 && x.is_finite();
        let mut rules: Vec<Rule> = vec![
            ("epochs", "at least 1", self.epochs as f64, |x| x >= 1.0),
            ("batch_size", "at least 1", self.batch_size as f64, |x| x >= 1.0),
            ("label_smoothing", "in [0, 1)", self.label_smoothing, share),
            ("clip_norm", "0 (off) or more", self.clip_norm, not_negative),
            ("augment.flip", "in [0, 1]", self.augment.flip, closed_share),
            ("augment.crop_padding", "at most 1024", self.augment.crop_padding as f64, |x| x <= 1024.0),
        ];
        match &self.model {
            ModelSpec::Mlp(mlp) => {
                rules.push(("model.width", "from 1 to 65536", mlp.width as f64, |x| (1.0..=65536.0).contains(&x)));
                rules.push(("model.depth", "at most 64", mlp.depth as f64, |x| x <= 64.0));
                rules.push(("model.dropout", "in [0, 1)", mlp.dropout, share));
            }
            ModelSpec::Convnet(net) => {
                rules.push(("model.width", "from 1 to 4096", net.width as f64, |x| (1.0..=4096.0).contains(&x)));
                rules.push(("model.dropout", "in [0, 1)", net.dropout, share));
            }
            ModelSpec::Resnet8(_) | ModelSpec::Resnet20(_) | ModelSpec::Resnet18(_) => {}
        }
        match &self.optimizer {
            OptimizerSpec::Sgd(sgd) => {
                rules.push(("optimizer.lr", "0 or more", sgd.lr, not_negative));
                rules.push(("optimizer.momentum", "in [0, 1)", sgd.momentum, share));
                rules.push(("optimizer.weight_decay", "0 or more", sgd.weight_decay, not_negative));
            }
            OptimizerSpec::Adamw(adamw) => {
                rules.push(("optimizer.lr", "0 or more", adamw.lr, not_negative));
                rules.push(("optimizer.beta1", "in [0, 1)", adamw.beta1, share));
                rules.push(("optimizer.beta2", "in [0, 1)", adamw.beta2, share));
                rules.push(("optimizer.epsilon", "above 0", adamw.epsilon, positive));
                rules.push(("optimizer.weight_decay", "0 or more", adamw.weight_decay, not_negative));
            }
        }
        match &self.schedule {
            ScheduleSpec::Constant(constant) => {
                rules.push(("schedule.warmup_epochs", "0 or more", constant.warmup_epochs, not_negative));
            }
            ScheduleSpec::Cosine(cosine) => {
                rules.push(("schedule.warmup_epochs", "0 or more", cosine.warmup_epochs, not_negative));
                rules.push(("schedule.final_factor", "in [0, 1]", cosine.final_factor, closed_share));
            }
            ScheduleSpec::OneCycle(cycle) => {
                rules.push(("schedule.peak_at", "in (0, 1)", cycle.peak_at, |x| x > 0.0 && x < 1.0));
                rules.push(("schedule.div_factor", "at least 1", cycle.div_factor, |x| x >= 1.0 && x.is_finite()));
                rules.push(("schedule.final_div_factor", "at least 1", cycle.final_div_factor, |x| {
                    x >= 1.0 && x.is_finite()
                }));
            }
        }
        match rules.into_iter().find(|(_, _, value, holds)| !holds(*value)) {
            Some((field, rule, value, _)) => Err(RecipeError { field, rule, value }),
            None => Ok(()),
        }
    }

    /// Whether a trial's value is its best epoch's, in the metric's direction.
    pub fn improves(&self, metric: Metric, value: f64, best: Option<f64>) -> bool {
        match (self.keep, best) {
            (Keep::Last, _) | (Keep::Best, None) => true,
            (Keep::Best, Some(best)) => metric.is_better(value, best),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<(), &str>) {
        let recipe: Recipe = toml::from_str(text).unwrap();
        assert_eq!(recipe.check().map_err(|error| error.to_string()), expected.map_err(str::to_owned));
    }

    #[test]
    fn an_empty_recipe_is_the_default() {
        assert_eq!(toml::from_str::<Recipe>("").unwrap(), Recipe::default());
        check("", Ok(()));
    }

    #[test]
    fn a_number_out_of_range_is_named_with_its_rule() {
        check("batch_size = 0", Err("`batch_size` must be at least 1, but is 0"));
        check("label_smoothing = 1.0", Err("`label_smoothing` must be in [0, 1), but is 1"));
        check(
            "optimizer = { kind = 'sgd', momentum = -0.1 }",
            Err("`optimizer.momentum` must be in [0, 1), but is -0.1"),
        );
        check("schedule = { kind = 'one_cycle', peak_at = 1 }", Err("`schedule.peak_at` must be in (0, 1), but is 1"));
        check("optimizer = { kind = 'adamw', lr = nan }", Err("`optimizer.lr` must be 0 or more, but is NaN"));
    }

    #[test]
    fn a_momentum_for_adamw_is_refused() {
        let error = toml::from_str::<Recipe>("optimizer = { kind = 'adamw', momentum = 0.9 }").unwrap_err();
        assert!(error.message().contains("unknown field `momentum`"), "{error}");
    }

    #[test]
    fn a_recipe_survives_toml() {
        let recipe = Recipe::default();
        assert_eq!(toml::from_str::<Recipe>(&toml::to_string(&recipe).unwrap()).unwrap(), recipe);
    }
}
