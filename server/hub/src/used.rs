//! What users have used of their rates, kept while they have no session: a logout, a login or a
//! resume, on whichever hub, resets no rate (contract 6.4), and a pause that a client was told is
//! kept.
//!
//! One of them stands before all hubs of a node, as [`crate::admission`] does: a hub tells it when
//! a session ends or a client is sent away ([`crate::Effect::Used`]), and is told of it before a
//! login or a resume ([`crate::Input::Recalled`]). It holds no clock and no lock: who shares it
//! does.

use tidings_wire::limits::RATE_RESUME;
use tidings_wire::names::{AppId, UserId};
use tidings_wire::proto::{ClientFrame, client_message};

use crate::ids::UserKey;
use crate::io::Input;
use crate::kernel::maps::{Map, SeededHasher};

pub use crate::rates::{Used, Word};

/// Nothing of what is remembered counts longer than this, in milliseconds: no rate of a user looks
/// further back, and no pause is longer.
const REMEMBERED_MS: u64 = 10_000;

/// Users that are remembered before the first look for those that can be forgotten.
const FORGET_FROM: usize = 1_024;

/// What the users of a node have used.
#[derive(Debug)]
pub struct UsedRates {
    /// With the time of the last word of each. Bound: twice the users heard of within
    /// `REMEMBERED_MS`, or `FORGET_FROM`.
    users: Map<UserKey, (u64, Used)>,
    forget_at: usize,
}

impl UsedRates {
    /// One that knows nobody. `seed`: a number that clients cannot guess, since they choose the
    /// names.
    pub fn new(seed: (u64, u64)) -> Self {
        Self {
            users: SeededHasher::new(seed).map(),
            forget_at: FORGET_FROM,
        }
    }

    /// Whether nothing is known of anybody.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// Takes what a hub tells of a user.
    pub fn note(&mut self, user: UserKey, word: Word, node_ms: u64) {
        if self.users.len() >= self.forget_at {
            self.users
                .retain(|_, (at_ms, _)| node_ms.saturating_sub(*at_ms) < REMEMBERED_MS);
            self.forget_at = FORGET_FROM.max(2 * self.users.len());
        }
        debug_assert!(
            self.users.len() < self.forget_at,
            "too many users are remembered"
        );
        debug_assert!(
            self.forget_at >= FORGET_FROM,
            "too few users may be remembered"
        );
        let (at_ms, used) = self.users.entry(user).or_default();
        debug_assert!(*at_ms <= node_ms, "time goes back");
        *at_ms = node_ms;
        match word {
            Word::LoggedIn(rate) => {
                used.logins.charge(rate, 1, node_ms);
            }
            Word::Resumed => {
                used.resumes.charge(RATE_RESUME, 1, node_ms);
            }
            Word::Used(word) => {
                let Used {
                    at_ms,
                    kinds,
                    joins,
                    paused_until_ms,
                    ..
                } = *word;
                used.paused_until_ms = used.paused_until_ms.max(paused_until_ms);
                if !kinds.is_empty() || !joins.is_empty() {
                    (used.at_ms, used.kinds, used.joins) = (at_ms, kinds, joins);
                }
            }
        }
    }

    /// What to give a hub right before an input: whatever is known of the user who logs in or
    /// resumes with it.
    pub fn before(&self, input: &Input, node_ms: u64) -> Option<Input> {
        let (connection, user) = match input {
            _ if self.is_empty() => return None,
            Input::Frame { connection, frame } => (*connection, claimant(frame)?),
            Input::Admitted {
                connection, user, ..
            } => (*connection, user.clone()),
            _ => return None,
        };
        let used = self.recall(&user, node_ms)?;
        Some(Input::Recalled {
            connection,
            user,
            used,
        })
    }

