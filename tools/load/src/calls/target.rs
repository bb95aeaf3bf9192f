//! The requests that each server is sent.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, bail};
use hmac::{Hmac, Mac as _};
use md5::{Digest as _, Md5};
use serde_json::{Value, json};
use sha2::Sha256;
use tidings_wire::hex;

use super::Call;
use crate::drivers::sockudo::{KEY, SECRET};
use crate::drivers::tidings::APP;
use crate::launch::API_KEY;

/// What a server is asked, and what one call carries.
pub(super) struct Target {
    path: String,
    /// Whole header lines.
    headers: String,
    /// The body for a channel of this number.
    body: Box<dyn Fn(usize) -> Value>,
    is_signed: bool,
    pub(super) messages_per_call: usize,
}

impl Target {
    pub(super) fn of(name: &str, call: Call, bytes: usize, batch: usize) -> Result<Self> {
        let text = "x".repeat(bytes);
        let (path, headers) = match name {
            "tidings" => {
                let path = match call {
                    Call::Publish | Call::Confirmed => format!("/api/v1/apps/{APP}/publish"),
                    Call::Batch | Call::Events => format!("/api/v1/apps/{APP}/publish/batch"),
                };
                (path, format!("Authorization: Bearer {API_KEY}\r\n"))
            }
            "sockudo" if call == Call::Publish => ("/apps/load/events".to_owned(), String::new()),
            "sockudo" if call == Call::Batch => {
                ("/apps/load/batch_events".to_owned(), String::new())
            }
            "centrifuge" if call == Call::Publish => ("/publish".to_owned(), String::new()),
            name => bail!("{name} has no such call"),
        };
        let body: Box<dyn Fn(usize) -> Value> = match (name, call) {
            ("tidings", Call::Publish) => Box::new(move |at| message(at, &text)),
            ("tidings", Call::Batch | Call::Events) => {
                Box::new(move |at| json!({ "messages": vec![message(at, &text); batch] }))
            }
            ("tidings", Call::Confirmed) => Box::new(move |at| {
                let users = [reader(at)];
                json!({ "users": users, "from": "backend", "payload": text, "wait": true })
            }),
            ("sockudo", Call::Batch) => {
                Box::new(move |at| json!({ "batch": vec![event(at, &text); batch] }))
            }
            ("sockudo", _) => Box::new(move |at| event(at, &text)),
            _ => Box::new(move |at| json!({ "channel": format!("room{at}"), "data": text })),
        };
        Ok(Self {
            path,
            headers,
            body,
            is_signed: name == "sockudo",
            messages_per_call: if call.is_batch() { batch } else { 1 },
        })
    }

    /// The whole request of a connection: always the same one, to a channel of its own.
    pub(super) fn request(&self, at: usize) -> Vec<u8> {
        let body = (self.body)(at).to_string();
        let query = if self.is_signed {
            signature(&self.path, &body)
        } else {
            String::new()
        };
        whole(&format!("{}{query}", self.path), &self.headers, &body)
    }
}

/// A call of an operator of our server.
pub(super) fn operator_call(path: &str, body: &Value) -> Vec<u8> {
    let headers = format!("Authorization: Bearer {API_KEY}\r\n");
    whole(path, &headers, &body.to_string())
}

fn whole(path: &str, headers: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len(),
    )
    .into_bytes()
}

/// Whom the calls of this connection are sent to, if that is a user.
pub(super) fn reader(at: usize) -> String {
    format!("reader{at}")
}

pub(super) fn message(at: usize, text: &str) -> Value {
    json!({ "channel": format!("room{at}"), "from": "backend", "payload": text })
}

fn event(at: usize, text: &str) -> Value {
    json!({ "name": "message", "channel": format!("room{at}"), "data": text })
}

/// What the Pusher protocol wants of a call, as the query. It holds for ten minutes.
fn signature(path: &str, body: &str) -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_secs());
    let query = format!(
        "auth_key={KEY}&auth_timestamp={now}&auth_version=1.0&body_md5={}",
        hex(&Md5::digest(body)),
    );
    let mut mac =
        Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("a key may have any length");
    mac.update(format!("POST\n{path}\n{query}").as_bytes());
    format!(
        "?{query}&auth_signature={}",
        hex(&mac.finalize().into_bytes())
    )
}
