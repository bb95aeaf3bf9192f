//! What the client knows of a joined channel's members, so that after missed events it can tell the
//! application the difference. Source: contract PRE-9.

use std::collections::{BTreeMap, BTreeSet};

use tidings_wire::limits::MEMBER_EVENTS_MAX;

/// What is known of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// The application has been told, or has seen a list with it.
    Known,
    /// It was there before events were missed and has not been seen since.
    Doubtful,
}

/// A channel that the user has joined.
#[derive(Debug, Clone, Default)]
pub(crate) struct Channel {
    /// The application knows that it has joined. False if its call had timed out before the server
    /// accepted it.
    pub(crate) is_claimed: bool,
    /// Members other than oneself. Bound: 512, and as many doubtful ones; a larger
    /// channel is not tracked.
    members: BTreeMap<String, Standing>,
    /// Users who, as the application was told, have left. Bound: 512; a larger set is emptied.
    told_out: BTreeSet<String>,
    /// The application knows every member: it has seen a list, or has been there from the start.
    is_complete: bool,
    /// The server has counted the user as offline in this session: counts replayed from that time
    /// do not include the user.
    has_been_out: bool,
    /// Members missing from a list do not count as left before this time, in monotonic
    /// milliseconds: they may be reconnecting too.
    leavers_from_ms: u64,
    /// When the doubtful count as left, in monotonic milliseconds. None until a list without them
    /// has arrived: without one nobody is known to have left.
    leavers_at_ms: Option<u64>,
}

/// What a member event means to the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// It is news: the application has to be told.
    News,
    /// The application has never been told anything else.
    KnownAlready,
}

impl Channel {
    /// A member has joined, as the server says.
    pub(crate) fn joined(&mut self, user_id: &str) -> Told {
        self.told_out.remove(user_id);
        if self.members.len() >= MEMBER_EVENTS_MAX && !self.members.contains_key(user_id) {
            self.forget();
            return Told::News;
        }
        match self.members.insert(user_id.to_owned(), Standing::Known) {
            Some(Standing::Doubtful) => Told::KnownAlready,
            Some(Standing::Known) | None => Told::News,
        }
    }

    /// A member has left, as the server says. That is no news if it had joined while events were
    /// missed.
    pub(crate) fn left(&mut self, user_id: &str) -> Told {
        let was_in = self.members.remove(user_id).is_some();
        let is_told_out = self.is_complete || self.told_out.contains(user_id);
        self.note_out(user_id.to_owned());
        if !was_in && is_told_out {
            Told::KnownAlready
        } else {
            Told::News
        }
    }

    /// Remembers that the application was told that a user left.
    fn note_out(&mut self, user_id: String) {
        if self.told_out.len() >= MEMBER_EVENTS_MAX {
            self.told_out.clear();
        }
        assert!(
            !self.members.contains_key(&user_id),
            "{user_id:?} has left and is there"
        );
        self.told_out.insert(user_id);
    }

    /// The server says how many members there are: a count that fits shows that all are known.
    pub(crate) fn counted(&mut self, count: u32) {
        let fits = usize::try_from(count).is_ok_and(|count| count == self.members.len() + 1);
        if fits && !self.has_been_out {
            self.is_complete = true;
        }
    }

    /// The session goes on, but its user counted as offline for a while.
    pub(crate) fn was_out(&mut self) {
        self.has_been_out = true;
    }

    /// Whether there is anything to compare a member list with after events were missed.
    pub(crate) fn has_something_to_compare(&self) -> bool {
        self.is_complete || !self.members.is_empty() || !self.told_out.is_empty()
    }

    /// Events were missed: nobody is known to be there any more.
    pub(crate) fn doubt(&mut self) {
        self.has_been_out = false;
        self.leavers_from_ms = 0;
        self.leavers_at_ms = None;
        self.members
            .values_mut()
            .for_each(|standing| *standing = Standing::Doubtful);
    }

    /// Gives missing members until this time, in monotonic milliseconds, to come back.
    pub(crate) fn wait_for_leavers(&mut self, until_ms: u64) {
        self.leavers_from_ms = until_ms;
    }

    /// The link was lost before the doubtful counted as left: they may have come back since, so
    /// only a new list can tell. Returns whether one is needed.
    pub(crate) fn withdraw_verdict(&mut self) -> bool {
        if let Some(at_ms) = self.leavers_at_ms.take() {
            assert!(
                at_ms >= self.leavers_from_ms,
                "leavers were told before their time"
            );
            self.leavers_from_ms = at_ms;
            return true;
        }
        false
    }

    /// Takes in a list that the application has asked for and will see.
    pub(crate) fn listed_for_application(&mut self, users: &[String], own_id: &str) {
        if users.len() >= MEMBER_EVENTS_MAX {
            return self.forget();
        }
        self.told_out.clear();
        let others = users.iter().filter(|user| *user != own_id);
        self.members = others.map(|user| (user.clone(), Standing::Known)).collect();
        assert!(
            !self.members.contains_key(own_id),
            "the user is another member"
        );
        self.is_complete = true;
    }

