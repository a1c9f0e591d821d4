//! Products of small matrices, blocked for registers: what dense layers and attention spend their time in.
//!
//! The left matrix is read number by number at any distances, so that its transpose costs nothing; the right one and the
//! product are read and written as vectors. Packing, and what is parallel, are the callers'.

#![expect(unsafe_code, reason = "matrices inside matrices are told by pointers and distances")]

use crate::panel::{read_up_to, write_up_to};
use crate::simd::{Isa, Kernel, LANES};

/// Columns of a packed panel: what the widest tile takes.
pub const PANEL: usize = 4 * LANES;
/// Rows of the right matrix that a tile sums at once: of a panel, they fill two thirds of a first-level cache of 48 KiB.
const DEPTH: usize = 128;

/// The left matrix, `[rows, depth]`.
#[derive(Clone, Copy)]
pub struct Left {
    /// Its first number.
    pub at: *const f32,
    /// Numbers from a row to the next.
    pub row: usize,
    /// Numbers from a column to the next.
    pub column: usize,
}

/// The right matrix, `[depth, columns]`, columns side by side.
#[derive(Clone, Copy)]
pub struct Right {
    /// Its first number.
    pub at: *const f32,
    /// Numbers from a row to the next.
    pub row: usize,
}

/// The product, `[rows, columns]`, columns side by side.
#[derive(Clone, Copy)]
pub struct Product {
    /// Its first number.
    pub at: *mut f32,
    /// Numbers from a row to the next.
    pub row: usize,
}

/// What the sums begin with.
#[derive(Clone, Copy)]
pub enum Start {
    /// Zeros; what is in the product's place is not read.
    Zero,
    /// One number for each column, the same in all rows.
    Bias(*const f32),
    /// What is there.
    Add,
}

/// `product = start + left · right`.
///
/// # Safety
/// The processor must have the instructions; the matrices must have `[rows, depth, columns]`, and nothing else may hold
/// the product.
#[inline(always)]
pub unsafe fn multiply<I: Isa>(left: Left, right: Right, product: Product, size: [usize; 3], start: Start) {
    // SAFETY: the caller's.
    unsafe { I::call(Multiply { left, right, product, size, start }) }
}

struct Multiply {
    left: Left,
    right: Right,
    product: Product,
    size: [usize; 3],
    start: Start,
}

impl Kernel for Multiply {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let Self { left, right, product, size: [rows, depth, columns], start } = self;
        if depth == 0 || rows == 0 {
            return;
        }
        let mut column = 0;
        while column < columns {
            let vectors = match (columns - column) / LANES {
                4.. if I::TILES[2] > 0 => 4,
                2.. if I::TILES[1] > 0 => 2,
                1.. => 1,
                0 => 0,
            };
            let lanes = (columns - column).min(LANES * vectors.max(1));
            for first in (0..depth).step_by(DEPTH) {
                let these = DEPTH.min(depth - first);
                // SAFETY: all stay inside the matrices that the caller gives.
                unsafe {
                    let start = match start {
                        _ if first > 0 => Start::Add,
                        Start::Bias(bias) => Start::Bias(bias.add(column)),
                        start => start,
                    };
                    let left = Left { at: left.at.add(first * left.column), ..left };
                    let right = Right { at: right.at.add(first * right.row + column), ..right };
                    let product = Product { at: product.at.add(column), ..product };
                    strip::<I>(left, right, product, [rows, these, lanes], vectors, start);
                }
            }
            column += lanes;
        }
    }
}

