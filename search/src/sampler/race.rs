//! The next training of a race between candidates: see [`crate::race`].

use rand_chacha::ChaCha8Rng;

use super::{Choice, Sampler, View};
use crate::race;

pub(super) struct Race;

impl Sampler for Race {
    fn suggest(&self, view: &View, _rng: &mut ChaCha8Rng) -> Option<Choice> {
        let (params, why) = race::next(&view.config.space, view.trials, view.config.direction)?;
        Some(Choice { point: view.domain.encode(&params), why })
    }
}
