//! The tree-structured Parzen estimator (Bergstra et al. 2011), multivariate and with the parts that Watanabe's ablations
//! (2023, arXiv 2304.11127) recommend: weights by expected improvement, a prior component, bandwidths that shrink.
//!
//! Good and bad points each become a density over the whole tree of choices; of some points drawn from the good density, the
//! one where it most exceeds the bad density is suggested. Conditional parameters are part of the same density (see
//! `parzen`), so that what is learned of a choice and of its own parameters stays together.

mod several;

use rand_chacha::ChaCha8Rng;

use super::feasible::Feasible;
use super::gp::Cost;
use super::parzen::{Component, Parzen};
use super::{Choice, Sampler, View, random};
use crate::history::Observation;

/// Points before the first estimate; Optuna's default.
pub(super) const STARTUP: usize = 10;
/// Share of the points that are good; Bergstra's and Watanabe's linear rule.
const GOOD_SHARE: f64 = 0.1;
/// No more good points than this; hyperopt's and Optuna's default.
const MOST_GOOD: usize = 25;
/// The bad density is made of no more points than this, evenly by rank: so an ask costs the same at any number of trials.
const MOST_BAD: usize = 400;
/// Points drawn from the good density; hyperopt's and Optuna's default.
const CANDIDATES: usize = 24;

/// Coordinates drawn along each axis, to improve the best of the candidates.
const REFINEMENTS: usize = 4;

pub(super) struct Tpe;

impl Sampler for Tpe {
    fn suggest(&self, view: &View, rng: &mut ChaCha8Rng) -> Option<Choice> {
        let results = view.history.len();
        let startup = view.startup(STARTUP);
        if results < startup {
            let point = view.first_point(startup, rng);
            return Some(Choice { point, why: format!("tpe: {results} of {startup} results to begin with") });
        }
        let good_count = ((GOOD_SHARE * results as f64).ceil() as usize).min(MOST_GOOD);
        let (good, bad) = if view.config.objectives.is_empty() {
            let good: Vec<&Observation> = view.history.ranked().take(good_count).collect();
            let stride = (results - good_count).div_ceil(MOST_BAD).max(1);
            (by_improvement(view, &good), view.history.ranked().skip(good_count).step_by(stride).collect())
        } else {
            several::split(view, good_count, MOST_BAD)
        };
        // Points that run without a result count as bad, so that workers do not all try the same (constant liar).
        let bad: Vec<&Observation> = bad.into_iter().chain(view.history.pending()).collect();
        let bad = bad.into_iter().map(|bad| Component { point: &bad.point, weight: 1.0 });
        let bad = Parzen::new(view.domain, bad.collect());
        let good = Parzen::new(view.domain, good);
        let (feasible, cost) = (Feasible::new(view), Cost::new(view));

        let countable = view.domain.size().is_some();
        let mut best: Option<(f64, Vec<f64>)> = None;
        for _ in 0..CANDIDATES {
            let point = good.draw(rng);
            if (countable && view.history.was_tried(&point)) || !view.domain.allows(&point) {
                continue;
            }
            let gain = log_improvement(good.log_density(&point) - bad.log_density(&point))
                + feasible.log_probability(&point)
                + view.log_belief(&point)
                - cost.log_seconds(&point);
            if best.as_ref().is_none_or(|(most, _)| gain > *most) {
                best = Some((gain, point));
            }
        }
        Some(match best {
            Some((gain, point)) => {
                // Half of the asks: climbing to the top of the ratio learns less than a draw near it, where little is known.
                // All of them where there are more axes than good points: then no draw is good along all.
                let refines = !view.trial.0.is_multiple_of(2) || view.history.mean_active() > MOST_GOOD as f64;
                let refined = refines.then(|| good.refine(&bad, point.clone(), REFINEMENTS, rng));
                let point = refined.filter(|refined| !view.history.was_tried(refined)).unwrap_or(point);
                Choice { point, why: format!("tpe: {good_count} good of {results}, log improvement {gain:.2}") }
            }
            None => Choice {
                point: random::untried(view.domain, view.history, rng),
                why: "random: all that tpe would try was tried".into(),
            },
        })
    }
}

/// Logarithm of the expected improvement, up to a constant, for the logarithm of how much the good density exceeds the bad one
/// (Bergstra et al. 2011, equation after (7)): 1 / (γ + (1 − γ) bad / good).
fn log_improvement(log_ratio: f64) -> f64 {
    -(GOOD_SHARE + (1.0 - GOOD_SHARE) * (-log_ratio).exp()).ln()
}

/// Weighs good points by how much better they are than the first bad one, where their results can be compared.
fn by_improvement<'a>(view: &'a View, good: &[&'a Observation]) -> Vec<Component<'a>> {
    let (stage, _) = good.last().and_then(|worst| worst.result).expect("ranked observations have results");
    let first_bad = view.history.ranked().nth(good.len()).and_then(|bad| bad.result);
    let cut = first_bad.filter(|(bad, loss)| *bad == stage && loss.get().is_finite()).map(|(_, loss)| loss.get());
    let improvement = |observation: &Observation| match (cut, observation.result) {
        (Some(cut), Some((at, loss))) if at == stage => Some((cut - loss.get()).max(0.0)),
        _ => None,
    };
    let known: Vec<f64> = good.iter().filter_map(|observation| improvement(observation)).collect();
    let mean = known.iter().sum::<f64>() / known.len().max(1) as f64;
    let weigh = |observation: &&'a Observation| {
        // Half even, half by improvement: one outlier among the losses must not take the density for itself.
        let relative = improvement(observation).map_or(1.0, |gain| if mean > 0.0 { gain / mean } else { 1.0 });
        Component { point: &observation.point, weight: 0.5 + 0.5 * relative }
    };
    good.iter().map(weigh).collect()
}
