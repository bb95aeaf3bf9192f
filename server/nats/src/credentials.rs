//! Who we are to a server.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::{KeyPair, KeyPairType};

/// Longest credentials file that is read, in bytes. Source: ours; a real one has about 1,500.
pub const FILE_BYTES_MAX: usize = 64 * 1024;

/// Who we are to a server. Its `Debug` tells no secret.
#[derive(Clone, Default)]
pub enum Credentials {
    /// Nobody in particular.
    #[default]
    None,
    /// A user and a password.
    Password {
        /// The user's name.
        user: String,
        /// What the server knows as that user's password.
        password: String,
    },
    /// A token that all clients share; the server's `authorization` has it.
    Token(String),
    /// A user's key, which the server's configuration names.
    Nkey(KeyPair),
    /// A user's JWT, signed by an account, and the key it was made for.
    Jwt {
        /// The JWT.
        jwt: String,
        /// The user's key.
        key: KeyPair,
    },
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({})", self.kind())
    }
}

/// Why a file holds no credentials. None of them quotes the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// It is too long to be one.
    #[error("it has {0} bytes, more than the {FILE_BYTES_MAX} of any credentials file")]
    Length(usize),
    /// It has neither a JWT nor a seed.
    #[error("it has no user's JWT and no seed of a user's key (which begins with SU)")]
    Nothing,
    /// It has a JWT, but not the key that belongs to it.
    #[error("it has a user's JWT, but no seed of the user's key (which begins with SU)")]
    NoSeed,
    /// A seed is damaged.
    #[error("the seed of the key is damaged: {0}")]
    Seed(String),
    /// A seed is one of an account, an operator, or a server.
    #[error("the seed is not a user's: it begins with {0:?}, a user's with \"SU\"")]
    NotAUser(String),
}

impl CredentialsError {
    /// What to do: one imperative sentence.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::NotAUser(_) => {
                "make a key for a user with `nk -gen user`, or a file with `nsc generate creds`"
            }
            _ => "make the file again with `nsc generate creds`, or put a user's nkey seed into it",
        }
    }
}

impl Credentials {
    /// Reads a file: a `.creds` file with a JWT and a seed, or a seed alone.
    ///
    /// # Errors
    /// [`CredentialsError`]
    pub fn parse(file: &str) -> Result<Self, CredentialsError> {
        if file.len() > FILE_BYTES_MAX {
            return Err(CredentialsError::Length(file.len()));
        }
        let jwt = section(file, "USER JWT");
        let seed = section(file, "NKEY SEED").or_else(|| {
            // A file with nothing but a seed, and perhaps comments.
            let mut lines = file.lines().map(str::trim);
            lines.find(|line| is_seed(line))
        });
        match (jwt, seed) {
            (Some(jwt), Some(seed)) => Ok(Self::Jwt {
                jwt: jwt.to_owned(),
                key: user_key(seed)?,
            }),
            (None, Some(seed)) => Ok(Self::Nkey(user_key(seed)?)),
            (Some(_), None) => Err(CredentialsError::NoSeed),
            (None, None) => Err(CredentialsError::Nothing),
        }
    }

    /// What they are, for a message.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::None => "no credentials",
            Self::Password { .. } => "a user and a password",
            Self::Token(_) => "a token",
            Self::Nkey(_) => "an nkey",
            Self::Jwt { .. } => "a JWT of a credentials file",
        }
    }

    /// Whether they sign what a server gives them.
    pub(crate) fn signs(&self) -> bool {
        matches!(self, Self::Nkey(_) | Self::Jwt { .. })
    }

    /// The signature of a server's nonce, in base64url.
    pub(crate) fn sign(&self, nonce: &str) -> Option<String> {
        let (Self::Nkey(key) | Self::Jwt { key, .. }) = self else {
            return None;
        };
        let signature = key.sign(nonce.as_bytes()).expect("the key has its seed");
        Some(URL_SAFE_NO_PAD.encode(signature))
    }
}

fn user_key(seed: &str) -> Result<KeyPair, CredentialsError> {
    let key =
        KeyPair::from_seed(seed).map_err(|error| CredentialsError::Seed(error.to_string()))?;
    if key.key_pair_type() != KeyPairType::User {
        let beginning = seed.chars().take(2).collect();
        return Err(CredentialsError::NotAUser(beginning));
    }
    Ok(key)
}

