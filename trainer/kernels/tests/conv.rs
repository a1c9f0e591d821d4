//! Convolutions against their definition, summed in double precision, on every instruction set of this processor.

use nightsweep_kernels::norm::{Clamp, Moments, Norm, NormGradient};
use nightsweep_kernels::{Conv, ConvShape, Gradient, LEVEL, Level, Stored};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn numbers(random: &mut ChaCha8Rng, count: usize) -> Vec<f32> {
    (0..count).map(|_| random.random_range(-1.0..1.0)).collect()
}

fn levels() -> impl Iterator<Item = Level> {
    [Level::Plain, Level::Avx2, Level::Avx512].into_iter().filter(|level| *level <= *LEVEL)
}

/// Calls back with the indices of each product: image, weight, result.
fn for_each_product(shape: ConvShape, mut f: impl FnMut(usize, usize, usize)) {
    let ConvShape { batch, height, width, inputs, outputs, kernel, stride, padding, depthwise, .. } = shape;
    let [rows, columns] = shape.output_size();
    for image in 0..batch {
        for (row, column) in (0..rows * columns).map(|pixel| (pixel / columns, pixel % columns)) {
            for (ky, kx) in (0..kernel * kernel).map(|tap| (tap / kernel, tap % kernel)) {
                let (y, x) = (row * stride + ky, column * stride + kx);
                if y < padding || x < padding || y - padding >= height || x - padding >= width {
                    continue;
                }
                let pixel = (image * height + y - padding) * width + x - padding;
                for output in 0..outputs {
                    let sees = if depthwise { output..output + 1 } else { 0..inputs };
                    for input in sees {
                        let of_output = if depthwise { output } else { output * inputs + input };
                        f(
                            pixel * inputs + input,
                            (of_output * kernel + ky) * kernel + kx,
                            ((image * rows + row) * columns + column) * outputs + output,
                        );
                    }
                }
            }
        }
    }
}

#[track_caller]
fn close(what: &str, shape: ConvShape, level: Level, got: &[f32], expected: &[f64]) {
    assert_eq!(got.len(), expected.len(), "{what} of {shape:?}");
    let scale = expected.iter().fold(1.0f64, |scale, x| scale.max(x.abs()));
    for (index, (&got, &expected)) in got.iter().zip(expected).enumerate() {
        let off = (f64::from(got) - expected).abs() / scale;
        assert!(off < 2e-5, "{what} of {shape:?} at {level:?}: {got} instead of {expected} at {index}");
    }
}

fn check(shape: ConvShape) {
    for seed in 0..2 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let images = numbers(&mut random, shape.batch * shape.input_len());
        let weights = numbers(&mut random, shape.weight_len());
        let gradient = numbers(&mut random, shape.batch * shape.output_len());
        let mut result = vec![0.0; gradient.len()];
        let mut to_images = vec![0.0; images.len()];
        let mut to_weights = vec![0.0; weights.len()];
        for_each_product(shape, |image, weight, out| {
            result[out] += f64::from(images[image]) * f64::from(weights[weight]);
            to_images[image] += f64::from(gradient[out]) * f64::from(weights[weight]);
            to_weights[weight] += f64::from(gradient[out]) * f64::from(images[image]);
        });
        let shortcut = numbers(&mut random, images.len());
        let with_shortcut: Vec<f64> = to_images.iter().zip(&shortcut).map(|(&x, &y)| x + f64::from(y)).collect();
        let [rows, columns] = shape.output_size();
        let pixels = Gradient::Stored(Stored { data: &gradient, pixels: rows * columns, channels: shape.outputs });
        for level in levels() {
            let conv = Conv::at(level, shape);
            close("result", shape, level, &conv.forward(&images, &weights), &result);
            let (back, of_weights) = conv.backward(&images, &weights, &pixels, true, None);
            close("gradient to the images", shape, level, &back.unwrap(), &to_images);
            close("gradient to the weights", shape, level, &of_weights, &to_weights);
            let (back, again) = conv.backward(&images, &weights, &pixels, true, Some(shortcut.clone()));
            close("gradient with a shortcut", shape, level, &back.unwrap(), &with_shortcut);
            assert_eq!(again, of_weights, "the same twice");
            let (none, of_weights) = conv.backward(&images, &weights, &pixels, false, None);
            assert!(none.is_none());
            assert_eq!(again, of_weights, "the same without images");
        }
    }
}

