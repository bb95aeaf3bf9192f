//! JSON Web Tokens (RFC 7515, 7519): what the libraries of most backends sign.
//!
//! ```text
//! token     = base64url(header) "." base64url(claims) "." base64url(signature)
//! signature = over the text in front of the second dot
//! ```
//! The rules that keep strangers out, each with its vectors in `spec/jwt-vectors.json`: a key has
//! one algorithm and the header's `alg` only picks among the keys; `none`, encrypted tokens,
//! `crit`, keys inside the token and repeated names are refused; nothing is believed before a
//! signature fits.
//!
//! Reading order: this file (the check), `verifier`, `claims`, `key`, `json`; `flaw` is what can be
//! wrong.

mod claims;
pub(crate) mod flaw;
mod json;
pub(crate) mod key;
pub(crate) mod verifier;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use self::claims::{Claims, short, wrong};
pub use self::flaw::JwtFlaw;
use self::key::KEY_ID_BYTES_MAX;
pub use self::key::{
    Algorithm, KEYS_MAX, Key, KeyError, KeySet, SECRET_BYTES_MAX, SECRET_BYTES_MIN,
};
pub use self::verifier::{LEEWAY_S_MAX, Rules, Verifier};
use crate::grant::{Granted, TokenId};
use crate::refusal::{Refusal, TokenUser};

/// Most keys that one token is tried with: what a stranger can make us compute.
const TRIES_MAX: usize = 4;

/// The parts of a token, decoded; nothing is proven by reading them.
pub(crate) struct Parts<'a> {
    /// What the signature covers.
    signed: &'a str,
    signature: Vec<u8>,
    pub(crate) algorithm: Algorithm,
    pub(crate) key_id: Option<String>,
    claims: Map<String, Value>,
}

impl<'a> Parts<'a> {
    /// Reads a token of bounded length.
    pub(crate) fn parse(token: &'a str) -> Result<Self, JwtFlaw> {
        let parts: Vec<&str> = token.split('.').collect();
        let [header, claims, signature] = parts[..] else {
            return Err(match parts.len() {
                5 => JwtFlaw::Encrypted,
                count => JwtFlaw::Parts(count),
            });
        };
        let decode = |part, text: &str| {
            URL_SAFE_NO_PAD
                .decode(text)
                .map_err(|_| JwtFlaw::Base64 { part })
        };
        let object = |part, text: &str| {
            json::object(&decode(part, text)?).map_err(|error| JwtFlaw::Json { part, error })
        };
        let (algorithm, key_id) = read_header(&object("header", header)?)?;
        Ok(Self {
            signed: &token[..header.len() + 1 + claims.len()],
            signature: decode("signature", signature)?,
            algorithm,
            key_id,
            claims: object("payload", claims)?,
        })
    }

    /// Names the token in a list of revoked ones: by its `jti`, else by what is signed. Not by the
    /// signature: of an ES256 signature, anybody can make a second one that fits.
    pub(crate) fn id(&self) -> Option<TokenId> {
        match self.claims.get("jti").and_then(Value::as_str) {
            Some(jti) => TokenId::of_jti(jti),
            None => TokenId::of(&Sha256::digest(self.signed)),
        }
    }

    pub(crate) fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    /// A time among the claims, where it has the form of one.
    pub(crate) fn time(&self, name: &str) -> Option<u64> {
        Claims::new(self.claims.clone()).time(name).ok().flatten()
    }
}

/// The user that a token claims to be for, by these rules. Nothing is proven by that.
pub fn claimed_user(token: &str, rules: &Rules) -> Option<String> {
    let parts = Parts::parse(token).ok()?;
    let claims = Claims::new(parts.claims);
    claims.user(&rules.user_claim).ok().flatten()
}

impl TokenId {
    /// Names all tokens with this `jti`.
    pub fn of_jti(jti: &str) -> Option<Self> {
        Self::of(&Sha256::digest(format!("jti:{jti}")))
    }
}

fn read_header(header: &Map<String, Value>) -> Result<(Algorithm, Option<String>), JwtFlaw> {
    let text = |name: &str| match header.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(other) => Err(wrong(name, other, "a text")),
    };
    // What changes the meaning of the rest. `jwk`, `jku` and `x5c` name keys of the sender's choice
    // and are not looked at.
    for unknown in ["crit", "b64", "zip", "enc", "cty"] {
        if header.contains_key(unknown) {
            return Err(JwtFlaw::Header(unknown));
        }
    }
    if let Some(kind) = text("typ")? {
        let bare = kind.to_ascii_lowercase();
        let bare = bare.strip_prefix("application/").unwrap_or(&bare);
        if !["jwt", "at+jwt"].contains(&bare) {
            return Err(JwtFlaw::Type(short(kind)));
        }
    }
    let name = text("alg")?.unwrap_or_default();
    let algorithm = Algorithm::named(name).ok_or_else(|| JwtFlaw::Algorithm(short(name)))?;
    match text("kid")? {
        Some(id) if id.len() > KEY_ID_BYTES_MAX => Err(JwtFlaw::Field {
            name: "kid".into(),
            found: "longer",
            wanted: "at most 256 bytes long",
        }),
        id => Ok((algorithm, id.map(str::to_owned))),
    }
}

