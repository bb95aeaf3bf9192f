//! Arrivals: connections, TLS handshakes, request heads.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use bytes::Bytes;
use mio::Token;
use mio::net::TcpStream;
use tidings_hub::Input;
use tidings_hub::ids::ConnectionId;
use tidings_wire::limits::REQUEST_HEAD_BYTES_MAX;

use crate::connection::{
    Closing, Connection, Fresh, Handover, Head, ProxyLine, Returned, Stage, Unread,
};
use crate::forwarded::forwarded;
use crate::gate::{Full, GivenUp, Owner};
use crate::head::{Refusal, Verdict, judge};
use crate::http::Visitor;
use crate::lanes::LaneId;
use crate::mailbox::Envelope;
use crate::origins::{Origins, StatedPage};
use crate::proxy_line::{self, Beginning};
use crate::stream::Stream;
use crate::worker::Worker;

/// Connections accepted per turn.
const ACCEPTS_PER_TURN: usize = 64;

/// The same when anybody is logged in: accepting 64 takes a millisecond.
const ACCEPTS_PER_SHARED_TURN: usize = 8;

/// Time of a turn for strangers when anybody is logged in, in microseconds: the longest that
/// logged-in clients wait for them, and a bound on errors in the estimates of work.
pub(crate) const STRANGERS_US: u64 = 500;

/// The work of accepting a connection, in small messages.
const WORK_PER_ACCEPT: usize = 8;

/// The work of a request head, in small messages.
const WORK_PER_HEAD: usize = 64;

/// Wait before the next attempt after accept has failed, usually for lack of file descriptors.
const ACCEPT_RETRY_MS: u64 = 100;

/// Most connections that are being refused unless they ask for the server's health; with one more,
/// the oldest is dropped.
const PROBES_MAX: usize = 64;

impl Worker {
    pub(crate) fn can_accept(&self, now_ms: u64) -> bool {
        let has_some = self.door.has_unaccepted && self.door.listener.is_some();
        self.door.is_open && has_some && now_ms >= self.door.accept_after_ms
    }

    /// Starts a turn and its time for strangers.
    pub(crate) fn begin_strangers(&mut self) {
        let has_apps = self.connections.lanes.has_apps();
        self.door.strangers_until =
            has_apps.then(|| Instant::now() + Duration::from_micros(STRANGERS_US));
    }

    /// Whether strangers have used up their time of the turn.
    pub(crate) fn strangers_are_late(&self) -> bool {
        self.door
            .strangers_until
            .is_some_and(|until| Instant::now() >= until)
    }

    /// Accepts new connections, and takes back those from the HTTP thread.
    pub(crate) fn accept(&mut self) {
        let most = if self.connections.lanes.has_apps() {
            ACCEPTS_PER_SHARED_TURN
        } else {
            ACCEPTS_PER_TURN
        };
        for _ in 0..most {
            let Some(returned) = self.door.returned.pop_front() else {
                break;
            };
            self.take_back(returned);
        }
        if self.can_accept(self.now.mono_ms) {
            self.accept_new(most);
        }
    }

