//! What has happened in a hub and in its apps, for whoever runs the server.
//!
//! Plain numbers of the hub's thread: a report copies them, nothing else ever reads them. What is
//! counted by a name takes the names from code, never from a client.

use std::collections::BTreeMap;

use tidings_wire::names::AppId;

/// Apps that are counted one by one; what others do is counted together. Bound: where every app id
/// is accepted, strangers choose how many there are.
pub const APPS_MAX: usize = 1_000;

/// Of these, apps that no list names: strangers can take no more places, so that apps of the list
/// have theirs.
pub const UNLISTED_APPS_MAX: usize = APPS_MAX / 2;

/// Upper bounds of the buckets of every [`Histogram`], in microseconds.
pub const BOUNDS_US: [u64; 17] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000, 30_000_000,
];

/// How often something took how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Histogram {
    /// By [`BOUNDS_US`], each without those below it.
    counts: [u64; BOUNDS_US.len()],
    /// What took longer than the last bound.
    longer: u64,
    sum_us: u64,
}

impl Histogram {
    /// Counts `times` things that took this long each.
    pub fn note(&mut self, took_us: u64, times: u64) {
        let bucket = BOUNDS_US.partition_point(|bound| *bound < took_us);
        match self.counts.get_mut(bucket) {
            Some(count) => *count += times,
            None => self.longer += times,
        }
        self.sum_us = self.sum_us.saturating_add(took_us.saturating_mul(times));
    }

    /// Both together.
    pub fn add(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.longer += other.longer;
        self.sum_us = self.sum_us.saturating_add(other.sum_us);
    }

    /// How many things were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum::<u64>() + self.longer
    }

    /// How long all of them took together, in microseconds.
    pub fn sum_us(&self) -> u64 {
        self.sum_us
    }

    /// The bound in microseconds that this part of all things did not exceed; `None` = nothing was
    /// counted. What took longer than the last bound counts as that.
    pub fn below(&self, part: f64) -> Option<u64> {
        let count = self.count();
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count, which is no more exact than its bounds"
        )]
        let wanted = (count as f64 * part).ceil() as u64;
        let mut below = 0;
        let mut bounds = self.buckets().filter(|_| count > 0);
        let found = bounds.find(|(_, more)| {
            below += more;
            below >= wanted
        });
        found.map(|(bound, _)| bound.min(BOUNDS_US[BOUNDS_US.len() - 1]))
    }

    /// The bounds in microseconds, each with the number of things that took longer than the bound
    /// before it and no longer than this one; `u64::MAX` is the last bound.
    pub fn buckets(&self) -> impl Iterator<Item = (u64, u64)> {
        let longer = (u64::MAX, self.longer);
        BOUNDS_US.into_iter().zip(self.counts).chain([longer])
    }
}

/// How long things took that a hub begins in one turn and ends in the same or a later one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Waits {
    /// Those that ended in the turn in which they began: whoever knows how long turns take knows
    /// how long these took.
    pub at_once: u64,
    /// The others, from turn to turn. A hub's clock stands still during a turn.
    pub later: Histogram,
}

impl Waits {
    /// Counts something that began so many milliseconds ago.
    pub(crate) fn note(&mut self, ms: u64) {
        if ms == 0 {
            self.at_once += 1;
        } else {
            self.later.note(ms.saturating_mul(1_000), 1);
        }
    }
}

/// Counts by name. Bound: the names, which are literals of the code.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ByName(Vec<(&'static str, u64)>);

impl ByName {
    /// Counts more of a name. O(names).
    pub fn add(&mut self, name: &'static str, more: u64) {
        if more == 0 {
            return;
        }
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, count)) => *count += more,
            None => self.0.push((name, more)),
        }
    }

    /// Counts one more of a name.
    pub fn note(&mut self, name: &'static str) {
        self.add(name, 1);
    }

    /// Has a name in the list, if it was counted or not.
    pub fn mention(&mut self, name: &'static str) {
        if !self.0.iter().any(|(known, _)| *known == name) {
            self.0.push((name, 0));
        }
    }

    /// All names that were counted, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0.iter().copied()
    }

    /// How often all of them were counted together.
    pub fn total(&self) -> u64 {
        self.iter().map(|(_, count)| count).sum()
    }

    /// Adds what another has counted.
    pub fn merge(&mut self, other: &Self) {
        for (name, more) in other.iter() {
            self.add(name, more);
        }
    }
}

/// Messages of one kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Those that users and backends have sent here.
    pub messages: u64,
    /// Their payloads, in bytes.
    pub bytes: u64,
    /// Copies that sessions of this hub were given.
    pub deliveries: u64,
    /// Frames of these copies, in bytes.
    pub delivered_bytes: u64,
}

