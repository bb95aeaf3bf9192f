//! Input: the bytes of clients, and the frames in them.
//!
//! A connection is served for a bounded number of messages per turn; whatever else was read waits
//! for its next turn. Connections take turns by app ([`crate::lanes`]), and one that exceeds its
//! rate is not read until it is below, and disconnected if that lasts (decision 0012).

use std::io::ErrorKind;

use bytes::Bytes;
use tidings_hub::Input;
use tidings_hub::ids::ConnectionId;
use tidings_wire::frame::decode_client;
use tidings_wire::limits::{
    FLOOD_MS, FRAME_BYTES_MAX, LOGIN_FRAME_BYTES_MAX, PREAUTH_FRAMES_MAX,
    PREAUTH_LEGACY_FRAMES_MAX, PREAUTH_READ_BYTES, RATE_CONNECTION_MESSAGE,
};
use tidings_wire::ws::{Event, Kind, encode_pong};

use crate::connection::{Closing, FRESH_CONTROL_FRAMES_MAX, Flood, Stage, Unread, decoder, limits};
use crate::lanes::LaneId;
use crate::stream::Stream;
use crate::worker::Worker;

/// Reads of one connection during its turn.
const READS_PER_VISIT: usize = 4;

/// Messages of one connection during its turn, where several apps are served: it bounds how long
/// one client's turn makes another app wait.
const MESSAGES_PER_VISIT: usize = 64;

/// The same where one app has the hub for itself: fewer, larger turns cost less.
const MESSAGES_PER_LONE_VISIT: usize = 1_024;

/// Bytes read per turn, after which everything is written before more is read.
const BYTES_PER_TURN: usize = 1 << 20;

/// Work per turn where several apps are served, in messages; as above.
const WORK_PER_TURN: usize = 1_024;

/// Strangers' work per turn where anybody is logged in, in messages. Time bounds it as well
/// ([`crate::arrivals::STRANGERS_US`]): work is an estimate.
const STRANGERS_WORK_PER_TURN: usize = 1_024;

/// TLS handshakes computed per turn, each of which takes up to a millisecond: further handshakes
/// wait, not those who are logged in.
const HANDSHAKES_PER_TURN: usize = 2;

/// The work of a step of a TLS handshake, in messages.
const WORK_PER_HANDSHAKE: usize = 512;

/// This many queued frames are as much work as one message.
const SENDS_PER_WORK: usize = 16;

/// A read of fewer bytes that completes no message is work of its own.
const SMALL_READ_BYTES: usize = 512;

/// Bytes that a closing connection may still send before it is dropped: what may have been in
/// transit.
const LATE_BYTES_MAX: usize = 1 << 20;

/// The same for a stranger.
const LATE_STRANGER_BYTES_MAX: usize = 64 << 10;

/// RFC 6455, 7.4.1: a policy of ours was violated.
const POLICY_VIOLATION: u16 = 1008;

impl Worker {
    /// Reads the connections that are ready, up to the turn's bound.
    pub(crate) fn read(&mut self) {
        let is_shared = self.connections.lanes.are_shared();
        let messages_max = if is_shared {
            MESSAGES_PER_VISIT
        } else {
            MESSAGES_PER_LONE_VISIT
        };
        let mut bytes_left = BYTES_PER_TURN;
        let mut work_left = if is_shared { WORK_PER_TURN } else { usize::MAX };
        let mut strangers_left = if self.connections.lanes.has_apps() {
            STRANGERS_WORK_PER_TURN
        } else {
            usize::MAX
        };
        let mut handshakes_left = HANDSHAKES_PER_TURN;
        self.take_intake(0);
        // Whoever is marked again meanwhile waits for the next turn.
        for _ in 0..self.connections.readable() {
            let is_over = bytes_left == 0 || work_left == 0;
            if is_over || self.node.intake.left() == 0 {
                break;
            }
            let strangers_wait =
                strangers_left == 0 || handshakes_left == 0 || self.strangers_are_late();
            let Some(slot) = self.connections.next_readable(strangers_wait) else {
                break;
            };
            let Some(connection) = self.connections.get(slot) else {
                continue;
            };
            let lane = connection.lane;
            if connection.stream.is_handshaking() {
                handshakes_left -= 1;
                self.reading.work += WORK_PER_HANDSHAKE;
            }
            let bytes = self.read_connection(slot, messages_max);
            let own_work = std::mem::take(&mut self.reading.work);
            let work = own_work + self.reading.queued / SENDS_PER_WORK;
            self.take_intake(bytes);
            self.connections.charge(lane, work);
            self.hold_to_rate(slot, own_work);
            if lane == LaneId::STRANGERS {
                self.register(slot);
                strangers_left = strangers_left.saturating_sub(work);
            }
            bytes_left = bytes_left.saturating_sub(bytes);
            work_left = work_left.saturating_sub(work);
        }
    }

