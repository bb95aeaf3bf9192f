//! What a thread has found for a NATS server's name.

use std::io;
use std::net::SocketAddr;

/// What a thread has found for a server's name.
#[derive(Debug)]
pub(crate) struct Resolved {
    /// The link's attempt that it was for.
    pub(super) attempt: u64,
    pub(super) found: io::Result<Vec<SocketAddr>>,
}