    fn accept_new(&mut self, most: usize) {
        for _ in 0..most {
            let Some(listener) = &self.door.listener else {
                return;
            };
            match listener.accept() {
                Ok((tcp, address)) => {
                    self.connections.charge(LaneId::STRANGERS, WORK_PER_ACCEPT);
                    self.welcome(tcp, address);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.door.has_unaccepted = false;
                    return;
                }
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::Interrupted | ErrorKind::ConnectionAborted
                    ) => {}
                Err(error) => {
                    tracing::warn!(hub = self.id.hub, %error, "a connection could not be accepted");
                    self.door.accept_after_ms = self.now.mono_ms + ACCEPT_RETRY_MS;
                    return;
                }
            }
        }
    }

    fn welcome(&mut self, tcp: TcpStream, address: SocketAddr) {
        self.door.connections_made += 1;
        let id = ConnectionId(u64::from(self.id.hub) << 48 | self.door.connections_made);
        let owner = Owner {
            hub: self.id,
            connection: id,
        };
        let now_ms = self.now.mono_ms;
        let (stranger, turned_away) = match self.node.gate.admit(owner, address.ip(), now_ms) {
            Ok((stranger, given_up)) => {
                self.give_up(given_up);
                (Some(stranger), None)
            }
            Err(full) => {
                self.security.turned_away(address.ip(), full);
                if self.node.tls.is_some() {
                    // Refusing it with a reason would require accepting it.
                    return;
                }
                (None, Some(full))
            }
        };
        let stream = match &self.node.tls {
            None => Stream::plain(tcp),
            Some(config) => match Stream::tls(tcp, config.clone()) {
                Ok(stream) => stream,
                Err(error) => {
                    tracing::warn!(hub = self.id.hub, %error, "a TLS session could not begin");
                    return;
                }
            },
        };
        let head = Head {
            bytes: Vec::new(),
            proxy_line: ProxyLine::Awaited,
            turned_away,
            due_ms: self.door.head_deadlines.start(now_ms, id),
            is_handshaking: stream.is_handshaking(),
        };
        let is_handshaking = head.is_handshaking;
        let slot = self
            .connections
            .insert(Connection::new(id, stream, head, stranger));
        // Its request has usually arrived already. It is registered only after a read: a connection
        // that is answered after the first read, as refused ones are, never needs that.
        self.connections.mark_readable(slot);
        if is_handshaking {
            self.bound_handshakes(id);
        }
        if turned_away.is_some() {
            self.bound_probes(id);
        }
    }

    /// A refused client may still ask for the server's health, if it does so at once.
    fn bound_probes(&mut self, id: ConnectionId) {
        self.door.probes.push_back(id);
        if self.door.probes.len() > PROBES_MAX
            && let Some(oldest) = self.door.probes.pop_front()
            && let Some(slot) = self.connections.slot(oldest)
        {
            self.lose(slot);
        }
    }

    /// Closes connections, here or on other hubs, whose slots newer ones have taken.
    pub(crate) fn give_up(&mut self, given_up: GivenUp) {
        for Owner { hub, connection } in given_up {
            if hub == self.id {
                self.lose_stranger(connection);
            } else {
                self.mail.outboxes[hub.index()].push(Envelope::GiveUp(connection));
            }
        }
    }

    /// Drops a connection whose slot a newer one has taken. One that has logged in since, or is
    /// about to, is kept: it is not a stranger, or only for another moment.
    pub(crate) fn lose_stranger(&mut self, id: ConnectionId) {
        let Some(slot) = self.connections.slot(id) else {
            return;
        };
        let Some(connection) = self.connections.get(slot) else {
            return;
        };
        if !connection.is_stranger() || self.cell.hub().is_logging_in(id) {
            return;
        }
        self.security.given_up(connection);
        self.lose(slot);
    }

    /// Notes the start of a TLS handshake. A hub computes one at a time: the bound is on those that
    /// wait for their client, of which the oldest is the least likely to finish.
    fn bound_handshakes(&mut self, id: ConnectionId) {
        self.door.handshakes.push_back(id);
        if self.door.handshakes.len() <= self.node.limits.tls_handshakes_max {
            return;
        }
        let (handshakes, connections) = (&mut self.door.handshakes, &mut self.connections);
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
            tracing::debug!(hub = self.id.hub, "the oldest TLS handshake was given up");
            self.lose(slot);
        }
    }

    /// Registers a connection with the loop that still has to be read. Anything that arrived before
    /// causes an event.
    pub(crate) fn register(&mut self, slot: usize) {
        let Some(connection) = self.connections.get(slot) else {
            return;
        };
        if connection.flags.is_registered || connection.flags.is_heard_out {
            return;
        }
        connection.flags.is_registered = true;
        if let Err(error) = connection
            .stream
            .register(self.poll.registry(), Token(slot))
        {
            tracing::warn!(hub = self.id.hub, %error, "a connection could not be registered");
            self.lose(slot);
        }
    }

    /// Takes over a connection from another hub.
    pub(crate) fn take_over(&mut self, handover: Handover) {
        let Handover {
            connection,
            wish,
            opened_ms,
            rest,
        } = handover;
        let id = connection.id;
        let slot = self.connections.insert(connection);
        self.give(Input::HandedOver {
            connection: id,
            wish,
            opened_ms,
        });
        self.register(slot);
        self.connections.mark_readable(slot);
        self.connections.mark_dirty(slot);
        if !rest.is_empty()
            && let Some(connection) = self.connections.get(slot)
        {
            connection.extra().unread = Unread::new(&rest);
        }
        if self.door.is_isolated {
            self.send_elsewhere(id);
        }
    }

    /// Once its TLS handshake is complete, a connection has the full time for its request.
    pub(crate) fn note_handshake(&mut self, slot: usize) {
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
            head.due_ms = self.door.head_deadlines.start(now_ms, id);
        }
        if is_handshaking {
            // Output of the handshake may be waiting for the socket.
            self.connections.mark_dirty(slot);
        }
    }

    pub(crate) fn take_head_bytes(&mut self, slot: usize, count: usize) {
        let Some(connection) = self.connections.get(slot) else {
            return;
        };
        let Stage::Head(head) = &mut connection.stage else {
            return;
        };
        let mut had = head.bytes.len();
        head.bytes.extend_from_slice(&self.reading.buffer[..count]);
        if head.proxy_line == ProxyLine::Awaited && !connection.stream.speaks_http2() {
            match proxy_line::look_at(&head.bytes) {
                Beginning::Other => {}
                Beginning::Incomplete => return,
                Beginning::Line(length, source) => {
                    head.proxy_line = ProxyLine::Taken(source);
                    head.bytes.drain(..length);
                    had = 0;
                }
            }
        }
        if connection.stream.speaks_http2() {
            let bytes = self.take_head(slot);
            return self.send_to_http(slot, bytes);
        }
        if is_worth_a_look(&head.bytes, had) {
            self.judge_head(slot);
        }
    }

    /// Does what a request's head asks for, once it is complete.
    fn judge_head(&mut self, slot: usize) {
        let Some(connection) = self.connections.get(slot) else {
            return;
        };
        let Stage::Head(head) = &mut connection.stage else {
            return;
        };
        // An app's own list of origins applies instead, and is checked at the login.
        let origins = if self.door.has_page_rules {
            &Origins::Any
        } else {
            &self.node.origins
        };
        self.reading.work += WORK_PER_HEAD;
        let named = self.node.names_hubs.then_some(self.id);
        let verdict = judge(&head.bytes, origins, named);
        connection.flags.is_heard_out = !matches!(verdict, Verdict::Incomplete)
            && connection.flags.is_drained
            && connection.stream.is_plain()
            && is_whole(&head.bytes);
        match verdict {
            Verdict::Incomplete => return,
            Verdict::Health(check) => {
                let answer = check.response(&self.node.readiness);
                return self.begin_closing(slot, Closing::StreamEnd, &answer);
            }
            _ => {}
        }
        if let Some(full) = head.turned_away {
            return self.refuse(slot, &full.into());
        }
        if self.door.is_isolated {
            return self.refuse(slot, &Refusal::Isolated);
        }
        if let Verdict::Refuse(refusal) = verdict {
            return self.refuse(slot, &refusal);
        }
        let (stated, bytes) = (self.stated_source(slot), self.take_head(slot));
        if let Some(address) = stated
            && let Err(full) = self.count_for(slot, address)
        {
            return self.refuse(slot, &full.into());
        }
        match verdict {
            Verdict::Incomplete | Verdict::Health(_) | Verdict::Refuse(_) => {}
            Verdict::Http => self.send_to_http(slot, bytes),
            Verdict::Legacy {
                response,
                head_len,
                app,
                page,
            } => {
                self.note_page(slot, page);
                self.open_legacy(slot, (response, &app), &bytes[head_len..])
            }
            Verdict::Upgrade {
                response,
                head_len,
                page,
            } => {
                self.note_page(slot, page);
                self.open(slot, response, &bytes[head_len..])
            }
        }
    }

    /// Counts a connection for the address that a trusted proxy states, instead of the proxy's own.
    ///
    /// # Errors
    /// If that address has no slot left.
    fn count_for(&mut self, slot: usize, address: IpAddr) -> Result<(), Full> {
        let now_ms = self.now.mono_ms;
        let stranger = self
            .connections
            .get(slot)
            .and_then(Connection::stranger_mut);
        match stranger.map(|stranger| stranger.forwarded(address, now_ms)) {
            Some(Err(full)) => {
                self.security.turned_away(address, full);
                return Err(full);
            }
            Some(Ok(given_up)) => self.give_up(given_up),
            None => {}
        }
        if let Some(connection) = self.connections.get(slot) {
            connection.extra().forwarded = Some(address);
        }
        Ok(())
    }

    fn note_page(&mut self, slot: usize, page: Option<StatedPage>) {
        if let (Some(connection), Some(page)) = (self.connections.get(slot), page) {
            connection.extra().page = Some(Box::new(page));
        }
    }

    /// The address that a trusted proxy states in a complete request.
    fn stated_source(&mut self, slot: usize) -> Option<IpAddr> {
        let connection = self.connections.get(slot)?;
        let gate = connection.stranger()?.proxied_at()?;
        let Stage::Head(head) = &connection.stage else {
            return None;
        };
        match head.proxy_line {
            ProxyLine::Awaited | ProxyLine::Past => forwarded(&head.bytes, gate),
            // A proxy that forwards bytes has not checked the header, unless there is another proxy
            // behind it.
            ProxyLine::Taken(Some(source)) if gate.trusts(source) => {
                forwarded(&head.bytes, gate).or(Some(source))
            }
            ProxyLine::Taken(source) => source,
        }
    }

    /// Takes the bytes of a complete head.
    fn take_head(&mut self, slot: usize) -> Vec<u8> {
        match self.connections.get(slot).map(|it| &mut it.stage) {
            Some(Stage::Head(head)) => std::mem::take(&mut head.bytes),
            _ => Vec::new(),
        }
    }

    fn open_legacy(&mut self, slot: usize, (response, app): (Bytes, &str), rest: &[u8]) {
        let now = self.now;
        let Some(connection) = self.connections.get(slot) else {
            return;
        };
        let id = connection.id;
        if !self.node.legacy.is_open() {
            return self.refuse(slot, &Refusal::LegacyOff);
        }
        let Some(connection) = self.connections.get(slot) else {
            return;
        };
        // These clients open hundreds of connections for one login (signaling 2.6).
        if let Some(stranger) = connection.stranger_mut()
            && let Err(full) = stranger.count_as_legacy(now.mono_ms)
        {
            return self.refuse(slot, &full.into());
        }
        connection.flags.is_legacy = true;
        // The word is only checked against its own connection, so a predictable one does no harm.
        let random = getrandom::u64().unwrap_or(id.0);
        tidings_cell::open_legacy(self, id, app, random);
        self.open(slot, response, rest);
    }

    /// Answers the handshake; `rest` is what the client has sent after it.
    fn open(&mut self, slot: usize, response: Bytes, rest: &[u8]) {
        let Some(connection) = self.connections.get(slot) else {
            return;
        };
        let id = connection.id;
        connection.stage = Stage::Fresh(Fresh::default());
        connection.flags.is_heard_out = false;
        connection.outgoing.push(&response);
        if !rest.is_empty() {
            connection.extra().unread = Unread::new(rest);
            self.connections.mark_readable(slot);
        }
        self.connections.mark_dirty(slot);
        self.give(Input::Opened { connection: id });
    }

    /// Gives the connection to the HTTP thread, where it has a slot of its own.
    fn send_to_http(&mut self, slot: usize, bytes: Vec<u8>) {
        let now_ms = self.now.mono_ms;
        let stranger = self.connections.get(slot);
        let stranger = stranger.and_then(Connection::stranger_mut);
        if let Some(Err(full)) = stranger.map(|stranger| stranger.count_as_visit(now_ms)) {
            return self.refuse(slot, &full.into());
        }
        let node = self.node.clone();
        let Some(place) = node.http.place() else {
            return self.refuse(slot, &Refusal::HttpBusy);
        };
        let Some(mut connection) = self.connections.remove(slot) else {
            return;
        };
        if connection.flags.is_registered {
            // It must not cause more events here; this fails only on a broken socket.
            let _ = connection.stream.deregister(self.poll.registry());
        }
        let Some(stranger) = connection.extra.take().and_then(|extra| extra.stranger) else {
            return;
        };
        let (tcp, tls) = connection.stream.into_parts();
        place.send(Visitor {
            tcp: tcp.into(),
            tls,
            bytes,
            stranger,
            home: self.mail.peers[self.id.index()].clone(),
        });
    }

    /// Takes back a connection from the HTTP thread, with a request for a hub.
    pub(crate) fn take_back(&mut self, returned: Returned) {
        let Returned {
            tcp,
            tls,
            bytes,
            mut stranger,
        } = returned;
        self.door.connections_made += 1;
        let id = ConnectionId(u64::from(self.id.hub) << 48 | self.door.connections_made);
        let owner = Owner {
            hub: self.id,
            connection: id,
        };
        let now_ms = self.now.mono_ms;
        let turned_away = match stranger.count_as_stranger(owner, now_ms) {
            Ok(given_up) => {
                self.give_up(given_up);
                None
            }
            Err(full) => {
                self.security.turned_away(stranger.address(), full);
                Some(full)
            }
        };
        let stream = Stream::returned(TcpStream::from_std(tcp), tls);
        let head = Head {
            bytes,
            proxy_line: ProxyLine::Past,
            turned_away,
            due_ms: self.door.head_deadlines.start(now_ms, id),
            is_handshaking: false,
        };
        let connection = Connection::new(id, stream, head, Some(stranger));
        let slot = self.connections.insert(connection);
        self.register(slot);
        self.connections.mark_readable(slot);
        if self.door.listener.is_some() {
            self.judge_head(slot)
        } else {
            self.refuse(slot, &Refusal::Draining)
        }
    }
}

