//! How the API asks the hubs.

use std::hash::{Hash, Hasher};

use tidings_hub::ids::UserKey;
use tidings_hub::outside::{OutsideAnswer, OutsideCall};
use tokio::sync::oneshot;

use crate::problem::Fault;

/// Why a hub cannot be asked at present.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unavailable {
    /// The server ends.
    Draining,
    /// More waits for the hub than it can take.
    Behind,
}

impl From<Unavailable> for Fault {
    fn from(why: Unavailable) -> Self {
        match why {
            Unavailable::Draining => Self::unavailable("the server is being stopped"),
            Unavailable::Behind => Self::unavailable("the server has more to do than it can take"),
        }
    }
}

/// The hubs of this node.
pub trait Hubs: Send + Sync + 'static {
    /// How many there are: at least one.
    fn hubs(&self) -> u16;

    /// Posts a call to one of them. Calls that one thread posts to one hub are taken in that order.
    /// The answer goes to the receiver; one that is dropped costs nothing.
    ///
    /// # Errors
    /// [`Unavailable`]: nothing was posted.
    fn post(
        &self,
        hub: u16,
        call: OutsideCall,
    ) -> Result<oneshot::Receiver<OutsideAnswer>, Unavailable>;
}

/// The hub that is given all calls of one user, so that their order is kept.
pub(crate) fn hub_of(hubs: u16, user: &UserKey) -> u16 {
    let mut hasher = std::hash::DefaultHasher::new();
    user.hash(&mut hasher);
    let hubs = u64::from(hubs.max(1));
    u16::try_from(hasher.finish() % hubs).unwrap_or(0)
}
