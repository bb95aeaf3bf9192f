//! Definition of a fuzz target.

use std::fmt::{self, Write as _};
use std::hash::{DefaultHasher, Hash, Hasher as _};

/// A function of hostile bytes.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// The name, as in the reliability contract.
    pub name: &'static str,
    /// Takes the bytes. Panics when a promise is violated.
    pub run: fn(&[u8]) -> Answer,
    /// Inputs that mutation starts from.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Length of the longest input.
    pub bytes_max: usize,
    /// Most memory at any moment, as a function of the input's length; `None` where a whole state
    /// machine is created.
    pub memory_max: Option<fn(usize) -> u64>,
}

/// What a target did with an input, in short: inputs with new answers are worth keeping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Answer(u64);

impl Answer {
    /// Makes an answer from anything that distinguishes behaviours. It should have few values.
    pub fn of(what: impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        what.hash(&mut hasher);
        Self(hasher.finish())
    }

    /// Makes an answer from the name of an error or value in `Debug`: the text before the first
    /// nested value.
    pub fn named(what: &impl fmt::Debug) -> Self {
        let mut name = Name::default();
        // Stops at the first nested value, so that no text of an attacker's length is created.
        let _ = write!(name, "{what:?}");
        Self::of(&name.bytes[..name.len])
    }
}

/// The beginning of a text, without allocating.
struct Name {
    bytes: [u8; 48],
    len: usize,
}

impl Default for Name {
    fn default() -> Self {
        let bytes = [0; 48];
        Self { bytes, len: 0 }
    }
}

impl fmt::Write for Name {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            let is_value = byte.is_ascii_digit() || byte == b'"';
            let slot = self.bytes.get_mut(self.len).filter(|_| !is_value);
            *slot.ok_or(fmt::Error)? = byte;
            self.len += 1;
        }
        Ok(())
    }
}

/// The bound for a decoder that keeps what has arrived: a growing buffer briefly occupies its old
/// and its new place.
pub fn thrice_and_4_kib(bytes: usize) -> u64 {
    3 * bytes as u64 + 4_096
}

/// The bound for a pure decoder. Source: contract 7.4.
pub fn twice_and_4_kib(bytes: usize) -> u64 {
    2 * bytes as u64 + 4_096
}
