//! The words of moderation that hubs, their hosts and apps' backends share.

use std::collections::BTreeMap;

use tidings_wire::names::{AppId, ChannelName, UserId};
use tidings_wire::proto::Message;

use crate::ids::ChannelKey;

/// The apps that look at messages, with their rules.
pub type ModerationRules = BTreeMap<AppId, ModerationRule>;

/// Which messages of an app are held, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModerationRule {
    /// Channels: exact names, or beginnings that end with `*`.
    pub channels: Vec<String>,
    /// How long a message is held at most, in milliseconds.
    pub wait_ms: u64,
    /// What becomes of one about which no word came in time, or for which there was no room.
    pub otherwise: Otherwise,
}

/// What becomes of a message without a word about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Otherwise {
    /// It is sent.
    Pass,
    /// It is refused, with the outcome `unavailable`.
    Refuse,
}

/// A message that is held: what the app's backend is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldMessage {
    /// Where it is sent.
    pub channel: ChannelKey,
    /// By whom.
    pub from: UserId,
    /// It.
    pub message: Message,
}

/// The word about a message.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// It is sent.
    Pass,
    /// This is sent in its place.
    Change(Box<Message>),
    /// It is refused, with the outcome `not_permitted` and this text for its sender.
    Refuse(String),
}

impl ModerationRule {
    pub(super) fn marks(&self, channel: &ChannelName) -> bool {
        let channel = channel.as_str();
        self.channels
            .iter()
            .any(|pattern| match pattern.strip_suffix('*') {
                Some(start) => channel.starts_with(start),
                None => pattern == channel,
            })
    }
}
