//! Who and what is there, and what is done about somebody.

use serde_json::json;
use tidings_client::{Attribute, AttributeWrite, ConnectionState};

use super::Place;
use crate::{APP, until};

#[test]
fn who_is_there_is_seen_looked_at_and_thrown_out() {
    let place = Place::new();
    assert_eq!(
        place.succeed(&["who", "--app", APP]),
        "nobody is logged in\n"
    );
    let _alice = place.user("alice", &["lobby", "lounge"]);
    let bob = place.user("bob", &["lobby"]);
    place.runtime.block_on(async {
        let mood = Attribute::new("mood", "a\u{1b}[31mb");
        let written = bob.write_attributes(AttributeWrite::Set, vec![mood]).await;
        written.expect("written");
    });

    // The app that is in use is the one that is meant.
    let who = place.succeed(&["who"]);
    assert!(who.starts_with("user "), "{who}");
    assert!(who.contains("alice ") && who.contains("bob "), "{who}");
    assert!(who.lines().all(|line| line.len() <= 80), "{who}");
    let users: Vec<_> = place.lines(&["who"]);
    assert_eq!(users.len(), 2);
    assert_eq!(users[0]["protocol"], "native", "{users:?}");
    let found = place.lines(&["who", "--channel", "lounge"]);
    assert_eq!(found[0]["user"], "alice");
    assert_eq!(place.lines(&["who", "--user", "bob"]).len(), 1);
    assert_eq!(place.lines(&["who", "--protocol", "legacy"]).len(), 0);
    let some = place.run(&["who", "--limit", "1", "--json"]);
    assert_eq!(crate::text(&some.stdout).lines().count(), 1);
    assert!(crate::text(&some.stderr).contains("more than these 1"));

    let channels = place.lines(&["channels"]);
    assert_eq!(
        channels,
        [
            json!({ "name": "lobby", "members": 2 }),
            json!({ "name": "lounge", "members": 1 })
        ]
    );
    assert_eq!(place.lines(&["channels", "lou"]).len(), 1);
    assert_eq!(
        place.succeed(&["channels", "x"]),
        "no channel has a member\n"
    );
    let lobby = place.succeed(&["channel", "lobby"]);
    assert_eq!(lobby, "lobby has 2 members\n  alice\n  bob\n");
    assert_eq!(
        place.line(&["channel", "lobby"])["users"],
        json!(["alice", "bob"])
    );

    let shown = place.succeed(&["user", "bob"]);
    assert!(
        shown.starts_with("bob is online\nsession   native "),
        "{shown}"
    );
    assert!(shown.contains("mood = a\\u{1b}[31mb"), "{shown:?}");
    assert!(shown.contains("channels  lobby"), "{shown}");
    assert!(shown.contains("waiting   0 messages"), "{shown}");
    let shown = place.line(&["user", "bob"]);
    assert_eq!(shown["attributes"]["mood"], "a\u{1b}[31mb");
    assert!(
        place
            .succeed(&["user", "nobody"])
            .starts_with("nobody is offline\n")
    );
}

#[test]
fn who_has_changed_what_is_listed_the_newest_first() {
    let place = Place::new();
    assert_eq!(
        place.succeed(&["audit", "--action", "/bans"]),
        "the audit log has no entry that fits\n"
    );
    // More than a page of them.
    for number in 0..105 {
        place.succeed(&["ban", &format!("user-{number}"), "--app", APP]);
    }
    place.succeed(&["unban", "user-7", "--app", APP]);
    let newest = place.lines(&["audit", "--limit", "2"]);
    let action = |entry: &serde_json::Value| entry["action"].as_str().expect("a text").to_owned();
    assert!(action(&newest[0]).starts_with("DELETE "), "{newest:?}");
    assert!(action(&newest[1]).starts_with("POST "), "{newest:?}");
    let all = place.lines(&[
        "audit", "--limit", "0", "--action", "/bans", "--by", "local",
    ]);
    assert_eq!(all.len(), 106);
    let times: Vec<_> = all.iter().map(|entry| entry["at_ms"].as_u64()).collect();
    assert!(times.is_sorted_by(|one, other| one >= other), "{times:?}");
    assert_eq!(place.lines(&["audit", "--by", "nobody"]).len(), 0);
    assert_eq!(
        place.lines(&["audit", "--app", APP, "--since", "1h"]).len(),
        100
    );
    let shown = place.succeed(&["audit", "--limit", "1"]);
    assert!(shown.starts_with("time "), "{shown}");
    assert!(
        shown.contains("local") && shown.contains("DELETE /api/v1/"),
        "{shown}"
    );
}

