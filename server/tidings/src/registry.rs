//! The apps kept in the data directory: `apps.toml`, written by `tidings app`, read by `tidings
//! serve`.
//!
//! The file contains certificates and is readable only by the directory's owner, whoever runs the
//! command. It is replaced as a whole: a reader finds either the old file or the new one. Comments
//! and order that people have put into it are preserved.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};
use tidings_server::{App, AppId, AppRules, NameRule, UserId, fingerprint};

use crate::api_rules::{self, ApiRules};
use crate::app::AppSpec;
use crate::failure::Failure;
use crate::jwt_rules::JwtEntry;
use crate::legacy_rules;
use crate::ownership;
use crate::page_rules;
use crate::quotas;
use crate::revocations::{self, Revocations};
use crate::rewrite;
use crate::service_rules;
use crate::token_rules;
use crate::tuning::{self, RateEntry};

const FILE: &str = "apps.toml";

/// Most fingerprints of dropped certificates that are kept: sessions with older ones ended long
/// ago.
const ENDED_MAX: usize = 16;

const NOTICE: &str = "# The apps of this server, with their certificates. Made by `tidings app`; see `tidings app --help`.\n";

/// One app, as in the file.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    /// 32 ASCII letters or digits.
    pub(crate) id: String,
    /// A display name; may be empty.
    #[serde(default)]
    pub(crate) name: String,
    /// When it was made, in Unix seconds; 0 = that was not noted.
    #[serde(default, skip_serializing_if = "revocations::is_zero")]
    pub(crate) created: u64,
    /// No certificate, one, or two, the newer first.
    #[serde(default)]
    pub(crate) certificates: Vec<String>,
    /// When each certificate came, by fingerprint, in Unix seconds.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) certificates_added: BTreeMap<String, u64>,
    /// The app's data are kept, but it is not served.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) disabled: bool,
    /// Users who must not log in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) banned: Vec<String>,
    /// Users who are parts of the app's backend: no rates, more channels.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) services: Vec<String>,
    /// Fingerprints of dropped certificates whose sessions must end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) ended_certificates: Vec<String>,
    /// Tokens revoked before their expiry.
    #[serde(default, skip_serializing_if = "Revocations::is_empty")]
    pub(crate) revoked: Revocations,
    /// Keys and rules for JSON Web Tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) jwt: Option<JwtEntry>,
    /// Settings that differ from the defaults.
    #[serde(default, skip_serializing_if = "toml::Table::is_empty")]
    pub(crate) settings: toml::Table,
    /// Rates that differ from the defaults.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) rates: BTreeMap<String, RateEntry>,
}

impl Entry {
    /// The app as the server takes it.
    pub(crate) fn app(&self) -> Result<App, Failure> {
        let mut app = App {
            certificates: self.certificates.clone(),
            ..App::default()
        };
        let here = |failure: Failure| failure.within(&format!("app {}", self.id));
        self.legacy_rules(&AppRules::default())?;
        if let Some(jwt) = &self.jwt {
            app.jwt = Some(Box::new(jwt.logins().map_err(here)?));
        }
        for (key, value) in self.settings.iter().filter(|(key, _)| quotas::has(key)) {
            quotas::apply(&mut app.quotas, key, value).map_err(here)?;
        }
        self.revoked.apply(&mut app).map_err(here)?;
        for text in &self.ended_certificates {
            let number = u64::from_str_radix(text, 16).map_err(|_| {
                here(Failure::new(
                    format!("{text:?} is not the fingerprint of a certificate"),
                    "fix the list ended_certificates, or remove it",
                ))
            })?;
            app.ended_certificates.insert(number);
        }
        page_rules::apply(&mut app, &self.settings).map_err(here)?;
        token_rules::apply(&mut app, &self.settings).map_err(here)?;
        service_rules::apply(&mut app, &self.settings).map_err(here)?;
        self.api_rules()?;
        let own = |key: &&String| {
            !(legacy_rules::has(key)
                || quotas::has(key)
                || page_rules::has(key)
                || token_rules::has(key)
                || service_rules::has(key)
                || api_rules::has(key))
        };
        for (key, value) in self.settings.iter().filter(|(key, _)| own(key)) {
            tuning::apply(&mut app.settings, key, value).map_err(here)?;
        }
        for (name, rate) in &self.rates {
            tuning::apply_rate(&mut app, name, rate).map_err(here)?;
        }
        for user in &self.banned {
            // Legacy accounts may have names that RTM does not allow.
            let user = UserId::parse_by(NameRule::Wide, user).map_err(|error| {
                let text = format!("user {user:?} cannot be banned: {error}");
                here(Failure::new(
                    text,
                    "give the id with which the user logs in",
                ))
            })?;
            app.banned.insert(user);
        }
        for user in &self.services {
            let user = UserId::parse(user).map_err(|error| {
                let text = format!("user {user:?} cannot be a service: {error}");
                here(Failure::new(
                    text,
                    "give the id with which the service logs in",
                ))
            })?;
            app.services.insert(user);
        }
        Ok(app)
    }

