//! What each call sends, and what it makes of the answer: by the table that the clients for Node
//! and Python follow, too.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use base64::Engine as _;
use serde_json::{Value, json};
use tidings_client::server::{
    Error, HistoryRange, Message, NewBan, Payload, SendOptions, SessionFilter, Tidings,
};

use crate::fake::{APP, Fake, Told, json as answer, text};

const TABLE: &str = include_str!("../../../server-calls.json");

/// The words of one call.
struct Words<'a> {
    args: &'a [Value],
    options: &'a Value,
}

impl Words<'_> {
    fn arg(&self, at: usize) -> &str {
        self.args
            .get(at)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    fn option(&self, name: &str) -> Option<&str> {
        self.options[name].as_str()
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.options[name].as_u64()
    }

    fn texts(&self, value: &Value) -> Vec<String> {
        serde_json::from_value(value.clone()).unwrap_or_default()
    }

    fn attributes(&self) -> BTreeMap<String, String> {
        serde_json::from_value(self.args[1].clone()).expect("attributes")
    }
}

fn payload(value: &Value) -> Payload {
    match value["bytes"].as_str() {
        Some(bytes) => {
            let bytes = base64::prelude::BASE64_STANDARD
                .decode(bytes)
                .expect("Base64");
            Payload::from(&bytes[..])
        }
        None => Payload::from(value.as_str().expect("a text")),
    }
}

fn options(of: &Value) -> SendOptions {
    let mut options = SendOptions::new();
    if of["store"] == true {
        options = options.store();
    }
    if of["offline"] == true {
        options = options.offline();
    }
    if of["wait"] == true {
        options = options.wait();
    }
    options
}

fn message(of: &Value) -> Message {
    let sender = of["sender"].as_str().expect("a sender");
    let payload = payload(&of["payload"]);
    match of["channel"].as_str() {
        Some(channel) => Message::to_channel(channel, payload, sender, options(of)),
        None => {
            let users: Vec<String> = serde_json::from_value(of["users"].clone()).expect("users");
            Message::to_users(users, payload, sender, options(of))
        }
    }
}

/// Makes the call of a row; what it gives, in words.
async fn ask(tidings: &Tidings, call: &str, words: &Words<'_>) -> Result<String, Error> {
    let first = words.arg(0);
    Ok(match call {
        "send_to_channel" | "send_to_peer" => {
            let sender = words.option("sender").expect("a sender");
            let (payload, how) = (payload(&words.args[1]), options(words.options));
            let receipt = if call == "send_to_peer" {
                tidings.send_to_peer(first, payload, sender, how).await?
            } else {
                tidings.send_to_channel(first, payload, sender, how).await?
            };
            format!("{receipt:?}")
        }
        "publish" => format!("{:?}", tidings.publish(&message(&words.args[0])).await?),
        "publish_batch" => {
            let messages: Vec<Message> = words.args[0]
                .as_array()
                .expect("messages")
                .iter()
                .map(message)
                .collect();
            format!("{:?}", tidings.publish_batch(&messages).await?)
        }
        "history" | "delete_history" => {
            let mut range = HistoryRange::of_channel(words.option("channel").expect("a channel"));
            range.from_ms = words.number("from_ms");
            range.to_ms = words.number("to_ms");
            range.limit = words
                .number("limit")
                .and_then(|limit| u16::try_from(limit).ok());
            range.cursor = words.option("cursor").map(str::to_owned);
            if call == "delete_history" {
                tidings.delete_history(&range).await?;
                return Ok(String::new());
            }
            format!("{:?}", tidings.history(&range).await?)
        }
        _ => return about_people(tidings, call, words).await,
    })
}

