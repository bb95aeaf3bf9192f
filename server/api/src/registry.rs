//! What the API asks of whoever keeps the apps: the program, over its file of apps.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tidings_wire::names::AppId;

/// Keeps the apps. Its calls wait for the disk: whoever calls is a thread that may.
///
/// A change that returns is written, and the hubs have been told.
pub trait Registry: Send + Sync + 'static {
    /// All apps: those of the file, in the order in which they were created, and those that options
    /// name.
    ///
    /// # Errors
    /// The file cannot be read.
    fn apps(&self) -> Result<Vec<AppRecord>, Refused>;

    /// Adds an app. Returns it, and the text of its certificate, unless it has none.
    ///
    /// # Errors
    /// It exists already, or a value is wrong.
    fn create(&self, wish: NewApp) -> Result<(AppRecord, Option<String>), Refused>;

    /// Changes an app.
    ///
    /// # Errors
    /// There is none in the file, or a value is wrong; then nothing has changed.
    fn change(&self, app: &AppId, change: AppChange) -> Result<AppRecord, Refused>;

    /// Takes an app out of the file; what users have stored stays. Returns what it was.
    ///
    /// # Errors
    /// There is none in the file.
    fn delete(&self, app: &AppId) -> Result<AppRecord, Refused>;

    /// Adds a certificate, given or drawn, which signs from now on. Returns its text.
    ///
    /// # Errors
    /// The app has two already, or this one.
    fn add_certificate(&self, app: &AppId, given: Option<String>) -> Result<String, Refused>;

    /// Makes a certificate the one that signs.
    ///
    /// # Errors
    /// There is none with this number.
    fn promote_certificate(&self, app: &AppId, number: usize) -> Result<AppRecord, Refused>;

    /// Takes a certificate away; with `ends_sessions`, those that it let in end.
    ///
    /// # Errors
    /// There is none with this number, or it is the only one: an app without a certificate asks
    /// nobody for a token.
    fn drop_certificate(
        &self,
        app: &AppId,
        number: usize,
        ends_sessions: bool,
    ) -> Result<AppRecord, Refused>;

    /// Puts one new certificate in the place of all that there are, or takes all away: then anybody
    /// who knows the id can be any user. Returns the text of the new one.
    ///
    /// # Errors
    /// There is no such app in the file.
    fn replace_certificates(
        &self,
        app: &AppId,
        wanted: bool,
    ) -> Result<(AppRecord, Option<String>), Refused>;

    /// Takes tokens back; sessions that they let in end.
    ///
    /// # Errors
    /// The token is another app's, or there are too many already.
    fn revoke(&self, app: &AppId, what: Revocation) -> Result<(), Refused>;

    /// Issues a token, if the app's settings allow it.
    ///
    /// # Errors
    /// They do not, or a value is wrong.
    fn issue(&self, app: &AppId, wish: TokenWish) -> Result<IssuedToken, Refused>;

    /// Describes a token, and how this app would judge it.
    ///
    /// # Errors
    /// It cannot be read, or is another app's.
    fn inspect(&self, app: &AppId, token: &str, user: Option<&str>) -> Result<Value, Refused>;

    /// Tells the hubs what the rules of bans are now.
    ///
    /// # Errors
    /// The apps cannot be read.
    fn bans_changed(&self) -> Result<(), Refused>;

    /// Lets this node end as a signal does: clients are sent away to come back, what is under way
    /// is finished, sessions are kept for the next process. Returns at once.
    ///
    /// # Errors
    /// The server belongs to another program, which decides that.
    fn drain(&self) -> Result<(), Refused>;

    /// The state of this node, and the figures that `tidings status` shows, as JSON. Takes at most
    /// 2 s.
    fn status(&self) -> Value;
}

/// Why it is not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Of which kind.
    pub kind: RefusedKind,
    /// What happened, with values; never a secret.
    pub what: String,
    /// What to do next.
    pub hint: String,
}

/// The kinds of [`Refused`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefusedKind {
    /// What is named is not there.
    NotFound,
    /// It is in a state in which this cannot be done.
    Conflict,
    /// A value is wrong: that of this field.
    Invalid(String),
    /// It is switched off.
    Forbidden,
    /// The disk or the file is at fault.
    Unavailable,
}

/// Where an app is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum AppSource {
    /// In the file of apps: it can be changed.
    File,
    /// In an option of the server or a file that it names: it can be changed there only.
    Options,
}

/// An app, without its secrets.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct AppRecord {
    /// 32 letters or digits.
    pub id: String,
    /// A name for people; may be empty.
    pub name: String,
    /// Whether it is served.
    pub enabled: bool,
    /// Where it is written down.
    pub source: AppSource,
    /// When it was made, in Unix milliseconds; null = that was not noted.
    pub created_ms: Option<u64>,
    /// Its certificates. The first signs tokens that the server issues.
    pub certificates: Vec<CertificateRecord>,
    /// All settings, by name.
    pub settings: BTreeMap<String, Value>,
    /// All rates, by name.
    pub rates: BTreeMap<String, RateRecord>,
    /// Names of the settings and rates that differ from the defaults because somebody has set them.
    pub set: Vec<String>,
    /// Users that the file bans for ever.
    pub banned: Vec<String>,
    /// Users who are part of the app's backend: their logins have no rates and more channels.
    pub services: Vec<String>,
    /// How JSON Web Tokens are taken, by the settings' names; secrets and keys are counted. Null =
    /// they are not.
    pub jwt: Option<BTreeMap<String, Value>>,
}

