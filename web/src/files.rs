//! What the workers of a study leave beside its store. The pages name a study of the store, the number of a trial and one
//! of a few files; where that lies is known to the program that serves them, so no part of an address becomes a path.

use std::collections::BTreeMap;

use nightsweep_search::TrialNumber;
use serde::Deserialize;

/// A file in a trial's folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TrialFile {
    /// Figures class by class, as JSON.
    Evaluation,
    /// What lies on the next, as JSON.
    Worst,
    /// The validation images that the model gets most wrong, as PNG.
    WorstSheet,
    /// What lies on the next, as JSON.
    Augmented,
    /// What the training makes of its images, as PNG.
    AugmentedSheet,
}

/// How a trial's last checkpoint is.
#[derive(Clone, Debug, PartialEq)]
pub enum CheckpointState {
    /// There is none, or not any more.
    None,
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
    /// It takes too long to be read for a page.
    Unread {
        /// Of the file.
        size_bytes: u64,
    },
}

/// Where such files are looked up. Called off the threads that answer requests.
pub trait StudyFiles: Send + Sync {
    /// What the file holds; nothing if it cannot be had.
    fn read(&self, study: &str, trial: TrialNumber, file: TrialFile) -> Option<Vec<u8>>;

    /// How the trial's last checkpoint is.
    fn checkpoint(&self, study: &str, trial: TrialNumber) -> CheckpointState;

    /// Accuracies on the test split of the trials of a confirmation that were scored.
    fn test_accuracies(&self, confirmation: &str) -> BTreeMap<TrialNumber, f64>;
}

/// What a trial's folder says, as far as it can be read.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    pub evaluation: Option<Evaluation>,
    pub worst: Option<Worst>,
    pub augmented: Option<Augmented>,
    pub checkpoint: Option<CheckpointState>,
}

impl Seen {
    pub(crate) fn read(files: &dyn StudyFiles, study: &str, trial: TrialNumber) -> Self {
        Self {
            evaluation: json(files, study, trial, TrialFile::Evaluation).filter(Evaluation::is_whole),
            worst: json(files, study, trial, TrialFile::Worst),
            augmented: json(files, study, trial, TrialFile::Augmented),
            checkpoint: Some(files.checkpoint(study, trial)),
        }
    }
}

/// A file of an older version, or one that somebody changed, is as good as none.
fn json<T: for<'a> Deserialize<'a>>(
    files: &dyn StudyFiles,
    study: &str,
    trial: TrialNumber,
    file: TrialFile,
) -> Option<T> {
    let text = files.read(study, trial, file)?;
    let parsed = serde_json::from_slice(&text);
    parsed.inspect_err(|error| tracing::warn!("trial {trial} of {study}: {file:?} cannot be read: {error}")).ok()
}

/// What evaluation.json says.
#[derive(Debug, Deserialize)]
pub(crate) struct Evaluation {
    pub epoch: u64,
    pub classes: Vec<String>,
    pub recalls: Vec<Option<f64>>,
    /// Images by true class (rows) and most likely class (columns).
    pub confusion: Vec<Vec<u64>>,
}

impl Evaluation {
    pub(crate) fn read(files: &dyn StudyFiles, study: &str, trial: TrialNumber) -> Option<Self> {
        json(files, study, trial, TrialFile::Evaluation).filter(Self::is_whole)
    }

    fn is_whole(&self) -> bool {
        let classes = self.classes.len();
        let rows = self.confusion.iter().map(Vec::len).chain([self.confusion.len(), self.recalls.len()]);
        classes > 0 && rows.into_iter().all(|count| count == classes)
    }

    pub(crate) fn images(&self) -> u64 {
        self.confusion.iter().flatten().sum()
    }
}

/// What worst.json says.
#[derive(Debug, Deserialize)]
pub(crate) struct Worst {
    pub epoch: u64,
    pub tile: [u32; 2],
    pub columns: u32,
    pub images: Vec<WorstImage>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct WorstImage {
    pub class: String,
    pub predicted: String,
    pub confidence: Option<f64>,
    pub own: Option<f64>,
}

/// What augmented.json says.
#[derive(Debug, Deserialize)]
pub(crate) struct Augmented {
    pub tile: [u32; 2],
    pub epochs: Vec<u64>,
    pub classes: Vec<String>,
}
