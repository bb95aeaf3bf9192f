//! The strangers of a node: who is there, in which order they came, and who is given up for whom.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tidings_hub::ids::{ConnectionId, HubId};
use tidings_wire::limits::PREAUTH_GIVE_UP_MS;
use tidings_wire::rates::{Bucket, Rate};

use super::scope::Scope;

/// Scopes that are remembered. Beyond it, those without a connection are forgotten.
pub(super) const SCOPES_MAX: usize = 65_536;

/// Who has a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) hub: HubId,
    pub(crate) connection: ConnectionId,
}

#[derive(Debug)]
struct Stranger {
    owner: Owner,
    /// Narrowest first; at least [`Scope::UNTOLD`].
    scopes: Vec<Scope>,
    since_ms: u64,
}

/// What is remembered of a scope.
#[derive(Debug, Default)]
pub(super) struct Source {
    /// Its connections in the order in which they came.
    open: BTreeSet<u64>,
    pub(super) handshakes: Bucket,
    pub(super) legacy_handshakes: Bucket,
    pub(super) visits: Bucket,
    pub(super) requests: Bucket,
    pub(super) failures: Bucket,
    /// Turned away until this time after too many failed logins. Monotonic milliseconds.
    pub(super) paused_until_ms: u64,
    /// When it was last heard of. Monotonic milliseconds.
    heard_ms: u64,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    /// By the order in which they came.
    strangers: BTreeMap<u64, Stranger>,
    came: u64,
    /// Bound: [`SCOPES_MAX`] and those with a connection.
    sources: HashMap<Scope, Source>,
    /// Widest scopes with a stranger, by how many they have.
    heaviest: BTreeSet<(usize, Scope)>,
    /// The latest time at which any hub has asked.
    latest_ms: u64,
}

impl Crowd {
    /// The time for what hubs count together: a hub whose turn began earlier than that of another
    /// must not find a bucket emptier than it is.
    pub(super) fn at(&mut self, now_ms: u64) -> u64 {
        self.latest_ms = self.latest_ms.max(now_ms);
        self.latest_ms
    }

    pub(super) fn len(&self) -> usize {
        self.strangers.len()
    }

    /// Takes a stranger in and names it.
    pub(super) fn enter(&mut self, owner: Owner, scopes: Vec<Scope>, now_ms: u64) -> u64 {
        self.came += 1;
        let name = self.came;
        for scope in &scopes {
            self.source(*scope, now_ms).open.insert(name);
        }
        self.weigh(&scopes, 1);
        self.strangers.insert(
            name,
            Stranger {
                owner,
                scopes,
                since_ms: now_ms,
            },
        );
        name
    }

    /// Lets one go. It may have been given up before.
    pub(super) fn leave(&mut self, name: u64) -> Option<Owner> {
        let stranger = self.strangers.remove(&name)?;
        for scope in &stranger.scopes {
            if let Some(source) = self.sources.get_mut(scope) {
                source.open.remove(&name);
            }
        }
        self.weigh(&stranger.scopes, -1);
        Some(stranger.owner)
    }

    /// Another hub has the connection now.
    pub(super) fn move_to(&mut self, name: u64, hub: HubId) {
        if let Some(stranger) = self.strangers.get_mut(&name) {
            stranger.owner.hub = hub;
        }
    }

    /// Keeps `heaviest` true: the widest scope has one more, or one less, than before.
    fn weigh(&mut self, scopes: &[Scope], change: isize) {
        let Some(widest) = scopes.last() else {
            return;
        };
        let open = self.open(*widest);
        let (before, now) = match change {
            1 => (open - 1, open),
            _ => (open + 1, open),
        };
        self.heaviest.remove(&(before, *widest));
        if now > 0 {
            self.heaviest.insert((now, *widest));
        }
    }

    pub(super) fn open(&self, scope: Scope) -> usize {
        self.sources
            .get(&scope)
            .map_or(0, |source| source.open.len())
    }

    /// Gives up the oldest stranger of a scope, if it has had its time to log in.
    pub(super) fn give_up_oldest(&mut self, scope: Scope, now_ms: u64) -> Option<Owner> {
        let oldest = *self.sources.get(&scope)?.open.first()?;
        if now_ms < self.strangers.get(&oldest)?.since_ms + PREAUTH_GIVE_UP_MS {
            return None;
        }
        self.leave(oldest)
    }

    /// Gives up the oldest stranger of the scope that has most of them; of equal ones the one that
    /// has waited longest.
    pub(super) fn give_up_heaviest(&mut self) -> Option<Owner> {
        let (most, heaviest) = *self.heaviest.last()?;
        if most > 1 {
            let oldest = *self.sources.get(&heaviest)?.open.first()?;
            return self.leave(oldest);
        }
        let (oldest, _) = self.strangers.first_key_value()?;
        self.leave(*oldest)
    }

    pub(super) fn source(&mut self, scope: Scope, now_ms: u64) -> &mut Source {
        if self.sources.len() >= SCOPES_MAX && !self.sources.contains_key(&scope) {
            self.forget(now_ms);
        }
        let source = self.sources.entry(scope).or_default();
        source.heard_ms = now_ms;
        source
    }

    /// A source that is remembered.
    pub(super) fn known(&mut self, scope: Scope) -> Option<&mut Source> {
        self.sources.get_mut(&scope)
    }

    /// Forgets sources of which nothing has to be known; if that is not enough, all without a
    /// connection.
    fn forget(&mut self, now_ms: u64) {
        self.sources.retain(|_, source| {
            !source.open.is_empty()
                || now_ms < source.paused_until_ms
                || now_ms.saturating_sub(source.heard_ms) < REMEMBERED_MS
        });
        if self.sources.len() >= SCOPES_MAX / 2 {
            self.sources.retain(|_, source| !source.open.is_empty());
        }
    }

    #[cfg(test)]
    pub(super) fn scopes(&self) -> usize {
        self.sources.len()
    }
}

/// No rate of a source looks further back, in milliseconds.
const REMEMBERED_MS: u64 = 20_000;

/// A rate for a scope that may have so many times as much.
pub(super) fn wide(rate: Rate, factor: u32) -> Rate {
    Rate {
        calls: rate.calls.saturating_mul(factor),
        ..rate
    }
}
