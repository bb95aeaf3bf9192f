//! What an app allows its legacy logins, replaced while the server runs.

use std::collections::BTreeMap;

use serde_json::json;
use tidings_server::{App, AppId, AppRules, Apps};
use tidings_wire::rates::Rate;

use crate::client::Legacy;
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
