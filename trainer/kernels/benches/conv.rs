//! Speed of convolutions: forward and backward of the layers of the small ResNets, in GFLOP/s of the products
//! that the definition has, summed so and as [`Conv::new`] chooses, in turn.
//!
//! `cargo bench -p nightsweep-kernels`; `RAYON_NUM_THREADS` sets the threads.

use std::time::Instant;

use nightsweep_kernels::{Conv, ConvShape, Gradient, LEVEL, Stored};

fn main() {
    // Side, inputs, outputs, kernel, stride.
    for [side, inputs, outputs, kernel, stride] in [
        [32, 3, 16, 3, 1],
        [32, 16, 16, 3, 1],
        [32, 16, 32, 3, 2],
        [16, 32, 32, 3, 1],
        [16, 32, 64, 3, 2],
        [8, 64, 64, 3, 1],
        [28, 16, 16, 3, 1],
        [14, 32, 32, 3, 1],
        [7, 64, 64, 3, 1],
        [32, 64, 64, 3, 1],
        [16, 128, 128, 3, 1],
        [8, 256, 256, 3, 1],
        [4, 512, 512, 3, 1],
        [16, 64, 128, 1, 2],
    ] {
        let shape = ConvShape {
            batch: 64,
            height: side,
            width: side,
            inputs,
            outputs,
            kernel,
            stride,
            padding: kernel / 2,
            extra: 0,
            depthwise: false,
        };
        let images = vec![0.5; shape.batch * shape.input_len()];
        let weights = vec![0.5; shape.weight_len()];
        let gradient = vec![0.5; shape.batch * shape.output_len()];
        let [rows, columns] = shape.output_size();
        let pixels = Gradient::Stored(Stored { data: &gradient, pixels: rows * columns, channels: outputs });
        let flops = 2.0 * (shape.batch * rows * columns * shape.weight_len()) as f64;
        println!("{side:3}² {inputs:3} → {outputs:3} {kernel}×{kernel}/{stride}");
        let ways = [("as defined", Conv::direct(*LEVEL, shape)), ("as chosen", Conv::new(shape))];
        let mut seconds = [[f64::INFINITY; 3]; 2];
        for _ in 0..RUNS {
            for ((_, conv), seconds) in ways.iter().zip(&mut seconds) {
                let [forward, to_weights, both] = seconds;
                least(forward, || drop(conv.forward_with_moments(&images, &weights)));
                least(to_weights, || drop(conv.backward(&images, &weights, &pixels, false, None)));
                least(both, || drop(conv.backward(&images, &weights, &pixels, true, None)));
            }
        }
        for ((name, _), [forward, to_weights, both]) in ways.iter().zip(seconds) {
            println!(
                "    {name}: forward {:6.1}, weights {:6.1}, images {:6.1} GFLOP/s; {:6.2} ms",
                flops / forward / 1e9,
                flops / to_weights / 1e9,
                flops / (both - to_weights) / 1e9,
                (forward + both) * 1e3,
            );
        }
    }
}

/// Runs of which the fastest counts.
const RUNS: usize = 15;

/// Keeps the seconds of a run if they are the least.
fn least(seconds: &mut f64, run: impl FnOnce()) {
    let begin = Instant::now();
    run();
    *seconds = seconds.min(begin.elapsed().as_secs_f64());
}
