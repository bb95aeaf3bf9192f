//! What comes in: connections, request heads, frames.

use std::hash::BuildHasher as _;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::PoisonError;

use bytes::Bytes;
use mio::Token;
use mio::net::TcpStream;
use tidings_hub::Input;
use tidings_hub::admission::spread;
use tidings_hub::ids::ConnectionId;
use tidings_wire::codes::{CloseCode, Outcome};
use tidings_wire::frame::{decode_client, encode_server};
use tidings_wire::limits::{FRAME_BYTES_MAX, LOGIN_FRAME_BYTES_MAX};
use tidings_wire::proto::{ClientFrame, Error, Refused, client_message, server_message};
use tidings_wire::ws::{Event, Kind, encode_pong};

use crate::connection::{
    Closing, Connection, FRESH_CONTROL_FRAMES_MAX, Fresh, Handover, Head, Stage, decoder, limits,
};
use crate::forwarded::forwarded;
use crate::head::{Refusal, Verdict, judge};
use crate::http::Visitor;
use crate::legacy::Legacy;
use crate::stream::Stream;
use crate::worker::Worker;

/// Connections accepted per turn.
const ACCEPTS_PER_TURN: usize = 64;

/// Reads of one connection per turn: what one client sends cannot hold up the others.
const READS_PER_CONNECTION: usize = 4;

/// Bytes read per turn, after which everything is written before more is read.
const BYTES_PER_TURN: usize = 1 << 20;

/// After a failure to accept, mostly for want of file descriptors, the next attempt waits this long.
const ACCEPT_RETRY_MS: u64 = 100;

/// RFC 6455, 7.4.1: a policy of ours was violated.
const POLICY_VIOLATION: u16 = 1008;

impl Worker {
    pub(crate) fn can_accept(&self, now_ms: u64) -> bool {
        self.is_open
            && self.has_unaccepted
            && self.listener.is_some()
            && now_ms >= self.accept_after_ms
    }

