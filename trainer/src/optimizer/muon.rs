//! Muon: a matrix's momentum, made orthogonal (Jordan 2024, kellerjordan.github.io/posts/muon).

use burn::tensor::Tensor;

use super::matrix::Matrix;
use super::update::{Rule, Update, towards};
use crate::recipe::{Adamw, Muon, MuonStepSize};

/// Jordan's coefficients of the quintic iteration: steep at zero, so that few iterations are enough.
const COEFFICIENTS: [f64; 3] = [3.4445, -4.775, 2.0315];
/// Least norm to divide by.
const MIN_NORM: f64 = 1e-7;

/// torch.optim.Muon of torch 2.9, but in 32 bits where that computes in bfloat16, and with filters as matrices
/// `[outputs, inputs × height × width]`, as Jordan's own; AdamW for everything else and, as he advises, the last layer.
impl Rule for Muon {
    fn update(&self, mut it: Update) -> Tensor<1> {
        let is_matrix = matches!(it.shape.len(), 2 | 4) && !it.is_head;
        if !is_matrix {
            let Self { lr, beta1, beta2, epsilon, weight_decay, .. } = *self;
            it.rates.lr *= self.adamw_factor;
            // A cycled momentum is the matrices'.
            it.rates.momentum = None;
            return it.by(&Adamw { lr, beta1, beta2, epsilon, weight_decay });
        }
        it.decay(self.weight_decay);
        let share = 1.0 - it.momentum(self.momentum);
        let [momentum] = it.take_or_zeros();
        let momentum = towards(momentum, it.gradient.clone(), share);
        it.slots.push(momentum.clone());
        let direction = match self.nesterov {
            true => towards(momentum, it.gradient.clone(), share),
            false => momentum,
        };
        let direction = Matrix::new(direction, it.shape);
        let [outputs, inputs] = direction.rows.dims().map(|side| side as f64);
        let size = match self.step_size {
            MuonStepSize::Original => (outputs / inputs).max(1.0).sqrt(),
            MuonStepSize::MatchRmsAdamw => 0.2 * outputs.max(inputs).sqrt(),
        };
        let direction = direction.map(|rows| orthogonal(rows, self.iterations));
        it.weight - direction.mul_scalar(it.rates.lr * size)
    }
}

/// Nearly the orthogonal matrix nearest to this one, by Newton-Schulz iterations.
fn orthogonal(matrix: Tensor<2>, iterations: usize) -> Tensor<2> {
    let [rows, columns] = matrix.dims();
    // The smaller of the two products.
    if rows > columns {
        return orthogonal(matrix.transpose(), iterations).transpose();
    }
    let [linear, cubic, quintic] = COEFFICIENTS;
    let norm = matrix.clone().square().sum().sqrt().clamp_min(MIN_NORM);
    let mut x = matrix / norm.reshape([1, 1]);
    for _ in 0..iterations {
        let gram = x.clone().matmul(x.clone().transpose());
        let polynomial = gram.clone().mul_scalar(cubic) + gram.clone().matmul(gram).mul_scalar(quintic);
        x = x.clone().mul_scalar(linear) + polynomial.matmul(x);
    }
    x
}
