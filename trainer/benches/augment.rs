//! Augmentation on one thread, in images a second: every operation at its full strength, and whole policies.
//! `cargo bench --bench augment` here, and `python3 trainer/benches/augment.py` for torchvision's on the same machine.

use std::hint::black_box;
use std::time::{Duration, Instant};

use nightsweep_trainer::augment::{Around, Augmenter, Canvas, ROWS, Size};
use nightsweep_trainer::data::Images;
use nightsweep_trainer::recipe::{Augment, Interpolation};
use rand::RngExt;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

const COUNT: usize = 256;

/// Slopes with noise.
fn images(size: Size) -> Images {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let pixels = (0..COUNT * size.bytes()).map(|i| (i / 7 % 200) as u8 + random.random_range(0..50)).collect();
    Images { pixels, labels: vec![0; COUNT], height: size.height, width: size.width, channels: size.channels }
}

/// Passes over the images for half a second.
fn images_per_second(mut act: impl FnMut(usize)) -> f64 {
    let (begin, mut passes) = (Instant::now(), 0);
    while begin.elapsed() < Duration::from_millis(500) {
        (0..COUNT).for_each(&mut act);
        passes += 1;
    }
    (passes * COUNT) as f64 / begin.elapsed().as_secs_f64()
}

fn main() {
    let sizes = [[32, 32, 3], [28, 28, 1]].map(|[height, width, channels]| Size { height, width, channels });
    let policies = [
        ("flip and crop", "flip = 0.5"),
        ("AutoAugment", "policy = { kind = 'auto_augment' }"),
        ("RandAugment", "policy = { kind = 'rand_augment' }"),
        ("RandAugment bilinear", "policy = { kind = 'rand_augment' }\ninterpolation = 'bilinear'"),
        ("TrivialAugment", "policy = { kind = 'trivial_augment' }"),
        ("AugMix", "policy = { kind = 'aug_mix' }"),
        ("resized crop", "crop_scale = 0.3"),
        ("rotate bilinear", "rotate = 15.0\ninterpolation = 'bilinear'"),
        ("colour jitter", "brightness = 0.4\ncontrast = 0.4\nsaturation = 0.4\nhue = 0.1"),
    ];
    println!("{:24}{:>14}{:>14}", "images/s on one thread", "32×32×3", "28×28×1");
    let print = |name: &str, speeds: [f64; 2]| println!("{name:24}{:>14.0}{:>14.0}", speeds[0], speeds[1]);
    for row in &ROWS {
        let speeds = sizes.map(|size| {
            let (images, mut canvas) = (images(size), Canvas::new(size));
            let mut random = ChaCha8Rng::seed_from_u64(1);
            images_per_second(|index| {
                canvas.pixels.copy_from_slice(images.image(index));
                let interpolation = Interpolation::Nearest;
                let mut around = Around { images: &images, interpolation, fill: 0, random: &mut random };
                (row.apply)(&mut canvas, (row.range)(size)[1], &mut around);
                black_box(&canvas.pixels);
            })
        });
        print(&format!("{:?}", row.op), speeds);
    }
    for (name, fields) in policies {
        let augment: Augment = toml::from_str(fields).expect("the table's recipes are recipes");
        let speeds = sizes.map(|size| {
            let (images, mut canvas) = (images(size), Canvas::new(size));
            let augmenter = Augmenter::new(&augment, &images);
            let mut random = ChaCha8Rng::seed_from_u64(1);
            images_per_second(|index| {
                augmenter.view(&mut canvas, &images, index, 0.0, &mut random);
                black_box(&canvas.pixels);
            })
        });
        print(name, speeds);
    }
}
