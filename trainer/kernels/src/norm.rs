//! Batch norm with what follows it in one pass: a shortcut that is added, and an activation that clamps.
//!
//! Ioffe 2015 (arXiv 1502.03167). Forward, the moments are gathered image by image while a convolution's result is still
//! in the cache; backward, the gradient to the convolution's result is never written to memory, but made where the
//! convolution reads it ([`NormGradient`]).

#![expect(unsafe_code, reason = "reads and writes vectors")]

use std::mem::MaybeUninit;

use crate::fresh::{assume_written, fresh};
use crate::panel::{Pixels, read_up_to, write_up_to};
use crate::share::for_each;
use crate::simd::{Isa, Kernel, LANES, LEVEL, dispatch};

/// Mean and variance of each channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Moments {
    /// Means.
    pub mean: Vec<f32>,
    /// Mean squared deviations from the mean.
    pub variance: Vec<f32>,
    /// How many numbers each is of.
    pub count: usize,
}

impl Moments {
    /// Joins those of images, `[image][mean, sum of squared deviations][channel]`, of so many pixels each, as
    /// Chan 1983 does.
    pub(crate) fn of_images(images: &[f32], channels: usize, pixels: usize) -> Self {
        let count = images.len() / (2 * channels);
        let mut mean = vec![0.0; channels];
        for image in images.chunks_exact(2 * channels) {
            for (mean, &x) in mean.iter_mut().zip(image) {
                *mean += f64::from(x) / count as f64;
            }
        }
        let mut deviations = vec![0.0; channels];
        for image in images.chunks_exact(2 * channels) {
            for (channel, sum) in deviations.iter_mut().enumerate() {
                let off = f64::from(image[channel]) - mean[channel];
                *sum += f64::from(image[channels + channel]) + pixels as f64 * off * off;
            }
        }
        let count = count * pixels;
        Self {
            mean: mean.iter().map(|&x| x as f32).collect(),
            variance: deviations.iter().map(|&x| (x / count as f64) as f32).collect(),
            count,
        }
    }

    /// Moments of `[pixels, channels]`; the pixels are of `images` images.
    pub fn of(data: &[f32], channels: usize, images: usize) -> Self {
        let mut moments = vec![0.0; images * 2 * channels];
        let len = data.len() / images;
        for_each(data.chunks_exact(len).zip(moments.chunks_exact_mut(2 * channels)), |(image, moments)| {
            dispatch(*LEVEL, MomentsOf { image, channels, moments });
        });
        Self::of_images(&moments, channels, len / channels)
    }

    /// The variance as an estimate for more data than was seen: over one less than the count, as PyTorch keeps it.
    pub fn unbiased_variance(&self) -> Vec<f32> {
        let factor = self.count as f64 / (self.count as f64 - 1.0).max(1.0);
        self.variance.iter().map(|&variance| (f64::from(variance) * factor) as f32).collect()
    }

    /// `1 / √(variance + epsilon)`.
    pub fn inverse_deviation(&self, epsilon: f64) -> Vec<f32> {
        self.variance.iter().map(|&variance| (1.0 / (f64::from(variance) + epsilon).sqrt()) as f32).collect()
    }
}

struct MomentsOf<'a> {
    image: &'a [f32],
    channels: usize,
    moments: &'a mut [f32],
}

impl Kernel for MomentsOf<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        // SAFETY: as of this method.
        unsafe { moments::<I>(self.image, self.channels, self.moments) }
    }
}

/// Means of an image's channels, then their sums of squared deviations.
///
/// # Safety
/// The processor must have the instructions; `moments` must have twice the channels.
#[inline(always)]
pub(crate) unsafe fn moments<I: Isa>(image: &[f32], channels: usize, moments: &mut [f32]) {
    assert_eq!(moments.len(), 2 * channels);
    let pixels = image.len() / channels;
    for channel in (0..channels).step_by(LANES) {
        let count = channels - channel;
        // SAFETY: pixel and channel are inside.
        unsafe {
            let at = |pixel: usize| read_up_to::<I>(image.as_ptr().add(pixel * channels + channel), count);
            let mean = sum::<I>(pixels, at);
            let mean = I::mul(mean, I::splat(1.0 / pixels as f32));
            let deviations = sum::<I>(pixels, |pixel| {
                let off = I::sub(at(pixel), mean);
                I::mul(off, off)
            });
            write_up_to::<I>(moments.as_mut_ptr().add(channel), count, mean);
            write_up_to::<I>(moments.as_mut_ptr().add(channels + channel), count, deviations);
        }
    }
}

