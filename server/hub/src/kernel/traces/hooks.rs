//! What features tell tracing: each is called only while something is followed.

use bytes::Bytes;
use tidings_wire::codes::Outcome;
use tidings_wire::frame::{decode_server, payload};
use tidings_wire::hex;
use tidings_wire::names::{AppId, ChannelName, NameRule, UserId};
use tidings_wire::proto::request::Call;
use tidings_wire::proto::{Error, reply, server_message};

use crate::bus_ops::Parcel;
use crate::ids::{ChannelKey, ConnectionId, MessageId, SessionKey, UserKey};
use crate::io::Ticket;
use crate::kernel::Kernel;
use crate::kernel::caller::Caller;
use crate::kernel::traces::{Storing, Write};
use crate::outside::{OutsideAnswer, PeerOutcome};
use crate::store_ops::{StoreAnswer, StoredMessage};
use crate::traces::{StepKind, TraceStep, TracedEntry, TracedTo, to_user};

/// A step about nobody in particular.
fn step(kind: StepKind, detail: impl Into<String>) -> TraceStep {
    TraceStep {
        at_ms: 0,
        kind,
        user: None,
        members: None,
        detail: detail.into(),
    }
}

/// A step of one user.
fn of(kind: StepKind, user: &UserId, detail: impl Into<String>) -> TraceStep {
    TraceStep {
        user: Some(user.clone()),
        ..step(kind, detail)
    }
}

/// The error of an answer, in words.
fn told(error: &Error) -> String {
    let mut all = Outcome::ALL.into_iter();
    let outcome = all.find(|outcome| *outcome as u32 == error.outcome);
    let name = outcome.map_or("error", Outcome::name);
    format!("{name}: {}", error.text)
}

/// Who has sent a channel message, by its frame.
fn sender_of(frame: &Bytes) -> Option<UserId> {
    let mut decoded = decode_server(payload(frame)).ok()?;
    match decoded.messages.pop()?.kind? {
        server_message::Kind::ChannelMessage(message) => {
            UserId::parse_by(NameRule::Wide, &message.from).ok()
        }
        _ => None,
    }
}

impl Kernel {
    fn note(&mut self, app: &AppId, id: MessageId, mut step: TraceStep) {
        step.at_ms = self.now.unix_ms;
        self.traces.note(app, id, step);
    }

    /// Begins to note something of a message, if a trace follows it.
    fn follow(
        &mut self,
        app: &AppId,
        id: MessageId,
        (from, to): (&UserId, &TracedTo),
        stamp_ms: u64,
    ) -> bool {
        let now_ms = self.now.unix_ms;
        self.traces.sweep(now_ms);
        if !self.traces.follows(app, from, to, stamp_ms) {
            return false;
        }
        let entry = TracedEntry {
            id,
            at_ms: now_ms,
            from: from.clone(),
            to: to.clone(),
        };
        self.traces.open(app, entry);
        true
    }

    /// The message that a session's request sends, if it sends one.
    fn message_of(&self, caller: Caller) -> Option<(AppId, MessageId)> {
        match caller {
            Caller::Request { session, cseq, .. } => {
                let session = self.sessions.get(session)?;
                let id = MessageId::new(session.id, cseq);
                Some((session.user.app.clone(), id))
            }
            Caller::Outside(ticket) => {
                let outsider = self.outsiders.open.get(&ticket.0)?;
                Some((outsider.user.app.clone(), outsider.sent?.0))
            }
        }
    }

    // ------------------------------------------------------------ at the sender's hub

    /// Somebody wants to send a message; whether that is allowed has not been looked at.
    pub(crate) fn trace_call(&mut self, caller: Caller, call: &Call) {
        debug_assert!(self.traces.is_on, "noted while nothing is followed");
        let names = self.traits_of_caller(caller).names;
        let to = match call {
            Call::SendToPeer(call) => UserId::parse_by(names, &call.peer_id).map(TracedTo::User),
            Call::SendToChannel(call) => {
                ChannelName::parse_by(names, &call.channel).map(TracedTo::Channel)
            }
            _ => return,
        };
        let (Ok(to), Some(from)) = (to, self.user_of(caller).cloned()) else {
            return;
        };
        let now_ms = self.now.unix_ms;
        match caller {
            Caller::Request { .. } => {
                if let Some((app, id)) = self.message_of(caller) {
                    self.follow(&app, id, (&from.user, &to), now_ms);
                }
            }
            // It has no id before it is accepted.
            Caller::Outside(ticket) if self.traces.follows(&from.app, &from.user, &to, now_ms) => {
                self.traces.attempts.insert(ticket.0, (from.user, to));
            }
            Caller::Outside(_) => {}
        }
    }

