mod generated;
mod precision;

use std::sync::{Arc, Mutex, PoisonError};

use rand::RngExt;

use crate::precision::LossScale;
use crate::recipe;
use crate::recipe::{Adamw, Augment, Keep, ModelSpec, OptimizerSpec, Sgd};
use crate::report;
use crate::seed::Purpose;

use super::*;

/// Two classes of 8×8 images: brighter at the left or at the right, with noise.
fn images(count: usize, index: u64) -> Arc<Images> {
    let mut random = TrialSeed { study: 99, trial: 0 }.stream(Purpose::Order, 0, index);
    let labels: Vec<u32> = (0..count as u32).map(|i| i % 2).collect();
    let pixel = |label: u32, column: usize, noise: u8| if (column < 4) == (label == 0) { 100 + noise } else { noise };
    let pixels = labels.iter().flat_map(|&label| (0..64).map(move |i| (label, i % 8)));
    let pixels = pixels.map(|(label, column)| pixel(label, column, random.random_range(0..120))).collect();
    Arc::new(Images { pixels, labels, height: 8, width: 8, channels: 1 })
}

fn data() -> Dataset {
    data_of(images(96, 0))
}

/// A third of the images are of the second class.
fn skewed_data() -> Dataset {
    let mut train = Arc::unwrap_or_clone(images(128, 0));
    // Every fourth image is of the second class and goes: pairs of pairs, 64 bytes an image.
    let kept = |place: &usize| place % 4 != 3;
    train.pixels = (0..128).filter(kept).flat_map(|place| train.pixels[place * 64..][..64].to_vec()).collect();
    train.labels = (0..128).filter(kept).map(|place| train.labels[place]).collect();
    data_of(Arc::new(train))
}

fn data_of(train: Arc<Images>) -> Dataset {
    Dataset {
        classes: vec!["left".into(), "right".into()],
        train,
        validation: images(40, 1),
        test_images: 0,
        notices: Vec::new(),
        fingerprint: "made".into(),
    }
}

/// Without mirroring, which would swap the classes.
fn recipe(model: ModelSpec, optimizer: OptimizerSpec) -> Recipe {
    let augment = Augment { flip: 0.0, crop_padding: 1, ..Default::default() };
    Recipe { model, optimizer, augment, epochs: 4, batch_size: 16, label_smoothing: 0.1, ..Default::default() }
}

/// What a training said, and when to stop it.
#[derive(Default)]
struct Script {
    reports: Vec<EpochReport>,
    notes: Vec<String>,
    pause_after: Option<u64>,
    interrupt_at: Option<usize>,
    steps: usize,
}

impl Observer for Script {
    fn report(&mut self, report: &EpochReport) -> Next {
        self.reports.push(report.clone());
        if self.pause_after == Some(report.epoch) { Next::Pause } else { Next::Train }
    }

    fn notes(&mut self, text: &str) {
        self.notes.push(text.to_owned());
    }

    fn is_interrupted(&mut self) -> bool {
        self.steps += 1;
        self.interrupt_at == Some(self.steps)
    }
}

/// burn's generator, from which dropout draws, is the whole process's: one training at a time.
pub(crate) static TURN: Mutex<()> = Mutex::new(());

fn run(recipe: &Recipe, folder: Option<&CheckpointFolder>, reported: u64, script: &mut Script) -> Outcome {
    run_on(&data(), recipe, folder, reported, script)
}

fn run_on(
    data: &Dataset,
    recipe: &Recipe,
    folder: Option<&CheckpointFolder>,
    reported: u64,
    script: &mut Script,
) -> Outcome {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let device = Device::flex();
    let seed = TrialSeed { study: 7, trial: 3 };
    let checkpoints = folder.cloned();
    let metric = Metric::ValAccuracy;
    let base = Path::new("");
    let job = Job { recipe, data, base, seed, metric, device: &device, checkpoints, reported };
    fit(&job, script).unwrap()
}

/// A report without what a clock or the system's memory says.
fn learned(reports: &[EpochReport]) -> Vec<Vec<f64>> {
    let names = ["train_loss", "val_loss", "val_accuracy", "lr"];
    reports.iter().map(|report| names.map(|name| report.metrics[name]).to_vec()).collect()
}

fn recipes() -> [Recipe; 3] {
    let mlp = ModelSpec::Mlp(recipe::Mlp { width: 16, depth: 1, dropout: 0.3 });
    let convnet = ModelSpec::Convnet(recipe::Convnet { width: 4, dropout: 0.2, ..Default::default() });
    let sgd = OptimizerSpec::Sgd(Sgd { lr: 0.05, ..Default::default() });
    let adamw = OptimizerSpec::Adamw(Adamw { lr: 0.01, ..Default::default() });
    [recipe(mlp, sgd.clone()), recipe(convnet, adamw), recipe(ModelSpec::Resnet8(Default::default()), sgd)]
}

#[test]
fn training_learns_what_can_be_learned() {
    for recipe in recipes() {
        let mut script = Script::default();
        let outcome = run(&recipe, None, 0, &mut script);
        let Outcome::Completed { value, epoch } = outcome else { panic!("{outcome:?}") };
        assert!(value > 0.9, "{:?}: {value}", recipe.model);
        assert_eq!(value, script.reports[epoch as usize - 1].value(Metric::ValAccuracy));
    }
}

/// A small recipe with these changes of whole top-level keys.
fn changed(changes: &str) -> Recipe {
    let mut recipe: toml::Table = toml::from_str(
        "epochs = 2\nbatch_size = 16\nmodel = { kind = 'mlp', width = 8, depth = 1 }\n\
         optimizer = { kind = 'sgd', lr = 0.05 }\nschedule = { kind = 'constant' }\n\
         augment = { flip = 0.0, crop_padding = 0 }",
    )
    .unwrap();
    recipe.extend(toml::from_str::<toml::Table>(changes).unwrap());
    recipe.try_into().unwrap()
}