fn shape(batch: usize, [height, width]: [usize; 2], [inputs, outputs]: [usize; 2], kernel: [usize; 3]) -> ConvShape {
    let [kernel, stride, padding] = kernel;
    ConvShape { batch, height, width, inputs, outputs, kernel, stride, padding, extra: 0, depthwise: false }
}

#[test]
fn three_by_three_filters_are_summed_as_defined() {
    for channels in [[1, 1], [3, 16], [1, 16], [16, 16], [16, 32], [17, 5], [24, 40], [5, 130], [48, 49]] {
        for size in [[8, 8], [1, 1], [3, 17], [7, 4], [2, 33]] {
            check(shape(2, size, channels, [3, 1, 1]));
        }
    }
}

#[test]
fn strided_filters_are_summed_as_defined() {
    for channels in [[1, 8], [3, 16], [16, 33], [64, 64]] {
        for size in [[8, 8], [9, 13], [3, 2], [5, 28]] {
            for kernel in [[3, 2, 1], [1, 2, 0], [7, 2, 3], [2, 2, 0], [4, 4, 0], [5, 3, 2], [3, 2, 0]] {
                if size[0].min(size[1]) + 2 * kernel[2] >= kernel[0] {
                    check(shape(3, size, channels, kernel));
                }
            }
        }
    }
}

#[test]
fn other_filters_are_summed_as_defined() {
    for kernel in [[1, 1, 0], [5, 1, 2], [3, 1, 0], [2, 1, 1], [1, 1, 1], [3, 1, 2]] {
        for channels in [[3, 4], [20, 70], [4, 1]] {
            for batch in [1, 5] {
                check(shape(batch, [6, 11], channels, kernel));
            }
        }
    }
}

#[test]
fn depthwise_filters_are_summed_as_defined() {
    for channels in [1, 3, 16, 24, 50] {
        for size in [[8, 8], [3, 17], [1, 5], [13, 4]] {
            for kernel in [[3, 1, 1], [3, 2, 1], [5, 1, 2], [5, 2, 2], [7, 1, 3]] {
                check(ConvShape { depthwise: true, ..shape(3, size, [channels; 2], kernel) });
            }
        }
    }
}

#[test]
fn what_is_left_over_of_the_padding_may_be_at_the_end() {
    for size in [[8, 8], [7, 12], [2, 2], [1, 5]] {
        for (kernel, extra) in [([3, 2, 0], 1), ([5, 2, 1], 1), ([4, 2, 1], 1), ([3, 1, 0], 2), ([1, 2, 0], 1)] {
            let dense = ConvShape { extra, ..shape(3, size, [20, 18], kernel) };
            if size[0].min(size[1]) + 2 * kernel[2] + extra >= kernel[0] {
                check(dense);
                check(ConvShape { outputs: 20, depthwise: true, ..dense });
            }
        }
    }
}

#[test]
fn many_small_images_are_summed_together() {
    check(shape(40, [2, 2], [64, 128], [3, 1, 1]));
    check(shape(33, [4, 4], [96, 80], [3, 2, 1]));
    check(shape(130, [1, 1], [40, 10], [1, 1, 0]));
}

/// Shapes for which minimal filtering is chosen: whole tiles and tiles over the edges, lanes that are full and not.
fn filtered_shapes() -> impl Iterator<Item = ConvShape> {
    let channels = [[64, 64], [32, 70], [100, 33], [47, 128]];
    let sizes = [(1, [7, 7]), (3, [4, 4]), (2, [13, 6]), (1, [3, 36])];
    channels.into_iter().flat_map(move |channels| sizes.map(|(batch, size)| shape(batch, size, channels, [3, 1, 1])))
}

#[test]
fn many_channels_are_filtered_as_defined() {
    for shape in filtered_shapes() {
        check(shape);
    }
}

