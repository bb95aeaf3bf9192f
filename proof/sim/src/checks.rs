//! Checks on a run, based on what applications did and saw. Nothing here looks into hubs or
//! clients.
//!
//! The names are those of the contract's list.

use std::collections::{BTreeMap, BTreeSet};

use tidings_client_core::{
    Answer, Attribute, CallError, CallId, ClientEvent, ConnectionReason, ConnectionState, GapCause,
    GapSource, Message,
};

use tidings_wire::limits::RESUME_WINDOW_MS;

use crate::world::{ClientId, Record, Seen};

mod notes;
mod whole;

/// What a server sent before it stopped may arrive this much later, in milliseconds.
const ON_ITS_WAY_MS: u64 = 2_000;
/// A gap is reported within this time after its client is served again, in milliseconds.
const TOLD_MS: u64 = 15_000;
/// For this long, a client may not have noticed that it is disconnected, in milliseconds.
const SILENCE_MS: u64 = 40_000;

/// An act of an application.
#[derive(Debug, Clone, PartialEq)]
pub enum Done {
    /// Sent a text to a peer.
    SentToPeer {
        /// The receiver's user id.
        to: String,
        /// The text, unique over the run.
        text: String,
        /// Whether it asked for offline delivery.
        is_offline: bool,
    },
    /// Sent a text to a channel.
    SentToChannel {
        /// The channel in which it happened.
        channel: String,
        /// The text, unique over the run.
        text: String,
        /// Whether it must be in the history before the answer.
        is_kept: bool,
    },
    /// The client has joined a channel.
    Joined {
        /// The channel that was joined.
        channel: String,
    },
    /// The client has left a channel.
    Left {
        /// The channel that was left.
        channel: String,
    },
    /// The client has asked for the members.
    Listed {
        /// The channel asked about.
        channel: String,
    },
    /// An act that no check looks at.
    Other,
}

/// A broken promise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The check's name in the contract.
    pub check: &'static str,
    /// What was seen.
    pub text: String,
}

/// What is known about one client.
#[derive(Debug, Default)]
struct Party {
    user: String,
    /// The user has logged in again, from another client.
    is_replaced: bool,
    /// Texts of peer messages, in the order received.
    peer_texts: Vec<(String, String)>,
    /// Channel messages as (channel, sender, text), in the order received.
    channel_texts: Vec<(String, String, String)>,
    /// The node that each of these came from, and its stamp.
    channel_nodes: Vec<(u64, u64)>,
    /// Per channel, the users seen to join or leave: whether they are in.
    seen_members: BTreeMap<(String, String), bool>,
    /// Channels that it may have joined or left without knowing.
    uncertain_channels: BTreeSet<String>,
    /// Texts of peer messages that were delivered from the store.
    stored_texts: BTreeSet<String>,
    /// Pairs (channel, user) seen to leave, with nothing since. Cleared by a gap, during which
    /// anybody may have joined.
    out: BTreeSet<(String, String)>,
    state: Option<ConnectionState>,
    /// All times at which it connected.
    connected_ms: Vec<u64>,
    /// When it last disconnected.
    interrupted_ms: u64,
    /// When it last lost its session with the node that had it.
    anew_ms: Option<u64>,
    /// When it last came back after longer than sessions are kept.
    late_ms: Option<u64>,
    /// The server process that its stamps come from.
    incarnation: u64,
    /// The latest stamp of each channel's messages, with peer messages under the empty name. Unix
    /// milliseconds.
    stamps: BTreeMap<String, u64>,
    /// The last count received, per channel.
    counts: BTreeMap<String, u32>,
    attributes: BTreeMap<String, Vec<Attribute>>,
}

/// Collects what happens in a run, and checks it.
#[derive(Debug, Default)]
pub struct Checker {
    parties: BTreeMap<ClientId, Party>,
    calls: BTreeMap<CallId, (ClientId, Done, u64)>,
    answers: BTreeMap<CallId, (u64, Result<Answer, CallError>)>,
    order: BTreeMap<String, u64>,
    /// The texts of each channel, as the history has them at the end.
    histories: BTreeMap<String, Vec<String>>,
    gaps: u64,
    /// How many of these were at clients whose users have not logged in elsewhere.
    unasked_gaps: u64,
    /// Clients that have died: nobody waits for their answers.
    dead: BTreeSet<ClientId>,
    /// How long clients were suspended, in milliseconds.
    paused_ms: BTreeMap<ClientId, u64>,
    /// Sessions end with their tokens.
    has_tokens: bool,
    /// There are several nodes, each with an order of its own for each channel.
    has_nodes: bool,
    /// When sessions were lost with the server's process.
    crashes_ms: Vec<u64>,
    violations: Vec<Violation>,
}

