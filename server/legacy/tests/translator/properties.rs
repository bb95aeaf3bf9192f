//! Whatever bytes come, in whatever order: the codec and the translator answer, and never panic.

use proptest::prelude::*;
use tidings_legacy::codec::{DEPTH_MAX, FRAME_BYTES_MAX, FrameError, decode};
use tidings_legacy::{AppRules, Now, Output, Translator};
use tidings_wire::proto::Welcome;
use tidings_wire::proto::server_message::Kind;

/// A translator that is logged in, and its line.
fn ready() -> (Translator, String) {
    let now = Now {
        mono_ms: 0,
        unix_ms: 1_700_000_000_000,
    };
    let mut translator = Translator::new(now, "", 7);
    translator.hear(
        now,
        br#"["login",{"vid":"a","account":"alice","token":""}]"#,
    );
    assert!(matches!(translator.outputs()[..], [Output::Login(_)]));
    translator.admit(AppRules::default());
    translator.take(now, Kind::Welcome(Welcome::default()));
    let [Output::Text(welcome)] = &translator.outputs()[..] else {
        panic!("no login_ret");
    };
    let line = welcome.split("line\\\":\\\"").nth(1).expect("a line");
    (translator, line.chars().take(10).collect())
}

fn function() -> impl Strategy<Value = String> {
    prop_oneof![
        "(user_getmsg|user_sendmsg|channel_join|channel_leave|channel_sendmsg|user_logout)",
        "channel_(set_attr|del_attr|clear_attr|query_num|query_userlist)",
        "voip_invite(_ack|_accept|_refuse|_bye|_msg|_phone)?",
        "[a-z_]{0,12}",
    ]
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("null".to_owned()),
        any::<i64>().prop_map(|n| n.to_string()),
        "[a-z0-9 :]{0,12}".prop_map(|text| format!("\"{text}\"")),
        Just("\"v1:E:18446744073709551615\"".to_owned()),
        Just("{\"_timeout\":1e300,\"_require_peer_online\":1}".to_owned()),
        Just("[[],{}]".to_owned()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_bytes_are_decoded_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        let _ = decode(&bytes);
    }

    #[test]
    fn any_nesting_is_decoded_or_refused(text in "[\\[\\]{}\",:0a\\\\]{0,200}") {
        let _ = decode(text.as_bytes());
    }

    #[test]
    fn what_is_too_large_is_refused_by_its_bytes(depth in DEPTH_MAX..4_000, more in 1_usize..1_000) {
        prop_assert_eq!(decode("[".repeat(depth + 1).as_bytes()), Err(FrameError::TooDeep));
        let long = vec![b' '; FRAME_BYTES_MAX + more];
        prop_assert_eq!(decode(&long), Err(FrameError::TooLong(FRAME_BYTES_MAX + more)));
    }

    #[test]
    fn any_call_is_taken(
        calls in proptest::collection::vec((function(), proptest::collection::vec(value(), 8)), 1..12),
    ) {
        let (mut translator, line) = ready();
        let mut now = Now { mono_ms: 1, unix_ms: 1_700_000_000_001 };
        for (id, (function, values)) in calls.iter().enumerate() {
            let names = ["peer", "name", "channel", "channelName", "content", "extra", "flag", "ver_clear"];
            let args: Vec<String> = names.iter().zip(values).map(|(n, v)| format!("\"{n}\":{v}")).collect();
            let frame = format!("[\"call2\",[\"{function}\",{id},{{\"line\":\"{line}\",{}}}]]", args.join(","));
            translator.hear(now, frame.as_bytes());
            prop_assert!(!translator.outputs().is_empty(), "{} is left without a word", frame);
            now.mono_ms += 1_000;
            translator.tick(now);
        }
    }
}
