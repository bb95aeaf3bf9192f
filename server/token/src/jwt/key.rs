//! Keys that have signed JSON Web Tokens: secrets, public keys in PEM, key sets (JWKS).
//!
//! Invariant: a key has exactly one algorithm. What a token's header says about it is only
//! compared.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use rustls_pki_types::pem::{PemObject, SectionKind};
use serde_json::{Map, Value};
use sha2::Sha256;
use spki::der::Decode;
use spki::der::asn1::UintRef;
use spki::{ObjectIdentifier, SubjectPublicKeyInfoRef};

use super::json;

/// Shortest secret, in bytes: as long as what the hash gives. Source: RFC 7518, 3.2.
pub const SECRET_BYTES_MIN: usize = 32;

/// Longest secret, in bytes.
pub const SECRET_BYTES_MAX: usize = 1024;

/// Most keys of one set that are used.
pub const KEYS_MAX: usize = 64;

/// Longest key id, in bytes.
pub(crate) const KEY_ID_BYTES_MAX: usize = 256;

/// Sizes of RSA keys, in bits; what `ring` takes.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// How a token is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// HMAC with SHA-256.
    Hs256,
    /// RSA, PKCS #1 v1.5, with SHA-256.
    Rs256,
    /// ECDSA over P-256 with SHA-256.
    Es256,
    /// EdDSA over the curve Ed25519.
    EdDsa,
}

impl Algorithm {
    /// By the name in a header or in a key. `Ed25519` is the newer name of `EdDSA` over that curve
    /// (RFC 9864).
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "HS256" => Self::Hs256,
            "RS256" => Self::Rs256,
            "ES256" => Self::Es256,
            "EdDSA" | "Ed25519" => Self::EdDsa,
            _ => return None,
        })
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hs256 => "HS256",
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        })
    }
}

/// One key. `Debug` hides a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Key {
    pub(crate) id: Option<Box<str>>,
    material: Material,
}

#[derive(Clone, PartialEq, Eq)]
enum Material {
    Secret(Box<[u8]>),
    /// Modulus and exponent, big-endian, without zeros in front.
    Rsa(Box<[u8]>, Box<[u8]>),
    /// A point, uncompressed: 4, x, y.
    P256(Box<[u8; 65]>),
    Ed25519(Box<[u8; 32]>),
}

/// Why a key cannot be used. It never repeats a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KeyError(String);

fn fault<T>(text: impl Into<String>) -> Result<T, KeyError> {
    Err(KeyError(text.into()))
}

impl Key {
    /// A shared secret, for HS256.
    ///
    /// # Errors
    /// When it has fewer than [`SECRET_BYTES_MIN`] or more than [`SECRET_BYTES_MAX`] bytes.
    pub fn secret(secret: &[u8]) -> Result<Self, KeyError> {
        let bytes = secret.len();
        if !(SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&bytes) {
            return fault(format!(
                "the secret has {bytes} bytes; HS256 takes {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX}"
            ));
        }
        Ok(Self::of(Material::Secret(secret.into())))
    }

    fn of(material: Material) -> Self {
        Self { id: None, material }
    }

    /// The keys of a PEM text: one `PUBLIC KEY` block or more.
    ///
    /// # Errors
    /// When there is none, or another kind of block, or a key of another kind or size.
    pub fn from_pem(text: &str) -> Result<Vec<Self>, KeyError> {
        let mut keys = Vec::new();
        for block in <(SectionKind, Vec<u8>)>::pem_slice_iter(text.as_bytes()) {
            let (kind, der) = block.map_err(|error| KeyError(format!("no PEM: {error}")))?;
            match kind {
                SectionKind::PublicKey => keys.push(Self::from_spki(&der)?),
                SectionKind::Certificate => {
                    return fault(
                        "it is a certificate; extract the public key: openssl x509 -pubkey -noout",
                    );
                }
                SectionKind::PrivateKey
                | SectionKind::RsaPrivateKey
                | SectionKind::EcPrivateKey => {
                    return fault(
                        "it is a private key, which stays with whoever signs; give the public one: \
                         openssl pkey -pubout",
                    );
                }
                _ => return fault("a block is no PUBLIC KEY"),
            }
        }
        match keys.len() {
            0 => fault("there is no block BEGIN PUBLIC KEY in it"),
            1..=KEYS_MAX => Ok(keys),
            count => fault(format!("it has {count} keys, more than {KEYS_MAX}")),
        }
    }

