//! One controller a study: a file that the operating system keeps locked as long as its holder lives.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::words::now_ms;

/// Held until it is dropped or its process is gone, however that ends.
#[derive(Debug)]
pub struct StudyLock {
    /// The file stays behind, unlocked: whoever removed it could take it from under one who just opened it.
    _file: File,
}

#[derive(Serialize, Deserialize)]
struct Holder {
    pid: u32,
    host: String,
    since_ms: i64,
}

/// Why the study cannot be taken up.
#[derive(Debug, Error)]
pub enum LockError {
    /// Another controller has it.
    #[error("study `{study}` is being run by process {pid} on {host}")]
    Held {
        /// The study asked for.
        study: String,
        /// Process id of the other controller.
        pid: u32,
        /// Name of its machine.
        host: String,
        /// When it took the study up, in milliseconds since 1970.
        since_ms: i64,
    },
    /// Another controller has it and has not yet said who it is.
    #[error("study `{study}` is being run by another process")]
    HeldByUnknown {
        /// The study asked for.
        study: String,
    },
    /// The file system did not let us lock.
    #[error("could not lock `{}`", path.display())]
    File {
        /// The lock file.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
}

impl StudyLock {
    /// Takes the study up in that folder. What a dead process left behind is no obstacle.
    pub fn acquire(dir: &Path, study: &str) -> Result<Self, LockError> {
        let path = dir.join(file_name(study));
        let failed = |source| LockError::File { path: path.clone(), source };
        let mut options = OpenOptions::new();
        let mut file = options.read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(held(study, &mut file)),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        write_holder(&mut file).map_err(failed)?;
        Ok(Self { _file: file })
    }
}

fn held(study: &str, file: &mut File) -> LockError {
    let mut text = String::new();
    let holder = file.read_to_string(&mut text).ok().and_then(|_| serde_json::from_str::<Holder>(&text).ok());
    let study = study.to_owned();
    match holder {
        Some(Holder { pid, host, since_ms }) => LockError::Held { study, pid, host, since_ms },
        None => LockError::HeldByUnknown { study },
    }
}

fn write_holder(file: &mut File) -> io::Result<()> {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let holder = Holder { pid: std::process::id(), host, since_ms: now_ms() };
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(serde_json::to_string(&holder)?.as_bytes())?;
    file.flush()
}

/// Every name gives a file name of its own, without leaving the folder.
fn file_name(study: &str) -> String {
    let mut name = String::new();
    for byte in study.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => name.push(char::from(byte)),
            _ => name.push_str(&format!("%{byte:02x}")),
        }
    }
    name + ".lock"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_study_is_run_once_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let first = StudyLock::acquire(dir.path(), "night/1").unwrap();
        match StudyLock::acquire(dir.path(), "night/1").unwrap_err() {
            LockError::Held { pid, host, .. } => {
                assert_eq!(pid, std::process::id());
                assert!(!host.is_empty());
            }
            other => panic!("{other:?}"),
        }
        StudyLock::acquire(dir.path(), "night_1").expect("another study is free");
        drop(first);
        StudyLock::acquire(dir.path(), "night/1").expect("the first was let go");
    }

    #[test]
    fn what_a_dead_process_left_is_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("night.lock"), r#"{"pid":1,"host":"gone, and longer than ours","since_ms":0}"#)
            .unwrap();
        let lock = StudyLock::acquire(dir.path(), "night").unwrap();
        let said = StudyLock::acquire(dir.path(), "night").unwrap_err().to_string();
        assert!(said.contains(&std::process::id().to_string()), "{said}");
        drop(lock);
    }
}
