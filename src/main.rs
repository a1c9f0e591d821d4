//! nightsweep: overnight hyperparameter sweeps for image classification, in one binary.

mod cli;
mod commands;
mod failure;
mod progress;
mod recipe_file;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::Cli;

/// glibc gives large blocks back to the system at once, and training asks for the same ones every step
/// (docs/results.md has the figures).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match commands::run(Cli::parse()) {
        Ok(code) => code,
        Err(report) => {
            eprintln!("{report:?}");
            failure::status(&report)
        }
    }
}
