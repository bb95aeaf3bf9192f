//! Where a proxy's connections go: one server, or one of several, as a load balancer would choose.

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};

/// Servers, shared by all proxies that carry to them; they may change at any time.
#[derive(Debug, Clone, Default)]
pub struct Targets(Arc<RwLock<Vec<SocketAddr>>>);

impl Targets {
    /// New connections go to these from now on; none = every one is refused.
    pub fn set(&self, servers: Vec<SocketAddr>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = servers;
    }

    /// The one for a connection that has drawn this number.
    pub(super) fn pick(&self, chance: u64) -> Option<SocketAddr> {
        let servers = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let count = u64::try_from(servers.len()).unwrap_or(u64::MAX);
        let at = chance.checked_rem(count)?;
        servers.get(usize::try_from(at).ok()?).copied()
    }
}

impl From<SocketAddr> for Targets {
    fn from(server: SocketAddr) -> Self {
        let targets = Self::default();
        targets.set(vec![server]);
        targets
    }
}
