//! Tokens that the API issues and describes.

use serde_json::{Value, json};
use tidings_server::registry::{IssuedToken, Refused, RefusedKind, TokenFormat, TokenWish};
use tidings_server::{NameRule, UserId};
use tidings_token::jwt::claimed_user;
use tidings_token::{Format, NewAccess007, Service, build_006, build_007};

use super::{conflict, invalid, unavailable};
use crate::failure::Failure;
use crate::registry::Entry;
use crate::revocations::now_unix_s;
use crate::token::inspection;

/// Longest life of a token that the API issues, in seconds: a day, as tokens of the hosted service
/// have. Whoever can ask for one can ask again.
const LIFETIME_S_MAX: u32 = 86_400;

/// Issues a token, signed with the app's first certificate.
pub(super) fn issue(entry: &Entry, wish: &TokenWish) -> Result<IssuedToken, Refused> {
    let rules = entry.api_rules().map_err(unavailable)?;
    if !rules.issues_tokens {
        return Err(Refused {
            kind: RefusedKind::Forbidden,
            what: format!("app {} does not let the API issue tokens", entry.id),
            hint: "an admin allows it: PATCH /api/v1/apps/{app} {\"settings\":{\"issue_tokens\":true}}".into(),
        });
    }
    let Some(certificate) = entry.certificates.first() else {
        return Err(conflict(Failure::new(
            format!(
                "app {} has no certificate, so there is nothing to sign with",
                entry.id
            ),
            "add one: POST /api/v1/apps/{app}/certificates; from then on logins need tokens",
        )));
    };
    UserId::parse(&wish.user).map_err(|error| {
        let failure = Failure::new(
            format!(
                "no token can name user {:?}: {error}",
                super::records::shown(&wish.user)
            ),
            "use 1 to 64 letters, digits, spaces or common punctuation",
        );
        invalid("user_id")(failure)
    })?;
    if !(1..=LIFETIME_S_MAX).contains(&wish.lifetime_s) {
        let failure = Failure::new(
            format!("a token cannot live for {} s", wish.lifetime_s),
            format!("give 1 to {LIFETIME_S_MAX} seconds"),
        );
        return Err(invalid("ttl")(failure));
    }
    let now_s = now_unix_s().map_err(unavailable)?;
    let issued_s = u32::try_from(now_s).map_err(|_| {
        unavailable(Failure::new(
            "the system's clock shows a time that tokens cannot state",
            "set the clock to the present time",
        ))
    })?;
    let token = sign(&entry.id, certificate, wish, issued_s).map_err(unavailable)?;
    Ok(IssuedToken {
        token,
        expires_ms: (now_s + u64::from(wish.lifetime_s)) * 1_000,
    })
}

fn sign(id: &str, certificate: &str, wish: &TokenWish, now_s: u32) -> Result<String, Failure> {
    let salt = getrandom::u32().map_err(|error| {
        let text = format!("the system provides no random numbers: {error}");
        Failure::new(text, "try again")
    })?;
    let built = match wish.format {
        TokenFormat::Access007 => build_007(&NewAccess007 {
            app_id: id,
            certificate,
            issued_at_unix_s: now_s,
            lifetime_s: wish.lifetime_s,
            salt,
            services: &[Service::rtm(&wish.user, wish.lifetime_s)],
        }),
        TokenFormat::Access006 => {
            let end_s = now_s.saturating_add(wish.lifetime_s);
            build_006(id, certificate, &wish.user, salt, end_s, end_s)
        }
    };
    built.map_err(|error| Failure::new(error.to_string(), "check the app's id and certificate"))
}

/// Describes a token, and how the app would judge it.
pub(super) fn inspect(entry: &Entry, token: &str, user: Option<&str>) -> Result<Value, Refused> {
    let found = tidings_token::inspect(token).map_err(|flaw| {
        let failure = Failure::of(&flaw, flaw.hint());
        invalid("token")(failure)
    })?;
    let is_jwt = found.format == Format::Jwt;
    if !is_jwt && found.app_id != entry.id {
        let failure = Failure::new(
            "the token is for another app".to_owned(),
            "ask about the app that it is for",
        );
        return Err(invalid("token")(failure));
    }
    let now_s = now_unix_s().map_err(unavailable)?;
    let app = entry.app().map_err(unavailable)?;
    let verdict = if is_jwt {
        inspection::judge_jwt(entry, user, token, now_s).map_err(unavailable)?
    } else {
        let max_s = app.token_policy().max_lifetime_s;
        let keys = (&entry.certificates[..], max_s);
        inspection::judge(keys, (user, &found, token), now_s)
    };
    let mut described = inspection::as_json(&found, &verdict, now_s);
    let is_taken_back = found.id.is_some_and(|id| app.revoked.contains_key(&id));
    let named = || {
        let jwt = app.jwt.as_ref().filter(|_| is_jwt);
        match jwt {
            Some(jwt) => claimed_user(token, &jwt.verifier().rules),
            None => inspection::user_of(&found),
        }
    };
    let user = user.map(str::to_owned).or_else(named);
    let user = user.and_then(|user| UserId::parse_by(NameRule::Wide, &user).ok());
    let not_before = user
        .as_ref()
        .and_then(|user| app.not_before.get(user).copied());
    let not_before = not_before.unwrap_or(0).max(app.not_before_all);
    let is_too_old = not_before > 0
        && found
            .issued_at_unix_s
            .is_none_or(|issued| issued < not_before);
    if is_taken_back || is_too_old {
        described["check"] = json!({
            "verdict": "revoked",
            "text": "the token was revoked before its expiry",
        });
    } else if user.is_some_and(|user| app.banned.contains(&user)) {
        described["check"] = json!({
            "verdict": "banned",
            "text": "the token is good, but its user is banned",
        });
    }
    Ok(described)
}
