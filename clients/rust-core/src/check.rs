//! Checks made before anything is sent: the server's rules, with the server's outcomes.

use tidings_wire::codes::Outcome;
use tidings_wire::limits::{
    ATTRIBUTE_KEY_BYTES_MAX, ATTRIBUTE_VALUE_BYTES_MAX, ATTRIBUTES_MAX,
    CHANNEL_ATTRIBUTES_BYTES_MAX, HISTORY_PAGE_MAX, INVITATION_TEXT_BYTES_MAX, MEDIA_ID_BYTES_MAX,
    MEMBER_COUNTS_PER_CALL_MAX, MESSAGE_PAYLOAD_BYTES_MAX, TOKEN_BYTES_MAX,
    USER_ATTRIBUTES_BYTES_MAX,
};
use tidings_wire::names::{AppId, ChannelName, UserId};

use crate::call::{Attribute, AttributeWrite, Call, Conversation};
use crate::error::CallError;
use crate::message::Message;

/// Users in one presence query. Source: rtm 2.1.
const QUERY_USERS_MAX: usize = 256;
/// Users in one subscription call. Source: rtm 2.1.
const SUBSCRIBE_USERS_MAX: usize = 512;

/// Whether the arguments of a call are checked before the login is.
///
/// The order decides which code an application sees when both are wrong. Source: observed, rtm 2.3.
pub(crate) fn is_checked_before_login(call: &Call) -> bool {
    matches!(
        call,
        Call::WriteUserAttributes { .. }
            | Call::WriteChannelAttributes { .. }
            | Call::ReadUserAttributes { .. }
            | Call::ReadChannelAttributes { .. }
    )
}

/// Checks the arguments of a login.
pub(crate) fn login(app_id: &str, user_id: &str, token: &str) -> Result<(), CallError> {
    UserId::parse(user_id).map_err(|error| {
        CallError::outcome(
            Outcome::InvalidUserId,
            format!("user id {user_id:?}: {error}"),
        )
    })?;
    AppId::parse(app_id).map_err(|error| {
        CallError::outcome(Outcome::UnknownApp, format!("app id {app_id:?}: {error}"))
    })?;
    self::token(token)
}

/// Checks a token's length; its content is for the server to judge.
pub(crate) fn token(token: &str) -> Result<(), CallError> {
    if token.len() <= TOKEN_BYTES_MAX {
        return Ok(());
    }
    let text = format!(
        "the token has {} bytes; at most {TOKEN_BYTES_MAX} are possible",
        token.len()
    );
    Err(CallError::outcome(Outcome::InvalidToken, text))
}

/// Checks the arguments of a call.
pub(crate) fn call(call: &Call) -> Result<(), CallError> {
    match call {
        Call::SendToPeer {
            peer_id,
            message: body,
            ..
        } => user(peer_id).and_then(|()| message(body)),
        Call::SendToChannel {
            channel: name,
            message: body,
            ..
        } => channel(name).and_then(|()| message(body)),
        Call::Join { channel: name }
        | Call::Leave { channel: name }
        | Call::GetMembers { channel: name } => channel(name),
        Call::GetMemberCounts { channels } => counted_channels(channels),
        Call::QueryPresence { user_ids } => users(user_ids, QUERY_USERS_MAX),
        Call::SubscribePresence { user_ids } | Call::UnsubscribePresence { user_ids } => {
            users(user_ids, SUBSCRIBE_USERS_MAX)
        }
        Call::WriteUserAttributes { how, attributes } => {
            write(*how, attributes, USER_ATTRIBUTES_BYTES_MAX)
        }
        Call::WriteChannelAttributes {
            channel: name,
            how,
            attributes,
            ..
        } => channel(name).and_then(|()| write(*how, attributes, CHANNEL_ATTRIBUTES_BYTES_MAX)),
        Call::ReadUserAttributes { user_id, keys } => user(user_id).and_then(|()| read(keys)),
        Call::ReadChannelAttributes {
            channel: name,
            keys,
        } => channel(name).and_then(|()| read(keys)),
        Call::ReadHistory {
            conversation,
            range,
        } => history(conversation, range.count_max),
        Call::RenewToken { token } => self::token(token),
        // Invitations are checked together with their states.
        Call::Invitation(_)
        | Call::InvitationWord(_)
        | Call::QueryPresenceSubscriptions
        | Call::Logout => Ok(()),
    }
}

