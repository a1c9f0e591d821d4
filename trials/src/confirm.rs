//! The confirmation: the best trials of a study are trained again on fresh seeds, so that the winner is not the luckiest
//! one. It is a study of its own beside the first (`NAME@confirm-1`), led by the same controller, with the race of
//! `nightsweep_search::race` as its search; so it survives what a study survives.

use std::collections::BTreeMap;
use std::path::PathBuf;

use nightsweep_search::race::{self, CANDIDATE, REPETITION};
use nightsweep_search::{Direction, Loss, Params, PrunerKind, SamplerKind, Study, Trial, TrialNumber};
use nightsweep_trainer::{Recipe, TrialSeed};
use serde::{Deserialize, Serialize};

use crate::bind::{BindError, bind_trial};
use crate::controller::Work;
use crate::plan::{Knowledge, Plan};

/// Fresh seeds are those of trials that no study ever has.
const FIRST_FRESH: u64 = 1 << 40;

/// How winners are confirmed: `[confirm]` of a study file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Confirm {
    /// Trials that are trained again, the best first; 0 confirms nothing.
    pub top: u64,
    /// Fresh seeds for each at most; who is clearly beaten gets fewer.
    pub seeds: u64,
    /// Share of a night with a deadline that is kept for it, in [0, 1).
    pub share: f64,
}

/// Three seeds are the fewest that papers accept, of three rivals; a fifth of the night pays for them.
impl Default for Confirm {
    fn default() -> Self {
        Self { top: 3, seeds: 3, share: 0.2 }
    }
}

impl Confirm {
    /// Share of a night with a deadline that the search has.
    pub fn search_share(&self) -> f64 {
        if self.top > 0 { 1.0 - self.share } else { 1.0 }
    }

    /// The first broken rule, as (key, rule).
    pub fn check(&self) -> Result<(), (&'static str, &'static str)> {
        match self {
            Self { top: 101.., .. } => Err(("top", "`confirm.top` must be at most 100")),
            Self { seeds: 0 | 1 | 1001.., .. } => Err(("seeds", "`confirm.seeds` must be from 2 to 1000")),
            Self { share, .. } if !(0.0..1.0).contains(share) => Err(("share", "`confirm.share` must be in [0, 1)")),
            _ => Ok(()),
        }
    }
}

/// Whether the name is that of a confirmation.
pub fn is_confirmation(study: &str) -> bool {
    race::confirmed_by(study).is_some()
}

/// The best complete trials with different parameters, the best first; those that keep the study's constraints before
/// those that do not.
pub fn candidates(study: &Study, top: u64) -> Vec<TrialNumber> {
    let sign = if study.config().direction == Direction::Minimize { 1.0 } else { -1.0 };
    let rank = |trial: &Trial| Some((study.violation(trial), Loss::from(sign * trial.value?)));
    let mut complete: Vec<_> = study.trials().iter().filter_map(|trial| Some((rank(trial)?, trial))).collect();
    complete.sort_by_key(|(rank, _)| *rank);
    let mut chosen: Vec<&Trial> = Vec::new();
    for (_, trial) in complete {
        if (chosen.len() as u64) < top && chosen.iter().all(|other| other.params != trial.params) {
            chosen.push(trial);
        }
    }
    chosen.into_iter().map(|trial| trial.number).collect()
}

/// The plan of a confirmation: that of its study, with the candidates and their repetitions to search over.
pub fn plan(study: &Plan, candidates: &[TrialNumber], number: u64) -> Plan {
    Plan {
        name: race::name_of(&study.name, number),
        trials: None,
        // Every training of a race is needed to its end.
        disk: None,
        space: race::space(candidates, study.confirm.seeds),
        sampler: SamplerKind::Race,
        pruner: PrunerKind::None,
        default: None,
        // What the study was told is about its own space.
        knowledge: Knowledge::default(),
        ..study.clone()
    }
}

/// The recipes of the candidates, and the seeds on which they are trained again.
#[derive(Clone, Debug)]
pub struct Repeats {
    recipes: BTreeMap<TrialNumber, Recipe>,
}

impl Repeats {
    /// What the candidates of the study were trained with.
    pub fn of(plan: &Plan, study: &Study, candidates: &[TrialNumber]) -> Result<Self, BindError> {
        let recipe = |number: &TrialNumber| {
            study.trial(*number).ok_or(BindError::NoCandidate { trial: *number })?;
            Ok((*number, bind_trial(&plan.recipe, study.trials(), *number)?.0))
        };
        Ok(Self { recipes: candidates.iter().map(recipe).collect::<Result<_, BindError>>()? })
    }

