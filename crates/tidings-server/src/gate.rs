//! Counts connections that have not logged in, per node and per source, and holds sources to their rates.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tidings_wire::limits::{
    FAILED_LOGIN_PAUSE_MS, RATE_FAILED_LOGIN, RATE_HANDSHAKE, RATE_LEGACY_HANDSHAKE,
};
use tidings_wire::rates::Bucket;

use crate::config::Limits;
use crate::network::Network;

/// Sources that are remembered. Beyond it, those without a connection are forgotten.
const SOURCES_MAX: usize = 65_536;

/// The node's count. Shared by all hubs; touched when a connection comes and when it has logged in, never by a
/// message.
#[derive(Debug)]
pub(crate) struct Gate {
    connections_max: usize,
    per_address_max: usize,
    trusted_proxies: Vec<Network>,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    total: usize,
    /// Bound: [`SOURCES_MAX`] and those with a connection, of which there are at most `connections_max`.
    sources: HashMap<IpAddr, Source>,
}

/// What is remembered of a source.
#[derive(Debug, Default)]
struct Source {
    open: usize,
    handshakes: Bucket,
    legacy_handshakes: Bucket,
    failures: Bucket,
    /// Turned away until this time after too many failed logins. Monotonic milliseconds.
    paused_until_ms: u64,
    /// When it was last heard of. Monotonic milliseconds.
    heard_ms: u64,
}

/// Why a connection is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// The node has too many strangers.
    Node,
    /// The source has too many connections.
    Source,
    /// The source connects too often.
    Handshakes,
    /// The source has failed to log in too often.
    Failures,
}

impl Gate {
    pub(crate) fn new(limits: &Limits, trusted_proxies: Vec<Network>) -> Arc<Self> {
        Arc::new(Self {
            connections_max: limits.preauth_connections_max,
            per_address_max: limits.preauth_connections_per_address_max,
            trusted_proxies,
            counts: Mutex::default(),
        })
    }

    /// Counts a connection from `address` until its admission is dropped. One from a trusted proxy counts for the
    /// node alone until [`Admission::forwarded`] says who is behind it.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr, now_ms: u64) -> Result<Admission, Full> {
        let is_proxied = self.trusts(address);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.total >= self.connections_max {
            return Err(Full::Node);
        }
        let source = if is_proxied { None } else { source(address) };
        if let Some(source) = source {
            counts.enter(source, self.per_address_max, now_ms)?;
        }
        counts.total += 1;
        Ok(Admission {
            gate: self.clone(),
            source,
            is_counted: source.is_some(),
            is_proxied,
        })
    }

    /// Whether forwarded addresses of this one are believed.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        let mut proxies = self.trusted_proxies.iter();
        proxies.any(|network| network.contains(address))
    }
}

/// A counted connection.
#[derive(Debug)]
pub(crate) struct Admission {
    gate: Arc<Gate>,
    source: Option<IpAddr>,
    is_counted: bool,
    is_proxied: bool,
}

impl Admission {
    /// The gate, if the connection comes from a trusted proxy that has yet to say for whom.
    pub(crate) fn proxied_at(&self) -> Option<&Gate> {
        self.is_proxied.then_some(&*self.gate)
    }

    /// Counts it for the address that its proxy has stated.
    ///
    /// # Errors
    /// The source is over one of its limits; the connection still counts for the node.
    pub(crate) fn forwarded(&mut self, address: IpAddr, now_ms: u64) -> Result<(), Full> {
        self.is_proxied = false;
        let Some(source) = source(address) else {
            return Ok(());
        };
        let counts = &self.gate.counts;
        let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.enter(source, self.gate.per_address_max, now_ms)?;
        self.source = Some(source);
        self.is_counted = true;
        Ok(())
    }

    /// It is one of the many that a legacy client opens: it counts among those of its source, which may be more, and
    /// else for the node only.
    ///
    /// # Errors
    /// The source has opened too many of these too.
    pub(crate) fn count_as_legacy(&mut self, now_ms: u64) -> Result<(), Full> {
        let (Some(source), true) = (self.source, self.is_counted) else {
            return Ok(());
        };
        let counts = &self.gate.counts;
        let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
        let of_source = counts.source(source, now_ms);
        let taken = of_source
            .legacy_handshakes
            .take(RATE_LEGACY_HANDSHAKE, now_ms);
        if taken.is_err() {
            return Err(Full::Handshakes);
        }
        // Only its own: what the source has done besides counts on.
        of_source.handshakes.give_back(RATE_HANDSHAKE);
        counts.release(source);
        self.is_counted = false;
        Ok(())
    }

