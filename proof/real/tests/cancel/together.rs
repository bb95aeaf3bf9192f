//! Calls that an application makes in the same moment: what they come to is what it ordered.

use std::collections::BTreeSet;

use tidings_client::{ClientEvent, ConnectionState, Outcome};
use tidings_wire::codes::join_channel;

use super::{PATIENCE, Server, log_in, make};

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

/// A login that comes to nothing lets the earlier one of its user go on.
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

/// A leave ends a join that is under way, with code 201.
#[tokio::test(flavor = "multi_thread")]
async fn a_join_that_is_left_before_it_is_done_ends_with_201() {
    let server = Server::start(false);
    let (alice, _events) = log_in(&server, "alice").await;
    let room = alice.channel("room");
    let (join, leave, again) = tokio::join!(biased; room.join(), room.leave(), room.join());
    let error = join.expect_err("it was left");
    assert_eq!(error.code(), join_channel::ERR_ABORTED_BY_LEAVE);
    assert_eq!((leave, again), (Ok(()), Ok(())));
    assert_eq!(room.members().await, Ok(vec!["alice".to_owned()]));
    room.leave().await.expect("it had joined again");
}
