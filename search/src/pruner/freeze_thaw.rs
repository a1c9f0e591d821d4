//! Freeze-thaw (after Swersky et al. 2014, arXiv 1406.3896): every trial rests at each rung, and the one goes on that
//! promises the most improvement for an epoch, unless a new point promises more.
//!
//! The promise comes from a Gaussian process over points and epochs (`sampler/gp/forecast`), so a slow starter that its
//! neighbours and its own curve speak for is not cut off by its rank at an early rung.

use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::{Pruner, View};
use crate::config::ConfigError;
use crate::event::{PauseReason, Verdict};
use crate::record::Trial;
use crate::sampler::Forecast;
use crate::trial::{Loss, TrialNumber, TrialState};

/// Trials that have reported before the process is asked; before that, new ones start.
const STARTUP: usize = 5;

/// The settings of freeze-thaw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FreezeThaw {
    /// Epochs to the first rest.
    pub min_epochs: u64,
    /// Each rest comes after so many times the epochs of the one before.
    pub reduction_factor: u64,
}

impl Default for FreezeThaw {
    /// As ASHA's rungs.
    fn default() -> Self {
        let super::Asha { min_epochs, reduction_factor } = super::Asha::default();
        Self { min_epochs, reduction_factor }
    }
}

impl FreezeThaw {
    pub(super) fn validate(&self, max_step: Option<u64>) -> Result<(), ConfigError> {
        if max_step.is_none() {
            return Err(ConfigError::NeedsMaxStep { pruner: "freeze_thaw" });
        }
        super::Asha { min_epochs: self.min_epochs, reduction_factor: self.reduction_factor }.validate(max_step)
    }
}

pub(super) struct Thaw {
    settings: FreezeThaw,
    /// The last forecast: workers that ask side by side share one fit. It follows from the log like all else, so that
    /// nobody sees whether it was kept.
    kept: Mutex<Option<(Known, Arc<Forecast>)>>,
}

/// What tells one state of a study from all later ones, as far as a forecast sees them.
#[derive(Clone, Copy, PartialEq)]
struct Known {
    trials: usize,
    pending: usize,
    epochs: u64,
}

impl Thaw {
    pub(super) fn new(settings: FreezeThaw) -> Self {
        Self { settings, kept: Mutex::default() }
    }

    fn forecast(&self, view: &View) -> Arc<Forecast> {
        let epochs = view.trials.iter().map(Trial::step).sum();
        let known = Known { trials: view.trials.len(), pending: view.history.pending().count(), epochs };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let now = || (known, Arc::new(Forecast::new(&view.search())));
        let (_, forecast) = kept.take().filter(|(of, _)| *of == known).unwrap_or_else(now);
        *kept = Some((known, Arc::clone(&forecast)));
        forecast
    }
}

impl Pruner for Thaw {
    fn reported(&mut self, trial: &Trial, view: &View) -> Verdict {
        let step = trial.step();
        let mut rungs = std::iter::successors(Some(self.settings.min_epochs), |rung| {
            rung.checked_mul(self.settings.reduction_factor)
        });
        let rests = rungs.find(|rung| *rung >= step) == Some(step);
        match trial.loss_at(step, view.direction) {
            _ if !rests => Verdict::Continue,
            None | Some(Loss::DIVERGED) => Verdict::Stop,
            Some(_) => Verdict::Pause,
        }
    }

    fn promotable(&self, view: &View) -> Option<TrialNumber> {
        let resting: Vec<&Trial> = view
            .trials
            .iter()
            .filter(|trial| trial.state == TrialState::Paused && trial.pause == Some(PauseReason::Rung))
            .collect();
        let may_start = view.config.max_trials.is_none_or(|most| (view.trials.len() as u64) < most);
        if resting.is_empty() || (may_start && view.trials.len() < STARTUP) {
            return None;
        }
        let forecast = self.forecast(view);
        let promise = |trial: &&Trial| forecast.promise(&trial.params, trial.step());
        let promises = resting.iter().map(|trial| (promise(trial), trial.number));
        let (best, trial) = promises.max_by(|(a, _), (b, _)| a.total_cmp(b))?;
        let fresh = if may_start { forecast.best_new(&view.search()) } else { f64::NEG_INFINITY };
        (best >= fresh).then_some(trial)
    }
}
