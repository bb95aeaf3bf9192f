//! What operators and admin keys ask: keys, apps, certificates, tokens, bans, files, erasure, the
//! audit log, and how the server is.
//!
//! **Reading order.** `keys` and `keybook` (who may call), `audit` (who has changed what), `bans`,
//! then a file of handlers per area. Handlers that wait for the disk do so on a thread that may
//! ([`blocking`]).

mod apps;
mod audit;
mod audit_layer;
mod bans;
mod certificates;
mod docs;
mod erasure;
mod files;
mod key_routes;
mod keybook;
pub mod keys;
mod looks;
mod nodes;
mod presence;
mod projects;
mod tokens;

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use axum::http::StatusCode;
use serde_json::Value;
use tidings_store::Submitter;
use tidings_store::erasure::Erasure;
use tidings_store::records::{RecordError, Records};

pub use self::audit::{Audit, AuditEntry, AuditPage, Audited};
pub(crate) use self::audit_layer::{address_of, record};
pub(crate) use self::bans::ban_user;
pub use self::bans::{BanBook, BanRecord, Privilege};
#[allow(
    unused_imports,
    reason = "the description of the whole API takes it in"
)]
pub(crate) use self::docs::AdminDoc;
pub use self::files::{FileRecord, Files, NoFiles};
pub use self::keybook::{KeyBook, OVERLAP_MS, OVERLAP_MS_MAX};
use self::keys::KeyError;
pub(crate) use self::looks::looked;
pub(crate) use self::presence::Lists;
use tidings_wire::names::AppId;

use crate::registry::{Refused, RefusedKind, Registry};
use crate::routes::Routes;
use crate::{Answer, Fault};

/// What the calls of this folder work on.
pub struct Admin {
    /// Who may call.
    pub keys: Arc<KeyBook>,
    /// Who may not log in, join or send.
    pub bans: Arc<BanBook>,
    /// Who has changed what.
    pub audit: Arc<Audit>,
    /// Keeps the apps and their settings; its calls wait for the disk.
    pub registry: Arc<dyn Registry>,
    /// Files that users have uploaded.
    pub files: Arc<dyn Files>,
    /// Makes the store forget users.
    pub erasure: Arc<Erasure>,
}

impl Admin {
    /// Reads keys and bans from a store. Waits for it.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn open(
        submitter: &Submitter,
        registry: Arc<dyn Registry>,
        files: Arc<dyn Files>,
    ) -> Result<Self, BookError> {
        let records = &Records::new(submitter.clone());
        Ok(Self {
            erasure: Arc::new(Erasure::new(submitter.clone())),
            keys: Arc::new(KeyBook::open(records.clone())?),
            bans: Arc::new(BanBook::open(records.clone())?),
            audit: Arc::new(Audit::new(records.clone())),
            registry,
            files,
        })
    }
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admin").finish_non_exhaustive()
    }
}

/// Why keys or bans cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum BookError {
    /// The wish makes no sense.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The store does not do it.
    #[error(transparent)]
    Store(#[from] RecordError),
    /// A record is damaged.
    #[error("the record {0} cannot be read: {1}")]
    Damaged(String, String),
    /// There is nothing with this id.
    #[error("there is nothing with the id {0}")]
    Unknown(String),
    /// The app has as many bans of addresses as it may.
    #[error("the app has {max} bans that name an address, which is all that it may have", max = bans::ADDRESSES_MAX)]
    Addresses,
}

