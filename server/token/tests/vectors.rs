//! Every published vector, and what varies with policy, keys and door.

mod common;

use common::{APP, CERTIFICATE, NOW, reason, vector, vector_policy, vectors};
use tidings_token::{
    Access, AppKeys, Door, Flaw, Granted, NEVER, NewAccess007, Permissions, Policy, Refusal,
    Resource, Rights, Service, build_006, build_007, build_signaling, check,
};

// proves: rtm-7.2-006-layout, rtm-7.2-006-right, rtm-7.2-006-24h, rtm-7.2-007-layout, rtm-7.2-007-right
// proves: rtm-7.2-007-expire, rtm-7.2-cap, rtm-7.2-future, rtm-7.1-other-app, rtm-7.1-legacy
#[test]
fn every_vector_gives_its_result() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for vector in vectors() {
        count += 1;
        let result = vector.check(&vector_policy());
        let expires_at = match &result {
            Ok(granted) => Some(granted.expires_at_unix_s),
            Err(Refusal::Expired { at_unix_s, .. }) => Some(*at_unix_s),
            Err(_) => None,
        };
        if reason(&result) != vector.expect || expires_at != vector.privilege_expire_at {
            wrong.push(format!(
                "{}: {result:?}, not {}",
                vector.name, vector.expect
            ));
        }
    }
    assert_eq!(count, 180);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_good_vector_fits_the_bounds_of_a_login() {
    let policy = Policy {
        legacy_signaling_tokens: true,
        ..Policy::login()
    };
    for vector in vectors().iter().filter(|vector| vector.expect == "ok") {
        assert_eq!(reason(&vector.check(&policy)), "ok", "{}", vector.name);
    }
}

#[test]
fn no_message_repeats_a_secret() {
    for vector in vectors() {
        let Err(refusal) = vector.check(&vector_policy()) else {
            continue;
        };
        let text = format!("{refusal} {refusal:?} {}", refusal.hint());
        assert!(!text.contains(&vector.app_certificate), "{}", vector.name);
        // An app id is no secret, though it may be presented as a token.
        let is_token = vector.token.len() > 32;
        assert!(
            !(is_token && text.contains(&vector.token)),
            "{}",
            vector.name
        );
    }
}

#[test]
fn both_certificates_are_tried_and_the_one_that_signed_is_named() {
    let other = "00112233445566778899aabbccddeeff";
    for name in ["signaling_ok_one_day", "006_ok_rtm", "007_ok_rtm"] {
        let vector = vector(name);
        let with = |certificates: &[&str]| vector.check_with(&vector_policy(), certificates);
        let certificate = |result: Result<Granted, Refusal>| result.map(|g| g.certificate);
        assert_eq!(
            certificate(with(&[CERTIFICATE, other])),
            Ok(Some(0)),
            "{name}"
        );
        assert_eq!(
            certificate(with(&[other, CERTIFICATE])),
            Ok(Some(1)),
            "{name}"
        );
        assert_eq!(
            certificate(with(&[CERTIFICATE, CERTIFICATE])),
            Ok(Some(0)),
            "{name}"
        );
        let refused = |certificates| Err(Refusal::InvalidSignature { certificates });
        assert_eq!(with(&[other, other]), refused(2), "{name}");
        assert_eq!(with(&[]), refused(0), "{name}");
    }
}

// proves: rtm-7.2-both, rtm-7.1-legacy
#[test]
fn each_door_takes_its_formats() {
    let signaling = build_signaling(APP, CERTIFICATE, "alice", NOW + 60).expect("good inputs");
    let v006 = build_006(APP, CERTIFICATE, "alice", 1, 1_700_086_400, 0).expect("good inputs");
    let v007 = vector("007_ok_rtm").token;
    let (off, on) = (Policy::default(), vector_policy());
    let keys = AppKeys {
        app_id: APP,
        certificates: &[CERTIFICATE],
        jwt: None,
    };
    let cases = [
        (&signaling, Door::Rtm, &on, "malformed"),
        (&signaling, Door::Rest, &on, "malformed"),
        (&signaling, Door::Legacy, &off, "malformed"),
        (&signaling, Door::Legacy, &on, "ok"),
        (&v006, Door::Rtm, &off, "ok"),
        (&v006, Door::Rest, &off, "ok"),
        (&v006, Door::Legacy, &off, "ok"),
        (&v007, Door::Rtm, &off, "ok"),
        (&v007, Door::Rest, &off, "ok"),
        (&v007, Door::Legacy, &off, "ok"),
    ];
    for (token, door, policy, expected) in cases {
        let result = check(door, &keys, policy, "alice", NOW, token);
        assert_eq!(reason(&result), expected, "{token} at {door:?}");
    }
}

