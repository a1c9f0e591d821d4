//! Optimizer steps in one pass: operation by operation, weights and gradients would go through memory once for each.

#![expect(unsafe_code, reason = "reads and writes vectors")]

use std::mem::MaybeUninit;

use crate::fresh::{assume_written, fresh};
use crate::function::sum;
use crate::panel::{read_up_to, write_up_to};
use crate::share::{for_each, map, share_of, threads_for};
use crate::simd::{Isa, Kernel, LANES, LEVEL, Level, dispatch};

/// What happens to a weight in an update, with `N` numbers of state for each.
pub trait Rule<const N: usize>: Copy + Send + Sync {
    /// The new weights of sixteen; `state` becomes the new one.
    ///
    /// # Safety
    /// The processor must have the instructions.
    unsafe fn update<I: Isa>(self, weight: I::V, gradient: I::V, state: &mut [I::V; N]) -> I::V;
}

/// Stochastic gradient descent as torch.optim.SGD, with dampening 0. Its state is the velocity, zeros at first.
#[derive(Clone, Copy, Debug)]
pub struct Sgd {
    /// What the gradient is multiplied by first, as where the norm of all was too large.
    pub scale: f64,
    /// The learning rate.
    pub lr: f64,
    /// Share of the velocity that stays.
    pub momentum: f64,
    /// Whether the step is where the velocity will be.
    pub nesterov: bool,
    /// Share of the weight that is added to its gradient.
    pub weight_decay: f64,
}

/// Running means of the gradient and of its square, zeros at first: the state of [`Adam`] and [`AdamDirection`].
#[derive(Clone, Copy, Debug)]
pub struct Moments {
    /// What the gradient is multiplied by first, as where the norm of all was too large.
    pub scale: f64,
    /// Share of the mean gradient that stays.
    pub beta1: f64,
    /// Share of the mean squared gradient that stays.
    pub beta2: f64,
    /// One over the root of what the second moment still lacks.
    pub correction: f64,
    /// Added to the root.
    pub epsilon: f64,
}

/// Adam as torch.optim.Adam, or as torch.optim.AdamW.
#[derive(Clone, Copy, Debug)]
pub struct Adam {
    /// Its state.
    pub moments: Moments,
    /// The learning rate, over what the first moment still lacks.
    pub lr: f64,
    /// Share of the weight that is added to its gradient: Adam's decay.
    pub penalty: f64,
    /// Share of the weight that is taken off: AdamW's.
    pub decay: f64,
}

/// Where LAMB goes, whose rate depends on how far that is; in the place of the new weights.
#[derive(Clone, Copy, Debug)]
pub struct AdamDirection {
    /// Its state.
    pub moments: Moments,
    /// One over what the first moment still lacks.
    pub correction: f64,
    /// Share of the weight that is added.
    pub decay: f64,
}

/// Lion as timm.optim.Lion. Its state is the momentum, zeros at first.
#[derive(Clone, Copy, Debug)]
pub struct Lion {
    /// What the gradient is multiplied by first, as where the norm of all was too large.
    pub scale: f64,
    /// The learning rate.
    pub lr: f64,
    /// Share of the momentum in what has the sign of the step.
    pub beta1: f64,
    /// Share of the momentum that stays.
    pub beta2: f64,
    /// Share of the weight that is taken off.
    pub decay: f64,
}

/// A step of this length along what stands in the gradient's place.
#[derive(Clone, Copy, Debug)]
pub struct Along(pub f64);

/// This share of the way to what stands in the gradient's place, as torch.lerp.
#[derive(Clone, Copy, Debug)]
pub struct Towards(pub f64);

impl Rule<1> for Sgd {
    #[inline(always)]
    unsafe fn update<I: Isa>(self, weight: I::V, gradient: I::V, [velocity]: &mut [I::V; 1]) -> I::V {
        // SAFETY: the caller's.
        unsafe {
            let gradient = I::mul(gradient, splat::<I>(self.scale));
            let gradient = I::fma(weight, splat::<I>(self.weight_decay), gradient);
            *velocity = I::fma(*velocity, splat::<I>(self.momentum), gradient);
            let direction = match self.nesterov {
                true => I::fma(*velocity, splat::<I>(self.momentum), gradient),
                false => *velocity,
            };
            I::fma(direction, splat::<I>(-self.lr), weight)
        }
    }
}

