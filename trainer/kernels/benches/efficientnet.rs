//! Where a training step of EfficientNet-Lite0 spends its time: convolutions and batch norms alone, forward and backward,
//! in milliseconds, layer by layer, for images of 32×32×3 and a stem of stride 1.
//!
//! `cargo bench -p nightsweep-kernels --bench efficientnet`; `RAYON_NUM_THREADS` sets the threads, `BATCH` the images. As
//! this has not the product's allocator, `MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=100000000000` lets glibc keep
//! memory as that does.

use std::time::Instant;

use nightsweep_kernels::norm::{Clamp, Norm, NormGradient, Shortcut, scale_shift_clamp};
use nightsweep_kernels::{Conv, ConvShape, Gradient};

/// As in trainer/src/model/efficientnet.rs: kernel, stride, expansion, outputs, blocks.
const STAGES: [(usize, usize, usize, usize, usize); 7] = [
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
];
const STEPS: usize = 7;
/// What is timed of a layer.
const PARTS: [&str; 5] = ["conv", "norm", "norm back", "weights", "and images"];

struct Layer {
    kind: &'static str,
    conv: Conv,
    clamp: Clamp,
    weights: Vec<f32>,
    /// Milliseconds of each part, the least of all steps.
    least: [f64; PARTS.len()],
}

fn main() {
    let batch = std::env::var("BATCH").map_or(128, |batch| batch.parse().expect("the batch is a number"));
    let mut layers = layers(batch);
    let first = layers[0].conv.shape();
    for _ in 0..STEPS {
        let mut images = vec![(0..first.batch * first.input_len()).map(wave).collect::<Vec<f32>>()];
        let mut saved = Vec::new();
        for (layer, index) in layers.iter_mut().zip(0..) {
            let (data, moments) =
                timed(&mut layer.least[0], || layer.conv.forward_with_moments(&images[index], &layer.weights));
            let channels = moments.mean.len();
            let norm = Norm::new(&moments, &vec![1.0; channels], &vec![0.1; channels], 1e-5);
            let affine = [&norm.scale[..], &norm.shift[..]];
            images.push(timed(&mut layer.least[1], || {
                scale_shift_clamp(&data, batch, affine, Shortcut::Nothing, layer.clamp)
            }));
            saved.push((data, norm));
        }
        let mut gradient = images.pop().expect("there is a result");
        for (layer, (data, norm)) in layers.iter_mut().zip(saved).rev() {
            let images = images.pop().expect("each layer has some");
            let through = timed(&mut layer.least[2], || NormGradient::new(&gradient, &data, batch, &norm, layer.clamp));
            let through = Gradient::ThroughNorm(&through);
            // The parts cannot be told apart otherwise than by doing one of them again.
            timed(&mut layer.least[3], || layer.conv.backward(&images, &layer.weights, &through, false, None));
            let both =
                timed(&mut layer.least[4], || layer.conv.backward(&images, &layer.weights, &through, true, None));
            gradient = both.0.expect("it was asked for");
        }
    }
    report(&layers);
}

fn layers(batch: usize) -> Vec<Layer> {
    let mut layers = Vec::new();
    let mut side = 32;
    let mut add = |kind, [inputs, outputs]: [usize; 2], kernel, stride, clamp| {
        let depthwise = kind == "depthwise";
        // As TensorFlow pads.
        let (padding, extra) = ((kernel - stride) / 2, (kernel - stride) % 2);
        let shape =
            ConvShape { batch, height: side, width: side, inputs, outputs, kernel, stride, padding, extra, depthwise };
        side /= stride;
        let weights = (0..shape.weight_len()).map(|index| 0.3 * wave(index)).collect();
        layers.push(Layer { kind, conv: Conv::new(shape), clamp, weights, least: [f64::INFINITY; PARTS.len()] });
    };
    let mut inputs = 32;
    add("stem", [3, inputs], 3, 1, Clamp::Relu6);
    for (kernel, first_stride, expansion, outputs, blocks) in STAGES {
        for block in 0..blocks {
            let middle = expansion * inputs;
            if expansion > 1 {
                add("expand", [inputs, middle], 1, 1, Clamp::Relu6);
            }
            add("depthwise", [middle; 2], kernel, if block == 0 { first_stride } else { 1 }, Clamp::Relu6);
            add("project", [middle, outputs], 1, 1, Clamp::Nothing);
            inputs = outputs;
        }
    }
    add("head", [inputs, 1280], 1, 1, Clamp::Relu6);
    layers
}

/// Numbers about zero, in no simple order.
fn wave(index: usize) -> f32 {
    ((index % 1009) as f32 * 0.7).sin()
}

fn timed<R>(least: &mut f64, run: impl FnOnce() -> R) -> R {
    let begin = Instant::now();
    let result = run();
    *least = least.min(begin.elapsed().as_secs_f64() * 1e3);
    result
}

fn report(layers: &[Layer]) {
    let line = |name: &str, least: [f64; PARTS.len()]| {
        let total = least[0] + least[1] + least[2] + least[4];
        let parts: String = least.iter().map(|part| format!(" {part:10.2}")).collect();
        println!("{name:36}{parts} {total:8.2}");
    };
    let parts: String = PARTS.iter().map(|part| format!(" {part:>10}")).collect();
    println!("{:36}{parts} {:>8}", "ms", "step");
    for layer in layers {
        let ConvShape { height, inputs, outputs, kernel, stride, .. } = layer.conv.shape();
        let name = format!("{:9} {height:2}² {inputs:4} → {outputs:4} {kernel}×{kernel}/{stride}", layer.kind);
        line(&name, layer.least);
    }
    for kind in ["stem", "expand", "depthwise", "project", "head", ""] {
        let of_kind = layers.iter().filter(|layer| kind.is_empty() || layer.kind == kind);
        let sum =
            of_kind.fold([0.0; PARTS.len()], |sum, layer| std::array::from_fn(|part| sum[part] + layer.least[part]));
        line(&format!("all {kind}"), sum);
    }
}
