use std::collections::BTreeSet;
use std::path::Path;

use burn::tensor::Device;

use super::*;
use crate::data::{DataSpec, load};
use crate::fit::{Job, Next, Observer};
use crate::metric::Metric;
use crate::policy::exposure;
use crate::recipe::{Adamw, Augment, Convnet, ModelSpec, OptimizerSpec, PolicySpec, Recipe};
use crate::report::EpochReport;

struct Deaf;

impl Observer for Deaf {
    fn report(&mut self, _: &EpochReport) -> Next {
        Next::Train
    }
}

const SEED: TrialSeed = TrialSeed { study: 1, trial: 0 };

/// The table of arrows and disks, by a child of that policy.
fn measured(policy: PolicySpec, epochs: u64) -> HarmTable {
    let spec = DataSpec { val: Some(0.2), ..DataSpec::new("arrows-and-disks") };
    let data = load(&spec, Path::new(""), 1).unwrap();
    let recipe = Recipe {
        model: ModelSpec::Convnet(Convnet { width: 8, ..Default::default() }),
        optimizer: OptimizerSpec::Adamw(Adamw { lr: 0.01, ..Default::default() }),
        augment: Augment { policy, ..Augment::none() },
        batch_size: 32,
        epochs,
        ..Default::default()
    };
    let device = Device::flex();
    let job = Job {
        recipe: &recipe,
        data: &data,
        base: Path::new(""),
        seed: SEED,
        metric: Metric::ValAccuracy,
        device: &device,
        checkpoints: None,
        reported: 0,
    };
    let child = Child::train(&job, &mut Deaf).unwrap().1.unwrap();
    let settings = Settings::default();
    let moves = Move::all(&data.train);
    let Measured { images, accuracy, ops } =
        measure(&child, &data.validation, &data.classes, &moves, settings, SEED, |_| {});
    HarmTable { data: spec.path, fingerprint: data.fingerprint, images, accuracy, settings, ops }
}

/// The operations that are found to do so, in any direction.
fn with(table: &HarmTable, is: impl Fn(&OpHarm) -> bool) -> BTreeSet<Op> {
    table.ops.iter().filter(|harm| is(harm)).map(|harm| harm.op).collect()
}

fn exposed(epochs: u64) -> HarmTable {
    let images = load(&DataSpec::new("arrows-and-disks"), Path::new(""), 1).unwrap().train;
    measured(PolicySpec::Custom(exposure(&Move::all(&images))), epochs)
}

#[test]
fn exactly_the_operations_that_change_classes_are_found() {
    let _turn = crate::fit::tests::TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let table = exposed(20);
    let changing = BTreeSet::from([Op::Flip, Op::FlipVertical, Op::Turn, Op::Hue, Op::Grayscale, Op::Color]);
    assert_eq!(with(&table, |harm| harm.effect == Effect::ChangesClass), changing);
    let switches = |op: Op| -> BTreeSet<(String, String)> {
        let harms = table.ops.iter().filter(|harm| harm.op == op && harm.direction != Direction::Negative);
        harms.flat_map(OpHarm::switches).map(|(from, to)| (from.to_owned(), to.to_owned())).collect()
    };
    let expected =
        |pairs: &[(&str, &str)]| pairs.iter().map(|(a, b)| (format!("{a} arrow"), format!("{b} arrow"))).collect();
    assert_eq!(switches(Op::Flip), expected(&[("left", "right"), ("right", "left")]));
    assert_eq!(switches(Op::FlipVertical), expected(&[("up", "down"), ("down", "up")]));
    assert_eq!(switches(Op::Turn), expected(&[("right", "up"), ("up", "left"), ("left", "down"), ("down", "right")]));
    assert!(switches(Op::Grayscale).iter().all(|(_, to)| to == "gray disk"));

    // Policies get the rest, as far as it goes, and of colours only what makes them stronger or a little weaker.
    let moves = table.moves();
    for one in &moves {
        let weak = one.most.is_some_and(|most| most < 1.0);
        assert!(!changing.contains(&one.op) || one.op == Op::Color || (one.op == Op::Hue && weak), "{one:?}");
    }
    let allowed: BTreeSet<Op> = moves.iter().map(|one| one.op).collect();
    let geometry = [Op::ShearX, Op::ShearY, Op::TranslateX, Op::TranslateY, Op::Rotate];
    let tone = [Op::Brightness, Op::Contrast, Op::Sharpness, Op::Posterize, Op::AutoContrast, Op::Noise, Op::Cutout];
    assert!(geometry.iter().chain(&tone).all(|op| allowed.contains(op)), "{allowed:?}");
    // What is erased in part is still what it was; too much of it hides a class, but makes no other of it.
    let erase = table.ops.iter().find(|harm| harm.op == Op::Erase).unwrap();
    assert!(erase.most >= 0.25 && erase.effect != Effect::ChangesClass, "{erase:?}");
}

