//! Describes a token without a key, to find out why it is refused.

use std::fmt;

use crate::access006;
use crate::access007::{self, Header};
use crate::check::format_of;
use crate::door::Format;
use crate::grant::{Policy, TokenId};
use crate::jwt::{Algorithm, Parts};
use crate::refusal::Flaw;
use crate::rights::Permissions;
use crate::service::{Service, ServiceBody};
use crate::signaling;

/// What a token claims. Nothing here is proven: the signature was not checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// The token's format.
    pub format: Format,
    /// The app that it claims to be for; empty for a JSON Web Token, of which only the app's rules
    /// say where it names one.
    pub app_id: String,
    /// When it was issued, Unix seconds; 007 and JWT.
    pub issued_at_unix_s: Option<u64>,
    /// The first second at which it no longer logs in to messaging, Unix seconds, without any cap
    /// on lifetimes. Without a login privilege, the end of the token as a whole.
    pub expires_at_unix_s: u64,
    /// Names it in a list of revoked tokens.
    pub id: Option<TokenId>,
    /// The number that makes tokens of one second differ; 006 and 007.
    pub salt: Option<u32>,
    /// Whether it carries the privilege to log in to messaging, for any user.
    pub has_rtm_login: bool,
    /// CRC-32 of the channel (the RTM user) and of the call uid; 006 only.
    pub crc32: Option<(u32, u32)>,
    /// Privilege and absolute expiry, 0 = none of its own; 006 only.
    pub privileges: Vec<(u16, u32)>,
    /// The services up to the first of an unknown type; 007 only.
    pub services: Vec<ServiceInspection>,
    /// What a JSON Web Token says.
    pub jwt: Option<JwtInspection>,
}

/// The header and the claims of a JSON Web Token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwtInspection {
    /// How it is signed.
    pub algorithm: Algorithm,
    /// The key that it names.
    pub key_id: Option<String>,
    /// All claims by name, each as JSON.
    pub claims: Vec<(String, String)>,
}

/// One service of a 007 token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceInspection {
    /// The type's number.
    pub number: u16,
    /// The type's name.
    pub name: &'static str,
    /// The channel or room, where the type has one; bytes that are no UTF-8 are replaced.
    pub channel: Option<String>,
    /// The user, where the type has one; bytes that are no UTF-8 are replaced.
    pub user: Option<String>,
    /// Privilege and seconds from the issue, 0 = none of its own.
    pub privileges: Vec<(u16, u32)>,
    /// The permission list of a service of type 8.
    pub permissions: Option<Permissions>,
}

/// Decodes a token of any format.
///
/// # Errors
/// The first defect that prevents decoding. Bound: the lengths of [`Policy::default`].
pub fn inspect(token: &str) -> Result<Inspection, Flaw> {
    let policy = Policy::default();
    let (bytes, bytes_max) = (token.len(), policy.max_token_bytes);
    if bytes > bytes_max {
        return Err(Flaw::TooLong { bytes, bytes_max });
    }
    match format_of(token)? {
        Format::Signaling => inspect_signaling(token),
        Format::Access006 => inspect_006(token),
        Format::Access007 => {
            let content = access007::unpack(token, policy.max_inflated_bytes)?;
            inspect_007(&Header::parse(&content)?)
        }
        Format::Jwt => inspect_jwt(&Parts::parse(token).map_err(Flaw::Jwt)?),
    }
}

fn inspect_jwt(parts: &Parts<'_>) -> Result<Inspection, Flaw> {
    let claims = parts.claims().iter();
    Ok(Inspection {
        format: Format::Jwt,
        app_id: String::new(),
        issued_at_unix_s: parts.time("iat"),
        // A token that lacks it is refused, so that it has ended.
        expires_at_unix_s: parts.time("exp").unwrap_or(0),
        id: parts.id(),
        salt: None,
        has_rtm_login: true,
        crc32: None,
        privileges: Vec::new(),
        services: Vec::new(),
        jwt: Some(JwtInspection {
            algorithm: parts.algorithm,
            key_id: parts.key_id.clone(),
            claims: claims
                .map(|(name, value)| (name.clone(), value.to_string()))
                .collect(),
        }),
    })
}

fn inspect_signaling(token: &str) -> Result<Inspection, Flaw> {
    let parts = signaling::Parts::parse(token)?;
    Ok(Inspection {
        format: Format::Signaling,
        app_id: parts.app_id.to_owned(),
        issued_at_unix_s: None,
        expires_at_unix_s: parts.expires_at_unix_s,
        id: parts.digest.parse().ok(),
        salt: None,
        has_rtm_login: false,
        crc32: None,
        privileges: Vec::new(),
        services: Vec::new(),
        jwt: None,
    })
}

