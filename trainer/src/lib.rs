//! The training stack: data, augmentation, models, optimizers, schedules and checkpoints, on burn.

pub mod augment;
pub mod average;
pub mod batches;
pub mod checkpoint;
pub mod cpu;
pub mod data;
pub mod device;
pub mod fit;
pub mod generative;
pub mod loss;
pub mod memory;
pub mod metric;
pub mod model;
pub mod optimizer;
pub mod policy;
pub mod precision;
mod preprocess;
pub mod probe;
pub mod recipe;
pub mod report;
pub mod schedule;
pub mod seed;
mod sheet;
mod test_time;
pub mod weights;

/// Versions of the libraries that decide what comes out of a training, by name.
pub const LIBRARIES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/libraries.rs"));

pub use checkpoint::{Checkpoint, CheckpointFolder, Inspection, is_of_the_disk};
pub use device::DeviceName;
pub use fit::{
    AugmentedFile, EvaluationFile, FitError, Job, Next, Observer, Outcome, RangeTest, WorstFile, fit, lr_find,
};
pub use metric::{Evaluation, Metric};
pub use recipe::Recipe;
pub use report::EpochReport;
pub use seed::TrialSeed;
pub use weights::WeightsError;
