use axum::http::header::COOKIE;

use super::cookies::{LOGIN_S, Place};
use super::pending::Sealer;
use super::sessions::{OF_ONE_MAX, SESSIONS_MAX, Sessions};
use super::*;

fn person(name: &str) -> Person {
    Person {
        name: name.into(),
        role: Role::Read,
        apps: Vec::new(),
    }
}

fn pending() -> Pending {
    Pending {
        state: "s".into(),
        nonce: "n".into(),
        verifier: "v".into(),
    }
}

#[test]
fn a_session_needs_its_secret_and_its_token_and_ends() {
    let sessions = Sessions::new(1_000);
    let secret = sessions.begin(person("oidc:a"), 5).expect("random");
    let csrf = sessions.find(&secret, 5).expect("there").csrf;
    let admitted = sessions.admit(&secret, &csrf, 1_004).expect("good");
    assert_eq!(
        (admitted.id.as_str(), admitted.role),
        ("oidc:a", Role::Read)
    );
    for (secret, csrf, now_ms) in [
        (secret.as_str(), "", 6),
        (&secret, &secret, 6),
        (&csrf, &csrf, 6),
        ("", &csrf, 6),
        (&secret, &csrf, 1_005),
    ] {
        assert!(sessions.admit(secret, csrf, now_ms).is_none());
    }
    sessions.end(&secret);
    assert!(sessions.admit(&secret, &csrf, 6).is_none());
}

#[test]
fn sessions_are_bounded_and_nobody_pushes_out_others() {
    let sessions = Sessions::new(1_000_000);
    let other = sessions.begin(person("oidc:other"), 0).expect("random");
    let mut own = Vec::new();
    for now_ms in 1..=u64::try_from(OF_ONE_MAX).expect("small") + 1 {
        own.push(sessions.begin(person("oidc:own"), now_ms).expect("random"));
    }
    assert!(
        sessions.find(&own[0], 100).is_none(),
        "the oldest of its own"
    );
    assert!(sessions.find(&own[1], 100).is_some());
    assert!(sessions.find(&other, 100).is_some());
    for number in 0..SESSIONS_MAX {
        let name = format!("oidc:{number}");
        sessions.begin(person(&name), 200).expect("random");
    }
    assert!(sessions.find(&other, 200).is_none(), "the oldest of all");
}

#[test]
fn what_the_browser_keeps_is_ours_unchanged_and_fresh() {
    let sealer = Sealer::new(&[7; 32]);
    let sealed = sealer.seal(pending(), 1_000);
    assert_eq!(sealer.open(&sealed, 1_000), Some(pending()));
    let late = 1_000 + LOGIN_S * 1_000;
    let (text, tag) = sealed.split_once('.').expect("two parts");
    let mut changed = text.to_owned();
    changed.insert(3, 'A');
    for (sealed, now_ms) in [
        (sealed.clone(), late),
        (format!("{changed}.{tag}"), 1_000),
        (format!("{text}."), 1_000),
        (text.to_owned(), 1_000),
        (String::new(), 1_000),
        ("a".repeat(5_000), 1_000),
        (Sealer::new(&[8; 32]).seal(pending(), 1_000), 1_000),
    ] {
        assert_eq!(sealer.open(&sealed, now_ms), None, "{sealed} at {now_ms}");
    }
}

#[test]
fn cookies_are_the_apis_alone() {
    let place = Place::of("https://chat.example.com/x/console");
    let set = place.set_session("abc", 60).expect("a header");
    assert_eq!(
        set,
        "__Secure-tidings-session=abc; HttpOnly; SameSite=Strict; Path=/x/api/v1; Max-Age=60; Secure"
    );
    assert_eq!(place.after(None), "https://chat.example.com/x/console/");
    let plain = Place::of("http://127.0.0.1:7400/console/");
    let set = plain.set_pending("abc").expect("a header");
    assert_eq!(
        set,
        "tidings-login=abc; HttpOnly; SameSite=Lax; Path=/api/v1/login; Max-Age=600"
    );
    let mut headers = HeaderMap::new();
    headers.insert(COOKIE, "a=b; tidings-session=abc; x".parse().expect("text"));
    assert_eq!(plain.session_in(&headers), Some("abc"));
    assert_eq!(plain.pending_in(&headers), None);
    assert_eq!(place.session_in(&headers), None);
}
