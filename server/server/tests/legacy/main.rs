//! Legacy clients against a real server: the transcript of the protocol's description, and what
//! goes beyond it.

#[path = "../common/mod.rs"]
mod common;

mod bad_input;
mod builds;
mod calls;
mod client;
mod interworking;
mod python;
mod rules;
mod tokens;
mod transcript;
