//! What a cell asks of whoever runs it.

use bytes::Bytes;
use tidings_bus::{Bus, Crossing};
use tidings_hub::ids::{ConnectionId, HubId, UserKey};
use tidings_hub::store_ops::StoreOp;
use tidings_hub::used::Word;
use tidings_hub::{Effect, Input, OutsideAnswer, Ticket, Time};
use tidings_legacy::{AppRules, LoginRefusal, LoginRequest};
use tidings_wire::codes::CloseCode;
use tidings_wire::names::AppId;
use tidings_wire::proto::Resume;

use crate::cell::Cell;
use crate::recent::RecentLogins;

/// How a connection is closed, in the words of its protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closing<'a> {
    /// Why the hub ends it; `None` = its translator does, since the legacy client has left or broken the protocol.
    pub cause: Option<CloseCode>,
    /// Text frames to be sent before the close frame.
    pub texts: &'a [String],
    /// The code of the close frame. Source: RFC 6455 7.4, `proto/errors.toml`.
    pub code: u16,
    /// The reason in the close frame.
    pub reason: &'a str,
}

/// Whoever runs a cell: owns it, and carries out what it wants.
///
/// Order: what a method is called for has happened when it returns; none of them may drive the cell. A connection that
/// something is for may be gone, or be closing: then there is nothing to be done.
pub trait Host {
    /// The bus between its cells.
    type Bus: Bus;

    /// The cell that is driven.
    fn cell(&mut self) -> &mut Cell<Self::Bus>;

    /// The time of the input that is being handled.
    fn now(&self) -> Time;

    // ------------------------------------------------------------ connections

    /// Sends these bytes, a whole WebSocket frame, to a native client.
    fn send(&mut self, connection: ConnectionId, frame: &Bytes);

    /// Sends the same bytes to many native clients, in this order.
    ///
    /// Of one fan-out there is more than one call, with the same `frame`, where legacy clients stand between them.
    fn send_all(&mut self, connections: &[ConnectionId], frame: &Bytes) {
        for connection in connections {
            self.send(*connection, frame);
        }
    }

    /// Sends a text frame with this payload to a legacy client.
    fn send_text(&mut self, connection: ConnectionId, text: &str);

    /// A hub ends a connection; [`Host::close`] follows.
    fn note_end(&mut self, _connection: ConnectionId, _code: CloseCode) {}

    /// Sends what waits, the closing's texts and a close frame, then closes the connection.
    fn close(&mut self, connection: ConnectionId, closing: Closing<'_>);

    /// Gives the connection to the host of another cell, which gives that `Input::HandedOver` with the same contents.
    fn hand_over(&mut self, connection: ConnectionId, to: HubId, resume: Resume, opened_ms: u64);

    // ------------------------------------------------------------ other cells, the store, what a node shares

    /// Gives this to another cell by [`crate::take`]. Order: kept per receiver.
    fn post(&mut self, to: HubId, crossing: Crossing);

    /// Does something in the store; the answer is given as `Input::Store`. Order: of one cell it is kept.
    fn store(&mut self, ticket: Ticket, op: StoreOp);

    /// What has come of a call from outside, such as `Input::SendToPeer`: goes to whoever has given it. A host that gives
    /// none is never called.
    fn answer(&mut self, ticket: Ticket, answer: OutsideAnswer) {
        debug_assert!(
            false,
            "nobody has asked from outside: {ticket:?} {answer:?}"
        );
    }

    /// Remembers what a user has used of its rates, for all cells of the node.
    fn note_used(&mut self, user: UserKey, word: Word);

    /// What the hub is to be told before this login or resume: [`tidings_hub::used::UsedRates::before`] of the node.
    fn recall(&mut self, input: &Input) -> Option<Input>;

    // ------------------------------------------------------------ legacy logins

    /// The rules of an app's legacy logins.
    fn legacy_rules(&mut self, _app: &AppId) -> AppRules {
        AppRules::default()
    }

    /// Who was logged in by the legacy protocol a moment ago, on all cells of the node.
    fn recent_logins<R>(&mut self, act: impl FnOnce(&mut RecentLogins) -> R) -> R;

    /// Whether the connection may be used for this login, whose token has not been looked at yet.
    ///
    /// # Errors
    /// What the client is told.
    fn admit_page(
        &mut self,
        _connection: ConnectionId,
        _request: &LoginRequest,
    ) -> Result<(), LoginRefusal> {
        Ok(())
    }

    /// Takes one of the node's logins for this one, which is good. False = there is none left now.
    fn charge_login(&mut self, _connection: ConnectionId, _request: &LoginRequest) -> bool {
        true
    }

    /// A legacy login is refused.
    fn note_refusal(&mut self, _connection: ConnectionId, _why: &LoginRefusal) {}

    /// A legacy client's session begins.
    fn note_welcome(&mut self, _connection: ConnectionId) {}

    // ------------------------------------------------------------ for traces

    /// The hub is about to be given an input.
    fn see_input(&mut self, _input: &Input) {}

    /// All effects of the input, before the first is carried out.
    fn see_effects(&mut self, _effects: &[Effect]) {}

    /// An effect is about to be carried out.
    fn see_effect(&mut self, _effect: &Effect) {}
}
