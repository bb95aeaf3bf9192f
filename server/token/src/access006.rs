//! AccessToken 006: `006 ‖ app id ‖ base64(content)`.
//!
//! ```text
//! content   = u16 32 | signature | u32 crc32(channel) | u32 crc32(uid) | u16 n | n bytes message
//! message   = u32 salt | u32 end | u16 count | count × ( u16 privilege | u32 expiry )
//! signature = HMAC-SHA256( certificate, app id ‖ channel ‖ uid ‖ message )
//! ```
//! Little-endian, times absolute. Source: documented, the public token builders. An RTM token has
//! the user in `channel`, nothing in `uid`, and privilege 1000 alone.
//!
//! The signed fields are joined without lengths. Whoever can choose a user id may have the backend
//! sign, honestly, the id `bob` followed by bytes that begin a message; cut after `bob`, the same
//! signature covers a longer message for a user who never asked for it. Every such message still
//! ends in the honest one's last entry, privilege 1000.
//!
//! Invariant: privilege 1000 is accepted only as the one entry of its message, which leaves exactly
//! one way to divide the signed bytes.
//!
//! The two CRC fields are outside the signature. They give a quick and friendly "wrong user" and
//! prove nothing; identity is proven by signing again with the user id that the client claims.

use hmac::{Hmac, Mac};
use sha2::Sha256;

use crate::door::Format;
use crate::encoding::{decode_base64, encode_base64};
use crate::grant::{Granted, Policy, TokenId};
use crate::keys::{AppKeys, BuildError, KEY_CHARS, check_form, has_key_form};
use crate::reader::Reader;
use crate::refusal::{Flaw, Refusal, TokenUser};
use crate::rights::Rights;
use crate::service::read_privileges;

/// The privilege to log in to messaging.
const PRIVILEGE_RTM_LOGIN: u16 = 1000;
/// The privilege to join a call, which a policy may take for a login.
const PRIVILEGE_RTC_JOIN: u16 = 1;
/// The end of a token lies this long after its making in every public builder, seconds.
const LIFETIME_S: u64 = 86_400;

/// The fields of a token, the signature not yet checked.
pub(crate) struct Fields<'a> {
    pub(crate) app_id: &'a str,
    pub(crate) signature: [u8; 32],
    pub(crate) channel_crc: u32,
    pub(crate) uid_crc: u32,
    message: Vec<u8>,
    pub(crate) salt: u32,
    pub(crate) ends_at_unix_s: u32,
    /// Privilege and absolute expiry, by privilege.
    pub(crate) privileges: Vec<(u16, u32)>,
}

impl<'a> Fields<'a> {
    /// Takes a whole token apart; the caller has bounded its length and seen its first characters.
    pub(crate) fn parse(token: &'a str) -> Result<Self, Flaw> {
        let after_version = token.strip_prefix("006").ok_or(Flaw::UnknownFormat)?;
        let Some((app_id, encoded)) = after_version.split_at_checked(KEY_CHARS) else {
            return Err(Flaw::AppIdForm);
        };
        if !has_key_form(app_id.as_bytes()) {
            return Err(Flaw::AppIdForm);
        }
        let content = decode_base64(encoded)?;
        let mut reader = Reader::new(&content);
        let signature = reader.signature()?;
        let channel_crc = reader.u32("channel CRC")?;
        let uid_crc = reader.u32("uid CRC")?;
        let message = reader.bytes("message")?;
        expect_end(&reader, "the message")?;

        let mut reader = Reader::new(message);
        let salt = reader.u32("salt")?;
        let ends_at_unix_s = reader.u32("end time")?;
        let privileges = read_privileges(&mut reader)?;
        expect_end(&reader, "the privileges")?;
        let message = message.to_vec();
        Ok(Self {
            app_id,
            signature,
            channel_crc,
            uid_crc,
            message,
            salt,
            ends_at_unix_s,
            privileges,
        })
    }

    /// When a privilege of this token ends.
    pub(crate) fn ends_with_privilege_at(&self, expiry: u32) -> u64 {
        let end = self.ends_at_unix_s;
        u64::from(if expiry == 0 { end } else { end.min(expiry) })
    }

    /// The expiry of a privilege, if the token has it.
    pub(crate) fn privilege(&self, wanted: u16) -> Option<u32> {
        self.privileges
            .iter()
            .find(|(privilege, _)| *privilege == wanted)
            .map(|found| found.1)
    }

