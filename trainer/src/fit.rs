//! The training of one trial, from its data to its last checkpoint.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::batches::{Batch, Scaling, plain_batches, steps_per_epoch, training_batches};
use crate::checkpoint::{self, Checkpoint, CheckpointFolder, Place};
use crate::data::{Dataset, Images};
use crate::loss::cross_entropy;
use crate::memory;
use crate::metric::Metric;
use crate::model::{InputShape, Model};
use crate::optimizer::Optimizer;
use crate::recipe::Recipe;
use crate::report::EpochReport;
use crate::schedule::Progress;
use crate::seed::{Purpose, TrialSeed};
use crate::weights::{self, MismatchError, NamedTensors};

/// Images per batch where no gradients are kept.
const EVALUATION_BATCH: usize = 256;

/// What is to be trained, and where it is kept.
#[derive(Debug)]
pub struct Job<'a> {
    /// How to train; checked.
    pub recipe: &'a Recipe,
    /// What to train on.
    pub data: &'a Dataset,
    /// Where all randomness comes from.
    pub seed: TrialSeed,
    /// What the trial is judged by.
    pub metric: Metric,
    /// Where to compute.
    pub device: &'a Device,
    /// Where checkpoints are written and found; without it, none are.
    pub checkpoints: Option<CheckpointFolder>,
    /// Epochs that were reported already; a checkpoint's later ones are reported again before training goes on.
    pub reported: u64,
}

/// Who hears of a training and decides about it.
pub trait Observer {
    /// After each epoch, once its checkpoint is on disk.
    fn report(&mut self, report: &EpochReport) -> Next;

    /// Asked after each step: whether to write a checkpoint and stop.
    fn is_interrupted(&mut self) -> bool {
        false
    }

    /// Told after each batch of an evaluation, which has no steps: it goes on.
    fn evaluates(&mut self) {}
}

/// What to do after a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Train the next epoch.
    Train,
    /// Keep the checkpoint and return.
    Pause,
    /// Return for good.
    Stop,
}

/// How a training ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// All epochs are done, or patience is.
    Completed {
        /// The study's metric at the epoch that counts.
        value: f64,
        /// That epoch, from 1.
        epoch: u64,
    },
    /// The observer paused it.
    Paused,
    /// The observer stopped it.
    Stopped,
    /// The observer interrupted it; the checkpoint has the place.
    Interrupted,
    /// The loss was no number any more.
    Diverged {
        /// The epoch in which it was seen, from 1.
        epoch: u64,
    },
}

