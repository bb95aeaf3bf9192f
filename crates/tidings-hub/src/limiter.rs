//! The rate limits of one session.

use tidings_wire::codes::Outcome;
use tidings_wire::limits as l;
use tidings_wire::names::ChannelName;
use tidings_wire::proto::Error;
use tidings_wire::rates::{Bucket, Rate};

/// What is counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Message,
    Join,
    GetMembers,
    GetMemberCounts,
    RenewToken,
    QueryPresence,
    SubscribePresence,
    UnsubscribePresence,
    QuerySubscriptions,
    WriteUserAttributes,
    ReadUserAttributes,
    WriteChannelAttributes,
    ReadChannelAttributes,
    ReadHistory,
    Invite,
}

const KINDS: usize = 15;

/// Rates in the order of [`Kind`].
const RATES: [(&str, Rate); KINDS] = [
    ("messages", l::RATE_MESSAGE),
    ("joins", l::RATE_JOIN),
    ("member list calls", l::RATE_GET_MEMBERS),
    ("member count calls", l::RATE_GET_MEMBER_COUNTS),
    ("token renewals", l::RATE_RENEW_TOKEN),
    ("presence queries", l::RATE_QUERY_PRESENCE),
    ("presence subscriptions", l::RATE_SUBSCRIBE_PRESENCE),
    ("presence unsubscriptions", l::RATE_UNSUBSCRIBE_PRESENCE),
    ("subscription queries", l::RATE_QUERY_SUBSCRIPTIONS),
    ("user attribute changes", l::RATE_WRITE_USER_ATTRIBUTES),
    ("user attribute reads", l::RATE_READ_USER_ATTRIBUTES),
    (
        "channel attribute changes",
        l::RATE_WRITE_CHANNEL_ATTRIBUTES,
    ),
    ("channel attribute reads", l::RATE_READ_CHANNEL_ATTRIBUTES),
    ("history reads", l::RATE_READ_HISTORY),
    ("invitations", l::RATE_INVITE),
];

/// Channels whose joins are remembered for the same-channel rate; the oldest is forgotten first.
const REMEMBERED_JOINS: usize = 64;

/// The buckets of one session; nothing is allocated before the first call of a kind.
#[derive(Debug, Default, Clone)]
pub(crate) struct Limiter {
    buckets: Vec<(Kind, Bucket)>,
    joins: Vec<(ChannelName, Bucket)>,
}

impl Limiter {
    /// Takes one call of a kind.
    pub(crate) fn take(&mut self, kind: Kind, now_ms: u64) -> Result<(), Error> {
        let at = match self.buckets.iter().position(|(have, _)| *have == kind) {
            Some(at) => at,
            None => {
                self.buckets.push((kind, Bucket::default()));
                self.buckets.len() - 1
            }
        };
        let (what, rate) = RATES[kind as usize];
        self.buckets[at]
            .1
            .take(rate, now_ms)
            .map_err(|wait| too_often(Outcome::TooOften, what, rate, wait))
    }

    /// Takes one join of one channel.
    pub(crate) fn take_join(&mut self, channel: &ChannelName, now_ms: u64) -> Result<(), Error> {
        let at = match self.joins.iter().position(|(have, _)| have == channel) {
            Some(at) => at,
            None => {
                if self.joins.len() == REMEMBERED_JOINS {
                    self.joins.remove(0);
                }
                self.joins.push((channel.clone(), Bucket::default()));
                self.joins.len() - 1
            }
        };
        let rate = l::RATE_JOIN_SAME_CHANNEL;
        self.joins[at].1.take(rate, now_ms).map_err(|wait| {
            too_often(
                Outcome::SameChannelTooOften,
                "joins of one channel",
                rate,
                wait,
            )
        })
    }
}

fn too_often(outcome: Outcome, what: &str, rate: Rate, wait_ms: u64) -> Error {
    Error {
        outcome: outcome as u32,
        text: format!(
            "more than {} {what} in {} ms; try again in {wait_ms} ms",
            rate.calls, rate.window_ms
        ),
        retry_after_ms: u32::try_from(wait_ms).unwrap_or(u32::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_do_not_share_buckets_and_the_wait_is_told() {
        let mut limiter = Limiter::default();
        assert!(limiter.take(Kind::GetMemberCounts, 0).is_ok());
        let error = limiter
            .take(Kind::GetMemberCounts, 0)
            .expect_err("one per second");
        assert_eq!(error.retry_after_ms, 1000);
        assert!(limiter.take(Kind::Message, 0).is_ok());
    }

    #[test]
    fn one_channel_can_be_joined_twice_in_five_seconds() {
        let mut limiter = Limiter::default();
        let a = ChannelName::parse("a").expect("name");
        let b = ChannelName::parse("b").expect("name");
        assert!(limiter.take_join(&a, 0).is_ok());
        assert!(limiter.take_join(&a, 0).is_ok());
        let error = limiter
            .take_join(&a, 0)
            .expect_err("the third is too often");
        assert_eq!(error.outcome, Outcome::SameChannelTooOften as u32);
        assert!(limiter.take_join(&b, 0).is_ok());
        assert!(limiter.take_join(&a, 2_500).is_ok());
    }
}
