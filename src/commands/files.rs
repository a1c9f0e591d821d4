//! What workers left in the runs folder, for the pages.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use nightsweep_search::TrialNumber;
use nightsweep_trainer::{CheckpointFolder, Inspection};
use nightsweep_web::{CheckpointState, StudyFiles, TrialFile};

use super::{confirm, studies};

/// Larger files than any that a worker writes for people are not its own.
const MOST_BYTES: u64 = 32 << 20;
/// A checkpoint above this takes longer to be read than a page may.
const MOST_CHECKED_BYTES: u64 = 512 << 20;
/// Checkpoints whose state is remembered.
const REMEMBERED: usize = 64;

/// The runs folder of a store.
pub struct RunsFolder {
    runs: PathBuf,
    /// What was found in a checkpoint of that time and size.
    inspected: Mutex<HashMap<PathBuf, (SystemTime, u64, CheckpointState)>>,
}

impl RunsFolder {
    /// The folder that has the store.
    pub fn new(runs: &Path) -> Arc<Self> {
        Arc::new(Self { runs: runs.to_owned(), inspected: Mutex::default() })
    }

    /// The folder of a trial. A study of a foreign store may have any name, but only a plain one has a folder.
    fn trial(&self, study: &str, trial: TrialNumber) -> Option<CheckpointFolder> {
        is_plain(study).then(|| CheckpointFolder::new(studies::trial_folder(&self.runs, study, trial)))
    }
}

/// Whether the name is that of a folder in the runs folder and nothing else.
fn is_plain(study: &str) -> bool {
    let mut parts = Path::new(study).components();
    matches!((parts.next(), parts.next()), (Some(Component::Normal(name)), None) if name == study)
}

impl StudyFiles for RunsFolder {
    fn read(&self, study: &str, trial: TrialNumber, file: TrialFile) -> Option<Vec<u8>> {
        let folder = self.trial(study, trial)?;
        let path = match file {
            TrialFile::Evaluation => folder.evaluation(),
            TrialFile::Worst => folder.worst(),
            TrialFile::WorstSheet => folder.worst_sheet(),
            TrialFile::Augmented => folder.augmented(),
            TrialFile::AugmentedSheet => folder.augmented_sheet(),
        };
        let about = fs::symlink_metadata(&path).ok()?;
        (about.is_file() && about.len() <= MOST_BYTES).then(|| fs::read(&path).ok()).flatten()
    }

    fn checkpoint(&self, study: &str, trial: TrialNumber) -> CheckpointState {
        let Some(folder) = self.trial(study, trial) else { return CheckpointState::None };
        let Ok(about) = fs::metadata(folder.last()) else { return CheckpointState::None };
        let (written, size_bytes) = (about.modified().unwrap_or(SystemTime::UNIX_EPOCH), about.len());
        if size_bytes > MOST_CHECKED_BYTES {
            return CheckpointState::Unread { size_bytes };
        }
        let mut inspected = self.inspected.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((then, size, state)) = inspected.get(&folder.last())
            && (*then, *size) == (written, size_bytes)
        {
            return state.clone();
        }
        let state = match folder.inspect() {
            Ok(Some(Inspection::Whole { size_bytes, epoch, step })) => {
                CheckpointState::Whole { size_bytes, epoch, step }
            }
            Ok(Some(Inspection::Damaged { size_bytes, reason })) => CheckpointState::Damaged { size_bytes, reason },
            Ok(None) => return CheckpointState::None,
            Err(error) => return CheckpointState::Damaged { size_bytes, reason: error.to_string() },
        };
        if inspected.len() >= REMEMBERED {
            inspected.clear();
        }
        inspected.insert(folder.last(), (written, size_bytes, state.clone()));
        state
    }

    fn test_accuracies(&self, confirmation: &str) -> BTreeMap<TrialNumber, f64> {
        let folder = is_plain(confirmation).then(|| studies::folder(&self.runs, confirmation));
        // The command line says what is wrong with a damaged file.
        folder.and_then(|folder| confirm::test_accuracies(&folder).ok()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_files_of_a_folder_of_the_runs_are_read() {
        let runs = tempfile::tempdir().unwrap();
        let folder = CheckpointFolder::new(studies::trial_folder(runs.path(), "night", TrialNumber(3)));
        folder.save_beside(&folder.worst(), b"{}").unwrap();
        fs::write(runs.path().join("worst.json"), "outside").unwrap();
        let files = RunsFolder::new(runs.path());
        let read = |study: &str, trial| files.read(study, TrialNumber(trial), TrialFile::Worst);
        assert_eq!(read("night", 3).as_deref(), Some(b"{}".as_slice()));
        assert_eq!(read("night", 4), None);
        for name in ["..", ".", "", "night/../night", "/etc", "night/", "./night", "a\0b"] {
            assert_eq!(read(name, 3), None, "{name}");
        }
        fs::remove_file(folder.worst()).unwrap();
        std::os::unix::fs::symlink(runs.path().join("worst.json"), folder.worst()).unwrap();
        assert_eq!(read("night", 3), None, "a link leads elsewhere");
    }

    #[test]
    fn a_checkpoint_that_is_none_is_said_to_be_damaged() {
        let runs = tempfile::tempdir().unwrap();
        let folder = CheckpointFolder::new(studies::trial_folder(runs.path(), "night", TrialNumber(0)));
        let files = RunsFolder::new(runs.path());
        assert_eq!(files.checkpoint("night", TrialNumber(0)), CheckpointState::None);
        folder.save_beside(&folder.last(), b"no checkpoint").unwrap();
        let state = files.checkpoint("night", TrialNumber(0));
        assert!(matches!(state, CheckpointState::Damaged { size_bytes: 13, .. }), "{state:?}");
    }
}
