//! An app's endpoint is asked about messages: its answers, its silence, its secrets.

mod support;

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::World;
use support::target::{Does, Target};
use tidings_webhooks::{
    Field, NewModeration, OnTimeout, Question, RefusalKind, Webhooks, Word, verify,
};

const APP: &str = "00000000000000000000000000000001";

fn rule(url: &str, on_timeout: &str) -> NewModeration {
    let body = json!({
        "url": url, "channels": ["mod.*"], "timeout_ms": 300, "on_timeout": on_timeout,
    });
    serde_json::from_value(body).expect("a rule")
}

fn question(text: &str) -> Question {
    Question {
        app: APP.to_owned(),
        channel: "mod.a".to_owned(),
        user: "alice".to_owned(),
        kind: "text",
        text: Some(text.to_owned()),
        data: None,
        at_ms: support::START_MS,
    }
}

async fn ask(webhooks: &Webhooks, text: &str) -> Word {
    let (to, word) = tokio::sync::oneshot::channel();
    webhooks.ask(question(text), move |word| {
        let _ = to.send(word);
    });
    word.await.expect("a word")
}

fn says(answer: &Value) -> Does {
    let body = answer.to_string();
    let length = body.len();
    Does::Bytes(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes())
}

#[tokio::test]
async fn the_endpoint_is_asked_and_its_word_counts() {
    let world = World::new();
    let target = Target::start().await;
    let webhooks = world.start().await;
    let made = webhooks
        .set_moderation(APP, rule(&target.url(), "refuse"))
        .await;
    let secret = made.expect("set").secret.expect("shown once");
    assert_eq!(world.told.lock().expect("the lock")[0].channels, ["mod.*"]);
    target.plan(&[
        says(&json!({"action": "pass"})),
        says(&json!({"action": "change", "text": "better"})),
        says(&json!({"action": "refuse", "text": "no"})),
    ]);
    assert_eq!(ask(&webhooks, "one").await, Word::Pass);
    assert_eq!(ask(&webhooks, "two").await, Word::Text("better".to_owned()));
    assert_eq!(ask(&webhooks, "three").await, Word::Refuse("no".to_owned()));
    let asked = &target.received()[0];
    let timed = asked.header("tidings-signature").expect("a signature");
    assert_eq!(
        verify(&secret, timed, &asked.body, support::START_MS / 1_000),
        Ok(())
    );
    let body = asked.json();
    assert_eq!(
        (&body["type"], &body["eventType"]),
        (&json!("message.before"), &json!(2033))
    );
    assert_eq!(body["payload"]["channelName"], "mod.a");
    assert_eq!(body["payload"]["account"], "alice");
    assert_eq!(
        (&body["payload"]["messageType"], &body["payload"]["text"]),
        (&json!("text"), &json!("one"))
    );
    let status = webhooks.moderation(APP).expect("set").status;
    assert_eq!(
        (status.asked, status.passed, status.changed, status.refused),
        (3, 1, 1, 1)
    );
    webhooks.close().await;
}

#[tokio::test]
async fn silence_and_garbage_leave_it_to_the_rule() {
    for (word, on_timeout) in [("pass", OnTimeout::Pass), ("refuse", OnTimeout::Refuse)] {
        let world = World::new();
        let target = Target::start().await;
        let webhooks = world.start().await;
        webhooks
            .set_moderation(APP, rule(&target.url(), word))
            .await
            .expect("set");
        target.plan(&[
            Does::Take,
            Does::Status(500),
            Does::Status(410),
            Does::Bytes(b"garbage\r\n\r\n".to_vec()),
            Does::Hang,
            Does::Trickle,
        ]);
        for count in 1..=6 {
            let begun = Instant::now();
            assert_eq!(ask(&webhooks, "x").await, Word::Nothing(on_timeout));
            assert!(
                begun.elapsed() < Duration::from_secs(2),
                "{:?}",
                begun.elapsed()
            );
            assert_eq!(
                webhooks.moderation(APP).expect("set").status.unanswered,
                count
            );
        }
        target.always(says(&json!({"action": "pass"})));
        assert_eq!(ask(&webhooks, "x").await, Word::Pass, "it is asked again");
        webhooks.close().await;
    }
}

