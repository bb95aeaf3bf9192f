//! Peer messages to users whose sessions move between nodes: their senders ask again.

use bytes::Bytes;

use crate::bus_ops::{Answer, Parcel};
use crate::ids::{SessionKey, UserKey};
use crate::io::Sink;
use crate::kernel::Kernel;
use crate::kernel::users::HELD_PARCELS_MAX;
use crate::peers::receive::ack_wait_ms;
use crate::peers::slot::{Origin, SendToPeer};
use crate::peers::state::{First, Peers};

/// How often a message follows a receiver whose session moves. Bound: hubs that only say that it
/// has moved.
pub(crate) const MOVES_MAX: u8 = 3;

impl Peers {
    /// The receiver's session has moved while the message was on its way: asks whoever has it now.
    pub(crate) fn ask_again(
        &mut self,
        mut send: SendToPeer,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        debug_assert!(send.moves < MOVES_MAX, "a message runs after its receiver");
        send.moves += 1;
        self.ask_to_deliver(send, kernel, out);
    }

    /// The same for a message that this hub had handed to the session itself, or that is for one
    /// that has come here since.
    pub(crate) fn dispatch_again(
        &mut self,
        mut send: SendToPeer,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        send.moves += 1;
        let parcel = send.parcel.clone();
        let to = send.to.clone();
        let session = kernel.users.get(&to).and_then(|entry| entry.session);
        match session {
            Some(key) => self.deliver(key, Origin::Local(Box::new(send)), parcel, kernel, out),
            None if kernel.users.contains_key(&to) || kernel.moves.is_arriving(&to) => {
                self.hold_parcel(&to, Origin::Local(Box::new(send)), parcel, kernel, out);
            }
            None => {
                let lane = self.lanes.lanes.entry(send.lane()).or_default();
                let of = (send.number, send.parcel.id);
                // Order: it is older than what was asked for since.
                let at = lane.asked.partition_point(|(number, _)| *number < of.0);
                lane.asked.insert(at, of);
                lane.first = First::Unknown;
                self.ask_to_deliver(send, kernel, out);
            }
        }
    }

    /// The session has moved here with this message, whose sender asks what becomes of it.
    pub(crate) fn accept_once_more(
        &mut self,
        key: SessionKey,
        from: Origin,
        parcel: Parcel,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let now_ms = kernel.now.mono_ms;
        let session = kernel.sessions.get_mut(key);
        let handed = session.and_then(|session| {
            let mut handed = session.peers.deliveries.iter_mut();
            handed.find(|handed| handed.parcel.id == parcel.id)
        });
        let Some(delivery) = handed else {
            // Its client has confirmed it since.
            return self.answer_delivery(from, Answer::Confirmed, kernel, out);
        };
        if delivery.is_storing {
            return self.answer_delivery(from, Answer::Stored, kernel, out);
        }
        let due_ms = now_ms + ack_wait_ms(&parcel);
        delivery.parcel = Parcel {
            frame: Bytes::new(),
            ..parcel
        };
        delivery.from = from;
        delivery.since_ms = now_ms;
        delivery.is_answered = false;
        Self::check_deliveries_at(key, due_ms, kernel);
    }

    /// Keeps a message for a session that is on its way here.
    pub(crate) fn hold_for_arrival(
        &mut self,
        user: &UserKey,
        origin: Origin,
        parcel: Parcel,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let held = kernel.moves.arriving.get_mut(user);
        if let Some(held) = held.filter(|held| held.len() < HELD_PARCELS_MAX) {
            return held.push((origin, parcel));
        }
        self.keep_or_answer(user, origin, parcel, Answer::Unconfirmed, kernel, out);
    }
}