impl Checker {
    /// A client joins the run under a user id.
    pub fn note_client(&mut self, client: ClientId, user: &str) {
        for party in self.parties.values_mut().filter(|party| party.user == user) {
            party.is_replaced = true;
        }
        self.parties.entry(client).or_default().user = user.to_owned();
    }

    /// An application made a call.
    pub fn note_call(&mut self, at_ms: u64, client: ClientId, id: CallId, done: Done) {
        if let Done::SentToPeer { text, .. } | Done::SentToChannel { text, .. } = &done {
            self.order.insert(text.clone(), id);
        }
        self.calls.insert(id, (client, done, at_ms));
    }

    /// An application saw something.
    pub fn note(&mut self, record: &Record) {
        match &record.what {
            Seen::Answer { id, result } => {
                self.note_baseline(*id, result);
                let is_first = self
                    .answers
                    .insert(*id, (record.at_ms, result.clone()))
                    .is_none();
                if !is_first {
                    self.violate(
                        "call.always_answered",
                        format!("call {id} was answered twice"),
                    );
                }
            }
            Seen::Event(event) => {
                self.note_stamp(record, event);
                self.note_event(record.at_ms, record.client, event);
            }
        }
    }

    /// What an observer knows about a channel starts with its own join, and again with each list
    /// that it gets.
    fn note_baseline(&mut self, id: CallId, result: &Result<Answer, CallError>) {
        let Some((client, done, _)) = self.calls.get(&id) else {
            return;
        };
        let Some(party) = self.parties.get_mut(client) else {
            return;
        };
        match (done, result) {
            (Done::Joined { channel } | Done::Left { channel }, result) => {
                party.seen_members.retain(|(seen, _), _| seen != channel);
                party.out.retain(|(seen, _)| seen != channel);
                if result.is_err() {
                    // It may take effect at any later time, without the application knowing.
                    party.uncertain_channels.insert(channel.clone());
                }
            }
            (Done::Listed { channel }, Ok(Answer::Users(users))) => {
                for ((seen, user), is_in) in &mut party.seen_members {
                    if seen == channel {
                        *is_in = users.contains(user);
                    }
                }
                party
                    .out
                    .retain(|(seen, user)| seen != channel || !users.contains(user));
                for user in users {
                    party
                        .seen_members
                        .insert((channel.clone(), user.clone()), true);
                }
            }
            _ => {}
        }
    }

    /// `clock.monotone_ts`: in one channel, and in one session's peer messages, stamps do not go
    /// backwards while the server's process lives; what it knew about stamps is lost with it. Late
    /// arrivals over a connection to the previous process belong to that one.
    fn note_stamp(&mut self, record: &Record, event: &ClientEvent) {
        let party = self.parties.entry(record.client).or_default();
        if party.incarnation != record.incarnation {
            party.incarnation = record.incarnation;
            party.stamps.clear();
        }
        let (source, stamp) = match event {
            ClientEvent::PeerMessage { server_ts_ms, .. } => (String::new(), *server_ts_ms),
            ClientEvent::ChannelMessage {
                channel,
                server_ts_ms,
                ..
            } => (channel.clone(), *server_ts_ms),
            ClientEvent::StateChanged {
                reason: ConnectionReason::LoginSuccess,
                ..
            } => {
                party.stamps.remove("");
                return;
            }
            // The session was lost for another reason: its successor may be on a hub that received
            // none of these.
            ClientEvent::Gap {
                cause: GapCause::NodeLost | GapCause::ResumeWindow,
                ..
            } => {
                party.stamps.remove("");
                return;
            }
            _ => return,
        };
        let latest = party.stamps.entry(source).or_default();
        if stamp < *latest {
            let client = record.client;
            let text = format!("{client:?} got the stamp {stamp} after {latest}: {event:?}");
            self.violate("clock.monotone_ts", text);
        } else {
            *latest = stamp;
        }
    }

