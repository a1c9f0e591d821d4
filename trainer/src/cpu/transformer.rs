//! Dense layers, layer norm and attention as operations of burn.

use burn::backend::Flex;
use burn::backend::Shape;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops};
use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use nightsweep_kernels::{Activation, Attention, Dense, LayerNorm};

use super::{Shared, Tracking, contiguous, finish, from_numbers, numbers, plain, tracked};

/// `activation(input · weight + bias)` along the last axis; the weight is `[inputs, outputs]`.
pub fn dense<const D: usize>(
    input: &Tensor<D>,
    weight: &Tensor<2>,
    bias: &Tensor<1>,
    activation: Activation,
) -> Option<Tensor<D>> {
    let [inputs, outputs] = weight.dims();
    let layer = Dense::new(inputs, outputs, activation);
    let mut dims = input.dims();
    dims[D - 1] = outputs;
    let shape = Shape::from(dims);
    let (Some(x), Some(w), Some(b)) = (tracked(input), tracked(weight), tracked(bias)) else {
        let [x, w, b] = [plain(input)?, plain(weight)?, plain(bias)?].map(contiguous);
        let (output, _) = layer.forward(numbers(&x), numbers(&w), Some(numbers(&b)));
        return Some(Tensor::from_primitive::<Flex>(from_numbers(output, shape)));
    };
    let [rows, weights, bias] = [&x, &w, &b].map(|tensor| contiguous(tensor.primitive().clone()));
    let (output, sums) = layer.forward(numbers(&rows), numbers(&weights), Some(numbers(&bias)));
    let output = from_numbers(output, shape.clone());
    let seen = match activation {
        Activation::Nothing => None,
        Activation::Relu => Some(output.clone()),
        Activation::Gelu => sums.map(|sums| from_numbers(sums, shape)),
    };
    let operation = DenseLayer.prepare::<NoCheckpointing>([x.node(), w.node(), b.node()]);
    let output = finish(operation, SavedDense { layer, rows, weights, seen }, output);
    Some(Tensor::from_primitive::<Tracking>(output))
}

/// Layer norm along the last axis.
pub fn layer_norm<const D: usize>(
    input: &Tensor<D>,
    gamma: &Tensor<1>,
    beta: &Tensor<1>,
    epsilon: f64,
) -> Option<Tensor<D>> {
    let norm = LayerNorm::new(gamma.dims()[0], epsilon as f32);
    let shape = Shape::from(input.dims());
    let (Some(x), Some(g), Some(b)) = (tracked(input), tracked(gamma), tracked(beta)) else {
        let [x, g, b] = [plain(input)?, plain(gamma)?, plain(beta)?].map(contiguous);
        let output = norm.forward(numbers(&x), numbers(&g), numbers(&b));
        return Some(Tensor::from_primitive::<Flex>(from_numbers(output, shape)));
    };
    let [rows, gamma, beta] = [&x, &g, &b].map(|tensor| contiguous(tensor.primitive().clone()));
    let output = from_numbers(norm.forward(numbers(&rows), numbers(&gamma), numbers(&beta)), shape);
    let operation = RowNorm.prepare::<NoCheckpointing>([x.node(), g.node(), b.node()]);
    Some(Tensor::from_primitive::<Tracking>(finish(operation, SavedRowNorm { norm, rows, gamma }, output)))
}

/// Self-attention of several heads: `[batch, tokens, 3 · heads · size]`, queries, keys and values one behind the other, to
/// `[batch, tokens, heads · size]`.
pub fn attention(qkv: &Tensor<3>, heads: usize) -> Option<Tensor<3>> {
    let [batch, tokens, width] = qkv.dims();
    let of = Attention::new(tokens, heads, width / (3 * heads));
    let shape = Shape::from([batch, tokens, width / 3]);
    let Some(x) = tracked(qkv) else {
        let (output, _) = of.forward(numbers(&contiguous(plain(qkv)?)));
        return Some(Tensor::from_primitive::<Flex>(from_numbers(output, shape)));
    };
    let qkv = contiguous(x.primitive().clone());
    let (output, rows) = of.forward(numbers(&qkv));
    let operation = SelfAttention.prepare::<NoCheckpointing>([x.node()]);
    let output = finish(operation, SavedAttention { of, qkv, rows }, from_numbers(output, shape));
    Some(Tensor::from_primitive::<Tracking>(output))
}

/// The step back of [`dense`]; parents: input, weight, bias.
#[derive(Debug)]
struct DenseLayer;

struct SavedDense {
    layer: Dense,
    rows: FlexTensor,
    weights: FlexTensor,
    /// What tells the activation's slope.
    seen: Option<FlexTensor>,
}

impl Backward<Flex, 3> for DenseLayer {
    type State = Shared<SavedDense>;

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let SavedDense { layer, rows, weights, seen } = &*ops.state.0;
        let gradient = contiguous(grads.consume::<Flex>(&ops.node));
        let [to_x, to_w, to_b] = ops.parents.map(|parent| parent.map(|node| node.id));
        let seen = seen.as_ref().map(numbers);
        let gradients = layer.backward(numbers(rows), numbers(weights), seen, numbers(&gradient), to_x.is_some());
        if let (Some(node), Some(to_rows)) = (to_x, gradients.to_rows) {
            grads.register::<Flex>(node, from_numbers(to_rows, rows.layout().shape().clone()));
        }
        if let Some(node) = to_w {
            grads.register::<Flex>(node, from_numbers(gradients.to_weights, weights.layout().shape().clone()));
        }
        if let Some(node) = to_b {
            grads.register::<Flex>(node, from_numbers(gradients.to_bias, Shape::from([layer.outputs])));
        }
    }
}

/// The step back of [`layer_norm`]; parents: input, gamma, beta.
#[derive(Debug)]
struct RowNorm;

struct SavedRowNorm {
    norm: LayerNorm,
    rows: FlexTensor,
    gamma: FlexTensor,
}

impl Backward<Flex, 3> for RowNorm {
    type State = Shared<SavedRowNorm>;

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let SavedRowNorm { norm, rows, gamma } = &*ops.state.0;
        let gradient = contiguous(grads.consume::<Flex>(&ops.node));
        let gradients = norm.backward(numbers(rows), numbers(gamma), numbers(&gradient));
        let [to_x, to_gamma, to_beta] = ops.parents.map(|parent| parent.map(|node| node.id));
        if let Some(node) = to_x {
            grads.register::<Flex>(node, from_numbers(gradients.to_rows, rows.layout().shape().clone()));
        }
        for (node, vector) in [(to_gamma, gradients.to_gamma), (to_beta, gradients.to_beta)] {
            if let Some(node) = node {
                grads.register::<Flex>(node, from_numbers(vector, gamma.layout().shape().clone()));
            }
        }
    }
}

/// The step back of [`attention`]; parent: queries, keys and values.
#[derive(Debug)]
struct SelfAttention;

struct SavedAttention {
    of: Attention,
    qkv: FlexTensor,
    /// Greatest likeness and sum of each row.
    rows: Vec<f32>,
}

impl Backward<Flex, 1> for SelfAttention {
    type State = Shared<SavedAttention>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let SavedAttention { of, qkv, rows } = &*ops.state.0;
        let gradient = contiguous(grads.consume::<Flex>(&ops.node));
        if let [Some(node)] = ops.parents {
            let to_qkv = of.backward(numbers(qkv), rows, numbers(&gradient));
            grads.register::<Flex>(node.id, from_numbers(to_qkv, qkv.layout().shape().clone()));
        }
    }
}
