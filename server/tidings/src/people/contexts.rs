//! The servers that a person works with, by names of the person's own: `contexts.toml` in the
//! person's folder of settings, for the owner's eyes only, since it may hold keys.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::output;
use crate::words::nearest;

/// The file's name below the folder of settings.
const FILE: &str = "tidings/contexts.toml";

/// Longest name of a context, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// Longest key, in bytes, with room: a file that is longer holds something else.
const KEY_BYTES_MAX: u64 = 4_096;

/// A server, and how it is called.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Context {
    /// `http://` or `https://`, host and port.
    pub(crate) url: String,
    /// The API key itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    /// A file that has it, which is read each time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key_file: Option<PathBuf>,
    /// The app that commands are about unless they say another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) app: Option<String>,
    /// Authorities of the server's certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ca_file: Option<PathBuf>,
}

impl Context {
    /// The key, from wherever it is.
    ///
    /// # Errors
    /// Its file cannot be read.
    pub(crate) fn key(&self) -> Result<Option<String>, Failure> {
        match &self.key_file {
            Some(file) => key_in(file).map(Some),
            None => Ok(self.key.clone()),
        }
    }
}

/// All of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contexts {
    /// The one that is meant where nothing else is said.
    #[serde(rename = "use", skip_serializing_if = "Option::is_none")]
    pub(crate) in_use: Option<String>,
    #[serde(default, rename = "context")]
    pub(crate) all: BTreeMap<String, Context>,
}

impl Contexts {
    /// Reads the person's file; without one there are none.
    ///
    /// # Errors
    /// There is a file that cannot be read.
    pub(crate) fn read() -> Result<Self, Failure> {
        match place() {
            Some(path) => Self::read_from(&path),
            None => Ok(Self::default()),
        }
    }

    fn read_from(path: &Path) -> Result<Self, Failure> {
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => {
                return Err(Failure::new(
                    format!("cannot read the contexts in {}: {error}", path.display()),
                    "make it readable for you, or remove it",
                ));
            }
        };
        let found: Self = toml::from_str(&text).map_err(|error| {
            // The library's own message would show the line, which may be that of a key.
            let line = error
                .span()
                .map_or(1, |span| text[..span.start].matches('\n').count() + 1);
            let message = error.message().replace('\n', " ");
            Failure::new(
                format!(
                    "cannot use the contexts in {}, line {line}: {message}",
                    path.display()
                ),
                "correct the line, or remove the file and add the contexts again",
            )
        })?;
        let has_key = found.all.values().any(|context| context.key.is_some());
        let mode = fs::metadata(path).map_or(0, |metadata| metadata.permissions().mode());
        if has_key && mode & 0o077 != 0 {
            output::notice(format_args!(
                "warning: others can read the keys in {}; make it yours alone: chmod 600 {0}",
                path.display()
            ));
        }
        Ok(found)
    }

    /// Writes the person's file.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn write(&self) -> Result<(), Failure> {
        let path = place().ok_or_else(|| {
            Failure::new(
                "there is no folder for contexts: neither XDG_CONFIG_HOME nor HOME is set",
                "set one of them, or give --url and TIDINGS_KEY to each command",
            )
        })?;
        self.write_to(&path).map_err(|error| {
            Failure::new(
                format!("cannot write the contexts to {}: {error}", path.display()),
                "make the folder writable for you, or set XDG_CONFIG_HOME",
            )
        })
    }

    fn write_to(&self, path: &Path) -> std::io::Result<()> {
        let text = toml::to_string(self).map_err(std::io::Error::other)?;
        if let Some(folder) = path.parent() {
            let mut builder = fs::DirBuilder::new();
            builder.recursive(true).mode(0o700).create(folder)?;
        }
        let new = path.with_extension(format!("toml.{}", std::process::id()));
        let written = (|| {
            let mut options = fs::OpenOptions::new();
            let mut file = options
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&new)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&new, path)
        })();
        if written.is_err() {
            let _ = fs::remove_file(&new);
        }
        written
    }

    /// The context of this name.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn find(&self, name: &str) -> Result<&Context, Failure> {
        self.all.get(name).ok_or_else(|| {
            let meant = nearest(name, self.all.keys().map(String::as_str));
            let hint = match meant {
                Some(meant) => format!("did you mean {meant}? `tidings context list` shows all"),
                None => "`tidings context list` shows those that there are; `tidings context add` \
                    makes one"
                    .into(),
            };
            Failure::new(format!("there is no context {name:?}"), hint)
        })
    }
}

/// Where the contexts are kept; `None` = the environment names no home.
pub(crate) fn place() -> Option<PathBuf> {
    let folder = |name: &str| {
        let path = PathBuf::from(std::env::var_os(name)?);
        path.is_absolute().then_some(path)
    };
    let settings = folder("XDG_CONFIG_HOME").or_else(|| Some(folder("HOME")?.join(".config")));
    Some(settings?.join(FILE))
}

/// # Errors
/// The text cannot be the name of a context.
pub(crate) fn check_name(name: &str) -> Result<(), Failure> {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(is_good) {
        return Ok(());
    }
    Err(Failure::new(
        format!("{name:?} cannot be the name of a context"),
        format!("give 1 to {NAME_BYTES_MAX} letters, digits, dots, hyphens or underscores"),
    ))
}

/// Reads a key from a file.
///
/// # Errors
/// It cannot be read, or has no key.
pub(crate) fn key_in(file: &Path) -> Result<String, Failure> {
    use std::io::Read as _;
    let mut text = String::new();
    let read = fs::File::open(file);
    let read = read.and_then(|file| file.take(KEY_BYTES_MAX).read_to_string(&mut text));
    read.map_err(|error| {
        Failure::new(
            format!("cannot read the API key in {}: {error}", file.display()),
            "check the path of the key file, and who may read it",
        )
    })?;
    check_key(text.trim(), &file.display().to_string())
}

/// # Errors
/// The text is no key. It is not shown.
pub(crate) fn check_key(text: &str, place: &str) -> Result<String, Failure> {
    if tidings_server::split_key(text).is_some() && text.bytes().all(|byte| byte.is_ascii_graphic())
    {
        return Ok(text.to_owned());
    }
    Err(Failure::new(
        format!("there is no API key in {place}"),
        "it is one line, tdk_ID_SECRET, as `tidings key create` has shown it",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_is_its_owners() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("new/tidings/contexts.toml");
        assert_eq!(Contexts::read_from(&path), Ok(Contexts::default()));
        let context = Context {
            url: "https://chat.example.org".into(),
            key: Some("tdk_k1_secret".into()),
            ..Context::default()
        };
        let contexts = Contexts {
            in_use: Some("prod".into()),
            all: BTreeMap::from([("prod".into(), context)]),
        };
        contexts.write_to(&path).expect("written");
        assert_eq!(Contexts::read_from(&path), Ok(contexts));
        let mode = fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_file_is_told_without_its_keys() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("contexts.toml");
        fs::write(&path, "[context.a]\nurl = \"x\"\nkey = tdk_k1_secret\n").expect("written");
        let failure = Contexts::read_from(&path).expect_err("no TOML");
        assert!(failure.what().contains("line 3"), "{failure}");
        assert!(!failure.to_string().contains("secret"), "{failure}");
    }

    #[test]
    fn names_are_words() {
        for good in ["prod", "a", "eu-1.example_x"] {
            assert_eq!(check_name(good), Ok(()), "{good}");
        }
        for bad in ["", "a b", "a/b", "é", "\u{1b}", &"x".repeat(65)] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }
}
