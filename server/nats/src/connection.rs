//! One node's way to a group of NATS servers, as a state machine.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;

use crate::credentials::Credentials;
use crate::decode::{Decoder, Item, PAYLOAD_BYTES_MAX};
use crate::encode::{self, Connect};
use crate::events::{Event, Gone, PublishError, Up};
use crate::info::Info;
use crate::options::{HANDSHAKE_WAIT_MS, Options, PING_INTERVAL_MS, PONG_WAIT_MS, Tls};
use crate::outbox::{Full, Outbox};
use crate::refusal::{Reason, Refusal, Verdict, verdict};
use crate::subject::SubjectError;

/// What a server says when nobody has subscribed to what a request was published to.
const NO_RESPONDERS: u16 = 503;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// There is no connection.
    Closed,
    /// The server is to say what it is.
    AwaitInfo {
        due_ms: u64,
    },
    /// The host does the TLS handshake.
    AwaitTls {
        due_ms: u64,
    },
    /// CONNECT and PING are sent.
    AwaitPong {
        due_ms: u64,
    },
    Up,
}

/// Whose a PING is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pinger {
    Machine,
    Host,
}

/// The client side of a NATS connection; it outlives its sockets.
///
/// The host opens a socket and calls [`opened`](Self::opened); gives what it reads to
/// [`receive`](Self::receive), writes [`output`](Self::output) and tells how much with
/// [`wrote`](Self::wrote); calls [`tick`](Self::tick) at the [`deadline`](Self::deadline); and
/// calls [`closed`](Self::closed) when the socket is gone, or closes it after [`Event::Refused`]
/// and [`Event::Gone`].
#[derive(Debug)]
pub struct Connection {
    options: Arc<Options>,
    state: State,
    tls: Tls,
    is_secure: bool,
    decoder: Decoder,
    outbox: Outbox,
    /// Publications that waited are let out with the next output, after the subscriptions that the
    /// host makes when it hears of [`Event::Up`].
    opens_outbox: bool,
    /// When they are let out that the host has asked to hold.
    held_until_ms: Option<u64>,
    info: Info,
    /// PINGs without their PONG. Bound: what the host asks for in [`PONG_WAIT_MS`].
    pings: VecDeque<Pinger>,
    next_ping_ms: u64,
    /// When the server last showed that it lives: by bytes of its own, or by taking some while
    /// they are in the way of a PING.
    alive_ms: u64,
}

impl Connection {
    /// Without a connection yet.
    pub fn new(options: Arc<Options>) -> Self {
        Self {
            options,
            state: State::Closed,
            tls: Tls::IfRequired,
            is_secure: false,
            decoder: Decoder::default(),
            outbox: Outbox::default(),
            opens_outbox: false,
            held_until_ms: None,
            info: Info::default(),
            pings: VecDeque::new(),
            next_ping_ms: 0,
            alive_ms: 0,
        }
    }

    // ------------------------------------------------------------ the socket

    /// A socket is open; with [`Tls::First`], TLS is spoken on it already.
    pub fn opened(&mut self, now_ms: u64, tls: Tls) {
        self.closed();
        self.tls = tls;
        self.is_secure = tls == Tls::First;
        self.alive_ms = now_ms;
        let due_ms = now_ms + HANDSHAKE_WAIT_MS;
        self.state = State::AwaitInfo { due_ms };
    }

    /// TLS is spoken, as [`Event::StartTls`] has asked for.
    pub fn secured(&mut self, now_ms: u64) {
        if let State::AwaitTls { due_ms } = self.state {
            self.is_secure = true;
            self.alive_ms = now_ms;
            self.introduce(due_ms);
        }
    }

    /// The socket is gone. What it has not taken whole waits for the next, but for what was
    /// between this client and that server.
    pub fn closed(&mut self) {
        self.state = State::Closed;
        self.decoder = Decoder::default();
        self.outbox.close();
        self.opens_outbox = false;
        self.held_until_ms = None;
        self.pings.clear();
    }

