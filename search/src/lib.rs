//! The search engine: what to try next, what to stop, and nothing else. Pure: no clock, file, thread or network.

pub mod ask_tell;
pub mod config;
mod domain;
pub mod event;
pub mod expression;
pub mod forest;
pub mod front;
mod history;
pub mod importance;
mod lineage;
mod open;
pub mod order;
pub mod outlook;
pub mod params;
pub mod policy;
pub mod pruner;
pub mod race;
pub mod record;
pub mod sampler;
pub mod space;
mod stream;
pub mod study;
pub mod trial;
mod warm;

pub use ask_tell::{Answer, AskTell};
pub use config::{ConfigError, Objective, Priors, StudyConfig, Terminate};
pub use event::{Event, FailureCause, PauseReason, Suggestion, Verdict};
pub use expression::{Expression, ExpressionError};
pub use forest::{Dependence, Forest};
pub use importance::Importance;
pub use lineage::{Stretch, lineage};
pub use order::{Annotation, Order, Wish};
pub use outlook::{ModelPace, Outlook};
pub use params::{ParamValue, Params};
pub use pruner::PrunerKind;
pub use record::{Failure, Origin, Report, Trial};
pub use sampler::{SamplerKind, UnknownSampler};
pub use space::{
    Condition, Distribution, Forbid, ForbidError, Parameter, PointError, Prior, PriorError, Scale, SearchSpace,
    SpaceError,
};
pub use study::{Study, TellError};
pub use trial::{Attempt, Direction, Loss, TrialNumber, TrialState};
