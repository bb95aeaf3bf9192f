//! Bans: who may not log in, join or send, until when, and why. Source: rest 6, 11.3, 12.
//!
//! The rules are in the store; the hubs have what they need of them in their apps, and enforce it.

mod book;
mod hosted;
pub(super) mod routes;
mod thrown;
mod words;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidings_hub::FOR_EVER;
use tidings_hub::bans::{AddressPrefix, Ban, Barred};
use tidings_wire::names::{ChannelName, NameRule, UserId};

pub(crate) use self::book::ADDRESSES_MAX;
pub use self::book::BanBook;
pub(crate) use self::hosted::routes as hosted_routes;
pub(crate) use self::routes::{BanView, ban_user, routes};
pub(crate) use self::thrown::members;

/// What a rule takes away.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Privilege {
    /// To log in.
    Login,
    /// To join channels; of a rule that names no channel: to log in.
    JoinChannel,
    /// To send messages.
    SendMessage,
    /// Of calls, which this server has not: taken, and without effect.
    PublishAudio,
    /// Taken and without effect, like `publish_audio`.
    PublishVideo,
}

/// A rule, as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BanRecord {
    /// Rises from rule to rule, over all apps of a server.
    pub id: u64,
    /// The user id that it names; `None` = it is about a channel or an address alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The user was given as a number, and is shown as one to those who did.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_number: bool,
    /// In this channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// From this address, or those that begin with the same bits: `192.0.2.0/24`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// What it takes away.
    pub privileges: Vec<Privilege>,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// The id of the key that made it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub by: String,
    /// When it was made, in Unix milliseconds.
    pub made_ms: u64,
    /// When it was last changed, in Unix milliseconds.
    pub changed_ms: u64,
    /// When it ends, in Unix milliseconds; `None` = it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
}

impl BanRecord {
    /// Whether it is in force.
    pub fn is_in_force(&self, now_ms: u64) -> bool {
        self.until_ms.is_none_or(|until_ms| now_ms < until_ms)
    }

    /// As the hubs know it; `None` = a name in it is none any more.
    fn rule(&self) -> Option<Ban> {
        let user = self
            .user
            .as_deref()
            .map(|user| UserId::parse_by(NameRule::Wide, user));
        let channel = self.channel.as_deref();
        let channel = channel.map(|channel| ChannelName::parse_by(NameRule::Wide, channel));
        let address = self.address.as_deref();
        let has = |privilege| self.privileges.contains(&privilege);
        Some(Ban {
            user: user.transpose().ok()?,
            channel: channel.transpose().ok()?,
            address: match address {
                Some(text) => Some(AddressPrefix::parse(text)?),
                None => None,
            },
            barred: Barred {
                login: has(Privilege::Login),
                join: has(Privilege::JoinChannel),
                send: has(Privilege::SendMessage),
            },
            until_ms: self.until_ms.unwrap_or(FOR_EVER),
        })
    }

    /// For the audit log.
    fn state(&self) -> Value {
        serde_json::to_value(self).unwrap_or(Value::Null)
    }
}
