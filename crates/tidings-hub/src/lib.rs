//! The domain: sessions, channels, presence, attributes and delivery; inputs in, effects out.
