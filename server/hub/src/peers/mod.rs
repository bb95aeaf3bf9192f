//! Peer messages: from their sender to the receiver's client, live or stored.

pub(crate) mod handback;
pub(crate) mod moved;
pub(crate) mod receive;
pub(crate) mod record;
pub(crate) mod replicas;
pub(crate) mod send;
pub(crate) mod slot;
pub(crate) mod state;
pub(crate) mod stored;