fn inspect_006(token: &str) -> Result<Inspection, Flaw> {
    let fields = access006::Fields::parse(token)?;
    let login = fields.rtm_login();
    Ok(Inspection {
        format: Format::Access006,
        app_id: fields.app_id.to_owned(),
        issued_at_unix_s: None,
        expires_at_unix_s: fields.ends_with_privilege_at(login.unwrap_or(0)),
        id: TokenId::of(&fields.signature),
        salt: Some(fields.salt),
        has_rtm_login: login.is_some(),
        crc32: Some((fields.channel_crc, fields.uid_crc)),
        privileges: fields.privileges,
        services: Vec::new(),
        jwt: None,
    })
}

fn inspect_007(header: &Header<'_>) -> Result<Inspection, Flaw> {
    let services = header.services()?;
    let has_login_body =
        |s: &&Service<'_>| matches!(s.body, ServiceBody::Rtm { .. } | ServiceBody::Rtm2 { .. });
    let logins = services
        .iter()
        .filter(has_login_body)
        .filter_map(Service::login);
    let login_end = logins
        .map(|expire_s| header.ends_with_privilege_at(expire_s, 0))
        .max();
    Ok(Inspection {
        format: Format::Access007,
        app_id: header.app_id.to_owned(),
        issued_at_unix_s: Some(u64::from(header.issued_at_unix_s)),
        expires_at_unix_s: login_end.unwrap_or_else(|| header.ends_with_privilege_at(0, 0)),
        id: TokenId::of(&header.signature),
        salt: Some(header.salt),
        has_rtm_login: login_end.is_some(),
        crc32: None,
        privileges: Vec::new(),
        services: services.into_iter().map(ServiceInspection::of).collect(),
        jwt: None,
    })
}

impl ServiceInspection {
    fn of(service: Service<'_>) -> Self {
        let number = service.number();
        let (name, channel, user, permissions) = match service.body {
            ServiceBody::Rtc { channel, uid } => ("RTC", Some(channel), Some(uid), None),
            ServiceBody::Rtm { user } => ("RTM", None, Some(user), None),
            ServiceBody::Streaming { channel, account } => {
                ("Streaming", Some(channel), Some(account), None)
            }
            ServiceBody::Fpa => ("FPA", None, None, None),
            ServiceBody::Chat { user } => ("Chat", None, Some(user), None),
            ServiceBody::Fcdn { channel, account } => ("FCDN", Some(channel), Some(account), None),
            ServiceBody::Apaas { room, user, .. } => ("APaaS", Some(room), Some(user), None),
            ServiceBody::Rtm2 { user, permissions } => {
                ("RTM2", None, Some(user), Some(permissions))
            }
            ServiceBody::ConvoAi => ("ConvoAI", None, None, None),
            ServiceBody::Stt => ("STT", None, None, None),
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Self {
            number,
            name,
            channel: channel.map(text),
            user: user.map(text),
            privileges: service.privileges,
            permissions,
        }
    }
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "format      {}", self.format)?;
        if let Some(jwt) = &self.jwt {
            write!(f, "{jwt}")?;
        } else {
            writeln!(f, "app id      {}", self.app_id)?;
        }
        if let Some(issued) = self.issued_at_unix_s {
            writeln!(f, "issued at   {issued}")?;
        }
        writeln!(f, "expires at  {}", self.expires_at_unix_s)?;
        if let Some(salt) = self.salt {
            writeln!(f, "salt        {salt}")?;
        }
        if let Some((channel, uid)) = self.crc32 {
            writeln!(
                f,
                "user        CRC-32 {channel:08x}, call uid CRC-32 {uid:08x}"
            )?;
        }
        for (privilege, expiry) in &self.privileges {
            writeln!(f, "privilege   {privilege} until {}", or_end(*expiry))?;
        }
        for service in &self.services {
            write!(f, "{service}")?;
        }
        if self.format != Format::Signaling && !self.has_rtm_login {
            writeln!(f, "note        carries no RTM login privilege")?;
        }
        writeln!(f, "note        the signature was not checked")
    }
}

impl fmt::Display for JwtInspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "signed by   {}, key {:?}", self.algorithm, self.key_id)?;
        for (name, value) in &self.claims {
            writeln!(f, "claim       {name}: {value}")?;
        }
        Ok(())
    }
}

impl fmt::Display for ServiceInspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "service     {} {}", self.number, self.name)?;
        if let Some(channel) = &self.channel {
            write!(f, ", channel {channel:?}")?;
        }
        if let Some(user) = &self.user {
            write!(f, ", user {user:?}")?;
        }
        writeln!(f)?;
        for (privilege, expire_s) in &self.privileges {
            match expire_s {
                0 => writeln!(f, "  privilege {privilege} until the token ends")?,
                _ => writeln!(f, "  privilege {privilege} for {expire_s} s from the issue")?,
            }
        }
        match &self.permissions {
            Some(permissions) => writeln!(f, "  allows    {permissions}"),
            None => Ok(()),
        }
    }
}

fn or_end(expiry: u32) -> String {
    if expiry == 0 {
        "the token ends".to_owned()
    } else {
        expiry.to_string()
    }
}