    /// A login on it has failed.
    pub(crate) fn note_failure(&self, now_ms: u64) {
        let Some(source) = self.source else {
            return;
        };
        let counts = &self.gate.counts;
        let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
        let of_source = counts.source(source, now_ms);
        if of_source.failures.take(RATE_FAILED_LOGIN, now_ms).is_err() {
            of_source.paused_until_ms = now_ms + FAILED_LOGIN_PAUSE_MS;
        }
    }
}

impl Counts {
    /// Takes a connection of a source in.
    fn enter(&mut self, source: IpAddr, open_max: usize, now_ms: u64) -> Result<(), Full> {
        let of_source = self.source(source, now_ms);
        if now_ms < of_source.paused_until_ms {
            return Err(Full::Failures);
        }
        if of_source.open >= open_max {
            return Err(Full::Source);
        }
        if of_source.handshakes.take(RATE_HANDSHAKE, now_ms).is_err() {
            return Err(Full::Handshakes);
        }
        of_source.open += 1;
        Ok(())
    }

    fn source(&mut self, source: IpAddr, now_ms: u64) -> &mut Source {
        if self.sources.len() >= SOURCES_MAX && !self.sources.contains_key(&source) {
            self.forget(now_ms);
        }
        let of_source = self.sources.entry(source).or_default();
        of_source.heard_ms = now_ms;
        of_source
    }

    /// Forgets sources of which nothing has to be known; if that is not enough, all without a connection.
    fn forget(&mut self, now_ms: u64) {
        let window_ms = u64::from(RATE_HANDSHAKE.window_ms.max(RATE_FAILED_LOGIN.window_ms));
        self.sources.retain(|_, source| {
            source.open > 0
                || now_ms < source.paused_until_ms
                || now_ms.saturating_sub(source.heard_ms) < window_ms
        });
        if self.sources.len() >= SOURCES_MAX / 2 {
            self.sources.retain(|_, source| source.open > 0);
        }
    }

