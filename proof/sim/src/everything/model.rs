//! The state shared by two users and their channels, derived from the specification alone.

use std::collections::{BTreeMap, BTreeSet};

use tidings_client_core::{Attribute, AttributeWrite, Call, Conversation, HistoryRange, Message};

use super::expect::{Need, Turn};

/// One of the two users: 0 or 1.
pub(super) type UserNo = usize;

pub(super) const NAMES: [&str; 2] = ["alice", "bob"];
/// Number of channels of each user.
pub(super) const CHANNELS: usize = 20;
/// How many of the newest messages of a history are compared.
const HISTORY: usize = 50;

/// After a shorter absence, calls have waited for the link and are carried out. Seconds.
const WAITS_S: u64 = 10;
/// During a shorter absence, nobody is seen to leave. Seconds.
const GRACE_S: u64 = 30;
/// After a shorter absence, nothing is lost. Seconds.
const WINDOW_S: u64 = 120;

pub(super) fn channel_name(channel: usize) -> String {
    format!("c{channel}")
}

/// An act of an application.
#[derive(Debug, Clone)]
pub(super) enum Act {
    ToPeer {
        text: String,
        is_offline: bool,
        is_kept: bool,
    },
    ToChannel {
        channel: usize,
        text: String,
        is_kept: bool,
    },
    Join {
        channel: usize,
    },
    Leave {
        channel: usize,
    },
    List {
        channel: usize,
    },
    Count {
        channels: Vec<usize>,
    },
    Presence,
    Subscriptions,
    WriteOwn {
        how: AttributeWrite,
        key: String,
        value: String,
    },
    Read {
        of: UserNo,
    },
    WriteChannel {
        channel: usize,
        how: AttributeWrite,
        key: String,
        value: String,
        is_told: bool,
    },
    ReadChannel {
        channel: usize,
    },
    ChannelHistory {
        channel: usize,
    },
    PeerHistory,
}

/// Who is away in a turn, and for how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Away {
    pub(super) user: UserNo,
    pub(super) seconds: u64,
}

#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) joined: [BTreeSet<usize>; 2],
    own: [BTreeMap<String, String>; 2],
    of_channels: BTreeMap<usize, BTreeMap<String, String>>,
    /// Messages as (sender, text), by channel.
    histories: BTreeMap<usize, Vec<(UserNo, String)>>,
    peer_history: Vec<(UserNo, String)>,
}

fn write(map: &mut BTreeMap<String, String>, how: AttributeWrite, key: &str, value: &str) {
    match how {
        AttributeWrite::Set => {
            map.clear();
            map.insert(key.into(), value.into());
        }
        AttributeWrite::Merge => drop(map.insert(key.into(), value.into())),
        AttributeWrite::Delete => drop(map.remove(key)),
        AttributeWrite::Clear => map.clear(),
    }
}

fn show(map: &BTreeMap<String, String>) -> String {
    let entries: Vec<String> = map
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    format!("attributes {}", entries.join(","))
}

fn history_text(messages: &[(UserNo, String)]) -> String {
    let newest = messages.iter().rev().take(HISTORY);
    let of = |user| {
        let own = newest.clone().filter(|(from, _)| *from == user);
        own.map(|(_, text)| text.as_str())
            .collect::<Vec<_>>()
            .join(" ")
    };
    format!("history {} / {}", of(0), of(1))
}