/// Sums in four strands, since an addition takes as many cycles.
#[inline(always)]
unsafe fn sum<I: Isa>(count: usize, term: impl Fn(usize) -> I::V) -> I::V {
    // SAFETY: the caller sees to the instructions.
    unsafe {
        let mut strands = [I::zero(); 4];
        let whole = count / 4 * 4;
        for first in (0..whole).step_by(4) {
            for (offset, strand) in strands.iter_mut().enumerate() {
                *strand = I::add(*strand, term(first + offset));
            }
        }
        for index in whole..count {
            strands[0] = I::add(strands[0], term(index));
        }
        I::add(I::add(strands[0], strands[1]), I::add(strands[2], strands[3]))
    }
}

/// An activation that clamps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Clamp {
    /// Nothing is done.
    Nothing,
    /// Negative numbers become zero.
    Relu,
    /// [`Self::Relu`], and more than six becomes six (Krizhevsky 2010).
    Relu6,
}

impl Clamp {
    /// The bounds; the gradient passes strictly between them.
    pub fn bounds(self) -> [f32; 2] {
        match self {
            Self::Nothing => [f32::NEG_INFINITY, f32::INFINITY],
            Self::Relu => [0.0, f32::INFINITY],
            Self::Relu6 => [0.0, 6.0],
        }
    }
}

/// What is added before the activation.
#[derive(Clone, Copy, Debug)]
pub enum Shortcut<'a> {
    /// Nothing.
    Nothing,
    /// A result of the same shape.
    Same(&'a [f32]),
    /// Every `stride`-th pixel of images `[height, width, channels]`, its channels behind `before` zeros: option A of
    /// He 2016 (arXiv 1512.03385).
    Subsampled {
        /// The images.
        data: &'a [f32],
        /// Rows and columns of an image.
        size: [usize; 2],
        /// Channels of a pixel.
        channels: usize,
        /// Pixels from one that counts to the next.
        stride: usize,
        /// Channels of zeros before.
        before: usize,
    },
}

/// `clamp(data · scale + shift + shortcut)`, `[images, rows, columns, channels]`.
pub fn scale_shift_clamp(
    data: &[f32],
    images: usize,
    [scale, shift]: [&[f32]; 2],
    shortcut: Shortcut,
    clamp: Clamp,
) -> Vec<f32> {
    let channels = scale.len();
    assert!(shift.len() == channels && images > 0 && data.len().is_multiple_of(images * channels));
    let len = data.len() / images;
    let mut out = fresh(data.len());
    let results = out.chunks_exact_mut(len).zip(data.chunks_exact(len)).enumerate();
    for_each(results, |(image, (out, data))| {
        // The parts that do not overlap the shortcut's channels are done without it, and then those that do again.
        let shortcut_of = match shortcut {
            Shortcut::Same(shortcut) => Some(&shortcut[image * len..(image + 1) * len]),
            _ => None,
        };
        let no_clamp = matches!(shortcut, Shortcut::Subsampled { .. });
        let bounds = if no_clamp { Clamp::Nothing } else { clamp }.bounds();
        let out: &mut [_] = out;
        dispatch(
            *LEVEL,
            ScaleShift { data, scale, shift, shortcut: shortcut_of, bounds, out: out.as_mut_ptr().cast() },
        );
        if let Shortcut::Subsampled { data, size: [height, width], channels: fewer, stride, before } = shortcut {
            // SAFETY: all was just written.
            let out = unsafe { out.assume_init_mut() };
            let columns = width.div_ceil(stride);
            let images = &data[image * height * width * fewer..(image + 1) * height * width * fewer];
            for (pixel, out) in out.chunks_exact_mut(channels).enumerate() {
                let from = (pixel / columns * width + pixel % columns) * stride * fewer;
                let out_of = &mut out[before..before + fewer];
                for (out, &x) in out_of.iter_mut().zip(&images[from..from + fewer]) {
                    *out += x;
                }
                let [low, high] = clamp.bounds();
                for x in out {
                    // Not `clamp`, and in this order: no number must stay none.
                    *x = if *x < low {
                        low
                    } else if *x > high {
                        high
                    } else {
                        *x
                    };
                }
            }
        }
    });
    assume_written(out)
}

