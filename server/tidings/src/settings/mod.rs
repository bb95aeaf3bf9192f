//! The settings of `serve`: one definition for command line, environment and file.
//!
//! Precedence: command line, then environment, then file, then default.

mod apps;
mod file;
mod resolve;
pub(crate) mod values;
mod variables;

use std::path::PathBuf;

use serde::{Deserialize, Deserializer};

pub(crate) use self::apps::AppSource;
pub(crate) use self::resolve::parse_origins;
use self::values::{Listen, RateValue, Size, Span, Switch};
pub(crate) use self::variables::check as check_variables;
use crate::log::{Form, Plan};

const DATA_DIR: &str = "./tidings-data";
const LOG: &str = "info";

/// Security events that are logged per second, unless it is said otherwise. Logins of a thousand users at once fit, as
/// ten seconds' worth may come at once; a flood for a day takes some gigabytes.
const SECURITY_LOG_RATE: u32 = 200;

/// The settings as one source gives them; what it does not give is `None`.
///
/// A field's name with dashes is its key in the file and its option; in capitals after `TIDINGS_` it is its
/// variable. Apps are taken as text and parsed later: an error of the option parser would show a certificate.
#[derive(Default, clap::Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Settings {
    /// Address and port to listen on [default: 127.0.0.1:7400]
    #[arg(long, env = "TIDINGS_LISTEN", value_name = "ADDRESS:PORT")]
    listen: Option<Listen>,

    /// A second address, for health checks and whatever else operators ask for: nobody can crowd them out there
    /// [default: none]
    #[arg(long, env = "TIDINGS_ADMIN_LISTEN", value_name = "ADDRESS:PORT")]
    admin_listen: Option<Listen>,

    /// Where offline messages, attributes and uploaded files are kept; made if it is not there [default: ./tidings-data]
    #[arg(long, env = "TIDINGS_DATA_DIR", value_name = "DIRECTORY")]
    data_dir: Option<PathBuf>,

    /// An app to serve: its id, and its certificate, with which tokens are checked; repeat it for more apps
    ///
    /// Without a certificate no token is asked for. While a certificate is being changed, give both:
    /// ID:NEW:OLD. In the variable, apps are separated by commas; in the file, they are a list.
    #[arg(
        long,
        env = "TIDINGS_APP",
        value_name = "ID[:CERTIFICATE]",
        value_delimiter = ',',
        hide_env_values = true
    )]
    #[serde(default, deserialize_with = "one_or_many")]
    app: Option<Vec<String>>,

    /// File with apps, one in a line as for --app; repeat it for more files [default: the systemd credential apps, if
    /// there is one]
    ///
    /// What stands in a file does not show in lists of processes, as options do. The file should be readable by the
    /// server's user alone. Lines that begin with # are comments; the file is read anew on a reload.
    #[arg(
        long,
        env = "TIDINGS_APP_FILE",
        value_name = "FILE",
        value_delimiter = ','
    )]
    #[serde(default, deserialize_with = "one_or_many_paths")]
    app_file: Option<Vec<PathBuf>>,

    /// Accept every app id, without certificates: for trying things out, not for production
    #[arg(
        long,
        env = "TIDINGS_DEV",
        num_args = 0..=1,
        default_missing_value = "true",
        value_name = "BOOL"
    )]
    dev: Option<Switch>,

    /// Serve the demonstration at /demo [default: with --dev only]
    #[arg(
        long,
        env = "TIDINGS_DEMO",
        num_args = 0..=1,
        default_missing_value = "true",
        value_name = "BOOL"
    )]
    demo: Option<Switch>,

    /// Serve the guide at /docs [default: with --dev only]
    #[arg(
        long,
        env = "TIDINGS_GUIDE",
        num_args = 0..=1,
        default_missing_value = "true",
        value_name = "BOOL"
    )]
    guide: Option<Switch>,

    /// Space of the disk that is kept free: below, new messages and files are refused, deletions are not [default: 5 %
    /// of the disk, but at least 256 MiB]
    #[arg(long, env = "TIDINGS_DISK_RESERVE", value_name = "SIZE")]
    disk_reserve: Option<Size>,

    /// Time for which uploaded files are kept; a number without a unit is days [default: 7d]
    #[arg(long, env = "TIDINGS_MEDIA_KEEP_DAYS", value_name = "TIME")]
    media_keep_days: Option<Span>,

    /// Space that all uploaded files together may take [default: 10GiB]
    #[arg(long, env = "TIDINGS_MEDIA_BYTES_MAX", value_name = "SIZE")]
    media_bytes_max: Option<Size>,

    /// Space that the uploaded files of one app may take, unless the app has a quota of its own, max_media_bytes [default:
    /// half of --media-bytes-max where there is more than one app, but at most 2GiB; else all]
    #[arg(long, env = "TIDINGS_MEDIA_APP_BYTES_MAX", value_name = "SIZE")]
    media_app_bytes_max: Option<Size>,

    /// Space that the uploaded files of one user may take [default: a sixteenth of --media-bytes-max]
    #[arg(long, env = "TIDINGS_MEDIA_USER_BYTES_MAX", value_name = "SIZE")]
    media_user_bytes_max: Option<Size>,

    /// Hubs, each with a thread of its own [default: one per core]
    #[arg(long, env = "TIDINGS_HUBS", value_name = "NUMBER")]
    hubs: Option<u16>,

    /// Time over which clients are disconnected when the server ends, at most 20s; a number without a unit is seconds
    /// [default: 0, at once]
    #[arg(long, env = "TIDINGS_DRAIN_WINDOW", value_name = "TIME")]
    drain_window: Option<Span>,

    /// Memory that the server may use, at least 64MiB [default: three quarters of the machine's, or of the container's
    /// limit]
    ///
    /// From 80 % of it on, nobody else can log in, and what waits for clients that are away is dropped; from 95 % on,
    /// the slowest clients are disconnected. They are told what they have missed.
    #[arg(long, env = "TIDINGS_MEMORY_MAX", value_name = "SIZE")]
    memory_max: Option<Size>,

    /// PEM file with the TLS certificate, followed by the intermediate ones
    ///
    /// When it or the key changes, both are read anew within seconds, and on a reload at once. Files that cannot be
    /// used are told in the log, and the old certificate stays.
    #[arg(long, env = "TIDINGS_TLS_CERT", value_name = "FILE")]
    tls_cert: Option<PathBuf>,

    /// PEM file with the private key of the TLS certificate
    #[arg(long, env = "TIDINGS_TLS_KEY", value_name = "FILE")]
    tls_key: Option<PathBuf>,

    /// Listen beyond this machine without TLS: for use behind a proxy that has it
    #[arg(
        long,
        env = "TIDINGS_INSECURE",
        num_args = 0..=1,
        default_missing_value = "true",
        value_name = "BOOL"
    )]
    insecure: Option<Switch>,

    /// Origin from whose pages browsers may connect; repeat it for more origins [default: any, but pages of the
    /// server's own host alone for apps that require no token]
    ///
    /// An origin is written as browsers state it: https://chat.example.org, or https://*.example.org for all names of
    /// one more label; any is every origin. An app can have a list of its own: `tidings app set ID origins=...`.
    #[arg(
        long,
        env = "TIDINGS_ORIGIN",
        value_name = "ORIGIN",
        value_delimiter = ','
    )]
    origin: Option<Vec<String>>,

    /// Address or range of a proxy whose `X-Forwarded-For` is believed; repeat it for more proxies [default: none]
    ///
    /// Limits per address then count the proxy's clients one by one. The proxy must write the header itself.
    #[arg(
        long,
        env = "TIDINGS_TRUSTED_PROXY",
        value_name = "ADDRESS[/BITS]",
        value_delimiter = ','
    )]
    trusted_proxy: Option<Vec<String>>,

    /// Serve legacy clients [default: on]
    #[arg(
        long,
        env = "TIDINGS_LEGACY",
        num_args = 0..=1,
        default_missing_value = "true",
        value_name = "BOOL"
    )]
    legacy: Option<Switch>,

    /// Where legacy clients reach this server, for example wss://sig.example.org [default: as they ask for it]
    #[arg(long, env = "TIDINGS_LEGACY_PUBLIC_URL", value_name = "URL")]
    legacy_public_url: Option<String>,

    /// Let legacy clients log in with `_no_need_token` although their app has a certificate: anybody as any user
    #[arg(
        long,
        env = "TIDINGS_LEGACY_TOKEN_DEBUGGING",
        num_args = 0..=1,
        default_missing_value = "true",
        value_name = "BOOL"
    )]
    legacy_token_debugging: Option<Switch>,

    /// The user that answers for telephone numbers that legacy clients invite
    #[arg(long, env = "TIDINGS_PHONE_GATEWAY", value_name = "USER")]
    phone_gateway: Option<String>,

    /// Connections of the node that have not logged in [default: 10000, or a tenth of the files that may be open]
    #[arg(long, env = "TIDINGS_STRANGERS_MAX", value_name = "NUMBER")]
    strangers_max: Option<usize>,

    /// The same of one address; raise it where many users share one [default: 1000]
    #[arg(long, env = "TIDINGS_STRANGERS_PER_ADDRESS_MAX", value_name = "NUMBER")]
    strangers_per_address_max: Option<usize>,

    /// Connections that one address may open [default: 1000/20s]
    #[arg(long, env = "TIDINGS_HANDSHAKE_RATE", value_name = "CALLS/TIME")]
    handshake_rate: Option<RateValue>,

    /// The same of legacy clients, which open many [default: 2000/4s]
    #[arg(long, env = "TIDINGS_LEGACY_HANDSHAKE_RATE", value_name = "CALLS/TIME")]
    legacy_handshake_rate: Option<RateValue>,

    /// Logins of one address that may fail; with one more, it is turned away for a while [default: 20/10s]
    #[arg(long, env = "TIDINGS_FAILED_LOGIN_RATE", value_name = "CALLS/TIME")]
    failed_login_rate: Option<RateValue>,

    /// How long it is; a number without a unit is seconds [default: 10s]
    #[arg(long, env = "TIDINGS_FAILED_LOGIN_PAUSE", value_name = "TIME")]
    failed_login_pause: Option<Span>,

    /// Logins per second that the node takes in; more are told when to come again [default: 10000]
    #[arg(long, env = "TIDINGS_LOGIN_RATE", value_name = "NUMBER")]
    login_rate: Option<usize>,

    /// What to log: error, warn, info, debug or trace, or a filter such as info,tidings_server=debug [default: info]
    #[arg(long, env = "TIDINGS_LOG", value_name = "LEVEL")]
    log: Option<String>,

    /// Form of log lines [default: text]
    #[arg(
        long,
        alias = "log-form",
        env = "TIDINGS_LOG_FORMAT",
        value_name = "FORM"
    )]
    #[serde(alias = "log-form")]
    log_format: Option<Form>,

    /// File for security events, one JSON object a line, instead of the log: logins, refusals, bans, floods, changes by
    /// operators
    ///
    /// It is readable by the server's user alone, and opened anew on a reload, after a program such as logrotate has
    /// moved it away.
    #[arg(long, env = "TIDINGS_SECURITY_LOG", value_name = "FILE")]
    security_log: Option<PathBuf>,

    /// Security events per second that are logged; ten times as many may come at once, what comes above is counted
    /// [default: 200]
    #[arg(
        long,
        env = "TIDINGS_SECURITY_LOG_RATE",
        value_name = "NUMBER",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    security_log_rate: Option<u32>,
}

