//! From a study file to trials on workers: the plan, the binding of points to recipes, the controller and its workers.

pub mod bind;
pub mod confirm;
pub mod controller;
pub mod error;
pub mod executor;
pub mod forecast;
pub mod gpus;
pub mod launch;
pub mod nights;
pub mod notify;
pub mod pace;
pub mod packing;
pub mod plan;
pub mod policy;
pub mod probes;
pub mod protocol;
mod provenance;
pub mod rates;
pub mod room;
mod schema;
pub mod simulate;
pub mod slots;
mod space_table;
pub mod study_file;
pub mod time_plan;
pub mod wandb;
pub mod worker;

pub use error::StudyFileError;
pub use plan::Plan;
