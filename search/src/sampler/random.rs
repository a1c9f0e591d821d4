//! Random search (Bergstra and Bengio 2012): every active parameter evenly over its scale, independent of the past.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{Choice, Sampler, View};
use crate::domain::{Domain, Point};
use crate::history::History;
use crate::stream::{Purpose, stream};
use crate::trial::TrialNumber;

/// How often a point that is forbidden, or was tried before in a space that can be counted, is drawn again.
const DRAWS: usize = 100;

pub(super) struct Random;

impl Sampler for Random {
    fn suggest(&self, view: &View, rng: &mut ChaCha8Rng) -> Option<Choice> {
        Some(Choice { point: untried(view.domain, view.history, rng), why: "random".into() })
    }
}

/// A point spread as the priors say, and one that no rule forbids if one is found soon.
pub(crate) fn draw(domain: &Domain, rng: &mut ChaCha8Rng) -> Point {
    let mut draw = || domain.build(|at, _| domain.spread(at, rng.random()));
    let mut point = draw();
    for _ in 1..DRAWS {
        if domain.allows(&point) {
            break;
        }
        point = draw();
    }
    point
}

/// Some point that no rule forbids; `None` if so many draws found none.
pub(crate) fn allowed(domain: &Domain, seed: u64) -> Option<Point> {
    let mut rng = stream(seed, TrialNumber(0), Purpose::Allowed);
    (0..DRAWS).map(|_| draw(domain, &mut rng)).find(|point| domain.allows(point))
}

/// A random point, and one that was not tried yet if one is found soon.
pub(crate) fn untried(domain: &Domain, history: &History, rng: &mut ChaCha8Rng) -> Point {
    let draws = if domain.size().is_some() { DRAWS } else { 1 };
    let mut point = draw(domain, rng);
    for _ in 1..draws {
        if !history.was_tried(&point) {
            break;
        }
        point = draw(domain, rng);
    }
    point
}
