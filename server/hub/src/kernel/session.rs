//! A session: what the hub knows of one login of one user.

use bytes::Bytes;
use thin_vec::ThinVec;
use tidings_fault::fault;
use tidings_token::Permissions;
use tidings_wire::codes::CloseCode;
use tidings_wire::limits::{
    CHANNELS_PER_SESSION_MAX, HEARTBEAT_ANSWER_MS, HEARTBEAT_MS, PRESENCE_UNREACHABLE_MS,
    REQUESTS_IN_FLIGHT_MAX, RESUME_WINDOW_MS, TOKEN_OVERSTAY_S, TOKEN_WARNING_MS,
};
use tidings_wire::names::ChannelName;
use tidings_wire::proto::PresenceState;

use crate::bus_ops::{Forerunner, Inherited};
use crate::config::{AppSettings, Traits};
use crate::counts::Counted;
use crate::grant::{Proof, Restriction};
use crate::ids::{ConnectionId, SessionId, UserKey};
use crate::invitations::slot::InvitationSlot;
use crate::io::{Effect, Sink};
use crate::kernel::clients::ClientName;
use crate::kernel::floods::Floods;
use crate::kernel::limiter::Limiter;
use crate::kernel::outbox::{Outbox, Source};
use crate::peers::slot::PeerSlot;
use crate::presence::slot::PresenceSlot;
use crate::quotas::Place;

/// Silence after which the client of a watched user is pinged, in milliseconds, so that 6 s of
/// silence can be told from a client that has nothing to say. Source: contract PRE-2.
pub(crate) const HEARTBEAT_WATCHED_MS: u64 = 3_000;

/// Earlier secrets that stay valid until a client has shown which answer it received: this many
/// resumes in a row may lose their answer, or arrive late.
pub(crate) const PREVIOUS_SECRETS_MAX: usize = 4;

/// One login of one user by one client; outlives its connections.
///
/// The first fields are everybody's; each of the last is one feature's.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) id: SessionId,
    pub(crate) user: UserKey,
    pub(crate) settings: AppSettings,
    /// What its client can do.
    pub(crate) traits: Traits,
    /// Its one serving connection; `None` while it is detached.
    pub(crate) connection: Option<ConnectionId>,
    pub(crate) outbox: Outbox,
    pub(crate) link: Link,
    pub(crate) token: Token,
    pub(crate) requests: Requests,
    pub(crate) rates: RateSlot,
    pub(crate) presence: PresenceSlot,
    /// Channels joined or being joined. Bound: `channels_max`.
    pub(crate) channels: Vec<ChannelName>,
    pub(crate) peers: PeerSlot,
    /// It has written user attributes, which end with it.
    pub(crate) has_attributes: bool,
    pub(crate) invitations: InvitationSlot,
}

/// How a session hangs on its client: whether it is heard, and what it must state to resume.
#[derive(Debug)]
pub(crate) struct Link {
    /// Name and version of the client library.
    pub(crate) client: ClientName,
    /// The digest of what the client must state to resume.
    pub(crate) secret: [u8; 32],
    /// Secrets issued before the latest resumes, newest first. Valid until the new connection's
    /// first frame: until then nobody knows which answer the client received. Bound:
    /// `PREVIOUS_SECRETS_MAX`.
    pub(crate) previous_secrets: ThinVec<[u8; 32]>,
    /// Sessions that this one has replaced. Bound: `FORERUNNERS_MAX` per replacement.
    pub(crate) forerunners: ThinVec<Forerunner>,
    /// When the newest connection that has served it was opened, by the clock that all hubs of the
    /// node share, in monotonic milliseconds.
    pub(crate) opened_ms: u64,
    /// When the last byte of the client arrived, in monotonic milliseconds.
    pub(crate) heard_ms: u64,
    /// When its one timer that counts will fire, in monotonic milliseconds; others find it in the
    /// future.
    pub(crate) next_check_ms: Option<u64>,
    /// When a ping was sent that the client has not answered, in monotonic milliseconds.
    pub(crate) pinged_ms: Option<u64>,
    /// Since when the client confirms nothing although frames had to be dropped, and up to where it
    /// had confirmed then.
    pub(crate) stalled: Option<Box<(u64, u64)>>,
}

