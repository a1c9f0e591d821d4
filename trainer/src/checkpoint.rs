//! A trial on disk: weights, optimizer, place in training and history, so that it goes on as if never stopped.
//!
//! One safetensors file, written beside the old one, flushed to the disk and renamed; the one before is kept, and
//! taken if the last is damaged.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use burn::tensor::{DType, TensorData};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use crate::precision::LossScale;
use crate::recipe::{Precision, Recipe};
use crate::report::EpochReport;
use crate::seed::TrialSeed;
use crate::weights::NamedTensors;

/// Version of the file's layout; another one is not read.
const FORMAT: u32 = 1;
/// The key of our part of the file's metadata.
const META: &str = "nightsweep";
const CHECKSUM: &str = "blake3";

/// All that a trial needs to go on.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// Where training stands.
    pub place: Place,
    /// Weights and running statistics.
    pub model: NamedTensors,
    /// The optimizer's tensors.
    pub optimizer: NamedTensors,
    /// Gradients gathered for the next update.
    pub gradients: NamedTensors,
    /// The running mean of the weights, where the recipe has one.
    pub average: NamedTensors,
    /// Weights of the epoch that counts so far, if that is not the last; else `model` has them.
    pub kept: Option<NamedTensors>,
}

/// Where training stands, and what was measured until there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Place {
    format: u32,
    /// Whose training it is.
    pub seed: TrialSeed,
    /// How it trains.
    pub recipe: Recipe,
    /// Hash of the data it trains on.
    pub data: String,
    /// Hash of the file of weights that it started from, if any.
    #[serde(default)]
    pub pretrained: Option<String>,
    /// Hash of the generated images that it trains on too, if any.
    #[serde(default)]
    pub generated: Option<String>,
    /// Whole epochs done.
    pub epoch: u64,
    /// Batches done of the next epoch.
    pub step: u64,
    /// Updates that the optimizer made.
    pub updates: u64,
    /// Sum of the losses of the next epoch's steps so far.
    pub loss_sum: f32,
    /// Loss of the very first step, once it is known.
    #[serde(default)]
    pub first_loss: Option<f32>,
    /// What the loss is multiplied with in half precision.
    #[serde(default)]
    pub loss_scale: Option<LossScale>,
    /// Updates of the next epoch's steps so far that half precision was too small for.
    #[serde(default)]
    pub skipped: u64,
    /// Seconds spent on the next epoch so far.
    pub seconds: f64,
    /// Of these, seconds spent waiting for images.
    #[serde(default)]
    pub input_seconds: f64,
    /// What was measured after each epoch.
    pub history: Vec<EpochReport>,
    /// Epoch (from 1) and value that count so far.
    pub best: Option<(u64, f64)>,
}

impl Place {
    /// The start of training.
    pub fn start(seed: TrialSeed, recipe: Recipe, data: String) -> Self {
        Self {
            format: FORMAT,
            seed,
            loss_scale: (recipe.precision == Precision::F16).then(LossScale::default),
            skipped: 0,
            recipe,
            data,
            pretrained: None,
            generated: None,
            epoch: 0,
            step: 0,
            updates: 0,
            loss_sum: 0.0,
            first_loss: None,
            seconds: 0.0,
            input_seconds: 0.0,
            history: Vec::new(),
            best: None,
        }
    }

    /// Whether the weights that count are the last ones.
    pub fn last_counts(&self) -> bool {
        self.step == 0 && self.best.is_none_or(|(best, _)| best == self.epoch)
    }
}

impl Checkpoint {
    /// Everything but the place, by the name of the part, in the order of the checksum.
    fn parts(&self) -> impl Iterator<Item = (&'static str, &NamedTensors)> {
        let kept = self.kept.iter().map(|kept| ("kept", kept));
        let parts = [
            ("model", &self.model),
            ("optimizer", &self.optimizer),
            ("gradients", &self.gradients),
            ("average", &self.average),
        ];
        parts.into_iter().chain(kept)
    }

