//! A Sobol sequence with Owen's scrambling (Burley 2020, "Practical Hash-based Owen Scrambling"): more even than random.

use rand_chacha::ChaCha8Rng;

use super::{Choice, Sampler, View, random};
use crate::domain::{Domain, Point};

/// The tables of the sequence end here; what is beyond is random.
const LONGEST: u64 = 1 << 16;
const MOST_AXES: usize = 256;

pub(super) struct Sobol;

impl Sampler for Sobol {
    fn suggest(&self, view: &View, rng: &mut ChaCha8Rng) -> Option<Choice> {
        let choice = match point(view.domain, view.trial.0, view.config.seed) {
            Some(point) => Choice { point, why: "sobol".into() },
            None => Choice { point: random::draw(view.domain, rng), why: "random: the sequence has ended".into() },
        };
        Some(choice)
    }
}

/// The point of that index under the study's own scrambling, if the sequence reaches so far.
pub(super) fn point(domain: &Domain, index: u64, seed: u64) -> Option<Point> {
    if index >= LONGEST || domain.len() > MOST_AXES {
        return None;
    }
    let scramble = (seed ^ (seed >> 32)) as u32;
    Some(domain.build(|at, _| domain.spread(at, f64::from(sobol_burley::sample(index as u32, at as u32, scramble)))))
}
