//! The calls, one method each.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::error::{ApiError, Error};
use super::events::EventReader;
use super::transport::{Builder, Method, Request, Transport, joined, part};
use super::types::{
    Attributes, Ban, Channel, Event, HistoryMessage, HistoryRange, Member, Message, NewBan,
    Outcome, Page, Payload, Published, PublishedBatch, Receipt, SendOptions, Session,
    SessionFilter, User,
};

/// More time than other calls have, for a message that waits for its receiver. The server waits
/// 5 s at most.
const WAIT: Duration = Duration::from_secs(5);

/// A backend's access to one app of a server.
///
/// It keeps connections open between calls, which its clones share. Calls are repeated where that
/// is safe. Dropping a call's future ends it.
#[derive(Clone)]
pub struct Tidings {
    transport: Arc<Transport>,
    app: Option<String>,
}

impl fmt::Debug for Tidings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the key.
        write!(f, "Tidings of app {:?}", self.app)
    }
}

impl Tidings {
    /// Settings to make one from.
    pub fn builder() -> Builder {
        Builder::new()
    }

    pub(super) fn new(transport: Arc<Transport>, app: Option<String>) -> Self {
        Self { transport, app }
    }

    /// The same server, key and connections, for another app.
    #[must_use]
    pub fn for_app(&self, app: impl Into<String>) -> Self {
        Self::new(self.transport.clone(), Some(app.into()))
    }

    /// Any call of the HTTP API; `null` where the answer is empty.
    ///
    /// # Errors
    /// [`Error`], as of every method here.
    pub async fn request(&self, request: Request) -> Result<Value, Error> {
        self.transport.call(request).await
    }

