//! The security log: who was let in, who was refused and why, who was sent away. Target
//! `tidings::security`.
//!
//! Every event names the source address and the connection; app and user as far as they are known,
//! never a token, a certificate or a payload. What strangers can cause is sampled, so that a flood
//! costs a bounded number of lines: the next line of its kind tells how many were left out. The
//! page `site/guide/security-log.md` lists the events.

use std::net::IpAddr;

use tidings_hub::Apps;
use tidings_hub::counts::Counted;
use tidings_hub::ids::SessionId;
use tidings_legacy::LoginRefusal;
use tidings_wire::codes::{CloseCode, Outcome};
use tidings_wire::hex;
use tidings_wire::names::AppId;
use tidings_wire::proto::Error;
use tidings_wire::rates::{Bucket, Rate};

use crate::admitting::Entry;
use crate::connection::Connection;
use crate::gate::Full;
use crate::report::DoorCounts;

/// Lines of one kind that strangers can cause. Source: contract 6.2.
const STRANGERS: Rate = Rate {
    calls: 100,
    window_ms: 10_000,
};

/// Lines of logins, which cost their user a login each.
const USERS: Rate = Rate {
    calls: 5_000,
    window_ms: 10_000,
};

/// Longest name in a line, in characters: names of refused logins are whatever a stranger has sent.
const NAME_CHARS_MAX: usize = 64;

/// The log of one hub's thread.
#[derive(Debug)]
pub(crate) struct SecurityLog {
    hub: u16,
    now_ms: u64,
    entries: Sampled,
    refusals: Sampled,
    floods: Sampled,
    ends: Sampled,
    turned_away: Sampled,
    given_up: Sampled,
    /// Of all of it, whether there was a line or not.
    counts: DoorCounts,
}

/// Lines of one kind.
#[derive(Debug)]
struct Sampled {
    rate: Rate,
    bucket: Bucket,
    left_out: u64,
}

impl Sampled {
    fn new(rate: Rate) -> Self {
        Self {
            rate,
            bucket: Bucket::default(),
            left_out: 0,
        }
    }

    /// Whether a line is written now, and how many were left out before it.
    fn take(&mut self, now_ms: u64) -> Option<u64> {
        match self.bucket.take(self.rate, now_ms) {
            Ok(()) => Some(std::mem::take(&mut self.left_out)),
            Err(_) => {
                self.left_out += 1;
                None
            }
        }
    }
}

/// Writes one event. A macro, since `tracing` wants names of fields where it is called.
macro_rules! event {
    ($level:ident, $event:literal, $source:expr, $($field:tt)*) => {
        tracing::$level!(
            target: "tidings::security",
            event = $event,
            source = $source.map(tracing::field::display),
            $($field)*
        )
    };
}

impl SecurityLog {
    pub(crate) fn new(hub: u16) -> Self {
        Self {
            hub,
            now_ms: 0,
            entries: Sampled::new(USERS),
            refusals: Sampled::new(STRANGERS),
            floods: Sampled::new(STRANGERS),
            ends: Sampled::new(USERS),
            turned_away: Sampled::new(STRANGERS),
            given_up: Sampled::new(STRANGERS),
            counts: DoorCounts::default(),
        }
    }

    /// Who was not let in so far.
    pub(crate) fn counts(&self) -> &DoorCounts {
        &self.counts
    }

    /// Counts a refused login.
    fn count_refusal(&mut self, connection: &Connection, reason: &'static str, apps: &Apps) {
        let claimed = connection.extra.as_ref();
        let claimed = claimed.and_then(|extra| extra.claimed.as_ref());
        let app = claimed.and_then(|claimed| AppId::parse(&claimed.app).ok());
        let refusals = &mut self.counts.login_refusals;
        match app.filter(|app| apps.has(app)) {
            Some(app) => refusals.of(&app, || apps.listed.contains_key(&app)),
            // Whatever a stranger names has no place here.
            None => refusals.at(Counted::default()),
        }
        .note(reason);
    }

    /// Notes the time of this turn, in monotonic milliseconds.
    pub(crate) fn begin_turn(&mut self, now_ms: u64) {
        self.now_ms = now_ms;
    }

    /// A session is served on the connection from now on.
    pub(crate) fn entry(
        &mut self,
        connection: &Connection,
        entry: Entry,
        session: Option<SessionId>,
    ) {
        let Some(left_out) = self.entries.take(self.now_ms) else {
            return;
        };
        let source = connection.source();
        let (app, user) = names(connection);
        let (protocol, id) = (protocol(connection), connection.id.0);
        let session = session.map(|session| hex(&session.0));
        match entry {
            Entry::Login => event!(
                info,
                "login",
                source,
                app,
                user,
                session,
                protocol,
                connection = id,
                hub = self.hub,
                left_out,
                "logged in"
            ),
            Entry::Resume => event!(
                info,
                "resume",
                source,
                app,
                user,
                session,
                protocol,
                connection = id,
                hub = self.hub,
                left_out,
                "resumed"
            ),
        }
    }