/// Changes of the small recipe by which a training keeps more from one batch to the next.
const WITH_STATE: &[&str] = &[
    "precision = 'bf16'",
    "precision = 'f16'",
    "precision = 'f16'\naccumulate = 2\nmicro_batch = 5",
    "sampling = 'balanced'\nclass_weights = { kind = 'inverse' }",
    "micro_batch = 5",
    "gradient_checkpointing = true",
    "optimizer = { kind = 'adam' }",
    "optimizer = { kind = 'rmsprop', momentum = 0.5, centered = true }",
    "optimizer = { kind = 'lamb' }",
    "optimizer = { kind = 'lars' }",
    "optimizer = { kind = 'adafactor' }",
    "optimizer = { kind = 'lion' }",
    "optimizer = { kind = 'muon' }",
    "model = { kind = 'convnet', width = 4 }\noptimizer = { kind = 'muon' }",
    "optimizer = { kind = 'adam_then_sgd', switch_epoch = 1 }",
    "optimizer = { kind = 'adam_then_sgd', switch_epoch = 2, sgd_lr = 0.01 }",
    "accumulate = 2",
    "accumulate = 4\noptimizer = { kind = 'adamw' }",
    "clip_value = 0.01\nclip_adaptive = 0.1\nclip_norm = 0.1",
    "lookahead = { every = 3 }",
    "ema = { decay = 0.9 }",
    "model = { kind = 'convnet', width = 4 }\nema = { decay = 0.9, keep = false }\naccumulate = 2",
    "augment = { flip = 0.0, crop_padding = 1, mixup = 0.4, cutmix = 1.0, mix_until = 0.8 }",
    "schedule = { kind = 'plateau', patience = 0, gamma = 0.5, threshold = 0.5 }",
    "schedule = { kind = 'one_cycle', cycle_momentum = true }",
];

#[test]
fn a_trial_stopped_at_any_place_and_resumed_is_the_uninterrupted_one() {
    let [mlp, ..] = recipes();
    let mixed = Augment { mixup: 0.4, cutmix: 1.0, mix_until: 0.8, ..mlp.augment.clone() };
    let policies = ["aug_mix", "auto_augment", "rand_augment", "trivial_augment"]
        .map(|kind| toml::from_str(&format!("policy = {{ kind = '{kind}' }}\nflip = 0.0\nerase = 0.3")).unwrap());
    let augmented = [mixed].into_iter().chain(policies).map(|augment| Recipe { augment, ..mlp.clone() });
    let with_state = WITH_STATE.iter().map(|changes| Recipe { epochs: 4, ..changed(changes) });
    for recipe in recipes().into_iter().chain(augmented).chain(with_state) {
        let mut whole = Script::default();
        let outcome = run_on(&skewed_data(), &recipe, None, 0, &mut whole);
        // Four or six batches an epoch; after an epoch's report, in the midst of an epoch, and of an update.
        let stops = [(Some(1), None), (Some(3), None), (None, Some(1)), (None, Some(8)), (None, Some(11))];
        for (pause_after, interrupt_at) in stops {
            let temporary = tempfile::tempdir().unwrap();
            let folder = CheckpointFolder::new(temporary.path());
            let mut first = Script { pause_after, interrupt_at, ..Default::default() };
            let stopped = run_on(&skewed_data(), &recipe, Some(&folder), 0, &mut first);
            assert!(matches!(stopped, Outcome::Paused | Outcome::Interrupted), "{stopped:?}");
            let mut second = Script::default();
            let resumed = run_on(&skewed_data(), &recipe, Some(&folder), first.reports.len() as u64, &mut second);
            let both = [first.reports, second.reports].concat();
            assert_eq!(learned(&both), learned(&whole.reports), "{recipe:?} {pause_after:?} {interrupt_at:?}");
            assert_eq!(resumed, outcome);
        }
    }
}

/// What may change in the course of training, in as many ways as it is made use of.
const CHANGES: &[&str] = &[
    "optimizer.lr = 0.01",
    "optimizer = { momentum = 0.5, weight_decay = 0.1 }",
    "batch_size = 8",
    "accumulate = 2",
    "label_smoothing = 0.3, model.dropout = 0.5",
    "schedule = { kind = 'one_cycle' }",
    "augment = { crop_padding = 2, mixup = 0.4, policy = { kind = 'rand_augment' } }",
    "loss = { kind = 'focal' }, class_weights = { kind = 'inverse' }, sampling = 'balanced'",
    "ema.decay = 0.9, lookahead.every = 2, clip_norm = 0.1",
];

#[test]
fn a_fork_is_the_training_with_the_same_changes() {
    let begun = "epochs = 4\nmodel = { kind = 'mlp', width = 8, depth = 1, dropout = 0.2 }";
    for change in CHANGES {
        let changing = changed(&format!("{begun}\nchanges = [{{ after = 2, {change} }}]"));
        changing.check().unwrap();
        let mut whole = Script::default();
        let outcome = run_on(&skewed_data(), &changing, None, 0, &mut whole);
        // The parent knows nothing of the change, and what it wrote is all that the fork has.
        let temporary = tempfile::tempdir().unwrap();
        let folders = ["parent", "fork"].map(|name| CheckpointFolder::new(temporary.path().join(name)));
        let mut parent = Script { pause_after: Some(2), ..Default::default() };
        run_on(&skewed_data(), &changed(begun), Some(&folders[0]), 0, &mut parent);
        std::fs::create_dir(temporary.path().join("fork")).unwrap();
        std::fs::hard_link(folders[0].last(), folders[1].last()).unwrap();
        let mut fork = Script::default();
        let forked = run_on(&skewed_data(), &changing, Some(&folders[1]), 2, &mut fork);
        assert_eq!(learned(&[parent.reports, fork.reports].concat()), learned(&whole.reports), "{change}");
        assert_eq!(forked, outcome);
        // The parent goes on from its own.
        let mut parent = Script::default();
        let mut plain = Script::default();
        run_on(&skewed_data(), &changed(begun), Some(&folders[0]), 2, &mut parent);
        run_on(&skewed_data(), &changed(begun), None, 0, &mut plain);
        assert_eq!(learned(&parent.reports), learned(&plain.reports)[2..]);
        assert_ne!(learned(&whole.reports), learned(&plain.reports), "{change} changes nothing");
    }
}

