//! Layers that are divided by the largest singular value of their weights (spectral normalization, Miyato 2018, arXiv
//! 1802.05957), so that a discriminator's slope is bounded.

use burn::module::{Module, Param};
use burn::nn::{Initializer, Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

use crate::model::Conv;

/// Added to norms; the paper's code has it.
const EPSILON: f64 = 1e-12;

/// The singular vectors of a matrix that changes slowly, by a power iteration each step (the paper's algorithm 1).
#[derive(Clone, Debug)]
pub(super) struct Power {
    left: Tensor<1>,
    right: Tensor<1>,
}

impl Power {
    /// For a matrix of so many rows and columns; of no use before an iteration.
    pub(super) fn new([rows, columns]: [usize; 2], device: &Device) -> Self {
        let device = device.clone().inner();
        Self { left: Tensor::ones([rows], &device), right: Tensor::ones([columns], &device) }
    }

    /// Comes nearer to the vectors of a matrix without gradients.
    pub(super) fn iterate(&mut self, matrix: Tensor<2>) {
        let [rows, columns] = matrix.dims();
        let left = self.left.clone().reshape([1, rows]);
        self.right = unit(left.matmul(matrix.clone()).reshape([columns]));
        self.left = unit(matrix.matmul(self.right.clone().reshape([columns, 1])).reshape([rows]));
    }

    /// The largest singular value, `[1]`, with its gradient where the matrix has one.
    pub(super) fn value(&self, matrix: Tensor<2>) -> Tensor<1> {
        let [rows, columns] = matrix.dims();
        let [left, right] = [&self.left, &self.right].map(|vector| match matrix.device().is_autodiff() {
            true => Tensor::from_inner(vector.clone()),
            false => vector.clone(),
        });
        let mapped = matrix.matmul(right.reshape([columns, 1])).reshape([rows]);
        (left * mapped).sum()
    }
}

fn unit(vector: Tensor<1>) -> Tensor<1> {
    let norm = vector.clone().square().sum().sqrt().add_scalar(EPSILON);
    vector / norm
}

/// A convolution of 3×3 pixels.
#[derive(Module, Debug)]
pub(super) struct SpectralConv {
    conv: Conv,
    /// Apart from the convolution: what is divided is the weights alone.
    shift: Param<Tensor<1>>,
    #[module(skip)]
    power: Power,
}

impl SpectralConv {
    pub(super) fn new([inputs, outputs]: [usize; 2], stride: usize, device: &Device) -> Self {
        Self {
            conv: Conv::new([inputs, outputs], 3, stride, device),
            shift: Initializer::Zeros.init([outputs], device),
            power: Power::new([outputs, inputs * 9], device),
        }
    }

    /// Images `[batch, inputs, height, width]` to `[batch, outputs, height / stride, width / stride]`.
    pub(super) fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        let largest = self.power.value(matrix(self.conv.weight.val())).reshape([1, 1, 1, 1]);
        let [outputs] = self.shift.val().dims();
        self.conv.forward(images) / largest + self.shift.val().reshape([1, outputs, 1, 1])
    }

    pub(super) fn iterate(&mut self) {
        self.power.iterate(matrix(self.conv.weight.val().inner()));
    }
}

/// Filters as the matrix that the paper normalizes: a row an output.
fn matrix(filters: Tensor<4>) -> Tensor<2> {
    let [outputs, inputs, height, width] = filters.dims();
    filters.reshape([outputs, inputs * height * width])
}

/// A linear map without a shift.
#[derive(Module, Debug)]
pub(super) struct SpectralLinear {
    linear: Linear,
    #[module(skip)]
    power: Power,
}

impl SpectralLinear {
    pub(super) fn new(inputs: usize, outputs: usize, device: &Device) -> Self {
        let config = LinearConfig::new(inputs, outputs).with_bias(false).with_initializer(Initializer::Zeros);
        Self { linear: config.init(device), power: Power::new([inputs, outputs], device) }
    }

    /// `[batch, inputs]` to `[batch, outputs]`.
    pub(super) fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.linear.forward(x) / self.power.value(self.linear.weight.val()).reshape([1, 1])
    }

    pub(super) fn iterate(&mut self) {
        self.power.iterate(self.linear.weight.val().inner());
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::TensorData;

    use super::*;

    #[test]
    fn the_power_iteration_finds_the_largest_singular_value() {
        let device = Device::flex();
        let check = |rows: usize, columns: usize, values: &[f32], expected: f32| {
            let matrix = Tensor::<2>::from_data(TensorData::new(values.to_vec(), [rows, columns]), &device);
            let mut power = Power::new([rows, columns], &device);
            (0..30).for_each(|_| power.iterate(matrix.clone()));
            let found: f32 = power.value(matrix).into_scalar();
            assert!((found - expected).abs() < 1e-4 * expected, "{values:?}: {found} is not {expected}");
        };
        check(2, 2, &[3.0, 0.0, 0.0, 1.0], 3.0);
        check(2, 2, &[-5.0, 0.0, 0.0, 1.0], 5.0);
        // [[3, 0], [4, 5]] has √45 and √5.
        check(2, 2, &[3.0, 0.0, 4.0, 5.0], 45f32.sqrt());
        // [[1, 2, 3], [4, 5, 6]]: numpy.linalg.svd has 9.508032.
        check(2, 3, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 9.508_032);
    }

    #[test]
    fn the_gradient_of_the_value_is_the_product_of_its_vectors() {
        let device = Device::flex().autodiff();
        let values = TensorData::new(vec![3.0f32, 0.0, 4.0, 5.0], [2, 2]);
        let matrix = Tensor::<2>::from_data(values, &device).require_grad();
        let mut power = Power::new([2, 2], &device);
        (0..30).for_each(|_| power.iterate(matrix.clone().inner()));
        let gradient = matrix.grad(&power.value(matrix.clone()).backward()).unwrap();
        // Left (1, 3) / √10, right (1, 1) / √2.
        let expected = [1.0, 1.0, 3.0, 3.0].map(|x: f32| x / 20f32.sqrt());
        for (found, expected) in gradient.into_data().iter::<f32>().zip(expected) {
            assert!((found - expected).abs() < 1e-4, "{found} is not {expected}");
        }
    }

    #[test]
    fn a_layer_is_divided_by_it() {
        let device = Device::flex();
        let mut layer = SpectralLinear::new(2, 2, &device);
        let weights = TensorData::new(vec![3.0f32, 0.0, 0.0, 1.0], [2, 2]);
        layer.linear.weight = Param::from_tensor(Tensor::from_data(weights, &device));
        (0..30).for_each(|_| layer.iterate());
        let x = Tensor::from_data(TensorData::new(vec![6.0f32, 6.0], [1, 2]), &device);
        let found: Vec<f32> = layer.forward(x).into_data().iter::<f32>().collect();
        assert!((found[0] - 6.0).abs() < 1e-4 && (found[1] - 2.0).abs() < 1e-4, "{found:?}");
    }
}
