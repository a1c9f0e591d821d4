//! RMSprop.

use burn::tensor::Tensor;

use super::update::{Rule, Update, towards};
use crate::recipe::Rmsprop;

/// torch.optim.RMSprop.
impl Rule for Rmsprop {
    fn update(&self, mut it: Update) -> Tensor<1> {
        it.penalize(self.weight_decay);
        let gradient = it.gradient;
        let mut slots = std::mem::take(it.slots).into_iter();
        let mut slot = || slots.next().unwrap_or_else(|| gradient.zeros_like());
        let square = towards(slot(), gradient.clone().square(), 1.0 - self.alpha);
        it.slots.push(square.clone());
        let variance = match self.centered {
            true => {
                let mean = towards(slot(), gradient.clone(), 1.0 - self.alpha);
                it.slots.push(mean.clone());
                square - mean.square()
            }
            false => square,
        };
        let mut step = gradient.clone() / variance.sqrt().add_scalar(self.epsilon);
        let momentum = it.rates.momentum.unwrap_or(self.momentum);
        if momentum > 0.0 {
            step = slot().mul_scalar(momentum) + step;
            it.slots.push(step.clone());
        }
        it.weight - step.mul_scalar(it.rates.lr)
    }
}
