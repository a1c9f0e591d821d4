//! The transforms of minimal filtering: Winograd's F(4×4, 3×3), Lavin & Gray 2016 (arXiv 1509.09308).
//!
//! A tile of 4×4 results of a 3×3 filter needs 6×6 numbers of the image. Both are taken for polynomials and evaluated at
//! the points 0, ±a, ±b and ∞; there, what was a convolution is one product for each point. With Lavin's matrices a tile
//! `d`, a filter `g` and the results are `Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A`. The transposed matrices give the gradients.

#![expect(unsafe_code, reason = "vectors need the processor's instructions")]

use crate::simd::Isa;

/// Rows and columns of results in a tile.
pub const RESULTS: usize = 4;
/// Rows and columns of points, and of the image under a tile.
pub const POINTS: usize = RESULTS + 2;
/// Points of a tile.
pub const AREA: usize = POINTS * POINTS;

/// Not 1 and 2, as Lavin has them: with these, which oneDNN's Winograd convolution takes too, the error is half as large
/// (root mean square, 64 and 512 channels, uniform images), since powers up to the third stay closer to one. They have few
/// binary digits, so that their squares are exact.
const A: f32 = 0.625;
const B: f32 = 1.5;
const A2: f32 = A * A;
const B2: f32 = B * B;
/// The derivative at each point of the polynomial whose roots all points are: what Lagrange's formula divides by.
const AT_ZERO: f32 = A2 * B2;
const AT_A: f32 = 2.0 * A2 * (A2 - B2);
const AT_B: f32 = 2.0 * B2 * (B2 - A2);

/// A matrix that is applied to vectors of numbers: along the columns of a square, and then along its rows.
pub trait Transform<const N: usize, const M: usize> {
    /// The matrix times a column.
    ///
    /// # Safety
    /// The processor must have the instructions.
    unsafe fn column<I: Isa>(x: [I::V; N]) -> [I::V; M];

    /// The matrix times a square times the transposed matrix.
    ///
    /// # Safety
    /// The processor must have the instructions.
    #[inline(always)]
    unsafe fn square<I: Isa>(x: [[I::V; N]; N]) -> [[I::V; M]; M] {
        // SAFETY: the caller's.
        unsafe {
            let zero = I::zero();
            let mut between = [[zero; N]; M];
            for n in 0..N {
                let mut column = [zero; N];
                for (row, to) in column.iter_mut().enumerate() {
                    *to = x[row][n];
                }
                let column = Self::column::<I>(column);
                for (row, &y) in column.iter().enumerate() {
                    between[row][n] = y;
                }
            }
            let mut result = [[zero; M]; M];
            for (row, to) in result.iter_mut().enumerate() {
                *to = Self::column::<I>(between[row]);
            }
            result
        }
    }
}

/// `Bᵀ`: the image under a tile to its points.
pub struct Image;

impl Transform<POINTS, POINTS> for Image {
    #[inline(always)]
    unsafe fn column<I: Isa>([x0, x1, x2, x3, x4, x5]: [I::V; 6]) -> [I::V; 6] {
        // SAFETY: the caller's.
        unsafe {
            let (even_a, odd_a) = (times::<I>(-B2, x2, x4), times::<I>(-B2, x1, x3));
            let (even_b, odd_b) = (times::<I>(-A2, x2, x4), times::<I>(-A2, x1, x3));
            [
                times::<I>(AT_ZERO, x0, times::<I>(-(A2 + B2), x2, x4)),
                times::<I>(A, odd_a, even_a),
                times::<I>(-A, odd_a, even_a),
                times::<I>(B, odd_b, even_b),
                times::<I>(-B, odd_b, even_b),
                times::<I>(AT_ZERO, x1, times::<I>(-(A2 + B2), x3, x5)),
            ]
        }
    }
}

/// `Aᵀ`: the points of a tile to its results.
pub struct Results;

