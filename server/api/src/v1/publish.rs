//! `POST /apps/{app}/publish` and `/publish/batch`. Source: rest 12.

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use tidings_hub::ids::UserKey;
use tidings_hub::outside::{OutsideAnswer, PeerOutcome};
use tidings_wire::hex;
use tidings_wire::limits::MESSAGE_PAYLOAD_BYTES_MAX;
use tidings_wire::names::{ChannelName, UserId};
use tidings_wire::proto::{Message, Raw, SendToChannel, SendToPeer, message, request};
use utoipa::ToSchema;

use crate::answer::Answer;
use crate::asking::{Asked, Handed};
use crate::auth::Caller;
use crate::body::{self, Bytes64};
use crate::idempotency::{Reply, keyed, once};
use crate::params::{self, Query};
use crate::problem::{Fault, Problem};
use crate::request_id::RequestId;
use crate::{Api, Shared};

/// Receivers of one message at most.
const USERS_MAX: usize = 256;

/// What a payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// A text message.
    Text,
    /// A raw message: bytes.
    Raw,
}

/// A message to a channel or to users.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "users": ["alice"],
    "from": "desk",
    "payload": "hello",
    "offline": true
}))]
pub(crate) struct Publish {
    /// The channel; or `users`.
    channel: Option<String>,
    /// 1 to 256 users; or `channel`.
    users: Option<Vec<String>>,
    /// The user in whose name it is sent; need not be logged in, nor a member.
    from: String,
    /// The text, 1 to 32,768 bytes of UTF-8; or `payload_base64`.
    payload: Option<String>,
    /// The same in base64, for bytes that are no text.
    payload_base64: Option<String>,
    /// `text` if not given, `raw` with `payload_base64`.
    r#type: Option<Kind>,
    /// Keeps it in the history.
    #[serde(default)]
    store: bool,
    /// Keeps it for receivers who are not there.
    #[serde(default)]
    offline: bool,
    /// Answers when the receivers have it, not when the server has it.
    #[serde(default)]
    wait: bool,
}

/// Several of them.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "messages": [{ "channel": "news", "from": "desk", "payload": "hello", "store": true }]
}))]
pub(crate) struct Batch {
    /// In the order in which they are sent.
    messages: Vec<Publish>,
}

/// What has become of a message for one receiver.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Receipt {
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    /// `sent`: the server has it; `delivered`: the receiver has it; `stored`: it is kept for the
    /// receiver; `offline`: nobody is there; `failed`: see `error`.
    outcome: &'static str,
    /// Names the message, also to the calls that trace it.
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<String>,
    /// When the server has received it, Unix milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    at_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Problem>,
}

/// The receipts of one message.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Receipts {
    results: Vec<Receipt>,
}

/// The answer to one message.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Published {
    request_id: String,
    results: Vec<Receipt>,
}

/// The answer to a batch.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PublishedBatch {
    request_id: String,
    results: Vec<Receipts>,
}

/// Sends a message.
#[utoipa::path(
    post, path = "/api/v1/apps/{app}/publish", tag = "Messages",
    params(
        ("app" = String, Path, description = "App id"),
        ("Idempotency-Key" = Option<String>, Header, description = "At most 64 bytes: the same key within ten minutes gives the same answer and no second message"),
    ),
    request_body = Publish,
    responses((status = 200, body = Published), (status = "4XX", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn publish(
    State(api): State<Shared>,
    caller: Caller,
    Extension(id): Extension<RequestId>,
    query: Query,
    headers: HeaderMap,
    Bytes64(bytes): Bytes64,
) -> Answer {
    caller.principal.must_be_key()?;
    query.end()?;
    body::check_type(&headers)?;
    let message: Publish = body::parse(&bytes)?;
    let order = Order::of(&caller, message, "")?;
    let keyed = keyed(
        (&api, &caller),
        &headers,
        &["publish", order.from.user.as_str()],
        &bytes,
    )?;
    let work = async move {
        let results = order.begin(&api).end(&api).await?;
        reply(&Published {
            request_id: id.as_str().into(),
            results,
        })
    };
    once(keyed, work).await
}

/// Sends several messages, in their order.
#[utoipa::path(
    post, path = "/api/v1/apps/{app}/publish/batch", tag = "Messages",
    params(
        ("app" = String, Path, description = "App id"),
        ("Idempotency-Key" = Option<String>, Header, description = "As for a single message, for all of the batch"),
    ),
    request_body = Batch,
    responses((status = 200, body = PublishedBatch), (status = "4XX", body = Problem, content_type = "application/problem+json")),
)]
pub(crate) async fn batch(
    State(api): State<Shared>,
    caller: Caller,
    Extension(id): Extension<RequestId>,
    query: Query,
    headers: HeaderMap,
    Bytes64(bytes): Bytes64,
) -> Answer {
    caller.principal.must_be_key()?;
    query.end()?;
    body::check_type(&headers)?;
    let batch: Batch = body::parse(&bytes)?;
    if batch.messages.is_empty() {
        return Err(Fault::invalid("messages", "the batch has no message"));
    }
    // Order: all are looked at before one is sent.
    let orders = batch.messages.into_iter().enumerate();
    let orders =
        orders.map(|(at, message)| Order::of(&caller, message, &format!("messages[{at}].")));
    let orders = orders.collect::<Result<Vec<_>, _>>()?;
    let keyed = keyed((&api, &caller), &headers, &["batch"], &bytes)?;
    let work = async move {
        // Order: all are handed in before one is waited for.
        let begun: Vec<Begun> = orders.into_iter().map(|order| order.begin(&api)).collect();
        let mut results = Vec::with_capacity(begun.len());
        for begun in begun {
            results.push(Receipts {
                results: begun.end_each(&api).await,
            });
        }
        reply(&PublishedBatch {
            request_id: id.as_str().into(),
            results,
        })
    };
    once(keyed, work).await
}

