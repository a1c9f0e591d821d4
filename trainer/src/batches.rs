//! Images on their way into the network: ordered, augmented and normalized on a thread of their own.

mod order;
mod stock;

use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, LazyLock};
use std::thread;

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::augment::{Augmenter, Canvas, Mix, Size};
use crate::data::Images;
use crate::recipe::{Normalize, Recipe};
use crate::seed::{Purpose, TrialSeed};

pub use stock::Stock;

/// Batches that may wait ready while the device computes.
const AHEAD: usize = 3;

/// What prepares images: as many threads as compute, eight at most. One that computes prepares on the batches' own
/// thread, beside it.
static PREPARERS: LazyLock<Option<ThreadPool>> = LazyLock::new(|| {
    let threads = rayon::current_num_threads().min(8);
    (threads > 1).then(|| ThreadPoolBuilder::new().num_threads(threads).build().ok()).flatten()
});

/// A batch as the network wants it.
#[derive(Debug, PartialEq)]
pub struct Batch {
    /// Normalized values, `[count, channels, height, width]`.
    pub pixels: Vec<f32>,
    /// The classes, one an image.
    pub labels: Vec<i64>,
    /// What the images are mixed with, if they are.
    pub mixed: Option<Mixed>,
}

/// What the images of a batch are mixed with.
#[derive(Debug, PartialEq)]
pub struct Mixed {
    /// The classes of the partners, one an image.
    pub labels: Vec<i64>,
    /// How much of each mixture is the image's own, in [0, 1].
    pub share: f32,
}

impl Batch {
    /// Images in the batch.
    pub fn count(&self) -> usize {
        self.labels.len()
    }

    /// The batch in pieces of a number of images, the last one of what is left; 0 is all in one piece.
    pub fn pieces(self, size: usize) -> Vec<Self> {
        if size == 0 || size >= self.count() {
            return vec![self];
        }
        let bytes = self.pixels.len() / self.count() * size;
        let places = self.pixels.chunks(bytes).zip(self.labels.chunks(size)).enumerate();
        let piece = |(place, (pixels, labels)): (usize, (&[f32], &[i64]))| Self {
            pixels: pixels.to_vec(),
            labels: labels.to_vec(),
            mixed: self.mixed.as_ref().map(|mixed| Mixed {
                labels: mixed.labels[place * size..][..labels.len()].to_vec(),
                share: mixed.share,
            }),
        };
        places.map(piece).collect()
    }
}

/// What maps a byte to a value, for each channel.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaling {
    tables: Vec<[f32; 256]>,
}

impl Scaling {
    /// The scaling that a recipe asks for; `train` is the training split.
    pub fn new(normalize: Normalize, train: &Images) -> Self {
        let channels = train.channels;
        let moments = match normalize {
            Normalize::Unit => vec![(0.0, 1.0); channels],
            Normalize::Centered => vec![(127.0 / 255.0, 128.0 / 255.0); channels],
            Normalize::Imagenet => imagenet_moments(channels),
            Normalize::Data => (0..channels).map(|channel| moments(train, channel)).collect(),
        };
        let table = |(mean, deviation): (f64, f64)| {
            std::array::from_fn(|byte| ((byte as f64 / 255.0 - mean) / deviation) as f32)
        };
        Self { tables: moments.into_iter().map(table).collect() }
    }

    /// Bytes `[height, width, channels]` to values `[channels, height, width]`.
    pub(crate) fn apply(&self, image: &[u8], values: &mut [f32]) {
        let planes = values.chunks_exact_mut(image.len() / self.tables.len());
        for (channel, (table, plane)) in self.tables.iter().zip(planes).enumerate() {
            let bytes = image[channel..].iter().step_by(self.tables.len());
            plane.iter_mut().zip(bytes).for_each(|(value, byte)| *value = table[usize::from(*byte)]);
        }
    }
}

/// Mean and deviation of one channel, from its histogram, so exact in any order.
fn moments(images: &Images, channel: usize) -> (f64, f64) {
    let mut histogram = [0u64; 256];
    for byte in images.pixels[channel..].iter().step_by(images.channels) {
        histogram[usize::from(*byte)] += 1;
    }
    let count = histogram.iter().sum::<u64>().max(1) as f64;
    let weighted = |f: &dyn Fn(f64) -> f64| -> f64 {
        histogram.iter().enumerate().map(|(byte, n)| *n as f64 * f(byte as f64 / 255.0)).sum::<f64>() / count
    };
    let mean = weighted(&|x| x);
    let variance = weighted(&|x| (x - mean) * (x - mean));
    // A channel of one value has nothing to scale.
    (mean, if variance > 0.0 { variance.sqrt() } else { 1.0 })
}