#[test]
fn filtering_with_fewer_products_costs_less_than_a_digit() {
    for (seed, shape) in filtered_shapes().enumerate() {
        let mut random = ChaCha8Rng::seed_from_u64(seed as u64);
        let images = numbers(&mut random, shape.batch * shape.input_len());
        let weights = numbers(&mut random, shape.weight_len());
        let gradient = numbers(&mut random, shape.batch * shape.output_len());
        let mut exact = [vec![0.0; gradient.len()], vec![0.0; images.len()], vec![0.0; weights.len()]];
        for_each_product(shape, |image, weight, out| {
            exact[0][out] += f64::from(images[image]) * f64::from(weights[weight]);
            exact[1][image] += f64::from(gradient[out]) * f64::from(weights[weight]);
            exact[2][weight] += f64::from(gradient[out]) * f64::from(images[image]);
        });
        let [rows, columns] = shape.output_size();
        let pixels = Gradient::Stored(Stored { data: &gradient, pixels: rows * columns, channels: shape.outputs });
        for level in levels() {
            let [direct, filtered] = [Conv::direct(level, shape), Conv::at(level, shape)].map(|conv| {
                let (to_images, to_weights) = conv.backward(&images, &weights, &pixels, true, None);
                [conv.forward(&images, &weights), to_images.unwrap(), to_weights]
            });
            for ((direct, filtered), exact) in direct.iter().zip(&filtered).zip(&exact) {
                assert_ne!(direct, filtered, "{shape:?} is not filtered");
                let [direct, filtered] = [direct, filtered].map(|found| root_mean_square_error(found, exact));
                // Measured: 1.9 to 5.8 times.
                assert!(filtered < 10.0 * direct, "{shape:?} at {level:?}: {filtered:e}, directly {direct:e}");
            }
        }
    }
}

fn root_mean_square_error(found: &[f32], exact: &[f64]) -> f64 {
    let squares = found.iter().zip(exact).map(|(&found, exact)| (f64::from(found) - exact).powi(2));
    (squares.sum::<f64>() / exact.len() as f64).sqrt()
}

#[test]
fn an_image_has_the_same_result_in_any_batch() {
    let mut random = ChaCha8Rng::seed_from_u64(11);
    for size in [[8, 8], [7, 7], [20, 33]] {
        let many = shape(5, size, [64, 48], [3, 1, 1]);
        let images = numbers(&mut random, many.batch * many.input_len());
        let weights = numbers(&mut random, many.weight_len());
        let together = Conv::new(many).forward(&images, &weights);
        for (image, expected) in images.chunks(many.input_len()).zip(together.chunks(many.output_len())) {
            assert_eq!(Conv::new(ConvShape { batch: 1, ..many }).forward(image, &weights), expected, "{many:?}");
        }
    }
}

#[test]
fn the_gradient_through_a_norm_is_that_which_it_writes() {
    let mut random = ChaCha8Rng::seed_from_u64(5);
    for shape in filtered_shapes().chain([shape(3, [5, 4], [2, 18], [3, 1, 1]), shape(2, [9, 9], [40, 20], [3, 2, 1])])
    {
        let images = numbers(&mut random, shape.batch * shape.input_len());
        let weights = numbers(&mut random, shape.weight_len());
        let upstream = numbers(&mut random, shape.batch * shape.output_len());
        let gamma = numbers(&mut random, shape.outputs);
        let beta = numbers(&mut random, shape.outputs);
        let shortcut = numbers(&mut random, images.len());
        for level in levels() {
            let conv = Conv::at(level, shape);
            let (data, moments) = conv.forward_with_moments(&images, &weights);
            assert_eq!(data, conv.forward(&images, &weights));
            let plain = Moments::of(&data, shape.outputs, shape.batch);
            for (found, expected) in moments.mean.iter().zip(&plain.mean) {
                assert!((found - expected).abs() < 1e-5, "{found} instead of {expected}");
            }
            for (found, expected) in moments.variance.iter().zip(&plain.variance) {
                assert!((found - expected).abs() < 1e-5 * expected, "{found} instead of {expected}");
            }
            let norm = Norm::new(&moments, &gamma, &beta, 1e-5);
            let through = NormGradient::new(&upstream, &data, shape.batch, &norm, Clamp::Relu);
            let written = through.write();
            let [rows, columns] = shape.output_size();
            let stored = Stored { data: &written, pixels: rows * columns, channels: shape.outputs };
            for shortcut in [None, Some(shortcut.clone())] {
                let [(one, of_one), (other, of_other)] = [Gradient::ThroughNorm(&through), Gradient::Stored(stored)]
                    .map(|gradient| conv.backward(&images, &weights, &gradient, true, shortcut.clone()));
                let wide = |numbers: Vec<f32>| -> Vec<f64> { numbers.into_iter().map(f64::from).collect() };
                close("gradient through a norm", shape, level, &one.unwrap(), &wide(other.unwrap()));
                close("weights through a norm", shape, level, &of_one, &wide(of_other));
            }
        }
    }
}

