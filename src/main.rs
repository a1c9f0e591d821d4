//! nightsweep: overnight hyperparameter sweeps for image classification, in one binary.

mod cli;
mod commands;
mod failure;
mod progress;
mod recipe_file;

use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use crate::cli::Cli;

/// glibc gives large blocks back to the system at once, and training asks for the same ones every step: mimalloc keeps
/// them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // What the controller says beyond the progress: NIGHTSWEEP_LOG=info shows more.
    let filter = EnvFilter::try_from_env("NIGHTSWEEP_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match commands::run(Cli::parse()) {
        Ok(code) => code,
        Err(report) => {
            eprintln!("{report:?}");
            failure::status(&report)
        }
    }
}
