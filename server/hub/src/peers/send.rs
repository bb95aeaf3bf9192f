//! Peer messages at the sender's hub.

use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;
use tidings_fault::fault;
use tidings_token::Access;
use tidings_wire::codes::Outcome;
use tidings_wire::frame::encode_server;
use tidings_wire::limits::INBOX_LASTING_AGE_MS;
use tidings_wire::names::UserId;
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{Message, PeerMessage, SendToPeer as Call, reply};

use crate::bus_ops::{Answer, Asker, BusOp, Parcel, Publication, Question, Topic};
use crate::config::Traits;
use crate::history::history_message;
use crate::ids::{MessageId, UserKey};
use crate::io::{Effect, Sink, Ticket};
use crate::kernel::Kernel;
use crate::kernel::asks::{Outcome as Asked, Settled};
use crate::kernel::caller::Caller;
use crate::kernel::check::{check_message, message_bytes};
use crate::kernel::reply::error;
use crate::outside::PeerOutcome;
use crate::peers::moved::MOVES_MAX;
use crate::peers::receive::{message_kind, outcome_of};
use crate::peers::slot::{LaneKey, Origin, SendToPeer};
use crate::peers::state::{First, Lane, PeerAsk, PeerStore, Peers};
use crate::rates;
use crate::store_ops::{Conversation, StoreAnswer};
use crate::traces::TracedTo;

/// Who sends a message.
#[derive(Debug)]
struct Sender {
    user: UserKey,
    traits: Traits,
    /// Of the message.
    id: MessageId,
    /// As in [`SendToPeer`].
    number: u64,
}

impl Peers {
    /// A question of ours is settled.
    pub(crate) fn finish_peer_ask(
        &mut self,
        settled: Settled,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let Some(ask) = self.asks.remove(&settled.number) else {
            debug_assert!(false, "a question about a peer that nobody has asked");
            return;
        };
        match ask {
            PeerAsk::Deliver(send) => {
                let answer = match settled.outcome {
                    Asked::Answered { answer, .. } => answer,
                    Asked::Nobody => Answer::Gone,
                    Asked::Silence => Answer::Unconfirmed,
                };
                self.finish_asked(send, answer, kernel, out);
            }
            PeerAsk::Taken { lane, id } => {
                let is_taken = matches!(
                    settled.outcome,
                    Asked::Answered {
                        answer: Answer::Taken,
                        ..
                    }
                );
                self.finish_taken(&lane, id, is_taken, kernel, out);
            }
        }
    }

    /// A store operation of ours is answered.
    pub(crate) fn finish_peer_store(
        &mut self,
        ticket: Ticket,
        answer: StoreAnswer,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let Some(pending) = self.stores.remove(&ticket.0) else {
            debug_assert!(false, "a store operation that nobody waits for");
            return;
        };
        match pending {
            PeerStore::Send(send) => self.finish_append(send, answer, kernel, out),
            PeerStore::History(send) => self.finish_peer_history(send, answer, kernel, out),
            PeerStore::Delivery { session, id, from } => {
                self.apply_delivery_stored(session, id, from, answer, kernel, out);
            }
            PeerStore::Kept(from) => self.answer_delivery(from, outcome_of(answer), kernel, out),
            PeerStore::Page(session) => self.apply_inbox_page(session, answer, kernel, out),
        }
    }
}

