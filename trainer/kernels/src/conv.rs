//! Convolutions of square filters, dense and depthwise, forward and backward, on images with the channels last.
//!
//! No patch matrix is made: each image is laid out once as a [`Panel`] that stays in the second-level cache, and tiles of
//! pixels and output channels are summed in registers from there (Georganas 2018, arXiv 1808.05567). The gradient to the
//! input is the same sum with the roles of the channels exchanged, one for each phase of the stride. Filters of
//! three by three between many channels go another way, by fewer products (`winograd.rs`).

#![expect(unsafe_code, reason = "hands pointers into checked slices to the tiles")]

use std::mem::MaybeUninit;

use crate::cut::{channel_tiles, correlate_row, groups, vectors};
use crate::fresh::{as_room, assume_written, fresh};
use crate::norm::{self, Moments, NormGradient};
use crate::panel::{Panel, Pixels, Stored};
use crate::share::{for_each, map, share_of, take_front, with_scratch};
use crate::simd::{Isa, Kernel, LANES, LEVEL, Level, dispatch};
use crate::tile::{Inputs, Rectangle, filter_channels, inner_products};
use crate::winograd::Winograd;

/// What is convolved with what; all sides square but the image's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvShape {
    /// Images.
    pub batch: usize,
    /// Rows of an image.
    pub height: usize,
    /// Columns of an image.
    pub width: usize,
    /// Channels of an image.
    pub inputs: usize,
    /// Channels of the result.
    pub outputs: usize,
    /// Rows and columns of a filter.
    pub kernel: usize,
    /// Pixels from one place of the filter to the next.
    pub stride: usize,
    /// Zeros around the image.
    pub padding: usize,
    /// Rows of zeros below the image, and columns to the right of it, beyond those of `padding`: TensorFlow's `SAME` puts
    /// there what is left over.
    pub extra: usize,
    /// Whether each channel has a filter of its own and sees no other; then there are as many outputs as inputs.
    pub depthwise: bool,
}

impl ConvShape {
    /// Rows and columns of the result.
    pub fn output_size(&self) -> [usize; 2] {
        [self.height, self.width].map(|side| (side + 2 * self.padding + self.extra - self.kernel) / self.stride + 1)
    }

    /// Numbers of an image.
    pub fn input_len(&self) -> usize {
        self.height * self.width * self.inputs
    }

    /// Numbers of an image of the result.
    pub fn output_len(&self) -> usize {
        self.output_size().iter().product::<usize>() * self.outputs
    }

    /// Numbers of the weights, `[outputs, inputs, kernel, kernel]`; depthwise, `[outputs, 1, kernel, kernel]`.
    pub fn weight_len(&self) -> usize {
        let inputs = if self.depthwise { 1 } else { self.inputs };
        self.outputs * inputs * self.kernel * self.kernel
    }

    /// Shares of the batch whose gradients to the weights are summed apart.
    pub(crate) fn shares(&self) -> usize {
        let threads = rayon::current_num_threads();
        if self.weight_len() > MANY_WEIGHTS { threads } else { 2 * threads }
    }
}

/// The gradient to a convolution's result.
#[derive(Debug)]
pub enum Gradient<'a> {
    /// As it is in memory, `[batch, rows, columns, outputs]`.
    Stored(Stored<'a>),
    /// From behind a batch norm.
    ThroughNorm(&'a NormGradient<'a>),
}

/// Bytes of panels that a thread fills before it computes: most of a second-level cache of 1 MiB.
const PANEL_BYTES: usize = 640 << 10;
/// Bytes of weights that a tile reads again and again: most of a first-level cache of 48 KiB.
const WEIGHT_BYTES: usize = 32 << 10;
/// Pixels over which a tile of weight gradients is summed in registers.
const SUMMED_PIXELS: usize = 128;
/// Weights above which each thread sums the gradients of one share of the batch only.
const MANY_WEIGHTS: usize = 1 << 16;

/// A convolution, planned.
#[derive(Debug)]
pub struct Conv {
    shape: ConvShape,
    level: Level,
    /// Of the images.
    inputs: Panel,
    /// Of the gradients to the result.
    gradients: Panel,
    forward: Correlation,
    /// One for each phase of the input's pixels that any filter touches.
    backward: Vec<Correlation>,
    /// Whether phases touch all of the input's pixels.
    covers: bool,
    /// The faster way, where there is one.
    winograd: Option<Winograd>,
}

