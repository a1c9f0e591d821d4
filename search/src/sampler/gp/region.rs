//! The trust region of TuRBO (Eriksson et al. 2019, arXiv 1910.01739): a box around the best point that grows while it finds
//! better ones and shrinks while it does not. A model of the points nearby sees what one of the whole space smooths over.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use crate::domain::{Axis, Domain, Point};
use crate::history::{Observation, Stage};
use crate::sampler::View;

/// Sides of the box, and how many better results in a row double it: the paper's. It halves after as many results without a
/// better one as there are parameters, at least four.
const FIRST: f64 = 0.8;
const LONGEST: f64 = 1.6;
const SHORTEST: f64 = 0.007_812_5;
const SUCCESSES: u32 = 3;
/// The least relative gain that counts as better; the paper's.
const GAIN: f64 = 1e-3;

pub(super) struct Region {
    center: Point,
    side: f64,
    /// The model is made of the points within twice the box, and at least of so many that are nearest.
    least: usize,
    /// Which axes are numbers.
    numbers: Vec<bool>,
}

impl Region {
    /// Around the best result; `None` while there is no result.
    pub(super) fn around_best(view: &View) -> Option<Self> {
        let best = view.history.ranked().next()?;
        let numbers = view.domain.axes().iter().map(|axis| axis.choices().is_none()).collect();
        let least = 10 + 3 * view.domain.len();
        Some(Self { center: best.point.clone(), side: side(view), least, numbers })
    }

    /// How far it reaches from the best point along an axis.
    pub(super) fn reach(&self) -> f64 {
        self.side / 2.0
    }

    /// The results that say most of the region, in the order given.
    pub(super) fn nearest<'a>(&self, known: Vec<&'a Observation>) -> Vec<&'a Observation> {
        if known.len() <= self.least {
            return known;
        }
        let all: Vec<f64> = known.iter().map(|known| self.distance(&known.point)).collect();
        let mut distances = all.clone();
        distances.sort_by(f64::total_cmp);
        let enough = distances[self.least - 1].max(self.side);
        known.into_iter().zip(all).filter(|(_, distance)| *distance <= enough).map(|(known, _)| known).collect()
    }

    /// The greatest distance along any axis. Another choice is far, whatever lies under it.
    fn distance(&self, point: &[f64]) -> f64 {
        let along = |((at, center), is_number): ((&f64, &f64), &bool)| match is_number {
            _ if at.is_nan() && center.is_nan() => 0.0,
            true if !at.is_nan() && !center.is_nan() => (at - center).abs(),
            _ => {
                if at == center {
                    0.0
                } else {
                    1.0
                }
            }
        };
        point.iter().zip(&self.center).zip(&self.numbers).map(along).fold(0.0, f64::max)
    }

    /// Whether every number lies in the box; choices are free.
    pub(super) fn contains(&self, point: &[f64]) -> bool {
        let apart = |((at, center), is_number): ((&f64, &f64), &bool)| *is_number && (at - center).abs() > self.reach();
        !point.iter().zip(&self.center).zip(&self.numbers).any(apart)
    }

    /// A point of the box that differs from the best one in some axes; in about twenty, where there are more.
    pub(super) fn draw(&self, domain: &Domain, rng: &mut ChaCha8Rng) -> Point {
        let share = (20.0 / domain.len() as f64).min(1.0);
        domain.build(|at, axis| {
            let center = self.center[at];
            let moves = rng.random::<f64>() < share;
            match axis {
                _ if center.is_nan() => axis.spread(rng.random()),
                _ if !moves => center,
                Axis::Categorical { .. } => {
                    if rng.random::<f64>() < 0.1 {
                        axis.spread(rng.random())
                    } else {
                        center
                    }
                }
                _ => (center + self.side * (rng.random::<f64>() - 0.5)).clamp(0.0, 1.0),
            }
        })
    }
}

/// How long the sides are after all results so far.
fn side(view: &View) -> f64 {
    let patience = (view.domain.len() as u32).max(4);
    let (mut side, mut best) = (FIRST, f64::INFINITY);
    let (mut better, mut worse) = (0, 0);
    let whole = view.history.iter().filter_map(|observation| observation.result);
    for (_, loss) in whole.filter(|(stage, _)| *stage != Stage::Failed) {
        let loss = loss.get();
        if best.is_infinite() || loss < best - GAIN * best.abs() {
            (better, worse) = (better + 1, 0);
        } else {
            (better, worse) = (0, worse + 1);
        }
        best = best.min(loss);
        if better == SUCCESSES {
            (side, better) = (f64::min(side * 2.0, LONGEST), 0);
        } else if worse == patience {
            (side, worse) = (side / 2.0, 0);
            if side < SHORTEST {
                side = FIRST;
            }
        }
    }
    side
}
