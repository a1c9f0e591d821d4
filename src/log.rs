//! Log lines on standard error: for people, or a JSON object each for programs.

use std::io::{IsTerminal, Write};

use miette::Report;
use tracing_subscriber::EnvFilter;

use crate::cli::LogFormat;

/// From now on, what is logged is written. NIGHTSWEEP_LOG says what: `info`, or `warn,nightsweep_trials=debug`.
pub fn start(format: LogFormat) {
    // Whoever reads a text sees the progress as well; a program sees this alone.
    let default = match format {
        LogFormat::Text => "warn",
        LogFormat::Json => "info",
    };
    let filter = EnvFilter::try_from_env("NIGHTSWEEP_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(has_colours())
        .log_internal_errors(false);
    match format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
}

/// Whether somebody looks at a terminal who wants colours there (no-color.org).
fn has_colours() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Says why the program fails.
pub fn failure(format: LogFormat, report: &Report) {
    match format {
        // The one place where nothing can be said of it if that fails.
        LogFormat::Text => drop(writeln!(std::io::stderr(), "{report:?}")),
        LogFormat::Json => {
            let causes: Vec<String> = report.chain().skip(1).map(ToString::to_string).collect();
            let help = report.help().map(|help| help.to_string()).unwrap_or_default();
            tracing::error!(causes = causes.join(": "), help, "{report}");
        }
    }
}
