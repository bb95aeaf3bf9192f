//! What transfers of files need of a client: the user's credentials, and a place.

use std::fmt;
use std::sync::Arc;

use http::Uri;
use tidings_wire::limits::MEDIA_TRANSFERS_MAX;
use tokio::sync::Semaphore;

use crate::tls::Tls;

/// The server's address, and what the user logs in with.
#[derive(Clone)]
pub(crate) struct Access {
    pub(crate) uri: Uri,
    pub(crate) tls: Tls,
    pub(crate) app_id: String,
    pub(crate) user_id: String,
    pub(crate) token: String,
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the token.
        write!(f, "Access of {}", self.user_id)
    }
}

/// Places for transfers, shared by the clones of a client.
pub(crate) fn places() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(MEDIA_TRANSFERS_MAX))
}
