//! Streams of events: numbers, orders and bounds.
//!
//! What is reported counts only if it is news: a login that is open already is none, nor is a
//! logout of a login that is not open. So each login has one logout after it and each join one
//! leave, also if a hub reports too much, or too little and is corrected by [`open::sync`].

pub(crate) mod open;
pub(crate) mod read;
pub(crate) mod records;

use tidings_fault::fault;
use tidings_hub::ids::{ChannelKey, UserKey};
use tidings_hub::store_ops::StoreAnswer;
use tidings_hub::store_ops::events::{
    Event, EventAnswer, EventKind, EventLimits, EventOp, EventQueue, EventSpan, NewEvent,
};
use tidings_wire::names::AppId;

use self::records::{EventHead, Tally, open_event, seal_event};
use crate::keys::Key;
use crate::kv::{Backend, Group, ReadError};
use crate::record;

/// Most events that one append deletes to keep the bounds: more than it adds, so that a lowered
/// bound is reached soon.
const DROPPED_MAX: usize = 4;

/// Appends an event, if it is news.
pub(crate) fn append<B: Backend>(
    group: &mut Group<'_, B>,
    event: &NewEvent,
) -> Result<StoreAnswer, ReadError> {
    let mut stream = Stream::load(group, &event.app, event.at_ms, event.limits)?;
    match event.kind {
        EventKind::Login => open::login(group, &mut stream, event)?,
        EventKind::Logout => open::logout(group, &mut stream, event)?,
        EventKind::Join => open::join(group, &mut stream, event)?,
        EventKind::Leave => open::leave(group, &mut stream, event)?,
        _ => stream.push(group, event, 0)?,
    }
    let (events, span) = stream.save(group);
    Ok(answer(EventAnswer::Written {
        app: event.app.clone(),
        events,
        span,
    }))
}

/// Carries out any other operation on streams.
pub(crate) fn carry_out<B: Backend>(
    group: &mut Group<'_, B>,
    op: &EventOp,
) -> Result<StoreAnswer, ReadError> {
    Ok(answer(match op {
        EventOp::Sync(sync) => open::sync(group, sync)?,
        EventOp::Lost {
            app,
            count,
            at_ms,
            limits,
        } => {
            let mut stream = Stream::load(group, app, *at_ms, *limits)?;
            stream.push_gap(group, "not-written", (*count, *at_ms))?;
            let (events, span) = stream.save(group);
            EventAnswer::Written {
                app: app.clone(),
                events,
                span,
            }
        }
        EventOp::Read {
            app,
            after,
            count_max,
            kinds,
            not_before_ms,
        } => read::read(group, app, (*after, *count_max), *kinds, *not_before_ms)?,
        EventOp::Take {
            app,
            queue,
            count_max,
            not_before_ms,
        } => read::take(group, app, *queue, *count_max, *not_before_ms)?,
        EventOp::Span { app } => EventAnswer::Span(load_head(group, app)?.unwrap_or_default().1),
        EventOp::Trim {
            after,
            not_before_ms,
        } => read::trim(group, after.as_ref(), *not_before_ms)?,
        EventOp::Erase { app, user, after } => read::erase(group, app, user, *after)?,
    }))
}

fn answer(answer: EventAnswer) -> StoreAnswer {
    StoreAnswer::Events(Box::new(answer))
}

/// The head of an app's stream, with what it spans. `None` = there is no stream.
fn load_head<B: Backend>(
    group: &mut Group<'_, B>,
    app: &AppId,
) -> Result<Option<(EventHead, EventSpan)>, ReadError> {
    let key = Key::EventHead(app.clone()).encode();
    let Some(record) = group.get(&key)? else {
        return Ok(None);
    };
    let head = match EventHead::open(&key, &record) {
        Err(ReadError::Damaged(_)) => made_anew(group, app)?,
        head => head?,
    };
    Ok(Some((head, head.span())))
}

/// A head for a stream whose head cannot be read. It covers the events that exist; as it began at
/// another time, cursors of before are refused.
fn made_anew<B: Backend>(group: &mut Group<'_, B>, app: &AppId) -> Result<EventHead, ReadError> {
    group.damaged += 1;
    let mut head = EventHead::new(1);
    let (from, to) = range_of(app, 0, u64::MAX);
    for (key, record) in group.range(&from, &to).flatten() {
        let number = event_number(&key);
        let at_ms = open_event(&key, number, &record).map_or(0, |event| event.at_ms);
        if head.next == 1 {
            (head.first, head.first_ms) = (number, at_ms);
        }
        head.born_ms = head.born_ms.max(at_ms);
        head.next = number + 1;
    }
    // Numbers that were given may be those of events that are gone.
    head.next += 1 << 32;
    for queue in EventQueue::ALL {
        let at = index_of(queue);
        let from = Key::Queued(app.clone(), queue, 0).encode();
        let to = Key::Queued(app.clone(), queue, u64::MAX).encode();
        let mut keys = group.range(&from, &to).flatten().map(|(key, _)| key);
        head.queue_first[at] = keys.next().map_or(head.next, |key| event_number(&key));
        head.queued[at] = keys.count() as u64 + u64::from(head.queue_first[at] < head.next);
    }
    Ok(head)
}

