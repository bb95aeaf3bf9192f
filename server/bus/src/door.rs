//! The door that a bus has: what a hub's host does with it, and what it gives back.

use tidings_hub::bus_ops::{BusInput, BusOp};
use tidings_hub::ids::HubId;

/// What one hub's part of the bus sends to another's.
///
/// Order: what one hub sends another must be taken in the order in which it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Crossing {
    /// An operation for the receiver's share of the topics.
    Route {
        /// Whose operation it is.
        from: HubId,
        /// The operation.
        op: BusOp,
    },
    /// Something for the receiver's hub.
    Deliver(BusInput),
}

/// Takes what a bus has to give.
pub trait Outlet {
    /// Something for the bus's own hub, in order.
    fn deliver(&mut self, input: BusInput);

    /// Something for the bus of another hub, in order per receiver.
    fn post(&mut self, to: HubId, crossing: Crossing);
}

/// One hub's part of a bus. The contract is [`tidings_hub::bus_ops`]; [`crate::contract`] holds every bus to it.
///
/// It does no I/O: whoever drives it carries what crosses, and gives its hub what is delivered.
pub trait Bus {
    /// Takes an operation of its own hub.
    fn apply(&mut self, op: BusOp, out: &mut impl Outlet);

    /// Takes what the bus of another hub has posted to this one.
    fn take(&mut self, crossing: Crossing, out: &mut impl Outlet);

    /// Topics with a subscriber that this part of the bus looks after: a number for the operator.
    fn topics(&self) -> usize;
}
