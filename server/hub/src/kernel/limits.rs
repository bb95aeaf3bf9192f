//! What callers take: rates, debts for what calls have cost, and quotas of apps.
//!
//! A cost is known when the work is done. It is counted then, and the user's next call of that sort
//! waits until it is paid off: one message to a channel of any size passes, and a stream of them
//! goes at the pace that the user's share allows. This holds for clients of every kind, also for
//! those whose rates somebody else limits.

use tidings_fault::fault;
use tidings_wire::codes::{CloseCode, Outcome};
use tidings_wire::frame::encode_server;
use tidings_wire::limits as l;
use tidings_wire::limits::RATE_LIMITED_WAIT_MS;
use tidings_wire::names::AppId;
use tidings_wire::proto::{Error, Refused, server_message};

use crate::Quotas;
use crate::config::AppSettings;
use crate::ids::{SessionKey, UserKey};
use crate::io::{Effect, Sink};
use crate::kernel::caller::Caller;
use crate::kernel::{Kernel, limiter};
use crate::quotas::{Place, exceeded};
use crate::rates::{self, Kind, Rates, Used, Word};

/// A message that makes fewer bytes than this of itself is not counted: nobody is bothered by it at
/// its rate.
pub(crate) const FAN_OUT_BYTES_MIN: usize = 4 * 1024;

/// What a member list that other hubs are asked for is taken to hold until it is there.
pub(crate) const LISTED_MEMBERS_GUESS: u64 = 256;

impl Kind {
    /// What has to be paid off before such a call.
    fn debts(self) -> &'static [Kind] {
        match self {
            Self::GetMembers => &[Self::Answer, Self::ListedMembers],
            Self::GetMemberCounts
            | Self::QueryPresence
            | Self::QuerySubscriptions
            | Self::ReadUserAttributes
            | Self::ReadChannelAttributes
            | Self::ReadHistory => &[Self::Answer],
            Self::WriteChannelAttributes => &[Self::FanOut],
            _ => &[],
        }
    }
}

impl Kernel {
    /// Whether what a session's calls cost is counted. Who speaks for a client limits its rates,
    /// not its costs.
    fn counts_costs(&self, key: SessionKey) -> bool {
        let Some(session) = self.sessions.get(key) else {
            // It has ended since it called: nothing is left to be counted on.
            return false;
        };
        let is_paced = session.traits.is_paced && !session.traits.is_service;
        session.settings.rate_limits
            || is_paced && self.config.apps.settings(&session.user.app).rate_limits
    }

    /// Whether the session has paid off what such a call waits for; if not, answers the request.
    pub(crate) fn check_debts(&mut self, caller: Caller, kind: Kind, out: &mut dyn Sink) -> bool {
        kind.debts()
            .iter()
            .all(|debt| self.check_debt(caller, *debt, out))
    }

