//! What is done about each kind of failure, as a table: docs/reliability.md shows it to people.

use nightsweep_search::FailureCause;
use nightsweep_trainer::Recipe;

/// What is done about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remedy {
    /// The trial has failed: its point is to be avoided.
    Fail,
    /// The trial goes on from its checkpoint, after a wait that grows, unless it has failed so often without a report
    /// between.
    Again {
        /// Failures that are one too many.
        times: u32,
    },
    /// The trial goes on with half as much of a batch at once; the batch itself stays.
    Smaller,
    /// The trial goes on after a wait; after so many failures without a report between, the study is paused, because the
    /// next trial would fare no better.
    PauseStudy {
        /// Failures that are one too many.
        times: u32,
    },
}

/// A hang costs the whole patience for silence, so it is tried again only once.
const HANGS: u32 = 2;
/// Whoever preempts does so for reasons of their own.
const PREEMPTIONS: u32 = 20;
/// Data on a network drive may be away for a moment.
const READS: u32 = 3;
/// After four halvings, activations are no longer what takes the memory.
pub(super) const HALVINGS: u32 = 4;

/// The remedy against a failure; `max_deaths` is how many workers a trial may lose.
pub(super) fn remedy(cause: FailureCause, max_deaths: u32) -> Remedy {
    match cause {
        FailureCause::OutOfMemory | FailureCause::HostOutOfMemory => Remedy::Smaller,
        FailureCause::Crashed | FailureCause::Lost => Remedy::Again { times: max_deaths },
        FailureCause::Hung => Remedy::Again { times: HANGS.min(max_deaths) },
        FailureCause::Preempted => Remedy::Again { times: PREEMPTIONS.max(max_deaths) },
        FailureCause::BadData => Remedy::PauseStudy { times: READS },
        FailureCause::DeviceLost => Remedy::PauseStudy { times: 1 },
        FailureCause::Diverged | FailureCause::TimedOut | FailureCause::Invalid => Remedy::Fail,
    }
}

/// The recipe with its batches in pieces that were halved so often; the gradients are those of the whole batch.
pub(super) fn halved(recipe: Recipe, times: u32) -> Recipe {
    if times == 0 {
        return recipe;
    }
    let whole = match recipe.micro_batch {
        0 => recipe.batch_size,
        piece => piece.min(recipe.batch_size),
    };
    Recipe { micro_batch: whole.div_ceil(1 << times.min(30)).max(1), ..recipe }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hangs_are_dear_and_preemptions_are_nobodys_fault() {
        assert_eq!(remedy(FailureCause::Hung, 5), Remedy::Again { times: 2 });
        assert_eq!(remedy(FailureCause::Preempted, 5), Remedy::Again { times: 20 });
        assert_eq!(remedy(FailureCause::Diverged, 5), Remedy::Fail);
    }

    #[test]
    fn pieces_are_halved_and_batches_are_not() {
        let check = |batch_size, micro_batch, times, expected| {
            let recipe = halved(Recipe { batch_size, micro_batch, ..Recipe::default() }, times);
            assert_eq!((recipe.batch_size, recipe.micro_batch), (batch_size, expected));
        };
        check(128, 0, 0, 0);
        check(128, 0, 1, 64);
        check(128, 0, 3, 16);
        check(100, 0, 3, 13);
        check(128, 32, 1, 16);
        check(128, 512, 1, 64);
        check(2, 0, 4, 1);
    }
}
