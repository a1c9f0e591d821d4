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
fn measured(policy: PolicySpec) -> HarmTable {
    let spec = DataSpec { val: Some(0.2), ..DataSpec::new("arrows-and-disks") };
    let data = load(&spec, Path::new(""), 1).unwrap();
    let recipe = Recipe {
        model: ModelSpec::Convnet(Convnet { width: 8, ..Default::default() }),
        optimizer: OptimizerSpec::Adamw(Adamw { lr: 0.01, ..Default::default() }),
        augment: Augment { policy, ..Augment::none() },
        batch_size: 32,
        epochs: 16,
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

fn with(table: &HarmTable, is: impl Fn(&OpHarm) -> bool) -> BTreeSet<Op> {
    table.ops.iter().filter(|harm| is(harm)).map(|harm| harm.op).collect()
}

#[test]
fn exactly_the_operations_that_change_classes_are_found() {
    let _turn = crate::fit::tests::TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let plain_images = load(&DataSpec::new("arrows-and-disks"), Path::new(""), 1).unwrap().train;
    let table = measured(PolicySpec::Custom(exposure(&Move::all(&plain_images))));
    for harm in &table.ops {
        eprintln!(
            "{:?} {:?} most {} {:?} {:?}",
            harm.op,
            harm.direction,
            harm.most,
            harm.effect,
            harm.switches().collect::<Vec<_>>()
        );
        for level in &harm.levels {
            eprintln!(
                "    {:.2} acc {:.3} {:+.3} ± {:.3} {:?}",
                level.magnitude,
                level.accuracy,
                level.change,
                level.change_half_width,
                level.harmed.iter().map(|h| (&h.class, (h.lost * 100.0) as i32, &h.becomes)).collect::<Vec<_>>()
            );
        }
    }
    eprintln!("accuracy {}", table.accuracy);
    let changing = BTreeSet::from([Op::Flip, Op::FlipVertical, Op::Turn, Op::Hue, Op::Grayscale, Op::Color]);
    assert_eq!(with(&table, |harm| harm.effect == Effect::ChangesClass), changing);
}

#[test]
fn an_unseen_operation_is_no_evidence() {
    let _turn = crate::fit::tests::TURN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let naive = measured(PolicySpec::default());
    eprintln!("naive: {:?}", with(&naive, |harm| harm.effect == Effect::ChangesClass));
}
