//! What stands in for a suggestion that is forbidden, or was tried before in a space that can be counted: the nearest
//! point that is neither. So no sampler has to think of it, though one that does finds better.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::domain::{Domain, Point};
use crate::history::History;
use crate::sampler::{grid, random};

/// Spaces of up to so many points are looked through, so that none is missed.
const SMALL: f64 = 10_000.0;
/// Points drawn from larger ones.
const DRAWS: usize = 1_000;

/// The nearest open point and what is wrong with the one suggested; `None` if nothing is, or nothing is open.
pub(crate) fn instead_of(
    point: &Point,
    domain: &Domain,
    history: &History,
    rng: &mut ChaCha8Rng,
) -> Option<(Point, &'static str)> {
    let size = domain.size();
    let is_open = |point: &Point| domain.allows(point) && !(size.is_some() && history.was_tried(point));
    if is_open(point) {
        return None;
    }
    let reason = if domain.allows(point) { "known already" } else { "forbidden" };
    let distance = |other: &Point| domain.distance(point, other);
    let nearest = |points: &mut dyn Iterator<Item = Point>| {
        points.filter(is_open).min_by(|a, b| distance(a).total_cmp(&distance(b)))
    };
    let found = match size {
        Some(size) if size <= SMALL => nearest(&mut (0..size as u64).map(|index| grid::point(domain, index))),
        _ => nearest(&mut (0..DRAWS).map(|_| random::draw(domain, rng))),
    };
    // Better known than forbidden.
    let found = found.or_else(|| if domain.allows(point) { None } else { random::allowed(domain, rng.next_u64()) });
    Some((found?, reason))
}
