//! The hub's timers: one heap, entries are never searched for.
//!
//! A timer that is no longer wanted fires and finds nothing to do: whoever set it compares with its
//! own state.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::ids::{ChannelKey, ConnectionId, InvitationId, SessionId, SessionKey, UserKey};
use crate::io::Ticket;

/// What a timer reminds of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// The connection should have logged in.
    Login(ConnectionId),
    /// The connection is told that the session that it wants to resume is not known.
    Refusal(ConnectionId),
    /// The hub drains: it is this client's turn to be sent away.
    Drain(ConnectionId),
    /// Look at the session's heartbeat, grace, window and token.
    Session(SessionKey),
    /// Read the session's inbox once more, after a failure.
    Inbox(SessionKey),
    /// Look at the session's unconfirmed deliveries.
    Deliveries(SessionKey),
    /// The channel's member count may be told again.
    Count(Box<ChannelKey>),
    /// Look at an invitation that the user has sent.
    Invitation(Box<UserKey>, InvitationId),
    /// The record of an invitation that has ended is kept no longer.
    InvitationOver(Box<UserKey>, InvitationId),
    /// Does what rings at the session ring still?
    Ring(SessionKey, InvitationId),
    /// The user's login was lost a while ago, at this Unix millisecond: its attributes end, unless
    /// it is back.
    LostUser(Box<UserKey>, u64),
    /// The attributes of a channel are over that had its last member then, in Unix milliseconds.
    ChannelOver(Box<ChannelKey>, u64),
    /// The word about a message that is held should have come.
    Held(Ticket),
    /// What other nodes say of a channel's members is compared with what is known here.
    Members(Box<ChannelKey>),
    /// The state of a watched user is asked for again.
    Look(Box<UserKey>),
    /// Whoever was on a node that was lost, by the loss's number, is gone, unless it is back.
    NodeOver(u16),
    /// Those who have moved on a while ago are no members here any more.
    Departed,
    /// Senders of messages that have come with the user's session have asked again.
    Arrived(Box<UserKey>),
    /// The copy of a session that was given is kept no longer.
    Given(Box<UserKey>, SessionId),
    /// Attributes whose owners may be gone are looked through.
    Sweep,
    /// Histories are looked through for messages that are too old.
    HistorySweep,
    /// Open logins are compared with those that the store knows.
    EventSync,
}

#[derive(Debug, Default)]
pub(crate) struct Timers {
    heap: BinaryHeap<Reverse<(u64, u64, Timer)>>,
    /// Makes entries of one millisecond fire in the order in which they were set.
    count: u64,
}

impl Timers {
    pub(crate) fn set(&mut self, due_ms: u64, timer: Timer) {
        debug_assert!(due_ms < u64::MAX, "a timer that never fires");
        self.count += 1;
        self.heap.push(Reverse((due_ms, self.count, timer)));
    }

    pub(crate) fn next_due(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse((due, _, _))| *due)
    }

    pub(crate) fn pop_due(&mut self, now_ms: u64) -> Option<Timer> {
        if self.next_due()? > now_ms {
            return None;
        }
        self.heap.pop().map(|Reverse((_, _, timer))| timer)
    }
}

impl Timers {
    /// Asserts what holds between two inputs.
    pub(crate) fn assert_consistent(&self, now_ms: u64) {
        assert!(
            self.heap.len() as u64 <= self.count,
            "more timers than were set"
        );
        assert!(
            self.next_due().is_none_or(|due_ms| due_ms > now_ms),
            "a timer is due"
        );
    }
}
