//! The hub: composes the features and routes inputs to them. It has no logic of its own.

use std::sync::Arc;

use bytes::Bytes;
use tidings_fault::fault;
use tidings_wire::codes::CloseCode;
use tidings_wire::frame::encode_server;
use tidings_wire::limits::LOGIN_WAIT_MS;
use tidings_wire::proto::server_message::Kind;
use tidings_wire::proto::{ClientFrame, ClientMessage, Pong, client_message};

use crate::attributes::Attributes;
use crate::bus_ops::{BusInput, Publication, Question, Topic};
use crate::channels::state::Channels;
use crate::config::HubConfig;
use crate::counts::{AppTally, HubCounts};
use crate::history::History;
use crate::ids::{ConnectionId, HubId, MessageId, SessionId, UserKey};
use crate::invitations::state::Invitations;
use crate::io::{Effect, Input, Sink, Ticket, Wish};
use crate::kernel::Kernel;
use crate::kernel::asks::{AskTag, Settled};
use crate::kernel::link::HEAD_START_MS;
use crate::kernel::maps::SeededHasher;
use crate::kernel::rng::Rng;
use crate::kernel::session::End;
use crate::kernel::stores::StoreTag;
use crate::kernel::timers::Timer;
use crate::kernel::users::{Recalled, Stage};
use crate::life::state::{Logins, Memory};
use crate::peers::state::Peers;
use crate::presence::Presence;
use crate::store_ops::StoreAnswer;
use crate::time::Time;

/// A single-threaded state machine that owns sessions.
#[derive(Debug)]
pub struct Hub {
    pub(crate) kernel: Kernel,
    pub(crate) logins: Logins,
    pub(crate) peers: Peers,
    pub(crate) channels: Channels,
    pub(crate) presence: Presence,
    pub(crate) attributes: Attributes,
    pub(crate) history: History,
    pub(crate) invitations: Invitations,
    pub(crate) memory: Memory,
    pub(crate) is_draining: bool,
    /// The one pong frame.
    pong: Bytes,
    /// Inputs since everything was last asserted.
    unasserted: usize,
}

/// A timer that fires this much later than it is due shows that the process has not run.
/// Milliseconds.
const LATE_MS: u64 = 1_000;

/// Passes effects on and notes which connections are closed because their clients do not confirm.
struct SlowWatch<'a> {
    out: &'a mut dyn Sink,
    slow: Vec<ConnectionId>,
}

impl Sink for SlowWatch<'_> {
    fn emit(&mut self, effect: Effect) {
        if let Effect::Close {
            connection,
            code: CloseCode::SlowConsumer,
        } = &effect
        {
            self.slow.push(*connection);
        }
        self.out.emit(effect);
    }
}

/// Sizes of a hub, for its operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HubStats {
    /// Open connections, logged in or not.
    pub connections: usize,
    /// Sessions, connected or not.
    pub sessions: usize,
    /// Channels with a member here.
    pub channels: usize,
    /// Questions to other hubs that are not answered.
    pub asks: usize,
    /// Store operations that are not answered.
    pub store_operations: usize,
    /// Bytes of frames that are kept for clients; one for many counts once.
    pub replay_bytes: usize,
    /// How often the wall clock was set, by more than a minute, since the hub was made.
    pub clock_jumps: u64,
}

impl Hub {
    /// Makes a hub without sessions.
    pub fn new(config: HubConfig) -> Self {
        let mut rng = Rng::new(config.seed);
        let hasher = SeededHasher::new((rng.next_u64(), rng.next_u64()));
        let anywhere = rng.next_u64() >> 16;
        let epochs = config.epoch_base.unwrap_or(anywhere);
        Self {
            logins: Logins::default(),
            peers: Peers::new(hasher),
            channels: Channels::new(hasher, epochs),
            presence: Presence::new(hasher),
            attributes: Attributes::default(),
            history: History::default(),
            invitations: Invitations::new(hasher),
            memory: Memory::default(),
            is_draining: false,
            pong: encode_server(Kind::Pong(Pong {})),
            unasserted: 0,
            kernel: Kernel::new(config, rng, hasher),
        }
    }

