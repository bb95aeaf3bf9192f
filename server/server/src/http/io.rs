//! A visitor's connection as asynchronous I/O: what was read already, then TCP, or TLS over TCP.

use std::io::{self, ErrorKind, IoSlice, Read as _, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustls::ServerConnection;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::pace::Pace;
use crate::alpn::speaks_http2;

/// Bytes that TLS keeps while the socket takes none: they are copies, so a stranger gets few.
/// Somebody with a token gets one record of the usual size.
const TLS_BYTES: usize = 2 * 1024;
const TLS_TRANSFER_BYTES: usize = 16 * 1024;

/// What is read at once of a stranger: enough for the head of a request of a browser.
const READ_BYTES: usize = 2 * 1024;

/// What is read of a stranger before others on this thread have their turn: some hundred frames of
/// HTTP/2.
const TURN_BYTES: usize = 8 * 1024;

/// The same of a backend with a key: a call's body, and a few of them.
const KNOWN_READ_BYTES: usize = 16 * 1024;
const KNOWN_TURN_BYTES: usize = 256 * 1024;

/// What a stranger may have sent beyond its request while it does not read the answer.
const AHEAD_BYTES_MAX: usize = 1_024;

/// A visitor's connection.
pub(super) struct VisitorIo {
    tcp: TcpStream,
    tls: Option<Tls>,
    /// What the hub has read; it comes first.
    bytes: Vec<u8>,
    /// How much of it has been given.
    given: usize,
    pace: Pace,
    /// The socket takes no more.
    is_blocked: bool,
    /// What was read of it in its turn.
    turn_bytes: usize,
}

/// What a visitor's connection is made of.
pub(super) struct Parts {
    pub(super) tcp: TcpStream,
    pub(super) tls: Option<Box<ServerConnection>>,
    /// What was read and not given.
    pub(super) bytes: Vec<u8>,
}

struct Tls {
    session: Box<ServerConnection>,
    has_transfer: bool,
}

impl VisitorIo {
    /// Takes over a connection, which does not block.
    pub(super) fn new(
        tcp: std::net::TcpStream,
        tls: Option<Box<ServerConnection>>,
        bytes: Vec<u8>,
        pace: Pace,
    ) -> io::Result<Self> {
        let tls = tls.map(|mut session| {
            session.set_buffer_limit(Some(TLS_BYTES));
            Tls {
                session,
                has_transfer: false,
            }
        });
        Ok(Self {
            tcp: TcpStream::from_std(tcp)?,
            tls,
            bytes,
            given: 0,
            pace,
            is_blocked: false,
            turn_bytes: 0,
        })
    }

    /// Waits until it is known that the socket takes bytes: of a socket that was just taken over it
    /// is not, and one that takes none means a client that does not read.
    pub(super) async fn ready(&self) -> io::Result<()> {
        self.tcp.writable().await
    }

    pub(super) fn into_parts(mut self) -> Parts {
        Parts {
            tcp: self.tcp,
            tls: self.tls.map(|tls| tls.session),
            bytes: self.bytes.split_off(self.given),
        }
    }

    /// Notes whether the socket takes what is written.
    ///
    /// # Errors
    /// It does not, and its client has sent more than it could ask for at once: kept, that would be
    /// the most of what it costs.
    fn note_blocked(&mut self, is_blocked: bool) -> io::Result<()> {
        self.is_blocked = is_blocked;
        // Browsers send many requests at once by HTTP/2, for which there is more room.
        let is_http2 = self
            .tls
            .as_ref()
            .is_some_and(|tls| speaks_http2(&tls.session));
        if !is_blocked || is_http2 || self.pace.is_transfer() || self.pace.is_known() {
            return Ok(());
        }
        let unread = self.bytes.len() - self.given;
        let of_tls = match &mut self.tls {
            Some(tls) => tls
                .session
                .reader()
                .into_first_chunk()
                .map_or(0, <[u8]>::len),
            None => 0,
        };
        let ahead = usize::try_from(self.pace.ahead()).unwrap_or(usize::MAX);
        if unread + of_tls + ahead <= AHEAD_BYTES_MAX {
            return Ok(());
        }
        Err(io::Error::new(
            ErrorKind::QuotaExceeded,
            "the client sends requests and reads no answers",
        ))
    }

    /// The session, with room for what is going on.
    fn session(&mut self) -> Option<(&mut ServerConnection, &mut TcpStream)> {
        let tls = self.tls.as_mut()?;
        let has_transfer = self.pace.is_transfer() || self.pace.is_known();
        if tls.has_transfer != has_transfer {
            tls.has_transfer = has_transfer;
            let bytes = if has_transfer {
                TLS_TRANSFER_BYTES
            } else {
                TLS_BYTES
            };
            tls.session.set_buffer_limit(Some(bytes));
        }
        Some((&mut tls.session, &mut self.tcp))
    }
}

impl AsyncRead for VisitorIo {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.pace.is_transfer() {
            let before = buffer.filled().len();
            let polled = this.poll_read_plain(context, buffer);
            this.pace.read(buffer.filled().len() - before);
            return polled;
        }
        // Whoever does not read its answers is not read either: what it sends meanwhile stays in
        // the kernel. The socket wakes this task when it takes more.
        if this.is_blocked {
            return Poll::Pending;
        }
        let (turn_bytes, read_bytes) = if this.pace.is_known() {
            (KNOWN_TURN_BYTES, KNOWN_READ_BYTES)
        } else {
            (TURN_BYTES, READ_BYTES)
        };
        if this.turn_bytes >= turn_bytes {
            this.turn_bytes = 0;
            // It comes last in the queue.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let most = buffer.remaining().min(read_bytes);
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(most));
        let polled = this.poll_read_plain(context, &mut part);
        let count = part.filled().len();
        buffer.advance(count);
        this.pace.read(count);
        this.turn_bytes = match polled {
            Poll::Ready(_) => this.turn_bytes + count,
            Poll::Pending => 0,
        };
        polled
    }
}

