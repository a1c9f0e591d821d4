//! The training of one trial, from its data to its last checkpoint.

mod evaluate;
mod learn;
mod lr_find;
mod pictures;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Instant;

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::augment::Augmenter;
use crate::average::Average;
use crate::batches::{Batch, EpochShape, Scaling, Stock, training_batches};
use crate::checkpoint::{self, Checkpoint, CheckpointFolder, LoadError, Place};
use crate::data::{Dataset, GeneratedError, GeneratedImages, Images};
use crate::loss::{Loss, Targets};
use crate::memory;
use crate::metric::{Answer, Evaluation, Metric};
use crate::model::{InputShape, Model};
use crate::optimizer::{Gradients, Optimizer, Rates};
use crate::recipe::{NormKind, Precision, Recipe};
use crate::report::EpochReport;
use crate::schedule::{Past, Progress};
use crate::seed::TrialSeed;
use crate::weights::{self, Head, MismatchError, NamedTensors, WeightsError, WeightsFile};

use evaluate::evaluate;
pub use evaluate::{EvaluationFile, evaluate_weights, read_weights};
pub use lr_find::{LrFindError, RangeTest, RateCurve, RatePoint, SuggestedRates, lr_find};
pub use pictures::{AugmentedFile, WorstFile, WorstImage};

/// Images a batch below which batch norm is poor (Wu 2018, arXiv 1803.08494, figure 1).
const SMALL_BATCH: usize = 8;

/// What is to be trained, and where it is kept.
#[derive(Debug)]
pub struct Job<'a> {
    /// How to train; checked.
    pub recipe: &'a Recipe,
    /// What to train on.
    pub data: &'a Dataset,
    /// Where relative paths of the recipe start.
    pub base: &'a Path,
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

    /// Asked after each batch: whether to write a checkpoint and stop.
    fn is_interrupted(&mut self) -> bool {
        false
    }

    /// Told what is out of the ordinary, in a sentence.
    fn notes(&mut self, _text: &str) {}

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
    /// All epochs are done, or patience is, or the target is reached.
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
    /// The loss was no number any more, or too large a one.
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
    /// The device has no such numbers.
    #[error("this device cannot compute with precision `{}`", .0.name())]
    Precision(Precision),
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
    /// The model does not get the weights to start from.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// There are no generated images to train on beside the real ones.
    #[error("`augment.generated` cannot be followed")]
    Generated(#[from] GeneratedError),
}

/// Trains until the recipe's end or the observer's word.
pub fn fit(job: &Job, observer: &mut dyn Observer) -> Result<Outcome, FitError> {
    Ok(fit_weights(job, observer)?.0)
}

/// The same, with the weights of the epoch that counts so far; none before the first one's end.
pub fn fit_weights(job: &Job, observer: &mut dyn Observer) -> Result<(Outcome, NamedTensors), FitError> {
    check(job)?;
    let _kept = memory::keep();
    memory::reset_peak();
    // What an earlier trial of this process left unused is not this one's.
    job.device.memory_cleanup();
    notes(job).into_iter().for_each(|note| observer.notes(note));
    let mut training = Training::start_or_resume(job, observer)?;
    training.save_augmented()?;
    let outcome = training.run(observer)?;
    Ok((outcome, training.kept))
}

/// The last checkpoint that is whole. If none is, training starts over: the same seeds give the same epochs again.
fn load(folder: &CheckpointFolder, observer: &mut dyn Observer) -> Result<Option<Checkpoint>, FitError> {
    let mut passed_over = |damage: &LoadError| observer.notes(&format!("{damage}; the one before it is taken"));
    match folder.load_noting(&mut passed_over) {
        Err(damage @ LoadError::Damaged { .. }) => {
            observer.notes(&format!("{damage}, as is the one before it, if any; training starts over"));
            match folder.put_aside() {
                Ok(()) => Ok(None),
                Err(source) => Err(LoadError::Read { path: folder.last(), source }.into()),
            }
        }
        loaded => Ok(loaded?),
    }
}

