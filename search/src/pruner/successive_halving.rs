//! Successive halving as first described (Jamieson and Talwalkar 2016, arXiv 1502.07943): cohorts of trials, in which
//! everybody reaches a rung before the best of them go on. Free workers meanwhile begin the next cohort.

use serde::{Deserialize, Serialize};

use super::{Pruner, View};
use crate::config::ConfigError;
use crate::event::{PauseReason, Verdict};
use crate::record::Trial;
use crate::trial::{Loss, TrialNumber, TrialState};

/// The settings of successive halving.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SuccessiveHalving {
    /// Epochs to the first rung.
    pub min_epochs: u64,
    /// Each rung has so many times the epochs of the one below it, and one in so many goes on.
    pub reduction_factor: u64,
}

impl Default for SuccessiveHalving {
    /// As ASHA's rungs.
    fn default() -> Self {
        let super::Asha { min_epochs, reduction_factor } = super::Asha::default();
        Self { min_epochs, reduction_factor }
    }
}

impl SuccessiveHalving {
    pub(super) fn validate(&self, max_step: Option<u64>) -> Result<(), ConfigError> {
        if max_step.is_none() {
            return Err(ConfigError::NeedsMaxStep { pruner: "successive_halving" });
        }
        super::Asha { min_epochs: self.min_epochs, reduction_factor: self.reduction_factor }.validate(max_step)
    }
}

/// Who goes on follows from the curves alone, so there is nothing to keep.
pub(super) struct Cohorts {
    /// Epochs of each rung; the end of training is none.
    rungs: Vec<u64>,
    reduction: usize,
    /// Trials that begin together: as many as leave one at the end.
    size: usize,
}

impl Cohorts {
    pub(super) fn new(settings: &SuccessiveHalving, max_step: Option<u64>) -> Self {
        let rungs =
            std::iter::successors(Some(settings.min_epochs), |rung| rung.checked_mul(settings.reduction_factor));
        let rungs: Vec<u64> = rungs.take_while(|rung| max_step.is_none_or(|most| *rung < most)).collect();
        let reduction = settings.reduction_factor as usize;
        let size = (0..rungs.len()).fold(1usize, |size, _| size.saturating_mul(reduction));
        Self { rungs, reduction, size }
    }

    fn cohort_of<'a>(&self, trial: TrialNumber, view: &'a View) -> &'a [Trial] {
        let first = trial.0 as usize / self.size * self.size;
        &view.trials[first..view.trials.len().min(first.saturating_add(self.size))]
    }

    /// Who goes on from each rung, as far as that is settled.
    fn promoted(&self, cohort: &[Trial], view: &View) -> Vec<Vec<TrialNumber>> {
        let is_last = view.config.max_trials.is_some_and(|most| view.trials.len() as u64 >= most);
        let mut settled: Vec<Vec<TrialNumber>> = Vec::new();
        if cohort.len() < self.size && !is_last {
            return settled;
        }
        let mut entered: Vec<&Trial> = cohort.iter().collect();
        for rung in &self.rungs {
            if entered.iter().any(|trial| trial.step() < *rung && !trial.state.is_finished()) {
                break;
            }
            let loss = |trial: &Trial| trial.loss_at(*rung, view.direction).unwrap_or(Loss::DIVERGED);
            // A cohort that the end of the study cut short still has a winner.
            let seats = (entered.len() / self.reduction).max(1);
            entered.retain(|trial| loss(trial) < Loss::DIVERGED);
            entered.sort_by_key(|trial| (loss(trial), trial.number));
            entered.truncate(seats);
            settled.push(entered.iter().map(|trial| trial.number).collect());
        }
        settled
    }
}

impl Pruner for Cohorts {
    fn reported(&mut self, trial: &Trial, view: &View) -> Verdict {
        let step = trial.step();
        let Some(rung) = self.rungs.iter().rposition(|rung| *rung <= step) else { return Verdict::Continue };
        if trial.loss_at(self.rungs[rung], view.direction).is_none_or(|loss| loss == Loss::DIVERGED) {
            return Verdict::Stop;
        }
        // Also between rungs: a trial that was interrupted before it could pause is judged again.
        let promoted = self.promoted(self.cohort_of(trial.number, view), view);
        let goes_on = promoted.get(rung).is_some_and(|up| up.contains(&trial.number));
        if goes_on { Verdict::Continue } else { Verdict::Pause }
    }

    fn promotable(&self, view: &View) -> Option<TrialNumber> {
        let is_paused = |trial: &Trial| trial.state == TrialState::Paused && trial.pause == Some(PauseReason::Rung);
        view.trials.chunks(self.size).find_map(|cohort| {
            let paused: Vec<&Trial> = cohort.iter().filter(|trial| is_paused(trial)).collect();
            if paused.is_empty() {
                return None;
            }
            let promoted = self.promoted(cohort, view);
            let goes_on = |trial: &&&Trial| {
                let rung = self.rungs.iter().rposition(|rung| *rung <= trial.step());
                rung.and_then(|rung| promoted.get(rung)).is_some_and(|up| up.contains(&trial.number))
            };
            paused.iter().find(goes_on).map(|trial| trial.number)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cohort_leaves_one_at_the_end() {
        let check = |max_step, rungs: &[u64], size| {
            let cohorts = Cohorts::new(&SuccessiveHalving::default(), Some(max_step));
            assert_eq!((cohorts.rungs.as_slice(), cohorts.size), (rungs, size));
        };
        check(27, &[1, 3, 9], 27);
        check(28, &[1, 3, 9, 27], 81);
        check(1, &[], 1);
    }
}