    /// A login or resume was refused.
    pub(crate) fn refusal(&mut self, connection: &Connection, error: &Error, apps: &Apps) {
        let mut outcomes = Outcome::ALL.into_iter();
        let reason = outcomes.find(|outcome| *outcome as u32 == error.outcome);
        let reason = reason.map(Outcome::name);
        self.count_refusal(connection, reason.unwrap_or("unknown"), apps);
        let Some(left_out) = self.refusals.take(self.now_ms) else {
            return;
        };
        let source = connection.source();
        let (app, user) = names(connection);
        let detail = error.text.as_str();
        event!(
            warn,
            "login_refused",
            source,
            app,
            user,
            reason,
            detail,
            protocol = protocol(connection),
            connection = connection.id.0,
            hub = self.hub,
            left_out,
            "a login was refused"
        );
    }

    /// A legacy login was refused.
    pub(crate) fn legacy_refusal(
        &mut self,
        connection: &Connection,
        why: &LoginRefusal,
        apps: &Apps,
    ) {
        let outcome = match why {
            LoginRefusal::UnknownApp => Outcome::UnknownApp,
            LoginRefusal::WrongAccount => Outcome::InvalidUserId,
            LoginRefusal::TokenExpired => Outcome::TokenExpired,
            LoginRefusal::TokenInvalid => Outcome::InvalidToken,
            LoginRefusal::Banned => Outcome::Banned,
            LoginRefusal::Busy => Outcome::Overloaded,
        };
        self.count_refusal(connection, outcome.name(), apps);
        let Some(left_out) = self.refusals.take(self.now_ms) else {
            return;
        };
        let source = connection.source();
        let (app, user) = names(connection);
        event!(
            warn,
            "login_refused",
            source,
            app,
            user,
            reason = "legacy",
            detail = %why,
            protocol = "legacy",
            connection = connection.id.0,
            hub = self.hub,
            left_out,
            "a login was refused"
        );
    }

    /// A connection sends more than it may, and is sent away for it. `user`: who is logged in on
    /// it.
    pub(crate) fn flood(&mut self, connection: &Connection, user: Option<(&str, &str)>) {
        let Some(left_out) = self.floods.take(self.now_ms) else {
            return;
        };
        let source = connection.source();
        let (app, user) = match user {
            Some((app, user)) => (Some(shortened(app)), Some(shortened(user))),
            None => names(connection),
        };
        event!(
            warn,
            "flood",
            source,
            app,
            user,
            protocol = protocol(connection),
            connection = connection.id.0,
            hub = self.hub,
            left_out,
            "a client sent too much"
        );
    }

    /// The server ends a connection for what its client or user has done.
    pub(crate) fn end(&mut self, connection: &Connection, code: CloseCode) {
        let is_of_interest = matches!(
            code,
            CloseCode::Banned
                | CloseCode::AppDisabled
                | CloseCode::RateLimited
                | CloseCode::ProtocolError
                | CloseCode::RemoteLogin
                | CloseCode::TokenExpired
        );
        if !is_of_interest {
            return;
        }
        let Some(left_out) = self.ends.take(self.now_ms) else {
            return;
        };
        let source = connection.source();
        event!(
            info,
            "sent_away",
            source,
            reason = code.name(),
            protocol = protocol(connection),
            connection = connection.id.0,
            hub = self.hub,
            left_out,
            "a connection was ended"
        );
    }

    /// A connection was not taken.
    pub(crate) fn turned_away(&mut self, source: IpAddr, full: Full) {
        let Some(left_out) = self.turned_away.take(self.now_ms) else {
            return;
        };
        let reason = full.name();
        event!(
            warn,
            "turned_away",
            Some(source),
            reason,
            hub = self.hub,
            left_out,
            "a connection was turned away"
        );
    }

    /// A connection without a login was given up for a newer one.
    pub(crate) fn given_up(&mut self, connection: &Connection) {
        self.counts.given_up += 1;
        let Some(left_out) = self.given_up.take(self.now_ms) else {
            return;
        };
        let source = connection.source();
        event!(
            warn,
            "given_up",
            source,
            connection = connection.id.0,
            hub = self.hub,
            left_out,
            "a connection without a login was given up for a newer one"
        );
    }
}

fn protocol(connection: &Connection) -> &'static str {
    if connection.flags.is_legacy {
        "legacy"
    } else {
        "native"
    }
}

/// Who the client says that it is.
fn names(connection: &Connection) -> (Option<String>, Option<String>) {
    let claimed = connection
        .extra
        .as_ref()
        .and_then(|extra| extra.claimed.as_ref());
    claimed
        .map(|claimed| (shortened(&claimed.app), shortened(&claimed.user)))
        .unzip()
}

/// A name of a stranger's choice, made harmless.
fn shortened(name: &str) -> String {
    name.chars()
        .take(NAME_CHARS_MAX)
        .flat_map(char::escape_debug)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_costs_a_bounded_number_of_lines_and_says_how_many_were_left_out() {
        let mut lines = Sampled::new(STRANGERS);
        let written = (0..10_000).filter(|_| lines.take(0).is_some()).count();
        assert_eq!(written, 100);
        assert_eq!(lines.take(100), Some(9_900));
        assert_eq!(lines.take(200), Some(0));
    }

    #[test]
    fn names_of_strangers_are_short_and_of_one_line() {
        assert_eq!(shortened("a\nb\u{1b}[31m"), "a\\nb\\u{1b}[31m");
        assert_eq!(shortened(&"x".repeat(5_000)).len(), NAME_CHARS_MAX);
    }
}
