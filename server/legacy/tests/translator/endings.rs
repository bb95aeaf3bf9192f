//! How logins end by time and by the server, and what a flood gets. Source: signaling 3.2, 4.7, 12.

use tidings_legacy::{AppRules, Now, Output, Translator};
use tidings_wire::codes::CloseCode;
use tidings_wire::proto::Welcome;
use tidings_wire::proto::server_message::Kind;

fn at(mono_ms: u64) -> Now {
    let unix_ms = 1_700_000_000_000 + mono_ms;
    Now { mono_ms, unix_ms }
}

/// A translator that is logged in, and its line.
fn ready(is_modern: bool) -> (Translator, String) {
    let mut translator = Translator::new(at(0), "", 7);
    let login = br#"["login",{"vid":"a","account":"alice","token":""}]"#;
    translator.hear(at(0), login);
    translator.admit(AppRules::default());
    translator.take(at(0), Kind::Welcome(Welcome::default()));
    if is_modern {
        translator.hear(at(0), br#"["set_flag",{"binary":1}]"#);
    }
    translator.outputs();
    (translator, "1000000007".into())
}

#[test]
fn silence_of_120_s_ends_a_login_and_any_frame_breaks_it() {
    let (mut translator, _) = ready(false);
    translator.hear(at(119_999), br#"["ping",1]"#);
    translator.outputs();
    translator.tick(at(239_998));
    assert_eq!(translator.outputs(), []);
    translator.tick(at(239_999));
    let said = translator.outputs();
    assert_eq!(said[0], Output::Text(r#"["close","drain"]"#.into()));
    assert!(matches!(said[1], Output::Close { code: 1001, .. }));
    assert_eq!(translator.deadline(), None);
}

#[test]
fn a_drain_is_said_to_builds_that_do_not_connect_again() {
    let (mut old, _) = ready(false);
    let ending = old.end(CloseCode::HeartbeatLost);
    assert_eq!((ending.texts.len(), ending.code), (1, 1001));
    let (mut modern, _) = ready(true);
    let ending = modern.end(CloseCode::HeartbeatLost);
    assert_eq!((ending.texts.len(), ending.code), (0, 1001));
}

#[test]
fn a_kick_is_said_to_all_builds() {
    for is_modern in [false, true] {
        let (mut translator, _) = ready(is_modern);
        let ending = translator.end(CloseCode::RemoteLogin);
        assert!(ending.texts[0].starts_with(r#"["kick","#));
        assert_eq!(ending.texts[1], r#"["close","kick"]"#);
    }
}

#[test]
fn of_a_flood_the_hub_gets_what_the_rate_allows_and_the_rest_is_refused() {
    let (mut translator, line) = ready(false);
    let (mut sent, mut refused) = (0, 0);
    for id in 1..=2_000 {
        let call = format!(
            r#"["call2",["user_sendmsg",{id},{{"line":"{line}","peer":"bob","content":"x"}}]]"#
        );
        translator.hear(at(1), call.as_bytes());
        for output in translator.outputs() {
            match output {
                Output::Send(_) => sent += 1,
                Output::Text(text) if text.contains("too frequent") => refused += 1,
                other => panic!("{other:?}"),
            }
        }
    }
    assert!((1..=180).contains(&sent), "{sent}");
    assert_eq!(sent + 1_024 + refused, 2_000, "the others wait");
}
