//! Signatures of webhooks: the vectors of the specification, and what goes wrong in practice.

use hmac::{Hmac, Mac as _};
use serde_json::Value;
use sha2::Sha256;
use tidings_client::server::{WebhookError, WebhookKeys};

const VECTORS: &str = include_str!("../../../../spec/webhook-vectors.json");

fn rows(name: &str) -> Vec<Value> {
    let vectors: Value = serde_json::from_str(VECTORS).expect("vectors");
    let rows = vectors[name].as_array().expect("rows").clone();
    assert!(rows.len() >= 4);
    rows
}

fn word<'v>(row: &'v Value, name: &str) -> &'v str {
    row[name].as_str().unwrap_or_default()
}

#[test]
fn verdicts_are_those_of_the_vectors() {
    for row in rows("verified") {
        let keys = WebhookKeys::new([word(&row, "secret")]);
        let header = |name: &str| (name == "tidings-signature").then(|| word(&row, "header"));
        let now_s = row["now"].as_u64().expect("a time");
        let expected = match word(&row, "verdict") {
            "good" => Ok(()),
            "form" => Err(WebhookError::MalformedSignature),
            "time" => Err(WebhookError::TooOld),
            "mismatch" => Err(WebhookError::BadSignature),
            other => panic!("{other}"),
        };
        assert_eq!(
            keys.check(word(&row, "body").as_bytes(), header, now_s),
            expected,
            "{row}"
        );
    }
}

#[test]
fn signed_bodies_are_believed() {
    for row in rows("signed") {
        let body = word(&row, "body").as_bytes();
        let now_s = row["t"].as_u64().expect("a time");
        let header = |name: &str| row["headers"][name].as_str();
        let hosted = |name: &str| header(name).filter(|_| name != "tidings-signature");
        for secret in [row["secret"].as_str(), row["next_secret"].as_str()]
            .into_iter()
            .flatten()
        {
            let keys = WebhookKeys::new(["another", secret]);
            assert_eq!(keys.check(body, header, now_s), Ok(()));
            // Behind a proxy that passes on only what the hosted service has; time is the body's.
            assert_eq!(
                keys.clone().tolerance_s(0).check(body, hosted, now_s),
                Ok(())
            );
            let now_s = 4_000_000_000;
            assert_eq!(keys.check(body, hosted, now_s), Err(WebhookError::TooOld));
        }
        let other = WebhookKeys::new(["another"]);
        assert_eq!(
            other.check(body, header, now_s),
            Err(WebhookError::BadSignature)
        );
        assert_eq!(
            other.check(body, hosted, now_s),
            Err(WebhookError::BadSignature)
        );
        let none = WebhookKeys::new([""]);
        assert_eq!(
            none.check(body, header, now_s),
            Err(WebhookError::BadSignature)
        );
        let missing = other.check(body, |_| None, now_s);
        assert_eq!(missing, Err(WebhookError::NoSignature));
    }
}

#[test]
fn a_header_of_another_form_is_refused() {
    let keys = WebhookKeys::new(["whsec"]);
    let long = format!("t={},v1=00", "9".repeat(40));
    let wrong = [
        "",
        "t=1",
        "v1=00",
        "t=,v1=00",
        "t=1,v1=0",
        "t=-1,v1=00",
        "t=1 v1=00",
        "x",
        &long,
    ];
    for header in wrong {
        let found = keys.check(
            b"{}",
            |name| (name == "tidings-signature").then_some(header),
            1,
        );
        assert_eq!(found, Err(WebhookError::MalformedSignature), "{header}");
        assert!(!WebhookError::MalformedSignature.hint().is_empty());
    }
}

#[test]
fn an_event_is_read_at_the_present_time() {
    let now_s = std::time::UNIX_EPOCH.elapsed().expect("a clock").as_secs();
    let body =
        br#"{"noticeId":"n1","type":"user.login","payload":{"account":"alice"},"cursor":"7"}"#;
    let sign = |body: &[u8]| {
        let mut mac = Hmac::<Sha256>::new_from_slice(b"whsec").expect("a key");
        mac.update(format!("{now_s}.").as_bytes());
        mac.update(body);
        let bytes = mac.finalize().into_bytes();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("t={now_s},v1={hex}")
    };
    let keys = WebhookKeys::new(["whsec"]);
    let verify = |body: &[u8], signed: &str| {
        keys.verify(body, |name| (name == "tidings-signature").then_some(signed))
    };
    let event = verify(body, &sign(body)).expect("genuine");
    assert_eq!(event.kind.as_deref(), Some("user.login"));
    assert_eq!(
        (&event.payload["account"], &event.more["cursor"]),
        (&"alice".into(), &"7".into())
    );
    assert_eq!(
        verify(b"no json", &sign(b"no json")),
        Err(WebhookError::BadBody)
    );
    assert_eq!(verify(b"{}", &sign(body)), Err(WebhookError::BadSignature));
}
