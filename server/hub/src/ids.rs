//! Ids that only hubs use.

use std::fmt;
use std::hash::{Hash, Hasher};

use smol_str::SmolStr;
use tidings_wire::limits::{APP_ID_BYTES, NAME_BYTES_MAX};
use tidings_wire::names::{AppId, ChannelName, UserId};

/// A hub, by a name that no other hub of the cluster has.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HubId {
    /// Its node's number, which no other living node of the cluster has; 0 where there is one node.
    pub node: u16,
    /// Its number on its node, from 0.
    pub hub: u16,
}

impl HubId {
    /// A hub of a node that is alone.
    pub const fn local(hub: u16) -> Self {
        Self { node: 0, hub }
    }

    /// Its place among the hubs of its node.
    pub fn index(self) -> usize {
        usize::from(self.hub)
    }

    /// The name as one number.
    pub fn number(self) -> u32 {
        u32::from(self.node) << 16 | u32::from(self.hub)
    }

    /// What stands for the hubs of a node that was lost, as one of many that were.
    pub(crate) const fn lost(loss: u16) -> Self {
        let node = Self::NO_NODE;
        Self { node, hub: loss }
    }

    /// Whether it stands for a lost node.
    pub(crate) const fn is_lost(self) -> bool {
        self.node == Self::NO_NODE
    }

    /// No node has this number: nodes are numbered from 0 to 1023 (cluster 1).
    const NO_NODE: u16 = u16::MAX;

    /// The hub of this number.
    pub const fn from_number(number: u32) -> Self {
        Self {
            node: (number >> 16) as u16,
            hub: (number & 0xffff) as u16,
        }
    }
}

impl fmt::Debug for HubId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.node {
            0 => write!(f, "HubId({})", self.hub),
            node => write!(f, "HubId({node}/{})", self.hub),
        }
    }
}

/// A connection, chosen by the caller and never used again within a node's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// Hashes [`ConnectionId`]s for maps of them: it spreads numbers that count up. They are the node's
/// own, so that no key is needed.
#[derive(Debug, Default)]
pub struct ConnectionIdHasher(u64);

impl Hasher for ConnectionIdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        // 2^64 divided by the golden ratio; the rotation brings the well-mixed half to the low
        // bits.
        self.0 = (self.0 ^ number)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(32);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A session: 16 random bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(pub [u8; 16]);

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Four bytes tell sessions apart in a trace.
        write!(
            f,
            "s{:02x}{:02x}{:02x}{:02x}",
            self.0[0], self.0[1], self.0[2], self.0[3]
        )
    }
}

slotmap::new_key_type! {
    /// A session of this hub, for as long as it lives.
    pub(crate) struct SessionKey;
}

/// A user of an app: the key under which the world knows it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct UserKey {
    /// The tenant.
    pub app: AppId,
    /// The user within it.
    pub user: UserId,
}

impl fmt::Debug for UserKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", short(self.app.as_str()), self.user)
    }
}

impl Hash for UserKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash_name(self.app.as_str(), self.user.as_str(), state);
    }
}

/// A channel of an app.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ChannelKey {
    /// The tenant.
    pub app: AppId,
    /// The channel within it.
    pub channel: ChannelName,
}

impl fmt::Debug for ChannelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/#{}", short(self.app.as_str()), self.channel)
    }
}

impl Hash for ChannelKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        hash_name(self.app.as_str(), self.channel.as_str(), state);
    }
}

/// Hashes both texts and their end as one piece: each piece costs a hasher about as much as 16
/// bytes, and a message looks its channel or receiver up several times.
fn hash_name<H: Hasher>(app: &str, name: &str, state: &mut H) {
    /// What no text contains.
    const END: u8 = 0xff;
    let mut piece = [END; APP_ID_BYTES + NAME_BYTES_MAX + 1];
    let bytes = app.len() + name.len();
    match piece.get_mut(..bytes) {
        Some(room) if bytes < APP_ID_BYTES + NAME_BYTES_MAX + 1 => {
            let (first, second) = room.split_at_mut(app.len());
            first.copy_from_slice(app.as_bytes());
            second.copy_from_slice(name.as_bytes());
            state.write(&piece[..=bytes]);
        }
        // A wide name may be longer.
        _ => {
            state.write(app.as_bytes());
            state.write(name.as_bytes());
            state.write_u8(END);
        }
    }
}

fn short(app: &str) -> SmolStr {
    SmolStr::new(&app[..4.min(app.len())])
}

/// Identifies a peer message in both its forms, live and stored: sender's session and `cseq`.
///
/// Made by us alone, so that no text of a client ever serves as an id (contract NAT-3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId(pub [u8; 16]);

impl MessageId {
    /// The id of the message that a session sends with its request `cseq`.
    ///
    /// Session ids are random, so adding the number to the first half keeps ids apart.
    pub fn new(session: SessionId, cseq: u64) -> Self {
        let mut id = session.0;
        let mixed = u64::from_le_bytes(first_half(&id)).wrapping_add(cseq);
        id[..8].copy_from_slice(&mixed.to_le_bytes());
        Self(id)
    }

    /// The session whose request `cseq` would have this id.
    pub(crate) fn session_of(self, cseq: u64) -> SessionId {
        let mut session = self.0;
        let first = u64::from_le_bytes(first_half(&session)).wrapping_sub(cseq);
        session[..8].copy_from_slice(&first.to_le_bytes());
        SessionId(session)
    }
}

fn first_half(id: &[u8; 16]) -> [u8; 8] {
    let mut half = [0; 8];
    half.copy_from_slice(&id[..8]);
    half
}

/// Identifies an invitation to its callee's side: the caller's session and its number there.
///
/// Made by us alone, like [`MessageId`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InvitationId(pub [u8; 16]);

impl InvitationId {
    /// The id of the invitation that a session has given `number`.
    pub fn new(session: SessionId, number: u64) -> Self {
        Self(MessageId::new(session, number).0)
    }
}

impl fmt::Debug for InvitationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "i{:016x}", u64::from_le_bytes(first_half(&self.0)))
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m{:016x}", u64::from_le_bytes(first_half(&self.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::BuildHasher as _;

    use tidings_wire::names::NameRule;

    use crate::kernel::maps::SeededHasher;

    fn hash(app: char, user: &str) -> u64 {
        let key = UserKey {
            app: AppId::parse(&app.to_string().repeat(APP_ID_BYTES)).expect("an app id"),
            user: UserId::parse_by(NameRule::Wide, user).expect("a name"),
        };
        let channel = ChannelKey {
            app: key.app.clone(),
            channel: ChannelName::parse_by(NameRule::Wide, user).expect("a name"),
        };
        let hasher = SeededHasher::new((1, 2));
        assert_eq!(hasher.hash_one(&key), hasher.hash_one(key.clone()));
        assert_eq!(hasher.hash_one(&key), hasher.hash_one(&channel));
        hasher.hash_one(&key)
    }

    #[test]
    fn names_of_every_length_hash_apart() {
        let names = (1..=128).map(|bytes| "n".repeat(bytes));
        let mut found: Vec<u64> = names
            .flat_map(|name| ['a', 'b'].map(|app| hash(app, &name)))
            .collect();
        found.sort_unstable();
        found.dedup();
        assert_eq!(found.len(), 256);
    }
}
