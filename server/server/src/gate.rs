//! Counts connections that have not logged in, per node and per source, and enforces the rates of
//! sources.
//!
//! Slots are given up rather than exhausted: a newcomer takes the slot of the oldest stranger of
//! its own source or, when the node is full, of the source that has the most (decision 0012).

mod crowd;
mod scope;
mod visits;

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tidings_hub::ids::HubId;
use tidings_wire::limits::{RATE_VISIT, RATE_VISIT_REQUEST};
use tidings_wire::rates::{Bucket, Rate};

pub(crate) use self::crowd::Owner;
use self::crowd::{Crowd, Source, wide};
use self::scope::{Scope, scopes};
use crate::config::Limits;
use crate::network::Network;

/// The node's count. Shared by all hubs; used when a connection arrives and when it has logged in,
/// never by a message.
#[derive(Debug)]
pub(crate) struct Gate {
    limits: Limits,
    trusted_proxies: Vec<Network>,
    crowd: Mutex<Crowd>,
    /// How often somebody was refused, in the order of [`Full::ALL`].
    refused: [AtomicU64; Full::ALL.len()],
}

/// Why a connection is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// The source has too many connections, all of them recent.
    Source,
    /// The source connects too often.
    Handshakes,
    /// The source has failed to log in too often.
    Failures,
}

impl Full {
    pub(crate) const ALL: [Self; 3] = [Self::Source, Self::Handshakes, Self::Failures];

    /// As logs and metrics name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Source => "too_many_connections",
            Self::Handshakes => "connects_too_often",
            Self::Failures => "logins_failed_too_often",
        }
    }
}

/// The cost of a newcomer: the connections dropped for it. Nearly always none.
pub(crate) type GivenUp = Vec<Owner>;

/// The door at which a connection arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Door {
    Any,
    /// Legacy clients open many connections for one login (signaling 2.6).
    Legacy,
    /// Browsers open several for one page.
    Visit,
    /// Requests on those.
    Request,
}

impl Gate {
    pub(crate) fn new(limits: &Limits, trusted_proxies: Vec<Network>) -> Arc<Self> {
        Arc::new(Self {
            limits: *limits,
            trusted_proxies,
            crowd: Mutex::default(),
            refused: Default::default(),
        })
    }

    /// Counts a connection from `address` until its place is dropped. One from a trusted proxy
    /// counts for the node alone until [`StrangerPlace::forwarded`] says who is behind it.
    ///
    /// # Errors
    /// If its source exceeds one of its limits.
    pub(crate) fn admit(
        self: &Arc<Self>,
        owner: Owner,
        address: IpAddr,
        now_ms: u64,
    ) -> Result<(StrangerPlace, GivenUp), Full> {
        let is_proxied = self.trusts(address);
        let scopes: Vec<Scope> = if is_proxied {
            Vec::new()
        } else {
            scopes(address).collect()
        };
        let mut crowd = self.crowd();
        let mut given_up = self.check(&mut crowd, &scopes, now_ms)?;
        let place = self.enter(&mut crowd, owner, &scopes, now_ms, &mut given_up);
        let stranger = StrangerPlace {
            gate: self.clone(),
            address,
            owner,
            place: Some(place),
            scopes,
            door: Door::Any,
            is_proxied,
            is_from_proxy: is_proxied,
        };
        Ok((stranger, given_up))
    }

