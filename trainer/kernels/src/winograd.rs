//! 3×3 convolutions by minimal filtering (Lavin & Gray 2016, arXiv 1509.09308): a quarter of the products.
//!
//! Some rows of tiles at a time are transformed to their points and stay in the cache; there, for each point, a matrix
//! of tiles and channels meets one of channels and outputs, in the register tiles of the direct sum. The gradient to the
//! images is the same with the filters turned and the roles of the channels exchanged. That to the filters is summed at
//! the points, over all tiles, and goes back once. The price is some of the last digits: with `f32` throughout, errors
//! stay below ten times those of the direct sum, which a test holds it to.

#![expect(unsafe_code, reason = "hands pointers into checked slices to the tiles")]

use std::mem::MaybeUninit;

use crate::conv::ConvShape;
use crate::cut::{channel_tiles, correlate_row, groups, vectors};
use crate::fresh::{assume_written, fresh};
use crate::norm;
use crate::panel::{Pixels, Stored, read_up_to, write_up_to};
use crate::share::{for_each, map, share_of, take_front, with_scratch};
use crate::simd::{Isa, Kernel, LANES, Level, dispatch};
use crate::spectrum::{AREA, Filter, FilterGradient, Gradients, Image, POINTS, RESULTS, Results, Transform};
use crate::tile::{Inputs, Rectangle};

/// Tiles that are transformed together: the fewer, the more of them stay in the cache; the more, the less often the
/// filters are read.
const TILES: usize = 64;
/// Channels on each side from which the products saved are worth the transforms: from so many on it was measured, and
/// was faster in each direction (`benches/conv.rs`; docs/results.md).
const MANY_CHANNELS: usize = 32;

/// A convolution, planned.
#[derive(Debug)]
pub struct Winograd {
    shape: ConvShape,
    level: Level,
    /// Rows and columns of tiles in an image.
    tiles: [usize; 2],
    /// Rows of tiles that are transformed together.
    rows: usize,
}

/// Which way a filter is passed.
#[derive(Clone, Copy)]
enum Way {
    /// From inputs to outputs.
    Forward,
    /// From the outputs' gradient to the inputs'.
    Backward,
}

impl Winograd {
    /// The plan, where this is the faster way.
    pub fn at(level: Level, shape: ConvShape) -> Option<Self> {
        let ConvShape { height, width, inputs, outputs, kernel, stride, padding, extra, depthwise, .. } = shape;
        let fits = [kernel, stride, padding, extra] == [3, 1, 1, 0] && !depthwise;
        let tiles = [height, width].map(|side| side.div_ceil(RESULTS));
        // Tiles that hang over the image's edge are computed whole.
        let whole = 2 * height * width > tiles[0] * tiles[1] * RESULTS * RESULTS;
        let rows = (TILES / tiles[1]).max(1);
        (fits && whole && inputs.min(outputs) >= MANY_CHANNELS).then_some(Self { shape, level, tiles, rows })
    }

    /// The result, and the moments of each image if there is room for them.
    pub fn forward(&self, images: &[f32], weights: &[f32], moments: Option<&mut [f32]>) -> Vec<f32> {
        let ConvShape { batch, outputs, .. } = self.shape;
        let filters = self.transform_filters(weights, Way::Forward);
        let group = (TILES / (self.tiles[0] * self.tiles[1])).clamp(1, batch.div_ceil(rayon::current_num_threads()));
        let mut result = fresh(batch * self.shape.output_len());
        let mut moments = moments.unwrap_or_default().chunks_mut(group * 2 * outputs);
        let work = result.chunks_mut(group * self.shape.output_len()).enumerate();
        for_each(work.map(|(index, out)| (index, out, moments.next())), |(index, out, moments)| {
            let images = Stored { data: images, pixels: self.pixels(), channels: self.shape.inputs };
            let len = self.strip_len() + self.spectrum(self.shape.inputs).len() + self.products_len();
            with_scratch(len, |room| {
                dispatch(
                    self.level,
                    ForwardGroup { plan: self, images, first: index * group, filters: &filters, room, out, moments },
                );
            });
        });
        assume_written(result)
    }

