//! What is done about each kind of failure.

use super::*;

/// What becomes of trial 1 of three if the fault meets it always, or once: its state, its cause, and its last attempt.
async fn check(fault: Fault, is_once: bool, state: TrialState, cause: Option<FailureCause>, attempts: u32) -> Night {
    let mut night = Night::new(3, 1).await;
    night.config.pruner = PrunerKind::None;
    let world = Faulty(move |trial, attempt, epoch| {
        let is_time = trial == 1 && epoch == 2 && (!is_once || attempt == 1);
        is_time.then_some(fault)
    });
    assert_eq!(night.run_without_wishes(world).await.ending, Ending::Done, "{fault:?}");
    let study = night.check().await;
    let trial = &study.trials()[1];
    let found = trial.failure.as_ref().map(|failure| failure.cause);
    assert_eq!((trial.state, found, trial.attempt), (state, cause, Attempt(attempts)), "{fault:?}");
    assert!(study.trials().iter().all(|trial| trial.number.0 == 1 || trial.state == TrialState::Complete));
    night
}

#[tokio::test]
async fn each_failure_has_its_remedy() {
    use FailureCause::{Crashed, Diverged, HostOutOfMemory, OutOfMemory, Preempted};
    use TrialState::{Complete, Failed, Lost};
    let once = true;
    for fault in [Fault::DiesBeforeCheckpoint, Fault::Hangs, Fault::Preempted, Fault::DeviceOutOfMemory] {
        check(fault, once, Complete, None, 2).await;
    }
    check(Fault::DiesBeforeCheckpoint, !once, Failed, Some(Crashed), 5).await;
    check(Fault::Preempted, !once, Lost, Some(Preempted), 20).await;
    check(Fault::DeviceOutOfMemory, !once, Failed, Some(OutOfMemory), 5).await;
    check(Fault::OutOfMemory, !once, Failed, Some(HostOutOfMemory), 5).await;
    check(Fault::Panics, !once, Failed, Some(Crashed), 1).await;
    check(Fault::Diverges, !once, Failed, Some(Diverged), 1).await;
    // Its checkpoint of the second epoch is there, so that it hangs once only: at its next epoch it goes on.
    check(Fault::Hangs, !once, Complete, None, 2).await;
}

#[tokio::test]
async fn a_trial_without_memory_goes_on_with_half_of_its_batch_at_once() {
    let mut night = Night::new(1, 1).await;
    night.config.pruner = PrunerKind::None;
    // A quarter of the batch fits.
    struct Small(u64);
    impl World for Small {
        fn value(&self, assignment: &Assignment, epoch: u64) -> f64 {
            value(assignment.trial, epoch)
        }
        fn epoch_time(&self, _: &Assignment) -> Duration {
            EPOCH
        }
        fn fault(&mut self, assignment: &Assignment, _: u64) -> Option<Fault> {
            let Recipe { batch_size, micro_batch, .. } = assignment.recipe;
            assert_eq!(batch_size, Recipe::default().batch_size);
            self.0 += 1;
            (micro_batch == 0 || micro_batch > batch_size / 4).then_some(Fault::DeviceOutOfMemory)
        }
    }
    // A controller that is killed on the way does not forget it.
    let mut executor = night.simulated(Small(0));
    let mut requeued = 0;
    let wish = |event: &Event| {
        requeued += u64::from(matches!(event, Event::Requeued { .. }));
        matches!(event, Event::Reported { step: 3, .. }).then_some(Control::Interrupt)
    };
    assert_eq!(night.run(&mut executor, wish).await.ending, Ending::Interrupted);
    assert_eq!(requeued, 2);
    let mut executor = night.simulated(Small(0));
    assert_eq!(night.run(&mut executor, |_| None).await.ending, Ending::Done);
    assert_eq!(executor.world().0, EPOCHS - 3, "it fits at once");
    assert_eq!(night.check().await.trials()[0].state, TrialState::Complete);
}

#[tokio::test]
async fn what_no_trial_can_do_anything_about_pauses_the_study_and_blames_none() {
    for (fault, word) in [(Fault::LosesData, "cannot be read"), (Fault::LosesDevice, "device is lost")] {
        let mut night = Night::new(5, 2).await;
        night.config.pruner = PrunerKind::None;
        let broken = Faulty(move |trial, _, epoch| (trial >= 2 && epoch > 1).then_some(fault));
        let summary = night.run_without_wishes(broken).await;
        assert!(summary.ending.needs_help() && summary.ending.to_string().contains(word), "{:?}", summary.ending);
        let Some(Event::Closed { reason, needs_help: true }) = night.events().await.pop() else { panic!("not closed") };
        assert!(reason.contains(word));
        assert!(night.check().await.trials().iter().all(|trial| !trial.state.is_finished() || trial.value.is_some()));
        assert_eq!(night.run_without_wishes(Faulty(never)).await.ending, Ending::Done);
        assert!(states(&night.check().await).iter().all(|state| *state == TrialState::Complete));
    }
}

#[tokio::test]
async fn a_worker_that_keeps_memory_is_replaced_between_two_trials() {
    struct Leaking;
    impl World for Leaking {
        fn value(&self, assignment: &Assignment, epoch: u64) -> f64 {
            value(assignment.trial, epoch)
        }
        fn epoch_time(&self, _: &Assignment) -> Duration {
            EPOCH
        }
        fn fault(&mut self, _: &Assignment, _: u64) -> Option<Fault> {
            None
        }
        fn memory_of(&self, _: WorkerId, trials: u32) -> u64 {
            u64::from(trials) << 30
        }
    }
    let mut night = Night::new(7, 1).await;
    night.config.pruner = PrunerKind::None;
    let mut executor = night.simulated(Leaking);
    assert_eq!(night.run(&mut executor, |_| None).await.ending, Ending::Done);
    // One gigabyte at first, and more than twice that with the third trial: three workers for seven trials.
    assert_eq!(executor.launched(), 3);
    let study = night.check().await;
    assert!(study.trials().iter().all(|trial| (trial.state, trial.attempt) == (TrialState::Complete, Attempt(1))));
}

#[tokio::test]
async fn where_a_silent_worker_stands_is_in_the_log_of_its_trial() {
    let mut night = Night::new(1, 1).await;
    night.config.pruner = PrunerKind::None;
    night.run_without_wishes(Faulty(|_, attempt, epoch| ((attempt, epoch) == (1, 2)).then_some(Fault::Hangs))).await;
    let lines = night.store.store.logs(night.store.id, TrialNumber(0), 100).await.unwrap();
    assert!(lines.iter().any(|line| line.text == "thread simulated: hung"), "{lines:?}");
    let events = night.events().await;
    let hung = |event: &Event| matches!(event, Event::Requeued { cause: Some(FailureCause::Hung), .. });
    assert!(events.iter().any(hung));
}
