//! The interface of a bus: what a hub's host calls, and what the bus calls back.

use tidings_hub::bus_ops::{BusInput, BusOp};
use tidings_hub::counts::Tally;
use tidings_hub::ids::HubId;

/// What one hub's part of the bus sends to another hub's part.
///
/// Order: crossings from one hub to another must be handled in the order in which they were sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Crossing {
    /// An operation for the receiver's share of the topics.
    Route {
        /// The hub that submitted the operation.
        from: HubId,
        /// The operation to carry out.
        op: BusOp,
    },
    /// Input for the receiver's hub.
    Deliver(BusInput),
}

/// Takes the output of a bus.
pub trait Outlet {
    /// Input for the bus's own hub, in order.
    fn deliver(&mut self, input: BusInput);

    /// A crossing for the bus of another hub, in order per receiver.
    fn post(&mut self, to: HubId, crossing: Crossing);
}

/// One hub's part of a bus. The contract is in [`tidings_hub::bus_ops`]; [`crate::contract`] tests
/// every bus against it.
///
/// It does no I/O: the host transports crossings, and passes deliveries to its hub.
pub trait Bus {
    /// Takes an operation from its own hub.
    fn apply(&mut self, op: BusOp, out: &mut impl Outlet);

    /// Takes a crossing that another hub's bus has sent to this one.
    fn take(&mut self, crossing: Crossing, out: &mut impl Outlet);

    /// Number of topics with a subscriber that this part of the bus is home to, for the operator.
    fn topics(&self) -> usize;

    /// Channels with a member anywhere that this part of the bus is home to, by app.
    fn channels(&self) -> &Tally<u64>;
}
