//! The operations that training on the CPU spends its time in, by kernels of our own, as burn sees operations: with
//! gradients, and on its tensors.
//!
//! Results keep burn's shape `[batch, channels, height, width]` with strides that put the channels last, so that the
//! next such operation reads them where they are, and any operation of burn can read them too. Each function says `None`
//! where it is not at home (a GPU, another number type); the caller then asks burn.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Init, Ops, OpsKind, OpsPrep};
use burn::backend::flex::{FlexTensor, Layout};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Flex, Shape};
use burn::tensor::{Bytes, DType, GradientCheckpointingStrategy, Tensor};
use nightsweep_kernels::norm::{self, Clamp, Moments, Norm, NormGradient, scale_shift_clamp};
use nightsweep_kernels::{Conv, ConvShape, Gradient, Stored};

use crate::model::conv::Padding;

type Tracking = Autodiff<Flex>;
type Tracked = FloatTensor<Tracking>;

/// What is added to a norm's output before the activation.
#[derive(Clone, Debug)]
pub enum Added {
    /// Nothing.
    Nothing,
    /// A tensor of the same shape.
    Same(Tensor<4>),
    /// Every `stride`-th pixel, the channels behind `before` of zeros and before others: option A of He 2016.
    Subsampled {
        /// The larger images of fewer channels.
        images: Tensor<4>,
        /// Pixels from one that counts to the next.
        stride: usize,
        /// Channels of zeros before.
        before: usize,
    },
}

/// A convolution of square filters, and what of it is fixed.
#[derive(Clone, Debug)]
pub struct Filters {
    /// `[outputs, inputs, kernel, kernel]`, or `[outputs, 1, kernel, kernel]` if each channel sees itself alone.
    pub weight: Tensor<4>,
    /// Pixels from one place of the filter to the next.
    pub stride: usize,
    /// Zeros around the image.
    pub padding: Padding,
}

/// Batch norm's parameters.
#[derive(Clone, Debug)]
pub struct Affine {
    /// Factors, `[channels]`.
    pub gamma: Tensor<1>,
    /// What is added, `[channels]`.
    pub beta: Tensor<1>,
    /// Added to the variance.
    pub epsilon: f64,
}

/// What a training step of [`conv_norm`] gives.
#[derive(Debug)]
pub struct Normed {
    /// The activation's output.
    pub output: Tensor<4>,
    /// The input again, for a shortcut: its gradient joins the convolution's without a pass of its own.
    pub input: Tensor<4>,
    /// Means of the batch, `[channels]`.
    pub mean: Tensor<1>,
    /// Variances of the batch as estimates for all data (over the count less one, as PyTorch keeps), `[channels]`.
    pub variance: Tensor<1>,
}

