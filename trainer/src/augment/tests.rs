//! Operations are Pillow's to the byte: tests/golden/augment.py made the tiles that they are compared with.

use image::ImageReader;
use rand::SeedableRng;
use serde::Deserialize;

use super::op::Strength;
use super::*;
use crate::recipe::{
    AugMix, AutoAugment, Direction, Interpolation, LearnedOn, Op, Policy, PolicyOp, PolicySpec, SubPolicy,
};

#[derive(Debug, Deserialize)]
struct Case {
    op: Option<Op>,
    affine: Option<[f64; 5]>,
    part: Option<[usize; 4]>,
    /// Whose range the strength is of.
    space: Option<String>,
    /// A place among places.
    strength: Option<[u32; 2]>,
    #[serde(default)]
    value: f64,
    #[serde(default)]
    interpolation: Interpolation,
    #[serde(default)]
    fill: u8,
    /// Levels by which it may differ.
    #[serde(default)]
    within: u8,
}

impl Case {
    fn apply(&self, canvas: &mut Canvas) {
        if let Some([top, left, height, width]) = self.part {
            return canvas.zoom(Part { top, left, height, width });
        }
        if let Some([rotate, right, down, scale, shear]) = self.affine {
            let map = Affine::around_centre(rotate, [right, down], scale, shear, canvas.size);
            return canvas.transform(map, self.interpolation, self.fill);
        }
        let (op, images) = (self.op.unwrap(), images(canvas.size));
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut around =
            Around { images: &images, interpolation: self.interpolation, fill: self.fill, random: &mut random };
        let value = match (&self.space, self.strength) {
            (Some(space), Some([place, last])) => {
                let value = Strength::Step { place, last }.value(policy::range_in(space, op, canvas.size));
                // Bits are rounded by the operation, pixels cut off.
                let tolerance = if op == Op::Posterize { 0.5 } else { 2e-7 * value };
                assert!((value - self.value.abs()).abs() <= tolerance, "{self:?}: {value}");
                value.copysign(self.value)
            }
            _ => self.value,
        };
        (op.row().apply)(canvas, value, &mut around);
    }
}

/// Noise of this size.
fn images(size: Size) -> Images {
    let mut random = ChaCha8Rng::seed_from_u64(9);
    let pixels = (0..7 * size.bytes()).map(|_| random.random()).collect();
    Images { pixels, labels: vec![0; 7], height: size.height, width: size.width, channels: size.channels }
}

/// The tiles of a sheet.
fn tiles(png: &[u8], size: Size) -> Vec<Vec<u8>> {
    let reader = ImageReader::new(std::io::Cursor::new(png)).with_guessed_format().unwrap();
    let sheet = reader.decode().unwrap();
    let (columns, rows) = (sheet.width() as usize / size.width, sheet.height() as usize / size.height);
    let bytes = sheet.into_bytes();
    let line = columns * size.width * size.channels;
    let tile = |place: usize| {
        let (row, column) = (place / columns * size.height, place % columns * size.width * size.channels);
        let lines =
            (row..row + size.height).flat_map(|row| &bytes[row * line + column..][..size.width * size.channels]);
        lines.copied().collect()
    };
    (0..rows * columns).map(tile).collect()
}

fn check_sheet(png: &[u8], channels: usize) {
    let cases: Vec<Case> = serde_json::from_str(include_str!("../../tests/golden/augment.json")).unwrap();
    let size = Size { height: 11, width: 14, channels };
    let tiles = tiles(png, size);
    let mut wrong = Vec::new();
    for (case, expected) in cases.iter().zip(&tiles[1..]) {
        let mut canvas = Canvas { pixels: tiles[0].clone(), ..Canvas::new(size) };
        case.apply(&mut canvas);
        let off = canvas.pixels.iter().zip(expected).filter(|(a, b)| a.abs_diff(**b) > case.within).count();
        if off > 0 {
            wrong.push((case, off));
        }
    }
    assert!(cases.len() > 500);
    assert!(wrong.is_empty(), "{} of {} differ: {wrong:?}", wrong.len(), cases.len());
}

#[test]
fn colour_images_come_out_as_pillows() {
    check_sheet(include_bytes!("../../tests/golden/augment-colour.png"), 3);
}

#[test]
fn gray_images_come_out_as_pillows() {
    check_sheet(include_bytes!("../../tests/golden/augment-gray.png"), 1);
}

const SIZE: Size = Size { height: 32, width: 32, channels: 3 };

