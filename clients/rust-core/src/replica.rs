//! What the client knows of its own standing, so that a new session can be given the same: its
//! attributes, its channels with their members, the users it watches. Lives from a login to its
//! end.

use std::collections::BTreeMap;

use crate::attributes::OwnAttributes;
use crate::call::{Attribute, AttributeWrite, Call, PresenceState};
use crate::members::{Channel, Told};
use crate::presence::Watched;

/// The client's picture of its own standing.
#[derive(Debug, Default)]
pub(crate) struct Replica {
    attributes: OwnAttributes,
    /// Joined channels by name. Bound: 20, the server's limit.
    channels: BTreeMap<String, Channel>,
    watched: Watched,
}

impl Replica {
    /// The login has ended.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    // ------------------------------------------------------------ attributes

    /// The server has confirmed a write, sent under the number `cseq`.
    pub(crate) fn wrote_attributes(&mut self, cseq: u64, how: AttributeWrite, list: &[Attribute]) {
        self.attributes.apply(cseq, how, list);
    }

    /// The call that writes the attributes again; none if there is nothing to write.
    pub(crate) fn restore_attributes(&self) -> Option<Call> {
        self.attributes.restore()
    }

    /// As [`Self::restore_attributes`], with writes that are on their way counted as done.
    pub(crate) fn restore_attributes_after<'a>(
        &self,
        open: impl Iterator<Item = (u64, &'a Call)>,
    ) -> Option<Call> {
        let mut attributes = self.attributes.clone();
        for (cseq, call) in open {
            if let Call::WriteUserAttributes {
                how,
                attributes: entries,
            } = call
            {
                attributes.apply(cseq, *how, entries);
            }
        }
        attributes.restore()
    }

    // ------------------------------------------------------------ channels

    /// Names of the joined channels, in their order.
    pub(crate) fn channels(&self) -> impl Iterator<Item = &String> {
        self.channels.keys()
    }

    /// Whether a channel is joined, as far as the client knows.
    pub(crate) fn has_joined(&self, name: &str) -> bool {
        self.channels.contains_key(name)
    }

    /// The server has accepted a join. `is_heard`: the application waits for it.
    pub(crate) fn joined(&mut self, name: &str, is_heard: bool) {
        assert!(!name.is_empty(), "a channel without a name is joined");
        let channel = self.channels.entry(name.to_owned()).or_default();
        channel.is_claimed |= is_heard;
    }

    /// The server has refused a join since the channel is joined. `is_heard`: the application waits
    /// for it. True if the earlier join is one whose call had timed out, so that this one counts.
    pub(crate) fn claim(&mut self, name: &str, is_heard: bool) -> bool {
        let channel = self.channels.entry(name.to_owned()).or_default();
        let is_claim = is_heard && !channel.is_claimed;
        channel.is_claimed |= is_claim;
        is_claim
    }

    /// A channel is left. False if it was not joined.
    pub(crate) fn left(&mut self, name: &str) -> bool {
        self.channels.remove(name).is_some()
    }

    /// A member has joined; whether the application has to be told.
    pub(crate) fn member_joined(&mut self, name: &str, user_id: &str) -> Told {
        let channel = self.channels.get_mut(name);
        channel.map_or(Told::News, |channel| channel.joined(user_id))
    }

    /// A member has left; whether the application has to be told.
    pub(crate) fn member_left(&mut self, name: &str, user_id: &str) -> Told {
        let channel = self.channels.get_mut(name);
        channel.map_or(Told::News, |channel| channel.left(user_id))
    }

    /// The server has counted the members.
    pub(crate) fn member_count(&mut self, name: &str, count: u32) {
        if let Some(channel) = self.channels.get_mut(name) {
            channel.counted(count);
        }
    }

    /// A list that the application has asked for and will see.
    pub(crate) fn listed_for_application(&mut self, name: &str, users: &[String], own_id: &str) {
        if let Some(channel) = self.channels.get_mut(name) {
            channel.listed_for_application(users, own_id);
        }
    }

