//! A recipe: everything that decides how a trial trains. Each field can be fixed by a study or searched over.

mod augment;
mod changes;
mod generated;
mod loss;
mod mixing;
mod model;
mod optimizer;
mod policy;
mod precision;
mod preprocess;
mod pretrained;
mod rule;
mod schedule;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::metric::Metric;

pub use augment::{Augment, ErasedWith, Interpolation, TestTime};
pub use changes::{Change, Changing, overlay};
pub use generated::Generated;
pub use loss::{
    BinaryCrossEntropy, ClassWeights, CrossEntropy, EffectiveNumber, Focal, Inverse, LossSpec, Sampling, SigmoidFocal,
    Unweighted,
};
pub use mixing::Mixing;
pub use model::{
    CifarResnet, Coatnet, CoatnetSize, ConvStyle, Convnet, Efficientnet, Family, Hybrid, Mlp, ModelSpec, NormKind,
    Resnet, Stem, TokenPool, Vit, VitSized, Wrn,
};
pub use optimizer::{
    Adafactor, Adam, AdamThenSgd, Adamw, Ema, Lamb, Lars, Lion, Lookahead, LrScaling, Muon, MuonStepSize,
    OptimizerSpec, Rmsprop, Sgd,
};
pub use policy::{
    AugMix, AutoAugment, Direction, LearnedOn, NoPolicy, Op, Policy, PolicyFile, PolicyFileError, PolicyOp, PolicySpec,
    RandAugment, SubPolicy, TrivialAugment,
};
pub use precision::Precision;
pub use preprocess::{AsItIs, Clahe, Denoise, Equalize, Gaussian, Median, Preprocess};
pub use pretrained::Pretrained;
pub use rule::RecipeError;
pub use schedule::{
    Anneal, Constant, Cosine, Cycle, ExpRange, Exponential, MultiStep, OneCycle, Plateau, Polynomial, ScheduleSpec,
    Sgdr, Step, Warmup,
};

use rule::{Rule, at_least_one, not_negative, share};