    /// Whether addresses forwarded by this one are trusted.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        let mut proxies = self.trusted_proxies.iter();
        proxies.any(|network| network.contains(address))
    }

    /// Checks a newcomer against the limits of its scopes, and drops the oldest of a scope for it.
    fn check(&self, crowd: &mut Crowd, scopes: &[Scope], now_ms: u64) -> Result<GivenUp, Full> {
        if Self::is_paused(crowd, scopes, now_ms) {
            return Err(self.refused(Full::Failures));
        }
        self.take(crowd, scopes, Door::Any, now_ms)?;
        let mut given_up = GivenUp::new();
        for scope in scopes {
            let most = self.limits.preauth_connections_per_address_max;
            if crowd.open(*scope) < most.saturating_mul(scope.factor() as usize) {
                continue;
            }
            match crowd.give_up_oldest(*scope, now_ms) {
                Some(oldest) => given_up.push(oldest),
                None => {
                    self.give_back(crowd, scopes, Door::Any);
                    return Err(self.refused(Full::Source));
                }
            }
        }
        Ok(given_up)
    }

    fn enter(
        &self,
        crowd: &mut Crowd,
        owner: Owner,
        scopes: &[Scope],
        now_ms: u64,
        given_up: &mut GivenUp,
    ) -> u64 {
        while crowd.len() >= self.limits.preauth_connections_max.max(1) {
            match crowd.give_up_heaviest() {
                Some(oldest) => given_up.push(oldest),
                None => break,
            }
        }
        let scopes = match scopes {
            [] => vec![Scope::UNTOLD],
            _ => scopes.to_vec(),
        };
        crowd.enter(owner, scopes, now_ms)
    }

    /// Counts a refusal.
    fn refused(&self, why: Full) -> Full {
        self.refused[why as usize].fetch_add(1, Ordering::Relaxed);
        why
    }

    /// How often somebody was refused, and why.
    pub(crate) fn refusals(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.refused.iter();
        let names = Full::ALL.into_iter().map(Full::name);
        names.zip(counts.map(|count| count.load(Ordering::Relaxed)))
    }

    /// Takes a handshake from all scopes, or from none.
    fn take(
        &self,
        crowd: &mut Crowd,
        scopes: &[Scope],
        door: Door,
        now_ms: u64,
    ) -> Result<(), Full> {
        let now_ms = crowd.at(now_ms);
        for (at, scope) in scopes.iter().enumerate() {
            let rate = wide(self.handshakes(door), scope.factor());
            let source = crowd.source(*scope, now_ms);
            if bucket(source, door).take(rate, now_ms).is_err() {
                self.give_back(crowd, &scopes[..at], door);
                return Err(self.refused(Full::Handshakes));
            }
        }
        Ok(())
    }

    fn give_back(&self, crowd: &mut Crowd, scopes: &[Scope], door: Door) {
        for scope in scopes {
            let rate = wide(self.handshakes(door), scope.factor());
            if let Some(source) = crowd.known(*scope) {
                bucket(source, door).give_back(rate);
            }
        }
    }

    fn handshakes(&self, door: Door) -> Rate {
        match door {
            Door::Any => self.limits.handshakes,
            Door::Legacy => self.limits.legacy_handshakes,
            Door::Visit => RATE_VISIT,
            Door::Request => RATE_VISIT_REQUEST,
        }
    }

    fn note_failure(&self, scopes: &[Scope], now_ms: u64) {
        let mut crowd = self.crowd();
        let now_ms = crowd.at(now_ms);
        for scope in scopes {
            let rate = wide(self.limits.failed_logins, scope.factor());
            let source = crowd.source(*scope, now_ms);
            if source.failures.take(rate, now_ms).is_err() {
                source.paused_until_ms = now_ms + self.limits.failed_login_pause_ms;
            }
        }
    }

    fn is_paused(crowd: &mut Crowd, scopes: &[Scope], now_ms: u64) -> bool {
        let mut scopes = scopes.iter();
        scopes.any(|scope| now_ms < crowd.source(*scope, now_ms).paused_until_ms)
    }

    fn crowd(&self) -> MutexGuard<'_, Crowd> {
        self.crowd.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bucket(source: &mut Source, door: Door) -> &mut Bucket {
    match door {
        Door::Any => &mut source.handshakes,
        Door::Legacy => &mut source.legacy_handshakes,
        Door::Visit => &mut source.visits,
        Door::Request => &mut source.requests,
    }
}

/// A counted connection.
#[derive(Debug)]
pub(crate) struct StrangerPlace {
    gate: Arc<Gate>,
    /// Its source, as far as it is known.
    address: IpAddr,
    owner: Owner,
    /// Its number among the strangers; `None` = it is no longer counted there.
    place: Option<u64>,
    /// Narrowest first; empty for a source without limits of its own.
    scopes: Vec<Scope>,
    door: Door,
    /// The proxy has not yet stated its client.
    is_proxied: bool,
    is_from_proxy: bool,
}

impl StrangerPlace {
    /// The gate, if the connection comes from a trusted proxy that has not yet stated its client.
    pub(crate) fn proxied_at(&self) -> Option<&Gate> {
        self.is_proxied.then_some(&*self.gate)
    }

    /// The client's address: as its proxy states, otherwise the socket's.
    pub(crate) fn address(&self) -> IpAddr {
        self.address
    }