impl Peers {
    /// A client sends a message, or somebody outside as a user who need not be logged in.
    pub(crate) fn handle_send_to_peer(
        &mut self,
        caller: Caller,
        call: Call,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let Some(to) = Self::receiver_of(caller, &call.peer_id, kernel, out) else {
            // It is answered.
            return;
        };
        let mut message = match check_message(call.message) {
            Ok(message) => message,
            Err(error) => return kernel.reply_error(caller, error, out),
        };
        if !kernel.take_rate(caller, rates::Kind::Message, out) {
            return;
        }
        let Some(sender) = Self::sender_of(caller, kernel) else {
            debug_assert!(false, "a session that has just called is there");
            return;
        };
        if !kernel.take_quota(caller, &sender.user.app, None, out) {
            return;
        }
        if message.expires_ts > 0 {
            message.expires_ts = kernel.stamped(message.expires_ts);
        }
        let bytes = message_bytes(&message);
        kernel.count(&sender.user.app).peer.sent(bytes);
        if kernel.events.of_messages {
            let of = (sender.id, bytes);
            kernel.tell_peer_message(&sender.user, &to, of, out);
        }
        let asks = (call.offline, call.history);
        if kernel.traces.is_on {
            let of = (sender.id, &TracedTo::User(to.clone()));
            kernel.trace_accepted(caller, of, message_bytes(&message), asks);
        }
        let send = Self::seal(caller, sender, to, (message, asks), kernel.now.unix_ms);
        match self.lanes.of(&send) {
            Some(lane) if lane.is_storing() && !fault!(LaterMessageOvertakesStoring) => {
                lane.waiting.push_back(send)
            }
            _ => self.keep_and_dispatch(send, kernel, out),
        }
    }

    /// Whom a message is for, if the caller may send to that user; otherwise answers the request.
    fn receiver_of(
        caller: Caller,
        peer_id: &str,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) -> Option<UserId> {
        let names = kernel.traits_of_caller(caller).names;
        let to = match UserId::parse_by(names, peer_id) {
            Ok(to) => to,
            Err(name) => {
                let text = format!("peer id {peer_id:?}: {name}");
                kernel.reply_error(caller, error(Outcome::InvalidArgument, text), out);
                return None;
            }
        };
        let may_send = kernel.permit_with(caller, Access::Write, &to, out)
            && !kernel.bars_send(caller, None, out);
        may_send.then_some(to)
    }

    /// A message as it goes on its way. `asks`: for the inbox, if it is not confirmed, and for the
    /// history.
    fn seal(
        caller: Caller,
        sender: Sender,
        to: UserId,
        (message, (is_offline, is_kept)): (Message, (bool, bool)),
        server_ts: u64,
    ) -> SendToPeer {
        debug_assert!(sender.number > 0, "a message without a number");
        let (id, from) = (sender.id, sender.user);
        let history = is_kept.then(|| {
            let kept = (&message, id);
            Box::new(history_message(from.user.to_string(), kept, server_ts))
        });
        let kind = message_kind(&message);
        let lasts_until = lasts_until(sender.traits, &message, server_ts);
        let offline = (is_offline || fault!(EveryMessageIsStored))
            .then(|| Bytes::from(message.encode_to_vec()));
        let frame = encode_server(Kind::PeerMessage(PeerMessage {
            from: from.user.to_string(),
            message: Some(message),
            server_ts,
            inbox: 0,
            id: Bytes::copy_from_slice(&id.0),
        }));
        let to = UserKey {
            app: from.app.clone(),
            user: to,
        };
        let parcel = Parcel {
            id,
            from,
            server_ts,
            frame,
            offline,
            kind,
            lasts_until,
        };
        SendToPeer {
            caller,
            number: sender.number,
            to,
            parcel,
            moves: 0,
            history,
        }
    }

    /// Who sends a message, and what names the message. `None`: the session is not there.
    fn sender_of(caller: Caller, kernel: &mut Kernel) -> Option<Sender> {
        if let Caller::Request { session, cseq, .. } = caller {
            let session = kernel.sessions.get(session)?;
            return Some(Sender {
                user: session.user.clone(),
                traits: session.traits,
                id: MessageId::new(session.id, cseq),
                number: cseq,
            });
        }
        let user = kernel.user_of(caller)?.clone();
        let traits = kernel.traits_of_caller(caller);
        let (_, session, number) = kernel.sender_of(caller)?;
        let id = MessageId::new(session, number);
        Some(Sender {
            user,
            traits,
            id,
            number,
        })
    }

