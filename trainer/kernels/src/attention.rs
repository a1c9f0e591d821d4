//! Self-attention of several heads, forward and backward, straight from the rows of the layer that makes queries, keys
//! and values.
//!
//! Some rows of likenesses at a time are made, used and forgotten (Rabe 2021, arXiv 2112.05682; Dao 2022, arXiv
//! 2205.14135): no matrix of tokens × tokens goes to memory, and the step back makes it again from each row's greatest
//! likeness and sum.

#![expect(unsafe_code, reason = "hands pointers into checked slices to the tiles")]

use std::mem::MaybeUninit;

use crate::fresh::{assume_written, fresh};
use crate::function::{exp, greatest, sum};
use crate::matmul::{Left, Product, Right, Start, multiply};
use crate::share::{for_each, with_scratch};
use crate::simd::{Isa, Kernel, LANES, LEVEL, Level, dispatch};

/// Rows of likenesses at a time: of 65 tokens, they and the keys fit a first-level cache.
const ROWS: usize = 32;

/// softmax(q kᵀ / √size) v, planned.
#[derive(Clone, Copy, Debug)]
pub struct Attention {
    /// Tokens of an image.
    pub tokens: usize,
    /// Heads.
    pub heads: usize,
    /// Numbers of a head's query.
    pub size: usize,
    level: Level,
}

impl Attention {
    /// Attention for this processor.
    pub fn new(tokens: usize, heads: usize, size: usize) -> Self {
        Self::at(*LEVEL, tokens, heads, size)
    }

    /// Attention for a level of instructions.
    pub fn at(level: Level, tokens: usize, heads: usize, size: usize) -> Self {
        Self { tokens, heads, size, level }
    }

    /// Numbers of a token of the result.
    fn width(&self) -> usize {
        self.heads * self.size
    }

    /// The likenesses' row, filled up to whole vectors.
    fn padded(&self) -> usize {
        self.tokens.next_multiple_of(LANES)
    }

    /// Numbers of the transposed keys or values of a head.
    fn transposed_len(&self) -> usize {
        self.size * self.padded()
    }

    /// `qkv` `[batch, tokens, 3, heads, size]` to `[batch, tokens, heads, size]`, and of each row of likenesses
    /// `[batch, heads, tokens, 2]` the greatest and one over the sum of exponentials, for the step back.
    ///
    /// # Panics
    /// If the length does not fit.
    pub fn forward(&self, qkv: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let len = self.tokens * self.width();
        assert!(qkv.len().is_multiple_of(3 * len), "{self:?} was given another length");
        let batch = qkv.len() / (3 * len);
        let mut result = fresh(batch * len);
        let mut rows = fresh(batch * self.heads * self.tokens * 2);
        let of_image = self.heads * self.tokens * 2;
        let images = result.chunks_exact_mut(len).zip(rows.chunks_exact_mut(of_image)).zip(qkv.chunks_exact(3 * len));
        for_each(images, |((out, rows), qkv)| {
            with_scratch(self.transposed_len() + ROWS * self.padded(), |scratch| {
                dispatch(self.level, Forward { of: self, qkv, out, rows, scratch });
            });
        });
        (assume_written(result), assume_written(rows))
    }

    /// The gradient to `qkv` from that to the result; `rows` is what [`Self::forward`] gave with it.
    ///
    /// # Panics
    /// If a length does not fit.
    pub fn backward(&self, qkv: &[f32], rows: &[f32], gradient: &[f32]) -> Vec<f32> {
        let len = self.tokens * self.width();
        assert!(qkv.len().is_multiple_of(3 * len) && gradient.len() == qkv.len() / 3, "{self:?} got other lengths");
        let of_image = self.heads * self.tokens * 2;
        assert_eq!(rows.len(), qkv.len() / (3 * len) * of_image);
        let mut result = fresh(qkv.len());
        let images = result
            .chunks_exact_mut(3 * len)
            .zip(qkv.chunks_exact(3 * len))
            .zip(rows.chunks_exact(of_image).zip(gradient.chunks_exact(len)));
        for_each(images, |((out, qkv), (rows, gradient))| {
            with_scratch(2 * self.transposed_len() + 2 * ROWS * self.padded(), |scratch| {
                dispatch(self.level, Backward { of: self, qkv, rows, gradient, out, scratch });
            });
        });
        assume_written(result)
    }
}

