//! Standard output: a reader who has gone, or a full disk, is no reason to end a night, as `println!` would.

use std::fmt::Arguments;
use std::io::{self, Write};
use std::sync::OnceLock;

static FAILURE: OnceLock<io::Error> = OnceLock::new();

/// Writes a line, if it can be.
pub fn line(text: Arguments) {
    let written = writeln!(io::stdout().lock(), "{text}");
    if let Err(error) = written
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        // The first tells why; whoever closed a pipe wanted no more.
        let _ = FAILURE.set(error);
    }
}

/// Why not all lines were written.
pub fn failure() -> Option<&'static io::Error> {
    FAILURE.get()
}

/// `println!` that goes on where nobody can read it.
macro_rules! say {
    ($($text:tt)*) => { crate::output::line(format_args!($($text)*)) };
}