/// A sum over taps and channels of a panel, for a rectangle of pixels.
#[derive(Debug)]
struct Correlation {
    /// Row and column of the filter for each tap.
    filter: Vec<[usize; 2]>,
    /// Distances in the panel from a pixel's place to its taps.
    taps: Vec<usize>,
    /// Of the panel's channels; the filter's other side.
    channels: usize,
    outputs: usize,
    /// Channels in a block of the panel.
    block: usize,
    /// Vectors of outputs in a tile, at most.
    vectors: usize,
    depthwise: bool,
    /// Rows and columns of pixels.
    size: [usize; 2],
    /// Numbers in the output before the first pixel, from a row to the next, from a pixel to the next.
    place: [usize; 3],
}

impl Conv {
    /// Plans for this processor.
    ///
    /// # Panics
    /// If the filter does not fit into the padded image, or a side is zero.
    pub fn new(shape: ConvShape) -> Self {
        Self::at(*LEVEL, shape)
    }

    /// Plans for a level of instructions.
    pub fn at(level: Level, shape: ConvShape) -> Self {
        Self { winograd: Winograd::at(level, shape), ..Self::direct(level, shape) }
    }

    /// Plans to sum as convolutions are defined, where another way might be faster: to compare with.
    pub fn direct(level: Level, shape: ConvShape) -> Self {
        let ConvShape { height, width, inputs, outputs, kernel, stride, padding, extra, depthwise, .. } = shape;
        assert!(!depthwise || inputs == outputs, "{shape:?} has not one filter for each channel");
        assert!(kernel > 0 && stride > 0 && inputs > 0 && outputs > 0, "{shape:?} has an empty side");
        assert!(height.min(width) + 2 * padding + extra >= kernel, "{shape:?} has no room for its filter");
        let size = shape.output_size();
        let reach = kernel.div_ceil(stride) - 1;
        let of_inputs = Panel {
            channels: inputs,
            block: if inputs <= 4 && !depthwise { 4 } else { LANES },
            stride,
            phases: kernel.min(stride),
            offset: padding,
            size: size.map(|side| side + reach),
            image: [height, width],
        };
        let last = [height, width].map(|side| (side - 1 + padding) / stride);
        let of_gradients = Panel {
            channels: outputs,
            block: LANES,
            stride: 1,
            phases: 1,
            offset: reach,
            size: [0, 1].map(|axis| reach + size[axis].max(last[axis] + 1)),
            image: size,
        };
        let filter: Vec<[usize; 2]> = (0..kernel * kernel).map(|tap| [tap / kernel, tap % kernel]).collect();
        let forward = Correlation {
            taps: filter.iter().map(|&[row, column]| of_inputs.distance(row, column)).collect(),
            filter,
            channels: inputs,
            outputs,
            block: of_inputs.block,
            vectors: vectors(level, outputs, size[1]),
            depthwise,
            size,
            place: [0, size[1] * outputs, outputs],
        };
        let mut backward = Vec::new();
        for phase in (0..stride * stride).map(|phase| [phase / stride, phase % stride]) {
            backward.extend(Correlation::to_inputs(level, shape, &of_gradients, phase));
        }
        let covers = backward.iter().map(|c| c.size[0] * c.size[1]).sum::<usize>() == height * width;
        Self { shape, level, inputs: of_inputs, gradients: of_gradients, forward, backward, covers, winograd: None }
    }

    /// What is convolved with what.
    pub fn shape(&self) -> ConvShape {
        self.shape
    }

    /// `images` `[batch, height, width, inputs]` and `weights` `[outputs, inputs, kernel, kernel]` to
    /// `[batch, rows, columns, outputs]`.
    pub fn forward(&self, images: &[f32], weights: &[f32]) -> Vec<f32> {
        self.correlate_all(images, weights, None)
    }

    /// [`Self::forward`], and mean and variance of each output channel over the batch and its pixels.
    pub fn forward_with_moments(&self, images: &[f32], weights: &[f32]) -> (Vec<f32>, Moments) {
        let mut moments = vec![0.0; self.shape.batch * 2 * self.shape.outputs];
        let result = self.correlate_all(images, weights, Some(&mut moments));
        let pixels = self.shape.output_len() / self.shape.outputs;
        (result, Moments::of_images(&moments, self.shape.outputs, pixels))
    }