/// One image.
struct Forward<'a> {
    of: &'a Attention,
    qkv: &'a [f32],
    out: &'a mut [MaybeUninit<f32>],
    rows: &'a mut [MaybeUninit<f32>],
    scratch: &'a mut [f32],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let Self { of, qkv, out, rows, scratch } = self;
        let (width, padded, size) = (of.width(), of.padded(), of.size);
        let (keys, likenesses) = scratch.split_at_mut(of.transposed_len());
        for head in 0..of.heads {
            let [q, k, v] = parts(of, qkv, head);
            transpose(k, 3 * width, [of.tokens, size], padded, keys);
            for first in (0..of.tokens).step_by(ROWS) {
                let count = ROWS.min(of.tokens - first);
                // SAFETY: the image has these rows, and the scratch room for so many of likenesses.
                unsafe {
                    let q = q.as_ptr().add(first * 3 * width);
                    likeness::<I>(of, q, keys, likenesses, count);
                    for row in 0..count {
                        let likenesses = &mut likenesses[row * padded..(row + 1) * padded];
                        let [most, inverse] = softmax::<I>(likenesses, of.tokens, size);
                        let at = (head * of.tokens + first + row) * 2;
                        rows[at].write(most);
                        rows[at + 1].write(inverse);
                    }
                    multiply::<I>(
                        Left { at: likenesses.as_ptr(), row: padded, column: 1 },
                        Right { at: v.as_ptr(), row: 3 * width },
                        Product { at: out[first * width + head * size..].as_mut_ptr().cast(), row: width },
                        [count, of.tokens, size],
                        Start::Zero,
                    );
                }
            }
        }
    }
}

/// Where the queries, keys and values of a head begin in an image's rows.
fn parts<'a>(of: &Attention, qkv: &'a [f32], head: usize) -> [&'a [f32]; 3] {
    [0, 1, 2].map(|part| &qkv[part * of.width() + head * of.size..])
}

/// `[tokens, size]`, rows `stride` apart, to `[size, tokens]`, rows `padded` apart and filled up with zeros.
fn transpose(from: &[f32], stride: usize, [tokens, size]: [usize; 2], padded: usize, to: &mut [f32]) {
    for (row, to) in to.chunks_exact_mut(padded).enumerate().take(size) {
        for (token, to) in to[..tokens].iter_mut().enumerate() {
            *to = from[token * stride + row];
        }
        to[tokens..].fill(0.0);
    }
}

/// `count` rows of q kᵀ.
///
/// # Safety
/// The processor must have the instructions; the slices must have what they are said to have.
#[inline(always)]
unsafe fn likeness<I: Isa>(of: &Attention, q: *const f32, keys: &[f32], out: &mut [f32], count: usize) {
    let padded = of.padded();
    // SAFETY: the caller's.
    unsafe {
        multiply::<I>(
            Left { at: q, row: 3 * of.width(), column: 1 },
            Right { at: keys.as_ptr(), row: padded },
            Product { at: out.as_mut_ptr(), row: padded },
            [count, of.size, padded],
            Start::Zero,
        );
    }
}

fn scale(size: usize) -> f32 {
    (1.0 / (size as f64).sqrt()) as f32
}

/// A row of likenesses to probabilities; gives the greatest, scaled, and one over the sum of exponentials.
///
/// # Safety
/// The processor must have the instructions; the row must be of whole vectors.
#[inline(always)]
unsafe fn softmax<I: Isa>(row: &mut [f32], tokens: usize, size: usize) -> [f32; 2] {
    row[tokens..].fill(f32::NEG_INFINITY);
    // SAFETY: the row is of whole vectors.
    unsafe {
        let mut most = I::splat(f32::NEG_INFINITY);
        for at in (0..row.len()).step_by(LANES) {
            most = I::max(most, I::load(row.as_ptr().add(at)));
        }
        let most = greatest::<I>(most) * scale(size);
        let total = exponentials::<I>(row, size, most);
        let inverse = 1.0 / total;
        for at in (0..row.len()).step_by(LANES) {
            let to = row.as_mut_ptr().add(at);
            I::store(to, I::mul(I::load(to), I::splat(inverse)));
        }
        [most, inverse]
    }
}

/// `e^(x / √size − most)` of a row, and their sum.
///
/// # Safety
/// As of [`softmax`].
#[inline(always)]
unsafe fn exponentials<I: Isa>(row: &mut [f32], size: usize, most: f32) -> f32 {
    // SAFETY: the row is of whole vectors.
    unsafe {
        let mut total = I::zero();
        for at in (0..row.len()).step_by(LANES) {
            let to = row.as_mut_ptr().add(at);
            let e = exp::<I>(I::fma(I::load(to), I::splat(scale(size)), I::splat(-most)));
            I::store(to, e);
            total = I::add(total, e);
        }
        sum::<I>(total)
    }
}

