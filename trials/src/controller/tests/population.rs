//! Populations on a virtual machine: what they learn, and that no fault changes it.

use nightsweep_search::pruner::{Pb2, Pbt};

use super::*;

/// The metric is a function of the recipe alone: each epoch gains the more the nearer its rate is to one that falls from 0.3
/// to 0.003. So a fork whose recipe did not say all that its ancestors trained with would show.
struct Falling<F>(F);

fn gained(recipe: &Recipe, epochs: u64) -> f64 {
    let gain = |epoch: u64| {
        let best = -0.5 - 2.0 * epoch as f64 / EPOCHS as f64;
        1.0 - (recipe.at(epoch).unwrap().optimizer.lr().log10() - best).abs()
    };
    (0..epochs).map(gain).sum()
}

impl<F: FnMut(u64, u32, u64) -> Option<Fault> + Send> World for Falling<F> {
    fn value(&self, assignment: &Assignment, epoch: u64) -> f64 {
        gained(&assignment.recipe, epoch)
    }

    fn epoch_time(&self, _: &Assignment) -> Duration {
        EPOCH
    }

    fn fault(&mut self, assignment: &Assignment, epoch: u64) -> Option<Fault> {
        (self.0)(assignment.trial.0, assignment.attempt.0, epoch)
    }
}

fn pbt() -> PrunerKind {
    PrunerKind::Pbt(Pbt { population: 8, interval_epochs: 2, ..Pbt::default() })
}

fn pb2() -> PrunerKind {
    PrunerKind::Pb2(Pb2 { population: 8, interval_epochs: 2, ..Pb2::default() })
}

async fn night(pruner: PrunerKind, slots: usize) -> Night {
    let mut night = Night::new(8, slots).await;
    night.config.pruner = pruner;
    night
}

/// What must not depend on what went wrong.
fn told(study: &Study) -> Vec<String> {
    let told = |trial: &Trial| format!("{:?} {:?} {:?} {:?}", trial.state, trial.origin, trial.params, trial.curve);
    study.trials().iter().map(told).collect()
}

#[tokio::test]
async fn a_population_trains_as_long_as_as_many_trials_and_learns_a_schedule() {
    for pruner in [pbt(), pb2()] {
        let night = night(pruner, 3).await;
        let mut executor = night.simulated(Falling(never));
        assert_eq!(night.run(&mut executor, |_| None).await.ending, Ending::Done);
        assert_eq!(executor.trained(), EPOCH * EPOCHS as u32 * 8, "forks go on where their parents stand");
        let study = night.study().await;
        assert!(study.trials().iter().filter(|trial| trial.origin.is_some()).count() >= 6);
        for trial in study.trials() {
            let (recipe, seed) = night.work.resolve(&study, trial.number).unwrap();
            for report in &trial.curve {
                assert_eq!(report.value, Some(gained(&recipe, report.step)), "trial {}", trial.number);
            }
            // A fork is the training of its first ancestor with changes: on the same seeds.
            let root = nightsweep_search::lineage(study.trials(), trial.number)[0].trial;
            assert_eq!((seed.trial, recipe.changes.is_empty()), (root.0, root == trial.number));
        }
        let best = study.best().unwrap();
        let (recipe, _) = night.work.resolve(&study, best.number).unwrap();
        assert!(!recipe.changes.is_empty(), "the best one learned a schedule");
    }
}

#[tokio::test]
async fn no_fault_of_a_worker_changes_what_a_population_learns() {
    let whole = night(pbt(), 2).await;
    whole.run_without_wishes(Falling(never)).await;
    let expected = told(&whole.study().await);
    for fault in Fault::ALL.into_iter().filter(|fault| !matches!(fault, Fault::Diverges | Fault::Panics)) {
        let night = night(pbt(), 2).await;
        // The first attempt of every second trial, forks too, once it is under way.
        let faults =
            Falling(|trial, attempt, epoch| (trial % 2 == 1 && attempt == 1 && epoch % 2 == 1).then_some(fault));
        assert_eq!(night.run_without_wishes(faults).await.ending, Ending::Done, "{fault:?}");
        assert_eq!(told(&night.study().await), expected, "{fault:?}");
    }
}

#[tokio::test]
async fn a_population_whose_controller_is_killed_at_any_moment_learns_the_same() {
    let whole = night(pbt(), 2).await;
    whole.run_without_wishes(Falling(never)).await;
    let expected = told(&whole.study().await);
    for polls in (1..).step_by(131) {
        let night = night(pbt(), 2).await;
        let mut executor = night.simulated(Falling(never));
        let is_over = killed_after(polls, night.run(&mut executor, |_| None)).await.is_some();
        night.run_without_wishes(Falling(never)).await;
        assert_eq!(told(&night.study().await), expected, "killed at poll {polls}");
        if is_over {
            break;
        }
    }
}

#[tokio::test]
async fn a_fork_without_its_parents_checkpoint_trains_from_the_start_and_comes_to_the_same() {
    let whole = night(pbt(), 1).await;
    whole.run_without_wishes(Falling(never)).await;
    let night = night(pbt(), 1).await;
    let disk = night.disk.clone();
    let mut executor = night.simulated(Falling(never));
    let lose = |event: &Event| {
        if matches!(event, Event::Forked { .. }) {
            disk.epochs().clear();
        }
        None
    };
    assert_eq!(night.run(&mut executor, lose).await.ending, Ending::Done);
    assert!(executor.trained() > EPOCH * EPOCHS as u32 * 8);
    assert_eq!(told(&night.study().await), told(&whole.study().await));
}

#[tokio::test]
async fn a_population_goes_on_the_next_night() {
    let whole = night(pb2(), 3).await;
    whole.run_without_wishes(Falling(never)).await;
    let mut night = night(pb2(), 3).await;
    for length in 1..100 {
        night.options.deadline = Some(night.begin + EPOCH * length * 2 + EPOCH / 3);
        if night.run_without_wishes(Falling(never)).await.ending == Ending::Done {
            break;
        }
    }
    assert_eq!(told(&night.study().await), told(&whole.study().await));
}
