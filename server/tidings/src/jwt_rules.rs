//! An app's keys and rules for JSON Web Tokens: the table `jwt` of its entry in `apps.toml`.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize};
use tidings_server::{JwtLogins, KeySource, check_key_url};
use tidings_token::jwt::{KEYS_MAX, Key, KeyError, KeySet, LEEWAY_S_MAX, Rules};

use crate::failure::Failure;
use crate::input;
use crate::settings::values::Span;
use crate::words::{between_commas, nearest};

/// What the names of these settings begin with on the command line.
pub(crate) const PREFIX: &str = "jwt.";

/// Most secrets or public keys that stand in the file itself.
const OWN_MAX: usize = 8;
/// Most issuers or audiences.
const NAMES_MAX: usize = 32;
/// Longest lifetime that can be asked for, in seconds: ten years.
const LIFETIME_S_MAX: u64 = 10 * 365 * 86_400;
/// Largest file of keys, in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// The table, as in the file. `Debug` is left out, as it holds secrets.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct JwtEntry {
    /// Shared secrets for HS256, the newer first.
    #[serde(
        deserialize_with = "one_or_more",
        skip_serializing_if = "Vec::is_empty"
    )]
    secrets: Vec<String>,
    /// Public keys, each as PEM.
    #[serde(
        deserialize_with = "one_or_more",
        skip_serializing_if = "Vec::is_empty"
    )]
    public_keys: Vec<String>,
    /// Files with public keys as PEM.
    #[serde(
        deserialize_with = "one_or_more",
        skip_serializing_if = "Vec::is_empty"
    )]
    public_key_files: Vec<String>,
    /// A file with a key set.
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks_file: Option<PathBuf>,
    /// Where a key set is fetched.
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks_url: Option<String>,
    /// Whether that may be `http://`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    jwks_allow_http: bool,
    /// PEM file of the authorities that are trusted there.
    #[serde(skip_serializing_if = "Option::is_none")]
    jwks_authorities: Option<PathBuf>,
    #[serde(
        deserialize_with = "one_or_more",
        skip_serializing_if = "Vec::is_empty"
    )]
    issuers: Vec<String>,
    #[serde(
        deserialize_with = "one_or_more",
        skip_serializing_if = "Vec::is_empty"
    )]
    audiences: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_claim: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rights_claim: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    app_claim: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    require_app: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    leeway_s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lifetime_max_s: Option<u64>,
}

/// All settings by name.
const NAMES: [&str; 15] = [
    "secrets",
    "public_keys",
    "public_key_files",
    "jwks_file",
    "jwks_url",
    "jwks_allow_http",
    "jwks_authorities",
    "issuers",
    "audiences",
    "user_claim",
    "rights_claim",
    "app_claim",
    "require_app",
    "leeway_s",
    "lifetime_max_s",
];

/// One text, or a list of them. Its error, unlike serde's own, does not repeat what stands there,
/// which may be a secret.
fn one_or_more<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Given {
        One(String),
        More(Vec<String>),
    }
    match Given::deserialize(from) {
        Ok(Given::One(one)) => Ok(vec![one]),
        Ok(Given::More(list)) => Ok(list),
        Err(_) => Err(serde::de::Error::custom(
            "it is no text and no list of texts",
        )),
    }
}

impl JwtEntry {
    /// As the server takes them. Reads the files that it names.
    pub(crate) fn logins(&self) -> Result<JwtLogins, Failure> {
        let source = self.source()?;
        let keys = self.keys()?;
        if keys.is_empty() && source.is_none() {
            return Err(Failure::new(
                "jwt has no key, so that it would let nobody in",
                "set one of jwt.secrets, jwt.public_keys, jwt.public_key_files, jwt.jwks_file, \
                 jwt.jwks_url",
            ));
        }
        let loaded = match &source {
            Some(KeySource::File(path)) => read_key_set(path)?.keys,
            _ => Vec::new(),
        };
        let mut logins = JwtLogins::new(keys, self.rules()?, source);
        logins.load(loaded);
        Ok(logins)
    }

