//! From settings to the server's configuration.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tidings_server::{
    ApiConfig, ApiSettings, AppRules, DiskReserve, FixedKeys, Limits, MediaConfig, NameRule,
    Network, NetworkError, OriginError, OriginPattern, Origins, Rates, ServerConfig, StoreConfig,
    TlsFiles, UserId, WebhookRules, WebhooksConfig,
};

use tidings_server::registry::NoRegistry;

use super::Settings;
use super::checks::{DAY, SECOND};
use super::keys::read_key;
use crate::failure::Failure;

impl Settings {
    /// Makes the server's configuration.
    pub(crate) fn resolve(self) -> Result<ServerConfig, Failure> {
        self.check()?;
        let mut config = ServerConfig::new(self.listen().0);
        config.tls = self.tls_files()?;
        config.admin_listen = self.admin_listen.map(|listen| listen.0);
        self.check_exposure(&config)?;
        config.console = self.console().0;
        config.login = self.login()?;
        config.demo = self.demo.map_or(self.is_dev(), |demo| demo.0);
        config.guide = self.guide.map_or(self.is_dev(), |guide| guide.0);
        config.trusted_proxies = self.proxies()?;
        config.origins = self.origins()?;
        config.media = self.media();
        config.memory_max = self.memory_max.map(|size| size.0);
        config.drain_window_ms = milliseconds(self.drain_window().of(SECOND));
        config.limits = self.limits();
        config.api = self.api()?;
        self.check_api_exposure(&config)?;
        config.webhooks = self.webhooks()?;
        config.legacy.enabled = self.legacy().0;
        config.legacy.public_url = self.legacy_public_url()?;
        config.legacy.rules = self.checked_legacy_rules()?;
        if let Some(hubs) = self.hubs {
            config.hubs = hubs;
        }
        if let Some(size) = self.disk_reserve {
            config.disk_reserve = DiskReserve::Bytes(size.0);
        }
        config.apps = self.app_source().read()?;
        config.legacy.apps = self.app_source().read_legacy_rules()?;
        config.store = StoreConfig::Directory(self.data_dir());
        config.cluster = self.cluster()?;
        Ok(config)
    }

    /// An address that other machines can reach has TLS, or its absence is intended.
    fn check_exposure(&self, config: &ServerConfig) -> Result<(), Failure> {
        let is_meant = self.insecure().0;
        if is_loopback(config.listen.ip()) || config.tls.is_some() || is_meant {
            return Ok(());
        }
        Err(Failure::new(
            format!(
                "{} can be reached from other machines, but there is no TLS: tokens and messages could be read in \
                 transit",
                config.listen
            ),
            "give --tls-cert and --tls-key, or --insecure if a proxy in front terminates TLS",
        ))
    }

    /// The same of the API's own port, which shows keys.
    fn check_api_exposure(&self, config: &ServerConfig) -> Result<(), Failure> {
        let Some(listen) = config.api.listen else {
            return Ok(());
        };
        if is_loopback(listen.ip()) || config.tls.is_some() || self.insecure().0 {
            return Ok(());
        }
        Err(Failure::new(
            format!(
                "{listen}, where the API listens, can be reached from other machines, but there is no TLS: keys \
                 could be read in transit"
            ),
            "give --tls-cert and --tls-key, or --insecure if a proxy in front terminates TLS",
        ))
    }

    fn api(&self) -> Result<ApiConfig, Failure> {
        let code = match self.api_offline_code().as_str() {
            "peer_offline" => "peer_offline",
            _ => "message_offline",
        };
        let keys: Result<Vec<_>, Failure> = self
            .api_key
            .iter()
            .flatten()
            .map(|key| read_key(key))
            .collect();
        Ok(ApiConfig {
            registry: Arc::new(NoRegistry),
            listen: self.api_listen.map(|listen| listen.0),
            threads: self.api_threads(),
            keys: Arc::new(FixedKeys(keys?)),
            settings: ApiSettings {
                rates: Rates::with_calls(self.api_rate().0),
                offline_code: code,
            },
        })
    }

