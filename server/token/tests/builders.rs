//! The builders give the bytes of the public token builders.

mod common;

use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common::{APP, CERTIFICATE, NOW, check_for, vector, vector_policy};
use tidings_token::{
    Access, AppKeys, BuildError, Door, NewAccess007, Permissions, Policy, Resource, Service,
    ServiceBody, build_006, build_007, build_signaling, check, inspect,
};

#[test]
fn signaling_tokens_are_those_of_the_public_builders() {
    let names = [
        "signaling_ok_one_day",
        "signaling_ok_email_account",
        "signaling_ok_utf8_account",
        "signaling_ok_tools_vector_1",
        "signaling_ok_tools_vector_2",
        "signaling_ok_documentation_example",
        "signaling_expired_zero",
    ];
    for name in names {
        let v = vector(name);
        let expiry = v.privilege_expire_at.expect("given for ok and expired");
        let token = build_signaling(&v.app_id, &v.app_certificate, &v.user_id, expiry);
        assert_eq!(token.as_deref(), Ok(&*v.token), "{name}");
    }
}

// proves: rtm-7.2-both
#[test]
fn tokens_006_are_those_of_the_public_builders() {
    let (salt, end) = (0x1f9a_dd37, 1_700_086_400);
    let cases = [
        ("006_ok_rtm", salt, end, 1_700_003_600),
        ("006_ok_privilege_zero", salt, end, 0),
        ("006_ok_privilege_30_days", salt, end, 1_702_592_000),
        ("006_expired_privilege_past", salt, end, 100_000),
        ("006_ok_utf8_user", salt, end, 1_700_003_600),
        ("006_ok_user_64_chars", salt, end, 1_700_003_600),
        ("006_ok_tools_ruby_vector", 1, 1_111_111, 1_446_455_471),
    ];
    for (name, salt, end, expiry) in cases {
        let v = vector(name);
        let token = build_006(&v.app_id, &v.app_certificate, &v.user_id, salt, end, expiry);
        assert_eq!(token.as_deref(), Ok(&*v.token), "{name}");
    }
}

fn inflated(token: &str) -> Vec<u8> {
    let packed = STANDARD
        .decode(token.strip_prefix("007").expect("007"))
        .expect("base64");
    let mut content = Vec::new();
    let mut decoder = flate2::read::ZlibDecoder::new(&packed[..]);
    decoder.read_to_end(&mut content).expect("zlib");
    content
}

