//! What logins, resumes and memory need to remember.

use tidings_wire::proto::Resume;

use crate::Pressure;
use crate::bus_ops::LoginStamp;
use crate::ids::{ConnectionId, SessionId, UserKey};
use crate::kernel::Kernel;
use crate::kernel::asks::AskTag;
use crate::kernel::maps::NumberMap;
use crate::kernel::users::Recalled;
use crate::life::moves::Moves;

/// What the hub knows of logins as such.
#[derive(Debug, Default)]
pub(crate) struct Logins {
    /// Tells logins of one millisecond apart.
    pub(crate) count: u64,
    /// Sessions that move between nodes.
    pub(crate) moves: Moves,
    /// Nodes that were lost, counted.
    pub(crate) losses: u16,
    /// What the next login or resume is told.
    pub(crate) recalled: Option<Recalled>,
    /// Claims under way, by the numbers of their questions. Bound: one per login in progress.
    pub(crate) claims: NumberMap<ClaimAsk>,
    /// Resumes that look for their session, by the numbers of their questions. Bound: one per
    /// resuming connection.
    pub(crate) locates: NumberMap<LocateAsk>,
}

/// A login that asks the other hubs to yield.
#[derive(Debug)]
pub(crate) struct ClaimAsk {
    pub(crate) user: UserKey,
    pub(crate) connection: ConnectionId,
    pub(crate) stamp: LoginStamp,
    /// When it began, in Unix milliseconds.
    pub(crate) begun_ts: u64,
    /// No login asks, but a session that may not be the user's only one: for how many times already.
    pub(crate) again: Option<u8>,
}

/// What a hub knows of the node's memory.
#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) pressure: Pressure,
    /// Bound on the bytes of all frames that are kept for clients.
    pub(crate) replay_bytes_max: usize,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            pressure: Pressure::None,
            replay_bytes_max: usize::MAX,
        }
    }
}

/// A resume that looks for its session.
#[derive(Debug)]
pub(crate) struct LocateAsk {
    /// Its connection, and when that was opened.
    pub(crate) opened: (ConnectionId, u64),
    pub(crate) resume: Resume,
    pub(crate) user: UserKey,
    pub(crate) session: SessionId,
    /// It has left this hub, or is on its way here: it exists, whatever others say.
    pub(crate) is_moving: bool,
    pub(crate) tries: u8,
}

impl Logins {
    /// Asserts what holds between two inputs.
    pub(crate) fn assert_consistent(&self, kernel: &Kernel) {
        let claims = kernel.asks.count_of(AskTag::Logins);
        assert_eq!(
            self.claims.len(),
            claims,
            "claims without a reason, or the reverse"
        );
        let locates = kernel.asks.count_of(AskTag::Resumes);
        assert_eq!(
            self.locates.len(),
            locates,
            "resumes without a reason, or the reverse"
        );
        let own = kernel.config.id;
        let is_counted =
            |claim: &ClaimAsk| claim.stamp.hub != own || claim.stamp.count <= self.count;
        assert!(
            self.claims.values().all(is_counted),
            "a login that was not counted"
        );
        self.moves.assert_consistent(kernel);
    }
}

impl Memory {
    /// Asserts what holds between two inputs.
    pub(crate) fn assert_consistent(&self, kernel: &Kernel) {
        assert!(self.replay_bytes_max > 0, "no frame could be kept");
        let has_sessions = !kernel.sessions.is_empty();
        let kept = kernel.replay_bytes.get();
        assert!(has_sessions || kept == 0, "frames are kept for nobody");
    }
}