/// Why a training cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum FitError {
    /// The recipe breaks a rule.
    #[error("the recipe cannot be trained with")]
    Recipe(#[from] crate::recipe::RecipeError),
    /// There is nothing to learn from.
    #[error("the {split} split has no images")]
    Empty {
        /// Which one.
        split: &'static str,
    },
    /// A checkpoint could not be written.
    #[error(transparent)]
    Save(#[from] checkpoint::SaveError),
    /// A checkpoint could not be read.
    #[error(transparent)]
    Load(#[from] checkpoint::LoadError),
    /// The checkpoint is of another training.
    #[error("the checkpoint `{}` is of another {what}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What differs.
        what: &'static str,
    },
    /// The checkpoint's tensors are not those of the recipe's model.
    #[error(transparent)]
    Mismatch(#[from] MismatchError),
}

/// Trains until the recipe's end or the observer's word.
pub fn fit(job: &Job, observer: &mut dyn Observer) -> Result<Outcome, FitError> {
    job.recipe.check()?;
    for (split, images) in [("training", &job.data.train), ("validation", &job.data.validation)] {
        if images.labels.is_empty() {
            return Err(FitError::Empty { split });
        }
    }
    memory::reset_peak();
    let mut training = Training::start_or_resume(job)?;
    // An epoch whose report was lost on its way is told again, not trained again.
    let unheard: Vec<EpochReport> =
        training.place.history.iter().filter(|report| report.epoch > job.reported).cloned().collect();
    for report in &unheard {
        match observer.report(report) {
            Next::Train => {}
            Next::Pause => return Ok(Outcome::Paused),
            Next::Stop => return Ok(Outcome::Stopped),
        }
    }
    while !training.is_done() {
        if !training.train_epoch(observer)? {
            return Ok(Outcome::Interrupted);
        }
        let Some(report) = training.finish_epoch(observer)? else {
            return Ok(Outcome::Diverged { epoch: training.place.epoch + 1 });
        };
        match observer.report(&report) {
            Next::Train => {}
            Next::Pause => return Ok(Outcome::Paused),
            Next::Stop => return Ok(Outcome::Stopped),
        }
    }
    let (epoch, value) = training.place.best.expect("an epoch was trained, and the first one always counts");
    Ok(Outcome::Completed { value, epoch })
}

/// A training under way.
struct Training<'a> {
    job: &'a Job<'a>,
    place: Place,
    model: Model,
    optimizer: Optimizer,
    /// Weights of the epoch that counts.
    kept: NamedTensors,
    train: Arc<Images>,
    validation: Arc<Images>,
    scaling: Scaling,
    /// The device with gradients.
    device: Device,
}

impl<'a> Training<'a> {
    fn start_or_resume(job: &'a Job<'a>) -> Result<Self, FitError> {
        let device = job.device.clone().autodiff();
        let mut training = Self {
            job,
            place: Place::start(job.seed, job.recipe.clone(), job.data.fingerprint.clone()),
            model: Model::new(&job.recipe.model, input_shape(job.data), job.seed, &device),
            optimizer: Optimizer::new(&job.recipe.optimizer, job.recipe.clip_norm),
            kept: NamedTensors::new(),
            train: job.data.train.clone(),
            validation: job.data.validation.clone(),
            scaling: Scaling::new(job.recipe.normalize, &job.data.train),
            device,
        };
        let Some(folder) = &job.checkpoints else { return Ok(training) };
        let Some(checkpoint) = folder.load()? else { return Ok(training) };
        let same = [
            ("recipe", checkpoint.place.recipe == training.place.recipe),
            ("seed", checkpoint.place.seed == training.place.seed),
            ("data set", checkpoint.place.data == training.place.data),
        ];
        if let Some((what, _)) = same.into_iter().find(|(_, same)| !same) {
            return Err(FitError::Foreign { path: folder.last(), what });
        }
        training.kept = checkpoint.weights().clone();
        training.model = weights::restore(training.model, checkpoint.model)?;
        training.optimizer.restore(checkpoint.optimizer, checkpoint.place.updates, job.device);
        training.place = checkpoint.place;
        Ok(training)
    }

    fn is_done(&self) -> bool {
        let Self { place, job: Job { recipe, .. }, .. } = self;
        let stale = place.best.map_or(0, |(best, _)| place.epoch - best);
        place.epoch >= recipe.epochs || (recipe.patience > 0 && stale >= recipe.patience)
    }

    /// Trains the rest of an epoch; false if it was interrupted, with a checkpoint at that step.
    fn train_epoch(&mut self, observer: &mut dyn Observer) -> Result<bool, FitError> {
        let Job { recipe, seed, .. } = *self.job;
        let epoch = self.place.epoch;
        let steps = steps_per_epoch(self.train.labels.len(), recipe.batch_size);
        let begin = Instant::now();
        let earlier = self.place.seconds;
        let mut loss_sum = Tensor::<1>::from_floats([self.place.loss_sum], self.job.device);
        let batches = training_batches(
            self.train.clone(),
            self.scaling.clone(),
            recipe.augment.clone(),
            recipe.batch_size,
            seed,
            epoch,
            self.place.step,
        );
        for batch in batches {
            let progress = Progress {
                step: epoch * steps + self.place.step,
                total_steps: recipe.epochs * steps,
                steps_per_epoch: steps,
            };
            self.device.seed(seed.number(Purpose::Dropout, epoch, self.place.step));
            let (images, labels) = to_device(batch, self.input_shape(), &self.device);
            let loss = cross_entropy(self.model.forward(images), labels, recipe.label_smoothing);
            loss_sum = loss_sum + loss.clone().inner();
            let gradients = GradientsParams::from_grads(loss.backward(), &self.model);
            let lr = recipe.optimizer.lr() * recipe.schedule.factor(progress);
            self.model = self.optimizer.step(self.model.clone(), gradients, lr);
            self.place.step += 1;
            if self.place.step < steps && observer.is_interrupted() {
                // Waits for the device.
                self.place.loss_sum = loss_sum.into_scalar();
                self.place.seconds = earlier + begin.elapsed().as_secs_f64();
                self.save()?;
                return Ok(false);
            }
        }
        // Waits for the device.
        self.place.loss_sum = loss_sum.into_scalar();
        self.place.seconds = earlier + begin.elapsed().as_secs_f64();
        Ok(true)
    }

    /// Evaluates, keeps what counts, writes the checkpoint; `None` if the training loss is no number.
    fn finish_epoch(&mut self, observer: &mut dyn Observer) -> Result<Option<EpochReport>, FitError> {
        let Job { recipe, metric, .. } = *self.job;
        let steps = self.place.step;
        let train_loss = f64::from(self.place.loss_sum) / steps as f64;
        if !train_loss.is_finite() {
            return Ok(None);
        }
        let model = self.model.valid();
        let validation = self.validation.clone();
        let evaluation = evaluate(&model, validation, &self.scaling, self.input_shape(), self.job.device, &mut || {
            observer.evaluates();
        });
        let epoch = self.place.epoch + 1;
        let last = Progress { step: epoch * steps - 1, total_steps: recipe.epochs * steps, steps_per_epoch: steps };
        let report = EpochReport::new(
            epoch,
            [
                ("train_loss", train_loss),
                ("val_loss", evaluation.loss),
                ("val_accuracy", evaluation.accuracy),
                ("lr", recipe.optimizer.lr() * recipe.schedule.factor(last)),
                ("train_seconds", self.place.seconds),
                (
                    "images_per_second",
                    (steps as usize * recipe.batch_size.min(self.train.labels.len())) as f64 / self.place.seconds,
                ),
                ("peak_memory_bytes", memory::peak_bytes().map_or(f64::NAN, |bytes| bytes as f64)),
            ],
        );
        let value = report.value(metric);
        if recipe.improves(metric, value, self.place.best.map(|(_, best)| best)) {
            self.place.best = Some((epoch, value));
            self.kept = weights::collect(&model);
        }
        self.place.history.push(report.clone());
        self.place.epoch = epoch;
        (self.place.step, self.place.loss_sum, self.place.seconds) = (0, 0.0, 0.0);
        self.save()?;
        Ok(Some(report))
    }

    /// Waits for the device and for the disk.
    fn save(&self) -> Result<(), FitError> {
        let Some(folder) = &self.job.checkpoints else { return Ok(()) };
        let (optimizer, updates) = self.optimizer.state();
        let mut place = self.place.clone();
        place.updates = updates;
        // Training statistics are only whole in the form for evaluation.
        let model = weights::collect(&self.model.valid());
        let kept = (!place.last_counts()).then(|| self.kept.clone());
        Ok(folder.save(&Checkpoint { place, model, optimizer, kept })?)
    }

    fn input_shape(&self) -> InputShape {
        input_shape(self.job.data)
    }
}

/// The size of a data set's images, and its classes.
pub fn input_shape(data: &Dataset) -> InputShape {
    let Images { channels, height, width, .. } = *data.train;
    InputShape { channels, height, width, classes: data.classes.len() }
}

/// How well a model does on some images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation {
    /// Mean cross-entropy in nats.
    pub loss: f64,
    /// Share of images whose most likely class is the right one.
    pub accuracy: f64,
}