    /// A list fetched after events were missed; who, as the application has to be told, has joined.
    pub(crate) fn listed_after_gap(
        &mut self,
        now_ms: u64,
        name: &str,
        users: &[String],
        own_id: &str,
    ) -> Vec<String> {
        // The channel may have been left since the list was asked for.
        let channel = self.channels.get_mut(name);
        channel.map_or_else(Vec::new, |channel| {
            channel.listed_after_gap(now_ms, users, own_id)
        })
    }

    /// Events of a channel were missed. True if its members have to be fetched.
    pub(crate) fn gap(&mut self, name: &str) -> bool {
        match self.channels.get_mut(name) {
            Some(channel) if channel.has_something_to_compare() => {
                channel.doubt();
                true
            }
            Some(_) | None => false,
        }
    }

    /// Whether the members of a channel that was joined again have to be fetched.
    pub(crate) fn wants_members(&self, name: &str) -> bool {
        let channel = self.channels.get(name);
        channel.is_some_and(Channel::has_something_to_compare)
    }

    /// The session goes on, but its user counted as offline for a while.
    pub(crate) fn was_out(&mut self) {
        self.channels.values_mut().for_each(Channel::was_out);
    }

    /// The link was lost: names of the channels whose doubtful members only a new list can settle.
    pub(crate) fn withdraw_verdicts(&mut self) -> Vec<String> {
        let doubtful = self
            .channels
            .iter_mut()
            .filter_map(|(name, channel)| channel.withdraw_verdict().then(|| name.clone()));
        doubtful.collect()
    }

    /// Takes the members that now count as left, with their channels.
    pub(crate) fn take_left(&mut self, now_ms: u64) -> Vec<(String, String)> {
        let mut left = vec![];
        for (name, channel) in &mut self.channels {
            let users = channel.take_left(now_ms).into_iter();
            left.extend(users.map(|user_id| (name.clone(), user_id)));
        }
        assert!(
            self.deadline_ms().is_none_or(|at_ms| at_ms > now_ms),
            "members that have left are not told at {now_ms} ms"
        );
        left
    }

    /// When the next doubtful members count as left, in monotonic milliseconds.
    pub(crate) fn deadline_ms(&self) -> Option<u64> {
        let deadlines = self.channels.values().filter_map(Channel::deadline_ms);
        deadlines.min()
    }

    // ------------------------------------------------------------ watched users

    /// The server has accepted a subscription.
    pub(crate) fn watched(&mut self, user_ids: &[String]) {
        self.watched.subscribed(user_ids);
    }

    /// The server has ended a subscription.
    pub(crate) fn unwatched(&mut self, user_ids: &[String]) {
        self.watched.unsubscribed(user_ids);
    }

    /// The call that watches the same users again; none if there are none.
    pub(crate) fn restore_watched(&mut self) -> Option<Call> {
        self.watched.restore()
    }

    /// Takes in an event and returns what is news to the application.
    pub(crate) fn presence_changed(
        &mut self,
        users: Vec<(String, PresenceState)>,
    ) -> Vec<(String, PresenceState)> {
        self.watched.changed(users)
    }

    // ------------------------------------------------------------ sessions

    /// The session is lost: what the next one is given is settled, and nobody is known to be there.
    pub(crate) fn session_over(&mut self) {
        self.attributes.begin_session();
        // A join whose call had timed out is not repeated: the application does not know of it.
        self.channels.retain(|_, channel| channel.is_claimed);
        self.channels.values_mut().for_each(Channel::doubt);
        assert!(
            self.deadline_ms().is_none(),
            "members leave while there is no session"
        );
    }

    /// A new session begins: members missing from a list have until this time, in monotonic
    /// milliseconds, to come back.
    pub(crate) fn begin_session(&mut self, leavers_from_ms: u64) {
        for channel in self.channels.values_mut() {
            channel.wait_for_leavers(leavers_from_ms);
        }
    }

    /// What must hold between inputs.
    pub(crate) fn assert_consistent(&self, now_ms: u64) {
        self.attributes.assert_consistent();
        self.watched.assert_consistent();
        for (name, channel) in &self.channels {
            assert!(!name.is_empty(), "a joined channel has no name");
            channel.assert_consistent(now_ms);
        }
    }
}
