//! What the API reads in the store itself: histories and inboxes, which belong to no hub.

use std::collections::HashSet;

use prost::Message as _;
use serde_json::{Map, Value, json};
use tidings_hub::ids::UserKey;
use tidings_hub::store_ops::{
    Conversation, HistoryMessage, HistoryRange, ReadOrder, StoreAnswer, StoreOp, StoredMessage,
};
use tidings_store::Submitter;
use tidings_wire::limits::{HISTORY_PAGE_BYTES_MAX, HISTORY_PAGE_MAX};
use tidings_wire::names::{AppId, UserId};
use tidings_wire::proto::{Message, message};
use tokio::sync::oneshot;

use crate::problem::Fault;

/// Histories that one query looks through for those of a user. A list of the app's histories goes
/// on behind the last.
const CONVERSATIONS_MAX: usize = 1_000;

/// The store, asked from async code.
#[derive(Clone)]
pub(crate) struct Stored(Submitter);

/// A page of a history.
pub(crate) struct Page {
    pub(crate) messages: Vec<HistoryMessage>,
    /// Where to go on; 0 = nothing is left.
    pub(crate) next: u64,
}

impl Stored {
    pub(crate) fn new(submitter: Submitter) -> Self {
        Self(submitter)
    }

    /// Asks the store.
    ///
    /// # Errors
    /// 503: it cannot do it at present.
    pub(crate) async fn ask(&self, op: StoreOp) -> Result<StoreAnswer, Fault> {
        let (to, answer) = oneshot::channel();
        self.0.submit_one(op, move |answer| {
            // Whoever has asked may have gone.
            let _ = to.send(answer);
        });
        match answer.await {
            Ok(StoreAnswer::Failed { reason }) => Err(Fault::unavailable(reason)),
            Ok(answer) => Ok(answer),
            Err(_) => Err(Fault::unavailable("the server is being stopped")),
        }
    }

    pub(crate) async fn history(
        &self,
        conversation: Conversation,
        range: HistoryRange,
    ) -> Result<Page, Fault> {
        let op = StoreOp::HistoryRead {
            conversation,
            range,
        };
        match self.ask(op).await? {
            StoreAnswer::HistoryPage { messages, next } => Ok(Page { messages, next }),
            _ => Err(strange()),
        }
    }

    /// Deletes the messages of a history that are older than a time.
    pub(crate) async fn trim(
        &self,
        conversation: Conversation,
        not_before_ts: u64,
    ) -> Result<(), Fault> {
        loop {
            let op = StoreOp::HistoryTrim {
                conversation: conversation.clone(),
                not_before_ts,
            };
            match self.ask(op).await? {
                StoreAnswer::HistoryTrimmed { has_more: true } => {}
                StoreAnswer::HistoryTrimmed { has_more: false } => return Ok(()),
                _ => return Err(strange()),
            }
        }
    }

    /// The histories of an app that `is_one` picks: those of users, then those of channels.
    ///
    /// Cost: a look at each history of the app.
    ///
    /// # Errors
    /// 409: there are more than can be merged into one answer.
    pub(crate) async fn conversations(
        &self,
        app: &AppId,
        is_one: impl Fn(&Conversation) -> bool,
    ) -> Result<Vec<Conversation>, Fault> {
        let mut found = Vec::new();
        // A page that begins with conversations of users may end with those of channels.
        let mut seen = HashSet::new();
        for start in starts(app) {
            let mut after = start;
            loop {
                let op = StoreOp::HistoryList {
                    first_before_ts: u64::MAX,
                    after: after.take(),
                };
                let StoreAnswer::Histories {
                    conversations,
                    next,
                } = self.ask(op).await?
                else {
                    return Err(strange());
                };
                let kind = start_kind(&conversations);
                let of_app = |one: &&Conversation| one.app() == app;
                let is_past = conversations.last().is_some_and(|last| {
                    last.app() > app || kind != Some(std::mem::discriminant(last))
                });
                found.extend(
                    conversations
                        .iter()
                        .filter(of_app)
                        .filter(|one| is_one(one))
                        .filter(|one| seen.insert((*one).clone()))
                        .cloned(),
                );
                if found.len() > CONVERSATIONS_MAX {
                    return Err(too_many());
                }
                match next {
                    Some(next) if !is_past => after = Some(next),
                    _ => break,
                }
            }
        }
        found.dedup();
        Ok(found)
    }

    /// Messages that wait for a user.
    pub(crate) async fn inbox(
        &self,
        user: &UserKey,
        after: u64,
        count_max: usize,
        not_before_ts: u64,
    ) -> Result<(Vec<StoredMessage>, bool), Fault> {
        let op = StoreOp::InboxRead {
            user: user.clone(),
            after,
            count_max,
            not_before_ts,
        };
        match self.ask(op).await? {
            StoreAnswer::InboxPage {
                messages, has_more, ..
            } => Ok((messages, has_more)),
            _ => Err(strange()),
        }
    }
}

/// Where the histories of an app begin in the list: those of users, and those of channels.
fn starts(app: &AppId) -> [Option<Conversation>; 2] {
    let least = " ";
    let user = UserId::parse(least).ok();
    let users = user.map(|user| {
        let one = UserKey {
            app: app.clone(),
            user: user.clone(),
        };
        Conversation::of_users(&one, &user)
    });
    let channel = tidings_wire::names::ChannelName::parse(least).ok();
    let channels = channel.map(|channel| {
        Conversation::Channel(tidings_hub::ids::ChannelKey {
            app: app.clone(),
            channel,
        })
    });
    [users, channels]
}

fn start_kind(list: &[Conversation]) -> Option<std::mem::Discriminant<Conversation>> {
    list.first().map(std::mem::discriminant)
}

fn too_many() -> Fault {
    let detail = format!("the query is about more than {CONVERSATIONS_MAX} histories");
    Fault::new(
        axum::http::StatusCode::CONFLICT,
        "too_many_histories",
        detail,
        "Name both the source and the destination.",
    )
}

pub(crate) fn strange() -> Fault {
    Fault::unavailable("the server has answered something else than it was asked")
}

/// A range of positions and times, of one page.
pub(crate) fn range(order: ReadOrder, count: usize) -> HistoryRange {
    HistoryRange {
        after: 0,
        before: u64::MAX,
        from_ts: 0,
        until_ts: u64::MAX,
        count_max: count.min(HISTORY_PAGE_MAX),
        bytes_max: HISTORY_PAGE_BYTES_MAX,
        order,
    }
}

/// A message's content, as our answers have it.
pub(crate) fn content(body: &[u8]) -> Map<String, Value> {
    use base64::Engine as _;
    let base64 = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let Ok(message) = Message::decode(body) else {
        return Map::new();
    };
    let mut fields = match message.body {
        Some(message::Body::Text(bytes)) => json!({ "type": "text", "payload": text(&bytes) }),
        Some(message::Body::Raw(raw)) => json!({
            "type": "raw",
            "payload_base64": base64(&raw.data),
            "description": text(&raw.description),
        }),
        Some(message::Body::File(file)) => file_fields("file", &file),
        Some(message::Body::Image(image)) => file_fields("image", &image.file.unwrap_or_default()),
        None => json!({}),
    };
    if !message.r#type.is_empty() {
        fields["custom_type"] = json!(message.r#type);
    }
    match fields {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

fn file_fields(kind: &str, file: &tidings_wire::proto::File) -> Value {
    json!({
        "type": kind,
        "media_id": file.media_id,
        "size": file.size,
        "file_name": String::from_utf8_lossy(&file.file_name),
    })
}
