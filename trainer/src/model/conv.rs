//! The one convolution of all networks: on the CPU by the kernels of [`crate::cpu`] where they can, else by burn.

use burn::module::{Module, Param};
use burn::nn::Initializer;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Tensor};

use crate::cpu::{self, Filters};

/// A 2-d convolution with a square kernel. Its first values are zeros; `init` draws the real ones.
#[derive(Module, Debug)]
pub struct Conv {
    /// `[outputs, inputs / groups, kernel, kernel]`.
    pub weight: Param<Tensor<4>>,
    /// `[outputs]`.
    pub bias: Option<Param<Tensor<1>>>,
    stride: usize,
    groups: usize,
    #[module(skip)]
    padding: Padding,
}

/// What surrounds the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// Zeros, as many at each side.
    Sides(usize),
    /// TensorFlow's `SAME`: the output has ⌈size / stride⌉ pixels, and what is left over is at the bottom and right.
    Same,
}

impl Conv {
    /// A convolution from the first to the second number of channels, without bias, that keeps the size at stride 1.
    pub fn new(channels: [usize; 2], kernel: usize, stride: usize, device: &Device) -> Self {
        Self::grouped(channels, kernel, stride, 1, device)
    }

    /// A convolution of each channel by itself.
    pub fn depthwise(channels: usize, kernel: usize, stride: usize, device: &Device) -> Self {
        Self::grouped([channels, channels], kernel, stride, channels, device)
    }

    fn grouped([inputs, outputs]: [usize; 2], kernel: usize, stride: usize, groups: usize, device: &Device) -> Self {
        let shape = [outputs, inputs / groups, kernel, kernel];
        let weight = Initializer::Zeros.init(shape, device);
        Self { weight, bias: None, stride, groups, padding: Padding::Sides(kernel / 2) }
    }

    /// The same with a bias.
    pub fn with_bias(mut self, device: &Device) -> Self {
        let [outputs, _, _, _] = self.weight.lazy_shape().dims();
        self.bias = Some(Initializer::Zeros.init([outputs], device));
        self
    }

    /// The same with other padding.
    pub fn with_padding(mut self, padding: Padding) -> Self {
        self.padding = padding;
        self
    }

    /// Images `[batch, inputs, height, width]` to `[batch, outputs, height', width']`.
    pub fn forward(&self, images: Tensor<4>) -> Tensor<4> {
        if let Some(filters) = self.filters()
            && let Some(output) = cpu::conv(&images, &filters)
        {
            return output;
        }
        let [_, _, height, width] = images.dims();
        let kernel = self.kernel();
        let pads = [height, width].map(|size| self.padding.before_and_after(size, kernel, self.stride));
        let options = ConvOptions::new_with_padding([self.stride; 2], pads, [1, 1], self.groups);
        conv2d(images, self.weight.val(), self.bias.as_ref().map(|bias| bias.val()), options)
    }

    /// As the kernels for the CPU want it, if it is of their kind: without groups or with one for each channel, and without
    /// bias.
    pub(super) fn filters(&self) -> Option<Filters> {
        let [outputs, seen, _, _] = self.weight.lazy_shape().dims();
        let is_depthwise = seen == 1 && self.groups == outputs;
        let is_plain = (self.groups == 1 || is_depthwise) && self.bias.is_none();
        is_plain.then(|| Filters { weight: self.weight.val(), stride: self.stride, padding: self.padding })
    }

    fn kernel(&self) -> usize {
        let [_, _, kernel, _] = self.weight.lazy_shape().dims();
        kernel
    }
}

impl Padding {
    /// Zeros before and after a side of so many pixels.
    pub(crate) fn before_and_after(self, size: usize, kernel: usize, stride: usize) -> (usize, usize) {
        match self {
            Self::Sides(pixels) => (pixels, pixels),
            Self::Same => {
                let pixels = ((size.div_ceil(stride) - 1) * stride + kernel).saturating_sub(size);
                (pixels / 2, pixels - pixels / 2)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn same_padding_is_tensorflows() {
        let check = |size, kernel, stride, expected| {
            assert_eq!(Padding::Same.before_and_after(size, kernel, stride), expected, "{size} {kernel} {stride}");
        };
        check(224, 3, 2, (0, 1));
        check(113, 3, 2, (1, 1));
        check(112, 5, 2, (1, 2));
        check(28, 3, 1, (1, 1));
        check(7, 1, 2, (0, 0));
    }
}