/// One image.
struct Backward<'a> {
    of: &'a Attention,
    qkv: &'a [f32],
    rows: &'a [f32],
    gradient: &'a [f32],
    out: &'a mut [MaybeUninit<f32>],
    scratch: &'a mut [f32],
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let Self { of, qkv, rows, gradient, out, scratch } = self;
        let (width, padded, size, tokens) = (of.width(), of.padded(), of.size, of.tokens);
        let (keys, scratch) = scratch.split_at_mut(of.transposed_len());
        let (values, scratch) = scratch.split_at_mut(of.transposed_len());
        let (shares, slopes) = scratch.split_at_mut(ROWS * padded);
        for head in 0..of.heads {
            let [q, k, v] = parts(of, qkv, head);
            let [to_q, to_k, to_v] = [0, 1, 2].map(|part| out[part * width + head * size..].as_mut_ptr().cast::<f32>());
            transpose(k, 3 * width, [tokens, size], padded, keys);
            transpose(v, 3 * width, [tokens, size], padded, values);
            for first in (0..tokens).step_by(ROWS) {
                let count = ROWS.min(tokens - first);
                let gradient = &gradient[first * width + head * size..];
                // SAFETY: the image has these rows, and the scratch room for so many of likenesses.
                unsafe {
                    let q = q.as_ptr().add(first * 3 * width);
                    likeness::<I>(of, q, keys, shares, count);
                    multiply::<I>(
                        Left { at: gradient.as_ptr(), row: width, column: 1 },
                        Right { at: values.as_ptr(), row: padded },
                        Product { at: slopes.as_mut_ptr(), row: padded },
                        [count, size, padded],
                        Start::Zero,
                    );
                    for row in 0..count {
                        let at = (head * tokens + first + row) * 2;
                        let range = row * padded..(row + 1) * padded;
                        let (shares, slopes) = (&mut shares[range.clone()], &mut slopes[range]);
                        to_likeness::<I>(shares, slopes, [rows[at], rows[at + 1]], tokens, size);
                    }
                    // The first rows write, all others add.
                    let start = if first == 0 { Start::Zero } else { Start::Add };
                    let by_columns = |at: &[f32]| Left { at: at.as_ptr(), row: 1, column: padded };
                    multiply::<I>(
                        by_columns(shares),
                        Right { at: gradient.as_ptr(), row: width },
                        Product { at: to_v, row: 3 * width },
                        [tokens, count, size],
                        start,
                    );
                    multiply::<I>(
                        by_columns(slopes),
                        Right { at: q, row: 3 * width },
                        Product { at: to_k, row: 3 * width },
                        [tokens, count, size],
                        start,
                    );
                    multiply::<I>(
                        Left { at: slopes.as_ptr(), row: padded, column: 1 },
                        Right { at: k.as_ptr(), row: 3 * width },
                        Product { at: to_q.add(first * 3 * width), row: 3 * width },
                        [count, tokens, size],
                        Start::Zero,
                    );
                }
            }
        }
    }
}

/// A row of likenesses to probabilities again, and of gradients to these to gradients to q kᵀ.
///
/// # Safety
/// As of [`softmax`].
#[inline(always)]
unsafe fn to_likeness<I: Isa>(
    shares: &mut [f32],
    slopes: &mut [f32],
    [most, inverse]: [f32; 2],
    tokens: usize,
    size: usize,
) {
    shares[tokens..].fill(f32::NEG_INFINITY);
    // SAFETY: the rows are of whole vectors.
    unsafe {
        exponentials::<I>(shares, size, most);
        let mut total = I::zero();
        for at in (0..shares.len()).step_by(LANES) {
            let to = shares.as_mut_ptr().add(at);
            let share = I::mul(I::load(to), I::splat(inverse));
            I::store(to, share);
            total = I::fma(share, I::load(slopes.as_ptr().add(at)), total);
        }
        let mean = I::splat(sum::<I>(total));
        for at in (0..shares.len()).step_by(LANES) {
            let to = slopes.as_mut_ptr().add(at);
            let share = I::mul(I::load(shares.as_ptr().add(at)), I::splat(scale(size)));
            I::store(to, I::mul(share, I::sub(I::load(to), mean)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_any_count_are_done_in_pieces() {
        // More tokens than a piece has, so that later pieces add to the first's gradients.
        const { assert!(ROWS < 65) };
        let attention = Attention::new(65, 1, 4);
        let (out, rows) = attention.forward(&vec![0.25; 65 * 12]);
        assert!(out.iter().all(|&x| (x - 0.25).abs() < 1e-6), "the mean of equal values is the value");
        assert!(rows.chunks_exact(2).all(|row| (row[1] - 1.0 / 65.0).abs() < 1e-7));
    }

    #[test]
    fn vectors_read_past_a_row_see_no_number() {
        let mut row = vec![1.0; 2 * LANES];
        // SAFETY: plain code needs no instructions.
        let [most, inverse] = unsafe { softmax::<crate::simd::Plain>(&mut row, LANES + 1, 1) };
        assert_eq!((most, inverse), (1.0, 1.0 / (LANES + 1) as f32));
        assert!(row[LANES + 1..].iter().all(|&x| x < 1e-37));
    }
}