    /// Counts it for the address that its proxy has stated.
    ///
    /// # Errors
    /// If the source exceeds one of its limits; the connection still counts for the node.
    pub(crate) fn forwarded(&mut self, address: IpAddr, now_ms: u64) -> Result<GivenUp, Full> {
        self.is_proxied = false;
        self.address = address;
        let scopes: Vec<Scope> = scopes(address).collect();
        if scopes.is_empty() {
            return Ok(GivenUp::new());
        }
        let gate = self.gate.clone();
        let mut crowd = gate.crowd();
        let mut given_up = gate.check(&mut crowd, &scopes, now_ms)?;
        if let Some(place) = self.place.take() {
            crowd.leave(place);
        }
        let place = gate.enter(&mut crowd, self.owner, &scopes, now_ms, &mut given_up);
        self.place = Some(place);
        self.scopes = scopes;
        Ok(given_up)
    }

    /// It is one of the many that a legacy client opens: it counts among those of its source, which
    /// may come more often.
    ///
    /// # Errors
    /// If the source has opened too many of these too.
    pub(crate) fn count_as_legacy(&mut self, now_ms: u64) -> Result<(), Full> {
        let mut crowd = self.gate.crowd();
        self.gate
            .take(&mut crowd, &self.scopes, Door::Legacy, now_ms)?;
        // Only its own handshake: what the source has done besides still counts.
        self.gate.give_back(&mut crowd, &self.scopes, Door::Any);
        self.door = Door::Legacy;
        Ok(())
    }

    /// It is no longer among the strangers: it has a slot elsewhere, or needs none.
    pub(crate) fn leave(&mut self) {
        if let Some(place) = self.place.take() {
            self.gate.crowd().leave(place);
        }
    }

    /// Another hub has the connection now.
    pub(crate) fn move_to(&mut self, hub: HubId) {
        self.owner.hub = hub;
        if let Some(place) = self.place {
            self.gate.crowd().move_to(place, hub);
        }
    }

    /// A login on it succeeded: many users behind one address are not one that connects too often.
    pub(crate) fn note_login(&self) {
        if !self.scopes.is_empty() {
            let mut crowd = self.gate.crowd();
            self.gate.give_back(&mut crowd, &self.scopes, self.door);
        }
    }

    /// A login on it failed.
    pub(crate) fn note_failure(&self, now_ms: u64) {
        self.gate.note_failure(&self.scopes, now_ms);
    }
}

impl Drop for StrangerPlace {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tidings_hub::ids::ConnectionId;
    use tidings_wire::limits::{
        FAILED_LOGIN_PAUSE_MS, PREAUTH_GIVE_UP_MS, RATE_FAILED_LOGIN, RATE_HANDSHAKE,
        RATE_LEGACY_HANDSHAKE,
    };

    use super::crowd::SCOPES_MAX;
    use super::*;

    pub(in crate::gate) fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    /// The n-th /64 of a /32.
    fn network(n: u128) -> IpAddr {
        IpAddr::from(((0x2001_0db8 << 96) | (n << 64)).to_be_bytes())
    }

    /// A gate, and a counter that names connections.
    pub(in crate::gate) struct Door {
        pub(in crate::gate) gate: Arc<Gate>,
        made: Cell<u64>,
    }

    impl Door {
        pub(in crate::gate) fn new(connections_max: usize, per_address_max: usize) -> Self {
            let limits = Limits {
                preauth_connections_max: connections_max,
                preauth_connections_per_address_max: per_address_max,
                ..Limits::default()
            };
            let proxies =
                ["198.51.100.0/24", "127.0.0.1"].map(|text| text.parse().expect("a network"));
            Self {
                gate: Gate::new(&limits, proxies.into()),
                made: Cell::new(0),
            }
        }

        pub(in crate::gate) fn knock(
            &self,
            address: IpAddr,
            now_ms: u64,
        ) -> Result<(StrangerPlace, Vec<u64>), Full> {
            self.made.set(self.made.get() + 1);
            let owner = Owner {
                hub: HubId::local(0),
                connection: ConnectionId(self.made.get()),
            };
            let (stranger, given_up) = self.gate.admit(owner, address, now_ms)?;
            let given_up = given_up.iter().map(|owner| owner.connection.0).collect();
            Ok((stranger, given_up))
        }