#[tokio::test]
async fn an_endpoint_that_hangs_costs_another_app_nothing() {
    let other = "00000000000000000000000000000002";
    let world = World::new();
    let (hanging, good) = (Target::start().await, Target::start().await);
    hanging.always(Does::Hang);
    good.always(says(&json!({"action": "pass"})));
    let webhooks = world.start().await;
    webhooks
        .set_moderation(APP, rule(&hanging.url(), "pass"))
        .await
        .expect("set");
    webhooks
        .set_moderation(other, rule(&good.url(), "refuse"))
        .await
        .expect("set");
    for _ in 0..500 {
        webhooks.ask(question("x"), |_| {});
    }
    let (to, word) = tokio::sync::oneshot::channel();
    let asked = Question {
        app: other.to_owned(),
        ..question("y")
    };
    webhooks.ask(asked, move |word| {
        let _ = to.send(word);
    });
    assert_eq!(word.await, Ok(Word::Pass));
    assert!(
        hanging.received().len() <= 32,
        "{}",
        hanging.received().len()
    );
    webhooks.close().await;
}

#[tokio::test]
async fn it_survives_a_restart_and_can_be_ended() {
    let world = World::new();
    let target = Target::start().await;
    target.always(says(&json!({"action": "pass"})));
    let webhooks = world.start().await;
    let url = target.url();
    let first = webhooks
        .set_moderation(APP, rule(&url, "pass"))
        .await
        .expect("set")
        .secret;
    webhooks.close().await;
    let webhooks = world.start().await;
    assert_eq!(world.told.lock().expect("the lock").len(), 1);
    let again = webhooks
        .set_moderation(APP, rule(&url, "refuse"))
        .await
        .expect("set");
    assert_eq!(again.secret, None, "it stays");
    let rotate = NewModeration {
        secret: Some(tidings_webhooks::SecretStep::Rotate),
        ..rule(&url, "pass")
    };
    let second = webhooks
        .set_moderation(APP, rotate.clone())
        .await
        .expect("set")
        .secret;
    assert!(second.is_some() && second != first);
    let refused = webhooks
        .set_moderation(APP, rotate)
        .await
        .expect_err("two already");
    assert_eq!(refused.kind, RefusalKind::Conflict);
    webhooks.end_moderation(APP).await.expect("ended");
    assert!(world.told.lock().expect("the lock").is_empty());
    assert_eq!(world.records.rows(), 0);
    assert_eq!(
        ask(&webhooks, "x").await,
        Word::Pass,
        "what was on its way is sent"
    );
    assert_eq!(
        webhooks.moderation(APP).expect_err("none").kind,
        RefusalKind::NotFound
    );
    assert_eq!(
        webhooks.end_moderation(APP).await.expect_err("none").kind,
        RefusalKind::NotFound
    );
    webhooks.close().await;
}

#[tokio::test]
async fn wrong_rules_are_refused_with_their_field() {
    let world = World::new();
    let webhooks = world.start().await;
    let good = rule("https://example.com/", "pass");
    for (wrong, field) in [
        (
            NewModeration {
                url: "ftp://x/".to_owned(),
                ..good.clone()
            },
            Field::Url,
        ),
        (
            NewModeration {
                channels: vec![],
                ..good.clone()
            },
            Field::Channels,
        ),
        (
            NewModeration {
                channels: vec![String::new()],
                ..good.clone()
            },
            Field::Channels,
        ),
        (
            NewModeration {
                timeout_ms: 0,
                ..good.clone()
            },
            Field::TimeoutMs,
        ),
        (
            NewModeration {
                timeout_ms: 2_001,
                ..good.clone()
            },
            Field::TimeoutMs,
        ),
    ] {
        let refused = webhooks
            .set_moderation(APP, wrong)
            .await
            .expect_err("refused");
        assert_eq!(refused.kind, RefusalKind::Field(field));
    }
    webhooks.close().await;
}