/// Evaluates given weights on given images, prepared as the recipe does. Waits for the device.
pub fn evaluate_weights(
    recipe: &Recipe,
    data: &Dataset,
    weights: NamedTensors,
    images: Arc<Images>,
    device: &Device,
) -> Result<Evaluation, FitError> {
    let seed = TrialSeed { study: 0, trial: 0 };
    let model = weights::restore(Model::new(&recipe.model, input_shape(data), seed, device), weights)?;
    let scaling = Scaling::new(recipe.normalize, &data.train);
    Ok(evaluate(&model, images, &scaling, input_shape(data), device, &mut || {}))
}

/// Gathers on the device and reads back once; calls `after_batch` after each batch.
fn evaluate(
    model: &Model,
    images: Arc<Images>,
    scaling: &Scaling,
    shape: InputShape,
    device: &Device,
    after_batch: &mut dyn FnMut(),
) -> Evaluation {
    let count = images.labels.len() as f64;
    let mut loss_sum = Tensor::<1>::zeros([1], device);
    let mut correct = Tensor::<1, Int>::zeros([1], device);
    for batch in plain_batches(images, scaling.clone(), EVALUATION_BATCH) {
        let size = batch.count() as f64;
        let (images, labels) = to_device(batch, shape, device);
        let scores = model.forward(images);
        loss_sum = loss_sum + cross_entropy(scores.clone(), labels.clone(), 0.0).mul_scalar(size);
        let hits = scores.argmax(1).squeeze_dim::<1>(1).equal(labels);
        correct = correct + hits.int().sum();
        after_batch();
    }
    // Waits for the device.
    Evaluation {
        loss: f64::from(loss_sum.into_scalar::<f32>()) / count,
        accuracy: correct.into_scalar::<i64>() as f64 / count,
    }
}