        pub(in crate::gate) fn admit(
            &self,
            address: &str,
            now_ms: u64,
        ) -> Result<StrangerPlace, Full> {
            let (stranger, given_up) = self.knock(ip(address), now_ms)?;
            assert_eq!(given_up, [0; 0], "nobody has to go");
            Ok(stranger)
        }
    }

    #[test]
    fn a_source_gives_up_its_own_oldest_and_nobody_elses() {
        let door = Door::new(10, 2);
        let _other = door.admit("192.0.2.9", 0).expect("a place");
        let _held: Vec<_> = (0..2)
            .map(|_| door.admit("192.0.2.1", 1_000).expect("a place"))
            .collect();
        let refused = door.admit("192.0.2.1", 1_001).expect_err("all are young");
        assert_eq!(refused, Full::Source);
        let refused = door.admit("::ffff:192.0.2.1", 1_001).expect_err("the same");
        assert_eq!(refused, Full::Source);
        let (_new, given_up) = door
            .knock(ip("192.0.2.1"), 1_000 + PREAUTH_GIVE_UP_MS)
            .expect("the oldest goes");
        assert_eq!(given_up, [2]);
    }

    #[test]
    fn who_has_gone_makes_room() {
        let door = Door::new(10, 1);
        drop(door.admit("192.0.2.1", 0).expect("a place"));
        door.admit("192.0.2.1", 0).expect("a place again");
    }

    #[test]
    fn wider_networks_have_growing_bounds() {
        let door = Door::new(1_000, 1);
        // 16 /64s in one /48, in 16 /56s.
        let held: Vec<_> = (0..16)
            .map(|n| door.knock(network(n << 8), 0).expect("a place"))
            .collect();
        assert!(held.iter().all(|(_, given_up)| given_up.is_empty()));
        let refused = door
            .knock(network(16 << 8), 1)
            .expect_err("the /48 is full");
        assert_eq!(refused, Full::Source);
        door.knock(network(1 << 16), 1).expect("another /48");
        // 4 /64s in one /56.
        let _held: Vec<_> = (0..4)
            .map(|n| door.knock(network((2 << 16) | n), 1).expect("a place"))
            .collect();
        let fifth = network((2 << 16) | 4);
        assert_eq!(door.knock(fifth, 2).expect_err("full"), Full::Source);
    }

    #[test]
    fn a_full_node_gives_up_the_oldest_of_the_source_that_has_most() {
        let door = Door::new(6, 10);
        let _honest = door.admit("203.0.113.1", 0).expect("a place");
        let _held: Vec<_> = (0..5)
            .map(|_| door.admit("192.0.2.1", 1).expect("a place"))
            .collect();
        let (_new, given_up) = door.knock(ip("203.0.113.7"), 2).expect("a place");
        assert_eq!(given_up, [2], "the oldest of the five, however young");
        assert_eq!(door.gate.crowd().len(), 6);
    }

    #[test]
    fn a_full_node_of_single_strangers_gives_up_the_oldest() {
        let door = Door::new(3, 10);
        let _held: Vec<_> = (0..3)
            .map(|n| door.knock(network(n << 16), 0).expect("a place"))
            .collect();
        let (_new, given_up) = door.knock(network(9 << 16), 0).expect("a place");
        assert_eq!(given_up, [1]);
    }

    #[test]
    fn the_node_has_a_bound_for_loopback_too() {
        let door = Door::new(3, 1);
        let _held: Vec<_> = (0..3)
            .map(|_| door.admit("127.0.0.2", 0).expect("a place"))
            .collect();
        let (_new, given_up) = door.knock(ip("127.0.0.2"), 0).expect("a place");
        assert_eq!(given_up, [1]);
    }

    #[test]
    fn who_is_given_up_does_not_count_twice() {
        let door = Door::new(2, 10);
        let first = door.admit("192.0.2.1", 0).expect("a place");
        let _second = door.admit("192.0.2.1", 0).expect("a place");
        let (_third, given_up) = door.knock(ip("192.0.2.1"), 0).expect("a place");
        assert_eq!(given_up, [1]);
        drop(first);
        assert_eq!(door.gate.crowd().len(), 2);
    }