    /// What the API may do for it.
    pub(crate) fn api_rules(&self) -> Result<ApiRules, Failure> {
        ApiRules::of(&self.settings).map_err(|failure| failure.within(&format!("app {}", self.id)))
    }

    /// Notes that sessions admitted by these certificates must end.
    pub(crate) fn disconnect(&mut self, certificates: &[String]) {
        for certificate in certificates {
            let named = format!("{:016x}", fingerprint(certificate));
            if !self.ended_certificates.contains(&named) {
                self.ended_certificates.push(named);
            }
        }
        // Sessions of older ones ended when this one was added.
        let older = self.ended_certificates.len().saturating_sub(ENDED_MAX);
        self.ended_certificates.drain(..older);
    }

    /// Its rules for legacy logins, where they differ from the server's.
    pub(crate) fn legacy_rules(&self, of_all: &AppRules) -> Result<AppRules, Failure> {
        let mut rules = of_all.clone();
        let legacy = |key: &&String| legacy_rules::has(key);
        for (key, value) in self.settings.iter().filter(|(key, _)| legacy(key)) {
            legacy_rules::apply(&mut rules, key, value)
                .map_err(|failure| failure.within(&format!("app {}", self.id)))?;
        }
        Ok(rules)
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    #[serde(default, rename = "app")]
    apps: Vec<Entry>,
}

/// The right to change the apps of a data directory: commands and the server take turns, so that
/// nobody overwrites what another has written meanwhile. Given back when dropped.
pub(crate) struct Held(#[expect(dead_code, reason = "the lock goes with the file")] Option<File>);

impl Held {
    /// Waits for the right. A directory that is not there yet is nobody's.
    pub(crate) fn of(data_dir: &Path) -> Result<Self, Failure> {
        let locked = File::open(data_dir).and_then(|directory| {
            rustix::fs::flock(&directory, FlockOperation::LockExclusive)?;
            Ok(directory)
        });
        match locked {
            Ok(directory) => Ok(Self(Some(directory))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self(None)),
            Err(error) => Err(Failure::new(
                format!("cannot change the apps in {}: {error}", data_dir.display()),
                "run the command as the user of the service, or check --data-dir",
            )),
        }
    }
}

/// The apps of one data directory.
pub(crate) struct Registry {
    path: PathBuf,
    /// The text of the file when it was read.
    text: String,
    content: Content,
}

impl Registry {
    /// Reads the apps of a data directory; a missing file means none.
    pub(crate) fn read(data_dir: &Path) -> Result<Self, Failure> {
        let path = data_dir.join(FILE);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => {
                return Err(Failure::new(
                    format!("cannot read the apps in {}: {error}", path.display()),
                    "run the command as the user of the service, or check --data-dir",
                ));
            }
        };
        let content = toml::from_str::<Content>(&text).map_err(|error| {
            // The library's own message would show the line, which may contain a certificate.
            let line = error
                .span()
                .map_or(1, |span| text[..span.start].matches('\n').count() + 1);
            Failure::new(
                format!(
                    "cannot use {}, line {line}: {}",
                    path.display(),
                    error.message().replace('\n', " ")
                ),
                "fix the line, or move the file away and create the apps again with `tidings app create`",
            )
        })?;
        let registry = Self {
            path,
            text,
            content,
        };
        for entry in registry.entries() {
            registry.spec(entry)?;
            let place = registry.path.display().to_string();
            entry.app().map_err(|failure| failure.within(&place))?;
        }
        Ok(registry)
    }

    /// All apps, in the order in which they were created.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.content.apps
    }

    /// All apps that are served, as the server takes them.
    pub(crate) fn apps(&self) -> Result<Vec<(AppId, App)>, Failure> {
        let served = self.entries().iter().filter(|entry| !entry.disabled);
        served
            .map(|entry| Ok((self.spec(entry)?.id, entry.app()?)))
            .collect()
    }

    /// The apps' rules for legacy logins.
    pub(crate) fn legacy_rules(
        &self,
        of_all: &AppRules,
    ) -> Result<BTreeMap<AppId, AppRules>, Failure> {
        let entries = self.entries().iter();
        let rules = entries.map(|entry| Ok((self.spec(entry)?.id, entry.legacy_rules(of_all)?)));
        rules.collect()
    }