    /// Stores a copy first, if that is asked for: what the history lacks has not been sent.
    fn keep_and_dispatch(&mut self, mut send: SendToPeer, kernel: &mut Kernel, out: &mut dyn Sink) {
        let Some(message) = send.history.take() else {
            return self.dispatch(send, kernel, out);
        };
        let lane = send.lane();
        self.lanes.lanes.entry(lane).or_default().appends += 1;
        let conversation = Conversation::of_users(&send.parcel.from, &send.to.user);
        let op = kernel.history_op(&send.to.app, conversation, *message);
        let pending = PeerStore::History(send);
        self.store(kernel, op, pending, out);
    }

    /// The copy is durable, or cannot be stored.
    pub(crate) fn finish_peer_history(
        &mut self,
        send: SendToPeer,
        answer: StoreAnswer,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let lane = send.lane();
        match answer {
            StoreAnswer::Failed { reason } => {
                let caller = send.caller;
                kernel.reply_not_kept(caller, &reason, out);
            }
            _ => self.dispatch(send, kernel, out),
        }
        self.finish_lane_append(&lane, kernel, out);
    }

    /// Hands the message to the receiver's hub: this one, or whoever is subscribed to the user's
    /// topic.
    fn dispatch(&mut self, send: SendToPeer, kernel: &mut Kernel, out: &mut dyn Sink) {
        debug_assert!(
            send.history.is_none(),
            "a message goes before its copy is kept"
        );
        debug_assert_eq!(
            send.to.app, send.parcel.from.app,
            "a message to another app"
        );
        let mut here = kernel.users.get(&send.to).map(|entry| entry.session);
        if here.is_none() && kernel.moves.is_arriving(&send.to) {
            // As for a login that is under way.
            here = Some(None);
        }
        let lane = self.lanes.of(&send);
        if let Some(lane) = lane.filter(|lane| lane.must_wait(here.is_some())) {
            let lane_key = send.lane();
            // Order: what waits is younger.
            lane.waiting.push_front(send);
            return self.seek_first(lane_key, kernel, out);
        }
        if let Some(session) = here {
            let parcel = send.parcel.clone();
            match session {
                Some(session) => {
                    self.deliver(session, Origin::Local(Box::new(send)), parcel, kernel, out);
                }
                None => {
                    let to = send.to.clone();
                    self.hold_parcel(&to, Origin::Local(Box::new(send)), parcel, kernel, out);
                }
            }
            return;
        }
        let lane = self.lanes.lanes.entry(send.lane()).or_default();
        let last = lane.asked.back().map_or(0, |(last, _)| *last);
        debug_assert!(send.number > last, "messages are asked for in their order");
        lane.asked.push_back((send.number, send.parcel.id));
        self.ask_to_deliver(send, kernel, out);
    }

    /// Asks whether a session has the first of what was asked for: messages wait for that.
    fn seek_first(&mut self, lane_key: LaneKey, kernel: &mut Kernel, out: &mut dyn Sink) {
        let Some(lane) = self.lanes.lanes.get_mut(&lane_key) else {
            debug_assert!(false, "a lane is gone while it is dealt with");
            return;
        };
        let Some((_, id)) = lane.asked.front().copied() else {
            debug_assert!(false, "a lane is gone while it is dealt with");
            return;
        };
        if std::mem::replace(&mut lane.first, First::Sought) == First::Unknown {
            let topic = Topic::User(lane_key.1.clone());
            let pending = PeerAsk::Taken { lane: lane_key, id };
            let asked = (topic, Question::HasTaken(id));
            self.ask(kernel, asked, pending, out);
        }
    }

    /// A session has the message, or none is known to have it. If none has it, what becomes of it
    /// is still to be told.
    pub(crate) fn finish_taken(
        &mut self,
        lane_key: &LaneKey,
        id: MessageId,
        is_taken: bool,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let lane = self.lanes.lanes.get_mut(lane_key);
        let is_first = |lane: &&mut Lane| lane.asked.front().is_some_and(|(_, first)| *first == id);
        if let Some(lane) = lane.filter(is_first)
            && is_taken
        {
            lane.first = First::Found;
            self.go_on(lane_key, kernel, out);
        }
    }