impl Link {
    /// One whose client was heard at `heard_ms`, over a connection opened at `opened_ms`.
    pub(crate) fn new(secret: [u8; 32], opened_ms: u64, heard_ms: u64) -> Self {
        Self {
            client: ClientName::default(),
            secret,
            previous_secrets: ThinVec::new(),
            forerunners: ThinVec::new(),
            opened_ms,
            heard_ms,
            next_check_ms: None,
            pinged_ms: None,
            stalled: None,
        }
    }
}

/// The token that a session was let in by, or has renewed since.
#[derive(Debug)]
pub(crate) struct Token {
    /// Unix second at which it ends; `None` for an app without certificate.
    pub(crate) expires_s: Option<u64>,
    /// What it permits.
    pub(crate) rights: Restriction,
    /// What identifies it when it is revoked.
    pub(crate) proof: Option<Box<Proof>>,
    /// The client has been told that it ends soon.
    pub(crate) is_expiry_told: bool,
}

/// How far a session has come with its client's requests.
#[derive(Debug, Default)]
pub(crate) struct Requests {
    /// Highest request number that was received.
    pub(crate) cseq: u64,
    /// Requests without a reply. Bound: `REQUESTS_IN_FLIGHT_MAX`.
    pub(crate) open: usize,
}

/// What a session uses of the rates and quotas of its user and app.
#[derive(Debug, Default)]
pub(crate) struct RateSlot {
    pub(crate) limiter: Limiter,
    /// Calls over their rates; `None` = none of late.
    pub(crate) floods: Option<Box<Floods>>,
    /// Its place among the logins of its app, given back with it.
    pub(crate) place: Option<Place>,
    /// Where its app is counted.
    pub(crate) counted: Counted,
    /// Its connection is counted there.
    pub(crate) has_counted_connection: bool,
}

impl Session {
    /// Numbers a frame, keeps it until it is confirmed, and sends it if the session is connected.
    /// Returns its number.
    pub(crate) fn push(&mut self, frame: Bytes, source: Source, out: &mut dyn Sink) -> u64 {
        if let Some(connection) = self.connection {
            out.emit(Effect::Send {
                connection,
                frame: frame.clone(),
            });
        }
        let sseq = self.outbox.push_own(frame, source);
        if self.outbox.is_over()
            && let Some(connection) = self.connection.take()
        {
            // The client confirms nothing. The session stays; `finish_slow` does the rest in this
            // turn.
            let code = CloseCode::SlowConsumer;
            out.emit(Effect::Close { connection, code });
        }
        sseq
    }

    /// By what its token can be taken back.
    pub(crate) fn proof(&self) -> Proof {
        self.token.proof.as_deref().copied().unwrap_or_default()
    }

    /// Whether its client may come back on another connection.
    pub(crate) fn can_resume(&self) -> bool {
        !self.traits.ends_with_connection
    }