    /// Takes one input and gives its effects, in order.
    ///
    /// Bytes of clients never make it panic: a bad request is a reply, a bad frame ends its
    /// connection.
    pub fn handle(&mut self, now: Time, input: Input, out: &mut dyn Sink) {
        self.start_or_advance(now);
        let mut watched = SlowWatch {
            out,
            slow: Vec::new(),
        };
        self.take(input, &mut watched);
        self.fire_timers(&mut watched);
        if self.logins.moves.is_waiting() {
            self.go_on_with_moves(&mut watched);
        }
        if self.kernel.replay_bytes.get() > self.memory.replay_bytes_max {
            self.bound_replay(&mut watched);
        }
        let slow = watched.slow;
        self.kernel.finish_slow(slow);
        if cfg!(debug_assertions) {
            self.assert_consistent_by_and_by();
        }
    }

    /// Asserts what holds between two inputs, over all features: for builds that look for bugs. A
    /// hub in a build with debug assertions calls it without being asked.
    ///
    /// Cost: O(everything that the hub holds).
    ///
    /// # Panics
    /// Something that must hold does not: a bug.
    pub fn assert_consistent(&self) {
        self.kernel.assert_consistent();
        self.logins.assert_consistent(&self.kernel);
        self.peers.assert_consistent(&self.kernel);
        self.channels.assert_consistent(&self.kernel);
        self.presence.assert_consistent(&self.kernel);
        self.attributes.assert_consistent(&self.kernel);
        self.history.assert_consistent(&self.kernel);
        self.invitations.assert_consistent(&self.kernel);
        self.memory.assert_consistent(&self.kernel);
        assert!(
            !self.kernel.is_settling || self.kernel.connections.is_empty(),
            "a hub that settles has no connection"
        );
    }

    /// After every input of a small hub; of a large one so seldom that it costs no more than the
    /// inputs themselves.
    fn assert_consistent_by_and_by(&mut self) {
        let stats = self.stats();
        let size = stats.connections + 2 * stats.sessions + stats.channels + stats.asks;
        self.unasserted += 1;
        if self.unasserted * 32 >= size {
            self.unasserted = 0;
            self.assert_consistent();
        }
    }

    fn take(&mut self, input: Input, out: &mut dyn Sink) {
        match input {
            Input::Opened { connection } => self.handle_opened(connection, out),
            Input::Admitted {
                connection,
                user,
                traits,
                grant,
            } => self.handle_admitted(connection, user, (traits, grant), out),
            Input::Recalled {
                connection,
                user,
                used,
            } => {
                self.logins.recalled = Some(Recalled {
                    connection,
                    user,
                    used,
                });
            }
            Input::Processed { connection, sseq } => {
                self.peers
                    .handle_processed(connection, sseq, &mut self.kernel, out)
            }
            Input::Rung { connection, id } => {
                Invitations::handle_rung(connection, id, &mut self.kernel, out)
            }
            Input::Frame { connection, frame } => self.handle_frame(connection, frame, out),
            Input::Heard { connection } => self.handle_heard(connection, out),
            Input::Malformed { connection } => self.handle_protocol_error(connection, out),
            Input::Stalled { connection } => {
                self.drop_connection(connection, Some(CloseCode::SlowConsumer), out);
            }
            Input::Written { written, gone } => self.kernel.trace_written(&written, &gone),
            Input::Flooded { connection } => self.handle_flooded(connection, out),
            Input::Closed { connection } => self.drop_connection(connection, None, out),
            Input::HandedOver { connection, .. } if self.is_draining => {
                let code = CloseCode::GoingAway;
                out.emit(Effect::Close { connection, code });
            }
            Input::HandedOver {
                connection,
                wish,
                opened_ms,
            } => self.handle_handed_over((connection, opened_ms), wish, out),
            Input::Outside { ticket, call } => self.handle_outside(ticket, call, out),
            Input::Moderation(rules) => self.handle_moderation(rules),
            Input::Moderated { ticket, verdict } => self.handle_verdict(ticket, *verdict, out),
            Input::Bus(input) => self.handle_bus(input, out),
            Input::Store { ticket, answer } => self.handle_store_answer(ticket, answer, out),
            Input::Apps(apps) => self.handle_apps(apps, out),
            Input::Memory(pressure) => self.handle_pressure(pressure, out),
            Input::ClusterClock { ahead_ms } => {
                let clock = &mut self.kernel.clock;
                clock.ahead_ms = clock.ahead_ms.max(ahead_ms);
            }
            Input::Tick => {}
            Input::Drain => self.handle_drain(out),
            Input::Settle => self.handle_settle(out),
            Input::Load { hubs, boot } => {
                self.invitations
                    .handle_load(hubs, boot, &mut self.kernel, out);
                if !fault!(CrashLeavesLoginsOpen) {
                    self.kernel.sync_events_at_start(hubs, out);
                }
            }
            Input::Restore(snapshot) => self.handle_restore(*snapshot, out),
        }
    }

