//! How what went wrong is shown, and the exit status that says so.

use std::fmt;
use std::process::ExitCode;

use miette::{Diagnostic, LabeledSpan, NamedSource, Report, SourceCode};
use nightsweep_trials::StudyFileError;

/// How a command ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Everything is done.
    Done,
    /// It was interrupted in good order; the same command goes on.
    Interrupted,
    /// It ran and found what it was to look for, as `doctor` and `replay` do.
    Found,
}

impl From<Ending> for ExitCode {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Done => Self::SUCCESS,
            Ending::Found => Self::from(1),
            Ending::Interrupted => Self::from(3),
        }
    }
}

/// The exit status of a failure.
pub fn status(report: &Report) -> ExitCode {
    if report.downcast_ref::<StudyFileReport>().is_some() || report.downcast_ref::<Misuse>().is_some() {
        ExitCode::from(2)
    } else if report.downcast_ref::<HeldError>().is_some() {
        ExitCode::from(4)
    } else {
        ExitCode::FAILURE
    }
}

/// A mistake in a file that a person wrote, shown with the line.
#[derive(Debug)]
pub struct StudyFileReport {
    error: StudyFileError,
    source: NamedSource<String>,
}

impl From<StudyFileError> for StudyFileReport {
    fn from(error: StudyFileError) -> Self {
        let source = NamedSource::new(error.path.display().to_string(), error.text.clone()).with_language("TOML");
        Self { error, source }
    }
}

impl fmt::Display for StudyFileReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.error.path.display();
        match self.error.line() {
            Some(line) => write!(f, "{path}:{line}: {}", self.error),
            None => write!(f, "{path}: {}", self.error),
        }
    }
}

impl std::error::Error for StudyFileReport {}

impl Diagnostic for StudyFileReport {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.error.help.as_ref().map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.error.span.as_ref().map(|_| &self.source as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.error.span.clone()?;
        Some(Box::new(std::iter::once(LabeledSpan::new_with_span(Some("here".to_owned()), span))))
    }
}

/// Another process runs the study.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[error("the study `{study}` is being run by process {pid} on {host}")]
#[diagnostic(help("wait for it, or stop it with `kill -INT {pid}` there; its leaderboard shows the study meanwhile"))]
pub struct HeldError {
    /// Name of the study.
    pub study: String,
    /// The other process.
    pub pid: u32,
    /// Its machine.
    pub host: String,
}

/// A failure with advice.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[error("{message}")]
pub struct Advice {
    message: String,
    #[help]
    help: String,
}

/// Words of the command line that make no sense, with what would.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[error("{message}")]
pub struct Misuse {
    message: String,
    #[help]
    help: String,
}

/// A mistake in the command line, and what to say instead.
pub fn misuse(message: impl Into<String>, help: impl Into<String>) -> Report {
    Misuse { message: message.into(), help: help.into() }.into()
}

/// An error of one sentence and what to do about it.
pub fn advise(message: impl Into<String>, help: impl Into<String>) -> Report {
    Advice { message: message.into(), help: help.into() }.into()
}
