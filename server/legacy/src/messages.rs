//! Instant messages. Source: signaling 6.7, 6.9, 9.2.

use std::collections::VecDeque;

use serde_json::Value;
use tidings_wire::hex;
use tidings_wire::proto::request::Call as HubCall;
use tidings_wire::proto::{Message, PeerMessage, SendToPeer, message};

use crate::calls::END_CALL_PREFIX;
use crate::codec::{Call, as_text};
use crate::ids;
use crate::queue::{Entry, Receiver};
use crate::requests::Pending;
use crate::translator::{Output, Translator};

/// Longest text. Source: documented, signaling 12, the larger of its two figures.
pub(crate) const TEXT_BYTES_MAX: usize = 8_196;
/// Longest lifetime of a message. Source: signaling 6.5.
const TTL_S_MAX: u64 = 30 * 86_400;
/// The type of messages between libraries.
pub(crate) const SIGNAL_TYPE: &str = "lib.signaling";
/// The type of texts that contain another JSON value.
pub(crate) const JSON_TYPE: &str = "application/json";

/// Message ids that the client has recently sent.
#[derive(Debug, Default)]
pub(crate) struct Repeats(VecDeque<Sent>);

/// A message sent with an id that the client chose.
#[derive(Debug)]
struct Sent {
    at_ms: u64,
    /// The receiver, and the id.
    key: String,
    /// The call that sent it.
    call: Value,
}

impl Repeats {
    /// How long an id is remembered, in milliseconds.
    const KEPT_MS: u64 = 60_000;
    /// Most ids that are remembered.
    const MAX: usize = 4_096;

    /// Remembers the id of a message that a call sends to a receiver. Returns whether it was known.
    pub(crate) fn note(&mut self, to: &str, id: Option<String>, call: &Value, now_ms: u64) -> bool {
        let Some(id) = id else { return false };
        let key = format!("{to} {id}");
        while self
            .0
            .front()
            .is_some_and(|sent| sent.at_ms + Self::KEPT_MS <= now_ms)
        {
            self.0.pop_front();
        }
        if self.0.iter().any(|sent| sent.key == key) {
            return true;
        }
        if self.0.len() == Self::MAX {
            self.0.pop_front();
        }
        self.0.push_back(Sent {
            at_ms: now_ms,
            key,
            call: call.clone(),
        });
        false
    }

    /// The call has failed: sending its message again is not a repeat.
    pub(crate) fn forget(&mut self, call: &Value) {
        self.0.retain(|sent| sent.call != *call);
    }
}

/// The levels of a message's `flag`.
enum Flag {
    /// Deliver only if the receiver is connected.
    Live,
    /// Keep for this many seconds.
    Kept(u64),
}

fn flag(call: &Call) -> Option<Flag> {
    let Some(flag) = call.text("flag") else {
        return Some(Flag::Kept(3_600));
    };
    let mut parts = flag.split(':');
    let (Some("v1"), Some(level), Some(ttl), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let ttl_s: u64 = ttl.parse().ok()?;
    match level {
        "C" | "L" => Some(Flag::Live),
        "E" => Some(Flag::Kept(ttl_s.min(TTL_S_MAX))),
        _ => None,
    }
}

impl Translator {
    pub(crate) fn send_message(&mut self, call: &Call) {
        let Some(peer) = call.text("peer").and_then(|peer| ids::to_user_id(&peer)) else {
            return self.fail(&call.id, "wrong param");
        };
        if call.text("t").is_some_and(|kind| kind != "instant") {
            return self.fail(&call.id, "wrong param");
        }
        let Some(flag) = flag(call) else {
            return self.fail(&call.id, "wrong msg lvl");
        };
        let text = as_text(&call.value("content"));
        if text.len() > TEXT_BYTES_MAX {
            return self.fail(&call.id, "too large");
        }
        let message_id = call.text("messageID");
        let now_ms = self.now.mono_ms;
        if self.repeats.note(&peer, message_id, &call.id, now_ms) {
            return self.answer_ok(&call.id);
        }
        let id = call.id.clone();
        let (expires_ts, pending) = match flag {
            Flag::Live => (0, Pending::LiveMessage(id)),
            Flag::Kept(ttl_s) => (self.now.unix_ms + ttl_s * 1_000, Pending::Answer(id)),
        };
        let offline = expires_ts > 0;
        let message = text_message(text, "", expires_ts);
        self.request_for(&call.id, to_peer(peer, message, offline), pending);
    }

    pub(crate) fn take_peer_message(&mut self, event: PeerMessage) {
        let message = event.message.unwrap_or_default();
        let from = ids::to_account(&event.from);
        let Some(message::Body::Text(text)) = &message.body else {
            return;
        };
        let text = String::from_utf8_lossy(text).into_owned();
        // Invitations are numbered separately from messages: without the letter, one could be
        // mistaken for a repeat of the other.
        let id = format!("m{}", hex(&event.id));
        if message.r#type == SIGNAL_TYPE {
            return self.take_signal(&from, &id, &text, message.expires_ts);
        }
        if let Some(ended) = text.strip_prefix(END_CALL_PREFIX)
            && let Some(ended) = ended.strip_prefix('_')
        {
            return self.take_end_text(&from, &id, ended);
        }
        self.enqueue(Entry {
            id,
            from,
            kind: "instant",
            sent_ts: event.server_ts,
            expires_ts: message.expires_ts,
            content: text,
            sseq: self.sseq,
        });
    }

    /// Queues a message, and sends it if the client has polled.
    pub(crate) fn enqueue(&mut self, entry: Entry) {
        let receiver = Receiver {
            account: &self.account,
            is_modern: self.is_modern,
            now_ms: self.now.mono_ms,
        };
        let mut texts = Vec::new();
        self.queue.push(&receiver, entry, &mut texts);
        self.out.extend(texts.into_iter().map(Output::Text));
    }
}

pub(crate) fn text_message(text: String, kind: &str, expires_ts: u64) -> Message {
    Message {
        body: Some(message::Body::Text(text.into_bytes().into())),
        r#type: kind.into(),
        expires_ts,
    }
}

pub(crate) fn to_peer(peer_id: String, message: Message, offline: bool) -> HubCall {
    HubCall::SendToPeer(SendToPeer {
        peer_id,
        message: Some(message),
        offline,
        history: false,
    })
}