/// Who is there.
async fn about_people(tidings: &Tidings, call: &str, words: &Words<'_>) -> Result<String, Error> {
    let first = words.arg(0);
    Ok(match call {
        "query_presence" => {
            let users = words.texts(&words.args[0]);
            let users: Vec<&str> = users.iter().map(String::as_str).collect();
            let found = tidings.query_presence(&users).await?;
            assert_eq!(found.len(), users.len());
            format!("{:?}", found.into_iter().collect::<BTreeMap<_, _>>())
        }
        "user" => format!("{:?}", tidings.user(first).await?),
        "channels" => {
            let found = tidings
                .channels(words.option("prefix"), words.option("cursor"))
                .await?;
            format!("{found:?}")
        }
        "channel" => format!("{:?}", tidings.channel(first).await?),
        "members" => format!(
            "{:?}",
            tidings.members(first, words.option("cursor")).await?
        ),
        "remove_member" => said(tidings.remove_member(first, words.arg(1)).await?),
        "sessions" => {
            let filter = SessionFilter {
                user: words.option("user").map(str::to_owned),
                channel: words.option("channel").map(str::to_owned),
                protocol: words.option("protocol").map(str::to_owned),
            };
            format!("{:?}", tidings.sessions(&filter, None).await?)
        }
        "end_session" => said(tidings.end_session(first).await?),
        "disconnect" => {
            let (reason, seconds) = (words.option("reason"), words.number("ban_seconds"));
            said(tidings.disconnect(first, reason, seconds).await?)
        }
        _ => return about_attributes(tidings, call, words).await,
    })
}

/// Attributes of users and channels.
async fn about_attributes(
    tidings: &Tidings,
    call: &str,
    words: &Words<'_>,
) -> Result<String, Error> {
    let first = words.arg(0);
    Ok(match call {
        "user_attributes" => format!("{:?}", tidings.user_attributes(first).await?),
        "channel_attributes" => format!("{:?}", tidings.channel_attributes(first).await?),
        "set_user_attributes" => said(
            tidings
                .set_user_attributes(first, &words.attributes())
                .await?,
        ),
        "update_user_attributes" => said(
            tidings
                .update_user_attributes(first, &words.attributes())
                .await?,
        ),
        "set_channel_attributes" => said(
            tidings
                .set_channel_attributes(first, &words.attributes())
                .await?,
        ),
        "update_channel_attributes" => said(
            tidings
                .update_channel_attributes(first, &words.attributes())
                .await?,
        ),
        "delete_user_attributes" | "delete_channel_attributes" => {
            let keys = words.args.get(1).map(|keys| words.texts(keys));
            let keys = keys
                .as_ref()
                .map(|keys| keys.iter().map(String::as_str).collect());
            let keys: Option<Vec<&str>> = keys;
            let keys = keys.as_deref();
            if call == "delete_user_attributes" {
                tidings.delete_user_attributes(first, keys).await?;
            } else {
                tidings.delete_channel_attributes(first, keys).await?;
            }
            String::new()
        }
        _ => return about_the_rest(tidings, call, words).await,
    })
}

/// Bans, tokens, events.
async fn about_the_rest(tidings: &Tidings, call: &str, words: &Words<'_>) -> Result<String, Error> {
    let first = words.arg(0);
    let id = words
        .args
        .first()
        .and_then(Value::as_u64)
        .unwrap_or_default();
    Ok(match call {
        "bans" => format!("{:?}", tidings.bans(words.option("cursor")).await?),
        "ban" => {
            let ban = NewBan {
                user_id: words.option("user_id").map(str::to_owned),
                channel: words.option("channel").map(str::to_owned),
                address: None,
                seconds: words.number("seconds"),
                until_ms: None,
                note: words.option("note").map(str::to_owned),
                privileges: words.texts(&words.options["privileges"]),
            };
            let made = tidings.ban(&ban).await?;
            assert_eq!(made.id, Some(7));
            format!("{made:?}")
        }
        "change_ban" => {
            let (seconds, note) = (words.number("seconds"), words.option("note"));
            format!("{:?}", tidings.change_ban(id, seconds, note).await?)
        }
        "unban" => said(tidings.unban(id).await?),
        "issue_token" => {
            let ttl = words.number("ttl").and_then(|ttl| u32::try_from(ttl).ok());
            tidings.issue_token(first, ttl).await?
        }
        "inspect_token" => tidings.inspect_token(first).await?.to_string(),
        "revoke_token" => said(tidings.revoke_token(first).await?),
        "revoke_tokens_of" => said(
            tidings
                .revoke_tokens_of(first, words.args[1].as_u64())
                .await?,
        ),
        "event_page" => {
            let wait = Duration::from_secs(words.number("wait").unwrap_or(0));
            let limit = words
                .number("limit")
                .and_then(|limit| u16::try_from(limit).ok());
            let types = words.texts(&words.options["types"]);
            format!(
                "{:?}",
                tidings
                    .event_page(words.option("after"), &types, limit, wait)
                    .await?
            )
        }
        other => panic!("the table has a call that is not tried here: {other}"),
    })
}

