//! How much better than the best result the rest of the space may still be: the difference of two confidence bounds
//! (Makarova et al. 2022, arXiv 2104.08166), as in Optuna's RegretBoundEvaluator.

use super::model::Model;
use super::{SPREAD, step};
use crate::domain::Point;
use crate::history::{Observation, Stage};
use crate::sampler::{View, random};
use crate::stream::{Purpose, stream};

/// Results before the bound means anything; Optuna's default.
const STARTUP: usize = 20;
/// The process sees the better half, which is where it has to be right; Optuna's default.
const SHARE: f64 = 0.5;
/// Chance that the bound does not hold, and the practice of dividing β by five; the paper's and Optuna's.
const DELTA: f64 = 0.1;
const TAMED: f64 = 5.0;
/// Steps of the search for the least lower bound, after its starts.
const CLIMBS: usize = 400;

/// The bound in units of the loss; `None` with fewer than twenty complete results.
pub(crate) fn bound(view: &View) -> Option<f64> {
    let is_complete = |observation: &&Observation| matches!(observation.result, Some((Stage::Complete, _)));
    let complete: Vec<&Observation> = view.history.ranked().take_while(is_complete).collect();
    if complete.len() < STARTUP {
        return None;
    }
    let count = ((SHARE * complete.len() as f64).ceil() as usize).clamp(STARTUP, super::MOST_RESULTS);
    let best = &complete[..count.min(complete.len())];
    let points: Vec<Point> = best.iter().map(|observation| observation.point.clone()).collect();
    let losses: Vec<f64> = best.iter().filter_map(|observation| Some(observation.result?.1.get())).collect();
    let mean = losses.iter().sum::<f64>() / losses.len() as f64;
    let deviation = (losses.iter().map(|loss| (loss - mean).powi(2)).sum::<f64>() / losses.len() as f64).sqrt();
    if !deviation.is_finite() {
        return None;
    }
    if deviation == 0.0 {
        return Some(0.0);
    }
    let targets = losses.iter().map(|loss| (loss - mean) / deviation).collect();
    let model = Model::fit(view.domain, points.clone(), targets);
    let n = complete.len() as f64;
    let inner = view.domain.len().max(1) as f64 * n * n * std::f64::consts::PI.powi(2) / (6.0 * DELTA);
    let width = (2.0 * inner.ln() / TAMED).sqrt();
    let upper = |point: &Point| {
        let (mean, deviation) = model.predict(point);
        mean + width * deviation
    };
    let lower = |point: &Point| {
        let (mean, deviation) = model.predict(point);
        mean - width * deviation
    };
    let known = points.iter().map(upper).fold(f64::INFINITY, f64::min);
    let mut rng = stream(view.config.seed, view.trial, Purpose::Regret);
    let drawn: Vec<Point> = (0..SPREAD).map(|_| random::draw(view.domain, &mut rng)).collect();
    let start = drawn.into_iter().chain(points).map(|point| (lower(&point), point));
    let (mut least, mut at) = start.min_by(|(a, _), (b, _)| a.total_cmp(b))?;
    for climb in 0..CLIMBS {
        // From a third of an axis to a thousandth.
        let next = step(view.domain, &at, 0.3 * 0.003f64.powf(climb as f64 / CLIMBS as f64), &mut rng);
        if lower(&next) < least && view.domain.allows(&next) {
            (least, at) = (lower(&next), next);
        }
    }
    Some((known - least).max(0.0) * deviation)
}
