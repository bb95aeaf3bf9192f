//! Decides who may log in with the legacy protocol.

use tidings_hub::credentials::Grant;
use tidings_hub::ids::UserKey;
use tidings_hub::{App, Traits};
use tidings_legacy::{AppRules, LATE_LOGIN_S, LoginRefusal, LoginRequest, check_token};
use tidings_token::{AppKeys, Refusal};
use tidings_wire::names::{AppId, NameRule, UserId};

use crate::host::Host;
use crate::recent::Key;

/// The traits of a legacy client whose app permits nothing more. Source: decision 0009.
pub const TRAITS: Traits = Traits {
    names: NameRule::Wide,
    is_text_only: true,
    knows_library_types: true,
    processes_late: true,
    ends_with_connection: true,
    is_paced: true,
    lists_all_members: true,
    ends_messages: true,
    reaches_any_channel: false,
    rings_on: true,
    is_service: false,
};

/// A login that is admitted.
pub(crate) struct Admitted {
    pub(crate) user: UserKey,
    pub(crate) rules: AppRules,
    pub(crate) traits: Traits,
    pub(crate) grant: Grant,
    /// Under which token it is remembered; `None` = its app has no tokens.
    pub(crate) recent: Option<Key>,
}

/// Checks a login's app, account and token.
pub(crate) fn check<H: Host>(
    host: &mut H,
    request: &LoginRequest,
) -> Result<Admitted, LoginRefusal> {
    let now = host.now();
    let app = AppId::parse(&request.app).map_err(|_| LoginRefusal::UnknownApp)?;
    let apps = host.cell().apps().clone();
    let listed = apps.listed.get(&app);
    if listed.is_none() && !apps.accept_any {
        return Err(LoginRefusal::UnknownApp);
    }
    let user = UserId::parse_by(NameRule::Wide, &request.account)
        .map_err(|_| LoginRefusal::WrongAccount)?;
    let mut rules = host.legacy_rules(&app);
    if let Some(listed) = listed {
        rules.token_lifetime_max_s = listed.token_policy().max_lifetime_s;
    }
    let certificates: Vec<&str> = listed
        .map(|app| app.certificates.iter().map(String::as_str).collect())
        .unwrap_or_default();
    let keys = AppKeys {
        app_id: app.as_str(),
        certificates: &certificates,
        jwt: listed.and_then(|app| app.jwt.as_ref().map(|jwt| jwt.verifier())),
    };
    let key = (app.clone(), request.account.clone());
    let was_in = host.recent_logins(|recent| recent.has(&key, &request.token, now.mono_ms));
    let granted = check_token(
        &keys,
        &rules,
        &request.account,
        now.unix_s(),
        &request.token,
        was_in,
    );
    let granted = granted.map_err(|refusal| match refusal {
        Refusal::Expired { .. } => LoginRefusal::TokenExpired,
        // Its client tries again; the key may be there by then.
        _ if listed.is_some_and(|app| app.may_get_key(&refusal)) => LoginRefusal::Busy,
        _ => LoginRefusal::TokenInvalid,
    })?;
    let mut grant = match (granted, listed) {
        (Some(granted), Some(listed)) => Grant::of(granted, listed),
        _ => Grant::default(),
    };
    if listed.is_some_and(|listed| listed.has_taken_back(&user, &grant.proof)) {
        return Err(LoginRefusal::TokenInvalid);
    }
    let recent = listed.is_some_and(App::needs_token).then_some(key);
    if let Some(key) = recent.clone() {
        host.recent_logins(|recent| recent.begin(key, request.token.clone(), now.mono_ms));
    }
    let has_ended = grant.expires_s.is_some_and(|end| now.unix_s() >= end);
    if was_in && has_ended && apps.settings(&app).kick_on_token_expiry {
        // A login admitted after its token expired ends when that grace is over.
        grant.expires_s = grant.expires_s.map(|end| end.saturating_add(LATE_LOGIN_S));
    }
    let traits = Traits {
        reaches_any_channel: rules.allows_force || rules.allows_special_channels,
        ..TRAITS
    };
    Ok(Admitted {
        user: UserKey { app, user },
        rules,
        traits,
        grant,
        recent,
    })
}