impl Transform<POINTS, RESULTS> for Results {
    #[inline(always)]
    unsafe fn column<I: Isa>([x0, x1, x2, x3, x4, x5]: [I::V; 6]) -> [I::V; 4] {
        // SAFETY: the caller's.
        unsafe {
            let (even_a, odd_a) = (I::add(x1, x2), I::sub(x1, x2));
            let (even_b, odd_b) = (I::add(x3, x4), I::sub(x3, x4));
            [
                I::add(x0, I::add(even_a, even_b)),
                times::<I>(A, odd_a, I::mul(I::splat(B), odd_b)),
                times::<I>(A2, even_a, I::mul(I::splat(B2), even_b)),
                times::<I>(A * A2, odd_a, times::<I>(B * B2, odd_b, x5)),
            ]
        }
    }
}

/// `A`: the gradient to a tile's results to that to its points.
pub struct Gradients;

impl Transform<RESULTS, POINTS> for Gradients {
    #[inline(always)]
    unsafe fn column<I: Isa>([x0, x1, x2, x3]: [I::V; 4]) -> [I::V; 6] {
        // SAFETY: the caller's.
        unsafe {
            let (even_a, odd_a) = (times::<I>(A2, x2, x0), times::<I>(A2, x3, x1));
            let (even_b, odd_b) = (times::<I>(B2, x2, x0), times::<I>(B2, x3, x1));
            [
                x0,
                times::<I>(A, odd_a, even_a),
                times::<I>(-A, odd_a, even_a),
                times::<I>(B, odd_b, even_b),
                times::<I>(-B, odd_b, even_b),
                x3,
            ]
        }
    }
}

/// `G`: a filter to its points.
pub struct Filter;

impl Transform<3, POINTS> for Filter {
    #[inline(always)]
    unsafe fn column<I: Isa>([x0, x1, x2]: [I::V; 3]) -> [I::V; 6] {
        // SAFETY: the caller's.
        unsafe {
            let even_a = I::add(I::mul(I::splat(1.0 / AT_A), x0), I::mul(I::splat(A2 / AT_A), x2));
            let even_b = I::add(I::mul(I::splat(1.0 / AT_B), x0), I::mul(I::splat(B2 / AT_B), x2));
            let (odd_a, odd_b) = (I::mul(I::splat(A / AT_A), x1), I::mul(I::splat(B / AT_B), x1));
            [
                I::mul(I::splat(1.0 / AT_ZERO), x0),
                I::add(even_a, odd_a),
                I::sub(even_a, odd_a),
                I::add(even_b, odd_b),
                I::sub(even_b, odd_b),
                x2,
            ]
        }
    }
}

/// `Gᵀ`: the gradient to a filter's points to that to the filter.
pub struct FilterGradient;

impl Transform<POINTS, 3> for FilterGradient {
    #[inline(always)]
    unsafe fn column<I: Isa>([x0, x1, x2, x3, x4, x5]: [I::V; 6]) -> [I::V; 3] {
        // SAFETY: the caller's.
        unsafe {
            let (even_a, odd_a) = (I::add(x1, x2), I::sub(x1, x2));
            let (even_b, odd_b) = (I::add(x3, x4), I::sub(x3, x4));
            [
                times::<I>(1.0 / AT_ZERO, x0, times::<I>(1.0 / AT_A, even_a, I::mul(I::splat(1.0 / AT_B), even_b))),
                times::<I>(A / AT_A, odd_a, I::mul(I::splat(B / AT_B), odd_b)),
                times::<I>(A2 / AT_A, even_a, times::<I>(B2 / AT_B, even_b, x5)),
            ]
        }
    }
}

/// `factor · x + y`.
#[inline(always)]
unsafe fn times<I: Isa>(factor: f32, x: I::V, y: I::V) -> I::V {
    // SAFETY: the caller's.
    unsafe { I::fma(I::splat(factor), x, y) }
}