    /// Takes what was read from the socket, or from TLS once that is spoken.
    pub fn receive(&mut self, now_ms: u64, bytes: &[u8], events: &mut impl FnMut(Event)) {
        self.alive_ms = self.alive_ms.max(now_ms);
        let mut rest = bytes;
        while self.state != State::Closed {
            if matches!(self.state, State::AwaitTls { .. }) {
                // What comes in clear must not pass for something that was said over TLS.
                if !rest.is_empty() {
                    self.end(Gone::ClearText, events);
                }
                return;
            }
            match self.decoder.next(&mut rest) {
                Ok(Some(item)) => self.take(now_ms, item, events),
                Ok(None) => return,
                Err(error) => return self.end(Gone::Protocol(error), events),
            }
        }
    }

    /// The host does not read for now, so that it hears nothing of a server that lives.
    pub fn paused(&mut self, now_ms: u64) {
        self.alive_ms = self.alive_ms.max(now_ms);
    }

    /// What is to be written now.
    pub fn output(&mut self) -> &[u8] {
        if self.opens_outbox {
            self.opens_outbox = false;
            self.outbox.open();
        }
        self.outbox.output()
    }

    /// So much of the output has been written.
    ///
    /// # Panics
    /// If that is more than there was.
    pub fn wrote(&mut self, now_ms: u64, count: usize) {
        if count > 0 && self.outbox.has_control() {
            self.alive_ms = self.alive_ms.max(now_ms);
        }
        self.outbox.wrote(count);
    }

    /// Holds publications, those that waited and later ones, until this time; subscriptions are not
    /// held. Called at [`Event::Up`] when others may not have subscribed again yet either.
    pub fn hold(&mut self, until_ms: u64) {
        if self.opens_outbox {
            self.opens_outbox = false;
            self.held_until_ms = Some(until_ms);
        }
    }

    /// Does what is due.
    pub fn tick(&mut self, now_ms: u64, events: &mut impl FnMut(Event)) {
        if self
            .held_until_ms
            .is_some_and(|until_ms| now_ms >= until_ms)
        {
            self.held_until_ms = None;
            self.opens_outbox = true;
        }
        match self.state {
            State::AwaitInfo { due_ms } if now_ms >= due_ms => {
                self.end(Gone::Handshake("say what it is"), events);
            }
            State::AwaitTls { due_ms } if now_ms >= due_ms => {
                self.end(Gone::Handshake("complete the TLS handshake"), events);
            }
            State::AwaitPong { due_ms } if now_ms >= due_ms => {
                self.end(Gone::Handshake("accept the connection"), events);
            }
            State::Up if !self.pings.is_empty() && now_ms >= self.silent_ms() => {
                let silence_ms = now_ms - self.alive_ms;
                self.end(Gone::Silent(silence_ms), events);
            }
            State::Up if now_ms >= self.next_ping_ms => {
                self.next_ping_ms = now_ms + PING_INTERVAL_MS;
                if !self.pings.contains(&Pinger::Machine) {
                    self.send_ping(now_ms, Pinger::Machine);
                }
            }
            _ => {}
        }
    }

    /// When [`tick`](Self::tick) has something to do at the latest, in the host's milliseconds.
    pub fn deadline(&self) -> Option<u64> {
        match self.state {
            State::Closed => None,
            State::AwaitInfo { due_ms }
            | State::AwaitTls { due_ms }
            | State::AwaitPong { due_ms } => Some(due_ms),
            State::Up => {
                let silent_ms = (!self.pings.is_empty()).then(|| self.silent_ms());
                let due = [Some(self.next_ping_ms), silent_ms, self.held_until_ms];
                due.into_iter().flatten().min()
            }
        }
    }

    // ------------------------------------------------------------ operations

    /// Whether everything may be sent.
    pub fn is_up(&self) -> bool {
        self.state == State::Up
    }

    /// Whether the server has not said yet what it is.
    pub fn awaits_info(&self) -> bool {
        matches!(self.state, State::AwaitInfo { .. })
    }