    fn keys(&self) -> Result<Vec<Key>, Failure> {
        let mut keys = Vec::new();
        for (name, list) in [
            ("secrets", &self.secrets),
            ("public_keys", &self.public_keys),
            ("public_key_files", &self.public_key_files),
        ] {
            within(name, list.len(), OWN_MAX)?;
        }
        for secret in &self.secrets {
            let key = Key::secret(secret.as_bytes());
            keys.push(key.map_err(|error| unusable("jwt.secrets", &error))?);
        }
        for pem in &self.public_keys {
            let some = Key::from_pem(pem);
            keys.extend(some.map_err(|error| unusable("jwt.public_keys", &error))?);
        }
        for path in self.public_key_files.iter().map(Path::new) {
            let text = read_file("public_key_files", path)?;
            let some = Key::from_pem(&text);
            keys.extend(some.map_err(|error| unusable(&path.display().to_string(), &error))?);
        }
        within("keys", keys.len(), KEYS_MAX)?;
        Ok(keys)
    }

    fn source(&self) -> Result<Option<KeySource>, Failure> {
        match (&self.jwks_file, &self.jwks_url) {
            (Some(_), Some(_)) => Err(Failure::new(
                "jwt has both jwks_file and jwks_url",
                "keep one of them; the other back to its default: jwt.jwks_file=default",
            )),
            (Some(path), None) => Ok(Some(KeySource::File(path.clone()))),
            (None, Some(url)) => {
                check_key_url(url, self.jwks_allow_http).map_err(|why| {
                    Failure::new(
                        format!("setting jwt.jwks_url cannot be {url:?}: {why}"),
                        "give the address of a JSON Web Key Set, for example \
                         https://login.example.org/.well-known/jwks.json; http needs jwt.jwks_allow_http=true",
                    )
                })?;
                if let Some(path) = &self.jwks_authorities {
                    read_file("jwks_authorities", path)?;
                }
                Ok(Some(KeySource::Url {
                    url: url.clone(),
                    authorities: self.jwks_authorities.clone(),
                }))
            }
            (None, None) => Ok(None),
        }
    }

    fn rules(&self) -> Result<Rules, Failure> {
        let default = Rules::default();
        within("issuers", self.issuers.len(), NAMES_MAX)?;
        within("audiences", self.audiences.len(), NAMES_MAX)?;
        let claim = |name: &str, given: &Option<String>, default: String, may_be_empty: bool| {
            let text = given.clone().unwrap_or(default);
            match text.len() {
                0 if !may_be_empty => Err(Failure::new(
                    format!("setting jwt.{name} is empty"),
                    "give the name of a claim, or a path such as chat.user",
                )),
                0..=128 => Ok(text),
                bytes => Err(Failure::new(
                    format!("setting jwt.{name} has {bytes} bytes"),
                    "give at most 128",
                )),
            }
        };
        let at_most = |name: &str, given: Option<u64>, default: u64, max: u64| match given {
            Some(number) if number > max => Err(Failure::new(
                format!("setting jwt.{name} cannot be {number}"),
                format!("give seconds, 0 to {max}"),
            )),
            given => Ok(given.unwrap_or(default)),
        };
        let app_claim = claim("app_claim", &self.app_claim, default.app_claim, true)?;
        if self.require_app && app_claim.is_empty() {
            return Err(Failure::new(
                "jwt.require_app is true, and jwt.app_claim is empty",
                "name the claim that holds the app id",
            ));
        }
        Ok(Rules {
            issuers: self.issuers.clone(),
            audiences: self.audiences.clone(),
            user_claim: claim("user_claim", &self.user_claim, default.user_claim, false)?,
            rights_claim: claim(
                "rights_claim",
                &self.rights_claim,
                default.rights_claim,
                false,
            )?,
            app_claim,
            requires_app: self.require_app,
            leeway_s: at_most("leeway_s", self.leeway_s, default.leeway_s, LEEWAY_S_MAX)?,
            lifetime_max_s: at_most(
                "lifetime_max_s",
                self.lifetime_max_s,
                default.lifetime_max_s,
                LIFETIME_S_MAX,
            )?,
        })
    }

