//! Reading streams, emptying queues, and what goes by its age.

use tidings_fault::fault;
use tidings_hub::store_ops::events::{Event, EventAnswer, EventKinds, EventQueue, EventSpan};
use tidings_wire::limits::EVENT_PAGE_MAX;
use tidings_wire::names::{AppId, UserId};

use super::records::{EventHead, open_event, seal_event};
use super::{drop_oldest, event_number, gap, index_of, load_head, range_of};
use crate::keys::{Key, Kind};
use crate::kv::{Backend, Group, ReadError};

/// Most events that one read looks at, of which those of other kinds are passed over.
const VISITED_MAX: u64 = 4_000;

/// Most events that one trim deletes.
const TRIMMED_MAX: usize = 2_000;

/// Most streams that one trim looks at.
const STREAMS_MAX: usize = 500;

/// Reads a page. Writes nothing, so it works on a read-only store too.
pub(crate) fn read<B: Backend>(
    group: &mut Group<'_, B>,
    app: &AppId,
    (after, count_max): (Option<u64>, usize),
    kinds: EventKinds,
    not_before_ms: u64,
) -> Result<EventAnswer, ReadError> {
    let Some((head, span)) = load_head(group, app)? else {
        return Ok(EventAnswer::Page {
            events: Vec::new(),
            next: 0,
            span: EventSpan::default(),
        });
    };
    let count_max = count_max.clamp(1, EVENT_PAGE_MAX);
    let begin = after.unwrap_or(head.first - 1);
    let mut page = Page {
        events: Vec::new(),
        next: begin,
        // Whoever begins with the oldest that is kept has missed nothing before it.
        is_begun: after.is_some(),
        passed: None,
    };
    let (from, to) = range_of(app, (begin + 1).max(head.first), head.next);
    let mut damaged = 0;
    for (visited, pair) in (0_u64..).zip(group.range(&from, &to)) {
        let (key, record) = pair?;
        let number = event_number(&key);
        if page.events.len() >= count_max || visited >= VISITED_MAX {
            break;
        }
        match open_event(&key, number, &record) {
            Ok(event) if event.at_ms < not_before_ms => page.pass(number, "pushed-out"),
            Ok(event) => page.take(event, kinds, count_max),
            Err(ReadError::Damaged(_)) => {
                damaged += 1;
                page.pass(number, "damaged");
            }
            Err(error) => return Err(error),
        }
    }
    group.damaged += damaged;
    // What was passed over at the end is told too: the reader goes on behind it.
    if let Some((number, cause)) = page.passed {
        page.tell_gap(number + 1, head.first_ms, cause);
    }
    Ok(EventAnswer::Page {
        events: page.events,
        next: page.next,
        span,
    })
}

struct Page {
    events: Vec<Event>,
    /// The last event that is in it, or of another kind.
    next: u64,
    /// What is missing from now on is told.
    is_begun: bool,
    /// The last event that cannot be told, and why.
    passed: Option<(u64, &'static str)>,
}

impl Page {
    fn pass(&mut self, number: u64, cause: &'static str) {
        self.passed = Some((number, cause));
    }

    fn take(&mut self, event: Event, kinds: EventKinds, count_max: usize) {
        let (_, cause) = self.passed.take().unwrap_or((0, "pushed-out"));
        self.tell_gap(event.number, event.at_ms, cause);
        if self.events.len() == count_max {
            // The gap has filled it.
            return;
        }
        self.next = event.number;
        self.is_begun = true;
        if kinds.has(event.kind) {
            self.events.push(event);
        }
    }