/// The views of the first image over 40 epochs.
fn views(augment: &Augment, progress: f64) -> Vec<Vec<u8>> {
    let images = images(SIZE);
    let augmenter = Augmenter::new(augment, &images);
    let mut canvas = Canvas::new(SIZE);
    let mut view = |seed| {
        augmenter.view(&mut canvas, &images, 0, progress, &mut ChaCha8Rng::seed_from_u64(seed));
        canvas.pixels.clone()
    };
    (0..40).map(&mut view).collect()
}

fn policies() -> Vec<PolicySpec> {
    let listed = [LearnedOn::Cifar10, LearnedOn::Svhn, LearnedOn::Imagenet]
        .map(|learned_on| PolicySpec::AutoAugment(AutoAugment { learned_on }));
    let drawn = [
        PolicySpec::RandAugment(Default::default()),
        PolicySpec::TrivialAugment(Default::default()),
        PolicySpec::AugMix(AugMix::default()),
        PolicySpec::AugMix(AugMix { severity: 10, depth: 4, alpha: 0.2, all_ops: false, width: 2 }),
        PolicySpec::Custom(every_op()),
    ];
    listed.into_iter().chain(drawn).collect()
}

/// A sub-policy for each operation.
fn every_op() -> Policy {
    let op =
        |row: &Row| PolicyOp { probability: 0.9, magnitude: 1.0, magnitude_min: Some(0.2), ..PolicyOp::new(row.op) };
    let sub_policy = |row: &Row| SubPolicy { weight: 1.0, from: 0.0, until: 1.0, ops: vec![op(row)] };
    Policy { draws: 2, ..Policy::new(ROWS.iter().map(sub_policy).collect()) }
}

#[test]
fn every_policy_changes_images_and_repeats_under_a_seed() {
    let plain = images(SIZE).image(0).to_vec();
    for policy in policies() {
        let augment = Augment { policy: policy.clone(), ..Augment::none() };
        let views = views(&augment, 0.0);
        assert_eq!(views, super::tests::views(&augment, 0.0));
        let changed = views.iter().filter(|view| **view != plain).count();
        assert!(changed >= 20, "{policy:?}: {changed}");
    }
}

#[test]
fn gray_images_of_any_size_go_through_every_policy() {
    for (height, width) in [(28, 28), (1, 1), (2, 5), (9, 3)] {
        let size = Size { height, width, channels: 1 };
        let images = images(size);
        let mut canvas = Canvas::new(size);
        for policy in policies() {
            let augment = Augment {
                policy,
                crop_scale: 0.1,
                flip_vertical: 0.5,
                rotate: 30.0,
                translate: 0.2,
                scale: 0.3,
                shear: 10.0,
                brightness: 0.5,
                contrast: 0.5,
                saturation: 0.5,
                hue: 0.5,
                grayscale: 0.5,
                blur: 0.5,
                noise: 0.1,
                erase: 0.5,
                cutout: 3,
                interpolation: Interpolation::Bilinear,
                ..Default::default()
            };
            let augmenter = Augmenter::new(&augment, &images);
            for seed in 0..30 {
                augmenter.view(&mut canvas, &images, 3, 0.5, &mut ChaCha8Rng::seed_from_u64(seed));
            }
        }
    }
}

#[test]
fn a_schedule_holds_from_and_until_its_share_of_the_training() {
    let invert = |from: f64, until: f64| {
        let op = PolicyOp::new(Op::Invert);
        let policy = Policy::new(vec![SubPolicy { weight: 1.0, from, until, ops: vec![op] }]);
        Augment { policy: PolicySpec::Custom(policy), ..Augment::none() }
    };
    let plain = images(SIZE).image(0).to_vec();
    let is_inverted = |from, until, progress| views(&invert(from, until), progress)[0] != plain;
    assert!(is_inverted(0.0, 1.0, 0.0) && is_inverted(0.25, 0.5, 0.25));
    assert!(!is_inverted(0.25, 0.5, 0.24) && !is_inverted(0.25, 0.5, 0.5));
}

#[test]
fn an_operation_goes_the_way_that_it_is_told() {
    let images = Images { pixels: (0..27).collect(), labels: vec![0], height: 3, width: 3, channels: 3 };
    let view = |direction, seed| {
        let op = PolicyOp { direction, ..PolicyOp::new(Op::Turn) };
        let sub_policies = vec![SubPolicy { weight: 1.0, from: 0.0, until: 1.0, ops: vec![op] }];
        let policy = PolicySpec::Custom(Policy::new(sub_policies));
        let augmenter = Augmenter::new(&Augment { policy, ..Augment::none() }, &images);
        let mut canvas = Canvas::new(Size::of(&images));
        augmenter.view(&mut canvas, &images, 0, 0.0, &mut ChaCha8Rng::seed_from_u64(seed));
        canvas.pixels.iter().step_by(3).map(|byte| byte / 3).collect::<Vec<u8>>()
    };
    let (left, right) = ([2, 5, 8, 1, 4, 7, 0, 3, 6], [6, 3, 0, 7, 4, 1, 8, 5, 2]);
    for seed in 0..20 {
        assert_eq!(view(Direction::Positive, seed), left);
        assert_eq!(view(Direction::Negative, seed), right);
    }
    let either: Vec<_> = (0..20).map(|seed| view(Direction::Either, seed)).collect();
    assert!(either.iter().any(|view| *view == left) && either.iter().any(|view| *view == right));
}