    fn correlate_all(&self, images: &[f32], weights: &[f32], moments: Option<&mut [f32]>) -> Vec<f32> {
        let ConvShape { batch, outputs, .. } = self.shape;
        assert_eq!(images.len(), batch * self.shape.input_len(), "the images are not of {:?}", self.shape);
        assert_eq!(weights.len(), self.shape.weight_len(), "the weights are not of {:?}", self.shape);
        if let Some(winograd) = &self.winograd {
            return winograd.forward(images, weights, moments);
        }
        let packed = self.forward.pack(weights, self.shape.kernel, Side::Forward);
        let mut result = fresh(batch * self.shape.output_len());
        let group = images_at_once(self.inputs.image_len()).min(batch.div_ceil(rayon::current_num_threads())).max(1);
        let of_group = |moments: Option<&mut [f32]>, index: usize, out: &mut [MaybeUninit<f32>]| {
            let from = index * group * self.shape.input_len();
            let images = &images[from..(from + group * self.shape.input_len()).min(images.len())];
            let count = images.len() / self.shape.input_len();
            with_scratch(count * self.inputs.image_len(), |panels| {
                dispatch(self.level, ForwardGroup { conv: self, images, weights: &packed, panels, out, moments });
            });
        };
        let results = result.chunks_mut(group * self.shape.output_len()).enumerate();
        match moments {
            Some(moments) => {
                for_each(results.zip(moments.chunks_mut(group * 2 * outputs)), |((index, out), moments)| {
                    of_group(Some(moments), index, out);
                });
            }
            None => for_each(results, |(index, out)| of_group(None, index, out)),
        }
        assume_written(result)
    }

    /// The gradient to the images, if `wants_images`, and that to the weights, from that to the result.
    ///
    /// `shortcut` is a gradient that the images get from elsewhere; it is added.
    pub fn backward(
        &self,
        images: &[f32],
        weights: &[f32],
        gradient: &Gradient,
        wants_images: bool,
        shortcut: Option<Vec<f32>>,
    ) -> (Option<Vec<f32>>, Vec<f32>) {
        // Here rather than in the caller, so that the loops are compiled once, and with this crate's settings.
        match gradient {
            Gradient::Stored(pixels) => self.backward_from(images, weights, pixels, wants_images, shortcut),
            Gradient::ThroughNorm(pixels) => self.backward_from(images, weights, *pixels, wants_images, shortcut),
        }
    }

    fn backward_from<P: Pixels + Sync>(
        &self,
        images: &[f32],
        weights: &[f32],
        gradient: &P,
        wants_images: bool,
        shortcut: Option<Vec<f32>>,
    ) -> (Option<Vec<f32>>, Vec<f32>) {
        let ConvShape { batch, kernel, .. } = self.shape;
        assert_eq!(images.len(), batch * self.shape.input_len(), "the images are not of {:?}", self.shape);
        assert_eq!(weights.len(), self.shape.weight_len(), "the weights are not of {:?}", self.shape);
        let adds = shortcut.is_some();
        let mut to_images: Vec<MaybeUninit<f32>> = match (shortcut, wants_images) {
            (Some(shortcut), true) => {
                assert_eq!(shortcut.len(), images.len(), "the shortcut is not of {:?}", self.shape);
                as_room(shortcut)
            }
            (None, true) => fresh(images.len()),
            (_, false) => Vec::new(),
        };
        if let Some(winograd) = &self.winograd {
            let to_weights = winograd.backward(images, weights, gradient, &mut to_images, adds);
            return (wants_images.then(|| assume_written(to_images)), to_weights);
        }
        let packed: Vec<_> = match wants_images {
            true => self.backward.iter().map(|c| c.pack(weights, kernel, Side::Backward)).collect(),
            false => Vec::new(),
        };
        let share = share_of(batch, self.shape.shares());
        let len = self.shape.input_len();
        let mut rest: &mut [MaybeUninit<f32>] = &mut to_images;
        let mut work = Vec::new();
        for first in (0..batch).step_by(share) {
            let count = share.min(batch - first);
            let mine = take_front(&mut rest, if wants_images { count * len } else { 0 });
            work.push((first, count, mine, vec![0.0; self.forward.packed_len()]));
        }
        let sums = map(work.into_iter(), |(first, count, to_images, mut sums)| {
            let group = images_at_once(self.inputs.image_len() + self.gradients.image_len()).min(count);
            let room = group * (self.inputs.image_len() + self.gradients.image_len());
            with_scratch(room, |panels| {
                let images = Stored { data: images, pixels: len / self.shape.inputs, channels: self.shape.inputs };
                let share = BackwardShare {
                    conv: self,
                    images,
                    gradient,
                    weights: &packed,
                    range: [first, count, group],
                    panels,
                    to_images,
                    adds,
                    sums: &mut sums,
                };
                dispatch(self.level, share);
            });
            sums
        });
        let mut sums = sums.into_iter();
        let mut total = sums.next().unwrap_or_else(|| vec![0.0; self.forward.packed_len()]);
        for sums in sums {
            norm::add_to(&mut total, &sums);
        }
        let to_weights = self.forward.unpack(&total, kernel);
        (wants_images.then(|| assume_written(to_images)), to_weights)
    }
}

