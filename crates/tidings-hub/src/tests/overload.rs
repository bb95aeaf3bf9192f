//! Clients that ask for too much.

use tidings_wire::codes::CloseCode;
use tidings_wire::proto::server_message::Kind;

use super::node::Node;
use crate::config::{App, Apps};

#[test]
fn a_client_that_stays_far_above_its_rate_is_sent_away_and_resumes() {
    let mut node = Node::with_apps(1, limited());
    let (alice, bob) = (node.login(0, "alice"), node.login(0, "bob"));
    let welcome = node.welcome(alice);
    let began_ms = node.now.mono_ms;
    let mut answered = 0;
    while node.closed(alice).is_none() && node.now.mono_ms < began_ms + 20_000 {
        node.now.mono_ms += 10;
        // 500 a second, where 60 are allowed.
        for _ in 0..5 {
            answered = node.send(alice, "nobody", "x", false);
        }
        node.say(alice, node.numbered(alice), vec![]);
        node.say(bob, node.numbered(bob), vec![]);
    }
    let took_ms = node.now.mono_ms - began_ms;
    assert_eq!(node.closed(alice), Some(CloseCode::RateLimited));
    assert!((10_000..15_000).contains(&took_ms), "after {took_ms} ms");
    assert_eq!(node.closed(bob), None);
    let hint = node.seen[&alice]
        .messages
        .iter()
        .find_map(|kind| match kind {
            Kind::Refused(refused) => refused.error.clone(),
            _ => None,
        });
    assert_eq!(hint.map(|error| error.retry_after_ms), Some(5_000));
    assert!(answered > 1_000);
    let again = node.resume(0, "alice", &welcome, node.numbered(alice));
    assert_eq!(node.closed(again), None);
}

/// Clients of one app whose rates are enforced.
fn limited() -> Apps {
    let mut apps = Apps::default();
    let id = tidings_wire::names::AppId::parse(&"a".repeat(32)).expect("an app id");
    apps.listed.insert(id, App::default());
    apps
}