/// Place of a queue in [`EventHead`].
fn index_of(queue: EventQueue) -> usize {
    queue as usize - 1
}

/// The number at the end of a key.
fn event_number(key: &[u8]) -> u64 {
    key.last_chunk()
        .map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// The keys of an app's events with `from <= number < to`.
fn range_of(app: &AppId, from: u64, to: u64) -> (Vec<u8>, Vec<u8>) {
    (
        Key::Event(app.clone(), from).encode(),
        Key::Event(app.clone(), to).encode(),
    )
}

/// An app's stream while a group appends to it.
pub(crate) struct Stream {
    app: AppId,
    key: Vec<u8>,
    head: EventHead,
    is_changed: bool,
    limits: EventLimits,
    written: Vec<Event>,
}

impl Stream {
    pub(crate) fn load<B: Backend>(
        group: &mut Group<'_, B>,
        app: &AppId,
        now_ms: u64,
        limits: EventLimits,
    ) -> Result<Self, ReadError> {
        let head = load_head(group, app)?;
        Ok(Self {
            app: app.clone(),
            key: Key::EventHead(app.clone()).encode(),
            head: head.map_or_else(|| EventHead::new(now_ms), |(head, _)| head),
            is_changed: false,
            limits,
            written: Vec::new(),
        })
    }

    /// Gives an event its number, its orders and its place.
    pub(crate) fn push<B: Backend>(
        &mut self,
        group: &mut Group<'_, B>,
        new: &NewEvent,
        login_ms: u64,
    ) -> Result<(), ReadError> {
        let event = Event {
            number: 0,
            at_ms: new.at_ms,
            kind: new.kind,
            user: new.user.clone(),
            channel: new.channel.clone(),
            peer: new.peer.clone(),
            session: new.login.map(|login| login.session),
            login_ms,
            user_order: 0,
            channel_order: 0,
            id: new.id,
            bytes: new.bytes,
            detail: new.detail.clone(),
            missing: 0,
        };
        self.push_event(group, event)
    }

    /// Tells that events are missing here; `missing` = 0: nobody knows how many.
    pub(crate) fn push_gap<B: Backend>(
        &mut self,
        group: &mut Group<'_, B>,
        cause: &str,
        (missing, at_ms): (u64, u64),
    ) -> Result<(), ReadError> {
        self.push_event(group, gap(0, at_ms, cause, missing))
    }

    fn push_event<B: Backend>(
        &mut self,
        group: &mut Group<'_, B>,
        mut event: Event,
    ) -> Result<(), ReadError> {
        self.is_changed = true;
        let number = self.head.next;
        self.head.next += 1;
        if self.head.count() == 1 {
            self.head.first_ms = event.at_ms;
        }
        event.number = number;
        if let Some(key) = user_tally(&self.app, &event) {
            event.user_order = count_in(group, &key, number)?;
        }
        if let Some(key) = channel_tally(&self.app, &event) {
            event.channel_order = count_in(group, &key, number)?;
        }
        let key = Key::Event(self.app.clone(), number).encode();
        let sealed = seal_event(&key, &event);
        group.put(key, sealed);
        if let Some(queue) = event.kind.queue() {
            self.enqueue(group, queue, number)?;
        }
        self.written.push(event);
        let oldest_ms = self.written.last().map_or(0, |event| event.at_ms);
        let oldest_ms = oldest_ms.saturating_sub(self.limits.age_ms);
        let count_max = self.limits.count_max.max(1);
        drop_oldest(group, &self.app, &mut self.head, DROPPED_MAX, |head| {
            head.count() > count_max || (head.count() > 1 && head.first_ms < oldest_ms)
        })
    }

    /// Notes an event in the queue from which reading removes; the oldest there may give way.
    fn enqueue<B: Backend>(
        &mut self,
        group: &mut Group<'_, B>,
        queue: EventQueue,
        number: u64,
    ) -> Result<(), ReadError> {
        let at = index_of(queue);
        let key = Key::Queued(self.app.clone(), queue, number).encode();
        let sealed = record::seal_number(&key, number);
        group.put(key, sealed);
        self.head.queued[at] += 1;
        while self.head.queued[at] > self.limits.queue_max.max(1) {
            let from = Key::Queued(self.app.clone(), queue, self.head.queue_first[at]).encode();
            let to = Key::Queued(self.app.clone(), queue, u64::MAX).encode();
            let oldest = group.range(&from, &to).next().transpose()?;
            let Some((key, _)) = oldest else {
                self.head.queued[at] = 0;
                break;
            };
            self.head.queued[at] -= 1;
            self.head.queue_first[at] = event_number(&key) + 1;
            group.delete(key);
        }
        Ok(())
    }

    /// Ends the work on the stream: what was written, and what the stream spans now.
    pub(crate) fn save<B: Backend>(self, group: &mut Group<'_, B>) -> (Vec<Event>, EventSpan) {
        if self.is_changed {
            let sealed = self.head.seal(&self.key);
            group.put(self.key, sealed);
        }
        (self.written, self.head.span())
    }
}

/// A gap before the event that follows `number`.
fn gap(number: u64, at_ms: u64, cause: &str, missing: u64) -> Event {
    Event {
        number,
        at_ms,
        kind: EventKind::Gap,
        user: None,
        channel: None,
        peer: None,
        session: None,
        login_ms: 0,
        user_order: 0,
        channel_order: 0,
        id: None,
        bytes: 0,
        detail: cause.to_owned(),
        missing,
    }
}

fn user_tally(app: &AppId, event: &Event) -> Option<Vec<u8>> {
    let (app, user) = (app.clone(), event.user.clone()?);
    Some(Key::EventUser(UserKey { app, user }).encode())
}

fn channel_tally(app: &AppId, event: &Event) -> Option<Vec<u8>> {
    let (app, channel) = (app.clone(), event.channel.clone()?);
    Some(Key::EventChannel(ChannelKey { app, channel }).encode())
}

/// Reads a tally. One that is not there, or cannot be read, is as if it were new.
fn load_tally<B: Backend>(group: &mut Group<'_, B>, key: &[u8]) -> Result<Tally, ReadError> {
    let Some(record) = group.get(key)? else {
        return Ok(Tally::default());
    };
    match Tally::open(key, &record) {
        Err(ReadError::Damaged(_)) => {
            group.damaged += 1;
            Ok(Tally::default())
        }
        tally => tally,
    }
}

/// Gives the next order number of a user or a channel. One of which nothing is remembered goes on
/// with the event's own number: no order that was ever given is greater, as each event counts for
/// at most one.
fn count_in<B: Backend>(
    group: &mut Group<'_, B>,
    key: &[u8],
    number: u64,
) -> Result<u64, ReadError> {
    let mut tally = load_tally(group, key)?;
    tally.order = match tally.order {
        0 => number,
        order if fault!(EventOrderStandsStill) => order,
        order => order + 1,
    };
    tally.last = number;
    group.put(key.to_vec(), tally.seal(key));
    Ok(tally.order)
}

/// Deletes events from the front while the head says so, at most `dropped_max`.
fn drop_oldest<B: Backend>(
    group: &mut Group<'_, B>,
    app: &AppId,
    head: &mut EventHead,
    dropped_max: usize,
    is_over: impl Fn(&EventHead) -> bool,
) -> Result<(), ReadError> {
    if !is_over(head) {
        return Ok(());
    }
    let (from, to) = range_of(app, head.first, head.next);
    // One more, whose stamp is the first one's afterwards.
    let pairs: Vec<_> = group.range(&from, &to).take(dropped_max + 1).collect();
    for (at, pair) in pairs.into_iter().enumerate() {
        let (key, record) = pair?;
        let number = event_number(&key);
        let event = match open_event(&key, number, &record) {
            Err(ReadError::Damaged(_)) => None,
            event => Some(event?),
        };
        head.first = number;
        head.first_ms = event.as_ref().map_or(0, |event| event.at_ms);
        if at == dropped_max || !is_over(head) {
            return Ok(());
        }
        group.delete(key);
        head.first = number + 1;
        if let Some(event) = event {
            forget(group, app, head, &event)?;
        }
    }
    Ok(())
}

/// An event is gone: what was remembered for its sake goes too.
fn forget<B: Backend>(
    group: &mut Group<'_, B>,
    app: &AppId,
    head: &mut EventHead,
    event: &Event,
) -> Result<(), ReadError> {
    if let Some(queue) = event.kind.queue() {
        let at = index_of(queue);
        let key = Key::Queued(app.clone(), queue, event.number).encode();
        if event.number >= head.queue_first[at] && group.get(&key)?.is_some() {
            head.queued[at] = head.queued[at].saturating_sub(1);
            head.queue_first[at] = event.number + 1;
            group.delete(key);
        }
    }
    let tallies = [user_tally(app, event), channel_tally(app, event)];
    for key in tallies.into_iter().flatten() {
        let tally = load_tally(group, &key)?;
        if tally.last == event.number && tally.members == 0 {
            group.delete(key);
        }
    }
    Ok(())
}