    /// Sends to a channel, whose members get an ordinary channel message.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn send_to_channel(
        &self,
        channel: &str,
        payload: impl Into<Payload>,
        sender: &str,
        options: SendOptions,
    ) -> Result<Receipt, Error> {
        let message = Message::to_channel(channel, payload, sender, options);
        single(self.publish(&message).await?)
    }

    /// Sends to a user. With [`SendOptions::wait`], the receipt tells whether the user's program
    /// has it.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn send_to_peer(
        &self,
        peer: &str,
        payload: impl Into<Payload>,
        sender: &str,
        options: SendOptions,
    ) -> Result<Receipt, Error> {
        let message = Message::to_users([peer], payload, sender, options);
        single(self.publish(&message).await?)
    }

    /// Sends one message; each receiver has a receipt, also one that failed.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn publish(&self, message: &Message) -> Result<Published, Error> {
        let mut request = self.post("/publish", message.body())?;
        request
            .idempotency_key
            .clone_from(&message.options.idempotency_key);
        if message.options.wait {
            request.wait = WAIT;
        }
        self.ask(request).await
    }

    /// Sends many messages in one call, at most 64 KiB in all; each has receipts, also those that
    /// failed.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn publish_batch(&self, messages: &[Message]) -> Result<PublishedBatch, Error> {
        let bodies: Vec<Value> = messages.iter().map(Message::body).collect();
        let mut request = self.post("/publish/batch", json!({ "messages": bodies }))?;
        if messages.iter().any(|message| message.options.wait) {
            request.wait = WAIT;
        }
        self.ask(request).await
    }

    /// A page of messages that were kept.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn history(&self, range: &HistoryRange) -> Result<Page<HistoryMessage>, Error> {
        self.ask(self.history_call(Method::GET, range)?).await
    }

    /// Deletes what [`history`](Self::history) would find.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn delete_history(&self, range: &HistoryRange) -> Result<(), Error> {
        self.ask_only(self.history_call(Method::DELETE, range)?)
            .await
    }

    fn history_call(&self, method: Method, range: &HistoryRange) -> Result<Request, Error> {
        let users = range
            .users
            .as_ref()
            .map(|[one, other]| joined(&[one, other]))
            .transpose()?;
        let call = self.call(method, "/history")?;
        Ok(call
            .query("channel", range.channel.as_ref())
            .query("users", users)
            .query("from", range.from_ms)
            .query("to", range.to_ms)
            .query("limit", range.limit)
            .query("cursor", range.cursor.as_ref()))
    }

    /// Which of these users are online. At most 256 in a call.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn query_presence(&self, users: &[&str]) -> Result<HashMap<String, bool>, Error> {
        #[derive(Deserialize)]
        struct Item {
            user: String,
            online: bool,
        }
        let request = self.post("/users/query", json!({ "user_ids": users }))?;
        let page: Page<Item> = self.ask(request).await?;
        let items = page.items.into_iter();
        Ok(items.map(|item| (item.user, item.online)).collect())
    }

    /// A user's logins and channels.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn user(&self, user: &str) -> Result<User, Error> {
        self.ask(self.get(&format!("/users/{}", part(user)?))?)
            .await
    }

    /// A page of the channels that have members; `cursor` is `next` of the page before.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn channels(
        &self,
        prefix: Option<&str>,
        cursor: Option<&str>,
    ) -> Result<Page<Channel>, Error> {
        let call = self.get("/channels")?;
        self.ask(call.query("prefix", prefix).query("cursor", cursor))
            .await
    }

    /// A channel and how many members it has.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn channel(&self, channel: &str) -> Result<Channel, Error> {
        self.ask(self.get(&format!("/channels/{}", part(channel)?))?)
            .await
    }

    /// A page of a channel's members.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn members(
        &self,
        channel: &str,
        cursor: Option<&str>,
    ) -> Result<Page<Member>, Error> {
        let call = self.get(&format!("/channels/{}/members", part(channel)?))?;
        self.ask(call.query("cursor", cursor)).await
    }

    /// Takes a user out of a channel.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn remove_member(&self, channel: &str, user: &str) -> Result<(), Error> {
        let path = format!(
            "/channels/{}/members/{}/remove",
            part(channel)?,
            part(user)?
        );
        self.ask_only(self.post(&path, json!({}))?).await
    }

    /// A page of the logins.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn sessions(
        &self,
        filter: &SessionFilter,
        cursor: Option<&str>,
    ) -> Result<Page<Session>, Error> {
        let call = self.get("/sessions")?;
        let call = call
            .query("user", filter.user.as_ref())
            .query("channel", filter.channel.as_ref())
            .query("protocol", filter.protocol.as_ref())
            .query("cursor", cursor);
        self.ask(call).await
    }

    /// Ends one login.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn end_session(&self, session: &str) -> Result<(), Error> {
        let path = format!("/sessions/{}", part(session)?);
        self.ask_only(self.call(Method::DELETE, &path)?).await
    }

    /// Ends all logins of a user; with `ban_seconds`, new ones are refused for that time.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn disconnect(
        &self,
        user: &str,
        reason: Option<&str>,
        ban_seconds: Option<u64>,
    ) -> Result<(), Error> {
        let mut body = Map::new();
        body.extend(reason.map(|reason| ("reason".to_owned(), json!(reason))));
        body.extend(ban_seconds.map(|seconds| ("ban_seconds".to_owned(), json!(seconds))));
        let path = format!("/users/{}/disconnect", part(user)?);
        let mut request = self.post(&path, Value::Object(body))?;
        // With a ban, as a ban: see there.
        request.is_repeatable = ban_seconds.is_none();
        self.ask_only(request).await
    }

    /// A page of the bans.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn bans(&self, cursor: Option<&str>) -> Result<Page<Ban>, Error> {
        self.ask(self.get("/bans")?.query("cursor", cursor)).await
    }

    /// Bans; those who are there are put out at once.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn ban(&self, ban: &NewBan) -> Result<Ban, Error> {
        let mut request = self.post("/bans", to_json(ban)?)?;
        // Not repeated when its answer is lost: the second would be another ban.
        request.is_repeatable = false;
        self.ask(request).await
    }

    /// Changes how long a ban lasts, or its note.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn change_ban(
        &self,
        id: u64,
        seconds: Option<u64>,
        note: Option<&str>,
    ) -> Result<Ban, Error> {
        let mut body = Map::new();
        body.extend(seconds.map(|seconds| ("seconds".to_owned(), json!(seconds))));
        body.extend(note.map(|note| ("note".to_owned(), json!(note))));
        let call = self.call(Method::PATCH, &format!("/bans/{id}"))?;
        self.ask(call.body(Value::Object(body))).await
    }

    /// Ends a ban.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn unban(&self, id: u64) -> Result<(), Error> {
        let path = format!("/bans/{id}");
        self.ask_only(self.call(Method::DELETE, &path)?).await
    }

    /// Lets the server make a token. [`build_token`](super::build_token) does it without a call,
    /// where the certificate is known.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn issue_token(&self, user: &str, ttl: Option<u32>) -> Result<String, Error> {
        #[derive(Deserialize)]
        struct Issued {
            token: String,
        }
        let mut body = json!({ "user_id": user });
        if let Some(ttl) = ttl {
            body["ttl"] = json!(ttl);
        }
        let issued: Issued = self.ask(self.post("/tokens", body)?).await?;
        Ok(issued.token)
    }

    /// What a token says, and whether it is good; for support.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn inspect_token(&self, token: &str) -> Result<Value, Error> {
        self.ask(self.post("/tokens/inspect", json!({ "token": token }))?)
            .await
    }

    /// Takes one token back.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn revoke_token(&self, token: &str) -> Result<(), Error> {
        self.ask_only(self.post("/revocations", json!({ "token": token }))?)
            .await
    }

    /// Takes back all tokens of a user that were made before a time, Unix seconds; until now if
    /// not stated.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn revoke_tokens_of(&self, user: &str, not_before: Option<u64>) -> Result<(), Error> {
        let mut body = json!({ "user_id": user });
        if let Some(not_before) = not_before {
            body["not_before"] = json!(not_before);
        }
        self.ask_only(self.post("/revocations", body)?).await
    }

    /// A page of events behind a cursor; empty when nothing has happened within `wait`.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn event_page(
        &self,
        after: Option<&str>,
        types: &[String],
        limit: Option<u16>,
        wait: Duration,
    ) -> Result<Page<Event>, Error> {
        let types = (!types.is_empty()).then(|| types.join(","));
        let call = self.get("/events")?.query("after", after);
        let mut call = call.query("types", types).query("limit", limit);
        if !wait.is_zero() {
            call = call.query("wait", Some(wait.as_secs()));
        }
        call.wait = wait;
        self.ask(call).await
    }

    /// A reader of events, to be started where it left off.
    pub fn events(&self) -> EventReader {
        EventReader::new(self.clone())
    }

    pub(super) async fn attributes(
        &self,
        method: Method,
        kind: &str,
        name: &str,
        attributes: Option<&BTreeMap<String, String>>,
        keys: Option<&[&str]>,
    ) -> Result<Attributes, Error> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Held {
            attributes: Attributes,
        }
        let path = format!("/{kind}/{}/attributes", part(name)?);
        let keys = keys.map(joined).transpose()?;
        let mut call = self.call(method, &path)?.query("keys", keys);
        if let Some(attributes) = attributes {
            call = call.body(json!({ "attributes": attributes }));
        }
        let answer = self.transport.call(call).await?;
        let held: Option<Held> = read(answer)?;
        Ok(held.unwrap_or_default().attributes)
    }

    fn call(&self, method: Method, path: &str) -> Result<Request, Error> {
        let hint = "Give `app`, or set TIDINGS_APP.";
        let app = self.app.as_deref();
        let app = app.ok_or_else(|| Error::invalid("no_app", "no app id", hint))?;
        Ok(Request::new(
            method,
            format!("/api/v1/apps/{}{path}", part(app)?),
        ))
    }

    fn get(&self, path: &str) -> Result<Request, Error> {
        self.call(Method::GET, path)
    }

    /// A POST that may be executed twice: the server knows its key again, or it has the same
    /// effect.
    fn post(&self, path: &str, body: Value) -> Result<Request, Error> {
        let mut request = self.call(Method::POST, path)?.body(body);
        request.is_repeatable = true;
        Ok(request)
    }

    async fn ask<T: DeserializeOwned>(&self, request: Request) -> Result<T, Error> {
        read(self.transport.call(request).await?)
    }

    async fn ask_only(&self, request: Request) -> Result<(), Error> {
        self.transport.call(request).await.map(drop)
    }
}

fn read<T: DeserializeOwned>(answer: Value) -> Result<T, Error> {
    serde_json::from_value(answer)
        .map_err(|error| Error::bad_answer(format!("the answer is of another form: {error}")))
}

fn to_json(value: &impl Serialize) -> Result<Value, Error> {
    serde_json::to_value(value)
        .map_err(|error| Error::invalid("invalid_argument", error.to_string(), ""))
}

/// The one receipt.
fn single(published: Published) -> Result<Receipt, Error> {
    let receipt = published.results.into_iter().next();
    let receipt = receipt.ok_or_else(|| Error::bad_answer("the answer has no receipt"))?;
    if receipt.outcome != Outcome::Failed {
        return Ok(receipt);
    }
    let refusal = receipt.error.unwrap_or_default();
    Err(Error::Api(Box::new(ApiError {
        status: 200,
        code: refusal.code,
        title: "the message was not sent".into(),
        detail: refusal.detail,
        hint: refusal.hint,
        request_id: Some(published.request_id),
        ..ApiError::default()
    })))
}