/// All rows of some vectors of columns (of none: of one that is not full), in tiles of about the same height.
///
/// # Safety
/// As of [`multiply`].
#[inline(always)]
unsafe fn strip<I: Isa>(
    left: Left,
    right: Right,
    product: Product,
    [rows, depth, lanes]: [usize; 3],
    vectors: usize,
    start: Start,
) {
    let most = I::TILES[(vectors.max(1)).ilog2() as usize];
    let tiles = rows.div_ceil(most);
    let (low, higher) = (rows / tiles, rows % tiles);
    let mut row = 0;
    macro_rules! tile {
        ($rows:expr, $n:literal, $full:literal: $($p:literal)*) => {
            match $rows {
                $($p if $p <= I::TILES[($n as usize).ilog2() as usize] => tile::<I, $p, $n, $full>(
                    Left { at: left.at.add(row * left.row), ..left },
                    right,
                    Product { at: product.at.add(row * product.row), ..product },
                    depth,
                    lanes,
                    start,
                ),)*
                _ => unreachable!("tiles are at most as high as the instruction set says"),
            }
        };
    }
    for tile in 0..tiles {
        let height = low + usize::from(tile < higher);
        // SAFETY: the tile is inside the matrices.
        unsafe {
            match vectors {
                0 => tile!(height, 1, false: 1 2 3 4 5 6 7 8 9 10 11 12 13 14),
                1 => tile!(height, 1, true: 1 2 3 4 5 6 7 8 9 10 11 12 13 14),
                2 => tile!(height, 2, true: 1 2 3 4 5 6 7 8),
                _ => tile!(height, 4, true: 1 2 3 4),
            }
        }
        row += height;
    }
}

/// `P` rows and `N` vectors of columns; if these are not `FULL`, the last has fewer than sixteen.
///
/// # Safety
/// As of [`multiply`].
#[inline(always)]
unsafe fn tile<I: Isa, const P: usize, const N: usize, const FULL: bool>(
    left: Left,
    right: Right,
    product: Product,
    depth: usize,
    lanes: usize,
    start: Start,
) {
    // SAFETY: the caller's.
    unsafe {
        let count = |n: usize| if FULL { LANES } else { lanes - n * LANES };
        let mut sums = [[I::zero(); N]; P];
        match start {
            Start::Zero => {}
            Start::Bias(bias) => {
                for sums in &mut sums {
                    for (n, sum) in sums.iter_mut().enumerate() {
                        *sum = read_up_to::<I>(bias.add(n * LANES), count(n));
                    }
                }
            }
            Start::Add => {
                for (p, sums) in sums.iter_mut().enumerate() {
                    for (n, sum) in sums.iter_mut().enumerate() {
                        *sum = read_up_to::<I>(product.at.add(p * product.row + n * LANES), count(n));
                    }
                }
            }
        }
        let (mut of_left, mut of_right) = (left.at, right.at);
        for _ in 0..depth {
            let mut r = [I::zero(); N];
            for (n, r) in r.iter_mut().enumerate() {
                *r = read_up_to::<I>(of_right.add(n * LANES), count(n));
            }
            for (p, sums) in sums.iter_mut().enumerate() {
                let l = I::splat(*of_left.add(p * left.row));
                for (sum, &r) in sums.iter_mut().zip(&r) {
                    *sum = I::fma(l, r, *sum);
                }
            }
            of_left = of_left.wrapping_add(left.column);
            of_right = of_right.wrapping_add(right.row);
        }
        for (p, sums) in sums.iter().enumerate() {
            for (n, &sum) in sums.iter().enumerate() {
                write_up_to::<I>(product.at.add(p * product.row + n * LANES), count(n), sum);
            }
        }
    }
}

/// Copies columns of rows into a panel of rows [`PANEL`] apart; the rest of the panel keeps what it had.
///
/// # Safety
/// `from` must have `rows` rows of `columns`, at most [`PANEL`], and `panel` room for as many rows of [`PANEL`].
#[inline(always)]
pub unsafe fn pack_columns<I: Isa>(from: Right, [rows, columns]: [usize; 2], panel: *mut f32) {
    for row in 0..rows {
        for column in (0..columns).step_by(LANES) {
            // SAFETY: the caller's.
            unsafe {
                let v = read_up_to::<I>(from.at.add(row * from.row + column), columns - column);
                write_up_to::<I>(panel.add(row * PANEL + column), columns - column, v);
            }
        }
    }
}
