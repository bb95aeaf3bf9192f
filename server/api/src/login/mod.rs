//! Logins of people at the console: by the operator's own login server (OpenID Connect), in the
//! place of an API key.
//!
//! A login ends as a session: a random secret in a cookie that scripts cannot read and other sites
//! cannot send, and a second one, the CSRF token, that only pages of this server can read. A call
//! counts only with both. Sessions are kept in memory: a restart ends them.
//!
//! **Reading order.** `sessions` (who is logged in), `cookies`, `pending` (a login under way, which
//! the browser keeps), then the routes here. What is said to the login server, and how its answer
//! is judged, is a [`LoginServer`]'s.

mod cookies;
mod pending;
pub(crate) mod routes;
mod sessions;

use std::pin::Pin;
use std::sync::Arc;

use axum::http::HeaderMap;
use tidings_wire::names::AppId;

pub(crate) use self::routes::{is_public, routes};

use self::cookies::Place;
use self::pending::Sealer;
use self::sessions::Sessions;
use crate::keys::{KeyEntry, Role};

/// The header that carries a session's CSRF token.
pub(crate) const CSRF: &str = "x-tidings-csrf";

/// Something that comes later.
pub type Later<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The operator's login server.
pub trait LoginServer: Send + Sync + 'static {
    /// What people call it.
    fn name(&self) -> &str;

    /// Begins a login: where the browser goes, and what has to be known when it comes back.
    fn begin(&self) -> Later<'_, Result<Begun, LoginFault>>;

    /// Ends a login with the code that the browser has brought back; `issuer` is who claims to have
    /// sent it, where that was said (RFC 9207).
    fn finish(
        &self,
        pending: Pending,
        code: String,
        issuer: Option<String>,
    ) -> Later<'_, Result<Person, LoginFault>>;
}

/// A login that has begun.
#[derive(Debug, Clone)]
pub struct Begun {
    /// Where the browser goes.
    pub url: String,
    /// What has to be known when it comes back.
    pub pending: Pending,
}

/// What a login under way has to remember: random texts, each used once.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Pending {
    /// Comes back with the browser.
    pub state: String,
    /// Comes back in the ID token.
    pub nonce: String,
    /// Proves that the code is redeemed by whoever has asked for it (PKCE).
    pub verifier: String,
}

/// Who has logged in, and what that permits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// As the audit log has it. It is not the id of a key: it has a colon.
    pub name: String,
    /// What the person may do.
    pub role: Role,
    /// The apps that this is limited to; none = it is not.
    pub apps: Vec<AppId>,
}

/// Why a login did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoginFault {
    /// The login server cannot be reached, or answers what no login server answers.
    #[error("{0}")]
    Unavailable(String),
    /// What it has answered cannot be trusted.
    #[error("{0}")]
    Invalid(String),
    /// The person has no role here.
    #[error("{0}")]
    NoRole(String),
}

/// How people log in.
pub struct LoginParts {
    /// Who tells who somebody is.
    pub server: Arc<dyn LoginServer>,
    /// The console's address, as browsers have it: `https://chat.example.com/console/`.
    pub console: String,
    /// How long a login lasts, in milliseconds.
    pub lasts_ms: u64,
}

/// The logins of a server.
pub(crate) struct Logins {
    server: Arc<dyn LoginServer>,
    place: Place,
    sealer: Sealer,
    sessions: Sessions,
}

impl Logins {
    pub(crate) fn new(parts: LoginParts, seed: &[u8; 32]) -> Self {
        Self {
            server: parts.server,
            place: Place::of(&parts.console),
            sealer: Sealer::new(seed),
            sessions: Sessions::new(parts.lasts_ms),
        }
    }

    /// Whose login a call shows, by its cookie and its CSRF token.
    pub(crate) fn admit(&self, headers: &HeaderMap, now_ms: u64) -> Option<Arc<KeyEntry>> {
        let secret = self.place.session_in(headers)?;
        let csrf = headers.get(CSRF)?.to_str().ok()?;
        self.sessions.admit(secret, csrf, now_ms)
    }

    /// How long the login of a call still lasts, in milliseconds.
    pub(crate) fn left_ms(&self, headers: &HeaderMap, now_ms: u64) -> Option<u64> {
        let secret = self.place.session_in(headers)?;
        let found = self.sessions.find(secret, now_ms)?;
        Some(found.ends_ms.saturating_sub(now_ms))
    }
}

#[cfg(test)]
mod tests;
