//! Notices arrive: signed, in order, once where nothing goes wrong, and after a restart.

mod support;

use serde_json::json;
use support::target::{Does, Target};
use support::{World, change, subscription, until_true};
use tidings_webhooks::{RefusalKind, State, verify};

const APP: &str = "00000000000000000000000000000001";

#[tokio::test]
async fn events_arrive_in_order_signed_and_as_asked_for() {
    let world = World::new();
    let target = Target::start().await;
    let webhooks = world.start().await;
    world.happen(APP, "user.login", &["before"]);
    let made = webhooks
        .create(APP, subscription(&target.url(), &["user.login"]))
        .await;
    let made = made.expect("a webhook");
    world.happen(APP, "user.login", &["a", "b"]);
    world.happen(APP, "user.logout", &["a"]);
    world.happen(APP, "user.login", &["c"]);
    let received = target.takes(3).await;
    assert_eq!(target.users(), ["a", "b", "c"]);
    let first = &received[0];
    let body = first.json();
    assert_eq!(body["type"], "user.login");
    assert_eq!(
        (&body["productId"], &body["eventType"]),
        (&json!(0), &json!(2010))
    );
    assert_eq!(
        (&body["cursor"], &body["webhookId"]),
        (&json!("behind-2"), &json!(made.id))
    );
    assert_eq!(body["payload"]["ts"], support::START_MS / 1_000);
    assert!(
        first.head.starts_with("POST /hook HTTP/1.1\r\n"),
        "{}",
        first.head
    );
    assert_eq!(first.header("content-type"), Some("application/json"));
    assert_eq!(
        first.header("host"),
        Some(target.address.to_string().as_str())
    );
    let secret = made.secret.expect("shown once");
    let now = support::START_MS / 1_000;
    for name in tidings_webhooks::headers(&secret, None, now, &first.body) {
        assert_eq!(first.header(name.0), Some(name.1.as_str()));
    }
    let timed = first.header("tidings-signature").expect("a signature");
    assert_eq!(verify(&secret, timed, &first.body, now + 5), Ok(()));
    assert_eq!(target.connections(), 1, "the connection is used again");
    let list = webhooks.list(APP);
    assert_eq!(list[0].secret, None, "shown once");
    until_true("all delivered", || {
        webhooks.list(APP)[0].status.delivered == 3
    })
    .await;
    let deliveries = webhooks.deliveries(APP, &made.id).expect("deliveries");
    let states: Vec<_> = deliveries
        .iter()
        .map(|delivery| (delivery.n, delivery.state))
        .collect();
    assert_eq!(
        states,
        [
            (3, State::Delivered),
            (2, State::Delivered),
            (1, State::Delivered)
        ]
    );
    assert_eq!(deliveries[0].attempts[0].answer, "{\"ok\":true}");
    webhooks.close().await;
}

#[tokio::test]
async fn after_a_restart_it_goes_on_where_it_was() {
    let world = World::new();
    let target = Target::start().await;
    let webhooks = world.start().await;
    let made = webhooks
        .create(APP, subscription(&target.url(), &["*"]))
        .await
        .expect("a webhook");
    world.happen(APP, "user.login", &["a", "b"]);
    target.takes(2).await;
    webhooks.close().await;
    world.happen(APP, "user.login", &["c"]);
    let webhooks = world.start().await;
    world.happen(APP, "user.login", &["d"]);
    target.takes(4).await;
    assert_eq!(target.users(), ["a", "b", "c", "d"]);
    until_true("all delivered", || {
        webhooks.list(APP)[0].status.delivered == 4
    })
    .await;
    let deliveries = webhooks.deliveries(APP, &made.id).expect("deliveries");
    assert_eq!(deliveries.len(), 4, "those from before are kept");
    webhooks.close().await;
}

#[tokio::test]
async fn a_secret_is_replaced_while_notices_go_on() {
    let world = World::new();
    let target = Target::start().await;
    let webhooks = world.start().await;
    let made = webhooks
        .create(APP, subscription(&target.url(), &["*"]))
        .await
        .expect("a webhook");
    let old = made.secret.expect("a secret");
    let rotated = webhooks
        .change(APP, &made.id, change(json!({"secret": "rotate"})))
        .await;
    let new = rotated.expect("a change").secret.expect("a second secret");
    world.happen(APP, "user.login", &["a"]);
    let both = target.takes(1).await[0].clone();
    let now = support::START_MS / 1_000;
    let timed = both.header("tidings-signature").expect("a signature");
    assert_eq!(verify(&old, timed, &both.body, now), Ok(()));
    assert_eq!(verify(&new, timed, &both.body, now), Ok(()));
    assert!(both.header("tidings-signature-next").is_some());
    let dropped = webhooks
        .change(APP, &made.id, change(json!({"secret": "drop_old"})))
        .await;
    assert_eq!(dropped.expect("a change").secret, None);
    world.happen(APP, "user.login", &["b"]);
    let one = target.takes(2).await[1].clone();
    let timed = one.header("tidings-signature").expect("a signature");
    assert!(verify(&old, timed, &one.body, now).is_err());
    assert_eq!(verify(&new, timed, &one.body, now), Ok(()));
    assert!(one.header("tidings-signature-next").is_none());
    webhooks.close().await;
}

