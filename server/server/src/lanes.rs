//! Turns shared between apps: what waits for one app is served alongside the others, not after
//! them.
//!
//! Each app with a connection has a lane; strangers share one. Lanes are served in rotation, a
//! connection at a time. A lane that has had more than its share of work sits out rounds until the
//! others have had theirs (deficit round robin), so that a costly app delays itself.

use std::collections::{HashMap, VecDeque};

use slab::Slab;
use tidings_wire::names::AppId;

/// Identifies a lane of one hub's thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct LaneId(u32);

impl LaneId {
    /// The lane of clients that have not logged in.
    pub(crate) const STRANGERS: Self = Self(0);

    fn index(self) -> usize {
        self.0 as usize
    }
}

/// Work after which a lane sits out a round, in units of one small message.
const SHARE: u32 = 64;

/// Most rounds that a lane can owe: older costs are forgotten.
const ROUNDS_MAX: u32 = 64;

/// An app with a connection.
#[derive(Debug)]
struct App {
    id: AppId,
    connections: usize,
    has_rates: bool,
}

/// The lanes of one hub's thread.
#[derive(Debug)]
pub(crate) struct Lanes {
    /// The strangers' entry is empty. Bound: apps with a connection here.
    apps: Slab<Option<App>>,
    by_app: HashMap<AppId, LaneId>,
}

impl Default for Lanes {
    fn default() -> Self {
        let mut apps = Slab::new();
        let strangers = apps.insert(None);
        debug_assert_eq!(strangers, LaneId::STRANGERS.index());
        Self {
            apps,
            by_app: HashMap::new(),
        }
    }
}

impl Lanes {
    /// Adds a connection of an app. `has_rates` says whether the app's clients have rates at all.
    pub(crate) fn join(&mut self, app: &AppId, has_rates: impl FnOnce() -> bool) -> LaneId {
        if let Some(lane) = self.by_app.get(app).copied() {
            if let Some(Some(known)) = self.apps.get_mut(lane.index()) {
                known.connections += 1;
            }
            return lane;
        }
        let at = self.apps.insert(Some(App {
            id: app.clone(),
            connections: 1,
            has_rates: has_rates(),
        }));
        let lane = LaneId(u32::try_from(at).expect("there are fewer connections than that"));
        self.by_app.insert(app.clone(), lane);
        lane
    }

    /// Removes a connection of the lane.
    pub(crate) fn leave(&mut self, lane: LaneId) {
        let Some(Some(app)) = self.apps.get_mut(lane.index()) else {
            return;
        };
        app.connections -= 1;
        if app.connections == 0 {
            self.by_app.remove(&app.id);
            self.apps.remove(lane.index());
        }
    }

    /// Whether this lane's connections have a rate of messages. Strangers may send so few that they
    /// need none.
    pub(crate) fn has_rates(&self, lane: LaneId) -> bool {
        matches!(self.apps.get(lane.index()), Some(Some(app)) if app.has_rates)
    }

    /// The apps' settings have changed.
    pub(crate) fn update(&mut self, has_rates: impl Fn(&AppId) -> bool) {
        for (_, app) in &mut self.apps {
            if let Some(app) = app {
                app.has_rates = has_rates(&app.id);
            }
        }
    }

    /// Whether anybody is logged in here, whom strangers could delay.
    pub(crate) fn has_apps(&self) -> bool {
        !self.by_app.is_empty()
    }

    /// Whether more than one app has a connection here: only then is there anybody to be fair to.
    pub(crate) fn are_shared(&self) -> bool {
        self.by_app.len() > 1
    }
}

/// Slots that wait for one kind of service, by lane.
#[derive(Debug, Default)]
pub(crate) struct Rota {
    lanes: Vec<Line>,
    /// Lanes with waiting slots, in the order in which they are served.
    round: VecDeque<LaneId>,
    waiting: usize,
}

#[derive(Debug, Default)]
struct Line {
    slots: VecDeque<usize>,
    /// Its work in excess of its share.
    debt: u32,
}

