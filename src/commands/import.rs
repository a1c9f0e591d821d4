//! `nightsweep import`: what was begun with another program.

mod optuna;
mod wandb;

use std::path::Path;

use miette::Result;

use crate::cli::{Import, ImportKind};
use crate::failure::{Ending, misuse};

/// Reads what the command line names.
pub async fn import(runs: &Path, arguments: &Import) -> Result<Ending> {
    match (&arguments.kind, &arguments.optuna) {
        (Some(ImportKind::Wandb(sweep)), _) => wandb::import(sweep),
        (Some(ImportKind::Optuna(storage)), _) | (None, Some(storage)) => optuna::import(runs, storage).await,
        (None, None) => Err(misuse("nothing to import is named", "for example: nightsweep import wandb sweep.yaml")),
    }
}
