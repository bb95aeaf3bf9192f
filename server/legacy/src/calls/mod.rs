//! Invitations. Source: signaling 8, 9.5. `caller` and `callee` are the two sides of a ringing
//! invitation, `ends` is how either side ends a call.
//!
//! The hub keeps the record of an invitation while it rings. What only legacy clients can express,
//! an end with a text or tones, goes from translator to translator as a message for libraries
//! ([`SIGNAL_TYPE`]).

mod callee;
mod caller;
mod ends;

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::{Value, json};
use tidings_wire::proto::request::Call as HubCall;
use tidings_wire::proto::{CancelInvitation, Invite};

use crate::codec::{Call, as_text};
use crate::ids;
use crate::messages::{SIGNAL_TYPE, TEXT_BYTES_MAX, text_message, to_peer};
use crate::queue::Entry;
use crate::requests::Pending;
use crate::translator::Translator;

/// The message with which RTM users end a call, and which ends theirs. Source: signaling 9.5.
pub(crate) const END_CALL_PREFIX: &str = "AgoraRTMLegacyEndcallCompatibleMessagePrefix";

/// How long a signal waits for its receiver, in milliseconds.
const SIGNAL_TTL_MS: u64 = 30_000;
/// Accepted calls that are remembered, so that a peer's end message can be recognised; the oldest
/// is forgotten first.
const TALKS_MAX: usize = 64;
/// Most ringing invitations of one client, in each direction.
const CALLS_MAX: usize = 100;

/// The signal that announces an answer that is not text.
const ANSWER: &str = "answer";

/// The invitations of one client.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    /// Number of invitations so far.
    numbers: u64,
    /// Sent and still open, by number. Bound: `CALLS_MAX`.
    local: BTreeMap<u64, Local>,
    /// Received and still open. Bound: `CALLS_MAX`.
    remote: Vec<Remote>,
    /// Accepted calls, as (peer, channel). Bound: `TALKS_MAX`.
    talks: Vec<(String, String)>,
    /// Telephone numbers invited through the gateway. Bound: `TALKS_MAX`.
    phones: Vec<String>,
    /// Number of signals made here, which names them.
    signals: u64,
}

#[derive(Debug)]
struct Local {
    /// The callee, as the client wrote it.
    peer: String,
    /// The user invited in the callee's place.
    user: String,
    channel: String,
    call: Invite,
    /// The callee's answer, if it is not text.
    answer: Option<Value>,
    is_received: bool,
    /// When a client of the callee must have received it.
    receipt_due_ms: u64,
    /// When it must be answered, if the caller has set a time.
    answer_due_ms: Option<u64>,
}

#[derive(Debug)]
struct Remote {
    id: Bytes,
    peer: String,
    channel: String,
    /// The `extra` it was sent with.
    extra: Value,
    /// The client has accepted it, and the hub has not confirmed that.
    is_accepting: bool,
    /// The client has already ended the call that it is accepting.
    hang_up: Option<Parts>,
}

impl Calls {
    pub(crate) fn due_ms(&self) -> Option<u64> {
        self.local.values().map(Local::due_ms).min()
    }

    fn local_of(&self, peer: &str, channel: &str) -> Option<u64> {
        let is_it = |(_, local): &(&u64, &Local)| local.peer == peer && local.channel == channel;
        self.local.iter().find(is_it).map(|(number, _)| *number)
    }

    fn take_remote(&mut self, peer: &str, channel: &str) -> Option<Remote> {
        let is_it = |remote: &Remote| remote.peer == peer && remote.channel == channel;
        let at = self.remote.iter().position(is_it)?;
        Some(self.remote.remove(at))
    }

    fn note_talk(&mut self, peer: String, channel: String) {
        self.talks
            .retain(|talk| (&talk.0, &talk.1) != (&peer, &channel));
        if self.talks.len() == TALKS_MAX {
            self.talks.remove(0);
        }
        self.talks.push((peer, channel));
    }
}

