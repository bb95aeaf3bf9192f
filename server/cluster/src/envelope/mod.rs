//! What nodes tell each other, and its bytes.
//!
//! An envelope is a version byte, a protobuf record and 16 bytes of keyed BLAKE3 over both
//! (`proto/cluster.proto`). Whoever lacks the cluster's key can make none; what a client sends is
//! in an envelope's body and nowhere else.

mod forms;
mod schema;

use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;
use tidings_bus::CROSSING_BYTES_MAX;
use tidings_fault::fault;
use tidings_hub::bus_ops::{Answer, AskId, Publication, Question, Topic};
use tidings_hub::ids::HubId;

/// The version that this build writes, and the only one that it reads.
pub(crate) const VERSION: u8 = 1;

/// Bytes of the authentication at an envelope's end.
const MAC_BYTES: usize = 16;

/// Longest envelope, in bytes: the longest crossing and what surrounds it.
pub(crate) const ENVELOPE_BYTES_MAX: usize = CROSSING_BYTES_MAX + 4_096;

/// Which shard has sent an envelope, and in which life of its node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Origin {
    pub(crate) shard: HubId,
    pub(crate) incarnation: u64,
}

/// Where a shard's publications to one topic have come to.
///
/// A later run is greater: of two positions of one shard the later one is the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    /// When the shard began to count, by the cluster's clock or a little later.
    pub(crate) run: u64,
    /// Of the last publication; the first of a run is 1.
    pub(crate) number: u64,
}

/// Who is interested in a topic, and where the sender's publications have come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) topic: Topic,
    /// How many hubs of the sender's node are interested.
    pub(crate) hubs: u16,
    /// `None` = it counts nothing on the topic at present: its next publication begins a run.
    pub(crate) at: Option<Position>,
}

/// What an envelope says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Body {
    Publication {
        topic: Topic,
        from: HubId,
        at: Position,
        message: Arc<Publication>,
    },
    Ask {
        topic: Topic,
        /// The asking shard's number; nothing else of it counts.
        ask: AskId,
        question: Arc<Question>,
        /// Whether the asking hub is subscribed to the topic.
        listens: bool,
        /// Where the asking shard's publications to the topic have come to.
        at: Option<Position>,
    },
    Answer {
        to: HubId,
        from: HubId,
        ask: AskId,
        answer: Answer,
    },
    /// The question came to a node that has no subscriber any more.
    Absent {
        ask: u64,
    },
    Hello {
        word: Word,
        wants_answer: bool,
        /// Other nodes of whose interest the sender knows.
        known: Vec<u16>,
        /// In an answer: the number of the hello that it answers.
        ask: u64,
    },
    Mark(Word),
    Probe {
        topic: Topic,
    },
    Heartbeat {
        number: u64,
    },
    /// Marks of what has changed since then are wanted again, by the receiver's clock.
    Wanted {
        since_ms: u64,
    },
    /// All of them have been sent.
    Told {
        since_ms: u64,
    },
    /// A part of an envelope that is longer than the server takes.
    Part {
        id: u64,
        part: u32,
        parts: u32,
        bytes: Bytes,
    },
}

/// An envelope that has arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Envelope {
    pub(crate) origin: Origin,
    pub(crate) clock_ms: u64,
    pub(crate) body: Body,
}

/// Why bytes are no envelope for this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Its sender does not have the cluster's key.
    Mac,
    /// Its sender is of another version.
    Version,
    /// Its sender has the key and writes something else than this build reads.
    Malformed,
}

impl Envelope {
    /// Its bytes, under this key.
    pub(crate) fn seal(&self, key: &[u8; 32]) -> Vec<u8> {
        let record = forms::record(self);
        let mut bytes = Vec::with_capacity(1 + record.encoded_len() + MAC_BYTES);
        bytes.push(VERSION);
        record
            .encode(&mut bytes)
            .expect("a vector grows as it is written");
        let mac = blake3::keyed_hash(key, &bytes);
        bytes.extend_from_slice(&mac.as_bytes()[..MAC_BYTES]);
        bytes
    }

    /// Reads what [`Envelope::seal`] has written under the same key.
    pub(crate) fn open(bytes: &Bytes, key: &[u8; 32]) -> Result<Self, Refusal> {
        if bytes.len() > ENVELOPE_BYTES_MAX || bytes.len() <= MAC_BYTES {
            return Err(Refusal::Mac);
        }
        let said = bytes.len() - MAC_BYTES;
        let mac = blake3::keyed_hash(key, &bytes[..said]);
        let mut is_right = [0; 32];
        is_right[..MAC_BYTES].copy_from_slice(&bytes[said..]);
        is_right[MAC_BYTES..].copy_from_slice(&mac.as_bytes()[MAC_BYTES..]);
        // Compared in a time that does not depend on the bytes.
        if mac != blake3::Hash::from_bytes(is_right) && !fault!(MacIsNotChecked) {
            return Err(Refusal::Mac);
        }
        if bytes[0] != VERSION {
            return Err(Refusal::Version);
        }
        let record = schema::EnvelopeRecord::decode(bytes.slice(1..said));
        let envelope = record.ok().and_then(forms::envelope);
        envelope.ok_or(Refusal::Malformed)
    }
}

#[cfg(test)]
mod tests;