    /// The weights that count.
    pub fn weights(&self) -> &NamedTensors {
        self.kept.as_ref().unwrap_or(&self.model)
    }

    /// The weights that count as a safetensors file of their own.
    pub fn weights_file(&self) -> Result<Vec<u8>, WeightsFileError> {
        let tensors = self.weights().iter().map(|(name, data)| (name.clone(), data)).collect();
        write_tensors(tensors, HashMap::from([("format".to_owned(), "nightsweep".to_owned())]))
            .map_err(WeightsFileError)
    }
}

/// Why a checkpoint could not be written.
#[derive(Debug, thiserror::Error)]
#[error("could not write the checkpoint `{}`", path.display())]
pub struct SaveError {
    path: PathBuf,
    source: io::Error,
}

/// Why weights could not be written as safetensors.
#[derive(Debug, thiserror::Error)]
#[error("the weights cannot be written as safetensors: {0}")]
pub struct WeightsFileError(String);

impl WeightsFileError {
    pub(crate) fn new(reason: String) -> Self {
        Self(reason)
    }
}

/// Why a checkpoint could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The operating system says no.
    #[error("could not read the checkpoint `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
    /// The bytes are not what was written.
    #[error("the checkpoint `{}` is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// How a checkpoint on the disk is.
#[derive(Clone, Debug, PartialEq)]
pub enum Inspection {
    /// Its checksum is that of its content.
    Whole {
        /// Of the file.
        size_bytes: u64,
        /// Whole epochs done.
        epoch: u64,
        /// Batches done of the next epoch.
        step: u64,
    },
    /// It is not what was written.
    Damaged {
        /// Of the file.
        size_bytes: u64,
        /// What is wrong with it.
        reason: String,
    },
}

/// The folder of one trial's checkpoints.
#[derive(Clone, Debug)]
pub struct CheckpointFolder {
    folder: PathBuf,
}

impl SaveError {
    /// Whether it is a matter of the disk and not of the trial: no room, or no leave to write.
    pub fn is_of_the_disk(&self) -> bool {
        is_of_the_disk(&self.source)
    }
}

impl CheckpointFolder {
    /// The folder need not exist yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The last checkpoint.
    pub fn last(&self) -> PathBuf {
        self.folder.join("checkpoint.safetensors")
    }

    /// The one before it.
    pub fn previous(&self) -> PathBuf {
        self.folder.join("checkpoint.previous.safetensors")
    }

