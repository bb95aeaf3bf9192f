//! Models of protocols, small enough to try every order of events.
//!
//! A model describes a protocol without its code, so a finding here is a fault of the design. Each
//! model has deliberate faults, which its properties must find. Source: contract 7.6.

pub mod invitation;
