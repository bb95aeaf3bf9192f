//! The feature `server`, against servers that answer as they are told.

#![cfg(feature = "server")]
#![allow(clippy::unwrap_used, reason = "tests")]

mod calls;
mod fake;
mod real;
mod retries;
mod webhooks;
