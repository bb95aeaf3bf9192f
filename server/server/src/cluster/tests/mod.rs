//! A hub's connection to NATS against real servers, and against some that a test plays.

mod fakes;
mod logins;
mod losses;
#[path = "../../../tests/common/nats.rs"]
mod nats;
mod rig;
