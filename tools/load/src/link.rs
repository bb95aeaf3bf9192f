//! One client connection: the handshake, frames in, frames out.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use mio::{Interest, Registry, Token};
use socket2::{Domain, Protocol, Socket, Type};
use tidings_wire::ws::{
    ClientRequest, Decoder, Event, Kind, Limits, Opcode, Role, check_response, client_key,
    encode_frame, encode_pong, request_bytes,
};

use crate::wire::{Trust, Wire};

/// Frames of clients are masked. A mask of zeros is valid: the server's work is the same, ours is
/// less.
const MASK: Option<[u8; 4]> = Some([0; 4]);

/// Most bytes that may wait for the kernel before the run counts as broken: the server does not
/// read.
const OUT_BYTES_MAX: usize = 64 << 20;

/// Where a server is, and what it expects.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Address of the server.
    pub(crate) address: SocketAddr,
    /// Sub-protocol; empty = none.
    pub(crate) protocol: &'static str,
    /// The trusted certificate, where the server uses TLS.
    pub(crate) trust: Option<Trust>,
}

enum Phase {
    /// The part of the handshake's answer that has arrived.
    Opening(Vec<u8>),
    Open(Decoder),
    Closed,
}

/// One client connection.
pub(crate) struct Link {
    wire: Wire,
    phase: Phase,
    key: String,
    protocol: &'static str,
    out: Vec<u8>,
    /// Whether it is on the list of connections to flush.
    pub(crate) is_dirty: bool,
    /// Whether the server may close it.
    pub(crate) is_ending: bool,
}

/// Data waiting to be sent to a server; messages are framed as they are added.
pub(crate) struct Out<'a>(&'a mut Vec<u8>);

#[cfg(test)]
impl<'a> Out<'a> {
    pub(crate) fn new(bytes: &'a mut Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl Out<'_> {
    /// Queues a message.
    pub(crate) fn send(&mut self, kind: Kind, payload: &[u8]) {
        let opcode = match kind {
            Kind::Text => Opcode::Text,
            Kind::Binary => Opcode::Binary,
        };
        encode_frame(self.0, opcode, payload, MASK);
    }
}

/// What arrived over a connection.
pub(crate) enum Arrival<'a> {
    /// The handshake is done.
    Open,
    /// The server has no room for a handshake and says after how many milliseconds to retry.
    ComeAgain(u32),
    /// A complete message.
    Message(Kind, &'a [u8]),
    /// The server has closed, with this reason.
    Closed(String),
}

impl Link {
    /// Starts to connect from an address of this machine.
    pub(crate) fn connect(
        target: &Target,
        path: &str,
        from: Option<IpAddr>,
        number: u64,
    ) -> Result<Self> {
        let socket = Socket::new(
            Domain::for_address(target.address),
            Type::STREAM,
            Some(Protocol::TCP),
        )
        .context("opening a socket; is the limit on open files too low?")?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        // Closed at once when dropped: ports that linger for a minute make the next run's search
        // for a free one slow.
        socket.set_linger(Some(Duration::ZERO))?;
        if let Some(from) = from {
            // The kernel chooses a port that is free at this address.
            socket.bind(&SocketAddr::new(from, 0).into())?;
        }
        match socket.connect(&target.address.into()) {
            Err(error)
                if error.raw_os_error() != Some(115) && error.kind() != ErrorKind::WouldBlock =>
            {
                return Err(error).with_context(|| format!("connecting to {}", target.address));
            }
            _ => {}
        }
        let mut random = [0; 16];
        random[..8].copy_from_slice(&number.to_be_bytes());
        let key = client_key(random);
        let host = target.address.to_string();
        let protocols: &[&str] = if target.protocol.is_empty() {
            &[]
        } else {
            &[target.protocol]
        };
        let request = request_bytes(&ClientRequest {
            host: &host,
            path,
            key: &key,
            protocols,
            headers: &[],
        })?;
        Ok(Self {
            wire: Wire::new(socket, target.trust.as_ref(), target.address.ip())?,
            phase: Phase::Opening(Vec::new()),
            key,
            protocol: target.protocol,
            out: request,
            is_dirty: false,
            is_ending: false,
        })
    }

    /// Registers for events of readability and writability.
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE;
        Ok(registry.register(self.wire.tcp(), token, both)?)
    }

    /// The buffer for messages, which the next flush sends.
    pub(crate) fn out(&mut self) -> Out<'_> {
        Out(&mut self.out)
    }