    fn webhooks(&self) -> Result<WebhooksConfig, Failure> {
        let range = |text: &String| {
            text.trim().parse().map_err(|error: String| {
                let hint = "give --webhooks-allow an address or a range, for example 10.1.0.0/16";
                Failure::new(format!("cannot allow webhooks: {error}"), hint)
            })
        };
        let allowed = self.webhooks_allow.iter().flatten().map(range);
        let mut config = WebhooksConfig::default();
        config.settings.rules = WebhookRules {
            private_targets: self.webhooks_private_targets().0,
            allowed: allowed.collect::<Result<_, _>>()?,
            plain_http: self.webhooks_http().0,
        };
        config.settings.app_rate_max = self.webhooks_rate();
        config.settings.first_pause = self.webhooks_pause().of(SECOND);
        if let Some(path) = &self.webhooks_ca {
            config.read_authorities(path).map_err(|error| {
                let hint = "give --webhooks-ca a file that begins with -----BEGIN CERTIFICATE-----";
                Failure::new(format!("cannot use {}: {error}", path.display()), hint)
            })?;
        }
        Ok(config)
    }

    fn proxies(&self) -> Result<Vec<Network>, Failure> {
        let parse = |text: &String| {
            text.trim().parse().map_err(|error: NetworkError| {
                Failure::new(
                    format!("cannot use the trusted proxy: {error}"),
                    "give --trusted-proxy the address from which the proxy connects, for example 127.0.0.1",
                )
            })
        };
        self.trusted_proxy.iter().flatten().map(parse).collect()
    }

    fn origins(&self) -> Result<Origins, Failure> {
        match &self.origin {
            Some(texts) if texts.iter().all(|text| text.trim() == "any") => Ok(Origins::Any),
            Some(texts) => Ok(Origins::Listed(parse_origins(texts)?)),
            None => Ok(Origins::Auto),
        }
    }

    fn media(&self) -> MediaConfig {
        MediaConfig {
            keep_s: self.media_keep_days().of(DAY).as_secs(),
            bytes_max: self.media_bytes_max().0,
            app_bytes_max: self.media_app_bytes_max.map(|size| size.0),
            user_bytes_max: self.media_user_bytes_max.map(|size| size.0),
            ..MediaConfig::default()
        }
    }

    fn limits(&self) -> Limits {
        Limits {
            preauth_connections_max: self.strangers_max(),
            preauth_connections_per_address_max: self.strangers_per_address_max(),
            login_rate: self.login_rate(),
            handshakes: self.handshake_rate().0,
            legacy_handshakes: self.legacy_handshake_rate().0,
            failed_logins: self.failed_login_rate().0,
            failed_login_pause_ms: milliseconds(self.failed_login_pause().of(SECOND)),
            ..Limits::default()
        }
    }

    /// Whether the operator has set the number of connections before login.
    pub(crate) fn has_strangers_max(&self) -> bool {
        self.strangers_max.is_some()
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

    fn legacy_public_url(&self) -> Result<Option<String>, Failure> {
        let Some(url) = &self.legacy_public_url else {
            return Ok(None);
        };
        check_ws_url(url).map_err(|why| {
            Failure::new(
                format!("legacy clients cannot reach the server at {url:?}: {why}"),
                "give --legacy-public-url ws:// or wss:// and a host, for example wss://sig.example.org",
            )
        })?;
        Ok(Some(url.clone()))
    }

    /// The rules for legacy logins of apps that do not set their own.
    pub(super) fn legacy_rules(&self) -> AppRules {
        AppRules {
            allows_debug_word: self.legacy_token_debugging().0,
            phone_gateway: self.phone_gateway.clone(),
            ..AppRules::default()
        }
    }

    fn checked_legacy_rules(&self) -> Result<AppRules, Failure> {
        if let Some(user) = &self.phone_gateway
            && let Err(error) = UserId::parse_by(NameRule::Wide, user)
        {
            return Err(Failure::new(
                format!("the telephone gateway cannot be user {user:?}: {error}"),
                "give --phone-gateway the id with which the gateway logs in",
            ));
        }
        Ok(self.legacy_rules())
    }
}

/// Whether clients could connect to a URL: the error says why not.
pub(super) fn check_ws_url(url: &str) -> Result<(), &'static str> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return Err("it has no scheme");
    };
    if !["ws", "wss"].contains(&scheme) {
        return Err("its scheme is neither ws nor wss");
    }
    if rest.contains(['?', '#', '@']) || rest.contains(char::is_whitespace) {
        return Err("it has more than a host, a port and a path");
    }
    let authority = rest.split('/').next().unwrap_or_default();
    // Only the host and the port of an origin are needed here.
    match format!("http://{authority}").parse::<OriginPattern>() {
        Ok(_) if !authority.contains('*') => Ok(()),
        _ => Err("its host is not valid"),
    }
}

