//! The bytes between a hub and a NATS server: TCP, or TLS over TCP, as its client.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::sync::Arc;

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};

/// Unencrypted bytes that rustls keeps while the socket is full: more stays in the link's queue,
/// which knows what was not sent when a connection breaks.
const TLS_BUFFER_BYTES: usize = 64 * 1024;

/// What a server may send in one handshake: certificates of a long chain have 10 KiB.
const TLS_GREETING_BYTES_MAX: usize = 64 * 1024;

/// A connection's bytes. It never blocks.
#[derive(Debug)]
pub(super) struct Stream {
    tcp: TcpStream,
    /// Boxed, so that plain connections do not pay for it.
    tls: Option<Box<Tls>>,
}

#[derive(Debug)]
struct Tls {
    session: ClientConnection,
    /// What the server has sent of its handshake.
    greeting_bytes: usize,
}

impl Stream {
    /// Registers for both directions at once; readiness is told at edges.
    pub(super) fn register(
        mut tcp: TcpStream,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Self> {
        registry.register(&mut tcp, token, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self { tcp, tls: None })
    }

    /// Takes it out of the loop; it is of no more use.
    pub(super) fn end(mut self, registry: &Registry) {
        if let Some(tls) = &mut self.tls {
            tls.session.send_close_notify();
            // If the socket does not take the goodbye now, the server sees the end of the stream.
            let _ = tls.session.write_tls(&mut self.tcp);
        }
        // Its end takes it out of the kernel's list anyway.
        let _ = registry.deregister(&mut self.tcp);
    }

    /// Whether the connection that was begun is made: `None` = it is still under way.
    ///
    /// # Errors
    /// It is not made.
    pub(super) fn connected(&self) -> io::Result<Option<()>> {
        if let Some(error) = self.tcp.take_error()? {
            return Err(error);
        }
        match self.tcp.peer_addr() {
            Ok(_) => {
                // Small messages must not wait for each other.
                self.tcp.set_nodelay(true)?;
                Ok(Some(()))
            }
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Begins TLS.
    ///
    /// # Errors
    /// The name cannot be in a certificate.
    pub(super) fn start_tls(&mut self, config: &Arc<ClientConfig>, name: &str) -> io::Result<()> {
        let invalid = |error: String| io::Error::new(ErrorKind::InvalidInput, error);
        let name = ServerName::try_from(name.to_owned())
            .map_err(|error| invalid(format!("{name} cannot be in a certificate: {error}")))?;
        let mut session = ClientConnection::new(config.clone(), name)
            .map_err(|error| invalid(error.to_string()))?;
        session.set_buffer_limit(Some(TLS_BUFFER_BYTES));
        self.tls = Some(Box::new(Tls {
            session,
            greeting_bytes: 0,
        }));
        self.flush()
    }

    /// Whether the TLS handshake is not done.
    pub(super) fn is_handshaking(&self) -> bool {
        let tls = self.tls.as_ref();
        tls.is_some_and(|tls| tls.session.is_handshaking())
    }

    /// Reads what there is; 0 = the server sends no more.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Self { tcp, tls } = self;
        let Some(tls) = tls else {
            return tcp.read(buffer);
        };
        loop {
            match tls.session.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // TCP ended without a goodbye of TLS: messages carry their own length, so that
                // nothing cut short passes for whole.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                other => return other,
            }
            let was_handshaking = tls.session.is_handshaking();
            let count = tls.session.read_tls(tcp)?;
            if count == 0 {
                return Ok(0);
            }
            let processed = tls.session.process_new_packets();
            // Handshake records and alerts go out at once, also when the server has erred.
            let written = tls.write_out(tcp);
            processed.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
            written?;
            if was_handshaking {
                tls.greeting_bytes += count;
                if tls.greeting_bytes > TLS_GREETING_BYTES_MAX {
                    let text = "the server's part of the TLS handshake is longer than 64 KiB";
                    return Err(io::Error::new(ErrorKind::InvalidData, text));
                }
                if !tls.session.is_handshaking() {
                    // Whoever waits for the handshake is to be told before anything is read.
                    return Err(ErrorKind::WouldBlock.into());
                }
            }
        }
    }

    /// Writes what the socket takes now; an error of [`ErrorKind::WouldBlock`] if that is nothing.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Self { tcp, tls } = self;
        let Some(tls) = tls else {
            return tcp.write(bytes);
        };
        let mut taken = tls.session.writer().write(bytes)?;
        tls.write_out(tcp)?;
        if taken == 0 && !bytes.is_empty() && !tls.session.wants_write() {
            // With a full buffer rustls takes nothing; now it is empty, and no event will say so.
            taken = tls.session.writer().write(bytes)?;
            tls.write_out(tcp)?;
        }
        if taken == 0 && !bytes.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        Ok(taken)
    }

    /// Writes what TLS holds back.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let Self { tcp, tls } = self;
        tls.as_mut().map_or(Ok(()), |tls| tls.write_out(tcp))
    }
}

impl Tls {
    fn write_out(&mut self, tcp: &mut TcpStream) -> io::Result<()> {
        while self.session.wants_write() {
            match self.session.write_tls(tcp) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