    /// A message has passed every check.
    pub(crate) fn trace_accepted(
        &mut self,
        caller: Caller,
        (id, to): (MessageId, &TracedTo),
        bytes: usize,
        asks: (bool, bool),
    ) {
        debug_assert!(self.traces.is_on, "noted while nothing is followed");
        let Some(from) = self.user_of(caller).cloned() else {
            return;
        };
        let stamp = self.now.unix_ms;
        if !self.follow(&from.app, id, (&from.user, to), stamp) {
            return;
        }
        let mut detail = format!("{bytes} bytes");
        match caller.session().and_then(|key| self.sessions.get(key)) {
            Some(session) => detail = format!("{detail}, session {}", hex(&session.id.0)),
            None => detail += ", by the API",
        }
        if asks.0 {
            detail += ", to be stored for an absent receiver";
        }
        if asks.1 {
            detail += ", to be kept in the history";
        }
        self.note(&from.app, id, of(StepKind::Accepted, &from.user, detail));
        let stamped = step(StepKind::Stamped, format!("{stamp}"));
        self.note(&from.app, id, stamped);
    }

    /// A message waits for the word of the app's backend.
    pub(crate) fn trace_held(&mut self, caller: Caller) {
        debug_assert!(self.traces.is_on, "noted while nothing is followed");
        if let Some((app, id)) = self.message_of(caller) {
            let detail = "for the word of the app's backend";
            self.note(&app, id, step(StepKind::Waiting, detail));
        }
    }

    /// It is known what has become of a peer message.
    pub(crate) fn trace_outcome(&mut self, caller: Caller, outcome: PeerOutcome) {
        debug_assert!(self.traces.is_on, "noted while nothing is followed");
        let Some((app, id)) = self.message_of(caller) else {
            return;
        };
        let detail = match outcome {
            PeerOutcome::Received => "received",
            PeerOutcome::Stored => "stored",
            PeerOutcome::Missed => {
                let detail = "the receiver is away, and it was not to be stored";
                self.note(&app, id, step(StepKind::Dropped, detail));
                "missed"
            }
        };
        self.trace_answer(&app, id, detail);
    }

    /// The sender of a message is answered.
    fn trace_answer(&mut self, app: &AppId, id: MessageId, detail: impl Into<String>) {
        let Some(noted) = self.traces.noted(app, id) else {
            return;
        };
        if !std::mem::replace(&mut noted.is_answered, true) {
            self.note(app, id, step(StepKind::Answered, detail));
        }
    }

    /// A request is answered: perhaps one that has sent a message.
    pub(crate) fn trace_reply(&mut self, caller: Caller, result: &reply::Result) {
        debug_assert!(self.traces.is_on, "noted while nothing is followed");
        if let Some((app, id)) = self.message_of(caller) {
            self.trace_result(&app, id, result);
        }
    }

    fn trace_result(&mut self, app: &AppId, id: MessageId, result: &reply::Result) {
        let reply::Result::Error(error) = result else {
            return self.trace_answer(app, id, "done");
        };
        let Some(noted) = self.traces.noted(app, id) else {
            return;
        };
        let mut kinds = noted.steps.iter().map(|step| step.kind);
        let detail = told(error);
        if kinds.any(|kind| kind == StepKind::Accepted) {
            return self.trace_answer(app, id, detail);
        }
        noted.is_answered = true;
        self.note(app, id, step(StepKind::Refused, detail));
    }

    /// A call from outside is answered: perhaps one that has sent a message.
    pub(crate) fn trace_outside(&mut self, ticket: Ticket, answer: &OutsideAnswer) {
        debug_assert!(self.traces.is_on, "noted while nothing is followed");
        let caller = Caller::Outside(ticket);
        let attempt = self.traces.attempts.remove(&ticket.0);
        let Some(app) = self.user_of(caller).map(|user| user.app.clone()) else {
            return;
        };
        match (self.message_of(caller), answer, attempt) {
            (Some((_, id)), OutsideAnswer::Call(result), _) => {
                self.trace_result(&app, id, result);
            }
            (Some((_, id)), ..) => self.trace_answer(&app, id, "done"),
            (None, OutsideAnswer::Call(result @ reply::Result::Error(_)), Some((from, to))) => {
                let (base, number) = self.next_outside();
                let id = MessageId::new(base, number);
                if self.follow(&app, id, (&from, &to), self.now.unix_ms) {
                    self.trace_result(&app, id, result);
                }
            }
            _ => {}
        }
    }

