//! The logarithm of expected improvement, which keeps its slope where the improvement itself would round to zero
//! (Ament et al. 2023, arXiv 2310.20708).

use std::f64::consts::{FRAC_1_SQRT_2, PI};

/// Expected improvement of a normal loss below the best, as a logarithm.
pub(super) fn log_expected_improvement(best: f64, mean: f64, deviation: f64) -> f64 {
    let z = (best - mean) / deviation;
    deviation.ln() + log_h(z)
}

/// Logarithm of the standard normal's mass below the bound.
pub(super) fn log_normal_below(z: f64) -> f64 {
    if z > -5.0 {
        return (0.5 * libm::erfc(-z * FRAC_1_SQRT_2)).ln();
    }
    // The asymptotic series again.
    -0.5 * z * z - 0.5 * (2.0 * PI).ln() - (-z).ln() + (1.0 - 1.0 / (z * z)).ln()
}

/// log(φ(z) + z Φ(z)).
fn log_h(z: f64) -> f64 {
    let log_phi = -0.5 * z * z - 0.5 * (2.0 * PI).ln();
    if z > -5.0 {
        let phi_big = 0.5 * libm::erfc(-z * FRAC_1_SQRT_2);
        return (log_phi.exp() + z * phi_big).ln();
    }
    // Φ(z)'s asymptotic series: below -5 the two terms above cancel.
    let z2 = z * z;
    log_phi - z2.ln() + (1.0 - 3.0 / z2 + 15.0 / (z2 * z2)).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_h_equals_the_plain_formula_at_zero_and_joins_its_tail() {
        assert!((log_h(0.0) - (1.0 / (2.0 * PI).sqrt()).ln()).abs() < 1e-12);
        assert!((log_h(-5.0 + 1e-9) - log_h(-5.0 - 1e-9)).abs() < 0.01);
        assert!(log_h(-40.0).is_finite() && log_h(-40.0) < log_h(-39.0));
    }

    #[test]
    fn the_mass_below_is_that_of_the_tables_and_joins_its_tail() {
        assert!((log_normal_below(-1.959_963_984_540_054) - 0.025f64.ln()).abs() < 1e-9);
        assert!((log_normal_below(-5.0 + 1e-9) - log_normal_below(-5.0 - 1e-9)).abs() < 0.01);
        assert!(log_normal_below(-100.0) < log_normal_below(-99.0));
    }

    #[test]
    fn less_mean_and_more_doubt_promise_more() {
        assert!(log_expected_improvement(0.0, 0.1, 0.5) > log_expected_improvement(0.0, 0.2, 0.5));
        assert!(log_expected_improvement(0.0, 1.0, 0.5) > log_expected_improvement(0.0, 1.0, 0.1));
    }
}
