//! Keys: where each record is stored.
//!
//! A key is a kind byte, the app id (32 bytes), the name, a zero byte (which no name contains) and,
//! for a message, its number in big-endian order, for an invitation its id. The history of two
//! users has both names, the lesser first. So no key is a prefix of another, and keys sort by kind,
//! app, name and number.

use bytes::Bytes;
use tidings_fault::fault;
use tidings_hub::ids::{ChannelKey, InvitationId, SessionId, UserKey};
use tidings_hub::store_ops::events::EventQueue;
use tidings_hub::store_ops::records::Table;
use tidings_hub::store_ops::{AttributeOwner, Conversation, InvitationName};
use tidings_wire::names::{AppId, ChannelName, NameRule, UserId};

const APP_BYTES: usize = 32;

/// First byte of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Kind {
    /// An attribute set.
    Attributes = b'a',
    /// What the stream of events knows of a channel.
    EventChannel = b'c',
    /// An event.
    Event = b'e',
    /// The state of an app's stream of events.
    EventHead = b'f',
    /// The state of a history.
    HistoryHead = b'g',
    /// The state of an inbox.
    InboxHead = b'h',
    /// The record of an invitation.
    Invitation = b'i',
    /// A message of a history.
    History = b'l',
    /// A stored message.
    Message = b'm',
    /// The highest number that any inbox may have reached.
    NumberCeiling = b'n',
    /// A login whose logout is not in the stream of events yet.
    OpenLogin = b'o',
    /// A membership of such a login.
    OpenMember = b'p',
    /// How many records a scope of a table has.
    RecordCount = b'q',
    /// A record of a table.
    Record = b'r',
    /// When an attribute set was last touched.
    Touched = b't',
    /// Bytes that an app has stored.
    Usage = b'u',
    /// Marks that every app that has stored something has its [`Kind::Usage`].
    UsageKnown = b'v',
    /// What the stream of events knows of a user.
    EventUser = b'w',
    /// An event that waits in a queue to be taken.
    Queued = b'x',
}

/// A decoded key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Key {
    Attributes(AttributeOwner),
    Event(AppId, u64),
    EventChannel(ChannelKey),
    EventHead(AppId),
    EventUser(UserKey),
    HistoryHead(Conversation),
    History(Conversation, u64),
    InboxHead(UserKey),
    Invitation(InvitationName),
    Message(UserKey, u64),
    NumberCeiling,
    /// By the number of its hub.
    OpenLogin(u32, SessionId),
    OpenMember(u32, SessionId, ChannelName),
    Queued(AppId, EventQueue, u64),
    Record(Table, Bytes),
    RecordCount(Table, Bytes),
    Touched(AttributeOwner),
    Usage(AppId),
    UsageKnown,
}