#[tokio::test]
async fn a_target_that_is_gone_turns_its_subscription_off() {
    let world = World::new();
    let target = Target::start().await;
    target.plan(&[Does::Take, Does::Status(410)]);
    let webhooks = world.start().await;
    let made = webhooks
        .create(APP, subscription(&target.url(), &["*"]))
        .await
        .expect("a webhook");
    world.happen(APP, "user.login", &["a", "b", "c"]);
    until_true("it is off", || !webhooks.list(APP)[0].enabled).await;
    let off = webhooks.show(APP, &made.id).expect("it is there");
    assert_eq!(off.off_reason.as_deref(), Some("the target is gone (410)"));
    webhooks.close().await;
    let webhooks = world.start().await;
    assert!(!webhooks.list(APP)[0].enabled, "it stays off");
    assert_eq!(target.received().len(), 2);
    webhooks
        .change(APP, &made.id, change(json!({"enabled": true})))
        .await
        .expect("on again");
    target.takes(4).await;
    assert_eq!(target.users(), ["a", "b", "b", "c"], "nothing is left out");
    webhooks.close().await;
}

#[tokio::test]
async fn a_sample_and_a_repeat_are_sent_on_request() {
    let world = World::new();
    let target = Target::start().await;
    let webhooks = world.start().await;
    let made = webhooks
        .create(APP, subscription(&target.url(), &["user.*"]))
        .await;
    let id = made.expect("a webhook").id;
    let sample = webhooks.test(APP, &id).await.expect("a sample");
    assert_eq!(
        (sample.state, sample.kind.as_str()),
        (State::Delivered, "webhook.test")
    );
    let body = target.takes(1).await[0].json();
    assert_eq!(body["payload"]["channelName"], "test_webhook");
    assert_eq!(body["payload"]["account"], "12121212");
    world.happen(APP, "user.login", &["a"]);
    target.takes(2).await;
    until_true("it is known", || {
        webhooks.list(APP)[0].status.delivered == 1
    })
    .await;
    let again = webhooks.retry(APP, &id, 2).await.expect("a repeat");
    assert_eq!((again.n, again.attempt_count), (2, 2));
    let received = target.takes(3).await;
    assert_eq!(
        received[1].json()["noticeId"],
        received[2].json()["noticeId"]
    );
    target.plan(&[Does::Status(500)]);
    let failed = webhooks.test(APP, &id).await.expect("a sample");
    assert_eq!(
        (failed.state, failed.attempts[0].status),
        (State::Failed, Some(500))
    );
    assert!(
        webhooks.list(APP)[0].status.failing.is_none(),
        "a sample says nothing of events"
    );
    world.events.forget(APP, 1);
    let gone = webhooks
        .retry(APP, &id, 2)
        .await
        .expect_err("the event is gone");
    assert_eq!(gone.kind, RefusalKind::Conflict);
    let unknown = webhooks
        .retry(APP, &id, 99)
        .await
        .expect_err("no such delivery");
    assert_eq!(unknown.kind, RefusalKind::NotFound);
    webhooks.close().await;
}

#[tokio::test]
async fn an_app_sees_and_changes_its_own_webhooks_only() {
    let other = "00000000000000000000000000000002";
    let world = World::new();
    let target = Target::start().await;
    let webhooks = world.start().await;
    let made = webhooks
        .create(APP, subscription(&target.url(), &["*"]))
        .await;
    let id = made.expect("a webhook").id;
    assert!(webhooks.list(other).is_empty());
    let refused = webhooks
        .change(other, &id, change(json!({"enabled": false})))
        .await;
    assert_eq!(refused.expect_err("foreign").kind, RefusalKind::NotFound);
    assert!(webhooks.delete(other, &id).await.is_err());
    assert!(webhooks.test(other, &id).await.is_err());
    assert!(webhooks.deliveries(other, &id).is_err());
    world.happen(other, "user.login", &["x"]);
    world.happen(APP, "user.login", &["a"]);
    target.takes(1).await;
    assert_eq!(target.users(), ["a"]);
    for _ in 1..tidings_wire::limits::WEBHOOKS_PER_APP_MAX {
        webhooks
            .create(APP, subscription(&target.url(), &["*"]))
            .await
            .expect("a webhook");
    }
    let full = webhooks
        .create(APP, subscription(&target.url(), &["*"]))
        .await;
    assert_eq!(full.expect_err("full").kind, RefusalKind::Full);
    assert!(
        webhooks
            .create(other, subscription(&target.url(), &["*"]))
            .await
            .is_ok()
    );
    webhooks.close().await;
}

#[tokio::test]
async fn deleting_leaves_nothing_and_waits_for_nobody() {
    let world = World::new();
    let target = Target::start().await;
    target.always(Does::Hang);
    let webhooks = world.start().await;
    let made = webhooks
        .create(APP, subscription(&target.url(), &["*"]))
        .await;
    let id = made.expect("a webhook").id;
    world.happen(APP, "user.login", &["a"]);
    target.takes(1).await;
    webhooks.delete(APP, &id).await.expect("deleted");
    assert_eq!(world.records.rows(), 0);
    assert!(webhooks.list(APP).is_empty());
    webhooks.close().await;
    assert_eq!(world.records.rows(), 0);
}
