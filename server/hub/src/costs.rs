//! What a call costs beside being one: what it makes many copies of, and what its answer makes of it.
//!
//! The cost is known when the work is done. It is counted then, and the user's next call of that sort waits until it
//! is paid off: one message to a channel of any size passes, and a stream of them goes at the pace that the user's
//! share allows. This holds for clients of every kind, also for those whose rates somebody else limits.

use crate::caller::Caller;
use crate::ids::SessionKey;
use crate::io::Sink;
use crate::kernel::Kernel;
use crate::limiter::{Kind, Rates};

/// A message that makes fewer bytes than this of itself is not counted: nobody is bothered by it at its rate.
const FAN_OUT_BYTES_MIN: usize = 4 * 1024;

/// An answer of fewer bytes than this is not counted.
pub(crate) const ANSWER_BYTES_MIN: usize = 1024;

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
    /// Whether what a session's calls cost is counted. Who speaks for a client limits its rates, not its costs.
    fn counts_costs(&self, key: SessionKey) -> bool {
        let Some(session) = self.sessions.get(key) else {
            return false;
        };
        session.settings.rate_limits
            || session.traits.is_paced && self.config.apps.settings(&session.user.app).rate_limits
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
}
