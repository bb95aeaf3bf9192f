//! What an app's backend hears: reported to the store where it happens, and never waited for.
//!
//! The store knows which logins it holds open, so a report that is lost is made good by comparing:
//! once after the start, and whenever the store has not taken something.

use tidings_fault::fault;
use tidings_wire::limits::{EVENT_QUEUE_MAX, EVENTS_AGE_MS, EVENTS_MAX};
use tidings_wire::names::{AppId, UserId};
use tidings_wire::proto::InvitationEnd;

use crate::ids::{ChannelKey, InvitationId, MessageId, SessionKey, UserKey};
use crate::io::{Effect, Sink, Ticket};
use crate::kernel::Kernel;
use crate::kernel::caller::Caller;
use crate::kernel::maps::{NumberMap, number_map};
use crate::kernel::session::{End, Session};
use crate::kernel::stores::{StoreTag, Stores};
use crate::kernel::timers::Timer;
use crate::store_ops::events::{
    EventAnswer, EventKind, EventLimits, EventOp, EventSync, LiveLogin, LoginName, NewEvent,
    SyncCause,
};
use crate::store_ops::{StoreAnswer, StoreOp};

/// How long after a loss the store is asked to compare, in milliseconds.
const SYNC_WAIT_MS: u64 = 5_000;

/// Sessions up to which they are compared in one step; more are compared in [`PARTS`].
const ONE_PART_MAX: usize = 1_000;

const PARTS: u16 = 256;

/// What the hub remembers for the sake of events.
#[derive(Debug, Default)]
pub(crate) struct Events {
    /// Some app wants events of messages.
    pub(crate) of_messages: bool,
    /// Appends to inboxes that are told when they are durable, by their tickets. Bound: the appends
    /// under way.
    stored: NumberMap<Box<NewEvent>>,
    /// Open logins are being compared, or will be.
    sync: Option<Sync>,
}

#[derive(Debug)]
struct Sync {
    cause: SyncCause,
    /// Hubs of the node from this number on are no more.
    gone_from: Option<u16>,
    /// The next part, and how many there are.
    part: (u16, u16),
    /// The comparison that is under way; `None` = it begins when the timer fires.
    ticket: Option<Ticket>,
}

impl Events {
    pub(crate) fn new(of_messages: bool) -> Self {
        Self {
            of_messages,
            stored: number_map(),
            sync: None,
        }
    }
}

impl Events {
    /// Asserts what holds between two inputs. Cost: O(appends under way).
    pub(crate) fn assert_consistent(&self, stores: &Stores) {
        for (ticket, event) in &self.stored {
            assert!(
                stores.has(Ticket(*ticket), StoreTag::Peers),
                "an event waits for an append that nobody has made"
            );
            assert_eq!(event.kind, EventKind::OfflineStored, "another event waits");
            event.assert_complete();
        }
        if let Some(sync) = &self.sync {
            let (part, parts) = sync.part;
            assert!(
                [0, 1, PARTS].contains(&parts),
                "there are not so many parts"
            );
            assert!(
                part < parts || sync.part == (0, 0),
                "a part behind the last one"
            );
            assert!(
                sync.ticket.is_some() || parts == 0,
                "a comparison has begun and waits for nothing"
            );
            assert!(
                sync.ticket
                    .is_none_or(|ticket| stores.has(ticket, StoreTag::Events)),
                "a comparison waits for an answer that does not come"
            );
            assert!(
                sync.gone_from.is_none() || sync.cause == SyncCause::Start,
                "hubs are gone that were there when the process started"
            );
        }
    }
}

/// Why a login has ended, as events say it.
fn reason(end: End) -> &'static str {
    match end {
        End::LoggedOut => "logout",
        End::RemoteLogin => "replaced",
        End::TokenExpired => "token-expired",
        End::ProtocolError => "protocol-error",
        End::Banned => "banned",
        End::AppDisabled => "app-disabled",
        End::Disconnected(_) => "disconnected",
        End::WindowOver => "lost",
    }
}

