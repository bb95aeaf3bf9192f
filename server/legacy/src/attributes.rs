//! Attributes of users and of the channel. Source: signaling 5.3, 7.6, 9.4.

use std::collections::{BTreeMap, VecDeque};

use serde_json::json;
use tidings_wire::proto::request::Call as HubCall;
use tidings_wire::proto::{
    Attribute, AttributeWrite, ChannelAttributes, WriteChannelAttributes, WriteUserAttributes,
};
use tidings_wire::rates::{Bucket, Rate};

use crate::codec::{Call, as_text};
use crate::ids;
use crate::requests::Pending;
use crate::special;
use crate::translator::Translator;

/// Longest value. Source: documented, signaling 12.
const VALUE_BYTES_MAX: usize = 8_096;
/// Attribute events of one channel. Source: documented, signaling 7.6.
const EVENTS: Rate = Rate {
    calls: 10,
    window_ms: 1_000,
};
/// Maintained by the system. Source: signaling 7.6.
const MEMBER_NUM: &str = "_member_num";
const TOTAL_NUM: &str = "_total_member_num";
const AUTO_NUM: &str = "_auto_update_num";
const AUTO_TOTAL_NUM: &str = "_auto_update_total_num";

/// Names that configure a channel. Towards the hub they are notes of a library: RTM users do not
/// see them, and replacing or clearing attributes leaves them alone. Source: signaling 7.6, 9.4.
const BUILT_IN: [&str; 8] = [
    CHANNEL_TTL,
    MEMBER_NUM,
    AUTO_NUM,
    TOTAL_NUM,
    AUTO_TOTAL_NUM,
    USER_NOTIFICATION,
    SENDMSG_LIMIT,
    SETATTR_LIMIT,
];
const CHANNEL_TTL: &str = "_channel_ttl";
pub(crate) const USER_NOTIFICATION: &str = "_userNotification";
pub(crate) const SENDMSG_LIMIT: &str = "_sendmsg_limit";
pub(crate) const SETATTR_LIMIT: &str = "_setattr_limit";
/// Prefix of the keys of such notes; the hub defines it.
const LIBRARY_KEY: &str = "lib:known-to-client-libraries-only:";

/// The hub's note of how long a channel's attributes outlive its last member, in seconds.
const KEEP_NOTE: &str = "lib:known-to-client-libraries-only:keep_s";
/// The same, for a channel that does not state it. Source: documented, signaling 7.1.
const CHANNEL_TTL_S: u64 = 7_200;

/// How long a channel's attributes are kept, according to the hub's note.
pub(crate) fn kept_s(attributes: &[Attribute]) -> Option<u64> {
    let note = attributes.iter().find(|pair| pair.key == KEEP_NOTE)?;
    note.value.parse().ok()
}

/// The hub's key for an attribute.
fn to_key(name: String) -> String {
    if BUILT_IN.contains(&name.as_str()) {
        format!("{LIBRARY_KEY}{name}")
    } else {
        name
    }
}

/// The attribute with this key of the hub; `None` if it does not belong to this protocol.
fn to_name(key: &str) -> Option<String> {
    match key.strip_prefix(LIBRARY_KEY) {
        Some(name) => BUILT_IN.contains(&name).then(|| name.to_owned()),
        None => Some(key.to_owned()),
    }
}

/// The channel's attributes, as this protocol sees them.
pub(crate) fn named(attributes: Vec<Attribute>) -> BTreeMap<String, String> {
    let pairs = attributes.into_iter();
    pairs
        .filter_map(|pair| Some((to_name(&pair.key)?, pair.value)))
        .collect()
}

/// Attribute events that wait: beyond the rate, changes to one name are merged, and the last is
/// always sent.
#[derive(Debug, Default)]
pub(crate) struct AttributeEvents {
    bucket: Bucket,
    /// Bound: one per name, and the names of a channel are bounded by the hub.
    waiting: VecDeque<Change>,
    due_ms: Option<u64>,
}

#[derive(Debug, Clone, PartialEq)]
struct Change {
    kind: &'static str,
    name: String,
    value: String,
    by: String,
}

impl AttributeEvents {
    pub(crate) fn due_ms(&self) -> Option<u64> {
        self.due_ms
    }

    fn push(&mut self, change: Change) {
        if change.kind == "clear" {
            self.waiting.clear();
        } else {
            self.waiting
                .retain(|waiting| waiting.name != change.name || waiting.kind == "clear");
        }
        self.waiting.push_back(change);
    }
}

/// The number of members, and when it is announced.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    members: usize,
    joins: usize,
    told_ms: Option<u64>,
    every_ms: Option<u64>,
}

impl Counts {
    pub(crate) fn due_ms(&self) -> Option<u64> {
        Some(self.told_ms.unwrap_or(0) + self.every_ms?)
    }
}

