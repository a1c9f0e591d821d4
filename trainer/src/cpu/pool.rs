//! Pooling as operations of burn.

use burn::backend::Flex;
use burn::backend::Shape;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops};
use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use nightsweep_kernels::{MaxPool, pool};

use super::{
    Shared, Tracking, channels_last, contiguous, finish, from_channels_last, from_numbers, last_dims, numbers, plain,
    tracked,
};

/// The maximum of each window of so many pixels a side, so many pixels apart, with so many around the image.
pub fn max_pool(input: &Tensor<4>, window: [usize; 3]) -> Option<Tensor<4>> {
    let [batch, channels, height, width] = input.dims();
    let pool = MaxPool::new([height, width], channels, window);
    let [rows, columns] = pool.output_size();
    let dims = [batch, rows, columns, channels];
    let Some(x) = tracked(input) else {
        let images = channels_last(plain(input)?);
        return Some(Tensor::from_primitive::<Flex>(from_channels_last(pool.forward(numbers(&images)), dims)));
    };
    let images = channels_last(x.primitive().clone());
    let output = from_channels_last(pool.forward(numbers(&images)), dims);
    let saved = SavedMax { pool, images, output: output.clone() };
    let output = finish(LargestPixels.prepare::<NoCheckpointing>([x.node()]), saved, output);
    Some(Tensor::from_primitive::<Tracking>(output))
}

/// The mean of all pixels, `[batch, channels]`.
pub fn global_average(input: &Tensor<4>) -> Option<Tensor<2>> {
    let [batch, channels, height, width] = input.dims();
    let average = |images: &FlexTensor| {
        from_numbers(pool::average(numbers(images), height * width, channels), means(batch, channels))
    };
    let Some(x) = tracked(input) else {
        return Some(Tensor::from_primitive::<Flex>(average(&channels_last(plain(input)?))));
    };
    let output = average(&channels_last(x.primitive().clone()));
    let output = finish(MeanPixels.prepare::<NoCheckpointing>([x.node()]), [batch, height, width, channels], output);
    Some(Tensor::from_primitive::<Tracking>(output))
}

fn means(batch: usize, channels: usize) -> Shape {
    Shape::from([batch, channels])
}

/// The step back of [`max_pool`]; parent: input.
#[derive(Debug)]
struct LargestPixels;

struct SavedMax {
    pool: MaxPool,
    images: FlexTensor,
    output: FlexTensor,
}

impl Backward<Flex, 1> for LargestPixels {
    type State = Shared<SavedMax>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let SavedMax { pool, images, output } = &*ops.state.0;
        let gradient = channels_last(grads.consume::<Flex>(&ops.node));
        let [Some(node)] = ops.parents.map(|parent| parent.map(|node| node.id)) else { return };
        let output = channels_last(output.clone());
        let to_images = pool.backward(numbers(images), numbers(&output), numbers(&gradient));
        grads.register::<Flex>(node, from_channels_last(to_images, last_dims(images)));
    }
}

/// The step back of [`global_average`]; parent: input. Keeps the input's dimensions, channels last.
#[derive(Debug)]
struct MeanPixels;

impl Backward<Flex, 1> for MeanPixels {
    type State = Shared<[usize; 4]>;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dims @ [_, height, width, channels] = *ops.state.0;
        let gradient = contiguous(grads.consume::<Flex>(&ops.node));
        let [Some(node)] = ops.parents.map(|parent| parent.map(|node| node.id)) else { return };
        let to_images = pool::average_back(numbers(&gradient), height * width, channels);
        grads.register::<Flex>(node, from_channels_last(to_images, dims));
    }
}
