//! The names of everything at NATS: made of digits, the cluster's prefix and hashes, never of what
//! a client has sent.

use std::fmt::Write as _;

use tidings_fault::fault;
use tidings_hub::bus_ops::Topic;
use tidings_hub::ids::HubId;

use crate::config::ClusterConfig;

/// A topic's name at NATS: a keyed hash, so that nobody can choose names that meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TopicKey([u8; 16]);

/// Where a message has come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Topic(TopicKey),
    AllNodes,
    /// This shard's own subject.
    Own,
}

/// The subjects of one shard.
pub(crate) struct Subjects {
    prefix: String,
    /// What it gets answers under, with a dot at its end.
    own: String,
    hashing: [u8; 32],
    /// The key under which envelopes are sealed.
    pub(crate) sealing: [u8; 32],
}

impl std::fmt::Debug for Subjects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without its keys.
        f.debug_struct("Subjects")
            .field("own", &self.own)
            .finish_non_exhaustive()
    }
}

impl Subjects {
    pub(crate) fn new(config: &ClusterConfig, shard: HubId) -> Self {
        let key = |context: &str| blake3::derive_key(context, &config.key);
        let prefix = config.prefix.clone();
        Self {
            own: format!("{prefix}.r.{}.{}.", shard.node, shard.hub),
            prefix,
            hashing: key("tidings cluster v1: subjects of topics"),
            sealing: key("tidings cluster v1: authentication of envelopes"),
        }
    }

    pub(crate) fn key(&self, topic: &Topic) -> TopicKey {
        let (kind, app, name) = match topic {
            Topic::User(user) => (1, &user.app, user.user.as_str()),
            Topic::Calls(user) => (2, &user.app, user.user.as_str()),
            Topic::Channel(channel) => (3, &channel.app, channel.channel.as_str()),
            Topic::Presence(user) => (4, &user.app, user.user.as_str()),
        };
        let mut hasher = blake3::Hasher::new_keyed(&self.hashing);
        // All app ids have one length: no two topics are written alike.
        hasher.update(&[kind]).update(app.as_str().as_bytes());
        hasher.update(name.as_bytes());
        let mut key = [0; 16];
        key.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        TopicKey(key)
    }

    pub(crate) fn topic(&self, key: TopicKey) -> String {
        let mut subject = String::with_capacity(self.prefix.len() + 35);
        let _ = write!(subject, "{}.t.", self.prefix);
        for byte in key.0 {
            let _ = write!(subject, "{byte:02x}");
        }
        subject
    }

    pub(crate) fn all_nodes(&self) -> String {
        format!("{}.n", self.prefix)
    }

    /// Everything that is for this shard alone.
    pub(crate) fn all_own(&self) -> String {
        format!("{}*", self.own)
    }

    /// Where answers to this shard's question come in.
    pub(crate) fn own(&self, ask: u64) -> String {
        format!("{}{ask}", self.own)
    }

    /// The question that was asked with this subject for answers, if it is one of this shard's.
    pub(crate) fn ask_of(&self, subject: &[u8]) -> Option<u64> {
        let number = subject.strip_prefix(self.own.as_bytes())?;
        std::str::from_utf8(number).ok()?.parse().ok()
    }

    /// Where another shard gets answers to its question.
    pub(crate) fn of_shard(&self, shard: HubId, ask: u64) -> String {
        format!("{}.r.{}.{}.{ask}", self.prefix, shard.node, shard.hub)
    }

    /// Where a message with this subject has come in; `None` = nowhere that this shard listens.
    pub(crate) fn place(&self, subject: &[u8]) -> Option<Place> {
        if subject.starts_with(self.own.as_bytes()) {
            return Some(Place::Own);
        }
        let rest = subject.strip_prefix(self.prefix.as_bytes())?;
        if rest == b".n" {
            return Some(Place::AllNodes);
        }
        let hex = std::str::from_utf8(rest.strip_prefix(b".t.")?).ok()?;
        let is_hex = hex.len() == 32 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = is_hex.then(|| u128::from_str_radix(hex, 16).ok())??;
        Some(Place::Topic(TopicKey(number.to_be_bytes())))
    }