impl Rota {
    /// Number of slots that wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting
    }

    /// Puts a slot at the end of its lane.
    pub(crate) fn push(&mut self, lane: LaneId, slot: usize) {
        if self.lanes.len() <= lane.index() {
            self.lanes.resize_with(lane.index() + 1, Line::default);
        }
        let line = &mut self.lanes[lane.index()];
        if line.slots.is_empty() {
            self.round.push_back(lane);
        }
        line.slots.push_back(slot);
        self.waiting += 1;
    }

    /// The next slot of a lane other than the strangers', who wait.
    pub(crate) fn pop_known(&mut self) -> Option<usize> {
        if self.round.front() == Some(&LaneId::STRANGERS) {
            if self.round.len() == 1 {
                return None;
            }
            self.round.rotate_left(1);
        }
        self.pop_of(|lane| lane != LaneId::STRANGERS)
    }

    /// The next slot: the first of the lane whose turn it is.
    pub(crate) fn pop(&mut self) -> Option<usize> {
        self.pop_of(|_| true)
    }

    /// The next slot of the lanes that take part at present.
    fn pop_of(&mut self, takes_part: impl Fn(LaneId) -> bool) -> Option<usize> {
        loop {
            let lane = *self.round.front()?;
            let has_company = self.round.len() > 1;
            if !takes_part(lane) {
                self.round.rotate_left(1);
                continue;
            }
            let line = &mut self.lanes[lane.index()];
            if has_company && line.debt >= SHARE {
                line.debt -= SHARE;
                self.round.rotate_left(1);
                continue;
            }
            let slot = line.slots.pop_front();
            debug_assert!(slot.is_some(), "a lane in the round has somebody who waits");
            if line.slots.is_empty() {
                self.round.pop_front();
            } else if has_company {
                self.round.rotate_left(1);
            }
            self.waiting -= usize::from(slot.is_some());
            return slot;
        }
    }

    /// Records the cost of serving a slot of this lane.
    pub(crate) fn charge(&mut self, lane: LaneId, work: usize) {
        if let Some(line) = self.lanes.get_mut(lane.index()) {
            let work = u32::try_from(work).unwrap_or(u32::MAX);
            line.debt = line.debt.saturating_add(work).min(SHARE * ROUNDS_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(letter: &str) -> AppId {
        AppId::parse(&letter.repeat(32)).expect("an app id")
    }

    fn drain(rota: &mut Rota) -> Vec<usize> {
        std::iter::from_fn(|| rota.pop()).collect()
    }

    #[test]
    fn lanes_take_turns_whatever_their_length() {
        let mut rota = Rota::default();
        for slot in 0..5 {
            rota.push(LaneId(1), slot);
        }
        rota.push(LaneId(2), 20);
        rota.push(LaneId(0), 10);
        assert_eq!(rota.len(), 7);
        assert_eq!(drain(&mut rota), [0, 20, 10, 1, 2, 3, 4]);
        assert_eq!(rota.len(), 0);
    }

    #[test]
    fn a_lane_that_costs_more_waits_for_the_others() {
        let mut rota = Rota::default();
        for slot in 0..4 {
            rota.push(LaneId(1), slot);
            rota.push(LaneId(2), 20 + slot);
        }
        assert_eq!(rota.pop(), Some(0));
        rota.charge(LaneId(1), 2 * SHARE as usize);
        let order = drain(&mut rota);
        assert_eq!(order, [20, 21, 22, 1, 23, 2, 3]);
    }

    #[test]
    fn strangers_can_be_left_out() {
        let mut rota = Rota::default();
        rota.push(LaneId::STRANGERS, 1);
        assert_eq!(rota.pop_known(), None);
        for slot in 0..2 {
            rota.push(LaneId(1), 10 + slot);
            rota.push(LaneId(2), 20 + slot);
        }
        rota.push(LaneId::STRANGERS, 2);
        let known: Vec<usize> = std::iter::from_fn(|| rota.pop_known()).collect();
        assert_eq!(known, [10, 20, 11, 21]);
        assert_eq!(drain(&mut rota), [1, 2]);
    }

    #[test]
    fn a_lane_that_is_alone_never_waits() {
        let mut rota = Rota::default();
        rota.push(LaneId(3), 1);
        rota.push(LaneId(3), 2);
        rota.charge(LaneId(3), usize::MAX);
        assert_eq!(drain(&mut rota), [1, 2]);
    }

    #[test]
    fn a_lane_lives_as_long_as_its_connections() {
        let mut lanes = Lanes::default();
        let a = lanes.join(&app("a"), || true);
        assert_eq!(lanes.join(&app("a"), || unreachable!("known")), a);
        assert!(!lanes.are_shared());
        assert!(lanes.has_apps());
        let b = lanes.join(&app("b"), || false);
        assert!(lanes.are_shared() && a != b && b != LaneId::STRANGERS);
        assert!(lanes.has_rates(a) && !lanes.has_rates(b));
        assert!(!lanes.has_rates(LaneId::STRANGERS));
        lanes.leave(b);
        assert!(!lanes.are_shared());
        lanes.update(|_| false);
        assert!(!lanes.has_rates(a));
        lanes.leave(a);
        lanes.leave(a);
        lanes.leave(LaneId::STRANGERS);
        assert!(!lanes.has_apps());
        assert_ne!(lanes.join(&app("c"), || true), LaneId::STRANGERS);
    }
}
