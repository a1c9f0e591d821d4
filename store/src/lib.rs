//! The event log of studies and the tables that serve the pages, in one SQLite file.
//!
//! The log is the truth: [`Store::append`] writes an event and updates the tables in one transaction, and
//! [`Store::rebuild`] makes the tables again from the log alone.

mod board;
mod column;
mod derive;
mod details;
mod events;
mod filter;
mod history;
mod lock;
mod open;
mod optuna;
mod provenance;
mod standings;
mod studies;
mod summary;
mod tensorboard;
#[cfg(test)]
mod testing;
mod totals;
mod trials;
mod turns;
mod words;

pub use board::{Board, BoardQuery, Sort};
pub use details::{Assignment, Level, LogLine};
pub use events::{AppendError, Entry, Seq};
pub use filter::{Filter, FilterError};
pub use history::{Point, Report};
pub use lock::{LockError, StudyLock};
pub use open::{OpenError, QueryError, Store, WriteError};
pub use optuna::{ForeignStudy, ForeignTrial, OptunaError, read_optuna};
pub use provenance::{AttemptProvenance, Provenance};
pub use studies::{CreateError, NewStudy, StudyId, StudyRow};
pub use summary::{Controller, Failures, StateCounts, Summary};
pub use tensorboard::{EventFiles, TensorboardError};
pub use totals::Totals;
pub use trials::TrialRow;
pub use turns::Turn;
