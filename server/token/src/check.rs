//! The check: which format a token has, whether this door accepts it, and what it grants.

use crate::door::{Door, Format};
use crate::grant::{Granted, NEVER, Policy};
use crate::keys::AppKeys;
use crate::refusal::{Flaw, Refusal};
use crate::rights::Rights;
use crate::{access006, access007, jwt, signaling};

/// What legacy clients that were built without a token send. Source: documented, the old signaling
/// tutorials.
const DEBUG_WORD: &str = "_no_need_token";

/// Tells the format by the first characters.
pub(crate) fn format_of(token: &str) -> Result<Format, Flaw> {
    match token.as_bytes() {
        [] => Err(Flaw::Empty),
        [b'1', b':', ..] => Ok(Format::Signaling),
        [b'0', b'0', b'6', ..] => Ok(Format::Access006),
        [b'0', b'0', b'7', ..] => Ok(Format::Access007),
        // A dot, which the others do not have; an app id could begin like any base64url.
        _ if token.contains('.') => Ok(Format::Jwt),
        _ if token == DEBUG_WORD => Err(Flaw::DebugWord),
        _ => Err(Flaw::UnknownFormat),
    }
}

/// Checks whether `token` lets `user_id` log in to the app at `now_unix_s`.
///
/// The order of the checks is fixed (malformed, app, then by format), expiry comes last: a client
/// answers `expired` with a fresh token, and a token that is wrong in another way too would send it
/// round in circles. Comparisons of digests take constant time and every certificate is tried.
///
/// # Errors
/// The first reason that applies.
///
/// Cost: at most one bounded inflate of `max_inflated_bytes` and one HMAC-SHA256 chain per
/// certificate; for a JSON Web Token, at most four signatures.
pub fn check(
    door: Door,
    keys: &AppKeys<'_>,
    policy: &Policy,
    user_id: &str,
    now_unix_s: u64,
    token: &str,
) -> Result<Granted, Refusal> {
    let (bytes, bytes_max) = (token.len(), policy.max_token_bytes);
    if bytes > bytes_max {
        return Err(Flaw::TooLong { bytes, bytes_max }.into());
    }
    let granted = match format_at(door, keys, policy, token) {
        Ok(Format::Signaling) => signaling::check(keys, policy, user_id, now_unix_s, token)?,
        Ok(Format::Access006) => access006::check(keys, policy, user_id, token)?,
        Ok(Format::Access007) => access007::check(keys, policy, user_id, now_unix_s, token)?,
        Ok(Format::Jwt) => {
            // `format_at` has let it pass, so there is one.
            let verifier = keys.jwt.ok_or(Flaw::UnknownFormat)?;
            jwt::check(verifier, (keys.app_id, user_id), now_unix_s, token)?
        }
        Err(Flaw::DebugWord) if door == Door::Legacy && policy.legacy_debug_word => Granted {
            expires_at_unix_s: NEVER,
            issued_at_unix_s: None,
            rights: Rights::Unrestricted,
            certificate: None,
            id: None,
        },
        Err(_) if token == keys.app_id => return Err(Flaw::AppIdInstead.into()),
        Err(flaw) => return Err(flaw.into()),
    };
    let at_unix_s = granted.expires_at_unix_s;
    if now_unix_s >= at_unix_s.saturating_add(policy.leeway_s) {
        return Err(Refusal::Expired {
            at_unix_s,
            now_unix_s,
        });
    }
    Ok(granted)
}

/// The token's format, if the door accepts it.
fn format_at(door: Door, keys: &AppKeys<'_>, policy: &Policy, token: &str) -> Result<Format, Flaw> {
    let format = format_of(token)?;
    let taken = match format {
        Format::Signaling => door == Door::Legacy && policy.legacy_signaling_tokens,
        Format::Access006 | Format::Access007 => true,
        Format::Jwt => keys.jwt.is_some(),
    };
    if taken {
        Ok(format)
    } else {
        Err(Flaw::FormatRefused { format, door })
    }
}
