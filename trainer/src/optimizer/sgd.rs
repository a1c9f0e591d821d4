//! Stochastic gradient descent, and LARS, which is the same with a rate for each layer.

use burn::tensor::Tensor;

use super::update::{Rule, Update, norm};
use crate::recipe::{Lars, Sgd};

/// torch.optim.SGD with dampening 0: the first momentum is the first gradient.
impl Rule for Sgd {
    fn update(&self, mut it: Update) -> Tensor<1> {
        it.penalize(self.weight_decay);
        descend(it, self.momentum, self.nesterov)
    }
}

/// timm.optim.Lars with weight decay. Without, a layer still has its own rate here, as in the paper.
impl Rule for Lars {
    fn update(&self, mut it: Update) -> Tensor<1> {
        if !it.is_vector() {
            let (weight, gradient) = (norm(it.weight.clone()), norm(it.gradient.clone()));
            let decayed = gradient.clone() + weight.clone().mul_scalar(self.weight_decay).add_scalar(self.epsilon);
            let trust = (weight.clone() / decayed).mul_scalar(self.trust_coefficient);
            let trust = trust.mask_fill(weight.equal_elem(0.0), 1.0).mask_fill(gradient.equal_elem(0.0), 1.0);
            it.penalize(self.weight_decay);
            it.gradient = it.gradient * trust;
        }
        descend(it, self.momentum, self.nesterov)
    }
}

fn descend(mut it: Update, momentum: f64, nesterov: bool) -> Tensor<1> {
    let momentum = it.momentum(momentum);
    let older = it.take();
    if momentum == 0.0 {
        return it.weight - it.gradient.mul_scalar(it.rates.lr);
    }
    let velocity = match older {
        Some([older]) => older.mul_scalar(momentum) + it.gradient.clone(),
        None => it.gradient.clone(),
    };
    it.slots.push(velocity.clone());
    let direction = match nesterov {
        true => it.gradient + velocity.mul_scalar(momentum),
        false => velocity,
    };
    it.weight - direction.mul_scalar(it.rates.lr)
}