    /// Digests of what its client may state to resume: the current secret, then earlier ones.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = [u8; 32]> {
        std::iter::once(self.link.secret).chain(self.link.previous_secrets.iter().copied())
    }

    /// Whether its user counts as there: connected, or within the grace.
    pub(crate) fn is_here(&self) -> bool {
        self.presence.state != PresenceState::Offline
    }

    /// What a login that replaces this one takes over.
    pub(crate) fn legacy(&self) -> Inherited {
        let secrets = self.secrets();
        let forerunner = Forerunner {
            id: self.id,
            secrets: secrets.collect(),
        };
        Inherited {
            was_here: self.is_here(),
            has_attributes: self.has_attributes,
            forerunners: self.link.forerunners.to_vec(),
            used: None,
        }
        .and(Inherited {
            forerunners: vec![forerunner],
            ..Inherited::default()
        })
    }

    /// Whether the client reads, perhaps, but has confirmed nothing for long, while frames had to
    /// be dropped.
    pub(crate) fn is_stalled(&mut self, now_ms: u64) -> bool {
        let confirmed = self.outbox.confirmed();
        match self.link.stalled.as_deref() {
            _ if !self.outbox.has_dropped() => self.link.stalled = None,
            Some((since_ms, before)) if *before == confirmed => {
                return now_ms.saturating_sub(*since_ms) >= HEARTBEAT_MS;
            }
            _ => self.link.stalled = Some(Box::new((now_ms, confirmed))),
        }
        false
    }

    /// Silence after which the user is gone, in milliseconds.
    pub(crate) fn grace_ms(&self) -> u64 {
        if fault!(GraceIsCutShort) {
            return self.settings.presence_grace_ms / 4;
        }
        self.settings.presence_grace_ms
    }

    /// Silence after which a session without a connection is over, in milliseconds.
    pub(crate) fn window_ms() -> u64 {
        if fault!(ResumeWindowIsHalved) {
            return RESUME_WINDOW_MS / 2;
        }
        RESUME_WINDOW_MS
    }

    /// Silence after which the client is pinged, in milliseconds (contract PRE-2).
    pub(crate) fn heartbeat_ms(&self) -> u64 {
        if self.presence.is_watched {
            HEARTBEAT_WATCHED_MS
        } else {
            HEARTBEAT_MS
        }
    }

    /// When a ping that was sent at `at` should have been answered: counted from its sending, since
    /// the process may have been late to send it.
    pub(crate) fn answer_due_ms(&self, at: u64) -> u64 {
        let spared_ms = HEARTBEAT_MS - self.heartbeat_ms();
        at + spared_ms + HEARTBEAT_ANSWER_MS
    }

    /// When silence makes it unreachable: 6 s after its last word without a connection, or with one
    /// when it has been pinged and had its time to answer. A client that was silent because nobody
    /// had asked it is not unreachable.
    pub(crate) fn unreachable_due_ms(&self) -> Option<u64> {
        let due_ms = self.link.heard_ms + PRESENCE_UNREACHABLE_MS;
        match (self.connection, self.link.pinged_ms) {
            (None, _) => Some(due_ms),
            (Some(_), Some(at)) if self.presence.is_watched => {
                Some(due_ms.max(at + PRESENCE_UNREACHABLE_MS - HEARTBEAT_WATCHED_MS))
            }
            (Some(_), _) => None,
        }
    }

    /// Replaces the token: the new one has its own end, and its own warning.
    /// Returns whether its client had been warned of the old one's.
    pub(crate) fn renew_token(&mut self, expires_s: Option<u64>) -> bool {
        if !fault!(RenewalKeepsOldEnd) {
            self.token.expires_s = expires_s;
        }
        std::mem::take(&mut self.token.is_expiry_told)
    }

    /// When the token next needs attention, in Unix milliseconds; `None` = never.
    ///
    /// A client that is away is warned when it is back: a warning that waits for it may come too
    /// late to be true.
    pub(crate) fn token_due_ms(&self) -> Option<u64> {
        let ends_ms = self.token.expires_s?.saturating_mul(1_000);
        if !self.token.is_expiry_told && self.connection.is_some() {
            return Some(ends_ms.saturating_sub(TOKEN_WARNING_MS));
        }
        self.ends_by_token_s()
            .map(|end_s| end_s.saturating_mul(1_000))
    }

    /// The Unix second at which its token, or the time by which it may outlive that, ends it.
    pub(crate) fn ends_by_token_s(&self) -> Option<u64> {
        let overstay_s = if self.settings.kick_on_token_expiry {
            0
        } else {
            TOKEN_OVERSTAY_S as u64
        };
        Some(self.token.expires_s?.saturating_add(overstay_s))
    }
}

/// Channels that a part of a backend may be in with one login. Bound: a join beyond it is refused;
/// a join looks at the name of each.
const SERVICE_CHANNELS_MAX: usize = 10_000;

impl Traits {
    /// Channels that it may be in with one login.
    pub(crate) fn channels_max(self) -> usize {
        if self.is_service {
            SERVICE_CHANNELS_MAX
        } else {
            CHANNELS_PER_SESSION_MAX
        }
    }
}

/// Why a session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The client logged out; its reply is on the way.
    LoggedOut,
    /// A newer login of the user.
    RemoteLogin,
    /// Its token is over.
    TokenExpired,
    /// The client broke the protocol.
    ProtocolError,
    /// The user was banned.
    Banned,
    /// The app is no longer served.
    AppDisabled,
    /// The resume window is over, or the client has none and its connection is gone.
    WindowOver,
    /// Somebody outside has ended it, and says so to its client.
    Disconnected(CloseCode),
}

