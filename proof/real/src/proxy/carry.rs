//! One direction of a connection: bytes in, the same bytes out, later or never.

use std::io;
use std::net::Shutdown;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use socket2::SockRef;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::plan::Direction;
use crate::pace;

/// Read at once. Smaller: finer cuts and bandwidths, more turns.
const CHUNK_BYTES: usize = 2 * 1024;
/// Chunks under way before reading stops: the network's own buffer.
const CHUNKS_MAX: usize = 256;

/// What is done with bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    /// They are carried.
    Pass,
    /// They are kept until the flow changes.
    Hold,
    /// The bytes vanish without a trace.
    Swallow,
}

/// Why a direction has come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// Its writer has closed it, and everything is carried.
    ByItsWriter,
    /// The plan's number of bytes is carried.
    ByCount,
}

/// Carries bytes until the writer closes, the plan's count is reached or a socket fails. `carried`
/// is called with what has been written.
pub(super) async fn carry(
    from: Arc<TcpStream>,
    to: Arc<TcpStream>,
    direction: Direction,
    mut flow: watch::Receiver<Flow>,
    carried: impl Fn(&[u8]),
) -> io::Result<Ended> {
    let (sender, mut chunks) = mpsc::channel::<(Instant, Bytes)>(CHUNKS_MAX);
    let read = read_all(&from, direction, sender);
    let write = async {
        while let Some((due, chunk)) = chunks.recv().await {
            sleep_until(due).await;
            // An error says that the connection is over: then it passes.
            let _ = flow.wait_for(|flow| *flow != Flow::Hold).await;
            if *flow.borrow() == Flow::Swallow {
                continue;
            }
            if let Some(bytes_per_s) = direction.bytes_per_s {
                pace(Duration::from_millis(
                    chunk.len() as u64 * 1_000 / bytes_per_s,
                ))
                .await;
            }
            write_all(&to, &chunk).await?;
            carried(&chunk);
        }
        Ok::<_, io::Error>(())
    };
    let (ended, written) = tokio::join!(read, write);
    written?;
    let ended = ended?;
    if ended == Ended::ByItsWriter {
        let _ = SockRef::from(&*to).shutdown(Shutdown::Write);
    }
    Ok(ended)
}

async fn read_all(
    from: &TcpStream,
    direction: Direction,
    chunks: mpsc::Sender<(Instant, Bytes)>,
) -> io::Result<Ended> {
    let mut buffer = [0; CHUNK_BYTES];
    let mut total = 0;
    let mut stall = direction.stall;
    loop {
        if let Some((after, pause)) = stall
            && total >= after
        {
            stall = None;
            pace(pause).await;
        }
        let count = read(from, &mut buffer).await?;
        if count == 0 {
            return Ok(Ended::ByItsWriter);
        }
        let room = direction.bytes_max.map_or(u64::MAX, |max| max - total);
        let taken = count.min(usize::try_from(room).unwrap_or(usize::MAX));
        total += taken as u64;
        let chunk = Bytes::copy_from_slice(&buffer[..taken]);
        let sent = chunks
            .send((Instant::now() + direction.latency, chunk))
            .await;
        if sent.is_err() {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        if Some(total) == direction.bytes_max {
            return Ok(Ended::ByCount);
        }
    }
}

async fn read(from: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        from.readable().await?;
        match from.try_read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            done => return done,
        }
    }
}

async fn write_all(to: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        to.writable().await?;
        match to.try_write(bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
