//! What a user has used of its rates, in the form in which it goes from node to node.

use prost::Message as _;
use tidings_wire::names::{ChannelName, NameRule};
use tidings_wire::rates::Bucket;

use crate::rates::{Kind, Used};

/// Its times are of the clock that sender and receiver share.
#[derive(Clone, PartialEq, prost::Message)]
struct UsedRecord {
    #[prost(uint64, tag = "1")]
    at_ms: u64,
    #[prost(message, repeated, tag = "2")]
    kinds: Vec<NamedRecord>,
    #[prost(message, repeated, tag = "3")]
    joins: Vec<NamedRecord>,
    #[prost(uint64, tag = "4")]
    logins: u64,
    #[prost(uint64, tag = "5")]
    resumes: u64,
    #[prost(uint64, tag = "6")]
    paused_until_ms: u64,
}

/// What was used of one rate: the name of its kind in the settings, or of the channel that is
/// joined.
#[derive(Clone, PartialEq, prost::Message)]
struct NamedRecord {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(uint64, tag = "2")]
    used: u64,
}

impl Used {
    /// The bytes for [`Used::decode`].
    pub fn encode(&self) -> Vec<u8> {
        let name = |kind| Kind::named().find(|(of, _)| *of == kind);
        let kinds = self.kinds.iter();
        let joins = self.joins.iter();
        let record = UsedRecord {
            at_ms: self.at_ms,
            kinds: kinds
                .filter_map(|(kind, used)| Some((name(*kind)?.1, *used)))
                .map(|(name, used)| named(name, used))
                .collect(),
            joins: joins
                .map(|(channel, used)| named(channel.as_str(), *used))
                .collect(),
            logins: self.logins.state(),
            resumes: self.resumes.state(),
            paused_until_ms: self.paused_until_ms,
        };
        record.encode_to_vec()
    }

    /// Reads what [`Used::encode`] has written; `None` = the bytes are something else. A kind of
    /// rate that this version does not know is left out.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let record = UsedRecord::decode(bytes).ok()?;
        let kind = |name: &str| Kind::named().find(|(_, of)| *of == name);
        let kinds = record.kinds.iter();
        let joins = record.joins.iter();
        let channel = |name: &str| ChannelName::parse_by(NameRule::Wide, name).ok();
        Some(Self {
            at_ms: record.at_ms,
            kinds: kinds
                .filter_map(|of| Some((kind(&of.name)?.0, of.used)))
                .collect(),
            joins: joins
                .map(|of| Some((channel(&of.name)?, of.used)))
                .collect::<Option<_>>()?,
            logins: Bucket::from_state(record.logins),
            resumes: Bucket::from_state(record.resumes),
            paused_until_ms: record.paused_until_ms,
        })
    }
}

fn named(name: &str, used: u64) -> NamedRecord {
    NamedRecord {
        name: name.into(),
        used,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_survives_its_bytes() {
        let used = Used {
            at_ms: 7,
            kinds: Kind::named()
                .zip(1..)
                .map(|((kind, _), n)| (kind, n))
                .collect(),
            joins: vec![(ChannelName::parse("room").expect("a name"), 9)],
            logins: Bucket::from_state(11),
            resumes: Bucket::from_state(12),
            paused_until_ms: 13,
        };
        assert_eq!(Used::decode(&used.encode()), Some(used));
        assert_eq!(
            Used::decode(&Used::default().encode()),
            Some(Used::default())
        );
        assert_eq!(Used::decode(b"\xff"), None);
    }
}