impl End {
    /// The end of which a client is told by this code; `None` = it is told that its session can be
    /// resumed.
    pub(crate) fn of(code: CloseCode) -> Option<Self> {
        match code {
            CloseCode::GoingAway
            | CloseCode::NodeIsolated
            | CloseCode::SlowConsumer
            | CloseCode::Overloaded
            | CloseCode::HeartbeatLost
            | CloseCode::RateLimited
            | CloseCode::InternalError
            | CloseCode::Superseded => None,
            CloseCode::Banned => Some(Self::Banned),
            CloseCode::TokenExpired => Some(Self::TokenExpired),
            // Not as if the user were there again.
            CloseCode::RemoteLogin
            | CloseCode::AppDisabled
            | CloseCode::LoginRefused
            | CloseCode::LoginTimeout
            | CloseCode::ProtocolError
            | CloseCode::LoggedOut => Some(Self::Disconnected(code)),
        }
    }

    /// What the client is told.
    pub(crate) fn code(self) -> CloseCode {
        match self {
            Self::LoggedOut => CloseCode::LoggedOut,
            Self::RemoteLogin => CloseCode::RemoteLogin,
            Self::TokenExpired => CloseCode::TokenExpired,
            Self::Banned => CloseCode::Banned,
            Self::AppDisabled => CloseCode::AppDisabled,
            Self::ProtocolError => CloseCode::ProtocolError,
            Self::WindowOver => CloseCode::GoingAway,
            Self::Disconnected(code) => code,
        }
    }
}

impl Session {
    /// Asserts what holds between two inputs.
    pub(crate) fn assert_consistent(&self, now_ms: u64) {
        self.outbox.assert_consistent();
        self.link.assert_consistent(now_ms);
        self.peers.assert_consistent(&self.outbox);
        self.invitations.assert_consistent(&self.outbox);
        self.presence.assert_consistent();
        self.rates.assert_consistent();
        self.token.assert_consistent();
        assert!(
            self.requests.open <= REQUESTS_IN_FLIGHT_MAX,
            "too many open requests"
        );
        assert!(
            self.requests.open as u64 <= self.requests.cseq,
            "a request without a number"
        );
        assert!(
            self.channels.len() <= self.traits.channels_max(),
            "too many channels"
        );
        let is_once = |at: usize| !self.channels[at + 1..].contains(&self.channels[at]);
        // Of many it would cost more than everything else.
        let looked_at = self.channels.len().min(CHANNELS_PER_SESSION_MAX);
        assert!((0..looked_at).all(is_once), "a channel is joined twice");
        assert!(
            self.connection.is_none() || self.is_here(),
            "a connected user is gone"
        );
        assert!(
            self.can_resume() || self.connection.is_some() || self.link.next_check_ms.is_some(),
            "a session that cannot be resumed is about to end"
        );
    }
}

impl Link {
    fn assert_consistent(&self, now_ms: u64) {
        assert!(self.heard_ms <= now_ms, "heard in the future");
        assert!(
            self.pinged_ms.is_none_or(|at| at <= now_ms),
            "pinged in the future"
        );
        // One look is always ahead: nothing else ends a session that its client has left.
        assert!(
            self.next_check_ms.is_some_and(|at| at > now_ms),
            "nobody looks at the session again"
        );
        assert!(
            self.previous_secrets.len() <= PREVIOUS_SECRETS_MAX,
            "too many secrets"
        );
        let is_new = |secret: &[u8; 32]| *secret != self.secret;
        assert!(
            self.previous_secrets.iter().all(is_new),
            "a secret is its own predecessor"
        );
        let stalled = self.stalled.as_deref();
        assert!(
            stalled.is_none_or(|(since_ms, _)| *since_ms <= now_ms),
            "stalled in the future"
        );
    }
}

impl RateSlot {
    fn assert_consistent(&self) {
        self.limiter.assert_consistent();
        if let Some(floods) = &self.floods {
            floods.assert_consistent();
        }
    }
}

impl Token {
    fn assert_consistent(&self) {
        let has_proof = self
            .proof
            .as_deref()
            .is_none_or(|proof| *proof != Proof::default());
        assert!(has_proof, "a proof that proves nothing is kept");
        assert!(
            !self.is_expiry_told || self.expires_s.is_some(),
            "the end of no token was told"
        );
        let is_empty = |list: &Permissions| list.to_bytes().is_err();
        assert!(
            !self.rights.as_deref().is_some_and(is_empty),
            "rights that cannot be written down"
        );
    }
}
