//! What is fuzzed.

use std::fmt::{self, Write as _};
use std::hash::{DefaultHasher, Hash, Hasher as _};

/// A function of hostile bytes.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// As in the reliability contract.
    pub name: &'static str,
    /// Takes the bytes. Panics when something promised does not hold.
    pub run: fn(&[u8]) -> Answer,
    /// Inputs to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Length of the longest input.
    pub bytes_max: usize,
    /// Most memory at once, from the length of an input; none where a whole state machine is made.
    pub memory_max: Option<fn(usize) -> u64>,
}

/// What a target did with an input, in short: inputs with answers not seen before are worth keeping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Answer(u64);

impl Answer {
    /// Makes an answer of anything that tells one behaviour from another. It should have few values.
    pub fn of(what: impl Hash) -> Self {
        let mut hasher = DefaultHasher::new();
        what.hash(&mut hasher);
        Self(hasher.finish())
    }

    /// Makes an answer of an error's or value's name in `Debug`: what stands before the first value in it.
    pub fn named(what: &impl fmt::Debug) -> Self {
        let mut name = Name::default();
        // It stops at the first value, so that no text of a stranger's length is made.
        let _ = write!(name, "{what:?}");
        Self::of(&name.bytes[..name.len])
    }
}

/// The beginning of a text, without allocation.
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

/// The bound of a decoder that keeps what has arrived: a buffer that grows holds its old and its new place for a
/// moment.
pub fn thrice_and_4_kib(bytes: usize) -> u64 {
    3 * bytes as u64 + 4_096
}

/// The bound of a pure decoder. Source: contract 7.4.
pub fn twice_and_4_kib(bytes: usize) -> u64 {
    2 * bytes as u64 + 4_096
}
