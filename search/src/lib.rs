//! The search engine: what to try next, what to stop, and nothing else. Pure: no clock, file, thread or network.

pub mod event;
pub mod params;
pub mod space;
pub mod trial;

pub use event::{Event, FailureCause, PauseReason, Suggestion, Verdict};
pub use params::{ParamValue, Params};
pub use space::{Condition, Distribution, Parameter, Scale, SearchSpace};
pub use trial::{Attempt, Direction, Loss, TrialNumber, TrialState};