#[test]
fn a_checkpoint_from_after_a_change_is_not_taken_for_one_from_before() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = CheckpointFolder::new(temporary.path());
    let mut script = Script { pause_after: Some(3), ..Default::default() };
    run_on(&skewed_data(), &changed("epochs = 4"), Some(&folder), 0, &mut script);
    let changing = changed("epochs = 4\nchanges = [{ after = 2, batch_size = 8 }]");
    let (data, device) = (skewed_data(), Device::flex());
    let job = Job {
        recipe: &changing,
        data: &data,
        base: Path::new(""),
        seed: TrialSeed { study: 7, trial: 3 },
        metric: Metric::ValAccuracy,
        device: &device,
        checkpoints: Some(folder),
        reported: 2,
    };
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let error = fit(&job, &mut Script::default()).unwrap_err();
    assert!(matches!(error, FitError::Foreign { what: "recipe", .. }), "{error}");
}

#[test]
fn a_report_that_was_lost_is_told_again_from_the_checkpoint() {
    let [recipe, ..] = recipes();
    let temporary = tempfile::tempdir().unwrap();
    let folder = CheckpointFolder::new(temporary.path());
    let mut first = Script { pause_after: Some(2), ..Default::default() };
    run(&recipe, Some(&folder), 0, &mut first);
    let mut second = Script { pause_after: Some(2), ..Default::default() };
    assert_eq!(run(&recipe, Some(&folder), 1, &mut second), Outcome::Paused);
    assert_eq!(second.reports, first.reports[1..]);
}

#[test]
fn the_weights_that_are_kept_give_the_value_again() {
    for keep in [Keep::Best, Keep::Last] {
        let [mut recipe, ..] = recipes();
        recipe.keep = keep;
        let temporary = tempfile::tempdir().unwrap();
        let folder = CheckpointFolder::new(temporary.path());
        let Outcome::Completed { value, .. } = run(&recipe, Some(&folder), 0, &mut Script::default()) else {
            panic!("it completes")
        };
        let (device, data) = (Device::flex(), data());
        let weights = folder.load().unwrap().unwrap().weights().clone();
        let evaluation = evaluate_weights(&recipe, &data, weights, data.validation.clone(), &device).unwrap();
        assert_eq!(evaluation.accuracy, value, "{keep:?}");
    }
}

#[test]
fn patience_ends_a_training_that_no_longer_improves() {
    let [mut recipe, ..] = recipes();
    (recipe.patience, recipe.epochs) = (2, 50);
    let mut script = Script::default();
    let Outcome::Completed { epoch, .. } = run(&recipe, None, 0, &mut script) else { panic!("it completes") };
    assert_eq!(script.reports.len() as u64, epoch + 2);
}

/// What is learned with the small recipe under these changes.
fn learned_with(changes: &str) -> Vec<Vec<f64>> {
    let mut script = Script::default();
    run_on(&skewed_data(), &changed(changes), None, 0, &mut script);
    learned(&script.reports)
}