impl Key {
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Key::Attributes(owner) => owner_key(Kind::Attributes, owner),
            Key::Event(app, number) => numbered_key(&[Kind::Event as u8], app, *number),
            Key::EventChannel(channel) => name_key(
                &[Kind::EventChannel as u8],
                &channel.app,
                channel.channel.as_str(),
            ),
            Key::EventHead(app) => [&[Kind::EventHead as u8], app.as_str().as_bytes()].concat(),
            Key::EventUser(user) => user_key(Kind::EventUser, user),
            Key::OpenLogin(hub, session) => login_key(Kind::OpenLogin, *hub, session, ""),
            Key::OpenMember(hub, session, channel) => {
                login_key(Kind::OpenMember, *hub, session, channel.as_str())
            }
            Key::Queued(app, queue, number) => {
                numbered_key(&[Kind::Queued as u8, *queue as u8], app, *number)
            }
            Key::HistoryHead(conversation) => conversation_key(Kind::HistoryHead, conversation),
            Key::History(conversation, number) => {
                let mut key = conversation_key(Kind::History, conversation);
                key.extend_from_slice(&number.to_be_bytes());
                key
            }
            Key::InboxHead(user) => user_key(Kind::InboxHead, user),
            Key::Invitation((caller, id)) => {
                let mut key = user_key(Kind::Invitation, caller);
                key.extend_from_slice(&id.0);
                key
            }
            Key::Message(user, inbox) => {
                let mut key = user_key(Kind::Message, user);
                key.extend_from_slice(&inbox.to_be_bytes());
                key
            }
            Key::NumberCeiling => vec![Kind::NumberCeiling as u8],
            Key::Record(table, key) => table_key(Kind::Record, *table, key),
            Key::RecordCount(table, scope) => table_key(Kind::RecordCount, *table, scope),
            Key::Touched(owner) => owner_key(Kind::Touched, owner),
            Key::Usage(app) => [&[Kind::Usage as u8], app.as_str().as_bytes()].concat(),
            Key::UsageKnown => vec![Kind::UsageKnown as u8],
        }
    }

    /// Decodes a key; `None` if this program did not write it.
    pub(crate) fn decode(key: &[u8]) -> Option<Self> {
        let (&kind, rest) = key.split_first()?;
        if kind == Kind::NumberCeiling as u8 {
            return rest.is_empty().then_some(Key::NumberCeiling);
        }
        if kind == Kind::UsageKnown as u8 {
            return rest.is_empty().then_some(Key::UsageKnown);
        }
        if kind == Kind::Usage as u8 || kind == Kind::EventHead as u8 {
            let app = AppId::parse(std::str::from_utf8(rest).ok()?).ok()?;
            return Some(if kind == Kind::Usage as u8 {
                Key::Usage(app)
            } else {
                Key::EventHead(app)
            });
        }
        if let Some(key) = decode_event(kind, rest) {
            return Some(key);
        }
        if kind == Kind::Message as u8 {
            let (user, inbox) = rest.split_at_checked(rest.len().checked_sub(8)?)?;
            return Some(Key::Message(
                decode_user(user)?,
                u64::from_be_bytes(inbox.try_into().ok()?),
            ));
        }
        if kind == Kind::Invitation as u8 {
            let (caller, id) = rest.split_at_checked(rest.len().checked_sub(16)?)?;
            let id = InvitationId(id.try_into().ok()?);
            return Some(Key::Invitation((decode_user(caller)?, id)));
        }
        if kind == Kind::History as u8 {
            let (conversation, number) = rest.split_at_checked(rest.len().checked_sub(8)?)?;
            return Some(Key::History(
                decode_conversation(conversation)?,
                u64::from_be_bytes(number.try_into().ok()?),
            ));
        }
        if kind == Kind::HistoryHead as u8 {
            return Some(Key::HistoryHead(decode_conversation(rest)?));
        }
        if kind == Kind::InboxHead as u8 {
            return Some(Key::InboxHead(decode_user(rest)?));
        }
        if kind == Kind::Record as u8 || kind == Kind::RecordCount as u8 {
            let (table, rest) = rest.split_first()?;
            let table = Table::from_number(*table)?;
            let rest = Bytes::copy_from_slice(rest);
            return Some(if kind == Kind::Record as u8 {
                Key::Record(table, rest)
            } else {
                Key::RecordCount(table, rest)
            });
        }
        let (&side, rest) = rest.split_first()?;
        let owner = match side {
            USERS => AttributeOwner::User(decode_user(rest)?),
            CHANNELS => {
                let (app, name) = decode_name(rest)?;
                AttributeOwner::Channel(ChannelKey {
                    app,
                    channel: ChannelName::parse_by(NameRule::Wide, name).ok()?,
                })
            }
            _ => return None,
        };
        match kind {
            kind if kind == Kind::Attributes as u8 => Some(Key::Attributes(owner)),
            kind if kind == Kind::Touched as u8 => Some(Key::Touched(owner)),
            _ => None,
        }
    }
}