    /// Sets one setting, or takes it back with `default`; `name` is without `jwt.`.
    pub(crate) fn set(&mut self, name: &str, text: &str) -> Result<(), Failure> {
        if !NAMES.contains(&name) {
            let meant = nearest(name, NAMES);
            let meant = meant.map(|known| format!("did you mean jwt.{known}? "));
            return Err(Failure::new(
                format!("there is no setting \"jwt.{name}\""),
                format!("{}they are {}", meant.unwrap_or_default(), NAMES.join(", ")),
            ));
        }
        let broken = || {
            Failure::new(
                // A secret is not repeated.
                match name {
                    "secrets" => "the value of jwt.secrets cannot be read".into(),
                    _ => format!("setting jwt.{name} cannot be {text:?}"),
                },
                match name {
                    "jwks_allow_http" | "require_app" => "give true or false",
                    "leeway_s" | "lifetime_max_s" => "give seconds, or a time such as 30s or 7d",
                    _ => "give a text, or a list in TOML: [\"one\", \"two\"]",
                },
            )
        };
        let mut table = toml::Table::try_from(&*self).map_err(|_| broken())?;
        match text {
            "default" => drop(table.remove(name)),
            text => drop(table.insert(name.into(), value(name, text).ok_or_else(broken)?)),
        }
        *self = table.try_into().map_err(|_| broken())?;
        Ok(())
    }

    /// Whether nothing is set.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The settings for `tidings app show`: secrets and keys are counted.
    pub(crate) fn shown(&self) -> Vec<(&'static str, toml::Value)> {
        let Ok(mut table) = toml::Table::try_from(self) else {
            return Vec::new();
        };
        for (name, list) in [
            ("secrets", &self.secrets),
            ("public_keys", &self.public_keys),
        ] {
            if !list.is_empty() {
                let count = i64::try_from(list.len()).unwrap_or(i64::MAX);
                table.insert(name.into(), count.into());
            }
        }
        let shown = NAMES.into_iter();
        shown
            .filter_map(|name| Some((name, table.remove(name)?)))
            .collect()
    }
}

/// A value as given on the command line.
fn value(name: &str, text: &str) -> Option<toml::Value> {
    let texts = |list: Vec<&str>| list.into_iter().map(toml::Value::from).collect();
    if text.starts_with('[') {
        return text
            .parse::<toml::Value>()
            .ok()
            .filter(toml::Value::is_array);
    }
    Some(match name {
        // Secrets may contain commas. On standard input there is one in each line, the newer first.
        "secrets" if text == "-" => {
            let given = input::secret("the secrets").ok()?;
            toml::Value::Array(texts(
                given.lines().filter(|line| !line.is_empty()).collect(),
            ))
        }
        "public_keys" if text == "-" => {
            toml::Value::Array(texts(vec![&input::secret("the public key").ok()?]))
        }
        "secrets" | "public_keys" => toml::Value::Array(texts(vec![text])),
        "public_key_files" | "issuers" | "audiences" => between_commas(text),
        "jwks_allow_http" | "require_app" => text.parse::<bool>().ok()?.into(),
        "leeway_s" | "lifetime_max_s" => {
            let seconds = text
                .parse::<Span>()
                .ok()
                .map(|span| span.of(std::time::Duration::from_secs(1)).as_secs());
            i64::try_from(seconds?).ok()?.into()
        }
        _ => text.into(),
    })
}

fn within(name: &str, count: usize, max: usize) -> Result<(), Failure> {
    if count <= max {
        return Ok(());
    }
    let text = format!("jwt.{name} has {count} entries");
    Err(Failure::new(text, format!("give at most {max}")))
}

fn unusable(place: &str, error: &KeyError) -> Failure {
    Failure::new(
        format!("a key in {place} cannot be used: {error}"),
        "secrets have 32 bytes or more; public keys are RSA of 2048 bits or more, P-256 or Ed25519",
    )
}

fn read_file(name: &str, path: &Path) -> Result<String, Failure> {
    let cannot = |why: String| {
        Failure::new(
            format!("setting jwt.{name}: cannot use {}: {why}", path.display()),
            "give the full path of a file of at most 64 KiB that the server's user may read",
        )
    };
    if !path.is_absolute() {
        return Err(cannot("the path does not begin with /".into()));
    }
    let found = fs::metadata(path).map_err(|error| cannot(error.to_string()))?;
    if !found.is_file() {
        return Err(cannot("it is no file".into()));
    }
    if found.len() > FILE_BYTES_MAX {
        return Err(cannot(format!("it has {} bytes", found.len())));
    }
    let mut text = String::new();
    let file = fs::File::open(path).map_err(|error| cannot(error.to_string()))?;
    let read = file.take(FILE_BYTES_MAX).read_to_string(&mut text);
    read.map_err(|error| cannot(error.to_string()))?;
    Ok(text)
}