impl Act {
    /// The call that makes this act.
    pub(super) fn call(&self, user: UserNo) -> Call {
        let attributes = |key: &str, value: &str| vec![Attribute::new(key, value)];
        match self.clone() {
            Self::ToPeer {
                text,
                is_offline,
                is_kept,
            } => Call::SendToPeer {
                peer_id: NAMES[1 - user].into(),
                message: Message::Text(text),
                offline: is_offline,
                history: is_kept,
            },
            Self::ToChannel {
                channel,
                text,
                is_kept,
            } => Call::SendToChannel {
                channel: channel_name(channel),
                message: Message::Text(text),
                history: is_kept,
            },
            Self::Join { channel } => Call::Join {
                channel: channel_name(channel),
            },
            Self::Leave { channel } => Call::Leave {
                channel: channel_name(channel),
            },
            Self::List { channel } => Call::GetMembers {
                channel: channel_name(channel),
            },
            Self::Count { channels } => Call::GetMemberCounts {
                channels: channels.into_iter().map(channel_name).collect(),
            },
            Self::Presence => Call::QueryPresence {
                user_ids: NAMES.map(Into::into).to_vec(),
            },
            Self::Subscriptions => Call::QueryPresenceSubscriptions,
            Self::WriteOwn { how, key, value } => Call::WriteUserAttributes {
                how,
                attributes: attributes(&key, &value),
            },
            Self::Read { of } => Call::ReadUserAttributes {
                user_id: NAMES[of].into(),
                keys: vec![],
            },
            Self::WriteChannel {
                channel,
                how,
                key,
                value,
                is_told,
            } => Call::WriteChannelAttributes {
                channel: channel_name(channel),
                how,
                attributes: attributes(&key, &value),
                notify: is_told,
            },
            Self::ReadChannel { channel } => Call::ReadChannelAttributes {
                channel: channel_name(channel),
                keys: vec![],
            },
            Self::ChannelHistory { channel } => {
                read_history(Conversation::Channel(channel_name(channel)))
            }
            Self::PeerHistory => read_history(Conversation::Peer(NAMES[1 - user].into())),
        }
    }
}

fn read_history(conversation: Conversation) -> Call {
    let range = HistoryRange {
        newest_first: true,
        count_max: u32::try_from(HISTORY).ok(),
        ..HistoryRange::default()
    };
    Call::ReadHistory {
        conversation,
        range,
    }
}

impl Model {
    /// Applies an act; predicts its answer and the events for both users.
    pub(super) fn act(
        &mut self,
        user: UserNo,
        act: &Act,
        away: Option<Away>,
        turn: &mut Turn,
    ) -> String {
        let is_away = away.is_some_and(|away| away.user == user && away.seconds >= WAITS_S);
        if is_away {
            // It waited for the link in vain, and is not carried out later.
            return "error timed_out".into();
        }
        let other = 1 - user;
        let other_away = away
            .filter(|away| away.user == other)
            .map(|away| away.seconds);
        match act {
            Act::ToPeer {
                text,
                is_offline,
                is_kept,
            } => {
                if *is_kept {
                    self.peer_history.push((user, text.clone()));
                }
                let fact = format!("{} {text}", NAMES[user]);
                to_peer(turn, other, fact, *is_offline, other_away)
            }
            Act::ToChannel {
                channel,
                text,
                is_kept,
            } => {
                if !self.joined[user].contains(channel) {
                    return "error not_in_channel".into();
                }
                if *is_kept {
                    let history = self.histories.entry(*channel).or_default();
                    history.push((user, text.clone()));
                }
                self.tell(
                    turn,
                    other,
                    *channel,
                    format!("{} {text}", NAMES[user]),
                    other_away,
                );
                "done".into()
            }
            Act::Join { channel } => {
                if !self.joined[user].insert(*channel) {
                    return "error already_joined".into();
                }
                self.tell(
                    turn,
                    other,
                    *channel,
                    format!("joined {}", NAMES[user]),
                    other_away,
                );
                "done".into()
            }
            Act::Leave { channel } => {
                if !self.joined[user].remove(channel) {
                    return "error not_in_channel".into();
                }
                self.tell(
                    turn,
                    other,
                    *channel,
                    format!("left {}", NAMES[user]),
                    other_away,
                );
                "done".into()
            }
            Act::List { channel } => {
                if !self.joined[user].contains(channel) {
                    return "error not_in_channel".into();
                }
                let members = (0..2).filter(|user| self.joined[*user].contains(channel));
                let members: Vec<&str> = members.map(|user| NAMES[user]).collect();
                format!("users {}", members.join(" "))
            }
            Act::Count { channels } => {
                let count = |channel| {
                    self.joined
                        .iter()
                        .filter(|joined| joined.contains(channel))
                        .count()
                };
                let mut counts: Vec<String> = (channels.iter())
                    .map(|channel| format!("{}={}", channel_name(*channel), count(channel)))
                    .collect();
                counts.sort();
                format!("counts {}", counts.join(" "))
            }
            Act::Presence => "presence alice=ONLINE bob=ONLINE".into(),
            Act::Subscriptions => format!("users {}", NAMES[other]),
            Act::WriteOwn { how, key, value } => {
                write(&mut self.own[user], *how, key, value);
                "done".into()
            }
            Act::Read { of } => show(&self.own[*of]),
            Act::WriteChannel {
                channel,
                how,
                key,
                value,
                is_told,
            } => {
                let map = self.of_channels.entry(*channel).or_default();
                write(map, *how, key, value);
                let fact = show(map);
                if *is_told {
                    if self.joined[user].contains(channel) {
                        let source = format!("{} attributes", channel_name(*channel));
                        turn.must(user, &source, fact.clone());
                    }
                    self.tell(turn, other, *channel, fact, other_away);
                }
                "done".into()
            }
            Act::ReadChannel { channel } => show(self.of_channels.entry(*channel).or_default()),
            Act::ChannelHistory { channel } => {
                if !self.joined[user].contains(channel) {
                    return "error not_in_channel".into();
                }
                history_text(self.histories.entry(*channel).or_default())
            }
            Act::PeerHistory => history_text(&self.peer_history),
        }
    }

