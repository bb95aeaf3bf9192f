//! What hubs receive, and what happens to their effects.

use bytes::Bytes;
use tidings_bus::Crossing;
use tidings_cell::{Cell, Closing, Host, RecentLogins};
use tidings_client_core::CallId;
use tidings_cluster::ClusterRouter;
use tidings_hub::ids::{ConnectionId, HubId, UserKey};
use tidings_hub::outside::{OutsideAnswer, OutsideCall};
use tidings_hub::store_ops::StoreOp;
use tidings_hub::used::Word;
use tidings_hub::{Effect, Input, Ticket, Time, Wish};
use tidings_wire::ws::{Opcode, encode_frame};

use super::{Happening, World};
use crate::sometimes;

impl World {
    /// Drives a cell; nothing happens while the server's process is suspended.
    pub(crate) fn drive(&mut self, hub: HubId, act: impl FnOnce(&mut Self)) {
        if self.has_process(hub) {
            self.at = hub;
            self.begin_turn(hub);
            act(self);
            self.end_turn(hub);
        }
    }

    pub(crate) fn give_hub(&mut self, hub: HubId, input: Input) {
        self.drive(hub, |world| tidings_cell::give(world, input));
    }

    /// Sends bytes to a client.
    fn put_on_wire(&mut self, connection: ConnectionId, frame: &[u8]) {
        let delay = self.random.between(0, self.config.network_delay_ms_max);
        let now_ms = self.now_ms;
        let Some(wire) = self.wires.get_mut(&connection) else {
            return;
        };
        if wire.is_half_open {
            return;
        }
        wire.to_client_ms = wire.to_client_ms.max(now_ms + delay);
        let at = wire.to_client_ms;
        let bytes = frame.to_vec();
        self.schedule_at(
            at,
            Happening::ToClient {
                wire: connection,
                bytes,
            },
        );
    }

    /// When something sent now from hub to hub arrives: in order, after some time.
    fn link(&mut self, from: HubId, to: HubId) -> u64 {
        let delay = if from == to {
            0
        } else {
            self.random.between(0, self.config.bus_delay_ms_max)
        };
        let last = self.links.entry((from, to)).or_default();
        *last = (*last).max(self.now_ms + delay);
        *last
    }

    pub(crate) fn send_to_hub(&mut self, from: HubId, to: HubId, input: Input) {
        let at = self.link(from, to);
        let incarnation = self.incarnation;
        self.schedule_at(
            at,
            Happening::Hub {
                hub: to,
                incarnation,
                input: Box::new(input),
            },
        );
    }
}

impl World {
    /// Whether a call from outside would reach a hub now.
    pub(crate) fn takes_outside(&self) -> bool {
        !self.is_down && self.pause_left_ms() == 0
    }

    /// Gives a hub a call from outside, whose answer is named by the call's id.
    pub(crate) fn call_outside(&mut self, hub: HubId, id: CallId, call: OutsideCall) {
        let ticket = Ticket(id);
        self.give_hub(hub, Input::Outside { ticket, call });
    }

    /// What hubs have answered to calls from outside since the last time, and when.
    pub(crate) fn take_outside_answers(&mut self) -> Vec<(u64, CallId, OutsideAnswer)> {
        std::mem::take(&mut self.outside_answers)
    }

    /// Number of hubs.
    pub(crate) fn hubs(&self) -> usize {
        self.cells.len()
    }
}

impl Host for World {
    type Bus = ClusterRouter;

    fn cell(&mut self) -> &mut Cell<ClusterRouter> {
        let at = self.cell_index(self.at);
        &mut self.cells[at]
    }

    fn now(&self) -> Time {
        Time {
            mono_ms: self.mono_ms(self.at),
            unix_ms: self.unix_ms(),
        }
    }

    /// Sends bytes to a client: each connection keeps its order.
    fn send(&mut self, connection: ConnectionId, frame: &Bytes) {
        self.put_on_wire(connection, frame);
    }

    fn send_text(&mut self, connection: ConnectionId, text: &str) {
        let mut frame = Vec::with_capacity(text.len() + 10);
        encode_frame(&mut frame, Opcode::Text, text.as_bytes(), None);
        self.put_on_wire(connection, &frame);
    }

    fn close(&mut self, connection: ConnectionId, closing: Closing<'_>) {
        for text in closing.texts {
            self.send_text(connection, text);
        }
        let wire = self
            .wires
            .get(&connection)
            .filter(|wire| !wire.is_half_open);
        let Some(at) = wire.map(|wire| wire.to_client_ms.max(self.now_ms)) else {
            return;
        };
        let (wire, code) = (connection, Some(closing.code));
        self.schedule_at(at, Happening::CloseClient { wire, code });
    }

    fn hand_over(&mut self, connection: ConnectionId, to: HubId, wish: Wish, opened_ms: u64) {
        if let Some(wire) = self.wires.get_mut(&connection) {
            wire.hub = to;
        }
        let input = Input::HandedOver {
            connection,
            wish,
            opened_ms,
        };
        self.send_to_hub(self.at, to, input);
    }

    fn post(&mut self, to: HubId, crossing: Crossing) {
        if let Crossing::Deliver(input) = &crossing
            && self.is_missed(to, input)
        {
            return;
        }
        let at = self.link(self.at, to);
        let incarnation = self.incarnation;
        let crossing = Box::new(crossing);
        self.schedule_at(
            at,
            Happening::Post {
                to,
                incarnation,
                crossing,
            },
        );
    }

    fn store(&mut self, ticket: Ticket, op: StoreOp) {
        self.store_queue.push((self.at, ticket, op));
        self.start_commit();
    }

    fn answer(&mut self, ticket: Ticket, answer: OutsideAnswer) {
        self.outside_answers.push((self.now_ms, ticket.0, answer));
    }

    fn note_used(&mut self, user: UserKey, word: Word) {
        self.used.note(user, word, self.now_ms);
    }

    fn recall(&mut self, input: &Input) -> Option<Input> {
        self.used.before(input, self.now_ms)
    }

    fn recent_logins<R>(&mut self, act: impl FnOnce(&mut RecentLogins) -> R) -> R {
        act(&mut self.recent)
    }

    fn see_input(&mut self, input: &Input) {
        let hub = self.cell_index(self.at);
        self.note(format_args!("hub {hub} < {input:?}"));
        self.is_resume = sometimes::is_resume(input);
    }

    fn see_effects(&mut self, effects: &[Effect]) {
        self.sometimes.see_effects(self.is_resume, effects);
    }

    fn see_effect(&mut self, effect: &Effect) {
        let hub = self.cell_index(self.at);
        self.note(format_args!("hub {hub} > {effect:?}"));
    }
}
