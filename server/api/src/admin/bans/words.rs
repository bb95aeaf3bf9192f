//! Bans as calls write them.

use serde::{Deserialize, Deserializer};
use tidings_hub::bans::AddressPrefix;
use tidings_wire::names::NameRule;
use tidings_wire::names::{ChannelName, UserId};

use super::{BanRecord, Privilege};
use crate::Fault;
use crate::params;

/// Longest note, in characters.
const NOTE_CHARS_MAX: usize = 500;

/// Longest time that a rule of a hosted path may have, in seconds: a year. Source: rest 11.3.
pub(super) const HOSTED_S_MAX: u64 = 365 * 86_400;

/// A rule that is wanted.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "user_id": "mallory", "privileges": ["login"], "seconds": 3600 }))]
pub(crate) struct BanWish {
    /// The user id to ban; left out = whoever `channel` or `address` fits.
    #[serde(default)]
    pub(super) user_id: Option<String>,
    /// In this channel; without a user: everybody there.
    #[serde(default)]
    pub(super) channel: Option<String>,
    /// From this address, or from all that begin with the same bits: `192.0.2.0/24`.
    #[serde(default)]
    pub(super) address: Option<String>,
    /// What it takes away; left out = `login`, or `join_channel` where a channel is named.
    #[serde(default)]
    pub(super) privileges: Option<Vec<Privilege>>,
    /// When it ends, in Unix milliseconds; left out = never, or as `seconds` says.
    #[serde(default)]
    pub(super) until_ms: Option<u64>,
    /// For how long, in seconds. 0 = whom it names is thrown out once, and may come back.
    #[serde(default)]
    pub(super) seconds: Option<u64>,
    /// Why, for people, at most 500 characters.
    #[serde(default)]
    pub(super) note: String,
}

/// What is to become of a rule; what is left out stays.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "seconds": 7200, "note": "again" }))]
pub(crate) struct BanPatch {
    /// When it ends, in Unix milliseconds; null = never.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<u64>)]
    pub(super) until_ms: Option<Option<u64>>,
    /// For how long from now on, in seconds.
    #[serde(default)]
    pub(super) seconds: Option<u64>,
    /// What it takes away.
    #[serde(default)]
    pub(super) privileges: Option<Vec<Privilege>>,
    /// Why, for people.
    #[serde(default)]
    pub(super) note: Option<String>,
}

/// Tells a null that is given from a field that is not.
fn given<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<u64>>, D::Error> {
    Option::deserialize(from).map(Some)
}

/// When a rule ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Whom it names is thrown out, and that is all.
    Once,
    /// Not by itself: it stays until it is lifted or changed.
    Never,
    /// Then, in Unix milliseconds.
    At(u64),
}

impl End {
    /// What `until_ms` and `seconds` say together.
    pub(super) fn of(
        until_ms: Option<u64>,
        seconds: Option<u64>,
        now_ms: u64,
    ) -> Result<Self, Fault> {
        match (until_ms, seconds) {
            (Some(_), Some(_)) => Err(Fault::invalid(
                "seconds",
                "seconds and until_ms exclude each other",
            )),
            (None, None) => Ok(Self::Never),
            (None, Some(0)) => Ok(Self::Once),
            (None, Some(s)) => Ok(Self::At(now_ms.saturating_add(s.saturating_mul(1_000)))),
            (Some(until_ms), None) if until_ms > now_ms => Ok(Self::At(until_ms)),
            (Some(until_ms), None) => Err(Fault::invalid(
                "until_ms",
                format!("{until_ms} is past: now is {now_ms}"),
            )),
        }
    }

    /// As it is kept.
    pub(super) fn until_ms(self, now_ms: u64) -> Option<u64> {
        match self {
            Self::Once => Some(now_ms),
            Self::Never => None,
            Self::At(until_ms) => Some(until_ms),
        }
    }
}

/// Whom a rule names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) user: Option<UserId>,
    pub(super) is_number: bool,
    pub(super) channel: Option<ChannelName>,
    pub(super) address: Option<AddressPrefix>,
}

impl Named {
    /// # Errors
    /// 400: nothing is named, or what cannot be together.
    pub(super) fn check(&self, fields: &Fields) -> Result<(), Fault> {
        if self.user.is_none() && self.channel.is_none() && self.address.is_none() {
            let detail = format!(
                "the rule names nobody: {}, {} and {} are missing",
                fields.user, fields.channel, fields.address
            );
            return Err(Fault::invalid(fields.user, detail).hint("Give at least one of them."));
        }
        if self.channel.is_some() && self.address.is_some() {
            let detail = format!(
                "{} and {} exclude each other: an address is looked at when somebody logs in, and is banned everywhere",
                fields.channel, fields.address
            );
            return Err(Fault::invalid(fields.address, detail));
        }
        Ok(())
    }

