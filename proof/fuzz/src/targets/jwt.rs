//! JSON Web Tokens of strangers: as text, and with claims that a key has signed; and the key sets
//! of others.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use serde_json::Value;
use sha2::Sha256;
use tidings_token::jwt::{Key, KeySet, Rules, Verifier};
use tidings_token::{AppKeys, Door, Policy, check, inspect};

use crate::target::{Answer, Target};

pub(super) const TOKEN_JWT: Target = Target {
    name: "token_jwt",
    run: token,
    seeds: token_seeds,
    bytes_max: 6_000,
    memory_max: Some(memory),
};

pub(super) const JWT_KEYS: Target = Target {
    name: "jwt_keys",
    run: keys,
    seeds: key_seeds,
    bytes_max: 70_000,
    memory_max: Some(memory),
};

const APP: &str = "0123456789abcdef0123456789abcdef";
const SECRET: &[u8] = b"a secret of the backend, with 41 bytes in";
const NOW: u64 = 1_700_000_000;

/// A JSON value of one character, such as `1` in a list, occupies 32 bytes, in a list that doubles;
/// an object's entry some 200 of which a page is taken at once.
fn memory(bytes: usize) -> u64 {
    200 * bytes as u64 + 64 * 1_024
}

/// The first byte says whether the rest is the token, its claims, or its header and claims.
fn token(input: &[u8]) -> Answer {
    let Some((mode, rest)) = input.split_first() else {
        return Answer::of(0);
    };
    let text = match mode % 3 {
        0 => String::from_utf8_lossy(rest).into_owned(),
        1 => signed(br#"{"alg":"HS256"}"#, rest),
        _ => {
            let mut parts = rest.splitn(2, |byte| *byte == 0);
            signed(
                parts.next().unwrap_or_default(),
                parts.next().unwrap_or_default(),
            )
        }
    };
    let verifier = Verifier {
        keys: vec![Key::secret(SECRET).expect("long enough")],
        rules: Rules::default(),
    };
    let keys = AppKeys {
        app_id: APP,
        certificates: &[],
        jwt: Some(&verifier),
    };
    let granted = check(Door::Rtm, &keys, &Policy::login(), "alice", NOW, &text);
    if let Ok(granted) = &granted {
        let end = granted.expires_at_unix_s;
        assert!(NOW < end && end <= NOW + 86_400 + 60, "it ends at {end}");
    }
    let looked_at = inspect(&text);
    assert!(
        looked_at.is_ok() || granted.is_err(),
        "what is granted can be read"
    );
    let said = granted.err().map(|refusal| Answer::named(&refusal));
    Answer::of((said, looked_at.err().map(|flaw| Answer::named(&flaw))))
}

fn signed(header: &[u8], claims: &[u8]) -> String {
    let encode = |bytes| URL_SAFE_NO_PAD.encode(bytes);
    let text = format!("{}.{}", encode(header), encode(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET).expect("HMAC takes any key");
    mac.update(text.as_bytes());
    format!(
        "{text}.{}",
        URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
    )
}

fn keys(input: &[u8]) -> Answer {
    let set = KeySet::parse(input).map(|set| (set.keys.len().min(3), set.unused.len().min(3)));
    let pem = std::str::from_utf8(input).ok().map(Key::from_pem);
    let pem = pem.map(|keys| {
        keys.map(|keys| keys.len())
            .map_err(|error| Answer::named(&error))
    });
    Answer::of((set.map_err(|error| Answer::named(&error)), pem))
}

fn vectors(of: &str) -> Vec<Value> {
    let text = include_str!("../../../../spec/jwt-vectors.json");
    let mut vectors: Value = serde_json::from_str(text).expect("it is JSON");
    match vectors[of].take() {
        Value::Array(list) => list,
        _ => vec![],
    }
}

fn token_seeds() -> Vec<Vec<u8>> {
    let mut seeds = vec![];
    for vector in vectors("vectors") {
        let token = vector["token"].as_str().unwrap_or_default();
        seeds.push([&[0], token.as_bytes()].concat());
        let parts: Vec<_> = token
            .split('.')
            .map(|part| URL_SAFE_NO_PAD.decode(part))
            .collect();
        if let [Ok(header), Ok(claims), ..] = &parts[..] {
            seeds.push([&[1], &claims[..]].concat());
            seeds.push([&[2], &header[..], &[0], claims].concat());
        }
    }
    seeds
}

fn key_seeds() -> Vec<Vec<u8>> {
    let all = [vectors("vectors"), vectors("refused_keys")].concat();
    let texts = all.iter().flat_map(|vector| {
        let keys = &vector["keys"];
        [keys["jwks"].as_str(), keys["pem"].as_str()]
    });
    let mut seeds: Vec<_> = texts
        .flatten()
        .map(|text| text.as_bytes().to_vec())
        .collect();
    seeds.sort();
    seeds.dedup();
    seeds
}