fn counted_channels(names: &[String]) -> Result<(), CallError> {
    let outcome = Outcome::TooManyChannelsNamed;
    count(names, MEMBER_COUNTS_PER_CALL_MAX, "channels", outcome)?;
    names.iter().try_for_each(|name| channel(name))
}

fn users(ids: &[String], max: usize) -> Result<(), CallError> {
    count(ids, max, "users", Outcome::TooManyUsers)?;
    ids.iter().try_for_each(|id| user(id))
}

fn history(conversation: &Conversation, count_max: Option<u32>) -> Result<(), CallError> {
    match conversation {
        Conversation::Channel(name) => channel(name)?,
        Conversation::Peer(id) => user(id)?,
    }
    match count_max {
        Some(count) if count == 0 || count as usize > HISTORY_PAGE_MAX => Err(invalid(format!(
            "{count} messages are requested; request 1 to {HISTORY_PAGE_MAX}"
        ))),
        Some(_) | None => Ok(()),
    }
}

fn invalid(text: String) -> CallError {
    CallError::outcome(Outcome::InvalidArgument, text)
}

fn user(id: &str) -> Result<(), CallError> {
    let parsed = UserId::parse(id);
    parsed.map_or_else(
        |error| Err(invalid(format!("user id {id:?}: {error}"))),
        |_| Ok(()),
    )
}

fn channel(name: &str) -> Result<(), CallError> {
    let parsed = ChannelName::parse(name);
    parsed.map_or_else(
        |error| Err(invalid(format!("channel {name:?}: {error}"))),
        |_| Ok(()),
    )
}

fn count(list: &[String], max: usize, what: &str, outcome: Outcome) -> Result<(), CallError> {
    match list.len() {
        0 => Err(invalid(format!("no {what} are named; name 1 to {max}"))),
        len if len > max => Err(CallError::outcome(
            outcome,
            format!("{len} {what} are named; at most {max} are possible"),
        )),
        _ => Ok(()),
    }
}

/// Checks the arguments of an invitation.
pub(crate) fn invitation(callee_id: &str, content: &str, name: &str) -> Result<(), CallError> {
    user(callee_id)?;
    if !name.is_empty() {
        channel(name)?;
    }
    invitation_text("content", content)
}

/// Checks the length of an invitation's content or response.
pub(crate) fn invitation_text(what: &str, text: &str) -> Result<(), CallError> {
    let bytes = text.len();
    if bytes <= INVITATION_TEXT_BYTES_MAX {
        return Ok(());
    }
    Err(invalid(format!(
        "the {what} has {bytes} bytes; at most {INVITATION_TEXT_BYTES_MAX} are possible"
    )))
}

fn media_id(id: &str) -> Result<(), CallError> {
    if (1..=MEDIA_ID_BYTES_MAX).contains(&id.len()) && id.is_ascii() {
        return Ok(());
    }
    let text = format!(
        "media id {id:?} has {} bytes; it is 1 to {MEDIA_ID_BYTES_MAX} bytes of ASCII",
        id.len()
    );
    Err(CallError::outcome(Outcome::InvalidMessage, text))
}

fn message(message: &Message) -> Result<(), CallError> {
    if let Some(file) = message.file() {
        media_id(&file.media_id)?;
    }
    let bytes = message.payload_bytes();
    if bytes <= MESSAGE_PAYLOAD_BYTES_MAX {
        return Ok(());
    }
    let text =
        format!("the message has {bytes} bytes; at most {MESSAGE_PAYLOAD_BYTES_MAX} are possible");
    Err(CallError::outcome(Outcome::MessageTooLarge, text))
}

