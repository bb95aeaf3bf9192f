//! What `tidings status` tells of a server that people use.

use serde_json::Value;
use tidings_client::{Client, SendOptions};

use crate::{APP, serve, succeed};

fn status(data: &str) -> Value {
    let text = succeed(&["status", "--json", "--data-dir", data]);
    serde_json::from_str(&text).expect("JSON")
}

async fn log_in(endpoint: &str, user: &str) -> Client {
    let builder = Client::builder().endpoint(endpoint);
    let (client, mut events) = builder.app_id(APP).build().expect("a client");
    tokio::spawn(async move { while events.next().await.is_some() {} });
    client.login(user, None).await.expect("a login");
    client
}

#[test]
fn a_status_counts_users_and_messages_by_app() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let data = data.to_str().expect("a plain path").to_owned();
    let (_server, address) = serve(&["--dev", "--data-dir", &data]);
    let before = status(&data);
    assert_eq!(before["numbers"]["hubs"][0]["sessions"], 0, "{before}");
    assert_eq!(before["numbers"]["apps"], serde_json::json!([]));

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = runtime.expect("a runtime");
    let clients = runtime.block_on(async {
        let endpoint = format!("ws://{address}");
        let alice = log_in(&endpoint, "alice").await;
        let bob = log_in(&endpoint, "bob").await;
        for _ in 0..3 {
            let sent = alice.send_to_peer("bob", "hi", SendOptions::new()).await;
            sent.expect("it is sent");
        }
        let room = bob.channel("room");
        room.join().await.expect("a member");
        room.send("hi").await.expect("it is sent");
        (alice, bob)
    });
    let after = status(&data);
    let numbers = &after["numbers"];
    let hub = &numbers["hubs"][0];
    assert_eq!(hub["sessions"], 2, "{after}");
    assert_eq!(hub["connections"], 2);
    assert_eq!(hub["channels"], 1);
    assert!(hub["frames_received"].as_u64() >= Some(7), "{after}");
    let app = serde_json::json!({
        "app": APP,
        "logins": 2,
        "resumes": 0,
        "peer_messages": 3,
        "channel_messages": 1,
    });
    assert_eq!(numbers["apps"], serde_json::json!([app]), "{after}");
    assert_eq!(numbers["silent_hubs"], 0);
    assert!(numbers["store"]["operations"].as_u64() > Some(0), "{after}");

    let text = succeed(&["status", "--data-dir", &data]);
    assert!(text.contains("2 sessions on 2 connections"), "{text}");
    let messages = format!("{APP}: 3 messages to users, 1 to channels, 2 logins");
    assert!(text.contains(&messages), "{text}");
    drop(clients);
}