impl VisitorIo {
    fn poll_read_plain(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.given < self.bytes.len() {
            let count = buffer.remaining().min(self.bytes.len() - self.given);
            buffer.put_slice(&self.bytes[self.given..self.given + count]);
            self.given += count;
            if self.given == self.bytes.len() {
                (self.bytes, self.given) = (Vec::new(), 0);
            }
            return Poll::Ready(Ok(()));
        }
        let Some((tls, tcp)) = self.session() else {
            return Pin::new(&mut self.tcp).poll_read(context, buffer);
        };
        loop {
            match tls.reader().read(buffer.initialize_unfilled()) {
                Ok(count) => {
                    buffer.advance(count);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // The client ended TCP without a goodbye of TLS.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    return Poll::Ready(Ok(()));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
            match tls.read_tls(&mut Socket { tcp, context }) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Poll::Pending,
                other => other?,
            };
            tls.process_new_packets()
                .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
        }
    }

    fn poll_write_plain(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Some((tls, tcp)) = self.session() else {
            return Pin::new(&mut self.tcp).poll_write_vectored(context, slices);
        };
        // Order: what is buffered goes first, so that the buffer, which is bounded, has room.
        let flushed = write_out(tls, tcp, context);
        match tls.writer().write_vectored(slices)? {
            0 => {
                ready!(flushed)?;
                // The socket took everything, so that there is room now.
                Poll::Ready(tls.writer().write_vectored(slices))
            }
            count => Poll::Ready(Ok(count)),
        }
    }
}

impl AsyncWrite for VisitorIo {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = this.poll_write_plain(context, slices);
        if let Poll::Ready(Ok(count)) = polled {
            this.pace.written(count);
        }
        this.note_blocked(polled.is_pending())?;
        polled
    }

    /// Without it hyper would copy bodies into a buffer of its own.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some((tls, tcp)) = this.session() {
            let flushed = write_out(tls, tcp, context);
            this.note_blocked(flushed.is_pending())?;
            ready!(flushed)?;
        }
        ready!(Pin::new(&mut this.tcp).poll_flush(context))?;
        this.pace.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some((tls, tcp)) = this.session() {
            tls.send_close_notify();
            ready!(write_out(tls, tcp, context))?;
        }
        Pin::new(&mut this.tcp).poll_shutdown(context)
    }
}

fn write_out(
    tls: &mut ServerConnection,
    tcp: &mut TcpStream,
    context: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    while tls.wants_write() {
        match tls.write_tls(&mut Socket { tcp, context }) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Poll::Pending,
            Err(error) => return Poll::Ready(Err(error)),
        }
    }
    Poll::Ready(Ok(()))
}

/// The socket as rustls wants it: not ready is an error, and the task is woken when it is.
struct Socket<'a, 'b> {
    tcp: &'a mut TcpStream,
    context: &'a mut Context<'b>,
}

impl io::Read for Socket<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut buffer = ReadBuf::new(buffer);
        match Pin::new(&mut *self.tcp).poll_read(self.context, &mut buffer) {
            Poll::Ready(result) => result.map(|()| buffer.filled().len()),
            Poll::Pending => Err(ErrorKind::WouldBlock.into()),
        }
    }
}

impl io::Write for Socket<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match Pin::new(&mut *self.tcp).poll_write(self.context, bytes) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
