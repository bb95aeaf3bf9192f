//! The settings of `serve`: one definition for command line, environment and file.
//!
//! Precedence: command line, then environment, then file, then default.

#[macro_use]
mod table;

mod apps;
mod checks;
mod cluster;
mod file;
mod keys;
mod login;
mod resolve;
pub(crate) mod values;
mod variables;

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use tidings_server::{Limits, MediaConfig, Rates, WebhooksConfig};

pub(crate) use self::apps::AppSource;
pub(crate) use self::cluster::is_open_to_others;
pub(crate) use self::resolve::parse_origins;
use self::values::{Listen, RateValue, Size, Span, Switch};
pub(crate) use self::variables::check as check_variables;
use crate::failure::Failure;
use crate::log::{Form, Plan};

/// Security events logged per second by default. Logins of a thousand users at once fit, because a
/// burst may be ten seconds' worth; a flood that lasts a day takes some gigabytes.
const SECURITY_LOG_RATE: u32 = 200;

settings! {
    /// Address and port to listen on [default: 127.0.0.1:7400]
    #[arg(env = "TIDINGS_LISTEN", value_name = "ADDRESS:PORT")]
    listen: Listen = Listen::HERE;

    /// Second address and port, for health checks only: load on the first cannot delay them
    /// [default: none]
    #[arg(env = "TIDINGS_ADMIN_LISTEN", value_name = "ADDRESS:PORT")]
    admin_listen: Listen;

    /// Address and port for the server-side API alone, with threads of its own and HTTP/2 also
    /// without TLS [default: none, it is served at --listen]
    #[arg(env = "TIDINGS_API_LISTEN", value_name = "ADDRESS:PORT")]
    api_listen: Listen;

    /// Threads of --api-listen [default: 1]
    #[arg(env = "TIDINGS_API_THREADS", value_name = "NUMBER")]
    api_threads: u16 = 1_u16 => checks::api_threads;

    /// How often the backends of one app may call the server-side API, all together [default:
    /// 500/1s]
    #[arg(env = "TIDINGS_API_RATE", value_name = "CALLS/TIME")]
    api_rate: RateValue = RateValue(Rates::default().calls);

    /// What the hosted service's calls are answered about a receiver who is offline:
    /// message_offline or, for callers of the old spelling, peer_offline [default: message_offline]
    #[arg(env = "TIDINGS_API_OFFLINE_CODE", value_name = "WORD")]
    api_offline_code: String = "message_offline".to_owned() => checks::api_offline_code;

    /// API key with the role admin, tdk_ID_SECRET, beside those that are stored; repeat for more.
    /// Give it by the variable or the file: options show in process lists
    #[arg(
        env = "TIDINGS_API_KEY",
        value_name = "KEY",
        value_delimiter = ',',
        hide_env_values = true
    )]
    #[serde(default, deserialize_with = "one_or_many")]
    api_key: Vec<String>;

    /// Let webhooks call private, loopback and other special addresses: every app can then reach
    /// the server's own network [default: off]
    #[arg(env = "TIDINGS_WEBHOOKS_PRIVATE_TARGETS", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    webhooks_private_targets: Switch = Switch(false);

    /// Private address or range that webhooks may call; repeat for more [default: none]
    #[arg(
        env = "TIDINGS_WEBHOOKS_ALLOW",
        value_name = "ADDRESS[/BITS]",
        value_delimiter = ','
    )]
    #[serde(default, deserialize_with = "one_or_many")]
    webhooks_allow: Vec<String>;

    /// Let webhooks call public targets without TLS; private ones that are allowed never need it
    /// [default: off]
    #[arg(env = "TIDINGS_WEBHOOKS_HTTP", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    webhooks_http: Switch = Switch(false);

    /// PEM file with certificates of authorities that webhooks trust besides the public ones
    #[arg(env = "TIDINGS_WEBHOOKS_CA", value_name = "FILE")]
    webhooks_ca: PathBuf;

    /// Events per second that the webhooks of one app deliver together; what is above waits
    /// [default: 1000]
    #[arg(env = "TIDINGS_WEBHOOKS_RATE", value_name = "NUMBER")]
    webhooks_rate: u32 = WebhooksConfig::default().settings.app_rate_max => checks::webhooks_rate;

    /// Pause after a webhook's first failed delivery; later ones double up to an hour [default: 2s]
    #[arg(env = "TIDINGS_WEBHOOKS_PAUSE", value_name = "TIME")]
    webhooks_pause: Span = Span::Time(WebhooksConfig::default().settings.first_pause) => checks::webhooks_pause;

    /// Directory for offline messages, attributes and uploaded files; created if missing [default:
    /// ./tidings-data]
    #[arg(env = "TIDINGS_DATA_DIR", value_name = "DIRECTORY")]
    data_dir: PathBuf = PathBuf::from("./tidings-data");

    /// App to serve: its id, and the certificate that signs its tokens; repeat for more apps
    ///
    /// Without a certificate, no token is required. While you rotate a certificate, give both:
    /// ID:NEW:OLD. In the variable, separate apps by commas; in the file, write a list.
    #[arg(
        env = "TIDINGS_APP",
        value_name = "ID[:CERTIFICATE]",
        value_delimiter = ',',
        hide_env_values = true
    )]
    #[serde(default, deserialize_with = "one_or_many")]
    app: Vec<String>;

    /// File with one app per line, written as for --app; repeat for more files [default: the
    /// systemd credential "apps", if there is one]
    ///
    /// Unlike options, the contents of a file do not show in process lists. Make the file readable
    /// by the server's user only. Lines that begin with # are comments. A reload reads the file
    /// again.
    #[arg(
        env = "TIDINGS_APP_FILE",
        value_name = "FILE",
        value_delimiter = ','
    )]
    #[serde(default, deserialize_with = "one_or_many_paths")]
    app_file: Vec<PathBuf>;

    /// Accept every app id without a certificate: for trying things out, not for production
    #[arg(env = "TIDINGS_DEV", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    dev: Switch = Switch(false);

    /// Serve the operators' console at /console, where the server-side API is served; it needs a key
    /// [default: on]
    #[arg(env = "TIDINGS_CONSOLE", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    console: Switch = Switch(true);

    /// Login server (OpenID Connect) by which people log in at the console: the issuer, such as
    /// https://login.example.com/realms/ops [default: none, they need a key]
    #[arg(env = "TIDINGS_OIDC_ISSUER", value_name = "URL")]
    oidc_issuer: String;

    /// Client id of this server at the login server
    #[arg(env = "TIDINGS_OIDC_CLIENT_ID", value_name = "ID")]
    oidc_client_id: String;

    /// File with the client secret, if the login server gives one; the spaces around it do not count
    #[arg(env = "TIDINGS_OIDC_SECRET_FILE", value_name = "FILE")]
    oidc_secret_file: PathBuf;

    /// Address of the console as browsers have it: https://chat.example.com/console/
    ///
    /// The login server has to permit what follows from it as the address to come back to:
    /// https://chat.example.com/api/v1/login/callback.
    #[arg(env = "TIDINGS_OIDC_CONSOLE", value_name = "URL")]
    oidc_console: String;

    /// What a group of the login server permits: GROUP=admin, GROUP=read, GROUP=app:APP or
    /// GROUP=read:APP, with more apps behind further colons; repeat for more groups
    ///
    /// Of several groups, the strongest role counts: admin, then app, then read. Whoever is in none
    /// of them is not let in.
    #[arg(env = "TIDINGS_OIDC_ROLE", value_name = "GROUP=ROLE", value_delimiter = ',')]
    #[serde(default, deserialize_with = "one_or_many")]
    oidc_role: Vec<String>;

    /// Claim of ID tokens that holds a person's groups, a text or a list; dots lead into objects, as
    /// in realm_access.roles [default: groups]
    #[arg(env = "TIDINGS_OIDC_CLAIM", value_name = "NAME")]
    oidc_claim: String = "groups".to_owned();

    /// Scopes that are asked for besides openid [default: profile, email]
    #[arg(env = "TIDINGS_OIDC_SCOPE", value_name = "SCOPE", value_delimiter = ',')]
    #[serde(default, deserialize_with = "one_or_many")]
    oidc_scope: Vec<String>;

    /// What people call the login server, on the console's button [default: its host]
    #[arg(env = "TIDINGS_OIDC_NAME", value_name = "NAME")]
    oidc_name: String;

    /// How long a login at the console lasts [default: 8h]
    #[arg(env = "TIDINGS_OIDC_SESSION", value_name = "TIME")]
    oidc_session: Span = Span::Time(Duration::from_secs(8 * 3_600)) => checks::oidc_session;

    /// PEM file with the authorities that vouch for the login server [default: the public ones]
    #[arg(env = "TIDINGS_OIDC_CA", value_name = "FILE")]
    oidc_ca: PathBuf;

    /// Serve the demonstration at /demo [default: with --dev only]
    #[arg(env = "TIDINGS_DEMO", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    demo: Switch;

    /// Serve the guide at /docs [default: with --dev only]
    #[arg(env = "TIDINGS_GUIDE", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    guide: Switch;

    /// Free disk space to preserve: with less, new messages and files are refused; deletions still
    /// work [default: 5 % of the disk, at least 256 MiB]
    #[arg(env = "TIDINGS_DISK_RESERVE", value_name = "SIZE")]
    disk_reserve: Size;

    /// How long uploaded files are kept; a number without a unit is days [default: 7d]
    #[arg(env = "TIDINGS_MEDIA_KEEP_DAYS", value_name = "TIME")]
    media_keep_days: Span = Span::Time(Duration::from_secs(MediaConfig::default().keep_s)) => checks::media_keep;

    /// Space for all uploaded files together [default: 10GiB]
    #[arg(env = "TIDINGS_MEDIA_BYTES_MAX", value_name = "SIZE")]
    media_bytes_max: Size = Size(MediaConfig::default().bytes_max);

    /// Space for the uploaded files of one app, unless the app sets max_media_bytes [default: all
    /// of --media-bytes-max; with several apps half of it, at most 2GiB]
    #[arg(env = "TIDINGS_MEDIA_APP_BYTES_MAX", value_name = "SIZE")]
    media_app_bytes_max: Size;

    /// Space for the uploaded files of one user [default: a sixteenth of --media-bytes-max]
    #[arg(env = "TIDINGS_MEDIA_USER_BYTES_MAX", value_name = "SIZE")]
    media_user_bytes_max: Size;

    /// Number of hubs; each has its own thread [default: one per core]
    #[arg(env = "TIDINGS_HUBS", value_name = "NUMBER")]
    hubs: u16 => checks::hubs;

    /// Time over which to spread disconnects when the server stops, at most 20s; a number without a
    /// unit is seconds [default: 0, all at once]
    #[arg(env = "TIDINGS_DRAIN_WINDOW", value_name = "TIME")]
    drain_window: Span = Span::Bare(0) => checks::drain_window;

    /// Memory limit of the server, at least 64MiB [default: three quarters of the machine's memory
    /// or of the container's limit]
    ///
    /// Above 80 % of it, new logins are refused and messages buffered for disconnected clients are
    /// dropped. Above 95 %, the slowest clients are disconnected. Clients are told what they have
    /// missed.
    #[arg(env = "TIDINGS_MEMORY_MAX", value_name = "SIZE")]
    memory_max: Size => checks::memory_max;

    /// PEM file with the TLS certificate, followed by any intermediate certificates
    ///
    /// When it or the key changes, both are read again within seconds, on a reload at once. If the
    /// files cannot be used, the log says so and the old certificate stays in use.
    #[arg(env = "TIDINGS_TLS_CERT", value_name = "FILE")]
    tls_cert: PathBuf;

    /// PEM file with the private key of the TLS certificate
    #[arg(env = "TIDINGS_TLS_KEY", value_name = "FILE")]
    tls_key: PathBuf;

    /// Accept connections from other machines without TLS: for use behind a proxy that terminates
    /// TLS
    #[arg(env = "TIDINGS_INSECURE", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    insecure: Switch = Switch(false);

    /// Origin whose pages may connect; repeat for more origins [default: any; only the server's own
    /// host for apps that require no token]
    ///
    /// Write an origin as browsers send it: https://chat.example.org, or https://*.example.org for
    /// all its direct subdomains; `any` allows every origin. An app can have its own list: `tidings
    /// app set ID origins=...`.
    #[arg(
        env = "TIDINGS_ORIGIN",
        value_name = "ORIGIN",
        value_delimiter = ','
    )]
    origin: Vec<String>;

    /// Address or range of a proxy whose `X-Forwarded-For` header is trusted; repeat for more
    /// proxies [default: none]
    ///
    /// Limits per address then apply to each of the proxy's clients. The proxy must set the header
    /// itself.
    #[arg(
        env = "TIDINGS_TRUSTED_PROXY",
        value_name = "ADDRESS[/BITS]",
        value_delimiter = ','
    )]
    trusted_proxy: Vec<String>;

    /// Serve legacy clients [default: on]
    #[arg(env = "TIDINGS_LEGACY", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    legacy: Switch = Switch(true);

    /// URL at which legacy clients reach this server, for example wss://sig.example.org [default:
    /// the host that they asked for]
    #[arg(env = "TIDINGS_LEGACY_PUBLIC_URL", value_name = "URL")]
    legacy_public_url: String;

    /// Let legacy clients log in with `_no_need_token` even if their app has a certificate: anyone
    /// can be any user
    #[arg(env = "TIDINGS_LEGACY_TOKEN_DEBUGGING", num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    legacy_token_debugging: Switch = Switch(false);

    /// User that is invited when a legacy client calls a telephone number
    #[arg(env = "TIDINGS_PHONE_GATEWAY", value_name = "USER")]
    phone_gateway: String;

    /// Connections that may be open before login [default: 10000, or a tenth of the open-files
    /// limit]
    #[arg(env = "TIDINGS_STRANGERS_MAX", value_name = "NUMBER")]
    strangers_max: usize = Limits::default().preauth_connections_max => checks::logins;

    /// Connections of one address that may be open before login; raise it where many users share an
    /// address [default: 1000]
    #[arg(env = "TIDINGS_STRANGERS_PER_ADDRESS_MAX", value_name = "NUMBER")]
    strangers_per_address_max: usize = Limits::default().preauth_connections_per_address_max => checks::logins;

    /// How often one address may connect [default: 1000/20s]
    #[arg(env = "TIDINGS_HANDSHAKE_RATE", value_name = "CALLS/TIME")]
    handshake_rate: RateValue = RateValue(Limits::default().handshakes);

    /// How often legacy clients of one address may connect; they open several connections each
    /// [default: 2000/4s]
    #[arg(env = "TIDINGS_LEGACY_HANDSHAKE_RATE", value_name = "CALLS/TIME")]
    legacy_handshake_rate: RateValue = RateValue(Limits::default().legacy_handshakes);

    /// How many logins of one address may fail before it is blocked for a while [default: 20/10s]
    #[arg(env = "TIDINGS_FAILED_LOGIN_RATE", value_name = "CALLS/TIME")]
    failed_login_rate: RateValue = RateValue(Limits::default().failed_logins);

    /// How long an address is blocked after too many failed logins; a number without a unit is
    /// seconds [default: 10s]
    #[arg(env = "TIDINGS_FAILED_LOGIN_PAUSE", value_name = "TIME")]
    failed_login_pause: Span = Span::Time(Duration::from_millis(Limits::default().failed_login_pause_ms));

    /// Logins per second; further clients are told when to retry [default: 10000]
    #[arg(env = "TIDINGS_LOGIN_RATE", value_name = "NUMBER")]
    login_rate: usize = Limits::default().login_rate => checks::logins;

    /// What to log: error, warn, info, debug or trace, or a filter such as
    /// info,tidings_server=debug [default: info]
    #[arg(env = "TIDINGS_LOG", value_name = "LEVEL")]
    log: String = "info".to_owned();

    /// Format of log lines [default: text]
    #[arg(
        alias = "log-form",
        env = "TIDINGS_LOG_FORMAT",
        value_name = "FORM"
    )]
    #[serde(alias = "log-form")]
    log_format: Form = Form::Text;

    /// File for security events (logins, refusals, bans, floods, changes by operators), one JSON
    /// object per line [default: the log]
    ///
    /// Only the server's user can read it. A reload opens it again, so that programs such as
    /// logrotate can move it.
    #[arg(env = "TIDINGS_SECURITY_LOG", value_name = "FILE")]
    security_log: PathBuf;

    /// Security events logged per second, with bursts of ten times as many; the rest is only
    /// counted [default: 200]
    #[arg(env = "TIDINGS_SECURITY_LOG_RATE", value_name = "NUMBER")]
    security_log_rate: u32 = SECURITY_LOG_RATE => checks::security_log_rate;

    /// OpenTelemetry collector that is sent spans of API calls, logins, store commits and webhooks,
    /// by OTLP over HTTP, for example http://127.0.0.1:4318 [default: none]
    ///
    /// Headers, such as the key of a hosted collector, are taken from the variable
    /// OTEL_EXPORTER_OTLP_HEADERS.
    #[arg(env = "TIDINGS_OTLP_ENDPOINT", value_name = "URL")]
    otlp_endpoint: String => checks::otlp_endpoint;

    /// Share of the traces that begin here of which spans are sent, 0 to 1; a caller who brings a
    /// trace along has decided about it [default: 1]
    #[arg(env = "TIDINGS_OTLP_SAMPLE", value_name = "SHARE")]
    otlp_sample: f64 = 1.0 => checks::otlp_sample;

    /// Name of the cluster that this server is a node of: letters, digits, - and _ [default: none,
    /// the server is alone]
    ///
    /// In the file, the settings of a cluster can stand in a table [cluster], without cluster- in
    /// front of their names.
    #[arg(env = "TIDINGS_CLUSTER_NAME", value_name = "NAME")]
    cluster_name: String;

    /// NATS server that joins the nodes: nats://HOST[:PORT], or tls://; repeat for each server
    ///
    /// A user and a password can stand before the host, as in nats://USER:PASSWORD@HOST; give them
    /// by the variable or the file, because options show in process lists.
    #[arg(
        env = "TIDINGS_CLUSTER_NATS",
        value_name = "URL",
        value_delimiter = ',',
        hide_env_values = true
    )]
    #[serde(default, deserialize_with = "one_or_many")]
    cluster_nats: Vec<String>;

    /// File with the credentials for NATS: a .creds file, or the seed of a user's nkey
    #[arg(env = "TIDINGS_CLUSTER_CREDENTIALS", value_name = "FILE")]
    cluster_credentials: PathBuf;

    /// PEM file with the authorities that vouch for the NATS servers [default: the public ones]
    #[arg(env = "TIDINGS_CLUSTER_CA", value_name = "FILE")]
    cluster_ca: PathBuf;

    /// File with the key that the nodes of the cluster share; `tidings cluster key` makes one
    #[arg(env = "TIDINGS_CLUSTER_KEY_FILE", value_name = "FILE")]
    cluster_key_file: PathBuf;

    /// URL at which clients reach this node itself, for example wss://chat-1.example.org
    #[arg(env = "TIDINGS_CLUSTER_ADVERTISE", value_name = "URL")]
    cluster_advertise: String;

    /// Name of this node, for people [default: the machine's]
    #[arg(env = "TIDINGS_CLUSTER_NODE_NAME", value_name = "NAME")]
    cluster_node_name: String;

    /// How long a login or a join waits until all NATS servers know of it; a number without a unit
    /// is milliseconds [default: 5ms]
    ///
    /// Where there is one NATS server, nothing is waited for.
    #[arg(env = "TIDINGS_CLUSTER_INTEREST_SETTLE", value_name = "TIME")]
    cluster_interest_settle: Span = Span::Time(Duration::from_millis(5)) => checks::interest_settle;

    /// What durable means on the cluster: relaxed = stored messages, histories and attributes stay
    /// on the node that took them, which is all that this version can do; it has to be said
    #[arg(env = "TIDINGS_CLUSTER_DURABILITY", value_name = "WORD")]
    cluster_durability: String;
}

impl Settings {
    /// Whether every app id is accepted.
    pub(crate) fn is_dev(&self) -> bool {
        self.dev().0
    }

    /// Whether the settings give keys of the API.
    pub(crate) fn has_api_keys(&self) -> bool {
        self.api_key.iter().flatten().next().is_some()
    }

    /// Which spans are sent where; `None` = none are.
    pub(crate) fn otlp_plan(&self) -> Option<crate::otlp::Plan> {
        Some(crate::otlp::Plan {
            endpoint: self.otlp_endpoint.clone()?,
            sample: self.otlp_sample(),
        })
    }

    /// What to log, and where.
    pub(crate) fn log_plan(&self) -> Plan {
        Plan {
            filter: self.log(),
            form: self.log_format(),
            security: self.security_log.clone(),
            security_lines_per_s: self.security_log_rate().max(1),
        }
    }
}

/// Reads a text or a list of texts. Its error does not quote the value, which may be a secret.
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
