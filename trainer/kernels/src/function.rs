//! Functions of sixteen numbers at once.

#![expect(unsafe_code, reason = "computes on vectors")]

use std::f32::consts::{FRAC_1_SQRT_2, LOG2_E};

use crate::simd::{Isa, LANES};

/// `eˣ`, within two units of the last place; below -87.3 it stays at the least normal number, above 88.3 at e⁸⁸·³.
///
/// x = n ln 2 + r with |r| ≤ ln 2 / 2, and Taylor's series to the seventh power for r, whose rest is below 4 · 10⁻⁹.
///
/// # Safety
/// The processor must have the instructions.
#[inline(always)]
pub unsafe fn exp<I: Isa>(x: I::V) -> I::V {
    // ln 2 in two parts, of which the first has so few bits that its products with n are exact.
    const LN_2: [f32; 2] = [0.693_359_4, -2.121_944_4e-4];
    const TERMS: [f32; 7] = [1.0 / 5040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0];
    // SAFETY: the caller's.
    unsafe {
        let x = I::min(I::splat(88.3), I::max(x, I::splat(-87.3)));
        let n = I::round(I::mul(x, I::splat(LOG2_E)));
        let r = I::fma(n, I::splat(-LN_2[0]), x);
        let r = I::fma(n, I::splat(-LN_2[1]), r);
        let mut sum = I::zero();
        for term in TERMS {
            sum = I::fma(sum, r, I::splat(term));
        }
        let sum = I::fma(sum, r, I::splat(1.0));
        I::scale_by_power(sum, n)
    }
}

/// The error function, within 6 · 10⁻⁷: a quotient of polynomials, with the coefficients of Eigen's single precision.
///
/// # Safety
/// The processor must have the instructions.
#[inline(always)]
pub unsafe fn erf<I: Isa>(x: I::V) -> I::V {
    const ABOVE: [f32; 7] = [
        -2.726_142_3e-10,
        2.770_681_5e-8,
        -2.101_024e-6,
        -5.692_506_4e-5,
        -7.349_906_3e-4,
        -2.954_6e-3,
        -1.609_603_3e-2,
    ];
    const BELOW: [f32; 5] = [-1.456_607_2e-5, -2.133_740_5e-4, -1.682_827e-3, -7.373_329_2e-3, -1.426_473_9e-2];
    // SAFETY: the caller's.
    unsafe {
        let x = I::min(I::splat(4.0), I::max(x, I::splat(-4.0)));
        let square = I::mul(x, x);
        let above = ABOVE.into_iter().fold(I::zero(), |sum, term| I::fma(sum, square, I::splat(term)));
        let below = BELOW.into_iter().fold(I::zero(), |sum, term| I::fma(sum, square, I::splat(term)));
        I::div(I::mul(x, above), below)
    }
}

/// Φ(x), the normal distribution's share below x.
///
/// # Safety
/// The processor must have the instructions.
#[inline(always)]
unsafe fn normal_share<I: Isa>(x: I::V) -> I::V {
    // SAFETY: the caller's.
    unsafe {
        let erf = erf::<I>(I::mul(x, I::splat(FRAC_1_SQRT_2)));
        I::fma(erf, I::splat(0.5), I::splat(0.5))
    }
}

/// x Φ(x) (Hendrycks 2016, arXiv 1606.08415), exact as PyTorch's default is.
///
/// # Safety
/// The processor must have the instructions.
#[inline(always)]
pub unsafe fn gelu<I: Isa>(x: I::V) -> I::V {
    // SAFETY: the caller's.
    unsafe { I::mul(x, normal_share::<I>(x)) }
}

/// Φ(x) + x φ(x), the slope of [`gelu`].
///
/// # Safety
/// The processor must have the instructions.
#[inline(always)]
pub unsafe fn gelu_slope<I: Isa>(x: I::V) -> I::V {
    /// 1 / √(2 π).
    const DENSITY_AT_ZERO: f32 = 0.398_942_3;
    // SAFETY: the caller's.
    unsafe {
        let density = exp::<I>(I::mul(I::mul(x, x), I::splat(-0.5)));
        I::fma(I::mul(x, density), I::splat(DENSITY_AT_ZERO), normal_share::<I>(x))
    }
}

