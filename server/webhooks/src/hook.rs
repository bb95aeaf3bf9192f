//! One subscription while the server runs: its settings, where it is, and its last deliveries.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tidings_wire::limits::{
    WEBHOOK_DEAD_LETTER_BYTES_MAX as DEAD_LETTER_BYTES_MAX,
    WEBHOOK_DEAD_LETTERS_MAX as DEAD_LETTERS_MAX, WEBHOOK_DELIVERIES_KEPT_MAX as DELIVERIES_MAX,
    WEBHOOK_RETRY_MS,
};
use tokio::sync::Notify;

use crate::delivery::{Attempt, Delivery, Failing, Progress, State};
use crate::retry;
use crate::sources::{Change, Event, Table};
use crate::subscription::Subscription;

/// A subscription while the server runs, shared by what delivers and what changes it.
#[derive(Debug)]
pub(crate) struct Hook {
    pub(crate) app: String,
    pub(crate) id: String,
    config: Mutex<Arc<Subscription>>,
    /// Held for moments only.
    state: Mutex<HookState>,
    /// Something changed: settings, or that it ends.
    pub(crate) wake: Notify,
    is_ended: AtomicBool,
}

/// What changes with every delivery.
#[derive(Debug, Default)]
pub(crate) struct HookState {
    pub(crate) progress: Progress,
    /// By number. Bound: [`DELIVERIES_MAX`], the oldest pushed out.
    recent: VecDeque<Delivery>,
    /// Number and bytes of the dead letters on disk. Bounds: [`DEAD_LETTERS_MAX`],
    /// [`DEAD_LETTER_BYTES_MAX`].
    dead: BTreeMap<u64, usize>,
    /// Deliveries that the disk does not have as they are; those pushed out are deleted.
    changed: BTreeSet<u64>,
    /// Deliveries that the disk has. Bound: what is kept, and what was pushed out since the last
    /// write.
    on_disk: BTreeSet<u64>,
    is_changed: bool,
}

impl Hook {
    pub(crate) fn new(config: Subscription, state: HookState) -> Self {
        Self {
            app: config.app.clone(),
            id: config.id.clone(),
            config: Mutex::new(Arc::new(config)),
            state: Mutex::new(state),
            wake: Notify::new(),
            is_ended: AtomicBool::new(false),
        }
    }

    pub(crate) fn config(&self) -> Arc<Subscription> {
        let config = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        config.clone()
    }

