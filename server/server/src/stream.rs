//! A connection's byte stream: TCP, or TLS over TCP.

use std::io::{self, ErrorKind, IoSlice, Read as _, Write as _};
use std::net::{IpAddr, Shutdown};
use std::sync::Arc;

use mio::Interest;
use mio::net::TcpStream;
use mio::{Registry, Token};
use rustls::{ServerConfig, ServerConnection};

use crate::alpn::speaks_http2;
use crate::outgoing::Written;

/// Unencrypted bytes that rustls keeps when the socket is full. More stays in the connection's own
/// queue, where it is counted and shared.
const TLS_BUFFER_BYTES: usize = 32 * 1024;

/// What a client may send until its handshake is done. A greeting with every extension that is in
/// use has 2 KiB; rustls would keep 64 KiB of one.
const TLS_GREETING_BYTES_MAX: usize = 8 * 1024;

/// A connection's byte stream. It never blocks.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(TcpStream),
    /// Boxed, so that plain connections do not pay for it.
    Tls(Box<TlsStream>),
}

#[derive(Debug)]
pub(crate) struct TlsStream {
    tcp: TcpStream,
    session: ServerConnection,
    /// What its client has sent of its handshake.
    greeting_bytes: usize,
}

impl Stream {
    pub(crate) fn plain(tcp: TcpStream) -> Self {
        Self::Plain(tcp)
    }

    /// A stream that the HTTP thread had.
    pub(crate) fn returned(tcp: TcpStream, tls: Option<Box<ServerConnection>>) -> Self {
        match tls {
            None => Self::Plain(tcp),
            Some(mut session) => {
                session.set_buffer_limit(Some(TLS_BUFFER_BYTES));
                Self::Tls(Box::new(TlsStream {
                    tcp,
                    session: *session,
                    greeting_bytes: 0,
                }))
            }
        }
    }

    /// Whether the client has chosen HTTP/2, in which there is no WebSocket for a hub.
    pub(crate) fn speaks_http2(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(tls) => speaks_http2(&tls.session),
        }
    }

    /// A stream whose client has yet to begin its handshake.
    pub(crate) fn tls(tcp: TcpStream, config: Arc<ServerConfig>) -> Result<Self, rustls::Error> {
        let mut session = ServerConnection::new(config)?;
        session.set_buffer_limit(Some(TLS_BUFFER_BYTES));
        Ok(Self::Tls(Box::new(TlsStream {
            tcp,
            session,
            greeting_bytes: 0,
        })))
    }

    pub(crate) fn is_plain(&self) -> bool {
        matches!(self, Self::Plain(_))
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        matches!(self, Self::Tls(tls) if tls.session.is_handshaking())
    }

    /// Registers for both directions at once: readiness is told at edges, so that an idle or a
    /// keeping-up connection never causes a wake-up for being writable, and no system call changes
    /// the interest later.
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(self.tcp(), token, Interest::READABLE | Interest::WRITABLE)
    }

    pub(crate) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        registry.deregister(self.tcp())
    }

    /// Where the other end is; `None` when the socket is broken.
    pub(crate) fn peer_address(&self) -> Option<IpAddr> {
        let tcp = match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => &tls.tcp,
        };
        Some(tcp.peer_addr().ok()?.ip().to_canonical())
    }

    fn tcp(&mut self) -> &mut TcpStream {
        match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(tls) => &mut tls.tcp,
        }
    }

    /// Takes it apart for the HTTP thread.
    pub(crate) fn into_parts(self) -> (TcpStream, Option<Box<ServerConnection>>) {
        match self {
            Self::Plain(tcp) => (tcp, None),
            Self::Tls(tls) => (tls.tcp, Some(Box::new(tls.session))),
        }
    }

    /// Reads what there is; 0 = the client sends no more.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.read(buffer),
            Self::Tls(tls) => tls.read(buffer),
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.write(bytes),
            Self::Tls(tls) => tls.write_vectored(&[IoSlice::new(bytes)]),
        }
    }

    pub(crate) fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.write_vectored(slices),
            Self::Tls(tls) => tls.write_vectored(slices),
        }
    }

    /// Writes what the TLS layer holds back.
    pub(crate) fn flush(&mut self) -> io::Result<Written> {
        match self {
            Self::Plain(_) => Ok(Written::All),
            Self::Tls(tls) => tls.write_out(),
        }
    }

    /// Says that nothing more will be sent.
    pub(crate) fn shutdown_write(&mut self) {
        if let Self::Tls(tls) = self {
            tls.session.send_close_notify();
            // If the socket does not take the goodbye now, the client sees the end of the stream
            // instead.
            let _ = tls.write_out();
        }
        // A socket that cannot be shut down is gone already.
        let _ = self.tcp().shutdown(Shutdown::Write);
    }
}

impl TlsStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // The client ended TCP without a goodbye of TLS: frames carry their own length, so
                // that nothing cut short passes for whole.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                other => return other,
            }
            let count = self.session.read_tls(&mut self.tcp)?;
            if count == 0 {
                return Ok(0);
            }
            let processed = self.session.process_new_packets();
            // Handshake records and alerts go out at once, also when the client has erred.
            let written = self.write_out();
            processed.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
            written?;
            if self.session.is_handshaking() {
                self.greeting_bytes += count;
                if self.greeting_bytes > TLS_GREETING_BYTES_MAX {
                    let text = "the client's part of the TLS handshake is longer than 8 KiB";
                    return Err(io::Error::new(ErrorKind::InvalidData, text));
                }
            }
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut accepted = self.session.writer().write_vectored(slices)?;
        let written = self.write_out()?;
        if accepted == 0 && written == Written::All {
            // With a full buffer rustls accepts nothing; now it is empty, and no event will say so.
            accepted = self.session.writer().write_vectored(slices)?;
            self.write_out()?;
        }
        if accepted == 0 {
            Err(ErrorKind::WouldBlock.into())
        } else {
            Ok(accepted)
        }
    }

    fn write_out(&mut self) -> io::Result<Written> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut self.tcp) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Written::Blocked),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Written::All)
    }
}
