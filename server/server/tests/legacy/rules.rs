//! What an app allows its legacy logins, replaced while the server runs.

use std::collections::BTreeMap;

use serde_json::json;
use tidings_server::{AddressPrefix, App, AppId, AppRules, Apps, Ban, Barred, FOR_EVER, UserId};
use tidings_wire::rates::Rate;

use crate::client::{Heard, Legacy};
use crate::common::{self, APP};

/// Whether `_no_need_token` is good enough.
fn is_let_in(server: &common::TestServer) -> bool {
    let mut client = Legacy::open(server.address(), &format!("/legacy/{APP}"));
    client.log_in(&json!("alice"), "_no_need_token")["result"] == "ok"
}

#[test]
fn an_apps_rules_count_for_it_alone_and_are_replaced_at_run_time() {
    let id = AppId::parse(APP).expect("an app id");
    let app = App {
        certificates: vec!["c".repeat(32)],
        ..App::default()
    };
    let mut config = common::config();
    // Who looks again and again is refused more often than a machine may be.
    config.limits.failed_logins = Rate {
        calls: 0,
        window_ms: 1,
    };
    config.apps = Apps {
        accept_any: false,
        listed: [(id.clone(), app)].into(),
    };
    let open = AppRules {
        allows_debug_word: true,
        ..AppRules::default()
    };
    // Of another app: nothing to this one.
    let other = AppId::parse(&"f".repeat(32)).expect("an app id");
    config.legacy.apps = [(other, open.clone())].into();
    let server = common::TestServer::start(config);
    assert!(!is_let_in(&server));
    let control = server.running().handle();
    for (rules, is_open) in [
        (BTreeMap::from([(id, open)]), true),
        (BTreeMap::new(), false),
    ] {
        control.replace_legacy_rules(rules);
        common::until("the rules are replaced", || is_let_in(&server) == is_open);
    }
    server.end();
}

#[test]
fn who_is_barred_is_kicked_and_refused_as_such() {
    let by = |user: Option<&str>, prefix: Option<&str>| Ban {
        user: user.map(|name| UserId::parse(name).expect("a user id")),
        channel: None,
        address: prefix.and_then(AddressPrefix::parse),
        barred: Barred::LOGIN,
        until_ms: FOR_EVER,
    };
    let apps = |bans: Vec<Ban>| {
        let app = App {
            bans: bans.into_iter().collect(),
            ..App::default()
        };
        let id = AppId::parse(APP).expect("an app id");
        Apps {
            accept_any: false,
            listed: [(id, app)].into(),
        }
    };
    let mut config = common::config();
    config.apps = apps(Vec::new());
    let server = common::TestServer::start(config);
    for (account, bans) in [
        ("by-name", by(Some("by-name"), None)),
        ("by-address", by(None, Some("127.0.0.0/8"))),
    ] {
        let mut client = Legacy::login(server.address(), account);
        server.running().handle().replace_apps(apps(vec![bans]));
        // Two frames, as each generation of clients wants one of them: code 103.
        assert_eq!(client.frame()[0], "kick", "{account}");
        assert_eq!(client.frame(), json!(["close", "kick"]));
        assert!(matches!(client.next(), Heard::Closed { .. }), "{account}");
        let mut again = Legacy::open(server.address(), &format!("/legacy/{APP}"));
        let refused = again.log_in(&json!(account), "_no_need_token");
        assert_eq!(refused["result"], "failed", "{refused}");
        // Code 207.
        assert_eq!(refused["reason"], "kick", "{refused}");
        server.running().handle().replace_apps(apps(Vec::new()));
        common::until("the rules are gone", || is_let_in(&server));
    }
    server.end();
}
