//! What a token is good for at this door, how long, and that the door can be shut. Source: tokens
//! 4.3, 5, 6.6.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tidings_server::{App, AppId, Apps, JwtLogins, ServerConfig};
use tidings_token::jwt::{Key, Rules};
use tidings_token::{
    Access, NewAccess007, Permissions, Resource, Service, build_007, build_signaling,
};

use crate::client::{Heard, Legacy};
use crate::common::{self, APP, PATIENCE, TestServer};

const CERTIFICATE: &str = "0badc0de0badc0de0badc0de0badc0de";

fn config() -> ServerConfig {
    let app = App {
        certificates: vec![CERTIFICATE.into()],
        ..App::default()
    };
    let mut config = common::config();
    config.apps = Apps {
        accept_any: false,
        listed: [(AppId::parse(APP).expect("an app id"), app)].into(),
    };
    config
}

fn now_s() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("after 1970").as_secs()
}

fn token(user: &str, seconds: u32, list: Option<Permissions>) -> String {
    let service = match list {
        None => Service::rtm(user, seconds),
        Some(list) => Service::rtm2(user, seconds, list),
    };
    let token = NewAccess007 {
        app_id: APP,
        certificate: CERTIFICATE,
        issued_at_unix_s: u32::try_from(now_s()).expect("before 2106"),
        lifetime_s: seconds,
        salt: 1,
        services: &[service],
    };
    build_007(&token).expect("a token")
}

fn log_in(server: &TestServer, user: &str, token: &str) -> (Legacy, Value) {
    let mut client = Legacy::open(server.address(), &format!("/legacy/{APP}"));
    let answer = client.log_in(&json!(user), token);
    (client, answer)
}

#[test]
fn a_shut_door_serves_nobody_and_says_so_and_rtm_users_go_on() {
    let mut config = common::config();
    config.legacy.enabled = false;
    let server = TestServer::start(config);
    for path in ["/getaddr", "/v13/getaddr", "/v14/getaddr"] {
        let answer = common::get(server.address(), path);
        assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
        assert!(answer.contains("does not serve legacy"), "{answer}");
    }
    for path in ["/", "/legacy", &format!("/legacy/{APP}")] {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        let answer = common::exchange(server.address(), &request);
        assert!(answer.starts_with("HTTP/1.1 404"), "{path}: {answer}");
    }
    common::Client::login(server.address(), "alice");
    server.end();
}

#[test]
fn a_login_ends_with_its_token_which_is_good_for_no_other_then() {
    let server = TestServer::start(config());
    let token = token("alice", 2, None);
    let (mut client, answer) = log_in(&server, "alice", &token);
    assert_eq!(answer["result"], "ok");
    let until = Instant::now() + PATIENCE;
    loop {
        match client.next_within(Duration::from_millis(200)) {
            Some(Heard::Frame(frame)) if frame[0] == "close" => {
                assert_eq!(frame, json!(["close", "token expired"]));
                break;
            }
            Some(Heard::Closed(code, _)) => panic!("closed with {code:?} without a word"),
            _ => assert!(Instant::now() < until, "the login does not end"),
        }
    }
    let (_, answer) = log_in(&server, "alice", &token);
    assert_eq!(answer["reason"], "TokenErrorExpired", "{answer}");
    server.end();
}

#[test]
fn who_was_lost_before_the_tokens_end_may_come_back_for_a_while() {
    let server = TestServer::start(config());
    let token = token("bob", 2, None);
    let (client, answer) = log_in(&server, "bob", &token);
    assert_eq!(answer["result"], "ok");
    client.cut();
    let ends = now_s() + 3;
    while now_s() < ends {
        std::thread::yield_now();
    }
    let (client, answer) = log_in(&server, "bob", &token);
    assert_eq!(answer["result"], "ok", "{answer}");
    drop(client);
    // Nobody else, and with no other token that has ended.
    let (_, answer) = log_in(&server, "carol", &token);
    assert_ne!(answer["result"], "ok");
    server.end();
}

#[test]
fn the_weak_format_is_taken_where_it_is_switched_on_and_for_a_day_at_most() {
    let mut config = config();
    let server = TestServer::start(config.clone());
    let of = |seconds: u64| {
        build_signaling(APP, CERTIFICATE, "alice", now_s() + seconds).expect("a token")
    };
    let (_, answer) = log_in(&server, "alice", &of(60));
    assert_eq!(answer["reason"], "TokenErrorInvalid", "off by default");
    server.end();
    config.legacy.rules.allows_legacy_tokens = true;
    let server = TestServer::start(config);
    let (_, answer) = log_in(&server, "alice", &of(60));
    assert_eq!(answer["result"], "ok", "{answer}");
    for seconds in [90_000, 9_999_999_999 - now_s()] {
        let (_, answer) = log_in(&server, "alice", &of(seconds));
        assert_eq!(answer["reason"], "TokenErrorInvalid", "{seconds} s");
    }
    server.end();
}

#[test]
fn a_list_of_permissions_holds_at_this_door() {
    let server = TestServer::start(config());
    let list = Permissions::new().with(Resource::MessageChannel, Access::Read, "a");
    let (mut client, answer) = log_in(&server, "alice", &token("alice", 60, Some(list)));
    assert_eq!(answer["result"], "ok", "{answer}");
    client.line = answer["line"].as_str().expect("a line").into();
    let answer = client.call("channel_join", json!({"name": "b"}));
    assert_eq!(answer["reason"], "not allowed");
    let answer = client.call("channel_join", json!({"name": "a"}));
    assert_eq!(answer["result"], "ok", "{answer}");
    let answer = client.call("channel_sendmsg", json!({"name": "a", "msg": "x"}));
    assert_eq!(answer["reason"], "not allowed");
    server.end();
}

/// A JSON Web Token, signed with a secret.
fn jwt(secret: &[u8], user: &str, seconds: u64) -> String {
    let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let claims = json!({ "sub": user, "iat": now_s(), "exp": now_s() + seconds });
    let claims = claims.to_string();
    let text = format!(
        "{}.{}",
        part(br#"{"alg":"HS256"}"#),
        part(claims.as_bytes())
    );
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
    let signature = ring::hmac::sign(&key, text.as_bytes());
    format!("{text}.{}", part(signature.as_ref()))
}

#[test]
fn a_json_web_token_is_good_at_this_door_too() {
    let secret = b"a secret of the backend, with 41 bytes in";
    let key = Key::secret(secret).expect("long enough");
    let mut config = config();
    for app in config.apps.listed.values_mut() {
        let logins = JwtLogins::new(vec![key.clone()], Rules::default(), None);
        (app.certificates, app.jwt) = (Vec::new(), Some(Box::new(logins)));
    }
    let server = TestServer::start(config);
    let (_alice, answer) = log_in(&server, "alice", &jwt(secret, "alice", 60));
    assert_eq!(answer["result"], "ok", "{answer}");
    let other: &[u8] = b"another secret, which is as long as it is";
    for (user, token) in [
        ("bob", jwt(secret, "alice", 60)),
        ("alice", jwt(other, "alice", 60)),
        ("alice", "_no_need_token".to_owned()),
        ("alice", token("alice", 60, None)),
    ] {
        let (_client, answer) = log_in(&server, user, &token);
        assert!(answer.to_string().contains("TokenErrorInvalid"), "{answer}");
    }
    server.end();
}
