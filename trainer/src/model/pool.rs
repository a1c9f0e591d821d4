//! Pooling: on the CPU by the kernels of [`crate::cpu`], elsewhere by burn.

use burn::tensor::Tensor;
use burn::tensor::module::{adaptive_avg_pool2d, max_pool2d};
use burn::tensor::ops::MaxPoolOptions;

use crate::cpu;

/// The maximum of each square window.
pub(super) fn max_pool(images: Tensor<4>, kernel: usize, stride: usize, padding: usize) -> Tensor<4> {
    cpu::max_pool(&images, [kernel, stride, padding]).unwrap_or_else(|| {
        let options = MaxPoolOptions::new([kernel; 2]).with_stride([stride; 2]).with_padding([padding; 2]);
        max_pool2d(images, options)
    })
}

/// The mean of all pixels: `[batch, channels, height, width]` to `[batch, channels]`.
pub(super) fn global_average(images: Tensor<4>) -> Tensor<2> {
    cpu::global_average(&images).unwrap_or_else(|| adaptive_avg_pool2d(images, [1, 1]).flatten(1, 3))
}