#[test]
fn somebody_is_thrown_out_and_kept_out() {
    let place = Place::new();
    let _alice = place.user("alice", &["lobby"]);
    let bob = place.user("bob", &["lobby"]);
    let out = place.succeed(&["kick", "bob", "--channel", "lobby"]);
    assert_eq!(out, "bob is out of lobby\n");
    assert_eq!(place.lines(&["who", "--channel", "lobby"]).len(), 1);
    let error = place.fail(&["kick", "bob", "--channel", "lobby"]);
    assert!(error.contains("bob is not in the channel"), "{error}");
    let ban = place.succeed(&["ban", "bob", "--for", "1h", "--note", "too \u{202e}loud"]);
    assert!(
        ban.starts_with("ban 1: bob may not log in until 20"),
        "{ban}"
    );
    assert!(ban.ends_with(" (too \\u{202e}loud)\n"), "{ban:?}");
    until("bob is thrown out", || {
        bob.state() == ConnectionState::Aborted
    });
    assert_eq!(place.lines(&["bans"])[0]["user_id"], "bob");
    assert!(
        place
            .succeed(&["user", "bob"])
            .contains("banned    1: bob may not")
    );
    let lifted = place.succeed(&["unban", "bob"]);
    assert!(lifted.starts_with("lifted 1: bob"), "{lifted}");
    assert_eq!(place.succeed(&["bans"]), "nobody is banned\n");
    let error = place.fail(&["unban", "bob"]);
    assert!(error.contains("no ban names bob"), "{error}");
}

#[test]
fn sessions_and_whole_channels_are_acted_on() {
    let place = Place::new();
    let _alice = place.user("alice", &[]);
    let session = place.line(&["who", "--user", "alice"])["id"].clone();
    let session = session.as_str().expect("an id");
    let out = place.succeed(&["kick", "alice", "--session", session]);
    assert_eq!(out, "the session is ended\n");
    let error = place.fail(&["kick", "alice"]);
    assert!(error.contains("alice was not logged in"), "{error}");
    let out = place.line(&["kick", "carol", "--ban", "5m", "--note", "ticket 4711"]);
    assert_eq!(out["ended"], 0);
    let id = out["ban"].to_string();
    let bans = place.succeed(&["bans"]);
    assert!(bans.contains("(ticket 4711)"), "{bans}");
    place.succeed(&["unban", "--id", &id]);
    place.succeed(&[
        "ban",
        "--channel",
        "lobby",
        "--may-not",
        "send",
        "--may-not",
        "join",
    ]);
    let bans = place.succeed(&["bans"]);
    assert!(bans.contains("everybody in lobby may not"), "{bans}");
    assert!(bans.contains("without an end"), "{bans}");
}

#[test]
fn what_has_happened_is_listed() {
    let place = Place::new();
    let alice = place.user("alice", &["lobby"]);
    let _bob = place.user("bob", &[]);
    place.runtime.block_on(alice.logout()).expect("logged out");
    let mut all = Vec::new();
    until("the logout is told", || {
        all = place.lines(&["events", "--app", APP]);
        all.iter().any(|event| event["type"] == "user.logout")
    });
    let kinds: Vec<_> = all.iter().map(|event| event["type"].clone()).collect();
    assert_eq!(kinds[0], "user.login", "{kinds:?}");
    let of_bob = place.lines(&["events", "--app", APP, "--user", "bob"]);
    assert_eq!(of_bob.len(), 1, "{of_bob:?}");
    let joins = place.succeed(&["events", "--app", APP, "--type", "channel.join"]);
    assert!(
        joins.ends_with("  channel.join        alice in lobby\n"),
        "{joins}"
    );
    let cursor = all[0]["cursor"].as_str().expect("a cursor");
    let rest = place.lines(&["events", "--app", APP, "--after", cursor]);
    assert_eq!(rest.len(), all.len() - 1);
    assert_eq!(place.lines(&["events", "--app", APP, "--since", "1h"]), all);
    let some = place.lines(&["events", "--app", APP, "--channel", "lobby", "--limit", "1"]);
    assert_eq!(some.len(), 1);
    assert_eq!(
        place.succeed(&["events", "--app", APP, "--user", "nobody"]),
        "no event is kept that fits\n"
    );
    let error = place.fail(&["events", "--app", APP, "--type", "user.dance"]);
    assert!(
        error.contains("user.dance") && error.contains("user.login"),
        "{error}"
    );
}
