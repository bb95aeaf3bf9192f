//! The newest events of the apps that somebody watches, and who is woken when there are more.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_channel::oneshot;
use tidings_hub::store_ops::events::{Event, EventAnswer, EventLimits, EventOp, EventSpan};
use tidings_hub::store_ops::{StoreAnswer, StoreOp};
use tidings_wire::names::AppId;

/// Bound: newest events of one watched app that are kept in memory. Who is further behind reads
/// the store.
const APP_EVENTS_MAX: usize = 512;

/// Bound: the same of all apps together.
const EVENTS_MAX: usize = 65_536;

/// What watched apps have written last.
#[derive(Debug, Default)]
pub(crate) struct Feed {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Bound: the apps that somebody watches.
    apps: BTreeMap<AppId, AppFeed>,
    /// Events of all of them.
    events: usize,
}

#[derive(Debug, Default)]
struct AppFeed {
    watchers: usize,
    /// `None` = not known yet.
    span: Option<EventSpan>,
    /// Without a gap, up to the newest.
    newest: VecDeque<Event>,
    /// Bound: one per reader that waits.
    waiting: Vec<oneshot::Sender<()>>,
}

/// What can be said without asking the store.
#[derive(Debug)]
pub(crate) enum Known {
    /// Nothing.
    Nothing,
    /// There are no newer events; wait for this.
    NoneYet(oneshot::Receiver<()>),
    /// There are newer events.
    Newer,
}

impl Feed {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes the events of a group that is durable.
    pub(crate) fn publish(&self, answers: &[StoreAnswer]) {
        for answer in answers {
            let StoreAnswer::Events(answer) = answer else {
                continue;
            };
            match &**answer {
                EventAnswer::Written { app, events, span } => self.add(app, events, *span),
                EventAnswer::Synced { written, .. } => {
                    for (app, events, span) in written {
                        self.add(app, events, *span);
                    }
                }
                _ => {}
            }
        }
    }

    fn add(&self, app: &AppId, events: &[Event], span: EventSpan) {
        if events.is_empty() {
            return;
        }
        let inner = &mut *self.lock();
        let Some(feed) = inner.apps.get_mut(app) else {
            return;
        };
        let is_next = match (feed.newest.back(), events.first()) {
            (Some(last), Some(first)) => last.number + 1 == first.number,
            _ => true,
        };
        inner.events -= feed.newest.len();
        if !is_next {
            feed.newest.clear();
        }
        feed.newest.extend(events.iter().cloned());
        let room = EVENTS_MAX.saturating_sub(inner.events);
        let kept = feed.newest.len().min(APP_EVENTS_MAX).min(room);
        feed.newest.drain(..feed.newest.len() - kept);
        inner.events += kept;
        feed.span = Some(span);
        for waiting in feed.waiting.drain(..) {
            // Whoever has waited may have gone.
            let _ = waiting.send(());
        }
    }

    pub(crate) fn watch(&self, app: &AppId) {
        let mut inner = self.lock();
        inner.apps.entry(app.clone()).or_default().watchers += 1;
    }

    pub(crate) fn unwatch(&self, app: &AppId) {
        let inner = &mut *self.lock();
        let Some(feed) = inner.apps.get_mut(app) else {
            return;
        };
        feed.watchers -= 1;
        if feed.watchers == 0 {
            inner.events -= feed.newest.len();
            inner.apps.remove(app);
        }
    }

    /// What is kept in memory of an app is no longer what is stored.
    pub(crate) fn forget(&self, app: &AppId) {
        let inner = &mut *self.lock();
        if let Some(feed) = inner.apps.get_mut(app) {
            inner.events -= feed.newest.len();
            feed.newest.clear();
        }
    }

    /// Notes where a stream stands, unless something newer is known.
    pub(crate) fn note_span(&self, app: &AppId, span: EventSpan) {
        if let Some(feed) = self.lock().apps.get_mut(app)
            && feed.span.is_none_or(|known| known.newest < span.newest)
        {
            feed.span = Some(span);
        }
    }

    /// Whether a watched app has events after a number.
    pub(crate) fn newer_than(&self, app: &AppId, number: u64) -> Known {
        let mut inner = self.lock();
        let Some(feed) = inner.apps.get_mut(app) else {
            return Known::Nothing;
        };
        match feed.span {
            None => Known::Nothing,
            Some(span) if span.newest > number => Known::Newer,
            Some(_) => {
                feed.waiting.retain(|waiting| !waiting.is_canceled());
                let (sender, receiver) = oneshot::channel();
                feed.waiting.push(sender);
                Known::NoneYet(receiver)
            }
        }
    }

    /// Events after a number, if they are all in memory.
    pub(crate) fn read(
        &self,
        app: &AppId,
        after: u64,
        mut is_wanted: impl FnMut(&Event) -> bool,
        count_max: usize,
    ) -> Option<(Vec<Event>, u64, EventSpan)> {
        let inner = self.lock();
        let feed = inner.apps.get(app)?;
        let span = feed.span?;
        if after == span.newest {
            return Some((Vec::new(), after, span));
        }
        let first = feed.newest.front()?.number;
        if after + 1 < first || after > span.newest {
            return None;
        }
        let (mut events, mut next) = (Vec::new(), after);
        let skipped = usize::try_from(after + 1 - first).ok()?;
        for event in feed.newest.iter().skip(skipped) {
            if events.len() == count_max {
                break;
            }
            next = event.number;
            if is_wanted(event) {
                events.push(event.clone());
            }
        }
        Some((events, next, span))
    }
}

/// Events that could not be written, by app, with the time of the last one.
#[derive(Debug, Default)]
pub(crate) struct LostEvents {
    /// Bound: the apps that lose events while the store does not accept any.
    by_app: BTreeMap<AppId, (u64, u64)>,
}

impl LostEvents {
    pub(crate) fn is_empty(&self) -> bool {
        self.by_app.is_empty()
    }

    /// Those of a group, some of whose operations may have failed.
    pub(crate) fn of_group(ops: &[StoreOp], answers: &[StoreAnswer]) -> Self {
        let mut lost = Self::default();
        for (op, answer) in ops.iter().zip(answers) {
            if matches!(answer, StoreAnswer::Failed { .. }) {
                lost.note(op);
            }
        }
        lost
    }

    /// Notes what is lost if an operation is not carried out.
    pub(crate) fn note(&mut self, op: &StoreOp) {
        match op {
            StoreOp::EventAppend(event) => self.count(&event.app, 1, event.at_ms),
            StoreOp::Events(op) => {
                if let EventOp::Lost {
                    app, count, at_ms, ..
                } = &**op
                {
                    self.count(app, *count, *at_ms);
                }
            }
            _ => {}
        }
    }

    pub(crate) fn add(&mut self, other: Self) {
        for (app, (count, at_ms)) in other.by_app {
            self.count(&app, count, at_ms);
        }
    }

    fn count(&mut self, app: &AppId, count: u64, at_ms: u64) {
        let lost = self.by_app.entry(app.clone()).or_default();
        lost.0 += count;
        lost.1 = lost.1.max(at_ms);
    }

    /// Operations that tell the apps.
    pub(crate) fn into_ops(self) -> impl Iterator<Item = StoreOp> {
        self.by_app.into_iter().map(|(app, (count, at_ms))| {
            StoreOp::Events(Box::new(EventOp::Lost {
                app,
                count,
                at_ms,
                limits: EventLimits::default(),
            }))
        })
    }
}
