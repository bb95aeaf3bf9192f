//! Peer messages to a service with several sessions (decision 0038): who is given them, and what
//! becomes of them when one leaves.

use crate::bus_ops::{Answer, Parcel};
use crate::config::Replicas;
use crate::ids::SessionKey;
use crate::io::Sink;
use crate::kernel::Kernel;
use crate::peers::slot::Origin;
use crate::peers::state::Peers;

impl Peers {
    /// Hands a message to the user of a session that stands for it: to that session, or to those of
    /// a service with several.
    pub(crate) fn deliver(
        &mut self,
        key: SessionKey,
        from: Origin,
        parcel: Parcel,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        if kernel.groups.is_empty() {
            return self.accept_parcel(key, from, parcel, kernel, out);
        }
        let user = kernel.sessions.get(key).map(|session| session.user.clone());
        let receivers = user.and_then(|user| kernel.receivers(&user));
        let receivers = receivers.filter(|all| !all.is_empty());
        let (first, others) = match receivers.as_deref() {
            None | Some([]) => (key, &[][..]),
            Some([first, others @ ..]) => (*first, others),
        };
        // The sender hears of the first, and what is stored is stored once.
        for other in others {
            let copy = Parcel {
                offline: None,
                ..parcel.clone()
            };
            self.accept_parcel(*other, Origin::Nobody, copy, kernel, out);
        }
        self.accept_parcel(first, from, parcel, kernel, out);
    }

    /// A session of a service is gone, and another one is there: what it has not confirmed goes to
    /// others, also if it may have had it. A service would rather have a message twice than not at
    /// all.
    pub(crate) fn hand_down(
        &mut self,
        key: SessionKey,
        heir: SessionKey,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        debug_assert!(key != heir, "a session is its own heir");
        let Some(session) = kernel.sessions.get_mut(key) else {
            debug_assert!(false, "a session is gone while it is dealt with");
            return;
        };
        let handed = std::mem::take(&mut session.peers.deliveries);
        let behind = std::mem::take(&mut session.peers.inbox.behind);
        let mut open = Vec::new();
        for delivery in handed {
            if delivery.is_storing {
                // It comes out of the inbox.
                session.peers.deliveries.push_back(delivery);
                continue;
            }
            session.outbox.withdraw(delivery.sseq);
            if !delivery.is_answered {
                open.push((delivery.from, delivery.parcel, delivery.since_ms));
            }
        }
        for waiting in behind {
            open.push((waiting.from, waiting.parcel, waiting.since_ms));
        }
        for (from, parcel, since_ms) in open {
            if !self.is_copied(heir, &from, (&parcel, since_ms), kernel, out) {
                self.deliver(heir, from, parcel, kernel, out);
            }
        }
    }

    /// Whether another session of the service has, or has had, a copy of what this one leaves: then
    /// the sender is told of that one.
    fn is_copied(
        &mut self,
        heir: SessionKey,
        from: &Origin,
        (parcel, since_ms): (&Parcel, u64),
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) -> bool {
        let Some(user) = kernel.sessions.get(heir).map(|heir| heir.user.clone()) else {
            return false;
        };
        if kernel.replicas_of(&user) != Some(Replicas::All) {
            return false;
        }
        let since_ms = since_ms + kernel.clock.paused_ms + kernel.clock.ahead_ms;
        let mut was_there = false;
        for key in kernel.sessions_of(&user) {
            let Some(session) = kernel.sessions.get_mut(key).filter(|it| it.is_here()) else {
                continue;
            };
            was_there |= session.presence.stamp.mono_ms < since_ms;
            let handed = session.peers.deliveries.iter_mut();
            let handed = handed.map(|delivery| (&mut delivery.from, &mut delivery.parcel));
            let waiting = session.peers.inbox.behind.iter_mut();
            let waiting = waiting.map(|waiting| (&mut waiting.from, &mut waiting.parcel));
            let mut copies = handed.chain(waiting);
            let Some((told, copy)) = copies.find(|(_, copy)| copy.id == parcel.id) else {
                continue;
            };
            if !matches!(from, Origin::Nobody) {
                *told = from.clone();
                copy.offline.clone_from(&parcel.offline);
            }
            return true;
        }
        if was_there {
            // It has confirmed its copy.
            self.answer_delivery(from.clone(), Answer::Confirmed, kernel, out);
        }
        was_there
    }
}
