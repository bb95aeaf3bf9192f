//! Every vector of `spec/jwt-vectors.json`, which `make_jwt_vectors.mjs` makes with Node.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use tidings_token::jwt::{Key, KeyError, KeySet, Rules, Verifier};
use tidings_token::{
    AppKeys, Door, Flaw, Format, Granted, Policy, Refusal, Rights, check, inspect,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    vectors: Vec<Vector>,
    refused_keys: Vec<RefusedKeys>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Vector {
    name: String,
    app_id: String,
    user: String,
    now: u64,
    keys: Keys,
    rules: RulesEntry,
    token: String,
    expect: String,
    expires_at: Option<u64>,
    rights: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RefusedKeys {
    name: String,
    keys: Keys,
    told: String,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Keys {
    secrets: Vec<String>,
    secret_base64url: Option<String>,
    pem: Option<String>,
    jwks: Option<String>,
}

impl Keys {
    fn read(&self) -> Result<Vec<Key>, KeyError> {
        let mut keys = Vec::new();
        for secret in &self.secrets {
            keys.push(Key::secret(secret.as_bytes())?);
        }
        if let Some(secret) = &self.secret_base64url {
            keys.push(Key::secret(
                &URL_SAFE_NO_PAD.decode(secret).expect("base64url"),
            )?);
        }
        if let Some(pem) = &self.pem {
            keys.extend(Key::from_pem(pem)?);
        }
        if let Some(jwks) = &self.jwks {
            keys.extend(KeySet::parse(jwks.as_bytes())?.keys);
        }
        Ok(keys)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RulesEntry {
    issuers: Vec<String>,
    audiences: Vec<String>,
    user_claim: String,
    rights_claim: String,
    app_claim: String,
    require_app: bool,
    leeway_s: u64,
    lifetime_max_s: u64,
}

impl Default for RulesEntry {
    fn default() -> Self {
        let of = Rules::default();
        Self {
            issuers: of.issuers,
            audiences: of.audiences,
            user_claim: of.user_claim,
            rights_claim: of.rights_claim,
            app_claim: of.app_claim,
            require_app: of.requires_app,
            leeway_s: of.leeway_s,
            lifetime_max_s: of.lifetime_max_s,
        }
    }
}

impl Vector {
    fn verifier(&self) -> Verifier {
        let keys = self.keys.read();
        Verifier {
            keys: keys.unwrap_or_else(|error| panic!("{}: {error}", self.name)),
            rules: Rules {
                issuers: self.rules.issuers.clone(),
                audiences: self.rules.audiences.clone(),
                user_claim: self.rules.user_claim.clone(),
                rights_claim: self.rules.rights_claim.clone(),
                app_claim: self.rules.app_claim.clone(),
                requires_app: self.rules.require_app,
                leeway_s: self.rules.leeway_s,
                lifetime_max_s: self.rules.lifetime_max_s,
            },
        }
    }

    fn check_at(&self, door: Door) -> Result<Granted, Refusal> {
        let verifier = self.verifier();
        let keys = AppKeys {
            app_id: &self.app_id,
            certificates: &[],
            jwt: Some(&verifier),
        };
        let policy = Policy::login();
        check(door, &keys, &policy, &self.user, self.now, &self.token)
    }
}

fn file() -> File {
    let text = include_str!("../../../spec/jwt-vectors.json");
    serde_json::from_str(text).expect("the vectors are JSON")
}

fn vector(name: &str) -> Vector {
    let mut vectors = file().vectors.into_iter();
    let found = vectors.find(|vector| vector.name == name);
    found.unwrap_or_else(|| panic!("no vector {name}"))
}

#[test]
fn every_vector_gives_its_result_at_every_door() {
    let mut wrong = Vec::new();
    let vectors = file().vectors;
    assert!(vectors.len() > 130, "{}", vectors.len());
    for vector in vectors {
        for door in [Door::Rtm, Door::Legacy, Door::Rest] {
            let result = vector.check_at(door);
            let reason = result.as_ref().map_or_else(Refusal::reason, |_| "ok");
            let expires_at = match &result {
                Ok(granted) => Some(granted.expires_at_unix_s),
                Err(Refusal::Expired { at_unix_s, .. }) => Some(*at_unix_s),
                Err(_) => None,
            };
            let rights = match result.as_ref().map(|granted| &granted.rights) {
                Ok(Rights::Rtm2(list)) => Some(list.to_string()),
                _ => None,
            };
            let is_timed = reason == "ok" || reason == "expired";
            let as_expected = reason == vector.expect
                && (!is_timed || expires_at == vector.expires_at)
                && rights == vector.rights;
            if !as_expected {
                wrong.push(format!(
                    "{}: {result:?}, not {}",
                    vector.name, vector.expect
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_key_that_is_not_for_us_is_told() {
    for RefusedKeys { name, keys, told } in file().refused_keys {
        let error = keys.read().expect_err(&name).to_string();
        assert!(error.contains(&told), "{name}: {error}");
    }
}

#[test]
fn no_message_repeats_the_token_or_a_secret() {
    for vector in file().vectors {
        let Err(refusal) = vector.check_at(Door::Rtm) else {
            continue;
        };
        let text = format!(
            "{refusal} {refusal:?} {} {:?}",
            refusal.hint(),
            vector.verifier()
        );
        let signature = vector.token.rsplit('.').next().unwrap_or_default();
        assert!(signature.len() < 20 || !text.contains(signature), "{text}");
        for secret in &vector.keys.secrets {
            assert!(!text.contains(secret), "{text}");
        }
        assert!(text.len() < 2_000, "{}: {text}", vector.name);
    }
}

#[test]
fn an_app_without_keys_for_it_says_so() {
    let vector = vector("hs256");
    let keys = AppKeys {
        app_id: &vector.app_id,
        certificates: &["fedcba9876543210fedcba9876543210"],
        jwt: None,
    };
    let refused = check(
        Door::Rtm,
        &keys,
        &Policy::login(),
        "alice",
        vector.now,
        &vector.token,
    );
    let format = Format::Jwt;
    let door = Door::Rtm;
    assert_eq!(
        refused,
        Err(Refusal::Malformed(Flaw::FormatRefused { format, door }))
    );
}

#[test]
fn a_token_is_named_by_its_jti_or_by_what_is_signed() {
    let id = |name: &str| vector(name).check_at(Door::Rtm).expect("good").id;
    assert_eq!(id("jti"), tidings_token::TokenId::of_jti("one"));
    assert_ne!(id("hs256"), id("hs256_without_typ"));
    let jti = vector("jti");
    assert_eq!(inspect(&jti.token).expect("readable").id, id("jti"));

    // Of an ES256 signature (r, s), (r, n - s) is another: revoking by signature would not hold.
    let es = vector("es256_pem");
    let (signed, signature) = es.token.rsplit_once('.').expect("three parts");
    let mut bytes = URL_SAFE_NO_PAD.decode(signature).expect("base64url");
    const ORDER: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc,
        0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];
    let mut borrow = 0i16;
    for at in (0..32).rev() {
        let digit = i16::from(ORDER[at]) - i16::from(bytes[32 + at]) - borrow;
        borrow = i16::from(digit < 0);
        bytes[32 + at] = u8::try_from(digit.rem_euclid(256)).expect("a byte");
    }
    let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(&bytes));
    let again = Vector {
        token,
        ..vector("es256_pem")
    };
    assert_ne!(again.token, es.token);
    let granted = again.check_at(Door::Rtm).expect("a second signature");
    assert_eq!(granted.id, id("es256_pem"));
}

#[test]
fn a_token_is_described_without_a_key() {
    let told = inspect(&vector("rs256_by_kid").token).expect("readable");
    assert_eq!(told.format, Format::Jwt);
    assert_eq!(told.issued_at_unix_s, Some(1_699_999_940));
    assert_eq!(told.expires_at_unix_s, 1_700_003_600);
    let text = told.to_string();
    for part in ["RS256", "rsa-1", "sub: \"alice\"", "not checked"] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert!(inspect(&vector("alg_none").token).is_err());
}
