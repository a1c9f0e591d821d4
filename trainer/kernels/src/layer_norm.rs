//! Layer norm (Ba 2016, arXiv 1607.06450), forward and backward, a row at a time.

#![expect(unsafe_code, reason = "reads and writes vectors")]

use std::mem::MaybeUninit;

use crate::fresh::{assume_written, fresh};
use crate::function::sum;
use crate::norm::add_to;
use crate::panel::{read_up_to, write_up_to};
use crate::share::{for_each, map, share_of, take_front, threads_for};
use crate::simd::{Isa, Kernel, LANES, LEVEL, Level, dispatch};

/// `(x − mean) / √(variance + epsilon) · gamma + beta` of each row.
#[derive(Clone, Copy, Debug)]
pub struct LayerNorm {
    /// Numbers of a row.
    pub width: usize,
    /// Added to the variance.
    pub epsilon: f32,
    level: Level,
}

/// Gradients of a layer norm.
#[derive(Debug)]
pub struct LayerNormGradients {
    /// `[rows, width]`.
    pub to_rows: Vec<f32>,
    /// `[width]`.
    pub to_gamma: Vec<f32>,
    /// `[width]`.
    pub to_beta: Vec<f32>,
}

impl LayerNorm {
    /// A norm for this processor.
    pub fn new(width: usize, epsilon: f32) -> Self {
        Self::at(*LEVEL, width, epsilon)
    }

    /// A norm for a level of instructions.
    pub fn at(level: Level, width: usize, epsilon: f32) -> Self {
        Self { width, epsilon, level }
    }

    /// `x` `[rows, width]` normed.
    ///
    /// # Panics
    /// If a length does not fit.
    pub fn forward(&self, x: &[f32], gamma: &[f32], beta: &[f32]) -> Vec<f32> {
        self.check(x, [gamma, beta]);
        let mut result = fresh(x.len());
        let share = self.share(x);
        for_each(result.chunks_mut(share).zip(x.chunks(share)), |(out, x)| {
            dispatch(self.level, Forward { norm: self, x, gamma, beta, out });
        });
        assume_written(result)
    }

    /// The gradients from that to the result. Mean and deviation of each row are computed again from `x`.
    ///
    /// # Panics
    /// If a length does not fit.
    pub fn backward(&self, x: &[f32], gamma: &[f32], gradient: &[f32]) -> LayerNormGradients {
        self.check(x, [gamma, gamma]);
        assert_eq!(x.len(), gradient.len());
        let mut to_rows = fresh(x.len());
        let mut rest: &mut [MaybeUninit<f32>] = &mut to_rows;
        let share = self.share(x);
        let work = x
            .chunks(share)
            .zip(gradient.chunks(share))
            .map(|(x, gradient)| (x, gradient, take_front(&mut rest, x.len())));
        let sums = map(work, |(x, gradient, to_rows)| {
            let mut sums = vec![0.0; 2 * self.width];
            dispatch(self.level, Backward { norm: self, x, gamma, gradient, to_rows, sums: &mut sums });
            sums
        });
        let mut total = vec![0.0; 2 * self.width];
        for sums in sums {
            add_to(&mut total, &sums);
        }
        let to_beta = total.split_off(self.width);
        LayerNormGradients { to_rows: assume_written(to_rows), to_gamma: total, to_beta }
    }

    fn check(&self, x: &[f32], parameters: [&[f32]; 2]) {
        let fits = x.len().is_multiple_of(self.width) && parameters.iter().all(|values| values.len() == self.width);
        assert!(fits, "{self:?} was given other lengths");
    }

    /// Numbers that a thread takes at once.
    fn share(&self, x: &[f32]) -> usize {
        // About as much work for a number as sixteen products.
        share_of(x.len() / self.width, threads_for(16 * x.len())) * self.width
    }
}

