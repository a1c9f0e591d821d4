//! The loss and the optimizer steps on burn's tensors.

use burn::backend::Flex;
use burn::backend::Shape;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops};
use burn::backend::flex::FlexTensor;
use burn::tensor::{Int, Tensor};
use nightsweep_kernels::CrossEntropy;
use nightsweep_kernels::update::{self, Rule};

use super::{Shared, Tracking, contiguous, finish, from_numbers, into_numbers, numbers, plain, tracked};

/// Mean cross-entropy of scores `[batch, classes]` in training, as torch's `cross_entropy`.
pub fn cross_entropy(scores: &Tensor<2>, labels: &Tensor<1, Int>, label_smoothing: f64) -> Option<Tensor<1>> {
    let x = tracked(scores)?;
    let [batch, classes] = scores.dims();
    let labels: Vec<usize> = labels.to_data().iter::<i64>().map(|label| label as usize).collect();
    let rows = contiguous(x.primitive().clone());
    let CrossEntropy { loss, gradient } = CrossEntropy::new(numbers(&rows), &labels, label_smoothing as f32);
    let saved = Slope { gradient, shape: Shape::from([batch, classes]) };
    let loss = from_numbers(vec![loss], Shape::from([1]));
    let loss = finish(MeanCrossEntropy.prepare::<NoCheckpointing>([x.node()]), saved, loss);
    Some(Tensor::from_primitive::<Tracking>(loss))
}

/// The step back of [`cross_entropy`]; parent: scores.
#[derive(Debug)]
struct MeanCrossEntropy;

struct Slope {
    gradient: Vec<f32>,
    shape: Shape,
}

impl Backward<Flex, 1> for MeanCrossEntropy {
    type State = Shared<Slope>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let Slope { gradient, shape } = &*ops.state.0;
        let factor = numbers(&contiguous(grads.consume::<Flex>(&ops.node)))[0];
        let [Some(node)] = ops.parents.map(|parent| parent.map(|node| node.id)) else { return };
        let gradient = gradient.iter().map(|slope| slope * factor).collect();
        grads.register::<Flex>(node, from_numbers(gradient, shape.clone()));
    }
}

/// An update by a rule: the new weight, and the new state for the old one (zeros at first).
pub fn step<const N: usize>(
    rule: impl Rule<N>,
    weight: &Tensor<1>,
    gradient: &Tensor<1>,
    state: [Tensor<1>; N],
) -> Option<(Tensor<1>, [Tensor<1>; N])> {
    let [weight, gradient] = [plain(weight)?, plain(gradient)?].map(contiguous);
    let state = state.map(|state| plain(&state));
    if state.iter().any(Option::is_none) {
        return None;
    }
    let mut state = state.map(|state| into_numbers(state.expect("it was looked at")));
    let new = update::step(rule, numbers(&weight), numbers(&gradient), state.each_mut().map(Vec::as_mut_slice));
    Some((flat(new), state.map(flat)))
}

/// The sum of the squares of a tensor without gradients.
pub fn square_sum(tensor: &Tensor<1>) -> Option<f64> {
    Some(update::square_sum(numbers(&contiguous(plain(tensor)?))))
}

fn flat(numbers: Vec<f32>) -> Tensor<1> {
    let shape = Shape::from([numbers.len()]);
    let tensor: FlexTensor = from_numbers(numbers, shape);
    Tensor::from_primitive::<Flex>(tensor)
}