fn reply<T: Serialize>(body: &T) -> Result<Reply, Fault> {
    let body = serde_json::to_vec(body).map_err(|_| crate::stored::strange())?;
    Ok(Reply {
        status: StatusCode::OK,
        body: body.into(),
    })
}

/// A message that was looked at.
struct Order {
    from: UserKey,
    to: Receivers,
    message: Message,
    store: bool,
    offline: bool,
    wait: bool,
}

enum Receivers {
    Channel(ChannelName),
    Users(Vec<UserId>),
}

impl Order {
    /// Looks at a message. `place` stands before the names of its fields.
    fn of(caller: &Caller, given: Publish, place: &str) -> Result<Self, Fault> {
        let field = |name: &str| format!("{place}{name}");
        let user = params::user(&field("from"), &given.from)?;
        let to = match (given.channel, given.users) {
            (Some(channel), None) => {
                Receivers::Channel(params::channel(&field("channel"), &channel)?)
            }
            (None, Some(users)) if (1..=USERS_MAX).contains(&users.len()) => {
                let users = users.iter().enumerate();
                let users =
                    users.map(|(at, user)| params::user(&field(&format!("users[{at}]")), user));
                Receivers::Users(users.collect::<Result<_, _>>()?)
            }
            (None, Some(users)) => {
                let detail = format!(
                    "{} users are named; 1 to {USERS_MAX} are allowed",
                    users.len()
                );
                return Err(Fault::invalid(field("users"), detail));
            }
            (Some(_), Some(_)) => {
                let detail = "a message goes to a channel or to users, not to both";
                return Err(Fault::invalid(field("users"), detail));
            }
            (None, None) => return Err(Fault::missing(field("channel"))),
        };
        if matches!(to, Receivers::Channel(_)) && (given.offline || given.wait) {
            let name = if given.offline { "offline" } else { "wait" };
            let detail = "it is for messages to users; a channel's members are not waited for";
            return Err(Fault::invalid(field(name), detail));
        }
        let message = content(given.payload, given.payload_base64, given.r#type, place)?;
        Ok(Self {
            from: UserKey {
                app: caller.app.clone(),
                user,
            },
            to,
            message,
            store: given.store,
            offline: given.offline,
            wait: given.wait,
        })
    }

    /// Hands it in.
    fn begin(self, api: &Api) -> Begun {
        let Self {
            from,
            to,
            message,
            store,
            offline,
            wait,
        } = self;
        match to {
            Receivers::Channel(channel) => {
                let call = SendToChannel {
                    channel: channel.as_str().to_owned(),
                    message: Some(message),
                    history: store,
                };
                let asked = api.begin_message(from, request::Call::SendToChannel(call));
                let asked = asked.map(|(_, asked)| asked);
                Begun::Channel(channel, asked)
            }
            Receivers::Users(users) => {
                let one = |user: UserId| {
                    let call = SendToPeer {
                        peer_id: user.as_str().to_owned(),
                        message: Some(message.clone()),
                        offline,
                        history: store,
                    };
                    let asked = api.begin_send(from.clone(), call, wait);
                    (user, asked)
                };
                Begun::Users(users.into_iter().map(one).collect())
            }
        }
    }
}

fn content(
    text: Option<String>,
    base64: Option<String>,
    kind: Option<Kind>,
    place: &str,
) -> Result<Message, Fault> {
    let field = |name: &str| format!("{place}{name}");
    let (bytes, name, is_text) = match (text, base64) {
        (Some(text), None) => (text.into_bytes(), "payload", true),
        (None, Some(base64)) => {
            let bytes = STANDARD.decode(base64.as_bytes()).map_err(|error| {
                Fault::invalid(field("payload_base64"), format!("it is no base64: {error}"))
            })?;
            (bytes, "payload_base64", false)
        }
        (Some(_), Some(_)) => {
            let detail = "the payload is given in one way, not in two";
            return Err(Fault::invalid(field("payload_base64"), detail));
        }
        (None, None) => return Err(Fault::missing(field("payload"))),
    };
    match bytes.len() {
        1..=MESSAGE_PAYLOAD_BYTES_MAX => {}
        count => {
            let detail = format!(
                "the payload has {count} bytes; 1 to {MESSAGE_PAYLOAD_BYTES_MAX} are allowed"
            );
            return Err(Fault::invalid(field(name), detail));
        }
    }
    let kind = kind.unwrap_or(if is_text { Kind::Text } else { Kind::Raw });
    let body = match kind {
        Kind::Text if !is_text && std::str::from_utf8(&bytes).is_err() => {
            return Err(Fault::invalid(
                field(name),
                "a text message has to be UTF-8",
            ));
        }
        Kind::Text => message::Body::Text(bytes.into()),
        Kind::Raw => message::Body::Raw(Raw {
            data: bytes.into(),
            ..Raw::default()
        }),
    };
    Ok(Message {
        body: Some(body),
        ..Message::default()
    })
}

/// A message that was handed in.
enum Begun {
    Channel(ChannelName, Result<Asked, Fault>),
    Users(Vec<(UserId, Result<Handed, Fault>)>),
}

impl Begun {
    /// Waits for what becomes of it.
    ///
    /// # Errors
    /// The channel's message was refused: a caller with one receiver is told so by the status.
    async fn end(self, api: &Api) -> Result<Vec<Receipt>, Fault> {
        match self {
            Self::Channel(channel, asked) => Ok(vec![to_channel(api, &channel, asked).await?]),
            users => Ok(users.end_each(api).await),
        }
    }