    /// When the hub wants [`Input::Tick`] at the latest, in monotonic milliseconds; `None` = never.
    pub fn deadline(&self) -> Option<u64> {
        let due_ms = self.kernel.next_due()? + self.kernel.clock.paused_ms;
        Some(due_ms.saturating_sub(HEAD_START_MS))
    }

    /// Who is logged in on a connection.
    pub fn user_of(&self, connection: ConnectionId) -> Option<&UserKey> {
        match self.kernel.connections.get(&connection)? {
            Stage::Serving(key) => Some(&self.kernel.sessions.get(*key)?.user),
            _ => None,
        }
    }

    /// The name of the session that is served on a connection.
    pub fn session_of(&self, connection: ConnectionId) -> Option<SessionId> {
        match self.kernel.connections.get(&connection)? {
            Stage::Serving(key) => Some(self.kernel.sessions.get(*key)?.id),
            _ => None,
        }
    }

    /// Whether whoever is logged in on a connection is part of a backend, for which no rate of
    /// clients is meant.
    pub fn is_service(&self, connection: ConnectionId) -> bool {
        match self.kernel.connections.get(&connection) {
            Some(Stage::Serving(key)) => self.kernel.traits_of(*key).is_service,
            _ => false,
        }
    }

    /// Whether a login or a resume is under way on a connection.
    pub fn is_logging_in(&self, connection: ConnectionId) -> bool {
        matches!(
            self.kernel.connections.get(&connection),
            Some(Stage::Claiming(_) | Stage::Resuming { .. })
        )
    }

    /// What it was made with, but for the apps, which are those of now.
    pub fn config(&self) -> &HubConfig {
        &self.kernel.config
    }

    /// What has happened in its apps.
    pub fn app_counts(&self) -> &AppTally {
        &self.kernel.tally
    }

    /// What has happened in whichever app.
    pub fn counts(&self) -> &HubCounts {
        &self.kernel.counts
    }

    /// Whether message tracing waits for [`Input::Written`]. Cost: a look at an empty list while
    /// nothing is followed.
    pub fn has_traced_writes(&self) -> bool {
        self.kernel.traces.unwritten().next().is_some()
    }

    /// The connections that have something queued of which tracing wants to know when it is
    /// written, as often as there are such frames.
    pub fn traced_connections(&self) -> Vec<ConnectionId> {
        self.kernel.traces.unwritten().collect()
    }

    /// How large the hub is.
    pub fn stats(&self) -> HubStats {
        HubStats {
            connections: self.kernel.connections.len(),
            sessions: self.kernel.sessions.len(),
            channels: self.channels.known.len(),
            asks: self.kernel.asks.len(),
            store_operations: self.kernel.stores.len(),
            replay_bytes: self.kernel.replay_bytes.get(),
            clock_jumps: self.kernel.clock.wall.jumps,
        }
    }

