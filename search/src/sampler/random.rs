//! Random search (Bergstra and Bengio 2012): every active parameter evenly over its scale, independent of the past.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{Choice, Sampler, View};
use crate::domain::{Domain, Point};
use crate::history::History;

/// How often a point that was tried before is drawn again, in a space that can be counted.
const DRAWS: usize = 100;

pub(super) struct Random;

impl Sampler for Random {
    fn suggest(&self, view: &View, rng: &mut ChaCha8Rng) -> Option<Choice> {
        Some(Choice { point: untried(view.domain, view.history, rng), why: "random".into() })
    }
}

pub(super) fn draw(domain: &Domain, rng: &mut ChaCha8Rng) -> Point {
    domain.build(|_, axis| axis.spread(rng.random()))
}

/// A random point, and one that was not tried yet if one is found soon.
pub(super) fn untried(domain: &Domain, history: &History, rng: &mut ChaCha8Rng) -> Point {
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