/// Convolution, batch norm with the batch's own statistics, shortcut and activation of a training step.
pub fn conv_norm(
    input: &Tensor<4>,
    filters: &Filters,
    affine: &Affine,
    shortcut: &Added,
    clamp: Clamp,
) -> Option<Normed> {
    let x = tracked(input)?;
    let (w, gamma, beta) = (tracked(&filters.weight)?, tracked(&affine.gamma)?, tracked(&affine.beta)?);
    let (added, place) = match shortcut {
        Added::Nothing => (None, Place::Nowhere),
        Added::Same(images) => (Some(tracked(images)?), Place::Same),
        &Added::Subsampled { ref images, stride, before } => {
            let [_, channels, height, width] = images.dims();
            (Some(tracked(images)?), Place::Subsampled { size: [height, width, channels], stride, before })
        }
    };
    let conv = Conv::new(filters.shape(input.dims())?);
    let images = channels_last(x.primitive().clone());
    let weight = contiguous(w.primitive().clone());
    let (data, moments) = conv.forward_with_moments(numbers(&images), numbers(&weight));
    let [gamma_of, beta_of] = [&gamma, &beta].map(|vector| contiguous(vector.primitive().clone()));
    let norm = Norm::new(&moments, numbers(&gamma_of), numbers(&beta_of), affine.epsilon);
    let added_last = added.as_ref().map(|added| channels_last(added.primitive().clone()));
    let batch = input.dims()[0];
    let output =
        scale_shift_clamp(&data, batch, [&norm.scale, &norm.shift], place.of(added_last.as_ref().map(numbers)), clamp);
    let dims = output_dims(&conv, batch);
    let output = from_channels_last(output, dims);

    let handed = Handed::default();
    let saved = Saved {
        // Only a shortcut makes the activation's side unknown to who sees the convolution's result alone.
        output: added.as_ref().filter(|_| clamp != Clamp::Nothing).map(|_| channels_last(output.clone())),
        conv,
        images,
        weight,
        data,
        norm,
        place,
        clamp,
        handed: handed.clone(),
    };
    let nodes = [x.node(), w.node(), gamma.node(), beta.node()];
    let output = match added {
        None => finish(ConvNorm.prepare::<NoCheckpointing>(nodes), saved, output),
        Some(added) => {
            let [x, w, gamma, beta] = nodes;
            finish(ConvNorm.prepare::<NoCheckpointing>([x, w, gamma, beta, added.node()]), saved, output)
        }
    };
    let same = x.primitive().clone();
    let again = finish(HandOver.prepare::<NoCheckpointing>([x.node(), output.node()]), handed, same);
    let device = input.device().inner();
    Some(Normed {
        output: Tensor::from_primitive::<Tracking>(output),
        input: Tensor::from_primitive::<Tracking>(again),
        mean: Tensor::from_floats(moments.mean.as_slice(), &device),
        variance: Tensor::from_floats(moments.unbiased_variance().as_slice(), &device),
    })
}

/// Convolution, a fixed factor and shift for each channel, shortcut and activation, without gradients.
pub fn conv_affine(
    input: &Tensor<4>,
    filters: &Filters,
    [scale, shift]: [&[f32]; 2],
    shortcut: &Added,
    clamp: Clamp,
) -> Option<Tensor<4>> {
    let (added, place) = match shortcut {
        Added::Nothing => (None, Place::Nowhere),
        Added::Same(images) => (Some(channels_last(plain(images)?)), Place::Same),
        &Added::Subsampled { ref images, stride, before } => {
            let [_, channels, height, width] = images.dims();
            let place = Place::Subsampled { size: [height, width, channels], stride, before };
            (Some(channels_last(plain(images)?)), place)
        }
    };
    let conv = Conv::new(filters.shape(input.dims())?);
    let (images, weight) = (channels_last(plain(input)?), contiguous(plain(&filters.weight)?));
    let data = conv.forward(numbers(&images), numbers(&weight));
    let batch = input.dims()[0];
    let output = scale_shift_clamp(&data, batch, [scale, shift], place.of(added.as_ref().map(numbers)), clamp);
    Some(Tensor::from_primitive::<Flex>(from_channels_last(output, output_dims(&conv, batch))))
}

/// Batch norm with the batch's own statistics and activation of a training step, without a convolution before.
pub fn norm_clamp(input: &Tensor<4>, affine: &Affine, clamp: Clamp) -> Option<Normed> {
    let (x, gamma, beta) = (tracked(input)?, tracked(&affine.gamma)?, tracked(&affine.beta)?);
    let data = channels_last(x.primitive().clone());
    let dims = last_dims(&data);
    let moments = Moments::of(numbers(&data), dims[3], dims[0]);
    let [gamma_of, beta_of] = [&gamma, &beta].map(|vector| contiguous(vector.primitive().clone()));
    let norm = Norm::new(&moments, numbers(&gamma_of), numbers(&beta_of), affine.epsilon);
    let affine = [&norm.scale[..], &norm.shift[..]];
    let output = scale_shift_clamp(numbers(&data), dims[0], affine, norm::Shortcut::Nothing, clamp);
    let nodes = [x.node(), gamma.node(), beta.node()];
    let saved = SavedNorm { data, norm, clamp };
    let output = finish(NormAlone.prepare::<NoCheckpointing>(nodes), saved, from_channels_last(output, dims));
    Some(Normed {
        output: Tensor::from_primitive::<Tracking>(output),
        input: input.clone(),
        mean: Tensor::from_floats(moments.mean.as_slice(), &input.device().inner()),
        variance: Tensor::from_floats(moments.unbiased_variance().as_slice(), &input.device().inner()),
    })
}