fn read_key_set(path: &Path) -> Result<KeySet, Failure> {
    let text = read_file("jwks_file", path)?;
    KeySet::parse(text.as_bytes()).map_err(|error| unusable(&path.display().to_string(), &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "a secret of the backend, with 41 bytes in";

    fn set(changes: &[(&str, &str)]) -> Result<JwtEntry, String> {
        let mut entry = JwtEntry::default();
        for (name, text) in changes {
            entry
                .set(name, text)
                .map_err(|failure| failure.to_string())?;
        }
        entry.logins().map_err(|failure| failure.to_string())?;
        Ok(entry)
    }

    #[test]
    fn settings_are_set_shown_and_taken_back() {
        let mut entry = set(&[
            ("secrets", SECRET),
            ("issuers", "https://a.example, https://b.example"),
            ("audiences", "[\"one, two\"]"),
            ("require_app", "true"),
            ("lifetime_max_s", "7d"),
            ("app_claim", "chat.app"),
        ])
        .expect("good");
        let logins = entry
            .logins()
            .map_err(|failure| failure.to_string())
            .expect("good");
        let rules = &logins.verifier().rules;
        assert_eq!(rules.issuers, ["https://a.example", "https://b.example"]);
        assert_eq!(rules.audiences, ["one, two"]);
        assert_eq!(
            (rules.requires_app, rules.lifetime_max_s, rules.leeway_s),
            (true, 604_800, 30)
        );
        let shown = format!("{:?}", entry.shown());
        assert!(
            !shown.contains(SECRET) && shown.contains("chat.app"),
            "{shown}"
        );
        assert_eq!(entry.set("lifetime_max_s", "default"), Ok(()));
        assert!(entry.lifetime_max_s.is_none());
        assert_eq!(entry.set("secrets", "default"), Ok(()));
        assert!(entry.logins().is_err(), "no key is left");
    }

    #[test]
    fn what_cannot_be_is_told_without_secrets() {
        let secret = ("secrets", SECRET);
        let cases: [(&[(&str, &str)], &str); 17] = [
            (&[], "no key"),
            (&[("secrets", "short and secret")], "16 bytes"),
            (&[("secrets", "[5]")], "cannot be read"),
            (&[("secrets", "[\"unfinished")], "cannot be read"),
            (&[("secret", SECRET)], "no setting \"jwt.secret\""),
            (&[secret, ("leeway_s", "301")], "301"),
            (&[secret, ("lifetime_max_s", "long")], "long"),
            (&[secret, ("require_app", "yes")], "yes"),
            (&[secret, ("user_claim", "")], "empty"),
            (
                &[secret, ("app_claim", ""), ("require_app", "true")],
                "app_claim is empty",
            ),
            (&[("public_keys", "-----BEGIN")], "no block"),
            (&[("public_key_files", "key.pem")], "begin with /"),
            (&[("jwks_file", "/nowhere/jwks.json")], "/nowhere/jwks.json"),
            (&[("jwks_file", "/dev/zero")], "no file"),
            (&[("jwks_url", "http://login.example.org/jwks")], "http"),
            (&[("jwks_url", "ftp://login.example.org/jwks")], "ftp"),
            (
                &[("jwks_url", "https://a.example/x"), ("jwks_file", "/a")],
                "both",
            ),
        ];
        for (changes, told) in cases {
            let failure = set(changes)
                .err()
                .unwrap_or_else(|| panic!("{told} is not told"));
            assert!(failure.contains(told), "{told}: {failure}");
            assert!(
                !failure.contains(SECRET) && !failure.contains("short and"),
                "{failure}"
            );
        }
        assert!(
            set(&[
                ("jwks_url", "http://[::1]:8080/jwks"),
                ("jwks_allow_http", "true")
            ])
            .is_ok()
        );
        assert!(
            set(&[(
                "jwks_url",
                "https://login.example.org/.well-known/jwks.json"
            )])
            .is_ok()
        );
    }

    #[test]
    fn a_secret_in_the_wrong_place_of_the_file_is_not_repeated() {
        for text in [
            format!("secrets = {{ a = \"{SECRET}\" }}"),
            format!("secrets = [\"{SECRET}\", 5]"),
        ] {
            let error = toml::from_str::<JwtEntry>(&text).err().expect("refused");
            assert!(!error.message().contains(SECRET), "{}", error.message());
        }
        let one: JwtEntry = toml::from_str(&format!("secrets = \"{SECRET}\"")).expect("one text");
        assert_eq!(one.secrets, [SECRET]);
    }
}
