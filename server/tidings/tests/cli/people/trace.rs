//! Messages that are followed, and the way of one.

use serde_json::Value;
use tidings_client::SendOptions;

use super::Place;
use crate::APP;

/// The way of the newest message that was followed, as the command prints it.
fn newest(place: &Place) -> (String, String) {
    let found = place.lines(&["trace", "messages", "--app", APP, "--limit", "1"]);
    let id = found[0]["message_id"].as_str().expect("an id").to_owned();
    let way = place.succeed(&["trace", &id, "--wait", "20s", "--app", APP]);
    (id, way)
}

#[test]
fn a_message_is_followed_from_its_sender_to_everybody_who_has_it() {
    let place = Place::new();
    let alice = place.user("alice", &["lobby"]);
    let _bob = place.user("bob", &["lobby"]);
    let nothing = place.succeed(&["trace", "list", "--app", APP]);
    assert!(nothing.starts_with("nothing is followed"), "{nothing}");
    let begun = place.succeed(&[
        "trace",
        "on",
        "--channel",
        "lobby",
        "--for",
        "5m",
        "--app",
        APP,
    ]);
    let is_told = ": messages to the channel lobby are followed until ";
    assert!(begun.contains(is_told), "{begun}");
    place.runtime.block_on(async {
        alice.channel("lobby").send("hello").await.expect("sent");
    });
    let (id, way) = newest(&place);
    let mut lines = way.lines();
    let head = format!("message {id} from alice to #lobby");
    assert_eq!(lines.next(), Some(head.as_str()), "{way}");
    for step in [
        "accepted",
        "ordered",
        "given",
        "queued",
        "written",
        "confirmed",
    ] {
        assert!(
            way.lines().any(|line| line.starts_with(step)),
            "{step}: {way}"
        );
    }
    assert!(way.contains("bob") && !way.contains("hello"), "{way}");
    assert_eq!(way.lines().last(), Some("complete"), "{way}");
    let json = place.line(&["trace", &id, "--app", APP]);
    assert_eq!(
        (&json["message_id"], &json["complete"]),
        (&Value::from(id), &true.into())
    );
    let table = place.succeed(&["trace", "messages", "--user", "alice", "--app", APP]);
    assert!(table.contains("#lobby"), "{table}");
}

#[test]
fn traces_are_listed_and_ended_one_by_one_or_all() {
    let place = Place::new();
    let alice = place.user("alice", &[]);
    let on = ["trace", "on", "--user", "alice", "--app", APP];
    let begun = place.line(&on);
    let id = begun["id"].as_str().expect("an id");
    place.succeed(&["trace", "on", "--for", "90s", "--app", APP]);
    let listed = place.lines(&["trace", "list", "--app", APP]);
    assert_eq!(listed.len(), 2, "{listed:?}");
    assert!(listed.contains(&begun), "{listed:?}");
    let shown = place.succeed(&["trace", "list", "--app", APP]);
    assert!(
        shown.contains(": messages from and to alice, until "),
        "{shown}"
    );
    let ended = place.succeed(&["trace", "off", id, "--app", APP]);
    assert_eq!(ended, format!("{id} has ended\n"));
    let again = place.fail(&["trace", "off", id, "--app", APP]);
    assert!(again.contains("there is no such trace"), "{again}");
    let ended = place.succeed(&["trace", "off", "--all", "--app", APP]);
    assert_eq!(ended, "1 trace has ended\n");
    // Nothing is followed any more.
    place.runtime.block_on(async {
        let sent = alice.send_to_peer("nobody", "hello", SendOptions::new());
        sent.await.expect("sent");
    });
    let found = place.succeed(&["trace", "messages", "--app", APP]);
    assert!(found.starts_with("no message was followed"), "{found}");
}

#[test]
fn what_cannot_be_followed_is_told_with_what_to_do() {
    let place = Place::new();
    for (arguments, told) in [
        (
            &["trace"][..],
            "there is no message whose way could be told",
        ),
        (&["trace", "xyz", "--app", APP], "is no message id"),
        (
            &["trace", "00000000000000000000000000000000", "--app", APP],
            "nothing was noted of this message",
        ),
        (
            &["trace", "on", "--for", "2h", "--app", APP],
            "120 is no number from 1 to 60",
        ),
        (&["trace", "on", "--user", "", "--app", APP], "user id \"\""),
    ] {
        let failure = place.fail(arguments);
        assert!(failure.contains(told), "{arguments:?}: {failure}");
    }
    let both = place.run(&["trace", "off", "0123", "--all", "--app", APP]);
    assert_eq!(both.status.code(), Some(2));
}