/// As in torchvision's documentation; their mean for gray images.
fn imagenet_moments(channels: usize) -> Vec<(f64, f64)> {
    match channels {
        3 => vec![(0.485, 0.229), (0.456, 0.224), (0.406, 0.225)],
        _ => vec![(0.449, 0.226); channels],
    }
}

/// The training batches of one epoch (from 0), from the given step on. The last, smaller batch is left out unless
/// it is the only one: batch norms dislike it, and every step then weighs the same.
pub fn training_batches(
    stock: impl Into<Stock>,
    scaling: Scaling,
    augmenter: Arc<Augmenter>,
    recipe: &Recipe,
    seed: TrialSeed,
    epoch: u64,
    from_step: u64,
) -> Receiver<Batch> {
    let stock = stock.into();
    let epoch = Epoch::new(&stock, augmenter, recipe, seed, epoch);
    let images = stock.images().clone();
    let batch_size = recipe.batch_size;
    let mut order = epoch.order.clone();
    order.drain(..(from_step as usize * batch_size).min(order.len()));
    let size = Size::of(&images);
    let epoch = Arc::new(epoch);
    let drawer = epoch.clone();
    let view = move |canvas: &mut Canvas, images: &Images, index: usize| drawer.view(canvas, images, index);
    let finish = move |batch: &mut Batch, place: usize| {
        if let Some(mix) = epoch.mix(from_step + place as u64, size) {
            mix.apply(&mut batch.pixels, size);
            let labels = batch.labels.iter().rev().copied().collect();
            batch.mixed = Some(Mixed { labels, share: mix.share(size) });
        }
    };
    prepare(images, scaling, order, batch_size, view, finish)
}

/// One epoch of a training: which images it has in which order, and what becomes of them.
#[derive(Debug)]
pub(crate) struct Epoch {
    augmenter: Arc<Augmenter>,
    seed: TrialSeed,
    /// From 0, and how many there are.
    epoch: u64,
    epochs: u64,
    batch_size: usize,
    steps: u64,
    /// Places of the images, batch after batch; one beyond the images is one of them that comes again.
    order: Vec<usize>,
}

impl Epoch {
    /// An epoch from 0.
    pub(crate) fn new(stock: &Stock, augmenter: Arc<Augmenter>, recipe: &Recipe, seed: TrialSeed, epoch: u64) -> Self {
        let Recipe { batch_size, accumulate, epochs, .. } = *recipe;
        let mut order = stock.order(recipe, seed, epoch);
        let steps = EpochShape::new(order.len(), batch_size, accumulate).batches();
        order.truncate(steps as usize * batch_size);
        Self { augmenter, seed, epoch, epochs, batch_size, steps, order }
    }

    /// Draws the view of the image at a place of the order onto a canvas.
    fn view(&self, canvas: &mut Canvas, images: &Images, index: usize) {
        let random = &mut self.seed.stream(Purpose::Augment, self.epoch, index as u64);
        let begun = self.epoch as f64 / self.epochs as f64;
        self.augmenter.view(canvas, images, index % images.len(), begun, random);
    }

    /// How the batch of a step (from 0) is mixed.
    fn mix(&self, step: u64, size: Size) -> Option<Mix> {
        let progress = (self.epoch * self.steps + step) as f64 / (self.epochs * self.steps) as f64;
        self.augmenter.mix(progress, size, &mut self.seed.stream(Purpose::Mix, self.epoch, step))
    }

    /// The bytes of what an image of the stock becomes the first time that it comes; `None` if the epoch leaves it out.
    pub(crate) fn image(&self, images: &Images, image: usize) -> Option<Vec<u8>> {
        let place = self.order.iter().position(|index| index % images.len() == image)?;
        let mut canvas = Canvas::new(Size::of(images));
        let mut view_of = |index| {
            self.view(&mut canvas, images, index);
            canvas.pixels.clone()
        };
        let own = view_of(self.order[place]);
        let (step, row) = (place / self.batch_size, place % self.batch_size);
        let batch = self.order.chunks(self.batch_size).nth(step)?;
        let partner = batch.len() - 1 - row;
        let Some(mix) = self.mix(step as u64, Size::of(images)).filter(|_| partner != row) else { return Some(own) };
        let size = Size::of(images);
        let mut both = [own, view_of(batch[partner])].concat();
        mix.apply_to_bytes(&mut both, size);
        both.truncate(size.bytes());
        Some(both)
    }
}

/// What an epoch is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochShape {
    /// Optimizer steps.
    pub updates: u64,
    /// Batches that make one of them.
    pub batches_per_update: u64,
}

impl EpochShape {
    /// As many images as make whole optimizer steps: the batches of a smaller one are left out, unless it is the only
    /// one. So `accumulate` batches train as one of that many times the size.
    pub fn new(images: usize, batch_size: usize, accumulate: usize) -> Self {
        let batches = (images / batch_size).max(1) as u64;
        let batches_per_update = batches.min(accumulate as u64);
        Self { updates: batches / batches_per_update, batches_per_update }
    }

