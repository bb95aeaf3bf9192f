//! Calls that fail, and are repeated where that is safe; events over outages.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidings_client::server::{Error, Event, NewBan, Receipt, SendOptions, Tidings};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::fake::{APP, Fake, Told, json as answer, text};

fn sent() -> Told {
    answer(
        200,
        &json!({ "request_id": "1", "results": [{ "channel": "lobby", "outcome": "sent" }] }),
    )
}

fn busy(status: u16) -> Told {
    answer(
        status,
        &json!({ "title": "x", "code": "unavailable", "hint": "Try again." }),
    )
}

async fn hello(tidings: &Tidings) -> Result<Receipt, Error> {
    tidings
        .send_to_channel("lobby", "hello", "system", SendOptions::new())
        .await
}

#[tokio::test]
async fn a_lost_message_is_sent_again_under_the_same_key() {
    let told = [
        Told::Broken,
        busy(503),
        busy(429),
        text(502, "bad gateway", &[]),
        sent(),
    ];
    let fake = Fake::start(told).await;
    hello(&fake.client()).await.expect("sent");
    let keys = fake.keys();
    assert_eq!(keys, vec![keys[0].clone(); 5]);
    assert!(keys[0].starts_with("auto-") && keys[0].len() <= 64);
    hello(&fake.client()).await.expect("sent");
    assert_ne!(fake.keys()[5], keys[0], "another call has another key");
}

#[tokio::test]
async fn a_key_of_the_caller_is_used() {
    let fake = Fake::start([Told::Broken, sent()]).await;
    let options = SendOptions::new().idempotency_key("order-17");
    let tidings = fake.client();
    tidings
        .send_to_channel("lobby", "hello", "system", options)
        .await
        .expect("sent");
    assert_eq!(fake.keys(), ["order-17", "order-17"]);
}

