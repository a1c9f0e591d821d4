//! Losses as a model wants them: about standard normal.

/// Exponents of the power transform that are tried; below 1 the tail of bad losses is drawn in.
const EXPONENTS: [f64; 9] = [-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0];

/// Standardized after the power transform (Yeo and Johnson 2000) under which they look most normal. A loss that is not
/// finite counts as the worst finite one.
pub(super) fn to_normal(losses: &[f64]) -> Vec<f64> {
    let finite = || losses.iter().copied().filter(|loss| loss.is_finite());
    let worst = finite().fold(f64::NEG_INFINITY, f64::max);
    let losses: Vec<f64> = losses.iter().map(|loss| if loss.is_finite() { *loss } else { worst }).collect();
    if !worst.is_finite() {
        return vec![0.0; losses.len()];
    }
    let base = by_better_half(&losses);
    let warp = |exponent: &f64| base.iter().map(|value| yeo_johnson(*value, *exponent)).collect::<Vec<f64>>();
    let best =
        EXPONENTS.iter().max_by(|a, b| likelihood(&base, **a, &warp(a)).total_cmp(&likelihood(&base, **b, &warp(b))));
    standardize(&warp(best.expect("there are exponents")))
}

/// In units of how far the best lies below the median: no outlier among the bad can hide the differences of the good.
fn by_better_half(losses: &[f64]) -> Vec<f64> {
    let mut sorted = losses.to_vec();
    sorted.sort_by(f64::total_cmp);
    let median = sorted[sorted.len() / 2];
    let spread = median - sorted[0];
    if spread > 1e-12 * median.abs() && spread.is_finite() {
        losses.iter().map(|loss| ((loss - median) / spread).clamp(-1e100, 1e100)).collect()
    } else {
        standardize(losses)
    }
}

fn standardize(values: &[f64]) -> Vec<f64> {
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let deviation = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt();
    if deviation.is_finite() && deviation > 1e-12 * mean.abs() && deviation > 0.0 {
        values.iter().map(|value| (value - mean) / deviation).collect()
    } else {
        vec![0.0; values.len()]
    }
}

fn yeo_johnson(value: f64, exponent: f64) -> f64 {
    match (value >= 0.0, exponent) {
        (true, 0.0) => value.ln_1p(),
        (true, _) => ((value + 1.0).powf(exponent) - 1.0) / exponent,
        (false, 2.0) => -(-value).ln_1p(),
        (false, _) => -((1.0 - value).powf(2.0 - exponent) - 1.0) / (2.0 - exponent),
    }
}

/// Log likelihood of the values before the transform, if they are normal after it.
fn likelihood(before: &[f64], exponent: f64, after: &[f64]) -> f64 {
    let count = after.len() as f64;
    let mean = after.iter().sum::<f64>() / count;
    let variance = after.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
    let slope: f64 = before.iter().map(|value| value.signum() * (value.abs() + 1.0).ln()).sum();
    -0.5 * count * variance.max(1e-300).ln() + (exponent - 1.0) * slope
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_kept_and_a_long_tail_drawn_in() {
        let warped = to_normal(&[0.0, 0.1, 0.2, 0.3, 0.4, 1000.0]);
        assert!(warped.is_sorted());
        assert!(warped[4] - warped[0] > 0.01 * (warped[5] - warped[4]));
    }

    #[test]
    fn equal_and_infinite_losses_are_no_trouble() {
        assert_eq!(to_normal(&[3.0, 3.0]), [0.0, 0.0]);
        assert_eq!(to_normal(&[f64::INFINITY]), [0.0]);
        assert!(to_normal(&[1.0, 2.0, f64::INFINITY]).iter().all(|value| value.is_finite()));
    }
}
