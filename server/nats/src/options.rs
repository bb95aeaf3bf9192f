//! What a connection is made with.

use crate::credentials::Credentials;

/// How often a connection is tried with a PING, in milliseconds. A server that is cut off is
/// noticed within this and [`PONG_WAIT_MS`]; a closed socket is noticed at once. Source: ours.
pub const PING_INTERVAL_MS: u64 = 2_000;

/// How long a server may say nothing while a PONG is due, in milliseconds. Source: ours.
pub const PONG_WAIT_MS: u64 = 3_000;

/// How long everything from the socket's opening to the first PONG may take, in milliseconds.
/// Source: ours.
pub const HANDSHAKE_WAIT_MS: u64 = 5_000;

/// What is the same for all connections of a hub.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What the server's operator sees.
    pub name: String,
    /// Our version, for the server's operator too.
    pub version: String,
    /// Who we are.
    pub credentials: Credentials,
}

/// When TLS is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// If the server wants it (`nats://`).
    IfRequired,
    /// Always, after the server's INFO (`tls://`).
    AfterInfo,
    /// Always, and it is spoken already: the server has `handshake_first`.
    First,
}