fn is_seed(line: &str) -> bool {
    let is_base32 = |byte: u8| byte.is_ascii_uppercase() || (b'2'..=b'7').contains(&byte);
    line.len() == 58 && line.starts_with('S') && line.bytes().all(is_base32)
}

/// The first line with something in it between the lines that begin and end a section, each of
/// which has at least three dashes on both sides.
fn section<'a>(file: &'a str, name: &str) -> Option<&'a str> {
    let is_fence = |line: &str| line.starts_with("---") && line.ends_with("---");
    let mut lines = file.lines().map(str::trim);
    lines.find(|line| is_fence(line) && line.contains("BEGIN") && line.contains(name))?;
    let content = lines.find(|line| !line.is_empty())?;
    (!is_fence(content)).then_some(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A user's key that belongs to nobody.
    fn key() -> KeyPair {
        KeyPair::new_from_raw(KeyPairType::User, [7; 32]).expect("a key")
    }

    fn creds(seed: &str) -> String {
        format!(
            "-----BEGIN NATS USER JWT-----\r\neyJ0.eyJz.sig-_\r\n\
             ------END NATS USER JWT------\r\n\r\n\
             ************************* IMPORTANT *************************\r\n\
             NKEY Seed printed below can be used to sign and prove identity.\r\n\r\n\
             -----BEGIN USER NKEY SEED-----\r\n{seed}\r\n------END USER NKEY SEED------\r\n"
        )
    }

    #[test]
    fn files_of_both_kinds_are_read() {
        let seed = key().seed().expect("it has one");
        let Ok(Credentials::Jwt { jwt, key: read }) = Credentials::parse(&creds(&seed)) else {
            panic!("a JWT and a key");
        };
        assert_eq!(
            (jwt.as_str(), read.public_key()),
            ("eyJ0.eyJz.sig-_", key().public_key())
        );
        for file in [seed.clone(), format!("# node 1\n  {seed}  \n")] {
            let read = Credentials::parse(&file).expect("a key");
            assert_eq!(read.kind(), "an nkey");
            let signed = read.sign("nonce").expect("a signature");
            let signed = URL_SAFE_NO_PAD.decode(signed).expect("base64url");
            key()
                .verify(b"nonce", &signed)
                .expect("the key's signature");
        }
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_without_quoting_it() {
        let seed = key().seed().expect("it has one");
        let account = KeyPair::new_from_raw(KeyPairType::Account, [7; 32]).expect("a key");
        let account = account.seed().expect("it has one");
        let damaged = format!("{}A", &seed[..57]);
        let damaged = if damaged == seed {
            format!("{}B", &seed[..57])
        } else {
            damaged
        };
        let cut = creds(&seed);
        let cut = cut.split_once("-----BEGIN USER").expect("two sections").0;
        assert_eq!(
            Credentials::parse("").err(),
            Some(CredentialsError::Nothing)
        );
        assert_eq!(
            Credentials::parse("user:password").err(),
            Some(CredentialsError::Nothing)
        );
        assert_eq!(
            Credentials::parse(cut).err(),
            Some(CredentialsError::NoSeed)
        );
        assert_eq!(
            Credentials::parse(&creds(&account)).err(),
            Some(CredentialsError::NotAUser("SA".into()))
        );
        for file in [damaged.clone(), creds(&damaged), creds("SUAB"), creds("ü")] {
            let error = Credentials::parse(&file).err();
            assert!(
                matches!(error, Some(CredentialsError::Seed(_))),
                "{error:?}"
            );
            let text = error
                .map(|error| format!("{error} {error:?}"))
                .unwrap_or_default();
            assert!(!text.contains(&damaged), "{text}");
        }
        let long = "x".repeat(FILE_BYTES_MAX + 1);
        assert_eq!(
            Credentials::parse(&long).err(),
            Some(CredentialsError::Length(long.len()))
        );
    }

    #[test]
    fn debug_tells_no_secret() {
        let seed = key().seed().expect("it has one");
        let all = [
            Credentials::Password {
                user: "u".into(),
                password: "hunter2".into(),
            },
            Credentials::Token("hunter2".into()),
            Credentials::parse(&seed).expect("a key"),
            Credentials::parse(&creds(&seed)).expect("a key"),
        ];
        let text = format!("{all:?}");
        assert!(!text.contains("hunter2") && !text.contains(&seed) && !text.contains("eyJ0"));
    }
}
