//! Room on the disk for a study's checkpoints: how much they take, and which go when it is short. A checkpoint that a
//! trial may go on from is never among them, nor that of one of the best.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nightsweep_search::{Loss, Study, Trial, TrialNumber, TrialState};
use nightsweep_trainer::CheckpointFolder;

use crate::controller::trial_folder;

/// Free space that is kept for the store and the running trials' next checkpoints, where no budget is set.
const RESERVE: u64 = 1 << 30;

/// The checkpoints of a study, by size.
#[derive(Debug)]
pub struct Room {
    folder: PathBuf,
    /// Bytes that all checkpoints together may take; without it, the disk decides.
    budget: Option<u64>,
    /// Complete trials whose checkpoints are kept, the best ones.
    keep_best: usize,
    sizes: BTreeMap<TrialNumber, u64>,
}

impl Room {
    /// Measures what is there already.
    pub fn new(folder: PathBuf, budget: Option<u64>, keep_best: usize, study: &Study) -> Self {
        let mut room = Self { folder, budget, keep_best, sizes: BTreeMap::new() };
        study.trials().iter().for_each(|trial| room.measure(trial.number));
        room
    }

    /// Looks at a trial's folder again.
    pub fn measure(&mut self, trial: TrialNumber) {
        let folder = trial_folder(&self.folder, trial);
        let size = fs::read_dir(folder).map_or(0, |files| {
            files.flatten().filter_map(|file| file.metadata().ok()).map(|about| share_of(&about)).sum()
        });
        self.sizes.insert(trial, size);
    }

    /// Bytes of all checkpoints.
    pub fn used(&self) -> u64 {
        self.sizes.values().sum()
    }

    /// Bytes that would have to go.
    pub fn excess(&self) -> u64 {
        match self.budget {
            Some(budget) => self.used().saturating_sub(budget),
            None => {
                let largest = self.sizes.values().copied().max().unwrap_or(0);
                RESERVE.max(4 * largest).saturating_sub(free_bytes(&self.folder).unwrap_or(u64::MAX))
            }
        }
    }

    /// Deletes checkpoints that nobody needs until there is room for at least so many bytes more, or none is left.
    /// Returns whose they were.
    pub fn free(&mut self, study: &Study, bytes: u64) -> io::Result<Vec<TrialNumber>> {
        let (mut freed, mut trials) = (0, Vec::new());
        for trial in expendable(study, self.keep_best) {
            if freed >= bytes {
                break;
            }
            let size = self.sizes.get(&trial).copied().unwrap_or(0);
            let checkpoints = CheckpointFolder::new(trial_folder(&self.folder, trial));
            let files = [checkpoints.last(), checkpoints.previous()];
            if size == 0 || !files.iter().any(|file| file.exists()) {
                continue;
            }
            for file in files {
                match fs::remove_file(file) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            self.measure(trial);
            freed += size - self.sizes.get(&trial).copied().unwrap_or(0).min(size);
            trials.push(trial);
        }
        Ok(trials)
    }
}

/// Bytes of a file; of one that a fork has from its parent, each name's share.
fn share_of(about: &fs::Metadata) -> u64 {
    about.len() / about.nlink().max(1)
}

/// Trials whose checkpoints can go, the first one first: failed ones, then pruned ones, then complete ones that are not
/// among the best; the worst of each first.
fn expendable(study: &Study, keep_best: usize) -> Vec<TrialNumber> {
    let direction = study.config().direction;
    let loss = |trial: &Trial| trial.last_value().map_or(Loss::DIVERGED, |value| Loss::of(value, direction));
    let of = |states: &[TrialState]| -> Vec<&Trial> {
        let mut trials: Vec<&Trial> = study.trials().iter().filter(|trial| states.contains(&trial.state)).collect();
        trials.sort_by_key(|trial| std::cmp::Reverse((loss(trial), trial.number)));
        trials
    };
    let complete = of(&[TrialState::Complete]);
    let rest = complete.len().saturating_sub(keep_best);
    let groups = [of(&[TrialState::Failed, TrialState::Lost]), of(&[TrialState::Pruned]), complete[..rest].to_vec()];
    groups.into_iter().flatten().map(|trial| trial.number).collect()
}

/// Bytes that are free where the folder is, or will be.
fn free_bytes(folder: &Path) -> Option<u64> {
    let about = folder.ancestors().find_map(|folder| rustix::fs::statvfs(folder).ok())?;
    Some(about.f_bavail.saturating_mul(about.f_frsize))
}

#[cfg(test)]
mod tests {
    use nightsweep_search::{Attempt, Direction, Event, FailureCause, PauseReason};