/// How to train an image classifier. Every field has a default, so that `{}` is a recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Recipe {
    /// The network.
    pub model: ModelSpec,
    /// The weights that it starts from.
    pub pretrained: Pretrained,
    /// Passes over the training split.
    pub epochs: u64,
    /// Images that go through the network at once.
    pub batch_size: usize,
    /// Batches whose mean gradient makes one optimizer step.
    pub accumulate: usize,
    /// How gradients become steps, with its own learning rate.
    pub optimizer: OptimizerSpec,
    /// How the optimizer's learning rate follows the images of a step.
    pub lr_scaling: LrScaling,
    /// Slow weights behind the optimizer's.
    pub lookahead: Lookahead,
    /// A running mean of the weights.
    pub ema: Ema,
    /// How the learning rate goes over training.
    pub schedule: ScheduleSpec,
    /// What is done to all images once.
    pub preprocess: Preprocess,
    /// What is done to training images at random.
    pub augment: Augment,
    /// How an image is evaluated.
    pub test_time: TestTime,
    /// How bytes become the network's input.
    pub normalize: Normalize,
    /// What training makes small.
    pub loss: LossSpec,
    /// How much an image of each class weighs in the loss.
    pub class_weights: ClassWeights,
    /// Which images make an epoch.
    pub sampling: Sampling,
    /// Share of the target spread over all classes, in [0, 1) (Szegedy 2016, arXiv 1512.00567).
    pub label_smoothing: f64,
    /// Largest norm of all gradients together; 0 leaves them as they are (Pascanu 2013, arXiv 1211.5063).
    pub clip_norm: f64,
    /// Largest size of each number of a gradient; 0 leaves them as they are.
    pub clip_value: f64,
    /// Largest norm of a unit's gradient as a share of its weights' norm; 0 leaves them as they are (Brock 2021, arXiv
    /// 2102.06171). The last layer is left alone.
    pub clip_adaptive: f64,
    /// How many bits activations and gradients have.
    pub precision: Precision,
    /// Images that go through the network at once, where memory is short: the gradients of a batch are gathered from
    /// pieces of this size. 0 takes the whole batch.
    pub micro_batch: usize,
    /// Computes some activations again on the way back instead of keeping them (Chen 2016, arXiv 1604.06174).
    pub gradient_checkpointing: bool,
    /// Epochs without a better validation metric after which training ends; 0 never ends it early.
    pub patience: u64,
    /// How many times the first step's loss an epoch's mean loss may be before the trial has failed; 0 asks only that it
    /// is a number.
    pub diverge_factor: f64,
    /// Value of the study's metric at which training ends, its aim being reached; none unless given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "f64")]
    pub target: Option<f64>,
    /// Which epoch's weights and metric are the trial's.
    pub keep: Keep,
    /// What is other from some epoch on, in order; nothing unless given.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            model: ModelSpec::Resnet8(CifarResnet::default()),
            pretrained: Pretrained::default(),
            epochs: 10,
            batch_size: 128,
            accumulate: 1,
            optimizer: OptimizerSpec::Sgd(Sgd::default()),
            lr_scaling: LrScaling::None,
            lookahead: Lookahead::default(),
            ema: Ema::default(),
            schedule: ScheduleSpec::Cosine(Cosine::default()),
            preprocess: Preprocess::default(),
            augment: Augment::default(),
            test_time: TestTime::default(),
            normalize: Normalize::Data,
            loss: LossSpec::CrossEntropy(CrossEntropy {}),
            class_weights: ClassWeights::None(Unweighted {}),
            sampling: Sampling::Shuffled,
            label_smoothing: 0.0,
            clip_norm: 0.0,
            clip_value: 0.0,
            clip_adaptive: 0.0,
            precision: Precision::F32,
            micro_batch: 0,
            gradient_checkpointing: false,
            patience: 0,
            diverge_factor: 0.0,
            target: None,
            keep: Keep::Best,
            changes: Vec::new(),
        }
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
    /// (byte - 127) / 128, from -1 to 1, for pre-trained weights of EfficientNet-Lite.
    Centered,
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

impl Recipe {
    /// Checks every number; the first broken rule is the error.
    pub fn check(&self) -> Result<(), RecipeError> {
        let mut rules: Vec<Rule> = vec![
            ("epochs", "at least 1", self.epochs as f64, |x| x >= 1.0),
            ("batch_size", "at least 1", self.batch_size as f64, |x| x >= 1.0),
            ("accumulate", "at least 1", self.accumulate as f64, |x| x >= 1.0),
            ("label_smoothing", "in [0, 1)", self.label_smoothing, share),
            ("diverge_factor", "0 (off) or at least 1", self.diverge_factor, |x| x == 0.0 || at_least_one(x)),
            ("target", "a number", self.target.unwrap_or(0.0), f64::is_finite),
            ("clip_norm", "0 (off) or more", self.clip_norm, not_negative),
            ("clip_value", "0 (off) or more", self.clip_value, not_negative),
            ("clip_adaptive", "0 (off) or more", self.clip_adaptive, not_negative),
        ];
        self.loss.rules(&mut rules);
        self.class_weights.rules(&mut rules);
        self.model.rules(&mut rules);
        self.optimizer.rules(&mut rules);
        self.lookahead.rules(&mut rules);
        self.ema.rules(&mut rules);
        self.schedule.rules(&mut rules);
        self.preprocess.rules(&mut rules);
        if matches!(self.optimizer, OptimizerSpec::Adafactor(_)) {
            let cycles = f64::from(u8::from(self.schedule.cycles_momentum()));
            rules.push(("schedule.cycle_momentum", "off with adafactor, which has no momentum", cycles, |x| x == 0.0));
        }
        self.augment.rules(&mut rules);
        self.test_time.rules(&mut rules);
        match rules.into_iter().find(|(_, _, value, holds)| !holds(*value)) {
            Some((field, rule, value, _)) => Err(RecipeError::Number { field, rule, value }),
            None => self.check_changes(),
        }
    }