fn write(how: AttributeWrite, entries: &[Attribute], bytes_max: usize) -> Result<(), CallError> {
    if how == AttributeWrite::Clear {
        return Ok(());
    }
    if entries.is_empty() {
        return Err(invalid(
            "no attributes are named; name at least one".to_owned(),
        ));
    }
    if how == AttributeWrite::Delete {
        return entries.iter().try_for_each(|entry| key(&entry.key));
    }
    for entry in entries {
        key(&entry.key)?;
        if entry.value.is_empty() {
            return Err(invalid(format!("the value of {:?} is empty", entry.key)));
        }
    }
    let overflow = |text| Err(CallError::outcome(Outcome::SizeOverflow, text));
    if let Some(entry) = entries
        .iter()
        .find(|entry| entry.value.len() > ATTRIBUTE_VALUE_BYTES_MAX)
    {
        return overflow(format!(
            "the value of {:?} has {} bytes; at most {ATTRIBUTE_VALUE_BYTES_MAX} are possible",
            entry.key,
            entry.value.len()
        ));
    }
    if entries.len() > ATTRIBUTES_MAX {
        return overflow(format!(
            "{} attributes are named; at most {ATTRIBUTES_MAX} are possible",
            entries.len()
        ));
    }
    let bytes: usize = entries
        .iter()
        .map(|entry| entry.key.len() + entry.value.len())
        .sum();
    if bytes > bytes_max {
        return overflow(format!(
            "keys and values have {bytes} bytes together; at most {bytes_max} are possible"
        ));
    }
    Ok(())
}

fn read(keys: &[String]) -> Result<(), CallError> {
    if keys.iter().any(String::is_empty) {
        return Err(invalid("an attribute key is empty".to_owned()));
    }
    Ok(())
}