    fn start_or_advance(&mut self, now: Time) {
        let is_first = self.kernel.now == Time::default();
        self.kernel.clock.wall.look(now);
        // A clock that goes back must not make stamps go back (contract CRA-7).
        let mut mono_ms = now.mono_ms + HEAD_START_MS - self.kernel.clock.paused_ms;
        if let Some(due_ms) = self.kernel.next_due().filter(|_| !is_first)
            && mono_ms > due_ms + LATE_MS
        {
            // The process did not run. What clients and hubs have said in the meantime waits to be
            // read: nobody is to be found silent before it is.
            let wake_ms = due_ms.max(self.kernel.now.mono_ms);
            self.kernel.clock.paused_ms += mono_ms - wake_ms;
            mono_ms = wake_ms;
        }
        self.kernel.now = Time {
            mono_ms: mono_ms.max(self.kernel.now.mono_ms),
            unix_ms: if fault!(StampsGoBack) {
                now.unix_ms
            } else {
                now.unix_ms.max(self.kernel.now.unix_ms)
            },
        };
        if is_first {
            self.kernel.clock.started_ts = now.unix_ms;
        }
        if is_first && self.kernel.config.id.hub == 0 {
            Attributes::start_sweeps(&mut self.kernel);
        }
    }

    fn fire_timers(&mut self, out: &mut dyn Sink) {
        while let Some(timer) = self.kernel.timers.pop_due(self.kernel.now.mono_ms) {
            match timer {
                Timer::Drain(connection) => {
                    self.drop_connection(connection, Some(CloseCode::GoingAway), out);
                }
                Timer::Refusal(connection) => self.refuse_unknown(connection, out),
                Timer::Login(connection) => self.check_login(connection, out),
                Timer::Session(key) => self.check_session(key, out),
                Timer::Inbox(key) => self.peers.retry_inbox(key, &mut self.kernel, out),
                Timer::Deliveries(key) => self.peers.check_deliveries(key, &mut self.kernel, out),
                Timer::Count(channel) => self.channels.tell_count(&channel, &mut self.kernel, out),
                Timer::Invitation(caller, id) => {
                    self.invitations
                        .check_invitation(&caller, id, &mut self.kernel, out)
                }
                Timer::Ring(key, id) => self.invitations.check_ring(key, id, &mut self.kernel, out),
                Timer::InvitationOver(caller, id) => {
                    Invitations::drop_invitation(*caller, id, &mut self.kernel, out)
                }
                Timer::ChannelOver(channel, left_ts) => self.attributes.end_channel(
                    *channel,
                    left_ts,
                    &self.channels,
                    &mut self.kernel,
                    out,
                ),
                Timer::LostUser(user, lost_ts) => {
                    Attributes::drop_lost_attributes(*user, lost_ts, &mut self.kernel, out)
                }
                Timer::Held(ticket) => self.check_held(ticket, out),
                Timer::Sweep => self.attributes.sweep_attributes(&mut self.kernel, out),
                Timer::HistorySweep => {
                    self.history.sweep_histories(&mut self.kernel, out);
                    self.kernel.trim_events(None, out);
                }
                Timer::EventSync => self.kernel.begin_event_sync(out),
                Timer::Members(channel) => {
                    self.channels.check_members(&channel, &mut self.kernel, out);
                }
                Timer::Look(user) => self.presence.look_again(&user, &mut self.kernel, out),
                Timer::NodeOver(loss) => self.end_lost(loss, out),
                Timer::Departed => self.channels.end_departures(&self.kernel, out),
                Timer::Arrived(user) => self.forget_arrived(&user),
                Timer::Given(user, id) => self.drop_copy(&user, id, out),
            }
        }
        while let Some(settled) = self.kernel.asks.pop_due(self.kernel.now.mono_ms) {
            self.settle(settled, out);
        }
    }