fn service(privileges: &[u16], expire_s: u32, body: ServiceBody<'static>) -> Service<'static> {
    Service {
        privileges: privileges.iter().map(|&id| (id, expire_s)).collect(),
        body,
    }
}

/// Builds with the app, certificate, issue time and salt of the vector.
#[track_caller]
fn expect_007(name: &str, issued_at_unix_s: u32, lifetime_s: u32, salt: u32, list: &[Service<'_>]) {
    let v = vector(name);
    let token = build_007(&NewAccess007 {
        app_id: &v.app_id,
        certificate: &v.app_certificate,
        issued_at_unix_s,
        lifetime_s,
        salt,
        services: list,
    })
    .expect("good inputs");
    assert_eq!(inflated(&token), inflated(&v.token), "{name}");
    assert!(
        token.starts_with("007eJ"),
        "{token} begins as those of most builders do"
    );
}

// proves: rtm-7.2-both
#[test]
fn tokens_007_are_those_of_the_public_builders_once_inflated() {
    let (now, salt) = (1_700_000_000, 12_345_679);
    let rtc = |uid: &'static [u8], expire_s| {
        service(
            &[1, 2, 3, 4],
            expire_s,
            ServiceBody::Rtc {
                channel: b"room1",
                uid,
            },
        )
    };
    let rtm = || Service::rtm("alice", 3600);
    expect_007("007_ok_rtm", now, 3600, salt, &[rtm()]);
    expect_007(
        "007_ok_privilege_short",
        now,
        3600,
        salt,
        &[Service::rtm("alice", 60)],
    );
    expect_007(
        "007_ok_lifetime_max",
        now,
        u32::MAX,
        salt,
        &[Service::rtm("alice", u32::MAX)],
    );
    let utf8 = vector("007_ok_utf8_user").user_id;
    expect_007(
        "007_ok_utf8_user",
        now,
        3600,
        salt,
        &[Service::rtm(&utf8, 3600)],
    );

    let permissions = Permissions::new()
        .with(Resource::User, Access::Write, "bob")
        .with(Resource::MessageChannel, Access::Write, "lobby")
        .with(Resource::MessageChannel, Access::Read, "lobby")
        .with(Resource::MessageChannel, Access::Read, "news");
    let rtm2 = |expire_s, list| Service::rtm2("alice", expire_s, list);
    expect_007(
        "007_ok_rtm2_permissions",
        now,
        3600,
        salt,
        &[rtm2(3600, permissions)],
    );
    expect_007(
        "007_ok_rtm2_no_permissions",
        now,
        3600,
        salt,
        &[rtm2(3600, Permissions::new())],
    );
    let services = [Service::rtm("alice", 900), rtc(b"rtc-alice", 600)];
    expect_007("007_ok_rtc_with_rtm2", now, 7200, salt, &services);
    let services = [
        rtc(b"alice", 3600),
        rtm(),
        service(&[], 0, ServiceBody::ConvoAi),
    ];
    expect_007("007_ok_convoai", now, 3600, salt, &services);
    let chat = ServiceBody::Chat {
        user: b"6384e2b2184bcbf58eccf10ca7a6563c",
    };
    let class = ServiceBody::Apaas {
        room: b"room1",
        user: b"alice",
        role: 1,
    };
    let services = [rtm(), service(&[1], 3600, chat), service(&[], 0, class)];
    expect_007("007_ok_apaas_room_user", now, 3600, salt, &services);
}

#[test]
fn a_fixed_007_vector_with_three_services_is_reproduced() {
    let (channel, account) = (&b"7d72365eb983485397e3e3f9d460bdda"[..], &b"2882341273"[..]);
    let permissions = Permissions::new()
        .with(Resource::MessageChannel, Access::Read, "message-a")
        .with(Resource::MessageChannel, Access::Read, "message-b")
        .with(Resource::StreamChannel, Access::Write, "stream-a")
        .with(Resource::User, Access::Read, "user-a");
    let services = [
        service(&[1, 2], 600, ServiceBody::Streaming { channel, account }),
        service(&[1, 2], 600, ServiceBody::Fcdn { channel, account }),
        Service::rtm2("test_user", 600, permissions),
    ];
    expect_007(
        "007_ok_tools_rtm2_permissions",
        1_111_111,
        600,
        1,
        &services,
    );
}

#[test]
fn what_no_checker_would_take_is_not_built() {
    let build = |app_id, certificate, services| {
        let (issued_at_unix_s, lifetime_s, salt) = (0, 0, 0);
        build_007(&NewAccess007 {
            app_id,
            certificate,
            issued_at_unix_s,
            lifetime_s,
            salt,
            services,
        })
    };
    let rtm = [Service::rtm("alice", 0)];
    assert_eq!(
        build("abc", CERTIFICATE, &rtm),
        Err(BuildError::AppId("abc".into()))
    );
    assert_eq!(
        build(APP, "secret", &rtm),
        Err(BuildError::Certificate { chars: 6 })
    );
    assert_eq!(build(APP, CERTIFICATE, &[]), Err(BuildError::NoService));
    let long = "x".repeat(65_536);
    let too_long = Err(BuildError::TooLong {
        part: "user",
        len: 65_536,
    });
    assert_eq!(build(APP, CERTIFICATE, &[Service::rtm(&long, 0)]), too_long);
    let digits = build_signaling(APP, CERTIFICATE, "alice", 10_000_000_000);
    assert_eq!(digits, Err(BuildError::ExpiryDigits(10_000_000_000)));
    assert_eq!(
        build_006("", "", "alice", 0, 0, 0),
        Err(BuildError::AppId(String::new()))
    );
}

#[test]
fn built_tokens_pass_the_check() {
    let token = build_signaling(APP, CERTIFICATE, "zoë", NOW + 5).expect("good inputs");
    let keys = AppKeys {
        app_id: APP,
        certificates: &[CERTIFICATE],
        jwt: None,
    };
    let granted = check(Door::Legacy, &keys, &vector_policy(), "zoë", NOW, &token).expect("fits");
    assert_eq!(granted.expires_at_unix_s, NOW + 5);
    let token = build_006(APP, CERTIFICATE, "zoë", 7, 1_700_086_400, 0).expect("good inputs");
    let granted = check_for(&Policy::login(), "zoë", &token).expect("fits");
    assert_eq!(
        (granted.expires_at_unix_s, granted.issued_at_unix_s),
        (1_700_086_400, Some(NOW))
    );
}

#[test]
fn an_inspection_describes_each_format() {
    let text = inspect(&vector("007_ok_rtc_with_rtm2").token)
        .expect("readable")
        .to_string();
    assert_eq!(
        text,
        "format      007\n\
         app id      0123456789abcdef0123456789abcdef\n\
         issued at   1700000000\n\
         expires at  1700000900\n\
         salt        12345679\n\
         service     1 RTC, channel \"room1\", user \"rtc-alice\"\n\
         \x20 privilege 1 for 600 s from the issue\n\
         \x20 privilege 2 for 600 s from the issue\n\
         \x20 privilege 3 for 600 s from the issue\n\
         \x20 privilege 4 for 600 s from the issue\n\
         service     2 RTM, user \"alice\"\n\
         \x20 privilege 1 for 900 s from the issue\n\
         note        the signature was not checked\n"
    );
    let text = inspect(&vector("006_ok_rtm").token)
        .expect("readable")
        .to_string();
    assert_eq!(
        text,
        "format      006\n\
         app id      0123456789abcdef0123456789abcdef\n\
         expires at  1700003600\n\
         salt        530242871\n\
         user        CRC-32 278ebc47, call uid CRC-32 00000000\n\
         privilege   1000 until 1700003600\n\
         note        the signature was not checked\n"
    );
    let inspection = inspect(&vector("signaling_ok_one_day").token).expect("readable");
    assert_eq!(
        (&*inspection.app_id, inspection.expires_at_unix_s),
        (APP, 1_700_086_400)
    );
    let inspection = inspect(&vector("007_ok_rtm2_permissions").token).expect("readable");
    assert!(inspection.to_string().contains(
        "allows    read message channel \"lobby\", read message channel \"news\", \
         write message channel \"lobby\", write user \"bob\"\n"
    ));
    let inspection = inspect(&vector("007_no_rtm_chat").token).expect("readable");
    assert!(!inspection.has_rtm_login);
    assert!(
        inspection
            .to_string()
            .contains("note        carries no RTM login privilege\n")
    );
}