#[tokio::test]
async fn retry_after_is_waited_for() {
    let told = text(503, "{}", &[("retry-after", "1")]);
    let fake = Fake::start([told, sent()]).await;
    let began = Instant::now();
    hello(&fake.client()).await.expect("sent");
    assert!(began.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn what_is_refused_for_good_or_too_often_is_not_repeated() {
    let fake = Fake::start([busy(403)]).await;
    assert_eq!(
        hello(&fake.client()).await.expect_err("refused").status(),
        Some(403)
    );
    assert_eq!(fake.asked().len(), 1);
    for retries in [0, 2] {
        let fake = Fake::start([busy(503)]).await;
        let tidings = fake.settings().retries(retries).build().expect("settings");
        hello(&tidings).await.expect_err("refused");
        assert_eq!(fake.asked().len(), retries as usize + 1);
    }
}

#[tokio::test]
async fn a_ban_whose_answer_is_lost_is_not_repeated() {
    let ban = NewBan {
        user_id: Some("mallory".into()),
        ..NewBan::default()
    };
    let fake = Fake::start([Told::Broken]).await;
    let error = fake.client().ban(&ban).await.expect_err("lost");
    assert_eq!(error.code(), "unreachable");
    assert_eq!(fake.asked().len(), 1);
    let fake = Fake::start([busy(503), answer(201, &json!({ "id": 9 }))]).await;
    assert_eq!(fake.client().ban(&ban).await.expect("banned").id, Some(9));
}

#[tokio::test]
async fn no_answer_in_time_and_nobody_there() {
    let fake = Fake::start([Told::Silent]).await;
    let settings = fake
        .settings()
        .retries(1)
        .timeout(Duration::from_millis(50));
    let error = settings
        .build()
        .expect("settings")
        .bans(None)
        .await
        .expect_err("silent");
    assert_eq!(error.code(), "timed_out");
    assert_eq!(fake.asked().len(), 2);

    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let settings = Tidings::builder()
        .endpoint(&endpoint)
        .key("tdk_1_2")
        .app(APP)
        .retries(0);
    let error = settings
        .build()
        .expect("settings")
        .bans(None)
        .await
        .expect_err("nobody");
    assert_eq!(error.code(), "unreachable");
    assert!(
        error.to_string().contains(&endpoint) && !error.hint().is_empty(),
        "{error}"
    );
}

#[tokio::test]
async fn an_answer_that_is_not_json_and_a_redirect() {
    let fake = Fake::start([text(200, "<p>welcome</p>", &[])]).await;
    assert_eq!(
        fake.client().bans(None).await.expect_err("no JSON").code(),
        "bad_answer"
    );
    let elsewhere = Fake::start([sent()]).await;
    let fake = Fake::start([text(302, "", &[("location", &elsewhere.endpoint)])]).await;
    assert_eq!(
        fake.client()
            .bans(None)
            .await
            .expect_err("elsewhere")
            .code(),
        "http_302"
    );
    assert!(elsewhere.asked().is_empty(), "the key was taken elsewhere");
}

#[tokio::test]
async fn calls_one_after_the_other_use_one_connection() {
    let fake = Fake::start([sent()]).await;
    let tidings = fake.client();
    for _ in 0..5 {
        hello(&tidings).await.expect("sent");
    }
    assert_eq!(fake.connections(), 1);
}

#[tokio::test]
async fn settings_are_checked() {
    let good = || {
        Tidings::builder()
            .endpoint("http://127.0.0.1:1")
            .key("tdk_1_2")
    };
    for (settings, code) in [
        (good().endpoint("chat.example.org"), "bad_endpoint"),
        (good().endpoint("http://host/api"), "bad_endpoint"),
        (good().key(""), "bad_key"),
        (good().key("tdk_1_2\n"), "bad_key"),
    ] {
        assert_eq!(settings.build().expect_err("wrong").code(), code);
    }
    let tidings = good().build().expect("settings");
    assert_eq!(
        tidings.bans(None).await.expect_err("no app").code(),
        "no_app"
    );
    let tidings = tidings.for_app(APP);
    assert_eq!(
        tidings.user("..").await.expect_err("no name").code(),
        "invalid_name"
    );
}

fn event(number: u64, kind: &str) -> Value {
    json!({ "cursor": number.to_string(), "type": kind, "at_ms": number, "login_ms": 1 })
}

fn page(next: &str, items: &[Value]) -> Told {
    answer(200, &json!({ "items": items, "next": next }))
}

#[tokio::test]
async fn events_come_in_order_over_an_outage() {
    let login = |number| event(number, "user.login");
    let told = [
        page("2", &[login(1), login(2)]),
        page("2", &[]),
        Told::Broken,
        busy(503),
        page("3", &[login(3)]),
    ];
    let fake = Fake::start(told).await;
    let tidings = fake.settings().retries(0).build().expect("settings");
    let mut following = tidings.events().types(["user.login"]).limit(2).follow();
    for number in 1..=3 {
        let next = timeout(Duration::from_secs(30), following.next())
            .await
            .expect("in time");
        let event = next.expect("an event");
        assert_eq!((event.at_ms, &event.more["login_ms"]), (number, &json!(1)));
        assert_eq!(following.cursor(), Some(number.to_string().as_str()));
    }
    let after = |asked: crate::fake::Asked| asked.query().remove("after");
    let asked: Vec<_> = fake.asked().into_iter().map(after).collect();
    let two = Some("2".to_owned());
    assert_eq!(asked, [None, two.clone(), two.clone(), two.clone(), two]);
    let fake = Fake::start([busy(400)]).await;
    let refused = fake.client().events().after("x").follow().next().await;
    assert_eq!(refused.expect_err("for good").status(), Some(400));
}

#[derive(Debug, PartialEq)]
enum Stop {
    Api(String),
    Away,
    Enough,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Api(error.to_string())
    }
}

#[tokio::test]
async fn every_event_is_handled_at_least_once_and_a_gap_is_told() {
    let first = page("2", &[event(1, "gap"), event(2, "user.login")]);
    let second = page("4", &[event(3, "user.login"), event(4, "user.login")]);
    let fake = Fake::start([first, second]).await;
    let tidings = fake.client();
    let (mut seen, mut saved) = (Vec::new(), None);
    let handle = async |event: Event| {
        seen.push(event.kind.clone());
        if event.cursor == "3" {
            Err(Stop::Away)
        } else {
            Ok(())
        }
    };
    let save = async |cursor: &str| {
        saved = Some(cursor.to_owned());
        Ok(())
    };
    let ended = tidings.events().read(handle, save).await;
    assert_eq!(ended, Err(Stop::Away));
    assert_eq!(seen, ["gap", "user.login", "user.login"]);
    // The program starts again.
    let from = saved.expect("the first page was saved");
    assert_eq!(from, "2");
    let mut seen = Vec::new();
    let handle = async |event: Event| {
        seen.push(event.cursor.clone());
        if event.cursor == "4" {
            Err(Stop::Enough)
        } else {
            Ok(())
        }
    };
    let ended = tidings
        .events()
        .after(from)
        .read(handle, async |_: &str| Ok(()))
        .await;
    assert_eq!(ended, Err(Stop::Enough));
    assert_eq!(seen, ["3", "4"]);
}