#[test]
fn every_field_of_the_recipe_has_an_effect() {
    let sgd = "optimizer = { kind = 'sgd', lr = 0.05 }";
    let adamw = "optimizer = { kind = 'adamw' }";
    let mlp = "model = { kind = 'mlp', width = 8, depth = 1 }";
    let convnet = "model = { kind = 'convnet', width = 4 }";
    let effective = "class_weights = { kind = 'effective_number' }";
    let bce = "loss = { kind = 'binary_cross_entropy' }";
    let smooth_bce = "label_smoothing = 0.1\nloss = { kind = 'binary_cross_entropy' }";
    let rounded_bce = "label_smoothing = 0.1\nloss = { kind = 'binary_cross_entropy', target_threshold = 0.2 }";
    let sigmoid_focal = "loss = { kind = 'sigmoid_focal' }";
    let one_cycle = "schedule = { kind = 'one_cycle' }";
    let changes = [
        ("", "epochs = 3"),
        ("", "batch_size = 32"),
        ("", "label_smoothing = 0.1"),
        ("", "changes = [{ after = 1, label_smoothing = 0.1 }]"),
        ("", "clip_norm = 0.01"),
        ("", "precision = 'bf16'"),
        ("", "precision = 'f16'"),
        (convnet, "model = { kind = 'convnet', width = 4 }\nmicro_batch = 4"),
        ("", "sampling = 'balanced'"),
        ("", "class_weights = { kind = 'inverse' }"),
        ("", effective),
        (effective, "class_weights = { kind = 'effective_number', beta = 0.9 }"),
        ("", "loss = { kind = 'focal' }"),
        ("loss = { kind = 'focal' }", "loss = { kind = 'focal', gamma = 1.0 }"),
        ("", bce),
        (smooth_bce, rounded_bce),
        (bce, "loss = { kind = 'binary_cross_entropy', sum_classes = true }"),
        ("", sigmoid_focal),
        (sigmoid_focal, "loss = { kind = 'sigmoid_focal', gamma = 1.0 }"),
        (sigmoid_focal, "loss = { kind = 'sigmoid_focal', alpha = 0.5 }"),
        ("", "target = 0.1"),
        ("", "clip_value = 0.001"),
        ("", "clip_adaptive = 0.01"),
        ("", "accumulate = 2"),
        ("", "lr_scaling = 'linear'"),
        ("lr_scaling = 'linear'", "lr_scaling = 'sqrt'"),
        ("", "lookahead = { every = 3 }"),
        ("", "ema = { decay = 0.9 }"),
        ("ema = { decay = 0.9 }", "ema = { decay = 0.5 }"),
        ("ema = { decay = 0.9 }", "ema = { decay = 0.9, warmup = false }"),
        ("ema = { decay = 0.9 }", "ema = { decay = 0.9, keep = false }"),
        ("lookahead = { every = 2 }", "lookahead = { every = 3 }"),
        ("", "normalize = 'unit'"),
        ("normalize = 'imagenet'", "normalize = 'unit'"),
        ("normalize = 'imagenet'", "normalize = 'centered'"),
        ("", "pretrained = { freeze_epochs = 1 }"),
        ("", "augment = { flip = 1.0, crop_padding = 0 }"),
        ("", "augment = { flip = 0.0, crop_padding = 2 }"),
        (mlp, "model = { kind = 'mlp', width = 9, depth = 1 }"),
        (mlp, "model = { kind = 'mlp', width = 8, depth = 2 }"),
        (mlp, "model = { kind = 'mlp', width = 8, depth = 1, dropout = 0.5 }"),
        (mlp, convnet),
        (convnet, "model = { kind = 'convnet', width = 5 }"),
        (convnet, "model = { kind = 'convnet', width = 4, dropout = 0.5 }"),
        ("model = { kind = 'resnet8' }", "model = { kind = 'resnet20' }"),
        (sgd, "optimizer = { kind = 'sgd', lr = 0.06 }"),
        (sgd, "optimizer = { kind = 'sgd', lr = 0.05, momentum = 0.8 }"),
        (sgd, "optimizer = { kind = 'sgd', lr = 0.05, nesterov = false }"),
        (sgd, "optimizer = { kind = 'sgd', lr = 0.05, weight_decay = 0.1 }"),
        (sgd, adamw),
        (adamw, "optimizer = { kind = 'adamw', lr = 0.01 }"),
        (adamw, "optimizer = { kind = 'adamw', beta1 = 0.5 }"),
        (adamw, "optimizer = { kind = 'adamw', beta2 = 0.9 }"),
        (adamw, "optimizer = { kind = 'adamw', epsilon = 0.1 }"),
        (adamw, "optimizer = { kind = 'adamw', weight_decay = 0.5 }"),
        ("", "schedule = { kind = 'constant', warmup_epochs = 1 }"),
        ("", "schedule = { kind = 'cosine' }"),
        (
            "schedule = { kind = 'triangular' }",
            "schedule = { kind = 'triangular2', up_epochs = 0.5, down_epochs = 0.5 }",
        ),
        ("schedule = { kind = 'triangular' }", "schedule = { kind = 'cosine_cyclical' }"),
        ("schedule = { kind = 'cosine' }", "schedule = { kind = 'cosine', warmup_epochs = 1 }"),
        ("schedule = { kind = 'cosine' }", "schedule = { kind = 'cosine', final_factor = 0.5 }"),
        ("", one_cycle),
        (one_cycle, "schedule = { kind = 'one_cycle', peak_at = 0.5 }"),
        (one_cycle, "schedule = { kind = 'one_cycle', div_factor = 5 }"),
        (one_cycle, "schedule = { kind = 'one_cycle', final_div_factor = 2 }"),
    ];
    let fields_of_a_kind = [
        ("optimizer = { kind = 'adam' }", "lr=0.01 beta1=0.5 beta2=0.9 epsilon=0.1 weight_decay=0.1"),
        (
            "optimizer = { kind = 'rmsprop' }",
            "lr=0.02 alpha=0.5 epsilon=0.1 momentum=0.5 centered=true weight_decay=0.1",
        ),
        ("optimizer = { kind = 'lamb' }", "lr=0.01 beta1=0.5 beta2=0.9 epsilon=0.1 weight_decay=0.5"),
        (
            "optimizer = { kind = 'lars' }",
            "lr=2.0 momentum=0.5 nesterov=true trust_coefficient=0.01 epsilon=0.1 weight_decay=0.1",
        ),
        (
            "optimizer = { kind = 'adafactor' }",
            "lr=0.02 beta2_decay=-0.3 min_scale=0.5 clip_threshold=2.0 weight_decay=0.5",
        ),
        ("optimizer = { kind = 'lion', lr = 0.001 }", "beta1=0.5 beta2=0.5 weight_decay=0.5"),
        ("optimizer = { kind = 'lion' }", "lr=0.01"),
        (
            "optimizer = { kind = 'muon' }",
            "lr=0.01 momentum=0.5 nesterov=false iterations=3 step_size='original' weight_decay=1.0 adamw_factor=3.0 \
             beta1=0.5 beta2=0.9 epsilon=0.1",
        ),
        (
            "optimizer = { kind = 'adam_then_sgd', switch_epoch = 1 }",
            "lr=0.01 beta1=0.5 beta2=0.9 epsilon=0.1 sgd_lr=0.01 momentum=0.5 nesterov=false weight_decay=0.1",
        ),
        ("optimizer = { kind = 'adam_then_sgd' }", "switch_epoch=1"),
        ("lookahead = { every = 3 }", "alpha=0.3"),
        ("schedule = { kind = 'constant', warmup_epochs = 1 }", "warmup='exponential'"),
        ("schedule = { kind = 'step', every_epochs = 1 }", "gamma=0.5 warmup_epochs=1"),
        ("schedule = { kind = 'step' }", "every_epochs=1"),
        ("schedule = { kind = 'multi_step' }", "milestones=[0.3] gamma=0.5 warmup_epochs=1"),
        ("schedule = { kind = 'exponential' }", "gamma=0.5 warmup_epochs=1"),
        ("schedule = { kind = 'polynomial' }", "power=2.0 final_factor=0.5 warmup_epochs=1"),
        ("schedule = { kind = 'cosine', warmup_epochs = 1 }", "warmup='exponential'"),
        ("schedule = { kind = 'sgdr' }", "first_epochs=0.5 final_factor=0.5 warmup_epochs=0.5"),
        ("schedule = { kind = 'sgdr', first_epochs = 0.5 }", "t_mult=1.0 decay=0.5"),
        ("schedule = { kind = 'triangular' }", "base_factor=0.5 up_epochs=1.0 cycle_momentum=true"),
        ("schedule = { kind = 'triangular', up_epochs = 0.5 }", "down_epochs=1.0"),
        ("schedule = { kind = 'triangular2', cycle_momentum = true }", "min_momentum=0.5 max_momentum=0.95"),
        ("schedule = { kind = 'exp_range', cycle_momentum = true }", "gamma=0.5 min_momentum=0.5 max_momentum=0.95"),
        ("schedule = { kind = 'exp_range', up_epochs = 0.5 }", "base_factor=0.5 down_epochs=1.0 cycle_momentum=true"),
        ("schedule = { kind = 'exp_range' }", "up_epochs=1.0"),
        ("schedule = { kind = 'one_cycle' }", "anneal='linear' cycle_momentum=true"),
        ("schedule = { kind = 'one_cycle', cycle_momentum = true }", "min_momentum=0.5 max_momentum=0.99"),
        (
            "epochs = 5\nschedule = { kind = 'plateau', patience = 0, threshold = 0.9, gamma = 0.2 }",
            "cooldown=2 final_factor=0.5 warmup_epochs=1",
        ),
        ("epochs = 5\nschedule = { kind = 'plateau', patience = 0, threshold = 0.9 }", "gamma=0.5"),
        ("epochs = 5\nschedule = { kind = 'plateau', threshold = 0.9 }", "patience=1"),
        (
            "epochs = 5\noptimizer = { kind = 'sgd', lr = 0.002 }\nschedule = { kind = 'plateau', patience = 0 }",
            "threshold=0.9",
        ),
    ];
    let of_a_kind = fields_of_a_kind.into_iter().flat_map(|(kind, fields)| {
        let with = move |field: &str| (kind.to_owned(), format!("{}, {field} }}", kind.trim_end_matches(" }")));
        fields.split_whitespace().map(with)
    });
    let changes = changes.into_iter().map(|(before, after)| (before.to_owned(), after.to_owned()));
    for (before, after) in changes.chain(of_a_kind) {
        let (before, after) = (&before, &after);
        assert_ne!(learned_with(before), learned_with(after), "`{before}` and `{after}` train the same");
    }
}

