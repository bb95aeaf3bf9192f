//! The hub's thread as host of its cell.

use std::sync::PoisonError;

use bytes::Bytes;
use tidings_bus::Crossing;
use tidings_cell::{Cell, Closing, Host, RecentLogins};
use tidings_cluster::ClusterRouter;
use tidings_hub::ids::{ConnectionId, HubId, UserKey};
use tidings_hub::moderation::HeldMessage;
use tidings_hub::store_ops::StoreOp;
use tidings_hub::used::Word;
use tidings_hub::{Input, OutsideAnswer, Ticket, Time, Wish};
use tidings_legacy::{AppRules, LoginRefusal, LoginRequest};
use tidings_wire::codes::CloseCode;
use tidings_wire::names::AppId;
use tidings_wire::ws::{Opcode, encode_frame};

use crate::admitting::Entry;
use crate::connection::{Leaving, Stage};
use crate::mailbox::Envelope;
use crate::spans;
use crate::worker::Worker;
use crate::writing::EARLY_WRITE_BYTES;

impl Host for Worker {
    type Bus = ClusterRouter;

    fn cell(&mut self) -> &mut Cell<ClusterRouter> {
        &mut self.cell
    }

    fn now(&self) -> Time {
        self.now
    }

    fn send(&mut self, connection: ConnectionId, frame: &Bytes) {
        self.reading.queued += 1;
        self.send_frame(connection, frame);
    }

    fn send_all(&mut self, connections: &[ConnectionId], frame: &Bytes) {
        self.reading.queued += connections.len();
        let Some(range) = self.writing.log.add(frame) else {
            for id in connections {
                self.send_frame(*id, frame);
            }
            return;
        };
        for id in connections {
            let Some(slot) = self.connections.slot(*id) else {
                continue;
            };
            let Some(connection) = self.connections.get(slot) else {
                continue;
            };
            let is_plain = matches!(connection.stage, Stage::Serving)
                && !connection.flags.is_blocked
                && connection.outgoing.bytes() <= EARLY_WRITE_BYTES;
            if is_plain {
                connection.outgoing.push_logged(range.clone());
                self.connections.mark_dirty(slot);
            } else {
                self.send_frame(*id, frame);
            }
        }
    }

    fn send_text(&mut self, connection: ConnectionId, text: &str) {
        let Some(slot) = self.connections.slot(connection) else {
            return;
        };
        let is_closing = self
            .connections
            .get(slot)
            .is_none_or(|connection| matches!(connection.stage, Stage::Closing(_)));
        if is_closing {
            // Nothing may follow a close frame. Source: RFC 6455 5.5.1.
            return;
        }
        let mut frame = Vec::with_capacity(text.len() + 10);
        encode_frame(&mut frame, Opcode::Text, text.as_bytes(), None);
        self.queue(slot, &Bytes::from(frame));
    }

    fn note_end(&mut self, connection: ConnectionId, code: CloseCode) {
        if let Some(slot) = self.connections.slot(connection)
            && let Some(connection) = self.connections.get(slot)
        {
            self.security.end(connection, code);
        }
    }

    fn close(&mut self, id: ConnectionId, closing: Closing<'_>) {
        let Some(slot) = self.connections.slot(id) else {
            return;
        };
        if closing.cause == Some(CloseCode::SlowConsumer)
            && let Some(connection) = self.connections.get(slot)
        {
            // It would not be read, and the session still has it.
            connection.outgoing.drop_unwritten();
        }
        for text in closing.texts {
            self.send_text(id, text);
        }
        self.close_slot(slot, closing.code, closing.reason);
        if let Some(CloseCode::GoingAway | CloseCode::NodeIsolated) = closing.cause {
            // Those who are sent away spread over the other nodes.
            self.name_elsewhere();
        }
    }

