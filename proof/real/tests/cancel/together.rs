//! Calls that an application makes in the same moment: what they come to is what it ordered.

use std::collections::BTreeSet;

use tidings_client::{ClientEvent, ConnectionState, Message, Outcome, PresenceState, SendOptions};

use super::{PATIENCE, Server, log_in, make, reaches, wait_for};

/// Enough for the network to have ordered some of them the other way.
const ROUNDS: usize = 25;

/// Of two clients of one user that log in at once, the one that was called last stays.
#[tokio::test(flavor = "multi_thread")]
async fn the_later_of_two_logins_of_the_same_moment_wins() {
    let server = Server::start(false);
    let mut ends = BTreeSet::new();
    for round in 0..ROUNDS {
        let user = format!("user-{round}");
        let (earlier, mut events) = make(&server);
        let (later, mut later_events) = make(&server);
        // Polled in this order: it is the order in which an application calls them.
        let (first, second) = tokio::join!(
            biased;
            earlier.login(&user, None),
            later.login(&user, None)
        );
        assert_eq!(second, Ok(()), "round {round}");
        // The earlier one has failed, or is thrown out by the server.
        let lost = async {
            while earlier.state() != ConnectionState::Aborted {
                events.next().await.expect("the client lives");
            }
        };
        if let Err(error) = first {
            assert_eq!(
                error.outcome(),
                Some(Outcome::RemoteLogin),
                "round {round}: {error}"
            );
            assert_eq!(earlier.state(), ConnectionState::Disconnected);
            ends.insert("held back");
        } else {
            let lost = tokio::time::timeout(PATIENCE, lost).await;
            assert!(lost.is_ok(), "round {round}: both are logged in");
            ends.insert("thrown out");
        }
        // Answered by the server: the later one is there to stay.
        let asked = later.query_presence([user.as_str()]).await;
        assert!(asked.is_ok(), "round {round}: {asked:?}");
        assert_eq!(later.state(), ConnectionState::Connected, "round {round}");
        let mut changes = vec![];
        while let Some(event) = later_events.try_next() {
            if let ClientEvent::StateChanged { state, .. } = event {
                changes.push(state);
            }
        }
        let expected = [ConnectionState::Connecting, ConnectionState::Connected];
        assert_eq!(changes, expected, "round {round}");
        later.logout().await.expect("a logout");
    }
    println!("of {ROUNDS} earlier logins, some were {ends:?}");
}

/// A login that fails lets the earlier one of its user continue.
#[tokio::test(flavor = "multi_thread")]
async fn a_later_login_that_is_given_up_lets_the_earlier_one_succeed() {
    let server = Server::start(false);
    let (earlier, _events) = make(&server);
    let (later, _later_events) = make(&server);
    let (first, second, gone) = tokio::join!(
        biased;
        earlier.login("alice", None),
        later.login("alice", None),
        later.logout()
    );
    assert_eq!(gone, Ok(()));
    assert!(second.is_err(), "it was given up");
    assert_eq!(first, Ok(()));
    assert_eq!(earlier.state(), ConnectionState::Connected);
}

#[tokio::test]
async fn of_two_logins_that_begin_in_the_same_moment_the_later_one_wins() {
    let server = Server::start(false);
    for round in 0..20 {
        let user = format!("twice-{round}");
        let ((first, _), (second, _)) = (make(&server), make(&server));
        let earlier = first.login(&user, None);
        // Polled in their order: which connection the server sees first is chance.
        let (earlier, later) = tokio::join!(earlier, second.login(&user, None));
        later.expect("the later login");
        let error = earlier.expect_err("the earlier login");
        assert_eq!(error.code(), 1, "{error}");
        assert!(error.to_string().contains("a later login"), "{error}");
        assert_eq!(first.state(), ConnectionState::Disconnected);
        let online = second.query_presence([&user]).await.expect("an answer");
        assert_eq!(online, [(user, PresenceState::Online)]);
        assert_eq!(second.state(), ConnectionState::Connected);
    }
}

#[tokio::test]
async fn a_login_is_held_back_only_until_the_later_one_has_come_to_nothing() {
    let server = Server::start(false);
    let ((first, _), (second, _)) = (make(&server), make(&server));
    let too_long = "x".repeat(5_000);
    let logins = async {
        tokio::join!(
            first.login("held", None),
            second.login("held", Some(&too_long))
        )
    };
    let (earlier, later) = logins.await;
    earlier.expect("the earlier login goes on");
    later.expect_err("a token of 5,000 bytes");
    assert_eq!(first.state(), ConnectionState::Connected);
}

#[tokio::test]
async fn one_that_has_lost_its_link_does_not_throw_the_later_one_out() {
    let server = Server::start(false);
    let (first, mut events) = log_in(&server, "moved").await;
    first.cut().await;
    wait_for(&mut events, reaches(ConnectionState::Reconnecting)).await;
    let (second, _later) = log_in(&server, "moved").await;
    first.come_back().await;
    wait_for(&mut events, reaches(ConnectionState::Aborted)).await;
    assert_eq!(second.state(), ConnectionState::Connected);
    second
        .send_to_peer("moved", "here", SendOptions::new())
        .await
        .expect("the later login is undisturbed");
}

#[tokio::test]
async fn a_leave_overtakes_a_join_and_another_join_may_follow_at_once() {
    let server = Server::start(false);
    let (alice, _events) = log_in(&server, "alice").await;
    let (bob, mut heard) = log_in(&server, "bob").await;
    let hers = alice.channel("door");
    hers.join().await.expect("a join");
    let his = bob.channel("door");
    let (join, leave) = tokio::join!(his.join(), his.leave());
    assert_eq!(join.expect_err("overtaken").code(), 201);
    leave.expect("a leave");
    assert_eq!(hers.members().await.expect("members"), ["alice"]);

    // Another channel: joins of the same one are limited.
    let (hers, his) = (alice.channel("hall"), bob.channel("hall"));
    hers.join().await.expect("a join");
    let (first, leave, second) = tokio::join!(his.join(), his.leave(), async {
        // Behind the two.
        tokio::task::yield_now().await;
        his.join().await
    });
    assert_eq!(first.expect_err("overtaken").code(), 201);
    leave.expect("a leave");
    second.expect("the later join");
    hers.send("hello").await.expect("a message");
    let text = wait_for(&mut heard, |event| match event {
        ClientEvent::ChannelMessage {
            message: Message::Text(text),
            ..
        } => Some(text),
        _ => None,
    });
    assert_eq!(text.await, "hello");
    // Without a join there is nothing to overtake.
    his.leave().await.expect("joined");
    assert_eq!(his.leave().await.expect_err("left").code(), 3);
}