/// How an invitation has ended, as events say it: what, and why.
fn end_of(end: InvitationEnd) -> (EventKind, &'static str) {
    use EventKind::InvitationFailed as Failed;
    match end {
        InvitationEnd::Accepted => (EventKind::InvitationAccepted, ""),
        InvitationEnd::Refused => (EventKind::InvitationRefused, ""),
        InvitationEnd::Canceled => (EventKind::InvitationCanceled, ""),
        InvitationEnd::Unspecified | InvitationEnd::NotRecorded => (Failed, "not-recorded"),
        InvitationEnd::PeerOffline => (Failed, "peer-offline"),
        InvitationEnd::NoResponse => (Failed, "no-response"),
        InvitationEnd::Expired => (Failed, "expired"),
        InvitationEnd::AcceptFailed => (Failed, "accept-failed"),
        InvitationEnd::CalleeGone => (Failed, "callee-gone"),
        InvitationEnd::CallerGone => (Failed, "caller-gone"),
    }
}

impl Kernel {
    fn event(&self, app: &AppId, kind: EventKind) -> Box<NewEvent> {
        let mut event = NewEvent::new(app.clone(), self.now.unix_ms, kind);
        event.limits = self.event_limits();
        Box::new(event)
    }

    fn event_limits(&self) -> EventLimits {
        EventLimits {
            count_max: EVENTS_MAX as u64,
            age_ms: self.deletion_age_ms(EVENTS_AGE_MS),
            queue_max: EVENT_QUEUE_MAX as u64,
        }
    }

    fn of_session(&self, key: SessionKey, kind: EventKind) -> Option<Box<NewEvent>> {
        debug_assert!(
            self.sessions.contains_key(key),
            "an event of a session that is gone"
        );
        let session = self.sessions.get(key).filter(|it| it.settings.events)?;
        let mut event = self.event(&session.user.app, kind);
        event.user = Some(session.user.user.clone());
        event.login = Some(LoginName {
            hub: self.config.id,
            session: session.id,
        });
        Some(event)
    }

    fn tell_event(event: Box<NewEvent>, out: &mut dyn Sink) {
        debug_assert!(event.at_ms > 0, "an event at no time");
        debug_assert!(event.limits.count_max > 0, "a stream that holds nothing");
        if cfg!(debug_assertions) {
            event.assert_complete();
        }
        out.emit(Effect::Store {
            ticket: Ticket::NOBODY,
            op: StoreOp::EventAppend(event),
        });
    }

    /// The session's user is there, or there again.
    pub(crate) fn tell_login(&self, key: SessionKey, out: &mut dyn Sink) {
        if let Some(event) = self.of_session(key, EventKind::Login) {
            Self::tell_event(event, out);
        }
    }

    /// The session's user is no longer there. `None` = its client was not heard for too long, and
    /// may come back.
    pub(crate) fn tell_logout(&self, key: SessionKey, end: Option<End>, out: &mut dyn Sink) {
        if fault!(LogoutIsNoEvent) {
            return;
        }
        if let Some(mut event) = self.of_session(key, EventKind::Logout) {
            event.detail = end.map_or("lost", reason).into();
            Self::tell_event(event, out);
        }
    }

    /// Others see the session's user come to a channel, or go.
    pub(crate) fn tell_membership(
        &self,
        key: SessionKey,
        channel: &ChannelKey,
        kind: EventKind,
        out: &mut dyn Sink,
    ) {
        if let Some(mut event) = self.of_session(key, kind) {
            event.channel = Some(channel.channel.clone());
            Self::tell_event(event, out);
        }
    }

    /// A peer message was accepted. To be asked only if [`Events::of_messages`].
    pub(crate) fn tell_peer_message(
        &self,
        from: &UserKey,
        to: &UserId,
        (id, bytes): (MessageId, usize),
        out: &mut dyn Sink,
    ) {
        if !self.config.apps.settings(&from.app).peer_message_events {
            return;
        }
        let mut event = self.event(&from.app, EventKind::PeerMessage);
        event.user = Some(from.user.clone());
        event.peer = Some(to.clone());
        event.id = Some(id.0);
        event.bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        Self::tell_event(event, out);
    }

    /// A channel message was accepted. To be asked only if [`Events::of_messages`].
    pub(crate) fn tell_channel_message(
        &self,
        caller: Caller,
        channel: &ChannelKey,
        (id, bytes): (MessageId, usize),
        out: &mut dyn Sink,
    ) {
        if !self
            .config
            .apps
            .settings(&channel.app)
            .channel_message_events
        {
            return;
        }
        let mut event = self.event(&channel.app, EventKind::ChannelMessage);
        event.user = self.user_of(caller).map(|from| from.user.clone());
        event.channel = Some(channel.channel.clone());
        event.id = Some(id.0);
        event.bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        Self::tell_event(event, out);
    }