    fn release(&mut self, source: IpAddr) {
        if let Some(of_source) = self.sources.get_mut(&source) {
            of_source.open = of_source.open.saturating_sub(1);
        }
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let counts = &self.gate.counts;
        let mut counts = counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.total -= 1;
        if let (Some(source), true) = (self.source, self.is_counted) {
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

    fn gate(connections_max: usize, per_address_max: usize) -> Arc<Gate> {
        let limits = Limits {
            preauth_connections_max: connections_max,
            preauth_connections_per_address_max: per_address_max,
            ..Limits::default()
        };
        let proxies = ["198.51.100.0/24", "127.0.0.1"].map(|text| text.parse().expect("a network"));
        Gate::new(&limits, proxies.into())
    }

    #[test]
    fn one_address_cannot_take_all_places() {
        let gate = gate(10, 2);
        let held: Vec<_> = (0..2)
            .map(|_| gate.admit(ip("192.0.2.1"), 0).expect("a place"))
            .collect();
        assert_eq!(
            gate.admit(ip("192.0.2.1"), 0).expect_err("no place"),
            Full::Source
        );
        assert_eq!(
            gate.admit(ip("::ffff:192.0.2.1"), 0).expect_err("the same"),
            Full::Source
        );
        let _other = gate.admit(ip("192.0.2.2"), 0).expect("a place for another");
        drop(held);
        gate.admit(ip("192.0.2.1"), 0).expect("a place again");
    }

    #[test]
    fn an_ipv6_network_counts_as_one_source() {
        let gate = gate(10, 1);
        let _held = gate.admit(ip("2001:db8::1"), 0).expect("a place");
        assert_eq!(
            gate.admit(ip("2001:db8::2"), 0).expect_err("the same /64"),
            Full::Source
        );
        gate.admit(ip("2001:db8:0:1::1"), 0).expect("another /64");
    }

    #[test]
    fn the_node_has_a_bound_for_loopback_too() {
        let gate = gate(3, 1);
        let _held: Vec<_> = (0..3)
            .map(|_| gate.admit(ip("127.0.0.2"), 0).expect("a place"))
            .collect();
        assert_eq!(
            gate.admit(ip("127.0.0.2"), 0).expect_err("no place"),
            Full::Node
        );
    }

    #[test]
    fn handshakes_of_a_source_have_a_rate() {
        let gate = gate(10, 1);
        for _ in 0..RATE_HANDSHAKE.calls {
            gate.admit(ip("192.0.2.1"), 0).expect("a place");
        }
        let refused = gate.admit(ip("192.0.2.1"), 0).expect_err("too often");
        assert_eq!(refused, Full::Handshakes);
        gate.admit(ip("192.0.2.2"), 0).expect("another source");
        gate.admit(ip("192.0.2.1"), 1_000).expect("a second later");
    }

    #[test]
    fn a_legacy_handshake_gives_back_its_own_place_and_no_other() {
        let gate = gate(10, 1);
        let admit = || gate.admit(ip("192.0.2.1"), 0);
        for _ in 1..RATE_HANDSHAKE.calls {
            admit().expect("a place");
        }
        // One place is left: each of them takes it and gives it back.
        for _ in 0..RATE_LEGACY_HANDSHAKE.calls {
            let mut legacy = admit().expect("a place");
            legacy.count_as_legacy(0).expect("one of many");
        }
        let mut one_more = admit().expect("a place");
        assert_eq!(one_more.count_as_legacy(0), Err(Full::Handshakes));
        drop(one_more);
        assert_eq!(admit().err(), Some(Full::Handshakes));
    }

    #[test]
    fn a_bucket_outlives_the_connections_that_emptied_it() {
        let gate = gate(10, 1);
        for _ in 0..RATE_HANDSHAKE.calls {
            drop(gate.admit(ip("192.0.2.1"), 0).expect("a place"));
        }
        // Strangers enough to have sources forgotten of which nothing has to be known.
        for n in 0..SOURCES_MAX as u128 / 4 {
            let address = IpAddr::from(((0x2001_0db8 << 96) | (n << 64)).to_be_bytes());
            gate.admit(address, 1).expect("a place");
        }
        let refused = gate.admit(ip("192.0.2.1"), 1).expect_err("too often");
        assert_eq!(refused, Full::Handshakes);
    }

    #[test]
    fn a_source_that_fails_too_often_pauses() {
        let gate = gate(10, 3);
        let held = gate.admit(ip("192.0.2.1"), 0).expect("a place");
        for _ in 0..RATE_FAILED_LOGIN.calls {
            held.note_failure(0);
        }
        gate.admit(ip("192.0.2.1"), 0).expect("not yet too many");
        held.note_failure(0);
        let refused = gate.admit(ip("192.0.2.1"), 1).expect_err("paused");
        assert_eq!(refused, Full::Failures);
        gate.admit(ip("192.0.2.2"), 1).expect("another source");
        gate.admit(ip("192.0.2.1"), FAILED_LOGIN_PAUSE_MS)
            .expect("the pause is over");
    }

    #[test]
    fn behind_a_trusted_proxy_the_stated_source_counts() {
        let gate = gate(10, 1);
        let through = |proxy: &str, client: &str| {
            let mut admission = gate.admit(ip(proxy), 0).expect("a place");
            assert!(admission.proxied_at().is_some());
            admission.forwarded(ip(client), 0).map(|()| admission)
        };
        let _held = through("198.51.100.7", "192.0.2.1").expect("a place");
        let refused = through("127.0.0.1", "192.0.2.1").expect_err("the same source");
        assert_eq!(refused, Full::Source);
        assert!(through("127.0.0.1", "192.0.2.2").is_ok());
        assert_eq!(gate.admit(ip("192.0.2.1"), 0).err(), Some(Full::Source));
        let stranger = gate.admit(ip("203.0.113.1"), 0).expect("a place");
        assert!(stranger.proxied_at().is_none());
    }

    #[test]
    fn what_is_remembered_of_sources_is_bounded() {
        let gate = gate(10, 10);
        for n in 0..SOURCES_MAX as u128 + 10 {
            let address = IpAddr::from(((0x2001_0db8 << 96) | (n << 64)).to_be_bytes());
            gate.admit(address, 0).expect("a place");
        }
        let counts = gate.counts.lock().expect("nobody panicked");
        assert!(counts.sources.len() <= SOURCES_MAX);
    }
}