/// Images whose panels fill the cache together.
fn images_at_once(panel_len: usize) -> usize {
    (PANEL_BYTES / (panel_len * size_of::<f32>())).max(1)
}

/// Which channels of `[outputs, inputs, kernel, kernel]` are summed over.
#[derive(Clone, Copy)]
enum Side {
    /// The second.
    Forward,
    /// The first.
    Backward,
}

impl Correlation {
    /// The gradient to those input pixels that have this phase in the padded image; `None` if there are none, or if no
    /// filter touches them.
    fn to_inputs(level: Level, shape: ConvShape, panel: &Panel, phase: [usize; 2]) -> Option<Self> {
        let ConvShape { height, width, inputs, outputs, kernel, stride, padding, .. } = shape;
        // The first image row of the phase, and that output row whose filter begins at it.
        let first = phase.map(|phase| (phase + stride * padding - padding) % stride);
        let begin = first.map(|first| (first + padding) / stride);
        let along = |axis: usize| (phase[axis]..kernel).step_by(stride);
        let filter: Vec<[usize; 2]> = along(0).flat_map(|row| along(1).map(move |column| [row, column])).collect();
        let size = [height, width];
        if filter.is_empty() || first[0] >= height || first[1] >= width {
            return None;
        }
        let size = [0, 1].map(|axis| (size[axis] - first[axis]).div_ceil(stride));
        let distance = |&[row, column]: &[usize; 2]| {
            panel.distance(begin[0] + panel.offset - row / stride, begin[1] + panel.offset - column / stride)
        };
        Some(Self {
            taps: filter.iter().map(distance).collect(),
            filter,
            channels: outputs,
            outputs: inputs,
            block: panel.block,
            vectors: vectors(level, inputs, size[1]),
            depthwise: shape.depthwise,
            size,
            place: [(first[0] * width + first[1]) * inputs, stride * width * inputs, stride * inputs],
        })
    }

    /// Numbers of the packed weights, whose lanes are full.
    fn packed_len(&self) -> usize {
        let channels = if self.depthwise { 1 } else { self.channels };
        self.taps.len() * channels * self.outputs.div_ceil(LANES) * LANES
    }

    /// Calls back with each weight's place in the packed order `[group][block][tap][channel][output of the group]` and
    /// in `[outputs, inputs, kernel, kernel]`. Depthwise, the packed order is `[block][tap][channel]`.
    fn for_each_weight(&self, kernel: usize, side: Side, mut f: impl FnMut(usize, usize)) {
        let area = kernel * kernel;
        if self.depthwise {
            for channel in 0..self.channels {
                for (tap, &[row, column]) in self.filter.iter().enumerate() {
                    let packed = (channel / LANES * self.taps.len() + tap) * LANES + channel % LANES;
                    f(packed, channel * area + row * kernel + column);
                }
            }
            return;
        }
        let [of_output, of_channel] = match side {
            Side::Forward => [self.channels * area, area],
            Side::Backward => [area, self.outputs * area],
        };
        let mut packed = 0;
        for (vector, count) in groups(self.outputs, self.vectors) {
            for block in (0..self.channels).step_by(self.block) {
                for &[row, column] in &self.filter {
                    for channel in block..(block + self.block).min(self.channels) {
                        let plain = channel * of_channel + row * kernel + column;
                        for lane in 0..count * LANES {
                            let output = vector * LANES + lane;
                            if output < self.outputs {
                                f(packed + lane, plain + output * of_output);
                            }
                        }
                        packed += count * LANES;
                    }
                }
            }
        }
    }

