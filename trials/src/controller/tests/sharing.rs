//! Trials that share a GPU that is not there.

use super::*;
use crate::slots::Share;

/// A GPU of a hundred bytes: a trial has ten of them, and so many at once take so many times as long.
struct Gpu {
    slowdown: &'static [f64],
    /// Most trials at once.
    most: std::sync::Mutex<usize>,
}

impl World for Gpu {
    fn value(&self, assignment: &Assignment, epoch: u64) -> f64 {
        value(assignment.trial, epoch)
    }

    fn epoch_time(&self, _: &Assignment) -> Duration {
        EPOCH
    }

    fn epoch_time_beside(&self, _: &Assignment, others: usize) -> Duration {
        let mut most = self.most.lock().unwrap();
        *most = (*most).max(others + 1);
        EPOCH.mul_f64(self.slowdown[others])
    }

    fn gpu_memory(&self, _: &Assignment) -> Option<u64> {
        Some(10)
    }

    fn fault(&mut self, _: &Assignment, _: u64) -> Option<Fault> {
        None
    }
}

/// Epochs that a GPU trains in ten hours, and the most trials that it had at once.
async fn check(slowdown: &'static [f64], budget: u64) -> (u64, usize) {
    let mut night = Night::new(0, 0).await;
    night.config.pruner = PrunerKind::None;
    night.config.max_trials = None;
    night.options.deadline = Some(night.begin + EPOCH * 600);
    let share = |rank| Some(Share { gpu: 0, rank, budget });
    let slot = |rank| Slot { share: share(rank), ..Slot::new(rank, DeviceName::Cuda { index: 0 }) };
    night.shares = (0..slowdown.len()).map(slot).collect();
    let mut machine = night.simulated(Gpu { slowdown, most: Default::default() });
    assert_eq!(night.run(&mut machine, |_| None).await.ending, Ending::Deadline);
    let epochs = night.check().await.trials().iter().map(Trial::step).sum();
    let most = *machine.world().most.lock().unwrap();
    (epochs, most)
}

#[tokio::test]
async fn trials_share_a_gpu_while_that_is_faster_and_their_memory_fits() {
    let (alone, most) = check(&[1.0], 100).await;
    assert_eq!(most, 1);
    assert!((570..=600).contains(&alone), "{alone}");
    // Three at once train 2.3 times as fast as one, four no faster than two.
    let (epochs, most) = check(&[1.0, 1.2, 1.3, 2.4], 100).await;
    assert_eq!(most, 4, "four are tried");
    assert!(epochs > 2 * alone, "{epochs}");
    // Two do not pay: they are tried, and given up.
    let (epochs, most) = check(&[1.0, 2.1, 3.2], 100).await;
    assert_eq!(most, 2);
    assert!(epochs > alone * 9 / 10, "{epochs}");
    // Two would pay and do not fit.
    let (epochs, most) = check(&[1.0, 1.0], 15).await;
    assert_eq!((epochs > alone * 9 / 10, most), (true, 1));
}