    fn from_spki(der: &[u8]) -> Result<Self, KeyError> {
        const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
        const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
        const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
        const ED25519_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
        let broken = |_| KeyError("the public key's DER is damaged".into());
        let info = SubjectPublicKeyInfoRef::from_der(der).map_err(broken)?;
        let bits = info.subject_public_key.raw_bytes();
        match info.algorithm.oid {
            RSA => {
                let [n, e] = <[UintRef<'_>; 2]>::from_der(bits).map_err(broken)?;
                rsa(n.as_bytes(), e.as_bytes()).map(Self::of)
            }
            EC if info.algorithm.parameters_oid() == Ok(P256) => p256(bits).map(Self::of),
            EC => fault("the elliptic curve is not P-256, so it is no key for ES256"),
            ED25519_KEY => ed25519(bits).map(Self::of),
            other => fault(format!(
                "keys of kind {other} are not for RS256, ES256 or EdDSA"
            )),
        }
    }

    /// One member of a key set.
    ///
    /// # Errors
    /// Why it is not for signatures that we check.
    fn from_jwk(jwk: &Map<String, Value>) -> Result<Self, KeyError> {
        let text = |name: &str| match jwk.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(_) => fault(format!("{name} is no text")),
        };
        if jwk.contains_key("d") {
            return fault("it shows its private part, so anybody can sign with it");
        }
        if text("use")?.is_some_and(|purpose| purpose != "sig") {
            return fault("it is not for signatures");
        }
        if let Some(operations) = jwk.get("key_ops") {
            let list = operations.as_array();
            if !list.is_some_and(|list| list.iter().any(|one| one == "verify")) {
                return fault("its key_ops lack verify");
            }
        }
        let bytes = |name: &str| match text(name)?.map(|text| URL_SAFE_NO_PAD.decode(text)) {
            Some(Ok(bytes)) => Ok(bytes),
            _ => fault(format!("{name} is missing, or no base64url")),
        };
        let material = match (text("kty")?, text("crv")?) {
            (Some("RSA"), _) => rsa(trimmed(&bytes("n")?), trimmed(&bytes("e")?))?,
            (Some("EC"), Some("P-256")) => p256(&[&[4][..], &bytes("x")?, &bytes("y")?].concat())?,
            (Some("OKP"), Some("Ed25519")) => ed25519(&bytes("x")?)?,
            (Some("oct"), _) => return fault("a set of public keys must not hold a secret"),
            (kind, curve) => {
                let (kind, curve) = (kind.unwrap_or("none"), curve.unwrap_or("none"));
                return fault(format!(
                    "kty {kind:.32?} with crv {curve:.32?} is not known"
                ));
            }
        };
        let id = text("kid")?.map(Box::from);
        let key = Self { id, material };
        if key
            .id
            .as_ref()
            .is_some_and(|id| id.len() > KEY_ID_BYTES_MAX)
        {
            return fault(format!("its kid has more than {KEY_ID_BYTES_MAX} bytes"));
        }
        match text("alg")? {
            Some(name) if Algorithm::named(name) != Some(key.algorithm()) => {
                fault(format!("its alg is {name:.32?}, not {}", key.algorithm()))
            }
            _ => Ok(key),
        }
    }

    /// The one algorithm of this key.
    pub fn algorithm(&self) -> Algorithm {
        match self.material {
            Material::Secret(_) => Algorithm::Hs256,
            Material::Rsa(..) => Algorithm::Rs256,
            Material::P256(_) => Algorithm::Es256,
            Material::Ed25519(_) => Algorithm::EdDsa,
        }
    }

