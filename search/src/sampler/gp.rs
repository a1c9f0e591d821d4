//! Bayesian optimization with a Gaussian process: Matérn-5/2 with a length scale per parameter under the dimension-scaled
//! prior (Hvarfner et al. 2024, arXiv 2402.02229), and log expected improvement (Ament et al. 2023, arXiv 2310.20708).
//!
//! Losses are made normal first by a power transform, as HEBO does (Cowen-Rivers et al. 2022, arXiv 2012.03826): a few
//! huge ones would else hide all differences among the good.

mod acquisition;
mod bfgs;
mod cholesky;
mod model;
mod warp;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use self::acquisition::log_expected_improvement;
use self::model::Model;
use super::{Choice, Sampler, View, random, sobol};
use crate::domain::{Axis, Domain, Point};
use crate::history::{Observation, Stage};

/// Points before the first model. Fewer than BoTorch's 2 per dimension plus 2 would leave length scales to the prior alone.
const LEAST_STARTUP: usize = 4;
const MOST_STARTUP: usize = 10;
/// The model is made of no more results than this: the better half, and the newest of the others.
const MOST_RESULTS: usize = 250;
/// Points spread over the space, and points near the best, from which the search for the most promising one starts.
const SPREAD: usize = 400;
const NEAR: usize = 400;
/// How many of them are improved further, by so many steps each.
const CLIMBERS: usize = 4;
const CLIMBS: usize = 120;

pub(super) struct Gp;

impl Sampler for Gp {
    fn suggest(&self, view: &View, rng: &mut ChaCha8Rng) -> Option<Choice> {
        let (known, unknown) = split(view);
        let results = known.len();
        let startup = (view.domain.len() + 2).clamp(LEAST_STARTUP, MOST_STARTUP);
        if results < startup {
            let point = sobol::point(view.domain, view.trial.0, view.config.seed);
            let point = point.unwrap_or_else(|| random::draw(view.domain, rng));
            return Some(Choice { point, why: format!("gp: {results} of {startup} results to begin with") });
        }
        let (points, targets) = data(view, &known);
        let mut model = Model::fit(view.domain, points, targets);
        // Points that run without a result are taken to come out as predicted (kriging believer).
        model.believe(unknown.iter().map(|unknown| unknown.point.clone()).collect());
        let search = Search { view, model: &model, best: model.best_mean() };
        Some(match search.run(rng) {
            Some((gain, point)) => Choice { point, why: format!("gp of {results} results, log improvement {gain:.2}") },
            None => Choice {
                point: random::untried(view.domain, view.history, rng),
                why: "random: all that gp would try was tried".into(),
            },
        })
    }
}

/// Observations to learn from, best first, and those whose result is still to come.
fn split<'a>(view: &'a View) -> (Vec<&'a Observation>, Vec<&'a Observation>) {
    let mixed = view.history.is_mixed();
    let is_early = |observation: &&Observation| matches!(observation.result, Some((Stage::Step(_), _)));
    let (mut unknown, known): (Vec<_>, Vec<_>) =
        view.history.ranked().partition(|observation| !mixed && is_early(observation));
    unknown.extend(view.history.pending());
    (known, unknown)
}

/// Points and targets of the model, best first; smaller targets are better.
fn data(view: &View, known: &[&Observation]) -> (Vec<Point>, Vec<f64>) {
    let targets = if view.history.is_mixed() {
        // Results at different steps have no common scale, but they have an order.
        warp::scores(known.len())
    } else {
        let results = known.iter().filter_map(|observation| observation.result);
        warp::to_normal(&results.map(|(_, loss)| loss.get()).collect::<Vec<f64>>())
    };
    let mut data: Vec<(Point, f64)> =
        known.iter().zip(targets).map(|(observation, target)| (observation.point.clone(), target)).collect();
    if data.len() > MOST_RESULTS {
        let rest = data.split_off(MOST_RESULTS / 2);
        let stride = rest.len().div_ceil(MOST_RESULTS - MOST_RESULTS / 2);
        data.extend(rest.into_iter().step_by(stride));
    }
    data.into_iter().unzip()
}

/// The search for the point with the greatest expected improvement.
struct Search<'a> {
    view: &'a View<'a>,
    model: &'a Model<'a>,
    best: f64,
}

impl Search<'_> {
    fn run(&self, rng: &mut ChaCha8Rng) -> Option<(f64, Point)> {
        let domain = self.view.domain;
        let mut starts: Vec<(f64, Point)> = Vec::with_capacity(SPREAD + NEAR);
        for _ in 0..SPREAD {
            let point = random::draw(domain, rng);
            starts.push((self.gain(&point), point));
        }
        let known = self.model.points();
        for at in 0..NEAR {
            let width = 10f64.powf(-0.5 - 2.0 * rng.random::<f64>());
            let point = step(domain, &known[at % known.len().min(8)], width, rng);
            starts.push((self.gain(&point), point));
        }
        starts.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        starts.truncate(CLIMBERS);
        let climbed = starts.into_iter().map(|(gain, point)| self.climb(gain, point, rng));
        climbed.max_by(|(a, _), (b, _)| a.total_cmp(b)).filter(|(gain, _)| gain.is_finite())
    }

    /// A (1+1) evolution strategy with the one-fifth rule: needs no gradient, so all kinds of axes take part.
    fn climb(&self, mut gain: f64, mut point: Point, rng: &mut ChaCha8Rng) -> (f64, Point) {
        let mut width = 0.1;
        for _ in 0..CLIMBS {
            let next = step(self.view.domain, &point, width, rng);
            let next_gain = self.gain(&next);
            if next_gain > gain {
                (gain, point) = (next_gain, next);
                width = f64::min(width * 1.5, 0.3);
            } else {
                width = f64::max(width * 0.9, 1e-4);
            }
        }
        (gain, point)
    }

    fn gain(&self, point: &[f64]) -> f64 {
        if self.view.history.was_tried(point) {
            return f64::NEG_INFINITY;
        }
        let (mean, deviation) = self.model.predict(point);
        log_expected_improvement(self.best, mean, deviation)
    }
}

/// A neighbour: some axes moved by about the width, rarely another choice, and fresh values on branches newly entered.
fn step(domain: &Domain, from: &[f64], width: f64, rng: &mut ChaCha8Rng) -> Point {
    let share = (3.0 / domain.len() as f64).max(if rng.random::<f64>() < 0.5 { 1.0 } else { 0.0 });
    domain.build(|at, axis| {
        let moves = rng.random::<f64>() < share;
        let old = from[at];
        match axis {
            _ if old.is_nan() => axis.spread(rng.random()),
            Axis::Categorical { choices } => {
                let jump = rng.random::<f64>() < 0.5 / (choices.len() as f64).max(2.0).min(domain.len() as f64);
                if jump { axis.spread(rng.random()) } else { old }
            }
            _ if !moves => old,
            _ => {
                let moved = old + width * super::standard_normal(rng);
                let (left, right) = axis.cell(old);
                let reflected = if moved < 0.0 {
                    -moved
                } else if moved > 1.0 {
                    2.0 - moved
                } else {
                    moved
                };
                // A step within its own cell would be none: go to a neighbouring value.
                if right > left && axis.snap(reflected) == old {
                    if moved < old { left - 1e-9 } else { right + 1e-9 }
                } else {
                    reflected
                }
            }
        }
    })
}
