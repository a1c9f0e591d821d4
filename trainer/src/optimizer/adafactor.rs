//! Adafactor: the second moments of a matrix from those of its rows and columns.

use burn::tensor::Tensor;

use super::update::{Rule, Update, towards};
use crate::recipe::Adafactor;

/// torch.optim.Adafactor, which factors the last two dimensions, so for a convolution each filter's rows and columns.
impl Rule for Adafactor {
    fn update(&self, mut it: Update) -> Tensor<1> {
        let count = it.count as f64;
        let newest = count.powf(self.beta2_decay);
        let rate = it.rates.lr.min(1.0 / count.sqrt());
        // Of the weight before its decay.
        let rate = root_mean_square(it.weight.clone()).clamp_min(self.min_scale).mul_scalar(rate);
        it.decay(self.weight_decay);
        let epsilon = f64::from(f32::EPSILON);
        let square = it.gradient.clone().square();
        let estimate: Tensor<1> = match *it.shape {
            [.., rows, columns] => {
                let square: Tensor<3> = square.reshape([-1, rows as i32, columns as i32]);
                let blocks = square.dims()[0];
                let (row, column) = (square.clone().mean_dim(2), square.mean_dim(1));
                let [old_row, old_column] =
                    it.take().unwrap_or_else(|| [row.zeros_like().reshape([-1]), column.zeros_like().reshape([-1])]);
                let row = towards(old_row.reshape([blocks, rows, 1]), row, newest);
                let column = towards(old_column.reshape([blocks, 1, columns]), column, newest);
                it.slots.extend([row.clone().reshape([-1]), column.clone().reshape([-1])]);
                let mean = row.clone().mean_dim(1).clamp_min(epsilon);
                (row.matmul(column) / mean).reshape([-1])
            }
            _ => {
                let [old] = it.take_or_zeros();
                let variance = towards(old, square, newest);
                it.slots.push(variance.clone());
                variance
            }
        };
        let step = it.gradient.clone() * estimate.clamp_min(epsilon * epsilon).sqrt().recip();
        let excess = root_mean_square(step.clone()).div_scalar(self.clip_threshold).clamp_min(1.0);
        it.weight - step * (rate / excess)
    }
}

fn root_mean_square(tensor: Tensor<1>) -> Tensor<1> {
    tensor.square().mean().sqrt()
}