/// A convolution alone, with gradients where the tensors have them.
pub fn conv(input: &Tensor<4>, filters: &Filters) -> Option<Tensor<4>> {
    let conv = Conv::new(filters.shape(input.dims())?);
    let dims = output_dims(&conv, input.dims()[0]);
    let result = |images: &FlexTensor, weight: &FlexTensor| {
        from_channels_last(conv.forward(numbers(images), numbers(weight)), dims)
    };
    let (Some(x), Some(w)) = (tracked(input), tracked(&filters.weight)) else {
        let (images, weight) = (channels_last(plain(input)?), contiguous(plain(&filters.weight)?));
        return Some(Tensor::from_primitive::<Flex>(result(&images, &weight)));
    };
    let (images, weight) = (channels_last(x.primitive().clone()), contiguous(w.primitive().clone()));
    let output = result(&images, &weight);
    let saved = SavedConv { conv, images, weight };
    let output = finish(ConvAlone.prepare::<NoCheckpointing>([x.node(), w.node()]), saved, output);
    Some(Tensor::from_primitive::<Tracking>(output))
}

impl Filters {
    /// None for padding that is not the same for rows and columns.
    fn shape(&self, [batch, inputs, height, width]: [usize; 4]) -> Option<ConvShape> {
        let [outputs, seen, kernel, _] = self.weight.dims();
        let [rows, columns] = [height, width].map(|side| self.padding.before_and_after(side, kernel, self.stride));
        let (padding, after) = rows;
        (rows == columns).then_some(ConvShape {
            batch,
            height,
            width,
            inputs,
            outputs,
            kernel,
            stride: self.stride,
            padding,
            extra: after - padding,
            depthwise: seen == 1 && inputs > 1,
        })
    }
}

/// Where a shortcut's numbers are added.
#[derive(Clone, Copy, Debug)]
enum Place {
    Nowhere,
    Same,
    /// Height, width and channels of the images.
    Subsampled {
        size: [usize; 3],
        stride: usize,
        before: usize,
    },
}

impl Place {
    fn of(self, added: Option<&[f32]>) -> norm::Shortcut<'_> {
        match (self, added) {
            (Self::Same, Some(data)) => norm::Shortcut::Same(data),
            (Self::Subsampled { size: [height, width, channels], stride, before }, Some(data)) => {
                norm::Shortcut::Subsampled { data, size: [height, width], channels, stride, before }
            }
            _ => norm::Shortcut::Nothing,
        }
    }
}

/// The step back of [`conv_norm`]; parents: input, weight, gamma, beta and, with one, shortcut.
#[derive(Debug)]
struct ConvNorm;

struct Saved {
    conv: Conv,
    images: FlexTensor,
    weight: FlexTensor,
    /// The convolution's result.
    data: Vec<f32>,
    norm: Norm,
    output: Option<FlexTensor>,
    place: Place,
    clamp: Clamp,
    handed: Handed,
}

impl<const N: usize> Backward<Flex, N> for ConvNorm {
    type State = Shared<Saved>;

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let Saved { conv, images, weight, data, norm, output, place, clamp, handed } = &*ops.state.0;
        let gradient = channels_last(grads.consume::<Flex>(&ops.node));
        let parents = ops.parents.map(|parent| parent.map(|node| node.id));
        let parent = |index: usize| parents.get(index).copied().flatten();
        let dims = last_dims(&gradient);
        let batch = dims[0];
        let handed = handed.take().map(|tensor| into_numbers(channels_last(tensor)));
        let backward = |gradient: &NormGradient| {
            let gradient = Gradient::ThroughNorm(gradient);
            conv.backward(numbers(images), numbers(weight), &gradient, parent(0).is_some(), handed)
        };
        let (to_images, to_weights, to_parameters) = match place {
            Place::Nowhere => {
                let gradient = NormGradient::new(numbers(&gradient), data, batch, norm, *clamp);
                let (to_images, to_weights) = backward(&gradient);
                (to_images, to_weights, gradient.to_parameters)
            }
            Place::Same | Place::Subsampled { .. } => {
                let mut masked = into_numbers(gradient);
                if let Some(output) = output {
                    norm::mask(&mut masked, numbers(output), *clamp);
                }
                let gradient = NormGradient::new(&masked, data, batch, norm, Clamp::Nothing);
                let (to_images, to_weights) = backward(&gradient);
                let to_parameters = gradient.to_parameters;
                if let Some(node) = parent(4) {
                    grads.register::<Flex>(node, place.back(masked, dims));
                }
                (to_images, to_weights, to_parameters)
            }
        };
        if let (Some(node), Some(to_images)) = (parent(0), to_images) {
            grads.register::<Flex>(node, from_channels_last(to_images, last_dims(images)));
        }
        if let Some(node) = parent(1) {
            grads.register::<Flex>(node, from_numbers(to_weights, weight.layout().shape().clone()));
        }
        for (index, vector) in to_parameters.into_iter().enumerate() {
            if let Some(node) = parent(2 + index) {
                let shape = Shape::from([vector.len()]);
                grads.register::<Flex>(node, from_numbers(vector, shape));
            }
        }
    }
}

