//! Who counts as one: an address, and the networks around it.

use std::net::{IpAddr, Ipv6Addr};

/// A network whose strangers are counted together.
///
/// IPv4 addresses are kept in the form that IPv6 has for them, so that an IPv4 /24 is a /120 here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Scope {
    network: u128,
    prefix: u8,
}

/// The scopes of one address, narrowest first. Empty for addresses that have no limits of their
/// own.
pub(super) type Scopes = &'static [(u8, u32)];

/// Prefixes of IPv4 addresses, each with how many times as much as the narrowest it may have.
const V4: Scopes = &[(128, 1), (120, 4)];

/// The same of IPv6 addresses. A home has a /64 to a /56, a site a /48.
const V6: Scopes = &[(64, 1), (56, 4), (48, 16)];

impl Scope {
    /// Whoever is not told apart: clients on this machine, and clients of a trusted proxy that has
    /// yet to say for whom it speaks.
    pub(super) const UNTOLD: Self = Self {
        network: 0,
        prefix: 0,
    };

    fn new(address: u128, prefix: u8) -> Self {
        let network = match prefix {
            0 => 0,
            _ => address >> (128 - prefix) << (128 - prefix),
        };
        Self { network, prefix }
    }

    /// How often those of `bound` apply to it.
    pub(super) fn factor(self) -> u32 {
        let known = V4
            .iter()
            .chain(V6)
            .find(|(prefix, _)| *prefix == self.prefix);
        known.map_or(1, |(_, factor)| *factor)
    }
}

/// The scopes of an address, narrowest first; none for a loopback address, which speaks for
/// everybody.
pub(super) fn scopes(address: IpAddr) -> impl DoubleEndedIterator<Item = Scope> {
    let address = address.to_canonical();
    let (bits, prefixes): (u128, Scopes) = match address {
        _ if address.is_loopback() => (0, &[]),
        IpAddr::V4(v4) => (v4.to_ipv6_mapped().into(), V4),
        IpAddr::V6(v6) => (Ipv6Addr::into(v6), V6),
    };
    prefixes
        .iter()
        .map(move |(prefix, _)| Scope::new(bits, *prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(address: &str) -> Vec<Scope> {
        scopes(address.parse().expect("an address")).collect()
    }

    #[test]
    fn addresses_of_one_network_share_its_scope_and_no_narrower_one() {
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.1"));
        assert_eq!(of("192.0.2.1")[1], of("192.0.2.2")[1]);
        assert_ne!(of("192.0.2.1")[0], of("192.0.2.2")[0]);
        assert_ne!(of("192.0.2.1")[1], of("192.0.3.1")[1]);
        let (a, b) = (of("2001:db8:0:100::1"), of("2001:db8:0:1ff::1"));
        assert_ne!(a[0], b[0], "two /64");
        assert_eq!(a[1..], b[1..], "one /56");
        let c = of("2001:db8:0:200::1");
        assert_ne!(a[1], c[1], "two /56");
        assert_eq!(a[2], c[2], "one /48");
        assert_eq!(a[2].factor(), 16);
    }

    #[test]
    fn loopback_has_no_scope() {
        assert!(of("127.0.0.9").is_empty());
        assert!(of("::1").is_empty());
    }
}