fn decode_event(kind: u8, rest: &[u8]) -> Option<Key> {
    match kind {
        kind if kind == Kind::Event as u8 => {
            let (app, number) = decode_numbered(rest)?;
            Some(Key::Event(app, number))
        }
        kind if kind == Kind::Queued as u8 => {
            let (queue, rest) = rest.split_first()?;
            let queue = EventQueue::ALL.into_iter().find(|of| *of as u8 == *queue)?;
            let (app, number) = decode_numbered(rest)?;
            Some(Key::Queued(app, queue, number))
        }
        kind if kind == Kind::EventUser as u8 => Some(Key::EventUser(decode_user(rest)?)),
        kind if kind == Kind::EventChannel as u8 => {
            let (app, name) = decode_name(rest)?;
            let channel = ChannelName::parse_by(NameRule::Wide, name).ok()?;
            Some(Key::EventChannel(ChannelKey { app, channel }))
        }
        kind if kind == Kind::OpenLogin as u8 || kind == Kind::OpenMember as u8 => {
            let (hub, rest) = rest.split_first_chunk()?;
            let (session, name) = rest.split_first_chunk()?;
            let (hub, session) = (u32::from_be_bytes(*hub), SessionId(*session));
            if kind == Kind::OpenLogin as u8 {
                return name.is_empty().then_some(Key::OpenLogin(hub, session));
            }
            let name = std::str::from_utf8(name).ok()?;
            let channel = ChannelName::parse_by(NameRule::Wide, name).ok()?;
            Some(Key::OpenMember(hub, session, channel))
        }
        _ => None,
    }
}

fn decode_numbered(rest: &[u8]) -> Option<(AppId, u64)> {
    let (app, number) = rest.split_at_checked(rest.len().checked_sub(8)?)?;
    let app = AppId::parse(std::str::from_utf8(app).ok()?).ok()?;
    Some((app, u64::from_be_bytes(number.try_into().ok()?)))
}

fn numbered_key(kind: &[u8], app: &AppId, number: u64) -> Vec<u8> {
    [kind, app.as_str().as_bytes(), &number.to_be_bytes()].concat()
}

/// The session comes before the channel, whose name may have any length.
fn login_key(kind: Kind, hub: u32, session: &SessionId, channel: &str) -> Vec<u8> {
    let kind = [kind as u8];
    [
        &kind[..],
        &hub.to_be_bytes(),
        &session.0,
        channel.as_bytes(),
    ]
    .concat()
}

/// Users sort before channels, as the hub's vocabulary requires.
const USERS: u8 = b'1';
const CHANNELS: u8 = b'2';

/// A key that anybody chooses comes last, since it may hold any byte.
fn table_key(kind: Kind, table: Table, rest: &[u8]) -> Vec<u8> {
    [&[kind as u8, table as u8], rest].concat()
}

fn owner_key(kind: Kind, owner: &AttributeOwner) -> Vec<u8> {
    let (side, app, name) = match owner {
        AttributeOwner::User(user) => (USERS, &user.app, user.user.as_str()),
        AttributeOwner::Channel(channel) => (CHANNELS, &channel.app, channel.channel.as_str()),
    };
    name_key(&[kind as u8, side], app, name)
}

fn conversation_key(kind: Kind, conversation: &Conversation) -> Vec<u8> {
    match conversation {
        Conversation::Users(pair) => {
            let (lesser, greater) = pair.users();
            let mut key = name_key(&[kind as u8, USERS], pair.app(), lesser.as_str());
            key.extend_from_slice(greater.as_str().as_bytes());
            key.push(0);
            key
        }
        Conversation::Channel(channel) => {
            let name = channel.channel.as_str();
            name_key(&[kind as u8, CHANNELS], &channel.app, name)
        }
    }
}

fn decode_conversation(key: &[u8]) -> Option<Conversation> {
    let (&side, rest) = key.split_first()?;
    match side {
        USERS => {
            let lesser_end = APP_BYTES + rest.get(APP_BYTES..)?.iter().position(|b| *b == 0)? + 1;
            let (lesser, greater) = rest.split_at_checked(lesser_end)?;
            let (&end, greater) = greater.split_last()?;
            let greater =
                UserId::parse_by(NameRule::Wide, std::str::from_utf8(greater).ok()?).ok()?;
            let lesser = decode_user(lesser)?;
            (end == 0).then(|| Conversation::of_users(&lesser, &greater))
        }
        CHANNELS => {
            let (app, name) = decode_name(rest)?;
            let channel = ChannelName::parse_by(NameRule::Wide, name).ok()?;
            Some(Conversation::Channel(ChannelKey { app, channel }))
        }
        _ => None,
    }
}