impl Traffic {
    /// Counts a message that was accepted.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.messages += 1;
        self.bytes += bytes as u64;
    }

    /// Counts a frame that was given to so many sessions.
    pub(crate) fn given(&mut self, frame: usize, sessions: usize) {
        self.deliveries += sessions as u64;
        self.delivered_bytes += frame as u64 * sessions as u64;
    }

    fn add(&mut self, other: Self) {
        self.messages += other.messages;
        self.bytes += other.bytes;
        self.deliveries += other.deliveries;
        self.delivered_bytes += other.delivered_bytes;
    }
}

/// Who is there by one protocol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Present {
    /// Logins since the hub was made.
    pub logins: u64,
    /// Sessions now, with a connection or without.
    pub sessions: u64,
    /// Those of them that have a connection.
    pub connections: u64,
}

impl Present {
    fn add(&mut self, other: Self) {
        self.logins += other.logins;
        self.sessions += other.sessions;
        self.connections += other.connections;
    }
}

/// What has happened in one app since the hub was made, and who is there now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AppCounts {
    /// By the native protocol.
    pub native: Present,
    /// By the legacy protocol.
    pub legacy: Present,
    /// Sessions that were resumed.
    pub resumes: u64,
    /// Sessions that were warned of their token's end, and have not renewed it.
    pub near_expiry: u64,
    /// Messages to users.
    pub peer: Traffic,
    /// Messages to channels.
    pub channel: Traffic,
    /// Calls that were answered with an error, by outcome.
    pub errors: ByName,
    /// What was refused because of a limit, by the limit's name in the settings.
    pub refusals: ByName,
}

impl AppCounts {
    /// Adds what another hub has counted.
    pub fn add(&mut self, other: &Self) {
        self.native.add(other.native);
        self.legacy.add(other.legacy);
        self.resumes += other.resumes;
        self.near_expiry += other.near_expiry;
        self.peer.add(other.peer);
        self.channel.add(other.channel);
        self.errors.merge(&other.errors);
        self.refusals.merge(&other.refusals);
    }

    /// Those of whoever speaks one of the two protocols.
    pub(crate) fn of(&mut self, is_legacy: bool) -> &mut Present {
        if is_legacy {
            &mut self.legacy
        } else {
            &mut self.native
        }
    }
}

/// Checks of the contract that a running hub makes, by their names.
pub const LIVE_CHECKS: [&str; 3] = [
    "call.always_answered",
    "resume.contiguous",
    "session.single_connection",
];

/// What has happened in a hub, whichever app it was in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HubCounts {
    /// From a request to its answer.
    pub requests: Waits,
    /// From a channel message's arrival to the turn in which its members here are written to.
    pub messages: Waits,
    /// What receivers were told to have missed, by cause.
    pub gaps: ByName,
    /// Requests that were repeated and had been executed.
    pub duplicates: u64,
    /// Connections that were closed because their clients did not read or confirm.
    pub slow_consumers: u64,
    /// Members without a session that were found and removed. Must stay 0.
    pub ghosts: u64,
    /// Checks of the contract that failed. Must stay empty.
    pub violations: ByName,
}

/// Something about each app: of those that have a place, and of all others together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally<T> {
    /// In the order in which they were first heard of. Bound: [`APPS_MAX`].
    apps: Vec<(AppId, T)>,
    places: BTreeMap<AppId, usize>,
    /// Those of them that were not listed when they came. Bound: [`UNLISTED_APPS_MAX`].
    unlisted: usize,
    /// The place that was counted at last: mostly the next one is the same.
    last: usize,
    others: T,
}

/// Counts by app.
pub type AppTally = Tally<AppCounts>;

/// Where an app is counted. It stays while the hub lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted(Option<u16>);

impl Counted {
    /// Whether the app has a place of its own.
    pub fn is_single(self) -> bool {
        self.0.is_some()
    }
}

impl<T> Tally<T> {
    /// What there is about single apps, in the order in which they were first heard of.
    pub fn apps(&self) -> &[(AppId, T)] {
        &self.apps
    }

    /// What there is about all apps that had no place of their own, together.
    pub fn others(&self) -> &T {
        &self.others
    }

    /// The counts at a place, to be changed.
    pub fn at(&mut self, counted: Counted) -> &mut T {
        let place = counted.0.map(usize::from);
        match place.and_then(|place| self.apps.get_mut(place)) {
            Some((_, counts)) => counts,
            None => &mut self.others,
        }
    }
}

