//! The settings of `serve`: one definition for command line, environment and file.
//!
//! Precedence: command line, then environment, then file, then default.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};
use tidings_server::{
    App, AppId, AppRules, Apps, DiskReserve, MEMORY_MIN, MediaConfig, NetworkError, OriginError,
    OriginPattern, Origins, ServerConfig, StoreConfig, TlsFiles,
};

use crate::app::AppSpec;
use crate::failure::Failure;
use crate::log::Form;
use crate::registry::Registry;

const LISTEN: &str = "127.0.0.1:7400";
const DATA_DIR: &str = "./tidings-data";
const LOG: &str = "info";

/// The settings as one source gives them; what it does not give is `None`.
///
/// A field's name with dashes is its key in the file and its option; in capitals after `TIDINGS_` it is its
/// variable. Apps are taken as text and parsed later: an error of the option parser would show a certificate.
#[derive(Default, clap::Args, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Settings {
    /// Address and port to listen on [default: 127.0.0.1:7400]
    #[arg(long, env = "TIDINGS_LISTEN", value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,

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

    /// Accept every app id, without certificates: for trying things out, not for production
    #[arg(
        long,
        env = "TIDINGS_DEV",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_name = "BOOL"
    )]
    dev: Option<bool>,

    /// Bytes of the disk that are kept free: below, new messages and files are refused, deletions are not [default: 5 %
    /// of the disk, but at least 256 MiB]
    #[arg(long, env = "TIDINGS_DISK_RESERVE", value_name = "BYTES")]
    disk_reserve: Option<u64>,

    /// Days for which uploaded files are kept [default: 7]
    #[arg(
        long,
        env = "TIDINGS_MEDIA_KEEP_DAYS",
        value_name = "NUMBER",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    media_keep_days: Option<u32>,

    /// Bytes that all uploaded files together may take [default: 10737418240, which is 10 GiB]
    #[arg(long, env = "TIDINGS_MEDIA_BYTES_MAX", value_name = "BYTES")]
    media_bytes_max: Option<u64>,

    /// Bytes that the uploaded files of one app may take [default: as --media-bytes-max]
    #[arg(long, env = "TIDINGS_MEDIA_APP_BYTES_MAX", value_name = "BYTES")]
    media_app_bytes_max: Option<u64>,

    /// Hubs, each with a thread of its own [default: one per core]
    #[arg(long, env = "TIDINGS_HUBS", value_name = "NUMBER")]
    hubs: Option<u16>,

    /// Seconds over which clients are sent away when the server ends, at most 20 [default: 0, at once]
    #[arg(
        long,
        env = "TIDINGS_DRAIN_WINDOW",
        value_name = "SECONDS",
        value_parser = clap::value_parser!(u64).range(..=20)
    )]
    drain_window: Option<u64>,
    /// Bytes of memory that the server may use, at least 67108864, which is 64 MiB [default: three quarters of the
    /// machine's, or of the container's limit]
    ///
    /// From 80 % of it on, nobody else can log in, and what waits for clients that are away is dropped; from 95 % on,
    /// the slowest clients are sent away. They are told what they have missed.
    #[arg(long, env = "TIDINGS_MEMORY_MAX", value_name = "BYTES")]
    memory_max: Option<u64>,

    /// PEM file with the TLS certificate, followed by the intermediate ones
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
        require_equals = true,
        default_missing_value = "true",
        value_name = "BOOL"
    )]
    insecure: Option<bool>,

    /// Origin from whose pages browsers may connect; repeat it for more origins [default: any]
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

    /// Where legacy clients reach this server, for example wss://sig.example.org [default: as they ask for it]
    #[arg(long, env = "TIDINGS_LEGACY_PUBLIC_URL", value_name = "URL")]
    legacy_public_url: Option<String>,

    /// Let legacy clients log in with `_no_need_token` although their app has a certificate: anybody as any user
    #[arg(
        long,
        env = "TIDINGS_LEGACY_TOKEN_DEBUGGING",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        value_name = "BOOL"
    )]
    legacy_token_debugging: Option<bool>,

    /// The user that answers for telephone numbers that legacy clients invite
    #[arg(long, env = "TIDINGS_PHONE_GATEWAY", value_name = "USER")]
    phone_gateway: Option<String>,

    /// What to log: error, warn, info, debug or trace [default: info]
    #[arg(long, env = "TIDINGS_LOG", value_name = "LEVEL")]
    log: Option<String>,

    /// Form of log lines [default: text]
    #[arg(long, env = "TIDINGS_LOG_FORM", value_name = "FORM")]
    log_form: Option<Form>,
}

