//! Streams of events on the disk, and the checks on them: each login has one logout, a cursor and a
//! queue give each event once, and orders rise, whatever happens to the server.

use std::collections::{BTreeMap, BTreeSet};

use tidings_hub::ids::SessionId;
use tidings_hub::store_ops::events::{
    Event, EventAnswer, EventKind, EventKinds, EventOp, EventQueue,
};
use tidings_hub::store_ops::{StoreAnswer, StoreOp};
use tidings_store::Engine as _;
use tidings_wire::names::AppId;

use crate::checks::Violation;
use crate::world::World;

/// A reader comes once in this many group commits, so that it is behind now and then.
const COMMITS_PER_READ: u64 = 5;

/// Events in a page of the reader, and in what one caller takes: few, so that there are many pages.
const PAGE: usize = 3;

/// What readers have got.
#[derive(Debug, Default)]
pub(crate) struct SeenEvents {
    apps: BTreeMap<AppId, Stream>,
    commits: u64,
}

#[derive(Debug, Default)]
struct Stream {
    /// What was acknowledged as durable.
    written: BTreeMap<u64, Event>,
    /// What the reader got, page by page.
    read: Vec<Event>,
    cursor: u64,
    taken: BTreeMap<EventQueue, Vec<u64>>,
}

impl World {
    /// A group has reached the disk.
    pub(crate) fn note_events(&mut self, answers: &[StoreAnswer]) {
        for answer in answers {
            let StoreAnswer::Events(answer) = answer else {
                continue;
            };
            match &**answer {
                EventAnswer::Written { app, events, .. } => self.note_written(app, events),
                EventAnswer::Synced { written, .. } => {
                    for (app, events, _) in written {
                        self.note_written(app, events);
                    }
                }
                _ => {}
            }
        }
        self.events.commits += 1;
        if self.events.commits.is_multiple_of(COMMITS_PER_READ) {
            for app in self.apps_with_events() {
                self.read_events(&app);
                self.take_events(&app);
            }
        }
    }

    fn note_written(&mut self, app: &AppId, events: &[Event]) {
        let stream = self.events.apps.entry(app.clone()).or_default();
        let events = events.iter().map(|event| (event.number, event.clone()));
        stream.written.extend(events);
    }

    fn apps_with_events(&self) -> Vec<AppId> {
        self.events.apps.keys().cloned().collect()
    }

    fn ask_events(&mut self, op: EventOp) -> Option<EventAnswer> {
        let mut answers = Vec::new();
        (self.engine).apply(&[StoreOp::Events(Box::new(op))], &mut answers);
        match answers.pop() {
            Some(StoreAnswer::Events(answer)) => Some(*answer),
            // The disk is full or failing.
            _ => None,
        }
    }

    fn page_of_events(
        &mut self,
        app: &AppId,
        after: Option<u64>,
        count_max: usize,
    ) -> (Vec<Event>, u64) {
        let op = EventOp::Read {
            app: app.clone(),
            after,
            count_max,
            kinds: EventKinds::ALL,
            not_before_ms: 0,
        };
        match self.ask_events(op) {
            Some(EventAnswer::Page { events, next, .. }) => (events, next),
            _ => (Vec::new(), after.unwrap_or(0)),
        }
    }

    /// One page of the reader that goes on where it has come to.
    fn read_events(&mut self, app: &AppId) {
        let cursor = self.events.apps.get(app).map_or(0, |stream| stream.cursor);
        let (events, next) = self.page_of_events(app, Some(cursor), PAGE);
        if let Some(stream) = self.events.apps.get_mut(app) {
            stream.read.extend(events);
            stream.cursor = next;
        }
    }

    fn take_events(&mut self, app: &AppId) {
        for queue in EventQueue::ALL {
            let op = EventOp::Take {
                app: app.clone(),
                queue,
                count_max: PAGE,
                not_before_ms: 0,
            };
            if let Some(EventAnswer::Page { events, .. }) = self.ask_events(op)
                && let Some(stream) = self.events.apps.get_mut(app)
            {
                let numbers = events.iter().map(|event| event.number);
                stream.taken.entry(queue).or_default().extend(numbers);
            }
        }
    }

    /// Users whose login has no logout yet, by how many they are.
    pub(crate) fn open_logins(&mut self) -> BTreeMap<String, usize> {
        let mut open = BTreeMap::new();
        for app in self.apps_with_events() {
            for (_, user) in open_of(&self.all_events(&app)).0 {
                *open.entry(user).or_default() += 1;
            }
        }
        open
    }

    /// Everything that is kept.
    fn all_events(&mut self, app: &AppId) -> Vec<Event> {
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let (events, next) = self.page_of_events(app, after, usize::MAX);
            if events.is_empty() {
                return all;
            }
            all.extend(events);
            after = Some(next);
        }
    }

    /// What the checks have found when everybody has logged out.
    pub fn finish_events(&mut self) -> Vec<Violation> {
        let mut found = Vec::new();
        for app in self.apps_with_events() {
            let all = self.all_events(&app);
            for _ in 0..=all.len() / PAGE {
                self.read_events(&app);
                self.take_events(&app);
            }
            let Some(stream) = self.events.apps.get(&app) else {
                continue;
            };
            stream.check_once(&all, &mut found);
            check_orders(&all, &mut found);
            let (open, mut wrong) = open_of(&all);
            if all.first().is_some_and(|event| event.number > 1) {
                // What it follows from has gone.
                wrong.clear();
            }
            let wrong = wrong.into_iter().chain(
                (open.into_iter())
                    .map(|(session, user)| format!("{user} {session:?} has no logout")),
            );
            found.extend(wrong.map(|text| violation("event.one_logout", text)));
        }
        if self.is_disk_broken() {
            // An event that cannot be read any more is told as a gap.
            found.clear();
        }
        found
    }
}

fn violation(check: &'static str, text: String) -> Violation {
    Violation { check, text }
}

impl Stream {
    /// `event.once`: a cursor gives everything that was acknowledged, in order and once; of two
    /// callers, one gets an event.
    fn check_once(&self, all: &[Event], found: &mut Vec<Violation>) {
        let mut violate = |text| found.push(violation("event.once", text));
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
fn check_orders(all: &[Event], found: &mut Vec<Violation>) {
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
                found.push(violation("event.order", text));
            }
        }
    }
}

/// Logins without a logout, and what does not alternate as it should.
fn open_of(all: &[Event]) -> (BTreeMap<SessionId, String>, Vec<String>) {
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
