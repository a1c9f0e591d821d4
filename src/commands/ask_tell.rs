//! `nightsweep ask-tell`: the search as a filter for other programs, a JSON object a line.

use std::io::{self, BufRead, Write};

use miette::{IntoDiagnostic, Result};
use nightsweep_search::AskTell;

use crate::failure::Ending;

/// Answers line by line until the input ends or says quit.
pub fn ask_tell() -> Result<Ending> {
    let mut session = AskTell::new();
    let mut output = io::stdout().lock();
    for line in io::stdin().lock().split(b'\n') {
        let line = line.into_diagnostic()?;
        let answer = session.answer(&String::from_utf8_lossy(&line));
        writeln!(output, "{}", answer.line).and_then(|()| output.flush()).into_diagnostic()?;
        if answer.quit {
            break;
        }
    }
    Ok(Ending::Done)
}