    /// What was read, and what has become of it since.
    pub(crate) fn take_intake(&mut self, bytes: usize) {
        let queued = std::mem::take(&mut self.reading.queued);
        self.node.intake.take(bytes, queued);
    }

    /// Reads one connection until it has nothing more or its turn is over, and says how many bytes
    /// there were. What it was for messages is added to `self.reading.work`.
    fn read_connection(&mut self, slot: usize, messages_max: usize) -> usize {
        let mut bytes = 0;
        for _ in 0..READS_PER_VISIT {
            if self.decode_unread(slot, messages_max) {
                self.connections.mark_readable(slot);
                return bytes;
            }
            let Some(connection) = self.connections.get(slot) else {
                return bytes;
            };
            if matches!(connection.stage, Stage::Leaving(_)) || connection.flags.is_throttled {
                // It is read when it has arrived, or when its time has come.
                return bytes;
            }
            let most = match connection.stage {
                Stage::Head(_) | Stage::Fresh(_) => PREAUTH_READ_BYTES,
                _ => self.reading.buffer.len(),
            };
            match connection.stream.read(&mut self.reading.buffer[..most]) {
                Ok(0) => {
                    self.lose(slot);
                    return bytes;
                }
                Ok(count) => {
                    // Less than asked for is all that there was; what comes later makes an event.
                    // An end that was announced before makes none, so that it has to be met by
                    // reading on. TLS keeps bytes of its own.
                    let is_all = count < most
                        && !connection.flags.is_read_closed
                        && matches!(connection.stream, Stream::Plain(_));
                    connection.flags.is_drained = is_all;
                    bytes += count;
                    let work = self.reading.work;
                    self.take_bytes(slot, count, messages_max);
                    if self.reading.work == work && count < SMALL_READ_BYTES {
                        self.reading.work += 1;
                    }
                    if is_all && !self.has_unread(slot) {
                        return bytes;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.note_handshake(slot);
                    return bytes;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    tracing::trace!(hub = self.id.hub, %error, "a connection broke");
                    self.lose(slot);
                    return bytes;
                }
            }
            if self.reading.work >= messages_max {
                break;
            }
        }
        self.connections.mark_readable(slot);
        bytes
    }

    /// Takes the first `count` bytes of the buffer, which the connection has sent.
    pub(crate) fn take_bytes(&mut self, slot: usize, count: usize, messages_max: usize) {
        let Some(connection) = self.connections.get(slot) else {
            return;
        };
        match &mut connection.stage {
            Stage::Head(_) => self.take_head_bytes(slot, count),
            Stage::Fresh(_) | Stage::Serving => {
                let mut buffer = std::mem::take(&mut self.reading.buffer);
                let left = self.decode(slot, &mut buffer[..count], messages_max);
                self.keep_unread(slot, left, |left| Unread::new(&buffer[count - left..count]));
                self.reading.buffer = buffer;
            }
            Stage::Leaving(leaving) => leaving
                .rest
                .extend_from_slice(&self.reading.buffer[..count]),
            Stage::Closing(closing) => {
                let closing = *closing;
                let is_stranger = connection.is_stranger();
                let late = &mut connection.extra().late_bytes;
                *late += count;
                let most = if is_stranger {
                    LATE_STRANGER_BYTES_MAX
                } else {
                    LATE_BYTES_MAX
                };
                self.reading.work += 1 + count / SMALL_READ_BYTES;
                if *late > most {
                    self.lose(slot);
                } else if closing == Closing::ClientClose {
                    self.await_close(slot, count);
                }
            }
        }
    }

    fn has_unread(&mut self, slot: usize) -> bool {
        let extra = self.connections.get(slot).and_then(|it| it.extra.as_ref());
        extra.is_some_and(|extra| !extra.unread.is_empty())
    }

    /// Decodes what was read before, and says whether the connection's turn is over with it.
    fn decode_unread(&mut self, slot: usize, messages_max: usize) -> bool {
        let Some(connection) = self.connections.get(slot) else {
            return false;
        };
        if !connection.is_open() || connection.flags.is_throttled {
            return false;
        }
        let Some(mut unread) = connection.take_unread() else {
            return false;
        };
        let left = self.decode(slot, unread.bytes(), messages_max);
        self.keep_unread(slot, left, |left| unread.leave(left));
        left > 0
    }

    /// Keeps what was not decoded.
    fn keep_unread(&mut self, slot: usize, left: usize, unread: impl FnOnce(usize) -> Unread) {
        let Some(connection) = self.connections.get(slot) else {
            return;
        };
        if left > 0 {
            connection.extra().unread = unread(left);
        } else {
            connection.tidy();
        }
    }

    /// Gives the hub the frames in what the connection has sent, until its turn is over; returns
    /// how many bytes are left then.
    fn decode(&mut self, slot: usize, bytes: &mut [u8], messages_max: usize) -> usize {
        let Some(connection) = self.connections.get(slot) else {
            return 0;
        };
        let id = connection.id;
        // It is put back below; meanwhile the connection cannot be read.
        let mut its_decoder =
            std::mem::replace(&mut connection.decoder, decoder(LOGIN_FRAME_BYTES_MAX));
        let mut is_heard = false;
        let mut left = 0;
        let mut frames = 0;
        let mut events = its_decoder.decode(bytes);
        loop {
            let is_last = match events.next_event() {
                Ok(None) => true,
                Ok(Some(event)) => {
                    is_heard |= self.take_event(slot, id, event);
                    false
                }
                Err(error) => {
                    tracing::debug!(hub = self.id.hub, connection = id.0, %error, "what came is no WebSocket message");
                    self.fail(slot, error.close_code());
                    false
                }
            };
            // The fragments of a message are work of their own; the event itself has been counted.
            let begun = events.frames() - std::mem::replace(&mut frames, events.frames());
            self.reading.work += begun.saturating_sub(usize::from(!is_last));
            if is_last {
                break;
            }
            let Some(connection) = self.connections.get(slot) else {
                break;
            };
            match &mut connection.stage {
                Stage::Leaving(leaving) => {
                    leaving.rest = events.rest().to_vec();
                    break;
                }
                Stage::Fresh(_) | Stage::Serving if self.reading.work >= messages_max => {
                    left = events.rest().len();
                    break;
                }
                Stage::Fresh(_) | Stage::Serving => {}
                Stage::Head(_) | Stage::Closing(_) => break,
            }
        }
        if !is_heard {
            self.give(Input::Heard { connection: id });
        }
        if let Some(connection) = self.connections.get(slot) {
            if matches!(connection.stage, Stage::Serving) {
                its_decoder.set_limits(limits(FRAME_BYTES_MAX));
            }
            connection.decoder = its_decoder;
        }
        left
    }

    /// Takes one event; true when it was a frame, from which the hub learns by itself that the
    /// client is alive.
    fn take_event(&mut self, slot: usize, id: ConnectionId, event: Event<'_>) -> bool {
        self.reading.work += 1;
        match event {
            Event::Message {
                kind: Kind::Text,
                payload,
            } if self.is_legacy(slot) => {
                if self.bear_messages(slot, 1) {
                    tidings_cell::hear(self, id, payload);
                }
                false
            }
            // A legacy client's rules and rates are its translator's: no frame gets past it.
            Event::Message {
                kind: Kind::Binary, ..
            } if self.is_legacy(slot) => {
                self.give(Input::Malformed { connection: id });
                false
            }
            Event::Message {
                kind: Kind::Binary,
                payload,
            } => {
                self.take_frame(slot, id, payload);
                true
            }
            Event::Message {
                kind: Kind::Text, ..
            } => {
                self.give(Input::Malformed { connection: id });
                true
            }
            Event::Ping(payload) => {
                if self.bear_control_frame(slot) {
                    self.queue(slot, &Bytes::copy_from_slice(&encode_pong(payload, None)));
                }
                false
            }
            Event::Pong(_) => {
                self.bear_control_frame(slot);
                false
            }
            Event::Close { code, .. } => {
                self.answer_close(slot, code);
                true
            }
        }
    }

    fn take_frame(&mut self, slot: usize, id: ConnectionId, payload: &[u8]) {
        let frame = match decode_client(payload) {
            Ok(frame) => frame,
            Err(error) => {
                tracing::debug!(hub = self.id.hub, connection = id.0, %error, "what came is no frame of ours");
                return self.give(Input::Malformed { connection: id });
            }
        };
        let messages = frame.messages.len();
        self.reading.work += messages.saturating_sub(1);
        if !self.bear_messages(slot, messages.max(1)) {
            return;
        }
        if let Err(error) = self.admit_frame(slot, &frame) {
            return self.refuse_login(slot, id, error);
        }
        self.give(Input::Frame {
            connection: id,
            frame,
        });
    }

    /// Holds a connection to its rate of messages. One that has sent too many is not read until its
    /// time comes; one that does so for long is sent away.
    fn hold_to_rate(&mut self, slot: usize, work: usize) {
        let now_ms = self.now.mono_ms;
        let Some(connection) = self.connections.get(slot) else {
            return;
        };
        let (id, lane) = (connection.id, connection.lane);
        if work == 0 || !connection.is_open() || connection.flags.is_service {
            return;
        }
        if !self.connections.lanes.has_rates(lane) {
            return;
        }
        let Some(connection) = self.connections.get(slot) else {
            return;
        };
        let rate = RATE_CONNECTION_MESSAGE;
        let work = u32::try_from(work).unwrap_or(u32::MAX);
        let wait_ms = connection.work.charge(rate, u64::from(work), now_ms);
        if wait_ms == 0 {
            return;
        }
        let until_ms = now_ms + wait_ms;
        let flood = &mut connection.extra().flood;
        let since_ms = match flood {
            Some(flood) if now_ms <= flood.until_ms + u64::from(rate.window_ms) => flood.since_ms,
            _ => now_ms,
        };
        *flood = Some(Flood { since_ms, until_ms });
        if until_ms - since_ms >= FLOOD_MS {
            *flood = None;
            let user = self.cell.hub().user_of(id);
            let user = user.map(|user| (user.app.as_str(), user.user.as_str()));
            self.security.flood(connection, user);
            return self.give(Input::Flooded { connection: id });
        }
        connection.flags.is_throttled = true;
        self.reading.throttled.insert((until_ms, id));
    }

    /// Reads those again whose time has come.
    pub(crate) fn end_throttles(&mut self) {
        while let Some((until_ms, id)) = self.reading.throttled.first().copied() {
            if until_ms > self.now.mono_ms {
                return;
            }
            self.reading.throttled.pop_first();
            let Some(slot) = self.connections.slot(id) else {
                continue;
            };
            if let Some(connection) = self.connections.get(slot) {
                connection.flags.is_throttled = false;
                self.connections.mark_readable(slot);
            }
        }
    }

    /// Counts messages of a connection without a session; false when they were too many.
    fn bear_messages(&mut self, slot: usize, messages: usize) -> bool {
        let Some(connection) = self.connections.get(slot) else {
            return false;
        };
        let most = if connection.flags.is_legacy {
            PREAUTH_LEGACY_FRAMES_MAX
        } else {
            PREAUTH_FRAMES_MAX
        };
        if let Stage::Fresh(fresh) = &mut connection.stage {
            let messages = u8::try_from(messages).unwrap_or(u8::MAX);
            fresh.messages = fresh.messages.saturating_add(messages);
            if usize::from(fresh.messages) > most {
                self.send_stranger_away(slot);
                return false;
            }
        }
        true
    }

    /// Counts a control frame of a connection without a session; false when it was one too many.
    fn bear_control_frame(&mut self, slot: usize) -> bool {
        let Some(connection) = self.connections.get(slot) else {
            return false;
        };
        if let Stage::Fresh(fresh) = &mut connection.stage {
            fresh.control_frames += 1;
            if fresh.control_frames > FRESH_CONTROL_FRAMES_MAX {
                self.send_stranger_away(slot);
                return false;
            }
        }
        true
    }

    /// Closes a connection that has sent more than a login needs; it counts as a login that has
    /// failed.
    fn send_stranger_away(&mut self, slot: usize) {
        let now_ms = self.now.mono_ms;
        if let Some(connection) = self.connections.get(slot) {
            self.security.flood(connection, None);
            if let Some(stranger) = connection.stranger() {
                stranger.note_failure(now_ms);
            }
        }
        self.fail(slot, POLICY_VIOLATION);
    }

    /// Looks for the client's close frame; nothing else of it counts any more.
    fn await_close(&mut self, slot: usize, count: usize) {
        let Some(connection) = self.connections.get(slot) else {
            return;
        };
        let mut events = connection.decoder.decode(&mut self.reading.buffer[..count]);
        loop {
            match events.next_event() {
                Ok(Some(Event::Close { .. })) | Err(_) => break,
                Ok(Some(_)) => {}
                Ok(None) => return,
            }
        }
        self.finish_closing(slot);
    }
}
