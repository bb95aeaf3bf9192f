//! Clients that stay far above a rate: refusing them costs, and they do not listen (contract OVL-3).

use tidings_fault::fault;
use tidings_wire::codes::{CloseCode, Outcome};
use tidings_wire::frame::encode_server;
use tidings_wire::limits::{FLOOD_FACTOR, FLOOD_MS, RATE_LIMITED_WAIT_MS};
use tidings_wire::proto::{Error, Refused, server_message};
use tidings_wire::rates::{Bucket, Rate};

use crate::Hub;
use crate::caller::Caller;
use crate::ids::ConnectionId;
use crate::ids::SessionKey;
use crate::io::{Effect, Sink};
use crate::kernel::Kernel;
use crate::limiter::Kind;
use crate::login::Connection;
use crate::used::{Used, Word};

/// Refused calls of one kind.
#[derive(Debug, Clone, Copy)]
struct Flood {
    kind: Kind,
    /// Of refused calls: what passes the limit itself is one part, these are the others.
    refused: Bucket,
    /// Since when, and until when, there were too many of them. Monotonic milliseconds.
    since_ms: u64,
    last_ms: u64,
}

/// The floods of one session. Only refused calls are looked at: what is within its rate costs nothing here.
///
/// Bound: the kinds of calls.
#[derive(Debug, Default, Clone)]
pub(crate) struct Floods(Vec<Flood>);

impl Floods {
    /// Counts a refused call. Returns whether its client has been above five times the rate for 10 s.
    pub(crate) fn count(&mut self, kind: Kind, rate: Rate, now_ms: u64) -> bool {
        let rate = Rate {
            calls: rate.calls.saturating_mul(FLOOD_FACTOR as u32 - 1),
            ..rate
        };
        let at = match self.0.iter().position(|flood| flood.kind == kind) {
            Some(at) => at,
            None => {
                self.0.push(Flood {
                    kind,
                    refused: Bucket::default(),
                    since_ms: now_ms,
                    last_ms: 0,
                });
                self.0.len() - 1
            }
        };
        let flood = &mut self.0[at];
        if flood.refused.take(rate, now_ms).is_ok() {
            return false;
        }
        // Whoever has stayed below it for a whole window begins anew.
        if now_ms.saturating_sub(flood.last_ms) > u64::from(rate.window_ms) {
            flood.since_ms = now_ms;
        }
        flood.last_ms = now_ms;
        now_ms - flood.since_ms >= FLOOD_MS && !fault!(FlooderIsNotSentAway)
    }
}

impl Kernel {
    /// Answers a call that is over its rate. A client that does not heed such answers is sent away for a while; its
    /// session can be resumed.
    pub(crate) fn refuse_rate(
        &mut self,
        caller: Caller,
        (kind, error): (Kind, Error),
        out: &mut dyn Sink,
    ) {
        let now_ms = self.now.mono_ms;
        let Some(key) = caller.session() else {
            return self.reply_error(caller, error, out);
        };
        let Some(session) = self.sessions.get_mut(key) else {
            debug_assert!(false, "a session that has just called is there");
            return;
        };
        let listed = self.config.apps.listed.get(&session.user.app);
        let rates = listed.map_or(&self.default_rates, |app| &app.rates);
        let floods = session.rates.floods.get_or_insert_default();
        let is_flood = floods.count(kind, rates.get(kind), now_ms);
        if is_flood {
            session.rates.floods = None;
        }
        self.reply_error(caller, error, out);
        if is_flood {
            self.send_away(key, CloseCode::RateLimited, RATE_LIMITED_WAIT_MS, out);
        }
    }

    /// Closes the session's connection and says when to come back.
    pub(crate) fn send_away(
        &mut self,
        key: SessionKey,
        code: CloseCode,
        retry_after_ms: u64,
        out: &mut dyn Sink,
    ) {
        let session = self.sessions.get(key);
        if let Some(connection) = session.and_then(|session| session.connection) {
            let outcome = match code {
                CloseCode::RateLimited => Outcome::TooOften,
                _ => Outcome::Overloaded,
            };
            let error = Error {
                outcome: outcome as u32,
                text: format!("{}; come back in {retry_after_ms} ms", code.name()),
                retry_after_ms: u32::try_from(retry_after_ms).unwrap_or(u32::MAX),
            };
            let refused = server_message::Kind::Refused(Refused { error: Some(error) });
            let frame = encode_server(refused);
            out.emit(Effect::Send { connection, frame });
        }
        if code == CloseCode::RateLimited && !fault!(FlooderMayReturnAtOnce) {
            self.pause(key, retry_after_ms, out);
        }
        self.detach(key, Some(code), out);
    }
}

impl Hub {
    /// A connection has sent too much for too long, whatever it was.
    pub(crate) fn handle_flooded(&mut self, connection: ConnectionId, out: &mut dyn Sink) {
        match self.kernel.connections.get(&connection) {
            Some(Connection::Serving(key)) => {
                self.kernel
                    .send_away(*key, CloseCode::RateLimited, RATE_LIMITED_WAIT_MS, out);
            }
            _ => self.drop_connection(connection, Some(CloseCode::RateLimited), out),
        }
    }
}

impl Kernel {
    /// Keeps a user's clients away for as long as they were told, on whichever hub they come back.
    fn pause(&mut self, key: SessionKey, pause_ms: u64, out: &mut dyn Sink) {
        let Some(session) = self.sessions.get(key) else {
            return;
        };
        let used = Used {
            paused_until_ms: self.node_ms() + pause_ms,
            ..Used::default()
        };
        out.emit(Effect::Used {
            user: session.user.clone(),
            word: Word::Used(Box::new(used)),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        calls: 10,
        window_ms: 1_000,
    };

    /// So many refused calls a second, for so long; when they were too many.
    fn flood(floods: &mut Floods, per_s: u64, from_ms: u64, ms: u64) -> Option<u64> {
        (0..per_s * ms / 1_000)
            .map(|n| from_ms + n * 1_000 / per_s)
            .find(|now_ms| floods.count(Kind::Message, RATE, *now_ms))
    }

    #[test]
    fn four_times_the_rate_refused_is_borne_and_more_is_not_for_long() {
        let mut floods = Floods::default();
        assert_eq!(flood(&mut floods, 40, 0, 60_000), None);
        let mut floods = Floods::default();
        let at_ms = flood(&mut floods, 60, 0, 60_000).expect("too many");
        // The burst that the bucket lets through comes first.
        assert!(
            (FLOOD_MS..FLOOD_MS + 3_000).contains(&at_ms),
            "after {at_ms} ms"
        );
    }

    #[test]
    fn a_pause_of_a_window_begins_the_count_anew() {
        let mut floods = Floods::default();
        for round in 0..5 {
            assert_eq!(flood(&mut floods, 100, round * 12_000, 9_000), None);
        }
    }
}