    /// The gradient to the weights. That to the images is written to `to_images`, or added to what is there, unless there
    /// is no room for it.
    pub fn backward<P: Pixels + Sync>(
        &self,
        images: &[f32],
        weights: &[f32],
        gradient: &P,
        mut to_images: &mut [MaybeUninit<f32>],
        adds: bool,
    ) -> Vec<f32> {
        let ConvShape { batch, inputs, outputs, .. } = self.shape;
        let wants_images = !to_images.is_empty();
        let filters = if wants_images { self.transform_filters(weights, Way::Backward) } else { Vec::new() };
        let share = share_of(batch, self.shape.shares());
        let work: Vec<_> = (0..batch)
            .step_by(share)
            .map(|first| {
                let count = share.min(batch - first);
                let len = if wants_images { count * self.shape.input_len() } else { 0 };
                (first, count, take_front(&mut to_images, len))
            })
            .collect();
        let spectra = self.spectrum(inputs.max(outputs)).len() + self.spectrum(outputs).len();
        let len = self.strip_len() + spectra + self.products_len() + self.filters_len(inputs, outputs);
        let sums = map(work.into_iter(), |(first, count, to_images)| {
            let images = Stored { data: images, pixels: self.pixels(), channels: inputs };
            let mut to_weights = vec![0.0; self.shape.weight_len()];
            with_scratch(len, |room| {
                dispatch(
                    self.level,
                    BackwardShare {
                        plan: self,
                        images,
                        gradient,
                        filters: &filters,
                        range: [first, count],
                        room,
                        to_images,
                        adds,
                        to_weights: &mut to_weights,
                    },
                );
            });
            to_weights
        });
        let mut sums = sums.into_iter();
        let mut total = sums.next().unwrap_or_else(|| vec![0.0; self.shape.weight_len()]);
        for sums in sums {
            norm::add_to(&mut total, &sums);
        }
        total
    }

    /// The filters at their points, `[group of outputs][point][channel][output of the group]`.
    fn transform_filters(&self, weights: &[f32], way: Way) -> Vec<f32> {
        let [channels, outputs] = self.sides(way);
        let mut filters = fresh(self.filters_len(channels, outputs));
        let mut rest: &mut [MaybeUninit<f32>] = &mut filters;
        let work: Vec<_> = groups(outputs, self.vectors(outputs))
            .map(|group| (group, take_front(&mut rest, AREA * channels * group.1 * LANES)))
            .collect();
        for_each(work.into_iter(), |(group, out)| {
            dispatch(self.level, FilterGroup { plan: self, weights, way, group, out });
        });
        assume_written(filters)
    }

    /// The channels that are summed over, and those that come out.
    fn sides(&self, way: Way) -> [usize; 2] {
        match way {
            Way::Forward => [self.shape.inputs, self.shape.outputs],
            Way::Backward => [self.shape.outputs, self.shape.inputs],
        }
    }

    fn pixels(&self) -> usize {
        self.shape.height * self.shape.width
    }

    /// Vectors of outputs in a group.
    fn vectors(&self, outputs: usize) -> usize {
        vectors(self.level, outputs, self.tiles_at_once())
    }

    fn tiles_at_once(&self) -> usize {
        self.rows * self.tiles[1]
    }

    fn spectrum(&self, channels: usize) -> Spectrum {
        Spectrum { channels, tiles: self.tiles_at_once() }
    }

    /// Numbers of filters at their points, whose lanes are full.
    fn filters_len(&self, channels: usize, outputs: usize) -> usize {
        AREA * channels * outputs.div_ceil(LANES) * LANES
    }

    /// Numbers of the products of a group of outputs.
    fn products_len(&self) -> usize {
        let widest = self.vectors(self.shape.inputs.max(self.shape.outputs));
        Spectrum { channels: widest * LANES, tiles: self.tiles_at_once() }.len()
    }

    /// Pixels in a row of a strip, with the zeros around.
    fn strip_columns(&self) -> usize {
        self.tiles[1] * RESULTS + 2
    }

    /// Numbers of a strip: sixteen channels of some rows of tiles in one image.
    fn strip_len(&self) -> usize {
        (self.rows.min(self.tiles[0]) * RESULTS + 2) * self.strip_columns() * LANES
    }

