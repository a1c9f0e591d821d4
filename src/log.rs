//! Log lines on standard error: for people, or a JSON object each for programs.

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
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
}

/// Says why the program fails.
pub fn failure(format: LogFormat, report: &Report) {
    match format {
        LogFormat::Text => eprintln!("{report:?}"),
        LogFormat::Json => {
            let causes: Vec<String> = report.chain().skip(1).map(ToString::to_string).collect();
            let help = report.help().map(|help| help.to_string()).unwrap_or_default();
            tracing::error!(causes = causes.join(": "), help, "{report}");
        }
    }
}
