//! Dense layers with the activation behind them, forward and backward.
//!
//! The weights are packed once into panels that stay in the first-level cache; rows go through them in tiles, and the
//! activation follows while a block of rows is still in the cache.

#![expect(unsafe_code, reason = "hands pointers into checked slices to the tiles")]

use std::mem::MaybeUninit;

use crate::fresh::{assume_written, fresh};
use crate::function::{gelu, gelu_slope};
use crate::matmul::{Left, PANEL, Product, Right, Start, multiply, pack_columns};
use crate::norm::add_to;
use crate::panel::{read_up_to, write_up_to};
use crate::share::{for_each, map, share_of, take_front, threads_for, with_scratch};
use crate::simd::{Isa, Kernel, LANES, LEVEL, Level, dispatch};

/// Rows that go through all panels together.
const ROWS: usize = 64;
/// Rows over which the gradient to the weights is summed before the next panel: with a panel of gradients they fill a
/// first-level cache.
const SUMMED_ROWS: usize = 128;

/// What follows the sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// Nothing.
    Nothing,
    /// Negative numbers become zero.
    Relu,
    /// x Φ(x), exact.
    Gelu,
}

/// `activation(x · weights + bias)`, planned.
#[derive(Clone, Copy, Debug)]
pub struct Dense {
    /// Numbers of a row.
    pub inputs: usize,
    /// Numbers of a row of the result.
    pub outputs: usize,
    /// What follows.
    pub activation: Activation,
    level: Level,
}

/// Gradients of a dense layer.
#[derive(Debug)]
pub struct DenseGradients {
    /// `[rows, inputs]`, if it was asked for.
    pub to_rows: Option<Vec<f32>>,
    /// `[inputs, outputs]`.
    pub to_weights: Vec<f32>,
    /// `[outputs]`.
    pub to_bias: Vec<f32>,
}

impl Dense {
    /// A layer for this processor.
    pub fn new(inputs: usize, outputs: usize, activation: Activation) -> Self {
        Self::at(*LEVEL, inputs, outputs, activation)
    }

    /// A layer for a level of instructions.
    pub fn at(level: Level, inputs: usize, outputs: usize, activation: Activation) -> Self {
        Self { inputs, outputs, activation, level }
    }

    /// `x` `[rows, inputs]` and `weights` `[inputs, outputs]` to `[rows, outputs]`, and, for the backward pass of GELU,
    /// the sums before it.
    ///
    /// # Panics
    /// If a length does not fit.
    pub fn forward(&self, x: &[f32], weights: &[f32], bias: Option<&[f32]>) -> (Vec<f32>, Option<Vec<f32>>) {
        let &Self { inputs, outputs, activation, level } = self;
        assert!(
            x.len().is_multiple_of(inputs) && weights.len() == inputs * outputs,
            "{self:?} was given other lengths"
        );
        assert!(bias.is_none_or(|bias| bias.len() == outputs), "{self:?} was given another bias");
        let rows = x.len() / inputs;
        let panels = dispatch(level, Pack { matrix: weights, rows: inputs, columns: outputs });
        let mut result = fresh(rows * outputs);
        let keeps = activation == Activation::Gelu;
        let mut sums = fresh(if keeps { rows * outputs } else { 0 });
        let share = share_of(rows, threads_for(rows * inputs * outputs));
        let shares = result.chunks_mut(share * outputs).zip(x.chunks(share * inputs));
        let mut of_sums = sums.chunks_mut(share * outputs);
        for_each(shares.map(|(out, x)| (out, x, of_sums.next())), |(out, x, sums)| {
            dispatch(level, ForwardShare { dense: self, x, panels: &panels, bias, out, sums });
        });
        (assume_written(result), keeps.then(|| assume_written(sums)))
    }