#[test]
fn every_field_of_augmentation_and_preprocessing_has_an_effect() {
    let augment = |fields: &str| format!("augment = {{ flip = 0.0, crop_padding = 0, {fields} }}");
    let rotated = "rotate = 20.0";
    let (resized, erased, blurred) = ("crop_scale = 0.3", "erase = 0.9", "blur = 0.9");
    let mixed = "mixup = 0.4, cutmix = 1.0";
    let rand_augment = "policy = { kind = 'rand_augment' }";
    let aug_mix = "policy = { kind = 'aug_mix' }";
    let custom = |outer: &str, sub: &str, op: &str| {
        let op = format!("{{ op = 'brightness'{op} }}");
        format!(
            "policy = {{ kind = 'custom'{outer}, sub_policies = [{{ ops = [{op}]{sub} }}, {{ ops = [{{ op = 'invert' }}] }}] }}"
        )
    };
    let strong = custom("", "", ", magnitude = 0.9");
    let mixing = |fields: &str| custom(&format!(", mix = [{{ {fields} }}]"), "", ", magnitude = 0.9");
    let both = "mixup = 0.4, cutmix = 1.0";
    let changes = [
        ("", "flip_vertical = 0.5"),
        ("", "translate = 0.3"),
        ("", "scale = 0.4"),
        ("", "shear = 30.0"),
        ("", rotated),
        (rotated, "rotate = 21.0"),
        (rotated, "rotate = 20.0, interpolation = 'bilinear'"),
        (rotated, "rotate = 20.0, fill = 200"),
        ("", resized),
        (resized, "crop_scale = 0.2"),
        (resized, "crop_scale = 0.3, crop_ratio = 2.0"),
        ("", "brightness = 0.5"),
        ("", "contrast = 0.5"),
        ("", "noise = 0.1"),
        ("", blurred),
        (blurred, "blur = 0.9, blur_sigma = 1.0"),
        ("", erased),
        (erased, "erase = 0.9, erase_area = 0.2"),
        (erased, "erase = 0.9, erase_with = 'noise'"),
        ("", "cutout = 4"),
        ("", "mixup = 0.4"),
        ("", "cutmix = 1.0"),
        (mixed, "mixup = 0.4, cutmix = 0.5"),
        (mixed, "mixup = 0.5, cutmix = 1.0"),
        (mixed, "mixup = 0.4, cutmix = 1.0, mix_chance = 0.5"),
        (mixed, "mixup = 0.4, cutmix = 1.0, mix_switch = 0.9"),
        (mixed, "mixup = 0.4, cutmix = 1.0, mix_until = 0.5"),
        ("", rand_augment),
        (rand_augment, "policy = { kind = 'rand_augment', n = 1 }"),
        (rand_augment, "policy = { kind = 'rand_augment', m = 20 }"),
        (rand_augment, "policy = { kind = 'trivial_augment' }"),
        (rand_augment, "policy = { kind = 'auto_augment' }"),
        ("policy = { kind = 'auto_augment', learned_on = 'svhn' }", "policy = { kind = 'auto_augment' }"),
        ("policy = { kind = 'auto_augment', learned_on = 'imagenet' }", "policy = { kind = 'auto_augment' }"),
        ("", aug_mix),
        (aug_mix, "policy = { kind = 'aug_mix', severity = 6 }"),
        (aug_mix, "policy = { kind = 'aug_mix', width = 2 }"),
        (aug_mix, "policy = { kind = 'aug_mix', depth = 3 }"),
        (aug_mix, "policy = { kind = 'aug_mix', alpha = 0.3 }"),
        (aug_mix, "policy = { kind = 'aug_mix', all_ops = false }"),
        ("", &strong),
        (&strong, &custom(", draws = 2", "", ", magnitude = 0.9")),
        (&strong, &custom("", ", weight = 3.0", ", magnitude = 0.9")),
        (&strong, &custom("", ", from = 0.5", ", magnitude = 0.9")),
        (&strong, &custom("", ", until = 0.5", ", magnitude = 0.9")),
        (&strong, &custom("", "", ", magnitude = 0.9, probability = 0.5")),
        (&strong, &custom("", "", ", magnitude = 0.9, magnitude_min = 0.1")),
        (&strong, &custom("", "", ", magnitude = 0.4")),
        (&strong, &mixing("mixup = 0.4")),
        (&strong, &mixing("cutmix = 1.0")),
        (&mixing(both), &mixing("mixup = 0.5, cutmix = 1.0")),
        (&mixing(both), &mixing("mixup = 0.4, cutmix = 0.5")),
        (&mixing(both), &mixing(&format!("{both}, chance = 0.5"))),
        (&mixing(both), &mixing(&format!("{both}, switch = 0.9"))),
        (&mixing(both), &mixing(&format!("{both}, from = 0.5"))),
        (&mixing(both), &mixing(&format!("{both}, until = 0.5"))),
    ];
    for (before, after) in changes {
        let (before, after) = (augment(before), augment(after));
        assert_ne!(learned_with(&before), learned_with(&after), "`{before}` and `{after}` train the same");
    }
    let gaussian = "preprocess.denoise = { kind = 'gaussian' }";
    let clahe = "preprocess.equalize = { kind = 'clahe' }";
    for (before, after) in [
        ("", "preprocess.denoise = { kind = 'median' }"),
        ("preprocess.denoise = { kind = 'median', radius = 2 }", "preprocess.denoise = { kind = 'median' }"),
        ("", gaussian),
        (gaussian, "preprocess.denoise = { kind = 'gaussian', sigma = 0.7 }"),
        ("", "preprocess.equalize = { kind = 'histogram' }"),
        ("", clahe),
        (clahe, "preprocess.equalize = { kind = 'clahe', tiles = 1 }"),
        // Smaller tiles of 8×8 images have too few pixels to be limited.
        (
            "preprocess.equalize = { kind = 'clahe', tiles = 1 }",
            "preprocess.equalize = { kind = 'clahe', tiles = 1, clip_limit = 30.0 }",
        ),
        ("", "test_time.flip = true"),
        ("", "test_time.crops = 5"),
        ("test_time.crops = 5", "test_time = { crops = 5, shift = 2 }"),
    ] {
        assert_ne!(learned_with(before), learned_with(after), "`{before}` and `{after}` train the same");
    }
}

