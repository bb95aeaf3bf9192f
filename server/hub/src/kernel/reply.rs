//! Answers to callers.

use tidings_fault::fault;
use tidings_wire::codes::Outcome;
use tidings_wire::frame::encode_server;
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{Done, Error, PeerSent, Reply, reply};

use crate::ids::SessionKey;
use crate::io::Sink;
use crate::kernel::Kernel;
use crate::kernel::caller::Caller;
use crate::kernel::outbox::Source;
use crate::outside::{OutsideAnswer, PeerOutcome};
use crate::rates;

/// An answer of fewer bytes than this is not counted.
pub(crate) const ANSWER_BYTES_MIN: usize = 1024;

impl Kernel {
    pub(crate) fn reply_not_kept(&mut self, caller: Caller, reason: &str, out: &mut dyn Sink) {
        let text = format!("the message could not be kept in the history: {reason}");
        self.reply_error(caller, error(Outcome::Unavailable, text), out);
    }

    /// Answers a request.
    pub(crate) fn reply(&mut self, caller: Caller, result: reply::Result, out: &mut dyn Sink) {
        if self.traces.is_on {
            self.trace_reply(caller, &result);
        }
        let (key, cseq, asked_ms) = match caller {
            Caller::Request {
                session,
                cseq,
                asked_ms,
            } => (session, cseq, asked_ms),
            Caller::Outside(ticket) => {
                return self.answer_outside(ticket, OutsideAnswer::Call(result), out);
            }
        };
        let Some(session) = self.sessions.get_mut(key) else {
            // The session has ended since it asked.
            return;
        };
        debug_assert!(session.requests.open > 0, "a request is answered twice");
        debug_assert!(
            cseq <= session.requests.cseq,
            "a request is answered that was not received"
        );
        if session.requests.open == 0 {
            self.counts.violations.note("call.always_answered");
        }
        session.requests.open = session.requests.open.saturating_sub(1);
        let waited_ms = self.now.mono_ms.saturating_sub(asked_ms);
        self.counts.requests.note(waited_ms);
        if fault!(ReplyIsLostWhileAway) && session.connection.is_none() {
            return;
        }
        let frame = encode_server(Kind::Reply(Reply {
            cseq,
            result: Some(result),
        }));
        let bytes = frame.len();
        session.push(frame, Source::Call, out);
        if bytes >= ANSWER_BYTES_MIN {
            self.charge(caller, rates::Kind::Answer, (bytes / 1024) as u64);
        }
    }

    /// Answers whoever has sent a peer message.
    pub(crate) fn reply_sent(&mut self, caller: Caller, outcome: PeerOutcome, out: &mut dyn Sink) {
        if self.traces.is_on {
            self.trace_outcome(caller, outcome);
        }
        match caller {
            Caller::Request { .. } => {
                // A client knows stored from missed by what it has asked for.
                let received = outcome == PeerOutcome::Received;
                self.reply(caller, reply::Result::PeerSent(PeerSent { received }), out);
            }
            Caller::Outside(ticket) => {
                let (id, server_ts) = self.sent_by_outsider(ticket);
                let answer = OutsideAnswer::Sent {
                    outcome,
                    id,
                    server_ts,
                };
                self.answer_outside(ticket, answer, out);
            }
        }
    }

    pub(crate) fn reply_done(&mut self, caller: Caller, out: &mut dyn Sink) {
        self.reply(caller, reply::Result::Done(Done {}), out);
    }

    /// The session whose client has called. Whoever calls from outside has none, and is told so.
    pub(crate) fn session_of(&mut self, caller: Caller, out: &mut dyn Sink) -> Option<SessionKey> {
        let key = caller.session();
        if key.is_none() {
            let text = "this call needs a login; it cannot be made from outside";
            self.reply_error(caller, error(Outcome::Unsupported, text), out);
        }
        key
    }

    pub(crate) fn reply_error(&mut self, caller: Caller, error: Error, out: &mut dyn Sink) {
        self.count_error(caller, &error);
        if !is_rate(&error) {
            self.charge(caller, rates::Kind::FailedCall, 1);
        }
        self.reply(caller, reply::Result::Error(error), out);
    }
}

impl Kernel {
    fn count_error(&mut self, caller: Caller, error: &Error) {
        let Some(app) = self.user_of(caller).map(|user| user.app.clone()) else {
            // The session has ended since it asked.
            return;
        };
        let counts = self.count(&app);
        counts.errors.note(outcome_name(error));
        if LIMITS.iter().any(|limit| *limit as u32 == error.outcome) {
            counts.refusals.note(outcome_name(error));
        }
    }
}

/// Outcomes that say that something is too large or too many; rates and quotas are counted by their
/// own names where they are met.
const LIMITS: [Outcome; 6] = [
    Outcome::MessageTooLarge,
    Outcome::SizeOverflow,
    Outcome::TooManyChannels,
    Outcome::TooManyChannelsNamed,
    Outcome::TooManyInvitations,
    Outcome::TooManyUsers,
];

/// The name of an error's outcome.
pub(crate) fn outcome_name(error: &Error) -> &'static str {
    let found = Outcome::ALL
        .into_iter()
        .find(|outcome| *outcome as u32 == error.outcome);
    found.map_or("unknown", Outcome::name)
}

/// Whether a call was refused because there were too many: that is counted by its own rate.
fn is_rate(error: &Error) -> bool {
    let rates = [Outcome::TooOften, Outcome::SameChannelTooOften];
    rates.iter().any(|rate| *rate as u32 == error.outcome)
}

/// Makes the error of a reply.
pub(crate) fn error(outcome: Outcome, text: impl Into<String>) -> Error {
    Error {
        outcome: outcome as u32,
        text: text.into(),
        retry_after_ms: 0,
    }
}