/// A convolution and a batch norm with ReLU as burn and PyTorch see them, by numeric differentiation.
#[test]
fn the_gradient_through_a_norm_is_that_of_differences() {
    let shape = shape(3, [5, 4], [2, 18], [3, 1, 1]);
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let images = numbers(&mut random, shape.batch * shape.input_len());
    let weights = numbers(&mut random, shape.weight_len());
    let gamma = numbers(&mut random, shape.outputs);
    let beta = numbers(&mut random, shape.outputs);
    let upstream = numbers(&mut random, shape.batch * shape.output_len());
    let conv = Conv::new(shape);

    let (data, moments) = conv.forward_with_moments(&images, &weights);
    let plain = Moments::of(&data, shape.outputs, shape.batch);
    for (one, other) in moments.variance.iter().zip(&plain.variance) {
        assert!((one - other).abs() < 1e-5 * one.abs());
    }
    let norm = Norm::new(&moments, &gamma, &beta, 1e-5);
    let gradient = NormGradient::new(&upstream, &data, shape.batch, &norm, Clamp::Relu);
    let (to_images, to_weights) = conv.backward(&images, &weights, &Gradient::ThroughNorm(&gradient), true, None);

    // The loss in double precision, Σ upstream · relu(norm(conv)).
    let loss = |images: &[f64], weights: &[f64], gamma: &[f64], beta: &[f64]| -> f64 {
        let mut data = vec![0.0; upstream.len()];
        for_each_product(shape, |image, weight, out| data[out] += images[image] * weights[weight]);
        let channels = shape.outputs;
        let count = (data.len() / channels) as f64;
        (0..channels)
            .map(|channel| {
                let of_channel = || data.iter().skip(channel).step_by(channels);
                let mean = of_channel().sum::<f64>() / count;
                let variance = of_channel().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
                let out = |x: f64| ((x - mean) / (variance + 1e-5).sqrt() * gamma[channel] + beta[channel]).max(0.0);
                let upstream = upstream.iter().skip(channel).step_by(channels);
                of_channel().zip(upstream).map(|(&x, &g)| out(x) * f64::from(g)).sum::<f64>()
            })
            .sum()
    };
    let wide = |values: &[f32]| -> Vec<f64> { values.iter().map(|&x| f64::from(x)).collect() };
    let at = [wide(&images), wide(&weights), wide(&gamma), wide(&beta)];
    let found: [&[f32]; 4] = [&to_images.unwrap(), &to_weights, &gradient.to_parameters[0], &gradient.to_parameters[1]];
    for (which, found) in found.into_iter().enumerate() {
        for index in (0..found.len()).step_by(1 + found.len() / 40) {
            let moved = |by: f64| {
                let mut at = at.clone();
                at[which][index] += by;
                loss(&at[0], &at[1], &at[2], &at[3])
            };
            let expected = (moved(1e-5) - moved(-1e-5)) / 2e-5;
            let off = (f64::from(found[index]) - expected).abs();
            assert!(off < 1e-3 * expected.abs().max(1.0), "{which} {index}: {} instead of {expected}", found[index]);
        }
    }
}

#[test]
fn variances_of_far_means_are_exact() {
    let mut random = ChaCha8Rng::seed_from_u64(3);
    let data: Vec<f32> = numbers(&mut random, 4000).iter().map(|x| 1000.0 + x).collect();
    let moments = Moments::of(&data, 4, 10);
    for channel in 0..4 {
        let of_channel = || data.iter().skip(channel).step_by(4).map(|&x| f64::from(x));
        let mean = of_channel().sum::<f64>() / 1000.0;
        let variance = of_channel().map(|x| (x - mean).powi(2)).sum::<f64>() / 1000.0;
        assert!((f64::from(moments.variance[channel]) / variance - 1.0).abs() < 1e-3);
        assert!((f64::from(moments.unbiased_variance()[channel]) / (variance * 1000.0 / 999.0) - 1.0).abs() < 1e-3);
    }
}
