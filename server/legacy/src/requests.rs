//! Requests to the hub: numbered, paced, and remembered until they are answered.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use serde_json::{Value, json};
use tidings_wire::codes::Outcome;
use tidings_wire::proto::request::Call as HubCall;
use tidings_wire::proto::{Error, Logout, Reply, Request, client_message, reply};
use tidings_wire::rates::{Bucket, Rate};

use crate::codec::Call;
use crate::translator::Translator;

/// Rate of one client's calls. Source: documented, signaling 12: 60 messages per second.
const RATE: Rate = Rate {
    calls: 180,
    window_ms: 3_000,
};
/// Most calls that wait for their turn; further calls are refused with an error.
const WAITING_MAX: usize = 1_024;
/// Most unanswered requests; the hub ends a session above 256.
const OPEN_MAX: usize = 128;

/// What to do with the answer to a request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Pending {
    /// Nobody is waiting for the answer.
    Nothing,
    /// Answer the call with this id.
    Answer(Value),
    /// Answer the callee's decision about an invitation.
    Decision {
        id: Value,
        invitation: Bytes,
    },
    /// Answer a write of the user's own attribute: as above, with an empty reason.
    OwnAttribute(Value),
    /// Answer an instant message that fails unless its receiver is online.
    LiveMessage(Value),
    /// Answer a channel message, which the sender receives too.
    ChannelMessage {
        id: Value,
        channel: String,
        msg: Value,
    },
    Join,
    JoinAttributes,
    JoinMembers,
    UserStatus {
        id: Value,
        account: String,
    },
    UserAttribute {
        id: Value,
        account: String,
        name: String,
    },
    UserAttributes {
        id: Value,
        account: String,
    },
    ChannelNumber {
        id: Value,
        name: String,
    },
    ChannelHas {
        id: Value,
        name: String,
        account: String,
    },
    ChannelUsers {
        id: Value,
        name: String,
        max: usize,
        is_all: bool,
    },
    Invite {
        id: Value,
        number: u64,
    },
    CalleeStatus {
        id: Value,
        number: u64,
    },
    /// The end of a call was sent to the peer's library; if it has none, send it to its user.
    Bye {
        peer: String,
        text: String,
    },
}

/// The requests of one client.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    cseq: u64,
    /// Bound: `OPEN_MAX`, and the requests that follow from answers.
    open: BTreeMap<u64, Pending>,
    /// Calls held back by the rate. Bound: `WAITING_MAX`.
    waiting: VecDeque<(HubCall, Pending)>,
    bucket: Bucket,
    /// When the next call may be sent.
    due_ms: Option<u64>,
}

impl Requests {
    pub(crate) fn due_ms(&self) -> Option<u64> {
        self.due_ms
    }
}

impl Translator {
    /// Sends a request in its turn; the order is kept. `false` = too many are waiting.
    pub(crate) fn request(&mut self, call: HubCall, pending: Pending) -> bool {
        if self.requests.waiting.len() >= WAITING_MAX {
            return false;
        }
        self.requests.waiting.push_back((call, pending));
        self.pump();
        true
    }

    /// The same for a client's call, which is answered with an error if too many are waiting.
    pub(crate) fn request_for(&mut self, id: &Value, call: HubCall, pending: Pending) {
        if !self.request(call, pending) {
            self.fail(id, "too frequent");
        }
    }

    /// Sends a request at once: it belongs to an operation in progress.
    pub(crate) fn request_now(&mut self, call: HubCall, pending: Pending) {
        self.requests.cseq += 1;
        let cseq = self.requests.cseq;
        self.requests.open.insert(cseq, pending);
        self.send_kind(client_message::Kind::Request(Request {
            cseq,
            call: Some(call),
        }));
    }

    /// Sends the calls whose turn has come.
    pub(crate) fn pump(&mut self) {
        self.requests.due_ms = None;
        while !self.requests.waiting.is_empty() && self.requests.open.len() < OPEN_MAX {
            if let Err(wait_ms) = self.requests.bucket.take(RATE, self.now.mono_ms) {
                self.requests.due_ms = Some(self.now.mono_ms + wait_ms);
                return;
            }
            if let Some((call, pending)) = self.requests.waiting.pop_front() {
                self.request_now(call, pending);
            }
        }
    }

