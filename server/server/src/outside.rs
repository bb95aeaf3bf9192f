//! Calls from outside on a hub's thread: their tickets, and the way of their answers.

use std::collections::HashMap;

use tidings_hub::outside::{OutsideAnswer, OutsideCall};
use tidings_hub::{Input, Ticket};
use tokio::sync::oneshot;

use crate::mailbox::Asked;
use crate::worker::Worker;

/// Calls that the hub has been given and not answered.
///
/// Bound: what callers may have at once, and what a hub keeps of them for at most some seconds.
#[derive(Debug, Default)]
pub(crate) struct Outside {
    /// The last ticket.
    tickets: u64,
    waiting: HashMap<Ticket, oneshot::Sender<OutsideAnswer>>,
}

impl Outside {
    /// Calls that are not answered.
    pub(crate) fn open(&self) -> usize {
        self.waiting.len()
    }
}

impl Worker {
    /// Gives the hub a call, unless nobody waits for it any longer.
    pub(crate) fn ask(&mut self, asked: Asked) {
        let Asked { call, reply } = asked;
        if reply.is_closed() && is_question(&call) {
            return;
        }
        let ticket = self.next_ticket();
        self.outside.waiting.insert(ticket, reply);
        self.give(Input::Outside { ticket, call });
    }

    /// Names a call; an answer that nobody waits for is dropped.
    pub(crate) fn next_ticket(&mut self) -> Ticket {
        self.outside.tickets += 1;
        Ticket(self.outside.tickets)
    }

    pub(crate) fn answer_outside(&mut self, ticket: Ticket, mut answer: OutsideAnswer) {
        let Some(reply) = self.outside.waiting.remove(&ticket) else {
            return;
        };
        match &mut answer {
            OutsideAnswer::Sessions { sessions, .. } => self.add_addresses(sessions),
            OutsideAnswer::User(Some(user)) => self.add_addresses(&mut user.sessions),
            _ => {}
        }
        // Nobody listens who has gone away.
        let _ = reply.send(answer);
    }

    fn add_addresses(&mut self, sessions: &mut [tidings_hub::outside::SessionEntry]) {
        for session in sessions {
            let slot = session.connection.and_then(|id| self.connections.slot(id));
            let connection = slot.and_then(|slot| self.connections.get(slot));
            session.address = connection.and_then(|connection| connection.source());
        }
    }
}

/// Whether a call changes nothing, so that it is not missed when its caller has gone away.
fn is_question(call: &OutsideCall) -> bool {
    matches!(
        call,
        OutsideCall::Sessions { .. }
            | OutsideCall::Channels { .. }
            | OutsideCall::User { .. }
            | OutsideCall::Invitations { .. }
    )
}
