//! What goes into [`Nodes`](super::Nodes) and what comes out.

use super::lease::Lease;
#[cfg(doc)]
use super::{CLOSED_AFTER_MS, Nodes, SILENT_AFTER_MS};

/// How far a node is from the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isolation {
    /// Its lease is good.
    None,
    /// It could not renew for [`SILENT_AFTER_MS`]: it says nothing about users of other nodes.
    Silent,
    /// It could not renew for [`CLOSED_AFTER_MS`]: its clients are to go elsewhere.
    Closed,
}

/// Why a node's incarnation has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OverBy {
    /// Its key has expired: it could not renew in time.
    Expired,
    /// Another incarnation has its number.
    Replaced {
        /// The incarnation that has the number now.
        incarnation: u64,
    },
}

/// What happens to [`Nodes`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Time has passed.
    Tick,
    /// The answer to [`Effect::Create`]: the key is this node's.
    Created {
        /// The key's first revision.
        revision: u64,
    },
    /// The answer to [`Effect::Create`]: the key exists.
    Taken,
    /// The answer to [`Effect::Renew`]: done.
    Renewed {
        /// The key's new revision.
        revision: u64,
    },
    /// The answer to [`Effect::Renew`]: the key does not have that revision any more.
    Refused,
    /// The answer to [`Effect::Read`], as the bucket's leader has it.
    Read {
        /// The number asked for.
        number: u16,
        /// Revision and value; `None` = there is no such key.
        entry: Option<(u64, Lease)>,
    },
    /// There was no answer to the last request: it may have been carried out or not.
    Failed,
    /// The watch begins anew: it shows all keys as they are, then [`Input::WatchSettled`].
    WatchBegan,
    /// The watch shows a key.
    Seen {
        /// The node's number.
        number: u16,
        /// The key's revision.
        revision: u64,
        /// What the node tells about itself.
        lease: Lease,
    },
    /// The watch shows that a key has expired or was deleted.
    Gone {
        /// The node's number.
        number: u16,
        /// The revision of its end.
        revision: u64,
    },
    /// The watch has shown all keys that were there when it began.
    WatchSettled,
    /// This node begins to drain: the others are to know at once.
    Draining,
    /// This node ends: its key is deleted.
    Leave,
}

/// What [`Nodes`] wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Create the key if it is absent; answered by `Created`, `Taken` or `Failed`.
    Create {
        /// The number that is the key's name.
        number: u16,
        /// What the node tells about itself.
        lease: Lease,
    },
    /// Write the key if it has this revision; answered by `Renewed`, `Refused` or `Failed`.
    Renew {
        /// The number that is the key's name.
        number: u16,
        /// The revision that it must have.
        revision: u64,
        /// Its new value.
        lease: Lease,
    },
    /// Read the key from the bucket's leader; answered by `Read` or `Failed`.
    Read {
        /// The number that is the key's name.
        number: u16,
    },
    /// Delete the key if it has this revision; not answered.
    Delete {
        /// The number that is the key's name.
        number: u16,
        /// The revision that it must have.
        revision: u64,
    },
    /// This node has a number.
    Granted {
        /// The lowest number that was free.
        node: u16,
        /// The incarnation that has it.
        incarnation: u64,
    },
    /// Every number is taken; the node goes on trying.
    Full,
    /// Which other nodes live, or what they tell about themselves, has changed: see
    /// [`Nodes::living`].
    Changed,
    /// A node's incarnation has ended.
    NodeLost {
        /// The node's number.
        node: u16,
        /// The incarnation that ended.
        incarnation: u64,
    },
    /// Another living node has this one's name.
    SameName {
        /// The other node's number.
        node: u16,
    },
    /// How far this node is from the others has changed.
    Isolation(Isolation),
    /// This node's incarnation has ended: it must end and start anew. Nothing follows.
    Over(OverBy),
}

/// Another node, or this one, as the bucket shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Living {
    /// Which life of its number it is.
    pub incarnation: u64,
    /// What it tells about itself.
    pub lease: Lease,
}
