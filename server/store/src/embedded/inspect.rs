//! Verification and a readable dump of an embedded store.

use std::io;

use bytes::Bytes;
use serde_json::{Value, json};
use tidings_hub::ids::UserKey;
use tidings_hub::store_ops::{AttributeOwner, Conversation};

use super::inspect_events as events;
use super::snapshot::Source;
use crate::keys::Key;
use crate::kinds::{Class, count_in};
use crate::kv::ReadError;
use crate::record::{self, HistoryHead, InboxHead};
use crate::tables;

/// Sorts after every key.
const KEYS_END: [u8; 1] = [0xff];

/// The result of a verification.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VerifyReport {
    /// Number of records read.
    pub records: u64,
    /// Number of stored messages.
    pub messages: u64,
    /// Inboxes that have held a message at any time.
    pub inboxes: u64,
    /// Conversations that have had a history at any time.
    pub histories: u64,
    /// Number of messages in histories.
    pub history_messages: u64,
    /// Number of invitations, open or recently ended.
    pub invitations: u64,
    /// Number of owners with attributes.
    pub attribute_owners: u64,
    /// Number of events that are kept.
    pub events: u64,
    /// Logins whose logout is not in the stream of events yet.
    pub open_logins: u64,
    /// Number of records of tables: keys, bans, webhooks and the like.
    pub table_records: u64,
    /// Problems found, described; at most [`Self::PROBLEMS_MAX`].
    pub problems: Vec<String>,
    /// How many problems there are, including those not listed.
    pub problem_count: u64,
}

impl VerifyReport {
    /// How many problems are described.
    pub const PROBLEMS_MAX: usize = 1000;

    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.problem_count == 0
    }

    fn problem(&mut self, text: String) {
        self.problem_count += 1;
        if self.problems.len() < Self::PROBLEMS_MAX {
            self.problems.push(text);
        }
    }
}

pub(super) fn verify(backend: &dyn Source) -> io::Result<VerifyReport> {
    let mut report = VerifyReport::default();
    // Heads sort before messages; an inbox is checked as a whole with its head.
    for pair in backend.range(&[], &KEYS_END) {
        let (key, record) = match pair {
            Ok(pair) => pair,
            Err(ReadError::Io(error)) => return Err(io::Error::other(error)),
            Err(error) => {
                report.problem(error.to_string());
                continue;
            }
        };
        report.records += 1;
        let Some(decoded) = Key::decode(&key) else {
            report.problem(format!("a key is not one of ours: {}", key.escape_ascii()));
            continue;
        };
        if let Err(error) = check(backend, &mut report, &decoded, &key, &record) {
            report.problem(format!("{decoded:?}: {error}"));
        }
    }
    Ok(report)
}

fn check(
    backend: &dyn Source,
    report: &mut VerifyReport,
    decoded: &Key,
    key: &[u8],
    record: &Bytes,
) -> Result<(), ReadError> {
    match decoded {
        Key::Attributes(owner) => {
            report.attribute_owners += 1;
            record::open_attributes(key, record)?;
            if backend
                .get(&Key::Touched(owner.clone()).encode())?
                .is_none()
            {
                report.problem(format!("{owner:?} has attributes but no touch time"));
            }
        }
        Key::Event(..)
        | Key::EventChannel(_)
        | Key::EventHead(_)
        | Key::EventUser(_)
        | Key::OpenLogin(..)
        | Key::OpenMember(..)
        | Key::Queued(..) => {
            check_events(backend, report, decoded, (key, record))?;
        }
        Key::HistoryHead(_) => {
            report.histories += 1;
            HistoryHead::open(key, record)?;
        }
        Key::History(conversation, number) => {
            report.history_messages += 1;
            record::open_history(key, *number, record)?;
            let head_key = Key::HistoryHead(conversation.clone()).encode();
            if backend.get(&head_key)?.is_none() {
                report.problem(format!(
                    "message {number} of {conversation:?} is in no history"
                ));
            }
        }
        Key::InboxHead(user) => {
            report.inboxes += 1;
            let head = InboxHead::open(key, record)?;
            check_inbox(backend, report, user, &head);
        }
        Key::Invitation(_) => {
            report.invitations += 1;
            record::open_invitation(key, record)?;
        }
        Key::Message(user, number) => {
            report.messages += 1;
            record::open_message(key, *number, record)?;
            if backend
                .get(&Key::InboxHead(user.clone()).encode())?
                .is_none()
            {
                report.problem(format!("message {number} of {user:?} is in no inbox"));
            }
        }
        Key::NumberCeiling | Key::Usage(_) | Key::UsageKnown => {
            record::open_number(key, record)?;
        }
        Key::Record(..) | Key::RecordCount(..) => {
            check_table(backend, report, decoded, (key, record))?;
        }
        Key::Touched(owner) => {
            record::open_number(key, record)?;
            if backend
                .get(&Key::Attributes(owner.clone()).encode())?
                .is_none()
            {
                report.problem(format!("{owner:?} has a touch time but no attributes"));
            }
        }
    }
    Ok(())
}