    /// An event in a channel for the other member.
    fn tell(&self, turn: &mut Turn, to: UserNo, channel: usize, fact: String, away: Option<u64>) {
        if !self.joined[to].contains(&channel) {
            return;
        }
        let is_lost = away.is_some_and(|seconds| seconds > WINDOW_S);
        let name = channel_name(channel);
        if fact.starts_with("attributes") {
            let source = format!("{name} attributes");
            let need = if is_lost { Need::May } else { Need::Must };
            return turn.expect(to, &source, fact, need);
        }
        // Differences between the old and the new session's members may be reported.
        let is_membership = fact.starts_with("joined") || fact.starts_with("left");
        match (is_lost, is_membership) {
            (false, _) => turn.must(to, &name, fact),
            (true, true) => turn.may(to, &name, fact),
            (true, false) => {}
        }
    }

    /// The user has logged out: its channels and attributes are gone.
    pub(super) fn log_out(&mut self, user: UserNo, turn: &mut Turn) {
        for channel in std::mem::take(&mut self.joined[user]) {
            self.tell(
                turn,
                1 - user,
                channel,
                format!("left {}", NAMES[user]),
                None,
            );
        }
        self.own[user].clear();
    }

    /// What both users see because of an absence, apart from messages.
    pub(super) fn absence(&self, away: Away, turn: &mut Turn) {
        let Away { user, seconds } = away;
        let (other, name) = (1 - user, NAMES[user]);
        if seconds >= 15 {
            turn.must(user, "state", "RECONNECTING INTERRUPTED");
            turn.must(user, "state", "CONNECTED LOGIN_SUCCESS");
        } else if seconds > 3 {
            turn.may(user, "state", "RECONNECTING INTERRUPTED");
            turn.may(user, "state", "CONNECTED LOGIN_SUCCESS");
        }
        let is_gone = seconds > GRACE_S;
        let need = |is_sure: bool| if is_sure { Need::Must } else { Need::May };
        let presence = |turn: &mut Turn, state: &str, need| {
            turn.expect(other, "presence", format!("{name} {state}"), need);
        };
        presence(turn, "UNREACHABLE", need(seconds >= 15));
        if is_gone {
            presence(turn, "OFFLINE", Need::Must);
        }
        presence(turn, "ONLINE", need(seconds >= 15));
        for channel in self.joined[user].clone() {
            if is_gone && self.joined[other].contains(&channel) {
                turn.must(other, &channel_name(channel), format!("left {name}"));
                turn.must(other, &channel_name(channel), format!("joined {name}"));
            }
        }
    }

    /// A user's channels report a gap before anything else about them.
    pub(super) fn gaps(&self, user: UserNo, turn: &mut Turn) {
        for channel in &self.joined[user] {
            turn.must(user, &channel_name(*channel), "gap");
        }
    }
}

/// A peer message: the sender's answer, and what the receiver sees.
fn to_peer(
    turn: &mut Turn,
    to: UserNo,
    fact: String,
    is_offline: bool,
    away: Option<u64>,
) -> String {
    match (away.unwrap_or(0), is_offline) {
        (0..=3, _) | (0..WAITS_S, false) => {
            turn.must(to, "live", fact);
            "received true".into()
        }
        // It is stored if it is not confirmed within 5 s.
        (_, true) => {
            turn.must_live_or_stored(to, fact);
            "received false".into()
        }
        (seconds, false) => {
            // It arrives before the end of the grace or not at all (contract 1.1).
            if seconds < GRACE_S {
                turn.may(to, "live", fact);
            }
            "error timed_out".into()
        }
    }
}
