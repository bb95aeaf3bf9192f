//! Futures of the SDK that are dropped half-way, against the real program: what was handed over
//! goes on, what was not does nothing, and nobody is the worse for it.

#![allow(unreachable_pub, reason = "modules of a test")]

#[path = "../scenarios/server.rs"]
#[allow(dead_code, reason = "the scenarios use more of it")]
mod server;
mod together;

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use server::{APP, Server};
use tidings_client::{
    Attribute, AttributeWrite, Client, ClientEvent, ConnectionState, Events, HistoryRange,
    LoginError, Message, Notify, PresenceState, SendOptions,
};
use tidings_proof::tries::Tries;
use tokio::time::timeout;

/// Long enough for a slow machine; a condition that holds ends the wait at once.
const PATIENCE: Duration = Duration::from_secs(20);

fn make(server: &Server) -> (Client, Events) {
    Client::builder()
        .endpoint(server.endpoint())
        .app_id(APP)
        .build()
        .expect("the settings are good")
}

async fn log_in(server: &Server, user_id: &str) -> (Client, Events) {
    let (client, events) = make(server);
    client.login(user_id, None).await.expect("a login");
    (client, events)
}

/// Polls a future this many times, then drops it. The driver may run between two polls.
async fn abandon(future: impl Future, polls: usize) {
    let mut future = pin!(future);
    for _ in 0..polls {
        let is_done =
            poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_ready())).await;
        if is_done {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// A login once more, as soon as the client may.
async fn log_in_again(client: &Client) -> Result<(), LoginError> {
    let mut tries = Tries::new("a login", Duration::from_millis(50), PATIENCE);
    loop {
        let result = client.login("alice", None).await;
        // One that comes too soon is told when to try again.
        if result
            .as_ref()
            .err()
            .and_then(LoginError::retry_after)
            .is_none()
        {
            return result;
        }
        tries.again().await;
    }
}

/// Takes events until one is what is waited for.
async fn wait_for<T>(events: &mut Events, mut wanted: impl FnMut(ClientEvent) -> Option<T>) -> T {
    let search = async {
        loop {
            let event = events.next().await.expect("the client lives");
            if let Some(found) = wanted(event) {
                return found;
            }
        }
    };
    timeout(PATIENCE, search).await.expect("it happens in time")
}

fn peer_text(event: ClientEvent) -> Option<String> {
    match event {
        ClientEvent::PeerMessage {
            message: Message::Text(text),
            ..
        } => Some(text),
        _ => None,
    }
}

fn reaches(state: ConnectionState) -> impl FnMut(ClientEvent) -> Option<()> {
    move |event| match event {
        ClientEvent::StateChanged { state: now, .. } if now == state => Some(()),
        _ => None,
    }
}

#[tokio::test]
async fn a_login_that_nobody_waits_for_goes_on() {
    let server = Server::start(false);
    let (client, mut events) = make(&server);
    abandon(client.login("alice", None), 1).await;
    wait_for(&mut events, reaches(ConnectionState::Connected)).await;
    assert_eq!(client.state(), ConnectionState::Connected);
    let again = log_in_again(&client).await.expect_err("logged in");
    assert_eq!(again.code(), 8);
}

#[tokio::test]
async fn a_logout_that_nobody_waits_for_goes_on() {
    let server = Server::start(false);
    let (client, mut events) = log_in(&server, "alice").await;
    abandon(client.logout(), 1).await;
    wait_for(&mut events, reaches(ConnectionState::Disconnected)).await;
    log_in_again(&client).await.expect("a login");
}

#[tokio::test]
async fn a_call_that_was_never_polled_does_nothing() {
    let server = Server::start(false);
    let (alice, _events) = log_in(&server, "alice").await;
    let (_bob, mut events) = log_in(&server, "bob").await;
    drop(alice.send_to_peer("bob", "never", SendOptions::new()));
    let sent = alice.send_to_peer("bob", "sent", SendOptions::new());
    sent.await.expect("bob is there");
    assert_eq!(wait_for(&mut events, peer_text).await, "sent");
}

#[tokio::test]
async fn messages_of_dropped_calls_arrive_once_and_in_order() {
    let server = Server::start(false);
    let (alice, _events) = log_in(&server, "alice").await;
    let (_bob, mut events) = log_in(&server, "bob").await;
    for number in 0..40 {
        let text = format!("message {number}");
        abandon(
            alice.send_to_peer("bob", text, SendOptions::new()),
            1 + number % 3,
        )
        .await;
    }
    for number in 0..40 {
        assert_eq!(
            wait_for(&mut events, peer_text).await,
            format!("message {number}")
        );
    }
    assert_eq!(events.try_next().and_then(peer_text), None);
}

#[tokio::test]
async fn a_join_that_nobody_waits_for_is_a_membership() {
    let server = Server::start(false);
    let (alice, _events) = log_in(&server, "alice").await;
    let lobby = alice.channel("lobby");
    abandon(lobby.join(), 1).await;
    let joined = async {
        while lobby
            .members()
            .await
            .is_ok_and(|members| members != ["alice"])
        {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, joined).await.expect("the join goes on");
    assert_eq!(lobby.join().await.expect_err("joined").code(), 6);
    lobby.leave().await.expect("a member leaves");
}

#[tokio::test]
async fn no_event_is_lost_to_waits_that_are_dropped() {
    const MESSAGES: usize = 60;
    let server = Server::start(false);
    let (alice, _events) = log_in(&server, "alice").await;
    let (_bob, mut events) = log_in(&server, "bob").await;
    let sending = tokio::spawn(async move {
        for number in 0..MESSAGES {
            let sent = alice.send_to_peer("bob", number.to_string(), SendOptions::new());
            sent.await.expect("bob is there");
        }
        alice
    });
    let mut texts = Vec::new();
    let gather = async {
        while texts.len() < MESSAGES {
            // Most of these waits are dropped before anything comes.
            if let Ok(event) = timeout(Duration::from_micros(300), events.next()).await {
                texts.extend(peer_text(event.expect("the client lives")));
            }
        }
    };
    timeout(PATIENCE, gather).await.expect("all arrive");
    let expected: Vec<_> = (0..MESSAGES).map(|number| number.to_string()).collect();
    assert_eq!(texts, expected);
    sending.await.expect("the sender ends");
}

/// Every call, dropped after this many polls.
async fn abandon_every_call(client: &Client, polls: usize) {
    let channel = client.channel("lobby");
    let attribute = || [Attribute::new("mood", "busy")];
    abandon(client.renew_token("nonsense"), polls).await;
    abandon(client.wake(), polls).await;
    abandon(
        client.send_to_peer("bob", "x", SendOptions::new().offline()),
        polls,
    )
    .await;
    abandon(client.peer_history("bob", HistoryRange::default()), polls).await;
    abandon(client.member_counts(["lobby"]), polls).await;
    abandon(client.query_presence(["bob"]), polls).await;
    abandon(client.subscribe_presence(["bob"]), polls).await;
    abandon(client.unsubscribe_presence(["bob"]), polls).await;
    abandon(client.presence_subscriptions(), polls).await;
    abandon(
        client.write_attributes(AttributeWrite::Set, attribute()),
        polls,
    )
    .await;
    abandon(client.read_attributes("bob", ["mood"]), polls).await;
    abandon(client.invite("bob", "", None), polls).await;
    abandon(client.cancel_invitation(1), polls).await;
    abandon(channel.join(), polls).await;
    abandon(channel.send("x"), polls).await;
    abandon(channel.members(), polls).await;
    abandon(channel.history(HistoryRange::default()), polls).await;
    let written = channel.write_attributes(AttributeWrite::Merge, attribute(), Notify::Members);
    abandon(written, polls).await;
    abandon(channel.read_attributes(["mood"]), polls).await;
    abandon(channel.leave(), polls).await;
}

#[tokio::test]
async fn every_call_may_be_dropped_at_any_time() {
    let server = Server::start(false);
    let (alice, _events) = log_in(&server, "alice").await;
    for polls in 0..4 {
        abandon_every_call(&alice, polls).await;
    }
    // The client is as good as before, and nothing is left of the channel.
    let garden = alice.channel("garden");
    garden.join().await.expect("a join");
    assert_eq!(garden.members().await.expect("a member"), ["alice"]);
    let presence = alice.query_presence(["alice"]).await.expect("an answer");
    assert_eq!(presence, [("alice".to_owned(), PresenceState::Online)]);
    alice.logout_sync().expect("a login");
    // The same logout.
    alice.logout().await.expect("a logout under way");
    let again = alice.logout_sync().expect_err("logged out");
    assert_eq!(again.code(), 102);
}
