//! The simulator: many hubs and clients over a simulated bus, store and network.
//!
//! It runs the real hub, the real router, a real store engine and the real client core: only what
//! lies between them is simulated. One seed decides everything; a failure is a seed, and a seed is
//! a replay.
//!
//! Reading order: [`world`] (the world and its faults), [`scenario`] (scenario files in it),
//! [`chaos`] (random clients under random faults), [`everything`] (two users and a model of all
//! that they do), [`checks`] and [`invitations`] (what must hold, apart from the code that is
//! checked), [`legacy`] (clients of the legacy protocol in the world), [`probes`] (short runs for
//! one promise each), [`faults`] (the deliberate faults that prove the checks).

mod backend;
pub mod catalogue;
pub mod chaos;
pub mod checks;
mod disk;
mod events;
pub mod everything;
pub mod faults;
mod freeze;
mod inside;
pub mod invitations;
pub mod legacy;
pub mod live;
pub mod options;
pub mod probes;
pub mod random;
mod raw;
mod recorded;
mod restart;
pub mod scenario;
pub mod shrink;
pub mod sometimes;
mod wires;
pub mod world;
