//! The learning-rate schedules of a recipe.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rule::{Rule, at_least_one, closed_share, not_negative, positive};

/// The learning-rate schedules: pure functions of progress, and of the past metrics where they say so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ScheduleSpec {
    /// The same rate throughout, after an optional warm-up.
    Constant(Constant),
    /// A drop every so many epochs, as torch's StepLR.
    Step(Step),
    /// A drop at each of some places (He 2016, arXiv 1512.03385), as torch's MultiStepLR.
    MultiStep(MultiStep),
    /// The same ratio from each step to the next, as torch's ExponentialLR.
    Exponential(Exponential),
    /// A power of what is left of training, as torch's PolynomialLR.
    Polynomial(Polynomial),
    /// Half a cosine from the rate to nearly nothing (Loshchilov 2017, arXiv 1608.03983).
    Cosine(Cosine),
    /// Half cosines, each from the rate again (Loshchilov 2017, arXiv 1608.03983), as torch's and timm's.
    Sgdr(Sgdr),
    /// Up and down along straight lines (Smith 2015, arXiv 1506.01186), as torch's CyclicLR.
    Triangular(Cycle),
    /// The same, each cycle half as high as the one before.
    Triangular2(Cycle),
    /// The same, with heights that shrink exponentially.
    ExpRange(ExpRange),
    /// Up and down along a cosine.
    CosineCyclical(Cycle),
    /// Up to the peak and down again (Smith 2018, arXiv 1708.07120), as torch's OneCycleLR.
    OneCycle(OneCycle),
    /// A drop when the study's metric gets no better, as torch's ReduceLROnPlateau.
    Plateau(Plateau),
}

/// How the rate comes up at first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Warmup {
    /// By the same amount each step (Goyal 2017, arXiv 1706.02677).
    #[default]
    Linear,
    /// By the same ratio each step, from a hundredth.
    Exponential,
}

/// A constant rate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Constant {
    /// Epochs over which the rate rises from nothing (Goyal 2017, arXiv 1706.02677).
    pub warmup_epochs: f64,
    /// How it rises.
    pub warmup: Warmup,
}

/// Equal drops at equal distances. Defaults are those of torchvision's training script.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Step {
    /// Epochs from one drop to the next.
    pub every_epochs: f64,
    /// The rate after a drop as a share of the one before.
    pub gamma: f64,
    /// Epochs over which the rate rises from nothing.
    pub warmup_epochs: f64,
    /// How it rises.
    pub warmup: Warmup,
}

impl Default for Step {
    fn default() -> Self {
        Self { every_epochs: 30.0, gamma: 0.1, warmup_epochs: 0.0, warmup: Warmup::Linear }
    }
}

/// Equal drops at places of choice. Defaults are those of He 2016 for CIFAR.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MultiStep {
    /// Where the rate drops, as shares of all steps, in (0, 1).
    pub milestones: Vec<f64>,
    /// The rate after a drop as a share of the one before.
    pub gamma: f64,
    /// Epochs over which the rate rises from nothing.
    pub warmup_epochs: f64,
    /// How it rises.
    pub warmup: Warmup,
}

impl Default for MultiStep {
    fn default() -> Self {
        Self { milestones: vec![0.5, 0.75], gamma: 0.1, warmup_epochs: 0.0, warmup: Warmup::Linear }
    }
}

/// An exponential decay; the default is a third of the rate after ten epochs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Exponential {
    /// The rate after an epoch as a share of the one before it.
    pub gamma: f64,
    /// Epochs over which the rate rises from nothing.
    pub warmup_epochs: f64,
    /// How it rises.
    pub warmup: Warmup,
}

impl Default for Exponential {
    fn default() -> Self {
        Self { gamma: 0.9, warmup_epochs: 0.0, warmup: Warmup::Linear }
    }
}

/// A polynomial decay; the default is PyTorch's, a straight line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Polynomial {
    /// The power of what is left.
    pub power: f64,
    /// Rate at the end as a share of the rate, in [0, 1].
    pub final_factor: f64,
    /// Epochs over which the rate rises from nothing.
    pub warmup_epochs: f64,
    /// How it rises.
    pub warmup: Warmup,
}

impl Default for Polynomial {
    fn default() -> Self {
        Self { power: 1.0, final_factor: 0.0, warmup_epochs: 0.0, warmup: Warmup::Linear }
    }
}

/// Half a cosine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cosine {
    /// Epochs over which the rate rises from nothing (Goyal 2017, arXiv 1706.02677).
    pub warmup_epochs: f64,
    /// How it rises.
    pub warmup: Warmup,
    /// Rate at the end as a share of the rate, in [0, 1].
    pub final_factor: f64,
}

/// Half cosines with restarts. The first two defaults are the paper's for few epochs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sgdr {
    /// Epochs of the first cosine.
    pub first_epochs: f64,
    /// Length of each cosine as a multiple of the one before.
    pub t_mult: f64,
    /// Peak of each cosine as a share of the one before.
    pub decay: f64,
    /// Rate at the end of each cosine as a share of the rate, in [0, 1].
    pub final_factor: f64,
    /// Epochs over which the rate rises from nothing, before the first cosine.
    pub warmup_epochs: f64,
    /// How it rises.
    pub warmup: Warmup,
}

