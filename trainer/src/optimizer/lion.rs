//! Lion: steps of equal size, along the sign of a momentum.

use burn::tensor::Tensor;
use nightsweep_kernels::update as kernels;

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

    fn update_at_once(&self, it: &mut Update) -> Option<Tensor<1>> {
        let lr = it.rates.lr;
        let decay = if it.is_vector() { 0.0 } else { lr * self.weight_decay };
        it.at_once(kernels::Lion { scale: it.scale, lr, beta1: it.momentum(self.beta1), beta2: self.beta2, decay })
    }
}