    /// The gradients from that to the result.
    ///
    /// `seen` is what the activation's slope is told by: the sums before GELU, the result of ReLU.
    ///
    /// # Panics
    /// If a length does not fit.
    pub fn backward(
        &self,
        x: &[f32],
        weights: &[f32],
        seen: Option<&[f32]>,
        gradient: &[f32],
        wants_rows: bool,
    ) -> DenseGradients {
        let &Self { inputs, outputs, activation, level } = self;
        let rows = x.len() / inputs;
        assert!(rows * outputs == gradient.len() && weights.len() == inputs * outputs, "{self:?} got other lengths");
        assert!(activation == Activation::Nothing || seen.is_some_and(|seen| seen.len() == gradient.len()));
        let panels = match wants_rows {
            true => dispatch(level, Pack { matrix: &transposed(weights, outputs), rows: outputs, columns: inputs }),
            false => Vec::new(),
        };
        let share = share_of(rows, threads_for(rows * inputs * outputs));
        let mut to_rows = fresh(if wants_rows { x.len() } else { 0 });
        let mut rest: &mut [MaybeUninit<f32>] = &mut to_rows;
        let mut work = Vec::new();
        for (index, gradient) in gradient.chunks(share * outputs).enumerate() {
            let count = gradient.len() / outputs;
            let range = index * share..index * share + count;
            let mine = take_front(&mut rest, if wants_rows { count * inputs } else { 0 });
            let seen = seen.map(|seen| &seen[range.start * outputs..range.end * outputs]);
            work.push((&x[range.start * inputs..range.end * inputs], seen, gradient, mine));
        }
        let sums = map(work.into_iter(), |(x, seen, gradient, to_rows)| {
            let mut sums = (vec![0.0; inputs * outputs], vec![0.0; outputs]);
            let behind = if seen.is_some() { SUMMED_ROWS * outputs } else { 0 };
            with_scratch(SUMMED_ROWS * PANEL + behind, |room| {
                let (panel, behind) = room.split_at_mut(SUMMED_ROWS * PANEL);
                let (to_weights, to_bias) = (&mut sums.0, &mut sums.1);
                let (dense, panels) = (self, &panels);
                dispatch(
                    level,
                    BackwardShare { dense, x, seen, gradient, panels, to_rows, to_weights, to_bias, panel, behind },
                );
            });
            sums
        });
        let mut sums = sums.into_iter();
        let (mut to_weights, mut to_bias) =
            sums.next().unwrap_or_else(|| (vec![0.0; inputs * outputs], vec![0.0; outputs]));
        for (weights, bias) in sums {
            add_to(&mut to_weights, &weights);
            add_to(&mut to_bias, &bias);
        }
        DenseGradients { to_rows: wants_rows.then(|| assume_written(to_rows)), to_weights, to_bias }
    }
}

/// `[rows, columns]` to `[columns, rows]`.
fn transposed(matrix: &[f32], columns: usize) -> Vec<f32> {
    let rows = matrix.len() / columns;
    let mut result = vec![0.0; matrix.len()];
    // Squares of sixteen numbers a side touch each line of the cache once.
    for first in (0..rows).step_by(LANES) {
        for column in (0..columns).step_by(LANES) {
            for row in first..rows.min(first + LANES) {
                let from = &matrix[row * columns..][column..columns.min(column + LANES)];
                for (offset, &x) in from.iter().enumerate() {
                    result[(column + offset) * rows + row] = x;
                }
            }
        }
    }
    result
}

/// Lays a matrix out in panels of [`PANEL`] columns, `[panel][row][column]`; the last is filled up with zeros.
struct Pack<'a> {
    matrix: &'a [f32],
    rows: usize,
    columns: usize,
}

impl Kernel for Pack<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    unsafe fn run<I: Isa>(self) -> Vec<f32> {
        let Self { matrix, rows, columns } = self;
        let mut panels = vec![0.0; columns.div_ceil(PANEL) * rows * PANEL];
        for (index, panel) in panels.chunks_exact_mut(rows * PANEL).enumerate() {
            let first = index * PANEL;
            // SAFETY: the columns are inside the matrix, and the panel has all rows.
            unsafe {
                let from = Right { at: matrix.as_ptr().add(first), row: columns };
                pack_columns::<I>(from, [rows, PANEL.min(columns - first)], panel.as_mut_ptr());
            }
        }
        panels
    }
}

/// `out = start + x · panels`, `[rows, depth]` and `[depth, columns]`.
///
/// # Safety
/// The processor must have the instructions, `x` and `out` the rows, `bias` the columns.
#[inline(always)]
unsafe fn through_panels<I: Isa>(
    x: &[f32],
    panels: &[f32],
    bias: Option<&[f32]>,
    out: *mut f32,
    [rows, depth, columns]: [usize; 3],
) {
    for (index, panel) in panels.chunks_exact(depth * PANEL).enumerate() {
        let column = index * PANEL;
        // SAFETY: the panel has these columns, and so have the bias and the result.
        unsafe {
            let start = bias.map_or(Start::Zero, |bias| Start::Bias(bias.as_ptr().add(column)));
            multiply::<I>(
                Left { at: x.as_ptr(), row: depth, column: 1 },
                Right { at: panel.as_ptr(), row: PANEL },
                Product { at: out.add(column), row: columns },
                [rows, depth, PANEL.min(columns - column)],
                start,
            );
        }
    }
}

struct ForwardShare<'a> {
    dense: &'a Dense,
    x: &'a [f32],
    panels: &'a [f32],
    bias: Option<&'a [f32]>,
    out: &'a mut [MaybeUninit<f32>],
    sums: Option<&'a mut [MaybeUninit<f32>]>,
}