    /// Parts of rows of tiles, which are counted through all images, that are in one image: image, first row in it, rows,
    /// tiles before.
    #[inline(always)]
    fn strips(&self, [first, count]: [usize; 2]) -> impl Iterator<Item = [usize; 4]> {
        let [of_image, columns] = self.tiles;
        let mut next = first;
        std::iter::from_fn(move || {
            let (image, row) = (next / of_image, next % of_image);
            let rows = (of_image - row).min(first + count - next);
            let before = (next - first) * columns;
            next += rows;
            (rows > 0).then_some([image, row, rows, before])
        })
    }
}

/// Numbers at the points of some tiles, `[point][block of channels][tile][channel of the block]`.
#[derive(Clone, Copy)]
struct Spectrum {
    channels: usize,
    tiles: usize,
}

impl Spectrum {
    fn block_stride(self) -> usize {
        self.tiles * LANES
    }

    /// A vector more than needed: else, with as many channels as networks have, all points of a tile would fall on the
    /// same few places of the cache.
    fn point_stride(self) -> usize {
        self.channels.div_ceil(LANES) * self.block_stride() + LANES
    }

    fn len(self) -> usize {
        AREA * self.point_stride()
    }
}

/// Reads a square of vectors, at distances of a row and of a column.
///
/// # Safety
/// It must be there.
#[inline(always)]
unsafe fn load_square<I: Isa, const N: usize>(from: *const f32, row: usize, column: usize) -> [[I::V; N]; N] {
    // SAFETY: the caller's.
    unsafe {
        let mut square = [[I::zero(); N]; N];
        for (y, vectors) in square.iter_mut().enumerate() {
            for (x, v) in vectors.iter_mut().enumerate() {
                *v = I::load(from.add(y * row + x * column));
            }
        }
        square
    }
}

/// Writes the points of a tile.
///
/// # Safety
/// There must be room, `stride` numbers apart.
#[inline(always)]
unsafe fn store_points<I: Isa>(points: [[I::V; POINTS]; POINTS], to: *mut f32, stride: usize) {
    for (y, vectors) in points.iter().enumerate() {
        for (x, &v) in vectors.iter().enumerate() {
            // SAFETY: the caller's.
            unsafe { I::store(to.add((y * POINTS + x) * stride), v) };
        }
    }
}

impl Winograd {
    /// Writes sixteen channels of some rows of tiles of an image as a strip, with zeros around.
    ///
    /// # Safety
    /// There must be such pixels, and room for the strip.
    #[inline(always)]
    unsafe fn fill_strip<I: Isa>(
        &self,
        pixels: &impl Pixels,
        image: usize,
        [row, rows]: [usize; 2],
        [channel, count]: [usize; 2],
        mut strip: *mut f32,
    ) {
        let ConvShape { height, width, .. } = self.shape;
        // SAFETY: the caller's.
        unsafe {
            let held = pixels.hold::<I>(channel, count);
            let mut put = |v| {
                I::store(strip, v);
                strip = strip.add(LANES);
            };
            // One further than in the image, since a strip begins with the row before.
            for y in row * RESULTS..(row + rows) * RESULTS + 2 {
                let inside = if (1..=height).contains(&y) { width } else { 0 };
                put(I::zero());
                for x in 0..inside {
                    put(pixels.read::<I>(held, image, (y - 1) * width + x, channel, count));
                }
                for _ in inside + 1..self.strip_columns() {
                    put(I::zero());
                }
            }
        }
    }

    /// Transforms some rows of tiles: the pixels under each with those around it to `whole`, and as a gradient to its
    /// results to `inner`.
    ///
    /// # Safety
    /// There must be such pixels, `first` images further, and room for a strip and the spectra, which must be null where
    /// they are not wanted.
    #[inline(always)]
    unsafe fn transform<I: Isa>(
        &self,
        pixels: &impl Pixels,
        first: usize,
        rows: [usize; 2],
        spectrum: Spectrum,
        strip: *mut f32,
        [whole, inner]: [*mut f32; 2],
    ) {
        let columns = self.strip_columns();
        for [image, row, rows, before] in self.strips(rows) {
            for channel in (0..spectrum.channels).step_by(LANES) {
                // SAFETY: the caller's.
                unsafe {
                    let count = spectrum.channels - channel;
                    self.fill_strip::<I>(pixels, first + image, [row, rows], [channel, count], strip);
                    let mut to = channel / LANES * spectrum.block_stride() + before * LANES;
                    for row in 0..rows {
                        for column in 0..self.tiles[1] {
                            let from = strip.add((row * columns + column) * RESULTS * LANES);
                            if !whole.is_null() {
                                let square = load_square::<I, POINTS>(from, columns * LANES, LANES);
                                store_points::<I>(Image::square::<I>(square), whole.add(to), spectrum.point_stride());
                            }
                            if !inner.is_null() {
                                let from = from.add((columns + 1) * LANES);
                                let square = load_square::<I, RESULTS>(from, columns * LANES, LANES);
                                let points = Gradients::square::<I>(square);
                                store_points::<I>(points, inner.add(to), spectrum.point_stride());
                            }
                            to += LANES;
                        }
                    }
                }
            }
        }
    }
}