    /// All batches.
    pub fn batches(self) -> u64 {
        self.updates * self.batches_per_update
    }
}

/// All images in their order, as they are.
pub fn plain_batches(images: Arc<Images>, scaling: Scaling, batch_size: usize) -> Receiver<Batch> {
    let order = (0..images.labels.len()).collect();
    let view = |canvas: &mut Canvas, images: &Images, index| canvas.pixels.copy_from_slice(images.image(index));
    prepare(images, scaling, order, batch_size, view, |_, _| {})
}

/// Images in an order, each as the view that is drawn of it. An index beyond the images is one of them that comes again.
pub(crate) fn views(
    images: Arc<Images>,
    scaling: Scaling,
    order: Vec<usize>,
    batch_size: usize,
    view: impl Fn(&mut Canvas, &Images, usize) + Send + Sync + 'static,
) -> Receiver<Batch> {
    prepare(images, scaling, order, batch_size, view, |_, _| {})
}

/// Runs ahead of the receiver by a few batches; ends when the receiver is dropped. `view` draws the view of the
/// image at an index onto a canvas, on any thread; `finish` is given each batch with its place in the order, from 0. An
/// index beyond the images is one of them that comes again.
fn prepare(
    images: Arc<Images>,
    scaling: Scaling,
    order: Vec<usize>,
    batch_size: usize,
    view: impl Fn(&mut Canvas, &Images, usize) + Send + Sync + 'static,
    finish: impl Fn(&mut Batch, usize) + Send + 'static,
) -> Receiver<Batch> {
    let (sender, receiver) = sync_channel(AHEAD);
    thread::spawn(move || {
        let size = Size::of(&images);
        let bytes = size.bytes();
        let prepare_one = |canvas: &mut Canvas, (values, index): (&mut [f32], &usize)| {
            view(canvas, &images, *index);
            scaling.apply(&canvas.pixels, values);
        };
        let empty = || Canvas::new(size);
        for (place, indices) in order.chunks(batch_size).enumerate() {
            let mut pixels = vec![0.0; indices.len() * bytes];
            match PREPARERS.as_ref() {
                Some(pool) => pool.install(|| {
                    pixels.par_chunks_exact_mut(bytes).zip(indices).for_each_init(empty, prepare_one);
                }),
                None => {
                    let mut canvas = empty();
                    pixels.chunks_exact_mut(bytes).zip(indices).for_each(|item| prepare_one(&mut canvas, item));
                }
            }
            let labels = indices.iter().map(|&index| i64::from(images.labels[index % images.len()])).collect();
            let mut batch = Batch { pixels, labels, mixed: None };
            finish(&mut batch, place);
            if sender.send(batch).is_err() {
                return;
            }
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::{Augment, Sampling};

    const SEED: TrialSeed = TrialSeed { study: 1, trial: 0 };

    /// Seven images of 1×2 pixels in two channels; image i is [10 i, 1, 10 i, 3].
    fn images() -> Arc<Images> {
        let pixels = (0..7).flat_map(|i| [10 * i, 1, 10 * i, 3]).collect();
        Arc::new(Images { pixels, labels: (0..7).collect(), height: 1, width: 2, channels: 2 })
    }

    fn batches(batch_size: usize, epoch: u64, from_step: u64) -> Vec<Batch> {
        let scaling = Scaling::new(Normalize::Unit, &images());
        let augment = Augment { flip: 0.5, crop_padding: 1, mixup: 1.0, cutmix: 1.0, ..Default::default() };
        let recipe = Recipe { batch_size, augment, ..Default::default() };
        let augmenter = Arc::new(Augmenter::new(&recipe.augment, &images()));
        training_batches(images(), scaling, augmenter, &recipe, SEED, epoch, from_step).into_iter().collect()
    }

    #[test]
    fn an_epoch_has_full_batches_of_different_images() {
        let labels: Vec<Vec<i64>> = batches(3, 0, 0).into_iter().map(|batch| batch.labels).collect();
        assert_eq!(labels.iter().map(Vec::len).collect::<Vec<_>>(), [3, 3]);
        let mut all = labels.concat();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 6);
        assert_ne!(batches(3, 1, 0)[0].labels, labels[0], "each epoch has its own order");
    }

    #[test]
    fn a_batch_larger_than_the_data_is_all_of_it() {
        assert_eq!(batches(100, 0, 0).iter().map(Batch::count).collect::<Vec<_>>(), [7]);
    }

    #[test]
    fn an_epoch_has_whole_updates() {
        let check = |images, batch_size, accumulate, updates, batches_per_update| {
            let found = EpochShape::new(images, batch_size, accumulate);
            assert_eq!(found, EpochShape { updates, batches_per_update });
        };
        check(100, 10, 1, 10, 1);
        check(100, 10, 3, 3, 3);
        check(100, 30, 1, 3, 1);
        check(100, 10, 20, 1, 10);
        check(7, 100, 4, 1, 1);
    }

    #[test]
    fn the_pieces_of_a_batch_are_the_batch() {
        let check = |size: usize, expected: &[usize]| {
            let whole = batches(7, 0, 0).remove(0);
            let (pixels, labels) = (whole.pixels.clone(), whole.labels.clone());
            let mixed = whole.mixed.as_ref().unwrap().labels.clone();
            let pieces = whole.pieces(size);
            assert_eq!(pieces.iter().map(Batch::count).collect::<Vec<_>>(), expected);
            assert_eq!(pieces.iter().flat_map(|piece| piece.pixels.clone()).collect::<Vec<_>>(), pixels);
            assert_eq!(pieces.iter().flat_map(|piece| piece.labels.clone()).collect::<Vec<_>>(), labels);
            let partners = pieces.iter().flat_map(|piece| piece.mixed.as_ref().unwrap().labels.clone());
            assert_eq!(partners.collect::<Vec<_>>(), mixed);
        };
        check(0, &[7]);
        check(3, &[3, 3, 1]);
        check(7, &[7]);
        check(100, &[7]);
    }

    #[test]
    fn batches_from_a_later_step_are_those_of_the_whole_epoch() {
        let whole = batches(2, 5, 0);
        let rest = batches(2, 5, 2);
        assert_eq!(rest.len(), 1);
        assert_eq!(rest[0], whole[2]);
        assert_ne!(whole[1].mixed.as_ref().unwrap().share, whole[2].mixed.as_ref().unwrap().share);
    }

    #[test]
    fn an_image_of_an_epoch_is_what_the_batches_of_training_have() {
        let check = |augment: Augment, sampling, most_off: u8| {
            let recipe = Recipe { batch_size: 3, epochs: 4, augment, sampling, ..Default::default() };
            let augmenter = Arc::new(Augmenter::new(&recipe.augment, &images()));
            let scaling = Scaling::new(Normalize::Unit, &images());
            for epoch in 0..4 {
                let trained = training_batches(images(), scaling.clone(), augmenter.clone(), &recipe, SEED, epoch, 0);
                let trained: Vec<Batch> = trained.into_iter().collect();
                let epoch = Epoch::new(&images().into(), augmenter.clone(), &recipe, SEED, epoch);
                let mut seen = 0;
                for image in 0..7 {
                    // Labels are the images' own places.
                    let places = trained.iter().flat_map(|batch| (0..batch.count()).map(move |row| (batch, row)));
                    let place = places.into_iter().find(|(batch, row)| batch.labels[*row] == image as i64);
                    let found = epoch.image(&images(), image);
                    assert_eq!(found.is_some(), place.is_some());
                    let (Some(found), Some((batch, row))) = (found, place) else { continue };
                    seen += 1;
                    let planes = &batch.pixels[row * 4..][..4];
                    let bytes = [planes[0], planes[2], planes[1], planes[3]].map(|value| (value * 255.0).round() as u8);
                    let off = found.iter().zip(bytes).map(|(a, b)| a.abs_diff(b)).max();
                    assert!(off <= Some(most_off), "{found:?} is not {bytes:?}");
                }
                assert!(seen >= 3);
            }
        };
        let moved = Augment { flip: 0.5, crop_padding: 1, erase: 0.5, ..Augment::none() };
        check(moved.clone(), Sampling::Shuffled, 0);
        check(moved.clone(), Sampling::Balanced, 0);
        // Blended bytes are rounded once more.
        check(Augment { mixup: 1.0, cutmix: 1.0, ..moved }, Sampling::Shuffled, 1);
    }

    #[test]
    fn channels_come_apart_and_are_scaled_by_their_own_moments() {
        let scaling = Scaling::new(Normalize::Data, &images());
        let batch = plain_batches(images(), scaling, 7).recv().unwrap();
        let (first, second): (Vec<f32>, Vec<f32>) =
            batch.pixels.chunks(4).map(|image| ((image[0] + image[1]) / 2.0, (image[2] + image[3]) / 2.0)).unzip();
        for values in [&first, &second] {
            let mean = values.iter().sum::<f32>() / 7.0;
            assert!(mean.abs() < 1e-6, "{values:?}");
        }
        assert_eq!((batch.pixels[2], batch.pixels[3]), (-1.0, 1.0));
        assert_eq!(batch.labels, [0, 1, 2, 3, 4, 5, 6]);
    }
}
