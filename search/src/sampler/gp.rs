//! Bayesian optimization with a Gaussian process: Matérn-5/2 with a length scale per parameter under the dimension-scaled
//! prior (Hvarfner et al. 2024, arXiv 2402.02229), and log expected improvement (Ament et al. 2023, arXiv 2310.20708).
//!
//! Losses are made normal first by a power transform, as HEBO does (Cowen-Rivers et al. 2022, arXiv 2012.03826): a few
//! huge ones would else hide all differences among the good.

mod acquisition;
mod bfgs;
mod cholesky;
mod cost;
mod curves;
mod feasible;
mod forecast;
mod model;
mod region;
pub(crate) mod regret;
mod several;
mod warp;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use self::acquisition::log_expected_improvement;
pub(crate) use self::cholesky::{Cholesky, row};
pub(super) use self::cost::Cost;
use self::feasible::Feasible;
pub(crate) use self::forecast::Forecast;
use self::model::Model;
use self::region::Region;
use super::{Choice, LEAST_STARTUP, Sampler, View, random};
use crate::domain::{Axis, Domain, Point};
use crate::history::{Observation, Stage};

/// Points before the first model, at most: of 4, 6, 8 and 10 the best at every number of trials (docs/results.md). The prior
/// of the length scales carries so few.
const MOST_STARTUP: usize = 6;
/// The model is made of no more results than this: the better half, and the newest of the others.
const MOST_RESULTS: usize = 250;
/// Points spread over the space, and points near the best, from which the search for the most promising one starts.
const SPREAD: usize = 400;
const NEAR: usize = 400;
/// How many of the best points the latter are near to.
const MOST_NEAR: usize = 8;
/// How many of them are improved further, by so many steps each.
const CLIMBERS: usize = 4;
const CLIMBS: usize = 120;

pub(super) struct Gp;

impl Sampler for Gp {
    fn suggest(&self, view: &View, rng: &mut ChaCha8Rng) -> Option<Choice> {
        Self::suggest_in(view, None, rng)
    }
}

impl Gp {
    /// Looks only around the best point, with a model of what lies there.
    pub(super) fn suggest_near(view: &View, rng: &mut ChaCha8Rng) -> Option<Choice> {
        Self::suggest_in(view, Region::around_best(view), rng)
    }

    fn suggest_in(view: &View, region: Option<Region>, rng: &mut ChaCha8Rng) -> Option<Choice> {
        let results = view.history.len();
        let startup = view.startup((view.domain.len() + 2).clamp(LEAST_STARTUP, MOST_STARTUP));
        let (mut known, unknown) = split(view);
        if let Some(region) = &region {
            known = region.nearest(known);
        }
        // Those that run count: with workers side by side, no more points are drawn without looking than with one.
        let begun = results + view.history.pending().count();
        if begun < startup || 2 * known.len() < startup {
            let point = view.first_point(startup, rng);
            return Some(Choice { point, why: format!("gp: {results} of {startup} results to begin with") });
        }
        let forecast = view.history.is_mixed().then(|| Forecast::new(view));
        let model = forecast.is_none().then(|| {
            let losses = if view.config.objectives.is_empty() { plain(&known) } else { several::weigh(&known, rng) };
            let (points, targets) = data(&known, &losses);
            let mut model = Model::fit(view.domain, points, targets);
            // Points that run without a result are taken to come out as predicted (kriging believer).
            model.believe(unknown.iter().map(|unknown| unknown.point.clone()).collect());
            model
        });
        let predict = |point: &[f64]| match (&model, &forecast) {
            (Some(model), _) => model.predict(point),
            (_, Some(forecast)) => forecast.predict(point),
            (None, None) => unreachable!("one of the two is made"),
        };
        // The least mean, not the least result: under noise, the least result itself is luck.
        let mut means: Vec<(f64, &Point)> =
            known.iter().take(MOST_RESULTS).map(|known| (predict(&known.point).0, &known.point)).collect();
        means.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        let near: Vec<&Point> = means.iter().take(MOST_NEAR).map(|(_, point)| *point).collect();
        let feasible = Feasible::new(view, &known);
        let cost = Cost::new(view);
        let best = forecast.as_ref().map_or(means[0].0, Forecast::best);
        let search = Search { view, region: region.as_ref(), predict: &predict, feasible, cost, near, best };
        Some(match search.run(rng) {
            Some((gain, point)) => {
                let near = region.map_or(String::new(), |region| format!(" within {:.3} of the best", region.reach()));
                let ahead = forecast.map_or(String::new(), |forecast| format!(" after {} epochs", forecast.aim()));
                let why = format!("gp of {} results{near}, log improvement{ahead} {gain:.2}", known.len());
                Choice { point, why }
            }
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

fn plain(known: &[&Observation]) -> Vec<f64> {
    // One that breaks a constraint counts as no better than any that ranks before it.
    let mut worst = f64::NEG_INFINITY;
    let results = known.iter().filter_map(|observation| observation.result);
    let losses = results.map(|(_, loss)| {
        worst = loss.get().max(worst);
        worst
    });
    losses.collect()
}

/// Points and targets of the model, best first; smaller targets are better.
fn data(known: &[&Observation], losses: &[f64]) -> (Vec<Point>, Vec<f64>) {
    let mut data: Vec<(Point, f64)> = known
        .iter()
        .zip(warp::to_normal(losses))
        .map(|(observation, target)| (observation.point.clone(), target))
        .collect();
    data.sort_by(|(_, a), (_, b)| a.total_cmp(b));
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
    /// Where it looks; everywhere, if `None`.
    region: Option<&'a Region>,
    /// Mean and deviation of the final loss there.
    predict: &'a dyn Fn(&[f64]) -> (f64, f64),
    feasible: Feasible,
    cost: Cost<'a>,
    /// The best points known, best first.
    near: Vec<&'a Point>,
    best: f64,
}

impl Search<'_> {
    fn run(&self, rng: &mut ChaCha8Rng) -> Option<(f64, Point)> {
        let domain = self.view.domain;
        let mut starts: Vec<(f64, Point)> = Vec::with_capacity(SPREAD + NEAR);
        for _ in 0..SPREAD {
            let point = match self.region {
                None => random::draw(domain, rng),
                Some(region) => region.draw(domain, rng),
            };
            starts.push((self.gain(&point), point));
        }
        for at in 0..NEAR {
            let width = 10f64.powf(-0.5 - 2.0 * rng.random::<f64>());
            let point = step(domain, self.near[at % self.near.len()], width, rng);
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
        let is_out = |region: &Region| !region.contains(point);
        if self.view.history.was_tried(point) || !self.view.domain.allows(point) || self.region.is_some_and(is_out) {
            return f64::NEG_INFINITY;
        }
        let (mean, deviation) = (self.predict)(point);
        let gain = log_expected_improvement(self.best, mean, deviation) + self.feasible.log_probability(point);
        gain + self.view.log_belief(point) - self.cost.log_seconds(point)
    }
}

/// A neighbour: some axes moved by about the width, rarely another choice, and fresh values on branches newly entered.
fn step(domain: &Domain, from: &[f64], width: f64, rng: &mut ChaCha8Rng) -> Point {
    let share = (3.0 / domain.len() as f64).max(if rng.random::<f64>() < 0.5 { 1.0 } else { 0.0 });
    domain.build(|at, axis| {
        let moves = rng.random::<f64>() < share;
        let old = from[at];
        match axis {
            _ if old.is_nan() => domain.spread(at, rng.random()),
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
