//! Every point of a space that can be counted, each once, in an order that the seed shuffles.

use rand_chacha::ChaCha8Rng;

use super::{Choice, Sampler, View};
use crate::domain::{Axis, Domain, Point};

pub(super) struct Grid;

impl Sampler for Grid {
    fn suggest(&self, view: &View, _rng: &mut ChaCha8Rng) -> Option<Choice> {
        let total = view.domain.size()?;
        // Counts points of all axes together, so that a conditional space has some twice; those are passed over.
        // A walk by a stride without a common divisor meets each index once, in an order that looks arbitrary.
        let total = if total < u64::MAX as f64 { total as u64 } else { return None };
        let stride = stride(total, view.config.seed);
        let start = view.config.seed % total;
        let index =
            |turn: u64| ((u128::from(turn) * u128::from(stride) + u128::from(start)) % u128::from(total)) as u64;
        let points = (view.trial.0.min(view.history.len() as u64)..total).map(|turn| point(view.domain, index(turn)));
        let all = points.chain((0..total).map(|turn| point(view.domain, index(turn))));
        let point = all.into_iter().find(|point| !view.history.was_tried(point) && view.domain.allows(point))?;
        Some(Choice { point, why: format!("grid of {total}") })
    }
}

/// The point of that index in the product of all axes, where each has an end.
pub(crate) fn point(domain: &Domain, mut index: u64) -> Point {
    domain.build(|_, axis| {
        let cells = axis.cells().unwrap_or(1.0);
        let cell = (index % cells as u64) as f64;
        index /= cells as u64;
        match axis {
            Axis::Categorical { .. } => cell,
            Axis::LogInt { low, .. } => axis.encode_number(low + cell),
            _ => (cell + 0.5) / cells,
        }
    })
}

/// A number near the golden section of the total, without a common divisor with it.
fn stride(total: u64, seed: u64) -> u64 {
    let golden = (total as f64 * 0.618_033_988_749_895) as u64 + seed % 7;
    (golden.max(1)..).find(|stride| gcd(*stride, total) == 1).expect("some number shares no divisor")
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
