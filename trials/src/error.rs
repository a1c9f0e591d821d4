//! What is wrong with a study file, where, and what to do about it.

use std::ops::Range;
use std::path::PathBuf;

/// A study file that cannot be run.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct StudyFileError {
    /// The file.
    pub path: PathBuf,
    /// Its text; empty if it could not be read.
    pub text: String,
    /// The bytes of the text that are wrong, if a place can be named.
    pub span: Option<Range<usize>>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

impl StudyFileError {
    /// Line of the mistake, from 1.
    pub fn line(&self) -> Option<usize> {
        let start = self.span.as_ref()?.start;
        Some(self.text.get(..start)?.matches('\n').count() + 1)
    }
}

/// A mistake at a place of a text, before it is known which file that is.
#[derive(Clone, Debug, PartialEq)]
pub struct Mistake {
    /// The bytes that are wrong.
    pub span: Option<Range<usize>>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

impl Mistake {
    /// A mistake with nothing to advise.
    pub fn new(span: Option<Range<usize>>, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), help: None }
    }

    /// The same with advice.
    pub fn with_help(self, help: impl Into<String>) -> Self {
        Self { help: Some(help.into()), ..self }
    }

    /// The mistake of a word that is none of `known`.
    pub fn unknown(span: Option<Range<usize>>, what: &str, word: &str, known: &[&str]) -> Self {
        let help = match nearest(word, known) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => format!("there are: {}", known.join(", ")),
        };
        Self::new(span, format!("unknown {what} `{word}`")).with_help(help)
    }

    /// The mistake that serde found, with the nearest of the words it would have taken.
    pub fn from_toml(error: &toml::de::Error) -> Self {
        let mistake = Self::new(error.span(), error.message());
        let quoted: Vec<&str> = error.message().split('`').skip(1).step_by(2).collect();
        match quoted.split_first() {
            Some((word, known)) if error.message().starts_with("unknown") => {
                let help = nearest(word, known).map(|nearest| format!("did you mean `{nearest}`?"));
                Self { help, ..mistake }
            }
            _ => mistake,
        }
    }

    /// The mistake as an error of a file.
    pub fn in_file(self, path: PathBuf, text: &str) -> StudyFileError {
        StudyFileError { path, text: text.to_owned(), span: self.span, message: self.message, help: self.help }
    }
}

/// The word most like the given one, if any is like it at all. 0.7 is strsim's authors' and cargo's idea of alike.
fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let likeness = |known: &&str| strsim::jaro_winkler(word, known);
    let best = known.iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(best) > 0.7).then_some(*best)
}