    /// Writes a checkpoint that survives a power cut from the moment this returns.
    pub fn save(&self, checkpoint: &Checkpoint) -> Result<(), SaveError> {
        let last = self.last();
        let temporary = self.write_temporary(|| to_bytes(checkpoint).map_err(io::Error::other))?;
        match fs::rename(&last, self.previous()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(SaveError { path: last, source: error });
            }
            _ => {}
        }
        fs::rename(&temporary, &last).map_err(fail(&last))?;
        File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(fail(&self.folder))
    }

    /// Takes another's last checkpoint for one's own, if there is none yet: where both train alike until there, it is. The
    /// files are shared, as none is ever written to again.
    pub fn inherit(&self, parent: &Self) -> io::Result<()> {
        if self.last().exists() || self.previous().exists() {
            return Ok(());
        }
        fs::create_dir_all(&self.folder)?;
        if parent.evaluation().exists() && !self.evaluation().exists() {
            share(&parent.evaluation(), &self.evaluation())?;
        }
        share(&parent.last(), &self.last())?;
        File::open(&self.folder)?.sync_all()
    }

    /// Where the figures of the epoch that counts are, class by class.
    pub fn evaluation(&self) -> PathBuf {
        self.folder.join("evaluation.json")
    }

    /// Where is said what lies on [`Self::worst_sheet`].
    pub fn worst(&self) -> PathBuf {
        self.folder.join("worst.json")
    }

    /// The validation images that the model gets most wrong.
    pub fn worst_sheet(&self) -> PathBuf {
        self.folder.join("worst.png")
    }

    /// Where is said what lies on [`Self::augmented_sheet`].
    pub fn augmented(&self) -> PathBuf {
        self.folder.join("augmented.json")
    }

    /// Training images, and what the training makes of them.
    pub fn augmented_sheet(&self) -> PathBuf {
        self.folder.join("augmented.png")
    }

    /// Writes one of the files above in place of the old one.
    pub fn save_json(&self, path: &Path, content: &impl Serialize) -> Result<(), SaveError> {
        let bytes = serde_json::to_vec(content).map_err(io::Error::other).map_err(fail(path))?;
        self.save_beside(path, &bytes)
    }

    /// The same for a sheet.
    pub fn save_beside(&self, path: &Path, bytes: &[u8]) -> Result<(), SaveError> {
        let temporary = self.write_temporary(|| Ok(bytes.to_vec()))?;
        fs::rename(&temporary, path).map_err(fail(path))
    }

    /// Writes a file that is to be renamed, down to the disk.
    fn write_temporary(&self, bytes: impl FnOnce() -> io::Result<Vec<u8>>) -> Result<PathBuf, SaveError> {
        let temporary = self.folder.join(format!("checkpoint.{}.tmp", std::process::id()));
        fs::create_dir_all(&self.folder).map_err(fail(&self.folder))?;
        let written = File::create(&temporary).and_then(|mut file| {
            file.write_all(&bytes()?)?;
            file.sync_all()
        });
        match written {
            Ok(()) => Ok(temporary),
            Err(source) => {
                // A full disk is not left fuller.
                let _ = fs::remove_file(&temporary);
                Err(SaveError { path: temporary, source })
            }
        }
    }

    /// Reads the last checkpoint to its end and says how it is; `None` if there is none.
    pub fn inspect(&self) -> io::Result<Option<Inspection>> {
        let bytes = match fs::read(self.last()) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let size_bytes = bytes.len() as u64;
        Ok(Some(match from_bytes(&bytes) {
            Ok(Checkpoint { place, .. }) => Inspection::Whole { size_bytes, epoch: place.epoch, step: place.step },
            Err(reason) => Inspection::Damaged { size_bytes, reason },
        }))
    }

    /// The newest checkpoint that is whole; `None` if the trial never wrote one.
    pub fn load(&self) -> Result<Option<Checkpoint>, LoadError> {
        self.load_noting(&mut |_| {})
    }

    /// As [`Self::load`], but tells of a damaged one that was passed over.
    pub fn load_noting(&self, note: &mut dyn FnMut(&LoadError)) -> Result<Option<Checkpoint>, LoadError> {
        match read(&self.last()) {
            Ok(Some(checkpoint)) => Ok(Some(checkpoint)),
            Ok(None) => read(&self.previous()),
            // Only if the one before is whole is the damage no loss.
            Err(damage) => match read(&self.previous()) {
                Ok(Some(checkpoint)) => {
                    note(&damage);
                    Ok(Some(checkpoint))
                }
                _ => Err(damage),
            },
        }
    }

    /// Puts damaged checkpoints aside, for whoever wants to know what happened to them.
    pub fn put_aside(&self) -> io::Result<()> {
        for path in [self.last(), self.previous()] {
            match fs::rename(&path, path.with_extension("damaged")) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Whether an error of the system says that the disk is full or does not let us write.
pub fn is_of_the_disk(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::PermissionDenied
    )
}

/// A second name for a file, or a copy where the file system has no such names.
fn share(from: &Path, to: &Path) -> io::Result<()> {
    fs::hard_link(from, to).or_else(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists => Err(error),
        _ => fs::copy(from, to).map(drop),
    })
}

fn fail(path: &Path) -> impl FnOnce(io::Error) -> SaveError {
    let path = path.to_owned();
    move |source| SaveError { path, source }
}