impl Settings {
    /// Reads a file.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Failure::new(
                format!(
                    "cannot read the configuration file {}: {error}",
                    path.display()
                ),
                "check the path given to --config or TIDINGS_CONFIG",
            )
        })?;
        toml::from_str(&text).map_err(|error| {
            // The library's own text would show the line, which may hold a certificate.
            let line = error
                .span()
                .map_or(1, |span| text[..span.start].matches('\n').count() + 1);
            Failure::new(
                format!(
                    "cannot use the configuration file {}, line {line}: {}",
                    path.display(),
                    error.message().replace('\n', " ")
                ),
                "keys are the options of `tidings serve --help` without the dashes in front",
            )
        })
    }

    /// Fills what is not given with what a weaker source gives.
    pub(crate) fn or(self, weaker: Self) -> Self {
        Self {
            listen: self.listen.or(weaker.listen),
            data_dir: self.data_dir.or(weaker.data_dir),
            app: self.app.or(weaker.app),
            dev: self.dev.or(weaker.dev),
            disk_reserve: self.disk_reserve.or(weaker.disk_reserve),
            media_keep_days: self.media_keep_days.or(weaker.media_keep_days),
            media_bytes_max: self.media_bytes_max.or(weaker.media_bytes_max),
            media_app_bytes_max: self.media_app_bytes_max.or(weaker.media_app_bytes_max),
            hubs: self.hubs.or(weaker.hubs),
            drain_window: self.drain_window.or(weaker.drain_window),
            memory_max: self.memory_max.or(weaker.memory_max),
            tls_cert: self.tls_cert.or(weaker.tls_cert),
            tls_key: self.tls_key.or(weaker.tls_key),
            insecure: self.insecure.or(weaker.insecure),
            origin: self.origin.or(weaker.origin),
            trusted_proxy: self.trusted_proxy.or(weaker.trusted_proxy),
            legacy_public_url: self.legacy_public_url.or(weaker.legacy_public_url),
            legacy_token_debugging: self
                .legacy_token_debugging
                .or(weaker.legacy_token_debugging),
            phone_gateway: self.phone_gateway.or(weaker.phone_gateway),
            log: self.log.or(weaker.log),
            log_form: self.log_form.or(weaker.log_form),
        }
    }

    /// Where everything is kept.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(|| DATA_DIR.into())
    }

    /// Whether every app id is accepted.
    pub(crate) fn is_dev(&self) -> bool {
        self.dev.unwrap_or(false)
    }

    /// What to log, and how.
    pub(crate) fn log(&self) -> (&str, Form) {
        (
            self.log.as_deref().unwrap_or(LOG),
            self.log_form.unwrap_or(Form::Text),
        )
    }

    /// Makes the server's configuration.
    pub(crate) fn resolve(self) -> Result<ServerConfig, Failure> {
        let listen = match self.listen {
            Some(listen) => listen,
            None => LISTEN.parse().expect("the default is an address"),
        };
        let mut config = ServerConfig::new(listen);
        config.tls = self.tls_files()?;
        if !is_loopback(listen.ip()) && config.tls.is_none() && !self.insecure.unwrap_or(false) {
            return Err(Failure::new(
                format!(
                    "{listen} can be reached from other machines, but there is no TLS: tokens and \
                     messages could be read on the way"
                ),
                "give --tls-cert and --tls-key, or --insecure if a proxy in front does TLS",
            ));
        }
        let data_dir = self.data_dir();
        config.apps = self.app_source().read()?;
        config.media = self.media()?;
        if let Some(hubs) = self.hubs {
            config.hubs = hubs;
        }
        config.memory_max = self.memory_max()?;
        config.store = StoreConfig::Directory(data_dir);
        if let Some(bytes) = self.disk_reserve {
            config.disk_reserve = DiskReserve::Bytes(bytes);
        }
        config.legacy.apps = self.app_source().read_legacy_rules()?;
        config.legacy.rules = self.legacy_rules();
        config.legacy.public_url = self.legacy_public_url;
        for text in self.trusted_proxy.iter().flatten() {
            let network = text.parse().map_err(|error: NetworkError| {
                Failure::new(
                    format!("cannot use the trusted proxy: {error}"),
                    "give --trusted-proxy the address from which the proxy connects, for example 127.0.0.1",
                )
            })?;
            config.trusted_proxies.push(network);
        }
        if let Some(seconds) = self.drain_window {
            config.drain_window_ms = seconds.saturating_mul(1_000);
        }
        if let Some(origins) = &self.origin {
            config.origins = Origins::Listed(parse_origins(origins)?);
        }
        Ok(config)
    }

    fn memory_max(&self) -> Result<Option<u64>, Failure> {
        match self.memory_max {
            Some(bytes) if bytes < MEMORY_MIN => Err(Failure::new(
                format!("the server cannot do with {bytes} bytes of memory"),
                format!("give --memory-max {MEMORY_MIN} or more"),
            )),
            given => Ok(given),
        }
    }

    fn media(&self) -> Result<MediaConfig, Failure> {
        let mut media = MediaConfig::default();
        if let Some(days) = self.media_keep_days {
            if days == 0 {
                return Err(Failure::new(
                    "uploaded files cannot be kept for 0 days",
                    "give --media-keep-days 1 or more",
                ));
            }
            media.keep_s = u64::from(days) * 86_400;
        }
        media.bytes_max = self.media_bytes_max.unwrap_or(media.bytes_max);
        media.app_bytes_max = self.media_app_bytes_max.unwrap_or(media.bytes_max);
        Ok(media)
    }

    fn tls_files(&self) -> Result<Option<TlsFiles>, Failure> {
        match (&self.tls_cert, &self.tls_key) {
            (None, None) => Ok(None),
            (Some(certificate), Some(key)) => Ok(Some(TlsFiles {
                certificate: certificate.clone(),
                key: key.clone(),
            })),
            (Some(certificate), None) => Err(Failure::new(
                format!("the TLS certificate {} has no key", certificate.display()),
                "give its private key with --tls-key",
            )),
            (None, Some(key)) => Err(Failure::new(
                format!("the TLS key {} has no certificate", key.display()),
                "give its certificate with --tls-cert",
            )),
        }
    }

    /// The rules of legacy logins, of apps that say nothing else.
    fn legacy_rules(&self) -> AppRules {
        AppRules {
            allows_debug_word: self.legacy_token_debugging.unwrap_or(false),
            phone_gateway: self.phone_gateway.clone(),
            ..AppRules::default()
        }
    }

    /// Where the apps come from.
    pub(crate) fn app_source(&self) -> AppSource {
        AppSource {
            legacy: self.legacy_rules(),
            accept_any: self.is_dev(),
            given: self.app.clone().unwrap_or_default(),
            data_dir: self.data_dir(),
        }
    }
}

