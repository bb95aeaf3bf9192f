//! From a host's name to addresses.

use std::net::{IpAddr, ToSocketAddrs as _};

use crate::slots::NamePermit;
use crate::sources::Later;

/// Asks for the addresses of a name.
pub trait Resolver: Send + Sync + 'static {
    /// The addresses of `host`, a name or an address. `permit` is given back when the question no
    /// longer costs anything, which may be long after nobody waits for it.
    ///
    /// # Errors
    /// What the system says, in words.
    fn resolve(&self, host: String, permit: NamePermit) -> Later<'_, Result<Vec<IpAddr>, String>>;
}

/// The system's resolver.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

impl Resolver for SystemResolver {
    fn resolve(&self, host: String, permit: NamePermit) -> Later<'_, Result<Vec<IpAddr>, String>> {
        Box::pin(async move {
            // The call cannot be cancelled, so its thread keeps the permit until it returns.
            let asked = tokio::task::spawn_blocking(move || {
                let found = (host.as_str(), 0).to_socket_addrs();
                drop(permit);
                found.map(|found| found.map(|address| address.ip()).collect())
            });
            match asked.await {
                Ok(found) => found.map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            }
        })
    }
}
