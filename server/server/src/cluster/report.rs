//! What a hub's connection to NATS tells of itself.

/// How a hub's connection to NATS is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LinkReport {
    /// The server it is connected to, or that is tried.
    pub server: Option<String>,
    /// Whether it is connected.
    pub is_up: bool,
    /// How often a connection was made.
    pub ups: u64,
    /// Bytes of publications that wait to be written.
    pub queued: usize,
    /// Publications that were not sent: too much waited, a server would not have taken them, or
    /// requests that were too old when there was a server again. Receivers see a hole.
    pub unsent: u64,
    /// Messages that were larger than is taken.
    pub passed_over: u64,
    /// Operations that the server did not do, such as subscriptions that it does not allow.
    pub complaints: u64,
    /// What is wrong: the last failure since it was last connected, or the server's last complaint.
    pub trouble: Option<String>,
    /// What to do about it.
    pub hint: Option<&'static str>,
}