impl Default for Sgdr {
    fn default() -> Self {
        let (first_epochs, t_mult, decay, final_factor) = (1.0, 2.0, 1.0, 0.0);
        Self { first_epochs, t_mult, decay, final_factor, warmup_epochs: 0.0, warmup: Warmup::Linear }
    }
}

/// Cycles between a base and the rate. Lengths and base are Smith 2015's (sections 3.2 and 3.3), momenta PyTorch's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cycle {
    /// Lowest rate as a share of the rate, in [0, 1].
    pub base_factor: f64,
    /// Epochs upwards.
    pub up_epochs: f64,
    /// Epochs downwards.
    pub down_epochs: f64,
    /// Moves the optimizer's momentum or beta1 too, against the rate.
    pub cycle_momentum: bool,
    /// Momentum at the rate's peak.
    pub min_momentum: f64,
    /// Momentum at the rate's base.
    pub max_momentum: f64,
}

impl Default for Cycle {
    fn default() -> Self {
        Self {
            base_factor: 0.25,
            up_epochs: 2.0,
            down_epochs: 2.0,
            cycle_momentum: false,
            min_momentum: 0.8,
            max_momentum: 0.9,
        }
    }
}

/// Cycles that shrink exponentially. Defaults are those of the other cycles.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ExpRange {
    /// Height after an epoch as a share of that before it (torch's is by the step).
    pub gamma: f64,
    /// Lowest rate as a share of the rate, in [0, 1].
    pub base_factor: f64,
    /// Epochs upwards.
    pub up_epochs: f64,
    /// Epochs downwards.
    pub down_epochs: f64,
    /// Moves the optimizer's momentum or beta1 too, against the rate.
    pub cycle_momentum: bool,
    /// Momentum at the rate's peak.
    pub min_momentum: f64,
    /// Momentum at the rate's base.
    pub max_momentum: f64,
}

impl Default for ExpRange {
    fn default() -> Self {
        let Cycle { base_factor, up_epochs, down_epochs, cycle_momentum, min_momentum, max_momentum } =
            Cycle::default();
        Self { gamma: 0.9, base_factor, up_epochs, down_epochs, cycle_momentum, min_momentum, max_momentum }
    }
}

impl ExpRange {
    /// The cycles without their shrinking.
    pub(crate) fn cycle(&self) -> Cycle {
        let Self { base_factor, up_epochs, down_epochs, cycle_momentum, min_momentum, max_momentum, .. } = *self;
        Cycle { base_factor, up_epochs, down_epochs, cycle_momentum, min_momentum, max_momentum }
    }
}

/// One cycle. Defaults are those of torch.optim.lr_scheduler.OneCycleLR, but for the momentum, which stays the
/// optimizer's own unless asked: else a searched momentum would have no effect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OneCycle {
    /// Share of the steps spent rising, in (0, 1).
    pub peak_at: f64,
    /// The peak divided by the first rate.
    pub div_factor: f64,
    /// The first rate divided by the last.
    pub final_div_factor: f64,
    /// The form of both flanks.
    pub anneal: Anneal,
    /// Moves the optimizer's momentum or beta1 too, against the rate.
    pub cycle_momentum: bool,
    /// Momentum at the peak.
    pub min_momentum: f64,
    /// Momentum at the start and at the end.
    pub max_momentum: f64,
}

/// The way from one rate to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Anneal {
    /// Half a cosine.
    #[default]
    Cosine,
    /// A straight line.
    Linear,
}

impl Default for OneCycle {
    fn default() -> Self {
        Self {
            peak_at: 0.3,
            div_factor: 25.0,
            final_div_factor: 1e4,
            anneal: Anneal::Cosine,
            cycle_momentum: false,
            min_momentum: 0.85,
            max_momentum: 0.95,
        }
    }
}

/// Drops on a plateau. Defaults are PyTorch's, but for the patience, which there is 10 and made for longer trainings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Plateau {
    /// The rate after a drop as a share of the one before.
    pub gamma: f64,
    /// Epochs in a row without a better metric that are borne; the next one drops the rate.
    pub patience: u64,
    /// A metric is better by at least this share of the best.
    pub threshold: f64,
    /// Epochs after a drop that are not counted.
    pub cooldown: u64,
    /// Lowest rate as a share of the rate, in [0, 1].
    pub final_factor: f64,
    /// Epochs over which the rate rises from nothing.
    pub warmup_epochs: f64,
    /// How it rises.
    pub warmup: Warmup,
}

impl Default for Plateau {
    fn default() -> Self {
        Self {
            gamma: 0.1,
            patience: 3,
            threshold: 1e-4,
            cooldown: 0,
            final_factor: 0.0,
            warmup_epochs: 0.0,
            warmup: Warmup::Linear,
        }
    }
}

