//! Changes to an app in `apps.toml`, whoever asks for them: `tidings app`, or a call of the API.

use tidings_server::{NameRule, RateKind, UserId, fingerprint};

use crate::app::AppSpec;
use crate::failure::Failure;
use crate::registry::Entry;
use crate::revocations::now_unix_s;
use crate::tuning::{self, RateEntry};
use crate::words::counted;

/// Longest name of an app, in characters.
pub(crate) const NAME_CHARS_MAX: usize = 200;

/// Most users in the list `banned` of an app: each is looked up by name, but the file is read
/// whole.
const BANNED_MAX: usize = 10_000;

impl Entry {
    /// Gives it a certificate that signs from now on; the one before stays good.
    pub(crate) fn add_certificate(&mut self, certificate: String) -> Result<(), Failure> {
        if self.certificates.len() > 1 {
            return Err(Failure::new(
                format!(
                    "app {} is in the middle of a rotation: it has two certificates",
                    self.id
                ),
                "finish it first: `tidings app rotate --drop-old`",
            ));
        }
        if self.certificates.contains(&certificate) {
            return Err(Failure::new(
                format!("app {} already has this certificate", self.id),
                "give a different one, or leave it out to get a random one",
            ));
        }
        let named = named(&certificate);
        self.ended_certificates.retain(|ended| *ended != named);
        self.note_certificate(&certificate);
        self.certificates.insert(0, certificate);
        Ok(())
    }

    /// Notes when a certificate came.
    pub(crate) fn note_certificate(&mut self, certificate: &str) {
        if let Ok(now_s) = now_unix_s() {
            self.certificates_added.insert(named(certificate), now_s);
        }
    }

    /// Takes a certificate away; with `ends_sessions`, those that it let in end.
    pub(crate) fn drop_certificate(&mut self, at: usize, ends_sessions: bool) {
        let dropped = self.certificates.remove(at);
        self.certificates_added.remove(&named(&dropped));
        if ends_sessions {
            self.disconnect(&[dropped]);
        }
    }

    /// When a certificate came, in Unix seconds; `None` = that was not noted.
    pub(crate) fn certificate_added_s(&self, certificate: &str) -> Option<u64> {
        self.certificates_added.get(&named(certificate)).copied()
    }

    /// Sets a setting or a rate, given as text; `default` takes it back.
    pub(crate) fn set(&mut self, name: &str, value: toml::Value) -> Result<(), Failure> {
        let is_rate = RateKind::named().any(|(_, known)| known == name);
        let is_default = value.as_str() == Some("default");
        match (is_rate, is_default) {
            (true, true) => drop(self.rates.remove(name)),
            (false, true) => {
                tuning::check_name(name)?;
                self.settings.remove(name);
            }
            (true, false) => {
                let text = value.as_str().map_or(value.to_string(), str::to_owned);
                let rate = RateEntry::parse(name, &text)?;
                self.rates.insert(name.into(), rate);
            }
            (false, false) => {
                tuning::check_name(name)?;
                self.settings.insert(name.into(), value);
            }
        }
        Ok(())
    }

    /// Bans users by the list of the file.
    pub(crate) fn ban(&mut self, users: &[String]) -> Result<(), Failure> {
        for user in users {
            check_user(user)?;
            if !self.banned.contains(user) {
                self.banned.push(user.clone());
            }
        }
        if self.banned.len() > BANNED_MAX {
            return Err(Failure::new(
                format!(
                    "the list would have {}; it has at most {BANNED_MAX}",
                    counted(self.banned.len(), "user", "users")
                ),
                "take some out with `tidings app unban`, or ban through the API: POST /api/v1/apps/{app}/bans",
            ));
        }
        Ok(())
    }
}

/// How a certificate is named where its text must not be.
fn named(certificate: &str) -> String {
    format!("{:016x}", fingerprint(certificate))
}

/// Users of both protocols can be banned, so a name that only the legacy protocol allows is valid.
pub(crate) fn check_user(user: &str) -> Result<(), Failure> {
    match UserId::parse_by(NameRule::Wide, user) {
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::new(
            format!("nobody can log in as {user:?}: {error}"),
            "give the id with which the user logs in",
        )),
    }
}

/// A name that people are shown.
pub(crate) fn check_name(name: &str) -> Result<(), Failure> {
    let chars = name.chars().count();
    if chars > NAME_CHARS_MAX || name.chars().any(char::is_control) {
        return Err(Failure::new(
            format!("an app cannot have a name of {chars} characters with these characters"),
            format!("give at most {NAME_CHARS_MAX} characters, none of them a control character"),
        ));
    }
    Ok(())
}

/// Whether this text has the form of a certificate.
pub(crate) fn check_certificate(certificate: &str) -> Result<(), Failure> {
    // Any id will do: only the certificate is checked.
    let nobody = "0".repeat(32);
    match AppSpec::of_setting(&format!("{nobody}:{certificate}")) {
        Ok(_) => Ok(()),
        Err(_) => Err(Failure::new(
            format!(
                "the certificate has {}; it is 32 hexadecimal ones",
                counted(certificate.chars().count(), "character", "characters")
            ),
            "copy it from where the app was created, or leave it out to generate one",
        )),
    }
}

/// 128 random bits as 32 hexadecimal characters: the form of app ids and certificates.
pub(crate) fn secret() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| {
        Failure::new(
            format!("the system provides no random numbers: {error}"),
            "try again",
        )
    })?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}
