//! The configuration of a server.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use tidings_hub::Apps;
use tidings_legacy::AppRules;
use tidings_store::embedded::DiskReserve;
use tidings_wire::limits;
use tidings_wire::names::AppId;
use tidings_wire::rates::Rate;

use crate::api::config::ApiConfig;
use crate::bounds::HUBS_MAX;
use crate::cluster::ClusterSettings;
use crate::media::{AppRule, Shares};
use crate::network::Network;
use crate::origins::Origins;
use crate::webhooks::WebhooksConfig;

/// Longest time over which clients are disconnected. Source: contract 4.5.
pub(crate) const DRAIN_WINDOW_MS_MAX: u64 = 20_000;

/// The configuration of a server.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Where to listen. Port 0 = any free port, see `RunningServer::local_addr`.
    pub listen: SocketAddr,
    /// A second address for health checks and operators' queries, whatever strangers do at
    /// `listen`; `None` = only there.
    pub admin_listen: Option<SocketAddr>,
    /// Whether the console is served, under `/console`: where the API is.
    pub console: bool,
    /// Whether the demonstration is served, under `/demo`.
    pub demo: bool,
    /// Whether the guide is served, under `/docs`.
    pub guide: bool,
    /// Hubs, each with a thread of its own: 1 to [`HUBS_MAX`].
    pub hubs: u16,
    /// Where records are stored.
    pub store: StoreConfig,
    /// New records and uploads are refused when less than this is free on the store's disk.
    pub disk_reserve: DiskReserve,
    /// Limits on uploaded files. They are kept only with a store in a directory.
    pub media: MediaConfig,
    /// The apps that are served.
    pub apps: Apps,
    /// Certificate and key; `None` = plain HTTP and WebSocket.
    pub tls: Option<TlsFiles>,
    /// The pages from which browsers may connect.
    pub origins: Origins,
    /// Proxies whose `X-Forwarded-For` is trusted: their clients are counted by the address that it
    /// states.
    pub trusted_proxies: Vec<Network>,
    /// Bounds on the cost of strangers.
    pub limits: Limits,
    /// Time over which clients are disconnected when the server stops, in milliseconds, at most
    /// 20,000. 0 = all at once: the next process takes over their sessions, and the sooner it can
    /// start, the shorter they are away.
    pub drain_window_ms: u64,
    /// Memory that the process may use, in bytes, at least [`MEMORY_MIN`](crate::MEMORY_MIN);
    /// `None` = three quarters of the machine's or the container's.
    pub memory_max: Option<u64>,
    /// The server-side HTTP API.
    pub api: ApiConfig,
    /// How people log in at the console without a key; `None` = they cannot.
    pub login: Option<LoginConfig>,
    /// How webhooks are delivered.
    pub webhooks: WebhooksConfig,
    /// The legacy protocol.
    pub legacy: LegacyConfig,
    /// How the node joins its cluster; `None` = it is alone.
    pub cluster: Option<ClusterSettings>,
    /// Whether the answer to a handshake names the hub that took the connection. For tests that
    /// place users on hubs; with it, an attacker could choose the thread of its victims.
    pub names_hubs: bool,
}

/// How people log in at the console without a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginConfig {
    /// How the login server is asked, and what its answers permit.
    pub oidc: tidings_oidc::Settings,
    /// The console's address, as browsers have it.
    pub console: String,
    /// How long a login lasts, in milliseconds.
    pub lasts_ms: u64,
    /// PEM file with the authorities that vouch for the login server; `None` = the public ones.
    pub authorities: Option<PathBuf>,
}

/// Settings of the legacy protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegacyConfig {
    /// Whether legacy clients are served at all.
    pub enabled: bool,
    /// The URL at which clients reach this server, for example `wss://sig.example.org`; `None` =
    /// the host that the address request used.
    pub public_url: Option<String>,
    /// The rules of apps without rules of their own.
    pub rules: AppRules,
    /// Rules of single apps.
    pub apps: BTreeMap<AppId, AppRules>,
}

impl Default for LegacyConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            public_url: None,
            rules: AppRules::default(),
            apps: BTreeMap::new(),
        }
    }
}

impl ServerConfig {
    /// A server on one address with everything else at its default: one hub per core, no TLS, a
    /// store in memory and no apps.
    pub fn new(listen: SocketAddr) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            listen,
            admin_listen: None,
            console: true,
            demo: true,
            guide: true,
            hubs: u16::try_from(cores).unwrap_or(HUBS_MAX).min(HUBS_MAX),
            store: StoreConfig::Memory,
            disk_reserve: DiskReserve::Auto,
            media: MediaConfig::default(),
            apps: Apps::default(),
            tls: None,
            origins: Origins::Any,
            trusted_proxies: Vec::new(),
            limits: Limits::default(),
            memory_max: None,
            api: ApiConfig::default(),
            login: None,
            webhooks: WebhooksConfig::default(),
            legacy: LegacyConfig::default(),
            cluster: None,
            names_hubs: false,
            drain_window_ms: 0,
        }
    }
}