fn check_events(
    backend: &dyn Source,
    report: &mut VerifyReport,
    decoded: &Key,
    record: (&[u8], &Bytes),
) -> Result<(), ReadError> {
    report.events += u64::from(matches!(decoded, Key::Event(..)));
    report.open_logins += u64::from(matches!(decoded, Key::OpenLogin(..)));
    let get = |key: &[u8]| backend.get(key);
    let problem = events::check(&get, decoded, record)?;
    problem.into_iter().for_each(|text| report.problem(text));
    Ok(())
}

/// Checks a record of a table, or how many a scope says that it has.
fn check_table(
    backend: &dyn Source,
    report: &mut VerifyReport,
    decoded: &Key,
    (key, record): (&[u8], &Bytes),
) -> Result<(), ReadError> {
    match decoded {
        Key::Record(table, of) => {
            report.table_records += 1;
            record::open_bytes(key, record)?;
            let scope = Bytes::copy_from_slice(tables::scope(of));
            if backend
                .get(&Key::RecordCount(*table, scope).encode())?
                .is_none()
            {
                report.problem(format!("{decoded:?} is not counted in its scope"));
            }
        }
        Key::RecordCount(table, scope) => {
            let stated = record::open_number(key, record)?;
            let (from, to) = tables::range_of(*table, scope);
            let found = (backend.range(&from, &to).flatten())
                .filter(|(key, _)| tables::scope(&key[2..]) == scope)
                .count();
            if found as u64 != stated {
                report.problem(format!(
                    "{decoded:?} states {stated} records, and there are {found}"
                ));
            }
        }
        _ => {}
    }
    Ok(())
}

/// Compares an inbox's figures with its messages.
fn check_inbox(backend: &dyn Source, report: &mut VerifyReport, user: &UserKey, head: &InboxHead) {
    let mut found = InboxHead::default();
    let from = Key::Message(user.clone(), 0).encode();
    let to = [Key::Message(user.clone(), u64::MAX).encode(), vec![0]].concat();
    for (key, record) in backend.range(&from, &to).flatten() {
        let Some(Key::Message(_, number)) = Key::decode(&key) else {
            continue;
        };
        // A damaged message is reported when its own record is read.
        let Ok(message) = record::open_message(&key, number, &record) else {
            continue;
        };
        count_in(&mut found, &message);
        if number < head.first || number >= head.next {
            report.problem(format!(
                "message {number} of {user:?} is outside its inbox, which holds {} to {}",
                head.first,
                head.next - 1
            ));
        }
        let (class, lasting) = (Class::of(&message), head.lasting);
        if (class == Class::Aging && message.server_ts < head.oldest_ts)
            || (class == Class::Lasting && message.lasts_until < lasting.first_end_ts)
        {
            report.problem(format!(
                "message {number} of {user:?} ends before the earliest end that its inbox states"
            ));
        }
    }
    let figures = |head: &InboxHead| {
        let lasting = head.lasting;
        (head.count, head.bytes, lasting.count, lasting.bytes)
    };
    if figures(&found) != figures(head) {
        report.problem(format!(
            "the inbox of {user:?} holds {:?} and says {:?} (messages, bytes; those with an end of their own)",
            figures(&found),
            figures(head)
        ));
    }
}

pub(super) fn dump(backend: &dyn Source, writer: &mut dyn io::Write) -> io::Result<()> {
    for pair in backend.range(&[], &KEYS_END) {
        let line = match pair {
            Ok((key, record)) => match Key::decode(&key) {
                Some(decoded) => describe(&decoded, &key, &record).unwrap_or_else(
                    |error| json!({ "key": format!("{decoded:?}"), "problem": error.to_string() }),
                ),
                None => {
                    json!({ "problem": "a key is not one of ours", "key": key.escape_ascii().to_string() })
                }
            },
            Err(ReadError::Io(error)) => return Err(io::Error::other(error)),
            Err(error) => json!({ "problem": error.to_string() }),
        };
        writeln!(writer, "{line}")?;
    }
    writer.flush()
}

