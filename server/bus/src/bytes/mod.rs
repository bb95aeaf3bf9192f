//! What crosses the bus, as bytes: for a bus whose hubs are in more than one process.
//!
//! What a decoder lets pass is something that a hub can be given: a publication or a question stands on a topic of its
//! kind, ids have their lengths, names are names.

mod read;
mod schema;
mod write;

use prost::Message as _;

use crate::door::Crossing;

/// Longest form of one crossing, in bytes: member lists of the largest channels fit.
///
/// Bound: on what a receiver reads at once. A sender splits nothing, so that a larger one would never arrive.
pub const CROSSING_BYTES_MAX: usize = 8 << 20;

/// Why bytes are no crossing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CrossingError {
    /// They are too many.
    #[error("{bytes} bytes; at most {CROSSING_BYTES_MAX} can cross at once")]
    TooLong {
        /// How many.
        bytes: usize,
    },
    /// They are of a version that this build does not read: the sender is newer, or older than it may be.
    #[error(
        "version {version} of the bus's form; this build reads version {}",
        schema::VERSION
    )]
    Version {
        /// Which.
        version: u32,
    },
    /// They are something else.
    #[error("not the form of something that crosses the bus")]
    Malformed,
}

impl Crossing {
    /// Its bytes, for [`Crossing::decode`] in another process. O(bytes).
    pub fn encode(&self) -> Vec<u8> {
        write::crossing(self).encode_to_vec()
    }

    /// Reads what [`Crossing::encode`] has written.
    ///
    /// # Errors
    /// [`CrossingError`]. Nothing of a crossing that cannot be read counts.
    pub fn decode(bytes: &[u8]) -> Result<Self, CrossingError> {
        if bytes.len() > CROSSING_BYTES_MAX {
            return Err(CrossingError::TooLong { bytes: bytes.len() });
        }
        // One copy; frames and bodies are slices of it.
        let bytes = bytes::Bytes::copy_from_slice(bytes);
        let record = schema::CrossingRecord::decode(bytes).map_err(|_| CrossingError::Malformed)?;
        if record.version != schema::VERSION {
            let version = record.version;
            return Err(CrossingError::Version { version });
        }
        read::crossing(record).ok_or(CrossingError::Malformed)
    }
}

#[cfg(test)]
mod tests;
