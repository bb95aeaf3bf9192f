//! Output of commands. A reader that has gone away is no error; a full disk is an error, not a
//! panic.

use std::fmt;
use std::io::{self, ErrorKind, Write as _};

use crate::failure::Failure;

/// Writes to the standard output.
///
/// # Errors
/// If it cannot be written, unless the reader has gone away.
pub(crate) fn write(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    told(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// The outcome of writing.
pub(crate) fn told(written: io::Result<()>) -> Result<(), Failure> {
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::new(
            format!("the output could not be written: {error}"),
            "the command has still done its work; check where its output goes",
        )),
        _ => Ok(()),
    }
}

/// Prints a note for people who watch, if there are any.
pub(crate) fn notice(text: impl fmt::Display) {
    // If this fails, there is nowhere to report it.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Writes a value as JSON, for programs.
///
/// # Errors
/// As for [`write`].
pub(crate) fn write_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| {
        Failure::new(
            format!("cannot produce the output: {error}"),
            "report this, with the command that you ran",
        )
    })?;
    write(&format!("{text}\n"))
}