impl Kernel for ForwardShare<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let Self { dense: &Dense { inputs, outputs, activation, .. }, x, panels, bias, out, mut sums } = self;
        for (index, (x, out)) in x.chunks(ROWS * inputs).zip(out.chunks_mut(ROWS * outputs)).enumerate() {
            let len = out.len();
            let sums = match &mut sums {
                Some(sums) => sums[index * ROWS * outputs..][..len].as_mut_ptr().cast::<f32>(),
                None => out.as_mut_ptr().cast(),
            };
            let out = out.as_mut_ptr().cast::<f32>();
            // SAFETY: both have room for the block's rows, and are written before they are read.
            unsafe {
                through_panels::<I>(x, panels, bias, sums, [x.len() / inputs, inputs, outputs]);
                for at in (0..len).step_by(LANES) {
                    let v = |from: *mut f32| read_up_to::<I>(from.add(at), len - at);
                    match activation {
                        Activation::Nothing => break,
                        Activation::Relu => write_up_to::<I>(out.add(at), len - at, I::max(I::zero(), v(sums))),
                        Activation::Gelu => write_up_to::<I>(out.add(at), len - at, gelu::<I>(v(sums))),
                    }
                }
            }
        }
    }
}

struct BackwardShare<'a> {
    dense: &'a Dense,
    x: &'a [f32],
    seen: Option<&'a [f32]>,
    gradient: &'a [f32],
    /// Of the transposed weights; empty if the gradient to the rows is not wanted.
    panels: &'a [f32],
    to_rows: &'a mut [MaybeUninit<f32>],
    to_weights: &'a mut [f32],
    to_bias: &'a mut [f32],
    /// Room for a panel of gradients.
    panel: &'a mut [f32],
    /// Room for a block's gradient to the sums before the activation, if there is one.
    behind: &'a mut [f32],
}

impl Kernel for BackwardShare<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let Self { dense, x, seen, gradient, panels, to_rows, to_weights, to_bias, panel, behind } = self;
        let &Dense { inputs, outputs, activation, .. } = dense;
        let rows = x.len() / inputs;
        for first in (0..rows).step_by(SUMMED_ROWS) {
            let count = SUMMED_ROWS.min(rows - first);
            let mut gradient = &gradient[first * outputs..(first + count) * outputs];
            let x = &x[first * inputs..(first + count) * inputs];
            // SAFETY: all slices have these rows.
            unsafe {
                if let Some(seen) = seen {
                    let behind = &mut behind[..gradient.len()];
                    through_activation::<I>(gradient, &seen[first * outputs..], activation, behind);
                    gradient = behind;
                }
                add_rows::<I>(gradient, to_bias);
                for column in (0..outputs).step_by(PANEL) {
                    let columns = PANEL.min(outputs - column);
                    let from = Right { at: gradient.as_ptr().add(column), row: outputs };
                    pack_columns::<I>(from, [count, columns], panel.as_mut_ptr());
                    multiply::<I>(
                        Left { at: x.as_ptr(), row: 1, column: inputs },
                        Right { at: panel.as_ptr(), row: PANEL },
                        Product { at: to_weights.as_mut_ptr().add(column), row: outputs },
                        [inputs, count, columns],
                        Start::Add,
                    );
                }
                if !panels.is_empty() {
                    let out = to_rows[first * inputs..].as_mut_ptr().cast();
                    through_panels::<I>(gradient, panels, None, out, [count, outputs, inputs]);
                }
            }
        }
    }
}

/// The gradient to what the activation was given, from that to its result.
///
/// # Safety
/// The processor must have the instructions.
#[inline(always)]
unsafe fn through_activation<I: Isa>(gradient: &[f32], seen: &[f32], activation: Activation, out: &mut [f32]) {
    let len = gradient.len();
    assert!(seen.len() >= len && out.len() == len);
    for at in (0..len).step_by(LANES) {
        // SAFETY: all slices have these numbers.
        unsafe {
            let [g, seen] = [gradient, seen].map(|from| read_up_to::<I>(from.as_ptr().add(at), len - at));
            let to = out.as_mut_ptr().add(at);
            let g = match activation {
                Activation::Nothing => g,
                Activation::Relu => I::keep_between(seen, I::zero(), I::splat(f32::INFINITY), g),
                Activation::Gelu => I::mul(g, gelu_slope::<I>(seen)),
            };
            write_up_to::<I>(to, len - at, g);
        }
    }
}

/// Adds all rows of a matrix to `sums`.
///
/// # Safety
/// The processor must have the instructions.
#[inline(always)]
unsafe fn add_rows<I: Isa>(matrix: &[f32], sums: &mut [f32]) {
    let columns = sums.len();
    for column in (0..columns).step_by(LANES) {
        let count = columns - column;
        // SAFETY: each row has these columns.
        unsafe {
            let to = sums.as_mut_ptr().add(column);
            let mut sum = read_up_to::<I>(to, count);
            for row in matrix.chunks_exact(columns) {
                sum = I::add(sum, read_up_to::<I>(row.as_ptr().add(column), count));
            }
            write_up_to::<I>(to, count, sum);
        }
    }
}