    /// A connection comes from another hub, with what its client has asked for there.
    fn handle_handed_over(
        &mut self,
        (connection, opened_ms): (ConnectionId, u64),
        wish: Wish,
        out: &mut dyn Sink,
    ) {
        let stage = Stage::Fresh { opened_ms };
        self.kernel.connections.insert(connection, stage);
        // A resume that is refused here leaves it without a login once more.
        let due = self.kernel.now.mono_ms + LOGIN_WAIT_MS;
        self.kernel.timers.set(due, Timer::Login(connection));
        match wish {
            Wish::Resume(resume) => self.handle_resume((connection, opened_ms), resume, out),
            Wish::Login(login) => self.handle_login(connection, *login, out),
        }
    }

    fn handle_opened(&mut self, connection: ConnectionId, out: &mut dyn Sink) {
        if self.is_draining {
            out.emit(Effect::Close {
                connection,
                code: CloseCode::GoingAway,
            });
            return;
        }
        self.kernel.insert_fresh(connection);
        self.kernel.timers.set(
            self.kernel.now.mono_ms + LOGIN_WAIT_MS,
            Timer::Login(connection),
        );
    }

    fn handle_heard(&mut self, connection: ConnectionId, out: &mut dyn Sink) {
        if let Some(Stage::Serving(key)) = self.kernel.connections.get(&connection) {
            self.kernel.touch(*key, out);
        }
    }

    fn handle_frame(&mut self, connection: ConnectionId, frame: ClientFrame, out: &mut dyn Sink) {
        if let Some(Stage::Serving(key)) = self.kernel.connections.get(&connection) {
            let key = *key;
            self.kernel.touch(key, out);
            if let Some(session) = self.kernel.sessions.get_mut(key) {
                session.link.previous_secrets.clear();
            }
            if frame.confirm > 0 && !self.handle_confirm(key, frame.confirm, out) {
                return self.handle_protocol_error(connection, out);
            }
        }
        for message in frame.messages {
            self.handle_message(connection, message, out);
            if !self.kernel.is_open(connection) {
                // The message has ended the connection: the rest of the frame is nobody's.
                return;
            }
        }
    }

    fn handle_message(
        &mut self,
        connection: ConnectionId,
        message: ClientMessage,
        out: &mut dyn Sink,
    ) {
        use client_message::Kind;
        let Some(state) = self.kernel.connections.get(&connection) else {
            // The hub has closed it while the frame was on its way.
            return;
        };
        match (state, message.kind) {
            (Stage::Fresh { .. }, Some(Kind::Login(login))) => {
                self.handle_login(connection, login, out);
            }
            (Stage::Fresh { opened_ms }, Some(Kind::Resume(resume))) => {
                let opened = (connection, *opened_ms);
                self.handle_resume(opened, resume, out);
            }
            (Stage::Fresh { .. }, Some(Kind::Request(request)))
                if fault!(RequestBeforeLoginIsExecuted) =>
            {
                if let Some(key) = self.kernel.sessions.keys().next() {
                    self.handle_request(key, connection, request, out);
                }
            }
            (Stage::Serving(key), Some(Kind::Request(request))) => {
                self.handle_request(*key, connection, request, out);
            }
            (Stage::Serving(_), Some(Kind::Pong(_))) => {}
            // Bound: the connection's queue; a client that pings and does not read is dropped.
            (Stage::Serving(_), Some(Kind::Ping(_))) => {
                let frame = self.pong.clone();
                out.emit(Effect::Send { connection, frame });
            }
            // Nothing but login and resume is processed before login; no second login after it; a
            // kind that is not known cannot be ignored, since its sender waits for something.
            _ => self.handle_protocol_error(connection, out),
        }
    }

    /// The client has broken the protocol: its connection and its session are over.
    pub(crate) fn handle_protocol_error(&mut self, connection: ConnectionId, out: &mut dyn Sink) {
        match self.kernel.connections.get(&connection) {
            Some(Stage::Serving(key)) => self.end_session(*key, End::ProtocolError, out),
            _ => self.drop_connection(connection, Some(CloseCode::ProtocolError), out),
        }
    }