    /// Another hub asks whether a message has been handed to the user's session, or waits for that.
    pub(crate) fn answer_taken(
        user: &UserKey,
        id: MessageId,
        asker: Asker,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let has_it = kernel.find_session(user, |session| {
            let mut waiting = session.peers.inbox.behind.iter();
            let mut handed = session.peers.deliveries.iter();
            handed.any(|handed| handed.parcel.id == id)
                || waiting.any(|waiting| waiting.parcel.id == id)
        });
        let has_it = has_it.is_some();
        let answer = if has_it { Answer::Taken } else { Answer::Gone };
        kernel.answer(asker, answer, out);
    }

    /// A hub that was asked to deliver a message has answered, or there was none.
    pub(crate) fn finish_asked(
        &mut self,
        send: SendToPeer,
        answer: Answer,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let lane_key = send.lane();
        let Some(lane) = self.lanes.lanes.get_mut(&lane_key) else {
            return self.finish_send(send, answer, kernel, out);
        };
        let is_elsewhere = answer == Answer::Moved && !kernel.users.contains_key(&send.to);
        if is_elsewhere && send.moves < MOVES_MAX && !kernel.moves.is_arriving(&send.to) {
            // Order: it keeps its place in the lane.
            return self.ask_again(send, kernel, out);
        }
        lane.asked.retain(|(cseq, _)| *cseq != send.number);
        if lane.asked.is_empty() {
            lane.first = First::Unknown;
        }
        let is_to_store = answer == Answer::Gone && send.parcel.offline.is_some();
        if is_to_store && lane.has_asked_before(send.number) {
            lane.held.insert(send.number, send);
            return;
        }
        self.finish_send(send, answer, kernel, out);
        while let Some(lane) = self.lanes.lanes.get_mut(&lane_key)
            && let Some(held) = lane.release()
        {
            self.finish_send(held, Answer::Gone, kernel, out);
        }
        self.go_on(&lane_key, kernel, out);
    }

    pub(crate) fn ask_to_deliver(
        &mut self,
        send: SendToPeer,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let topic = Topic::User(send.to.clone());
        let question = Question::Deliver(send.parcel.clone());
        let pending = PeerAsk::Deliver(send);
        self.ask(kernel, (topic, question), pending, out);
    }

    fn drop_lane_if_over(&mut self, lane_key: &LaneKey) {
        if self.lanes.lanes.get(lane_key).is_some_and(Lane::is_over) {
            self.lanes.lanes.remove(lane_key);
        }
    }

    /// The outcome of a delivery is known: stores the message if that is what is left, else answers
    /// the sender.
    pub(crate) fn finish_send(
        &mut self,
        send: SendToPeer,
        answer: Answer,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let caller = send.caller;
        let answer = match answer {
            Answer::Moved if send.moves < MOVES_MAX => {
                return self.dispatch_again(send, kernel, out);
            }
            // Whoever has it now is not found.
            Answer::Moved => Answer::Gone,
            other => other,
        };
        let outcome = match answer {
            Answer::Confirmed => PeerOutcome::Received,
            Answer::Stored => PeerOutcome::Stored,
            Answer::Gone => match send.parcel.offline.clone() {
                Some(body) => return self.append(send, body, kernel, out),
                None => PeerOutcome::Missed,
            },
            Answer::StoreFailed { reason } => {
                let text = format!("the message could not be stored: {reason}");
                let error = reply::Result::Error(error(Outcome::Unavailable, text));
                return kernel.reply(caller, error, out);
            }
            other => {
                debug_assert_eq!(other, Answer::Unconfirmed, "an answer to another question");
                let text = "the peer is there but has not confirmed the message in time";
                let error = reply::Result::Error(error(Outcome::TimedOut, text));
                return kernel.reply(caller, error, out);
            }
        };
        kernel.reply_sent(caller, outcome, out);
    }

