//! Records: the bytes of what is stored.
//!
//! A record is a version byte, a CRC-32 and the content. The checksum covers the key too, so that a
//! record stored under another key is detected (contract CRA-4).

use bytes::Bytes;
use tidings_fault::fault;
use tidings_hub::ids::MessageId;
use tidings_hub::store_ops::{
    AttributeEntry, HistoryMessage, InboxLosses, StoredInvitation, StoredMessage,
};

use crate::keys::Key;
use crate::kv::ReadError;
use crate::shares::{KNOWN_MAX, Place, Shares};
use crate::streams::records as events;

/// Version of most records.
const RECORD_VERSION: u8 = 1;
/// Version of stored messages with an end of their own, which older programs do not know; the
/// newest version that this program reads.
const LASTING_VERSION: u8 = 2;
const HEADER_BYTES: usize = 5;

/// The state of an inbox. Kept for ever, because its numbers must never repeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InboxHead {
    /// Number that the next message gets.
    pub(crate) next: u64,
    /// No message has a smaller number: reads start here and skip what was deleted.
    pub(crate) first: u64,
    /// Number of messages in the inbox.
    pub(crate) count: u64,
    /// Bytes of the messages' bodies.
    pub(crate) bytes: u64,
    /// No message without an end of its own has a smaller `server_ts`.
    pub(crate) oldest_ts: u64,
    /// The share of messages that have an end of their own.
    pub(crate) lasting: Lasting,
    /// Losses that the receiver has not yet learned of.
    pub(crate) losses: InboxLosses,
    /// Who sent the oldest messages that expire by age.
    pub(crate) aging_shares: Shares,
    /// Who sent the oldest messages with an end of their own.
    pub(crate) lasting_shares: Shares,
}

/// The messages of an inbox that have an end of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lasting {
    /// Number of messages with an end of their own.
    pub(crate) count: u64,
    /// Bytes of their bodies.
    pub(crate) bytes: u64,
    /// The earliest of their ends is not before this.
    pub(crate) first_end_ts: u64,
}

impl Default for Lasting {
    fn default() -> Self {
        Self {
            count: 0,
            bytes: 0,
            first_end_ts: u64::MAX,
        }
    }
}

impl Default for InboxHead {
    fn default() -> Self {
        let losses = InboxLosses::default();
        Self {
            next: 1,
            first: 1,
            count: 0,
            bytes: 0,
            oldest_ts: u64::MAX,
            lasting: Lasting::default(),
            losses,
            aging_shares: Shares::default(),
            lasting_shares: Shares::default(),
        }
    }
}

impl InboxHead {
    pub(crate) fn seal(&self, key: &[u8]) -> Bytes {
        let InboxLosses {
            overflowed,
            expired,
            damaged,
        } = self.losses;
        let fields = [
            self.next,
            self.first,
            self.count,
            self.bytes,
            self.oldest_ts,
            overflowed,
            expired,
            damaged,
        ];
        let Lasting {
            count,
            bytes,
            first_end_ts,
        } = self.lasting;
        // Left out when empty: most inboxes never have such a message.
        let lasting = [count, bytes, first_end_ts];
        let shares = [&self.aging_shares, &self.lasting_shares];
        let places: usize = shares.iter().map(|shares| shares.0.len()).sum();
        let has_more = count > 0 || places > 0;
        let lasting = if has_more { &lasting[..] } else { &[] };
        let mut record = start_record((fields.len() + lasting.len() + 2) * 8 + places * 20);
        fields
            .iter()
            .chain(lasting)
            .for_each(|field| record.extend_from_slice(&field.to_le_bytes()));
        // Left out as well, for inboxes that have never been full.
        if places > 0 {
            for shares in shares {
                record.extend_from_slice(&(shares.0.len() as u64).to_le_bytes());
                for place in &shares.0 {
                    record.extend_from_slice(&place.number.to_le_bytes());
                    record.extend_from_slice(&place.sender.to_le_bytes());
                    record.extend_from_slice(&place.bytes.to_le_bytes());
                }
            }
        }
        seal(key, record)
    }

