//! The learning-rate schedules of a recipe.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rule::{Rule, at_least_one, closed_share, not_negative};

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

impl ScheduleSpec {
    pub(super) fn rules(&self, rules: &mut Vec<Rule>) {
        match self {
            Self::Constant(constant) => {
                rules.push(("schedule.warmup_epochs", "0 or more", constant.warmup_epochs, not_negative));
            }
            Self::Cosine(cosine) => {
                rules.push(("schedule.warmup_epochs", "0 or more", cosine.warmup_epochs, not_negative));
                rules.push(("schedule.final_factor", "in [0, 1]", cosine.final_factor, closed_share));
            }
            Self::OneCycle(cycle) => {
                rules.push(("schedule.peak_at", "in (0, 1)", cycle.peak_at, |x| x > 0.0 && x < 1.0));
                rules.push(("schedule.div_factor", "at least 1", cycle.div_factor, at_least_one));
                rules.push(("schedule.final_div_factor", "at least 1", cycle.final_div_factor, at_least_one));
            }
        }
    }
}