    fn append(&mut self, send: SendToPeer, body: Bytes, kernel: &mut Kernel, out: &mut dyn Sink) {
        debug_assert!(
            send.parcel.offline.is_some(),
            "nobody has asked for it to be stored"
        );
        debug_assert!(send.number > 0, "messages are counted from 1");
        let lane = self.lanes.lanes.entry(send.lane()).or_default();
        lane.appends += 1;
        if fault!(StoredIsAnsweredEarly) {
            self.finish_send(send.clone(), Answer::Stored, kernel, out);
        }
        let op = Self::append_op(send.to.clone(), &send.parcel, body, kernel);
        let pending = PeerStore::Send(send);
        self.store(kernel, op, pending, out);
    }

    pub(crate) fn finish_append(
        &mut self,
        send: SendToPeer,
        answer: StoreAnswer,
        kernel: &mut Kernel,
        out: &mut dyn Sink,
    ) {
        let lane_key = send.lane();
        let is_stored = matches!(answer, StoreAnswer::InboxAppended { .. });
        if is_stored && !fault!(NewLoginIsNotToldOfStored) {
            // The receiver may have logged in while this was being stored.
            // Order: told before anything later of this sender is asked of the topic.
            self.tell_inbox_grew(&send.to, kernel, out);
        }
        let answer = match answer {
            StoreAnswer::Failed { reason } => Answer::StoreFailed { reason },
            _ => Answer::Stored,
        };
        self.finish_send(send, answer, kernel, out);
        self.finish_lane_append(&lane_key, kernel, out);
    }

    /// Something of the lane is stored: what waited behind it goes on.
    fn finish_lane_append(&mut self, lane_key: &LaneKey, kernel: &mut Kernel, out: &mut dyn Sink) {
        let Some(lane) = self.lanes.lanes.get_mut(lane_key) else {
            debug_assert!(false, "a lane is gone while it is dealt with");
            return;
        };
        debug_assert!(lane.appends > 0, "an append that was not begun has ended");
        lane.appends -= 1;
        self.go_on(lane_key, kernel, out);
    }

    /// Goes on with what waits in a lane, as far as it may.
    fn go_on(&mut self, lane_key: &LaneKey, kernel: &mut Kernel, out: &mut dyn Sink) {
        debug_assert!(!lane_key.1.user.as_str().is_empty(), "a lane to nobody");
        while let Some(lane) = self.lanes.lanes.get_mut(lane_key) {
            if lane.appends > 0 || !lane.held.is_empty() {
                return;
            }
            let to = &lane_key.1;
            let is_here = kernel.users.contains_key(to) || kernel.moves.is_arriving(to);
            if lane.must_wait(is_here) && !lane.waiting.is_empty() {
                return self.seek_first(lane_key.clone(), kernel, out);
            }
            match lane.waiting.pop_front() {
                Some(next) => self.keep_and_dispatch(next, kernel, out),
                None => return self.drop_lane_if_over(lane_key),
            }
        }
    }

    fn tell_inbox_grew(&mut self, user: &UserKey, kernel: &mut Kernel, out: &mut dyn Sink) {
        let entry = kernel.users.get(user);
        let is_settled = entry.is_some_and(|entry| entry.claim.is_none());
        // Order: at once, before a later message of this sender is handed to the session.
        self.handle_inbox_grew(user, kernel, out);
        // A login that is on its way here says nothing of where the user's session is.
        if is_settled {
            return;
        }
        let topic = Topic::User(user.clone());
        out.emit(Effect::Bus(BusOp::Publish {
            topic,
            message: Arc::new(Publication::InboxGrew),
        }));
    }
}