    /// Tells what is missing before an event.
    fn tell_gap(&mut self, number: u64, at_ms: u64, cause: &str) {
        let missing = (number - 1).saturating_sub(self.next);
        if missing > 0 && self.is_begun {
            self.events.push(gap(number - 1, at_ms, cause, missing));
        }
        self.next = self.next.max(number - 1);
    }
}

/// Takes events out of a queue: each goes to one caller.
pub(crate) fn take<B: Backend>(
    group: &mut Group<'_, B>,
    app: &AppId,
    queue: EventQueue,
    count_max: usize,
    not_before_ms: u64,
) -> Result<EventAnswer, ReadError> {
    let Some((mut head, span)) = load_head(group, app)? else {
        return Ok(EventAnswer::Page {
            events: Vec::new(),
            next: 0,
            span: EventSpan::default(),
        });
    };
    let at = index_of(queue);
    let count_max = count_max.clamp(1, EVENT_PAGE_MAX);
    let from = Key::Queued(app.clone(), queue, head.queue_first[at]).encode();
    let to = Key::Queued(app.clone(), queue, u64::MAX).encode();
    let keys: Vec<_> = group.range(&from, &to).collect();
    let mut events: Vec<Event> = Vec::new();
    let mut has_taken = false;
    for pair in keys {
        if events.len() == count_max {
            break;
        }
        let (key, _) = pair?;
        let number = event_number(&key);
        has_taken = true;
        head.queue_first[at] = number + 1;
        head.queued[at] = head.queued[at].saturating_sub(1);
        if !fault!(TakenEventStaysQueued) {
            group.delete(key);
        }
        let key = Key::Event(app.clone(), number).encode();
        let Some(record) = group.get(&key)? else {
            continue;
        };
        match open_event(&key, number, &record) {
            Ok(event) if event.at_ms < not_before_ms => {}
            Ok(event) => events.push(event),
            Err(ReadError::Damaged(_)) => group.damaged += 1,
            Err(error) => return Err(error),
        }
    }
    if has_taken && !fault!(TakenEventStaysQueued) {
        save(group, app, &head);
    }
    let next = head.queue_first[at] - 1;
    Ok(EventAnswer::Page { events, next, span })
}

fn save<B: Backend>(group: &mut Group<'_, B>, app: &AppId, head: &EventHead) {
    let key = Key::EventHead(app.clone()).encode();
    let sealed = head.seal(&key);
    group.put(key, sealed);
}

/// Deletes events that are too old, of apps that write none any more.
pub(crate) fn trim<B: Backend>(
    group: &mut Group<'_, B>,
    after: Option<&AppId>,
    not_before_ms: u64,
) -> Result<EventAnswer, ReadError> {
    let from = match after {
        Some(app) => [Key::EventHead(app.clone()).encode(), vec![0]].concat(),
        None => vec![Kind::EventHead as u8],
    };
    let mut apps = Vec::new();
    let mut has_more = false;
    for pair in group.range(&from, &[Kind::EventHead as u8 + 1]) {
        if apps.len() == STREAMS_MAX {
            has_more = true;
            break;
        }
        if let Some(Key::EventHead(app)) = Key::decode(&pair?.0) {
            apps.push(app);
        }
    }
    let mut next = after.cloned();
    let mut left = TRIMMED_MAX;
    for app in apps {
        let Some((mut head, _)) = load_head(group, &app)? else {
            continue;
        };
        let is_over = |head: &EventHead| head.count() > 0 && head.first_ms < not_before_ms;
        if is_over(&head) {
            let before = head.first;
            drop_oldest(group, &app, &mut head, left, is_over)?;
            let dropped = usize::try_from(head.first - before).unwrap_or(usize::MAX);
            left = left.saturating_sub(dropped.max(1));
            save(group, &app, &head);
        }
        if left == 0 {
            // This one may have more that is too old: it comes first next time.
            return Ok(EventAnswer::Trimmed {
                next,
                has_more: true,
            });
        }
        next = Some(app);
    }
    let next = next.filter(|_| has_more);
    Ok(EventAnswer::Trimmed { next, has_more })
}

/// Takes a user's name out of events.
pub(crate) fn erase<B: Backend>(
    group: &mut Group<'_, B>,
    app: &AppId,
    user: &UserId,
    after: u64,
) -> Result<EventAnswer, ReadError> {
    let Some((head, _)) = load_head(group, app)? else {
        return Ok(EventAnswer::Erased { next: None });
    };
    let (from, to) = range_of(app, (after + 1).max(head.first), head.next);
    let mut next = None;
    let mut changed = Vec::new();
    for (visited, pair) in (0_u64..).zip(group.range(&from, &to)) {
        let (key, record) = pair?;
        if visited >= VISITED_MAX {
            next = Some(event_number(&key) - 1);
            break;
        }
        // One that cannot be read names nobody.
        let Ok(mut event) = open_event(&key, event_number(&key), &record) else {
            continue;
        };
        let is_named = |name: &Option<UserId>| name.as_ref() == Some(user);
        if is_named(&event.user) || is_named(&event.peer) {
            event.user = event.user.filter(|name| name != user);
            event.peer = event.peer.filter(|name| name != user);
            changed.push((key, event));
        }
    }
    for (key, event) in changed {
        let sealed = seal_event(&key, &event);
        group.put(key, sealed);
    }
    if next.is_none() {
        let (app, user) = (app.clone(), user.clone());
        group.delete(Key::EventUser(tidings_hub::ids::UserKey { app, user }).encode());
    }
    Ok(EventAnswer::Erased { next })
}