    /// What is known of a user, for the hub where it logs in.
    pub fn recall(&self, user: &UserKey, node_ms: u64) -> Option<Box<Used>> {
        let (at_ms, used) = self.users.get(user)?;
        (node_ms.saturating_sub(*at_ms) < REMEMBERED_MS).then(|| Box::new(used.clone()))
    }
}

/// Who a frame's login or resume says that it is. Only its first message can be one.
fn claimant(frame: &ClientFrame) -> Option<UserKey> {
    let (app, user) = match frame.messages.first()?.kind.as_ref()? {
        client_message::Kind::Login(login) => (&login.app_id, &login.user_id),
        client_message::Kind::Resume(resume) => (&resume.app_id, &resume.user_id),
        _ => return None,
    };
    Some(UserKey {
        app: AppId::parse(app).ok()?,
        user: UserId::parse(user).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use tidings_wire::limits::RATE_LOGIN;

    use super::*;
    use crate::kernel::limiter::Limiter;
    use crate::rates::Kind;
    use crate::rates::Rates;

    fn user(name: &str) -> UserKey {
        UserKey {
            app: AppId::parse(&"a".repeat(32)).expect("an app id"),
            user: UserId::parse(name).expect("a user id"),
        }
    }

    #[test]
    fn logins_of_a_user_count_wherever_they_were() {
        let mut rates = UsedRates::new((1, 2));
        for _ in 0..2 {
            rates.note(user("alice"), Word::logged_in(), 1_000);
        }
        let used = rates.recall(&user("alice"), 1_000).expect("known");
        assert_eq!(used.login_wait_ms(RATE_LOGIN, 1_000), Some(500));
        assert_eq!(used.login_wait_ms(RATE_LOGIN, 1_500), None);
        // Two at once, on two hubs, are both counted.
        rates.note(user("alice"), Word::logged_in(), 1_000);
        let used = rates.recall(&user("alice"), 1_000).expect("known");
        assert_eq!(used.login_wait_ms(RATE_LOGIN, 1_000), Some(1_000));
        assert_eq!(rates.recall(&user("bob"), 1_000), None);
    }

    #[test]
    fn what_a_session_has_used_is_there_for_the_next_by_another_clock() {
        let rates = Rates::default();
        let mut limiter = Limiter::default();
        for _ in 0..180 {
            limiter
                .take(Kind::Message, &rates, 50_000)
                .expect("within the rate");
        }
        let mut known = UsedRates::new((1, 2));
        let used = limiter.used(&rates, (50_000, 1_000));
        known.note(user("alice"), Word::Used(Box::new(used)), 1_000);
        let used = known.recall(&user("alice"), 1_500).expect("known");
        let mut next = Limiter::default();
        next.absorb(&used, &rates, (7_500, 1_500));
        // Half a second gives 30 back.
        let taken = (0..180)
            .take_while(|_| next.take(Kind::Message, &rates, 7_500).is_ok())
            .count();
        assert_eq!(taken, 30);
    }

    #[test]
    fn a_pause_outlives_what_a_session_tells_at_its_end() {
        let mut rates = UsedRates::new((1, 2));
        let paused = Used {
            paused_until_ms: 6_000,
            ..Used::default()
        };
        rates.note(user("alice"), Word::Used(Box::new(paused)), 1_000);
        rates.note(user("alice"), Word::Used(Box::default()), 2_000);
        let used = rates.recall(&user("alice"), 2_000).expect("known");
        assert_eq!((used.pause_ms(2_000), used.pause_ms(6_000)), (4_000, 0));
    }

    #[test]
    fn those_who_are_remembered_are_bounded_and_forgotten() {
        let mut rates = UsedRates::new((1, 2));
        for n in 0..20_000_u64 {
            // 100 a second.
            rates.note(user(&n.to_string()), Word::logged_in(), 10 * n);
        }
        assert!(
            rates.users.len() <= 2 * FORGET_FROM,
            "{}",
            rates.users.len()
        );
        assert_eq!(rates.recall(&user("19999"), 199_990 + REMEMBERED_MS), None);
    }
}