    use super::*;
    use crate::study_file;

    const SIZE: u64 = 1000;

    /// Eight trials, each with a checkpoint of 1,000 bytes; the last one is paused.
    fn study(folder: &Path) -> Study {
        let text = "[study]\nname = 's'\n[data]\npath = 'x'\n[space]\nlabel_smoothing = { low = 0.0, high = 0.5 }\n";
        let plan = study_file::parse(text, ".".into()).unwrap();
        let mut study = Study::new(plan.study_config()).unwrap();
        let attempt = Attempt::FIRST;
        let complete = |value| move |trial| Event::Completed { trial, attempt, value };
        let ends: [&dyn Fn(TrialNumber) -> Event; 8] = [
            &complete(0.5),
            &complete(0.9),
            &complete(0.8),
            &|trial| Event::Pruned { trial, attempt },
            &|trial| Event::Failed { trial, attempt, cause: FailureCause::Crashed, message: String::new() },
            &complete(0.7),
            &|trial| Event::Pruned { trial, attempt },
            &|trial| Event::Paused { trial, attempt, reason: PauseReason::Rung },
        ];
        for end in ends {
            let nightsweep_search::Suggestion::Start { trial, params, why } = study.ask() else { panic!("it starts") };
            study.tell(&Event::Started { trial, params, why }).unwrap();
            study.tell(&end(trial)).unwrap();
            let checkpoints = CheckpointFolder::new(trial_folder(folder, trial));
            fs::create_dir_all(trial_folder(folder, trial)).unwrap();
            fs::write(checkpoints.last(), [0; SIZE as usize]).unwrap();
        }
        study
    }

    fn check(budget: u64, keep_best: usize, gone: &[u64], excess_left: u64) {
        let temporary = tempfile::tempdir().unwrap();
        let study = study(temporary.path());
        let mut room = Room::new(temporary.path().to_owned(), Some(budget), keep_best, &study);
        assert_eq!(room.used(), 8 * SIZE);
        let freed = room.free(&study, room.excess()).unwrap();
        assert_eq!(freed.iter().map(|trial| trial.0).collect::<Vec<_>>(), gone, "budget {budget}");
        assert_eq!(room.excess(), excess_left);
        for trial in study.trials() {
            let is_there = CheckpointFolder::new(trial_folder(temporary.path(), trial.number)).last().exists();
            assert_eq!(is_there, !gone.contains(&trial.number.0));
        }
    }

    #[test]
    fn what_is_needed_least_goes_first_and_what_is_needed_stays() {
        check(8 * SIZE, 2, &[], 0);
        check(7 * SIZE, 2, &[4], 0);
        check(5 * SIZE + 1, 2, &[4, 6, 3], 0);
        // Two of the best and the paused one are left, whatever the budget says.
        check(0, 2, &[4, 6, 3, 0, 5], 3 * SIZE);
        check(0, 9, &[4, 6, 3], 5 * SIZE);
    }

    #[test]
    fn without_a_budget_a_disk_with_room_is_left_alone() {
        let temporary = tempfile::tempdir().unwrap();
        let study = study(temporary.path());
        let room = Room::new(temporary.path().to_owned(), None, 1, &study);
        let is_short = free_bytes(temporary.path()).unwrap() < RESERVE;
        assert_eq!(room.excess() > 0, is_short);
        assert_eq!(study.config().direction, Direction::Maximize);
    }
}
