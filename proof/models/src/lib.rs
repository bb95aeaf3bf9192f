//! Models of protocols, small enough to try every order of events.
//!
//! A model says what a protocol must do, without its code: what is found here is a fault of the design. Each has
//! deliberate faults, which its properties must find. Source: contract 7.6.

pub mod invitation;
