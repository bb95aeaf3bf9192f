//! What a node tells about itself in its lease.

use serde::{Deserialize, Serialize};

/// Longest lease that is read, in bytes: names and addresses are short.
pub const LEASE_BYTES_MAX: usize = 4_096;

/// What a node tells about itself: the value of its key.
///
/// JSON. Fields that a reader does not know are ignored, fields that are missing have their
/// defaults: so nodes of two versions read each other's.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Lease {
    /// The node's name, for people: several nodes may have the same.
    pub name: String,
    /// The revision at which the key was created; 0 = this very revision. Rises over the cluster's
    /// life, whichever number a node takes.
    pub incarnation: u64,
    /// Where clients reach the node: a URL with `ws` or `wss`.
    pub advertise: String,
    /// The program's version.
    pub version: String,
    /// Whether the node is sending its clients away.
    pub draining: bool,
    /// How many hubs it has.
    pub hubs: u16,
    /// When it started, in Unix seconds by its own clock: shown to people, decides nothing.
    pub started_s: u64,
}

impl Lease {
    /// Reads a value of the bucket; `None` = it is no lease.
    pub fn decode(value: &[u8]) -> Option<Self> {
        if value.len() > LEASE_BYTES_MAX {
            return None;
        }
        let lease: Self = serde_json::from_slice(value).ok()?;
        // Whatever else is JSON has no name.
        (!lease.name.is_empty()).then_some(lease)
    }

    /// The value of the key.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and numbers are JSON")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_read_back_and_anything_else_is_none() {
        let lease = Lease {
            name: "a\"b".into(),
            incarnation: 7,
            advertise: "wss://a.example".into(),
            version: "0.2.0".into(),
            draining: true,
            hubs: 2,
            started_s: 9,
        };
        assert_eq!(Lease::decode(&lease.encode()), Some(lease));
        for garbage in [
            &b""[..],
            b"{}",
            b"[]",
            b"\xff\x00",
            b"{\"name\":3}",
            b"null",
        ] {
            assert_eq!(Lease::decode(garbage), None, "{garbage:?}");
        }
        let long = format!("{{\"name\":\"{}\"}}", "a".repeat(LEASE_BYTES_MAX));
        assert_eq!(Lease::decode(long.as_bytes()), None);
    }

    #[test]
    fn a_lease_of_another_version_is_read() {
        let newer = br#"{"name":"a","incarnation":3,"later":{"x":1}}"#;
        let lease = Lease::decode(newer).expect("a lease");
        assert_eq!((lease.incarnation, lease.draining), (3, false));
    }
}
