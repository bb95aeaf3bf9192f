//! A visitor's connection as asynchronous I/O: what was read already, then TCP, or TLS over TCP.

use std::future::Future as _;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustls::ServerConnection;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use super::pace::Pace;

/// How long a client that was answered early may go on sending: closed at once, the connection would be reset, and
/// the answer lost.
const LINGER: Duration = Duration::from_secs(5);

/// A visitor's connection.
pub(super) struct VisitorIo {
    tcp: TcpStream,
    tls: Option<ServerConnection>,
    /// What the hub has read; it comes first.
    bytes: Vec<u8>,
    /// How much of it has been given.
    given: usize,
    pace: Pace,
    /// Set while the client may still send.
    linger: Option<Pin<Box<Sleep>>>,
}

impl VisitorIo {
    /// Takes over a connection, which does not block.
    pub(super) fn new(
        tcp: std::net::TcpStream,
        tls: Option<ServerConnection>,
        bytes: Vec<u8>,
        pace: Pace,
    ) -> io::Result<Self> {
        Ok(Self {
            tcp: TcpStream::from_std(tcp)?,
            tls,
            bytes,
            given: 0,
            pace,
            linger: None,
        })
    }
}

impl AsyncRead for VisitorIo {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let polled = this.poll_read_plain(context, buffer);
        if buffer.filled().len() > before {
            this.pace.moved();
        }
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
            return Poll::Ready(Ok(()));
        }
        let Some(tls) = &mut self.tls else {
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
            let mut socket = Socket {
                tcp: &mut self.tcp,
                context,
            };
            match tls.read_tls(&mut socket) {
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
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Some(tls) = &mut self.tls else {
            return Pin::new(&mut self.tcp).poll_write(context, bytes);
        };
        // Order: what is buffered goes first, so that the buffer, which is bounded, has room.
        let flushed = write_out(tls, &mut self.tcp, context);
        match tls.writer().write(bytes)? {
            0 => {
                ready!(flushed)?;
                // The socket took everything, so that there is room now.
                Poll::Ready(tls.writer().write(bytes))
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
        let this = self.get_mut();
        let polled = this.poll_write_plain(context, bytes);
        if matches!(polled, Poll::Ready(Ok(count)) if count > 0) {
            this.pace.moved();
        }
        polled
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if let Some(tls) = &mut this.tls {
            ready!(write_out(tls, &mut this.tcp, context))?;
        }
        Pin::new(&mut this.tcp).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.linger.is_none() {
            if let Some(tls) = &mut this.tls {
                tls.send_close_notify();
                ready!(write_out(tls, &mut this.tcp, context))?;
            }
            ready!(Pin::new(&mut this.tcp).poll_shutdown(context))?;
            if !this.pace.has_left_body() {
                return Poll::Ready(Ok(()));
            }
        }
        // What still comes is thrown away, until the client ends or the time is over.
        let linger = this.linger.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        let mut unread = [0; 16 * 1024];
        while linger.as_mut().poll(context).is_pending() {
            let mut unread = ReadBuf::new(&mut unread);
            ready!(Pin::new(&mut this.tcp).poll_read(context, &mut unread))?;
            if unread.filled().is_empty() {
                break;
            }
        }
        Poll::Ready(Ok(()))
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
