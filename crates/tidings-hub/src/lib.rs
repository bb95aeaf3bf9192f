//! The domain: sessions, channels, presence, attributes and delivery; inputs in, effects out.

pub mod ids;
pub mod store_ops;
pub mod time;
