//! The ask-tell protocol over standard input and output, without the rest of nightsweep.

use std::io::{self, BufRead, Write};

use nightsweep_search::ask_tell::AskTell;

fn main() -> io::Result<()> {
    let mut session = AskTell::new();
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let answer = session.answer(&line?);
        writeln!(out, "{}", answer.line)?;
        out.flush()?;
        if answer.quit {
            break;
        }
    }
    Ok(())
}
