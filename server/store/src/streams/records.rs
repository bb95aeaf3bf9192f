//! The bytes of events and of what their streams remember.

use bytes::Bytes;
use tidings_hub::ids::SessionId;
use tidings_hub::store_ops::events::{Event, EventKind, EventSpan};
use tidings_wire::names::{AppId, ChannelName, NameRule, UserId};

use crate::kv::ReadError;
use crate::record::{Fields, open, put_text, seal, start_record};

/// The state of an app's stream. Kept for ever, because its numbers must never repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct EventHead {
    /// When the stream began, in Unix milliseconds.
    pub(crate) born_ms: u64,
    /// Number that the next event gets.
    pub(crate) next: u64,
    /// No event has a smaller number.
    pub(crate) first: u64,
    /// Stamp of the first event, in Unix milliseconds.
    pub(crate) first_ms: u64,
    /// When it was last told that a process has ended without notice.
    pub(crate) crash_ms: u64,
    /// Per queue, how many events wait there.
    pub(crate) queued: [u64; 2],
    /// Per queue, none of them has a smaller number.
    pub(crate) queue_first: [u64; 2],
}

impl EventHead {
    pub(crate) fn new(born_ms: u64) -> Self {
        Self {
            born_ms: born_ms.max(1),
            next: 1,
            first: 1,
            queue_first: [1, 1],
            ..Self::default()
        }
    }

    pub(crate) fn span(&self) -> EventSpan {
        EventSpan {
            born_ms: self.born_ms,
            first: self.first,
            newest: self.next - 1,
        }
    }

    /// Number of events in the stream.
    pub(crate) fn count(&self) -> u64 {
        self.next.saturating_sub(self.first)
    }

    pub(crate) fn seal(&self, key: &[u8]) -> Bytes {
        let [users, channels] = self.queued;
        let [users_first, channels_first] = self.queue_first;
        let fields = [
            self.born_ms,
            self.next,
            self.first,
            self.first_ms,
            self.crash_ms,
            users,
            channels,
            users_first,
            channels_first,
        ];
        let mut record = start_record(fields.len() * 8);
        for field in fields {
            record.extend_from_slice(&field.to_le_bytes());
        }
        seal(key, record)
    }

    pub(crate) fn open(key: &[u8], record: &Bytes) -> Result<Self, ReadError> {
        let content = open(key, record)?;
        let mut fields = Fields::new(&content);
        let head = (|| {
            Some(Self {
                born_ms: fields.u64()?,
                next: fields.u64()?,
                first: fields.u64()?,
                first_ms: fields.u64()?,
                crash_ms: fields.u64()?,
                queued: [fields.u64()?, fields.u64()?],
                queue_first: [fields.u64()?, fields.u64()?],
            })
        })();
        head.filter(|head| head.next > 0 && head.first <= head.next)
            .ok_or_else(|| ReadError::malformed("head of a stream of events"))
    }
}

/// What a stream knows of a user or a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tally {
    /// The order number that was given last.
    pub(crate) order: u64,
    /// The event that has it: when that goes, so does this record.
    pub(crate) last: u64,
    /// Open memberships of a channel; it is kept while there are any.
    pub(crate) members: u64,
}

impl Tally {
    pub(crate) fn seal(&self, key: &[u8]) -> Bytes {
        let mut record = start_record(24);
        for field in [self.order, self.last, self.members] {
            record.extend_from_slice(&field.to_le_bytes());
        }
        seal(key, record)
    }

    pub(crate) fn open(key: &[u8], record: &Bytes) -> Result<Self, ReadError> {
        let content = open(key, record)?;
        let mut fields = Fields::new(&content);
        (|| {
            Some(Self {
                order: fields.u64()?,
                last: fields.u64()?,
                members: fields.u64()?,
            })
        })()
        .ok_or_else(|| ReadError::malformed("tally of events"))
    }
}