    fn pack(&self, weights: &[f32], kernel: usize, side: Side) -> Vec<f32> {
        let mut packed = vec![0.0; self.packed_len()];
        self.for_each_weight(kernel, side, |to, from| packed[to] = weights[from]);
        packed
    }

    fn unpack(&self, packed: &[f32], kernel: usize) -> Vec<f32> {
        let channels = if self.depthwise { 1 } else { self.channels };
        let mut weights = vec![0.0; self.outputs * channels * kernel * kernel];
        self.for_each_weight(kernel, Side::Forward, |from, to| weights[to] = packed[from]);
        weights
    }

    /// Sums for some images.
    ///
    /// # Safety
    /// `panels` must hold the images' panels, `weights` must be packed, and `out` must have room for the results,
    /// `image_len` numbers apart, and hold numbers if `adds`.
    #[inline(always)]
    unsafe fn run<I: Isa>(
        &self,
        panel: &Panel,
        panels: &[f32],
        weights: &[f32],
        out: *mut f32,
        image_len: usize,
        adds: bool,
    ) {
        debug_assert_eq!(weights.len(), self.packed_len());
        // SAFETY: the panel has the taps of each of these pixels, as `Conv::at` made it; the caller has the rest.
        unsafe {
            match self.block {
                _ if self.depthwise => self.run_depthwise::<I>(panel, panels, weights, out, image_len, adds),
                4 => self.run_blocked::<I, 4>(panel, panels, weights, out, image_len, adds),
                _ => self.run_blocked::<I, LANES>(panel, panels, weights, out, image_len, adds),
            }
        }
    }

