//! A node for tests: cells whose bus has no delay, a store that the test supplies, and everything
//! sent to connections, for inspection.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use tidings_bus::{Crossing, Homes, Router};
use tidings_hub::ids::{ConnectionId, HubId, UserKey};
use tidings_hub::store_ops::{StoreAnswer, StoreOp};
use tidings_hub::used::{UsedRates, Word};
use tidings_hub::{Apps, Hub, HubConfig, Input, OutsideAnswer, Ticket, Time, Wish};
use tidings_legacy::AppRules;
use tidings_wire::codes::CloseCode;
use tidings_wire::frame::{decode_server, payload};
use tidings_wire::names::AppId;
use tidings_wire::proto::server_message::Kind;

use crate::{Cell, Closing, Host, RecentLogins};

/// The time at which every desk starts.
const START: Time = Time {
    mono_ms: 1_000,
    unix_ms: 1_700_000_000_000,
};

/// Something sent to a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// A complete WebSocket frame of the hub.
    Frame(Bytes),
    /// The payload of a text frame.
    Text(String),
    /// The end of the connection.
    Closed {
        /// The hub's reason; `None` = its translator ended it.
        cause: Option<CloseCode>,
        /// The code of the close frame.
        code: u16,
    },
}

impl Told {
    /// The messages in a frame of the hub; none for any other value.
    ///
    /// # Panics
    /// If the hub has sent something that cannot be decoded.
    pub fn kinds(&self) -> Vec<Kind> {
        let Self::Frame(frame) = self else {
            return Vec::new();
        };
        let frame = decode_server(payload(frame)).expect("a frame of the hub");
        frame
            .messages
            .into_iter()
            .filter_map(|it| it.kind)
            .collect()
    }
}

enum Pending {
    Crossing(Crossing),
    Input(Input),
}

/// A node for tests. `S` answers operations of the store, in order, with one answer each or with
/// none.
pub struct Desk<S> {
    cells: Vec<Cell>,
    /// The cell being driven.
    at: usize,
    /// The time of the next input.
    pub now: Time,
    store: S,
    /// What cells have sent each other, and the store's answers for them, in order.
    pending: VecDeque<(usize, Pending)>,
    used: UsedRates,
    recent: RecentLogins,
    /// The rules of all legacy logins.
    pub rules: AppRules,
    /// The cell of each connection that was opened here.
    homes: BTreeMap<ConnectionId, usize>,
    /// Everything sent since the test last took it, in order.
    pub told: Vec<(ConnectionId, Told)>,
    /// Answers to calls from outside, in order.
    pub answers: Vec<(Ticket, OutsideAnswer)>,
    /// Every input that hubs were given, if the test wants to see them.
    pub inputs: Option<Vec<Input>>,
    closed: BTreeMap<ConnectionId, Option<CloseCode>>,
    /// Connections that the test has ended.
    lost: BTreeSet<ConnectionId>,
}

impl<S: FnMut(&StoreOp) -> Vec<StoreAnswer>> Desk<S> {
    /// A node with this many cells; its hubs have set their first timers.
    pub fn new(cells: u16, apps: Apps, store: S) -> Self {
        Self::seeded(cells, apps, store, 1)
    }

    /// The same with another seed for its hubs.
    pub fn seeded(cells: u16, apps: Apps, store: S, seed: u8) -> Self {
        let apps = Arc::new(apps);
        let homes = Homes::new(cells, (1, 2));
        let cell = |at: u16| {
            let id = HubId::local(at);
            let hub = Hub::new(HubConfig {
                id,
                seed: [seed.wrapping_add(at.to_le_bytes()[0]); 32],
                apps: apps.clone(),
                server: "desk".into(),
                drain_window_ms: 0,
                epoch_base: None,
            });
            Cell::new(hub, Router::new(id, homes))
        };
        let mut desk = Self {
            cells: (0..cells).map(cell).collect(),
            at: 0,
            now: START,
            store,
            pending: VecDeque::new(),
            used: UsedRates::new((1, 2)),
            recent: RecentLogins::default(),
            rules: AppRules::default(),
            homes: BTreeMap::new(),
            told: Vec::new(),
            answers: Vec::new(),
            inputs: None,
            closed: BTreeMap::new(),
            lost: BTreeSet::new(),
        };
        for at in 0..desk.cells.len() {
            desk.give(at, Input::Tick);
        }
        desk
    }

    /// A cell, for inspection.
    pub fn cell_at(&self, at: usize) -> &Cell {
        &self.cells[at]
    }

    /// The store that the test supplied.
    pub fn store(&mut self) -> &mut S {
        &mut self.store
    }

    /// The cell that has a connection now.
    pub fn home_of(&self, connection: ConnectionId) -> usize {
        self.homes.get(&connection).copied().unwrap_or(0)
    }

    /// Why a connection was closed, if it was: `Some(None)` by its translator.
    pub fn closed(&self, connection: ConnectionId) -> Option<Option<CloseCode>> {
        self.closed.get(&connection).copied()
    }

    /// Gives a cell an input, and handles everything that follows at once.
    pub fn give(&mut self, at: usize, input: Input) {
        if let Input::Opened { connection } = &input {
            self.homes.insert(*connection, at);
        }
        self.at = at;
        crate::give(self, input);
        self.settle();
    }

    /// Gives a cell an input at another time, which is the node's from now on.
    pub fn give_at(&mut self, at: usize, now: Time, input: Input) {
        self.now = now;
        self.give(at, input);
    }

