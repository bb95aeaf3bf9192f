//! What the gate knows of HTTP: visits, requests, and who is behind a connection that a proxy
//! keeps.
//!
//! A visit is one of many that a browser opens for a page, and its places are counted by the HTTP
//! side. So it gives back what it took as a connection that may log in, and is held to rates of its
//! own.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use super::{Door, Full, Gate, GivenUp, Owner, Scope, StrangerPlace, scopes};

impl Gate {
    /// Counts a request of `address`, which a connection may send many of.
    ///
    /// # Errors
    /// The source sends too many, or pauses after too many failed logins.
    pub(crate) fn request(&self, address: IpAddr, now_ms: u64) -> Result<(), Full> {
        let scopes: Vec<Scope> = scopes(address).collect();
        let mut crowd = self.crowd();
        if Self::is_paused(&mut crowd, &scopes, now_ms) {
            return Err(self.refused(Full::Failures));
        }
        self.take(&mut crowd, &scopes, Door::Request, now_ms)
    }

    /// A request of `address` was one with a good key: it counts for the key's app only.
    pub(crate) fn give_back_request(&self, address: IpAddr) {
        let scopes: Vec<Scope> = scopes(address).collect();
        self.give_back(&mut self.crowd(), &scopes, Door::Request);
    }

    /// A token that `address` has shown was wrong.
    pub(crate) fn note_failure_of(&self, address: IpAddr, now_ms: u64) {
        let scopes: Vec<Scope> = scopes(address).collect();
        self.note_failure(&scopes, now_ms);
    }
}

impl StrangerPlace {
    pub(crate) fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// Whether each request on it may be somebody else's: it comes from a trusted proxy.
    pub(crate) fn is_shared(&self) -> bool {
        self.is_from_proxy
    }

    /// Who has a share of the places for visits; `None` = nobody in particular.
    pub(crate) fn visitor(&self) -> Option<IpAddr> {
        // Without limits of its own: loopback, or a proxy that does not say for whom.
        self.scopes.first()?;
        Some(match self.address.to_canonical() {
            IpAddr::V4(v4) => v4.into(),
            IpAddr::V6(v6) => Ipv6Addr::from(u128::from(v6) >> 64 << 64).into(),
        })
    }

    /// It asks for a page: it is among the strangers no longer, and counts among the visits of its
    /// source.
    ///
    /// # Errors
    /// The source has opened too many of these too.
    pub(crate) fn count_as_visit(&mut self, now_ms: u64) -> Result<(), Full> {
        {
            let mut crowd = self.gate.crowd();
            let taken = self
                .gate
                .take(&mut crowd, &self.scopes, Door::Visit, now_ms);
            taken?;
            // Only its own: what the source has done besides counts on.
            self.gate.give_back(&mut crowd, &self.scopes, self.door);
        }
        self.door = Door::Visit;
        self.leave();
        Ok(())
    }

    /// It is a visit no more, and may log in: it counts as if it had just come, as `owner`'s.
    ///
    /// # Errors
    /// The source is over one of its limits.
    pub(crate) fn count_as_stranger(&mut self, owner: Owner, now_ms: u64) -> Result<GivenUp, Full> {
        self.owner = owner;
        self.door = Door::Any;
        if self.is_from_proxy {
            // The request that follows says for whom.
            self.is_proxied = true;
            self.scopes.clear();
        }
        let gate = self.gate.clone();
        let mut crowd = gate.crowd();
        let mut given_up = gate.check(&mut crowd, &self.scopes, now_ms)?;
        let place = gate.enter(&mut crowd, owner, &self.scopes, now_ms, &mut given_up);
        self.place = Some(place);
        Ok(given_up)
    }
}

#[cfg(test)]
mod tests {
    use tidings_hub::ids::{ConnectionId, HubId};
    use tidings_wire::limits::{
        FAILED_LOGIN_PAUSE_MS, RATE_FAILED_LOGIN, RATE_VISIT, RATE_VISIT_REQUEST,
    };

    use super::super::tests::{Door, ip};
    use super::*;

    const OWNER: Owner = Owner {
        hub: HubId::local(0),
        connection: ConnectionId(0),
    };

    #[test]
    fn a_school_behind_one_address_may_load_a_page_at_once() {
        let door = Door::new(10_000, 100);
        let mut visits = Vec::new();
        for _ in 0..RATE_VISIT.calls {
            let mut stranger = door.admit("192.0.2.1", 0).expect("a place");
            stranger.count_as_visit(0).expect("a visit");
            visits.push(stranger);
        }
        let mut more = door.admit("192.0.2.1", 0).expect("a place");
        assert_eq!(more.count_as_visit(0), Err(Full::Handshakes));
        drop(more);
        // As many may log in as ever.
        let strangers: Vec<_> = (0..100)
            .map(|_| door.admit("192.0.2.1", 0).expect("a place"))
            .collect();
        assert_eq!(door.admit("192.0.2.1", 0).err(), Some(Full::Source));
        let back = visits[0].count_as_stranger(OWNER, 0);
        assert_eq!(back, Err(Full::Source), "a visit is no way round the bound");
        drop(strangers);
        visits[0].count_as_stranger(OWNER, 0).expect("a place");
    }

    #[test]
    fn requests_have_a_rate_and_wrong_tokens_a_pause() {
        let door = Door::new(10, 10);
        let request = |address: &str, now_ms| door.gate.request(ip(address), now_ms);
        for _ in 0..RATE_VISIT_REQUEST.calls {
            request("192.0.2.1", 0).expect("a request");
        }
        assert_eq!(request("192.0.2.1", 0), Err(Full::Handshakes));
        for _ in 0..=RATE_FAILED_LOGIN.calls {
            request("203.0.113.2", 0).expect("not paused");
            door.gate.note_failure_of(ip("203.0.113.2"), 0);
        }
        assert_eq!(request("203.0.113.2", 0), Err(Full::Failures));
        assert_eq!(door.admit("203.0.113.2", 0).err(), Some(Full::Failures));
        request("203.0.113.2", FAILED_LOGIN_PAUSE_MS).expect("the pause is over");
        request("127.0.0.1", 0).expect("nobody in particular");
    }

    #[test]
    fn a_connection_of_a_proxy_may_be_somebody_elses_next() {
        let door = Door::new(10, 1);
        let mut kept = door.admit("198.51.100.7", 0).expect("a place");
        assert_eq!(kept.visitor(), None);
        kept.forwarded(ip("192.0.2.1"), 0).expect("a place");
        kept.count_as_visit(0).expect("a visit");
        assert!(kept.is_shared());
        assert_eq!(kept.visitor(), Some(ip("192.0.2.1")));
        kept.count_as_stranger(OWNER, 0)
            .expect("the proxy has yet to say");
        assert!(kept.proxied_at().is_some());
        kept.forwarded(ip("192.0.2.2"), 0).expect("a place");
        assert_eq!(door.admit("192.0.2.2", 0).err(), Some(Full::Source));
    }
}
