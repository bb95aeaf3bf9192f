//! What commands read from the standard input.

use std::io::Read as _;

use crate::failure::Failure;

/// Most bytes read: more than any secret has, so that an overlong one is refused rather than cut.
const BYTES_MAX: u64 = 64 * 1024;

/// Reads a secret, without surrounding white space.
pub(crate) fn secret(what: &str) -> Result<String, Failure> {
    let mut text = String::new();
    let read = std::io::stdin().take(BYTES_MAX).read_to_string(&mut text);
    match read {
        Ok(_) => Ok(text.trim().to_owned()),
        Err(error) => Err(Failure::new(
            format!("cannot read {what} from the standard input: {error}"),
            "give it as an argument, or pipe text into the program",
        )),
    }
}
