//! Who calls: an API key, or a user with a token.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tidings_hub::credentials::{self, Grant};
use tidings_hub::{App, Apps};
use tidings_token::jwt::claimed_user;
use tidings_token::{Access, Resource};
use tidings_wire::codes::Outcome;
use tidings_wire::names::{AppId, ChannelName, UserId};

use crate::Api;
use crate::desk::Desk;
use crate::keys::{self, KeyEntry, Keys, Role};
use crate::problem::Fault;

/// The headers of rest 1.1.
const TOKEN: &str = "x-agora-token";
const UID: &str = "x-agora-uid";

/// Who calls, as far as credentials tell.
#[derive(Debug, Clone)]
pub enum Principal {
    /// A backend, which has shown an API key.
    Key(Arc<KeyEntry>),
    /// A user of an app, who may act as itself only.
    User(Arc<TokenUser>),
}

/// A user who has shown a token.
#[derive(Debug)]
pub struct TokenUser {
    /// The app that the token is for; the user can ask about no other.
    pub app: AppId,
    /// Who it is.
    pub user: UserId,
    /// What the token gives.
    pub grant: Grant,
}

impl Principal {
    /// The key's id, or the user's, for the log and the audit log.
    pub fn name(&self) -> &str {
        match self {
            Self::Key(key) => &key.id,
            Self::User(user) => user.user.as_str(),
        }
    }

    /// The key's role; `None` = a user.
    pub fn role(&self) -> Option<Role> {
        match self {
            Self::Key(key) => Some(key.role),
            Self::User(_) => None,
        }
    }

    /// Whether it may ask about this app at all.
    pub fn reaches(&self, app: &AppId) -> bool {
        match self {
            Self::Key(key) => key.apps.as_ref().is_none_or(|apps| apps.contains(app)),
            Self::User(user) => user.app == *app,
        }
    }

    /// Whether it may use this method: a key that only reads has one.
    fn may_use(&self, method: &Method) -> bool {
        self.role() != Some(Role::Read) || matches!(*method, Method::GET | Method::HEAD)
    }

    /// # Errors
    /// 403 unless it is a key with the role `admin`.
    pub fn must_be_admin(&self) -> Result<(), Fault> {
        match self.role() {
            Some(Role::Admin) => Ok(()),
            _ => Err(Fault::forbidden("the call needs a key with the role admin")),
        }
    }

    /// # Errors
    /// 403 unless it is a key that is not limited to some apps, and reads at least: what is asked
    /// is about all.
    pub fn must_be_unlimited(&self) -> Result<(), Fault> {
        match self {
            Self::Key(key) if key.role != Role::App && key.apps.is_none() => Ok(()),
            _ => Err(Fault::forbidden(
                "the call is about the whole server: it needs a key with the role admin, or a read key for every app",
            )),
        }
    }

    /// # Errors
    /// 403 if it is a user: the call is for backends.
    pub fn must_be_key(&self) -> Result<(), Fault> {
        match self {
            Self::Key(_) => Ok(()),
            Self::User(_) => Err(Fault::forbidden(
                "the call needs an API key; a token only lets its user send and read its own",
            )),
        }
    }

    /// # Errors
    /// 403 unless it may act as this user.
    pub fn must_act_as(&self, user: &UserId) -> Result<(), Fault> {
        match self {
            Self::User(token) if token.user != *user => Err(Fault::forbidden(format!(
                "the token is for user {}, not for {user}",
                token.user
            ))),
            _ => Ok(()),
        }
    }

    /// # Errors
    /// 403 if it is a token whose list of permissions does not name this use.
    pub fn must_have(&self, resource: Resource, access: Access, name: &str) -> Result<(), Fault> {
        match self {
            Self::User(token)
                if token
                    .grant
                    .rights
                    .as_ref()
                    .is_some_and(|rights| !rights.allow(resource, access, name)) =>
            {
                Err(Fault::forbidden(format!(
                    "the token's list of permissions does not name {name}"
                )))
            }
            _ => Ok(()),
        }
    }
}

/// The caller of a route that names an app, which it may ask about and which exists.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The backend or user that the credentials have shown.
    pub principal: Principal,
    /// The app in the path.
    pub app: AppId,
    pub(crate) desk: Arc<Desk>,
}

impl Caller {
    /// A ban from sending holds at every door; a key speaks for the app, which has made the ban.
    ///
    /// # Errors
    /// 403 if it is a user whom the app's rules bar from sending, here or in this channel.
    pub(crate) fn must_not_be_barred(
        &self,
        api: &Api,
        channel: Option<&ChannelName>,
    ) -> Result<(), Fault> {
        let Principal::User(token) = &self.principal else {
            return Ok(());
        };
        let apps = api.apps();
        let listed = apps.listed.get(&self.app);
        let barred = listed.map(|app| app.bans.barred(&token.user, channel, api.unix_ms()).send);
        if barred == Some(true) {
            let detail = format!("user {} is banned from sending messages", token.user);
            return Err(Fault::forbidden(detail));
        }
        Ok(())
    }
}

impl<S: Sync> FromRequestParts<S> for Principal {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        let principal = parts.extensions.get::<Self>().cloned();
        principal
            .ok_or_else(|| Fault::unauthorized("no_credentials", "the call has no credentials"))
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        let caller = parts.extensions.get::<Self>().cloned();
        caller.ok_or_else(|| Fault::not_found("unknown_app", "the path names no app"))
    }
}