    // ------------------------------------------------------------ at the hubs of receivers

    /// A peer message cannot be handed over yet.
    pub(crate) fn trace_waiting(&mut self, to: &UserKey, parcel: &Parcel, why: &'static str) {
        debug_assert!(self.traces.is_on, "noted while nothing is followed");
        let parties = (&parcel.from.user, &to_user(to));
        if self.follow(&to.app, parcel.id, parties, parcel.server_ts) {
            let waiting = of(StepKind::Waiting, &to.user, why);
            self.note(&to.app, parcel.id, waiting);
        }
    }

    /// A peer message is in a session's outbox.
    pub(crate) fn trace_handed(&mut self, key: SessionKey, parcel: &Parcel, sseq: u64) {
        debug_assert!(self.traces.is_on, "noted while nothing is followed");
        let Some(to) = self.sessions.get(key).map(|session| session.user.clone()) else {
            return;
        };
        let parties = (&parcel.from.user, &to_user(&to));
        if self.follow(&to.app, parcel.id, parties, parcel.server_ts) {
            self.trace_given(key, (&to, parcel.id), sseq, StepKind::Given);
        }
    }

    /// A stored message is in a session's outbox.
    pub(crate) fn trace_stored_handed(
        &mut self,
        key: SessionKey,
        (id, from, server_ts): (MessageId, &str, u64),
        sseq: u64,
    ) {
        debug_assert!(self.traces.is_on, "noted while nothing is followed");
        let from = UserId::parse_by(NameRule::Wide, from);
        let to = self.sessions.get(key).map(|session| session.user.clone());
        let (Ok(from), Some(to)) = (from, to) else {
            return;
        };
        if self.follow(&to.app, id, (&from, &to_user(&to)), server_ts) {
            self.trace_given(key, (&to, id), sseq, StepKind::DeliveredFromInbox);
        }
    }

    /// A message was given to a session's client, or is, as soon as that is back.
    fn trace_given(
        &mut self,
        key: SessionKey,
        (to, id): (&UserKey, MessageId),
        sseq: u64,
        kind: StepKind,
    ) {
        let session = self.sessions.get(key);
        let name = session.map(|session| hex(&session.id.0));
        let connection = session.and_then(|session| session.connection);
        let detail = format!("session {}", name.unwrap_or_default());
        self.note(&to.app, id, of(kind, &to.user, detail));
        if let Some(connection) = connection {
            self.note(&to.app, id, of(StepKind::Queued, &to.user, ""));
            self.traces.wait_for_write(Write {
                connection,
                app: to.app.clone(),
                id,
                user: Some(to.user.clone()),
            });
        }
        self.traces.wait_for(key, sseq, &to.app, id);
    }

    /// Where a message of a channel comes from, if a trace follows it.
    pub(crate) fn trace_ordered(
        &mut self,
        channel: &ChannelKey,
        id: MessageId,
        (frame, server_ts): (&Bytes, u64),
    ) -> bool {
        debug_assert!(self.traces.is_on, "noted while nothing is followed");
        if !(self.traces).may_follow(&channel.app, &channel.channel, server_ts) {
            return false;
        }
        let Some(from) = sender_of(frame) else {
            return false;
        };
        let to = TracedTo::Channel(channel.channel.clone());
        let is_followed = self.follow(&channel.app, id, (&from, &to), server_ts);
        if is_followed {
            let ordered = step(StepKind::Ordered, format!("stamp {server_ts}"));
            self.note(&channel.app, id, ordered);
        }
        is_followed
    }

    /// A message of a channel is the newest in the outboxes of these sessions.
    pub(crate) fn trace_fan_out(
        &mut self,
        app: &AppId,
        id: MessageId,
        members: impl Iterator<Item = SessionKey>,
    ) {
        let (mut given, mut queued, mut unfollowed) = (0_u32, 0_u32, 0_u32);
        for key in members {
            let Some(session) = self.sessions.get(key) else {
                continue;
            };
            given += 1;
            if let Some(connection) = session.connection {
                queued += 1;
                self.traces.wait_for_write(Write {
                    connection,
                    app: app.clone(),
                    id,
                    user: None,
                });
            }
            let sseq = session.outbox.sent();
            if !self.traces.wait_for(key, sseq, app, id) {
                unfollowed += 1;
            }
        }
        let mut detail = String::new();
        if unfollowed > 0 {
            detail = format!("the confirmations of {unfollowed} are not followed: too many");
        }
        let count = |kind, members, detail| TraceStep {
            members: Some(members),
            ..step(kind, detail)
        };
        self.note(app, id, count(StepKind::Given, given, detail));
        let mut detail = String::new();
        if queued < given {
            detail = format!("{} have no connection: kept for them", given - queued);
        }
        if given > 0 {
            self.note(app, id, count(StepKind::Queued, queued, detail));
        }
    }

