//! Connections that are over for the server, and whose clients may still be sending.
//!
//! Closed at once, such a connection would be reset, and the client would lose the answer that says
//! why. What it still sends is thrown away; it holds no place meanwhile, and nothing but its
//! socket.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::{AbortHandle, spawn_local};
use tokio::time::timeout;

use crate::gate::StrangerPlace;

/// How long a client may go on sending.
const LINGER: Duration = Duration::from_secs(5);

/// And how much: more than the largest file is nobody who was cut short.
const BYTES_MAX: usize = 64 << 20;

/// Connections that linger; with one more, the oldest is closed.
const LINGERING_MAX: usize = 256;

/// The connections that linger.
#[derive(Debug, Default)]
pub(super) struct Lingering {
    /// Oldest first; some may have ended since. Bound: [`LINGERING_MAX`].
    tasks: VecDeque<AbortHandle>,
}

impl Lingering {
    /// Keeps a connection, whose own side has been shut down, until its client ends too.
    pub(super) fn add(&mut self, tcp: TcpStream, stranger: Option<StrangerPlace>) {
        if self.tasks.len() >= LINGERING_MAX {
            self.tasks.retain(|task| !task.is_finished());
        }
        if self.tasks.len() >= LINGERING_MAX
            && let Some(oldest) = self.tasks.pop_front()
        {
            oldest.abort();
        }
        let task = spawn_local(async move {
            let _ = timeout(LINGER, drain(tcp)).await;
            drop(stranger);
        });
        self.tasks.push_back(task.abort_handle());
    }
}

async fn drain(tcp: TcpStream) {
    let mut left = BYTES_MAX;
    while left > 0 && tcp.readable().await.is_ok() {
        match discard(&tcp) {
            Ok(0) => return,
            Ok(count) => left = left.saturating_sub(count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
        tokio::task::yield_now().await;
    }
}

/// Apart, so that its buffer is no part of what a silent client keeps.
fn discard(tcp: &TcpStream) -> io::Result<usize> {
    tcp.try_read(&mut [0; 16 * 1024])
}