impl From<BookError> for Fault {
    fn from(error: BookError) -> Self {
        match error {
            BookError::Key(error) => {
                let (status, code) = match error {
                    KeyError::Keys | KeyError::Ended(_) | KeyError::Secrets(..) => {
                        (StatusCode::CONFLICT, "conflict")
                    }
                    KeyError::Random(_) => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
                    _ => (StatusCode::BAD_REQUEST, "invalid_argument"),
                };
                let fault = Self::new(status, code, error.to_string(), error.hint());
                match error.field() {
                    Some(field) => fault.on(field),
                    None => fault,
                }
            }
            BookError::Store(error) => error.into(),
            BookError::Damaged(..) => Self::unavailable(error.to_string()),
            BookError::Unknown(_) => Self::not_found("unknown_id", error.to_string()),
            BookError::Addresses => Self::new(
                StatusCode::CONFLICT,
                "full",
                error.to_string(),
                "Delete some, or let one with fewer bits stand for many.",
            ),
        }
    }
}

impl From<RecordError> for Fault {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Unavailable { reason } => Self::unavailable(reason),
            RecordError::Full { .. } => Self::new(
                StatusCode::CONFLICT,
                "full",
                error.to_string(),
                "Delete some of them.",
            ),
            RecordError::TooLarge { reason } => Self::invalid("body", reason),
        }
    }
}

impl From<Refused> for Fault {
    fn from(refused: Refused) -> Self {
        let (status, code) = match &refused.kind {
            RefusedKind::NotFound => (StatusCode::NOT_FOUND, "unknown_app"),
            RefusedKind::Conflict => (StatusCode::CONFLICT, "conflict"),
            RefusedKind::Invalid(_) => (StatusCode::BAD_REQUEST, "invalid_argument"),
            RefusedKind::Forbidden => (StatusCode::FORBIDDEN, "switched_off"),
            RefusedKind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        };
        let fault = Self::new(status, code, refused.what, refused.hint);
        match refused.kind {
            RefusedKind::Invalid(field) => fault.on(field),
            RefusedKind::Unavailable => fault.retry_in(5_000),
            _ => fault,
        }
    }
}

/// The routes under `/api/v1`.
pub(crate) fn routes() -> Routes {
    Routes::new()
        .merge(key_routes::routes())
        .merge(apps::routes())
        .merge(certificates::routes())
        .merge(tokens::routes())
        .merge(bans::routes())
        .merge(files::routes())
        .merge(erasure::routes())
        .merge(audit_layer::routes())
        .merge(nodes::routes())
}

/// The hosted service's paths of rest 6 to 8.
pub(crate) fn hosted_routes() -> Routes {
    Routes::new()
        .merge(bans::hosted_routes())
        .merge(presence::routes())
        .merge(projects::routes())
}

/// Runs what waits for the disk on a thread that may.
///
/// # Errors
/// What it returns; 503 if it panics.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| {
        tracing::error!(%error, "a call of the API was broken off");
        Err(Fault::unavailable(
            "the call was broken off by a bug; the log has more",
        ))
    })
}

/// Tells the audit log what an answer has changed. Nothing of it may be a secret.
pub(crate) fn audited(answer: Answer, before: Value, after: Value) -> Answer {
    answer.map(|mut response| {
        let audited = Audited {
            before,
            after,
            app: None,
        };
        response.extensions_mut().insert(audited);
        response
    })
}

/// The same of a call whose path does not name its app.
pub(crate) fn audited_of(answer: Answer, app: &AppId, before: Value, after: Value) -> Answer {
    audited(answer, before, after).map(|mut response| {
        if let Some(audited) = response.extensions_mut().get_mut::<Audited>() {
            audited.app = Some(app.as_str().to_owned());
        }
        response
    })
}

/// A time as the hosted service writes it: `2026-11-30T14:00:00.000Z`. The last that it can write
/// stands for ever.
pub(crate) fn iso(unix_ms: u64) -> String {
    const LAST_MS: u64 = 253_402_300_799_000;
    let time = UNIX_EPOCH + Duration::from_millis(unix_ms.min(LAST_MS));
    humantime::format_rfc3339_millis(time).to_string()
}

/// A value as JSON, for the audit log.
pub(crate) fn state(of: &impl serde::Serialize) -> Value {
    serde_json::to_value(of).unwrap_or(Value::Null)
}
