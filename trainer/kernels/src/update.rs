//! Optimizer steps in one pass: operation by operation, weights and gradients would go through memory once for each.

#![expect(unsafe_code, reason = "reads and writes vectors")]

use std::mem::MaybeUninit;

use crate::fresh::{assume_written, fresh};
use crate::panel::{read_up_to, write_up_to};
use crate::share::{for_each, share_of, threads_for};
use crate::simd::{Isa, Kernel, LANES, LEVEL, Level, dispatch};

/// Stochastic gradient descent as torch.optim.SGD, with dampening 0.
#[derive(Clone, Copy, Debug)]
pub struct Sgd {
    /// The learning rate.
    pub lr: f64,
    /// Share of the velocity that stays.
    pub momentum: f64,
    /// Whether the step is where the velocity will be.
    pub nesterov: bool,
    /// Share of the weight that is added to its gradient.
    pub weight_decay: f64,
}

/// Adam as torch.optim.Adam, or as torch.optim.AdamW.
#[derive(Clone, Copy, Debug)]
pub struct Adam {
    /// The learning rate, over what the first moment still lacks.
    pub lr: f64,
    /// Share of the mean gradient that stays.
    pub beta1: f64,
    /// Share of the mean squared gradient that stays.
    pub beta2: f64,
    /// One over the root of what the second moment still lacks.
    pub correction: f64,
    /// Added to the root.
    pub epsilon: f64,
    /// Share of the weight that is added to its gradient: Adam's decay.
    pub penalty: f64,
    /// Share of the weight that is taken off: AdamW's.
    pub decay: f64,
}

impl Sgd {
    /// The new weights; leaves the new velocity in the place of the old one, which is zeros at first.
    ///
    /// # Panics
    /// If a length does not fit.
    pub fn step(&self, weight: &[f32], gradient: &[f32], velocity: &mut [f32]) -> Vec<f32> {
        step(*LEVEL, *self, weight, gradient, [velocity])
    }

    /// [`Self::step`] at a level of instructions.
    pub fn step_at(&self, level: Level, weight: &[f32], gradient: &[f32], velocity: &mut [f32]) -> Vec<f32> {
        step(level, *self, weight, gradient, [velocity])
    }
}

impl Adam {
    /// The new weights; leaves the new moments in the places of the old ones, which are zeros at first.
    ///
    /// # Panics
    /// If a length does not fit.
    pub fn step(&self, weight: &[f32], gradient: &[f32], moments: [&mut [f32]; 2]) -> Vec<f32> {
        step(*LEVEL, *self, weight, gradient, moments)
    }

    /// [`Self::step`] at a level of instructions.
    pub fn step_at(&self, level: Level, weight: &[f32], gradient: &[f32], moments: [&mut [f32]; 2]) -> Vec<f32> {
        step(level, *self, weight, gradient, moments)
    }
}

/// What happens to sixteen weights, with `N` numbers of state for each.
trait Rule<const N: usize>: Copy + Send + Sync {
    /// The new weights; `state` becomes the new one.
    ///
    /// # Safety
    /// The processor must have the instructions.
    unsafe fn update<I: Isa>(self, weight: I::V, gradient: I::V, state: &mut [I::V; N]) -> I::V;
}

impl Rule<1> for Sgd {
    #[inline(always)]
    unsafe fn update<I: Isa>(self, weight: I::V, gradient: I::V, [velocity]: &mut [I::V; 1]) -> I::V {
        // SAFETY: the caller's.
        unsafe {
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

impl Rule<2> for Adam {
    #[inline(always)]
    unsafe fn update<I: Isa>(self, weight: I::V, gradient: I::V, [first, second]: &mut [I::V; 2]) -> I::V {
        // SAFETY: the caller's.
        unsafe {
            let weight = I::mul(weight, splat::<I>(1.0 - self.decay));
            let gradient = I::fma(weight, splat::<I>(self.penalty), gradient);
            *first = I::fma(*first, splat::<I>(self.beta1), I::mul(gradient, splat::<I>(1.0 - self.beta1)));
            let square = I::mul(gradient, gradient);
            *second = I::fma(*second, splat::<I>(self.beta2), I::mul(square, splat::<I>(1.0 - self.beta2)));
            let root = I::fma(I::sqrt(*second), splat::<I>(self.correction), splat::<I>(self.epsilon));
            I::fma(I::div(*first, root), splat::<I>(-self.lr), weight)
        }
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

fn step<const N: usize>(
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
