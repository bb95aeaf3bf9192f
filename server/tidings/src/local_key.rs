//! The key by which commands on this machine call the API of the server on a data directory.
//!
//! It is made at each start, stays in memory, and is given out by the control socket, to whoever
//! may command the server anyway: nothing is left on the disk, and the audit log shows as `local`
//! what was done with it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tidings_server::{FixedKeys, KeyEntry, Keys, Role};

use crate::changes::secret;
use crate::failure::Failure;

/// The key's id. The ids of keys in the store are longer.
const ID: &str = "local";

/// Where the API is, and a key for it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LocalDoor {
    /// `http://` or `https://`, an address of this machine, and a port.
    pub(crate) url: String,
    pub(crate) key: String,
    /// Where clients log in, in the same form.
    pub(crate) clients: String,
}

impl LocalDoor {
    /// Of a server that listens for clients here, and for calls of the API perhaps elsewhere.
    pub(crate) fn new(
        key: String,
        clients: SocketAddr,
        api: Option<SocketAddr>,
        is_tls: bool,
    ) -> Self {
        Self {
            url: url_of(api.unwrap_or(clients), is_tls),
            key,
            clients: url_of(clients, is_tls),
        }
    }
}

/// The keys that the settings give, and the local one.
struct WithLocal {
    given: Arc<dyn Keys>,
    local: FixedKeys,
}

impl Keys for WithLocal {
    fn admit(&self, id: &str, secret: &str) -> Option<Arc<KeyEntry>> {
        let local = self.local.admit(id, secret);
        local.or_else(|| self.given.admit(id, secret))
    }
}

/// Makes the key and adds it to others; returns its text besides.
///
/// # Errors
/// The system gives no random numbers.
pub(crate) fn add_to(given: Arc<dyn Keys>) -> Result<(Arc<dyn Keys>, String), Failure> {
    let secret = secret()?;
    let entry = KeyEntry {
        id: ID.into(),
        role: Role::Admin,
        apps: None,
    };
    let hash = tidings_server::hash_secret(&secret);
    let local = FixedKeys(vec![(Arc::new(entry), hash)]);
    let text = format!("tdk_{ID}_{secret}");
    Ok((Arc::new(WithLocal { given, local }), text))
}

/// The address at which this machine reaches a listener.
pub(crate) fn url_of(mut address: SocketAddr, is_tls: bool) -> String {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    let scheme = if is_tls { "https" } else { "http" };
    format!("{scheme}://{address}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_local_key_is_good_beside_those_that_were_given() {
        let entry = KeyEntry {
            id: ID.into(),
            role: Role::Read,
            apps: None,
        };
        // Somebody has given a key of the same id.
        let given = FixedKeys(vec![(
            Arc::new(entry),
            tidings_server::hash_secret("theirs"),
        )]);
        let (keys, text) = add_to(Arc::new(given)).expect("random numbers");
        let (id, secret) = tidings_server::split_key(&text).expect("a key");
        let role = |secret: &str| keys.admit(id, secret).map(|key| key.role);
        assert_eq!(role(secret), Some(Role::Admin));
        assert_eq!(role("theirs"), Some(Role::Read));
        assert_eq!(role("guessed"), None);
    }

    #[test]
    fn the_address_is_one_of_this_machine() {
        for (address, is_tls, url) in [
            ("0.0.0.0:80", false, "http://127.0.0.1:80"),
            ("[::]:443", true, "https://[::1]:443"),
            ("192.0.2.1:7400", true, "https://192.0.2.1:7400"),
        ] {
            assert_eq!(url_of(address.parse().expect("an address"), is_tls), url);
        }
    }
}