    /// Whether a trial's value so far is all that was asked for.
    pub fn is_reached(&self, metric: Metric, value: f64) -> bool {
        self.target.is_some_and(|target| metric.reaches(value, target))
    }

    /// The learning rate of an epoch (from 0) at the schedule's factor 1.
    pub fn lr(&self, epoch: u64) -> f64 {
        self.optimizer.lr_in(epoch) * self.lr_scaling.factor(self.batch_size * self.accumulate)
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
        check("diverge_factor = 0.5", Err("`diverge_factor` must be 0 (off) or at least 1, but is 0.5"));
        check("target = inf", Err("`target` must be a number, but is inf"));
        check("loss = { kind = 'focal', gamma = -1 }", Err("`loss.gamma` must be 0 or more, but is -1"));
        check("schedule = { kind = 'one_cycle', peak_at = 1 }", Err("`schedule.peak_at` must be in (0, 1), but is 1"));
        check("optimizer = { kind = 'adamw', lr = nan }", Err("`optimizer.lr` must be 0 or more, but is NaN"));
    }

    #[test]
    fn a_policy_out_of_range_is_named_with_its_rule() {
        check(
            "augment.policy = { kind = 'custom', sub_policies = [] }",
            Err("`augment.policy.sub_policies` must be at least one, but is 0"),
        );
        check(
            "augment.policy = { kind = 'custom', sub_policies = [{ ops = [{ op = 'rotate', magnitude = 1.5 }] }] }",
            Err("`augment.policy.sub_policies.ops.magnitude` must be in [0, 1], but is 1.5"),
        );
        check(
            "augment.policy = { kind = 'rand_augment', m = 31 }",
            Err("`augment.policy.m` must be from 0 to 30, but is 31"),
        );
        let mixed = |mix: &str| {
            format!("augment.policy = {{ kind = 'custom', mix = [{{ {mix} }}], sub_policies = [{{ ops = [] }}] }}")
        };
        check(&mixed("mixup = -1"), Err("`augment.policy.mix.mixup` must be 0 (off) or more, but is -1"));
        check(&mixed("cutmix = inf"), Err("`augment.policy.mix.cutmix` must be 0 (off) or more, but is inf"));
        check(&mixed("chance = 1.5"), Err("`augment.policy.mix.chance` must be in [0, 1], but is 1.5"));
        check(&mixed("until = 2"), Err("`augment.policy.mix.until` must be in [0, 1], but is 2"));
        let unknown = toml::from_str::<Recipe>(&mixed("mixupp = 1")).unwrap_err();
        assert!(unknown.message().contains("unknown field `mixupp`"), "{unknown}");
    }

    #[test]
    fn a_momentum_for_adamw_is_refused() {
        let error = toml::from_str::<Recipe>("optimizer = { kind = 'adamw', momentum = 0.9 }").unwrap_err();
        assert!(error.message().contains("unknown field `momentum`"), "{error}");
    }

    #[test]
    fn a_recipe_survives_toml() {
        let custom = "augment.policy = { kind = 'custom', sub_policies = [{ ops = [{ op = 'rotate' }] }] }";
        let mixing = "augment.policy = { kind = 'custom', mix = [{ mixup = 0.2, until = 0.5 }, { cutmix = 1 }], sub_policies = \
                      [{ ops = [] }] }";
        for recipe in [Recipe::default(), toml::from_str(custom).unwrap(), toml::from_str(mixing).unwrap()] {
            assert_eq!(toml::from_str::<Recipe>(&toml::to_string(&recipe).unwrap()).unwrap(), recipe);
        }
    }
}