impl Place {
    /// The gradient to the shortcut from that to the sum, of shape `[batch, rows, columns, channels]`.
    fn back(self, gradient: Vec<f32>, [batch, rows, columns, channels]: [usize; 4]) -> FlexTensor {
        match self {
            Self::Nowhere | Self::Same => from_channels_last(gradient, [batch, rows, columns, channels]),
            Self::Subsampled { size, stride, before } => {
                let [height, width, fewer] = size;
                let gradient = norm::to_subsampled(&gradient, [rows, columns, channels], size, stride, before);
                from_channels_last(gradient, [batch, height, width, fewer])
            }
        }
    }
}

/// The step back of [`conv`]; parents: input, weight.
#[derive(Debug)]
struct ConvAlone;

struct SavedConv {
    conv: Conv,
    images: FlexTensor,
    weight: FlexTensor,
}

impl Backward<Flex, 2> for ConvAlone {
    type State = Shared<SavedConv>;

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let SavedConv { conv, images, weight } = &*ops.state.0;
        let gradient = channels_last(grads.consume::<Flex>(&ops.node));
        let [_, rows, columns, channels] = last_dims(&gradient);
        let pixels = Gradient::Stored(Stored { data: numbers(&gradient), pixels: rows * columns, channels });
        let [to_x, to_w] = ops.parents.map(|parent| parent.map(|node| node.id));
        let (to_images, to_weights) = conv.backward(numbers(images), numbers(weight), &pixels, to_x.is_some(), None);
        if let (Some(node), Some(to_images)) = (to_x, to_images) {
            grads.register::<Flex>(node, from_channels_last(to_images, last_dims(images)));
        }
        if let Some(node) = to_w {
            grads.register::<Flex>(node, from_numbers(to_weights, weight.layout().shape().clone()));
        }
    }
}

/// The step back of [`norm_clamp`]; parents: input, gamma, beta.
#[derive(Debug)]
struct NormAlone;

struct SavedNorm {
    data: FlexTensor,
    norm: Norm,
    clamp: Clamp,
}

impl Backward<Flex, 3> for NormAlone {
    type State = Shared<SavedNorm>;

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let SavedNorm { data, norm, clamp } = &*ops.state.0;
        let gradient = channels_last(grads.consume::<Flex>(&ops.node));
        let dims = last_dims(data);
        let gradient = NormGradient::new(numbers(&gradient), numbers(data), dims[0], norm, *clamp);
        let [to_x, to_gamma, to_beta] = ops.parents.map(|parent| parent.map(|node| node.id));
        if let Some(node) = to_x {
            grads.register::<Flex>(node, from_channels_last(gradient.write(), dims));
        }
        for (node, vector) in [to_gamma, to_beta].into_iter().zip(gradient.to_parameters) {
            if let Some(node) = node {
                let shape = Shape::from([vector.len()]);
                grads.register::<Flex>(node, from_numbers(vector, shape));
            }
        }
    }
}

/// Gives an operation's input out once more. Its gradient does not go to the input, but is handed to the operation,
/// which adds its own while it writes. Parents: the input, and the operation's output, whose step back comes later by
/// that.
#[derive(Debug)]
struct HandOver;