    pub(crate) fn accept(&mut self) {
        if !self.can_accept(self.now.mono_ms) {
            return;
        }
        for _ in 0..ACCEPTS_PER_TURN {
            let Some(listener) = &self.listener else {
                return;
            };
            match listener.accept() {
                Ok((tcp, address)) => self.welcome(tcp, address),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.has_unaccepted = false;
                    return;
                }
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::Interrupted | ErrorKind::ConnectionAborted
                    ) => {}
                Err(error) => {
                    tracing::warn!(hub = self.id.0, %error, "a connection could not be accepted");
                    self.accept_after_ms = self.now.mono_ms + ACCEPT_RETRY_MS;
                    return;
                }
            }
        }
    }

    fn welcome(&mut self, tcp: TcpStream, address: SocketAddr) {
        let admission = match self.node.gate.admit(address.ip(), self.now.mono_ms) {
            Ok(admission) => admission,
            Err(full) => {
                tracing::debug!(hub = self.id.0, ?full, "a connection was turned away");
                if self.node.tls.is_none() {
                    // A courtesy: the socket's buffer is empty, so it takes the answer or is broken.
                    let _ = io::Write::write(&mut &tcp, &Refusal::from(full).response());
                }
                return;
            }
        };
        // Without it the kernel would hold small frames back; it fails only on a broken socket.
        let _ = tcp.set_nodelay(true);
        let stream = match &self.node.tls {
            None => Stream::plain(tcp),
            Some(config) => match Stream::tls(tcp, config.clone()) {
                Ok(stream) => stream,
                Err(error) => {
                    tracing::warn!(hub = self.id.0, %error, "a TLS session could not begin");
                    return;
                }
            },
        };
        self.connections_made += 1;
        let id = ConnectionId(u64::from(self.id.0) << 48 | self.connections_made);
        let head = Head {
            bytes: Vec::new(),
            admission,
            due_ms: self.head_deadlines.start(self.now.mono_ms, id),
            is_handshaking: stream.is_handshaking(),
        };
        let is_handshaking = head.is_handshaking;
        let slot = self.connections.insert(Connection::new(id, stream, head));
        self.register(slot);
        if is_handshaking {
            self.bound_handshakes(id);
        }
    }

    /// Notes a TLS handshake that begins. A hub computes one at a time: what has a bound are those that wait for
    /// their client, of which the oldest is the least likely to end.
    fn bound_handshakes(&mut self, id: ConnectionId) {
        self.handshakes.push_back(id);
        if self.handshakes.len() <= self.node.limits.tls_handshakes_max {
            return;
        }
        let Self {
            handshakes,
            connections,
            ..
        } = self;
        handshakes.retain(|id| {
            let slot = connections.slot(*id);
            let connection = slot.and_then(|slot| connections.get(slot));
            connection.is_some_and(|connection| connection.stream.is_handshaking())
        });
        if handshakes.len() <= self.node.limits.tls_handshakes_max {
            return;
        }
        let oldest = handshakes.pop_front();
        if let Some(slot) = oldest.and_then(|id| self.connections.slot(id)) {
            tracing::debug!(hub = self.id.0, "the oldest TLS handshake was given up");
            self.lose(slot);
        }
    }

    /// Registers with the loop and has the connection read: what came before makes no event.
    fn register(&mut self, slot: usize) -> bool {
        let Some(connection) = self.connections.get(slot) else {
            return false;
        };
        if let Err(error) = connection
            .stream
            .register(self.poll.registry(), Token(slot))
        {
            tracing::warn!(hub = self.id.0, %error, "a connection could not be registered");
            self.lose(slot);
            return false;
        }
        self.connections.mark_readable(slot);
        true
    }

    /// Takes over a connection from another hub.
    pub(crate) fn take_over(&mut self, handover: Handover) {
        let Handover {
            connection,
            resume,
            opened_ms,
            rest,
        } = handover;
        let id = connection.id;
        let slot = self.connections.insert(connection);
        self.give(Input::HandedOver {
            connection: id,
            resume,
            opened_ms,
        });
        if !self.register(slot) {
            return;
        }
        self.connections.mark_dirty(slot);
        if !rest.is_empty() {
            // What was read and not decoded came from a buffer of the same size.
            self.buffer[..rest.len()].copy_from_slice(&rest);
            self.take_bytes(slot, rest.len());
        }
    }

    /// Reads the connections that are ready, up to the turn's bound.
    pub(crate) fn read(&mut self) {
        let mut left = BYTES_PER_TURN;
        self.take_intake(0);
        // Whoever is marked again meanwhile waits for the next turn.
        for _ in 0..self.connections.readable() {
            if left == 0 || self.node.intake.left() == 0 {
                break;
            }
            let Some(slot) = self.connections.next_readable() else {
                break;
            };
            let bytes = self.read_connection(slot);
            self.take_intake(bytes);
            left = left.saturating_sub(bytes);
        }
    }

    /// What was read, and what has become of it since.
    pub(crate) fn take_intake(&mut self, bytes: usize) {
        let queued = std::mem::take(&mut self.queued);
        self.node.intake.take(bytes, queued);
    }

    /// Reads one connection and says how many bytes there were.
    fn read_connection(&mut self, slot: usize) -> usize {
        let mut bytes = 0;
        for _ in 0..READS_PER_CONNECTION {
            let Some(connection) = self.connections.get(slot) else {
                return bytes;
            };
            if matches!(connection.stage, Stage::Leaving(_)) {
                return bytes;
            }
            match connection.stream.read(&mut self.buffer) {
                Ok(0) => {
                    self.lose(slot);
                    return bytes;
                }
                Ok(count) => {
                    // Less than asked for is all that there was; what comes later makes an event. An end that
                    // was announced before makes none, so that it has to be met by reading on. TLS keeps bytes
                    // of its own.
                    let is_all = count < self.buffer.len()
                        && !connection.flags.is_read_closed
                        && matches!(connection.stream, Stream::Plain(_));
                    bytes += count;
                    self.take_bytes(slot, count);
                    if is_all {
                        return bytes;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.note_handshake(slot);
                    return bytes;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    tracing::trace!(hub = self.id.0, %error, "a connection broke");
                    self.lose(slot);
                    return bytes;
                }
            }
        }
        self.connections.mark_readable(slot);
        bytes
    }

    /// Once its TLS handshake is done, a connection has the whole time for its request.
    fn note_handshake(&mut self, slot: usize) {
        let now_ms = self.now.mono_ms;
        let Some(connection) = self.connections.get(slot) else {
            return;
        };
        let is_handshaking = connection.stream.is_handshaking();
        let id = connection.id;
        let Stage::Head(head) = &mut connection.stage else {
            return;
        };
        if head.is_handshaking && !is_handshaking {
            head.is_handshaking = false;
            head.due_ms = self.head_deadlines.start(now_ms, id);
        }
        if is_handshaking {
            // What the handshake has to say may be waiting for the socket.
            self.connections.mark_dirty(slot);
        }
    }

    /// Takes the first `count` bytes of the buffer, which the connection has sent.
    fn take_bytes(&mut self, slot: usize, count: usize) {
        let Some(connection) = self.connections.get(slot) else {
            return;
        };
        match &mut connection.stage {
            Stage::Head(_) => self.take_head_bytes(slot, count),
            Stage::Fresh(_) | Stage::Serving => self.decode(slot, count),
            Stage::Leaving(leaving) => leaving.rest.extend_from_slice(&self.buffer[..count]),
            Stage::Closing(Closing::ClientClose) => self.await_close(slot, count),
            Stage::Closing(Closing::StreamEnd | Closing::Nothing) => {}
        }
    }

    fn take_head_bytes(&mut self, slot: usize, count: usize) {
        let Some(connection) = self.connections.get(slot) else {
            return;
        };
        let Stage::Head(head) = &mut connection.stage else {
            return;
        };
        head.bytes.extend_from_slice(&self.buffer[..count]);
        let verdict = judge(&head.bytes, &self.node.origins, self.id);
        if !matches!(verdict, Verdict::Incomplete | Verdict::Refuse(_))
            && let Some(gate) = head.admission.proxied_at()
            && let Some(address) = forwarded(&head.bytes, gate)
            && let Err(full) = head.admission.forwarded(address, self.now.mono_ms)
        {
            return self.refuse(slot, &full.into());
        }
        match verdict {
            Verdict::Incomplete => {}
            Verdict::Refuse(refusal) => self.refuse(slot, &refusal),
            Verdict::Http => self.send_to_http(slot),
            Verdict::Legacy {
                response,
                head_len,
                app,
            } => {
                // These clients open hundreds of connections in one login (signaling-wire 2.6).
                if let Err(full) = head.admission.count_as_legacy(self.now.mono_ms) {
                    return self.refuse(slot, &full.into());
                }
                let bytes = std::mem::take(&mut head.bytes);
                connection.legacy = Some(Legacy::open(self.now, connection.id, &app));
                self.open(slot, response, &bytes[head_len..]);
            }
            Verdict::Upgrade { response, head_len } => {
                let bytes = std::mem::take(&mut head.bytes);
                self.open(slot, response, &bytes[head_len..]);
            }
        }
    }

    /// Answers the handshake; `rest` is what the client has sent after it.
    fn open(&mut self, slot: usize, response: Bytes, rest: &[u8]) {
        let Some(connection) = self.connections.get(slot) else {
            return;
        };
        let id = connection.id;
        let closing = Stage::Closing(Closing::StreamEnd);
        let Stage::Head(head) = std::mem::replace(&mut connection.stage, closing) else {
            return;
        };
        let fresh = Fresh {
            admission: head.admission,
            control_frames: 0,
        };
        connection.stage = Stage::Fresh(Box::new(fresh));
        connection.outgoing.push(&response);
        self.connections.mark_dirty(slot);
        self.give(Input::Opened { connection: id });
        if !rest.is_empty() {
            self.buffer[..rest.len()].copy_from_slice(rest);
            self.take_bytes(slot, rest.len());
        }
    }

    /// Gives the connection to the HTTP thread.
    fn send_to_http(&mut self, slot: usize) {
        let Some(permit) = self.node.http.permit() else {
            return self.refuse(slot, &Refusal::HttpBusy);
        };
        let Some(mut connection) = self.connections.remove(slot) else {
            return;
        };
        // A connection that is not registered any more makes no event; it fails only on a broken socket.
        let _ = connection.stream.deregister(self.poll.registry());
        let Stage::Head(head) = connection.stage else {
            return;
        };
        let (tcp, tls) = connection.stream.into_parts();
        let Head {
            bytes, admission, ..
        } = *head;
        self.node.http.receive(Visitor {
            tcp: tcp.into(),
            tls,
            bytes,
            admission,
            permit,
        });
    }

    /// Gives the hub the frames in the first `count` bytes of the buffer.
    fn decode(&mut self, slot: usize, count: usize) {
        let Some(connection) = self.connections.get(slot) else {
            return;
        };
        let id = connection.id;
        // Both are put back below; meanwhile the connection cannot be read.
        let mut its_decoder =
            std::mem::replace(&mut connection.decoder, decoder(LOGIN_FRAME_BYTES_MAX));
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut is_heard = false;
        let mut events = its_decoder.decode(&mut buffer[..count]);
        loop {
            match events.next_event() {
                Ok(None) => break,
                Ok(Some(event)) => is_heard |= self.take_event(slot, id, event),
                Err(error) => {
                    tracing::debug!(hub = self.id.0, connection = id.0, %error, "not WebSocket");
                    self.fail(slot, error.close_code());
                }
            }
            let Some(connection) = self.connections.get(slot) else {
                break;
            };
            match &mut connection.stage {
                Stage::Leaving(leaving) => {
                    leaving.rest = events.rest().to_vec();
                    break;
                }
                Stage::Fresh(_) | Stage::Serving => {}
                Stage::Head(_) | Stage::Closing(_) => break,
            }
        }
        self.buffer = buffer;
        if !is_heard {
            self.give(Input::Heard { connection: id });
        }
        if let Some(connection) = self.connections.get(slot) {
            if matches!(connection.stage, Stage::Serving) {
                its_decoder.set_limits(limits(FRAME_BYTES_MAX));
            }
            connection.decoder = its_decoder;
        }
    }

    /// Takes one event; true when it was a frame, from which the hub learns by itself that the client is alive.
    fn take_event(&mut self, slot: usize, id: ConnectionId, event: Event<'_>) -> bool {
        match event {
            Event::Message {
                kind: Kind::Text,
                payload,
            } if self.is_legacy(slot) => {
                self.hear_legacy(slot, payload);
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
                let frame = decode_client(payload);
                if let Some(wait_ms) = frame.as_ref().ok().and_then(|frame| self.login_wait(frame))
                {
                    self.refuse_login(slot, id, wait_ms);
                    return true;
                }
                let input = match frame {
                    Ok(frame) => Input::Frame {
                        connection: id,
                        frame,
                    },
                    Err(error) => {
                        tracing::debug!(hub = self.id.0, connection = id.0, %error, "no frame");
                        Input::Malformed { connection: id }
                    }
                };
                self.give(input);
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

    /// When a login that a frame asks for is to come again, in milliseconds; `None` = it is taken, or there is none. Only
    /// the first message of a frame can be one.
    fn login_wait(&self, frame: &ClientFrame) -> Option<u64> {
        let first = frame
            .messages
            .first()
            .and_then(|message| message.kind.as_ref());
        match first {
            Some(client_message::Kind::Login(login)) => {
                self.take_login(&login.app_id, &login.user_id).err()
            }
            Some(client_message::Kind::Resume(_)) => {
                let now_ms = self.now.mono_ms;
                let admission = self.node.admission.lock();
                let mut admission = admission.unwrap_or_else(PoisonError::into_inner);
                admission.take_resume(now_ms);
                None
            }
            _ => None,
        }
    }

    /// Turns a login away before anything is done for it.
    fn refuse_login(&mut self, slot: usize, id: ConnectionId, wait_ms: u64) {
        let error = Error {
            outcome: Outcome::Overloaded as u32,
            text: format!("too many log in at once; try again in {wait_ms} ms"),
            retry_after_ms: u32::try_from(wait_ms).unwrap_or(u32::MAX),
        };
        let refused = server_message::Kind::Refused(Refused { error: Some(error) });
        self.queue(slot, &encode_server(refused));
        self.close_by(slot, CloseCode::Overloaded);
        self.give(Input::Closed { connection: id });
    }

    /// Takes a fresh login of the node's.
    ///
    /// # Errors
    /// It is one too many; the time after which it is to come again, in milliseconds.
    pub(crate) fn take_login(&self, app_id: &str, user_id: &str) -> Result<(), u64> {
        let who = self.node.names.hash_one((app_id, user_id));
        let admission = self.node.admission.lock();
        let mut admission = admission.unwrap_or_else(PoisonError::into_inner);
        let taken = admission.take_login(self.now.mono_ms, who);
        taken.map_err(|wait_ms| spread(wait_ms, getrandom::u64().unwrap_or(wait_ms)))
    }

    /// Counts a control frame of a connection without a session; false when it was one too many.
    fn bear_control_frame(&mut self, slot: usize) -> bool {
        let Some(connection) = self.connections.get(slot) else {
            return false;
        };
        if let Stage::Fresh(fresh) = &mut connection.stage {
            fresh.control_frames += 1;
            if fresh.control_frames > FRESH_CONTROL_FRAMES_MAX {
                self.fail(slot, POLICY_VIOLATION);
                return false;
            }
        }
        true
    }

    /// Looks for the client's close frame; nothing else of it counts any more.
    fn await_close(&mut self, slot: usize, count: usize) {
        let Some(connection) = self.connections.get(slot) else {
            return;
        };
        let mut events = connection.decoder.decode(&mut self.buffer[..count]);
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