    /// Takes over settings. What failed is tried again at once: the change may have mended it.
    pub(crate) fn set_config(&self, config: Subscription) {
        *self.config.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
        let mut state = self.state();
        if let Some(failing) = &mut state.progress.failing {
            failing.next_ms = 0;
            state.is_changed = true;
        }
        drop(state);
        self.wake.notify_one();
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, HookState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn end(&self) {
        self.is_ended.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    pub(crate) fn is_ended(&self) -> bool {
        self.is_ended.load(Ordering::Acquire)
    }

    /// What has to be written, and forgets that.
    pub(crate) fn take_changes(&self) -> Vec<Change> {
        let mut state = self.state();
        if !std::mem::take(&mut state.is_changed) {
            return Vec::new();
        }
        let mut changes = vec![json(
            Table::Cursors,
            cursor_key(&self.app, &self.id),
            &state.progress,
        )];
        let changed = std::mem::take(&mut state.changed);
        let key = |n| delivery_key(&self.app, &self.id, Kept::Last, n);
        // Order: those pushed out have lower numbers, so there is room for the others. Many are
        // pushed out before they were ever written.
        for n in changed {
            let delivery = state.recent.iter().find(|delivery| delivery.n == n);
            if let Some(delivery) = delivery {
                changes.push(json(Table::Deliveries, key(n), delivery));
                state.on_disk.insert(n);
            } else if state.on_disk.remove(&n) {
                changes.push(deletion(Table::Deliveries, key(n)));
            }
        }
        changes
    }
}

impl HookState {
    /// As it was on disk.
    pub(crate) fn restored(
        progress: Progress,
        recent: VecDeque<Delivery>,
        dead: BTreeMap<u64, usize>,
    ) -> Self {
        let mut state = Self {
            progress,
            on_disk: recent.iter().map(|delivery| delivery.n).collect(),
            recent,
            dead,
            ..Self::default()
        };
        while state.recent.len() > DELIVERIES_MAX {
            state.push_out();
        }
        state
    }

    pub(crate) fn recent(&self) -> impl DoubleEndedIterator<Item = &Delivery> {
        self.recent.iter()
    }

    pub(crate) fn dead_letters(&self) -> usize {
        self.dead.len()
    }

    pub(crate) fn is_dead(&self, n: u64) -> bool {
        self.dead.contains_key(&n)
    }

    /// Events up to this one are done with.
    pub(crate) fn pass(&mut self, event: &Event) {
        self.progress.after.clone_from(&event.place);
        self.is_changed = true;
    }

    /// It has to be written once more.
    pub(crate) fn touch(&mut self) {
        self.is_changed = true;
    }

    pub(crate) fn lost(&mut self, count: u64) {
        self.progress.lost = self.progress.lost.saturating_add(count);
        self.is_changed = true;
    }

    pub(crate) fn throttled(&mut self, ms: u64) {
        self.progress.throttled_ms = self.progress.throttled_ms.saturating_add(ms);
        self.is_changed = true;
    }

    /// The delivery of this event that is under way, or a new one.
    pub(crate) fn delivery(&mut self, notice_id: String, event: &Event) -> Delivery {
        let under_way =
            self.recent.iter().rev().find(|delivery| {
                delivery.state == State::Retrying && delivery.notice_id == notice_id
            });
        if let Some(delivery) = under_way {
            return delivery.clone();
        }
        self.progress.last_n += 1;
        let after = self.progress.after.clone();
        Delivery::new(self.progress.last_n, notice_id, event, after)
    }

    /// Remembers how a delivery stands.
    pub(crate) fn keep(&mut self, delivery: Delivery) {
        self.is_changed = true;
        self.changed.insert(delivery.n);
        if let Some(known) = self.recent.iter_mut().find(|known| known.n == delivery.n) {
            *known = delivery;
            return;
        }
        let at = self.recent.partition_point(|known| known.n < delivery.n);
        self.recent.insert(at, delivery);
        if self.recent.len() > DELIVERIES_MAX {
            self.push_out();
        }
    }

    /// Drops what targets have answered.
    pub(crate) fn forget_answers(&mut self) {
        for delivery in &mut self.recent {
            for attempt in &mut delivery.attempts {
                attempt.answer.clear();
            }
            self.changed.insert(delivery.n);
        }
        self.is_changed = true;
    }

    fn push_out(&mut self) {
        if let Some(out) = self.recent.pop_front() {
            self.changed.insert(out.n);
            self.is_changed = true;
        }
    }

    pub(crate) fn succeeded(&mut self) {
        self.progress.delivered += 1;
        self.progress.failing = None;
        self.is_changed = true;
    }

    /// Notes an attempt that failed at `now_ms`, and when the next one is due: by the operator's
    /// first pause, and what the target has asked for.
    pub(crate) fn failed(
        &mut self,
        attempt: &Attempt,
        (first, asked): (Duration, Option<Duration>),
        now_ms: u64,
    ) {
        self.progress.failed_attempts += 1;
        let before = self.progress.failing.take();
        let attempts = before
            .as_ref()
            .map_or(1, |failing| failing.attempts.saturating_add(1));
        self.progress.failing = Some(Failing {
            since_ms: before.map_or(attempt.at_ms, |failing| failing.since_ms),
            attempts,
            next_ms: now_ms + retry::pause_ms(first, attempts, retry::chance(), asked),
            error: attempt.error.clone().unwrap_or_default(),
        });
        self.is_changed = true;
    }

    /// When an event is given up, in Unix milliseconds: 24 hours after it happened and after its
    /// target began to fail, whichever is later. `None` while the target takes notices.
    pub(crate) fn given_up_ms(&self, event: &Event) -> Option<u64> {
        let failing = self.progress.failing.as_ref()?;
        let begun_ms = failing.since_ms.max(event.at_ms);
        Some(begun_ms.saturating_add(WEBHOOK_RETRY_MS))
    }

    /// Notes a dead letter of this size. Returns those that are dropped for it.
    pub(crate) fn buried(&mut self, n: u64, bytes: usize) -> Vec<u64> {
        self.progress.dead += 1;
        self.dead.insert(n, bytes);
        self.is_changed = true;
        let mut dropped = Vec::new();
        while self.dead.len() > DEAD_LETTERS_MAX
            || self.dead.values().sum::<usize>() > DEAD_LETTER_BYTES_MAX && self.dead.len() > 1
        {
            if let Some((oldest, _)) = self.dead.pop_first() {
                dropped.push(oldest);
                self.progress.dead_dropped += 1;
            }
        }
        dropped
    }

    pub(crate) fn unburied(&mut self, n: u64) {
        self.dead.remove(&n);
        self.is_changed = true;
    }
}

/// Which deliveries a key is of.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kept {
    Last,
    Dead,
}

/// Stands between app and id in keys; the store's bounds are per app.
pub(crate) const HOOK: &str = "/hook/";

pub(crate) fn hook_key(app: &str, id: &str) -> String {
    format!("{app}{HOOK}{id}")
}

pub(crate) fn cursor_key(app: &str, id: &str) -> String {
    format!("{app}{HOOK}{id}")
}

pub(crate) fn deliveries_prefix(app: &str, id: &str, kept: Kept) -> String {
    let word = match kept {
        Kept::Last => "last",
        Kept::Dead => "dead",
    };
    format!("{app}/{id}/{word}/")
}

pub(crate) fn delivery_key(app: &str, id: &str, kept: Kept, n: u64) -> String {
    format!("{}{n:020}", deliveries_prefix(app, id, kept))
}

/// Writes a record.
pub(crate) fn json(table: Table, key: String, record: &impl Serialize) -> Change {
    let value = serde_json::to_vec(record).expect("JSON is written");
    Change {
        table,
        key,
        value: Some(value),
    }
}

pub(crate) fn deletion(table: Table, key: String) -> Change {
    Change {
        table,
        key,
        value: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body;

    fn attempt(at_ms: u64) -> Attempt {
        Attempt {
            at_ms,
            took_ms: 1,
            status: Some(500),
            answer: String::new(),
            error: Some("the target answered 500".to_owned()),
        }
    }

    #[test]
    fn the_last_hundred_are_kept_and_the_others_deleted() {
        let mut state = HookState::default();
        let event = body::sample(1);
        for at in 0..150 {
            let delivery = state.delivery(at.to_string(), &event);
            state.keep(delivery);
        }
        assert_eq!(state.recent.len(), DELIVERIES_MAX);
        assert_eq!(state.recent[0].n, 51);
        let hook = Hook::new(subscription(), state);
        assert_eq!(
            hook.take_changes().len(),
            1 + 100,
            "the others were never written"
        );
        let delivery = hook.state().delivery("new".to_owned(), &event);
        hook.state().keep(delivery);
        let changes = hook.take_changes();
        assert_eq!(changes.len(), 3, "where it is, one deleted, one written");
        assert_eq!(changes[1].value, None);
        assert!(
            changes[1].key.ends_with("/last/00000000000000000051"),
            "{}",
            changes[1].key
        );
        assert!(hook.take_changes().is_empty());
    }

    fn subscription() -> Subscription {
        Subscription {
            id: "wh_1".to_owned(),
            app: "a".repeat(32),
            url: String::new(),
            events: Vec::new(),
            filter: crate::Filter::default(),
            is_enabled: true,
            off_reason: None,
            created_ms: 0,
            secrets: Vec::new(),
        }
    }

    #[test]
    fn an_event_under_way_keeps_its_number() {
        let mut state = HookState::default();
        let event = body::sample(1);
        let mut first = state.delivery("one".to_owned(), &event);
        first.tried(attempt(1), State::Retrying);
        state.keep(first.clone());
        assert_eq!(state.delivery("one".to_owned(), &event), first);
        first.tried(attempt(2), State::Delivered);
        state.keep(first);
        assert_eq!(state.delivery("one".to_owned(), &event).n, 2);
    }

    #[test]
    fn an_event_is_given_up_a_day_after_it_could_have_arrived() {
        let day = 86_400_000;
        let mut state = HookState::default();
        let at = |at_ms| Event {
            at_ms,
            ..body::sample(0)
        };
        assert_eq!(state.given_up_ms(&at(5)), None);
        state.failed(&attempt(1_000), (retry::FIRST, None), 1_010);
        state.failed(&attempt(2_000), (retry::FIRST, None), 2_010);
        assert_eq!(
            state.given_up_ms(&at(5)),
            Some(1_000 + day),
            "it waited before"
        );
        assert_eq!(state.given_up_ms(&at(7_000)), Some(7_000 + day));
        let failing = state.progress.failing.clone().expect("it fails");
        assert_eq!((failing.since_ms, failing.attempts), (1_000, 2));
        state.succeeded();
        assert_eq!(state.given_up_ms(&at(5)), None);
    }

    #[test]
    fn dead_letters_have_bounds_and_what_is_dropped_is_counted() {
        let mut state = HookState::default();
        for n in 1..=510 {
            let dropped = state.buried(n, 10);
            assert_eq!(dropped.len(), usize::from(n > 500));
        }
        assert_eq!(state.buried(2_000, DEAD_LETTER_BYTES_MAX).len(), 500);
        assert_eq!(state.dead_letters(), 1);
        assert_eq!(
            (state.progress.dead, state.progress.dead_dropped),
            (511, 510)
        );
        state.unburied(2_000);
        assert_eq!(state.dead_letters(), 0);
    }
}
