//! How rows of pixels and blocks of channels are cut into the tiles that the registers hold.

#![expect(unsafe_code, reason = "hands pointers to the tiles")]

use crate::simd::{Isa, LANES, Level};
use crate::tile::{Inputs, Rectangle, correlate, outer_products};

/// Vectors of outputs in a tile: the wider, the fewer loads; but they need pixels to go with.
pub fn vectors(level: Level, outputs: usize, columns: usize) -> usize {
    let wanted = match level {
        Level::Avx512 if columns <= 4 => 4,
        Level::Avx512 => 2,
        Level::Avx2 | Level::Plain => 1,
    };
    wanted.min(1 << outputs.div_ceil(LANES).ilog2())
}

/// The groups of output vectors, `wanted` to each as long as there are so many: where they begin, and how many they are
/// (a power of two, as `wanted` is).
#[inline(always)]
pub fn groups(outputs: usize, wanted: usize) -> impl Iterator<Item = (usize, usize)> {
    let all = outputs.div_ceil(LANES);
    let mut next = 0;
    std::iter::from_fn(move || {
        let begin = next;
        let left = all - begin;
        let count = if left == 0 { return None } else { wanted.min(1 << left.ilog2()) };
        next += count;
        Some((begin, count))
    })
}

/// [`correlate`] for a row of `pixels` and `count` vectors of outputs, of which `lanes` numbers are written, in tiles of
/// about the same width.
///
/// # Safety
/// As of [`correlate`].
#[inline(always)]
pub unsafe fn correlate_row<I: Isa, const B: usize>(
    x: *const f32,
    inputs: Inputs,
    weights: *const f32,
    out: *mut f32,
    [pixels, pixel_stride]: [usize; 2],
    [count, lanes]: [usize; 2],
    adds: bool,
) {
    let tiles = pixels.div_ceil(I::TILES[count.ilog2() as usize]);
    let (narrow, wider) = (pixels / tiles, pixels % tiles);
    let mut pixel = 0;
    macro_rules! tile {
        ($width:expr, $n:literal: $($p:literal)*) => {
            match $width {
                $($p if $p <= I::TILES[($n as usize).ilog2() as usize] => correlate::<I, $p, $n, B>(
                    x.add(pixel * B),
                    inputs,
                    weights,
                    out.add(pixel * pixel_stride),
                    pixel_stride,
                    lanes,
                    adds,
                ),)*
                _ => unreachable!("tiles are at most as wide as the instruction set says"),
            }
        };
    }
    for tile in 0..tiles {
        let width = narrow + usize::from(tile < wider);
        // SAFETY: as the caller promises; the tile is inside the row.
        unsafe {
            match count {
                1 => tile!(width, 1: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16),
                2 => tile!(width, 2: 1 2 3 4 5 6 7 8 9 10 11 12),
                _ => tile!(width, 4: 1 2 3 4 5 6),
            }
        }
        pixel += width;
    }
}

/// Outer products for all channels of a block, as many at once as the registers hold.
///
/// # Safety
/// As of [`outer_products`].
#[inline(always)]
pub unsafe fn channel_tiles<I: Isa, const B: usize>(
    x: *const f32,
    gradient: *const f32,
    over: Rectangle,
    sums: *mut f32,
    channels: usize,
    count: usize,
) {
    let wide = I::TILES[1] > 0;
    let mut channel = 0;
    macro_rules! tile {
        ($c:literal, $n:literal) => {{
            outer_products::<I, $c, $n, B>(x.add(channel), gradient, over, sums.add(channel * $n * LANES));
            channel += $c;
        }};
    }
    while channel < channels {
        // SAFETY: the caller's.
        unsafe {
            match (count, channels - channel) {
                (1, 16..) if wide => tile!(16, 1),
                (1, 8..) if wide => tile!(8, 1),
                (1, 4..) => tile!(4, 1),
                (1, 3) => tile!(3, 1),
                (1, 2) => tile!(2, 1),
                (1, _) => tile!(1, 1),
                (2, 8..) if wide => tile!(8, 2),
                (2, 4..) if wide => tile!(4, 2),
                (2, 3) if wide => tile!(3, 2),
                (2, 2) if wide => tile!(2, 2),
                (2, _) if wide => tile!(1, 2),
                (4, 4..) if wide => tile!(4, 4),
                (4, 2..) if wide => tile!(2, 4),
                (4, _) if wide => tile!(1, 4),
                _ => unreachable!("groups are of one, two or four vectors, and of one where registers are few"),
            }
        }
    }
}