    /// What is told when a message for an inbox is durable; `None` = the operation is none, or its
    /// app does not hear of it.
    pub(crate) fn event_of_append(&self, op: &StoreOp) -> Option<Box<NewEvent>> {
        let StoreOp::InboxAppend { user, message, .. } = op else {
            return None;
        };
        if !self.config.apps.settings(&user.app).events {
            return None;
        }
        let mut event = self.event(&user.app, EventKind::OfflineStored);
        event.user = from_text(&message.from);
        event.peer = Some(user.user.clone());
        event.id = Some(message.id.0);
        event.bytes = u32::try_from(message.body.len()).unwrap_or(u32::MAX);
        Some(event)
    }

    /// A message goes to an inbox, under this ticket.
    pub(crate) fn note_append(&mut self, ticket: Ticket, event: Option<Box<NewEvent>>) {
        debug_assert_ne!(ticket, Ticket::NOBODY, "an append that nobody waits for");
        if let Some(event) = event {
            let before = self.events.stored.insert(ticket.0, event);
            debug_assert!(before.is_none(), "an append is noted twice");
        }
    }

    /// An invitation has a new state; `Err` = it has ended.
    pub(crate) fn tell_invitation(
        &self,
        (caller, callee): (&UserKey, &UserId),
        id: InvitationId,
        state: Result<EventKind, InvitationEnd>,
        out: &mut dyn Sink,
    ) {
        if !self.config.apps.settings(&caller.app).events {
            return;
        }
        let (kind, why) = state.map_or_else(end_of, |kind| (kind, ""));
        let mut event = self.event(&caller.app, kind);
        event.user = Some(caller.user.clone());
        event.peer = Some(callee.clone());
        event.id = Some(id.0);
        event.detail = why.into();
        Self::tell_event(event, out);
    }

    /// The store has answered something: tells of it if it was noted, or takes the answer if it is
    /// about events. Returns an answer that is for somebody else.
    pub(crate) fn take_event_answer(
        &mut self,
        ticket: Ticket,
        answer: StoreAnswer,
        out: &mut dyn Sink,
    ) -> Option<StoreAnswer> {
        if ticket == Ticket::NOBODY {
            if matches!(answer, StoreAnswer::Failed { .. }) {
                self.sync_events_soon(SyncCause::Change);
            }
            return None;
        }
        if !self.events.stored.is_empty()
            && let Some(mut event) = self.events.stored.remove(&ticket.0)
            && matches!(answer, StoreAnswer::InboxAppended { .. })
        {
            event.at_ms = self.now.unix_ms;
            Self::tell_event(event, out);
        }
        Some(answer)
    }
}

/// A name that came as text, and was a name before.
fn from_text(name: &str) -> Option<UserId> {
    UserId::parse_by(tidings_wire::names::NameRule::Wide, name).ok()
}

// ---------------------------------------------------------------- comparing open logins

impl Kernel {
    /// The process has started and knows its sessions: what the one before has left open ends.
    pub(crate) fn sync_events_at_start(&mut self, hubs: u16, out: &mut dyn Sink) {
        self.events.sync = Some(Sync {
            cause: SyncCause::Start,
            gone_from: (self.config.id.hub == 0).then_some(hubs),
            part: (0, 1),
            ticket: None,
        });
        self.begin_event_sync(out);
    }

    /// Something was not written, or other apps want events now: compares in a while.
    pub(crate) fn sync_events_soon(&mut self, cause: SyncCause) {
        let sync = self.events.sync.get_or_insert(Sync {
            cause,
            gone_from: None,
            part: (0, 1),
            ticket: None,
        });
        // One that is under way may have passed what was lost: it begins again when it has ended.
        sync.part = (0, 0);
        if sync.ticket.is_none() {
            let due_ms = self.now.mono_ms + SYNC_WAIT_MS;
            self.timers.set(due_ms, Timer::EventSync);
        }
    }

    /// The timer has fired, or the process has started.
    pub(crate) fn begin_event_sync(&mut self, out: &mut dyn Sink) {
        let parts = if self.sessions.len() <= ONE_PART_MAX {
            1
        } else {
            PARTS
        };
        match &mut self.events.sync {
            Some(sync) if sync.ticket.is_none() => sync.part = (0, parts),
            // An earlier timer has begun it.
            _ => return,
        }
        self.go_on_with_sync(out);
    }

