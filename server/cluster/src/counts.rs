//! What the live path counts, for the operator.

/// What one hub's share of the live path has counted since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LiveCounts {
    /// Topics that are subscribed to at NATS at present.
    pub subscriptions: u64,
    /// Envelopes that were sent.
    pub sent: u64,
    /// Envelopes that arrived and were taken.
    pub received: u64,
    /// Publications that were not sent, because too much waited or for too long.
    pub unsent: u64,
    /// Envelopes that no bus could take: longer than the longest.
    pub too_long: u64,
    /// Times that something was found missing of what another node had published.
    pub holes: u64,
    /// Publications that were missing.
    pub missed: u64,
    /// Questions that were sent to other nodes.
    pub asked: u64,
    /// Questions that found nobody.
    pub nobody: u64,
    /// Questions that were not sent: too many were open.
    pub asks_refused: u64,
    /// Dropped: made without the cluster's key, or damaged.
    pub dropped_mac: u64,
    /// Dropped: of another version.
    pub dropped_version: u64,
    /// Dropped: authentic and not understood.
    pub dropped_malformed: u64,
    /// Dropped: it speaks of another topic than its subject, or has no place on it.
    pub dropped_topic: u64,
    /// Dropped: of a life of its node that is over, or under this node's own number.
    pub dropped_stale: u64,
    /// Dropped: it had arrived before.
    pub dropped_repeated: u64,
    /// Dropped: nobody here is interested in it any more.
    pub dropped_unwanted: u64,
    /// Dropped: parts of something whose rest did not come.
    pub dropped_parts: u64,
}