// proves: rtm-7.1-legacy
#[test]
fn the_debugging_word_opens_the_legacy_door_only_where_switched_on() {
    let keys = AppKeys {
        app_id: APP,
        certificates: &[CERTIFICATE],
        jwt: None,
    };
    let on = Policy {
        legacy_debug_word: true,
        ..Policy::default()
    };
    let ask = |door, policy: &Policy| check(door, &keys, policy, "alice", NOW, "_no_need_token");
    let granted = ask(Door::Legacy, &on).expect("switched on");
    assert_eq!(
        (granted.expires_at_unix_s, granted.certificate),
        (NEVER, None)
    );
    assert_eq!(
        ask(Door::Legacy, &vector_policy()),
        Err(Flaw::DebugWord.into())
    );
    assert_eq!(ask(Door::Rtm, &on), Err(Flaw::DebugWord.into()));
    assert_eq!(ask(Door::Rest, &on), Err(Flaw::DebugWord.into()));
}

// proves: rtm-8-token-text
#[test]
fn a_refusal_says_precisely_what_did_not_fit() {
    let cases = [
        (
            "signaling_three_parts",
            "the token is malformed: it has 3 part(s) between colons, not 4",
        ),
        (
            "006_space_for_plus",
            "the token is malformed: base64 character 6 is a space: a `+` was probably decoded as \
             in a form on its way",
        ),
        (
            "006_wrong_user",
            r#"the token is for a user with CRC-32 278ebc47, not for "bob""#,
        ),
        (
            "006_signature_31_bytes",
            "the token is malformed: its signature has 31 bytes, not 32",
        ),
        (
            "006_trailing_bytes_in_message",
            "the token is malformed: 2 byte(s) follow the privileges",
        ),
        (
            "007_wrong_user",
            r#"the token is for user "alice", not for "bob""#,
        ),
        (
            "007_empty_user",
            r#"the token is for no user (its user id is empty), not for "alice""#,
        ),
        (
            "007_expired_at_expiry",
            "the token expired at 1700003600, 0 s ago",
        ),
        (
            "007_wrong_app",
            r#"the token is for app "0123456789abcdef0123456789abcdef", not for "abcdef0123456789abcdef0123456789""#,
        ),
        (
            "007_zlib_bomb",
            "the token is malformed: it inflates to more than 65536 bytes",
        ),
        (
            "007_service_cut_signed",
            "the token is malformed: user needs 5 byte(s), 3 are left",
        ),
        (
            "007_no_rtm_chat",
            "the token of format 007 carries no RTM login privilege",
        ),
        (
            "007_app_id_as_token",
            "the token is malformed: it is the app id itself, and this app has a certificate",
        ),
    ];
    for (name, expected) in cases {
        let refusal = vector(name).check(&vector_policy()).expect_err(name);
        assert_eq!(refusal.to_string(), expected, "{name}");
    }
}