    fn handle_bus(&mut self, input: BusInput, out: &mut dyn Sink) {
        match input {
            BusInput::Published {
                topic,
                from,
                message,
            } => self.handle_published(topic, from, message, out),
            BusInput::Asked {
                topic,
                from,
                ask,
                question,
            } => {
                self.handle_question(topic, (from, ask), question, out);
            }
            BusInput::Answered { ask, from, answer } => {
                if let Some(settled) = self.kernel.asks.answer(ask, from, answer) {
                    self.settle(settled, out);
                }
            }
            BusInput::Keep {
                topic,
                from,
                message,
            } => match (topic, &*message) {
                (
                    Topic::Channel(channel),
                    Publication::Message {
                        sender,
                        cseq,
                        keep: Some(keep),
                        ..
                    },
                ) => {
                    let of = (from, MessageId::new(*sender, *cseq));
                    self.history
                        .keep_channel_message(channel, of, keep, &mut self.kernel, out);
                }
                _ => debug_assert!(
                    false,
                    "something to be kept that is no message of a channel"
                ),
            },
            BusInput::Nobody { ask } => {
                if let Some(settled) = self.kernel.asks.nobody(ask) {
                    self.settle(settled, out);
                }
            }
            BusInput::Missed { topic, from, count } => self.handle_missed(topic, from, count, out),
            BusInput::NodeLost { node } => self.handle_node_lost(node, out),
        }
    }

    pub(crate) fn handle_published(
        &mut self,
        topic: Topic,
        from: HubId,
        message: Arc<Publication>,
        out: &mut dyn Sink,
    ) {
        if let Topic::User(user) = &topic
            && self.kernel.moves.is_arriving(user)
        {
            return self.logins.moves.hear(user, from, &message);
        }
        match (topic, &*message) {
            (Topic::User(user), Publication::InboxGrew) => {
                self.peers.handle_inbox_grew(&user, &mut self.kernel, out)
            }
            (Topic::User(user), Publication::Invitation(word)) => {
                self.invitations
                    .handle_invitation_word(&user, from, word, &mut self.kernel, out);
            }
            (Topic::Calls(caller), Publication::Invitation(word)) => {
                self.invitations
                    .handle_invitation_word(&caller, from, word, &mut self.kernel, out);
            }
            (Topic::User(user), Publication::Watched) => self.kernel.note_watched(&user),
            (Topic::User(user), Publication::AttributesWritten) => {
                self.kernel.note_attributes(&user)
            }
            (Topic::Presence(user), Publication::Presence { state, stamp }) => {
                self.presence
                    .apply_presence(&user, (*state, *stamp), from, &mut self.kernel, out);
            }
            (Topic::Channel(channel), _) => {
                self.channels.handle_channel_publication(
                    &channel,
                    from,
                    message,
                    &mut self.attributes,
                    &mut self.kernel,
                    out,
                );
            }
            (Topic::User(_) | Topic::Calls(_) | Topic::Presence(_), _) => {
                debug_assert!(false, "a publication on a topic of another kind");
            }
        }
    }

    /// A question is settled: whoever has asked it goes on.
    fn settle(&mut self, settled: Settled, out: &mut dyn Sink) {
        match settled.tag {
            AskTag::Attributes => {
                self.attributes
                    .finish_attribute_ask(settled, &mut self.kernel, out)
            }
            AskTag::Channels => self.channels.finish_channel_ask(
                settled,
                &mut self.attributes,
                &mut self.kernel,
                out,
            ),
            AskTag::History => self.history.finish_keep(settled, &mut self.kernel, out),
            AskTag::Logins => self.finish_claim(settled, out),
            AskTag::Moves => self.finish_move_ask(settled, out),
            AskTag::Peers => self.peers.finish_peer_ask(settled, &mut self.kernel, out),
            AskTag::Presence => self
                .presence
                .finish_presence(settled, &mut self.kernel, out),
            AskTag::Resumes => self.finish_locate(settled, out),
        }
    }

