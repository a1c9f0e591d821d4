use burn::module::Param;
use burn::nn::LayerNormConfig;
use burn::tensor::module::{batch_norm_train, conv2d, linear};
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, TensorData, activation, s};
use nightsweep_kernels::Activation;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

/// A block's worth of operations: inputs, outputs, size, stride, and whether the shortcut is option A's.
#[derive(Clone, Copy, Debug)]
struct Case {
    batch: usize,
    channels: [usize; 2],
    size: [usize; 2],
    kernel: usize,
    stride: usize,
    clamp: Clamp,
    shortcut: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Nothing,
    /// The input itself.
    Input,
    /// The input, subsampled.
    Subsampled,
}

/// Output, gradients to input, weight, gamma and beta, mean, variance.
fn run(case: Case, ours: bool) -> Vec<Vec<f32>> {
    let device = Device::flex().autodiff();
    let random_numbers = &mut ChaCha8Rng::seed_from_u64(5);
    let Case { batch, channels: [inputs, outputs], size: [height, width], kernel, stride, clamp, shortcut } = case;
    let mut random = |dims: [usize; 4]| random(random_numbers, dims, &device);
    let x = random([batch, inputs, height, width]).require_grad();
    let weight = random([outputs, inputs, kernel, kernel]).require_grad();
    let mut vector = || random([1, outputs, 1, 1]).reshape([outputs]).detach().require_grad();
    let (gamma, beta) = (vector(), vector());
    let filters = Filters { weight: weight.clone(), stride, padding: Padding::Sides(kernel / 2) };
    let before = (outputs - inputs.min(outputs)) / 2;
    // Something before, so that the shortcut's gradient has somewhere to go on to.
    let input = x.clone().mul_scalar(1.5);
    let (output, mean, variance) = match ours {
        true => {
            let affine = Affine { gamma: gamma.clone(), beta: beta.clone(), epsilon: 1e-5 };
            // The shortcut is behind a first convolution, as in a residual block.
            let through = Filters {
                weight: Tensor::ones([inputs, inputs, 1, 1], &device),
                stride: 1,
                padding: Padding::Sides(0),
            };
            let first = Affine {
                gamma: Tensor::ones([inputs], &device),
                beta: Tensor::zeros([inputs], &device),
                epsilon: 1e-5,
            };
            let block = conv_norm(&input, &through, &first, &Added::Nothing, Clamp::Relu).unwrap();
            let shortcut = match shortcut {
                Kind::Nothing => Added::Nothing,
                Kind::Input => Added::Same(block.input),
                Kind::Subsampled => Added::Subsampled { images: block.input, stride, before },
            };
            let normed = conv_norm(&block.output, &filters, &affine, &shortcut, clamp).unwrap();
            (normed.output, normed.mean, normed.variance)
        }
        false => {
            let first = conv2d(input.clone(), Tensor::ones([inputs, inputs, 1, 1], &device), None, options(1, 0));
            let ones = Tensor::ones([inputs], &device);
            let first = batch_norm_train(first, ones.clone(), ones.zeros_like(), 1e-5);
            let data = conv2d(activation::relu(first.output), weight.clone(), None, options(stride, kernel / 2));
            let [_, _, rows, columns] = data.dims();
            let count = (batch * rows * columns) as f64;
            let normed = batch_norm_train(data, gamma.clone(), beta.clone(), 1e-5);
            let output = match shortcut {
                Kind::Nothing => normed.output,
                Kind::Input => normed.output + input,
                Kind::Subsampled => {
                    let step = stride as isize;
                    let taken = input.slice(s![.., .., 0..;step, 0..;step]);
                    let zeros = |channels| Tensor::zeros([batch, channels, rows, columns], &device);
                    let behind = outputs - inputs - before;
                    normed.output + Tensor::cat(vec![zeros(before), taken, zeros(behind)], 1)
                }
            };
            let [low, high] = clamp.bounds();
            (output.clamp(low, high), normed.mean.inner(), normed.variance.inner().mul_scalar(count / (count - 1.0)))
        }
    };
    let upstream = random(output.dims());
    let mut gradients = (output.clone() * upstream).sum().backward();
    let numbers = |tensor: Tensor<4>| tensor.into_data().try_into_vec::<f32>().unwrap();
    let values = |tensor: Tensor<1>| tensor.into_data().try_into_vec::<f32>().unwrap();
    vec![
        numbers(output.inner()),
        numbers(x.grad_remove(&mut gradients).unwrap()),
        numbers(weight.grad_remove(&mut gradients).unwrap()),
        values(gamma.grad_remove(&mut gradients).unwrap()),
        values(beta.grad_remove(&mut gradients).unwrap()),
        values(mean),
        values(variance),
    ]
}

/// Of a generator of its own: burn's is the whole process's, and others train meanwhile.
fn random(numbers: &mut ChaCha8Rng, dims: [usize; 4], device: &Device) -> Tensor<4> {
    let count = dims.iter().product();
    let values: Vec<f32> = (0..count).map(|_| numbers.random_range(-1.0..1.0)).collect();
    Tensor::from_data(TensorData::new(values, dims), device)
}

