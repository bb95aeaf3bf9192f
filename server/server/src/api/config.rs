//! Settings of the server-side API.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use tidings_api::registry::{NoRegistry, Registry};
use tidings_api::{Keys, Settings};

/// Settings of the API.
#[derive(Clone)]
pub struct ApiConfig {
    /// A port of its own, beside that of the clients; `None` = it is served there only.
    pub listen: Option<SocketAddr>,
    /// Threads of that port, 1 to 64.
    pub threads: u16,
    /// The keys that are good.
    pub keys: Arc<dyn Keys>,
    /// How its calls are answered.
    pub settings: Settings,
    /// Keeps the apps.
    pub registry: Arc<dyn Registry>,
}

impl Default for ApiConfig {
    /// No port of its own, and no key.
    fn default() -> Self {
        Self {
            listen: None,
            threads: 1,
            keys: Arc::new(tidings_api::keys::FixedKeys::default()),
            settings: Settings::default(),
            registry: Arc::new(NoRegistry),
        }
    }
}

impl fmt::Debug for ApiConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiConfig")
            .field("listen", &self.listen)
            .field("threads", &self.threads)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
