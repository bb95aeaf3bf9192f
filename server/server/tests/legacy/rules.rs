//! What an app allows its legacy logins, replaced while the server runs.

use std::collections::BTreeMap;

use serde_json::json;
use tidings_server::{App, AppId, AppRules, Apps};
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
    let server = common::TestServer::start(common::config());
    for (account, user, address) in [
        ("by-name", Some("by-name"), None),
        ("by-address", None, Some("127.0.0.0/8")),
    ] {
        let mut client = Legacy::login(server.address(), account);
        let rule = server.bar(user, address);
        // Two frames, as each generation of clients wants one of them: code 103.
        assert_eq!(client.frame()[0], "kick", "{account}");
        assert_eq!(client.frame(), json!(["close", "kick"]));
        assert!(matches!(client.next(), Heard::Closed { .. }), "{account}");
        let mut again = Legacy::open(server.address(), &format!("/legacy/{APP}"));
        let refused = again.log_in(&json!(account), "_no_need_token");
        assert_eq!(refused["result"], "failed", "{refused}");
        // Code 207.
        assert_eq!(refused["reason"], "kick", "{refused}");
        server.lift(rule);
        common::until("the rules are gone", || is_let_in(&server));
    }
    server.end();
}
