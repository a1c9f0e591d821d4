//! One file a command.

mod ask_tell;
mod augment_preview;
mod confirm;
mod doctor;
mod evaluate;
mod event_files;
mod export;
mod files;
mod import;
mod init;
mod lr_find;
mod night;
mod plan;
mod plot;
mod policy;
mod replay;
mod report;
mod run;
mod serve;
mod studies;
mod subject;
pub mod timing;
mod train;

use std::io;
use std::process::ExitCode;

use clap::CommandFactory;
use miette::{Context, IntoDiagnostic, Result};

use crate::cli::{Cli, Command};

/// Does what the command line says.
pub fn run(cli: Cli) -> Result<ExitCode> {
    let runs = &cli.runs;
    let ending = match &cli.command {
        Command::Init(arguments) => init::init(arguments)?,
        Command::Plan(arguments) => block_on(plan::plan(arguments))?,
        Command::Run(arguments) => block_on(run::run(runs, arguments))?,
        Command::Confirm(arguments) => block_on(confirm::confirm(runs, arguments))?,
        Command::Serve(arguments) => block_on(serve::serve(runs, arguments))?,
        Command::Report(arguments) => block_on(report::report(runs, arguments))?,
        Command::Plot(arguments) => block_on(plot::plot(runs, arguments))?,
        Command::Export(arguments) => block_on(export::export(runs, arguments))?,
        Command::Import(arguments) => block_on(import::import(runs, arguments))?,
        Command::Train(arguments) => train::train(arguments)?,
        Command::AugmentPreview(arguments) => augment_preview::augment_preview(arguments)?,
        Command::Evaluate(arguments) => evaluate::evaluate(arguments)?,
        Command::LrFind(arguments) => lr_find::lr_find(arguments)?,
        Command::Policy(arguments) => policy::policy(arguments)?,
        Command::Doctor => doctor::doctor(runs)?,
        Command::Replay(arguments) => block_on(replay::replay(runs, arguments))?,
        Command::AskTell => ask_tell::ask_tell()?,
        Command::Completions { shell } => {
            clap_complete::generate(*shell, &mut Cli::command(), "nightsweep", &mut io::stdout());
            return Ok(ExitCode::SUCCESS);
        }
        Command::Worker { device } => return Ok(nightsweep_trials::worker::run(*device)),
        Command::Probe { device } => return Ok(nightsweep_trials::probes::serve(*device)),
    };
    Ok(ending.into())
}

/// Runs a command that waits for several things at once.
fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Runtime::new().into_diagnostic().wrap_err("could not start the threads that wait")?;
    runtime.block_on(future)
}

/// Calls `act` at Ctrl-C and at SIGTERM, on a thread of its own; the second time ends the process at once.
fn on_interrupt(act: impl Fn() + Send + 'static) -> Result<()> {
    std::thread::spawn(move || {
        let waited = block_on(async {
            for_interrupt().await?;
            act();
            for_interrupt().await
        });
        if waited.is_ok() {
            std::process::exit(130);
        }
    });
    Ok(())
}

/// Waits for Ctrl-C or SIGTERM.
async fn for_interrupt() -> Result<()> {
    let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).into_diagnostic()?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed.into_diagnostic(),
        _ = terminated.recv() => Ok(()),
    }
}
