//! Who may act as which user: app, user id and token. Functions of the apps and the time.

use std::sync::Arc;

use sha2::Digest as _;
use tidings_fault::fault;
use tidings_token::{AppKeys, Door, Granted, Refusal, Rights};
use tidings_wire::codes::Outcome;
use tidings_wire::names::{AppId, UserId};

use crate::config::{App, AppSettings, Apps};
use crate::ids::UserKey;

pub use crate::grant::{Grant, Proof, Restriction};

/// What was shown to be true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The app.
    pub app: AppId,
    /// The user.
    pub user: UserId,
    /// The app's numbers.
    pub settings: AppSettings,
    /// What the token gives.
    pub grant: Grant,
}

impl Credentials {
    /// Whether the user may keep files here: whoever may write to no channel and no user has no use
    /// for one. Whoever has a file's id has been sent it, so that loading one needs no right.
    pub fn may_upload(&self) -> bool {
        self.grant
            .rights
            .as_ref()
            .is_none_or(|list| list.has_writes())
    }
}

/// Names a certificate without telling it.
pub fn fingerprint(certificate: &str) -> u64 {
    let digest = sha2::Sha256::digest(certificate.as_bytes());
    let (first, _) = digest.split_first_chunk().expect("32 bytes hold 8");
    // 0 stands for none.
    u64::from_be_bytes(*first).max(1)
}

impl Grant {
    /// What a token gives that this app's keys have shown to be good.
    pub fn of(granted: Granted, app: &App) -> Self {
        let certificate = granted.certificate.and_then(|at| app.certificates.get(at));
        let proof = Proof {
            certificate: certificate.map_or(0, |certificate| fingerprint(certificate)),
            token: granted.id,
            issued_s: granted.issued_at_unix_s,
        };
        Self {
            proof,
            is_service: false,
            expires_s: Some(granted.expires_at_unix_s).filter(|end| *end != tidings_token::NEVER),
            rights: match granted.rights {
                Rights::Unrestricted => None,
                Rights::Rtm2(list) => Some(Arc::new(list)),
            },
        }
    }
}

/// Why somebody is not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// What the client is answered.
    pub outcome: Outcome,
    /// What is wrong, with values; never the token.
    pub text: String,
}

/// Checks app id, user id and token, in this order.
///
/// # Errors
/// [`Refused`] with `unknown_app`, `invalid_user_id`, `invalid_token`, `token_expired` or `banned`;
/// with `unavailable` when the token names a key that is being fetched.
pub fn check(
    apps: &Apps,
    now_unix_s: u64,
    (app_id, user_id, token): (&str, &str, &str),
) -> Result<Credentials, Refused> {
    let refused = |outcome, text| Refused { outcome, text };
    let app = AppId::parse(app_id).map_err(|name| {
        let text = format!("app id {app_id:?}: {name}");
        refused(Outcome::UnknownApp, text)
    })?;
    let user = UserId::parse(user_id).map_err(|name| {
        let text = format!("user id {user_id:?}: {name}");
        refused(Outcome::InvalidUserId, text)
    })?;
    let (settings, grant) = match apps.listed.get(&app) {
        Some(listed) => {
            let grant = check_token(now_unix_s, &app, listed, &user, token)?;
            (listed.settings, grant)
        }
        None if apps.accept_any => (AppSettings::default(), Grant::default()),
        None => {
            let text = format!("app {app} is not known to this server; add it with --app {app}");
            return Err(refused(Outcome::UnknownApp, text));
        }
    };
    // Order: after the token, so that only the user itself learns of the ban.
    let user = UserKey { app, user };
    if apps.is_banned(&user, now_unix_s.saturating_mul(1_000)) {
        let text = format!("user {} is banned from app {}", user.user, user.app);
        return Err(refused(Outcome::Banned, text));
    }
    let UserKey { app, user } = user;
    Ok(Credentials {
        app,
        user,
        settings,
        grant,
    })
}

/// What a client is answered whose token is refused.
fn refused_by(listed: &App, refusal: &Refusal) -> Refused {
    let text = refusal.to_string();
    let (outcome, text) = match refusal {
        Refusal::Expired { .. } => (Outcome::TokenExpired, text),
        _ if listed.may_get_key(refusal) => {
            let text = format!("{text}; they are being fetched, try again");
            (Outcome::Unavailable, text)
        }
        _ => (Outcome::InvalidToken, text),
    };
    Refused { outcome, text }
}

/// Returns what the token gives.
pub(crate) fn check_token(
    now_unix_s: u64,
    app: &AppId,
    listed: &App,
    user: &UserId,
    token: &str,
) -> Result<Grant, Refused> {
    if !listed.needs_token() {
        return Ok(Grant::default());
    }
    if token.is_empty() {
        let why = if listed.certificates.is_empty() {
            "takes JSON Web Tokens"
        } else {
            "has a certificate"
        };
        let text = format!("app {app} {why}, so a login needs a token; none was given");
        let outcome = Outcome::InvalidToken;
        return Err(Refused { outcome, text });
    }
    if fault!(EveryTokenIsGood) {
        return Ok(Grant::default());
    }
    let certificates: Vec<&str> = listed.certificates.iter().map(String::as_str).collect();
    let keys = AppKeys {
        app_id: app.as_str(),
        certificates: &certificates,
        jwt: listed.jwt.as_ref().map(|jwt| jwt.verifier()),
    };
    let policy = listed.token_policy();
    let granted = tidings_token::check(Door::Rtm, &keys, &policy, user.as_str(), now_unix_s, token);
    let grant = granted
        .map(|granted| Grant::of(granted, listed))
        .map_err(|refusal| refused_by(listed, &refusal))?;
    if listed.has_taken_back(user, &grant.proof) {
        Err(Refused {
            outcome: Outcome::InvalidToken,
            text: "the token was revoked; ask the app's backend for a new one".into(),
        })
    } else {
        Ok(grant)
    }
}