#[test]
fn the_mean_of_the_weights_is_measured_beside_them_or_kept() {
    let trained = |ema: &str| {
        let mut script = Script::default();
        let temporary = tempfile::tempdir().unwrap();
        let folder = CheckpointFolder::new(temporary.path());
        let recipe = Recipe { keep: Keep::Last, ..changed(&format!("ema = {ema}")) };
        run(&recipe, Some(&folder), 0, &mut script);
        let weights = folder.load().unwrap().unwrap().weights().clone();
        let data = data();
        let kept = evaluate_weights(&recipe, &data, weights, data.validation.clone(), &Device::flex()).unwrap();
        (script.reports.last().unwrap().metrics.clone(), kept.loss)
    };
    let (off, _) = trained("{}");
    let (measured, raw) = trained("{ decay = 0.9, keep = false }");
    let (judged, mean) = trained("{ decay = 0.9 }");
    let known: Vec<String> = report::names().collect();
    let reported = measured.keys().chain(judged.keys());
    assert_eq!(reported.filter(|name| !known.contains(name)).collect::<Vec<_>>(), Vec::<&String>::new());
    assert_eq!((off["val_loss"], raw), (measured["val_loss"], measured["val_loss"]));
    assert_eq!((judged["val_loss"], judged["raw_val_loss"]), (measured["ema_val_loss"], off["val_loss"]));
    assert_eq!(mean, judged["val_loss"]);
    assert_ne!(judged["val_loss"], off["val_loss"]);
}

#[test]
fn a_range_test_finds_the_rates_at_which_the_loss_falls() {
    let check = |changes: &str, low: f64, high: f64| {
        let (recipe, device, data) = (changed(changes), Device::flex(), data());
        let seed = TrialSeed { study: 7, trial: 3 };
        let metric = Metric::ValAccuracy;
        let job = Job {
            recipe: &recipe,
            data: &data,
            seed,
            metric,
            device: &device,
            checkpoints: None,
            base: Path::new(""),
            reported: 0,
        };
        let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let curve = lr_find(&job, RangeTest::default(), &mut |_| true).unwrap();
        let found = curve.suggest().unwrap();
        assert!(found.low < found.valley && found.valley <= found.high, "{changes}: {found:?}");
        assert!(low < found.valley && found.valley < high, "{changes}: {found:?}");
        assert_eq!(lr_find(&job, RangeTest::default(), &mut |_| true).unwrap(), curve, "it repeats");
        let two = lr_find(&job, RangeTest::default(), &mut |point| point.lr < 1.1e-7).unwrap();
        assert_eq!(two.points.len(), 2);
    };
    check("", 1e-4, 1.0);
    check("optimizer = { kind = 'adamw' }\naccumulate = 2\nlr_scaling = 'sqrt'", 1e-4, 1.0);
    check("optimizer = { kind = 'sgd', lr = 0.0 }", 1e-4, 1.0);
}

#[test]
fn accumulated_batches_train_as_one_of_their_size() {
    let batches = learned_with("batch_size = 8\naccumulate = 4");
    let one = learned_with("batch_size = 32");
    for (batches, one) in batches.iter().flatten().zip(one.iter().flatten()) {
        assert!((batches - one).abs() < 1e-5, "{batches} is not {one}");
    }
}

#[test]
fn the_rate_follows_the_images_of_an_update() {
    let check = |scaling: &str, batch_size: usize, accumulate: usize, expected: f64| {
        let text = format!("lr_scaling = '{scaling}'\nbatch_size = {batch_size}\naccumulate = {accumulate}");
        let lr = changed(&text).lr(0);
        assert!((lr - expected).abs() < 1e-12, "{text}: {lr}");
        assert_eq!(learned_with(&text)[0][3], lr, "{text}");
    };
    check("none", 16, 1, 0.05);
    check("linear", 16, 1, 0.05 / 16.0);
    check("linear", 32, 2, 0.05 / 4.0);
    check("sqrt", 16, 1, 0.05 / 4.0);
    check("sqrt", 64, 4, 0.05);
}

#[test]
fn a_diverged_training_says_so() {
    let [mut recipe, ..] = recipes();
    recipe.optimizer = OptimizerSpec::Sgd(Sgd { lr: 1e20, ..Default::default() });
    assert!(matches!(run(&recipe, None, 0, &mut Script::default()), Outcome::Diverged { .. }));
}

#[test]
fn a_loss_far_above_the_first_is_a_divergence_where_that_is_asked_for() {
    let outcome = |diverge_factor: f64| {
        // Linear, so that scores grow far but never without bound.
        let model = ModelSpec::Mlp(recipe::Mlp { depth: 0, ..Default::default() });
        let sgd = Sgd { lr: 30.0, momentum: 0.0, nesterov: false, weight_decay: 0.0 };
        let mut recipe = recipe(model, OptimizerSpec::Sgd(sgd));
        recipe.diverge_factor = diverge_factor;
        run(&recipe, None, 0, &mut Script::default())
    };
    assert!(matches!(outcome(0.0), Outcome::Completed { .. }));
    assert!(matches!(outcome(1e6), Outcome::Completed { .. }));
    assert_eq!(outcome(2.0), Outcome::Diverged { epoch: 1 });
}

#[test]
fn a_target_that_is_reached_ends_the_training() {
    for keep in [Keep::Best, Keep::Last] {
        let [mut recipe, ..] = recipes();
        (recipe.target, recipe.epochs, recipe.keep) = (Some(0.9), 50, keep);
        let mut script = Script::default();
        let Outcome::Completed { value, epoch } = run(&recipe, None, 0, &mut script) else { panic!("it completes") };
        assert!(value >= 0.9 && epoch < 50);
        assert_eq!(script.reports.len() as u64, epoch);
        assert!(script.reports[..epoch as usize - 1].iter().all(|report| report.value(Metric::ValAccuracy) < 0.9));
    }
}

