//! Density matching with children: the search is `nightsweep_search::policy::DensityMatching`.

use nightsweep_search::policy::{DensityMatching, Settings, Step};
use nightsweep_trainer::policy::Move;
use nightsweep_trainer::recipe::{Policy, PolicyOp, PolicySpec};

use super::mixing::search_ends;
use super::{Lab, LearnError, Learned, digits, operations, sub_policy};

/// How much is searched. The paper has 5 folds of 200 trials twice, with 10 kept of each; these defaults are for minutes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Density {
    /// Folds of the training images.
    pub folds: usize,
    /// Sub-policies tried in each.
    pub trials: u64,
    /// Sub-policies kept of each.
    pub kept: usize,
}

impl Default for Density {
    fn default() -> Self {
        Self { folds: 3, trials: 100, kept: 8 }
    }
}

pub(super) fn learn(lab: &mut dyn Lab, density: Density, seed: u64) -> Result<Learned, LearnError> {
    let Density { folds, trials, kept } = density;
    let settings = Settings { folds, trials, kept, length: 2, seed };
    let moves = lab.moves().to_vec();
    let end = search_ends(lab);
    let mut search = DensityMatching::new(operations(&moves), settings)?;
    while let Some(proposal) = search.ask().filter(|_| lab.spent() < end) {
        let score = lab.judge(proposal.fold, folds, &ops(&moves, &proposal.steps))?;
        let tried = search.tried() + 1;
        if tried.is_multiple_of(folds * 10) {
            lab.notes(&format!("{tried} of {} sub-policies tried", folds as u64 * trials));
        }
        search.tell(proposal, score.unwrap_or(f64::NAN));
    }
    let best = search.best();
    if best.is_empty() {
        return Err(LearnError::NoTime);
    }
    let sub_policies = best.iter().map(|steps| sub_policy(ops(&moves, steps))).collect();
    Ok(Learned { policy: PolicySpec::Custom(Policy::new(sub_policies)), tried: search.tried() })
}

fn ops(moves: &[Move], steps: &[Step]) -> Vec<PolicyOp> {
    steps.iter().map(|step| moves[step.operation].step(digits(step.probability), digits(step.magnitude))).collect()
}
