//! Dense layers with what follows them, and layer norm: on the CPU by the kernels of [`crate::cpu`], elsewhere by burn.

use burn::nn::{LayerNorm, LayerNormConfig, Linear};
use burn::tensor::{Device, Tensor, activation};
use nightsweep_kernels::Activation;

use crate::cpu;
use crate::precision::in_32_bits;

/// As in the paper's code of vision transformers and in timm.
const EPSILON: f64 = 1e-6;

/// `activation(layer(input))` along the last axis.
pub(super) fn dense<const D: usize>(layer: &Linear, input: Tensor<D>, then: Activation) -> Tensor<D> {
    let ours = layer.bias.as_ref().and_then(|bias| cpu::dense(&input, &layer.weight.val(), &bias.val(), then));
    ours.unwrap_or_else(|| {
        let sums = layer.forward(input);
        match then {
            Activation::Nothing => sums,
            Activation::Relu => activation::relu(sums),
            Activation::Gelu => activation::gelu(sums),
        }
    })
}

/// A norm of so many numbers; [`normed`] applies it.
pub(super) fn layer_norm(dim: usize, device: &Device) -> LayerNorm {
    LayerNormConfig::new(dim).with_epsilon(EPSILON).init(device)
}

/// The norm of the last axis, in 32 bits.
pub(super) fn normed<const D: usize>(norm: &LayerNorm, input: Tensor<D>) -> Tensor<D> {
    let ours = norm.beta.as_ref().and_then(|beta| cpu::layer_norm(&input, &norm.gamma.val(), &beta.val(), EPSILON));
    ours.unwrap_or_else(|| in_32_bits(input, |x| norm.forward(x)))
}
