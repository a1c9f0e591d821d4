//! Hyperband (Li et al. 2018, arXiv 1603.06560), asynchronous as in Li et al. 2020: several ASHA brackets side by side, from
//! one that judges after the first epochs to one that hardly judges at all, for when early results mislead.

use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::asha::{Asha, Ladder};
use super::{Pruner, View};
use crate::config::ConfigError;
use crate::event::Verdict;
use crate::record::Trial;
use crate::stream::{Purpose, stream};
use crate::trial::TrialNumber;

/// The settings of Hyperband.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Hyperband {
    /// Epochs to the first rung of the most eager bracket.
    pub min_epochs: u64,
    /// The paper's eta.
    pub reduction_factor: u64,
}

impl Default for Hyperband {
    /// As [`Asha`].
    fn default() -> Self {
        let Asha { min_epochs, reduction_factor } = Asha::default();
        Self { min_epochs, reduction_factor }
    }
}

impl Hyperband {
    pub(super) fn validate(&self, max_step: Option<u64>) -> Result<(), ConfigError> {
        if max_step.is_none() {
            return Err(ConfigError::NeedsMaxStep { pruner: "hyperband" });
        }
        self.bracket(self.min_epochs).validate(max_step)
    }

    fn bracket(&self, min_epochs: u64) -> Asha {
        Asha { min_epochs, reduction_factor: self.reduction_factor }
    }
}

pub(super) struct Brackets {
    /// The most eager first.
    ladders: Vec<Ladder>,
    /// Share of the trials that the brackets up to each one get.
    shares: Vec<f64>,
    seed: u64,
}

impl Brackets {
    pub(super) fn new(hyperband: &Hyperband, max_step: Option<u64>, seed: u64) -> Self {
        let most = max_step.unwrap_or(hyperband.min_epochs);
        let starts = std::iter::successors(Some(hyperband.min_epochs), |start| {
            start.checked_mul(hyperband.reduction_factor).filter(|next| *next <= most)
        });
        let starts: Vec<u64> = starts.collect();
        let eta = hyperband.reduction_factor as f64;
        // The paper's number of configurations of bracket s, of S + 1: (S + 1) / (s + 1) · eta^s.
        let count = |at: usize| eta.powi((starts.len() - 1 - at) as i32) / (starts.len() - at) as f64;
        let total: f64 = (0..starts.len()).map(count).sum();
        let mut sum = 0.0;
        let shares = (0..starts.len()).map(|at| {
            sum += count(at) / total;
            sum
        });
        let shares = shares.collect();
        let ladders = starts.iter().map(|start| Ladder::new(&hyperband.bracket(*start), max_step)).collect();
        Self { ladders, shares, seed }
    }

    fn bracket_of(&self, trial: TrialNumber) -> usize {
        let at: f64 = stream(self.seed, trial, Purpose::Bracket).random();
        self.shares.partition_point(|share| *share < at).min(self.ladders.len() - 1)
    }
}

impl Pruner for Brackets {
    fn reported(&mut self, trial: &Trial, view: &View) -> Verdict {
        let bracket = self.bracket_of(trial.number);
        self.ladders[bracket].reported(trial, view)
    }

    fn resumed(&mut self, trial: TrialNumber) {
        let bracket = self.bracket_of(trial);
        self.ladders[bracket].resumed(trial);
    }

    fn promotable(&self, view: &View) -> Option<TrialNumber> {
        self.ladders.iter().find_map(|ladder| ladder.promotable(view))
    }
}
