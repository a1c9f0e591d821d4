//! Trainings with generated images beside the real ones.

use super::*;
use crate::data::{GeneratedClass, GeneratedRecord};
use crate::recipe::Generated;

/// Images of the first class, as if they had been generated, in `generated.npz`.
fn generated(folder: &Path, fingerprint: &str, count: usize) -> Generated {
    let of_both = images(2 * count, 5);
    let pixels = (0..count).flat_map(|place| of_both.image(2 * place).to_vec()).collect();
    let class = GeneratedClass { class: "left".into(), real: 48, tried: count, passed: count, kept: count };
    let path = folder.join("generated.npz");
    let images = GeneratedImages {
        images: Images { pixels, labels: vec![0; count], ..*of_both },
        classes: data().classes,
        record: GeneratedRecord {
            data: "made".into(),
            fingerprint: fingerprint.into(),
            seed: 1,
            steps: 10,
            seconds: 1.0,
            likelihood: 0.5,
            classes: vec![class],
            version: "0.1.0".into(),
        },
    };
    images.write(&path).unwrap();
    Generated { path: path.display().to_string(), ratio: 1.0 }
}

fn with(generated: Generated) -> Recipe {
    let [mut recipe, _, _] = recipes();
    recipe.augment.generated = generated;
    recipe
}

fn attempt(recipe: &Recipe, folder: Option<&CheckpointFolder>) -> Result<Outcome, FitError> {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let (device, data) = (Device::flex(), data());
    let job = Job {
        recipe,
        data: &data,
        base: Path::new(""),
        seed: TrialSeed { study: 7, trial: 3 },
        metric: Metric::ValAccuracy,
        device: &device,
        checkpoints: folder.cloned(),
        reported: 0,
    };
    fit(&job, &mut Script::default())
}

#[test]
fn generated_images_make_an_epoch_longer_and_a_ratio_of_nothing_changes_nothing() {
    let temporary = tempfile::tempdir().unwrap();
    let file = generated(temporary.path(), "made", 20);
    let steps_and_losses = |ratio: f64| {
        let mut script = Script::default();
        run(&with(Generated { ratio, ..file.clone() }), None, 0, &mut script);
        (script.steps, learned(&script.reports))
    };
    let mut plain = Script::default();
    run(&with(Generated::default()), None, 0, &mut plain);
    assert_eq!(steps_and_losses(0.0), (plain.steps, learned(&plain.reports)));
    // 96 real images and 48 of their first class: 9 batches of 16 instead of 6, and the last of an epoch asks nobody.
    let (steps, losses) = steps_and_losses(1.0);
    assert_eq!((plain.steps, steps), (4 * 5, 4 * 8));
    assert_ne!(losses, learned(&plain.reports));
}

#[test]
fn a_training_with_generated_images_is_resumed_as_if_never_stopped() {
    let temporary = tempfile::tempdir().unwrap();
    let recipe = with(generated(temporary.path(), "made", 20));
    let mut whole = Script::default();
    run(&recipe, None, 0, &mut whole);
    let folder = CheckpointFolder::new(temporary.path().join("trial"));
    let mut first = Script { interrupt_at: Some(12), ..Default::default() };
    run(&recipe, Some(&folder), 0, &mut first);
    let mut second = Script::default();
    run(&recipe, Some(&folder), first.reports.len() as u64, &mut second);
    assert_eq!(learned(&[first.reports, second.reports].concat()), learned(&whole.reports));
}

#[test]
fn generated_images_that_are_absent_or_of_another_split_or_that_changed_are_told() {
    let temporary = tempfile::tempdir().unwrap();
    let file = generated(temporary.path(), "made", 20);
    let folder = CheckpointFolder::new(temporary.path().join("trial"));
    let recipe = with(file.clone());
    attempt(&Recipe { epochs: 1, ..recipe.clone() }, Some(&folder)).unwrap();
    generated(temporary.path(), "made", 21);
    let changed = attempt(&Recipe { epochs: 1, ..recipe.clone() }, Some(&folder)).unwrap_err();
    assert!(matches!(changed, FitError::Foreign { what: "file of generated images", .. }), "{changed:?}");
    generated(temporary.path(), "other", 20);
    let other = attempt(&recipe, None).unwrap_err();
    assert!(matches!(other, FitError::Generated(GeneratedError::OtherData { .. })), "{other:?}");
    std::fs::remove_file(&file.path).unwrap();
    let absent = attempt(&recipe, None).unwrap_err();
    assert!(matches!(absent, FitError::Generated(GeneratedError::Read(_))), "{absent:?}");
}