    /// The users whom somebody follows, and whatever they are given of this channel.
    pub(crate) fn trace_receivers(&self, channel: &ChannelKey, server_ts: u64) -> Vec<UserId> {
        debug_assert!(self.traces.is_on, "noted while nothing is followed");
        (self.traces).receivers(&channel.app, &channel.channel, server_ts)
    }

    /// A message of a channel is the newest in the outboxes of these sessions, whose users somebody
    /// follows. `is_noted`: a trace follows the message itself too, so that all members are counted
    /// already.
    pub(crate) fn trace_received(
        &mut self,
        channel: &ChannelKey,
        id: MessageId,
        (frame, server_ts): (&Bytes, u64),
        (members, is_noted): (&[SessionKey], bool),
    ) {
        debug_assert!(!members.is_empty(), "a message is followed to nobody");
        if !is_noted {
            let Some(from) = sender_of(frame) else {
                return;
            };
            let entry = TracedEntry {
                id,
                at_ms: self.now.unix_ms,
                from,
                to: TracedTo::Channel(channel.channel.clone()),
            };
            self.traces.open(&channel.app, entry);
            let ordered = step(StepKind::Ordered, format!("stamp {server_ts}"));
            self.note(&channel.app, id, ordered);
        }
        for key in members {
            let Some(session) = self.sessions.get(*key) else {
                continue;
            };
            let (to, sseq) = (session.user.clone(), session.outbox.sent());
            if !is_noted {
                self.trace_given(*key, (&to, id), sseq, StepKind::Given);
            }
            if let Some(noted) = self.traces.noted(&channel.app, id)
                && !noted.receivers.contains(&to.user)
            {
                noted.receivers.push(to.user);
            }
        }
    }

    /// Connections were written, or are gone.
    pub(crate) fn trace_written(&mut self, written: &[ConnectionId], gone: &[ConnectionId]) {
        debug_assert!(written.is_sorted() && gone.is_sorted(), "searched in vain");
        let has = |list: &[ConnectionId], one: ConnectionId| list.binary_search(&one).is_ok();
        debug_assert!(
            written.iter().all(|one| gone.binary_search(one).is_err()),
            "what is gone is not written"
        );
        let writes = self
            .traces
            .take_writes(|write| has(written, write.connection) || has(gone, write.connection));
        // What went to many is one step.
        let mut counts: Vec<(AppId, MessageId, u32)> = Vec::new();
        for write in writes {
            if has(gone, write.connection) {
                continue;
            }
            let Some(user) = write.user else {
                match counts.iter_mut().find(|(_, id, _)| *id == write.id) {
                    Some((.., count)) => *count += 1,
                    None => counts.push((write.app, write.id, 1)),
                }
                continue;
            };
            self.note(&write.app, write.id, of(StepKind::Written, &user, ""));
        }
        for (app, id, members) in counts {
            let written = TraceStep {
                members: Some(members),
                ..step(StepKind::Written, "")
            };
            self.note(&app, id, written);
        }
    }

    // ------------------------------------------------------------ the store

    /// A message goes to a user's inbox.
    pub(crate) fn trace_append(&mut self, ticket: Ticket, to: &UserKey, stored: &StoredMessage) {
        debug_assert!(self.traces.is_on, "noted while nothing is followed");
        let Ok(from) = UserId::parse_by(NameRule::Wide, &stored.from) else {
            return;
        };
        if self.follow(&to.app, stored.id, (&from, &to_user(to)), stored.server_ts) {
            self.trace_storing(ticket, &to.app, stored.id, "in the inbox");
        }
    }

    /// The copy of a channel's message goes to its history, here at the channel's home: perhaps
    /// before the message itself is seen here, or without that.
    pub(crate) fn trace_keep(
        &mut self,
        ticket: Ticket,
        channel: &ChannelKey,
        id: MessageId,
        (from, server_ts): (&str, u64),
    ) {
        debug_assert!(self.traces.is_on, "noted while nothing is followed");
        let Ok(from) = UserId::parse_by(NameRule::Wide, from) else {
            return;
        };
        let to = TracedTo::Channel(channel.channel.clone());
        if self.follow(&channel.app, id, (&from, &to), server_ts) {
            self.trace_storing(ticket, &channel.app, id, "in the history");
        }
    }

