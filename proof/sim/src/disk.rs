//! The simulated disk: what a crash leaves of a group commit, and other disk faults.

use std::collections::BTreeMap;

use tidings_hub::ids::HubId;
use tidings_hub::store_ops::events::{Event, EventAnswer, EventKinds, EventOp, EventQueue};
use tidings_hub::store_ops::{StoreAnswer, StoreOp};
use tidings_hub::{Input, Ticket};
use tidings_store::{Access, Engine as _};
use tidings_wire::names::AppId;

use crate::checks::Violation;
use crate::events::{COMMITS_PER_READ, PAGE, check_orders, open_of};
use crate::world::{Happening, World};

/// What has happened to the disk so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct DiskCounts {
    /// Crashes during a group commit that left nothing of it.
    pub lost: u64,
    /// Crashes after a group commit but before its answers.
    pub unanswered: u64,
    /// Groups that failed, for lack of space or with an error.
    pub refused: u64,
}

impl World {
    pub(crate) fn start_commit(&mut self) {
        if self.is_committing || self.store_queue.is_empty() {
            return;
        }
        self.is_committing = true;
        let ops = std::mem::take(&mut self.store_queue);
        let (least_ms, most_ms) = (
            self.config.store_delay_ms_min,
            self.config.store_delay_ms_max,
        );
        let delay = self.random.between(least_ms, most_ms);
        let incarnation = self.incarnation;
        self.schedule(delay, Happening::Commit { incarnation, ops });
    }

    pub(crate) fn commit(&mut self, ops: Vec<(HubId, Ticket, StoreOp)>) {
        self.is_committing = false;
        let group: Vec<StoreOp> = ops.iter().map(|(_, _, op)| op.clone()).collect();
        let mut answers: Vec<StoreAnswer> = Vec::new();
        self.engine.apply(&group, &mut answers);
        self.sometimes.see_commit(&group, &answers);
        self.note_synced(&group, &answers);
        self.note_events(&answers);
        let is_refused = |answer: &StoreAnswer| matches!(answer, StoreAnswer::Failed { .. });
        self.disk.refused += u64::from(answers.iter().any(is_refused));
        for ((hub, ticket, _), answer) in ops.into_iter().zip(answers) {
            if ticket == Ticket::NOBODY && !is_refused(&answer) {
                continue;
            }
            // The committer is one neighbour of every hub: its answers keep their order.
            let input = Input::Store { ticket, answer };
            self.send_to_hub(hub, hub, input);
        }
        self.start_commit();
    }

    /// The process dies. The group being written is on the disk as a whole or not at all: where the
    /// write was torn is drawn, and a torn end is cut off when the store is opened.
    pub(crate) fn crash_disk(&mut self) {
        let in_flight = (self.happenings.values_mut()).find_map(|happening| match happening {
            Happening::Commit { incarnation, ops } if *incarnation == self.incarnation => {
                Some(std::mem::take(ops))
            }
            _ => None,
        });
        let group: Vec<_> = (in_flight.into_iter().flatten())
            .map(|(_, _, op)| op)
            .collect();
        if !group.is_empty() {
            // Number of writes that reach the disk; a group is one.
            let reached = self.random.between(0, 1);
            self.engine.cut_power_after(reached);
            self.engine.apply(&group, &mut Vec::new());
            match reached {
                0 => {
                    self.disk.lost += 1;
                    self.sometimes.see("crash in a group commit");
                }
                _ => {
                    self.disk.unanswered += 1;
                    self.sometimes.see("crash between commit and answer");
                }
            }
        }
        self.store_queue.clear();
        self.is_committing = false;
        self.engine = std::mem::take(&mut self.engine).reopen();
        self.set_space();
        self.reread_synced();
    }

    /// Makes the disk full, or frees space again.
    pub fn set_disk_full(&mut self, is_full: bool) {
        self.note(format_args!("disk is full: {is_full}"));
        self.is_disk_full = is_full;
        self.set_space();
    }

    fn set_space(&mut self) {
        let free_and_reserve = self.is_disk_full.then_some((0, 1 << 28));
        self.engine.set_space_missing(free_and_reserve);
    }

    /// Makes the next write fail, like one whose sync reports an error.
    pub fn fail_disk(&mut self) {
        self.note("the next write will fail");
        self.recorded.is_disk_broken = true;
        self.engine.fail_next_commit("the disk does not answer");
    }

    /// Flips a bit in one of the stored records, in key order. `false` = there are fewer records.
    pub fn flip_bit(&mut self, record: usize, byte: usize) -> bool {
        self.note(format_args!(
            "a bit flips in byte {byte} of record {record}"
        ));
        self.recorded.is_disk_broken = true;
        self.engine.damage_record_at(record, byte)
    }

    /// Sets the longest time of a group commit from now on, in milliseconds.
    pub fn set_disk_delay(&mut self, ms_max: u64) {
        self.set_disk_delays(0, ms_max);
    }

    /// Sets the shortest and longest time of a group commit from now on, in milliseconds.
    pub fn set_disk_delays(&mut self, ms_min: u64, ms_max: u64) {
        self.config.store_delay_ms_min = ms_min;
        self.config.store_delay_ms_max = ms_max;
    }

    /// Whether the store accepts writes.
    pub fn is_disk_well(&self) -> bool {
        self.engine.health().access == Access::Full
    }

    /// What has happened to the disk.
    pub fn disk_counts(&self) -> DiskCounts {
        self.disk
    }
}

/// Readers of the streams of events, which come between commits.
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
            found.extend(wrong.map(|text| ("event.one_logout", text)));
        }
        if self.is_disk_broken() {
            // An event that cannot be read any more is told as a gap.
            found.clear();
        }
        if self.has_nodes() && self.living_nodes().len() < self.config.nodes.len() {
            // The next process of a killed node would tell its logouts.
            found.retain(|(check, _)| *check != "event.one_logout");
        }
        let violations = found.into_iter();
        violations
            .map(|(check, text)| Violation { check, text })
            .collect()
    }
}
