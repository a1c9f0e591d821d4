//! A study as TensorBoard reads it: a run for each trial with its scalars by epoch, and what its hparams plugin shows.
//!
//! The files follow the log, so that a file of a run and one that was exported afterwards are the same. Each step is in
//! the log once; what a file has already is read off the file, and a torn end of it is cut off.

mod message;
mod record;
mod wire;

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use nightsweep_search::{Event, TrialNumber};
use thiserror::Error;

use self::message::Status;
use crate::events::{Entry, Seq};
use crate::open::{QueryError, Store};
use crate::studies::StudyRow;

/// Events of the log that are held at once.
const PAGE: u32 = 10_000;

/// Why the files are not up to date.
#[derive(Debug, Error)]
pub enum TensorboardError {
    /// A file could not be read or written.
    #[error("could not write the events of TensorBoard to `{path}`")]
    File {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The log could not be read.
    #[error(transparent)]
    Query(#[from] QueryError),
}

/// The folder of a study's event files, which follows its log.
#[derive(Debug)]
pub struct EventFiles {
    study: StudyRow,
    folder: PathBuf,
    /// How much of the log they have.
    seq: Seq,
    trials: HashMap<TrialNumber, TrialFile>,
}

/// The file of one trial as it stands.
#[derive(Debug)]
struct TrialFile {
    path: PathBuf,
    last_step: u64,
    is_ended: bool,
}

impl EventFiles {
    /// In that folder, which is made; what is there is gone on with.
    pub fn open(study: StudyRow, folder: impl Into<PathBuf>) -> Result<Self, TensorboardError> {
        let folder = folder.into();
        // Beside the trials, as TensorBoard's own API does: what varies, and by what trials are compared.
        let path = folder.join(file_name(study.created_at_ms));
        let text = record::framed([message::version(study.created_at_ms), message::experiment(&study)]);
        let written = fs::create_dir_all(&folder).and_then(|()| match fs::read(&path) {
            Ok(found) if found == text => Ok(()),
            _ => fs::write(&path, text),
        });
        written.map_err(|source| TensorboardError::File { path, source })?;
        Ok(Self { study, folder, seq: Seq::START, trials: HashMap::new() })
    }

    /// Writes what the log has beyond the files; returns how many trials there are.
    pub async fn catch_up(&mut self, store: &Store) -> Result<usize, TensorboardError> {
        loop {
            let entries = store.events_up_to(self.study.id, self.seq, PAGE).await?;
            let Some(last) = entries.last() else { return Ok(self.trials.len()) };
            let seq = last.seq;
            self.write(&entries)?;
            self.seq = seq;
        }
    }

    /// Writes to each trial's file once, however many events it has.
    fn write(&mut self, entries: &[Entry]) -> Result<(), TensorboardError> {
        let mut news: HashMap<TrialNumber, Vec<Vec<u8>>> = HashMap::new();
        for Entry { at_ms, event, .. } in entries {
            let Some(number) = event.trial() else { continue };
            if let Event::Started { params, .. } = event {
                let path = self.folder.join(format!("trial-{number}")).join(file_name(*at_ms));
                let head = [message::version(*at_ms), message::session_start(*at_ms, number, params)];
                let file = TrialFile::open(path.clone(), record::framed(head));
                let file = file.map_err(|source| TensorboardError::File { path, source })?;
                self.trials.insert(number, file);
            }
            let Some(file) = self.trials.get_mut(&number) else { continue };
            let message = match event {
                Event::Reported { step, metrics, .. } if *step > file.last_step => {
                    file.last_step = *step;
                    message::scalars(*at_ms, *step, metrics)
                }
                _ => match end_of(event) {
                    Some(status) if !file.is_ended => {
                        file.is_ended = true;
                        message::session_end(*at_ms, status)
                    }
                    _ => continue,
                },
            };
            news.entry(number).or_default().push(message);
        }
        for (number, messages) in news {
            let path = &self.trials[&number].path;
            let appended = File::options().append(true).open(path);
            let appended = appended.and_then(|mut file| file.write_all(&record::framed(messages)));
            appended.map_err(|source| TensorboardError::File { path: path.clone(), source })?;
        }
        Ok(())
    }
}

impl TrialFile {
    /// The file at that path, which begins with that head; made if it is not there or its head is torn.
    fn open(path: PathBuf, head: Vec<u8>) -> io::Result<Self> {
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        if !bytes.starts_with(&head) {
            fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
            fs::write(&path, head)?;
            return Ok(Self { path, last_step: 0, is_ended: false });
        }
        let (messages, whole) = record::read(&bytes);
        if whole < bytes.len() {
            File::options().write(true).open(&path)?.set_len(whole as u64)?;
        }
        let last_step = messages.iter().filter_map(|bytes| message::step_of(bytes)).max().unwrap_or(0);
        let is_ended = messages.iter().any(|bytes| message::is_session_end(bytes));
        Ok(Self { path, last_step, is_ended })
    }
}

fn end_of(event: &Event) -> Option<Status> {
    match event {
        Event::Completed { .. } | Event::Pruned { .. } => Some(Status::Success),
        Event::Failed { .. } => Some(Status::Failure),
        _ => None,
    }
}

/// TensorBoard looks for `tfevents` in names.
fn file_name(at_ms: i64) -> String {
    format!("events.out.tfevents.{:010}.nightsweep", at_ms / 1000)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use nightsweep_search::{Attempt, Direction, FailureCause};

    use super::*;
    use crate::testing::{Fixture, completed, started};

    fn reported(trial: u64, step: u64, attempt: u32) -> Event {
        let metrics = BTreeMap::from([("train_loss".to_owned(), 1.0 / step as f64), ("val_accuracy".to_owned(), 0.5)]);
        let (trial, attempt) = (TrialNumber(trial), Attempt(attempt));
        Event::Reported { trial, attempt, step, value: Some(0.5), metrics }
    }

    /// The steps of a trial's file in their order.
    fn steps(folder: &Path, trial: u64) -> Vec<u64> {
        let bytes = bytes(folder, trial);
        let (messages, whole) = record::read(&bytes);
        assert_eq!(whole, bytes.len());
        messages.iter().filter_map(|bytes| message::step_of(bytes)).collect()
    }

    fn path(folder: &Path, trial: u64) -> PathBuf {
        let mut files = fs::read_dir(folder.join(format!("trial-{trial}"))).unwrap();
        let file = files.next().unwrap().unwrap().path();
        assert!(files.next().is_none());
        file
    }

    fn bytes(folder: &Path, trial: u64) -> Vec<u8> {
        fs::read(path(folder, trial)).unwrap()
    }

    async fn write(fixture: &Fixture, folder: &Path) -> EventFiles {
        let mut files = EventFiles::open(fixture.study.clone(), folder).unwrap();
        files.catch_up(&fixture.store).await.unwrap();
        files
    }

    #[tokio::test]
    async fn a_resumed_trial_has_each_step_once_whoever_wrote_them() {
        let fixture = Fixture::new(Direction::Maximize).await;
        let (live, later) = (fixture.dir.path().join("live"), fixture.dir.path().join("later"));
        let params = serde_json::json!({ "optimizer": "sgd", "optimizer.sgd.lr": 0.1, "flip": true });
        fixture.tell(&[started(0, params), reported(0, 1, 1)]).await;
        let mut files = write(&fixture, &live).await;
        fixture.tell(&[reported(0, 2, 1)]).await;
        files.catch_up(&fixture.store).await.unwrap();
        let (trial, attempt) = (TrialNumber(0), Attempt(1));
        let lost = Event::Requeued { trial, attempt, message: "killed".to_owned() };
        let cause = FailureCause::Diverged;
        let failed = Event::Failed { trial: TrialNumber(1), attempt, cause, message: "NaN".to_owned() };
        fixture
            .tell(&[
                lost,
                Event::Resumed { trial, attempt: Attempt(2) },
                reported(0, 3, 2),
                completed(0, 0.5),
                started(1, serde_json::json!({})),
                failed,
            ])
            .await;
        // Another process, over the same folder.
        write(&fixture, &live).await;
        write(&fixture, &live).await;
        write(&fixture, &later).await;
        assert_eq!(steps(&live, 0), [1, 2, 3]);
        for trial in [0, 1] {
            assert_eq!(bytes(&live, trial), bytes(&later, trial));
        }
    }

    #[tokio::test]
    async fn a_file_that_was_torn_or_garbled_anywhere_is_mended() {
        let fixture = Fixture::new(Direction::Maximize).await;
        let folder = fixture.dir.path().join("events");
        let params = serde_json::json!({ "optimizer": "sgd", "optimizer.sgd.lr": 0.1 });
        fixture.tell(&[started(0, params), reported(0, 1, 1), reported(0, 2, 1), completed(0, 0.5)]).await;
        write(&fixture, &folder).await;
        let whole = bytes(&folder, 0);
        for cut in 0..=whole.len() {
            fs::write(path(&folder, 0), &whole[..cut]).unwrap();
            write(&fixture, &folder).await;
            assert_eq!(bytes(&folder, 0), whole, "cut at {cut}");
            let mut garbled = whole.clone();
            garbled.iter_mut().skip(cut).for_each(|byte| *byte ^= 0x5a);
            fs::write(path(&folder, 0), garbled).unwrap();
            write(&fixture, &folder).await;
            assert_eq!(bytes(&folder, 0), whole, "garbled from {cut}");
        }
    }

    #[tokio::test]
    async fn the_bytes_are_those_of_tensorboards_own_writer() {
        let fixture = Fixture::new(Direction::Maximize).await;
        let folder = fixture.dir.path().join("events");
        let report = |step, train_loss, val_accuracy| Event::Reported {
            trial: TrialNumber(3),
            attempt: Attempt(1),
            step,
            value: Some(val_accuracy),
            metrics: [("train_loss".to_owned(), train_loss), ("val_accuracy".to_owned(), val_accuracy)].into(),
        };
        for (at_ms, event) in [
            (1_790_000_000_250, started(3, serde_json::json!({ "optimizer.sgd.lr": 0.1 }))),
            (1_790_000_001_500, report(1, 0.1, 0.75)),
            (1_790_000_003_000, report(2, 0.0, 0.8125)),
            (1_790_000_004_000, completed(3, 0.8125)),
        ] {
            fixture.store.append_all_at(fixture.study.id, at_ms, &[event]).await.unwrap();
        }
        write(&fixture, &folder).await;
        // Written by scripts/check-tensorboard.py.
        assert!(bytes(&folder, 3) == include_bytes!("tensorboard/golden.tfevents"));
    }

    #[test]
    fn what_cannot_be_written_names_its_file() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let fixture = runtime.block_on(Fixture::new(Direction::Maximize));
        let folder = fixture.dir.path().join("taken");
        fs::write(&folder, "a file").unwrap();
        let error = EventFiles::open(fixture.study.clone(), &folder).unwrap_err();
        assert!(error.to_string().contains("taken/events.out.tfevents."), "{error}");
    }
}
