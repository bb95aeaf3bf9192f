//! Bounds that settings and the errors about them share.

/// Most hubs of one node: the width of a topic's home and of the connection names leaves more, but
/// no machine that we know of has more cores.
pub const HUBS_MAX: u16 = 256;