/// When a stored message ends, if its sender's client may and did say so.
fn lasts_until(traits: Traits, message: &Message, now_ts: u64) -> u64 {
    match message.expires_ts {
        end_ts if traits.ends_messages => end_ts.min(now_ts + INBOX_LASTING_AGE_MS),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use tidings_wire::proto::{Message, message, request};

    use super::*;
    use crate::bus_ops::{AskId, BusInput};
    use crate::ids::HubId;
    use crate::io::Input;
    use crate::rig::{Rig, user};
    use crate::store_ops::StoreOp;

    fn offline(text: &'static str) -> request::Call {
        request::Call::SendToPeer(Call {
            peer_id: "bob".into(),
            message: Some(Message {
                body: Some(message::Body::Text(text.into())),
                ..Default::default()
            }),
            offline: true,
            history: false,
        })
    }

    #[test]
    fn a_message_that_nobody_takes_is_stored_behind_an_earlier_one_that_another_hub_gives_back() {
        let mut rig = Rig::with_users(&["alice"]);
        let key = rig.hub.kernel.users[&user("alice")]
            .session
            .expect("alice is here");
        let session = rig.hub.kernel.sessions[key].id;
        let sent = ["one", "two", "three"]
            .map(|text| MessageId::new(session, rig.request(0, offline(text))));
        let stored = |rig: &Rig| -> Vec<MessageId> {
            let id = |(_, op): &(_, StoreOp)| match op {
                StoreOp::InboxAppend { message, .. } => Some(message.id),
                _ => None,
            };
            rig.store.iter().filter_map(id).collect()
        };
        let answered = |ask: AskId, answer: Answer| {
            let ask = AskId { asked: 1, ..ask };
            let from = HubId::local(1);
            Input::Bus(BusInput::Answered { ask, from, answer })
        };
        let [first, taken] = rig.take_asks()[..] else {
            panic!("the others wait until the first is found");
        };
        // Bob's hub was subscribed when the first was asked, and no more when the others were.
        rig.give(answered(taken, Answer::Taken));
        let asks = rig.take_asks();
        rig.give(Input::Bus(BusInput::Nobody { ask: asks[1] }));
        rig.give(Input::Bus(BusInput::Nobody { ask: asks[0] }));
        assert_eq!(stored(&rig), []);
        rig.give(answered(first, Answer::Gone));
        assert_eq!(stored(&rig), sent);
        assert!(
            !rig.hub.peers.lanes.lanes.is_empty(),
            "they are being stored"
        );
        for (ticket, op) in std::mem::take(&mut rig.store) {
            if let StoreOp::InboxAppend { .. } = op {
                let answer = StoreAnswer::InboxAppended { inbox: 1 };
                rig.give(Input::Store { ticket, answer });
            }
        }
        assert!(rig.hub.peers.lanes.lanes.is_empty());
    }

    #[test]
    fn what_follows_a_message_that_nobody_takes_waits_until_that_is_stored() {
        let mut rig = Rig::with_users(&["alice"]);
        for text in ["one", "two"] {
            rig.request(0, offline(text));
        }
        let [first, taken] = rig.take_asks()[..] else {
            panic!("the second waits until the first is found");
        };
        // Bob logs in between the two: his session has not had the first.
        rig.give(Input::Bus(BusInput::Answered {
            ask: AskId { asked: 1, ..taken },
            from: HubId::local(1),
            answer: Answer::Gone,
        }));
        rig.give(Input::Bus(BusInput::Nobody { ask: first }));
        assert_eq!(rig.take_asks(), []);
        let appends = std::mem::take(&mut rig.store);
        for (ticket, _) in appends
            .into_iter()
            .filter(|(_, op)| matches!(op, StoreOp::InboxAppend { .. }))
        {
            let answer = StoreAnswer::InboxAppended { inbox: 1 };
            rig.give(Input::Store { ticket, answer });
        }
        assert_eq!(rig.take_asks().len(), 1, "the second goes, as a first");
    }

    #[test]
    fn a_login_on_its_way_does_not_keep_stored_messages_from_the_session_elsewhere() {
        let mut rig = Rig::with_users(&["alice"]);
        rig.request(0, offline("hi"));
        rig.nobody();
        // While the message is being stored, two clients of bob's log in: one here, one at another
        // hub.
        rig.begin_login("bob");
        let append = rig
            .store
            .iter()
            .find(|(_, op)| matches!(op, StoreOp::InboxAppend { .. }));
        let ticket = append.expect("the message is stored").0;
        let answer = StoreAnswer::InboxAppended { inbox: 1 };
        rig.give(Input::Store { ticket, answer });
        let is_told = rig.bus.iter().any(|op| {
            matches!(op, BusOp::Publish { message, .. } if **message == Publication::InboxGrew)
        });
        assert!(is_told, "bob's session may be elsewhere");
    }
}
