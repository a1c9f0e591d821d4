//! Learning-rate schedules as pure functions of how far training has come and of the metrics until there, both of
//! which a checkpoint has anyway: there is nothing else to save.

use std::f64::consts::PI;

use crate::recipe::{Anneal, Cycle, OneCycle, Plateau, ScheduleSpec, Sgdr, Warmup};

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

impl Progress {
    fn epochs(self) -> f64 {
        self.step as f64 / self.steps_per_epoch as f64
    }
}

/// The study's metric after each epoch so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Past {
    /// One an epoch; NaN where it was not finite.
    pub values: Vec<f64>,
    /// Whether larger is better.
    pub is_maximized: bool,
}

/// A hair, so that a place reached exactly is not missed for the last bit of a quotient.
const HAIR: f64 = 1e-9;
/// Where an exponential warm-up starts, as a share of the rate.
const WARMUP_START: f64 = 0.01;

impl ScheduleSpec {
    /// The learning rate of the step about to be made, as a share of the recipe's.
    pub fn factor(&self, progress: Progress, past: &Past) -> f64 {
        let (warmup_epochs, shape) = self.warmup();
        if let Some(factor) = warm_up(warmup_epochs, shape, progress) {
            return factor;
        }
        let after_warmup = || {
            let warmup = warmup_epochs * progress.steps_per_epoch as f64;
            let rest = (progress.total_steps as f64 - warmup).max(1.0);
            ((progress.step as f64 - warmup) / rest).clamp(0.0, 1.0)
        };
        match self {
            Self::Constant(_) => 1.0,
            Self::Step(step) => step.gamma.powf((progress.epochs() / step.every_epochs + HAIR).floor()),
            Self::MultiStep(steps) => {
                let share = progress.step as f64 / progress.total_steps as f64 + HAIR;
                steps.gamma.powi(steps.milestones.iter().filter(|at| **at <= share).count() as i32)
            }
            Self::Exponential(exponential) => exponential.gamma.powf(progress.epochs()),
            Self::Polynomial(polynomial) => {
                let left = (1.0 - after_warmup()).powf(polynomial.power);
                polynomial.final_factor + (1.0 - polynomial.final_factor) * left
            }
            Self::Cosine(cosine) => half_cosine(1.0, cosine.final_factor, after_warmup()),
            Self::Sgdr(sgdr) => restarting_cosine(sgdr, progress.epochs() - warmup_epochs),
            Self::OneCycle(cycle) => {
                let first = 1.0 / cycle.div_factor;
                one_cycle(cycle, progress, [first, 1.0, first / cycle.final_div_factor])
            }
            Self::Plateau(plateau) => plateau_factor(plateau, past),
            Self::Triangular(_) | Self::Triangular2(_) | Self::ExpRange(_) | Self::CosineCyclical(_) => {
                let (cycle, height) = self.cycle(progress).expect("these are cycles");
                cycle.base_factor + (1.0 - cycle.base_factor) * height
            }
        }
    }

    /// The momentum of the step about to be made, if it is the schedule's.
    pub fn momentum(&self, progress: Progress) -> Option<f64> {
        if let Self::OneCycle(cycle) = self {
            let momenta = [cycle.max_momentum, cycle.min_momentum, cycle.max_momentum];
            return cycle.cycle_momentum.then(|| one_cycle(cycle, progress, momenta));
        }
        let (cycle, height) = self.cycle(progress)?;
        cycle.cycle_momentum.then_some(cycle.max_momentum - (cycle.max_momentum - cycle.min_momentum) * height)
    }

    /// A cyclic schedule's cycle, and how high it stands between its base at 0 and the rate at 1.
    fn cycle(&self, progress: Progress) -> Option<(Cycle, f64)> {
        let cycle = match self {
            Self::Triangular(cycle) | Self::Triangular2(cycle) | Self::CosineCyclical(cycle) => cycle.clone(),
            Self::ExpRange(range) => range.cycle(),
            _ => return None,
        };
        let length = cycle.up_epochs + cycle.down_epochs;
        let cycles = progress.epochs() / length;
        let (whole, part) = (cycles.floor(), cycles.fract());
        let up = cycle.up_epochs / length;
        let height = if part <= up { part / up } else { (1.0 - part) / (1.0 - up) };
        let height = match self {
            Self::Triangular2(_) => height * 0.5f64.powf(whole),
            Self::ExpRange(range) => height * range.gamma.powf(progress.epochs()),
            Self::CosineCyclical(_) => half_cosine(0.0, 1.0, height),
            _ => height,
        };
        Some((cycle, height))
    }
}

/// The factor while warming up: the first step already moves, and the first step after it has factor 1.
fn warm_up(epochs: f64, shape: Warmup, progress: Progress) -> Option<f64> {
    let steps = epochs * progress.steps_per_epoch as f64;
    let done = (progress.step as f64 + 1.0) / (steps + 1.0);
    ((progress.step as f64) < steps).then(|| match shape {
        Warmup::Linear => done,
        Warmup::Exponential => WARMUP_START.powf(1.0 - done),
    })
}

/// From `start` at 0 to `end` at 1 along half a cosine.
fn half_cosine(start: f64, end: f64, done: f64) -> f64 {
    end + (start - end) * (1.0 + (PI * done).cos()) / 2.0
}

fn restarting_cosine(sgdr: &Sgdr, mut epochs: f64) -> f64 {
    let (mut length, mut peak) = (sgdr.first_epochs, 1.0);
    while epochs > length - HAIR {
        epochs -= length;
        length *= sgdr.t_mult;
        peak *= sgdr.decay;
    }
    half_cosine(peak, sgdr.final_factor, (epochs / length).max(0.0))
}