impl Moments {
    /// The mean gradient over the root of the mean square.
    #[inline(always)]
    unsafe fn direction<I: Isa>(self, gradient: I::V, [first, second]: &mut [I::V; 2]) -> I::V {
        // SAFETY: the caller's.
        unsafe {
            *first = I::fma(*first, splat::<I>(self.beta1), I::mul(gradient, splat::<I>(1.0 - self.beta1)));
            let square = I::mul(gradient, gradient);
            *second = I::fma(*second, splat::<I>(self.beta2), I::mul(square, splat::<I>(1.0 - self.beta2)));
            let root = I::fma(I::sqrt(*second), splat::<I>(self.correction), splat::<I>(self.epsilon));
            I::div(*first, root)
        }
    }
}

impl Rule<2> for Adam {
    #[inline(always)]
    unsafe fn update<I: Isa>(self, weight: I::V, gradient: I::V, state: &mut [I::V; 2]) -> I::V {
        // SAFETY: the caller's.
        unsafe {
            let weight = I::mul(weight, splat::<I>(1.0 - self.decay));
            let gradient = I::mul(gradient, splat::<I>(self.moments.scale));
            let gradient = I::fma(weight, splat::<I>(self.penalty), gradient);
            I::fma(self.moments.direction::<I>(gradient, state), splat::<I>(-self.lr), weight)
        }
    }
}

impl Rule<2> for AdamDirection {
    #[inline(always)]
    unsafe fn update<I: Isa>(self, weight: I::V, gradient: I::V, state: &mut [I::V; 2]) -> I::V {
        // SAFETY: the caller's.
        unsafe {
            let gradient = I::mul(gradient, splat::<I>(self.moments.scale));
            let direction = self.moments.direction::<I>(gradient, state);
            I::fma(direction, splat::<I>(self.correction), I::mul(weight, splat::<I>(self.decay)))
        }
    }
}

impl Rule<1> for Lion {
    #[inline(always)]
    unsafe fn update<I: Isa>(self, weight: I::V, gradient: I::V, [momentum]: &mut [I::V; 1]) -> I::V {
        // SAFETY: the caller's.
        unsafe {
            let gradient = I::mul(gradient, splat::<I>(self.scale));
            let towards = |beta: f64| {
                // Not as `Towards`: a momentum of zero is to have the gradient's sign to its last bit.
                I::fma(*momentum, splat::<I>(beta), I::mul(gradient, splat::<I>(1.0 - beta)))
            };
            let (goal, new) = (towards(self.beta1), towards(self.beta2));
            *momentum = new;
            let [zero, least, most] = [0.0, f64::NEG_INFINITY, f64::INFINITY].map(|x| splat::<I>(x));
            let is_below = I::keep_between(goal, least, zero, splat::<I>(1.0));
            let sign = I::sub(I::keep_between(goal, zero, most, splat::<I>(1.0)), is_below);
            // What is no number stays none.
            let sign = I::fma(goal, zero, sign);
            I::fma(sign, splat::<I>(-self.lr), I::mul(weight, splat::<I>(1.0 - self.decay)))
        }
    }
}

impl Rule<0> for Along {
    #[inline(always)]
    unsafe fn update<I: Isa>(self, weight: I::V, gradient: I::V, []: &mut [I::V; 0]) -> I::V {
        // SAFETY: the caller's.
        unsafe { I::fma(gradient, splat::<I>(self.0), weight) }
    }
}

impl Rule<0> for Towards {
    #[inline(always)]
    unsafe fn update<I: Isa>(self, weight: I::V, gradient: I::V, []: &mut [I::V; 0]) -> I::V {
        // SAFETY: the caller's.
        unsafe { I::fma(I::sub(gradient, weight), splat::<I>(self.0), weight) }
    }
}