    /// Takes in a list fetched after events were missed. Returns those who, as the application has
    /// to be told, have joined. Whoever is missing stays doubtful until the time given to come
    /// back.
    pub(crate) fn listed_after_gap(
        &mut self,
        now_ms: u64,
        users: &[String],
        own_id: &str,
    ) -> Vec<String> {
        if users.len() >= MEMBER_EVENTS_MAX {
            self.forget();
            return vec![];
        }
        let mut news = vec![];
        for user in users.iter().filter(|user| *user != own_id) {
            let was_told_out = self.told_out.remove(user);
            if self.members.insert(user.clone(), Standing::Known).is_none()
                && (self.is_complete || was_told_out)
            {
                news.push(user.clone());
            }
        }
        if self
            .members
            .values()
            .any(|standing| *standing == Standing::Doubtful)
        {
            self.leavers_at_ms = Some(self.leavers_from_ms.max(now_ms));
        }
        news.sort();
        assert!(
            !news.iter().any(|user| user == own_id),
            "the user is told of its own join"
        );
        news
    }

    /// Removes and returns the members that now count as left.
    pub(crate) fn take_left(&mut self, now_ms: u64) -> Vec<String> {
        if self.leavers_at_ms.is_none_or(|at_ms| at_ms > now_ms) {
            return vec![];
        }
        self.leavers_at_ms = None;
        let doubtful = self
            .members
            .iter()
            .filter(|(_, s)| **s == Standing::Doubtful);
        let left: Vec<_> = doubtful.map(|(user, _)| user.clone()).collect();
        self.members
            .retain(|_, standing| *standing != Standing::Doubtful);
        left.iter().for_each(|user| self.note_out(user.clone()));
        left
    }

    /// When the doubtful count as left, in monotonic milliseconds.
    pub(crate) fn deadline_ms(&self) -> Option<u64> {
        self.leavers_at_ms
    }

    /// The channel is too large to track: the server sends samples of its members, and no events.
    fn forget(&mut self) {
        self.members.clear();
        self.told_out.clear();
        self.is_complete = false;
        assert!(
            !self.has_something_to_compare(),
            "a forgotten channel is compared"
        );
    }

    /// What must hold between inputs.
    pub(crate) fn assert_consistent(&self, now_ms: u64) {
        assert!(
            self.members.len() <= 2 * MEMBER_EVENTS_MAX,
            "{} members are tracked",
            self.members.len()
        );
        assert!(
            self.told_out.len() <= MEMBER_EVENTS_MAX,
            "{} users are remembered to have left",
            self.told_out.len()
        );
        let both = self
            .told_out
            .iter()
            .find(|user| self.members.contains_key(*user));
        assert!(both.is_none(), "{both:?} is in the channel and has left it");
        let is_overdue = self
            .leavers_at_ms
            .is_some_and(|at_ms| at_ms < self.leavers_from_ms);
        assert!(
            !is_overdue,
            "leavers are told at {:?}, before their time {} (now {now_ms})",
            self.leavers_at_ms, self.leavers_from_ms
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn nobody_is_told_to_have_left_on_the_word_of_a_list_from_before_an_interruption() {
        let mut channel = Channel::default();
        channel.joined("bob");
        channel.doubt();
        channel.wait_for_leavers(30_000);
        channel.listed_after_gap(1_000, &["alice".to_owned()], "alice");
        assert!(channel.withdraw_verdict(), "a list is needed");
        assert_eq!(channel.take_left(60_000), Vec::<String>::new());
        let both = ["alice".to_owned(), "bob".to_owned()];
        channel.listed_after_gap(61_000, &both, "alice");
        assert_eq!(channel.take_left(90_000), Vec::<String>::new());
        assert!(!channel.withdraw_verdict());
    }

    #[test]
    fn after_a_hole_the_difference_to_what_the_application_knew_is_told() {
        let mut channel = Channel::default();
        channel.counted(1);
        assert_eq!(channel.joined("bob"), Told::News);
        assert_eq!(channel.joined("carol"), Told::News);
        channel.doubt();
        channel.wait_for_leavers(30_000);
        assert_eq!(channel.joined("bob"), Told::KnownAlready);
        assert_eq!(
            channel.take_left(90_000),
            Vec::<String>::new(),
            "nothing is known yet"
        );
        assert_eq!(
            channel.listed_after_gap(100, &users("alice bob dave"), "alice"),
            ["dave"]
        );
        assert_eq!(channel.take_left(29_999), Vec::<String>::new());
        assert_eq!(channel.deadline_ms(), Some(30_000));
        assert_eq!(channel.take_left(30_000), ["carol"]);
        assert_eq!(channel.take_left(90_000), Vec::<String>::new());
    }

    #[test]
    fn members_whom_the_application_never_saw_are_not_told_to_have_joined() {
        let mut channel = Channel::default();
        channel.counted(3);
        assert_eq!(channel.joined("dave"), Told::News);
        channel.doubt();
        assert!(
            channel
                .listed_after_gap(1, &users("alice bob carol dave"), "alice")
                .is_empty()
        );
        channel.listed_for_application(&users("alice bob"), "alice");
        channel.doubt();
        assert_eq!(
            channel.listed_after_gap(2, &users("alice bob erin"), "alice"),
            ["erin"]
        );
    }

    #[test]
    fn a_channel_at_the_cut_off_is_not_compared() {
        let mut channel = Channel::default();
        channel.counted(1);
        assert!(channel.has_something_to_compare());
        let many: Vec<_> = (0..512).map(|i| format!("u{i}")).collect();
        assert!(channel.listed_after_gap(1, &many, "alice").is_empty());
        assert!(!channel.has_something_to_compare());
    }
}