#[test]
fn a_checkpoint_of_another_recipe_is_refused() {
    let [recipe, other, _] = recipes();
    let temporary = tempfile::tempdir().unwrap();
    let folder = CheckpointFolder::new(temporary.path());
    run(&recipe, Some(&folder), 0, &mut Script { pause_after: Some(1), ..Default::default() });
    let (device, data) = (Device::flex(), data());
    let job = Job {
        recipe: &other,
        data: &data,
        base: Path::new(""),
        seed: TrialSeed { study: 7, trial: 3 },
        metric: Metric::ValAccuracy,
        device: &device,
        checkpoints: Some(folder),
        reported: 0,
    };
    assert!(matches!(fit(&job, &mut Script::default()), Err(FitError::Foreign { what: "recipe", .. })));
}

#[test]
fn the_evaluation_of_the_epoch_that_counts_lies_beside_its_checkpoint() {
    let [recipe, ..] = recipes();
    let temporary = tempfile::tempdir().unwrap();
    let folder = CheckpointFolder::new(temporary.path());
    let mut script = Script::default();
    let Outcome::Completed { value, epoch } = run(&recipe, Some(&folder), 0, &mut script) else {
        panic!("it completes")
    };
    let file: EvaluationFile = serde_json::from_slice(&std::fs::read(folder.evaluation()).unwrap()).unwrap();
    assert_eq!((file.epoch, file.classes.as_slice()), (epoch, ["left".to_owned(), "right".to_owned()].as_slice()));
    assert_eq!(file.metrics, script.reports[epoch as usize - 1].metrics);
    assert_eq!((file.confusion.accuracy(), file.recalls.len()), (value, 2));
}

/// The images on a sheet without gaps, row after row.
fn tiles(path: &Path, columns: usize) -> Vec<Vec<u8>> {
    let sheet = image::load_from_memory(&std::fs::read(path).unwrap()).unwrap().into_luma8();
    let tile = |place: usize| {
        let (left, top) = ((place % columns * 8) as u32, (place / columns * 8) as u32);
        (0..64u32).map(|at| sheet.get_pixel(left + at % 8, top + at / 8).0[0]).collect()
    };
    (0..columns * sheet.height() as usize / 8).map(tile).collect()
}

#[test]
fn the_images_that_are_shown_as_the_worst_are_the_worst() {
    let [mut recipe, ..] = recipes();
    recipe.epochs = 2;
    let temporary = tempfile::tempdir().unwrap();
    let folder = CheckpointFolder::new(temporary.path());
    let Outcome::Completed { epoch, .. } = run(&recipe, Some(&folder), 0, &mut Script::default()) else {
        panic!("it completes")
    };
    let file: WorstFile = serde_json::from_slice(&std::fs::read(folder.worst()).unwrap()).unwrap();
    assert_eq!((file.epoch, file.tile, file.images.len()), (epoch, [8, 8], 24));

    // The loss of an image alone is that of its right class.
    let (device, data) = (Device::flex(), data());
    let weights = folder.load().unwrap().unwrap().weights().clone();
    let own = |place: usize| {
        let one = Images {
            pixels: data.validation.image(place).to_vec(),
            labels: vec![data.validation.labels[place]],
            ..Images::clone(&data.validation)
        };
        (-evaluate_weights(&recipe, &data, weights.clone(), Arc::new(one), &device).unwrap().loss).exp()
    };
    let all: Vec<f64> = (0..data.validation.len()).map(own).collect();
    let mut sorted = all.clone();
    sorted.sort_by(f64::total_cmp);
    let shown = tiles(&folder.worst_sheet(), file.columns);
    for (rank, image) in file.images.iter().enumerate() {
        let own = image.own.unwrap();
        assert!((own - all[image.place]).abs() < 1e-5 && (own - sorted[rank]).abs() < 1e-5, "{image:?}");
        assert_eq!(image.class, data.classes[data.validation.labels[image.place] as usize]);
        assert_eq!(image.predicted == image.class, own > 0.5, "of two classes: {image:?}");
        assert_eq!(shown[rank], data.validation.image(image.place));
    }
}

#[test]
fn the_images_that_are_shown_as_augmented_are_those_of_the_training() {
    let [mut recipe, ..] = recipes();
    recipe.augment = Augment { mixup: 0.4, ..recipe.augment };
    recipe.epochs = 3;
    let temporary = tempfile::tempdir().unwrap();
    let folder = CheckpointFolder::new(temporary.path());
    run(&recipe, Some(&folder), 0, &mut Script { pause_after: Some(1), ..Default::default() });
    let file: AugmentedFile = serde_json::from_slice(&std::fs::read(folder.augmented()).unwrap()).unwrap();
    assert_eq!((file.epochs.as_slice(), file.classes.len()), ([1, 2, 3].as_slice(), 6));
    let shown = tiles(&folder.augmented_sheet(), 1 + file.epochs.len());
    let (data, seed) = (data(), TrialSeed { study: 7, trial: 3 });
    let scaling = Scaling::new(recipe::Normalize::Unit, &data.train);
    let augmenter = Arc::new(Augmenter::new(&recipe.augment, &data.train));
    let mut seen = 0;
    for column in 1..=3 {
        let batches =
            training_batches(data.train.clone(), scaling.clone(), augmenter.clone(), &recipe, seed, column - 1, 0);
        let trained: Vec<Vec<u8>> = batches
            .into_iter()
            .flat_map(|batch| batch.pixels)
            .map(|value| (value * 255.0).round() as u8)
            .collect::<Vec<_>>()
            .chunks(64)
            .map(<[u8]>::to_vec)
            .collect();
        for row in 0..6 {
            let tile = &shown[row * 4 + column as usize];
            // A mixture is rounded once more than in training.
            let is_same = |image: &Vec<u8>| image.iter().zip(tile).all(|(a, b)| a.abs_diff(*b) <= 1);
            seen += usize::from(trained.iter().any(is_same));
        }
    }
    assert_eq!(seen, 18, "every epoch has every image: 96 are six whole batches");
    let originals: Vec<&Vec<u8>> = shown.iter().step_by(4).collect();
    assert!((0..6).all(|row| originals[row] == data.train.image(row * 16)));
}