    fn note_event(&mut self, at_ms: u64, client: ClientId, event: &ClientEvent) {
        let party = self.parties.entry(client).or_default();
        match event {
            ClientEvent::PeerMessage {
                from,
                message: Message::Text(text),
                is_offline,
                ..
            } => {
                party.peer_texts.push((from.clone(), text.clone()));
                if *is_offline {
                    party.stored_texts.insert(text.clone());
                    self.check_asked(client, text);
                }
            }
            ClientEvent::ChannelMessage {
                channel,
                from,
                message: Message::Text(text),
                server_ts_ms,
                ..
            } => {
                party
                    .channel_texts
                    .push((channel.clone(), from.clone(), text.clone()));
                let node = party.incarnation >> 32;
                party.channel_nodes.push((node, *server_ts_ms));
                let is_certain = !party.uncertain_channels.contains(channel);
                if is_certain && party.out.contains(&(channel.clone(), from.clone())) {
                    let text =
                        format!("{client:?} saw {text:?} of {from} after its leaving {channel}");
                    self.violate("order.membership_brackets_messages", text);
                }
            }
            ClientEvent::MemberJoined { channel, user_id } => {
                let key = (channel.clone(), user_id.clone());
                party.out.remove(&key);
                let is_certain = !party.uncertain_channels.contains(channel);
                if party.seen_members.insert(key, true) == Some(true) && is_certain {
                    let text = format!("{client:?} saw {user_id} join {channel} twice");
                    self.violate("presence.alternates", text);
                }
            }
            ClientEvent::MemberLeft { channel, user_id } => {
                let key = (channel.clone(), user_id.clone());
                party.out.insert(key.clone());
                let is_certain = !party.uncertain_channels.contains(channel);
                if party.seen_members.insert(key, false) == Some(false) && is_certain {
                    let text = format!("{client:?} saw {user_id} leave {channel} twice");
                    self.violate("presence.alternates", text);
                }
            }
            ClientEvent::StateChanged { state, .. } => {
                let before = party
                    .state
                    .replace(*state)
                    .unwrap_or(ConnectionState::Disconnected);
                if *state == ConnectionState::Connected {
                    party.connected_ms.push(at_ms);
                    let paused_ms = self.paused_ms.get(&client).copied().unwrap_or(0);
                    let silent_ms = at_ms - party.interrupted_ms + SILENCE_MS + paused_ms;
                    if silent_ms >= RESUME_WINDOW_MS {
                        party.late_ms = Some(at_ms);
                    }
                } else if before == ConnectionState::Connected {
                    party.interrupted_ms = at_ms;
                }
                if !is_legal(before, *state) {
                    let text = format!("{client:?} went from {before:?} to {state:?}");
                    self.violate("state.legal", text);
                }
            }
            ClientEvent::MemberCount { channel, count } => {
                party.counts.insert(channel.clone(), *count);
            }
            ClientEvent::ChannelAttributes {
                channel,
                attributes,
            } => {
                party.attributes.insert(channel.clone(), attributes.clone());
            }
            ClientEvent::Gap { source, cause, .. } => {
                let is_lost = *cause == GapCause::NodeLost;
                if is_lost {
                    party.anew_ms = Some(at_ms);
                }
                if let GapSource::Channel(channel) = source {
                    party.out.retain(|(of, _)| of != channel);
                }
                // A login cut off by a restart may have replaced the session, so its gap is
                // justified.
                self.unasked_gaps += u64::from(!party.is_replaced);
                self.gaps += 1;
                if is_lost {
                    self.check_handed_over(at_ms, client);
                }
            }
            _ => {}
        }
    }