/// Rounded once: 1 − 0.999 in 32 bits is off by five parts in a hundred thousand.
///
/// # Safety
/// The processor must have the instructions.
#[inline(always)]
unsafe fn splat<I: Isa>(x: f64) -> I::V {
    // SAFETY: the caller's.
    unsafe { I::splat(x as f32) }
}

/// The new weights; leaves the new state in the place of the old one.
///
/// # Panics
/// If a length does not fit.
pub fn step<const N: usize>(rule: impl Rule<N>, weight: &[f32], gradient: &[f32], state: [&mut [f32]; N]) -> Vec<f32> {
    step_at(*LEVEL, rule, weight, gradient, state)
}

/// [`step`] at a level of instructions.
pub fn step_at<const N: usize>(
    level: Level,
    rule: impl Rule<N>,
    weight: &[f32],
    gradient: &[f32],
    state: [&mut [f32]; N],
) -> Vec<f32> {
    let fits = gradient.len() == weight.len() && state.iter().all(|state| state.len() == weight.len());
    assert!(fits, "weights, gradients and state have different lengths");
    let mut new = fresh(weight.len());
    // About as much work for a number as sixteen products.
    let share = share_of(weight.len(), threads_for(16 * weight.len()));
    let mut state = state.map(|state| state.chunks_mut(share));
    let parts = weight.chunks(share).zip(gradient.chunks(share)).zip(new.chunks_mut(share));
    let parts = parts.map(|((weight, gradient), new)| {
        // Each has as many chunks as the weights.
        let state = state.each_mut().map(|state| state.next().unwrap_or_default());
        Part { rule, weight, gradient, state, new }
    });
    for_each(parts, |part| dispatch(level, part));
    assume_written(new)
}

struct Part<'a, R, const N: usize> {
    rule: R,
    weight: &'a [f32],
    gradient: &'a [f32],
    state: [&'a mut [f32]; N],
    new: &'a mut [MaybeUninit<f32>],
}

impl<R: Rule<N>, const N: usize> Kernel for Part<'_, R, N> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Isa>(mut self) {
        let len = self.weight.len();
        for at in (0..len).step_by(LANES) {
            // SAFETY: all slices are of this length.
            unsafe {
                let read = |from: &[f32]| read_up_to::<I>(from.as_ptr().add(at), len - at);
                let mut state = self.state.each_ref().map(|state| read(state));
                let new = self.rule.update::<I>(read(self.weight), read(self.gradient), &mut state);
                for (to, v) in self.state.iter_mut().zip(state) {
                    write_up_to::<I>(to.as_mut_ptr().add(at), len - at, v);
                }
                write_up_to::<I>(self.new.as_mut_ptr().cast::<f32>().add(at), len - at, new);
            }
        }
    }
}

/// The sum of the squares.
pub fn square_sum(numbers: &[f32]) -> f64 {
    square_sum_at(*LEVEL, numbers)
}

/// [`square_sum`] at a level of instructions.
pub fn square_sum_at(level: Level, numbers: &[f32]) -> f64 {
    /// Numbers of a sum of 32 bits, at most.
    const RUN: usize = 4096;
    let share = share_of(numbers.len(), threads_for(8 * numbers.len())).next_multiple_of(RUN);
    let sum = |part: &[f32]| part.chunks(RUN).map(|run| f64::from(dispatch(level, SquareSum(run)))).sum::<f64>();
    map(numbers.chunks(share), sum).into_iter().sum()
}

struct SquareSum<'a>(&'a [f32]);

impl Kernel for SquareSum<'_> {
    type Output = f32;

    #[inline(always)]
    unsafe fn run<I: Isa>(self) -> f32 {
        let len = self.0.len();
        // SAFETY: no more than the slice has is read.
        unsafe {
            // Two at a time, so that one need not wait for the other.
            let mut sums = [I::zero(); 2];
            for at in (0..len).step_by(2 * LANES) {
                for (half, sum) in sums.iter_mut().enumerate() {
                    let at = at + half * LANES;
                    if at < len {
                        let v = read_up_to::<I>(self.0.as_ptr().add(at), len - at);
                        *sum = I::fma(v, v, *sum);
                    }
                }
            }
            sum::<I>(I::add(sums[0], sums[1]))
        }
    }
}
