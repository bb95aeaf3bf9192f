//! Who is in a channel: the replica that each interested hub keeps, folded from the channel topic.
//!
//! Each hub is the only authority on its own members and numbers its changes (`epoch`, `seq`); the
//! others apply them in order and ask for a snapshot when one is missing. A user counts once,
//! however many of its sessions are members.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use tidings_wire::names::UserId;

use crate::bus_ops::{MemberSnapshot, Progress};
use crate::ids::{ChannelKey, HubId, SessionId, UserKey};
use crate::kernel::maps::SeededHasher;
use crate::kernel::rng::Rng;

/// One change of one hub's members.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamp {
    pub(crate) origin: HubId,
    pub(crate) epoch: u64,
    pub(crate) seq: u64,
}

/// What a change means for the channel as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// The user was not a member before.
    Joined(UserId),
    /// The user is not a member any more.
    Left(UserId),
}

/// A change cannot be applied: something of its origin is missing.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Missing;

/// A user that is a member.
#[derive(Debug, Default)]
struct Present {
    /// Its place among all that have come, as this hub has seen it.
    arrival: u64,
    /// Seldom more than one.
    sessions: Vec<(HubId, SessionId)>,
}

/// The members of a channel.
///
/// Cost, with n members in all and s in a snapshot: a change is O(sessions of its user); a snapshot
/// is applied in O(n + s) and made in O(n); all snapshots together are made in O(n + hubs).
#[derive(Debug)]
pub(crate) struct Members {
    /// Each user with its sessions.
    users: IndexMap<UserId, Present, SeededHasher>,
    /// Users that have come so far.
    arrivals: u64,
    /// How far each hub's changes have been applied: (epoch, seq).
    origins: BTreeMap<HubId, (u64, u64)>,
    hasher: SeededHasher,
}

