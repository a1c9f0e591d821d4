//! How a policy mixes the images of a batch.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rule::{Rule, closed_share, not_negative};

/// Mixup, CutMix or both in turns, for a part of the training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Mixing {
    /// Both parameters of Mixup's beta distribution (Zhang 2018, arXiv 1710.09412); 0 is off.
    pub mixup: f64,
    /// The same of CutMix (Yun 2019, arXiv 1905.04899); 0 is off.
    pub cutmix: f64,
    /// Chance that a batch is mixed at all, in [0, 1]. Default as in timm.
    pub chance: f64,
    /// Where both are on, the chance that a mixed batch is CutMix's, in [0, 1]. Default as in timm.
    pub switch: f64,
    /// Share of the training from which on it holds.
    pub from: f64,
    /// Share of the training until which it holds.
    pub until: f64,
}

impl Default for Mixing {
    fn default() -> Self {
        Self::of(0.0, 0.0)
    }
}

impl Mixing {
    /// Every batch, from the start to the end.
    pub const fn of(mixup: f64, cutmix: f64) -> Self {
        Self { mixup, cutmix, chance: 1.0, switch: 0.5, from: 0.0, until: 1.0 }
    }

    /// Whether it mixes nothing whenever it holds.
    pub fn is_off(&self) -> bool {
        self.mixup == 0.0 && self.cutmix == 0.0
    }

    /// Whether it holds at a progress in [0, 1).
    pub fn holds(&self, progress: f64) -> bool {
        self.from <= progress && progress < self.until
    }

    pub(super) fn rules(&self, rules: &mut Vec<Rule>) {
        rules.extend([
            ("augment.policy.mix.mixup", "0 (off) or more", self.mixup, not_negative as fn(f64) -> bool),
            ("augment.policy.mix.cutmix", "0 (off) or more", self.cutmix, not_negative),
            ("augment.policy.mix.chance", "in [0, 1]", self.chance, closed_share),
            ("augment.policy.mix.switch", "in [0, 1]", self.switch, closed_share),
            ("augment.policy.mix.from", "in [0, 1]", self.from, closed_share),
            ("augment.policy.mix.until", "in [0, 1]", self.until, closed_share),
        ]);
    }
}

/// As "Mixup 0.2 on 50 % of the batches until 40 % of the training".
impl fmt::Display for Mixing {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { mixup, cutmix, chance, from, until, .. } = self;
        let percent = |share: &f64| (1000.0 * share).round() / 10.0;
        match (*mixup > 0.0, *cutmix > 0.0) {
            (false, false) => return f.write_str("none"),
            (true, false) => write!(f, "Mixup {mixup}")?,
            (false, true) => write!(f, "CutMix {cutmix}")?,
            (true, true) => write!(f, "Mixup {mixup} or CutMix {cutmix}")?,
        }
        if *chance < 1.0 {
            write!(f, " on {} % of the batches", percent(chance))?;
        }
        match (*from > 0.0, *until < 1.0) {
            (false, false) => Ok(()),
            (true, false) => write!(f, " from {} % of the training on", percent(from)),
            (false, true) => write!(f, " until {} % of the training", percent(until)),
            (true, true) => write!(f, " from {} to {} % of the training", percent(from), percent(until)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_it_does() {
        let check = |mixing: Mixing, expected: &str| assert_eq!(mixing.to_string(), expected);
        check(Mixing::default(), "none");
        check(Mixing::of(0.2, 0.0), "Mixup 0.2");
        check(Mixing { from: 0.25, ..Mixing::of(0.0, 1.0) }, "CutMix 1 from 25 % of the training on");
        let part = Mixing { chance: 0.5, from: 0.1, until: 0.4, ..Mixing::of(0.8, 1.0) };
        check(part, "Mixup 0.8 or CutMix 1 on 50 % of the batches from 10 to 40 % of the training");
    }
}