/// Where records are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreConfig {
    /// In memory: everything is lost with the process. For tests and demonstrations.
    Memory,
    /// In a directory, created if missing.
    Directory(PathBuf),
}

/// Most bytes that a file takes besides its content: its header, and the rest of its last block.
const FILE_HEAD_BYTES: u64 = 8 * 1024;

/// Bounds on the files that users upload. They are kept in `media` in the store's directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaConfig {
    /// How long a file is kept, in seconds.
    pub keep_s: u64,
    /// Largest file, in bytes.
    pub file_bytes_max: u64,
    /// All files together, in bytes; a file counts in blocks of 4 KiB.
    pub bytes_max: u64,
    /// Bytes of the files of one app; `None` = half of all, but at most the default quota, when
    /// there is more than one app, otherwise all. An app's own quota takes precedence.
    pub app_bytes_max: Option<u64>,
    /// The files of one user together, in bytes; `None` = a sixteenth of all.
    pub user_bytes_max: Option<u64>,
}

impl MediaConfig {
    /// How much an app with this quota of its own, and a user of it, may store.
    pub(crate) fn shares(&self, has_other_apps: bool, quota: Option<u64>) -> Shares {
        let default = limits::APP_MEDIA_BYTES_MAX as u64;
        // Order: the app's own value, then the value for every app, then the default.
        let (app_bytes_max, app_rule) = match (quota, self.app_bytes_max) {
            // Unlimited: the server's own bound applies.
            (Some(0), _) => (u64::MAX, AppRule::Quota),
            (Some(max), _) => (max, AppRule::Quota),
            (None, Some(max)) => (max, AppRule::Setting),
            (None, None) if !has_other_apps => (self.bytes_max, AppRule::Setting),
            (None, None) if self.bytes_max / 2 > default => (default, AppRule::Quota),
            (None, None) => (self.bytes_max / 2, AppRule::Setting),
        };
        // A user may always keep one file of the largest size.
        let of_user =
            (self.bytes_max / 16).max(self.file_bytes_max.saturating_add(FILE_HEAD_BYTES));
        Shares {
            app_bytes_max,
            app_rule,
            user_bytes_max: self.user_bytes_max.unwrap_or(of_user).min(app_bytes_max),
        }
    }
}

impl Default for MediaConfig {
    fn default() -> Self {
        Self {
            keep_s: limits::MEDIA_KEEP_S as u64,
            file_bytes_max: limits::MEDIA_BYTES_MAX as u64,
            bytes_max: 10 << 30,
            app_bytes_max: None,
            user_bytes_max: None,
        }
    }
}

/// PEM files of a TLS server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, followed by the intermediate ones.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Bounds on the cost of strangers before login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections of the node that have not logged in. Source: contract 4.1.
    pub preauth_connections_max: usize,
    /// The same of one IPv4 address or one IPv6 /64. Loopback addresses are exempt: a proxy on this
    /// machine speaks for everybody, unless it is trusted to say for whom. Source: contract 6.2.
    pub preauth_connections_per_address_max: usize,
    /// Connections that one source may open; legacy ones are counted apart. Source: contract 6.2.
    pub handshakes: Rate,
    /// The same for connections of legacy clients, which open many.
    pub legacy_handshakes: Rate,
    /// Failed logins allowed per source; with one more, the source is paused. Source: contract 6.2.
    pub failed_logins: Rate,
    /// Length of such a pause, in milliseconds.
    pub failed_login_pause_ms: u64,
    /// Unfinished TLS handshakes per hub; with one more, the oldest is dropped. Source: contract
    /// 4.1.
    pub tls_handshakes_max: usize,
    /// Logins per second of a node that keeps up. Source: contract 4.4.
    pub login_rate: usize,
    /// Burst of logins beyond the rate; further clients get a retry time. Source: contract 4.1.
    pub login_queue: usize,
    /// Longest time for an HTTP request head, or a TLS handshake, in milliseconds.
    pub request_head_wait_ms: u64,
    /// How long a kept HTTP connection waits for its next request, in milliseconds.
    pub visit_idle_ms: u64,
    /// How long a closed connection waits for its client's close, in milliseconds. A slower client
    /// finds the connection reset.
    pub close_wait_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            preauth_connections_max: limits::PREAUTH_CONNECTIONS_MAX,
            preauth_connections_per_address_max: limits::PREAUTH_CONNECTIONS_PER_ADDRESS_MAX,
            handshakes: limits::RATE_HANDSHAKE,
            legacy_handshakes: limits::RATE_LEGACY_HANDSHAKE,
            failed_logins: limits::RATE_FAILED_LOGIN,
            failed_login_pause_ms: limits::FAILED_LOGIN_PAUSE_MS,
            tls_handshakes_max: limits::TLS_HANDSHAKES_MAX,
            login_rate: limits::LOGIN_RATE,
            login_queue: limits::LOGIN_QUEUE,
            request_head_wait_ms: limits::REQUEST_HEAD_WAIT_MS,
            visit_idle_ms: limits::VISIT_IDLE_MS,
            close_wait_ms: 5_000,
        }
    }
}
