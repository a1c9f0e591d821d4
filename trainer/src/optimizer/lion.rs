//! Lion: steps of equal size, along the sign of a momentum.

use burn::tensor::Tensor;

use super::update::{Rule, Update, towards};
use crate::recipe::Lion;

/// timm.optim.Lion without its caution.
impl Rule for Lion {
    fn update(&self, mut it: Update) -> Tensor<1> {
        it.decay(self.weight_decay);
        let beta1 = it.momentum(self.beta1);
        let [momentum] = it.take_or_zeros();
        let step = towards(momentum.clone(), it.gradient.clone(), 1.0 - beta1).sign();
        it.slots.push(towards(momentum, it.gradient.clone(), 1.0 - self.beta2));
        it.weight - step.mul_scalar(it.rates.lr)
    }
}
