//! The loops in which a convolution spends its time, blocked for registers.
//!
//! All read images from a *panel*: channels in blocks, pixels of a block side by side, so that a pixel's neighbour is
//! at a distance that the compiler knows.

#![expect(
    unsafe_code,
    reason = "the accumulators are fed through pointers; a check on each load would halve the speed"
)]

use crate::panel::{read_up_to, write_up_to};
use crate::simd::{Isa, LANES};

/// Where a tile of pixels finds its inputs: some blocks of channels, and in each some taps of the filter.
#[derive(Clone, Copy)]
pub struct Inputs<'a> {
    /// Blocks of channels.
    pub blocks: usize,
    /// Numbers from one block to the next.
    pub block_stride: usize,
    /// Channels of the last block; the others are full.
    pub last: usize,
    /// Numbers from a pixel to that under a tap.
    pub taps: &'a [usize],
}

/// `out[pixel] (+)= Σ input[pixel, tap, channel] · weights[block, tap, channel]` for `P` pixels in a row and `N` vectors
/// of output channels; `B` channels to a block.
///
/// # Safety
/// `x` must have all that `inputs` names for `P` pixels, `weights` `N` vectors for each, `out` `P` pixels `pixel_stride`
/// apart of which `lanes` numbers are written (and, if `adds`, read).
#[inline(always)]
pub unsafe fn correlate<I: Isa, const P: usize, const N: usize, const B: usize>(
    x: *const f32,
    inputs: Inputs,
    mut weights: *const f32,
    out: *mut f32,
    pixel_stride: usize,
    lanes: usize,
    adds: bool,
) {
    // SAFETY: the caller's.
    unsafe {
        let mut sums = [[I::zero(); N]; P];
        for block in 0..inputs.blocks {
            let count = if block + 1 == inputs.blocks { inputs.last } else { B };
            let of_block = x.add(block * inputs.block_stride);
            for &tap in inputs.taps {
                let mut at = of_block.add(tap);
                for _ in 0..count {
                    let mut w = [I::zero(); N];
                    for (n, w) in w.iter_mut().enumerate() {
                        *w = I::load(weights.add(n * LANES));
                    }
                    for (p, sums) in sums.iter_mut().enumerate() {
                        let x = I::splat(*at.add(p * B));
                        for (sum, &w) in sums.iter_mut().zip(&w) {
                            *sum = I::fma(x, w, *sum);
                        }
                    }
                    at = at.add(1);
                    weights = weights.add(N * LANES);
                }
            }
        }
        for (p, sums) in sums.iter().enumerate() {
            let to = out.add(p * pixel_stride);
            for (n, &sum) in sums.iter().enumerate() {
                let to = to.add(n * LANES);
                let here = lanes - n * LANES;
                match (here >= LANES, adds) {
                    (true, false) => I::store(to, sum),
                    (true, true) => I::store(to, I::add(sum, I::load(to))),
                    (false, false) => I::store_first(to, here, sum),
                    (false, true) => I::store_first(to, here, I::add(sum, I::load_first(to, here))),
                }
            }
        }
    }
}

/// The rectangle of pixels, in some images, over which weights are summed.
#[derive(Clone, Copy)]
pub struct Rectangle {
    /// Images.
    pub images: usize,
    /// Rows in each.
    pub rows: usize,
    /// Pixels in a row.
    pub columns: usize,
    /// Numbers from an image to the next: inputs, then gradients.
    pub image_stride: [usize; 2],
    /// Numbers from a row to the next: inputs, then gradients.
    pub row_stride: [usize; 2],
    /// Numbers from a vector of gradients to the next of the same pixel.
    pub vector_stride: usize,
}