struct ScaleShift<'a> {
    data: &'a [f32],
    scale: &'a [f32],
    shift: &'a [f32],
    shortcut: Option<&'a [f32]>,
    bounds: [f32; 2],
    out: *mut f32,
}

impl Kernel for ScaleShift<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let Self { data, scale, shift, shortcut, bounds, out } = self;
        let channels = scale.len();
        assert!(shortcut.is_none_or(|shortcut| shortcut.len() == data.len()));
        // SAFETY: all slices have these pixels and channels.
        unsafe {
            let [low, high] = bounds.map(|bound| I::splat(bound));
            for channel in (0..channels).step_by(LANES) {
                let count = channels - channel;
                let scale = read_up_to::<I>(scale.as_ptr().add(channel), count);
                let shift = read_up_to::<I>(shift.as_ptr().add(channel), count);
                for at in (channel..data.len()).step_by(channels) {
                    let mut x = I::fma(read_up_to::<I>(data.as_ptr().add(at), count), scale, shift);
                    if let Some(shortcut) = shortcut {
                        x = I::add(x, read_up_to::<I>(shortcut.as_ptr().add(at), count));
                    }
                    // In this order a NaN stays one.
                    write_up_to::<I>(out.add(at), count, I::min(high, I::max(low, x)));
                }
            }
        }
    }
}

/// A batch norm of a training step, as its gradient needs it.
#[derive(Clone, Debug)]
pub struct Norm {
    /// Factor after the normalization.
    pub gamma: Vec<f32>,
    /// Of the batch.
    pub mean: Vec<f32>,
    /// `1 / √(variance + epsilon)` of the batch.
    pub inverse_deviation: Vec<f32>,
    /// `gamma · inverse_deviation`.
    pub scale: Vec<f32>,
    /// `beta − mean · scale`.
    pub shift: Vec<f32>,
}

impl Norm {
    /// The norm of a batch with these moments.
    pub fn new(moments: &Moments, gamma: &[f32], beta: &[f32], epsilon: f64) -> Self {
        let inverse_deviation = moments.inverse_deviation(epsilon);
        let scale: Vec<f32> = gamma.iter().zip(&inverse_deviation).map(|(&gamma, &inverse)| gamma * inverse).collect();
        let shift =
            beta.iter().zip(&moments.mean).zip(&scale).map(|((&beta, &mean), &scale)| beta - mean * scale).collect();
        Self { gamma: gamma.to_vec(), mean: moments.mean.clone(), inverse_deviation, scale, shift }
    }
}

/// Sets gradients to zero where the activation was at a bound, as its output tells.
pub fn mask(gradient: &mut [f32], output: &[f32], clamp: Clamp) {
    if clamp == Clamp::Nothing {
        return;
    }
    assert_eq!(gradient.len(), output.len());
    let share = gradient.len().div_ceil(4 * rayon::current_num_threads()).next_multiple_of(LANES).max(1 << 12);
    for_each(gradient.chunks_mut(share).zip(output.chunks(share)), |(gradient, output)| {
        dispatch(*LEVEL, Mask { gradient, output, bounds: clamp.bounds() });
    });
}

struct Mask<'a> {
    gradient: &'a mut [f32],
    output: &'a [f32],
    bounds: [f32; 2],
}

impl Kernel for Mask<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let len = self.gradient.len();
        assert_eq!(self.output.len(), len);
        // SAFETY: both slices have these numbers.
        unsafe {
            let [low, high] = self.bounds.map(|bound| I::splat(bound));
            for at in (0..len).step_by(LANES) {
                let to = self.gradient.as_mut_ptr().add(at);
                let y = read_up_to::<I>(self.output.as_ptr().add(at), len - at);
                let gradient = I::keep_between(y, low, high, read_up_to::<I>(to, len - at));
                write_up_to::<I>(to, len - at, gradient);
            }
        }
    }
}

/// The gradient to what a batch norm was given, made pixel by pixel where it is read.
#[derive(Debug)]
pub struct NormGradient<'a> {
    /// To the output.
    gradient: &'a [f32],
    /// What was normalized.
    data: &'a [f32],
    pixels: usize,
    norm: &'a Norm,
    /// Bounds of the activation, if its mask is not in the gradient yet.
    bounds: Option<[f32; 2]>,
    /// Factors of the gradient and of the data, and what is added.
    terms: [Vec<f32>; 3],
    /// Gradients to gamma and to beta.
    pub to_parameters: [Vec<f32>; 2],
}

