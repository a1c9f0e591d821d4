//! Where a trial's training came from: its ancestors up to where each was forked, and so the schedule of parameters that
//! a population has found.

use crate::params::Params;
use crate::record::Trial;
use crate::trial::TrialNumber;

/// A part of a training: what it was trained with between two epochs.
#[derive(Clone, Debug, PartialEq)]
pub struct Stretch {
    /// Who trained it.
    pub trial: TrialNumber,
    /// Epochs done before it.
    pub begin: u64,
    /// Epochs done after it; not more than `begin` for a trial that has not reported yet.
    pub end: u64,
    /// What it was trained with.
    pub params: Params,
}

/// The stretches of a trial's training from its first epoch to its last report; one, for a trial that is no fork. Empty
/// for a trial that does not exist.
pub fn lineage(trials: &[Trial], trial: TrialNumber) -> Vec<Stretch> {
    let mut stretches = Vec::new();
    let (mut next, mut end) = (Some(trial), None);
    while let Some(trial) = next.and_then(|number| trials.get(usize::try_from(number.0).ok()?)) {
        let begin = trial.origin.map_or(0, |origin| origin.epoch);
        let end_of = end.unwrap_or_else(|| trial.step());
        // A fork of a fork that had not trained yet leaves nothing of the latter.
        if begin < end_of || end.is_none() {
            stretches.push(Stretch { trial: trial.number, begin, end: end_of, params: trial.params.clone() });
        }
        end = Some(begin);
        next = trial.origin.map(|origin| origin.parent);
    }
    stretches.reverse();
    stretches
}