/// The sum of the sixteen, always in the same order.
///
/// # Safety
/// The processor must have the instructions.
#[inline(always)]
pub unsafe fn sum<I: Isa>(v: I::V) -> f32 {
    // SAFETY: the caller's.
    unsafe { halves::<I>(v, |a, b| a + b) }
}

/// The greatest of the sixteen.
///
/// # Safety
/// The processor must have the instructions.
#[inline(always)]
pub unsafe fn greatest<I: Isa>(v: I::V) -> f32 {
    // SAFETY: the caller's.
    unsafe { halves::<I>(v, |a, b| if a > b { a } else { b }) }
}

#[inline(always)]
unsafe fn halves<I: Isa>(v: I::V, join: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0; LANES];
    // SAFETY: there is room for sixteen; the instructions are the caller's.
    unsafe { I::store(lanes.as_mut_ptr(), v) };
    for half in [8, 4, 2, 1] {
        for lane in 0..half {
            lanes[lane] = join(lanes[lane], lanes[lane + half]);
        }
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::{Kernel, LEVEL, Level, dispatch};

    #[derive(Clone, Copy)]
    enum Function {
        Exp,
        Erf,
        Gelu,
        GeluSlope,
    }

    struct At(Function, [f32; LANES]);

    impl Kernel for At {
        type Output = [f32; LANES];

        #[inline(always)]
        unsafe fn run<I: Isa>(self) -> [f32; LANES] {
            let mut out = [0.0; LANES];
            // SAFETY: there are sixteen numbers.
            unsafe {
                let x = I::load(self.1.as_ptr());
                let y = match self.0 {
                    Function::Exp => exp::<I>(x),
                    Function::Erf => erf::<I>(x),
                    Function::Gelu => gelu::<I>(x),
                    Function::GeluSlope => gelu_slope::<I>(x),
                };
                I::store(out.as_mut_ptr(), y);
            }
            out
        }
    }

    fn check(function: Function, range: [f32; 2], expected: impl Fn(f64) -> f64, error: impl Fn(f64, f64) -> f64) {
        for level in [Level::Plain, Level::Avx2, Level::Avx512].into_iter().filter(|level| *level <= *LEVEL) {
            for block in 0..1000 {
                let x = std::array::from_fn(|lane| {
                    range[0] + (range[1] - range[0]) * (block * LANES + lane) as f32 / (1000 * LANES - 1) as f32
                });
                let got = dispatch(level, At(function, x));
                for (x, got) in x.into_iter().zip(got) {
                    let expected = expected(f64::from(x));
                    let off = error(f64::from(got), expected);
                    assert!(off < 1.0, "{got} instead of {expected} at {x}, {level:?}");
                }
            }
        }
    }

    fn normal_share(x: f64) -> f64 {
        0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2)
    }

    #[test]
    fn functions_are_those_of_double_precision() {
        let absolute = |bound: f64| move |got: f64, expected: f64| (got - expected).abs() / bound;
        check(Function::Exp, [-87.0, 88.0], f64::exp, |got, expected| (got / expected - 1.0).abs() / 2.4e-7);
        check(Function::Erf, [-6.0, 6.0], libm::erf, absolute(6e-7));
        check(Function::Gelu, [-12.0, 12.0], |x| x * normal_share(x), absolute(2e-6));
        let slope = |x: f64| normal_share(x) + x * (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
        check(Function::GeluSlope, [-12.0, 12.0], slope, absolute(1e-6));
    }

    #[test]
    fn the_exponential_of_minus_infinity_is_nothing() {
        for level in [Level::Plain, *LEVEL] {
            let got = dispatch(level, At(Function::Exp, [f32::NEG_INFINITY; LANES]));
            assert!(got.iter().all(|&x| (0.0..1e-37).contains(&x)), "{got:?}");
        }
    }
}