fn describe(decoded: &Key, key: &[u8], record: &Bytes) -> Result<Value, ReadError> {
    Ok(match decoded {
        Key::Attributes(owner) => {
            let entries: Vec<Value> = record::open_attributes(key, record)?
                .iter()
                .map(|e| {
                    json!({ "key": e.key, "value": e.value, "by": e.updated_by, "ts": e.updated_ts })
                })
                .collect();
            with_owner(json!({ "kind": "attributes", "entries": entries }), owner)
        }
        Key::Event(..)
        | Key::EventChannel(_)
        | Key::EventHead(_)
        | Key::EventUser(_)
        | Key::OpenLogin(..)
        | Key::OpenMember(..)
        | Key::Queued(..) => events::describe(decoded, (key, record))?,
        Key::HistoryHead(conversation) => {
            let head = HistoryHead::open(key, record)?;
            let line = json!({
                "kind": "history", "next": head.next, "first": head.first, "messages": head.count,
            });
            with_conversation(line, conversation)
        }
        Key::History(conversation, number) => {
            let message = record::open_history(key, *number, record)?;
            let line = json!({
                "kind": "history message", "position": number, "from": message.from,
                "server_ts": message.server_ts, "bytes": message.body.len(),
            });
            with_conversation(line, conversation)
        }
        Key::InboxHead(user) => {
            let head = InboxHead::open(key, record)?;
            let losses = head.losses;
            json!({
                "kind": "inbox", "app": user.app.as_str(), "user": user.user.as_str(),
                "next": head.next, "first": head.first, "messages": head.count, "bytes": head.bytes,
                "overflowed": losses.overflowed, "expired": losses.expired, "damaged": losses.damaged,
            })
        }
        Key::Invitation((caller, id)) => {
            let invitation = record::open_invitation(key, record)?;
            json!({
                "kind": "invitation", "app": caller.app.as_str(), "caller": caller.user.as_str(),
                "id": format!("{:032x}", u128::from_be_bytes(id.0)),
                "revision": invitation.revision, "bytes": invitation.body.len(),
            })
        }
        Key::Message(user, number) => {
            let message = record::open_message(key, *number, record)?;
            json!({
                "kind": "message", "app": user.app.as_str(), "user": user.user.as_str(),
                "inbox": number, "id": format!("{:032x}", u128::from_be_bytes(message.id.0)),
                "from": message.from, "server_ts": message.server_ts, "bytes": message.body.len(),
                "lasts_until": message.lasts_until,
            })
        }
        Key::NumberCeiling => {
            json!({ "kind": "inbox number ceiling", "number": record::open_number(key, record)? })
        }
        Key::Record(..) | Key::RecordCount(..) => describe_table(decoded, (key, record))?,
        Key::Usage(app) => {
            let bytes = record::open_number(key, record)?;
            json!({ "kind": "bytes of an app", "app": app.as_str(), "bytes": bytes })
        }
        Key::UsageKnown => {
            json!({ "kind": "bytes are counted", "number": record::open_number(key, record)? })
        }
        Key::Touched(owner) => {
            let touched_ts = record::open_number(key, record)?;
            with_owner(json!({ "kind": "touched", "ts": touched_ts }), owner)
        }
    })
}

fn describe_table(decoded: &Key, (key, record): (&[u8], &Bytes)) -> Result<Value, ReadError> {
    Ok(match decoded {
        Key::Record(table, of) => {
            let value = record::open_bytes(key, record)?;
            json!({
                "kind": "table record", "table": table.name(), "key": of.escape_ascii().to_string(),
                "bytes": value.len(),
            })
        }
        Key::RecordCount(table, scope) => {
            json!({
                "kind": "table records", "table": table.name(), "scope": scope.escape_ascii().to_string(),
                "records": record::open_number(key, record)?,
            })
        }
        _ => json!({ "problem": "no record of a table" }),
    })
}

fn with_conversation(mut line: Value, conversation: &Conversation) -> Value {
    match conversation {
        Conversation::Users(pair) => {
            let (lesser, greater) = pair.users();
            line["app"] = pair.app().as_str().into();
            line["users"] = json!([lesser.as_str(), greater.as_str()]);
        }
        Conversation::Channel(channel) => {
            line["app"] = channel.app.as_str().into();
            line["channel"] = channel.channel.as_str().into();
        }
    }
    line
}

fn with_owner(mut line: Value, owner: &AttributeOwner) -> Value {
    let (side, app, name) = match owner {
        AttributeOwner::User(user) => ("user", &user.app, user.user.as_str()),
        AttributeOwner::Channel(channel) => ("channel", &channel.app, channel.channel.as_str()),
    };
    line["app"] = app.as_str().into();
    line[side] = name.into();
    line
}