    fn hand_over(&mut self, id: ConnectionId, to: HubId, wish: Wish, opened_ms: u64) {
        let Some(slot) = self.connections.slot(id) else {
            return;
        };
        let Some(connection) = self.connections.get(slot) else {
            return;
        };
        if connection.is_open() {
            let stage = std::mem::replace(&mut connection.stage, Stage::Serving);
            let leaving = Leaving {
                to,
                wish,
                opened_ms,
                stage,
                rest: Vec::new(),
            };
            connection.stage = Stage::Leaving(Box::new(leaving));
            self.writing.leaving.push(slot);
        }
    }

    fn post(&mut self, to: HubId, crossing: Crossing) {
        self.mail.outboxes[to.index()].push(Envelope::Bus(crossing));
    }

    fn store(&mut self, ticket: Ticket, op: StoreOp) {
        self.mail.store_ops.push((ticket, op));
    }

    fn answer(&mut self, ticket: Ticket, answer: OutsideAnswer) {
        self.answer_outside(ticket, answer);
    }

    fn moderate(&mut self, ticket: Ticket, question: HeldMessage) {
        self.ask_backend(ticket, question);
    }

    fn note_used(&mut self, user: UserKey, word: Word) {
        let used = self.node.used.lock();
        let mut used = used.unwrap_or_else(PoisonError::into_inner);
        used.note(user, word, self.now.mono_ms);
    }

    fn recall(&mut self, input: &Input) -> Option<Input> {
        let used = self.node.used.lock();
        let used = used.unwrap_or_else(PoisonError::into_inner);
        used.before(input, self.now.mono_ms)
    }

    fn legacy_rules(&mut self, app: &AppId) -> AppRules {
        self.node.legacy.rules(app)
    }

    fn recent_logins<R>(&mut self, act: impl FnOnce(&mut RecentLogins) -> R) -> R {
        self.node.legacy.with_recent(act)
    }

    fn admit_page(
        &mut self,
        connection: ConnectionId,
        request: &LoginRequest,
    ) -> Result<(), LoginRefusal> {
        let slot = self.connections.slot(connection);
        let slot = slot.ok_or(LoginRefusal::UnknownApp)?;
        if let Some(connection) = self.connections.get(slot) {
            connection.claim(&request.app, &request.account);
        }
        self.check_page(slot, &request.app)
            .map_err(|_| LoginRefusal::UnknownApp)?;
        self.check_address(slot, &request.app, &request.account)
            .map_err(|_| LoginRefusal::Banned)
    }

    fn charge_login(&mut self, connection: ConnectionId, request: &LoginRequest) -> bool {
        let Some(slot) = self.connections.slot(connection) else {
            return false;
        };
        self.take_login(slot, &request.app, &request.account)
            .is_ok()
    }

    fn note_refusal(&mut self, connection: ConnectionId, why: &LoginRefusal) {
        let now_ms = self.now.mono_ms;
        let Some(slot) = self.connections.slot(connection) else {
            return;
        };
        let apps = self.cell.apps().clone();
        let Some(connection) = self.connections.get(slot) else {
            return;
        };
        self.security.legacy_refusal(connection, why, &apps);
        spans::login(connection, self.id.hub, Err(&why.to_string()));
        if let Some(stranger) = connection.stranger() {
            stranger.note_failure(now_ms);
        }
    }

    fn note_welcome(&mut self, connection: ConnectionId) {
        if let Some(slot) = self.connections.slot(connection) {
            self.begin_session(slot, Entry::Login);
        }
    }
}

impl Worker {
    /// Queues a frame of the hub.
    fn send_frame(&mut self, id: ConnectionId, frame: &Bytes) {
        let Some(slot) = self.connections.slot(id) else {
            return;
        };
        let Some(connection) = self.connections.get(slot) else {
            return;
        };
        match &connection.stage {
            Stage::Serving | Stage::Leaving(_) => {}
            Stage::Fresh(_) => self.note_news(slot, frame),
            Stage::Head(_) | Stage::Closing(_) => return,
        }
        self.queue(slot, frame);
    }

    pub(crate) fn is_legacy(&mut self, slot: usize) -> bool {
        let connection = self.connections.get(slot);
        connection.is_some_and(|connection| connection.flags.is_legacy)
    }
}
