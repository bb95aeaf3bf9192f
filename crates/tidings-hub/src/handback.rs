//! Peer messages that a receiver's hub has taken and does not hand to a client after all.
//!
//! Invariant: such a message, if it is to be stored, is stored by this hub, in the turn in which it is given
//! up. Whatever happens to the user next, here or on another hub, reads the inbox later; so no later message of
//! the same sender is delivered before it (contract DEL-1).

use crate::Hub;
use crate::bus_ops::{Answer, Parcel};
use crate::ids::UserKey;
use crate::inbox::Origin;
use crate::io::Sink;
use crate::sessions::SessionKey;
use crate::stores::PendingStore;

impl Hub {
    /// Stores a message if its sender has asked for that, else answers it.
    pub(crate) fn keep_or_answer(
        &mut self,
        user: &UserKey,
        from: Origin,
        parcel: Parcel,
        otherwise: Answer,
        out: &mut dyn Sink,
    ) {
        match parcel.offline.clone() {
            Some(body) => {
                let op = self.append_op(user.clone(), &parcel, body);
                self.store(op, PendingStore::Kept(from), out);
            }
            None => self.answer_delivery(from, otherwise, out),
        }
    }

    /// Settles everything that waits for this session's confirmation: it will not come.
    pub(crate) fn give_back_deliveries(&mut self, key: SessionKey, out: &mut dyn Sink) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        let user = session.user.clone();
        let handed = std::mem::take(&mut session.deliveries);
        let behind = std::mem::take(&mut session.inbox.behind);
        for delivery in &handed {
            // Whoever resumes later must not get what its sender has been told will not arrive.
            session.outbox.withdraw(delivery.sseq);
        }
        for delivery in handed {
            if delivery.is_answered || delivery.is_storing {
                continue; // Answered, or answered when the store has it.
            }
            let otherwise = match delivery.is_written {
                true => Answer::Unconfirmed,
                false => Answer::Gone,
            };
            self.keep_or_answer(&user, delivery.from, delivery.parcel, otherwise, out);
        }
        for waiting in behind {
            self.keep_or_answer(&user, waiting.from, waiting.parcel, Answer::Gone, out);
        }
    }
}
