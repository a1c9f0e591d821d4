//! Where a trial's randomness comes from: a pure function of study seed, trial number, purpose, epoch and step.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

/// The root of all randomness of one trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrialSeed {
    /// Seed of the study.
    pub study: u64,
    /// Number of the trial in it.
    pub trial: u64,
}

/// What a stream of random numbers is for. The numbers are part of what a checkpoint means: never reuse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Purpose {
    /// First values of the weights; indexed by parameter.
    Weights = 1,
    /// Order of the images in an epoch.
    Order = 2,
    /// Augmentation; indexed by image.
    Augment = 3,
    /// Dropout; indexed by step.
    Dropout = 4,
    /// Mixing of a batch's images; indexed by step.
    Mix = 5,
    /// Learning a policy; indexed by what is tried.
    Policy = 6,
    /// Which generated images an epoch has; epoch by epoch.
    Generated = 7,
    /// Learning to generate images; indexed by step.
    Generate = 8,
}

impl TrialSeed {
    /// The stream for a purpose at an epoch (from 0) and an index within it.
    pub fn stream(self, purpose: Purpose, epoch: u64, index: u64) -> ChaCha8Rng {
        ChaCha8Rng::from_seed(*self.digest(purpose, epoch, index).as_bytes())
    }

    /// The same as one number, for generators that take no more.
    pub fn number(self, purpose: Purpose, epoch: u64, index: u64) -> u64 {
        let digest = self.digest(purpose, epoch, index);
        u64::from_le_bytes(digest.as_bytes()[..8].try_into().expect("a digest has 32 bytes"))
    }

    fn digest(self, purpose: Purpose, epoch: u64, index: u64) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&[purpose as u8]);
        for number in [self.study, self.trial, epoch, index] {
            hasher.update(&number.to_le_bytes());
        }
        hasher.finalize()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_place_has_a_stream_of_its_own() {
        let mut seen = BTreeSet::new();
        for (study, trial, epoch, index) in [(0, 0, 0, 0), (1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)] {
            let purposes = [Purpose::Weights, Purpose::Order, Purpose::Augment, Purpose::Dropout, Purpose::Mix];
            for purpose in purposes.into_iter().chain([Purpose::Policy, Purpose::Generated, Purpose::Generate]) {
                assert!(seen.insert(TrialSeed { study, trial }.number(purpose, epoch, index)));
            }
        }
    }

    #[test]
    fn the_streams_stay_what_they_were() {
        // A change here breaks every checkpoint and every exported recipe.
        let seed = TrialSeed { study: 1, trial: 2 };
        assert_eq!(seed.number(Purpose::Order, 3, 4), seed.number(Purpose::Order, 3, 4));
    }
}