    /// [`Self::run`] where each channel has its own filter.
    #[inline(always)]
    unsafe fn run_depthwise<I: Isa>(
        &self,
        panel: &Panel,
        panels: &[f32],
        weights: &[f32],
        out: *mut f32,
        image_len: usize,
        adds: bool,
    ) {
        let [rows, columns] = self.size;
        for (image, panel_of_image) in panels.chunks_exact(panel.image_len()).enumerate() {
            for block in 0..panel.blocks() {
                let lanes = self.channels - block * LANES;
                for row in 0..rows {
                    // SAFETY: as the caller promises.
                    unsafe {
                        let x = panel_of_image.as_ptr().add(block * panel.block_stride() + row * panel.row_stride());
                        let weights = weights.as_ptr().add(block * self.taps.len() * LANES);
                        let to = out.add(image * image_len + self.place[0] + row * self.place[1] + block * LANES);
                        let mut column = 0;
                        macro_rules! tile {
                            ($p:literal) => {{
                                let (x, to) = (x.add(column * LANES), to.add(column * self.place[2]));
                                filter_channels::<I, $p>(x, &self.taps, weights, to, self.place[2], lanes, adds);
                                column += $p;
                            }};
                        }
                        while column + 8 <= columns {
                            tile!(8);
                        }
                        while column + 4 <= columns {
                            tile!(4);
                        }
                        while column < columns {
                            tile!(1);
                        }
                    }
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn run_blocked<I: Isa, const B: usize>(
        &self,
        panel: &Panel,
        panels: &[f32],
        weights: &[f32],
        out: *mut f32,
        image_len: usize,
        adds: bool,
    ) {
        let blocks = panel.blocks();
        for (vector, count) in groups(self.outputs, self.vectors) {
            let width = count * LANES;
            let lanes = (self.outputs - vector * LANES).min(width);
            let at_once = (WEIGHT_BYTES / (self.taps.len() * B * width * size_of::<f32>())).clamp(1, blocks);
            for block in (0..blocks).step_by(at_once) {
                let these = at_once.min(blocks - block);
                let inputs = Inputs {
                    blocks: these,
                    block_stride: panel.block_stride(),
                    last: if block + these == blocks { panel.last() } else { B },
                    taps: &self.taps,
                };
                let begin = self.taps.len() * (vector * LANES * self.channels + block * B * width);
                for (image, panel_of_image) in panels.chunks_exact(panel.image_len()).enumerate() {
                    for row in 0..self.size[0] {
                        // SAFETY: as the caller promises.
                        unsafe {
                            let x =
                                panel_of_image.as_ptr().add(block * panel.block_stride() + row * panel.row_stride());
                            let to = image * image_len + self.place[0] + row * self.place[1] + vector * LANES;
                            let adds = adds || block > 0;
                            let to = out.add(to);
                            let pixels = [self.size[1], self.place[2]];
                            correlate_row::<I, B>(
                                x,
                                inputs,
                                weights.as_ptr().add(begin),
                                to,
                                pixels,
                                [count, lanes],
                                adds,
                            );
                        }
                    }
                }
            }
        }
    }
}

struct ForwardGroup<'a> {
    conv: &'a Conv,
    images: &'a [f32],
    weights: &'a [f32],
    panels: &'a mut [f32],
    out: &'a mut [MaybeUninit<f32>],
    moments: Option<&'a mut [f32]>,
}

impl Kernel for ForwardGroup<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let Self { conv: Conv { shape, inputs, forward, .. }, images, weights, panels, out, moments } = self;
        let pixels = Stored { data: images, pixels: shape.height * shape.width, channels: shape.inputs };
        let len = shape.output_len();
        // SAFETY: panels and outputs were made for these images.
        unsafe {
            for (image, panel) in panels.chunks_exact_mut(inputs.image_len()).enumerate() {
                inputs.fill::<I>(&pixels, image, panel.as_mut_ptr());
            }
            forward.run::<I>(inputs, panels, weights, out.as_mut_ptr().cast(), len, false);
        }
        let Some(moments) = moments else { return };
        for (image, moments) in out.chunks_exact(len).zip(moments.chunks_exact_mut(2 * shape.outputs)) {
            // SAFETY: all of the image was just written.
            unsafe { norm::moments::<I>(image.assume_init_ref(), shape.outputs, moments) };
        }
    }
}

struct BackwardShare<'a, P> {
    conv: &'a Conv,
    images: Stored<'a>,
    gradient: &'a P,
    weights: &'a [Vec<f32>],
    /// First image, how many, and how many at once.
    range: [usize; 3],
    panels: &'a mut [f32],
    to_images: &'a mut [MaybeUninit<f32>],
    adds: bool,
    sums: &'a mut [f32],
}

impl<P: Pixels> Kernel for BackwardShare<'_, P> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let Self { conv, images, gradient, weights, range: [first, count, group], panels, to_images, adds, sums } =
            self;
        let Conv { shape, inputs, gradients, backward, covers, .. } = conv;
        let (of_images, of_gradients) = panels.split_at_mut(group * inputs.image_len());
        let len = shape.input_len();
        for begin in (0..count).step_by(group) {
            let these = group.min(count - begin);
            let of_images = &mut of_images[..these * inputs.image_len()];
            let of_gradients = &mut of_gradients[..these * gradients.image_len()];
            // SAFETY: panels, sums and outputs were made for these images.
            unsafe {
                for image in 0..these {
                    let panel = of_images[image * inputs.image_len()..].as_mut_ptr();
                    inputs.fill::<I>(&images, first + begin + image, panel);
                    let panel = of_gradients[image * gradients.image_len()..].as_mut_ptr();
                    gradients.fill::<I>(gradient, first + begin + image, panel);
                }
                conv.sum_weights::<I>(these, of_images, of_gradients, sums);
                if !to_images.is_empty() {
                    let out = &mut to_images[begin * len..(begin + these) * len];
                    if !covers && !adds {
                        out.fill(MaybeUninit::new(0.0));
                    }
                    for (phase, weights) in backward.iter().zip(weights) {
                        phase.run::<I>(gradients, of_gradients, weights, out.as_mut_ptr().cast(), len, adds);
                    }
                }
            }
        }
    }
}

