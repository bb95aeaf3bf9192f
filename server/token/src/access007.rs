//! AccessToken2 007: `007 ‖ base64(zlib(content))`.
//!
//! ```text
//! content   = u16 32 | signature | info
//! info      = str app id | u32 issue time | u32 lifetime | u32 salt | u16 count | services
//! k1        = HMAC-SHA256( LE32(issue time), certificate )
//! k2        = HMAC-SHA256( LE32(salt), k1 )
//! signature = HMAC-SHA256( k2, info )
//! ```
//! Little-endian; the lifetime and all privilege times are seconds from the issue time. Source:
//! documented, the public token builders. The *public* numbers are the keys, the secret is the
//! message.
//!
//! Invariant: the signature is computed over the very bytes that follow it, never over fields
//! packed again: builders differ in order and in services that we do not know.
//!
//! Builders compress differently, so one token has many texts; never remember a token by its text.

use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::door::Format;
use crate::encoding::{decode_base64, deflate, encode_base64, inflate};
use crate::grant::{Granted, Policy, TokenId};
use crate::keys::{AppKeys, BuildError, check_form, has_key_form, put_bytes};
use crate::reader::Reader;
use crate::refusal::{Flaw, Refusal, TokenUser};
use crate::rights::{Permissions, Rights};
use crate::service::{Service, ServiceBody, read_services, write_services};

/// The inflated bytes of a token.
pub(crate) fn unpack(token: &str, bytes_max: usize) -> Result<Vec<u8>, Flaw> {
    let encoded = token.strip_prefix("007").ok_or(Flaw::UnknownFormat)?;
    inflate(&decode_base64(encoded)?, bytes_max)
}

/// The fields before the services; nothing is proven by reading them.
pub(crate) struct Header<'a> {
    pub(crate) signature: [u8; 32],
    /// All that the signature covers.
    info: &'a [u8],
    pub(crate) app_id: &'a str,
    pub(crate) issued_at_unix_s: u32,
    pub(crate) lifetime_s: u32,
    pub(crate) salt: u32,
    services: Reader<'a>,
}

impl<'a> Header<'a> {
    pub(crate) fn parse(content: &'a [u8]) -> Result<Self, Flaw> {
        let mut reader = Reader::new(content);
        let signature = reader.signature()?;
        let info = reader.rest();
        let app_id = reader.bytes("app id")?;
        let app_id = match std::str::from_utf8(app_id) {
            Ok(text) if has_key_form(app_id) => text,
            _ => return Err(Flaw::AppIdForm),
        };
        let issued_at_unix_s = reader.u32("issue time")?;
        let lifetime_s = reader.u32("lifetime")?;
        let salt = reader.u32("salt")?;
        Ok(Self {
            signature,
            info,
            app_id,
            issued_at_unix_s,
            lifetime_s,
            salt,
            services: reader,
        })
    }

    pub(crate) fn services(&self) -> Result<Vec<Service<'a>>, Flaw> {
        read_services(&mut self.services.clone())
    }

    /// When a privilege of this token ends; sums in 64 bits, builders pass absolute times too.
    pub(crate) fn ends_with_privilege_at(&self, expire_s: u32, max_lifetime_s: u64) -> u64 {
        let cap_s = if max_lifetime_s == 0 {
            u64::MAX
        } else {
            max_lifetime_s
        };
        let lifetime_s = u64::from(self.lifetime_s).min(cap_s);
        let privilege_s = if expire_s == 0 {
            lifetime_s
        } else {
            u64::from(expire_s)
        };
        u64::from(self.issued_at_unix_s) + lifetime_s.min(privilege_s)
    }
}

/// A service that lets some user log in.
struct Login<'s, 'a> {
    user: &'a [u8],
    expires_at_unix_s: u64,
    /// Of a type 8 service.
    permissions: Option<&'s Permissions>,
}

impl<'s, 'a> Login<'s, 'a> {
    fn of(service: &'s Service<'a>, header: &Header<'_>, policy: &Policy) -> Option<Self> {
        let (user, permissions) = match &service.body {
            ServiceBody::Rtm { user } => (user, None),
            ServiceBody::Rtm2 { user, permissions } => (user, Some(permissions)),
            _ => return None,
        };
        let expire_s = service.login()?;
        let expires_at_unix_s = header.ends_with_privilege_at(expire_s, policy.max_lifetime_s);
        Some(Self {
            user,
            expires_at_unix_s,
            permissions,
        })
    }

    fn is_for(&self, user_id: &str, policy: &Policy) -> bool {
        if self.user.is_empty() {
            policy.allow_any_user
        } else {
            self.user == user_id.as_bytes()
        }
    }

    /// The longest lifetime wins; among equals, the unrestricted service.
    fn preference(&self) -> (u64, bool) {
        (self.expires_at_unix_s, self.permissions.is_none())
    }
}