    pub(crate) fn open(key: &[u8], record: &Bytes) -> Result<Self, ReadError> {
        let content = open(key, record)?;
        let mut fields = Fields::new(&content);
        (|| {
            let head = Self {
                next: fields.u64()?,
                first: fields.u64()?,
                count: fields.u64()?,
                bytes: fields.u64()?,
                oldest_ts: fields.u64()?,
                lasting: Lasting::default(),
                losses: InboxLosses {
                    overflowed: fields.u64()?,
                    expired: fields.u64()?,
                    damaged: fields.u64()?,
                },
                aging_shares: Shares::default(),
                lasting_shares: Shares::default(),
            };
            if fields.rest.is_empty() {
                return Some(head);
            }
            let lasting = Lasting {
                count: fields.u64()?,
                bytes: fields.u64()?,
                first_end_ts: fields.u64()?,
            };
            let head = Self { lasting, ..head };
            if fields.rest.is_empty() {
                return Some(head);
            }
            Some(Self {
                aging_shares: shares(&mut fields)?,
                lasting_shares: shares(&mut fields)?,
                ..head
            })
        })()
        .ok_or_else(|| ReadError::malformed("inbox head"))
    }
}

fn shares(fields: &mut Fields<'_>) -> Option<Shares> {
    let count = usize::try_from(fields.u64()?).ok()?;
    if count > KNOWN_MAX {
        return None;
    }
    let mut place = || {
        Some(Place {
            number: fields.u64()?,
            sender: fields.u64()?,
            bytes: fields.u32()?,
        })
    };
    (0..count)
        .map(|_| place())
        .collect::<Option<_>>()
        .map(Shares)
}

/// The state of a history. Kept for ever, because its numbers must never repeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HistoryHead {
    /// Number that the next message gets.
    pub(crate) next: u64,
    /// No message has a smaller number.
    pub(crate) first: u64,
    /// Number of messages in the history.
    pub(crate) count: u64,
    /// Stamp of the first message, in Unix milliseconds.
    pub(crate) first_ts: u64,
}

impl Default for HistoryHead {
    fn default() -> Self {
        Self {
            next: 1,
            first: 1,
            count: 0,
            first_ts: u64::MAX,
        }
    }
}

impl HistoryHead {
    pub(crate) fn seal(&self, key: &[u8]) -> Bytes {
        let fields = [self.next, self.first, self.count, self.first_ts];
        let mut record = start_record(fields.len() * 8);
        fields
            .iter()
            .for_each(|field| record.extend_from_slice(&field.to_le_bytes()));
        seal(key, record)
    }

    pub(crate) fn open(key: &[u8], record: &Bytes) -> Result<Self, ReadError> {
        let content = open(key, record)?;
        let mut fields = Fields::new(&content);
        (|| {
            Some(Self {
                next: fields.u64()?,
                first: fields.u64()?,
                count: fields.u64()?,
                first_ts: fields.u64()?,
            })
        })()
        .ok_or_else(|| ReadError::malformed("history head"))
    }
}

pub(crate) fn seal_history(key: &[u8], message: &HistoryMessage) -> Bytes {
    let mut record = start_record(8 + 4 + message.from.len() + message.body.len());
    record.extend_from_slice(&message.server_ts.to_le_bytes());
    put_text(&mut record, &message.from);
    record.extend_from_slice(&message.body);
    seal(key, record)
}

/// Opens a message of a history. Its body shares the memory of the record.
pub(crate) fn open_history(
    key: &[u8],
    position: u64,
    record: &Bytes,
) -> Result<HistoryMessage, ReadError> {
    let content = open(key, record)?;
    let mut fields = Fields::new(&content);
    (|| {
        let server_ts = fields.u64()?;
        let from = fields.text()?;
        let body = content.slice(content.len() - fields.rest.len()..);
        Some(HistoryMessage {
            position,
            from,
            body,
            server_ts,
        })
    })()
    .ok_or_else(|| ReadError::malformed("message of a history"))
}

pub(crate) fn seal_invitation(key: &[u8], invitation: &StoredInvitation) -> Bytes {
    let mut record = start_record(8 + invitation.body.len());
    record.extend_from_slice(&invitation.revision.to_le_bytes());
    record.extend_from_slice(&invitation.body);
    seal(key, record)
}

/// Opens an invitation. Its body shares the memory of the record.
pub(crate) fn open_invitation(key: &[u8], record: &Bytes) -> Result<StoredInvitation, ReadError> {
    let content = open(key, record)?;
    let mut fields = Fields::new(&content);
    let revision = fields.u64();
    let body = content.slice(content.len() - fields.rest.len()..);
    revision
        .map(|revision| StoredInvitation { revision, body })
        .ok_or_else(|| ReadError::malformed("invitation"))
}

pub(crate) fn seal_message(key: &[u8], message: &StoredMessage) -> Bytes {
    let from = message.from.as_bytes();
    let mut record = start_record(8 + 16 + 8 + 4 + from.len() + message.body.len());
    if message.lasts_until > 0 {
        record[0] = LASTING_VERSION;
        record.extend_from_slice(&message.lasts_until.to_le_bytes());
    }
    record.extend_from_slice(&message.id.0);
    record.extend_from_slice(&message.server_ts.to_le_bytes());
    put_text(&mut record, &message.from);
    record.extend_from_slice(&message.body);
    seal(key, record)
}