    /// The store has answered: whoever has given it the operation goes on.
    fn handle_store_answer(&mut self, ticket: Ticket, answer: StoreAnswer, out: &mut dyn Sink) {
        if self.kernel.traces.is_on {
            self.kernel.trace_stored(ticket, &answer);
        }
        let Some(answer) = self.kernel.take_event_answer(ticket, answer, out) else {
            return;
        };
        let Some(tag) = self.kernel.stores.take(ticket) else {
            // A store that answers twice is at fault, and is not let in.
            return;
        };
        match tag {
            StoreTag::Attributes => self.attributes.finish_attribute_store(
                ticket,
                answer,
                &self.channels,
                &mut self.kernel,
                out,
            ),
            StoreTag::Events => self.kernel.finish_event_store(ticket, answer, out),
            StoreTag::Forgotten => {}
            StoreTag::History => {
                self.history
                    .finish_history_store(ticket, answer, &mut self.kernel, out)
            }
            StoreTag::Invitations => {
                self.invitations
                    .finish_invitation_store(ticket, answer, &mut self.kernel, out)
            }
            StoreTag::Peers => self
                .peers
                .finish_peer_store(ticket, answer, &mut self.kernel, out),
        }
    }

    fn handle_question(
        &mut self,
        topic: Topic,
        asker: crate::bus_ops::Asker,
        question: Arc<Question>,
        out: &mut dyn Sink,
    ) {
        match (topic, &*question) {
            (Topic::User(user), Question::Claim { stamp, holds }) => {
                self.handle_claim(&user, (*stamp, holds), asker, out);
            }
            (Topic::User(user), Question::Deliver(parcel)) => {
                self.peers
                    .handle_deliver(&user, asker, parcel, &mut self.kernel, out);
            }
            (Topic::User(user), Question::HasTaken(id)) => {
                Peers::answer_taken(&user, *id, asker, &mut self.kernel, out);
            }
            (Topic::User(user), Question::Presence) => {
                Presence::answer_presence(&user, asker, &mut self.kernel, out);
            }
            (Topic::User(user), Question::Locate { session, secret }) => {
                self.answer_locate(&user, (*session, secret), asker, out);
            }
            (Topic::User(user), Question::Topics { session, secret }) => {
                self.answer_topics(&user, (*session, secret), asker, out);
            }
            (
                Topic::User(user),
                Question::Give {
                    session,
                    secret,
                    taker,
                },
            ) => self.handle_give(&user, (*session, secret), *taker, asker, out),
            (Topic::Channel(channel), Question::Members) => {
                self.channels
                    .answer_members(&channel, asker, &mut self.kernel, out);
            }
            (Topic::Channel(channel), Question::Progress) => {
                self.channels
                    .answer_progress(&channel, asker, &mut self.kernel, out);
            }
            (Topic::Channel(channel), Question::Count) => {
                self.channels
                    .answer_count(&channel, asker, &mut self.kernel, out);
            }
            _ => debug_assert!(false, "a question on a topic of another kind"),
        }
    }

    fn handle_drain(&mut self, out: &mut dyn Sink) {
        if self.is_draining {
            return;
        }
        self.is_draining = true;
        let mut open: Vec<ConnectionId> = self.kernel.connections.keys().copied().collect();
        // Order: sorted, because the map's order would reach the effects.
        open.sort_unstable();
        let served = open.len().max(1) as u64;
        for (at, connection) in (0_u64..).zip(open) {
            let wait_ms = self.kernel.config.drain_window_ms * at / served;
            let is_served = matches!(
                self.kernel.connections.get(&connection),
                Some(Stage::Serving(_))
            );
            if is_served && wait_ms > 0 {
                let due_ms = self.kernel.now.mono_ms + wait_ms;
                self.kernel.timers.set(due_ms, Timer::Drain(connection));
            } else {
                self.drop_connection(connection, Some(CloseCode::GoingAway), out);
            }
        }
    }
}