/// A gradient on its way from [`HandOver`].
#[derive(Clone, Default)]
struct Handed(Arc<Mutex<Option<FlexTensor>>>);

impl Handed {
    fn take(&self) -> Option<FlexTensor> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Backward<Flex, 2> for HandOver {
    type State = Shared<Handed>;

    fn backward(self, ops: Ops<Self::State, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<Flex>(&ops.node);
        *ops.state.0.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(gradient);
    }
}

/// What a step back needs, kept once.
struct Shared<T>(Arc<T>);

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::any::type_name::<T>())
    }
}

/// Puts an operation into the graph, if any of its parents is in it.
fn finish<O, S, const N: usize>(
    operation: OpsPrep<O, Flex, Shared<S>, NoCheckpointing, N, Init>,
    state: S,
    output: FlexTensor,
) -> Tracked
where
    O: Backward<Flex, N, State = Shared<S>>,
    S: Send + Sync + 'static,
{
    match operation.compute_bound().stateful() {
        OpsKind::Tracked(operation) => operation.finish(Shared(Arc::new(state)), output),
        OpsKind::UnTracked(operation) => operation.finish(output),
    }
}

/// A tensor of `f32` on the CPU with gradients, none of whose activations are computed again; any other is none.
fn tracked<const D: usize>(tensor: &Tensor<D>) -> Option<Tracked> {
    let keeps = tensor.gradient_checkpointing_strategy() == Some(GradientCheckpointingStrategy::Disabled);
    let is_ours = keeps && tensor.dtype() == DType::F32;
    is_ours.then(|| tensor.clone().try_into_primitive::<Tracking>().ok()).flatten()
}

/// A tensor of `f32` on the CPU without gradients; any other is none.
fn plain<const D: usize>(tensor: &Tensor<D>) -> Option<FlexTensor> {
    let is_f32 = tensor.dtype() == DType::F32;
    is_f32.then(|| tensor.clone().try_into_primitive::<Flex>().ok()).flatten()
}

/// Whether the kernels are for a tensor without gradients.
pub fn is_at_home<const D: usize>(tensor: &Tensor<D>) -> bool {
    plain(tensor).is_some()
}

/// `[batch, channels, height, width]` of any strides as `[batch, height, width, channels]` without; copies if it must.
fn channels_last(tensor: FlexTensor) -> FlexTensor {
    let layout = tensor.layout().permute(&[0, 2, 3, 1]);
    contiguous(tensor.with_layout(layout))
}

fn contiguous(tensor: FlexTensor) -> FlexTensor {
    if tensor.as_slice::<f32>().is_some() { tensor } else { tensor.to_contiguous() }
}

/// The numbers of a contiguous tensor.
fn numbers(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice().expect("it was made contiguous, and its type was looked at")
}

/// The same to write to, without a copy if nobody else has the tensor.
fn into_numbers(tensor: FlexTensor) -> Vec<f32> {
    tensor.into_data().try_into_vec().expect("its type was looked at")
}

fn from_numbers(numbers: Vec<f32>, shape: Shape) -> FlexTensor {
    FlexTensor::new(Bytes::from_elems(numbers), Layout::contiguous(shape), DType::F32)
}

/// Numbers `[batch, height, width, channels]` as a tensor of burn's shape.
fn from_channels_last(numbers: Vec<f32>, dims: [usize; 4]) -> FlexTensor {
    let layout = Layout::contiguous(Shape::from(dims)).permute(&[0, 3, 1, 2]);
    FlexTensor::new(Bytes::from_elems(numbers), layout, DType::F32)
}

fn output_dims(conv: &Conv, batch: usize) -> [usize; 4] {
    let [rows, columns] = conv.shape().output_size();
    [batch, rows, columns, conv.shape().outputs]
}

/// Dimensions of a tensor that [`channels_last`] made.
fn last_dims(tensor: &FlexTensor) -> [usize; 4] {
    let shape = tensor.layout().shape();
    std::array::from_fn(|axis| shape[axis])
}

mod pool;
mod training;
mod transformer;

pub use pool::{global_average, max_pool};
pub use training::{cross_entropy, square_sum, step};
pub use transformer::{attention, dense, layer_norm};

#[cfg(test)]
mod tests;
