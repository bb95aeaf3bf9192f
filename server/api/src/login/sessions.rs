//! Who is logged in.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tidings_wire::hex;

use super::{LoginFault, Person};
use crate::keys::KeyEntry;

/// Bound: sessions of all people. The one that ends first makes room.
pub(super) const SESSIONS_MAX: usize = 1_000;

/// Bound: sessions of one person; nobody can push out everybody else's.
pub(super) const OF_ONE_MAX: usize = 16;

/// A session. Its secret is in the browser only; here is its hash.
#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) entry: Arc<KeyEntry>,
    pub(super) csrf: String,
    /// On the clock of the process, which nobody sets.
    pub(super) ends_ms: u64,
}

#[derive(Debug)]
pub(super) struct Sessions {
    /// By the SHA-256 of the secret: what is looked up tells no time about the secret itself.
    by_hash: Mutex<HashMap<[u8; 32], Session>>,
    lasts_ms: u64,
}

impl Sessions {
    pub(super) fn new(lasts_ms: u64) -> Self {
        Self {
            by_hash: Mutex::default(),
            lasts_ms,
        }
    }

    pub(super) fn lasts_ms(&self) -> u64 {
        self.lasts_ms
    }

    /// Begins a session; returns its secret.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub(super) fn begin(&self, person: Person, now_ms: u64) -> Result<String, LoginFault> {
        let secret = random()?;
        let session = Session {
            entry: Arc::new(KeyEntry {
                id: person.name.into(),
                role: person.role,
                apps: (!person.apps.is_empty()).then(|| person.apps.into_iter().collect()),
            }),
            csrf: random()?,
            ends_ms: now_ms.saturating_add(self.lasts_ms),
        };
        let mut sessions = self.lock();
        sessions.retain(|_, session| session.ends_ms > now_ms);
        let own = |other: &Session| other.entry.id == session.entry.id;
        if sessions.values().filter(|other| own(other)).count() >= OF_ONE_MAX {
            end_first(&mut sessions, own);
        } else if sessions.len() >= SESSIONS_MAX {
            end_first(&mut sessions, |_| true);
        }
        sessions.insert(hash(&secret), session);
        Ok(secret)
    }

    pub(super) fn find(&self, secret: &str, now_ms: u64) -> Option<Session> {
        let found = self.lock().get(&hash(secret)).cloned();
        found.filter(|session| session.ends_ms > now_ms)
    }

    pub(super) fn admit(&self, secret: &str, csrf: &str, now_ms: u64) -> Option<Arc<KeyEntry>> {
        let session = self.find(secret, now_ms)?;
        let is_same: bool = session.csrf.as_bytes().ct_eq(csrf.as_bytes()).into();
        is_same.then_some(session.entry)
    }

    pub(super) fn end(&self, secret: &str) {
        self.lock().remove(&hash(secret));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<[u8; 32], Session>> {
        self.by_hash.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the session that would end first, of those that fit.
fn end_first(sessions: &mut HashMap<[u8; 32], Session>, fits: impl Fn(&Session) -> bool) {
    let first = sessions
        .iter()
        .filter(|(_, session)| fits(session))
        .min_by_key(|(_, session)| session.ends_ms)
        .map(|(hash, _)| *hash);
    if let Some(first) = first {
        sessions.remove(&first);
    }
}

fn hash(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

/// 256 random bits, in hexadecimal.
fn random() -> Result<String, LoginFault> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| {
        LoginFault::Unavailable(format!("the system provides no random numbers: {error}"))
    })?;
    Ok(hex(&bytes))
}