/// Filters some rows of tiles at their points, and takes the products back to pixels.
struct Filtered<'a> {
    plan: &'a Winograd,
    rows: [usize; 2],
    spectrum: Spectrum,
    from: *const f32,
    filters: &'a [f32],
    products: *mut f32,
    outputs: usize,
    out: *mut f32,
    adds: bool,
}

impl Kernel for Filtered<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let Self { plan, rows, spectrum, from, filters, products, outputs, out, adds } = self;
        let tiles = rows[1] * plan.tiles[1];
        let inputs = Inputs {
            blocks: spectrum.channels.div_ceil(LANES),
            block_stride: spectrum.block_stride(),
            last: (spectrum.channels - 1) % LANES + 1,
            taps: &[0],
        };
        for (vector, count) in groups(outputs, plan.vectors(outputs)) {
            let width = count * LANES;
            // As of a spectrum, one vector more.
            let stride = tiles * width + LANES;
            for point in 0..AREA {
                let begin = (vector * LANES * AREA + point * width) * spectrum.channels;
                // SAFETY: the spectrum has these tiles, the filters these points, and the products room for both.
                unsafe {
                    correlate_row::<I, LANES>(
                        from.add(point * spectrum.point_stride()),
                        inputs,
                        filters.as_ptr().add(begin),
                        products.add(point * stride),
                        [tiles, width],
                        [count, width],
                        false,
                    );
                }
            }
            for [image, row, rows, before] in plan.strips(rows) {
                for index in 0..rows * plan.tiles[1] {
                    for n in 0..count {
                        let channel = (vector + n) * LANES;
                        // SAFETY: the products of this tile were just written; the result is inside the output.
                        unsafe {
                            let from = products.add((before + index) * width + n * LANES);
                            let results = Results::square::<I>(load_square::<I, POINTS>(from, POINTS * stride, stride));
                            let tile = [row + index / plan.tiles[1], index % plan.tiles[1]];
                            let to = out.add(image * plan.pixels() * outputs + channel);
                            plan.put::<I>(results, tile, to, [outputs, outputs - channel], adds);
                        }
                    }
                }
            }
        }
    }
}

impl Winograd {
    /// Writes (or adds) the results of a tile that are inside the image.
    ///
    /// # Safety
    /// There must be an image of pixels `stride` numbers apart, and in each `lanes` numbers or sixteen.
    #[inline(always)]
    unsafe fn put<I: Isa>(
        &self,
        results: [[I::V; RESULTS]; RESULTS],
        [row, column]: [usize; 2],
        out: *mut f32,
        [stride, lanes]: [usize; 2],
        adds: bool,
    ) {
        let ConvShape { height, width, .. } = self.shape;
        let [y, x] = [row * RESULTS, column * RESULTS];
        for (row, results) in results.iter().enumerate().take(height - y) {
            for (column, &result) in results.iter().enumerate().take(width - x) {
                // SAFETY: the caller's.
                unsafe {
                    let to = out.add(((y + row) * width + x + column) * stride);
                    let sum = if adds { I::add(result, read_up_to::<I>(to, lanes)) } else { result };
                    write_up_to::<I>(to, lanes, sum);
                }
            }
        }
    }
}

struct ForwardGroup<'a> {
    plan: &'a Winograd,
    images: Stored<'a>,
    first: usize,
    filters: &'a [f32],
    room: &'a mut [f32],
    out: &'a mut [MaybeUninit<f32>],
    moments: Option<&'a mut [f32]>,
}

