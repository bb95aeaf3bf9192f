//! A hub alone on the bench: the cost of its operations as it grows, without sockets.
//!
//! A [`Desk`] is one hub with its shard of the router; the store is always empty, and the other
//! hubs are silent. It gives the hub the bytes of clients, carries out what the hub sends to the
//! bus, and counts what clients would be sent, with the delivery contract in force: every client
//! confirms what it has been sent, as the SDKs do.
//!
//! [`Work`] is one operation, prepared so that only the hub's part of it is measured. Measuring is
//! done elsewhere: the program (`tidings-bench hub`) measures CPU time, `cargo xtask instructions`
//! counts instructions, and the tests of this crate count allocations, which are the same on every
//! machine.

mod desk;
mod work;

pub use desk::{CONFIRM_FRAMES, Desk, Step};
pub use work::{Prepared, Work, log_in, measured, populate};