impl Translator {
    pub(crate) fn write_channel_attribute(&mut self, call: &Call) {
        let channel = call.text("channel").unwrap_or_default();
        if special::hub_name(&channel).is_some() {
            return self.fail(&call.id, "not allowed");
        }
        if !self.is_in(&channel) {
            return self.fail(&call.id, "not in channel");
        }
        let how = match call.function.as_str() {
            "channel_set_attr" => AttributeWrite::Merge,
            "channel_del_attr" => AttributeWrite::Delete,
            _ => AttributeWrite::Clear,
        };
        let mut attributes = match how {
            AttributeWrite::Clear => Vec::new(),
            _ => match entry(call) {
                Ok(entry) if [MEMBER_NUM, TOTAL_NUM].contains(&entry.key.as_str()) => {
                    return self.fail(&call.id, "not allowed");
                }
                Ok(entry) => vec![Attribute {
                    key: to_key(entry.key),
                    ..entry
                }],
                Err(reason) => return self.fail(&call.id, reason),
            },
        };
        if !self.pace_write() {
            return self.fail(&call.id, "too frequent");
        }
        if how == AttributeWrite::Merge {
            let written = call.text("name").filter(|name| name == CHANNEL_TTL);
            let ttl = written.map(|_| as_text(&call.value("value")));
            attributes.extend(self.keep_note(ttl.as_deref()));
        }
        let write = HubCall::WriteChannelAttributes(WriteChannelAttributes {
            channel,
            how: how.into(),
            attributes,
            notify: true,
        });
        self.request_for(&call.id, write, Pending::Answer(call.id.clone()));
    }

    /// The note of how long the channel's attributes are kept, if it is missing or wrong. `ttl` is
    /// the value that the channel is about to set.
    fn keep_note(&mut self, ttl: Option<&str>) -> Option<Attribute> {
        let said = ttl.or_else(|| Some(self.channels.attributes.get(CHANNEL_TTL)?.as_str()));
        let wanted_s = said.and_then(|ttl| ttl.trim().parse().ok());
        let wanted_s: u64 = wanted_s.unwrap_or(CHANNEL_TTL_S);
        if self.channels.kept_s == Some(wanted_s) {
            return None;
        }
        self.channels.kept_s = Some(wanted_s);
        Some(Attribute {
            key: KEEP_NOTE.into(),
            value: wanted_s.to_string(),
            ..Attribute::default()
        })
    }

    /// Ensures that the channel's attributes are kept as long as those of a channel that a legacy
    /// user has joined (7.1).
    pub(crate) fn note_keep(&mut self) {
        let channel = self.channels.current.clone();
        if self.channels.attributes.is_empty() {
            return;
        }
        let (Some(channel), Some(note)) = (channel, self.keep_note(None)) else {
            return;
        };
        let write = HubCall::WriteChannelAttributes(WriteChannelAttributes {
            channel,
            how: AttributeWrite::Merge.into(),
            attributes: vec![note],
            notify: true,
        });
        self.request(write, Pending::Nothing);
    }

    pub(crate) fn set_user_attribute(&mut self, call: &Call) {
        let entry = match entry(call) {
            Ok(entry) => entry,
            Err(reason) => return self.fail(&call.id, reason),
        };
        let write = HubCall::WriteUserAttributes(WriteUserAttributes {
            how: AttributeWrite::Merge.into(),
            attributes: vec![entry],
        });
        self.request_for(&call.id, write, Pending::OwnAttribute(call.id.clone()));
    }

    pub(crate) fn take_attributes(&mut self, event: ChannelAttributes) {
        if !self.is_in(&event.channel) {
            return;
        }
        let how = event.how();
        let keys: Vec<String> = event.keys.iter().filter_map(|key| to_name(key)).collect();
        self.channels.kept_s = kept_s(&event.attributes);
        let new = named(event.attributes);
        if let Some(read) = self.joining_attributes() {
            if read.is_some() {
                // This change comes after the read, whose answer lacks it. A later read will
                // contain it anyway.
                *read = Some(new);
            }
            return;
        }
        let old = std::mem::replace(&mut self.channels.attributes, new);
        let by = ids::to_account(&event.by);
        if by != self.account {
            self.pace_write();
        }
        for change in changes(how, &keys, &old, &self.channels.attributes, &by) {
            self.channels.events.push(change);
        }
        self.arm_counts();
        self.flush_attributes();
    }

    /// Sends attribute events, as fast as the rate permits.
    pub(crate) fn flush_attributes(&mut self) {
        self.tell_counts();
        let events = &mut self.channels.events;
        events.due_ms = None;
        while !self.channels.events.waiting.is_empty() {
            let events = &mut self.channels.events;
            if let Err(wait_ms) = events.bucket.take(EVENTS, self.now.mono_ms) {
                events.due_ms = Some(self.now.mono_ms + wait_ms);
                return;
            }
            if let Some(change) = events.waiting.pop_front() {
                self.tell_attribute(change);
            }
        }
    }