    /// What the server says of itself, once it has.
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// Bytes of publications that wait to be written.
    pub fn queued(&self) -> usize {
        self.outbox.queued()
    }

    /// Subscribes on this connection; without one, it does nothing.
    ///
    /// # Errors
    /// The filter is no subject.
    pub fn subscribe(&mut self, sid: u64, filter: &str) -> Result<(), SubjectError> {
        if !self.is_up() {
            return crate::subject::check_filter(filter);
        }
        self.outbox
            .push_control(|out| encode::subscribe(out, sid, filter))
    }

    /// Ends a subscription on this connection; without one, it does nothing.
    pub fn unsubscribe(&mut self, sid: u64) {
        if self.is_up() {
            self.push(|out| encode::unsubscribe(out, sid));
        }
    }

    /// Asks for [`Event::Pong`]: then everything before it has been done by the server. Without a
    /// connection it does nothing.
    pub fn ping(&mut self, now_ms: u64) {
        if self.is_up() {
            self.send_ping(now_ms, Pinger::Host);
        }
    }

    /// Publishes, now or when there is a connection. With `reply`, an answer is wanted there, and
    /// what has waited too long for a connection is not sent.
    ///
    /// # Errors
    /// [`PublishError`]; the connection goes on.
    pub fn publish(
        &mut self,
        now_ms: u64,
        subject: &str,
        reply: Option<&str>,
        payload: &[u8],
    ) -> Result<(), PublishError> {
        let (bytes, max) = (payload.len(), self.payload_max());
        if bytes > max {
            return Err(PublishError::TooLarge { bytes, max });
        }
        if !self.outbox.has_room(bytes) {
            return Err(Full.into());
        }
        let asked_ms = reply.map(|_| now_ms);
        self.outbox.push_publication(bytes, asked_ms, |out| {
            encode::publish(out, subject, reply, payload)
        })?;
        Ok(())
    }

    /// The largest payload that may be published, in bytes.
    pub fn payload_max(&self) -> usize {
        if self.is_up() {
            self.info.max_payload.min(PAYLOAD_BYTES_MAX)
        } else {
            PAYLOAD_BYTES_MAX
        }
    }

    // ------------------------------------------------------------ what a server says

    fn take(&mut self, now_ms: u64, item: Item, events: &mut impl FnMut(Event)) {
        match (self.state, item) {
            (_, Item::Error(words)) => self.take_error(words, events),
            (State::AwaitInfo { due_ms }, Item::Info(info)) => self.greet(due_ms, *info, events),
            (State::AwaitInfo { .. }, _) => self.end(Gone::Early("something else"), events),
            (_, Item::Info(info)) => self.take_news(*info, events),
            (_, Item::Ping) => self.push(encode::pong),
            (_, Item::Ok) => {}
            (State::AwaitPong { .. }, Item::Pong) => self.begin(now_ms, events),
            (State::Up, Item::Pong) => {
                // A PONG that nobody waits for means nothing.
                if self.pings.pop_front() == Some(Pinger::Host) {
                    events(Event::Pong);
                }
            }
            (State::Up, Item::Message(message)) => {
                if message.status == Some(NO_RESPONDERS) && message.payload.is_empty() {
                    let subject = message.subject;
                    events(Event::NoResponders { subject });
                } else {
                    events(Event::Message(message));
                }
            }
            (State::Up, Item::TooLarge { sid, bytes }) => events(Event::TooLarge { sid, bytes }),
            (_, Item::Pong) => self.end(Gone::Early("a PONG"), events),
            (_, Item::Message(_) | Item::TooLarge { .. }) => {
                self.end(Gone::Early("a message"), events);
            }
        }
    }