/// Where the apps of a server come from; read at the start and at each reload.
pub(crate) struct AppSource {
    accept_any: bool,
    /// The rules of legacy logins, of apps that say nothing else.
    legacy: AppRules,
    /// As `--app` gives them.
    given: Vec<String>,
    data_dir: PathBuf,
}

impl AppSource {
    /// What the apps in the data directory say of legacy logins.
    pub(crate) fn read_legacy_rules(&self) -> Result<BTreeMap<AppId, AppRules>, Failure> {
        Registry::read(&self.data_dir)?.legacy_rules(&self.legacy)
    }

    /// Those that are given, and those that are kept in the data directory.
    pub(crate) fn read(&self) -> Result<Apps, Failure> {
        let mut apps = Apps {
            accept_any: self.accept_any,
            ..Apps::default()
        };
        let mut all = Vec::new();
        for text in &self.given {
            let AppSpec { id, certificates } = AppSpec::of_setting(text)?;
            let app = App {
                certificates,
                ..App::default()
            };
            all.push((id, app));
        }
        all.extend(Registry::read(&self.data_dir)?.apps()?);
        for (id, listed) in all {
            if apps.listed.insert(id.clone(), listed).is_some() {
                return Err(Failure::new(
                    format!("app {} is given twice", id.as_str()),
                    "give each app once, with --app or with `tidings app create`; two certificates of one app are written ID:NEW:OLD",
                ));
            }
        }
        if apps.listed.is_empty() && !apps.accept_any {
            return Err(Failure::new(
                "no app is given, so nobody could log in",
                "try `tidings serve --dev`, make an app with `tidings app create`, or give yours with --app ID:CERTIFICATE",
            ));
        }
        Ok(apps)
    }
}

