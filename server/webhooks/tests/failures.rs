//! Targets that fail, stores that fail: events wait, are tried again, become dead letters.

mod support;

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use serde_json::json;
use support::target::{Does, Target};
use support::{World, change, subscription, until, until_true};
use tidings_webhooks::{Clock as _, GAP, Redelivered, State};

const APP: &str = "00000000000000000000000000000001";
const HOUR_MS: u64 = 3_600_000;

#[tokio::test]
async fn each_bad_answer_is_told_and_the_event_is_tried_again() {
    let world = World::new();
    let target = Target::start().await;
    let rows = [
        (Does::Status(500), "answered 500"),
        (Does::Status(404), "answered 404"),
        (
            Does::Bytes(
                b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1/\r\ncontent-length: 0\r\n\r\n"
                    .to_vec(),
            ),
            "redirects",
        ),
        (Does::Bytes(b"SSH-2.0-OpenSSH_9.9\r\n".to_vec()), "not HTTP"),
        (
            Does::Bytes(b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nshort".to_vec()),
            "ended early",
        ),
        (
            Does::Bytes([b"HTTP/1.1 200 OK\r\nx: ".to_vec(), vec![b'x'; 100_000]].concat()),
            "not HTTP",
        ),
        (Does::Close, "ended early"),
        (Does::Hang, "not answering"),
        (Does::Trickle, "still sending"),
    ];
    target.plan(&rows.clone().map(|(does, _)| does));
    let webhooks = world.start().await;
    let made = webhooks
        .create(APP, subscription(&target.url(), &["*"]))
        .await;
    let id = made.expect("a webhook").id;
    world.happen(APP, "user.login", &["a", "b"]);
    for (attempt, (does, part)) in rows.iter().enumerate() {
        let failing = until(part, || {
            let failing = webhooks.list(APP)[0].status.failing.clone();
            failing.filter(|failing| failing.attempts as usize == attempt + 1)
        });
        let failing = failing.await;
        assert!(failing.error.contains(part), "{does:?}: {}", failing.error);
        let by = world.clock.skip().await;
        assert!(by >= 1_500, "the pause is {by} ms");
    }
    let received = target.takes(rows.len() + 2).await;
    assert_eq!(
        received.last().expect("the last").user(),
        "b",
        "the order is kept"
    );
    let ids: HashSet<String> = received[..=rows.len()]
        .iter()
        .map(|notice| notice.json()["noticeId"].to_string())
        .collect();
    assert_eq!(ids.len(), 1, "repeats have the same id");
    let times: HashSet<u64> = received[..=rows.len()]
        .iter()
        .filter_map(|notice| notice.json()["notifyMs"].as_u64())
        .collect();
    assert_eq!(times.len(), rows.len() + 1, "and times of their own");
    until_true("delivered", || webhooks.list(APP)[0].status.delivered == 2).await;
    let deliveries = webhooks.deliveries(APP, &id).expect("deliveries");
    assert_eq!((deliveries[1].n, deliveries[1].attempt_count), (1, 10));
    assert_eq!(webhooks.list(APP)[0].status.failing, None);
    webhooks.close().await;
}

#[tokio::test]
async fn a_huge_answer_is_cut_and_taken() {
    let world = World::new();
    let target = Target::start().await;
    target.plan(&[Does::Huge, Does::TakeAndClose]);
    let webhooks = world.start().await;
    webhooks
        .create(APP, subscription(&target.url(), &["*"]))
        .await
        .expect("a webhook");
    world.happen(APP, "user.login", &["a", "b"]);
    target.takes(2).await;
    until_true("delivered", || webhooks.list(APP)[0].status.delivered == 2).await;
    // The connection may be closing in the moment when it is used again.
    world.happen(APP, "user.login", &["c"]);
    until_true("delivered", || webhooks.list(APP)[0].status.delivered == 3).await;
    assert_eq!(webhooks.list(APP)[0].status.failed_attempts, 0);
    webhooks.close().await;
}

#[tokio::test]
async fn after_a_day_events_become_dead_letters_and_can_be_redelivered() {
    let world = World::new();
    let target = Target::start().await;
    target.always(Does::Status(503));
    let webhooks = world.start().await;
    let made = webhooks
        .create(APP, subscription(&target.url(), &["*"]))
        .await;
    let id = made.expect("a webhook").id;
    world.happen(APP, "user.login", &["a", "b"]);
    let begun = world.clock.now_ms();
    while webhooks.list(APP)[0].status.dead < 2 {
        world.clock.skip().await;
        until_true("the next pause", || {
            world
                .clock
                .next()
                .is_some_and(|at| at > world.clock.now_ms())
                || webhooks.list(APP)[0].status.dead == 2
        })
        .await;
    }
    let took = world.clock.now_ms() - begun;
    assert!((24 * HOUR_MS..25 * HOUR_MS).contains(&took), "{took}");
    let attempts = target.received().len();
    assert!((25..50).contains(&attempts), "{attempts} attempts in a day");
    let dead = webhooks
        .dead_letters(APP, &id, 0, 10)
        .await
        .expect("dead letters");
    assert_eq!(
        dead.iter().map(|letter| letter.n).collect::<Vec<_>>(),
        [1, 2]
    );
    assert_eq!(dead[0].state, State::Dead);
    assert_eq!(
        webhooks
            .dead_letters(APP, &id, 1, 10)
            .await
            .expect("dead letters")
            .len(),
        1
    );

    // The stream has lost them by now, and the server was started again.
    webhooks.close().await;
    world.events.forget(APP, 2);
    let webhooks = world.start().await;
    assert_eq!(webhooks.list(APP)[0].dead_letters, 2);
    let failed = webhooks.retry(APP, &id, 1).await.expect("an attempt");
    assert_eq!(failed.state, State::Dead);
    let all = webhooks.retry_dead(APP, &id).await.expect("an attempt");
    assert_eq!(
        all,
        Redelivered {
            delivered: 0,
            left: 2
        }
    );
    target.always(Does::Take);
    let one = webhooks.retry(APP, &id, 2).await.expect("an attempt");
    assert_eq!(one.state, State::Delivered);
    let all = webhooks.retry_dead(APP, &id).await.expect("an attempt");
    assert_eq!(
        all,
        Redelivered {
            delivered: 1,
            left: 0
        }
    );
    assert_eq!(webhooks.list(APP)[0].dead_letters, 0);
    assert!(
        webhooks
            .dead_letters(APP, &id, 0, 10)
            .await
            .expect("none")
            .is_empty()
    );
    let users = target.users();
    assert_eq!(users[users.len() - 2..], ["b", "a"]);
    webhooks.close().await;
}

#[tokio::test]
async fn pauses_go_on_after_a_restart_and_end_with_a_change() {
    let world = World::new();
    let target = Target::start().await;
    target.always(Does::Status(500));
    let webhooks = world.start().await;
    let made = webhooks
        .create(APP, subscription(&target.url(), &["*"]))
        .await;
    let id = made.expect("a webhook").id;
    world.happen(APP, "user.login", &["a"]);
    for _ in 0..5 {
        world.clock.skip().await;
    }
    target.takes(6).await;
    let failing =
        |webhooks: &tidings_webhooks::Webhooks| webhooks.list(APP)[0].status.failing.clone();
    until_true("six failures", || {
        failing(&webhooks).is_some_and(|failing| failing.attempts == 6)
    })
    .await;
    webhooks.close().await;
    let webhooks = world.start().await;
    let before = failing(&webhooks).expect("it still fails");
    assert_eq!(before.attempts, 6);
    until_true("it waits", || world.clock.next() == Some(before.next_ms)).await;
    assert_eq!(target.received().len(), 6, "not before its time");
    let mended = Target::start().await;
    let url = json!({ "url": mended.url() });
    webhooks
        .change(APP, &id, change(url))
        .await
        .expect("a change");
    mended.takes(1).await;
    webhooks.close().await;
}

#[tokio::test]
async fn retry_after_is_kept() {
    let world = World::new();
    let target = Target::start().await;
    target.plan(&[Does::Bytes(
        b"HTTP/1.1 429 Slow\r\nretry-after: 120\r\ncontent-length: 0\r\n\r\n".to_vec(),
    )]);
    let webhooks = world.start().await;
    webhooks
        .create(APP, subscription(&target.url(), &["*"]))
        .await
        .expect("a webhook");
    world.happen(APP, "user.login", &["a"]);
    assert_eq!(world.clock.skip().await, 120_000);
    target.takes(2).await;
    webhooks.close().await;
}

#[tokio::test]
async fn lost_events_are_told() {
    let world = World::new();
    let target = Target::start().await;
    let webhooks = world.start().await;
    webhooks
        .create(APP, subscription(&target.url(), &["user.login"]))
        .await
        .expect("a webhook");
    webhooks.close().await;
    world.happen(APP, "user.login", &["a", "b", "c"]);
    world.events.forget(APP, 2);
    let webhooks = world.start().await;
    let received = target.takes(2).await;
    assert_eq!(received[0].json()["type"], GAP);
    assert_eq!(received[0].json()["payload"]["missing"], 2);
    assert_eq!(received[1].user(), "c");
    until_true("counted", || webhooks.list(APP)[0].status.lost == 2).await;
    webhooks.close().await;
}

#[tokio::test]
async fn a_store_that_fails_costs_repeats_at_most() {
    let world = World::new();
    let target = Target::start().await;
    let webhooks = world.start().await;
    let made = webhooks
        .create(APP, subscription(&target.url(), &["*"]))
        .await;
    let id = made.expect("a webhook").id;
    world.happen(APP, "user.login", &["a"]);
    target.takes(1).await;
    until_true("written", || {
        world.records.writes.load(Ordering::SeqCst) > 1
    })
    .await;
    world.records.is_broken.store(true, Ordering::SeqCst);
    world.happen(APP, "user.login", &["b"]);
    target.takes(2).await;
    let refused = webhooks
        .change(APP, &id, change(json!({"enabled": false})))
        .await;
    assert!(
        refused
            .expect_err("not written")
            .detail
            .contains("the disk is full")
    );
    assert!(webhooks.list(APP)[0].enabled, "nothing was changed");
    webhooks.close().await;
    world.records.is_broken.store(false, Ordering::SeqCst);
    let webhooks = world.start().await;
    target.takes(3).await;
    assert_eq!(target.users(), ["a", "b", "b"]);
    let received = target.received();
    assert_eq!(
        received[1].json()["noticeId"],
        received[2].json()["noticeId"]
    );
    webhooks.close().await;

    world.events.is_broken.store(true, Ordering::SeqCst);
    let webhooks = world.start().await;
    world.clock.skip().await;
    world.events.is_broken.store(false, Ordering::SeqCst);
    world.happen(APP, "user.login", &["c"]);
    world.clock.advance(1_000);
    target.takes(4).await;
    webhooks.close().await;
}

#[tokio::test]
async fn targets_that_hang_cost_another_app_nothing() {
    let other = "00000000000000000000000000000002";
    let mut world = World::new();
    world.settings.timeout = Duration::from_secs(60);
    let hanging = Target::start().await;
    hanging.always(Does::Hang);
    let good = Target::start().await;
    let webhooks = world.start().await;
    for _ in 0..tidings_wire::limits::WEBHOOKS_PER_APP_MAX {
        webhooks
            .create(APP, subscription(&hanging.url(), &["*"]))
            .await
            .expect("a webhook");
    }
    webhooks
        .create(other, subscription(&good.url(), &["*"]))
        .await
        .expect("a webhook");
    world.happen(APP, "user.login", &["a"]);
    hanging.takes(8).await;
    let begun = Instant::now();
    let users: Vec<String> = (0..200).map(|user| user.to_string()).collect();
    let users: Vec<&str> = users.iter().map(String::as_str).collect();
    world.happen(other, "user.login", &users);
    good.takes(200).await;
    assert_eq!(good.users(), users);
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(
        hanging.received().len(),
        8,
        "an app has eight calls at once"
    );
    webhooks.close().await;
}

#[tokio::test]
async fn an_apps_rate_makes_events_wait_and_drops_none() {
    let mut world = World::new();
    world.settings.app_rate_max = 10;
    let target = Target::start().await;
    let webhooks = world.start().await;
    webhooks
        .create(APP, subscription(&target.url(), &["*"]))
        .await
        .expect("a webhook");
    let users: Vec<String> = (0..25).map(|user| user.to_string()).collect();
    let users: Vec<&str> = users.iter().map(String::as_str).collect();
    world.happen(APP, "user.login", &users);
    let begun = world.clock.now_ms();
    loop {
        let is_asleep = || {
            world
                .clock
                .next()
                .is_some_and(|at| at > world.clock.now_ms())
        };
        let is_done = || target.received().len() == 25;
        until_true("a pause", || is_asleep() || is_done()).await;
        if is_done() {
            break;
        }
        world.clock.skip().await;
    }
    let took = world.clock.now_ms() - begun;
    assert!((1_300..=1_600).contains(&took), "{took} ms");
    assert_eq!(target.users(), users);
    assert!(webhooks.list(APP)[0].status.throttled_ms >= 1_000);
    webhooks.close().await;
}
