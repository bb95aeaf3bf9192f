//! Bytes to messages and back: the native protocol, WebSocket frames, names, codes and limits.
//!
//! This crate depends on no other crate of the project, no clock, no socket and no runtime: its
//! functions work on their arguments alone.
//!
//! Reading order: [`names`] (ids made by parsing), [`proto`] (the schema, generated), [`frame`]
//! (native frames), [`ws`] (WebSocket), [`codes`] and [`limits`] (generated from `proto/`),
//! [`rates`] (the bucket behind every rate limit).
//!
//! ```
//! use tidings_wire::names::UserId;
//! assert!(UserId::parse("alice").is_ok());
//! assert!(UserId::parse("al\"ice").is_err());
//! ```

pub mod frame;
mod hex;
pub mod names;
pub mod rates;
pub mod ws;

pub use self::hex::{from_hex, hex};

/// Outcomes, code families and close codes: generated from `proto/errors.toml`.
#[path = "generated/codes.rs"]
pub mod codes;

/// Limits and rates: generated from `proto/limits.toml`.
#[path = "generated/limits.rs"]
pub mod limits;

/// The messages of `proto/tidings.proto`: generated.
#[allow(
    missing_docs,
    clippy::all,
    reason = "generated; the schema carries the comments"
)]
#[path = "generated/tidings.v1.rs"]
pub mod proto;