fn user_key(kind: Kind, user: &UserKey) -> Vec<u8> {
    name_key(&[kind as u8], &user.app, user.user.as_str())
}

fn name_key(kind: &[u8], app: &AppId, name: &str) -> Vec<u8> {
    // Leaves eight bytes for the number of a message.
    let mut key = Vec::with_capacity(kind.len() + APP_BYTES + name.len() + 9);
    key.extend_from_slice(kind);
    let lacks_app = fault!(StoreKeyLacksApp);
    if lacks_app {
        key.extend_from_slice(&[b'0'; APP_BYTES]);
    } else {
        key.extend_from_slice(app.as_str().as_bytes());
    }
    key.extend_from_slice(name.as_bytes());
    key.push(0);
    key
}

fn decode_user(key: &[u8]) -> Option<UserKey> {
    let (app, name) = decode_name(key)?;
    Some(UserKey {
        app,
        user: UserId::parse_by(NameRule::Wide, name).ok()?,
    })
}

fn decode_name(key: &[u8]) -> Option<(AppId, &str)> {
    let (app, name) = key.split_at_checked(APP_BYTES)?;
    let (&end, name) = name.split_last()?;
    let app = AppId::parse(std::str::from_utf8(app).ok()?).ok()?;
    (end == 0).then_some((app, std::str::from_utf8(name).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(app: char, name: &str) -> UserKey {
        UserKey {
            app: AppId::parse(&app.to_string().repeat(32)).unwrap(),
            user: UserId::parse(name).unwrap(),
        }
    }

    #[test]
    fn keys_come_apart_as_they_were_put_together() {
        let channel = ChannelKey {
            app: AppId::parse(&"b".repeat(32)).unwrap(),
            channel: ChannelName::parse("#room~").unwrap(),
        };
        for key in [
            Key::Attributes(AttributeOwner::User(user('a', "x"))),
            Key::Attributes(AttributeOwner::Channel(channel.clone())),
            Key::HistoryHead(Conversation::Channel(channel.clone())),
            Key::History(
                Conversation::Channel(channel.clone()),
                0x0102_0304_0506_0708,
            ),
            Key::History(
                Conversation::of_users(&user('a', "x y"), &user('a', "x").user),
                0,
            ),
            Key::Event(user('a', "x").app, 7),
            Key::EventChannel(channel.clone()),
            Key::EventHead(user('a', "x").app),
            Key::EventUser(user('a', "x")),
            Key::OpenLogin(0x0001_0002, SessionId([b'x'; 16])),
            Key::OpenMember(3, SessionId([0; 16]), channel.channel.clone()),
            Key::Queued(user('a', "x").app, EventQueue::Users, 7),
            Key::InboxHead(user('a', "x")),
            Key::Message(user('a', "x"), 0x0102_0304_0506_0708),
            Key::Message(user('a', "x"), 0),
            Key::NumberCeiling,
            Key::Record(Table::Keys, Bytes::from_static(b"any \0 byte")),
            Key::RecordCount(Table::Audit, Bytes::new()),
            Key::Touched(AttributeOwner::User(user('a', "x"))),
            Key::Touched(AttributeOwner::Channel(channel)),
            Key::Usage(user('a', "x").app),
            Key::UsageKnown,
        ] {
            assert_eq!(Key::decode(&key.encode()), Some(key));
        }
        assert_eq!(Key::decode(b""), None);
        assert_eq!(Key::decode(b"hello"), None);
        assert_eq!(Key::decode(&[b'm'; 300]), None);
    }

    #[test]
    fn keys_sort_by_name_then_number() {
        let key = |name, inbox| Key::Message(user('a', name), inbox).encode();
        let sorted = [
            key("a", 1),
            key("a", 256),
            key("a", u64::MAX),
            key("a b", 1),
            key("ab", 1),
        ];
        assert!(sorted.is_sorted());
    }
}