impl<'a> NormGradient<'a> {
    /// Sums the gradients to the parameters, which all others need.
    ///
    /// The activation is that without a shortcut if `clamp` says so; with one, [`mask`] the gradient before.
    pub fn new(gradient: &'a [f32], data: &'a [f32], images: usize, norm: &'a Norm, clamp: Clamp) -> Self {
        assert_eq!(gradient.len(), data.len());
        let channels = norm.scale.len();
        let len = data.len() / images;
        let bounds = (clamp != Clamp::Nothing).then(|| clamp.bounds());
        let mut sums = vec![0.0; images * 2 * channels];
        for_each(sums.chunks_exact_mut(2 * channels).enumerate(), |(image, sums)| {
            let range = image * len..(image + 1) * len;
            let (gradient, data) = (&gradient[range.clone()], &data[range]);
            dispatch(*LEVEL, ParameterSums { gradient, data, norm, bounds, sums });
        });
        let mut total = vec![0.0; 2 * channels];
        for sums in sums.chunks_exact(2 * channels) {
            for (total, &sum) in total.iter_mut().zip(sums) {
                *total += f64::from(sum);
            }
        }
        let (to_gamma, to_beta) = total.split_at(channels);
        let count = (data.len() / channels) as f64;
        let mut terms = [vec![0.0; channels], vec![0.0; channels], vec![0.0; channels]];
        for channel in 0..channels {
            let [scale, inverse, mean] =
                [&norm.scale, &norm.inverse_deviation, &norm.mean].map(|values| f64::from(values[channel]));
            let of_data = -scale * inverse * to_gamma[channel] / count;
            terms[0][channel] = scale as f32;
            terms[1][channel] = of_data as f32;
            terms[2][channel] = (-scale * to_beta[channel] / count - of_data * mean) as f32;
        }
        let to_parameters = [to_gamma, to_beta].map(|sums| sums.iter().map(|&sum| sum as f32).collect());
        Self { gradient, data, pixels: len / channels, norm, bounds, terms, to_parameters }
    }
}

impl NormGradient<'_> {
    /// The gradient whole, `[images, pixels, channels]`.
    pub fn write(&self) -> Vec<f32> {
        let channels = self.norm.scale.len();
        let mut out = fresh(self.data.len());
        for_each(out.chunks_exact_mut(self.pixels * channels).enumerate(), |(image, out)| {
            dispatch(*LEVEL, Whole { gradient: self, image, out });
        });
        assume_written(out)
    }
}

struct Whole<'a> {
    gradient: &'a NormGradient<'a>,
    image: usize,
    out: &'a mut [MaybeUninit<f32>],
}

impl Kernel for Whole<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let channels = self.gradient.norm.scale.len();
        for channel in (0..channels).step_by(LANES) {
            // SAFETY: the norm has these channels.
            let held = unsafe { self.gradient.hold::<I>(channel, channels - channel) };
            for pixel in 0..self.gradient.pixels {
                // SAFETY: the image has this pixel and these channels, and so has the output.
                unsafe {
                    let v = self.gradient.read::<I>(held, self.image, pixel, channel, channels - channel);
                    let to = self.out.as_mut_ptr().cast::<f32>().add(pixel * channels + channel);
                    write_up_to::<I>(to, channels - channel, v);
                }
            }
        }
    }
}

/// [`NormGradient`]'s terms for sixteen channels.
#[derive(Clone, Copy)]
pub struct HeldTerms<V> {
    of_gradient: V,
    of_data: V,
    added: V,
    scale: V,
    shift: V,
}