fn key(key: &str) -> Result<(), CallError> {
    match key.len() {
        0 => Err(invalid("an attribute key is empty".to_owned())),
        bytes if bytes > ATTRIBUTE_KEY_BYTES_MAX => Err(invalid(format!(
            "attribute key {key:?} has {bytes} bytes; at most {ATTRIBUTE_KEY_BYTES_MAX} are possible"
        ))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::MediaFile;

    fn outcome(result: Result<(), CallError>) -> u32 {
        match result {
            Ok(()) => 0,
            Err(CallError::Refused { outcome, .. }) => outcome,
            Err(other) => panic!("unexpected {other:?}"),
        }
    }

    fn text(bytes: usize) -> Message {
        Message::Text("x".repeat(bytes))
    }

    fn peer(peer_id: &str, message: Message) -> Call {
        Call::SendToPeer {
            peer_id: peer_id.to_owned(),
            message,
            offline: false,
            history: false,
        }
    }

    fn set(entries: Vec<Attribute>) -> Call {
        Call::WriteUserAttributes {
            how: AttributeWrite::Set,
            attributes: entries,
        }
    }

    // proves: rtm-2.1-text, rtm-2.1-raw, rtm-2.1-key, rtm-2.1-value, rtm-2.1-entries,
    // rtm-2.1-user-total proves: rtm-2.1-query-users, rtm-2.1-count-channels
    #[test]
    fn every_limit_at_one_below_and_one_above() {
        let raw = |data: usize, description: usize| Message::Raw {
            data: vec![0; data].into(),
            description: "d".repeat(description),
        };
        let file = |id: usize, thumbnail: usize| {
            Message::File(MediaFile {
                media_id: "m".repeat(id),
                file_name: "n".repeat(10),
                description: "d".repeat(10),
                thumbnail: vec![0; thumbnail].into(),
                ..MediaFile::default()
            })
        };
        let many = |n: usize| (0..n).map(|i| format!("u{i}")).collect::<Vec<_>>();
        let entries = |n: usize, value: usize| -> Vec<Attribute> {
            (0..n)
                .map(|i| Attribute::new(format!("k{i:02}"), "v".repeat(value)))
                .collect()
        };
        let invalid = Outcome::InvalidArgument as u32;
        let message_invalid = Outcome::InvalidMessage as u32;
        let large = Outcome::MessageTooLarge as u32;
        let overflow = Outcome::SizeOverflow as u32;
        let users = Outcome::TooManyUsers as u32;
        let channels = Outcome::TooManyChannelsNamed as u32;
        let table: Vec<(&str, Call, u32)> = vec![
            ("text 32 KB", peer("bob", text(32_768)), 0),
            ("text 32 KB + 1", peer("bob", text(32_769)), large),
            ("empty text", peer("bob", text(0)), 0),
            ("raw 32 KB together", peer("bob", raw(32_760, 8)), 0),
            ("raw 32 KB + 1 together", peer("bob", raw(32_760, 9)), large),
            ("file 32 KB together", peer("bob", file(64, 32_748)), 0),
            (
                "file 32 KB + 1 together",
                peer("bob", file(64, 32_749)),
                large,
            ),
            ("no media id", peer("bob", file(0, 0)), message_invalid),
            ("media id of 65", peer("bob", file(65, 0)), message_invalid),
            ("bad peer before size", peer("b\"b", text(32_769)), invalid),
            (
                "256 users",
                Call::QueryPresence {
                    user_ids: many(256),
                },
                0,
            ),
            (
                "257 users",
                Call::QueryPresence {
                    user_ids: many(257),
                },
                users,
            ),
            (
                "no users",
                Call::QueryPresence { user_ids: vec![] },
                invalid,
            ),
            (
                "512 users",
                Call::SubscribePresence {
                    user_ids: many(512),
                },
                0,
            ),
            (
                "513 users",
                Call::SubscribePresence {
                    user_ids: many(513),
                },
                users,
            ),
            (
                "32 channels",
                Call::GetMemberCounts { channels: many(32) },
                0,
            ),
            (
                "33 channels",
                Call::GetMemberCounts { channels: many(33) },
                channels,
            ),
            (
                "channel null",
                Call::Join {
                    channel: "null".to_owned(),
                },
                invalid,
            ),
            (
                "key of 32",
                set(vec![Attribute::new("k".repeat(32), "v")]),
                0,
            ),
            (
                "key of 33",
                set(vec![Attribute::new("k".repeat(33), "v")]),
                invalid,
            ),
            ("empty key", set(vec![Attribute::new("", "v")]), invalid),
            ("empty value", set(vec![Attribute::new("k", "")]), invalid),
            ("nothing", set(vec![]), invalid),
            (
                "value of 8192",
                set(vec![Attribute::new("k", "v".repeat(8192))]),
                0,
            ),
            (
                "value of 8193",
                set(vec![Attribute::new("k", "v".repeat(8193))]),
                overflow,
            ),
            ("32 entries", set(entries(32, 1)), 0),
            ("33 entries", set(entries(33, 1)), overflow),
            ("16384 bytes", set(entries(4, 4093)), 0),
            ("16388 bytes", set(entries(4, 4094)), overflow),
        ];
        for (name, input, expected) in table {
            assert_eq!(outcome(call(&input)), expected, "{name}");
        }
    }

    #[test]
    fn a_login_names_what_is_wrong_with_it() {
        let app = "a".repeat(32);
        assert_eq!(login(&app, "alice", ""), Ok(()));
        assert_eq!(outcome(login(&app, "", "")), Outcome::InvalidUserId as u32);
        assert_eq!(
            outcome(login("short", "alice", "")),
            Outcome::UnknownApp as u32
        );
        let long = "t".repeat(TOKEN_BYTES_MAX + 1);
        assert_eq!(
            outcome(login(&app, "alice", &long)),
            Outcome::InvalidToken as u32
        );
    }
}