impl Members {
    pub(crate) fn new(hasher: SeededHasher) -> Self {
        Self {
            users: IndexMap::with_hasher(hasher),
            arrivals: 0,
            origins: BTreeMap::new(),
            hasher,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.users.len()
    }

    /// All users. Cost: O(n).
    pub(crate) fn users(&self) -> Vec<UserId> {
        self.users.keys().cloned().collect()
    }

    /// All users, or `max` of them chosen at random.
    pub(crate) fn sample(&self, max: usize, rng: &mut Rng) -> Vec<String> {
        if self.users.len() <= max {
            return self.users.keys().map(UserId::to_string).collect();
        }
        // Floyd's sampling: `max` different positions, each set of them as likely as any other.
        let mut chosen = std::collections::BTreeSet::new();
        for last in self.users.len() - max..self.users.len() {
            let at = rng.below(last + 1);
            if !chosen.insert(at) {
                chosen.insert(last);
            }
        }
        chosen
            .into_iter()
            .filter_map(|at| self.users.get_index(at).map(|(user, _)| user.to_string()))
            .collect()
    }

    /// The latest `max` users, in the order in which they came. Cost: O(n log n).
    pub(crate) fn in_order(&self, max: usize) -> Vec<String> {
        let mut users: Vec<_> = self.users.iter().collect();
        users.sort_unstable_by_key(|(_, present)| present.arrival);
        let latest = users.split_off(users.len().saturating_sub(max));
        latest
            .into_iter()
            .map(|(user, _)| user.to_string())
            .collect()
    }

    /// Whether the change is the next of its origin; one that was applied before is `Ok(false)`.
    fn advance(&mut self, stamp: Stamp) -> Result<bool, Missing> {
        match self.origins.get(&stamp.origin) {
            Some((epoch, seq)) if *epoch == stamp.epoch => {
                if stamp.seq <= *seq {
                    return Ok(false);
                }
                if stamp.seq != seq + 1 {
                    return Err(Missing);
                }
            }
            Some((epoch, _)) if *epoch > stamp.epoch => return Ok(false),
            // A new interest of the origin begins with its first change and without members.
            _ if stamp.seq != 1 => return Err(Missing),
            _ => {}
        }
        self.origins.insert(stamp.origin, (stamp.epoch, stamp.seq));
        Ok(true)
    }

    pub(crate) fn apply_joined(
        &mut self,
        stamp: Stamp,
        user: &UserId,
        session: SessionId,
    ) -> Result<Option<Change>, Missing> {
        Ok(if self.advance(stamp)? {
            self.add(stamp.origin, user, session)
        } else {
            None
        })
    }

    pub(crate) fn apply_left(
        &mut self,
        stamp: Stamp,
        user: &UserId,
        session: SessionId,
    ) -> Result<Option<Change>, Missing> {
        Ok(if self.advance(stamp)? {
            self.remove(stamp.origin, user, session)
        } else {
            None
        })
    }

    fn add(&mut self, origin: HubId, user: &UserId, session: SessionId) -> Option<Change> {
        let present = self.users.entry(user.clone()).or_default();
        let sessions = &mut present.sessions;
        let is_new = sessions.is_empty();
        if is_new {
            self.arrivals += 1;
            present.arrival = self.arrivals;
        }
        if !sessions.contains(&(origin, session)) {
            sessions.push((origin, session));
        }
        is_new.then(|| Change::Joined(user.clone()))
    }

    fn remove(&mut self, origin: HubId, user: &UserId, session: SessionId) -> Option<Change> {
        let sessions = &mut self.users.get_mut(user)?.sessions;
        sessions.retain(|have| *have != (origin, session));
        if !sessions.is_empty() {
            return None;
        }
        let gone = self.users.swap_remove(user);
        debug_assert!(gone.is_some(), "a user without a session was no member");
        Some(Change::Left(user.clone()))
    }

    /// Replaces what is known of one origin, if the snapshot is newer.
    pub(crate) fn apply_snapshot(&mut self, snapshot: &MemberSnapshot) -> Vec<Change> {
        let origin = snapshot.origin;
        let have = self.origins.get(&origin).copied().unwrap_or_default();
        if have >= (snapshot.epoch, snapshot.seq) {
            return Vec::new();
        }
        let mut kept = self.hasher.map();
        for (key, session) in &snapshot.members {
            work::count();
            kept.insert((&key.user, *session), ());
        }
        let stale = self.of(origin);
        let mut changes: Vec<Change> = stale
            .iter()
            .filter(|(user, session)| !kept.contains_key(&(user, *session)))
            .filter_map(|(user, session)| self.remove(origin, user, *session))
            .collect();
        for (key, session) in &snapshot.members {
            changes.extend(self.add(origin, &key.user, *session));
        }
        self.origins.insert(origin, (snapshot.epoch, snapshot.seq));
        changes
    }

    /// How far the changes of other nodes' hubs have been applied.
    pub(crate) fn progress_elsewhere(&self, own: HubId) -> Vec<Progress> {
        let others = self.origins.iter();
        let others = others.filter(|(origin, _)| origin.node != own.node);
        let progress = |(origin, (epoch, seq)): (&HubId, &(u64, u64))| Progress {
            origin: *origin,
            epoch: *epoch,
            seq: *seq,
        };
        others.map(progress).collect()
    }

    /// How far the changes of a hub have been applied: (epoch, seq).
    pub(crate) fn progress_of(&self, origin: HubId) -> (u64, u64) {
        self.origins.get(&origin).copied().unwrap_or_default()
    }

    /// A hub has no interest in the channel any more: forgets it, with what is left of its members.
    pub(crate) fn drop_origin(&mut self, origin: HubId) -> Vec<Change> {
        let left = self.of(origin);
        let changes = left
            .iter()
            .filter_map(|(user, session)| self.remove(origin, user, *session));
        let changes = changes.collect();
        self.origins.remove(&origin);
        changes
    }

    /// A node is lost: its members stay for now, as those of what `stands_for` its hubs. Returns
    /// whether there are any. Cost: O(n).
    pub(crate) fn lose(&mut self, node: u16, stands_for: HubId) -> bool {
        let before = self.origins.len();
        self.origins.retain(|origin, _| origin.node != node);
        if self.origins.len() == before {
            // It had no interest in the channel.
            return false;
        }
        let mut has_some = false;
        for present in self.users.values_mut() {
            for (hub, _) in &mut present.sessions {
                if hub.node == node {
                    *hub = stands_for;
                    has_some = true;
                }
            }
        }
        has_some
    }

    fn of(&self, origin: HubId) -> Vec<(UserId, SessionId)> {
        self.users
            .iter()
            .flat_map(|(user, present)| present.sessions.iter().map(move |entry| (user, entry)))
            .inspect(|_| work::count())
            .filter(|(_, (hub, _))| *hub == origin)
            .map(|(user, (_, session))| (user.clone(), *session))
            .collect()
    }

    /// What is known of every origin: made once per hub that becomes interested.
    pub(crate) fn snapshots(&self, channel: &ChannelKey) -> Vec<MemberSnapshot> {
        let empty = |(origin, (epoch, seq)): (&HubId, &(u64, u64))| {
            let snapshot = MemberSnapshot {
                origin: *origin,
                epoch: *epoch,
                seq: *seq,
                members: Vec::new(),
            };
            (*origin, snapshot)
        };
        let mut all: BTreeMap<HubId, MemberSnapshot> = self.origins.iter().map(empty).collect();
        for (user, present) in &self.users {
            for (origin, session) in &present.sessions {
                work::count();
                let key = UserKey {
                    app: channel.app.clone(),
                    user: user.clone(),
                };
                if let Some(snapshot) = all.get_mut(origin) {
                    snapshot.members.push((key, *session));
                }
            }
        }
        all.into_values().collect()
    }

    pub(crate) fn snapshot(&self, channel: &ChannelKey, origin: HubId) -> MemberSnapshot {
        let (epoch, seq) = self.origins.get(&origin).copied().unwrap_or_default();
        let key = |user| UserKey {
            app: channel.app.clone(),
            user,
        };
        MemberSnapshot {
            origin,
            epoch,
            seq,
            members: self
                .of(origin)
                .into_iter()
                .map(|(user, id)| (key(user), id))
                .collect(),
        }
    }
}

/// Counts steps of loops over members, for the tests that show how the work grows.
mod work {
    #[cfg(test)]
    thread_local! {
        static STEPS: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
    }