    /// Waits for what becomes of it; refusals are among the receipts.
    async fn end_each(self, api: &Api) -> Vec<Receipt> {
        match self {
            Self::Channel(channel, asked) => {
                let receipt = to_channel(api, &channel, asked).await;
                vec![receipt.unwrap_or_else(|fault| Receipt {
                    channel: Some(channel.as_str().into()),
                    ..Receipt::failed(&fault)
                })]
            }
            Self::Users(users) => {
                let mut receipts = Vec::with_capacity(users.len());
                for (user, handed) in users {
                    receipts.push(to_user(api, &user, handed).await);
                }
                receipts
            }
        }
    }
}

async fn to_channel(
    api: &Api,
    channel: &ChannelName,
    asked: Result<Asked, Fault>,
) -> Result<Receipt, Fault> {
    let answer = api.end(asked?).await?;
    let (id, at_ms) = match answer {
        OutsideAnswer::SentToChannel { id, server_ts } => (Some(hex(&id.0)), Some(server_ts)),
        _ => (None, None),
    };
    Ok(Receipt {
        channel: Some(channel.as_str().into()),
        message_id: id,
        at_ms,
        ..Receipt::of("sent")
    })
}

async fn to_user(api: &Api, user: &UserId, handed: Result<Handed, Fault>) -> Receipt {
    let id = handed.as_ref().ok().map(|handed| hex(&handed.id().0));
    let told = match handed {
        Ok(handed) => handed.end(api).await,
        Err(fault) => Err(fault),
    };
    let receipt = match told {
        Ok(Some(sent)) => Receipt {
            message_id: Some(hex(&sent.id.0)),
            at_ms: Some(sent.server_ts),
            ..Receipt::of(match sent.outcome {
                PeerOutcome::Received => "delivered",
                PeerOutcome::Stored => "stored",
                // Its client has not confirmed it in time.
                PeerOutcome::Missed if sent.was_there => "sent",
                PeerOutcome::Missed => "offline",
            })
        },
        Ok(None) => Receipt {
            message_id: id,
            ..Receipt::of("sent")
        },
        Err(fault) => Receipt::failed(&fault),
    };
    Receipt {
        user: Some(user.as_str().into()),
        ..receipt
    }
}

impl Receipt {
    fn of(outcome: &'static str) -> Self {
        Self {
            channel: None,
            user: None,
            outcome,
            message_id: None,
            at_ms: None,
            error: None,
        }
    }

    fn failed(fault: &Fault) -> Self {
        Self {
            error: Some(Problem::of(fault, None)),
            ..Self::of("failed")
        }
    }
}