    #[test]
    fn handshakes_of_a_source_have_a_rate_of_which_logins_are_no_part() {
        let door = Door::new(10, 1);
        for _ in 0..RATE_HANDSHAKE.calls {
            door.admit("192.0.2.1", 0).expect("a place");
        }
        let refused = door.admit("192.0.2.1", 0).expect_err("too often");
        assert_eq!(refused, Full::Handshakes);
        door.admit("192.0.2.2", 0).expect("another source");
        door.admit("192.0.2.1", 1_000).expect("a second later");

        let door = Door::new(10, 1);
        for _ in 0..3 * RATE_HANDSHAKE.calls {
            door.admit("192.0.2.1", 0).expect("a place").note_login();
        }
    }

    #[test]
    fn a_hub_whose_turn_began_earlier_finds_no_emptier_bucket() {
        let door = Door::new(10, 1);
        for at in 0..RATE_HANDSHAKE.calls {
            let now_ms = if at % 2 == 0 { 11 } else { 10 };
            door.admit("192.0.2.1", now_ms).expect("a place");
        }
    }

    #[test]
    fn handshakes_of_many_sources_of_one_network_have_a_rate() {
        let door = Door::new(10, 1);
        let mut taken = 0;
        let refused = loop {
            match door.knock(network(taken % 256), 0) {
                Ok(_) => taken += 1,
                Err(full) => break full,
            }
        };
        assert_eq!(refused, Full::Handshakes);
        assert_eq!(taken, 4 * u128::from(RATE_HANDSHAKE.calls), "of a /56");
    }

    #[test]
    fn a_legacy_handshake_gives_back_its_own_place_and_no_other() {
        let door = Door::new(10, 1);
        let admit = || door.admit("192.0.2.1", 0);
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
    fn legacy_connections_have_places_like_all_others() {
        let door = Door::new(100, 2);
        let mut held = Vec::new();
        for _ in 0..2 {
            let mut legacy = door.admit("192.0.2.1", 0).expect("a place");
            legacy.count_as_legacy(0).expect("one of many");
            held.push(legacy);
        }
        assert_eq!(door.admit("192.0.2.1", 1).err(), Some(Full::Source));
    }

    #[test]
    fn a_bucket_outlives_the_connections_that_emptied_it() {
        let door = Door::new(10, 1);
        for _ in 0..RATE_HANDSHAKE.calls {
            drop(door.admit("192.0.2.1", 0).expect("a place"));
        }
        // Strangers enough to have sources forgotten of which nothing has to be known.
        for n in 0..SCOPES_MAX as u128 / 4 {
            door.knock(network(n << 16), 1).expect("a place");
        }
        let refused = door.admit("192.0.2.1", 1).expect_err("too often");
        assert_eq!(refused, Full::Handshakes);
    }

    #[test]
    fn a_source_that_fails_too_often_pauses() {
        let door = Door::new(10, 3);
        let held = door.admit("192.0.2.1", 0).expect("a place");
        for _ in 0..RATE_FAILED_LOGIN.calls {
            held.note_failure(0);
        }
        door.admit("192.0.2.1", 0).expect("not yet too many");
        held.note_failure(0);
        let refused = door.admit("192.0.2.1", 1).expect_err("paused");
        assert_eq!(refused, Full::Failures);
        door.admit("192.0.2.2", 1).expect("another source");
        door.admit("192.0.2.1", FAILED_LOGIN_PAUSE_MS)
            .expect("the pause is over");
    }

    #[test]
    fn behind_a_trusted_proxy_the_stated_source_counts() {
        let door = Door::new(10, 1);
        let through = |proxy: &str, client: &str| {
            let mut stranger = door.admit(proxy, 0).expect("a place");
            assert!(stranger.proxied_at().is_some());
            stranger.forwarded(ip(client), 0).map(|_| stranger)
        };
        let held = through("198.51.100.7", "192.0.2.1").expect("a place");
        assert_eq!(held.address(), ip("192.0.2.1"));
        let refused = through("127.0.0.1", "192.0.2.1").expect_err("the same source");
        assert_eq!(refused, Full::Source);
        assert!(through("127.0.0.1", "192.0.2.2").is_ok());
        assert_eq!(door.admit("192.0.2.1", 0).err(), Some(Full::Source));
        let stranger = door.admit("203.0.113.1", 0).expect("a place");
        assert!(stranger.proxied_at().is_none());
    }

    #[test]
    fn what_is_remembered_of_sources_is_bounded() {
        let door = Door::new(10, 10);
        for n in 0..SCOPES_MAX as u128 {
            let _ = door.knock(network(n << 16), 0);
        }
        assert!(door.gate.crowd().scopes() <= SCOPES_MAX + 2);
    }
}