impl Kernel for ForwardGroup<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let Self { plan, images, first, filters, room, out, moments } = self;
        let ConvShape { inputs, outputs, .. } = plan.shape;
        let len = plan.shape.output_len();
        let all = out.len() / len * plan.tiles[0];
        let spectrum = plan.spectrum(inputs);
        let (strip, room) = room.split_at_mut(plan.strip_len());
        let (points, products) = room.split_at_mut(spectrum.len());
        let [strip, points, products] = [strip, points, products].map(<[f32]>::as_mut_ptr);
        for row in (0..all).step_by(plan.rows) {
            let rows = [row, plan.rows.min(all - row)];
            // SAFETY: the rooms are as long as the plan says, and so is the output.
            unsafe {
                plan.transform::<I>(&images, first, rows, spectrum, strip, [points, std::ptr::null_mut()]);
                let out = out.as_mut_ptr().cast();
                let from = points.cast_const();
                I::call(Filtered { plan, rows, spectrum, from, filters, products, outputs, out, adds: false });
            }
        }
        let Some(moments) = moments else { return };
        for (image, moments) in out.chunks_exact(len).zip(moments.chunks_exact_mut(2 * outputs)) {
            // SAFETY: all of the image was just written.
            unsafe { norm::moments::<I>(image.assume_init_ref(), outputs, moments) };
        }
    }
}

struct BackwardShare<'a, P> {
    plan: &'a Winograd,
    images: Stored<'a>,
    gradient: &'a P,
    filters: &'a [f32],
    /// First image, and how many.
    range: [usize; 2],
    room: &'a mut [f32],
    to_images: &'a mut [MaybeUninit<f32>],
    adds: bool,
    to_weights: &'a mut [f32],
}

impl<P: Pixels> Kernel for BackwardShare<'_, P> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let Self { plan, images, gradient, filters, range: [first, count], room, to_images, adds, to_weights } = self;
        let ConvShape { inputs, outputs, .. } = plan.shape;
        let [of_images, of_gradients] = [inputs, outputs].map(|channels| plan.spectrum(channels));
        let (sums, room) = room.split_at_mut(plan.filters_len(inputs, outputs));
        let (strip, room) = room.split_at_mut(plan.strip_len());
        let (products, room) = room.split_at_mut(plan.products_len());
        let (inner, whole) = room.split_at_mut(of_gradients.len());
        let [strip, products, inner, whole] = [strip, products, inner, whole].map(<[f32]>::as_mut_ptr);
        sums.fill(0.0);
        let all = count * plan.tiles[0];
        for row in (0..all).step_by(plan.rows) {
            let rows = [row, plan.rows.min(all - row)];
            // SAFETY: the rooms are as long as the plan says, and so is the output if it is not empty.
            unsafe {
                if to_images.is_empty() {
                    plan.transform::<I>(gradient, first, rows, of_gradients, strip, [std::ptr::null_mut(), inner]);
                } else {
                    plan.transform::<I>(gradient, first, rows, of_gradients, strip, [whole, inner]);
                    I::call(Filtered {
                        plan,
                        rows,
                        spectrum: of_gradients,
                        from: whole,
                        filters,
                        products,
                        outputs: inputs,
                        out: to_images.as_mut_ptr().cast(),
                        adds,
                    });
                }
                // In the place of what the images' gradient was made of.
                plan.transform::<I>(&images, first, rows, of_images, strip, [whole, std::ptr::null_mut()]);
                I::call(Summed { plan, tiles: rows[1] * plan.tiles[1], from: [whole, inner], sums });
            }
        }
        // SAFETY: sums and weights are of this convolution.
        unsafe { plan.filters_back::<I>(sums, to_weights) };
    }
}

/// Adds the products of tiles and gradients at each point to the sums.
struct Summed<'a> {
    plan: &'a Winograd,
    tiles: usize,
    /// Spectra of the images and of the gradients.
    from: [*mut f32; 2],
    sums: &'a mut [f32],
}

