//! Several logins of one service at once, over real connections: decision 0038.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tidings_client::{Client, ClientEvent, Events, Message};
use tokio::time::timeout;

use crate::office::Made;
use crate::v1::good;
use crate::world::{World, each};

/// The longest that a test waits for something.
const LIMIT: Duration = Duration::from_secs(20);

/// An app with such a service.
fn app(world: &World, setting: &str) -> Made {
    let app = Made::by(world);
    let patch = json!({ "settings": { setting: ["worker"] } });
    let answer = world.call("PATCH", &app.path(""), Some(&patch));
    assert_eq!(answer.status, 200, "{}", answer.json());
    app
}

async fn workers(world: &World, app: &Made, count: usize) -> Vec<(Client, Events)> {
    let mut all = Vec::new();
    for _ in 0..count {
        let (client, events) = app.client(world);
        let token = app.token("worker");
        let login = client.login("worker", Some(&token)).await;
        login.expect("logged in beside the others");
        all.push((client, events));
    }
    all
}

/// The next message's text; `None` = there is none in time.
async fn next(events: &mut Events, within: Duration) -> Option<String> {
    let found = timeout(within, async {
        loop {
            match events.next().await {
                Some(ClientEvent::PeerMessage {
                    message: Message::Text(text),
                    ..
                }) => return Some(text),
                Some(_) => {}
                None => return None,
            }
        }
    });
    found.await.ok().flatten()
}

/// Sends a text to the service, from another thread: the workers confirm it meanwhile. Returns what
/// has become of it.
async fn send(world: &'static World, app: &Made, text: &str) -> Value {
    let message = json!({
        "users": ["worker"], "from": "desk", "payload": text, "wait": true, "offline": true,
    });
    let path = app.path("/publish");
    let sent = tokio::task::spawn_blocking(move || good(&world.post(&path, &message)));
    sent.await.expect("sent")["results"][0]["outcome"].clone()
}

#[test]
fn each_message_to_a_service_goes_to_one_of_its_processes_and_to_another_when_that_ends() {
    each(async |world: &'static World| {
        let app = app(world, "services_sharing");
        let mut workers = workers(world, &app, 3).await;
        let sessions = good(&world.get(&app.path("/sessions?user=worker")));
        assert_eq!(sessions["items"].as_array().map(Vec::len), Some(3));
        let expected: Vec<String> = (0..30).map(|n| format!("{n:02}")).collect();
        for text in &expected {
            assert_eq!(send(world, &app, text).await, "delivered");
        }
        let mut had = BTreeMap::new();
        for (at, (_, events)) in workers.iter_mut().enumerate() {
            // All of them were delivered: they are there.
            while let Some(text) = next(events, Duration::from_millis(50)).await {
                assert_eq!(had.insert(text, at), None, "a message came twice");
            }
        }
        assert_eq!(had.keys().cloned().collect::<Vec<_>>(), expected);
        for at in 0..3 {
            let own = had.values().filter(|worker| **worker == at).count();
            assert!((5..=15).contains(&own), "{own} of 30");
        }
        // One logs out: the others go on.
        let (gone, _) = workers.remove(0);
        gone.logout().await.expect("logged out");
        for n in 0..6 {
            assert_eq!(send(world, &app, &format!("later {n}")).await, "delivered");
        }
        let user = good(&world.get(&app.path("/users/worker")));
        assert_eq!(user["online"], true, "{user}");
        for (_, events) in &mut workers {
            for _ in 0..3 {
                assert!(next(events, LIMIT).await.is_some());
            }
        }
        for (client, _) in workers {
            client.logout().await.expect("logged out");
        }
        assert_eq!(send(world, &app, "kept").await, "stored");
        let (client, mut events) = app.client(world);
        let token = app.token("worker");
        client.login("worker", Some(&token)).await.expect("back");
        assert_eq!(next(&mut events, LIMIT).await.as_deref(), Some("kept"));
    });
}

#[test]
fn each_message_goes_to_all_processes_of_a_service_that_wants_that() {
    each(async |world: &'static World| {
        let app = app(world, "services_all");
        let mut workers = workers(world, &app, 4).await;
        for n in 0..5 {
            assert_eq!(send(world, &app, &n.to_string()).await, "delivered");
        }
        for (_, events) in &mut workers {
            for n in 0..5 {
                assert_eq!(next(events, LIMIT).await, Some(n.to_string()));
            }
        }
    });
}
