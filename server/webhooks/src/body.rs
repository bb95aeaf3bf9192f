//! The body of a notice: the frame of rest 10.2.

use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use crate::kinds::{self, TEST};
use crate::sources::Event;

/// Our product number: the hosted service has none for signaling.
const PRODUCT: u32 = 0;

/// What a notice about `event` says, sent at `now_ms`. `webhook` is the subscription's id.
#[must_use]
pub fn notice(app: &str, webhook: &str, event: &Event, now_ms: u64) -> Vec<u8> {
    let mut body = frame(app, event, now_ms);
    body["webhookId"] = json!(webhook);
    body["cursor"] = json!(event.place);
    serde_json::to_vec(&body).expect("JSON is written")
}

/// What notices and questions have in common.
pub(crate) fn frame(app: &str, event: &Event, now_ms: u64) -> Value {
    let mut payload = Map::new();
    if let Some(user) = &event.user {
        payload.insert("account".to_owned(), json!(user));
    }
    if let Some(channel) = &event.channel {
        payload.insert("channelName".to_owned(), json!(channel));
    }
    payload.insert("clientSeq".to_owned(), json!(event.order));
    payload.insert("ts".to_owned(), json!(event.at_ms / 1_000));
    payload.insert("ms".to_owned(), json!(event.at_ms));
    for (name, value) in &event.detail {
        payload.insert(camel(name), value.clone());
    }
    json!({
        "noticeId": notice_id(app, event),
        "productId": PRODUCT,
        "eventType": kinds::number(&event.kind),
        "type": event.kind,
        "appId": app,
        "notifyMs": now_ms,
        "eventMs": event.at_ms,
        "payload": payload,
    })
}

/// The id of an event: equal in repeats, in every subscription, and after a restart.
#[must_use]
pub fn notice_id(app: &str, event: &Event) -> String {
    let mut hash = Sha256::new();
    hash.update(app.as_bytes());
    hash.update(event.number.to_be_bytes());
    hash.update(event.kind.as_bytes());
    if event.number == 0 {
        // A sample, and each is another one.
        hash.update(event.at_ms.to_be_bytes());
    }
    let hex = tidings_wire::hex(&hash.finalize()[..16]);
    let parts = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ];
    parts.join("-")
}

/// A sample, with the hosted service's names for it.
pub(crate) fn sample(now_ms: u64) -> Event {
    Event {
        number: 0,
        place: String::new(),
        at_ms: now_ms,
        kind: TEST.to_owned(),
        user: Some("12121212".to_owned()),
        channel: Some("test_webhook".to_owned()),
        order: 1,
        detail: Map::new(),
    }
}

/// `login_ms` is `loginMs` in the frame of the hosted service.
fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        camel.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(letters.as_str());
    }
    camel
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login() -> Event {
        let mut detail = Map::new();
        detail.insert("login_ms".to_owned(), json!(1_700_000_000_100_u64));
        Event {
            number: 17,
            place: "behind-17".to_owned(),
            at_ms: 1_700_000_000_123,
            kind: "user.login".to_owned(),
            user: Some("alice".to_owned()),
            channel: None,
            order: 3,
            detail,
        }
    }

    #[test]
    fn a_notice_has_the_frame_of_the_hosted_service() {
        let app = "a".repeat(32);
        let body = notice(&app, "wh_1", &login(), 1_700_000_009_000);
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        assert_eq!(
            body,
            json!({
                "noticeId": notice_id(&app, &login()), "productId": 0, "eventType": 2010,
                "type": "user.login", "appId": app, "webhookId": "wh_1",
                "notifyMs": 1_700_000_009_000_u64, "eventMs": 1_700_000_000_123_u64, "cursor": "behind-17",
                "payload": {
                    "account": "alice", "clientSeq": 3, "ts": 1_700_000_000,
                    "ms": 1_700_000_000_123_u64, "loginMs": 1_700_000_000_100_u64,
                },
            })
        );
    }

    #[test]
    fn the_id_of_a_notice_is_the_events() {
        let (one, two) = ("a".repeat(32), "b".repeat(32));
        let again = notice_id(&one, &login());
        assert_eq!(again, notice_id(&one, &login()));
        assert_eq!(again.len(), 36);
        assert_ne!(again, notice_id(&two, &login()));
        assert_ne!(
            again,
            notice_id(
                &one,
                &Event {
                    number: 18,
                    ..login()
                }
            )
        );
        assert_ne!(notice_id(&one, &sample(1)), notice_id(&one, &sample(2)));
    }
}
