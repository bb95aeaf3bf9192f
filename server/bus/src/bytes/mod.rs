//! What crosses the bus, as bytes: for a bus whose hubs are in more than one process.
//!
//! A decoder only lets through what a hub can take: a publication or a question belongs to a topic
//! of its kind, ids have their lengths, names are valid.

mod answers;
mod read;
mod schema;
mod write;

use prost::Message as _;

use crate::door::Crossing;

/// Longest encoded crossing, in bytes: the member list of the largest channel fits.
///
/// Bound: what a receiver reads at once. A sender splits nothing, so a larger crossing would never
/// arrive.
pub const CROSSING_BYTES_MAX: usize = 8 << 20;

/// Why bytes cannot be decoded as a crossing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CrossingError {
    /// There are too many bytes.
    #[error("{bytes} bytes; at most {CROSSING_BYTES_MAX} can cross at once")]
    TooLong {
        /// How many bytes there are.
        bytes: usize,
    },
    /// The version is one that this build does not read: the sender is newer, or too old.
    #[error(
        "version {version} of the bus's form; this build reads version {}",
        schema::VERSION
    )]
    Version {
        /// The version that was stated.
        version: u32,
    },
    /// The bytes are not a crossing.
    #[error("not the form of something that crosses the bus")]
    Malformed,
}

impl Crossing {
    /// Encodes the crossing, for [`Crossing::decode`] in another process. O(bytes).
    pub fn encode(&self) -> Vec<u8> {
        write::crossing(self).encode_to_vec()
    }

    /// Decodes what [`Crossing::encode`] has written.
    ///
    /// # Errors
    /// [`CrossingError`]. A crossing that cannot be decoded completely has no effect.
    pub fn decode(bytes: &[u8]) -> Result<Self, CrossingError> {
        if bytes.len() > CROSSING_BYTES_MAX {
            return Err(CrossingError::TooLong { bytes: bytes.len() });
        }
        // The bytes are copied once; frames and bodies are slices of the copy.
        Self::decode_shared(bytes::Bytes::copy_from_slice(bytes))
    }

    /// The same for bytes that can be shared: frames and bodies are slices of them.
    ///
    /// # Errors
    /// As [`Crossing::decode`].
    pub fn decode_shared(bytes: bytes::Bytes) -> Result<Self, CrossingError> {
        if bytes.len() > CROSSING_BYTES_MAX {
            return Err(CrossingError::TooLong { bytes: bytes.len() });
        }
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
