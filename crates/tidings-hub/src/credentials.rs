//! Who may act as which user: app, user id and token. Functions of the apps and the time.

use tidings_mutant::mutant;
use tidings_token::{AppKeys, Door, Policy, Refusal};
use tidings_wire::codes::Outcome;
use tidings_wire::names::{AppId, UserId};

use crate::config::{App, AppSettings, Apps};
use crate::ids::UserKey;

/// What was shown to be true.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The app.
    pub app: AppId,
    /// The user.
    pub user: UserId,
    /// The app's numbers.
    pub settings: AppSettings,
    /// The Unix second at which the token ends; `None` = the app has no certificate.
    pub token_expires_s: Option<u64>,
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
/// [`Refused`] with `unknown_app`, `invalid_user_id`, `invalid_token`, `token_expired` or `banned`.
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
    let (settings, token_expires_s) = match apps.listed.get(&app) {
        Some(listed) => {
            let expires = check_token(now_unix_s, &app, listed, &user, token)?;
            (listed.settings, expires)
        }
        None if apps.accept_any => (AppSettings::default(), None),
        None => {
            let text = format!("app {app} is not known to this server; add it with --app {app}");
            return Err(refused(Outcome::UnknownApp, text));
        }
    };
    // Order: after the token, so that only the user itself learns of the ban.
    let user = UserKey { app, user };
    if apps.is_banned(&user) {
        let text = format!("user {} is banned from app {}", user.user, user.app);
        return Err(refused(Outcome::Banned, text));
    }
    let UserKey { app, user } = user;
    Ok(Credentials {
        app,
        user,
        settings,
        token_expires_s,
    })
}

/// Returns the Unix second at which the token ends; `None` for an app without a certificate.
pub(crate) fn check_token(
    now_unix_s: u64,
    app: &AppId,
    listed: &App,
    user: &UserId,
    token: &str,
) -> Result<Option<u64>, Refused> {
    if listed.certificates.is_empty() {
        return Ok(None);
    }
    if token.is_empty() {
        let text = format!("app {app} has a certificate, so a login needs a token; none was given");
        let outcome = Outcome::InvalidToken;
        return Err(Refused { outcome, text });
    }
    if mutant!(53) {
        return Ok(None);
    }
    let certificates: Vec<&str> = listed.certificates.iter().map(String::as_str).collect();
    let keys = AppKeys {
        app_id: app.as_str(),
        certificates: &certificates,
    };
    let policy = Policy::login();
    tidings_token::check(Door::Rtm, &keys, &policy, user.as_str(), now_unix_s, token)
        .map(|granted| Some(granted.expires_at_unix_s))
        .map_err(|refusal| Refused {
            outcome: match refusal {
                Refusal::Expired { .. } => Outcome::TokenExpired,
                _ => Outcome::InvalidToken,
            },
            text: refusal.to_string(),
        })
}