fn options(stride: usize, padding: usize) -> ConvOptions<2> {
    ConvOptions::new([stride; 2], [padding; 2], [1, 1], 1)
}

/// Ours and burn's own operations agree.
fn check(case: Case) {
    let [ours, burns] = [true, false].map(|ours| run(case, ours));
    for (which, (ours, burns)) in ours.iter().zip(&burns).enumerate() {
        assert_eq!(ours.len(), burns.len());
        let scale = burns.iter().fold(1.0f32, |scale, x| scale.max(x.abs()));
        for (a, b) in ours.iter().zip(burns) {
            assert!((a - b).abs() < 1e-4 * scale, "{case:?}, {which}: {a} instead of {b}");
        }
    }
}

const CASE: Case = Case {
    batch: 3,
    channels: [5, 20],
    size: [9, 7],
    kernel: 3,
    stride: 1,
    clamp: Clamp::Relu,
    shortcut: Kind::Nothing,
};

#[test]
fn values_and_gradients_are_those_of_burns_own_operations() {
    for clamp in [Clamp::Nothing, Clamp::Relu, Clamp::Relu6] {
        for stride in [1, 2] {
            check(Case { clamp, stride, ..CASE });
            check(Case { clamp, stride, shortcut: Kind::Subsampled, ..CASE });
            check(Case { clamp, stride, kernel: 5, channels: [1, 2], size: [28, 28], ..CASE });
            check(Case { clamp, stride, kernel: 1, channels: [4, 17], ..CASE });
        }
        check(Case { clamp, channels: [16, 16], shortcut: Kind::Input, ..CASE });
        check(Case { clamp, channels: [3, 3], shortcut: Kind::Input, batch: 1, ..CASE });
    }
}

#[test]
fn a_convolution_alone_is_burns() {
    let device = Device::flex().autodiff();
    let numbers = &mut ChaCha8Rng::seed_from_u64(6);
    for (channels, stride) in [([3, 8], 2), ([20, 33], 1)] {
        let x = random(numbers, [2, channels[0], 6, 9], &device).require_grad();
        let weight = random(numbers, [channels[1], channels[0], 3, 3], &device).require_grad();
        let filters = Filters { weight: weight.clone(), stride, padding: Padding::Sides(1) };
        let ours = conv(&x, &filters).unwrap();
        let burns = conv2d(x.clone(), weight.clone(), None, options(stride, 1));
        agree(ours, burns, &[x.clone(), weight.clone()]);
        let plain = conv(&x.inner(), &Filters { weight: weight.inner(), ..filters }).unwrap();
        assert_eq!(plain.dims()[1], channels[1]);
    }
}

#[test]
fn a_depthwise_convolution_is_burns() {
    let device = Device::flex().autodiff();
    let numbers = &mut ChaCha8Rng::seed_from_u64(8);
    let x = random(numbers, [2, 20, 6, 9], &device).require_grad();
    let weight = random(numbers, [20, 1, 5, 5], &device).require_grad();
    let ours = conv(&x, &Filters { weight: weight.clone(), stride: 2, padding: Padding::Sides(2) }).unwrap();
    let options = ConvOptions::new([2; 2], [2; 2], [1, 1], 20);
    agree(ours, conv2d(x.clone(), weight.clone(), None, options), &[x, weight]);
}

#[test]
fn lopsided_padding_is_burns_where_both_sides_have_the_same() {
    let device = Device::flex().autodiff();
    let numbers = &mut ChaCha8Rng::seed_from_u64(9);
    for (kernel, [height, width], pads) in [(3, [6, 8], (0, 1)), (5, [8, 8], (1, 2)), (3, [5, 7], (1, 1))] {
        let x = random(numbers, [2, 20, height, width], &device).require_grad();
        let weight = random(numbers, [20, 1, kernel, kernel], &device).require_grad();
        let filters = Filters { weight: weight.clone(), stride: 2, padding: Padding::Same };
        let options = ConvOptions::new_with_padding([2; 2], [pads; 2], [1, 1], 20);
        let burns = conv2d(x.clone(), weight.clone(), None, options);
        agree(conv(&x, &filters).unwrap(), burns, &[x.clone(), weight]);
        let narrower = x.slice(s![.., .., .., 1..]);
        assert!(conv(&narrower, &filters).is_none(), "rows and columns get other padding");
    }
}

#[test]
fn a_norm_alone_is_burns() {
    let device = Device::flex().autodiff();
    let numbers = &mut ChaCha8Rng::seed_from_u64(9);
    let x = random(numbers, [3, 20, 5, 4], &device).require_grad();
    let gamma = random(numbers, [1, 20, 1, 1], &device).require_grad();
    let beta = random(numbers, [1, 20, 1, 1], &device).require_grad();
    // Each graph has its own, since a step back uses a graph up.
    let vectors = || [&gamma, &beta].map(|tensor| tensor.clone().reshape([20]));
    let [g, b] = vectors();
    let ours = norm_clamp(&x, &Affine { gamma: g, beta: b, epsilon: 1e-5 }, Clamp::Relu6).unwrap();
    let [g, b] = vectors();
    let burns = batch_norm_train(x.clone(), g, b, 1e-5);
    agree(ours.output, burns.output.clamp(0.0, 6.0), &[x, gamma, beta]);
}