fn read(path: &Path) -> Result<Option<Checkpoint>, LoadError> {
    match fs::read(path) {
        Ok(bytes) => {
            from_bytes(&bytes).map(Some).map_err(|reason| LoadError::Damaged { path: path.to_owned(), reason })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(LoadError::Read { path: path.to_owned(), source }),
    }
}

fn to_bytes(checkpoint: &Checkpoint) -> Result<Vec<u8>, String> {
    let place = serde_json::to_string(&checkpoint.place).map_err(|error| error.to_string())?;
    let tensors = checkpoint
        .parts()
        .flat_map(|(part, tensors)| tensors.iter().map(move |(name, data)| (format!("{part}/{name}"), data)));
    let tensors: Vec<(String, &TensorData)> = tensors.collect();
    let mut hasher = blake3::Hasher::new();
    hasher.update(place.as_bytes());
    tensors.iter().for_each(|(name, data)| {
        hasher.update(name.as_bytes()).update(data.as_bytes());
    });
    let meta = HashMap::from([(META.to_owned(), place), (CHECKSUM.to_owned(), hasher.finalize().to_string())]);
    write_tensors(tensors, meta)
}

/// Tensors of 32-bit floats as one safetensors file.
pub(crate) fn write_tensors(
    tensors: Vec<(String, &TensorData)>,
    meta: HashMap<String, String>,
) -> Result<Vec<u8>, String> {
    let views = tensors.into_iter().map(|(name, data)| {
        if data.dtype() != DType::F32 {
            return Err(format!("`{name}` holds {:?} instead of F32", data.dtype()));
        }
        let view = TensorView::new(Dtype::F32, data.shape().to_vec(), data.as_bytes());
        view.map(|view| (name, view)).map_err(|error| error.to_string())
    });
    let views: Vec<(String, TensorView)> = views.collect::<Result<_, _>>()?;
    safetensors::serialize(views, Some(meta)).map_err(|error| error.to_string())
}

fn from_bytes(bytes: &[u8]) -> Result<Checkpoint, String> {
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| error.to_string())?;
    let meta = header.metadata().as_ref().ok_or("it has no metadata")?;
    let place_text = meta.get(META).ok_or("it was not written by nightsweep")?;
    let place: Place = serde_json::from_str(place_text).map_err(|error| error.to_string())?;
    if place.format != FORMAT {
        return Err(format!("it has layout {}, this binary reads {FORMAT}", place.format));
    }
    let file = SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?;
    let mut parts: HashMap<&str, NamedTensors> = HashMap::new();
    for (name, view) in file.iter() {
        let (part, path) = name.split_once('/').ok_or_else(|| format!("`{name}` belongs to no part"))?;
        parts.entry(part).or_default().insert(path.to_owned(), to_data(&view)?);
    }
    let kept = parts.remove("kept");
    let checkpoint = Checkpoint {
        model: parts.remove("model").unwrap_or_default(),
        optimizer: parts.remove("optimizer").unwrap_or_default(),
        gradients: parts.remove("gradients").unwrap_or_default(),
        average: parts.remove("average").unwrap_or_default(),
        kept,
        place,
    };
    let mut hasher = blake3::Hasher::new();
    hasher.update(place_text.as_bytes());
    for (part, tensors) in checkpoint.parts() {
        for (name, data) in tensors {
            hasher.update(format!("{part}/{name}").as_bytes()).update(data.as_bytes());
        }
    }
    match meta.get(CHECKSUM) == Some(&hasher.finalize().to_string()) {
        true => Ok(checkpoint),
        false => Err("its checksum is wrong".to_owned()),
    }
}

