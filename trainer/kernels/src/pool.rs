//! Pooling of images with the channels last: the maximum of each window, and the mean of all pixels.

#![expect(unsafe_code, reason = "reads and writes vectors")]

use std::mem::MaybeUninit;
use std::ops::Range;

use crate::fresh::{assume_written, fresh};
use crate::panel::{read_up_to, write_up_to};
use crate::share::{for_each, share_of, threads_for};
use crate::simd::{Isa, Kernel, LANES, LEVEL, Level, dispatch};

/// The maximum of each window and channel; what is outside the image is below everything.
///
/// The gradient goes to the first of the largest pixels of a window, as in PyTorch.
#[derive(Clone, Copy, Debug)]
pub struct MaxPool {
    /// Rows and columns of an image.
    pub image: [usize; 2],
    /// Channels of a pixel.
    pub channels: usize,
    /// Rows and columns of a window.
    pub kernel: usize,
    /// Pixels from one window to the next.
    pub stride: usize,
    /// Pixels by which windows reach out of the image; at most half a window, so that each has a pixel.
    pub padding: usize,
    level: Level,
}

impl MaxPool {
    /// A pooling for this processor.
    ///
    /// # Panics
    /// If a window does not fit into the padded image, or could lie outside of it.
    pub fn new(image: [usize; 2], channels: usize, [kernel, stride, padding]: [usize; 3]) -> Self {
        Self::at(*LEVEL, image, channels, [kernel, stride, padding])
    }

    /// A pooling for a level of instructions.
    pub fn at(level: Level, image: [usize; 2], channels: usize, [kernel, stride, padding]: [usize; 3]) -> Self {
        let pool = Self { image, channels, kernel, stride, padding, level };
        assert!(kernel > 0 && stride > 0 && channels > 0, "{pool:?} has an empty side");
        assert!(2 * padding <= kernel, "windows of {pool:?} could be outside the image");
        assert!(image.iter().all(|side| side + 2 * padding >= kernel), "{pool:?} has no room for its window");
        pool
    }

    /// Rows and columns of the result.
    pub fn output_size(&self) -> [usize; 2] {
        self.image.map(|side| (side + 2 * self.padding - self.kernel) / self.stride + 1)
    }

    /// `images` `[batch, height, width, channels]` to `[batch, rows, columns, channels]`.
    ///
    /// # Panics
    /// If a length does not fit.
    pub fn forward(&self, images: &[f32]) -> Vec<f32> {
        let [input, output] = self.lengths();
        assert!(images.len().is_multiple_of(input), "the images are not of {self:?}");
        let batch = images.len() / input;
        let mut result = fresh(batch * output);
        let share = self.share(batch);
        for_each(result.chunks_mut(share * output).zip(images.chunks(share * input)), |(out, images)| {
            dispatch(self.level, Forward { pool: self, images, out });
        });
        assume_written(result)
    }

    /// The gradient to the images from that to the result.
    ///
    /// # Panics
    /// If a length does not fit.
    pub fn backward(&self, images: &[f32], result: &[f32], gradient: &[f32]) -> Vec<f32> {
        let [input, output] = self.lengths();
        let batch = images.len() / input;
        let fits = images.len() == batch * input && [result, gradient].iter().all(|it| it.len() == batch * output);
        assert!(fits, "the images, results and gradients are not of {self:?}");
        let mut to_images = fresh(images.len());
        let share = self.share(batch);
        let parts =
            images.chunks(share * input).zip(result.chunks(share * output)).zip(gradient.chunks(share * output));
        for_each(parts.zip(to_images.chunks_mut(share * input)), |(((images, result), gradient), to_images)| {
            dispatch(self.level, Backward { pool: self, images, result, gradient, to_images });
        });
        assume_written(to_images)
    }

    /// Numbers of an image and of its result.
    fn lengths(&self) -> [usize; 2] {
        [self.image, self.output_size()].map(|size| size[0] * size[1] * self.channels)
    }

    /// Images that a thread takes at once.
    fn share(&self, batch: usize) -> usize {
        // About as much work for a number as sixteen products.
        share_of(batch, threads_for(16 * batch * self.lengths()[0]))
    }

    /// The rows (or columns) of the image under a window.
    #[inline(always)]
    fn window(&self, index: usize, axis: usize) -> Range<usize> {
        let begin = index * self.stride;
        begin.saturating_sub(self.padding)..(begin + self.kernel - self.padding).min(self.image[axis])
    }

    /// Whether each pixel is in exactly one window.
    fn tiles(&self) -> bool {
        self.kernel == self.stride && self.padding == 0 && self.image.iter().all(|side| side % self.kernel == 0)
    }
}

struct Forward<'a> {
    pool: &'a MaxPool,
    images: &'a [f32],
    out: &'a mut [MaybeUninit<f32>],
}