impl Local {
    fn due_ms(&self) -> u64 {
        let receipt = if self.is_received {
            u64::MAX
        } else {
            self.receipt_due_ms
        };
        receipt.min(self.answer_due_ms.unwrap_or(u64::MAX))
    }
}

/// What a call about an invitation states.
#[derive(Debug)]
struct Parts {
    channel: String,
    peer: String,
    extra: Value,
}

impl Parts {
    fn of(call: &Call) -> Result<Self, &'static str> {
        let channel = call.text("channelName").unwrap_or_default();
        let peer = call.text("peer").unwrap_or_default();
        let extra = call.value("extra");
        if !ids::is_name(&channel) || ids::to_user_id(&peer).is_none() {
            return Err("wrong param");
        }
        if as_text(&extra).len() > TEXT_BYTES_MAX {
            return Err("too large");
        }
        Ok(Self {
            channel,
            peer,
            extra,
        })
    }

    /// The value of a key of `extra`, which is JSON or text that contains JSON.
    fn setting(&self, name: &str) -> Option<f64> {
        let parsed;
        let extra = match &self.extra {
            Value::String(text) => {
                parsed = serde_json::from_str::<Value>(text).ok()?;
                &parsed
            }
            other => other,
        };
        let value = extra.get(name)?;
        value.as_f64().or_else(|| value.as_str()?.parse().ok())
    }
}

impl Translator {
    /// The user that answers for a telephone number.
    fn gateway_of(&self, peer: &str) -> Option<String> {
        let is_phone = self.calls.phones.iter().any(|phone| phone == peer);
        self.rules.phone_gateway.clone().filter(|_| is_phone)
    }

    /// Sends the peer's library a signal that the native protocol cannot express.
    fn send_signal(&mut self, user: String, kind: &str, parts: &Parts, pending: Pending) {
        let signal = self.signal_to(user, kind, parts);
        self.request(signal, pending);
    }

    fn signal_to(&self, user: String, kind: &str, parts: &Parts) -> HubCall {
        let text = json!({"t": kind, "channel": parts.channel, "extra": parts.extra}).to_string();
        let expires_ts = self.now.unix_ms + SIGNAL_TTL_MS;
        to_peer(user, text_message(text, SIGNAL_TYPE, expires_ts), true)
    }

    /// The client's name for the other side of a call: the gateway stands for a telephone number.
    fn known_as(&self, from: &str, channel: &str) -> String {
        let gateway = self.rules.phone_gateway.as_deref().map(ids::to_account);
        if gateway.as_deref() != Some(from) {
            return from.into();
        }
        let ringing = self.calls.local.values();
        let ringing = ringing.map(|local| (&local.peer, &local.channel));
        let talks = self.calls.talks.iter().map(|talk| (&talk.0, &talk.1));
        ringing
            .chain(talks)
            .find(|(peer, at)| *at == channel && self.calls.phones.contains(peer))
            .map_or_else(|| from.into(), |(peer, _)| peer.clone())
    }

    /// Queues a signal that was made here.
    fn signal(&mut self, peer: &str, kind: &'static str, channel: &str, extra: Value) {
        self.calls.signals += 1;
        let id = format!("s{}-{}", self.line, self.calls.signals);
        let entry = self.signal_entry(&id, peer, kind, channel, extra);
        self.enqueue(entry);
    }

    fn signal_entry(
        &self,
        id: &str,
        peer: &str,
        kind: &'static str,
        channel: &str,
        extra: Value,
    ) -> Entry {
        let content = json!({
            "channel": channel, "peer": peer, "extra": extra, "peeruid": self.uid_of(peer),
        });
        Entry {
            id: id.into(),
            from: peer.into(),
            kind,
            sent_ts: self.now.unix_ms,
            expires_ts: self.now.unix_ms + SIGNAL_TTL_MS,
            content: content.to_string(),
            sseq: self.sseq,
        }
    }
}

fn cancel(number: u64) -> HubCall {
    HubCall::CancelInvitation(CancelInvitation { number })
}
