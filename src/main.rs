//! nightsweep: overnight hyperparameter sweeps for image classification, in one binary.

#[macro_use]
mod output;

mod cli;
mod commands;
mod failure;
mod log;
mod progress;
mod recipe_file;

use std::process::ExitCode;

use crate::cli::Cli;
use clap::Parser;
use miette::miette;

/// glibc gives large blocks back to the system at once, and training asks for the same ones every step: mimalloc keeps
/// them.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let format = cli.log_format();
    log::start(format);
    match commands::run(cli) {
        Ok(code) => match output::failure() {
            Some(error) if code == ExitCode::SUCCESS => {
                log::failure(format, &miette!("standard output was not written to its end: {error}"));
                ExitCode::FAILURE
            }
            _ => code,
        },
        Err(report) => {
            log::failure(format, &report);
            failure::status(&report)
        }
    }
}
