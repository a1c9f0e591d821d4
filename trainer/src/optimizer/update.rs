//! One parameter in an update, and what every optimizer does with it.

use burn::tensor::Tensor;
use nightsweep_kernels::update as kernels;

use crate::cpu;

/// What the schedule says of an update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rates {
    /// The epoch, from 0.
    pub epoch: u64,
    /// The learning rate.
    pub lr: f64,
    /// Instead of the optimizer's own momentum or beta1.
    pub momentum: Option<f64>,
}

/// How one parameter's gradient becomes its new weight.
pub(super) trait Rule {
    /// The new weight; leaves in the slots what the next update needs.
    fn update(&self, it: Update) -> Tensor<1>;

    /// The same in one pass, of what the kernels for the CPU are for, with the gradient yet to be scaled. None if there is
    /// no such way; the update is as it was then.
    fn update_at_once(&self, _it: &mut Update) -> Option<Tensor<1>> {
        None
    }
}

/// A parameter and its gradient, flat.
pub(super) struct Update<'a> {
    pub(super) weight: Tensor<1>,
    pub(super) gradient: Tensor<1>,
    /// What the gradient is to be multiplied by: 1, or less where the norm of all was too large.
    pub(super) scale: f64,
    /// What the optimizer left here at the last update; nothing at first.
    pub(super) slots: &'a mut Vec<Tensor<1>>,
    /// The parameter's own shape.
    pub(super) shape: &'a [usize],
    /// Whether it belongs to the last layer.
    pub(super) is_head: bool,
    /// Updates until this one, from 1.
    pub(super) count: u64,
    pub(super) rates: Rates,
}

impl Update<'_> {
    /// The new weight by a rule.
    pub(super) fn by(mut self, rule: &dyn Rule) -> Tensor<1> {
        let new = cpu::is_at_home(&self.weight).then(|| rule.update_at_once(&mut self)).flatten();
        new.unwrap_or_else(|| {
            if self.scale != 1.0 {
                self.gradient = self.gradient.mul_scalar(self.scale);
                self.scale = 1.0;
            }
            rule.update(self)
        })
    }

    /// The new weight by a rule of the kernels; leaves the new state in the slots.
    pub(super) fn at_once<const N: usize>(&mut self, rule: impl kernels::Rule<N>) -> Option<Tensor<1>> {
        let state = self.take_or_zeros();
        let (new, state) = cpu::step(rule, &self.weight, &self.gradient, state)?;
        self.slots.extend(state);
        Some(new)
    }

    /// The weight's Euclidean norm, on the CPU.
    pub(super) fn weight_norm(&self) -> Option<f64> {
        cpu::square_sum(&self.weight).map(f64::sqrt)
    }

    /// The scaled gradient's, on the CPU.
    pub(super) fn gradient_norm(&self) -> Option<f64> {
        cpu::square_sum(&self.gradient).map(|sum| self.scale * sum.sqrt())
    }

    /// Norms and biases are vectors; only what multiplies activations decays or has a rate of its own.
    pub(super) fn is_vector(&self) -> bool {
        self.shape.len() < 2
    }

    /// The schedule's momentum, else the optimizer's own.
    pub(super) fn momentum(&self, own: f64) -> f64 {
        self.rates.momentum.unwrap_or(own)
    }

    /// The slots of the last update. Another number of them is another optimizer's, and this one begins anew.
    pub(super) fn take<const N: usize>(&mut self) -> Option<[Tensor<1>; N]> {
        std::mem::take(self.slots).try_into().ok()
    }

    /// The same with zeros at first.
    pub(super) fn take_or_zeros<const N: usize>(&mut self) -> [Tensor<1>; N] {
        self.take().unwrap_or_else(|| std::array::from_fn(|_| self.gradient.zeros_like()))
    }

    /// Adds an L2 penalty's gradient.
    pub(super) fn penalize(&mut self, weight_decay: f64) {
        if weight_decay != 0.0 && !self.is_vector() {
            self.gradient = self.gradient.clone() + self.weight.clone().mul_scalar(weight_decay);
        }
    }

    /// Takes off a share of the weight that does not pass through the optimizer.
    pub(super) fn decay(&mut self, weight_decay: f64) {
        if weight_decay != 0.0 && !self.is_vector() {
            self.weight = self.weight.clone().mul_scalar(1.0 - self.rates.lr * weight_decay);
        }
    }
}

/// `old` with `share` of the way to `new`.
pub(super) fn towards<const D: usize>(old: Tensor<D>, new: Tensor<D>, share: f64) -> Tensor<D> {
    old.mul_scalar(1.0 - share) + new.mul_scalar(share)
}

/// The Euclidean norm, on the device.
pub(super) fn norm(tensor: Tensor<1>) -> Tensor<1> {
    tensor.square().sum().sqrt()
}