/// Whether this is exactly one request, of a kind without a body.
fn is_whole(bytes: &[u8]) -> bool {
    let ends = |line: &[u8]| line.is_empty() || line == b"\r";
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let is_get = lines
        .next()
        .is_some_and(|line| line.starts_with(b"GET ") || line.starts_with(b"HEAD "));
    let names_body = |line: &[u8]| {
        let begins = |name: &[u8]| {
            line.get(..name.len())
                .is_some_and(|begin| begin.eq_ignore_ascii_case(name))
        };
        begins(b"content-length") || begins(b"transfer-encoding")
    };
    is_get
        && lines
            .by_ref()
            .find(|line| ends(line) || names_body(line))
            .is_some_and(ends)
        && lines.next().is_some_and(<[u8]>::is_empty)
        && lines.next().is_none()
}

/// Whether a head, of which this many bytes had arrived before the last read, may now be complete
/// or known to be invalid: a head that arrives byte by byte is not parsed at each of them.
fn is_worth_a_look(bytes: &[u8], had: usize) -> bool {
    let tail = &bytes[had.saturating_sub(3)..];
    had == 0
        || bytes.len() > REQUEST_HEAD_BYTES_MAX
        || tail
            .windows(2)
            .any(|pair| pair == b"\n\r" || pair == b"\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_whole_when_nothing_can_stand_behind_it() {
        for whole in [
            "GET / HTTP/1.1\r\n\r\n",
            "HEAD /healthz HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\nHost: a\n\n",
        ] {
            assert!(is_whole(whole.as_bytes()), "{whole:?}");
        }
        for other in [
            "",
            "GET / HTTP/1.1\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n",
            "POST / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\ncontent-LENGTH: 1\r\n\r\n",
            "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n\n",
        ] {
            assert!(!is_whole(other.as_bytes()), "{other:?}");
        }
    }
}