/// Any shape of a leaf, so that [`agree`] can compare layers of rows.
fn leaf(numbers: &mut ChaCha8Rng, dims: [usize; 4], device: &Device) -> Tensor<4> {
    random(numbers, dims, device).require_grad()
}

#[test]
fn a_dense_layer_is_burns() {
    let device = Device::flex().autodiff();
    let numbers = &mut ChaCha8Rng::seed_from_u64(10);
    let x = leaf(numbers, [2, 1, 3, 20], &device);
    let weight = leaf(numbers, [1, 1, 20, 33], &device);
    let bias = leaf(numbers, [1, 1, 1, 33], &device);
    for then in [Activation::Nothing, Activation::Relu, Activation::Gelu] {
        // Each graph has its own, since a step back uses a graph up.
        let parameters = || (weight.clone().reshape([20, 33]), bias.clone().reshape([33]));
        let (w, b) = parameters();
        let ours = dense(&x, &w, &b, then).unwrap();
        let plain = dense(&x.clone().inner(), &w.inner(), &b.inner(), then).unwrap();
        assert_eq!(plain.into_data(), ours.clone().inner().into_data(), "the same without gradients");
        let (w, b) = parameters();
        let sums = linear(x.clone(), w, Some(b));
        let burns = match then {
            Activation::Nothing => sums,
            Activation::Relu => activation::relu(sums),
            Activation::Gelu => activation::gelu(sums),
        };
        agree(ours, burns, &[x.clone(), weight.clone(), bias.clone()]);
    }
}

#[test]
fn layer_norm_is_burns() {
    let device = Device::flex().autodiff();
    let numbers = &mut ChaCha8Rng::seed_from_u64(11);
    let x = leaf(numbers, [2, 1, 3, 20], &device);
    let norm = LayerNormConfig::new(20).with_epsilon(1e-6).init(&device);
    let (gamma, beta) = (norm.gamma.val(), norm.beta.as_ref().unwrap().val());
    agree(layer_norm(&x, &gamma, &beta, 1e-6).unwrap(), norm.forward(x.clone()), &[x]);
}

#[test]
fn attention_is_that_of_burns_operations() {
    let device = Device::flex().autodiff();
    let numbers = &mut ChaCha8Rng::seed_from_u64(12);
    let (batch, tokens, heads, size) = (2, 37, 3, 5);
    let x = leaf(numbers, [1, batch, tokens, 3 * heads * size], &device);
    let rows = || x.clone().reshape([batch, tokens, 3 * heads * size]);
    let back = |y: Tensor<3>| y.reshape([1, batch, tokens, heads * size]);
    let ours = back(attention(&rows(), heads).unwrap());
    let qkv = rows().reshape([batch, tokens, 3, heads, size]).permute([2, 0, 3, 1, 4]);
    let part = |index: usize| -> Tensor<4> { qkv.clone().slice(s![index..index + 1, .., .., .., ..]).squeeze_dim(0) };
    let likeness = part(0).matmul(part(1).transpose()).div_scalar((size as f64).sqrt());
    let burns = activation::softmax(likeness, 3).matmul(part(2)).swap_dims(1, 2);
    agree(ours, back(burns.reshape([batch, tokens, heads * size])), &[x]);
}

/// Both outputs, and the gradients of their sums of squares.
fn agree(ours: Tensor<4>, burns: Tensor<4>, leaves: &[Tensor<4>]) {
    let near = |a: Tensor<4>, b: Tensor<4>| {
        let scale = b.clone().abs().max().into_scalar::<f32>().max(1.0);
        assert!((a - b).abs().max().into_scalar::<f32>() < 1e-4 * scale);
    };
    near(ours.clone().inner(), burns.clone().inner());
    let [ours, burns] = [ours, burns].map(|output| output.powi_scalar(2).sum().backward());
    for leaf in leaves {
        near(leaf.grad(&ours).unwrap(), leaf.grad(&burns).unwrap());
    }
}

#[test]
fn other_number_types_are_left_to_burn() {
    let device = Device::flex();
    let half = |dims| Tensor::<4>::ones(dims, &device).cast(DType::F16);
    assert!(
        conv(&half([1, 1, 4, 4]), &Filters { weight: half([1, 1, 3, 3]), stride: 1, padding: Padding::Sides(1) })
            .is_none()
    );
}

#[test]
fn a_parameter_of_a_model_is_at_home() {
    let device = Device::flex().autodiff();
    let weight = Param::from_tensor(Tensor::<4>::ones([2, 1, 3, 3], &device));
    assert!(
        conv(
            &Tensor::ones([1, 1, 4, 4], &device),
            &Filters { weight: weight.val(), stride: 1, padding: Padding::Sides(1) }
        )
        .is_some()
    );
}