/// Opens a stored message. Its body shares the memory of the record.
pub(crate) fn open_message(
    key: &[u8],
    inbox: u64,
    record: &Bytes,
) -> Result<StoredMessage, ReadError> {
    let content = open(key, record)?;
    let mut fields = Fields::new(&content);
    let is_lasting = record[0] == LASTING_VERSION;
    (|| {
        let lasts_until = if is_lasting { fields.u64()? } else { 0 };
        let id = MessageId(fields.take(16)?.try_into().ok()?);
        let server_ts = fields.u64()?;
        let from = fields.text()?;
        let body = content.slice(content.len() - fields.rest.len()..);
        Some(StoredMessage {
            inbox,
            id,
            from,
            body,
            server_ts,
            lasts_until,
        })
    })()
    .ok_or_else(|| ReadError::malformed("stored message"))
}

/// Entries sorted by key.
pub(crate) fn seal_attributes(key: &[u8], entries: &[AttributeEntry]) -> Bytes {
    let size = entries
        .iter()
        .map(|e| 20 + e.key.len() + e.value.len() + e.updated_by.len())
        .sum();
    let mut record = start_record(size);
    for entry in entries {
        put_text(&mut record, &entry.key);
        put_text(&mut record, &entry.value);
        put_text(&mut record, &entry.updated_by);
        record.extend_from_slice(&entry.updated_ts.to_le_bytes());
    }
    seal(key, record)
}

pub(crate) fn open_attributes(
    key: &[u8],
    record: &Bytes,
) -> Result<Vec<AttributeEntry>, ReadError> {
    let content = open(key, record)?;
    let mut fields = Fields::new(&content);
    let mut entries = Vec::new();
    while !fields.rest.is_empty() {
        let entry = (|| {
            Some(AttributeEntry {
                key: fields.text()?,
                value: fields.text()?,
                updated_by: fields.text()?,
                updated_ts: fields.u64()?,
            })
        })();
        entries.push(entry.ok_or_else(|| ReadError::malformed("attributes"))?);
    }
    Ok(entries)
}

pub(crate) fn seal_bytes(key: &[u8], value: &[u8]) -> Bytes {
    let mut record = start_record(value.len());
    record.extend_from_slice(value);
    seal(key, record)
}

/// Opens a record of a table. Its value shares the memory of the record.
pub(crate) fn open_bytes(key: &[u8], record: &Bytes) -> Result<Bytes, ReadError> {
    open(key, record)
}

pub(crate) fn seal_number(key: &[u8], number: u64) -> Bytes {
    let mut record = start_record(8);
    record.extend_from_slice(&number.to_le_bytes());
    seal(key, record)
}

pub(crate) fn open_number(key: &[u8], record: &Bytes) -> Result<u64, ReadError> {
    Fields::new(&open(key, record)?)
        .u64()
        .ok_or_else(|| ReadError::malformed("number"))
}

/// Decodes any record, as a fuzz target, and returns the kind that it claims to be.
///
/// # Errors
/// A description, if it is damaged, newer than this program or of a shape other than its key says.
pub fn read_record(key: &[u8], record: &Bytes) -> Result<&'static str, String> {
    let read = match Key::decode(key) {
        Some(Key::Attributes(_)) => open_attributes(key, record).map(|_| "attributes"),
        Some(Key::HistoryHead(_)) => HistoryHead::open(key, record).map(|_| "history head"),
        Some(Key::History(_, number)) => open_history(key, number, record).map(|_| "history"),
        Some(Key::InboxHead(_)) => InboxHead::open(key, record).map(|_| "inbox head"),
        Some(Key::Invitation(_)) => open_invitation(key, record).map(|_| "invitation"),
        Some(Key::Message(_, number)) => open_message(key, number, record).map(|_| "message"),
        Some(Key::Event(_, number)) => events::open_event(key, number, record).map(|_| "event"),
        Some(Key::EventHead(_)) => events::EventHead::open(key, record).map(|_| "event head"),
        Some(Key::EventChannel(_) | Key::EventUser(_)) => {
            events::Tally::open(key, record).map(|_| "tally of events")
        }
        Some(Key::OpenLogin(..)) => events::OpenLogin::open(key, record).map(|_| "open login"),
        Some(Key::Record(..)) => open_bytes(key, record).map(|_| "record of a table"),
        Some(
            Key::NumberCeiling
            | Key::OpenMember(..)
            | Key::Queued(..)
            | Key::RecordCount(..)
            | Key::Touched(_)
            | Key::Usage(_)
            | Key::UsageKnown,
        ) => open_number(key, record).map(|_| "number"),
        None => Err(ReadError::malformed("key")),
    };
    read.map_err(|error| error.to_string())
}