fn said((): ()) -> String {
    String::new()
}

/// Every text and number of `expected` stands in `given`.
fn tells(given: &str, expected: &Value) {
    match expected {
        Value::Null | Value::Bool(_) => {}
        Value::String(text) => {
            let is_there = given.contains(text.as_str()) || given.to_lowercase().contains(text);
            assert!(is_there, "no {text:?} in {given}");
        }
        Value::Number(number) => assert!(given.contains(&number.to_string()), "{number}: {given}"),
        Value::Array(items) => items.iter().for_each(|item| tells(given, item)),
        Value::Object(fields) => fields.values().for_each(|value| tells(given, value)),
    }
}

#[tokio::test]
async fn every_call_of_the_table() {
    let table: Value = serde_json::from_str(TABLE).expect("the table");
    let rows = table["calls"].as_array().expect("rows");
    assert!(rows.len() > 30);
    for row in rows {
        let told = match &row["answer"] {
            Value::Null => Told::Answer(204, Vec::new(), String::new()),
            body => answer(200, body),
        };
        let fake = Fake::start([told]).await;
        let none = Vec::new();
        let words = Words {
            args: row["args"].as_array().unwrap_or(&none),
            options: &row["options"],
        };
        let call = row["call"].as_str().expect("a name");
        let given = ask(&fake.client(), call, &words).await;
        match (&row["fails"], given) {
            (Value::Null, Ok(given)) => {
                let expected = if row["gives"].is_null() {
                    &row["answer"]
                } else {
                    &row["gives"]
                };
                tells(&given, expected);
            }
            (fails, Err(error)) if !fails.is_null() => fits(&error, fails),
            (_, given) => panic!("{call} gave {given:?}"),
        }
        let asked = &fake.asked()[0];
        let request = &row["request"];
        assert_eq!(asked.method, request["method"], "{call}");
        let path = asked.target.split('?').next().unwrap_or_default();
        let expected = format!(
            "/api/v1/apps/{APP}{}",
            request["path"].as_str().unwrap_or("")
        );
        assert_eq!(path, expected);
        let query: HashMap<String, String> =
            serde_json::from_value(request["query"].clone()).unwrap_or_default();
        assert_eq!(asked.query(), query, "{call}");
        let body: Value = serde_json::from_str(&asked.body).unwrap_or_default();
        assert_eq!(body, request["body"], "{call}");
        assert_eq!(asked.headers["authorization"], "Bearer tdk_id_secret");
        let has_key = asked.headers.contains_key("idempotency-key");
        assert_eq!(has_key, asked.method == "POST", "{call}");
    }
}

#[tokio::test]
async fn every_refusal_of_the_table() {
    let table: Value = serde_json::from_str(TABLE).expect("the table");
    for row in table["refusals"].as_array().expect("rows") {
        let told = &row["answer"];
        let status = u16::try_from(told["status"].as_u64().expect("a status")).expect("a status");
        let headers: HashMap<String, String> =
            serde_json::from_value(told["headers"].clone()).expect("headers");
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let body = told["text"]
            .as_str()
            .map_or_else(|| told["body"].to_string(), str::to_owned);
        let fake = Fake::start([text(status, &body, &headers)]).await;
        let error = fake.client().bans(None).await.expect_err("a refusal");
        fits(&error, &row["fails"]);
        assert_eq!(fake.asked().len(), 1, "it was not asked again");
    }
}

fn fits(error: &Error, expected: &Value) {
    let Error::Api(told) = error else {
        panic!("{error:?}")
    };
    let found = json!({
        "status": told.status, "code": error.code(), "request_id": error.request_id(),
        "hint": error.hint(), "detail": told.detail, "field": told.field,
        "retry_after_s": error.retry_after().map(|wait| wait.as_secs()),
    });
    for (name, value) in expected.as_object().expect("fields") {
        assert_eq!(&found[name], value, "{name}");
    }
}