    /// Opens a connection of a legacy client; see [`crate::open_legacy`].
    pub fn open_legacy(&mut self, at: usize, connection: ConnectionId, app: &str, random: u64) {
        self.at = at;
        crate::open_legacy(self, connection, app, random);
        self.give(at, Input::Opened { connection });
    }

    /// A legacy client sends a text, and everything that follows is handled at once.
    pub fn hear(&mut self, connection: ConnectionId, text: &[u8]) {
        self.at = self.home_of(connection);
        crate::hear(self, connection, text);
        self.settle();
    }

    /// A legacy client sends frames in quick succession: the store and other hubs have not answered
    /// the first when the last arrives.
    pub fn hear_together(&mut self, connection: ConnectionId, texts: &[Vec<u8>]) {
        self.at = self.home_of(connection);
        for text in texts {
            crate::hear(self, connection, text);
        }
        self.settle();
    }

    /// Ends a connection.
    pub fn lose(&mut self, connection: ConnectionId) {
        self.at = self.home_of(connection);
        self.lost.insert(connection);
        crate::closed(self, connection);
        self.settle();
    }

    /// Ends a connection that was closed before.
    pub fn forget(&mut self, connection: ConnectionId) {
        self.at = self.home_of(connection);
        crate::forget(self, connection);
    }

    /// When a hub or a translator next needs a tick, in monotonic milliseconds.
    pub fn deadline(&self) -> Option<u64> {
        let due = |cell: &Cell| {
            let both = [cell.hub_deadline(), cell.translators_deadline()];
            both.into_iter().flatten().min()
        };
        self.cells.iter().filter_map(due).min()
    }

    /// Runs everything that is due now.
    pub fn tick(&mut self) {
        for at in 0..self.cells.len() {
            self.at = at;
            crate::tick_hub(self);
            crate::tick_translators(self);
            self.settle();
        }
    }

    /// Advances time by some milliseconds, running every timer when it is due.
    pub fn pass(&mut self, ms: u64) {
        let until_ms = self.now.mono_ms + ms;
        while let Some(due_ms) = self.deadline().filter(|due_ms| *due_ms <= until_ms) {
            self.advance_to(due_ms);
            self.tick();
        }
        self.advance_to(until_ms);
    }

    /// Advances time without running timers.
    pub fn advance_to(&mut self, mono_ms: u64) {
        let by_ms = mono_ms.saturating_sub(self.now.mono_ms);
        self.now.mono_ms += by_ms;
        self.now.unix_ms += by_ms;
    }

    /// What was sent since the last call, in order.
    pub fn take_told(&mut self) -> Vec<(ConnectionId, Told)> {
        std::mem::take(&mut self.told)
    }

    /// Nobody receives what is sent to a connection that is gone.
    fn tell(&mut self, connection: ConnectionId, told: Told) {
        if !self.lost.contains(&connection) && !self.closed.contains_key(&connection) {
            self.told.push((connection, told));
        }
    }

    fn settle(&mut self) {
        while let Some((at, pending)) = self.pending.pop_front() {
            self.at = at;
            match pending {
                Pending::Crossing(crossing) => crate::take(self, crossing),
                Pending::Input(input) => crate::give(self, input),
            }
        }
    }
}

impl<S: FnMut(&StoreOp) -> Vec<StoreAnswer>> Host for Desk<S> {
    type Bus = Router;

    fn cell(&mut self) -> &mut Cell {
        &mut self.cells[self.at]
    }

    fn now(&self) -> Time {
        self.now
    }

    fn send(&mut self, connection: ConnectionId, frame: &Bytes) {
        self.tell(connection, Told::Frame(frame.clone()));
    }

    fn send_text(&mut self, connection: ConnectionId, text: &str) {
        self.tell(connection, Told::Text(text.into()));
    }

    fn close(&mut self, connection: ConnectionId, closing: Closing<'_>) {
        for text in closing.texts {
            self.send_text(connection, text);
        }
        let (cause, code) = (closing.cause, closing.code);
        self.tell(connection, Told::Closed { cause, code });
        self.closed.entry(connection).or_insert(cause);
    }

    fn hand_over(&mut self, connection: ConnectionId, to: HubId, wish: Wish, opened_ms: u64) {
        let to = to.index();
        self.homes.insert(connection, to);
        let input = Input::HandedOver {
            connection,
            wish,
            opened_ms,
        };
        self.pending.push_back((to, Pending::Input(input)));
    }

    fn post(&mut self, to: HubId, crossing: Crossing) {
        let to = to.index();
        self.pending.push_back((to, Pending::Crossing(crossing)));
    }

    fn store(&mut self, ticket: Ticket, op: StoreOp) {
        for answer in (self.store)(&op) {
            let input = Input::Store { ticket, answer };
            self.pending.push_back((self.at, Pending::Input(input)));
        }
    }

    fn answer(&mut self, ticket: Ticket, answer: OutsideAnswer) {
        self.answers.push((ticket, answer));
    }

    fn note_used(&mut self, user: UserKey, word: Word) {
        self.used.note(user, word, self.now.mono_ms);
    }

    fn recall(&mut self, input: &Input) -> Option<Input> {
        self.used.before(input, self.now.mono_ms)
    }

    fn legacy_rules(&mut self, _app: &AppId) -> AppRules {
        self.rules.clone()
    }

    fn see_input(&mut self, input: &Input) {
        if let Some(inputs) = &mut self.inputs {
            inputs.push(input.clone());
        }
    }

    fn recent_logins<R>(&mut self, act: impl FnOnce(&mut RecentLogins) -> R) -> R {
        act(&mut self.recent)
    }
}
