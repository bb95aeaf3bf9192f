//! The floor: the kernel's cost when a server does nothing but move frames.
//!
//! It speaks the plain protocol, trusts everybody, keeps no sessions and promises nothing.
//! `--frames-per-write 1` writes each frame to each member separately; a larger number collects
//! that many frames of a room before writing them.

use std::collections::HashMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;

use anyhow::{Context as _, Result};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use tidings_wire::ws::{
    Decoder, Event, Limits, Opcode, Role, check_request, encode_frame, response_bytes,
};

const LISTENER: Token = Token(usize::MAX);

/// Settings of the floor.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Settings {
    /// Address and port to listen on
    #[arg(long, default_value = "127.0.0.1:7500")]
    listen: SocketAddr,
    /// Frames of a room that are written together
    #[arg(long, default_value_t = 1)]
    frames_per_write: usize,
}

struct Peer {
    stream: TcpStream,
    /// `None` until the handshake is done.
    decoder: Option<Decoder>,
    head: Vec<u8>,
    /// What the kernel has not accepted.
    out: Vec<u8>,
}

#[derive(Default)]
struct Room {
    members: Vec<usize>,
    /// Frames that wait for others, and their number.
    frames: Vec<u8>,
    count: usize,
}

struct Floor {
    poll: Poll,
    peers: Vec<Option<Peer>>,
    rooms: HashMap<Vec<u8>, Room>,
    users: HashMap<Vec<u8>, usize>,
    frames_per_write: usize,
}

/// Serves until it is killed.
pub(crate) fn serve(settings: &Settings) -> Result<()> {
    let poll = Poll::new()?;
    let mut listener = TcpListener::bind(settings.listen)
        .with_context(|| format!("listening on {}", settings.listen))?;
    poll.registry()
        .register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("floor is ready: {}", listener.local_addr()?);
    let mut floor = Floor {
        poll,
        peers: Vec::new(),
        rooms: HashMap::new(),
        users: HashMap::new(),
        frames_per_write: settings.frames_per_write.max(1),
    };
    let mut events = Events::with_capacity(4096);
    let mut buffer = vec![0; 1 << 20];
    loop {
        match floor.poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            other => other?,
        }
        for event in &events {
            if event.token() == LISTENER {
                floor.accept(&listener)?;
                continue;
            }
            let number = event.token().0;
            if event.is_writable() {
                floor.flush(number);
            }
            if event.is_readable() {
                floor.read(number, &mut buffer);
            }
        }
    }
}

impl Floor {
    fn accept(&mut self, listener: &TcpListener) -> Result<()> {
        loop {
            let mut stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error).context("accepting a connection"),
            };
            stream.set_nodelay(true)?;
            let number = self.peers.len();
            self.poll.registry().register(
                &mut stream,
                Token(number),
                Interest::READABLE | Interest::WRITABLE,
            )?;
            self.peers.push(Some(Peer {
                stream,
                decoder: None,
                head: Vec::new(),
                out: Vec::new(),
            }));
        }
    }

    fn read(&mut self, number: usize, buffer: &mut [u8]) {
        loop {
            let Some(peer) = &mut self.peers[number] else {
                return;
            };
            let count = match peer.stream.read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) | Ok(0) => {
                    self.peers[number] = None;
                    for room in self.rooms.values_mut() {
                        room.members.retain(|member| *member != number);
                    }
                    return;
                }
                Ok(count) => count,
            };
            let Some(mut decoder) = peer.decoder.take() else {
                peer.greet(&buffer[..count]);
                self.flush(number);
                continue;
            };
            let mut events = decoder.decode(&mut buffer[..count]);
            while let Ok(Some(event)) = events.next_event() {
                if let Event::Message { payload, .. } = event {
                    self.command(number, payload);
                }
            }
            if let Some(peer) = &mut self.peers[number] {
                peer.decoder = Some(decoder);
            }
        }
    }

    fn command(&mut self, number: usize, text: &[u8]) {
        let (name, body) = match memchr::memchr(b' ', text) {
            Some(at) => (&text[1..at], &text[at + 1..]),
            None => (&text[1..], &b""[..]),
        };
        match text.first() {
            Some(b'L') => {
                self.users.insert(name.to_vec(), number);
                self.answer(number, b"l");
            }
            Some(b'S') => {
                self.rooms
                    .entry(name.to_vec())
                    .or_default()
                    .members
                    .push(number);
                self.answer(number, b"s");
            }
            Some(b'P') => self.publish(number, name, body),
            Some(b'M') => {
                if let Some(to) = self.users.get(name).copied() {
                    self.answer(to, body);
                }
            }
            _ => {}
        }
    }

    fn publish(&mut self, number: usize, name: &[u8], body: &[u8]) {
        let Some(room) = self.rooms.get_mut(name) else {
            return;
        };
        encode_frame(&mut room.frames, Opcode::Binary, body, None);
        room.count += 1;
        if room.count < self.frames_per_write {
            return;
        }
        room.count = 0;
        let frames = std::mem::take(&mut room.frames);
        let is_alone = self.frames_per_write == 1;
        for member in &room.members {
            // Collected frames come from several senders, who get their own back. A floor may do
            // that.
            if (*member != number || !is_alone)
                && let Some(peer) = &mut self.peers[*member]
            {
                peer.write(&frames);
            }
        }
    }

    fn answer(&mut self, number: usize, body: &[u8]) {
        let mut frame = Vec::with_capacity(body.len() + 4);
        encode_frame(&mut frame, Opcode::Binary, body, None);
        if let Some(peer) = &mut self.peers[number] {
            peer.write(&frame);
        }
    }

    fn flush(&mut self, number: usize) {
        if let Some(peer) = &mut self.peers[number] {
            let waiting = std::mem::take(&mut peer.out);
            peer.write(&waiting);
        }
    }
}

impl Peer {
    /// Answers the handshake once its head is complete. Clients of a floor send nothing before the
    /// answer.
    fn greet(&mut self, bytes: &[u8]) {
        self.head.extend_from_slice(bytes);
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut request = httparse::Request::new(&mut headers);
        if !request
            .parse(&self.head)
            .is_ok_and(|status| status.is_complete())
        {
            return;
        }
        let headers = request
            .headers
            .iter()
            .map(|header| (header.name, header.value));
        let method = request.method.unwrap_or_default();
        if let Ok(upgrade) = check_request(method, request.version.unwrap_or(0), headers) {
            let answer = response_bytes(upgrade.key, None);
            self.out.extend_from_slice(&answer);
            let limits = Limits {
                message_bytes_max: 1 << 20,
                fragments_max: 64,
            };
            self.decoder = Some(Decoder::new(Role::Server, limits));
        }
        self.head = Vec::new();
    }

    /// One write; what the kernel does not accept waits.
    fn write(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if !self.out.is_empty() {
            self.out.extend_from_slice(bytes);
            return;
        }
        let written = self.stream.write(bytes).unwrap_or(0);
        self.out.extend_from_slice(&bytes[written..]);
    }
}
