use std::path::Path;
use std::sync::Arc;

use burn::tensor::Device;

use super::*;
use crate::data::{Images, Notice};
use crate::fit::{Job, Next, Observer};
use crate::metric::Metric;
use crate::recipe::{Adamw, Augment, Convnet, ModelSpec, OptimizerSpec, Recipe};
use crate::report::EpochReport;
use crate::seed::{Purpose, TrialSeed};

const SEED: TrialSeed = TrialSeed { study: 1, trial: 0 };
/// The gray of each class.
const GRAYS: [u8; 2] = [60, 200];

/// Images of 8×8 pixels, all of one gray a class but for a little noise; the second class is scarce.
fn data() -> Dataset {
    let image = |class: usize, number: usize| (0..64).map(move |place| GRAYS[class] + ((place + number) % 7) as u8 - 3);
    let images = |counts: [usize; 2]| {
        let all = (0..2).flat_map(|class| (0..counts[class]).map(move |number| (class, number)));
        let (labels, pixels): (Vec<u32>, Vec<Vec<u8>>) =
            all.map(|(class, number)| (class as u32, image(class, number).collect())).unzip();
        Arc::new(Images { pixels: pixels.concat(), labels, height: 8, width: 8, channels: 1 })
    };
    Dataset {
        classes: ["dark", "bright"].map(str::to_owned).to_vec(),
        train: images([40, 8]),
        validation: images([4, 4]),
        test_images: 0,
        notices: Vec::<Notice>::new(),
        fingerprint: "made".to_owned(),
    }
}

fn settings(steps: u64) -> GanSettings {
    // As the data, small; and in a hurry.
    GanSettings { steps, batch: 16, noise: 8, width: 8, lr: 2e-3, lr_discriminator: 8e-3, ..Default::default() }
}

fn gan(data: &Dataset, wanted: &[usize], steps: u64) -> Gan {
    let go_on = &mut |_, _| true;
    Gan::train((&data.train, 2), wanted, settings(steps), SEED, &Device::flex(), go_on).unwrap()
}

fn generated(gan: &Gan, class: usize, count: usize) -> Images {
    gan.images(class, count, &mut SEED.stream(Purpose::Generate, 1, class as u64))
}

struct Quiet;

impl Observer for Quiet {
    fn report(&mut self, _: &EpochReport) -> Next {
        Next::Train
    }
}

fn filter(data: &Dataset) -> Filter {
    let recipe = Recipe {
        model: ModelSpec::Convnet(Convnet { width: 4, ..Default::default() }),
        optimizer: OptimizerSpec::Adamw(Adamw { lr: 0.01, ..Default::default() }),
        augment: Augment::none(),
        batch_size: 8,
        epochs: 8,
        ..Default::default()
    };
    let device = Device::flex();
    let job = Job {
        recipe: &recipe,
        data,
        base: Path::new(""),
        seed: SEED,
        metric: Metric::ValAccuracy,
        device: &device,
        checkpoints: None,
        reported: 0,
    };
    Filter::train(&job, 0.5, &mut Quiet).unwrap()
}

#[test]
fn a_generator_learns_what_each_class_looks_like_and_the_filter_lets_it_through() {
    let data = data();
    let gan = gan(&data, &[1], 300);
    for (class, gray) in GRAYS.into_iter().enumerate() {
        let images = generated(&gan, class, 50);
        let mean = images.pixels.iter().map(|byte| f64::from(*byte)).sum::<f64>() / images.pixels.len() as f64;
        // So short a duel is not settled, but each class is far nearer to its own gray than to the other's, 140 away.
        assert!((mean - f64::from(gray)).abs() < 40.0, "class {class} is of gray {mean}, not {gray}");
    }
    let filter = filter(&data);
    let random = &mut SEED.stream(Purpose::Generate, 2, 0);
    let sifted = filter.sift(&gan, 1, 20, random);
    assert!(sifted.is_enough && sifted.images.len() == 20 && sifted.passed >= 20, "{sifted:?}");
    assert!(sifted.images.labels.iter().all(|label| *label == 1));
}

#[test]
fn what_is_not_of_the_class_does_not_pass() {
    // Learned with the names exchanged: what this generator calls bright is dark.
    let data = data();
    let labels = data.train.labels.iter().map(|label| 1 - label).collect();
    let exchanged = Dataset { train: Arc::new(Images { labels, ..(*data.train).clone() }), ..data.clone() };
    let gan = gan(&exchanged, &[0], 300);
    let sifted = filter(&data).sift(&gan, 1, 10, &mut SEED.stream(Purpose::Generate, 2, 0));
    assert!(!sifted.is_enough && sifted.tried == 100 && sifted.passed < 10, "{sifted:?}");
    assert_eq!(sifted.images.len(), sifted.passed);
}

#[test]
fn the_same_seed_gives_the_same_images() {
    let data = data();
    let of = |seed| {
        let gan = Gan::train((&data.train, 2), &[1], settings(5), seed, &Device::flex(), &mut |_, _| true).unwrap();
        assert_eq!(gan.steps(), 5);
        generated(&gan, 1, 3)
    };
    assert_eq!(of(SEED), of(SEED));
    assert_ne!(of(SEED), of(TrialSeed { study: 2, ..SEED }));
}

#[test]
fn training_ends_when_it_is_told_to() {
    let data = data();
    let mut go_on = |step, total| {
        assert_eq!(total, 100);
        step < 3
    };
    let gan = Gan::train((&data.train, 2), &[1], settings(100), SEED, &Device::flex(), &mut go_on).unwrap();
    assert_eq!(gan.steps(), 3);
}

#[test]
fn sizes_that_there_is_no_network_for_are_told() {
    let check = |height: usize, width: usize| {
        let images = Images { pixels: vec![0; height * width], labels: vec![0], height, width, channels: 1 };
        let made = Gan::train((&images, 1), &[0], settings(1), SEED, &Device::flex(), &mut |_, _| false);
        let error = made.unwrap_err().to_string();
        assert!(error.starts_with(&format!("images of {height}×{width} pixels cannot be generated")), "{error}");
    };
    check(30, 32);
    check(4, 8);
    check(32, 128);
}

#[test]
fn classes_are_chosen_by_name_or_by_how_few_images_they_have() {
    let check = |counts: &[usize], words: &[&str], expected: Result<&[usize], &str>| {
        let labels: Vec<u32> = (0..).zip(counts).flat_map(|(class, count)| vec![class; *count]).collect();
        let images = Arc::new(Images { pixels: vec![0; labels.len()], labels, height: 1, width: 1, channels: 1 });
        let classes = (0..counts.len()).map(|class| format!("c{class}")).collect();
        let data = Dataset { classes, train: images, ..data() };
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let found = chosen_classes(&data, &words).map_err(|error| error.to_string());
        assert_eq!(found, expected.map(<[usize]>::to_vec).map_err(str::to_owned), "{counts:?} {words:?}");
    };
    check(&[10, 4, 5, 10], &["scarce"], Ok(&[1]));
    check(&[10, 4, 0, 10], &["scarce"], Ok(&[1]));
    check(&[10, 4, 10], &["all"], Ok(&[0, 1, 2]));
    check(&[10, 4, 10], &["c2", "c0"], Ok(&[2, 0]));
    check(
        &[10, 10],
        &["scarce"],
        Err("no class is scarce: all have at least half as many training images as the median class"),
    );
    check(&[10, 10], &["c0", "c7"], Err("there is no class `c7`; there are c0, c1"));
    check(&[10, 0], &["c1"], Err("class `c1` has no training images"));
    check(&[10, 0], &["all"], Err("class `c1` has no training images"));
}