    fn tell_attribute(&mut self, change: Change) {
        let Some(channel) = self.channels.current.clone() else {
            return;
        };
        let content = json!({
            "channel": channel,
            "account": change.by,
            "uid": self.uid_of(&change.by),
            "type": change.kind,
            "name": change.name,
            "value": change.value,
        });
        self.tell_channel(&channel, "channel_attr_update", content);
    }

    // ------------------------------------------------------------ `_member_num` and similar

    /// Takes note of the members.
    pub(crate) fn note_members(&mut self, count: usize) {
        self.channels.counts.members = count;
        self.channels.counts.joins = count;
        self.arm_counts();
    }

    pub(crate) fn note_member(&mut self, kind: &str) {
        let counts = &mut self.channels.counts;
        if kind == "channel_user_join" {
            counts.members += 1;
            counts.joins += 1;
        } else {
            counts.members = counts.members.saturating_sub(1);
        }
    }

    pub(crate) fn take_count(&mut self, channel: &str, count: u32) {
        if self.is_in(channel) {
            self.channels.counts.members = usize::try_from(count).unwrap_or(usize::MAX);
        }
    }

    /// Sets how often counts are announced, as the channel's attributes request.
    fn arm_counts(&mut self) {
        let every_s = [AUTO_NUM, AUTO_TOTAL_NUM]
            .iter()
            .filter_map(|name| self.channels.attributes.get(*name)?.parse::<u64>().ok())
            .filter(|every_s| *every_s > 0)
            .min();
        let counts = &mut self.channels.counts;
        let every_ms = every_s.map(|every_s| every_s.saturating_mul(1_000));
        if counts.every_ms != every_ms {
            counts.every_ms = every_ms;
            counts.told_ms = Some(self.now.mono_ms);
        }
    }

    fn tell_counts(&mut self) {
        let counts = &mut self.channels.counts;
        if counts
            .due_ms()
            .is_none_or(|due_ms| due_ms > self.now.mono_ms)
        {
            return;
        }
        counts.told_ms = Some(self.now.mono_ms);
        let numbers = [
            (AUTO_NUM, MEMBER_NUM, counts.members),
            (AUTO_TOTAL_NUM, TOTAL_NUM, counts.joins),
        ];
        for (switch, name, number) in numbers {
            let is_on = self.channels.attributes.get(switch);
            if is_on.is_some_and(|on| on != "0") {
                self.channels.events.push(Change {
                    kind: "update",
                    name: name.into(),
                    value: number.to_string(),
                    by: String::new(),
                });
            }
        }
    }
}

/// The name and value arguments of a call.
fn entry(call: &Call) -> Result<Attribute, &'static str> {
    let key = call.text("name").unwrap_or_default();
    if !ids::is_name(&key) || key.starts_with(LIBRARY_KEY) {
        return Err("wrong param");
    }
    let value = as_text(&call.value("value"));
    if value.len() > VALUE_BYTES_MAX {
        return Err("too large");
    }
    Ok(Attribute {
        key,
        value,
        ..Attribute::default()
    })
}

/// The changes that a write has made, one event per name.
fn changes(
    how: AttributeWrite,
    keys: &[String],
    old: &BTreeMap<String, String>,
    new: &BTreeMap<String, String>,
    by: &str,
) -> Vec<Change> {
    let change = |kind, name: &str, value: &str| Change {
        kind,
        name: name.into(),
        value: value.into(),
        by: by.into(),
    };
    let update = |name: &String| new.get(name).map(|value| change("update", name, value));
    let del = |name: &String| {
        let was_there = old.contains_key(name) && !new.contains_key(name);
        was_there.then(|| change("del", name, ""))
    };
    match how {
        AttributeWrite::Clear => vec![change("clear", "", "")],
        AttributeWrite::Merge => keys.iter().filter_map(update).collect(),
        AttributeWrite::Delete => keys.iter().filter_map(del).collect(),
        AttributeWrite::Set => {
            let changed = keys.iter().filter(|name| old.get(*name) != new.get(*name));
            changed
                .filter_map(update)
                .chain(old.keys().filter_map(del))
                .collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replacement_is_told_as_its_differences() {
        let map = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs
                .iter()
                .map(|(k, v)| ((*k).into(), (*v).into()))
                .collect()
        };
        let old = map(&[("a", "1"), ("b", "1"), ("c", "1")]);
        let new = map(&[("b", "1"), ("c", "2"), ("d", "1")]);
        let keys: Vec<String> = ["b", "c", "d"].map(String::from).into();
        let told: Vec<_> = changes(AttributeWrite::Set, &keys, &old, &new, "x")
            .into_iter()
            .map(|change| (change.kind, change.name))
            .collect();
        assert_eq!(
            told,
            [
                ("update", "c".into()),
                ("update", "d".into()),
                ("del", String::from("a"))
            ]
        );
    }
}