    /// The recipe and the seeds of a point of the race. All candidates have the same seeds in the same repetition.
    pub fn resolve(&self, study_seed: u64, params: &Params) -> Result<(Recipe, TrialSeed), BindError> {
        let missing = |param: &str| BindError::NoSuchField { param: param.to_owned() };
        let trial = race::candidate_of(params).ok_or_else(|| missing(CANDIDATE))?;
        let repetition = race::repetition_of(params).ok_or_else(|| missing(REPETITION))?;
        let recipe = self.recipes.get(&trial).ok_or(BindError::NoCandidate { trial })?;
        Ok((recipe.clone(), TrialSeed { study: study_seed, trial: FIRST_FRESH + repetition }))
    }
}

/// The work of a confirmation with that plan.
pub fn work(plan: &Plan, repeats: Repeats, checkpoints: PathBuf) -> Work {
    Work { repeats: Some(repeats), ..Work::new(plan, checkpoints) }
}

#[cfg(test)]
mod tests {
    use nightsweep_search::{Attempt, Event, ParamValue};

    use super::*;
    use crate::study_file;

    const STUDY: &str = "[study]\nname = 's'\nseed = 7\n[data]\npath = 'fashion-mnist-mini'\n\
                         [space]\nbatch_size = [32, 64, 128]\n[search]\nsampler = 'random'\n";

    /// A study whose trials have these batch sizes and values.
    fn study(plan: &Plan, trials: &[(i64, Option<f64>)]) -> Study {
        let mut study = Study::new(plan.study_config()).unwrap();
        for (number, (batch_size, value)) in trials.iter().enumerate() {
            let (trial, attempt) = (TrialNumber(number as u64), Attempt::FIRST);
            let params = Params::from_iter([("batch_size".to_owned(), ParamValue::Int(*batch_size))]);
            study.tell(&Event::Started { trial, params, why: String::new() }).unwrap();
            if let Some(value) = *value {
                study.tell(&Event::Completed { trial, attempt, value }).unwrap();
            }
        }
        study
    }

    #[test]
    fn the_best_complete_trials_race_each_recipe_once() {
        let plan = study_file::parse(STUDY, ".".into()).unwrap();
        let study = study(&plan, &[(32, Some(0.7)), (64, Some(0.9)), (64, Some(0.8)), (128, None), (128, Some(0.75))]);
        assert_eq!(candidates(&study, 2), [TrialNumber(1), TrialNumber(4)]);
        assert_eq!(candidates(&study, 9), [TrialNumber(1), TrialNumber(4), TrialNumber(0)]);
        assert_eq!(candidates(&study, 0), []);
    }

    #[test]
    fn candidates_meet_on_the_same_fresh_seeds() {
        let plan = study_file::parse(STUDY, ".".into()).unwrap();
        let study = study(&plan, &[(32, Some(0.7)), (64, Some(0.9))]);
        let chosen = candidates(&study, 2);
        let repeats = Repeats::of(&plan, &study, &chosen).unwrap();
        let resolve = |candidate, repetition| {
            let params = [(CANDIDATE, candidate), (REPETITION, repetition)];
            let params = params.map(|(name, value)| (name.to_owned(), ParamValue::Int(value)));
            repeats.resolve(plan.seed, &Params::from_iter(params))
        };
        let (first, seed) = resolve(1, 1).unwrap();
        let (second, same_seed) = resolve(0, 1).unwrap();
        assert_eq!((first.batch_size, second.batch_size), (64, 32));
        assert_eq!(seed, same_seed);
        assert_ne!(seed, resolve(1, 2).unwrap().1);
        assert!(seed.trial > 1_000_000 && seed.study == 7);
        assert!(matches!(resolve(5, 1), Err(BindError::NoCandidate { trial: TrialNumber(5) })));
    }

    #[test]
    fn the_plan_of_a_confirmation_is_a_race() {
        let study = study_file::parse(STUDY, ".".into()).unwrap();
        let plan = plan(&study, &[TrialNumber(1), TrialNumber(0)], 1);
        assert!(Study::new(plan.study_config()).is_ok());
        assert_eq!(plan.name, "s@confirm-1");
        assert!(is_confirmation(&plan.name) && !is_confirmation(&study.name));
    }

    #[test]
    fn a_study_of_ones_own_cannot_race() {
        let text = STUDY.replace("random", "race");
        let plan = study_file::parse(&text, ".".into());
        let refused = plan.map(|plan| Study::new(plan.study_config()).is_err()).unwrap_or(true);
        assert!(refused);
    }
}