/// Checks a token. Order: form, signature, app, issuer and audience, user, start; the caller checks
/// the end.
///
/// Cost: at most [`TRIES_MAX`] signatures.
pub(crate) fn check(
    verifier: &Verifier,
    (app_id, user_id): (&str, &str),
    now_unix_s: u64,
    token: &str,
) -> Result<Granted, Refusal> {
    let parts = Parts::parse(token).map_err(Refusal::from)?;
    verify(verifier, &parts)?;
    // Order: only from here on are the claims those of whoever has the key.
    let id = parts.id();
    let rules = &verifier.rules;
    let claims = Claims::new(parts.claims);
    check_places(rules, &claims, app_id)?;
    check_user(rules, &claims, user_id)?;
    let issued = claims.time("iat").map_err(Refusal::from)?;
    let begins = claims.time("nbf").map_err(Refusal::from)?;
    if let Some(from_unix_s) = issued.max(begins)
        && from_unix_s > now_unix_s.saturating_add(rules.leeway_s)
    {
        return Err(Refusal::NotYetValid {
            from_unix_s,
            now_unix_s,
        });
    }
    let expires_at_unix_s = end(rules, &claims, issued, now_unix_s)?;
    Ok(Granted {
        expires_at_unix_s,
        issued_at_unix_s: issued,
        rights: claims.rights(&rules.rights_claim).map_err(Refusal::from)?,
        certificate: None,
        id,
    })
}

fn verify(verifier: &Verifier, parts: &Parts<'_>) -> Result<(), Refusal> {
    let Parts {
        algorithm, key_id, ..
    } = parts;
    let is_meant = |key: &&Key| match (&key.id, key_id) {
        (Some(id), Some(wanted)) => **id == **wanted,
        _ => true,
    };
    let of_kind = verifier.keys.iter();
    let of_kind = of_kind.filter(|key| key.algorithm() == *algorithm);
    let candidates: Vec<&Key> = of_kind.filter(is_meant).take(TRIES_MAX + 1).collect();
    let (algorithm, key_id) = (*algorithm, key_id.as_deref().map(short));
    match candidates.len() {
        0 => Err(Refusal::NoSuchKey {
            algorithm,
            key_id,
            keys: verifier.keys.len(),
        }),
        1..=TRIES_MAX => {
            let message = parts.signed.as_bytes();
            let has_signed = |key: &&Key| key.has_signed(message, &parts.signature);
            if candidates.iter().any(has_signed) {
                Ok(())
            } else {
                Err(Refusal::InvalidJwtSignature { algorithm, key_id })
            }
        }
        _ => Err(Refusal::ManyKeys { algorithm }),
    }
}

/// Whether the token is for this app and from whom the app trusts.
fn check_places(rules: &Rules, claims: &Claims, app_id: &str) -> Result<(), Refusal> {
    let refused = |claim: &str, found: Option<Vec<&str>>, wanted: String| Refusal::WrongClaim {
        claim: short(claim),
        found: found.map_or("missing".into(), |texts| short(&format!("{texts:?}"))),
        wanted,
    };
    let apps = claims.texts(&rules.app_claim).map_err(Refusal::from)?;
    let app_missing = rules.requires_app && apps.is_none();
    if app_missing || apps.as_ref().is_some_and(|apps| !apps.contains(&app_id)) {
        return Err(refused(&rules.app_claim, apps, format!("{app_id:?}")));
    }
    let within = |texts: &Option<Vec<&str>>, wanted: &[String]| {
        let texts = texts.as_deref().unwrap_or_default();
        texts
            .iter()
            .any(|text| wanted.iter().any(|one| one == text))
    };
    let issuer = claims.texts("iss").map_err(Refusal::from)?;
    if !rules.issuers.is_empty() && !within(&issuer, &rules.issuers) {
        return Err(refused("iss", issuer, format!("{:?}", rules.issuers)));
    }
    let audience = claims.texts("aud").map_err(Refusal::from)?;
    let is_ours = match (&audience, rules.audiences.is_empty()) {
        (None, true) => true,
        (Some(audience), true) => audience.contains(&app_id),
        (audience, false) => within(audience, &rules.audiences),
    };
    match (is_ours, rules.audiences.is_empty()) {
        (true, _) => Ok(()),
        (false, true) => Err(refused("aud", audience, format!("{app_id:?}"))),
        (false, false) => Err(refused("aud", audience, format!("{:?}", rules.audiences))),
    }
}

fn check_user(rules: &Rules, claims: &Claims, user_id: &str) -> Result<(), Refusal> {
    let named = claims.user(&rules.user_claim).map_err(Refusal::from)?;
    let token_user = match named {
        Some(user) if user == user_id && !user.is_empty() => return Ok(()),
        Some(user) if !user.is_empty() => TokenUser::Named(user),
        Some(_) => TokenUser::Empty,
        None => TokenUser::NoClaim(short(&rules.user_claim)),
    };
    Err(Refusal::WrongUser {
        token_user,
        user_id: user_id.to_owned(),
    })
}

/// The first second at which the token is no longer valid, the leeway included: what the app grants
/// to its issuer's clock, a session has too.
fn end(
    rules: &Rules,
    claims: &Claims,
    issued: Option<u64>,
    now_unix_s: u64,
) -> Result<u64, Refusal> {
    let ends = claims.time("exp").map_err(Refusal::from)?;
    let ends = ends.ok_or(JwtFlaw::Field {
        name: "exp".into(),
        found: "missing",
        wanted: "a time in seconds since 1970",
    });
    let ends = ends.map_err(Refusal::from)?;
    let max_s = rules.lifetime_max_s;
    let capped = match (max_s, issued) {
        (0, _) => ends,
        (_, Some(issued)) => ends.min(issued.saturating_add(max_s)),
        (_, None) => {
            let ends_in_s = ends.saturating_sub(now_unix_s);
            if ends_in_s > max_s {
                return Err(JwtFlaw::TooLong { ends_in_s, max_s }.into());
            }
            ends
        }
    };
    Ok(capped.saturating_add(rules.leeway_s))
}