/// A login whose logout has not been written yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OpenLogin {
    pub(crate) app: AppId,
    pub(crate) user: UserId,
    /// When it came, in Unix milliseconds.
    pub(crate) login_ms: u64,
}

impl OpenLogin {
    pub(crate) fn seal(&self, key: &[u8]) -> Bytes {
        let mut record = start_record(8 + 8 + self.app.as_str().len() + self.user.as_str().len());
        record.extend_from_slice(&self.login_ms.to_le_bytes());
        put_text(&mut record, self.app.as_str());
        put_text(&mut record, self.user.as_str());
        seal(key, record)
    }

    pub(crate) fn open(key: &[u8], record: &Bytes) -> Result<Self, ReadError> {
        let content = open(key, record)?;
        let mut fields = Fields::new(&content);
        (|| {
            Some(Self {
                login_ms: fields.u64()?,
                app: AppId::parse(&fields.text()?).ok()?,
                user: UserId::parse_by(NameRule::Wide, &fields.text()?).ok()?,
            })
        })()
        .ok_or_else(|| ReadError::malformed("open login"))
    }
}

const HAS_SESSION: u8 = 1;
const HAS_ID: u8 = 2;

pub(crate) fn seal_event(key: &[u8], event: &Event) -> Bytes {
    let texts = [
        event.user.as_ref().map_or("", UserId::as_str),
        event.channel.as_ref().map_or("", ChannelName::as_str),
        event.peer.as_ref().map_or("", UserId::as_str),
        &event.detail,
    ];
    let mut record = start_record(96 + texts.iter().map(|text| text.len()).sum::<usize>());
    let flags =
        u8::from(event.session.is_some()) * HAS_SESSION + u8::from(event.id.is_some()) * HAS_ID;
    record.extend_from_slice(&[event.kind as u8, flags]);
    for number in [
        event.at_ms,
        event.login_ms,
        event.user_order,
        event.channel_order,
        event.missing,
    ] {
        record.extend_from_slice(&number.to_le_bytes());
    }
    record.extend_from_slice(&event.bytes.to_le_bytes());
    if let Some(session) = event.session {
        record.extend_from_slice(&session.0);
    }
    if let Some(id) = event.id {
        record.extend_from_slice(&id);
    }
    for text in texts {
        put_text(&mut record, text);
    }
    seal(key, record)
}

pub(crate) fn open_event(key: &[u8], number: u64, record: &Bytes) -> Result<Event, ReadError> {
    let content = open(key, record)?;
    let mut fields = Fields::new(&content);
    read_event(&mut fields, number).ok_or_else(|| ReadError::malformed("event"))
}

fn read_event(fields: &mut Fields<'_>, number: u64) -> Option<Event> {
    let &[kind, flags] = fields.take(2)? else {
        return None;
    };
    let mut event = Event {
        number,
        kind: EventKind::from_number(kind)?,
        at_ms: fields.u64()?,
        login_ms: fields.u64()?,
        user_order: fields.u64()?,
        channel_order: fields.u64()?,
        missing: fields.u64()?,
        bytes: fields.u32()?,
        user: None,
        channel: None,
        peer: None,
        session: None,
        id: None,
        detail: String::new(),
    };
    if flags & HAS_SESSION != 0 {
        event.session = Some(SessionId(fields.take(16)?.try_into().ok()?));
    }
    if flags & HAS_ID != 0 {
        event.id = Some(fields.take(16)?.try_into().ok()?);
    }
    let user = |name: String| match &*name {
        "" => Some(None),
        name => UserId::parse_by(NameRule::Wide, name).ok().map(Some),
    };
    event.user = user(fields.text()?)?;
    event.channel = match &*fields.text()? {
        "" => None,
        name => Some(ChannelName::parse_by(NameRule::Wide, name).ok()?),
    };
    event.peer = user(fields.text()?)?;
    event.detail = fields.text()?;
    Some(event)
}
