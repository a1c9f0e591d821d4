//! What a controller with a deadline expects of the rest of its time: in the log for people to read. The search takes the
//! number of trials from it, as a study that ends by the clock has no other.

use serde::{Deserialize, Serialize};

use crate::pruner::PrunerKind;

/// What is expected. Durations count from the time of the event that has it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Outlook {
    /// Seconds until everything has to be over.
    pub left_seconds: f64,
    /// Seconds at their end that are kept for the confirmation.
    pub reserved_seconds: f64,
    /// Workers at once.
    pub workers: u64,
    /// Epochs of a full training.
    pub max_epochs: u64,
    /// The epochs at which trials are judged before that, by bracket, the most eager one first.
    pub brackets: Vec<Vec<u64>>,
    /// Trials by the end, those included that there are.
    pub trials: u64,
    /// Of these, trained to their end.
    pub complete: u64,
    /// Epochs by the end, those included that were reported.
    pub epochs: u64,
    /// Bytes of all checkpoints by the end, unless some have to go.
    pub disk_bytes: u64,
    /// What each model takes, as measured.
    pub models: Vec<ModelPace>,
}

/// What a model takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelPace {
    /// Its kind, as in a recipe.
    pub model: String,
    /// Images of a batch.
    pub batch_size: u64,
    /// Seconds of an epoch with its validation and checkpoint.
    pub epoch_seconds: f64,
    /// Bytes at the peak of the process, or of the GPU, where the system says.
    pub memory_bytes: Option<u64>,
}

impl PrunerKind {
    /// The epochs at which trials are judged before the end of a full training of `max_step` epochs, by bracket, the most
    /// eager one first. Empty for pruners without rungs.
    pub fn brackets(&self, max_step: u64) -> Vec<Vec<u64>> {
        let rungs = |min: u64, eta: u64| -> Vec<u64> {
            let next = |rung: &u64| rung.checked_mul(eta.max(2));
            std::iter::successors(Some(min.max(1)), next).take_while(|rung| *rung < max_step).collect()
        };
        match self {
            Self::Asha(of) => vec![rungs(of.min_epochs, of.reduction_factor)],
            Self::FreezeThaw(of) => vec![rungs(of.min_epochs, of.reduction_factor)],
            Self::SuccessiveHalving(of) => vec![rungs(of.min_epochs, of.reduction_factor)],
            Self::Hyperband(of) => {
                let all = rungs(of.min_epochs, of.reduction_factor);
                // The last bracket trains every trial to its end.
                (0..=all.len()).map(|first| all[first..].to_vec()).collect()
            }
            Self::None | Self::Median(_) | Self::Percentile(_) => Vec::new(),
            Self::Patience(_) | Self::Threshold(_) | Self::Wilcoxon(_) => Vec::new(),
            Self::Pbt(_) | Self::Pb2(_) => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pruner: &str, max_step: u64, expected: &[&[u64]]) {
        assert_eq!(PrunerKind::named(pruner).unwrap().brackets(max_step), expected, "{pruner}");
    }

    #[test]
    fn rungs_lie_before_the_end_and_a_bracket_less_has_one_less() {
        check("asha", 27, &[&[1, 3, 9]]);
        check("asha", 28, &[&[1, 3, 9, 27]]);
        check("asha", 1, &[&[]]);
        check("hyperband", 9, &[&[1, 3], &[3], &[]]);
        check("median", 9, &[]);
    }
}
