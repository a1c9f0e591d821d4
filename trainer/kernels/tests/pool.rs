//! Pooling against its definition, on every instruction set of this processor.

use nightsweep_kernels::pool::{average, average_back};
use nightsweep_kernels::{LEVEL, Level, MaxPool};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Image, channels, kernel, stride, padding.
const SHAPES: [([usize; 2], usize, [usize; 3]); 7] = [
    ([4, 6], 16, [2, 2, 0]),
    ([7, 5], 3, [2, 2, 0]),
    ([28, 28], 20, [2, 2, 0]),
    ([9, 8], 17, [3, 2, 1]),
    ([3, 3], 1, [3, 2, 1]),
    ([1, 1], 5, [2, 1, 1]),
    ([6, 6], 33, [3, 1, 1]),
];

/// Few values, so that windows have several largest pixels.
fn images(random: &mut ChaCha8Rng, count: usize) -> Vec<f32> {
    (0..count).map(|_| random.random_range(-2..3) as f32).collect()
}

/// Results and the pixel that each is from.
fn definition(images: &[f32], pool: &MaxPool) -> Vec<(f32, usize)> {
    let ([height, width], channels, [rows, columns]) = (pool.image, pool.channels, pool.output_size());
    let mut results = Vec::new();
    for image in 0..images.len() / (height * width * channels) {
        for index in 0..rows * columns * channels {
            let (row, column, channel) = (index / (columns * channels), index / channels % columns, index % channels);
            let mut best = (f32::NEG_INFINITY, usize::MAX);
            for tap in 0..pool.kernel * pool.kernel {
                let y = (row * pool.stride + tap / pool.kernel).wrapping_sub(pool.padding);
                let x = (column * pool.stride + tap % pool.kernel).wrapping_sub(pool.padding);
                if y < height && x < width {
                    let at = ((image * height + y) * width + x) * channels + channel;
                    if images[at] > best.0 {
                        best = (images[at], at);
                    }
                }
            }
            results.push(best);
        }
    }
    results
}

#[test]
fn the_maximum_is_its_definition_and_its_gradient_goes_to_the_first_of_the_largest() {
    for (image, channels, window) in SHAPES {
        for level in [Level::Plain, Level::Avx2, Level::Avx512].into_iter().filter(|level| *level <= *LEVEL) {
            let pool = MaxPool::at(level, image, channels, window);
            let mut random = ChaCha8Rng::seed_from_u64(1);
            let images = images(&mut random, 3 * image[0] * image[1] * channels);
            let expected = definition(&images, &pool);
            let results: Vec<f32> = expected.iter().map(|best| best.0).collect();
            assert_eq!(pool.forward(&images), results, "{pool:?}");
            let gradient: Vec<f32> = results.iter().map(|_| random.random_range(1..9) as f32).collect();
            let mut to_images = vec![0.0; images.len()];
            for (&(_, at), g) in expected.iter().zip(&gradient) {
                to_images[at] += g;
            }
            assert_eq!(pool.backward(&images, &results, &gradient), to_images, "{pool:?}");
        }
    }
}

#[test]
fn the_average_is_its_definition_and_its_gradient_is_even() {
    for channels in [1, 16, 19] {
        let images: Vec<f32> = (0..2 * 4 * channels).map(|index| (index * index % 23) as f32).collect();
        let mean = |image: usize, channel: usize| {
            (0..4).map(|pixel| images[(image * 4 + pixel) * channels + channel]).sum::<f32>() / 4.0
        };
        let means: Vec<f32> = (0..2 * channels).map(|at| mean(at / channels, at % channels)).collect();
        assert_eq!(average(&images, 4, channels), means);
        let back = average_back(&means, 4, channels);
        let expected: Vec<f32> =
            (0..images.len()).map(|at| means[at / (4 * channels) * channels + at % channels] / 4.0).collect();
        assert_eq!(back, expected);
    }
}
