//! Several objectives as one: each ask weighs them anew, so that asks spread along the front (ParEGO, Knowles 2006).

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::warp;
use crate::history::Observation;

/// How much of the weighted sum is added to the largest weighted loss; the paper's.
const AUGMENTATION: f64 = 0.05;

/// The augmented Chebyshev loss of each observation under random weights, evenly spread over all that sum to one.
pub(super) fn weigh(known: &[&Observation], rng: &mut ChaCha8Rng) -> Vec<f64> {
    let losses: Vec<Vec<f64>> = known.iter().map(|observation| observation.losses()).collect();
    let count = losses.iter().map(Vec::len).min().unwrap_or(1);
    let weights: Vec<f64> = (0..count).map(|_| -(1.0 - rng.random::<f64>()).ln()).collect();
    let total: f64 = weights.iter().sum();
    // Each objective from 0 to 1, by its own scale.
    let even = |objective: usize| {
        let normal = warp::to_normal(&losses.iter().map(|losses| losses[objective]).collect::<Vec<f64>>());
        let (low, high) = normal.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), x| (a.min(*x), b.max(*x)));
        let width = if high > low { high - low } else { 1.0 };
        normal.into_iter().map(|loss| (loss - low) / width).collect::<Vec<f64>>()
    };
    let columns: Vec<Vec<f64>> = (0..count).map(even).collect();
    let scalar = |at: usize| {
        let weighted = || columns.iter().zip(&weights).map(|(column, weight)| weight / total * column[at]);
        weighted().fold(0.0, f64::max) + AUGMENTATION * weighted().sum::<f64>()
    };
    (0..known.len()).map(scalar).collect()
}