/// Finds who calls, by whichever credentials are good; a key is stronger than a token.
///
/// # Errors
/// 401; the fault tells what is wrong with the first of them.
pub(crate) fn authenticate(
    keys: &dyn Keys,
    apps: &Apps,
    now_unix_s: u64,
    app: Option<&AppId>,
    headers: &HeaderMap,
) -> Result<Principal, Fault> {
    let mut first = None;
    let mut tokens: [Option<&str>; 2] = [None, text(headers, TOKEN)];
    for value in headers.get_all(AUTHORIZATION) {
        let Ok(value) = value.to_str() else {
            let detail = "the header Authorization has characters that are not ASCII";
            first.get_or_insert(Fault::unauthorized("invalid_credentials", detail));
            continue;
        };
        match by_key(keys, value) {
            Given::Key(key) => return Ok(Principal::Key(key)),
            Given::Token(token) => tokens[0] = Some(token),
            Given::Bad(detail) => {
                first.get_or_insert(Fault::unauthorized("invalid_key", detail));
            }
        }
    }
    for token in tokens.into_iter().flatten() {
        match by_token(apps, now_unix_s, app, text(headers, UID), token) {
            Ok(user) => return Ok(Principal::User(Arc::new(user))),
            Err(fault) => {
                first.get_or_insert(fault);
            }
        }
    }
    Err(first.unwrap_or_else(|| {
        let detail = "the call has no credentials; its path needs an API key";
        Fault::unauthorized("no_credentials", detail)
    }))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// When to call again while the key of a JSON Web Token is fetched, in milliseconds.
const KEY_FETCH_MS: u64 = 1_000;

/// What a header `Authorization` holds.
enum Given<'a> {
    Key(Arc<KeyEntry>),
    Token(&'a str),
    Bad(&'static str),
}

fn by_key<'a>(keys: &dyn Keys, value: &'a str) -> Given<'a> {
    let Some((scheme, rest)) = value.split_once(' ') else {
        return Given::Bad("the header Authorization is no Basic, Bearer or token");
    };
    let rest = rest.trim();
    let checked = |id: &str, secret: &str| match keys.admit(id, secret) {
        Some(key) => Given::Key(key),
        None => Given::Bad("the API key is unknown, revoked or expired, or its secret is wrong"),
    };
    if scheme.eq_ignore_ascii_case("bearer") {
        return match keys::split(rest) {
            Some((id, secret)) => checked(id, secret),
            // A JSON Web Token; no key has a dot.
            None if rest.contains('.') => Given::Token(rest),
            None => Given::Bad("a bearer key is written tdk_<id>_<secret>"),
        };
    }
    if scheme.eq_ignore_ascii_case("basic") {
        let pair = STANDARD.decode(rest).ok();
        let pair = pair.and_then(|bytes| String::from_utf8(bytes).ok());
        return match pair.as_deref().and_then(|pair| pair.split_once(':')) {
            Some((id, secret)) => checked(id, secret),
            None => Given::Bad("Basic needs the base64 of key id, colon and secret"),
        };
    }
    // `agora token=<007>`: whichever the scheme's letters.
    match rest.strip_prefix("token=") {
        Some(token) => Given::Token(token.trim_matches('"')),
        None => Given::Bad("the header Authorization is no Basic, Bearer or token"),
    }
}

fn by_token(
    apps: &Apps,
    now_unix_s: u64,
    app: Option<&AppId>,
    uid: Option<&str>,
    token: &str,
) -> Result<TokenUser, Fault> {
    let fault = |detail: String| Fault::unauthorized("invalid_token", detail);
    let app = app.ok_or_else(|| fault("a token is good for paths with an app id only".into()))?;
    let listed = apps.listed.get(app);
    if listed.is_none_or(|listed| !listed.needs_token()) {
        // Whoever the app lets in without a token is nobody in particular here.
        return Err(fault(format!(
            "app {app} has no certificate here, so that no token proves anything; use an API key"
        )));
    }
    let named = match uid {
        Some(uid) => Some(uid.to_owned()),
        None => user_in(listed, token),
    };
    let user = named.ok_or_else(|| {
        fault("the token does not tell its user; add the header x-agora-uid".into())
    })?;
    let checked = credentials::check(apps, now_unix_s, (app.as_str(), &user, token));
    let checked = checked.map_err(|refused| match refused.outcome {
        // The key that has signed it is being fetched.
        Outcome::Unavailable => Fault::unavailable(refused.text).retry_in(KEY_FETCH_MS),
        _ => fault(refused.text),
    })?;
    Ok(TokenUser {
        app: checked.app,
        user: checked.user,
        grant: checked.grant,
    })
}

/// The user that a 007 token or a JSON Web Token is for, before it is checked.
fn user_in(listed: Option<&App>, token: &str) -> Option<String> {
    if token.contains('.') {
        let jwt = listed?.jwt.as_ref()?;
        return claimed_user(token, &jwt.verifier().rules);
    }
    let inspection = tidings_token::inspect(token).ok()?;
    inspection
        .services
        .into_iter()
        .find_map(|service| service.user)
}

/// # Errors
/// 403 where the key's role does not fit.
pub(crate) fn check_method(principal: &Principal, method: &Method) -> Result<(), Fault> {
    if principal.may_use(method) {
        Ok(())
    } else {
        Err(Fault::forbidden(format!(
            "the key has the role read, and {method} is no reading"
        )))
    }
}