    pub(crate) fn count() {
        #[cfg(test)]
        STEPS.set(STEPS.get() + 1);
    }

    #[cfg(test)]
    pub(crate) fn take() -> u64 {
        STEPS.take()
    }
}

impl Members {
    /// Asserts what holds between two inputs.
    pub(crate) fn assert_consistent(&self) {
        assert!(
            self.users.len() as u64 <= self.arrivals,
            "more members than have come"
        );
        // A sample: a channel may have many members, and this is called again and again.
        for (_, present) in self.users.iter().take(16) {
            assert!(!present.sessions.is_empty(), "a member without a session");
            assert!(
                present.arrival <= self.arrivals,
                "a member that has not come yet"
            );
            let is_counted =
                |(hub, _): &(HubId, SessionId)| hub.is_lost() || self.origins.contains_key(hub);
            assert!(
                present.sessions.iter().all(is_counted),
                "a member of a hub that said nothing"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps that making all snapshots of `n` members on four hubs and applying one of them costs.
    fn steps(n: u64) -> (u64, u64) {
        let mut all = members();
        for at in 0..n {
            let origin = u16::try_from(at % 4).expect("below 4");
            let name = user(&format!("u{at}"));
            all.apply_joined(stamp(origin, 1, at / 4 + 1), &name, S1)
                .expect("in order");
        }
        let app = tidings_wire::names::AppId::parse(&"a".repeat(32)).expect("app id");
        let channel = ChannelKey {
            app,
            channel: tidings_wire::names::ChannelName::parse("x").expect("name"),
        };
        work::take();
        let mut snapshots = all.snapshots(&channel);
        let made = work::take();
        snapshots[0].seq += 1;
        all.apply_snapshot(&snapshots[0]);
        (made, work::take())
    }

    #[test]
    fn the_work_of_snapshots_grows_with_the_members_and_no_faster() {
        assert_eq!(steps(1_000), (1_000, 1_000 + 250));
        assert_eq!(steps(16_000), (16_000, 16_000 + 4_000));
    }

    fn user(name: &str) -> UserId {
        UserId::parse(name).expect("name")
    }

    fn stamp(origin: u16, epoch: u64, seq: u64) -> Stamp {
        Stamp {
            origin: HubId::local(origin),
            epoch,
            seq,
        }
    }

    const S1: SessionId = SessionId([1; 16]);
    const S2: SessionId = SessionId([2; 16]);

    fn members() -> Members {
        Members::new(SeededHasher::new((1, 2)))
    }

    #[test]
    fn a_user_counts_once_and_leaves_with_its_last_session() {
        let mut all = members();
        let alice = user("alice");
        let joined = Ok(Some(Change::Joined(alice.clone())));
        assert_eq!(all.apply_joined(stamp(0, 1, 1), &alice, S1), joined);
        assert_eq!(all.apply_joined(stamp(1, 1, 1), &alice, S2), Ok(None));
        assert_eq!(all.apply_left(stamp(0, 1, 2), &alice, S1), Ok(None));
        let left = Ok(Some(Change::Left(alice.clone())));
        assert_eq!(all.apply_left(stamp(1, 1, 2), &alice, S2), left);
        assert_eq!(all.len(), 0);
    }

    #[test]
    fn a_repeated_change_is_ignored_and_a_missing_one_is_noticed() {
        let mut all = members();
        let alice = user("alice");
        assert!(all.apply_joined(stamp(0, 1, 1), &alice, S1).is_ok());
        assert_eq!(all.apply_joined(stamp(0, 1, 1), &alice, S1), Ok(None));
        assert_eq!(all.apply_left(stamp(0, 1, 3), &alice, S1), Err(Missing));
        assert_eq!(all.apply_joined(stamp(1, 4, 2), &alice, S2), Err(Missing));
    }

    #[test]
    fn a_snapshot_replaces_its_origin_only() {
        let mut all = members();
        for (at, name) in ["a", "b"].into_iter().enumerate() {
            let seq = at as u64 + 1;
            all.apply_joined(stamp(0, 1, seq), &user(name), S1)
                .expect("in order");
        }
        all.apply_joined(stamp(1, 1, 1), &user("c"), S2)
            .expect("in order");
        let app = tidings_wire::names::AppId::parse(&"a".repeat(32)).expect("app id");
        let channel = ChannelKey {
            app: app.clone(),
            channel: tidings_wire::names::ChannelName::parse("x").expect("name"),
        };
        let mut snapshot = all.snapshot(&channel, HubId::local(0));
        snapshot.seq += 5;
        snapshot.members.retain(|(key, _)| key.user.as_str() == "b");
        assert_eq!(all.apply_snapshot(&snapshot), [Change::Left(user("a"))]);
        assert_eq!(all.apply_snapshot(&snapshot), []);
        assert_eq!(all.len(), 2);
    }

    #[test]
    fn the_list_in_order_is_of_the_latest_whoever_has_left_between() {
        let mut all = members();
        for (seq, name) in (1..).zip(["a", "b", "c", "d"]) {
            all.apply_joined(stamp(0, 1, seq), &user(name), S1)
                .expect("in order");
        }
        all.apply_left(stamp(0, 1, 5), &user("a"), S1)
            .expect("in order");
        assert_eq!(all.in_order(10), ["b", "c", "d"]);
        assert_eq!(all.in_order(2), ["c", "d"]);
    }

    #[test]
    fn a_sample_has_the_asked_size_and_no_repeats() {
        let mut all = members();
        for n in 1..=700_u64 {
            all.apply_joined(stamp(0, 1, n), &user(&format!("u{n}")), S1)
                .expect("in order");
        }
        let mut sample = all.sample(512, &mut Rng::new([3; 32]));
        sample.sort();
        sample.dedup();
        assert_eq!(sample.len(), 512);
    }
}