    /// The topic's key, if what speaks of it belongs where it has come in.
    pub(crate) fn key_at(&self, place: TopicKey, topic: &Topic) -> Option<TopicKey> {
        let key = self.key(topic);
        (key == place || fault!(TopicIsNotCompared)).then_some(key)
    }
}

#[cfg(test)]
mod tests {
    use tidings_hub::ids::{ChannelKey, UserKey};
    use tidings_wire::names::{AppId, ChannelName, NameRule, UserId};

    use super::*;

    fn subjects(key: u8) -> Subjects {
        let config = ClusterConfig {
            prefix: "tidings.test".to_owned(),
            key: [key; 32],
            node: 3,
            incarnation: 1,
            settle_ms: 0,
        };
        Subjects::new(&config, HubId { node: 3, hub: 2 })
    }

    /// Topics whose names are as alike and as hostile as can be.
    fn topics() -> Vec<Topic> {
        let mut topics = Vec::new();
        for app in ["a", "b"].map(|app| AppId::parse(&app.repeat(32)).expect("an app")) {
            for name in ["x", "*", ">", "a.b", "$SYS", "x y", "tidings.test.n", "é"] {
                let (app, wide) = (app.clone(), NameRule::Wide);
                if let Ok(user) = UserId::parse_by(wide, name) {
                    let user = UserKey { app, user };
                    topics.push(Topic::User(user.clone()));
                    topics.push(Topic::Calls(user.clone()));
                    topics.push(Topic::Presence(user));
                }
            }
            for name in ["x", "*", ">", "a.b"] {
                let app = app.clone();
                if let Ok(channel) = ChannelName::parse_by(NameRule::Wide, name) {
                    topics.push(Topic::Channel(ChannelKey { app, channel }));
                }
            }
        }
        topics
    }

    #[test]
    fn no_name_reaches_a_subject() {
        let subjects = subjects(1);
        let mut names = std::collections::BTreeSet::new();
        let topics = topics();
        assert!(topics.len() > 20);
        for topic in &topics {
            let key = subjects.key(topic);
            let name = subjects.topic(key);
            let hash = name.strip_prefix("tidings.test.t.").expect("the prefix");
            assert!(hash.len() == 32 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()));
            assert_eq!(subjects.place(name.as_bytes()), Some(Place::Topic(key)));
            assert_eq!(subjects.key_at(key, topic), Some(key));
            names.insert(name);
        }
        assert_eq!(
            names.len(),
            topics.len(),
            "each topic has a name of its own"
        );
    }

    #[test]
    fn another_key_gives_other_names() {
        let topic = &topics()[0];
        assert_ne!(subjects(1).key(topic), subjects(2).key(topic));
        assert_ne!(subjects(1).sealing, subjects(2).sealing);
        assert_ne!(subjects(1).sealing, subjects(1).hashing);
    }

    #[test]
    fn foreign_subjects_are_nowhere() {
        let subjects = subjects(1);
        let own = subjects.own(77);
        assert_eq!(own, "tidings.test.r.3.2.77");
        assert_eq!(subjects.place(own.as_bytes()), Some(Place::Own));
        assert_eq!(subjects.ask_of(own.as_bytes()), Some(77));
        assert_eq!(subjects.of_shard(HubId { node: 3, hub: 2 }, 77), own);
        assert_eq!(subjects.place(b"tidings.test.n"), Some(Place::AllNodes));
        let upper = format!("tidings.test.t.{}", "+".repeat(32));
        for other in [
            "",
            "tidings.test",
            "tidings.test.t.",
            "tidings.test.t.00",
            "tidings.test.n.x",
            "tidings.other.n",
            "tidings.test.r.3.20.1",
            upper.as_str(),
        ] {
            assert_eq!(subjects.place(other.as_bytes()), None, "{other}");
        }
        for other in [
            "tidings.test.r.3.2.",
            "tidings.test.r.3.2.x",
            "tidings.test.r.3.2.-1",
        ] {
            assert_eq!(subjects.ask_of(other.as_bytes()), None, "{other}");
        }
    }
}
