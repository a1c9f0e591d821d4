//! Where random numbers come from: one independent stream for each study, trial and purpose.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::trial::TrialNumber;

/// What a stream is for. The numbers are part of a study's reproducibility: never reuse one.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Purpose {
    /// What a sampler draws for a new trial.
    Suggest = 1,
    /// What a trial is given besides its point, as its bracket.
    Bracket = 2,
    /// Points against which the forecasts of paused trials are held.
    Forecast = 3,
    /// Where a sampler begins anew.
    Restart = 4,
    /// Whether the rules of a space leave anything, and what stands in for a point that they forbid.
    Allowed = 5,
    /// Trees of a forest, by number instead of the trial's.
    Forest = 6,
    /// Points at which the remaining regret is looked for.
    Regret = 7,
    /// Whom a member of a population learns from and what it tries then, by the number of the one that it replaces.
    Explore = 8,
    /// How far a forecast of curves looks ahead, by the number of epochs known instead of the trial's.
    Outlook = 9,
}

/// The stream of a trial: a pure function of the study's seed, the trial's number and the purpose.
pub(crate) fn stream(seed: u64, trial: TrialNumber, purpose: Purpose) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&trial.0.to_le_bytes());
    key[16] = purpose as u8;
    ChaCha8Rng::from_seed(key)
}