/// Whether there is a recipe to train with, and something to learn from.
fn check(job: &Job) -> Result<(), FitError> {
    job.recipe.check()?;
    for (split, images) in [("training", &job.data.train), ("validation", &job.data.validation)] {
        if images.labels.is_empty() {
            return Err(FitError::Empty { split });
        }
    }
    match job.device.supports_dtype(job.recipe.precision.dtype()) {
        true => Ok(()),
        false => Err(FitError::Precision(job.recipe.precision)),
    }
}

/// The generated images that the recipe asks for.
fn generated(job: &Job) -> Result<Option<GeneratedImages>, FitError> {
    let wanted = &job.recipe.augment.generated;
    if !wanted.is_on() {
        return Ok(None);
    }
    Ok(Some(GeneratedImages::open(&job.base.join(&wanted.path), job.data)?))
}

/// What a person should know before the first step.
fn notes(job: &Job) -> Vec<&'static str> {
    let Recipe { precision, batch_size, micro_batch, ref model, .. } = *job.recipe;
    let together = if micro_batch > 0 { micro_batch.min(batch_size) } else { batch_size };
    let is_emulated = precision != Precision::F32 && *job.device == Device::flex();
    let rows = [
        (is_emulated, "on a CPU, fewer bits are rounded as on a GPU, but are slower than f32"),
        (
            model.norm() == Some(NormKind::Batch) && together < SMALL_BATCH,
            "batch norm is poor below 8 images a batch; `model.norm` has others",
        ),
    ];
    rows.into_iter().filter(|(holds, _)| *holds).map(|(_, note)| note).collect()
}

/// A training under way.
struct Training<'a> {
    job: &'a Job<'a>,
    /// The job's, with its changes until the epoch that is trained.
    recipe: Recipe,
    place: Place,
    model: Model,
    optimizer: Optimizer,
    /// What the batches since the last update gave.
    gradients: Gradients,
    /// The running mean of the weights, if the recipe has one.
    average: Option<Average<Model>>,
    /// Weights of the epoch that counts.
    kept: NamedTensors,
    train: Arc<Images>,
    /// What epochs are made of: the training split, and the generated images if there are any.
    stock: Stock,
    validation: Arc<Images>,
    scaling: Scaling,
    loss: Loss,
    augmenter: Arc<Augmenter>,
    /// The next epoch's batches, of which the first are made ready while this one is evaluated and saved.
    ahead: Option<Receiver<Batch>>,
    /// The device with gradients.
    device: Device,
}