/// Everything but the expiry.
pub(crate) fn check(
    keys: &AppKeys<'_>,
    policy: &Policy,
    user_id: &str,
    now_unix_s: u64,
    token: &str,
) -> Result<Granted, Refusal> {
    let content = unpack(token, policy.max_inflated_bytes)?;
    let header = Header::parse(&content)?;
    if header.app_id != keys.app_id {
        return Err(Refusal::WrongApp {
            token_app_id: header.app_id.to_owned(),
            app_id: keys.app_id.to_owned(),
        });
    }
    let fits = |certificate: &str| {
        let mac = signature(
            certificate,
            header.issued_at_unix_s,
            header.salt,
            header.info,
        );
        mac.verify_slice(&header.signature).is_ok()
    };
    let Some(certificate) = keys.certificate_that(fits) else {
        return Err(Refusal::InvalidSignature {
            certificates: keys.certificates.len(),
        });
    };
    // Order: only from here on are the bytes those of the app's own backend.
    let issued_at_unix_s = u64::from(header.issued_at_unix_s);
    let ahead_s_max = policy.max_issue_ahead_s;
    if issued_at_unix_s > now_unix_s.saturating_add(ahead_s_max) {
        return Err(Flaw::IssuedAhead {
            issued_at_unix_s,
            now_unix_s,
            ahead_s_max,
        }
        .into());
    }
    let services = header.services()?;
    let (expires_at_unix_s, rights) = best_login(&header, &services, policy, user_id)?;
    Ok(Granted {
        expires_at_unix_s,
        issued_at_unix_s: Some(issued_at_unix_s),
        rights,
        certificate: Some(certificate),
        id: TokenId::of(&header.signature),
    })
}

/// Chooses the service on whose strength the user logs in; gives its expiry and rights.
fn best_login(
    header: &Header<'_>,
    services: &[Service<'_>],
    policy: &Policy,
    user_id: &str,
) -> Result<(u64, Rights), Refusal> {
    let mut refused_user: Option<&[u8]> = None;
    let mut best: Option<Login<'_, '_>> = None;
    for login in services
        .iter()
        .filter_map(|service| Login::of(service, header, policy))
    {
        if !login.is_for(user_id, policy) {
            refused_user = refused_user.or(Some(login.user));
        } else if best
            .as_ref()
            .is_none_or(|best| login.preference() > best.preference())
        {
            best = Some(login);
        }
    }
    match (best, refused_user) {
        (Some(login), _) => {
            let rights = login
                .permissions
                .cloned()
                .map_or(Rights::Unrestricted, Rights::Rtm2);
            Ok((login.expires_at_unix_s, rights))
        }
        (None, Some(user)) => {
            let token_user = match user {
                [] => TokenUser::Empty,
                user => TokenUser::Named(String::from_utf8_lossy(user).into_owned()),
            };
            Err(Refusal::WrongUser {
                token_user,
                user_id: user_id.to_owned(),
            })
        }
        (None, None) => Err(Refusal::NoRtmPrivilege {
            format: Format::Access007,
        }),
    }
}

fn hmac(key: &[u8], message: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message);
    mac
}

fn signature(certificate: &str, issued_at_unix_s: u32, salt: u32, info: &[u8]) -> Hmac<Sha256> {
    let k1 = hmac(&issued_at_unix_s.to_le_bytes(), certificate.as_bytes())
        .finalize()
        .into_bytes();
    let k2 = hmac(&salt.to_le_bytes(), &k1).finalize().into_bytes();
    hmac(&k2, info)
}

/// The inputs of [`build_007`]. `Debug` is left out, as it holds a secret.
#[derive(Clone, Copy)]
pub struct NewAccess007<'a> {
    /// 32 hexadecimal characters.
    pub app_id: &'a str,
    /// 32 hexadecimal characters; the secret that signs.
    pub certificate: &'a str,
    /// The time of making, Unix seconds.
    pub issued_at_unix_s: u32,
    /// Seconds from the issue until the whole token expires; checkers cap it, by default at a day.
    pub lifetime_s: u32,
    /// Any number; builders take a random one from 1 to 99,999,999.
    pub salt: u32,
    /// At least one; written in ascending order of type.
    pub services: &'a [Service<'a>],
}

/// Makes a token of format 007.
///
/// # Errors
/// [`BuildError::AppId`], [`BuildError::Certificate`], [`BuildError::NoService`]; a text or list of
/// more than 65,535 bytes or entries; a repeated privilege.
pub fn build_007(token: &NewAccess007<'_>) -> Result<String, BuildError> {
    check_form(token.app_id, token.certificate)?;
    if token.services.is_empty() {
        return Err(BuildError::NoService);
    }
    let mut info = Vec::with_capacity(128);
    put_bytes(&mut info, "app id", token.app_id.as_bytes())?;
    info.extend_from_slice(&token.issued_at_unix_s.to_le_bytes());
    info.extend_from_slice(&token.lifetime_s.to_le_bytes());
    info.extend_from_slice(&token.salt.to_le_bytes());
    write_services(&mut info, token.services)?;

    let mac = signature(token.certificate, token.issued_at_unix_s, token.salt, &info);
    let mut content = Vec::with_capacity(34 + info.len());
    put_bytes(&mut content, "signature", &mac.finalize().into_bytes())?;
    content.extend_from_slice(&info);
    Ok(format!("007{}", encode_base64(&deflate(&content))))
}
