//! Attributes, as the store keeps them.

use crate::ids::{ChannelKey, UserKey};

/// The user or channel to which a set of attributes belongs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AttributeOwner {
    /// A user, whose attributes end with its last session.
    User(UserKey),
    /// A channel, whose attributes its members share.
    Channel(ChannelKey),
}

/// What the key of a channel's attribute begins with that is meant for client libraries, not for
/// applications. It is longer than the keys of native clients may be. `Set` and `Clear` leave such
/// entries alone.
pub const LIBRARY_KEY: &str = "lib:known-to-client-libraries-only:";

/// One attribute entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeEntry {
    /// 1 to 32 bytes of UTF-8.
    pub key: String,
    /// 1 to 8,192 bytes of UTF-8.
    pub value: String,
    /// Who wrote it last.
    pub updated_by: String,
    /// When, in Unix milliseconds.
    pub updated_ts: u64,
}

/// Bounds of one attribute set, counted on the result of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttributeLimits {
    /// Most entries that the set may have after the write.
    pub entries_max: usize,
    /// Most bytes of keys and values together.
    pub bytes_max: usize,
}
