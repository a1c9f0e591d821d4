//! Density matching (Fast AutoAugment, Lim et al. 2019, arXiv 1905.00397): sub-policies are good under which a network that
//! was trained without them still recognises images that it has not seen, so that nothing is trained to judge one. For
//! each fold of the training images there is such a network and a search of its own; the best sub-policies of all folds
//! together are the policy.

use crate::config::{ConfigError, StudyConfig};
use crate::event::{Event, FailureCause, Suggestion};
use crate::params::Params;
use crate::record::Trial;
use crate::sampler::SamplerKind;
use crate::study::Study;
use crate::trial::{Attempt, Direction, TrialNumber};

use super::{Operation, Step, space, steps};

/// How much is searched.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Folds of the training images, each with a network and a search of its own. The paper has 5.
    pub folds: usize,
    /// Sub-policies tried in each fold. The paper has 200.
    pub trials: u64,
    /// How many of each fold make the policy. The paper has 10.
    pub kept: usize,
    /// Steps of a sub-policy. The paper has 2.
    pub length: usize,
    /// Seeds the searches.
    pub seed: u64,
}

/// The searches of all folds.
pub struct DensityMatching {
    operations: Vec<Operation>,
    settings: Settings,
    folds: Vec<Study>,
}

/// What is to be tried next.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// By the network of this fold.
    pub fold: usize,
    /// The sub-policy.
    pub steps: Vec<Step>,
    trial: TrialNumber,
    params: Params,
    why: String,
}

impl DensityMatching {
    /// Before the first trial.
    pub fn new(operations: Vec<Operation>, settings: Settings) -> Result<Self, ConfigError> {
        let space = space(&operations, settings.length);
        let study = |fold: usize| {
            Study::new(StudyConfig {
                direction: Direction::Maximize,
                seed: settings.seed.wrapping_add(fold as u64),
                sampler: SamplerKind::Tpe,
                max_trials: Some(settings.trials),
                ..StudyConfig::new(space.clone())
            })
        };
        let folds = (0..settings.folds).map(study).collect::<Result<_, _>>()?;
        Ok(Self { operations, settings, folds })
    }

    /// The next sub-policy to try; folds take turns, so that one that is cut short is so evenly. `None` at the end.
    pub fn ask(&self) -> Option<Proposal> {
        let fold = (0..self.folds.len()).min_by_key(|fold| self.folds[*fold].trials().len())?;
        match self.folds[fold].ask() {
            Suggestion::Start { trial, params, why } => {
                Some(Proposal { fold, steps: steps(&self.operations, &params), trial, params, why })
            }
            _ => None,
        }
    }

    /// How well the fold's network recognised unseen images under the proposal; larger is better. A score that is no number
    /// counts as a failure.
    pub fn tell(&mut self, proposal: Proposal, score: f64) {
        let Proposal { fold, trial, params, why, .. } = proposal;
        let attempt = Attempt::FIRST;
        let end = match score.is_finite() {
            true => Event::Completed { trial, attempt, value: score },
            false => Event::Failed {
                trial,
                attempt,
                cause: FailureCause::Diverged,
                message: "the score is no number".to_owned(),
            },
        };
        for event in [Event::Started { trial, params, why }, end] {
            self.folds[fold].tell(&event).expect("each proposal is told once, before the next one is asked for");
        }
    }

    /// Sub-policies tried so far.
    pub fn tried(&self) -> usize {
        self.folds.iter().map(|study| study.trials().len()).sum()
    }

    /// The best sub-policies of each fold, the very best of all folds first; no two with the same operations in the same
    /// order from one fold.
    pub fn best(&self) -> Vec<Vec<Step>> {
        let mut all: Vec<(f64, Vec<Step>)> = self.folds.iter().flat_map(|fold| self.best_of(fold)).collect();
        all.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        all.into_iter().map(|(_, steps)| steps).collect()
    }

    fn best_of(&self, fold: &Study) -> Vec<(f64, Vec<Step>)> {
        let mut complete: Vec<(f64, &Trial)> =
            fold.trials().iter().filter_map(|trial| Some((trial.value?, trial))).collect();
        complete.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        let mut kept: Vec<(f64, Vec<Step>)> = Vec::new();
        let operations = |steps: &[Step]| steps.iter().map(|step| step.operation).collect::<Vec<_>>();
        for (score, trial) in complete {
            let steps = steps(&self.operations, &trial.params);
            if kept.len() < self.settings.kept && kept.iter().all(|(_, other)| operations(other) != operations(&steps))
            {
                kept.push((score, steps));
            }
        }
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::operations;
    use super::*;

    /// Blur near 0.7 is good and rotation below 0.2; the others lose what they are likely to do.
    fn score(steps: &[Step]) -> f64 {
        let of = |step: &Step| match step.operation {
            0 => step.probability * (0.2 - step.magnitude),
            2 => step.probability * (0.5 - 2.0 * (step.magnitude - 0.7).abs()),
            _ => -step.probability,
        };
        steps.iter().map(of).sum()
    }

    fn search(seed: u64, trials: u64) -> DensityMatching {
        let settings = Settings { folds: 3, trials, kept: 2, length: 2, seed };
        let mut search = DensityMatching::new(operations(), settings).unwrap();
        while let Some(proposal) = search.ask() {
            // Folds differ a little.
            let score = score(&proposal.steps) + 0.01 * proposal.fold as f64;
            search.tell(proposal, score);
        }
        search
    }

    #[test]
    fn the_known_best_sub_policy_is_found() {
        for seed in 0..5 {
            let search = search(seed, 100);
            assert_eq!(search.tried(), 300);
            let best = search.best();
            // Twice blur at 0.7 with certainty scores 1; hardly any random sub-policy scores half of that.
            assert!(score(&best[0]) > 0.5, "seed {seed}: {best:?}");
            assert!(best.iter().flatten().all(|step| matches!(step.operation, 0 | 2)), "seed {seed}: {best:?}");
        }
    }

    #[test]
    fn each_fold_gives_as_many_as_are_kept_and_none_twice() {
        let best = search(1, 40).best();
        assert_eq!(best.len(), 6);
    }

    #[test]
    fn a_score_that_is_no_number_is_never_kept() {
        let settings = Settings { folds: 1, trials: 12, kept: 12, length: 1, seed: 0 };
        let mut search = DensityMatching::new(operations(), settings).unwrap();
        while let Some(proposal) = search.ask() {
            let is_flip = proposal.steps[0].operation == 1;
            search.tell(proposal, if is_flip { f64::NAN } else { 0.0 });
        }
        assert!(search.best().iter().flatten().all(|step| step.operation != 1));
    }

    #[test]
    fn the_same_seed_proposes_the_same() {
        assert_eq!(search(3, 30).best(), search(3, 30).best());
    }
}
