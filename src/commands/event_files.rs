//! Event files for TensorBoard, written while a study runs.

use std::path::PathBuf;
use std::time::Duration;

use miette::{IntoDiagnostic, Result};
use nightsweep_store::{EventFiles, Store, StudyRow, TensorboardError};
use nightsweep_trials::worker::chain;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tracing::warn;

/// How far the files may be behind the log; TensorBoard itself looks twice a minute.
const DELAY: Duration = Duration::from_secs(5);

/// Follows a study's log. What goes wrong is logged once and does not reach the study.
pub struct Follower {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Follower {
    /// Begins with what the log has.
    pub fn start(store: &Store, study: &StudyRow, folder: PathBuf) -> Result<Self> {
        let mut files = EventFiles::open(study.clone(), folder).into_diagnostic()?;
        let (store, (stop, mut stopped)) = (store.clone(), oneshot::channel());
        let task = tokio::spawn(async move {
            let mut has_failed = false;
            loop {
                // The last time is after the end, so that nothing is missing.
                let is_over = tokio::time::timeout(DELAY, &mut stopped).await.is_ok();
                match files.catch_up(&store).await {
                    Ok(_) => has_failed = false,
                    Err(error) => warn_once(&mut has_failed, &error),
                }
                if is_over {
                    return;
                }
            }
        });
        Ok(Self { stop, task })
    }

    /// Writes what is left.
    pub async fn finish(self) {
        // It may have ended by a panic, which is no reason to end by one too.
        let _ = self.stop.send(());
        let _ = self.task.await;
    }
}

fn warn_once(has_failed: &mut bool, error: &TensorboardError) {
    if !std::mem::replace(has_failed, true) {
        warn!("{}", chain(error));
    }
}