impl<'a> Training<'a> {
    fn start_or_resume(job: &'a Job<'a>, observer: &mut dyn Observer) -> Result<Self, FitError> {
        let images = [&job.data.train, &job.data.validation].map(|images| job.recipe.preprocess.apply(images));
        let generated = generated(job)?;
        let stock = match &generated {
            Some(generated) => {
                let generated = Arc::new(generated.images.clone());
                Stock::with_generated(&images[0], &job.recipe.preprocess.apply(&generated))
            }
            None => images[0].clone().into(),
        };
        let checkpoint = match &job.checkpoints {
            Some(folder) => load(folder, observer)?,
            None => None,
        };
        let epoch = checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.place.epoch);
        let mut training = Self::begin(job, job.recipe.at(epoch)?, images, stock);
        training.place.generated = generated.as_ref().map(GeneratedImages::hash);
        training.take_pretrained(observer)?;
        let (Some(folder), Some(mut checkpoint)) = (&job.checkpoints, checkpoint) else { return Ok(training) };
        let Place { recipe, epoch, step, .. } = &checkpoint.place;
        let begun = epoch + u64::from(*step > 0);
        // How much of a batch goes through at once may have changed since.
        let recipe = Recipe { micro_batch: job.recipe.micro_batch, ..recipe.clone() };
        let same = [
            // A fork's checkpoint is its parent's, with which it has the beginning in common.
            ("recipe", recipe == *job.recipe || recipe.agrees_until(job.recipe, begun)),
            ("seed", checkpoint.place.seed == training.place.seed),
            ("data set", checkpoint.place.data == training.place.data),
            ("file of pre-trained weights", checkpoint.place.pretrained == training.place.pretrained),
            ("file of generated images", checkpoint.place.generated == training.place.generated),
        ];
        if let Some((what, _)) = same.into_iter().find(|(_, same)| !same) {
            return Err(FitError::Foreign { path: folder.last(), what });
        }
        checkpoint.place.recipe = job.recipe.clone();
        training.take_up(checkpoint)?;
        Ok(training)
    }

    /// The start of a training whose next epoch has that recipe.
    fn begin(job: &'a Job<'a>, recipe: Recipe, [train, validation]: [Arc<Images>; 2], stock: Stock) -> Self {
        let device = job.device.clone().autodiff();
        let device = if recipe.gradient_checkpointing { device.gradient_checkpointing() } else { device };
        Self {
            job,
            place: Place::start(job.seed, job.recipe.clone(), job.data.fingerprint.clone()),
            model: Model::new(&recipe.model, input_shape(job.data), job.seed, &device),
            optimizer: Optimizer::new(&recipe),
            gradients: Gradients::default(),
            average: Average::new(&recipe.ema),
            kept: NamedTensors::new(),
            scaling: Scaling::new(recipe.normalize, &train),
            loss: Loss::new(&recipe, &train, job.data.classes.len()),
            augmenter: Arc::new(Augmenter::new(&recipe.augment, &train)),
            ahead: None,
            recipe,
            train,
            stock,
            validation,
            device,
        }
    }

    /// Goes on where the checkpoint stands.
    fn take_up(&mut self, checkpoint: Checkpoint) -> Result<(), FitError> {
        self.kept = checkpoint.weights().clone();
        self.model = weights::restore(self.model.clone(), checkpoint.model)?;
        self.optimizer.restore(checkpoint.optimizer, checkpoint.place.updates, self.job.device);
        self.gradients = Gradients::restore(checkpoint.gradients, self.job.device);
        if let Some(average) = &mut self.average {
            average.restore(checkpoint.average, self.model.valid())?;
        }
        self.place = checkpoint.place;
        Ok(())
    }

    /// Where the recipe changes, goes on as a training does that was stopped before and is resumed with the new values.
    fn follow_changes(&mut self) -> Result<(), FitError> {
        let recipe = self.job.recipe.at(self.place.epoch)?;
        if recipe != self.recipe {
            // Waits for the device.
            let checkpoint = self.checkpoint();
            *self = Self::begin(self.job, recipe, [self.train.clone(), self.validation.clone()], self.stock.clone());
            self.take_up(checkpoint)?;
        }
        Ok(())
    }

    fn take_pretrained(&mut self, observer: &mut dyn Observer) -> Result<(), FitError> {
        let path = &self.job.recipe.pretrained.path;
        if path.is_empty() {
            return Ok(());
        }
        let file = WeightsFile::read(&self.job.base.join(path))?;
        self.place.pretrained = Some(file.hash.clone());
        let (model, keeps_head) = file.put_into(self.model.clone(), Head::MayDiffer)?;
        self.model = model;
        if keeps_head {
            observer.notes(&format!("the last layer starts afresh: that of `{path}` has other classes"));
        }
        Ok(())
    }

    fn run(&mut self, observer: &mut dyn Observer) -> Result<Outcome, FitError> {
        // An epoch whose report was lost on its way is told again, not trained again.
        let is_unheard = |report: &&EpochReport| report.epoch > self.job.reported;
        let unheard: Vec<EpochReport> = self.place.history.iter().filter(is_unheard).cloned().collect();
        for report in &unheard {
            match observer.report(report) {
                Next::Train => {}
                Next::Pause => return Ok(Outcome::Paused),
                Next::Stop => return Ok(Outcome::Stopped),
            }
        }
        while !self.is_done() {
            self.follow_changes()?;
            if !self.train_epoch(observer)? {
                return Ok(Outcome::Interrupted);
            }
            let Some(report) = self.finish_epoch(observer)? else {
                return Ok(Outcome::Diverged { epoch: self.place.epoch + 1 });
            };
            match observer.report(&report) {
                Next::Train => {}
                Next::Pause => return Ok(Outcome::Paused),
                Next::Stop => return Ok(Outcome::Stopped),
            }
        }
        let (epoch, value) = self.place.best.expect("an epoch was trained, and the first one always counts");
        Ok(Outcome::Completed { value, epoch })
    }

    fn is_done(&self) -> bool {
        let Self { place, job: Job { recipe, metric, .. }, .. } = self;
        let stale = place.best.map_or(0, |(best, _)| place.epoch - best);
        let is_reached = place.best.is_some_and(|(_, value)| recipe.is_reached(*metric, value));
        place.epoch >= recipe.epochs || (recipe.patience > 0 && stale >= recipe.patience) || is_reached
    }

    /// Trains the rest of an epoch; false if it was interrupted, with a checkpoint at that step.
    fn train_epoch(&mut self, observer: &mut dyn Observer) -> Result<bool, FitError> {
        let epoch = self.place.epoch;
        let freeze_epochs = self.recipe.pretrained.freeze_epochs;
        if freeze_epochs > 0 {
            self.model = self.model.clone().freeze_backbone(epoch < freeze_epochs);
        }
        let batches_of_epoch = self.epoch_shape().batches();
        let begin = Instant::now();
        let earlier = self.place.seconds;
        let mut loss_sum = Tensor::<1>::from_floats([self.place.loss_sum], self.job.device);
        let (mut first_loss, mut interrupted) = (None, false);
        let ahead = self.ahead.take();
        let mut batches = ahead.unwrap_or_else(|| self.batches(epoch, self.place.step)).into_iter();
        while let Some(batch) = timed(&mut self.place.input_seconds, || batches.next()) {
            let is_first = self.place.step == 0 && epoch == 0;
            let loss = self.learn(batch, self.rates());
            if is_first {
                first_loss = Some(loss.clone());
            }
            loss_sum = loss_sum + loss;
            if self.place.step < batches_of_epoch && observer.is_interrupted() {
                interrupted = true;
                break;
            }
        }
        // Waits for the device.
        self.place.loss_sum = loss_sum.into_scalar();
        self.place.first_loss = self.place.first_loss.or(first_loss.map(Tensor::into_scalar));
        self.place.seconds = earlier + begin.elapsed().as_secs_f64();
        if interrupted {
            self.save()?;
        }
        Ok(!interrupted)
    }

    /// The batches of an epoch (from 0), from a step on.
    fn batches(&self, epoch: u64, from_step: u64) -> Receiver<Batch> {
        let (stock, scaling, augmenter) = (self.stock.clone(), self.scaling.clone(), self.augmenter.clone());
        training_batches(stock, scaling, augmenter, &self.recipe, self.job.seed, epoch, from_step)
    }

    /// Whether an epoch's mean loss says that training has failed.
    fn has_diverged(&self, train_loss: f64) -> bool {
        let limit = self.recipe.diverge_factor * self.place.first_loss.map_or(f64::INFINITY, f64::from);
        !train_loss.is_finite() || (self.recipe.diverge_factor > 0.0 && train_loss > limit)
    }

    /// Evaluates, keeps what counts, writes the checkpoint; `None` if training has diverged.
    fn finish_epoch(&mut self, observer: &mut dyn Observer) -> Result<Option<EpochReport>, FitError> {
        let (recipe, metric) = (&self.recipe, self.job.metric);
        let batches = self.place.step;
        let train_loss = f64::from(self.place.loss_sum) / batches as f64;
        if self.has_diverged(train_loss) {
            return Ok(None);
        }
        self.ahead = (self.place.epoch + 1 < recipe.epochs).then(|| self.batches(self.place.epoch + 1, 0));
        // What the trial is judged by, and what is measured beside it.
        let raw = self.model.valid();
        let mean = self.average.as_ref().and_then(Average::model);
        let (model, beside) = match mean {
            Some(mean) if recipe.ema.counts() => (mean.clone(), Some(("raw", raw))),
            Some(mean) => (raw, Some(("ema", mean.clone()))),
            None => (raw, None),
        };
        let mut evaluate = |model: &Model| {
            let evaluates = &mut || observer.evaluates();
            let (validation, shape) = (self.validation.clone(), self.input_shape());
            self::evaluate(model, validation, &self.scaling, &recipe.test_time, shape, self.job.device, evaluates)
        };
        let (evaluation, answers) = evaluate(&model);
        let beside = beside.map(|(name, model)| (name, evaluate(&model).0));
        let epoch = self.place.epoch + 1;
        let images = batches as usize * recipe.batch_size.min(self.stock.len_of_epoch(recipe));
        self.place.step -= 1;
        let figures = [
            ("train_loss", train_loss),
            ("lr", self.rates().lr),
            ("train_seconds", self.place.seconds),
            ("images_per_second", images as f64 / self.place.seconds),
            ("input_wait_share", self.place.input_seconds / self.place.seconds),
            ("peak_memory_bytes", memory::peak_bytes().map_or(f64::NAN, |bytes| bytes as f64)),
            ("device_memory_bytes", memory::device_bytes(self.job.device).map_or(f64::NAN, |bytes| bytes as f64)),
            ("loss_scale", self.place.loss_scale.map_or(f64::NAN, |scale| scale.factor)),
            ("skipped_updates", self.place.loss_scale.map_or(f64::NAN, |_| self.place.skipped as f64)),
        ];
        let mut report = EpochReport::new(epoch, figures.into_iter().chain(evaluation.metrics()));
        if let Some((name, evaluation)) = beside {
            let metrics = EpochReport::new(epoch, evaluation.metrics()).metrics.into_iter();
            report.metrics.extend(metrics.map(|(metric, value)| (format!("{name}_{metric}"), value)));
        }
        let value = report.value(metric);
        if recipe.improves(metric, value, self.place.best.map(|(_, best)| best)) {
            self.place.best = Some((epoch, value));
            self.kept = weights::collect(&model);
            self.save_evaluation(&report, evaluation, &answers)?;
        }
        self.place.history.push(report.clone());
        self.place.epoch = epoch;
        (self.place.step, self.place.loss_sum) = (0, 0.0);
        (self.place.seconds, self.place.input_seconds, self.place.skipped) = (0.0, 0.0, 0);
        self.save()?;
        Ok(Some(report))
    }

    /// Waits for the device and for the disk.
    fn save(&self) -> Result<(), FitError> {
        let Some(folder) = &self.job.checkpoints else { return Ok(()) };
        Ok(folder.save(&self.checkpoint())?)
    }

    /// Waits for the device.
    fn checkpoint(&self) -> Checkpoint {
        let (optimizer, updates) = self.optimizer.state();
        let mut place = self.place.clone();
        place.updates = updates;
        // Training statistics are only whole in the form for evaluation.
        let model = weights::collect(&self.model.valid());
        let is_model_kept = place.last_counts() && !self.recipe.ema.counts();
        let kept = (!is_model_kept).then(|| self.kept.clone());
        let gradients = self.gradients.state();
        let average = self.average.as_ref().map(Average::state).unwrap_or_default();
        Checkpoint { place, model, optimizer, gradients, average, kept }
    }

    /// What the schedule says of the update that the next batch is part of.
    fn rates(&self) -> Rates {
        let Self { place, recipe, job: Job { metric, .. }, .. } = self;
        let EpochShape { updates, batches_per_update } = self.epoch_shape();
        let progress = Progress {
            step: place.epoch * updates + place.step / batches_per_update,
            total_steps: recipe.epochs * updates,
            steps_per_epoch: updates,
        };
        let past = Past {
            values: place.history.iter().map(|report| report.value(*metric)).collect(),
            is_maximized: metric.is_maximized(),
        };
        let lr = recipe.lr(place.epoch) * recipe.schedule.factor(progress, &past);
        Rates { epoch: place.epoch, lr, momentum: recipe.schedule.momentum(progress) }
    }

    fn epoch_shape(&self) -> EpochShape {
        let Recipe { batch_size, accumulate, .. } = self.recipe;
        EpochShape::new(self.stock.len_of_epoch(&self.recipe), batch_size, accumulate)
    }

    /// What does not fit into a report of numbers, beside the checkpoint.
    fn save_evaluation(
        &self,
        report: &EpochReport,
        evaluation: Evaluation,
        answers: &[Answer],
    ) -> Result<(), FitError> {
        let Some(folder) = &self.job.checkpoints else { return Ok(()) };
        let classes = &self.job.data.classes;
        folder.save_json(&folder.evaluation(), &EvaluationFile::new(report, classes, evaluation))?;
        let (worst, png) = pictures::worst_of(report.epoch, &self.validation, classes, answers);
        // The sheet first: a file that speaks of it finds it.
        folder.save_beside(&folder.worst_sheet(), &png)?;
        Ok(folder.save_json(&folder.worst(), &worst)?)
    }

    /// What the training makes of its images, once for all attempts.
    fn save_augmented(&self) -> Result<(), FitError> {
        let Job { recipe, seed, ref checkpoints, data, .. } = *self.job;
        let Some(folder) = checkpoints.as_ref().filter(|folder| !folder.augmented().exists()) else { return Ok(()) };
        let (file, png) = pictures::augmented(&self.train, &self.stock, &data.classes, recipe, seed);
        folder.save_beside(&folder.augmented_sheet(), &png)?;
        Ok(folder.save_json(&folder.augmented(), &file)?)
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

/// Does something and adds the seconds that it takes.
fn timed<T>(seconds: &mut f64, work: impl FnOnce() -> T) -> T {
    let begin = Instant::now();
    let result = work();
    *seconds += begin.elapsed().as_secs_f64();
    result
}

/// The images of a batch on the device, `[count, channels, height, width]`.
pub(crate) fn images_of(batch: Batch, shape: InputShape, device: &Device) -> Tensor<4> {
    let shape = [batch.count(), shape.channels, shape.height, shape.width];
    Tensor::from_data(TensorData::new(batch.pixels, shape), device)
}

/// The classes of a batch on the device, `[count]`.
pub(crate) fn labels(batch: &Batch, device: &Device) -> Tensor<1, Int> {
    Tensor::from_data(TensorData::new(batch.labels.clone(), [batch.count()]), device)
}

/// What a batch is to teach.
fn targets(batch: &Batch, shape: InputShape, device: &Device) -> Targets {
    let Some(mixed) = &batch.mixed else { return Targets::Classes(labels(batch, device)) };
    let mut shares = vec![0.0; batch.count() * shape.classes];
    for (row, (own, partner)) in shares.chunks_exact_mut(shape.classes).zip(batch.labels.iter().zip(&mixed.labels)) {
        row[*own as usize] += mixed.share;
        row[*partner as usize] += 1.0 - mixed.share;
    }
    Targets::Shares(Tensor::from_data(TensorData::new(shares, [batch.count(), shape.classes]), device))
}

#[cfg(test)]
pub(crate) mod tests;