#[test]
fn a_policy_erases_the_share_of_the_area_that_its_strength_says() {
    let op = PolicyOp { magnitude: 0.5, ..PolicyOp::new(Op::Erase) };
    let policy = PolicySpec::Custom(Policy::new(vec![SubPolicy { weight: 1.0, from: 0.0, until: 1.0, ops: vec![op] }]));
    let plain = images(SIZE).image(0).to_vec();
    for view in views(&Augment { policy, ..Augment::none() }, 0.0) {
        let pixels = view.chunks_exact(3).zip(plain.chunks_exact(3));
        let share = pixels.filter(|(after, before)| after != before).count() as f64 / 1024.0;
        assert!((share - 0.25).abs() < 0.03, "{share}");
    }
}

#[test]
fn weights_and_probabilities_are_chances() {
    let op = |op, probability| PolicyOp { probability, ..PolicyOp::new(op) };
    let sub = |weight, ops| SubPolicy { weight, from: 0.0, until: 1.0, ops };
    let sub_policies = vec![sub(3.0, vec![op(Op::Invert, 0.5)]), sub(1.0, vec![op(Op::Flip, 1.0)])];
    let policy = PolicySpec::Custom(Policy::new(sub_policies));
    let (size, augment) = (Size { height: 1, width: 2, channels: 1 }, Augment { policy, ..Augment::none() });
    let images = Images { pixels: vec![10, 20], labels: vec![0], height: 1, width: 2, channels: 1 };
    let augmenter = Augmenter::new(&augment, &images);
    let (mut canvas, mut counts) = (Canvas::new(size), [0, 0, 0]);
    for seed in 0..2000 {
        augmenter.view(&mut canvas, &images, 0, 0.0, &mut ChaCha8Rng::seed_from_u64(seed));
        counts[[vec![10, 20], vec![245, 235], vec![20, 10]].iter().position(|view| *view == canvas.pixels).unwrap()] +=
            1;
    }
    for (count, expected) in counts.iter().zip([750, 750, 500]) {
        assert!(i32::abs_diff(*count, expected) < 80, "{counts:?}");
    }
}

#[test]
fn aug_mix_of_nothing_but_the_image_is_the_image() {
    // The weights sum to 1, so chains that change nothing give the image again, cut off at most by one level.
    let mix = AugMix { severity: 1, ..Default::default() };
    let plain = images(SIZE);
    let augment = Augment { policy: PolicySpec::AugMix(mix), ..Augment::none() };
    // At strength 0 only these three operations change an image.
    let is_near = |view: &Vec<u8>| view.iter().zip(plain.image(0)).all(|(a, b)| a.abs_diff(*b) <= 1);
    assert!(views(&augment, 0.0).iter().filter(|view| is_near(view)).count() >= 5);
}

#[test]
fn colours_change_where_there_are_any() {
    let plain = views(&Augment::none(), 0.0);
    for augment in [
        Augment { saturation: 0.5, ..Augment::none() },
        Augment { hue: 0.2, ..Augment::none() },
        Augment { grayscale: 0.5, ..Augment::none() },
    ] {
        assert_ne!(views(&augment, 0.0), plain, "{augment:?}");
    }
}

#[test]
fn jitter_draws_within_its_reach() {
    let images = Images { pixels: vec![100; 3072], labels: vec![0], height: 32, width: 32, channels: 3 };
    let augmenter = Augmenter::new(&Augment { brightness: 0.4, ..Augment::none() }, &images);
    let mut canvas = Canvas::new(SIZE);
    let mut value = |seed| {
        augmenter.view(&mut canvas, &images, 0, 0.0, &mut ChaCha8Rng::seed_from_u64(seed));
        canvas.pixels[0]
    };
    let values: Vec<u8> = (0..500).map(&mut value).collect();
    let (least, most) = (*values.iter().min().unwrap(), *values.iter().max().unwrap());
    assert!((60..64).contains(&least) && (136..=140).contains(&most), "{least} {most}");
}