impl Kernel for Forward<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let Self { pool, images, out } = self;
        let channels = pool.channels;
        let ([input, output], [rows, columns]) = (pool.lengths(), pool.output_size());
        for (image, out) in images.chunks_exact(input).zip(out.chunks_exact_mut(output)) {
            for (index, out) in out.chunks_exact_mut(channels).enumerate() {
                let (of_rows, of_columns) = (pool.window(index / columns % rows, 0), pool.window(index % columns, 1));
                for channel in (0..channels).step_by(LANES) {
                    let count = channels - channel;
                    // SAFETY: the window's pixels are in the image, and the result's pixel has the channels.
                    unsafe {
                        let mut most = I::splat(f32::NEG_INFINITY);
                        for row in of_rows.clone() {
                            let line = image.as_ptr().add(row * pool.image[1] * channels + channel);
                            for column in of_columns.clone() {
                                most = I::max(most, read_up_to::<I>(line.add(column * channels), count));
                            }
                        }
                        write_up_to::<I>(out.as_mut_ptr().cast::<f32>().add(channel), count, most);
                    }
                }
            }
        }
    }
}

struct Backward<'a> {
    pool: &'a MaxPool,
    images: &'a [f32],
    result: &'a [f32],
    gradient: &'a [f32],
    to_images: &'a mut [MaybeUninit<f32>],
}

impl Kernel for Backward<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let Self { pool, images, result, gradient, to_images } = self;
        let (channels, [input, output], [rows, columns]) = (pool.channels, pool.lengths(), pool.output_size());
        let tiles = pool.tiles();
        if !tiles {
            to_images.fill(MaybeUninit::new(0.0));
        }
        let of_images = images.chunks_exact(input).zip(to_images.chunks_exact_mut(input));
        let of_results = result.chunks_exact(output).zip(gradient.chunks_exact(output));
        for ((image, to_image), (result, gradient)) in of_images.zip(of_results) {
            let to_image = to_image.as_mut_ptr().cast::<f32>();
            for index in 0..rows * columns {
                let (of_rows, of_columns) = (pool.window(index / columns, 0), pool.window(index % columns, 1));
                for channel in (0..channels).step_by(LANES) {
                    let (count, at) = (channels - channel, index * channels + channel);
                    // SAFETY: as in the forward pass; where windows overlap, what is read was set to zero first.
                    unsafe {
                        let most = read_up_to::<I>(result.as_ptr().add(at), count);
                        // What no pixel of the window has taken yet.
                        let mut left = read_up_to::<I>(gradient.as_ptr().add(at), count);
                        for row in of_rows.clone() {
                            for column in of_columns.clone() {
                                let at = (row * pool.image[1] + column) * channels + channel;
                                let here = read_up_to::<I>(image.as_ptr().add(at), count);
                                let taken = I::keep_equal(here, most, left);
                                left = I::sub(left, taken);
                                let to = to_image.add(at);
                                let sum = if tiles { taken } else { I::add(read_up_to::<I>(to, count), taken) };
                                write_up_to::<I>(to, count, sum);
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The mean of all pixels of each image: `[batch, pixels, channels]` to `[batch, channels]`.
///
/// # Panics
/// If the length does not fit.
pub fn average(images: &[f32], pixels: usize, channels: usize) -> Vec<f32> {
    assert!(
        images.len().is_multiple_of(pixels * channels),
        "the images have no {pixels} pixels of {channels} channels"
    );
    dispatch(*LEVEL, Average { images, pixels, channels })
}

/// The gradient to the images of [`average`] from that to the means.
pub fn average_back(gradient: &[f32], pixels: usize, channels: usize) -> Vec<f32> {
    let mut to_images = Vec::with_capacity(gradient.len() * pixels);
    let mut row = vec![0.0; channels];
    for gradient in gradient.chunks_exact(channels) {
        row.iter_mut().zip(gradient).for_each(|(to, g)| *to = g / pixels as f32);
        for _ in 0..pixels {
            to_images.extend_from_slice(&row);
        }
    }
    to_images
}

struct Average<'a> {
    images: &'a [f32],
    pixels: usize,
    channels: usize,
}

impl Kernel for Average<'_> {
    type Output = Vec<f32>;

    #[inline(always)]
    unsafe fn run<I: Isa>(self) -> Vec<f32> {
        let Self { images, pixels, channels } = self;
        let mut means = vec![0.0; images.len() / pixels];
        for (image, means) in images.chunks_exact(pixels * channels).zip(means.chunks_exact_mut(channels)) {
            for channel in (0..channels).step_by(LANES) {
                let count = channels - channel;
                // SAFETY: each pixel has these channels, and so have the means.
                unsafe {
                    let mut sum = I::zero();
                    for pixel in image.chunks_exact(channels) {
                        sum = I::add(sum, read_up_to::<I>(pixel.as_ptr().add(channel), count));
                    }
                    let mean = I::div(sum, I::splat(pixels as f32));
                    write_up_to::<I>(means.as_mut_ptr().add(channel), count, mean);
                }
            }
        }
        means
    }
}
