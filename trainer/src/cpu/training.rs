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
use nightsweep_kernels::update::{Adam, Sgd};

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

/// A step of stochastic gradient descent: the new weight, and the new velocity for the old one (zeros at first).
pub fn sgd(rule: Sgd, weight: &Tensor<1>, gradient: &Tensor<1>, velocity: Tensor<1>) -> Option<[Tensor<1>; 2]> {
    let [weight, gradient] = [plain(weight)?, plain(gradient)?].map(contiguous);
    let mut velocity = into_numbers(plain(&velocity)?);
    let new = rule.step(numbers(&weight), numbers(&gradient), &mut velocity);
    Some([new, velocity].map(flat))
}

/// A step of Adam or AdamW: the new weight, and the new moments for the old ones (zeros at first).
pub fn adam(rule: Adam, weight: &Tensor<1>, gradient: &Tensor<1>, moments: [Tensor<1>; 2]) -> Option<[Tensor<1>; 3]> {
    let [weight, gradient] = [plain(weight)?, plain(gradient)?].map(contiguous);
    let [first, second] = moments.map(|moment| plain(&moment));
    let [mut first, mut second] = [first?, second?].map(into_numbers);
    let new = rule.step(numbers(&weight), numbers(&gradient), [&mut first, &mut second]);
    Some([new, first, second].map(flat))
}

fn flat(numbers: Vec<f32>) -> Tensor<1> {
    let shape = Shape::from([numbers.len()]);
    let tensor: FlexTensor = from_numbers(numbers, shape);
    Tensor::from_primitive::<Flex>(tensor)
}