    /// The expiry of the privilege to log in to messaging.
    pub(crate) fn rtm_login(&self) -> Option<u32> {
        self.privilege(PRIVILEGE_RTM_LOGIN)
    }
}

fn expect_end(reader: &Reader<'_>, part: &'static str) -> Result<(), Flaw> {
    match reader.rest().len() {
        0 => Ok(()),
        count => Err(Flaw::BytesAfter { part, count }),
    }
}

/// Everything but the expiry.
pub(crate) fn check(
    keys: &AppKeys<'_>,
    policy: &Policy,
    user_id: &str,
    token: &str,
) -> Result<Granted, Refusal> {
    let fields = Fields::parse(token)?;
    let login = fields.rtm_login();
    if login.is_some() && fields.privileges.len() > 1 {
        return Err(Flaw::LoginNotAlone {
            others: fields.privileges.len() - 1,
        }
        .into());
    }
    if fields.app_id != keys.app_id {
        return Err(Refusal::WrongApp {
            token_app_id: fields.app_id.to_owned(),
            app_id: keys.app_id.to_owned(),
        });
    }
    let join = if policy.accept_rtc_006 {
        fields.privilege(PRIVILEGE_RTC_JOIN)
    } else {
        None
    };
    let Some(privilege_expiry) = login.or(join) else {
        return Err(Refusal::NoRtmPrivilege {
            format: Format::Access006,
        });
    };
    if fields.channel_crc != crc32fast::hash(user_id.as_bytes()) || fields.uid_crc != 0 {
        let (channel, uid) = (fields.channel_crc, fields.uid_crc);
        let token_user = TokenUser::Crc32 { channel, uid };
        return Err(Refusal::WrongUser {
            token_user,
            user_id: user_id.to_owned(),
        });
    }
    let fits = |certificate: &str| {
        let mac = signature(certificate, fields.app_id, user_id, &fields.message);
        mac.verify_slice(&fields.signature).is_ok()
    };
    let Some(certificate) = keys.certificate_that(fits) else {
        return Err(Refusal::InvalidSignature {
            certificates: keys.certificates.len(),
        });
    };
    Ok(Granted {
        expires_at_unix_s: fields.ends_with_privilege_at(privilege_expiry),
        issued_at_unix_s: Some(u64::from(fields.ends_at_unix_s).saturating_sub(LIFETIME_S)),
        rights: Rights::Unrestricted,
        certificate: Some(certificate),
        id: TokenId::of(&fields.signature),
    })
}

/// The signature over an RTM token's content: the user stands in `channel`, `uid` is empty.
fn signature(certificate: &str, app_id: &str, user_id: &str, message: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(certificate.as_bytes())
        .expect("HMAC takes keys of any length");
    mac.update(app_id.as_bytes());
    mac.update(user_id.as_bytes());
    mac.update(message);
    mac
}

/// Makes an RTM token of format 006.
///
/// `ends_at_unix_s` is the end of the whole token, by custom a day after its making;
/// `privilege_expires_at_unix_s` the end of the right to log in, 0 = none of its own. The earlier
/// counts. `salt` is any number, best a random one.
///
/// # Errors
/// [`BuildError::AppId`], [`BuildError::Certificate`].
pub fn build_006(
    app_id: &str,
    certificate: &str,
    user_id: &str,
    salt: u32,
    ends_at_unix_s: u32,
    privilege_expires_at_unix_s: u32,
) -> Result<String, BuildError> {
    check_form(app_id, certificate)?;
    let mut message = Vec::with_capacity(16);
    message.extend_from_slice(&salt.to_le_bytes());
    message.extend_from_slice(&ends_at_unix_s.to_le_bytes());
    message.extend_from_slice(&1u16.to_le_bytes());
    message.extend_from_slice(&PRIVILEGE_RTM_LOGIN.to_le_bytes());
    message.extend_from_slice(&privilege_expires_at_unix_s.to_le_bytes());

    let mut content = Vec::with_capacity(60);
    content.extend_from_slice(&32u16.to_le_bytes());
    let signature = signature(certificate, app_id, user_id, &message)
        .finalize()
        .into_bytes();
    content.extend_from_slice(&signature);
    content.extend_from_slice(&crc32fast::hash(user_id.as_bytes()).to_le_bytes());
    content.extend_from_slice(&0u32.to_le_bytes());
    content.extend_from_slice(&16u16.to_le_bytes());
    content.extend_from_slice(&message);
    Ok(format!("006{app_id}{}", encode_base64(&content)))
}
