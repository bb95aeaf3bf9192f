//! What the live path counts, for the operator.

/// What one hub's share of the live path has counted since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LiveCounts {
    /// Topics that are subscribed to at NATS at present.
    pub subscriptions: u64,
    /// Envelopes that were published at NATS.
    pub sent: u64,
    /// Envelopes that arrived and were understood.
    pub received: u64,
}
