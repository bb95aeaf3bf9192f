//! A client with several servers: where it goes when one is not there or sends it away.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderValue, header::SEC_WEBSOCKET_PROTOCOL};
use tidings_client::{Builder, Client};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_websockets::{CloseCode, Message, ServerBuilder};

/// An address at which nobody listens.
async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    format!("ws://{}", listener.local_addr().expect("its address"))
}

/// A server that tells of each client, says something to it and closes with this code and text.
async fn server(
    name: &'static str,
    code: u16,
    reason: String,
    met: mpsc::Sender<&'static str>,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = format!("ws://{}", listener.local_addr().expect("its address"));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let protocol = HeaderValue::from_static("tidings.v1");
            let accepted = ServerBuilder::new()
                .add_header(SEC_WEBSOCKET_PROTOCOL, protocol)
                .expect("a header")
                .accept(stream)
                .await;
            let Ok((_, mut socket)) = accepted else {
                continue;
            };
            // Its login.
            let _ = socket.next().await;
            if met.send(name).await.is_err() {
                return;
            }
            // A ping of the protocol.
            let _ = socket.send(Message::binary(&b"\x0a\x02\x22\x00"[..])).await;
            let code = CloseCode::try_from(code).expect("a code");
            let _ = socket.send(Message::close(Some(code), &reason)).await;
            while let Some(Ok(_)) = socket.next().await {}
        }
    });
    address
}

async fn meets(
    builder: Builder,
    mut met: mpsc::Receiver<&'static str>,
    count: usize,
) -> Vec<&'static str> {
    let builder = builder.app_id("0123456789abcdef0123456789abcdef");
    let (client, _events) = builder.build().expect("a client");
    let login = client.login("alice", None);
    let meeting = async {
        let mut all = Vec::new();
        while all.len() < count {
            all.extend(met.recv().await);
        }
        all
    };
    tokio::select! {
        all = timeout(Duration::from_secs(10), meeting) => all.expect("it goes on"),
        ended = login => panic!("the login has ended: {ended:?}"),
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_passed_by() {
    let (sender, met) = mpsc::channel(8);
    let there = server("there", 4_002, "slow_consumer".into(), sender).await;
    let builder = Client::builder().endpoints([nobody().await, there, nobody().await]);
    assert_eq!(meets(builder, met, 1).await, ["there"]);
}

#[tokio::test]
async fn whoever_is_sent_away_goes_where_the_server_says() {
    let (sender, met) = mpsc::channel(8);
    let hinted = server("hinted", 4_000, "going_away".into(), sender.clone()).await;
    let first = server("first", 4_000, format!("going_away {hinted}"), sender).await;
    let builder = Client::builder().endpoint(first);
    // The one that it knows is next again.
    assert_eq!(meets(builder, met, 3).await, ["first", "hinted", "first"]);
}

#[tokio::test]
async fn whoever_is_sent_away_goes_to_the_next_and_round() {
    let (sender, met) = mpsc::channel(8);
    let one = server("one", 4_000, "going_away".into(), sender.clone()).await;
    let two = server("two", 4_001, "node_isolated".into(), sender).await;
    let builder = Client::builder().endpoints([one, two]);
    let all = meets(builder, met, 3).await;
    assert!(
        all == ["one", "two", "one"] || all == ["two", "one", "two"],
        "{all:?}"
    );
}