impl Pixels for NormGradient<'_> {
    type Held<I: Isa> = HeldTerms<I::V>;

    #[inline(always)]
    unsafe fn hold<I: Isa>(&self, channel: usize, count: usize) -> HeldTerms<I::V> {
        // SAFETY: the caller's.
        let of_channel = |values: &[f32]| unsafe { read_up_to::<I>(values.as_ptr().add(channel), count) };
        let [of_gradient, of_data, added] = self.terms.each_ref().map(|values| of_channel(values));
        let [scale, shift] = [&self.norm.scale, &self.norm.shift].map(|values| of_channel(values));
        HeldTerms { of_gradient, of_data, added, scale, shift }
    }

    #[inline(always)]
    unsafe fn read<I: Isa>(
        &self,
        held: HeldTerms<I::V>,
        image: usize,
        pixel: usize,
        channel: usize,
        count: usize,
    ) -> I::V {
        let at = (image * self.pixels + pixel) * self.norm.scale.len() + channel;
        // SAFETY: the image has these channels.
        unsafe {
            let data = read_up_to::<I>(self.data.as_ptr().add(at), count);
            let mut gradient = read_up_to::<I>(self.gradient.as_ptr().add(at), count);
            if let Some(bounds) = self.bounds {
                gradient = masked::<I>(gradient, data, held.scale, held.shift, bounds);
            }
            I::fma(gradient, held.of_gradient, I::fma(data, held.of_data, held.added))
        }
    }
}

#[inline(always)]
unsafe fn masked<I: Isa>(gradient: I::V, data: I::V, scale: I::V, shift: I::V, bounds: [f32; 2]) -> I::V {
    // SAFETY: the caller sees to the instructions.
    unsafe { I::keep_between(I::fma(data, scale, shift), I::splat(bounds[0]), I::splat(bounds[1]), gradient) }
}

struct ParameterSums<'a> {
    gradient: &'a [f32],
    data: &'a [f32],
    norm: &'a Norm,
    bounds: Option<[f32; 2]>,
    /// To gamma, then to beta.
    sums: &'a mut [f32],
}

impl Kernel for ParameterSums<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let Self { gradient, data, norm, bounds, sums } = self;
        let channels = norm.scale.len();
        for channel in (0..channels).step_by(LANES) {
            let count = channels - channel;
            // SAFETY: all slices have these pixels and channels.
            unsafe {
                let of_channel = |values: &[f32]| read_up_to::<I>(values.as_ptr().add(channel), count);
                let [mean, inverse, scale, shift] =
                    [&norm.mean, &norm.inverse_deviation, &norm.scale, &norm.shift].map(|values| of_channel(values));
                let mut totals = [[I::zero(); 2]; 4];
                let pixels = data.len() / channels;
                for first in (0..pixels).step_by(4) {
                    for (strand, total) in totals.iter_mut().enumerate().take(pixels - first) {
                        let at = (first + strand) * channels + channel;
                        let x = read_up_to::<I>(data.as_ptr().add(at), count);
                        let mut g = read_up_to::<I>(gradient.as_ptr().add(at), count);
                        if let Some(bounds) = bounds {
                            g = masked::<I>(g, x, scale, shift, bounds);
                        }
                        total[0] = I::fma(g, I::sub(x, mean), total[0]);
                        total[1] = I::add(total[1], g);
                    }
                }
                let [a, b, c, d] = totals;
                let [to_gamma, to_beta] =
                    [0, 1].map(|which| I::add(I::add(a[which], b[which]), I::add(c[which], d[which])));
                write_up_to::<I>(sums.as_mut_ptr().add(channel), count, I::mul(to_gamma, inverse));
                write_up_to::<I>(sums.as_mut_ptr().add(channels + channel), count, to_beta);
            }
        }
    }
}

/// The gradient to the images of [`Shortcut::Subsampled`], from that to the sum.
pub fn to_subsampled(
    gradient: &[f32],
    [rows, columns, channels]: [usize; 3],
    [height, width, fewer]: [usize; 3],
    stride: usize,
    before: usize,
) -> Vec<f32> {
    let images = gradient.len() / (rows * columns * channels);
    let mut result = vec![0.0; images * height * width * fewer];
    let images = result.chunks_exact_mut(height * width * fewer).zip(gradient.chunks_exact(rows * columns * channels));
    for_each(images, |(result, gradient)| {
        for (pixel, gradient) in gradient.chunks_exact(channels).enumerate() {
            let to = (pixel / columns * width + pixel % columns) * stride * fewer;
            result[to..to + fewer].copy_from_slice(&gradient[before..before + fewer]);
        }
    });
    result
}

/// `to += from`.
pub(crate) fn add_to(to: &mut [f32], from: &[f32]) {
    assert_eq!(to.len(), from.len());
    for (to, &from) in to.iter_mut().zip(from) {
        *to += from;
    }
}