pub(crate) fn start_record(content_bytes: usize) -> Vec<u8> {
    let mut record = Vec::with_capacity(HEADER_BYTES + content_bytes);
    record.push(RECORD_VERSION);
    record.extend_from_slice(&[0; 4]);
    record
}

pub(crate) fn seal(key: &[u8], mut record: Vec<u8>) -> Bytes {
    let checksum = checksum(key, record[0], &record[HEADER_BYTES..]);
    record[1..HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
    Bytes::from(record)
}

pub(crate) fn open(key: &[u8], record: &Bytes) -> Result<Bytes, ReadError> {
    let Some((header, content)) = record.split_at_checked(HEADER_BYTES) else {
        let bytes = record.len();
        return Err(ReadError::Damaged(format!(
            "a record of {bytes} bytes has no header"
        )));
    };
    let is_trusted = fault!(ChecksumsAreNotCompared);
    if !is_trusted && header[1..] != checksum(key, header[0], content).to_le_bytes() {
        return Err(ReadError::Damaged("its checksum does not match".into()));
    }
    if header[0] > LASTING_VERSION {
        return Err(ReadError::Newer { version: header[0] });
    }
    Ok(record.slice(HEADER_BYTES..))
}

fn checksum(key: &[u8], version: u8, content: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    // The length fixes the boundary between key and content.
    hasher.update(&(key.len() as u32).to_le_bytes());
    hasher.update(key);
    hasher.update(&[version]);
    hasher.update(content);
    hasher.finalize()
}

pub(crate) fn put_text(record: &mut Vec<u8>, text: &str) {
    record.extend_from_slice(&(text.len() as u32).to_le_bytes());
    record.extend_from_slice(text.as_bytes());
}

/// Reads fields from the front of a content.
pub(crate) struct Fields<'a> {
    pub(crate) rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(crate) fn new(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    pub(crate) fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(bytes)?;
        self.rest = rest;
        Some(taken)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    pub(crate) fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    pub(crate) fn text(&mut self) -> Option<String> {
        let bytes = u32::from_le_bytes(self.take(4)?.try_into().ok()?);
        String::from_utf8(self.take(usize::try_from(bytes).ok()?)?.to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use tidings_hub::ids::UserKey;
    use tidings_wire::names::{AppId, UserId};

    use super::*;

    fn user(app: char, name: &str) -> UserKey {
        UserKey {
            app: AppId::parse(&app.to_string().repeat(32)).unwrap(),
            user: UserId::parse(name).unwrap(),
        }
    }

    fn message() -> StoredMessage {
        StoredMessage {
            inbox: 7,
            id: MessageId([3; 16]),
            from: "bob".into(),
            body: Bytes::from_static(b"hello"),
            server_ts: 99,
            lasts_until: 0,
        }
    }

    #[test]
    fn no_flipped_bit_and_no_cut_goes_unnoticed() {
        let key = Key::Message(user('a', "x"), 7).encode();
        let record = seal_message(&key, &message());
        assert_eq!(open_message(&key, 7, &record).unwrap(), message());
        for bit in 0..record.len() * 8 {
            let mut flipped = record.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let opened = open_message(&key, 7, &flipped.into());
            assert!(
                matches!(opened, Err(ReadError::Damaged(_))),
                "bit {bit}: {opened:?}"
            );
        }
        for bytes in 0..record.len() {
            let opened = open_message(&key, 7, &record.slice(..bytes));
            assert!(
                matches!(opened, Err(ReadError::Damaged(_))),
                "{bytes} bytes: {opened:?}"
            );
        }
    }

    #[test]
    fn a_record_is_bound_to_its_key() {
        let record = seal_message(&Key::Message(user('a', "x"), 7).encode(), &message());
        let elsewhere = Key::Message(user('a', "x"), 8).encode();
        assert!(matches!(
            open_message(&elsewhere, 8, &record),
            Err(ReadError::Damaged(_))
        ));
    }

    #[test]
    fn a_record_of_a_newer_program_is_not_called_damaged() {
        let mut record = start_record(0);
        record[0] = LASTING_VERSION + 1;
        let record = seal(b"n", record);
        let opened = open_number(b"n", &record);
        assert!(
            matches!(opened, Err(ReadError::Newer { version: 3 })),
            "{opened:?}"
        );
    }
}