/// Parses what `--origin` was given.
fn parse_origins(texts: &[String]) -> Result<Vec<OriginPattern>, Failure> {
    let parse = |text: &String| {
        text.trim().parse().map_err(|error: OriginError| {
            Failure::new(
                format!("cannot use the origin: {error}"),
                "write it as browsers do, without a slash at the end: https://chat.example.org, http://localhost:5173, \
                 or https://*.example.org for all names of one more label",
            )
        })
    };
    texts.iter().map(parse).collect()
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

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Settings {
        toml::from_str(text).expect("settings")
    }

    #[test]
    fn the_stronger_source_wins_and_the_weaker_fills() {
        let flags = settings("hubs = 3");
        let file = settings("hubs = 5\nlisten = \"127.0.0.1:9\"\ndev = true");
        let config = flags.or(file).resolve().expect("a configuration");
        assert_eq!((config.hubs, config.listen.port()), (3, 9));
        assert!(config.apps.accept_any);
    }

    #[test]
    fn one_app_may_take_as_much_as_all_unless_told_otherwise() {
        let media = |text: &str| {
            let config = settings(&format!("dev = true\n{text}")).resolve();
            config.map(|config| (config.media.bytes_max, config.media.app_bytes_max))
        };
        assert_eq!(media("media-bytes-max = 7").ok(), Some((7, 7)));
        let both = "media-bytes-max = 7\nmedia-app-bytes-max = 3";
        assert_eq!(media(both).ok(), Some((7, 3)));
        assert!(media("media-keep-days = 0").is_err());
    }

    #[test]
    fn memory_has_a_least() {
        let max = |bytes: u64| {
            let text = format!("dev = true\nmemory-max = {bytes}");
            settings(&text).resolve().map(|config| config.memory_max)
        };
        assert_eq!(max(MEMORY_MIN).ok(), Some(Some(MEMORY_MIN)));
        let told = max(MEMORY_MIN - 1).expect_err("too little").to_string();
        assert!(told.contains("--memory-max 67108864"), "{told}");
    }

    #[test]
    fn trusted_proxies_are_addresses_or_ranges() {
        let resolve = |text: &str| settings(&format!("dev = true\n{text}")).resolve();
        let config = resolve("trusted-proxy = [\"127.0.0.1\", \"10.0.0.0/8\"]");
        assert_eq!(
            config.map(|config| config.trusted_proxies.len()).ok(),
            Some(2)
        );
        assert!(resolve("trusted-proxy = [\"proxy.example\"]").is_err());
    }

    #[test]
    fn a_server_beyond_loopback_needs_tls_or_a_word() {
        let open = "dev = true\nlisten = \"0.0.0.0:7400\"\n";
        assert!(settings(open).resolve().is_err());
        assert!(
            settings(&format!("{open}insecure = true"))
                .resolve()
                .is_ok()
        );
        let tls = format!("{open}tls-cert = \"a.pem\"\ntls-key = \"b.pem\"");
        assert!(settings(&tls).resolve().is_ok());
        assert!(
            settings("dev = true\nlisten = \"[::1]:7400\"")
                .resolve()
                .is_ok()
        );
    }
}