    pub(crate) fn check_debt(&mut self, caller: Caller, debt: Kind, out: &mut dyn Sink) -> bool {
        let Some(key) = caller.session() else {
            // Nothing was charged to whoever stands outside.
            return true;
        };
        let Some(session) = self.sessions.get(key) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return false;
        };
        // Nearly always: nothing of that sort was ever charged.
        if !session.rates.limiter.has_used(debt) || !self.counts_costs(key) {
            return true;
        }
        let listed = self.config.apps.listed.get(&session.user.app);
        let rates = listed.map_or(&self.default_rates, |app| &app.rates);
        match session.rates.limiter.check(debt, rates, self.now.mono_ms) {
            Ok(()) => true,
            Err(error) => {
                self.refuse_rate(caller, (debt, error), out);
                false
            }
        }
    }

    /// Counts a cost.
    pub(crate) fn charge(&mut self, caller: Caller, kind: Kind, amount: u64) {
        let Some(key) = caller.session().filter(|key| self.counts_costs(*key)) else {
            // Nobody to charge: the caller is outside, has gone, or has no limits.
            return;
        };
        let now_ms = self.now.mono_ms;
        let Kernel {
            sessions,
            config,
            default_rates,
            ..
        } = self;
        if let Some(session) = sessions.get_mut(key) {
            let listed = config.apps.listed.get(&session.user.app);
            let rates: &Rates = listed.map_or(default_rates, |app| &app.rates);
            session.rates.limiter.charge(kind, amount, rates, now_ms);
        }
    }

    /// Counts what was sent to so many.
    pub(crate) fn charge_fan_out(&mut self, caller: Caller, bytes: usize, members: usize) {
        let cost = bytes.saturating_mul(members);
        if cost >= FAN_OUT_BYTES_MIN {
            self.charge(caller, Kind::FanOut, (cost / 1024) as u64);
        }
    }

    /// Answers a call that is over its rate. A client that does not heed such answers is sent away
    /// for a while; its session can be resumed.
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
        let counted = session.rates.counted;
        self.tally.at(counted).refusals.note(kind.name());
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
        debug_assert!(retry_after_ms > 0, "sent away for no time");
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

    /// Keeps a user's clients away for as long as they were told, on whichever hub they come back.
    fn pause(&mut self, key: SessionKey, pause_ms: u64, out: &mut dyn Sink) {
        debug_assert!(pause_ms > 0, "kept away for no time");
        let Some(session) = self.sessions.get(key) else {
            debug_assert!(false, "a session is gone while it is dealt with");
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

    /// Counts a login whose credentials are good: nobody else can use a user's logins up.
    pub(crate) fn take_login(
        &mut self,
        user: &UserKey,
        settings: AppSettings,
        used: Option<&Used>,
        out: &mut dyn Sink,
    ) -> Result<(), Error> {
        let node_ms = self.node_ms();
        let pause_ms = used.map_or(0, |used| used.pause_ms(node_ms));
        if pause_ms > 0 {
            self.count(&user.app).refusals.note(PAUSE);
            return Err(paused(pause_ms));
        }
        if !settings.rate_limits {
            return Ok(());
        }
        let listed = self.config.apps.listed.get(&user.app);
        let rates = listed.map_or(&self.default_rates, |app| &app.rates);
        let rate = rates.get(rates::Kind::Login);
        if let Some(wait_ms) = used.and_then(|used| used.login_wait_ms(rate, node_ms)) {
            let limit = rates::Kind::Login.name();
            self.count(&user.app).refusals.note(limit);
            return Err(limiter::logs_in_too_often(rate, wait_ms));
        }
        out.emit(Effect::Used {
            user: user.clone(),
            word: Word::LoggedIn(rate),
        });
        Ok(())
    }

    /// Tells what a session's user has used of its rates, for its next session on whichever hub.
    pub(crate) fn remember_rates(&mut self, key: SessionKey, out: &mut dyn Sink) {
        let times = (self.now.mono_ms, self.node_ms());
        let Some(session) = self.sessions.get(key) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        let used = session
            .rates
            .limiter
            .used(self.rates_of(&session.user), times);
        if !used.is_empty() && !fault!(LoginResetsRates) {
            out.emit(Effect::Used {
                user: session.user.clone(),
                word: Word::Used(Box::new(used)),
            });
        }
    }

    pub(crate) fn rates_of(&self, user: &UserKey) -> &Rates {
        let listed = self.config.apps.listed.get(&user.app);
        listed.map_or(&self.default_rates, |app| &app.rates)
    }

    /// Has a login that was just begun go on with what its user has used of its rates.
    pub(crate) fn charge_used(&mut self, user: &UserKey, used: Option<&Used>) {
        let Some(used) = used else {
            return;
        };
        let times = (self.now.mono_ms, self.node_ms());
        let listed = self.config.apps.listed.get(&user.app);
        let rates = listed.map_or(&self.default_rates, |app| &app.rates);
        let entry = self.users.get_mut(user);
        if let Some(claim) = entry.and_then(|entry| entry.claim.as_mut()) {
            claim.limiter.absorb(used, rates, times);
        }
    }

    /// Takes the login's place among those of its app. One that takes over from an older login of
    /// the same user has its place in any case.
    pub(crate) fn enter(&mut self, app: &AppId, takes_over: bool) -> Result<Option<Place>, Error> {
        let Some(listed) = self.config.apps.listed.get(app) else {
            return Ok(None);
        };
        let max = Quotas::bound(self.config.apps.quotas(app).max_connections);
        match listed.usage.enter(max.filter(|_| !takes_over)) {
            Some(place) => Ok(Some(place)),
            None => {
                let max = max.unwrap_or_default();
                let name = "max_connections";
                let mut error = exceeded(Outcome::Overloaded, app, name, max);
                error.retry_after_ms = l::OVERLOADED_WAIT_MS as u32;
                self.count(app).refusals.note(name);
                Err(error)
            }
        }
    }

    /// Counts a message of which so many copies are made, or answers the request: the app's users
    /// together send too many.
    pub(crate) fn take_quota(
        &mut self,
        caller: Caller,
        app: &AppId,
        copies: Option<usize>,
        out: &mut dyn Sink,
    ) -> bool {
        debug_assert!(
            copies.is_none_or(|copies| copies > 0),
            "a message without a copy"
        );
        if !self.has_message_quotas {
            return true;
        }
        let Some(listed) = self.config.apps.listed.get(app) else {
            // Only listed apps have quotas.
            return true;
        };
        let quotas = self.config.apps.quotas(app);
        let now_ms = self.node_ms();
        match listed.usage.take_message(app, quotas, copies, now_ms) {
            Ok(()) => true,
            Err((quota, error)) => {
                self.count(app).refusals.note(quota);
                self.reply_error(caller, error, out);
                false
            }
        }
    }

    /// Takes one call of a rate, or answers the request with the wait. Returns whether to go on.
    pub(crate) fn take_rate(&mut self, caller: Caller, kind: Kind, out: &mut dyn Sink) -> bool {
        if !self.check_debts(caller, kind, out) {
            return false;
        }
        let Some(key) = caller.session() else {
            // Whoever stands outside is limited at the door that it has come through.
            return true;
        };
        let now_ms = self.now.mono_ms;
        let first = self
            .sessions
            .keys()
            .next()
            .filter(|_| fault!(UsersShareRates));
        let Some(session) = self.sessions.get_mut(first.unwrap_or(key)) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return false;
        };
        if !session.settings.rate_limits {
            return true;
        }
        let listed = self.config.apps.listed.get(&session.user.app);
        let rates = listed.map_or(&self.default_rates, |app| &app.rates);
        match session.rates.limiter.take(kind, rates, now_ms) {
            Ok(()) => true,
            Err(error) => {
                self.refuse_rate(caller, (kind, error), out);
                false
            }
        }
    }
}

/// The name under which it is counted that somebody was back too soon after being sent away.
pub(crate) const PAUSE: &str = "pause";

/// The error of a client that was sent away for its rates and is back before its time.
pub(crate) fn paused(pause_ms: u64) -> Error {
    Error {
        outcome: Outcome::TooOften as u32,
        text: format!("this user was sent away for sending too much; come back in {pause_ms} ms"),
        retry_after_ms: u32::try_from(pause_ms).unwrap_or(u32::MAX),
    }
}