/// A certificate, without its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct CertificateRecord {
    /// 1 is the one that signs.
    pub number: usize,
    /// When it came, in Unix milliseconds; null = that was not noted.
    pub added_ms: Option<u64>,
    /// How long ago that is, in milliseconds.
    pub age_ms: Option<u64>,
}

/// How often something may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RateRecord {
    /// Calls within the window; 0 = unlimited.
    pub calls: u32,
    /// Length of the window, in milliseconds.
    pub window_ms: u32,
}

/// What is wanted of a new app.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NewApp {
    /// `None` = draw one.
    pub id: Option<String>,
    /// A name for people.
    pub name: String,
    /// No certificate: whoever knows the id can be any user.
    pub open: bool,
    /// Bring this one along; `None` = draw one.
    pub certificate: Option<String>,
    /// Settings that differ from the defaults.
    pub settings: BTreeMap<String, Value>,
    /// Rates that differ from the defaults.
    pub rates: BTreeMap<String, RateRecord>,
}

/// What is to become of an app. What is `None` stays.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AppChange {
    /// A new name for people.
    pub name: Option<String>,
    /// Whether it is served.
    pub enabled: Option<bool>,
    /// Settings by name; null takes one back to its default.
    pub settings: BTreeMap<String, Value>,
    /// Rates by name; `None` takes one back to its default.
    pub rates: BTreeMap<String, Option<RateRecord>>,
    /// Users who are part of the app's backend.
    pub services: Option<Vec<String>>,
    /// Settings of JSON Web Tokens by name; null takes one back to its default. `Some(None)` = none
    /// are taken.
    pub jwt: Option<Option<BTreeMap<String, Value>>>,
}

/// Which tokens are taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revocation {
    /// The one token with this text.
    Token(String),
    /// All of this user that were issued before a time, in Unix seconds; `None` = until now.
    User(String, Option<u64>),
    /// The same of everybody.
    Everybody(Option<u64>),
}

/// What is wanted of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenWish {
    /// Whom it lets in.
    pub user: String,
    /// For how long, in seconds.
    pub lifetime_s: u32,
    /// In which format.
    pub format: TokenFormat,
}

/// The formats in which tokens are issued.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub enum TokenFormat {
    /// AccessToken2, the newest.
    #[default]
    #[serde(rename = "007")]
    Access007,
    /// AccessToken, for older clients.
    #[serde(rename = "006")]
    Access006,
}

/// A new token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedToken {
    /// The token's text, with which its user logs in.
    pub token: String,
    /// When it ends, in Unix milliseconds.
    pub expires_ms: u64,
}

/// A server whose apps nobody keeps: they cannot be seen or changed.
#[derive(Debug, Clone, Copy)]
pub struct NoRegistry;

fn nobody<T>() -> Result<T, Refused> {
    Err(Refused {
        kind: RefusedKind::Unavailable,
        what: "this server's apps are given by the program that it is part of".into(),
        hint: "change them there".into(),
    })
}

impl Registry for NoRegistry {
    fn apps(&self) -> Result<Vec<AppRecord>, Refused> {
        Ok(Vec::new())
    }

    fn create(&self, _: NewApp) -> Result<(AppRecord, Option<String>), Refused> {
        nobody()
    }

    fn change(&self, _: &AppId, _: AppChange) -> Result<AppRecord, Refused> {
        nobody()
    }

    fn delete(&self, _: &AppId) -> Result<AppRecord, Refused> {
        nobody()
    }

    fn add_certificate(&self, _: &AppId, _: Option<String>) -> Result<String, Refused> {
        nobody()
    }

    fn promote_certificate(&self, _: &AppId, _: usize) -> Result<AppRecord, Refused> {
        nobody()
    }

    fn drop_certificate(&self, _: &AppId, _: usize, _: bool) -> Result<AppRecord, Refused> {
        nobody()
    }

    fn replace_certificates(
        &self,
        _: &AppId,
        _: bool,
    ) -> Result<(AppRecord, Option<String>), Refused> {
        nobody()
    }

    fn revoke(&self, _: &AppId, _: Revocation) -> Result<(), Refused> {
        nobody()
    }

    fn issue(&self, _: &AppId, _: TokenWish) -> Result<IssuedToken, Refused> {
        nobody()
    }

    fn inspect(&self, _: &AppId, _: &str, _: Option<&str>) -> Result<Value, Refused> {
        nobody()
    }

    fn bans_changed(&self) -> Result<(), Refused> {
        nobody()
    }

    fn drain(&self) -> Result<(), Refused> {
        nobody()
    }

    fn status(&self) -> Value {
        Value::Null
    }
}
