//! Peer messages that a receiver's hub has taken and does not hand to a client after all.
//!
//! Invariant: if such a message must be stored, this hub stores it, in the turn in which it is
//! given up. Whatever happens to the user next, here or on another hub, reads the inbox later; so
//! no later message of the same sender is delivered before it (contract DEL-1).

use tidings_fault::fault;

use crate::bus_ops::{Answer, Parcel};
use crate::ids::{SessionKey, UserKey};
use crate::io::Sink;
use crate::kernel::Kernel;
use crate::peers::receive::ack_wait_ms;
use crate::peers::slot::{BEHIND_MAX, Origin, Waiting};
use crate::peers::state::{PeerStore, Peers};

impl Peers {
    /// Stores a message if its sender has asked for that, else answers it.
    pub(crate) fn keep_or_answer(
        &mut self,
        user: &UserKey,
        from: Origin,
        parcel: Parcel,
        otherwise: Answer,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        debug_assert_eq!(user.app, parcel.from.app, "a message from another app");
        debug_assert!(
            otherwise != Answer::Confirmed,
            "what is given up was not confirmed"
        );
        debug_assert!(
            otherwise != Answer::Stored,
            "what is given up was not stored"
        );
        match parcel.offline.clone() {
            Some(body) => {
                let op = Self::append_op(user.clone(), &parcel, body, kernel);
                let pending = PeerStore::Kept(from);
                self.store(kernel, op, pending, out);
            }
            None => self.answer_delivery(from, otherwise, kernel, out),
        }
    }

    /// The client has too much that it has not confirmed: the message is stored, or it is not known
    /// to arrive.
    pub(crate) fn keep_for_later(
        &mut self,
        key: SessionKey,
        from: Origin,
        parcel: Parcel,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let Some(user) = kernel.sessions.get(key).map(|session| session.user.clone()) else {
            return self.answer_delivery(from, Answer::Gone, kernel, out);
        };
        let is_stored = parcel.offline.is_some();
        self.keep_or_answer(&user, from, parcel, Answer::Unconfirmed, kernel, out);
        if is_stored {
            // From here on, live messages wait behind it.
            self.read_inbox(key, kernel, out);
        }
    }

    /// Stores those of the messages waiting behind the inbox that ask for it: they will come out of
    /// it in their order. A message that is not to be stored and was sent before one that is cannot
    /// come any more.
    pub(crate) fn spill(&mut self, key: SessionKey, kernel: &mut Kernel, out: &mut dyn Sink) {
        let Some(session) = kernel.sessions.get_mut(key) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        let user = session.user.clone();
        let mut behind = std::mem::take(&mut session.peers.inbox.behind);
        let mut spilled = Vec::new();
        let mut stored_of = Vec::new();
        while let Some(waiting) = behind.pop_back() {
            let sender = &waiting.parcel.from;
            if waiting.parcel.offline.is_some() {
                if !stored_of.contains(sender) {
                    stored_of.push(sender.clone());
                }
                spilled.push(waiting);
            } else if stored_of.contains(sender) || session.peers.inbox.behind.len() >= BEHIND_MAX {
                spilled.push(waiting);
            } else {
                session.peers.inbox.behind.push_front(waiting);
            }
        }
        for waiting in spilled.into_iter().rev() {
            self.keep_or_answer(
                &user,
                waiting.from,
                waiting.parcel,
                Answer::Unconfirmed,
                kernel,
                out,
            );
        }
        self.read_inbox(key, kernel, out);
    }

    /// Looks at messages that wait behind the inbox for too long. Returns when to look again.
    pub(crate) fn check_behind(
        &mut self,
        key: SessionKey,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) -> Option<u64> {
        let now_ms = if kernel.is_settling {
            u64::MAX
        } else {
            kernel.now.mono_ms
        };
        let due = |waiting: &Waiting| waiting.since_ms + ack_wait_ms(&waiting.parcel);
        let behind = &mut kernel.sessions.get_mut(key)?.peers.inbox.behind;
        let is_late = |waiting: &Waiting| due(waiting) <= now_ms;
        if behind
            .iter()
            .any(|w| is_late(w) && w.parcel.offline.is_some())
        {
            self.spill(key, kernel, out);
        }
        let behind = &mut kernel.sessions.get_mut(key)?.peers.inbox.behind;
        let (late, rest) = std::mem::take(behind).into_iter().partition(is_late);
        *behind = rest;
        let next_due = behind.iter().map(due).min();
        let late: std::collections::VecDeque<Waiting> = late;
        for waiting in late {
            self.answer_delivery(waiting.from, Answer::Unconfirmed, kernel, out);
        }
        next_due
    }

    /// Settles everything that waits for this session's confirmation: it will not come.
    pub(crate) fn give_back_deliveries(
        &mut self,
        key: SessionKey,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let heir = kernel.heir_of(key);
        let Some(session) = kernel.sessions.get_mut(key) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        if let Some(heir) = heir {
            return self.hand_down(key, heir, kernel, out);
        }
        let user = session.user.clone();
        let handed = std::mem::take(&mut session.peers.deliveries);
        let behind = std::mem::take(&mut session.peers.inbox.behind);
        let (mut answers, mut to_store) = (Vec::new(), Vec::new());
        for mut delivery in handed {
            if let Some(body) = delivery.parcel.offline.take() {
                delivery.is_storing = true;
                to_store.push((delivery.parcel.clone(), body, delivery.from.clone()));
            }
            if delivery.is_storing {
                // Its sender is told that it is stored. Whoever resumes gets the live form, in its
                // place.
                session.peers.deliveries.push_back(delivery);
                continue;
            }
            // Whoever resumes later must not get what its sender has been told will not arrive.
            if !fault!(DroppedMessageStays) {
                session.outbox.withdraw(delivery.sseq);
            }
            if !delivery.is_answered {
                let answer = if delivery.is_written {
                    Answer::Unconfirmed
                } else {
                    Answer::Gone
                };
                answers.push((delivery.from, answer));
            }
        }
        for (from, answer) in answers {
            self.answer_delivery(from, answer, kernel, out);
        }
        for (parcel, body, from) in to_store {
            self.store_delivery(key, &user, (parcel, body), from, kernel, out);
        }
        for waiting in behind {
            self.keep_or_answer(
                &user,
                waiting.from,
                waiting.parcel,
                Answer::Gone,
                kernel,
                out,
            );
        }
    }
}
