//! Convolution, norm, shortcut and activation as one step: on the CPU by the kernels of [`crate::cpu`], elsewhere, and where
//! the norm or the convolution is of another kind, by burn's operations one after another.

use burn::tensor::{Tensor, activation, s};
use nightsweep_kernels::norm::Clamp;

use super::conv::Conv;
use super::norm::{Mode, Norm};
use crate::cpu::{self, Added};

/// `clamp(norm(conv(input)) + shortcut)`, and the input again for a shortcut further on.
pub(super) fn conv_norm(
    conv: &Conv,
    norm: &Norm,
    input: Tensor<4>,
    shortcut: Added,
    clamp: Clamp,
) -> (Tensor<4>, Tensor<4>) {
    let device = input.device();
    match (conv.filters(), norm.mode(&device)) {
        (Some(filters), Mode::Batch) => {
            if let Some(normed) = cpu::conv_norm(&input, &filters, &norm.affine(), &shortcut, clamp) {
                // The kernel's variance is unbiased.
                norm.note(normed.mean, normed.variance);
                return (normed.output, normed.input);
            }
        }
        (Some(filters), Mode::Running) if !device.is_autodiff() => {
            let affine = norm.scale_and_shift();
            let affine = affine.each_ref().map(|vector| &vector[..]);
            if let Some(output) = cpu::conv_affine(&input, &filters, affine, &shortcut, clamp) {
                return (output, input);
            }
        }
        _ => {}
    }
    let output = plus(norm.forward(conv.forward(input.clone())), shortcut);
    (clamped(output, clamp), input)
}

/// `clamp(norm(input))`, where no convolution is before.
pub(super) fn norm_clamp(norm: &Norm, input: Tensor<4>, clamp: Clamp) -> Tensor<4> {
    if let Mode::Batch = norm.mode(&input.device())
        && let Some(normed) = cpu::norm_clamp(&input, &norm.affine(), clamp)
    {
        norm.note(normed.mean, normed.variance);
        return normed.output;
    }
    clamped(norm.forward(input), clamp)
}

fn clamped(x: Tensor<4>, clamp: Clamp) -> Tensor<4> {
    match clamp {
        Clamp::Nothing => x,
        Clamp::Relu => activation::relu(x),
        Clamp::Relu6 => x.clamp(0.0, 6.0),
    }
}

/// A branch and its shortcut.
pub(super) fn plus(branch: Tensor<4>, shortcut: Added) -> Tensor<4> {
    match shortcut {
        Added::Nothing => branch,
        Added::Same(images) => branch + images,
        Added::Subsampled { images, stride, before } => {
            let dims = branch.dims();
            branch + subsample(images, dims, stride, before)
        }
    }
}

/// Every stride-th pixel, and zeros for the new channels before and behind.
fn subsample(
    images: Tensor<4>,
    [batch, outputs, height, width]: [usize; 4],
    stride: usize,
    before: usize,
) -> Tensor<4> {
    let stride = stride as isize;
    let x = images.slice(s![.., .., 0..;stride, 0..;stride]);
    let zeros = |channels| Tensor::zeros([batch, channels, height, width], (&x.device(), x.dtype()));
    let behind = outputs - x.dims()[1] - before;
    Tensor::cat(vec![zeros(before), x.clone(), zeros(behind)], 1)
}