    /// What a rule takes away that does not say so.
    pub(super) fn default_privileges(&self) -> Vec<Privilege> {
        match self.channel {
            Some(_) => vec![Privilege::JoinChannel],
            None => vec![Privilege::Login],
        }
    }
}

/// How the fields are called in which somebody is named.
pub(super) struct Fields {
    pub(super) user: &'static str,
    pub(super) channel: &'static str,
    pub(super) address: &'static str,
}

/// Those of our own path.
pub(super) const OURS: Fields = Fields {
    user: "user_id",
    channel: "channel",
    address: "address",
};

/// # Errors
/// 400: it is no address, nor the beginning of one.
pub(super) fn address(field: &str, text: &str) -> Result<AddressPrefix, Fault> {
    AddressPrefix::parse(text).ok_or_else(|| {
        let shown: String = text.chars().take(60).collect();
        Fault::invalid(field, format!("{shown:?} is no IP address")).hint(
            "Give an address such as 192.0.2.7, or a prefix such as 192.0.2.0/24 or 2001:db8::/32.",
        )
    })
}

/// # Errors
/// 400: a privilege that the rule cannot take away, or none at all.
pub(super) fn privileges(
    given: Option<Vec<Privilege>>,
    has_channel: bool,
) -> Result<Option<Vec<Privilege>>, Fault> {
    let Some(mut given) = given else {
        return Ok(None);
    };
    given.sort_unstable();
    given.dedup();
    if given.is_empty() {
        return Err(Fault::invalid(
            "privileges",
            "the rule takes nothing away: the list is empty",
        ));
    }
    if has_channel && given.contains(&Privilege::Login) {
        let detail = "a rule that names a channel takes no logins away";
        return Err(Fault::invalid("privileges", detail)
            .hint("Use join_channel or send_message, or leave the channel out."));
    }
    Ok(Some(given))
}

/// # Errors
/// 400: too long, or with control characters.
pub(super) fn note(text: String) -> Result<String, Fault> {
    let chars = text.chars().count();
    if chars > NOTE_CHARS_MAX || text.chars().any(|char| char.is_control() && char != '\n') {
        let detail = format!(
            "a note has at most {NOTE_CHARS_MAX} characters and no control characters; this one has {chars}"
        );
        return Err(Fault::invalid("note", detail));
    }
    Ok(text)
}

impl BanWish {
    /// The rule, and when it ends.
    pub(super) fn read(self, by: &str, now_ms: u64) -> Result<(BanRecord, End), Fault> {
        let user = self.user_id.map(|text| params::user("user_id", &text));
        let channel = self.channel.map(|text| params::channel("channel", &text));
        let address = self.address.map(|text| address("address", &text));
        let named = Named {
            user: user.transpose()?,
            is_number: false,
            channel: channel.transpose()?,
            address: address.transpose()?,
        };
        named.check(&OURS)?;
        let end = End::of(self.until_ms, self.seconds, now_ms)?;
        let privileges = privileges(self.privileges, named.channel.is_some())?;
        let record = BanRecord::new(named, privileges, end, by, now_ms);
        Ok((
            BanRecord {
                note: note(self.note)?,
                ..record
            },
            end,
        ))
    }
}

impl BanRecord {
    /// A rule of which the id is not chosen yet.
    pub(super) fn new(
        named: Named,
        privileges: Option<Vec<Privilege>>,
        end: End,
        by: &str,
        now_ms: u64,
    ) -> Self {
        Self {
            id: 0,
            privileges: privileges.unwrap_or_else(|| named.default_privileges()),
            user: named.user.map(|user| user.as_str().to_owned()),
            is_number: named.is_number,
            channel: named.channel.map(|channel| channel.as_str().to_owned()),
            address: named.address.map(|address| address.to_string()),
            note: String::new(),
            by: by.to_owned(),
            made_ms: now_ms,
            changed_ms: now_ms,
            until_ms: end.until_ms(now_ms),
        }
    }

    /// Whom it names.
    pub(super) fn named(&self) -> Option<Named> {
        let user = self
            .user
            .as_deref()
            .map(|user| UserId::parse_by(NameRule::Wide, user));
        let channel = self.channel.as_deref();
        let channel = channel.map(|channel| ChannelName::parse_by(NameRule::Wide, channel));
        Some(Named {
            user: user.transpose().ok()?,
            is_number: self.is_number,
            channel: channel.transpose().ok()?,
            address: self.address.as_deref().and_then(AddressPrefix::parse),
        })
    }
}