/// A safetensors view as floats.
fn to_data(view: &TensorView) -> Result<TensorData, String> {
    if view.dtype() != Dtype::F32 {
        return Err(format!("it holds {:?} instead of F32", view.dtype()));
    }
    let floats = view.data().chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().expect("chunks of four")));
    Ok(TensorData::new(floats.collect::<Vec<f32>>(), view.shape().to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint(epoch: u64) -> Checkpoint {
        let seed = TrialSeed { study: u64::MAX, trial: 3 };
        let mut place = Place::start(seed, Recipe::default(), "hash".into());
        place.epoch = epoch;
        place.best = Some((epoch, 0.1 + 0.2));
        place.loss_sum = 1.0 / 3.0;
        let tensor = |value: f32| TensorData::new(vec![value, -0.0, f32::NAN], [3, 1]);
        Checkpoint {
            place,
            model: NamedTensors::from([("a.weight".into(), tensor(1.5))]),
            optimizer: NamedTensors::from([("a.weight#0".into(), tensor(2.5))]),
            gradients: NamedTensors::from([("a.weight".into(), tensor(4.5))]),
            average: NamedTensors::from([("a.weight".into(), tensor(5.5))]),
            kept: Some(NamedTensors::from([("a.weight".into(), tensor(3.5))])),
        }
    }

    fn folder() -> (tempfile::TempDir, CheckpointFolder) {
        let temporary = tempfile::tempdir().unwrap();
        let folder = CheckpointFolder::new(temporary.path().join("trial-1"));
        (temporary, folder)
    }

    #[test]
    fn what_is_saved_is_loaded_bit_for_bit() {
        let (_guard, folder) = folder();
        assert!(folder.load().unwrap().is_none());
        folder.save(&checkpoint(1)).unwrap();
        let loaded = folder.load().unwrap().unwrap();
        assert_eq!(loaded.place, checkpoint(1).place);
        let bytes = |tensors: &NamedTensors| tensors.values().map(|data| data.as_bytes().to_vec()).collect::<Vec<_>>();
        assert_eq!(bytes(&loaded.model), bytes(&checkpoint(1).model));
        assert_eq!(bytes(&loaded.optimizer), bytes(&checkpoint(1).optimizer));
        assert_eq!(bytes(&loaded.gradients), bytes(&checkpoint(1).gradients));
        assert_eq!(bytes(&loaded.average), bytes(&checkpoint(1).average));
        assert_eq!(bytes(&loaded.kept.unwrap()), bytes(&checkpoint(1).kept.unwrap()));
    }

    #[test]
    fn a_damaged_checkpoint_falls_back_to_the_one_before() {
        let (_guard, folder) = folder();
        folder.save(&checkpoint(1)).unwrap();
        folder.save(&checkpoint(2)).unwrap();
        assert_eq!(folder.load().unwrap().unwrap().place.epoch, 2);
        let mut bytes = fs::read(folder.last()).unwrap();
        let end = bytes.len() - 2;
        bytes[end] ^= 1;
        fs::write(folder.last(), &bytes).unwrap();
        assert_eq!(folder.load().unwrap().unwrap().place.epoch, 1);
        fs::write(folder.last(), &bytes[..end / 2]).unwrap();
        assert_eq!(folder.load().unwrap().unwrap().place.epoch, 1);
        fs::remove_file(folder.previous()).unwrap();
        assert!(matches!(folder.load(), Err(LoadError::Damaged { .. })));
    }

    #[test]
    fn a_fork_takes_over_a_checkpoint_once_and_leaves_its_parent_alone() {
        let (guard, parent) = folder();
        let fork = CheckpointFolder::new(guard.path().join("trial-2"));
        assert!(fork.inherit(&parent).is_err());
        parent.save(&checkpoint(1)).unwrap();
        fork.inherit(&parent).unwrap();
        parent.save(&checkpoint(2)).unwrap();
        fork.inherit(&parent).unwrap();
        assert_eq!(fork.load().unwrap().unwrap().place.epoch, 1);
        fork.save(&checkpoint(7)).unwrap();
        assert_eq!(parent.load().unwrap().unwrap().place.epoch, 2);
        assert_eq!(read(&parent.previous()).unwrap().unwrap().place.epoch, 1);
    }

    #[test]
    fn nothing_but_the_two_checkpoints_is_left_behind() {
        let (_guard, folder) = folder();
        (1..5).for_each(|epoch| folder.save(&checkpoint(epoch)).unwrap());
        assert_eq!(fs::read_dir(&folder.folder).unwrap().count(), 2);
    }
}