    fn spec(&self, entry: &Entry) -> Result<AppSpec, Failure> {
        let mut text = entry.id.clone();
        for certificate in &entry.certificates {
            text = format!("{text}:{certificate}");
        }
        text.parse().map_err(|error: crate::app::AppSpecError| {
            Failure::new(
                format!("{}: {error}", self.path.display()),
                "fix the file, or move it away and create the apps again with `tidings app create`",
            )
        })
    }

    /// The app with an id.
    pub(crate) fn find(&mut self, id: &str) -> Result<&mut Entry, Failure> {
        let path = self.path.display().to_string();
        self.content
            .apps
            .iter_mut()
            .find(|entry| entry.id == id)
            .ok_or_else(|| {
                Failure::new(
                    format!("there is no app {id} in {path}"),
                    "`tidings app list` shows all; apps given with --app are not listed there",
                )
            })
    }

    /// Adds an app.
    pub(crate) fn add(&mut self, entry: Entry) -> Result<(), Failure> {
        if self.content.apps.iter().any(|other| other.id == entry.id) {
            return Err(Failure::new(
                format!("app {} already exists", entry.id),
                "change its certificate with `tidings app rotate`, or leave --id out to get a new id",
            ));
        }
        let parts = std::iter::once(&entry.id).chain(&entry.certificates);
        let text: Vec<&str> = parts.map(String::as_str).collect();
        AppSpec::of_setting(&text.join(":"))?;
        self.content.apps.push(entry);
        Ok(())
    }

    /// Removes an app.
    pub(crate) fn remove(&mut self, id: &str) -> Result<Entry, Failure> {
        self.find(id)?;
        let apps = &mut self.content.apps;
        let at = apps.iter().position(|entry| entry.id == id);
        Ok(apps.remove(at.expect("the app was found")))
    }

    /// Keeps a copy of the previous file beside it, in case a deleted app is wanted back. Returns
    /// its path.
    pub(crate) fn keep_copy(&self) -> Result<PathBuf, Failure> {
        let kept = self.path.with_extension("toml.before");
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let written = put(&kept, &self.text, 0o600, folder);
        match written {
            Ok(()) => Ok(kept),
            Err(error) => Err(Failure::new(
                format!("cannot write {}: {error}", kept.display()),
                "run the command as the user of the service, and check the disk",
            )),
        }
    }

    /// Replaces the file.
    pub(crate) fn write(&self) -> Result<(), Failure> {
        let written = self.replace();
        written.map_err(|error| {
            Failure::new(
                format!("cannot write {}: {error}", self.path.display()),
                "run the command as the user of the service, and check the disk",
            )
        })
    }

    fn replace(&self) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
        let wanted = toml::to_string(&self.content).map_err(io::Error::other)?;
        let text = rewrite::merged(&self.text, &wanted).map_err(io::Error::other)?;
        let text = if self.text.is_empty() {
            format!("{NOTICE}\n{text}")
        } else {
            text
        };
        // A group that can read it keeps that right; nobody else ever gets it.
        let before = fs::metadata(&self.path);
        let mode = before.map_or(0o600, |before| before.permissions().mode() & 0o640 | 0o600);
        put(&self.path, &text, mode, folder)
    }
}

