//! What commands print. A reader that has gone has seen enough; a disk that is full is an error,
//! not a panic.

use std::fmt;
use std::io::{self, ErrorKind, Write as _};

use crate::failure::Failure;

/// Writes to the standard output.
///
/// # Errors
/// It cannot be written, for another reason than that its reader has gone.
pub(crate) fn write(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    told(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// What became of output.
pub(crate) fn told(written: io::Result<()>) -> Result<(), Failure> {
    match written {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::new(
            format!("the output could not be written: {error}"),
            "the command has still done its work; check where its output goes",
        )),
        _ => Ok(()),
    }
}

/// Says something to whoever watches, if anybody does.
pub(crate) fn notice(text: impl fmt::Display) {
    // There is nobody else who could be told that this fails.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Writes a value as JSON, for programs.
///
/// # Errors
/// As [`write`].
pub(crate) fn write_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value).map_err(|error| {
        Failure::new(
            format!("cannot produce the output: {error}"),
            "report this, with what you have run",
        )
    })?;
    write(&format!("{text}\n"))
}
