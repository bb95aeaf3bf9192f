//! Tokens of strangers: as text, and as packed content that is not signed.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use tidings_token::{AppKeys, Door, Policy, check, inspect};

use crate::target::{Answer, Target};

pub(super) const TOKEN_006: Target = Target {
    name: "token_006",
    run: |input| token(input, "006"),
    seeds: || seeds("006"),
    bytes_max: 6_000,
    memory_max: Some(memory),
};

pub(super) const TOKEN_007: Target = Target {
    name: "token_007",
    run: |input| token(input, "007"),
    seeds: || seeds("007"),
    bytes_max: 6_000,
    memory_max: Some(memory),
};

pub(super) const TOKEN_LEGACY: Target = Target {
    name: "token_legacy",
    run: |input| token(input, "1:"),
    seeds: || seeds("1:"),
    bytes_max: 6_000,
    memory_max: Some(memory),
};

const APP: &str = "0123456789abcdef0123456789abcdef";
const CERTIFICATE: &str = "fedcba9876543210fedcba9876543210";
const NOW: u64 = 1_700_000_000;

/// Beside the bytes of the token: what a token may inflate to (8 KiB) in a buffer that doubles, the
/// tables of inflation (some 50 KiB), and here of deflation (some 300 KiB).
fn memory(bytes: usize) -> u64 {
    8 * bytes as u64 + 400 * 1_024
}

/// The first byte says whether the rest is the token or the content of one.
fn token(input: &[u8], format: &str) -> Answer {
    let Some((mode, rest)) = input.split_first() else {
        return Answer::of(0);
    };
    let text = match mode % 2 {
        0 => String::from_utf8_lossy(rest).into_owned(),
        _ => pack(format, rest),
    };
    let keys = AppKeys {
        app_id: APP,
        certificates: &[CERTIFICATE],
        jwt: None,
    };
    let mut policy = Policy::login();
    policy.legacy_signaling_tokens = true;
    let doors = [Door::Rtm, Door::Legacy, Door::Rest];
    let said = doors.map(
        |door| match check(door, &keys, &policy, "alice", NOW, &text) {
            Ok(_) => "granted",
            Err(refusal) => refusal.reason(),
        },
    );
    let looked_at = inspect(&text);
    let services = looked_at.as_ref().map_or(0, |_| 1);
    Answer::of((
        said,
        services,
        looked_at.err().map(|flaw| Answer::named(&flaw)),
    ))
}

fn pack(format: &str, content: &[u8]) -> String {
    match format {
        "007" => {
            let mut packer = ZlibEncoder::new(vec![], Compression::fast());
            packer.write_all(content).expect("memory takes it");
            format!(
                "007{}",
                STANDARD.encode(packer.finish().expect("memory takes it"))
            )
        }
        "006" => format!("006{APP}{}", STANDARD.encode(content)),
        _ => format!("1:{APP}:{}", String::from_utf8_lossy(content)),
    }
}

fn seeds(format: &str) -> Vec<Vec<u8>> {
    let text = include_str!("../../../../server/token/tests/vectors.json");
    let vectors: serde_json::Value = serde_json::from_str(text).expect("it is JSON");
    let vectors = vectors["vectors"].as_array().into_iter().flatten();
    let tokens = vectors.filter_map(|vector| vector["token"].as_str());
    let mut seeds = vec![];
    for token in tokens.filter(|token| token.starts_with(format) && token.len() < 3_000) {
        let mut whole = vec![0];
        whole.extend(token.as_bytes());
        seeds.push(whole);
        if let Some(content) = unpack(format, token) {
            let mut packed = vec![1];
            packed.extend(content);
            seeds.push(packed);
        }
    }
    seeds
}

fn unpack(format: &str, token: &str) -> Option<Vec<u8>> {
    match format {
        "007" => {
            let packed = STANDARD.decode(token.get(3..)?).ok()?;
            let mut content = vec![];
            let mut unpacker = flate2::write::ZlibDecoder::new(&mut content);
            unpacker.write_all(&packed).ok()?;
            unpacker.finish().ok()?;
            (content.len() < 5_000).then_some(content)
        }
        "006" => STANDARD.decode(token.get(35..)?).ok(),
        _ => Some(token.get(35..)?.as_bytes().to_vec()),
    }
}
