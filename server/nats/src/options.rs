//! What a connection is made with.

use crate::credentials::Credentials;

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