impl Kernel for Summed<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let Self { plan, tiles, from: [images, gradients], sums } = self;
        let ConvShape { inputs, outputs, .. } = plan.shape;
        let [of_images, of_gradients] = [inputs, outputs].map(|channels| plan.spectrum(channels));
        let over = Rectangle {
            images: 1,
            rows: 1,
            columns: tiles,
            image_stride: [0; 2],
            row_stride: [0; 2],
            vector_stride: of_gradients.block_stride(),
        };
        for (vector, count) in groups(outputs, plan.vectors(outputs)) {
            for point in 0..AREA {
                for channel in (0..inputs).step_by(LANES) {
                    let to = ((vector * AREA + point * count) * inputs + channel * count) * LANES;
                    let from = point * of_images.point_stride() + channel / LANES * of_images.block_stride();
                    let gradient = point * of_gradients.point_stride() + vector * of_gradients.block_stride();
                    // SAFETY: the spectra have these tiles, and the sums these filters.
                    unsafe {
                        channel_tiles::<I, LANES>(
                            images.add(from),
                            gradients.add(gradient),
                            over,
                            sums.as_mut_ptr().add(to),
                            LANES.min(inputs - channel),
                            count,
                        );
                    }
                }
            }
        }
    }
}

/// Transforms the filters of a group of outputs.
struct FilterGroup<'a> {
    plan: &'a Winograd,
    weights: &'a [f32],
    way: Way,
    /// First vector, and how many.
    group: (usize, usize),
    out: &'a mut [MaybeUninit<f32>],
}

/// Numbers of a filter.
const TAPS: usize = 9;

impl Kernel for FilterGroup<'_> {
    type Output = ();

    #[inline(always)]
    unsafe fn run<I: Isa>(self) {
        let Self { plan, weights, way, group: (vector, count), out } = self;
        let [channels, outputs] = plan.sides(way);
        let width = count * LANES;
        for channel in 0..channels {
            for n in 0..count {
                let mut taps = [[0.0; LANES]; TAPS];
                let first = (vector + n) * LANES;
                for lane in 0..LANES.min(outputs - first) {
                    let output = first + lane;
                    let filter = match way {
                        Way::Forward => output * channels + channel,
                        Way::Backward => channel * outputs + output,
                    };
                    let filter = &weights[filter * TAPS..][..TAPS];
                    for (tap, taps) in taps.iter_mut().enumerate() {
                        taps[lane] = match way {
                            Way::Forward => filter[tap],
                            Way::Backward => filter[TAPS - 1 - tap],
                        };
                    }
                }
                // SAFETY: the group has room for all its points, channels and outputs.
                unsafe {
                    let square = load_square::<I, 3>(taps.as_ptr().cast(), 3 * LANES, LANES);
                    let to = out.as_mut_ptr().cast::<f32>().add(channel * width + n * LANES);
                    store_points::<I>(Filter::square::<I>(square), to, channels * width);
                }
            }
        }
    }
}

impl Winograd {
    /// The gradient to the filters from that to their points.
    ///
    /// # Safety
    /// The processor must have the instructions, and the slices be of this convolution.
    #[inline(always)]
    unsafe fn filters_back<I: Isa>(&self, sums: &[f32], to_weights: &mut [f32]) {
        let ConvShape { inputs, outputs, .. } = self.shape;
        for (vector, count) in groups(outputs, self.vectors(outputs)) {
            for channel in 0..inputs {
                for n in 0..count {
                    let width = count * LANES;
                    let mut taps = [[0.0; LANES]; TAPS];
                    let first = (vector + n) * LANES;
                    // SAFETY: the sums have all points, channels and outputs.
                    unsafe {
                        let at = vector * LANES * AREA * inputs + channel * width + n * LANES;
                        let stride = inputs * width;
                        let square = load_square::<I, POINTS>(sums.as_ptr().add(at), POINTS * stride, stride);
                        let square = FilterGradient::square::<I>(square);
                        for (taps, &v) in taps.iter_mut().zip(square.as_flattened()) {
                            I::store(taps.as_mut_ptr(), v);
                        }
                    }
                    for lane in 0..LANES.min(outputs - first) {
                        let filter = &mut to_weights[((first + lane) * inputs + channel) * TAPS..][..TAPS];
                        for (to, taps) in filter.iter_mut().zip(&taps) {
                            *to = taps[lane];
                        }
                    }
                }
            }
        }
    }
}