/// Replaces a file by another, atomically and synced, for the owner of its folder.
fn put(path: &Path, text: &str, mode: u32, folder: &Path) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = Path::new(&new);
    // A file left behind by a crash may be readable by anybody.
    match fs::remove_file(new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(new)?;
    file.write_all(text.as_bytes())?;
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    ownership::settle_file(&file, folder)?;
    file.sync_all()?;
    fs::rename(new, path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef";
    const CERTIFICATE: &str = "fedcba9876543210fedcba9876543210";

    fn entry() -> Entry {
        Entry {
            id: ID.into(),
            name: "Chat".into(),
            certificates: vec![CERTIFICATE.into()],
            ..Entry::default()
        }
    }

    #[test]
    fn what_is_written_is_read_and_nobody_elses_to_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let data_dir = folder.path().join("data");
        let mut registry = Registry::read(&data_dir).expect("no file is no app");
        registry.add(entry()).expect("a good app");
        assert!(registry.add(entry()).is_err());
        registry.write().expect("written");
        let mode = fs::metadata(data_dir.join(FILE))
            .expect("a file")
            .permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
        let mut again = Registry::read(&data_dir).expect("readable");
        assert_eq!(again.find(ID).expect("the app").certificates, [CERTIFICATE]);
        assert!(again.find("other").is_err());
    }

    #[test]
    fn settings_rates_and_bans_are_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let text = format!(
            "[[app]]\nid = \"{ID}\"\nbanned = [\"mallory\"]\n\
             [app.settings]\npresence_grace_ms = 20000\n\
             [app.rates]\nmessage = {{ calls = 10, window_ms = 1000 }}\n"
        );
        fs::write(folder.path().join(FILE), text).expect("a file");
        let apps = Registry::read(folder.path()).and_then(|registry| registry.apps());
        let apps = apps.map_err(|failure| failure.to_string()).expect("read");
        let (_, app) = &apps[0];
        assert_eq!(app.settings.presence_grace_ms, 20_000);
        assert_eq!(app.rates.get(tidings_server::RateKind::Message).calls, 10);
        assert_eq!(app.banned.len(), 1);
    }

    #[test]
    fn an_app_may_differ_from_the_server_in_its_legacy_logins() {
        let folder = tempfile::tempdir().expect("a folder");
        let other = ID.replace('0', "f");
        let text = format!(
            "[[app]]\nid = \"{ID}\"\n[app.settings]\nlegacy_token_debugging = true\nphone_gateway = \"\"\n\
             [[app]]\nid = \"{other}\"\n"
        );
        fs::write(folder.path().join(FILE), text).expect("a file");
        let registry = Registry::read(folder.path()).map_err(|failure| failure.to_string());
        let of_all = AppRules {
            phone_gateway: Some("gate".into()),
            ..AppRules::default()
        };
        let rules = registry.expect("read").legacy_rules(&of_all);
        let rules = rules.map_err(|failure| failure.to_string()).expect("rules");
        let of = |id: &str| &rules[&AppId::parse(id).expect("an id")];
        assert!(of(ID).allows_debug_word && of(ID).phone_gateway.is_none());
        assert_eq!(*of(&other), of_all);
        let wrong = format!("[[app]]\nid = \"{ID}\"\n[app.settings]\nlegacy_force = 5\n");
        fs::write(folder.path().join(FILE), wrong).expect("a file");
        assert!(Registry::read(folder.path()).is_err());
    }

    #[test]
    fn comments_and_order_stay_when_the_file_is_changed() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(FILE);
        let text = format!(
            "# ours\n\n[[app]] # the classroom\nname = 'Chat' # for people\nid = \"{ID}\"\n\
             # the newer first\ncertificates = [\"{CERTIFICATE}\"]\n\n# how long\n[app.settings]\n\
             presence_grace_ms = 20_000 # twenty\n\n# the end\n"
        );
        fs::write(&path, &text).expect("a file");
        let mut registry = Registry::read(folder.path()).expect("read");
        registry.write().expect("written");
        assert_eq!(fs::read_to_string(&path).expect("a file"), text);
        let entry = registry.find(ID).expect("the app");
        entry.banned.push("mallory".into());
        registry.write().expect("written");
        let after = fs::read_to_string(&path).expect("a file");
        for line in text.lines() {
            assert!(
                after.lines().any(|there| there == line),
                "{line} is gone:\n{after}"
            );
        }
        let read = Registry::read(folder.path()).expect("read");
        assert_eq!(read.entries()[0].banned, ["mallory"]);
        assert_eq!(read.entries()[0].settings.len(), 1);
        assert_eq!(
            fs::metadata(&path).expect("a file").permissions().mode() & 0o777,
            0o640
        );
    }

    #[test]
    fn an_app_that_is_taken_out_takes_nothing_else_along() {
        let folder = tempfile::tempdir().expect("a folder");
        let other = ID.replace('0', "f");
        let text = format!("[[app]]\nid = \"{ID}\"\n\n# the other\n[[app]]\nid = \"{other}\"\n");
        fs::write(folder.path().join(FILE), text).expect("a file");
        let mut registry = Registry::read(folder.path()).expect("read");
        registry.remove(ID).expect("there");
        assert!(registry.remove(ID).is_err());
        registry.find(&other).expect("there").disabled = true;
        registry.write().expect("written");
        let after = fs::read_to_string(folder.path().join(FILE)).expect("a file");
        assert!(
            after.contains("# the other") && !after.contains(ID),
            "{after}"
        );
        let read = Registry::read(folder.path()).expect("read");
        assert_eq!(read.entries().len(), 1);
        assert!(
            read.apps()
                .map_err(|failure| failure.to_string())
                .expect("read")
                .is_empty()
        );
    }

    #[test]
    fn a_broken_file_is_told_without_its_secrets() {
        let folder = tempfile::tempdir().expect("a folder");
        for broken in [
            format!("[[app]]\nid = \"{ID}\"\ncertificates = [\"{CERTIFICATE}\", 5]\n"),
            format!("[[app]]\nid = \"short\"\ncertificates = [\"{CERTIFICATE}\"]\n"),
            format!("[[app]]\nid = \"{ID}\"\ncertificates = [\"{CERTIFICATE}0\"]\n"),
        ] {
            fs::write(folder.path().join(FILE), broken).expect("a file");
            let failure = Registry::read(folder.path())
                .err()
                .expect("refused")
                .to_string();
            assert!(!failure.contains(CERTIFICATE), "{failure}");
        }
    }
}
