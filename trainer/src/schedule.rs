//! Learning-rate schedules as pure functions of how far training has come, so that there is nothing to save.

use std::f64::consts::PI;

use crate::recipe::ScheduleSpec;

/// Where training is: steps done of all steps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Optimizer steps done before this one.
    pub step: u64,
    /// Optimizer steps of the whole training.
    pub total_steps: u64,
    /// Optimizer steps of one epoch.
    pub steps_per_epoch: u64,
}

impl ScheduleSpec {
    /// The learning rate of the step about to be made, as a share of the recipe's.
    pub fn factor(&self, progress: Progress) -> f64 {
        match self {
            Self::Constant(constant) => warm_up(constant.warmup_epochs, progress).unwrap_or(1.0),
            Self::Cosine(cosine) => warm_up(cosine.warmup_epochs, progress).unwrap_or_else(|| {
                let warmup = cosine.warmup_epochs * progress.steps_per_epoch as f64;
                let rest = (progress.total_steps as f64 - warmup).max(1.0);
                let done = ((progress.step as f64 - warmup) / rest).clamp(0.0, 1.0);
                half_cosine(1.0, cosine.final_factor, done)
            }),
            Self::OneCycle(cycle) => {
                // torch counts from 0 to total_steps - 1, with the peak at peak_at * total_steps - 1.
                let first = 1.0 / cycle.div_factor;
                let last = first / cycle.final_div_factor;
                let step = progress.step as f64;
                let peak = cycle.peak_at * progress.total_steps as f64 - 1.0;
                let end = progress.total_steps as f64 - 1.0;
                if step <= peak {
                    half_cosine(first, 1.0, step / peak)
                } else {
                    half_cosine(1.0, last, ((step - peak) / (end - peak)).min(1.0))
                }
            }
        }
    }
}

/// The factor while warming up: the first step already moves, and the first step after it has factor 1.
fn warm_up(epochs: f64, progress: Progress) -> Option<f64> {
    let steps = epochs * progress.steps_per_epoch as f64;
    ((progress.step as f64) < steps).then(|| (progress.step as f64 + 1.0) / (steps + 1.0))
}

/// From `start` at 0 to `end` at 1 along half a cosine.
fn half_cosine(start: f64, end: f64, done: f64) -> f64 {
    end + (start - end) * (1.0 + (PI * done).cos()) / 2.0
}

#[cfg(test)]
mod tests {
    use crate::recipe::{Constant, Cosine, OneCycle};

    use super::*;

    fn check(schedule: ScheduleSpec, total_steps: u64, steps_per_epoch: u64, expected: &[(u64, f64)]) {
        for (step, factor) in expected {
            let found = schedule.factor(Progress { step: *step, total_steps, steps_per_epoch });
            assert!((found - factor).abs() < 1e-9, "{schedule:?} at {step}: {found} is not {factor}");
        }
    }

    #[test]
    fn a_constant_stays() {
        check(ScheduleSpec::Constant(Constant::default()), 10, 5, &[(0, 1.0), (9, 1.0)]);
    }

    #[test]
    fn a_warm_up_rises_linearly_to_the_rate() {
        let schedule = ScheduleSpec::Constant(Constant { warmup_epochs: 1.0 });
        check(schedule, 10, 4, &[(0, 0.2), (1, 0.4), (3, 0.8), (4, 1.0), (9, 1.0)]);
    }

    #[test]
    fn a_cosine_is_that_of_torch() {
        // torch.optim.lr_scheduler.CosineAnnealingLR(T_max=10, eta_min=0.1) on lr 1; after k steps.
        let schedule = ScheduleSpec::Cosine(Cosine { warmup_epochs: 0.0, final_factor: 0.1 });
        check(schedule, 10, 5, &[(0, 1.0), (1, 0.977975432332819), (5, 0.55), (9, 0.122024567667181)]);
    }

    #[test]
    fn one_cycle_is_that_of_torch() {
        // torch.optim.lr_scheduler.OneCycleLR(max_lr=1, total_steps=10): get_last_lr() before each step.
        let schedule = ScheduleSpec::OneCycle(OneCycle::default());
        check(
            schedule,
            10,
            5,
            &[(0, 0.04), (1, 0.52), (2, 1.0), (3, 0.9504846320134737), (6, 0.38874197806371075), (9, 4e-6)],
        );
    }
}
