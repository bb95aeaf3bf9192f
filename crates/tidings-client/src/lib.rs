//! The async Rust SDK.