    /// `drain.no_loss`: a session is lost only if the server has crashed since its client was last
    /// served, or if its client was away for longer than sessions are kept.
    fn check_handed_over(&mut self, at_ms: u64, client: ClientId) {
        let Some(party) = self.parties.get(&client) else {
            return;
        };
        // A session that cannot move to another node while a peer keeps a call open begins anew
        // (decision 0042); that calm worlds have no gaps is another check.
        if self.has_tokens || party.is_replaced || self.has_nodes {
            return;
        }
        let before = |served_ms: &&u64| **served_ms + TOLD_MS <= at_ms;
        let served_ms = party.connected_ms.iter().rev().find(before);
        let served_ms = served_ms.copied().unwrap_or(0);
        let mut lost_ms = self.crashes_ms.iter().chain(&party.late_ms);
        if !lost_ms.any(|lost_ms| lost_ms + ON_ITS_WAY_MS >= served_ms) {
            let text = format!("{client:?} has lost its session, and the server has not crashed");
            self.violate("drain.no_loss", text);
        }
    }

    /// A message is stored only if that was asked for.
    fn check_asked(&mut self, client: ClientId, text: &str) {
        let call = self.order.get(text).and_then(|id| self.calls.get(id));
        let is_asked = |done: &Done| {
            matches!(
                done,
                Done::SentToPeer {
                    is_offline: true,
                    ..
                }
            )
        };
        if call.is_some_and(|(_, done, _)| !is_asked(done)) {
            let text =
                format!("{client:?} got {text:?} as a stored message; nobody had asked for that");
            self.violate("inbox.only_if_asked", text);
        }
    }

    /// Whom a client has seen in a channel, and whom it has seen leave. `None` if it cannot know.
    pub fn believed(&self, client: ClientId, channel: &str) -> Option<BTreeMap<String, bool>> {
        let party = self.parties.get(&client)?;
        let is_known = !party.uncertain_channels.contains(channel);
        let of_channel = (party.seen_members.iter()).filter(|((of, _), _)| of == channel);
        is_known.then(|| {
            of_channel
                .map(|((_, user), is_in)| (user.clone(), *is_in))
                .collect()
        })
    }

    /// A new client of a user who has received everything: whatever it gets is a duplicate, or was
    /// withheld.
    pub fn check_rest(&mut self, client: ClientId) {
        let Some(party) = self.parties.get(&client) else {
            return;
        };
        let user = &party.user;
        let others = || self.parties.iter().filter(|(at, _)| **at != client);
        let kin = || others().filter(|(_, of)| of.user == *user);
        let mut found = Vec::new();
        for (_, text) in &party.peer_texts {
            let was_had = kin().any(|(_, of)| of.peer_texts.iter().any(|(_, had)| had == text));
            found.push(if was_had {
                (
                    "inbox.dedup",
                    format!("{user} had {text:?}, and a new client of it got it again"),
                )
            } else {
                (
                    "ack.truthful",
                    format!("{text:?} waited for a new login of {user}, who was there"),
                )
            });
        }
        for (check, text) in found {
            self.violate(check, text);
        }
    }

    /// The last count of a channel that a client received.
    pub fn last_count(&self, client: ClientId, channel: &str) -> Option<u32> {
        self.parties.get(&client)?.counts.get(channel).copied()
    }

    /// The last attributes of a channel that a client received.
    pub fn last_attributes(&self, client: ClientId, channel: &str) -> Option<&Vec<Attribute>> {
        self.parties.get(&client)?.attributes.get(channel)
    }

    /// The history of a channel, at the end.
    pub fn note_history(&mut self, channel: &str, texts: Vec<String>) {
        self.histories.insert(channel.to_owned(), texts);
    }

    /// Reports a violation that the caller has found.
    pub fn violate_now(&mut self, check: &'static str, text: String) {
        self.violate(check, text);
    }

    fn violate(&mut self, check: &'static str, text: String) {
        self.violations.push(Violation { check, text });
    }

    /// Number of gaps reported.
    pub fn gaps(&self) -> u64 {
        self.gaps
    }

    /// Number of messages received.
    pub fn received(&self) -> usize {
        self.parties
            .values()
            .map(|party| party.peer_texts.len() + party.channel_texts.len())
            .sum()
    }
}

fn is_legal(from: ConnectionState, to: ConnectionState) -> bool {
    use ConnectionState::{Aborted, Connected, Connecting, Disconnected, Reconnecting};
    matches!(
        (from, to),
        (Disconnected, Connecting)
            | (Connecting, Connected | Disconnected)
            | (Connected, Reconnecting | Aborted | Disconnected)
            | (Reconnecting, Connected | Aborted | Disconnected)
            | (Aborted, Disconnected)
    )
}