impl<T: Default> Tally<T> {
    /// Where an app is counted. `is_listed` is asked when it is first heard of.
    pub fn place(&mut self, app: &AppId, is_listed: impl FnOnce() -> bool) -> Counted {
        let is_last = self.apps.get(self.last).is_some_and(|(of, _)| of == app);
        if !is_last {
            match self.places.get(app) {
                Some(place) => self.last = *place,
                None if self.apps.len() >= APPS_MAX => return Counted(None),
                None => {
                    let is_listed = is_listed();
                    if !is_listed && self.unlisted >= UNLISTED_APPS_MAX {
                        return Counted(None);
                    }
                    self.unlisted += usize::from(!is_listed);
                    self.last = self.apps.len();
                    self.places.insert(app.clone(), self.last);
                    self.apps.push((app.clone(), T::default()));
                }
            }
        }
        Counted(u16::try_from(self.last).ok())
    }

    /// The counts of an app, to be changed.
    pub fn of(&mut self, app: &AppId, is_listed: impl FnOnce() -> bool) -> &mut T {
        let place = self.place(app, is_listed);
        self.at(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(n: usize) -> AppId {
        AppId::parse(&format!("{n:032x}")).expect("an app id")
    }

    #[test]
    fn apps_beyond_the_bound_are_counted_together() {
        let mut tally = AppTally::default();
        for round in 1..=2 {
            for n in 0..APPS_MAX + 5 {
                tally.of(&app(n), || true).resumes += 1;
            }
            assert_eq!(tally.apps().len(), APPS_MAX);
            assert!(tally.apps().iter().all(|(_, of)| of.resumes == round));
            assert_eq!(tally.others().resumes, 5 * round);
        }
    }

    #[test]
    fn strangers_who_invent_apps_take_no_place_of_a_listed_one() {
        let mut tally = AppTally::default();
        for n in 0..2 * APPS_MAX {
            tally.of(&app(n), || false).resumes += 1;
        }
        assert_eq!(tally.apps().len(), UNLISTED_APPS_MAX);
        let listed = app(5 * APPS_MAX);
        tally.of(&listed, || true).resumes += 7;
        assert_eq!(tally.apps().last(), Some(&(listed, counted(7))));
        assert_eq!(tally.others(), &counted(2 * APPS_MAX as u64 - 500));
    }

    fn counted(resumes: u64) -> AppCounts {
        AppCounts {
            resumes,
            ..AppCounts::default()
        }
    }

    #[test]
    fn who_was_counted_somewhere_leaves_there() {
        let mut tally = AppTally::default();
        for n in 0..UNLISTED_APPS_MAX {
            tally.of(&app(n), || false);
        }
        let late = app(APPS_MAX);
        let among_others = tally.place(&late, || false);
        tally.at(among_others).native.sessions += 1;
        // Listed meanwhile: who comes now is counted by itself.
        let by_itself = tally.place(&late, || true);
        tally.at(by_itself).native.sessions += 1;
        tally.at(among_others).native.sessions -= 1;
        assert_eq!(tally.others().native.sessions, 0);
        assert_eq!(tally.of(&late, || true).native.sessions, 1);
    }

    #[test]
    fn a_histogram_counts_each_thing_once_and_up_to_its_bound() {
        let mut histogram = Histogram::default();
        for took_us in [0, 100, 101, 1_000, 30_000_000, 30_000_001, u64::MAX] {
            histogram.note(took_us, 1);
        }
        histogram.note(1_001, 3);
        let buckets: BTreeMap<u64, u64> = histogram.buckets().collect();
        assert_eq!(buckets[&100], 2, "a bound belongs to its bucket");
        assert_eq!(buckets[&250], 1);
        assert_eq!(buckets[&1_000], 1);
        assert_eq!(buckets[&2_500], 3);
        assert_eq!(buckets[&30_000_000], 1);
        assert_eq!(buckets[&u64::MAX], 2);
        assert_eq!(histogram.count(), 10);
        assert_eq!(histogram.below(0.2), Some(100));
        assert_eq!(histogram.below(0.5), Some(2_500));
        assert_eq!(histogram.below(0.99), Some(30_000_000));
        assert_eq!(Histogram::default().below(0.5), None);
        assert_eq!(histogram.sum_us(), u64::MAX, "it does not overflow");
        let mut both = Histogram::default();
        both.note(250, 2);
        both.add(&histogram);
        assert_eq!(both.count(), 12);
    }

    #[test]
    fn what_took_a_turn_or_less_is_told_apart() {
        let mut waits = Waits::default();
        waits.note(0);
        waits.note(3);
        assert_eq!((waits.at_once, waits.later.count()), (1, 1));
        assert_eq!(waits.later.sum_us(), 3_000);
    }
}