fn to_device(batch: Batch, shape: InputShape, device: &Device) -> (Tensor<4>, Tensor<1, Int>) {
    let count = batch.count();
    let pixels = TensorData::new(batch.pixels, [count, shape.channels, shape.height, shape.width]);
    (Tensor::from_data(pixels, device), Tensor::from_data(TensorData::new(batch.labels, [count]), device))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rand::RngExt;

    use crate::recipe;
    use crate::recipe::{Adamw, Augment, Keep, ModelSpec, OptimizerSpec, Sgd};

    use super::*;

    /// Two classes of 8×8 images: brighter at the left or at the right, with noise.
    fn images(count: usize, index: u64) -> Arc<Images> {
        let mut random = TrialSeed { study: 99, trial: 0 }.stream(Purpose::Order, 0, index);
        let labels: Vec<u32> = (0..count as u32).map(|i| i % 2).collect();
        let pixel =
            |label: u32, column: usize, noise: u8| if (column < 4) == (label == 0) { 100 + noise } else { noise };
        let pixels = labels.iter().flat_map(|&label| (0..64).map(move |i| (label, i % 8)));
        let pixels = pixels.map(|(label, column)| pixel(label, column, random.random_range(0..120))).collect();
        Arc::new(Images { pixels, labels, height: 8, width: 8, channels: 1 })
    }

    fn data() -> Dataset {
        Dataset {
            classes: vec!["left".into(), "right".into()],
            train: images(96, 0),
            validation: images(40, 1),
            has_test: false,
            notices: Vec::new(),
            fingerprint: "made".into(),
        }
    }

    /// Without mirroring, which would swap the classes.
    fn recipe(model: ModelSpec, optimizer: OptimizerSpec) -> Recipe {
        let augment = Augment { flip: 0.0, crop_padding: 1 };
        Recipe { model, optimizer, augment, epochs: 4, batch_size: 16, label_smoothing: 0.1, ..Default::default() }
    }

    /// What a training said, and when to stop it.
    #[derive(Default)]
    struct Script {
        reports: Vec<EpochReport>,
        pause_after: Option<u64>,
        interrupt_at: Option<usize>,
        steps: usize,
    }

    impl Observer for Script {
        fn report(&mut self, report: &EpochReport) -> Next {
            self.reports.push(report.clone());
            if self.pause_after == Some(report.epoch) { Next::Pause } else { Next::Train }
        }

        fn is_interrupted(&mut self) -> bool {
            self.steps += 1;
            self.interrupt_at == Some(self.steps)
        }
    }

    fn run(recipe: &Recipe, folder: Option<&CheckpointFolder>, reported: u64, script: &mut Script) -> Outcome {
        let (device, data) = (Device::flex(), data());
        let seed = TrialSeed { study: 7, trial: 3 };
        let checkpoints = folder.cloned();
        let metric = Metric::ValAccuracy;
        let job = Job { recipe, data: &data, seed, metric, device: &device, checkpoints, reported };
        fit(&job, script).unwrap()
    }

    /// A report without what a clock or the system's memory says.
    fn learned(reports: &[EpochReport]) -> Vec<Vec<f64>> {
        let names = ["train_loss", "val_loss", "val_accuracy", "lr"];
        reports.iter().map(|report| names.map(|name| report.metrics[name]).to_vec()).collect()
    }

    fn recipes() -> [Recipe; 3] {
        let mlp = ModelSpec::Mlp(recipe::Mlp { width: 16, depth: 1, dropout: 0.3 });
        let convnet = ModelSpec::Convnet(recipe::Convnet { width: 4, dropout: 0.2 });
        let sgd = OptimizerSpec::Sgd(Sgd { lr: 0.05, ..Default::default() });
        let adamw = OptimizerSpec::Adamw(Adamw { lr: 0.01, ..Default::default() });
        [recipe(mlp, sgd.clone()), recipe(convnet, adamw), recipe(ModelSpec::Resnet8(recipe::Resnet8 {}), sgd)]
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

    #[test]
    fn a_trial_stopped_at_any_place_and_resumed_is_the_uninterrupted_one() {
        for recipe in recipes() {
            let mut whole = Script::default();
            let outcome = run(&recipe, None, 0, &mut whole);
            // Six steps an epoch; after an epoch's report, and in the midst of an epoch.
            let stops = [(Some(1), None), (Some(3), None), (None, Some(1)), (None, Some(8)), (None, Some(17))];
            for (pause_after, interrupt_at) in stops {
                let temporary = tempfile::tempdir().unwrap();
                let folder = CheckpointFolder::new(temporary.path());
                let mut first = Script { pause_after, interrupt_at, ..Default::default() };
                let stopped = run(&recipe, Some(&folder), 0, &mut first);
                assert!(matches!(stopped, Outcome::Paused | Outcome::Interrupted), "{stopped:?}");
                let mut second = Script::default();
                let resumed = run(&recipe, Some(&folder), first.reports.len() as u64, &mut second);
                let both = [first.reports, second.reports].concat();
                assert_eq!(
                    learned(&both),
                    learned(&whole.reports),
                    "{:?} {pause_after:?} {interrupt_at:?}",
                    recipe.model
                );
                assert_eq!(resumed, outcome);
            }
        }
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

    /// What is learned with a small base recipe under these changes of whole top-level keys.
    fn learned_with(changes: &str) -> Vec<Vec<f64>> {
        let mut recipe: toml::Table = toml::from_str(
            "epochs = 2\nbatch_size = 16\nmodel = { kind = 'mlp', width = 8, depth = 1 }\n\
             optimizer = { kind = 'sgd', lr = 0.05 }\nschedule = { kind = 'constant' }\n\
             augment = { flip = 0.0, crop_padding = 0 }",
        )
        .unwrap();
        recipe.extend(toml::from_str::<toml::Table>(changes).unwrap());
        let recipe: Recipe = recipe.try_into().unwrap();
        let mut script = Script::default();
        run(&recipe, None, 0, &mut script);
        learned(&script.reports)
    }

    #[test]
    fn every_field_of_the_recipe_has_an_effect() {
        let sgd = "optimizer = { kind = 'sgd', lr = 0.05 }";
        let adamw = "optimizer = { kind = 'adamw' }";
        let mlp = "model = { kind = 'mlp', width = 8, depth = 1 }";
        let convnet = "model = { kind = 'convnet', width = 4 }";
        let one_cycle = "schedule = { kind = 'one_cycle' }";
        let changes = [
            ("", "epochs = 3"),
            ("", "batch_size = 32"),
            ("", "label_smoothing = 0.1"),
            ("", "clip_norm = 0.01"),
            ("", "normalize = 'unit'"),
            ("normalize = 'imagenet'", "normalize = 'unit'"),
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
            ("schedule = { kind = 'cosine' }", "schedule = { kind = 'cosine', warmup_epochs = 1 }"),
            ("schedule = { kind = 'cosine' }", "schedule = { kind = 'cosine', final_factor = 0.5 }"),
            ("", one_cycle),
            (one_cycle, "schedule = { kind = 'one_cycle', peak_at = 0.5 }"),
            (one_cycle, "schedule = { kind = 'one_cycle', div_factor = 5 }"),
            (one_cycle, "schedule = { kind = 'one_cycle', final_div_factor = 2 }"),
        ];
        for (before, after) in changes {
            assert_ne!(learned_with(before), learned_with(after), "`{before}` and `{after}` train the same");
        }
    }

    #[test]
    fn a_diverged_training_says_so() {
        let [mut recipe, ..] = recipes();
        recipe.optimizer = OptimizerSpec::Sgd(Sgd { lr: 1e20, ..Default::default() });
        assert!(matches!(run(&recipe, None, 0, &mut Script::default()), Outcome::Diverged { .. }));
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
            seed: TrialSeed { study: 7, trial: 3 },
            metric: Metric::ValAccuracy,
            device: &device,
            checkpoints: Some(folder),
            reported: 0,
        };
        assert!(matches!(fit(&job, &mut Script::default()), Err(FitError::Foreign { what: "recipe", .. })));
    }
}