#[test]
fn doubt_about_what_was_never_seen_is_no_evidence() {
    let _turn = crate::fit::tests::TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let reach = |table: &HarmTable| -> f64 { table.ops.iter().map(|harm| harm.most).sum() };
    let (naive, seen) = (measured(PolicySpec::default(), 6), exposed(6));
    assert!(naive.accuracy > 0.95 && seen.accuracy > 0.9, "{} {}", naive.accuracy, seen.accuracy);
    assert!(reach(&naive) < reach(&seen), "{} {}", reach(&naive), reach(&seen));
}

#[test]
fn cutmix_needs_images_that_can_lose_a_quarter() {
    let check = |most: Option<f64>, expected: &[&str]| {
        let erase = |most: f64| OpHarm {
            op: Op::Erase,
            direction: Direction::Either,
            most,
            most_value: (most > 0.0).then_some(0.5 * most),
            effect: Effect::Hides,
            levels: Vec::new(),
        };
        let table = HarmTable {
            data: "made".to_owned(),
            fingerprint: String::new(),
            images: 0,
            accuracy: 1.0,
            settings: Settings::default(),
            ops: most.map(erase).into_iter().collect(),
        };
        assert_eq!(table.mixings().iter().map(ToString::to_string).collect::<Vec<_>>(), expected, "{most:?}");
    };
    let (mixup, all) = (["Mixup 0.2", "Mixup 1"], ["Mixup 0.2", "Mixup 1", "CutMix 1", "Mixup 0.8 or CutMix 1"]);
    check(Some(1.0), &all);
    check(Some(0.5), &all);
    check(Some(0.25), &mixup);
    check(Some(0.0), &mixup);
    // A table that says nothing of it allows nothing.
    check(None, &mixup);
}

#[test]
fn directions_that_reach_equally_far_are_one_move() {
    let harm = |op: Op, direction, most| OpHarm {
        op,
        direction,
        most,
        most_value: None,
        effect: Effect::Harmless,
        levels: Vec::new(),
    };
    let table = HarmTable {
        data: "made".to_owned(),
        fingerprint: String::new(),
        images: 0,
        accuracy: 1.0,
        settings: Settings::default(),
        ops: vec![
            harm(Op::Rotate, Direction::Positive, 0.5),
            harm(Op::Rotate, Direction::Negative, 0.5),
            harm(Op::Brightness, Direction::Positive, 1.0),
            harm(Op::Brightness, Direction::Negative, 0.25),
            harm(Op::Hue, Direction::Positive, 0.0),
            harm(Op::Hue, Direction::Negative, 0.75),
            harm(Op::Flip, Direction::Either, 0.0),
            harm(Op::Invert, Direction::Either, 1.0),
        ],
    };
    let found: Vec<(Op, Direction, Option<f64>)> =
        table.moves().iter().map(|one| (one.op, one.direction, one.most)).collect();
    let expected = [
        (Op::Rotate, Direction::Either, Some(0.5)),
        (Op::Brightness, Direction::Positive, Some(1.0)),
        (Op::Brightness, Direction::Negative, Some(0.25)),
        (Op::Hue, Direction::Negative, Some(0.75)),
        (Op::Invert, Direction::Either, None),
    ];
    assert_eq!(found, expected);
}
