//! Convolution, batch norm, shortcut and activation as one step: on the CPU by the kernels of [`crate::cpu`], elsewhere by
//! burn's operations one after another.

use burn::nn::BatchNorm;
use burn::nn::conv::Conv2d;
use burn::tensor::{Tensor, activation, s};
use nightsweep_kernels::norm::Clamp;

use crate::cpu::{self, Added, Affine, Filters};

/// `clamp(norm(conv(input)) + shortcut)`, and the input again for a shortcut further on. The convolution is one that
/// [`super::resnet::conv`] made.
pub(super) fn conv_norm(
    conv: &Conv2d,
    norm: &BatchNorm,
    input: Tensor<4>,
    shortcut: Added,
    clamp: Clamp,
) -> (Tensor<4>, Tensor<4>) {
    let filters = Filters { weight: conv.weight.val(), stride: conv.stride[0], padding: conv.kernel_size[0] / 2 };
    let device = input.device();
    if device.is_autodiff() && norm.training.is_enabled() {
        let affine = Affine { gamma: norm.gamma.val(), beta: norm.beta.val(), epsilon: norm.epsilon };
        if let Some(normed) = cpu::conv_norm(&input, &filters, &affine, &shortcut, clamp) {
            note(norm, normed.mean, normed.variance);
            return (normed.output, normed.input);
        }
    } else if !device.is_autodiff()
        && let Some(output) =
            cpu::conv_affine(&input, &filters, scale_and_shift(norm).each_ref().map(|v| &v[..]), &shortcut, clamp)
    {
        return (output, input);
    }
    let output = norm.forward(conv.forward(input.clone()));
    let output = match shortcut {
        Added::Nothing => output,
        Added::Same(images) => output + images,
        Added::Subsampled { images, stride, before } => {
            output.clone() + subsample(images, output.dims(), stride, before)
        }
    };
    let output = match clamp {
        Clamp::Nothing => output,
        Clamp::Relu => activation::relu(output),
        Clamp::Relu6 => output.clamp(0.0, 6.0),
    };
    (output, input)
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
    let zeros = |channels| Tensor::zeros([batch, channels, height, width], &x.device());
    let behind = outputs - x.dims()[1] - before;
    Tensor::cat(vec![zeros(before), x.clone(), zeros(behind)], 1)
}

/// Takes a batch's statistics into the running ones.
fn note(norm: &BatchNorm, mean: Tensor<1>, variance: Tensor<1>) {
    for (running, batch) in [(&norm.running_mean, mean), (&norm.running_var, variance)] {
        let older = running.value_sync().inner();
        let newer = older.mul_scalar(1.0 - norm.momentum) + batch.mul_scalar(norm.momentum);
        running.update(Tensor::from_inner(newer));
    }
}

/// What a norm by its running statistics multiplies with and adds.
fn scale_and_shift(norm: &BatchNorm) -> [Vec<f32>; 2] {
    let inverse = (norm.running_var.value() + norm.epsilon).sqrt().recip();
    let scale = norm.gamma.val() * inverse;
    let shift = norm.beta.val() - norm.running_mean.value() * scale.clone();
    [scale, shift].map(|vector| vector.into_data().try_into_vec().expect("parameters are of f32 on the CPU"))
}