#[test]
fn the_time_spent_waiting_for_images_is_a_share_of_the_epoch() {
    let [recipe, ..] = recipes();
    let mut script = Script::default();
    run(&recipe, None, 0, &mut script);
    for report in script.reports {
        assert!((0.0..=1.0).contains(&report.metrics["input_wait_share"]), "{report:?}");
    }
}

/// A file of weights of the recipe's model for that many classes, with PyTorch's names; what is drawn depends on `trial`.
fn weights_file(folder: &Path, recipe: &Recipe, classes: usize, trial: u64) -> String {
    let shape = InputShape { classes, ..input_shape(&data()) };
    let model = Model::new(&recipe.model, shape, TrialSeed { study: 1, trial }, &Device::flex());
    let path = folder.join(format!("{classes}-{trial}.safetensors"));
    std::fs::write(&path, weights::torch_file(&weights::collect(&model)).unwrap()).unwrap();
    path.display().to_string()
}

/// The tensors after so many epochs, and what was noted.
fn trained(recipe: &Recipe, epochs: u64) -> (NamedTensors, Vec<String>) {
    let temporary = tempfile::tempdir().unwrap();
    let folder = CheckpointFolder::new(temporary.path());
    let mut script = Script { pause_after: Some(epochs), ..Default::default() };
    run(recipe, Some(&folder), 0, &mut script);
    (folder.load().unwrap().unwrap().model, script.notes)
}

#[test]
fn training_starts_from_the_weights_of_a_file() {
    let temporary = tempfile::tempdir().unwrap();
    let [_, _, mut recipe] = recipes();
    recipe.optimizer = OptimizerSpec::Sgd(Sgd { lr: 0.0, ..Default::default() });
    recipe.pretrained.path = weights_file(temporary.path(), &recipe, 2, 1);
    let read = read_weights(&recipe, &data(), Path::new(&recipe.pretrained.path), &Device::flex()).unwrap();
    let (after, notes) = trained(&recipe, 1);
    assert!(notes.is_empty(), "{notes:?}");
    for (path, data) in after.iter().filter(|(path, _)| !path.contains("running_")) {
        assert_eq!(data, &read[path], "{path}");
    }
}

#[test]
fn a_last_layer_for_other_classes_starts_afresh_and_says_so() {
    let temporary = tempfile::tempdir().unwrap();
    let [_, _, mut recipe] = recipes();
    recipe.pretrained.path = weights_file(temporary.path(), &recipe, 5, 1);
    let (_, notes) = trained(&recipe, 1);
    assert!(matches!(&notes[..], [note] if note.starts_with("the last layer starts afresh")), "{notes:?}");
}

#[test]
fn a_frozen_backbone_stays_until_its_epochs_are_over() {
    let temporary = tempfile::tempdir().unwrap();
    let [_, _, mut recipe] = recipes();
    recipe.pretrained = recipe::Pretrained { path: weights_file(temporary.path(), &recipe, 2, 1), freeze_epochs: 2 };
    let read = read_weights(&recipe, &data(), Path::new(&recipe.pretrained.path), &Device::flex()).unwrap();
    let changed = |epochs: u64| -> Vec<String> {
        let (after, _) = trained(&recipe, epochs);
        after.into_iter().filter(|(path, data)| data != &read[path]).map(|(path, _)| path).collect()
    };
    assert_eq!(changed(2), ["Resnet.fc.bias", "Resnet.fc.weight"]);
    assert_eq!(changed(3).len(), read.len());
}

#[test]
fn a_frozen_start_is_resumed_as_if_never_stopped() {
    let temporary = tempfile::tempdir().unwrap();
    let [_, recipe, _] = recipes();
    let path = weights_file(temporary.path(), &recipe, 2, 1);
    let recipe = Recipe { pretrained: recipe::Pretrained { path, freeze_epochs: 2 }, ..recipe };
    let mut whole = Script::default();
    run(&recipe, None, 0, &mut whole);
    for interrupt_at in [8, 14] {
        let folder = CheckpointFolder::new(temporary.path().join(interrupt_at.to_string()));
        let mut first = Script { interrupt_at: Some(interrupt_at), ..Default::default() };
        run(&recipe, Some(&folder), 0, &mut first);
        let mut second = Script::default();
        run(&recipe, Some(&folder), first.reports.len() as u64, &mut second);
        assert_eq!(learned(&[first.reports, second.reports].concat()), learned(&whole.reports), "{interrupt_at}");
    }
}

#[test]
fn a_file_of_weights_that_changed_is_noticed() {
    let temporary = tempfile::tempdir().unwrap();
    let [_, _, mut recipe] = recipes();
    recipe.pretrained.path = weights_file(temporary.path(), &recipe, 2, 1);
    let folder = CheckpointFolder::new(temporary.path());
    run(&recipe, Some(&folder), 0, &mut Script { pause_after: Some(1), ..Default::default() });
    std::fs::copy(weights_file(temporary.path(), &recipe, 2, 2), &recipe.pretrained.path).unwrap();
    let (device, data) = (Device::flex(), data());
    let job = Job {
        recipe: &recipe,
        data: &data,
        base: Path::new(""),
        seed: TrialSeed { study: 7, trial: 3 },
        metric: Metric::ValAccuracy,
        device: &device,
        checkpoints: Some(folder),
        reported: 0,
    };
    let outcome = fit(&job, &mut Script::default());
    assert!(matches!(outcome, Err(FitError::Foreign { what: "file of pre-trained weights", .. })), "{outcome:?}");
}

#[test]
fn a_small_batch_under_batch_norm_is_noted() {
    let notes_at = |batch_size, norm| {
        let [.., recipe] = recipes();
        let model = ModelSpec::Resnet8(recipe::CifarResnet { norm, ..Default::default() });
        let mut script = Script { pause_after: Some(1), ..Default::default() };
        run(&Recipe { batch_size, model, ..recipe }, None, 0, &mut script);
        script.notes.len()
    };
    assert_eq!(notes_at(7, recipe::NormKind::Batch), 1);
    assert_eq!(notes_at(8, recipe::NormKind::Batch), 0);
    assert_eq!(notes_at(7, recipe::NormKind::Group), 0);
}