/// Mean of a row, and `1 / √(variance + epsilon)`.
///
/// # Safety
/// The processor must have the instructions.
#[inline(always)]
unsafe fn moments<I: Isa>(row: &[f32], epsilon: f32) -> [f32; 2] {
    let width = row.len();
    // SAFETY: the row has these numbers; lanes behind its end are kept at zero by their mask.
    unsafe {
        let mut total = I::zero();
        for at in (0..width).step_by(LANES) {
            total = I::add(total, read_up_to::<I>(row.as_ptr().add(at), width - at));
        }
        let mean = sum::<I>(total) / width as f32;
        let mut squares = I::zero();
        let whole = width / LANES * LANES;
        for at in (0..whole).step_by(LANES) {
            let off = I::sub(I::load(row.as_ptr().add(at)), I::splat(mean));
            squares = I::fma(off, off, squares);
        }
        let of_rest: f32 = row[whole..].iter().map(|x| (x - mean) * (x - mean)).sum();
        let variance = (sum::<I>(squares) + of_rest) / width as f32;
        [mean, 1.0 / (variance + epsilon).sqrt()]
    }
}

struct Forward<'a> {
    norm: &'a LayerNorm,
    x: &'a [f32],
    gamma: &'a [f32],
    beta: &'a [f32],
    out: &'a mut [MaybeUninit<f32>],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let Self { norm: &LayerNorm { width, epsilon, .. }, x, gamma, beta, out } = self;
        for (x, out) in x.chunks_exact(width).zip(out.chunks_exact_mut(width)) {
            // SAFETY: all have a row's numbers.
            unsafe {
                let [mean, inverse] = moments::<I>(x, epsilon);
                for at in (0..width).step_by(LANES) {
                    let count = width - at;
                    let of = |values: &[f32]| read_up_to::<I>(values.as_ptr().add(at), count);
                    let normed = I::mul(I::sub(of(x), I::splat(mean)), I::splat(inverse));
                    let to = out.as_mut_ptr().cast::<f32>().add(at);
                    write_up_to::<I>(to, count, I::fma(normed, of(gamma), of(beta)));
                }
            }
        }
    }
}

struct Backward<'a> {
    norm: &'a LayerNorm,
    x: &'a [f32],
    gamma: &'a [f32],
    gradient: &'a [f32],
    to_rows: &'a mut [MaybeUninit<f32>],
    /// To gamma, then to beta.
    sums: &'a mut [f32],
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let Self { norm: &LayerNorm { width, epsilon, .. }, x, gamma, gradient, to_rows, sums } = self;
        let (to_gamma, to_beta) = sums.split_at_mut(width);
        let rows = x.chunks_exact(width).zip(gradient.chunks_exact(width)).zip(to_rows.chunks_exact_mut(width));
        for ((x, gradient), out) in rows {
            // SAFETY: all have a row's numbers; what is behind a row's end is zero in the gradient, so it adds nothing.
            unsafe {
                let [mean, inverse] = moments::<I>(x, epsilon);
                let (mut plain, mut along) = (I::zero(), I::zero());
                for at in (0..width).step_by(LANES) {
                    let count = width - at;
                    let of = |values: &[f32]| read_up_to::<I>(values.as_ptr().add(at), count);
                    let normed = I::mul(I::sub(of(x), I::splat(mean)), I::splat(inverse));
                    let g = of(gradient);
                    let add = |sums: &mut [f32], term: I::V| {
                        let to = sums.as_mut_ptr().add(at);
                        write_up_to::<I>(to, count, I::add(read_up_to::<I>(to, count), term));
                    };
                    add(to_gamma, I::mul(g, normed));
                    add(to_beta, g);
                    let scaled = I::mul(g, of(gamma));
                    plain = I::add(plain, scaled);
                    along = I::fma(scaled, normed, along);
                }
                let [plain, along] = [plain, along].map(|total| I::splat(sum::<I>(total) / width as f32));
                for at in (0..width).step_by(LANES) {
                    let count = width - at;
                    let of = |values: &[f32]| read_up_to::<I>(values.as_ptr().add(at), count);
                    let normed = I::mul(I::sub(of(x), I::splat(mean)), I::splat(inverse));
                    let scaled = I::mul(of(gradient), of(gamma));
                    let left = I::sub(I::sub(scaled, plain), I::mul(normed, along));
                    let to = out.as_mut_ptr().cast::<f32>().add(at);
                    write_up_to::<I>(to, count, I::mul(left, I::splat(inverse)));
                }
            }
        }
    }
}
