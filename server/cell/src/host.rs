//! What a cell needs from its host.

use bytes::Bytes;
use tidings_bus::{Bus, Crossing};
use tidings_hub::ids::{ConnectionId, HubId, UserKey};
use tidings_hub::moderation::HeldMessage;
use tidings_hub::store_ops::StoreOp;
use tidings_hub::used::Word;
use tidings_hub::{Effect, Input, OutsideAnswer, Ticket, Time, Wish};
use tidings_legacy::{AppRules, LoginRefusal, LoginRequest};
use tidings_wire::codes::CloseCode;
use tidings_wire::names::AppId;

use crate::cell::Cell;
use crate::recent::RecentLogins;

/// How a connection is closed, in its own protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closing<'a> {
    /// The hub's reason; `None` = its translator ended it, because the legacy client has left or
    /// violated the protocol.
    pub cause: Option<CloseCode>,
    /// Text frames to send before the close frame.
    pub texts: &'a [String],
    /// The code of the close frame. Source: RFC 6455 7.4, `proto/errors.toml`.
    pub code: u16,
    /// The reason in the close frame.
    pub reason: &'a str,
}

/// The owner of a cell, which carries out its effects.
///
/// Order: the effect of a method is complete when it returns; no method may drive the cell. A
/// connection may be gone, or closing: then there is nothing to do.
pub trait Host {
    /// The bus between its cells.
    type Bus: Bus;

    /// The cell being driven.
    fn cell(&mut self) -> &mut Cell<Self::Bus>;

    /// The time of the input being handled.
    fn now(&self) -> Time;

    // ------------------------------------------------------------ connections

    /// Sends these bytes, a complete WebSocket frame, to a native client.
    fn send(&mut self, connection: ConnectionId, frame: &Bytes);

    /// Sends the same bytes to many native clients, in this order.
    ///
    /// One fan-out makes several calls with the same `frame` when legacy clients stand in between.
    fn send_all(&mut self, connections: &[ConnectionId], frame: &Bytes) {
        for connection in connections {
            self.send(*connection, frame);
        }
    }

    /// Sends a text frame with this payload to a legacy client.
    fn send_text(&mut self, connection: ConnectionId, text: &str);

    /// A hub closes a connection; [`Host::close`] follows.
    fn note_end(&mut self, _connection: ConnectionId, _code: CloseCode) {}

    /// Sends what is queued, the closing's texts and a close frame, then closes the connection.
    fn close(&mut self, connection: ConnectionId, closing: Closing<'_>);

    /// Gives the connection to another cell's host, which gives that cell `Input::HandedOver` with
    /// the same contents.
    fn hand_over(&mut self, connection: ConnectionId, to: HubId, wish: Wish, opened_ms: u64);

    // ------------------------------------------------------------ other cells, the store, shared
    // state of a node

    /// Sends this to another cell, to be given to [`crate::take`]. Order: kept per receiver.
    fn post(&mut self, to: HubId, crossing: Crossing);

    /// Carries out an operation in the store; the answer is given as `Input::Store`. Order: kept
    /// per cell.
    fn store(&mut self, ticket: Ticket, op: StoreOp);

    /// The result of a call from outside, such as `Input::Outside`: goes to the code that made
    /// it. Never called for a host that makes none.
    fn answer(&mut self, ticket: Ticket, answer: OutsideAnswer) {
        debug_assert!(
            false,
            "nobody has asked from outside: {ticket:?} {answer:?}"
        );
    }

    /// Asks an app's backend about a message that is held; the word is given as `Input::Moderated`.
    /// Never called for a host that has given no `Input::Moderation`.
    fn moderate(&mut self, ticket: Ticket, question: HeldMessage) {
        debug_assert!(
            false,
            "nobody has asked for moderation: {ticket:?} {question:?}"
        );
    }

    /// Remembers what a user has used of its rates, for all cells of the node.
    fn note_used(&mut self, user: UserKey, word: Word);

    /// What the hub must know before this login or resume: [`tidings_hub::used::UsedRates::before`]
    /// of the node.
    fn recall(&mut self, input: &Input) -> Option<Input>;

    // ------------------------------------------------------------ legacy logins

    /// The rules of an app's legacy logins.
    fn legacy_rules(&mut self, _app: &AppId) -> AppRules {
        AppRules::default()
    }

    /// Which accounts used the legacy protocol a moment ago, on all cells of the node.
    fn recent_logins<R>(&mut self, act: impl FnOnce(&mut RecentLogins) -> R) -> R;

    /// Whether the connection may be used for this login, whose token has not been looked at yet.
    ///
    /// # Errors
    /// What to send to the client.
    fn admit_page(
        &mut self,
        _connection: ConnectionId,
        _request: &LoginRequest,
    ) -> Result<(), LoginRefusal> {
        Ok(())
    }

    /// Takes one of the node's logins for this valid one. `false` = none is left at present.
    fn charge_login(&mut self, _connection: ConnectionId, _request: &LoginRequest) -> bool {
        true
    }

    /// A legacy login has been refused.
    fn note_refusal(&mut self, _connection: ConnectionId, _why: &LoginRefusal) {}

    /// A legacy client's session has started.
    fn note_welcome(&mut self, _connection: ConnectionId) {}

    // ------------------------------------------------------------ for traces

    /// The hub is about to receive an input.
    fn see_input(&mut self, _input: &Input) {}

    /// All effects of the input, before the first one is carried out.
    fn see_effects(&mut self, _effects: &[Effect]) {}

    /// An effect is about to be carried out.
    fn see_effect(&mut self, _effect: &Effect) {}
}
