//! Properties that hold for every app, user, time and damage.

mod common;

use std::io::{Read, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common::{CERTIFICATE, NOW, check_for, vector_policy, vectors};
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use proptest::prelude::*;
use tidings_token::{
    AppKeys, Door, NewAccess007, Permissions, Policy, Service, build_006, build_007,
    build_signaling, check, inspect,
};

fn unpacked(token: &str) -> Vec<u8> {
    let packed = STANDARD.decode(&token[3..]).expect("base64");
    let mut content = Vec::new();
    ZlibDecoder::new(&packed[..])
        .read_to_end(&mut content)
        .expect("zlib");
    content
}

fn packed(content: &[u8]) -> String {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).expect("memory");
    format!("007{}", STANDARD.encode(encoder.finish().expect("memory")))
}

/// Everything that a stranger can make the crate do with a text.
fn read_in_every_way(keys: &AppKeys<'_>, user: &str, now: u64, token: &str) -> bool {
    let open = Policy {
        allow_any_user: true,
        accept_rtc_006: true,
        legacy_debug_word: true,
        ..vector_policy()
    };
    let _ = inspect(token).map(|inspection| inspection.to_string());
    [Door::Rtm, Door::Legacy, Door::Rest]
        .into_iter()
        .any(|door| {
            let result = check(door, keys, &open, user, now, token);
            result
                .map_err(|refusal| (refusal.to_string(), refusal.hint()))
                .is_ok()
        })
}

proptest! {
    // Each case is some thousand tokens.
    #![proptest_config(ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn every_single_bit_flip_of_a_good_007_fails(
        app in "[0-9a-f]{32}", certificate in "[0-9a-fA-F]{32}", user in ".{1,32}",
        issued in 1_000_000u32..4_000_000_000, salt: u32, lifetime in 1u32..100_000,
        restricted: bool,
    ) {
        let service = if restricted {
            Service::rtm2(&user, 0, Permissions::new())
        } else {
            Service::rtm(&user, 0)
        };
        let token = build_007(&NewAccess007 {
            app_id: &app,
            certificate: &certificate,
            issued_at_unix_s: issued,
            lifetime_s: lifetime,
            salt,
            services: &[service],
        }).expect("good inputs");
        let keys = AppKeys { app_id: &app, certificates: &[&certificate], jwt: None };
        let open = Policy { allow_any_user: true, ..Policy::default() };
        let ask = |token: &str| check(Door::Rtm, &keys, &open, &user, u64::from(issued), token);
        prop_assert!(ask(&token).is_ok());
        let mut content = unpacked(&token);
        prop_assert!(ask(&packed(&content)).is_ok());
        for bit in 0..content.len() * 8 {
            content[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(ask(&packed(&content)).is_err(), "bit {bit}");
            content[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_good_token_is_good_for_its_user_certificate_and_time_alone(
        user in ".{0,64}", other in ".{0,64}", salt: u32, end in 1u32..,
    ) {
        prop_assume!(user != other && !user.is_empty());
        let app = "0123456789ABCDEF0123456789abcdef";
        let end_s = u64::from(end);
        let rtm = [Service::rtm(&user, 1)];
        let tokens = [
            build_signaling(app, CERTIFICATE, &user, end_s),
            build_006(app, CERTIFICATE, &user, salt, end, 0),
            build_007(&NewAccess007 {
                app_id: app,
                certificate: CERTIFICATE,
                issued_at_unix_s: end - 1,
                lifetime_s: 9,
                salt,
                services: &rtm,
            }),
        ];
        for token in tokens {
            let token = token.expect("good inputs");
            let ask = |user: &str, certificate: &str, now| {
                let keys = AppKeys { app_id: app, certificates: &[certificate], jwt: None };
                check(Door::Legacy, &keys, &vector_policy(), user, now, &token)
            };
            let granted = ask(&user, CERTIFICATE, end_s - 1).expect("its last second");
            prop_assert_eq!(granted.expires_at_unix_s, end_s);
            let refused = ask(&user, CERTIFICATE, end_s).expect_err("over");
            prop_assert_eq!(refused.reason(), "expired");
            prop_assert!(ask(&other, CERTIFICATE, end_s - 1).is_err());
            prop_assert!(ask(&user, &CERTIFICATE.to_uppercase(), end_s - 1).is_err());
        }
    }

    #[test]
    fn arbitrary_text_is_refused_without_panic(token in "(1:|006|007|)\\PC{0,200}") {
        let keys = AppKeys { app_id: "", certificates: &[CERTIFICATE], jwt: None };
        prop_assert!(!read_in_every_way(&keys, "alice", NOW, &token));
    }

    #[test]
    fn arbitrary_content_is_refused_without_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..300), tail in any::<u8>(),
    ) {
        let app = "0123456789abcdef0123456789abcdef";
        let keys = AppKeys { app_id: app, certificates: &[CERTIFICATE], jwt: None };
        // A right frame before the noise, so that it reaches the inner parsers.
        let framed_007 = [&[32, 0][..], &[tail; 32], &[32, 0], app.as_bytes(), &bytes].concat();
        let framed_006 = [&[32, 0][..], &[tail; 40], &[14, 0], &bytes].concat();
        let tokens = [
            format!("007{}", STANDARD.encode(&bytes)),
            packed(&bytes),
            packed(&framed_007),
            format!("006{app}{}", STANDARD.encode(&bytes)),
            format!("006{app}{}", STANDARD.encode(&framed_006)),
        ];
        for token in tokens {
            prop_assert!(!read_in_every_way(&keys, "alice", NOW, &token));
        }
    }

    #[test]
    fn a_damaged_vector_never_panics_and_never_lets_another_in(
        index in 0usize..180, at in 0usize..400, byte in 0u8..128,
    ) {
        let vector = &vectors()[index];
        let mut bytes = vector.token.clone().into_bytes();
        prop_assume!(at < bytes.len() && bytes.is_ascii());
        bytes[at] = byte;
        let token = String::from_utf8(bytes).expect("ASCII");
        read_in_every_way(
            &AppKeys { app_id: &vector.app_id, certificates: &[&vector.app_certificate], jwt: None },
            &vector.user_id,
            vector.now,
            &token,
        );
        prop_assert!(check_for(&vector_policy(), "mallory", &token).is_err());
    }
}