/// `sums[channel] += Σ input[pixel, channel] · gradient[pixel]` for `C` channels and `N` vectors of output channels;
/// inputs have `B` channels to a block, gradients `G`.
///
/// # Safety
/// `x` and `gradient` must have all pixels of the rectangle, `sums` `C · N` vectors.
#[inline(always)]
pub unsafe fn outer_products<I: Isa, const C: usize, const N: usize, const B: usize>(
    x: *const f32,
    gradient: *const f32,
    over: Rectangle,
    sums: *mut f32,
) {
    // SAFETY: the caller's.
    unsafe {
        let mut held = [[I::zero(); N]; C];
        for image in 0..over.images {
            let (x, gradient) = (x.add(image * over.image_stride[0]), gradient.add(image * over.image_stride[1]));
            for row in 0..over.rows {
                let mut x = x.add(row * over.row_stride[0]);
                let mut gradient = gradient.add(row * over.row_stride[1]);
                for _ in 0..over.columns {
                    let mut g = [I::zero(); N];
                    for (n, g) in g.iter_mut().enumerate() {
                        *g = I::load(gradient.add(n * over.vector_stride));
                    }
                    for (c, held) in held.iter_mut().enumerate() {
                        let x = I::splat(*x.add(c));
                        for (held, &g) in held.iter_mut().zip(&g) {
                            *held = I::fma(x, g, *held);
                        }
                    }
                    x = x.add(B);
                    gradient = gradient.add(LANES);
                }
            }
        }
        for (c, held) in held.iter().enumerate() {
            for (n, &held) in held.iter().enumerate() {
                let to = sums.add((c * N + n) * LANES);
                I::store(to, I::add(held, I::load(to)));
            }
        }
    }
}

/// `out[pixel] (+)= Σ input[pixel, tap] · weights[tap]`, channel by channel, for `P` pixels in a row.
///
/// # Safety
/// `x` must have the pixels under all taps, `weights` a vector for each tap, `out` `P` pixels `pixel_stride` apart of
/// which `lanes` numbers are written (and, if `adds`, read).
#[inline(always)]
pub unsafe fn filter_channels<I: Isa, const P: usize>(
    x: *const f32,
    taps: &[usize],
    weights: *const f32,
    out: *mut f32,
    pixel_stride: usize,
    lanes: usize,
    adds: bool,
) {
    // SAFETY: the caller's.
    unsafe {
        let mut sums = [I::zero(); P];
        for (index, &tap) in taps.iter().enumerate() {
            let w = I::load(weights.add(index * LANES));
            for (p, sum) in sums.iter_mut().enumerate() {
                *sum = I::fma(I::load(x.add(tap + p * LANES)), w, *sum);
            }
        }
        for (p, &sum) in sums.iter().enumerate() {
            let to = out.add(p * pixel_stride);
            let sum = if adds { I::add(sum, read_up_to::<I>(to, lanes)) } else { sum };
            write_up_to::<I>(to, lanes, sum);
        }
    }
}

/// `sums[tap] += Σ input[pixel, tap] · gradient[pixel]`, channel by channel, for `T` taps.
///
/// # Safety
/// `x` and `gradient` must have all pixels of the rectangle, under each tap, and `sums` a vector for each.
#[inline(always)]
pub unsafe fn inner_products<I: Isa, const T: usize>(
    x: *const f32,
    taps: [usize; T],
    gradient: *const f32,
    over: Rectangle,
    sums: *mut f32,
) {
    // SAFETY: the caller's.
    unsafe {
        let mut held = [I::zero(); T];
        for image in 0..over.images {
            for row in 0..over.rows {
                let x = x.add(image * over.image_stride[0] + row * over.row_stride[0]);
                let gradient = gradient.add(image * over.image_stride[1] + row * over.row_stride[1]);
                for at in (0..over.columns * LANES).step_by(LANES) {
                    let g = I::load(gradient.add(at));
                    for (held, &tap) in held.iter_mut().zip(&taps) {
                        *held = I::fma(I::load(x.add(tap + at)), g, *held);
                    }
                }
            }
        }
        for (t, &held) in held.iter().enumerate() {
            let to = sums.add(t * LANES);
            I::store(to, I::add(held, I::load(to)));
        }
    }
}
