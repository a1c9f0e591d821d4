//! Where workers live: processes of this machine (`launch.rs`) or of a simulated one (`simulate.rs`). An executor also
//! has the clock, so that a simulated night takes no time.

use std::future::Future;
use std::io;
use std::path::Path;
use std::time::Instant;

use nightsweep_search::{FailureCause, TrialNumber};
use nightsweep_trainer::CheckpointFolder;

use crate::controller::trial_folder;
use crate::protocol::ToWorker;
use crate::slots::Slot;

/// Names one worker for as long as its executor exists; a replaced worker's name is not used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkerId(pub u64);

/// What an executor tells of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// A line of the worker's standard output; nothing is known of what is in it.
    Line {
        /// Who wrote it.
        worker: WorkerId,
        /// Without its end.
        line: String,
    },
    /// A line of the worker's standard error.
    Aside {
        /// Who wrote it.
        worker: WorkerId,
        /// Without its end.
        line: String,
    },
    /// The worker is gone for certain: nothing writes into its trial's folder any more. The last news of it.
    Gone {
        /// Who.
        worker: WorkerId,
        /// Exit status or signal, for people: "exited with status 1".
        message: String,
        /// What kind of end it was, if nobody here asked for it.
        cause: FailureCause,
    },
}

/// Why a worker could not be started.
#[derive(Debug, thiserror::Error)]
#[error("could not start a worker on {device}")]
pub struct LaunchError {
    /// Where it should have computed.
    pub device: String,
    /// What the system says.
    pub source: io::Error,
}

/// Starts workers, speaks to them, and hears of them.
pub trait Executor: Send {
    /// The time.
    fn now(&self) -> Instant;

    /// The next news, or nothing if none came until then. What is waiting already is told even if the time has passed.
    /// Dropping the future loses no news.
    fn next(&mut self, until: Instant) -> impl Future<Output = Option<News>> + Send;

    /// Starts a worker; it says hello when it is ready.
    fn launch(&mut self, worker: WorkerId, slot: &Slot) -> Result<(), LaunchError>;

    /// Says something to a worker, without waiting. One that is gone does not hear it, which is no error.
    fn send(&mut self, worker: WorkerId, message: &ToWorker);

    /// Gives a fork that has no checkpoint its parent's, as it stands, in a study's folder of checkpoints.
    fn inherit(&mut self, study: &Path, parent: TrialNumber, fork: TrialNumber) -> io::Result<()> {
        let folder = |trial| CheckpointFolder::new(trial_folder(study, trial));
        folder(fork).inherit(&folder(parent))
    }

    /// Where the threads of a worker stand, for people who want to know why it is silent; empty where nobody can tell.
    fn examine(&self, worker: WorkerId) -> Vec<String>;

    /// Bytes of memory that a worker has now, where the system says.
    fn memory_of(&self, worker: WorkerId) -> Option<u64>;

    /// Ends a worker at once; that it is gone is told as news.
    fn kill(&mut self, worker: WorkerId);
}