fn new_007<'a>(lifetime_s: u32, services: &'a [Service<'a>]) -> NewAccess007<'a> {
    let (app_id, certificate) = (APP, CERTIFICATE);
    NewAccess007 {
        app_id,
        certificate,
        issued_at_unix_s: 1_700_000_000,
        lifetime_s,
        salt: 1,
        services,
    }
}

#[test]
fn the_longest_matching_service_decides_and_of_equals_the_unrestricted() {
    let list = || Permissions::new().with(Resource::User, Access::Write, "bob");
    let restricted = Rights::Rtm2(list());
    let cases = [
        (60, 60, 60, Rights::Unrestricted),
        (60, 90, 90, restricted.clone()),
        (90, 60, 90, Rights::Unrestricted),
        // Both beyond the token's end, so equal.
        (8000, 9000, 3600, Rights::Unrestricted),
        (60, 0, 3600, restricted),
    ];
    for (rtm_s, rtm2_s, expected_s, rights) in cases {
        let services = [
            Service::rtm("bob", 0),
            Service::rtm("alice", rtm_s),
            Service::rtm2("alice", rtm2_s, list()),
        ];
        let token = build_007(&new_007(3600, &services)).expect("good inputs");
        let granted = common::check_for(&Policy::default(), "alice", &token).expect("fits");
        assert_eq!(
            granted.expires_at_unix_s,
            NOW + expected_s,
            "{rtm_s} {rtm2_s}"
        );
        assert_eq!(granted.rights, rights, "{rtm_s} {rtm2_s}");
    }
}

#[test]
fn permissions_of_a_vector_are_read() {
    let granted = vector("007_ok_rtm2_permissions")
        .check(&Policy::default())
        .expect("ok");
    let listed = Permissions::new()
        .with(Resource::MessageChannel, Access::Read, "lobby")
        .with(Resource::MessageChannel, Access::Read, "news")
        .with(Resource::MessageChannel, Access::Write, "lobby")
        .with(Resource::User, Access::Write, "bob");
    assert_eq!(granted.rights, Rights::Rtm2(listed));
    let granted = vector("007_ok_rtm2_no_permissions")
        .check(&Policy::default())
        .expect("ok");
    assert_eq!(granted.rights, Rights::Rtm2(Permissions::new()));
}

// proves: rtm-7.2-cap, rtm-7.2-future
#[test]
fn switches_and_limits_of_the_policy_have_their_effect() {
    let base = Policy::default;
    let cases = [
        (
            "007_empty_user",
            Policy {
                allow_any_user: true,
                ..base()
            },
            "ok",
        ),
        (
            "007_rtm2_wildcard_user",
            Policy {
                allow_any_user: true,
                ..base()
            },
            "ok",
        ),
        (
            "006_rtc_token_channel_is_user",
            Policy {
                accept_rtc_006: true,
                ..base()
            },
            "ok",
        ),
        (
            "006_rtc_token_with_uid",
            Policy {
                accept_rtc_006: true,
                ..base()
            },
            "wrong_user",
        ),
        (
            "006_two_privileges",
            Policy {
                accept_rtc_006: true,
                ..base()
            },
            "malformed",
        ),
        (
            "006_concatenation_forgery",
            Policy {
                accept_rtc_006: true,
                ..base()
            },
            "malformed",
        ),
        (
            "006_no_privileges",
            Policy {
                accept_rtc_006: true,
                ..base()
            },
            "no_rtm_privilege",
        ),
        (
            "007_expired_lifetime_30_days",
            Policy {
                max_lifetime_s: 0,
                ..base()
            },
            "ok",
        ),
        (
            "007_expired_at_expiry",
            Policy {
                leeway_s: 1,
                ..base()
            },
            "ok",
        ),
        (
            "006_expired_at_expiry",
            Policy {
                leeway_s: 1,
                ..base()
            },
            "ok",
        ),
        (
            "007_ok_issued_in_future",
            Policy {
                max_issue_ahead_s: 300,
                ..base()
            },
            "malformed",
        ),
        (
            "007_ok_rtm",
            Policy {
                max_token_bytes: 100,
                ..base()
            },
            "malformed",
        ),
        (
            "007_ok_rtm",
            Policy {
                max_inflated_bytes: 98,
                ..base()
            },
            "malformed",
        ),
        (
            "007_ok_rtm",
            Policy {
                max_inflated_bytes: 99,
                ..base()
            },
            "ok",
        ),
    ];
    for (name, policy, expected) in cases {
        assert_eq!(
            reason(&vector(name).check(&policy)),
            expected,
            "{name} {policy:?}"
        );
    }
}

// proves: rtm-7.2-007-expire
#[test]
fn the_end_of_time_does_not_overflow() {
    let far = Policy {
        leeway_s: u64::MAX,
        max_issue_ahead_s: u64::MAX,
        ..vector_policy()
    };
    for vector in vectors() {
        let keys = AppKeys {
            app_id: &vector.app_id,
            certificates: &[&vector.app_certificate],
            jwt: None,
        };
        let ask = |policy: &Policy, now| {
            check(
                Door::Legacy,
                &keys,
                policy,
                &vector.user_id,
                now,
                &vector.token,
            )
        };
        assert_ne!(
            reason(&ask(&vector_policy(), u64::MAX)),
            "ok",
            "{}",
            vector.name
        );
        assert_ne!(
            reason(&ask(&far, u64::MAX - 1)),
            "expired",
            "{}",
            vector.name
        );
    }
}