impl ScheduleSpec {
    /// Epochs over which the rate rises, and how.
    pub(crate) fn warmup(&self) -> (f64, Warmup) {
        match self {
            Self::Constant(Constant { warmup_epochs, warmup })
            | Self::Step(Step { warmup_epochs, warmup, .. })
            | Self::MultiStep(MultiStep { warmup_epochs, warmup, .. })
            | Self::Exponential(Exponential { warmup_epochs, warmup, .. })
            | Self::Polynomial(Polynomial { warmup_epochs, warmup, .. })
            | Self::Cosine(Cosine { warmup_epochs, warmup, .. })
            | Self::Sgdr(Sgdr { warmup_epochs, warmup, .. })
            | Self::Plateau(Plateau { warmup_epochs, warmup, .. }) => (*warmup_epochs, *warmup),
            Self::Triangular(_)
            | Self::Triangular2(_)
            | Self::ExpRange(_)
            | Self::CosineCyclical(_)
            | Self::OneCycle(_) => (0.0, Warmup::Linear),
        }
    }

    /// Whether the momentum is the schedule's.
    pub(super) fn cycles_momentum(&self) -> bool {
        match self {
            Self::Triangular(cycle) | Self::Triangular2(cycle) | Self::CosineCyclical(cycle) => cycle.cycle_momentum,
            Self::ExpRange(range) => range.cycle_momentum,
            Self::OneCycle(cycle) => cycle.cycle_momentum,
            _ => false,
        }
    }

    pub(super) fn rules(&self, rules: &mut Vec<Rule>) {
        let gamma = |gamma: f64| -> Rule { ("schedule.gamma", "in (0, 1]", gamma, |x| x > 0.0 && x <= 1.0) };
        let final_factor = |factor: f64| -> Rule { ("schedule.final_factor", "in [0, 1]", factor, closed_share) };
        rules.push(("schedule.warmup_epochs", "0 or more", self.warmup().0, not_negative));
        match self {
            Self::Constant(_) => {}
            Self::Step(step) => {
                rules.push(("schedule.every_epochs", "above 0", step.every_epochs, positive));
                rules.push(gamma(step.gamma));
            }
            Self::MultiStep(steps) => {
                let milestone =
                    |at: &f64| -> Rule { ("schedule.milestones", "in (0, 1)", *at, |x| x > 0.0 && x < 1.0) };
                rules.extend(steps.milestones.iter().map(milestone));
                rules.push(gamma(steps.gamma));
            }
            Self::Exponential(exponential) => rules.push(gamma(exponential.gamma)),
            Self::Polynomial(polynomial) => {
                rules.push(("schedule.power", "above 0", polynomial.power, positive));
                rules.push(final_factor(polynomial.final_factor));
            }
            Self::Cosine(cosine) => rules.push(final_factor(cosine.final_factor)),
            Self::Sgdr(sgdr) => {
                rules.push(("schedule.first_epochs", "at least 0.01", sgdr.first_epochs, |x| {
                    x >= 0.01 && x.is_finite()
                }));
                rules.push(("schedule.t_mult", "at least 1", sgdr.t_mult, at_least_one));
                rules.push(("schedule.decay", "in (0, 1]", sgdr.decay, |x| x > 0.0 && x <= 1.0));
                rules.push(final_factor(sgdr.final_factor));
            }
            Self::Triangular(cycle) | Self::Triangular2(cycle) | Self::CosineCyclical(cycle) => cycle.rules(rules),
            Self::ExpRange(range) => {
                range.cycle().rules(rules);
                rules.push(gamma(range.gamma));
            }
            Self::OneCycle(cycle) => {
                rules.push(("schedule.peak_at", "in (0, 1)", cycle.peak_at, |x| x > 0.0 && x < 1.0));
                rules.push(("schedule.div_factor", "at least 1", cycle.div_factor, at_least_one));
                rules.push(("schedule.final_div_factor", "at least 1", cycle.final_div_factor, at_least_one));
                momentum_rules(cycle.min_momentum, cycle.max_momentum, rules);
            }
            Self::Plateau(plateau) => {
                rules.push(gamma(plateau.gamma));
                rules.push(("schedule.threshold", "0 or more", plateau.threshold, not_negative));
                rules.push(final_factor(plateau.final_factor));
            }
        }
    }
}

impl Cycle {
    fn rules(&self, rules: &mut Vec<Rule>) {
        rules.push(("schedule.base_factor", "in [0, 1]", self.base_factor, closed_share));
        rules.push(("schedule.up_epochs", "above 0", self.up_epochs, positive));
        rules.push(("schedule.down_epochs", "above 0", self.down_epochs, positive));
        momentum_rules(self.min_momentum, self.max_momentum, rules);
    }
}

fn momentum_rules(min: f64, max: f64, rules: &mut Vec<Rule>) {
    rules.push(("schedule.min_momentum", "in [0, 1)", min, super::rule::share));
    rules.push(("schedule.max_momentum", "in [0, 1)", max, super::rule::share));
}