    /// Writes what the kernel accepts.
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.wire.flush().context("writing to the server")?;
        let mut written = 0;
        while written < self.out.len() {
            match self.wire.write(&self.out[written..]) {
                Ok(0) => bail!("the server takes nothing more"),
                Ok(count) => written += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::NotConnected => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("writing to the server"),
            }
        }
        self.out.drain(..written);
        if self.out.len() > OUT_BYTES_MAX {
            bail!("{OUT_BYTES_MAX} bytes wait: the server does not read");
        }
        if self.out.is_empty() && self.out.capacity() > 4096 {
            self.out = Vec::new();
        }
        Ok(())
    }

    /// Reads once into the shared buffer. Returns whether more may be there.
    pub(crate) fn read(
        &mut self,
        buffer: &mut [u8],
        arrive: &mut dyn FnMut(Arrival<'_>, &mut Out<'_>),
    ) -> Result<bool> {
        let count = match self.wire.read(buffer) {
            Ok(0) => {
                self.phase = Phase::Closed;
                arrive(
                    Arrival::Closed("the connection ended".into()),
                    &mut Out(&mut self.out),
                );
                return Ok(false);
            }
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(true),
            Err(error) => {
                self.phase = Phase::Closed;
                arrive(Arrival::Closed(error.to_string()), &mut Out(&mut self.out));
                return Ok(false);
            }
        };
        let is_full = count == buffer.len();
        match &mut self.phase {
            Phase::Opening(head) => {
                head.extend_from_slice(&buffer[..count]);
                let Some(end) = memchr::memmem::find(head, b"\r\n\r\n") else {
                    return Ok(is_full);
                };
                let mut rest = head.split_off(end + 4);
                let head = std::mem::take(head);
                if let Some(after_ms) = retry_after_ms(&head) {
                    self.phase = Phase::Closed;
                    arrive(Arrival::ComeAgain(after_ms), &mut Out(&mut self.out));
                    return Ok(false);
                }
                check(&head, &self.key, self.protocol)?;
                // Limits of the generator itself: what servers send here is trusted.
                let limits = Limits {
                    message_bytes_max: 16 << 20,
                    fragments_max: 1024,
                };
                self.phase = Phase::Open(Decoder::new(Role::Client, limits));
                arrive(Arrival::Open, &mut Out(&mut self.out));
                self.take(&mut rest, arrive)?;
            }
            Phase::Open(_) => self.take(&mut buffer[..count], arrive)?,
            Phase::Closed => return Ok(false),
        }
        Ok(is_full)
    }

    fn take(
        &mut self,
        bytes: &mut [u8],
        arrive: &mut dyn FnMut(Arrival<'_>, &mut Out<'_>),
    ) -> Result<()> {
        let Phase::Open(decoder) = &mut self.phase else {
            return Ok(());
        };
        let mut events = decoder.decode(bytes);
        while let Some(event) = events.next_event().context("the server's frames")? {
            match event {
                Event::Message { kind, payload } => {
                    arrive(Arrival::Message(kind, payload), &mut Out(&mut self.out));
                }
                Event::Ping(payload) => {
                    self.out.extend_from_slice(&encode_pong(payload, MASK));
                }
                Event::Pong(_) => {}
                Event::Close { code, reason } => {
                    let words = format!("close {code:?} {reason}");
                    arrive(Arrival::Closed(words), &mut Out(&mut self.out));
                }
            }
        }
        Ok(())
    }

    pub(crate) fn has_output(&self) -> bool {
        !self.out.is_empty() || self.wire.holds_back()
    }
}

/// The time in a busy server's answer after which to retry.
fn retry_after_ms(head: &[u8]) -> Option<u32> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    response.parse(head).ok()?;
    let is_full = response.code == Some(503);
    let mut headers = response.headers.iter();
    let header = headers.find(|header| header.name.eq_ignore_ascii_case("retry-after"))?;
    let text = std::str::from_utf8(header.value).ok()?;
    let seconds: u32 = text.trim().parse().ok()?;
    is_full.then_some(seconds.saturating_mul(1000))
}

fn check(head: &[u8], key: &str, protocol: &str) -> Result<()> {
    let protocols: &[&str] = if protocol.is_empty() {
        &[]
    } else {
        &[protocol]
    };
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    response
        .parse(head)
        .context("the answer to the handshake")?;
    let headers = response
        .headers
        .iter()
        .map(|header| (header.name, header.value));
    check_response(response.code.unwrap_or(0), headers, key, protocols).with_context(|| {
        format!(
            "the server refuses the handshake: {}",
            String::from_utf8_lossy(head)
        )
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_without_room_is_told_from_one_that_refuses() {
        let answer = |status: &str, more: &str| format!("HTTP/1.1 {status}\r\n{more}\r\n");
        let after = |text: String| retry_after_ms(text.as_bytes());
        assert_eq!(after(answer("503 Full", "Retry-After: 5\r\n")), Some(5000));
        assert_eq!(after(answer("503 Full", "")), None);
        assert_eq!(after(answer("403 No", "Retry-After: 5\r\n")), None);
    }
}