/// From the first value to the second at the peak, and on to the third.
fn one_cycle(cycle: &OneCycle, progress: Progress, [first, peak, last]: [f64; 3]) -> f64 {
    let between = |start: f64, end: f64, done: f64| match cycle.anneal {
        Anneal::Cosine => half_cosine(start, end, done),
        Anneal::Linear => start + (end - start) * done,
    };
    // torch counts from 0 to total_steps - 1, with the peak at peak_at * total_steps - 1.
    let step = progress.step as f64;
    let peak_step = cycle.peak_at * progress.total_steps as f64 - 1.0;
    let end_step = progress.total_steps as f64 - 1.0;
    if step <= peak_step {
        between(first, peak, step / peak_step)
    } else {
        between(peak, last, ((step - peak_step) / (end_step - peak_step)).min(1.0))
    }
}

/// torch's ReduceLROnPlateau with a relative threshold, told the past once more.
fn plateau_factor(plateau: &Plateau, past: &Past) -> f64 {
    let (mut factor, mut best, mut bad, mut cooling) = (1.0f64, None::<f64>, 0, 0);
    for value in &past.values {
        let is_better = match (best, past.is_maximized) {
            (None, _) => !value.is_nan(),
            (Some(best), true) => *value > best * (1.0 + plateau.threshold),
            (Some(best), false) => *value < best * (1.0 - plateau.threshold),
        };
        if is_better {
            (best, bad) = (Some(*value), 0);
        } else {
            bad += 1;
        }
        if cooling > 0 {
            (cooling, bad) = (cooling - 1, 0);
        }
        if bad > plateau.patience {
            (factor, cooling, bad) = ((factor * plateau.gamma).max(plateau.final_factor), plateau.cooldown, 0);
        }
    }
    factor
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde::Deserialize;

    use crate::recipe::{Constant, Cosine};

    use super::*;

    /// One case of tests/golden/schedules.json; schedules.py beside it says what it is.
    #[derive(Deserialize)]
    struct Golden {
        name: String,
        schedule: ScheduleSpec,
        total_steps: u64,
        steps_per_epoch: u64,
        values: Option<Vec<f64>>,
        is_maximized: Option<bool>,
        factors: Vec<f64>,
        momenta: Option<Vec<f64>>,
    }

    fn goldens() -> Vec<Golden> {
        serde_json::from_str(include_str!("../tests/golden/schedules.json")).unwrap()
    }

    fn check(schedule: ScheduleSpec, total_steps: u64, steps_per_epoch: u64, expected: &[(u64, f64)]) {
        for (step, factor) in expected {
            let found = schedule.factor(Progress { step: *step, total_steps, steps_per_epoch }, &Past::default());
            assert!((found - factor).abs() < 1e-9, "{schedule:?} at {step}: {found} is not {factor}");
        }
    }

    #[test]
    fn every_step_is_that_of_pytorch_and_timm() {
        for golden in goldens() {
            let Golden { name, schedule, total_steps, steps_per_epoch, .. } = golden;
            let values = golden.values.unwrap_or_default();
            for (step, expected) in golden.factors.iter().enumerate() {
                let progress = Progress { step: step as u64, total_steps, steps_per_epoch };
                let epochs = (step / steps_per_epoch as usize).min(values.len());
                let values = values[..epochs].to_vec();
                let past = Past { values, is_maximized: golden.is_maximized.unwrap_or_default() };
                let found = schedule.factor(progress, &past);
                assert!((found - expected).abs() < 1e-9, "{name} at {step}: {found} is not {expected}");
                let momentum = schedule.momentum(progress);
                let expected = golden.momenta.as_ref().map(|momenta| momenta[step]);
                match (momentum, expected) {
                    (Some(found), Some(expected)) => assert!((found - expected).abs() < 1e-9, "{name} at {step}"),
                    _ => assert_eq!(momentum, expected, "{name} at {step}"),
                }
            }
        }
    }

    #[test]
    fn every_schedule_has_its_golden_values() {
        let kind = |spec: &ScheduleSpec| serde_json::to_value(spec).unwrap()["kind"].as_str().unwrap().to_owned();
        let mut found: BTreeSet<String> = goldens().iter().map(|golden| kind(&golden.schedule)).collect();
        // Nothing to compare it with.
        found.insert("constant".into());
        let schema = serde_json::to_value(schemars::schema_for!(ScheduleSpec)).unwrap();
        assert_eq!(found.len(), schema["oneOf"].as_array().unwrap().len(), "{found:?}");
    }

    #[test]
    fn a_constant_stays() {
        check(ScheduleSpec::Constant(Constant::default()), 10, 5, &[(0, 1.0), (9, 1.0)]);
    }

    #[test]
    fn a_warm_up_rises_to_the_rate() {
        let schedule = ScheduleSpec::Constant(Constant { warmup_epochs: 1.0, warmup: Warmup::Linear });
        check(schedule, 10, 4, &[(0, 0.2), (1, 0.4), (3, 0.8), (4, 1.0), (9, 1.0)]);
        let schedule = ScheduleSpec::Constant(Constant { warmup_epochs: 1.0, warmup: Warmup::Exponential });
        let ratio = 100f64.powf(0.2);
        check(schedule, 10, 4, &[(0, 0.01 * ratio), (1, 0.01 * ratio.powi(2)), (3, 1.0 / ratio), (4, 1.0), (9, 1.0)]);
    }

    #[test]
    fn a_cosine_starts_after_its_warm_up() {
        let schedule = ScheduleSpec::Cosine(Cosine { warmup_epochs: 2.0, ..Default::default() });
        check(schedule, 12, 1, &[(1, 2.0 / 3.0), (2, 1.0), (7, 0.5)]);
    }
}
