//! Fewer bits and less memory: what they may change of a training, and what not.

use burn::tensor::GradientCheckpointingStrategy;

use super::*;

const MLP: &str = "model = { kind = 'mlp', width = 8, depth = 1 }";

fn reports(data: &Dataset, recipe: &Recipe) -> Vec<EpochReport> {
    let mut script = Script::default();
    run_on(data, recipe, None, 0, &mut script);
    script.reports
}

/// Largest difference of the training losses of two recipes.
fn difference(one: &str, other: &str) -> f64 {
    let losses = |changes: &str| learned_with(changes).into_iter().map(|epoch| epoch[0]).collect::<Vec<_>>();
    losses(one).iter().zip(losses(other)).map(|(one, other)| (one - other).abs()).fold(0.0, f64::max)
}

#[test]
fn fewer_bits_train_nearly_the_same() {
    let check = |bits: &str, at_most: f64| {
        let found = difference("", &format!("precision = '{bits}'"));
        assert!(found > 0.0 && found < at_most, "{bits}: {found}");
    };
    check("bf16", 0.02);
    check("f16", 0.002);
}

#[test]
fn every_network_learns_in_16_bits() {
    for recipe in recipes() {
        for precision in [Precision::Bf16, Precision::F16] {
            let recipe = Recipe { precision, ..recipe.clone() };
            let last = reports(&data(), &recipe).pop().unwrap();
            assert!(last.value(Metric::ValAccuracy) > 0.9, "{precision:?} {:?}: {last:?}", recipe.model);
        }
    }
}

#[test]
fn a_step_whose_gradients_overflow_is_skipped_and_the_loss_scaled_less() {
    let recipe = Recipe { epochs: 2, ..changed("precision = 'f16'") };
    let temporary = tempfile::tempdir().unwrap();
    let folder = CheckpointFolder::new(temporary.path());
    let mut first = Script { pause_after: Some(1), ..Default::default() };
    run(&recipe, Some(&folder), 0, &mut first);
    let mut checkpoint = folder.load().unwrap().unwrap();
    let updates = checkpoint.place.updates;
    let factor = 2f64.powi(40);
    checkpoint.place.loss_scale = Some(LossScale { factor, steady_steps: 0 });
    folder.save(&checkpoint).unwrap();
    let mut second = Script::default();
    run(&recipe, Some(&folder), 1, &mut second);
    let report = &second.reports[0];
    assert_eq!(report.metrics["skipped_updates"], 6.0);
    assert_eq!(report.metrics["loss_scale"], factor / 64.0);
    // Not a weight has moved.
    assert_eq!(report.metrics["val_loss"], first.reports[0].metrics["val_loss"]);
    assert_eq!(folder.load().unwrap().unwrap().place.updates, updates);
}

#[test]
fn only_half_precision_scales_its_loss() {
    for (precision, is_scaled) in [(Precision::F32, false), (Precision::Bf16, false), (Precision::F16, true)] {
        let recipe = Recipe { precision, epochs: 1, ..changed(MLP) };
        let report = &reports(&data(), &recipe)[0];
        assert_eq!(report.metrics.contains_key("loss_scale"), is_scaled, "{precision:?}");
        assert_eq!(report.metrics.contains_key("skipped_updates"), is_scaled, "{precision:?}");
    }
}

#[test]
fn a_batch_in_pieces_trains_as_the_whole() {
    for changes in [
        "",
        "class_weights = { kind = 'inverse' }\nlabel_smoothing = 0.1",
        "class_weights = { kind = 'inverse' }\nloss = { kind = 'binary_cross_entropy' }",
        "augment = { flip = 0.0, crop_padding = 0, mixup = 0.4 }",
        "accumulate = 2",
    ] {
        // Five does not divide sixteen.
        let found = difference(changes, &format!("{changes}\nmicro_batch = 5"));
        assert!(found < 1e-5, "{changes}: {found}");
    }
}

#[test]
fn batch_norms_see_a_piece_at_a_time() {
    let convnet = "model = { kind = 'convnet', width = 4 }";
    assert!(difference(convnet, &format!("{convnet}\nmicro_batch = 4")) > 1e-3);
}

#[test]
fn computing_activations_again_changes_nothing() {
    // In 16 bits all but the loss, whose scores have 32, is computed by burn, with and without.
    let found = difference("precision = 'bf16'", "precision = 'bf16'\ngradient_checkpointing = true");
    assert!(found < 1e-6, "bf16: {found}");
    for recipe in recipes() {
        let losses = |gradient_checkpointing| {
            let reports = reports(&data(), &Recipe { gradient_checkpointing, ..recipe.clone() });
            reports.iter().map(|report| report.metrics["train_loss"]).collect::<Vec<_>>()
        };
        // Our own kernels keep all activations, and burn's sum in another order.
        let gaps = losses(true).into_iter().zip(losses(false)).map(|(again, kept)| (again - kept).abs());
        assert!(gaps.fold(0.0, f64::max) < 1e-4, "{:?}", recipe.model);
    }
}

#[test]
fn activations_are_computed_again_where_that_is_asked_for() {
    for (gradient_checkpointing, strategy) in
        [(false, GradientCheckpointingStrategy::Disabled), (true, GradientCheckpointingStrategy::Balanced)]
    {
        let recipe = Recipe { gradient_checkpointing, precision: Precision::Bf16, ..changed(MLP) };
        let (device, data) = (Device::flex(), data());
        let seed = TrialSeed { study: 7, trial: 3 };
        let job = Job {
            recipe: &recipe,
            data: &data,
            base: Path::new(""),
            seed,
            metric: Metric::ValAccuracy,
            device: &device,
            checkpoints: None,
            reported: 0,
        };
        let mut training = Training::start_or_resume(&job, &mut Script::default()).unwrap();
        assert!(training.train_epoch(&mut Script::default()).unwrap());
        // After updates too, and in the copy that computes.
        let copy = recipe.precision.of_model(&training.model);
        let images = Tensor::<4>::ones([2, 1, 8, 8], &training.device).cast(recipe.precision.dtype());
        assert_eq!(copy.forward(images).gradient_checkpointing_strategy(), Some(strategy));
    }
}

#[test]
fn what_a_person_should_know_is_said_once() {
    let check = |changes: &str, expected: &[&str]| {
        let mut script = Script::default();
        run(&Recipe { epochs: 1, ..changed(changes) }, None, 0, &mut script);
        assert_eq!(script.notes, expected, "{changes}");
    };
    let convnet = "model = { kind = 'convnet', width = 4 }";
    check("", &[]);
    check("batch_size = 4", &[]);
    check("precision = 'bf16'", &["on a CPU, fewer bits are rounded as on a GPU, but are slower than f32"]);
    let few = ["batch norm is poor below 8 images a batch; `model.norm` has others"];
    check(&format!("{convnet}\nbatch_size = 4"), &few);
    check(&format!("{convnet}\nmicro_batch = 4"), &few);
    check(&format!("{convnet}\nmicro_batch = 8"), &[]);
}