    /// The name by which a token asks for it; `None` for keys that stand alone.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// Whether it has made this signature. Secrets are compared in constant time.
    pub(crate) fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Secret(secret) => {
                let mac = Hmac::<Sha256>::new_from_slice(secret);
                let mut mac = mac.expect("HMAC takes keys of any length");
                mac.update(message);
                mac.verify_slice(signature).is_ok()
            }
            Material::Rsa(n, e) => RsaPublicKeyComponents { n, e }
                .verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
                .is_ok(),
            Material::P256(point) => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &point[..])
                .verify(message, signature)
                .is_ok(),
            Material::Ed25519(point) => UnparsedPublicKey::new(&ED25519, &point[..])
                .verify(message, signature)
                .is_ok(),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} key {:?}", self.algorithm(), self.id)
    }
}

/// Some sets have zeros in front of a number.
fn trimmed(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

fn rsa(n: &[u8], e: &[u8]) -> Result<Material, KeyError> {
    let bits = n.len() * 8 - n.first().map_or(0, |first| first.leading_zeros() as usize);
    if !RSA_BITS.contains(&bits) {
        let (least, most) = (RSA_BITS.start(), RSA_BITS.end());
        return fault(format!(
            "the RSA key has {bits} bits; RS256 takes {least} to {most}"
        ));
    }
    let is_odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
    if !is_odd(n) || !is_odd(e) || e == [1] || e.len() > 4 {
        return fault("the RSA key's modulus or exponent is none");
    }
    Ok(Material::Rsa(n.into(), e.into()))
}

fn p256(point: &[u8]) -> Result<Material, KeyError> {
    match <[u8; 65]>::try_from(point) {
        Ok(point) if point[0] == 4 => Ok(Material::P256(Box::new(point))),
        _ => fault("the P-256 key is no uncompressed point of 32 and 32 bytes"),
    }
}

fn ed25519(point: &[u8]) -> Result<Material, KeyError> {
    match <[u8; 32]>::try_from(point) {
        Ok(point) => Ok(Material::Ed25519(Box::new(point))),
        Err(_) => fault(format!("the Ed25519 key has {} bytes, not 32", point.len())),
    }
}

/// What was read from a key set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeySet {
    /// Those that can be used.
    pub keys: Vec<Key>,
    /// Why others are not used, each with its id or number. Bound: as many as the text holds.
    pub unused: Vec<String>,
}

impl KeySet {
    /// Reads a JSON Web Key Set (RFC 7517). Keys of kinds that we do not know are passed over, as
    /// the format asks for.
    ///
    /// # Errors
    /// When the text is no key set, or none of its keys can be used, or more than [`KEYS_MAX`].
    pub fn parse(text: &[u8]) -> Result<Self, KeyError> {
        let object =
            json::object(text).map_err(|error| KeyError(format!("no key set: {error}")))?;
        let Some(Value::Array(members)) = object.get("keys") else {
            return fault("no key set: it has no list `keys`");
        };
        let mut set = Self::default();
        for (number, member) in (1..).zip(members) {
            let key = match member.as_object() {
                Some(jwk) => Key::from_jwk(jwk),
                None => fault("it is no object"),
            };
            match key {
                Ok(key) => set.keys.push(key),
                Err(error) => {
                    let id = member.get("kid").and_then(Value::as_str);
                    let name = id.map_or(number.to_string(), |id| format!("{id:.64?}"));
                    set.unused.push(format!("key {name}: {error}"));
                }
            }
        }
        match (set.keys.len(), set.unused.first()) {
            (0, Some(why)) => fault(format!("no key of the set can be used; {why}")),
            (0, None) => fault("the key set is empty"),
            (count, _) if count > KEYS_MAX => {
                fault(format!("the set has {count} keys, more than {KEYS_MAX}"))
            }
            _ => Ok(set),
        }
    }
}
