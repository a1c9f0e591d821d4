//! Asynchronous successive halving (Li et al. 2020, arXiv 1810.05934), with promotion: a trial below the cut of its rung
//! pauses, and goes on when later results have put it above the cut.

use serde::{Deserialize, Serialize};

use super::rung::Rung;
use super::{Pruner, View};
use crate::config::ConfigError;
use crate::event::{PauseReason, Verdict};
use crate::record::Trial;
use crate::trial::{Loss, TrialNumber, TrialState};

/// The settings of ASHA.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Asha {
    /// Epochs to the first rung; the paper's r.
    pub min_epochs: u64,
    /// Each rung has this many times the epochs of the one below it, and one in so many moves up; the paper's eta.
    pub reduction_factor: u64,
}

impl Default for Asha {
    /// One epoch, and the reduction factor that the papers on Hyperband and ASHA recommend after their ablations: 3 or 4.
    fn default() -> Self {
        Self { min_epochs: 1, reduction_factor: 3 }
    }
}

impl Asha {
    pub(super) fn validate(&self, max_step: Option<u64>) -> Result<(), ConfigError> {
        let bad = |setting, value: u64, rule| Err(ConfigError::Pruner { setting, value: value as f64, rule });
        match self {
            Self { min_epochs: 0, .. } => bad("min_epochs", 0, "at least 1"),
            Self { reduction_factor: 0 | 1, .. } => bad("reduction_factor", self.reduction_factor, "at least 2"),
            Self { min_epochs, .. } if max_step.is_some_and(|most| *min_epochs > most) => {
                bad("min_epochs", *min_epochs, "no more than a full training has")
            }
            _ => Ok(()),
        }
    }
}

/// The rungs of one bracket, lowest first. Where no full training is known, rungs are added as trials reach them.
pub(super) struct Ladder {
    rungs: Vec<Rung>,
    reduction: u64,
    max_step: Option<u64>,
}

impl Ladder {
    pub(super) fn new(asha: &Asha, max_step: Option<u64>) -> Self {
        let mut ladder = Self { rungs: Vec::new(), reduction: asha.reduction_factor, max_step };
        if ladder.is_rung(asha.min_epochs) {
            ladder.rungs.push(Rung::new(asha.min_epochs));
        }
        ladder
    }

    /// The last step is no rung: a trial that reaches it is complete.
    fn is_rung(&self, budget: u64) -> bool {
        self.max_step.is_none_or(|most| budget < most)
    }

    /// Adds the rungs up to the step.
    fn grow_to(&mut self, step: u64) {
        while let Some(top) = self.rungs.last() {
            let next = top.budget.saturating_mul(self.reduction);
            if next > step || next == top.budget || !self.is_rung(next) {
                break;
            }
            self.rungs.push(Rung::new(next));
        }
    }
}

impl Pruner for Ladder {
    fn reported(&mut self, trial: &Trial, view: &View) -> Verdict {
        let step = trial.step();
        self.grow_to(step);
        let reduction = self.reduction;
        let Some(rung) = self.rungs.iter_mut().rev().find(|rung| rung.budget <= step) else { return Verdict::Continue };
        let loss = trial.loss_at(rung.budget, view.direction).unwrap_or(Loss::DIVERGED);
        if rung.budget == step {
            rung.record(loss, trial.number);
        }
        if rung.has_promoted(trial.number) {
            return Verdict::Continue;
        }
        // Also between rungs: a trial that was interrupted before it could pause is judged again here.
        if rung.promotable(reduction).any(|up| up == trial.number) {
            rung.promote(trial.number);
            return Verdict::Continue;
        }
        if loss == Loss::DIVERGED { Verdict::Stop } else { Verdict::Pause }
    }

    fn resumed(&mut self, trial: TrialNumber) {
        // `Study` tells only of promotions, so the trial sits on the highest rung that could promote it.
        let reduction = self.reduction;
        let rung = self.rungs.iter_mut().rev().find(|rung| rung.promotable(reduction).any(|up| up == trial));
        if let Some(rung) = rung {
            rung.promote(trial);
        }
    }

    fn promotable(&self, view: &View) -> Option<TrialNumber> {
        let is_paused = |trial: &TrialNumber| {
            let trial = &view.trials[trial.0 as usize];
            trial.state == TrialState::Paused && trial.pause == Some(PauseReason::Rung)
        };
        self.rungs.iter().rev().find_map(|rung| rung.promotable(self.reduction).find(is_paused))
    }
}