    pub(crate) fn log_out(&mut self, call: &Call) {
        self.announce_end();
        let pending = Pending::Answer(call.id.clone());
        self.request_now(HubCall::Logout(Logout {}), pending);
    }

    pub(crate) fn take_reply(&mut self, reply: Reply) {
        let Some(pending) = self.requests.open.remove(&reply.cseq) else {
            return;
        };
        let result = match reply.result {
            Some(reply::Result::Error(error)) => Err(error),
            Some(result) => Ok(result),
            None => Err(Error::default()),
        };
        self.settle(pending, result);
        self.pump();
    }

    fn settle(&mut self, pending: Pending, result: Result<reply::Result, Error>) {
        let reason = result.as_ref().err().map(reason);
        match pending {
            Pending::Nothing => {}
            Pending::Answer(id) => match reason {
                None => self.answer_ok(&id),
                Some(reason) => self.fail(&id, reason),
            },
            Pending::Decision { id, invitation } => {
                let is_done = reason.is_none();
                match reason {
                    None => self.answer_ok(&id),
                    Some(reason) => self.fail(&id, reason),
                }
                self.settle_decision(&invitation, is_done);
            }
            Pending::OwnAttribute(id) => match reason {
                None => self.answer(&id, &ok_with(json!({"reason": ""}))),
                Some(reason) => self.fail(&id, reason),
            },
            Pending::LiveMessage(id) => match (was_received(&result), reason) {
                (_, Some(reason)) => self.fail(&id, reason),
                (true, _) => self.answer_ok(&id),
                (false, _) => self.fail(&id, "peer not online"),
            },
            Pending::ChannelMessage { id, channel, msg } => match reason {
                Some(reason) => self.fail(&id, reason),
                None => {
                    self.echo(&channel, msg);
                    self.answer_ok(&id);
                }
            },
            Pending::Join | Pending::JoinAttributes | Pending::JoinMembers => {
                self.settle_join(pending, result);
            }
            Pending::Invite { id, number } => self.settle_invite(&id, number, reason),
            Pending::CalleeStatus { id, number } => self.settle_callee(&id, number, result),
            Pending::Bye { peer, text } => {
                if !was_received(&result) {
                    self.send_end_text(&peer, text);
                }
            }
            Pending::UserStatus { .. }
            | Pending::UserAttribute { .. }
            | Pending::UserAttributes { .. }
            | Pending::ChannelNumber { .. }
            | Pending::ChannelHas { .. }
            | Pending::ChannelUsers { .. } => self.settle_query(pending, result),
        }
    }
}

fn was_received(result: &Result<reply::Result, Error>) -> bool {
    matches!(result, Ok(reply::Result::PeerSent(sent)) if sent.received)
}

/// An error of the hub, in the terms that clients know.
pub(crate) fn reason(error: &Error) -> &'static str {
    let is = |outcome: Outcome| error.outcome == outcome as u32;
    if is(Outcome::TooOften) || is(Outcome::SameChannelTooOften) || is(Outcome::TooManyInvitations)
    {
        "too frequent"
    } else if is(Outcome::MessageTooLarge) || is(Outcome::SizeOverflow) {
        "too large"
    } else if is(Outcome::NotPermitted) {
        "not allowed"
    } else if is(Outcome::NotInChannel) {
        "not in channel"
    } else if is(Outcome::InvalidArgument)
        || is(Outcome::InvalidMessage)
        || is(Outcome::InvalidUserId)
    {
        "wrong param"
    } else {
        "server busy"
    }
}

/// An answer with one more field.
pub(crate) fn ok_with(fields: Value) -> Value {
    let mut body = json!({"result": "ok"});
    if let (Value::Object(body), Value::Object(fields)) = (&mut body, fields) {
        body.extend(fields);
    }
    body
}