/// Parses the value of `--origin`.
pub(crate) fn parse_origins(texts: &[String]) -> Result<Vec<OriginPattern>, Failure> {
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

pub(super) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use tidings_server::MEMORY_MIN;

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
        assert_eq!(media("media-bytes-max = 7").ok(), Some((7, None)));
        let both = "media-bytes-max = 7\nmedia-app-bytes-max = 3";
        assert_eq!(media(both).ok(), Some((7, Some(3))));
        assert!(media("media-keep-days = 0").is_err());
        let kept = settings("dev = true\nmedia-keep-days = \"36h\"").resolve();
        assert_eq!(
            kept.map(|config| config.media.keep_s).ok(),
            Some(36 * 3_600)
        );
    }

    #[test]
    fn memory_has_a_least() {
        let max = |bytes: u64| {
            let text = format!("dev = true\nmemory-max = {bytes}");
            settings(&text).resolve().map(|config| config.memory_max)
        };
        assert_eq!(max(MEMORY_MIN).ok(), Some(Some(MEMORY_MIN)));
        let told = max(MEMORY_MIN - 1).expect_err("too little").to_string();
        assert!(told.contains("--memory-max 64MiB"), "{told}");
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

    #[test]
    fn values_are_looked_at_where_they_are_given() {
        for (text, told) in [
            ("origin = [\"app.example.org\"]", "has no scheme"),
            ("origin = [\"https://x.example/\"]", "more than a scheme"),
            ("legacy-public-url = \"foo\"", "has no scheme"),
            (
                "legacy-public-url = \"https://a.example\"",
                "neither ws nor wss",
            ),
            (
                "legacy-public-url = \"wss://*.example.org\"",
                "its host is not valid",
            ),
            ("phone-gateway = \"\"", "telephone gateway"),
            ("drain-window = \"21s\"", "at most 20s"),
            ("login-rate = 0", "with --login-rate 0 nobody could log in"),
            ("strangers-max = 0", "with --strangers-max 0 nobody"),
            ("security-log-rate = 0", "no security event would be logged"),
            ("hubs = 0", "cannot run 0 hubs"),
            ("hubs = 257", "cannot run 257 hubs"),
        ] {
            let resolved = settings(&format!("dev = true\n{text}")).resolve();
            let error = resolved.expect_err(text).to_string();
            assert!(error.contains(told), "{text}: {error}");
        }
        let good = "dev = \"on\"\nlegacy = false\nlegacy-public-url = \"wss://sig.example.org/a\"\n\
                    handshake-rate = \"500/1s\"\nlisten = \"localhost:7400\"\nlog-form = \"json\"";
        let config = settings(good).resolve().expect("a configuration");
        assert!(!config.legacy.enabled && config.demo);
        assert_eq!(config.limits.handshakes.calls, 500);
        assert_eq!(config.listen.to_string(), "127.0.0.1:7400");
    }

    #[test]
    fn pages_for_trying_out_are_served_where_that_is_done() {
        let pages = |text: &str| {
            let config = settings(text).resolve().expect("a configuration");
            (config.demo, config.guide)
        };
        assert_eq!(pages(""), (false, false));
        assert_eq!(pages("dev = true"), (true, true));
        assert_eq!(pages("guide = true"), (false, true));
        assert_eq!(pages("dev = true\ndemo = false"), (false, true));
    }

    fn serve() -> clap::Command {
        let command = <crate::command::Cli as clap::CommandFactory>::command();
        command.find_subcommand("serve").expect("a command").clone()
    }

    /// The defaults stated in the help are the real ones.
    #[test]
    fn the_help_tells_the_defaults() {
        let serve = serve();
        let defaults = super::super::defaults();
        assert!(defaults.len() > 15, "{defaults:?}");
        for (name, default) in defaults {
            let option = name.replace('_', "-");
            let mut arguments = serve.get_arguments();
            let argument = arguments.find(|argument| argument.get_long() == Some(&option));
            let help = argument.and_then(clap::Arg::get_help).expect(name);
            let help = help.to_string();
            // A switch that is off by default need not state that.
            let is_told = help.contains(&format!("[default: {default}"));
            assert!(is_told || default == "off", "{name}: {help}, {default}");
        }
    }

    #[test]
    fn a_variable_is_the_name_of_its_option() {
        for argument in serve().get_arguments() {
            if let (Some(option), Some(variable)) = (argument.get_long(), argument.get_env()) {
                let named = format!("TIDINGS_{}", option.to_uppercase().replace('-', "_"));
                assert_eq!(variable.to_string_lossy(), named);
            }
        }
    }
}