    /// The first INFO.
    fn greet(&mut self, due_ms: u64, info: Info, events: &mut impl FnMut(Event)) {
        self.info = info;
        let info = &self.info;
        let has_tls = info.tls_required || info.tls_available;
        let refused = if !info.headers {
            Some(Reason::NoHeaders)
        } else if self.tls == Tls::AfterInfo && !has_tls {
            Some(Reason::NoTls)
        } else if self.options.credentials.signs() && info.nonce.is_none() {
            Some(Reason::NoNonce)
        } else {
            None
        };
        if let Some(reason) = refused {
            return self.refuse(reason, String::new(), events);
        }
        let wants_tls = match self.tls {
            Tls::IfRequired => info.tls_required,
            Tls::AfterInfo => true,
            Tls::First => false,
        };
        if wants_tls {
            self.state = State::AwaitTls { due_ms };
            return events(Event::StartTls);
        }
        self.introduce(due_ms);
    }

    /// Says who we are.
    fn introduce(&mut self, due_ms: u64) {
        let options = self.options.clone();
        let nonce = self.info.nonce.as_deref().unwrap_or_default();
        let signature = options.credentials.sign(nonce);
        let mut hello = Connect {
            name: &options.name,
            version: &options.version,
            tls_required: self.is_secure,
            sig: signature.as_deref(),
            ..Connect::default()
        };
        let public;
        match &options.credentials {
            Credentials::None => {}
            Credentials::Password { user, password } => {
                hello.user = Some(user);
                hello.pass = Some(password);
            }
            Credentials::Token(token) => hello.auth_token = Some(token),
            Credentials::Nkey(key) => {
                public = key.public_key();
                hello.nkey = Some(&public);
            }
            Credentials::Jwt { jwt, .. } => hello.jwt = Some(jwt),
        }
        self.push(|out| {
            encode::connect(out, &hello);
            encode::ping(out);
        });
        self.state = State::AwaitPong { due_ms };
    }

    /// The first PONG: the server has accepted us.
    fn begin(&mut self, now_ms: u64, events: &mut impl FnMut(Event)) {
        self.state = State::Up;
        self.next_ping_ms = now_ms + PING_INTERVAL_MS;
        let payload_max = self.payload_max();
        self.decoder.set_payload_max(self.info.max_payload);
        let dropped = self.outbox.forget_unsendable(now_ms, payload_max);
        self.opens_outbox = true;
        events(Event::Up(Box::new(Up {
            payload_max,
            dropped,
            info: self.info.clone(),
        })));
    }

    /// A later INFO: servers have come or gone.
    fn take_news(&mut self, info: Info, events: &mut impl FnMut(Event)) {
        // A server that tells nothing of others has not lost them.
        let is_new = !info.connect_urls.is_empty() && info.connect_urls != self.info.connect_urls;
        self.info = info;
        self.decoder.set_payload_max(self.info.max_payload);
        if is_new && self.is_up() {
            events(Event::Servers(self.info.connect_urls.clone()));
        }
    }

    fn take_error(&mut self, words: String, events: &mut impl FnMut(Event)) {
        match verdict(&words) {
            Verdict::Refused(reason) => self.refuse(reason, words, events),
            Verdict::Complaint if self.is_up() => events(Event::Complaint(words)),
            Verdict::Complaint | Verdict::Ended => self.end(Gone::Server(words), events),
        }
    }

    // ------------------------------------------------------------ small parts

    fn refuse(&mut self, reason: Reason, words: String, events: &mut impl FnMut(Event)) {
        self.closed();
        events(Event::Refused(Refusal {
            reason,
            shown: self.options.credentials.kind(),
            words,
        }));
    }

    fn end(&mut self, why: Gone, events: &mut impl FnMut(Event)) {
        self.closed();
        events(Event::Gone(why));
    }

    fn send_ping(&mut self, now_ms: u64, pinger: Pinger) {
        if self.pings.is_empty() {
            self.alive_ms = now_ms;
        }
        self.push(encode::ping);
        self.pings.push_back(pinger);
    }

    fn push(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let pushed = self.outbox.push_control(|out| {
            write(out);
            Ok::<_, Infallible>(())
        });
        let Ok(()) = pushed;
    }

    fn silent_ms(&self) -> u64 {
        self.alive_ms + PONG_WAIT_MS
    }
}
