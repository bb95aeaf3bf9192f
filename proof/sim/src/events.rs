//! Streams of events on the disk, and the checks on them: each login has one logout, a cursor and a
//! queue give each event once, and orders rise, whatever happens to the server.

use std::collections::{BTreeMap, BTreeSet};

use tidings_hub::ids::SessionId;
use tidings_hub::store_ops::events::{Event, EventKind, EventQueue};
use tidings_wire::names::AppId;

/// A reader comes once in this many group commits, so that it is behind now and then.
pub(crate) const COMMITS_PER_READ: u64 = 5;

/// Events in a page of the reader, and in what one caller takes: few, so that there are many pages.
pub(crate) const PAGE: usize = 3;

/// The name of a check, and what was seen.
pub(crate) type Finding = (&'static str, String);

/// What readers have got.
#[derive(Debug, Default)]
pub(crate) struct SeenEvents {
    pub(crate) apps: BTreeMap<AppId, Stream>,
    pub(crate) commits: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Stream {
    /// What was acknowledged as durable.
    pub(crate) written: BTreeMap<u64, Event>,
    /// What the reader got, page by page.
    pub(crate) read: Vec<Event>,
    pub(crate) cursor: u64,
    pub(crate) taken: BTreeMap<EventQueue, Vec<u64>>,
}

impl Stream {
    /// `event.once`: a cursor gives everything that was acknowledged, in order and once; of two
    /// callers, one gets an event.
    pub(crate) fn check_once(&self, all: &[Event], found: &mut Vec<Finding>) {
        let mut violate = |text| found.push(("event.once", text));
        // A clock that jumps by more than a week, over a restart, makes events too old.
        let first = all.first().map_or(1, |event| event.number);
        let numbers: Vec<u64> = all.iter().map(|event| event.number).collect();
        let expected: Vec<u64> = (first..).take(numbers.len()).collect();
        if numbers != expected {
            violate(format!("a stream gives the events {numbers:?}"));
        }
        let is_kept = |event: &&Event| event.number >= first;
        let read: Vec<&Event> = self.read.iter().filter(is_kept).collect();
        let has_all = read.iter().copied().eq(all);
        if !has_all || !self.read.is_sorted_by(|a, b| a.number < b.number) {
            let read: Vec<u64> = self.read.iter().map(|event| event.number).collect();
            violate(format!("a reader got {read:?} of {} events", all.len()));
        }
        for event in self.written.values().filter(is_kept) {
            if !all.contains(event) {
                violate(format!("acknowledged and not there: {event:?}"));
            }
        }
        for (queue, taken) in &self.taken {
            let of_queue = all.iter().filter(|it| it.kind.queue() == Some(*queue));
            let of_queue: Vec<u64> = of_queue.map(|event| event.number).collect();
            let kept = taken.iter().copied().filter(|number| *number >= first);
            let has_all = kept.eq(of_queue.iter().copied());
            if !has_all || !taken.is_sorted_by(|a, b| a < b) {
                violate(format!(
                    "callers took {taken:?} of {of_queue:?} from {queue:?}"
                ));
            }
        }
    }
}

/// `event.order`: numbers of one user, and of one channel, rise.
pub(crate) fn check_orders(all: &[Event], found: &mut Vec<Finding>) {
    let (mut users, mut channels) = (BTreeMap::new(), BTreeMap::new());
    for event in all {
        let of_user = event.user.as_ref().map(|user| {
            let before = users.insert(user.as_str(), event.user_order);
            (before, event.user_order)
        });
        let of_channel = event.channel.as_ref().map(|channel| {
            let before = channels.insert(channel.as_str(), event.channel_order);
            (before, event.channel_order)
        });
        for (before, order) in [of_user, of_channel].into_iter().flatten() {
            if order <= before.unwrap_or(0) {
                let text = format!("order {order} follows {before:?}: {event:?}");
                found.push(("event.order", text));
            }
        }
    }
}

/// Logins without a logout, and what does not alternate as it should.
pub(crate) fn open_of(all: &[Event]) -> (BTreeMap<SessionId, String>, Vec<String>) {
    let mut open = BTreeMap::new();
    let mut members = BTreeSet::new();
    let mut made = BTreeSet::new();
    let mut wrong = Vec::new();
    for event in all {
        let session = event.session.unwrap_or(SessionId([0; 16]));
        let user = event.user.as_ref().map(ToString::to_string);
        let channel = event.channel.as_ref().map(ToString::to_string);
        let channel = channel.unwrap_or_default();
        let is_right = match event.kind {
            EventKind::Login => open.insert(session, user.unwrap_or_default()).is_none(),
            EventKind::Logout => {
                let has_left = !members.iter().any(|(of, _)| *of == session);
                open.remove(&session).is_some() && has_left
            }
            EventKind::Join => open.contains_key(&session) && members.insert((session, channel)),
            EventKind::Leave => members.remove(&(session, channel)),
            EventKind::ChannelMade => made.insert(channel),
            EventKind::ChannelGone => {
                let is_empty = !members.iter().any(|(_, of)| *of == channel);
                made.remove(&channel) && is_empty
            }
            _ => true,
        };
        if !is_right {
            wrong.push(format!("out of turn: {event:?}"));
        }
    }
    (open, wrong)
}
