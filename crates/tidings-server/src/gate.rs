//! Counts connections that have not logged in, per node and per address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// The node's count. Shared by all hubs; touched when a connection comes and when it has logged in, never by a
/// message.
#[derive(Debug)]
pub(crate) struct Gate {
    connections_max: usize,
    per_address_max: usize,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    total: usize,
    /// Bound: `connections_max` entries.
    by_address: HashMap<IpAddr, usize>,
}

/// Why a connection is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    Node,
    Address,
}

impl Gate {
    pub(crate) fn new(connections_max: usize, per_address_max: usize) -> Arc<Self> {
        Arc::new(Self {
            connections_max,
            per_address_max,
            counts: Mutex::default(),
        })
    }

    /// Counts a connection from `address` until its admission is dropped.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr) -> Result<Admission, Full> {
        let source = source(address);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.total >= self.connections_max {
            return Err(Full::Node);
        }
        if let Some(source) = source {
            let of_source = counts.by_address.entry(source).or_default();
            if *of_source >= self.per_address_max {
                return Err(Full::Address);
            }
            *of_source += 1;
        }
        counts.total += 1;
        Ok(Admission {
            gate: self.clone(),
            source,
        })
    }
}

/// A counted connection.
#[derive(Debug)]
pub(crate) struct Admission {
    gate: Arc<Gate>,
    source: Option<IpAddr>,
}

impl Admission {
    /// Counts it no more for its address, only for the node.
    pub(crate) fn forget_source(&mut self) {
        if let Some(source) = self.source.take() {
            let counts = &self.gate.counts;
            let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
            counts.release(source);
        }
    }
}

impl Counts {
    fn release(&mut self, source: IpAddr) {
        if let Some(of_source) = self.by_address.get_mut(&source) {
            *of_source -= 1;
            if *of_source == 0 {
                self.by_address.remove(&source);
            }
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut counts = self
            .gate
            .counts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        counts.total -= 1;
        if let Some(source) = self.source {
            counts.release(source);
        }
    }
}

/// Who counts as one: an IPv4 address, an IPv6 /64; `None` = nobody in particular.
fn source(address: IpAddr) -> Option<IpAddr> {
    let address = address.to_canonical();
    if address.is_loopback() {
        return None;
    }
    Some(match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => IpAddr::from((u128::from(v6) >> 64 << 64).to_be_bytes()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn one_address_cannot_take_all_places() {
        let gate = Gate::new(10, 2);
        let held: Vec<_> = (0..2)
            .map(|_| gate.admit(ip("192.0.2.1")).expect("a place"))
            .collect();
        assert_eq!(
            gate.admit(ip("192.0.2.1")).expect_err("no place"),
            Full::Address
        );
        assert_eq!(
            gate.admit(ip("::ffff:192.0.2.1")).expect_err("the same"),
            Full::Address
        );
        let _other = gate.admit(ip("192.0.2.2")).expect("a place for another");
        drop(held);
        gate.admit(ip("192.0.2.1")).expect("a place again");
    }

    #[test]
    fn an_ipv6_network_counts_as_one_source() {
        let gate = Gate::new(10, 1);
        let _held = gate.admit(ip("2001:db8::1")).expect("a place");
        assert_eq!(
            gate.admit(ip("2001:db8::2")).expect_err("the same /64"),
            Full::Address
        );
        gate.admit(ip("2001:db8:0:1::1")).expect("another /64");
    }

    #[test]
    fn the_node_has_a_bound_for_loopback_too() {
        let gate = Gate::new(3, 1);
        let _held: Vec<_> = (0..3)
            .map(|_| gate.admit(ip("127.0.0.1")).expect("a place"))
            .collect();
        assert_eq!(
            gate.admit(ip("127.0.0.1")).expect_err("no place"),
            Full::Node
        );
    }
}
