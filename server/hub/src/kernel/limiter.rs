//! The rate limits of one session.

use tidings_fault::fault;
use tidings_wire::codes::Outcome;
use tidings_wire::limits as l;
use tidings_wire::names::ChannelName;
use tidings_wire::proto::Error;
use tidings_wire::rates::{Bucket, Rate};

use crate::Rates;
use crate::rates::{Kind, RATES, Used};

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
    pub(crate) fn take(&mut self, kind: Kind, rates: &Rates, now_ms: u64) -> Result<(), Error> {
        let bucket = self.bucket(kind);
        if fault!(RatesAreNotLimited) {
            return Ok(());
        }
        let (_, _, what, _) = RATES[kind as usize];
        let rate = rates.get(kind);
        bucket
            .take(rate, now_ms)
            .map_err(|wait| too_often(Outcome::TooOften, what, rate, wait))
    }

    /// What counts still, at a time of the hub's clock and the node's.
    pub(crate) fn used(&self, rates: &Rates, (now_ms, node_ms): (u64, u64)) -> Used {
        let kinds = self.buckets.iter().filter_map(|(kind, bucket)| {
            let used = bucket.used(rates.get(*kind), now_ms);
            (used > 0).then_some((*kind, used))
        });
        let rate = rates.get(Kind::JoinSameChannel);
        let joins = self.joins.iter().filter_map(|(channel, bucket)| {
            let used = bucket.used(rate, now_ms);
            (used > 0).then(|| (channel.clone(), used))
        });
        Used {
            at_ms: node_ms,
            kinds: kinds.collect(),
            joins: joins.collect(),
            ..Used::default()
        }
    }

    /// Takes over what a session of the same user has used, perhaps by another clock.
    pub(crate) fn absorb(&mut self, used: &Used, rates: &Rates, (now_ms, node_ms): (u64, u64)) {
        let passed_ms = node_ms.saturating_sub(used.at_ms);
        let left = |rate: Rate, used: u64| used.saturating_sub(passed_ms * u64::from(rate.calls));
        for (kind, used) in &used.kinds {
            let rate = rates.get(*kind);
            self.bucket(*kind).raise(rate, left(rate, *used), now_ms);
        }
        let rate = rates.get(Kind::JoinSameChannel);
        for (channel, used) in &used.joins {
            self.join_bucket(channel)
                .raise(rate, left(rate, *used), now_ms);
        }
    }

    fn bucket(&mut self, kind: Kind) -> &mut Bucket {
        let at = match self.buckets.iter().position(|(have, _)| *have == kind) {
            Some(at) => at,
            None => {
                self.buckets.push((kind, Bucket::default()));
                self.buckets.len() - 1
            }
        };
        &mut self.buckets[at].1
    }

    /// Counts something of whatever size, which is never refused: the next call is, while too much
    /// is owed.
    pub(crate) fn charge(&mut self, kind: Kind, amount: u64, rates: &Rates, now_ms: u64) {
        self.bucket(kind).charge(rates.get(kind), amount, now_ms);
    }

    /// Whether anything of a kind was ever counted.
    pub(crate) fn has_used(&self, kind: Kind) -> bool {
        self.buckets.iter().any(|(have, _)| *have == kind)
    }

    /// Why the next call has to wait for what was charged before.
    pub(crate) fn check(&self, kind: Kind, rates: &Rates, now_ms: u64) -> Result<(), Error> {
        let rate = rates.get(kind);
        let bucket = self.buckets.iter().find(|(have, _)| *have == kind);
        match bucket.and_then(|(_, bucket)| bucket.wait(rate, now_ms)) {
            Some(wait_ms) => {
                let (.., what, _) = RATES[kind as usize];
                Err(too_often(Outcome::TooOften, what, rate, wait_ms))
            }
            None => Ok(()),
        }
    }

    fn join_bucket(&mut self, channel: &ChannelName) -> &mut Bucket {
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
        &mut self.joins[at].1
    }

    /// Takes one join of one channel.
    pub(crate) fn take_join(
        &mut self,
        channel: &ChannelName,
        rates: &Rates,
        now_ms: u64,
    ) -> Result<(), Error> {
        let (_, _, what, _) = RATES[Kind::JoinSameChannel as usize];
        let rate = rates.get(Kind::JoinSameChannel);
        self.join_bucket(channel)
            .take(rate, now_ms)
            .map_err(|wait| too_often(Outcome::SameChannelTooOften, what, rate, wait))
    }
}

/// The error of a login that comes too soon after others of its user.
pub(crate) fn logs_in_too_often(rate: Rate, wait_ms: u64) -> Error {
    let (_, _, what, _) = RATES[Kind::Login as usize];
    too_often(Outcome::TooOften, what, rate, wait_ms)
}

/// The error of a resume that comes too soon after others of its user.
pub(crate) fn resumes_too_often(wait_ms: u64) -> Error {
    too_often(
        Outcome::TooOften,
        "resumes of one user",
        l::RATE_RESUME,
        wait_ms,
    )
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

impl Limiter {
    /// Asserts what holds between two inputs.
    pub(crate) fn assert_consistent(&self) {
        for (at, (kind, _)) in self.buckets.iter().enumerate() {
            let again = self.buckets[at + 1..]
                .iter()
                .any(|(other, _)| other == kind);
            assert!(!again, "a rate has two buckets");
        }
        assert!(
            self.joins.len() <= REMEMBERED_JOINS,
            "too many joins are remembered"
        );
        for (at, (channel, _)) in self.joins.iter().enumerate() {
            let again = self.joins[at + 1..]
                .iter()
                .any(|(other, _)| other == channel);
            assert!(!again, "the joins of a channel are counted twice");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_do_not_share_buckets_and_the_wait_is_told() {
        let mut limiter = Limiter::default();
        assert!(
            limiter
                .take(Kind::GetMemberCounts, &Rates::default(), 0)
                .is_ok()
        );
        let error = limiter
            .take(Kind::GetMemberCounts, &Rates::default(), 0)
            .expect_err("one per second");
        assert_eq!(error.retry_after_ms, 1000);
        assert!(limiter.take(Kind::Message, &Rates::default(), 0).is_ok());
    }

    #[test]
    fn one_channel_can_be_joined_twice_in_five_seconds() {
        let mut limiter = Limiter::default();
        let a = ChannelName::parse("a").expect("name");
        let b = ChannelName::parse("b").expect("name");
        assert!(limiter.take_join(&a, &Rates::default(), 0).is_ok());
        assert!(limiter.take_join(&a, &Rates::default(), 0).is_ok());
        let error = limiter
            .take_join(&a, &Rates::default(), 0)
            .expect_err("the third is too often");
        assert_eq!(error.outcome, Outcome::SameChannelTooOften as u32);
        assert!(limiter.take_join(&b, &Rates::default(), 0).is_ok());
        assert!(limiter.take_join(&a, &Rates::default(), 2_500).is_ok());
    }

    #[test]
    fn every_kind_stands_at_its_place() {
        for (at, (kind, name)) in Kind::named().enumerate() {
            assert_eq!(kind as usize, at, "{name}");
        }
    }
}