impl Settings {
    /// Fills what is not given with what a weaker source gives.
    pub(crate) fn or(self, weaker: Self) -> Self {
        Self {
            listen: self.listen.or(weaker.listen),
            admin_listen: self.admin_listen.or(weaker.admin_listen),
            data_dir: self.data_dir.or(weaker.data_dir),
            app: self.app.or(weaker.app),
            app_file: self.app_file.or(weaker.app_file),
            dev: self.dev.or(weaker.dev),
            demo: self.demo.or(weaker.demo),
            guide: self.guide.or(weaker.guide),
            disk_reserve: self.disk_reserve.or(weaker.disk_reserve),
            media_keep_days: self.media_keep_days.or(weaker.media_keep_days),
            media_bytes_max: self.media_bytes_max.or(weaker.media_bytes_max),
            media_app_bytes_max: self.media_app_bytes_max.or(weaker.media_app_bytes_max),
            media_user_bytes_max: self.media_user_bytes_max.or(weaker.media_user_bytes_max),
            hubs: self.hubs.or(weaker.hubs),
            drain_window: self.drain_window.or(weaker.drain_window),
            memory_max: self.memory_max.or(weaker.memory_max),
            tls_cert: self.tls_cert.or(weaker.tls_cert),
            tls_key: self.tls_key.or(weaker.tls_key),
            insecure: self.insecure.or(weaker.insecure),
            origin: self.origin.or(weaker.origin),
            trusted_proxy: self.trusted_proxy.or(weaker.trusted_proxy),
            legacy: self.legacy.or(weaker.legacy),
            legacy_public_url: self.legacy_public_url.or(weaker.legacy_public_url),
            legacy_token_debugging: self
                .legacy_token_debugging
                .or(weaker.legacy_token_debugging),
            phone_gateway: self.phone_gateway.or(weaker.phone_gateway),
            strangers_max: self.strangers_max.or(weaker.strangers_max),
            strangers_per_address_max: self
                .strangers_per_address_max
                .or(weaker.strangers_per_address_max),
            handshake_rate: self.handshake_rate.or(weaker.handshake_rate),
            legacy_handshake_rate: self.legacy_handshake_rate.or(weaker.legacy_handshake_rate),
            failed_login_rate: self.failed_login_rate.or(weaker.failed_login_rate),
            failed_login_pause: self.failed_login_pause.or(weaker.failed_login_pause),
            login_rate: self.login_rate.or(weaker.login_rate),
            log: self.log.or(weaker.log),
            log_format: self.log_format.or(weaker.log_format),
            security_log: self.security_log.or(weaker.security_log),
            security_log_rate: self.security_log_rate.or(weaker.security_log_rate),
        }
    }

    /// Where everything is kept.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(|| DATA_DIR.into())
    }

    /// Whether every app id is accepted.
    pub(crate) fn is_dev(&self) -> bool {
        self.dev.is_some_and(|dev| dev.0)
    }

    /// What to log, and how.
    pub(crate) fn log(&self) -> Plan {
        Plan {
            filter: self.log.clone().unwrap_or_else(|| LOG.into()),
            form: self.log_format.unwrap_or(Form::Text),
            security: self.security_log.clone(),
            security_lines_per_s: self.security_log_rate.unwrap_or(SECURITY_LOG_RATE).max(1),
        }
    }
}

/// Reads a text or a list of texts. Its error does not show what was found, which may be a secret.
fn one_or_many<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a text or a list of texts is expected")]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    Ok(Some(match OneOrMany::deserialize(from)? {
        OneOrMany::One(text) => vec![text],
        OneOrMany::Many(texts) => texts,
    }))
}

/// The same for paths.
fn one_or_many_paths<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<PathBuf>>, D::Error> {
    let texts = one_or_many(from)?;
    Ok(texts.map(|texts| texts.into_iter().map(PathBuf::from).collect()))
}