impl Conv {
    /// Adds the gradients of some images to the packed sums.
    ///
    /// # Safety
    /// The slices must be of so many images, and of this convolution.
    #[inline(always)]
    unsafe fn sum_weights<I: Isa>(&self, images: usize, x: &[f32], gradient: &[f32], sums: &mut [f32]) {
        // SAFETY: the caller's.
        unsafe {
            match self.inputs.block {
                _ if self.shape.depthwise => self.sum_depthwise::<I>(x, gradient, sums),
                4 => self.sum_weights_blocked::<I, 4>(images, x, gradient, sums),
                _ => self.sum_weights_blocked::<I, LANES>(images, x, gradient, sums),
            }
        }
    }

    #[inline(always)]
    unsafe fn sum_depthwise<I: Isa>(&self, x: &[f32], gradient: &[f32], sums: &mut [f32]) {
        let Self { inputs, gradients, forward, .. } = self;
        let [rows, columns] = forward.size;
        let over = Rectangle {
            images: x.len() / inputs.image_len(),
            rows,
            columns,
            image_stride: [inputs.image_len(), gradients.image_len()],
            row_stride: [inputs.row_stride(), gradients.row_stride()],
            vector_stride: 0,
        };
        for block in 0..inputs.blocks() {
            // SAFETY: the rectangle is inside the panels, and the sums have each tap of each block.
            unsafe {
                let x = x.as_ptr().add(block * inputs.block_stride());
                let offset = gradients.offset * (gradients.row_stride() + LANES);
                let gradient = gradient.as_ptr().add(block * gradients.block_stride() + offset);
                let sums = sums.as_mut_ptr().add(block * forward.taps.len() * LANES);
                let mut tap = 0;
                macro_rules! tile {
                    ($t:literal) => {{
                        let taps = std::array::from_fn(|index| forward.taps[tap + index]);
                        inner_products::<I, $t>(x, taps, gradient, over, sums.add(tap * LANES));
                        tap += $t;
                    }};
                }
                while tap < forward.taps.len() {
                    match forward.taps.len() - tap {
                        9 => tile!(9),
                        5.. => tile!(5),
                        _ => tile!(1),
                    }
                }
            }
        }
    }

    #[inline(always)]
    unsafe fn sum_weights_blocked<I: Isa, const B: usize>(
        &self,
        images: usize,
        x: &[f32],
        gradient: &[f32],
        sums: &mut [f32],
    ) {
        let Self { inputs, gradients, forward, .. } = self;
        let [rows, columns] = forward.size;
        let rows_at_once = SUMMED_PIXELS.div_ceil(columns).min(rows);
        let images_at_once = SUMMED_PIXELS.div_ceil(rows * columns).min(images);
        let offset = gradients.offset * (gradients.row_stride() + LANES);
        for (vector, count) in groups(forward.outputs, forward.vectors) {
            for block in 0..inputs.blocks() {
                let channels = if block + 1 == inputs.blocks() { inputs.last() } else { B };
                let begin = vector * LANES * forward.taps.len() * forward.channels
                    + block * B * forward.taps.len() * count * LANES;
                for image in (0..images).step_by(images_at_once) {
                    for row in (0..rows).step_by(rows_at_once) {
                        let over = Rectangle {
                            images: images_at_once.min(images - image),
                            rows: rows_at_once.min(rows - row),
                            columns,
                            image_stride: [inputs.image_len(), gradients.image_len()],
                            row_stride: [inputs.row_stride(), gradients.row_stride()],
                            vector_stride: gradients.block_stride(),
                        };
                        // SAFETY: the rectangle is inside the panels, and the sums have each block of each group.
                        unsafe {
                            let x = x.as_ptr().add(
                                image * inputs.image_len() + block * inputs.block_stride() + row * inputs.row_stride(),
                            );
                            let gradient = gradient.as_ptr().add(
                                image * gradients.image_len()
                                    + vector * gradients.block_stride()
                                    + row * gradients.row_stride()
                                    + offset,
                            );
                            for (index, &tap) in forward.taps.iter().enumerate() {
                                let sums = sums.as_mut_ptr().add(begin + index * channels * count * LANES);
                                channel_tiles::<I, B>(x.add(tap), gradient, over, sums, channels, count);
                            }
                        }
                    }
                }
            }
        }
    }
}