    /// A followed message goes to the store.
    pub(crate) fn trace_storing(
        &mut self,
        ticket: Ticket,
        app: &AppId,
        id: MessageId,
        place: &'static str,
    ) {
        let Some(noted) = self.traces.noted(app, id) else {
            return;
        };
        noted.waiting += 1;
        let app = app.clone();
        let storing = Storing { app, id, place };
        self.traces.stores.insert(ticket.0, storing);
    }

    /// The store has answered.
    pub(crate) fn trace_stored(&mut self, ticket: Ticket, answer: &StoreAnswer) {
        debug_assert!(self.traces.is_on, "noted while nothing is followed");
        let Some(Storing { app, id, place }) = self.traces.stores.remove(&ticket.0) else {
            return;
        };
        if let Some(noted) = self.traces.noted(&app, id) {
            noted.waiting = noted.waiting.saturating_sub(1);
        }
        let step = match answer {
            StoreAnswer::InboxAppended { inbox } => {
                step(StepKind::Stored, format!("{place}, number {inbox}"))
            }
            StoreAnswer::HistoryAppended { position } => {
                step(StepKind::Stored, format!("{place}, position {position}"))
            }
            StoreAnswer::Failed { reason } => {
                step(StepKind::Dropped, format!("not {place}: {reason}"))
            }
            _ => return,
        };
        self.note(&app, id, step);
    }

    // ------------------------------------------------------------ what clients do

    /// A client has confirmed everything up to `sseq`.
    pub(crate) fn trace_confirmed(&mut self, key: SessionKey, sseq: u64) {
        debug_assert!(self.traces.has_waits(), "looked for what nobody waits for");
        let Some(user) = self.sessions.get(key).map(|session| session.user.clone()) else {
            return;
        };
        let connection = self
            .sessions
            .get(key)
            .and_then(|session| session.connection);
        for wait in self.traces.take_waits(key, |at| at <= sseq) {
            // A client has nothing that was not written: the word of that has been overtaken.
            let is_it = |write: &Write| Some(write.connection) == connection && write.id == wait.id;
            if !self.traces.take_writes(is_it).is_empty() {
                self.note(&wait.app, wait.id, of(StepKind::Written, &user.user, ""));
            }
            let confirmed = of(StepKind::Confirmed, &user.user, "");
            self.note(&wait.app, wait.id, confirmed);
        }
    }

    /// A client has come back, and is about to be sent everything that it has not confirmed.
    pub(crate) fn trace_resumed(&mut self, key: SessionKey, connection: ConnectionId) {
        debug_assert!(self.traces.has_waits(), "looked for what nobody waits for");
        let Some(session) = self.sessions.get(key) else {
            return;
        };
        let user = session.user.user.clone();
        let outbox = &session.outbox;
        let mut missing: Vec<(u64, StepKind)> = Vec::new();
        let mut again = Vec::new();
        for wait in self.traces.waits.get(&key).into_iter().flatten() {
            match outbox.fate(wait.sseq) {
                Some(kind) => missing.push((wait.sseq, kind)),
                None => again.push((wait.app.clone(), wait.id)),
            }
        }
        let is_missing = |sseq| missing.iter().any(|(at, _)| *at == sseq);
        for wait in self.traces.take_waits(key, is_missing) {
            let kind = missing.iter().find(|(at, _)| *at == wait.sseq);
            let missed = match kind.map(|(_, kind)| *kind) {
                Some(StepKind::Gap) => {
                    let detail = "its client was away for too much, and is told of a gap";
                    of(StepKind::Gap, &user, detail)
                }
                _ => of(
                    StepKind::Dropped,
                    &user,
                    "taken back before it was confirmed",
                ),
            };
            self.note(&wait.app, wait.id, missed);
        }
        for (app, id) in again {
            let queued = of(StepKind::Queued, &user, "again, as its client is back");
            self.note(&app, id, queued);
            self.traces.wait_for_write(Write {
                connection,
                app,
                id,
                user: Some(user.clone()),
            });
        }
    }

    /// A session ends: its client confirms nothing more.
    pub(crate) fn trace_session_over(&mut self, key: SessionKey, why: &str) {
        debug_assert!(self.traces.has_waits(), "looked for what nobody waits for");
        let Some(user) = self.sessions.get(key).map(|session| session.user.clone()) else {
            return;
        };
        for wait in self.traces.take_waits(key, |_| true) {
            let detail = format!("the login ended ({why}) before its client had confirmed it");
            let dropped = of(StepKind::Dropped, &user.user, detail);
            self.note(&wait.app, wait.id, dropped);
        }
    }
}
