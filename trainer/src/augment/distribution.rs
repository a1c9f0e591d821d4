//! The distributions that augmentation draws from, beyond the uniform one.

use rand::{Rng, RngExt};
use rand_distr::{Distribution, StandardNormal};

/// A number of the gamma distribution with scale 1 (Marsaglia and Tsang 2000).
pub fn gamma(shape: f64, random: &mut impl Rng) -> f64 {
    if shape < 1.0 {
        return gamma(shape + 1.0, random) * (1.0 - random.random::<f64>()).powf(1.0 / shape);
    }
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x: f64 = StandardNormal.sample(random);
        let v = (1.0 + c * x).powi(3);
        if v > 0.0 && (1.0 - random.random::<f64>()).ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            return d * v;
        }
    }
}

/// Shares that sum to 1, of the symmetric Dirichlet distribution.
pub fn dirichlet(alpha: f64, count: usize, random: &mut impl Rng) -> Vec<f64> {
    let parts: Vec<f64> = (0..count).map(|_| gamma(alpha, random)).collect();
    let sum: f64 = parts.iter().sum();
    if sum > 0.0 {
        return parts.iter().map(|part| part / sum).collect();
    }
    // Alphas near 0 round every part to nothing: in the limit one of them has it all.
    let winner = random.random_range(0..count);
    (0..count).map(|place| f64::from(u8::from(place == winner))).collect()
}

/// A number in [0, 1] of the beta distribution with both parameters alike.
pub fn beta(alpha: f64, random: &mut impl Rng) -> f64 {
    dirichlet(alpha, 2, random)[0]
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    /// Mean and variance of 200,000 draws.
    fn check(draw: impl Fn(&mut ChaCha8Rng) -> f64, mean: f64, variance: f64) {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let draws: Vec<f64> = (0..200_000).map(|_| draw(&mut random)).collect();
        let found = draws.iter().sum::<f64>() / draws.len() as f64;
        let spread = draws.iter().map(|x| (x - found).powi(2)).sum::<f64>() / draws.len() as f64;
        assert!((found - mean).abs() < 0.02 * variance.sqrt().max(mean), "mean {found}, not {mean}");
        assert!((spread / variance - 1.0).abs() < 0.05, "variance {spread}, not {variance}");
    }

    #[test]
    fn the_moments_are_those_of_the_textbook() {
        for shape in [0.2, 1.0, 4.5] {
            check(|random| gamma(shape, random), shape, shape);
            check(|random| beta(shape, random), 0.5, 0.25 / (2.0 * shape + 1.0));
        }
        // Of three parts with alpha a: mean 1/3, variance 2/9 / (3a + 1).
        check(|random| dirichlet(1.0, 3, random)[2], 1.0 / 3.0, 2.0 / 9.0 / 4.0);
    }

    #[test]
    fn tiny_alphas_give_all_to_one() {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let draws: Vec<f64> = (0..100).map(|_| beta(1e-12, &mut random)).collect();
        assert!(draws.iter().all(|x| *x == 0.0 || *x == 1.0) && draws.contains(&0.0) && draws.contains(&1.0));
    }
}