    fn go_on_with_sync(&mut self, out: &mut dyn Sink) {
        let Some(sync) = &self.events.sync else {
            debug_assert!(false, "a comparison that nobody has begun goes on");
            return;
        };
        debug_assert!(sync.ticket.is_none(), "a comparison is under way");
        let (part, parts) = sync.part;
        debug_assert!(part < parts, "a part behind the last one");
        let width = PARTS / parts.max(1);
        let bound = |part: u16| u8::try_from(part * width).unwrap_or(u8::MAX);
        let from = bound(part);
        let to = bound(part).saturating_add(u8::try_from(width - 1).unwrap_or(u8::MAX));
        debug_assert!(from <= to, "a part without a session");
        debug_assert_eq!(
            part + 1 == parts,
            to == u8::MAX,
            "the last part ends where the sessions do"
        );
        let is_meant = |session: &&Session| {
            session.settings.events && session.is_here() && (from..=to).contains(&session.id.0[0])
        };
        let live = self
            .sessions
            .values()
            .filter(is_meant)
            .map(|session| LiveLogin {
                app: session.user.app.clone(),
                user: session.user.user.clone(),
                session: session.id,
                channels: session.channels.clone(),
            });
        let mut live: Vec<LiveLogin> = live.collect();
        // Order: sorted, because the map's order would reach the store.
        live.sort_unstable_by_key(|login| login.session);
        debug_assert!(
            live.is_sorted_by(|a, b| a.session < b.session),
            "two logins have one session"
        );
        let op = EventSync {
            hub: self.config.id,
            from,
            to,
            live,
            gone_from: sync.gone_from,
            cause: sync.cause,
            at_ms: self.now.unix_ms,
            limits: self.event_limits(),
        };
        let op = StoreOp::Events(Box::new(EventOp::Sync(op)));
        let ticket = self.store(op, StoreTag::Events, out);
        if let Some(sync) = &mut self.events.sync {
            sync.ticket = Some(ticket);
        }
    }

    /// A comparison or a sweep is answered.
    pub(crate) fn finish_event_store(
        &mut self,
        ticket: Ticket,
        answer: StoreAnswer,
        out: &mut dyn Sink,
    ) {
        if let StoreAnswer::Events(answer) = &answer
            && let EventAnswer::Trimmed { next, has_more } = &**answer
        {
            if *has_more {
                self.trim_events(next.clone(), out);
            }
            return;
        }
        let Some(sync) = self
            .events
            .sync
            .as_mut()
            .filter(|it| it.ticket == Some(ticket))
        else {
            // A sweep that has failed: the next one does its work.
            return;
        };
        sync.ticket = None;
        let (part, parts) = sync.part;
        match answer {
            StoreAnswer::Events(answer) if parts > 0 => {
                let has_more = matches!(*answer, EventAnswer::Synced { has_more: true, .. });
                if has_more {
                    return self.go_on_with_sync(out);
                }
                sync.gone_from = None;
                sync.part = (part + 1, parts);
                if part + 1 < parts {
                    return self.go_on_with_sync(out);
                }
                self.events.sync = None;
            }
            // Something was lost in the meantime, or the store does not take it: once more, later.
            _ => {
                sync.part = (0, 0);
                let due_ms = self.now.mono_ms + SYNC_WAIT_MS;
                self.timers.set(due_ms, Timer::EventSync);
            }
        }
    }

    /// Deletes events that are too old.
    pub(crate) fn trim_events(&mut self, after: Option<AppId>, out: &mut dyn Sink) {
        let age_ms = self.deletion_age_ms(EVENTS_AGE_MS);
        let op = EventOp::Trim {
            after,
            not_before_ms: self.now.unix_ms.saturating_sub(age_ms),
        };
        self.store(StoreOp::Events(Box::new(op)), StoreTag::Events, out);
    }

    /// The apps are others now; `has_changed` = sessions of some that had events have none, or the
    /// reverse.
    pub(crate) fn note_event_settings(&mut self, has_changed: bool) {
        self.events.of_messages = self.config.apps.has_message_events();
        if has_changed {
            self.sync_events_soon(SyncCause::Change);
        }
    }
}
