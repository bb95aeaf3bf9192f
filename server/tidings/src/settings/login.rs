//! Settings of the login server of the console, from settings to the server's configuration.

use std::path::Path;

use tidings_server::LoginConfig;
use tidings_server::oidc::{Grant, Secret, Settings as Oidc, check_issuer};

use super::Settings;
use super::checks::SECOND;
use crate::failure::Failure;

/// Longest client secret, in bytes.
const SECRET_BYTES_MAX: usize = 4_096;

/// What the console's address ends with.
const CONSOLE: &str = "/console/";

impl Settings {
    pub(super) fn login(&self) -> Result<Option<LoginConfig>, Failure> {
        let Some(issuer) = &self.oidc_issuer else {
            return self.no_login().map(|()| None);
        };
        check_issuer(issuer).map_err(|why| {
            Failure::new(
                format!("{issuer:?} is no login server: {why}"),
                "give --oidc-issuer the issuer that the login server tells, with https://",
            )
        })?;
        let needed = |value: &Option<String>, option: &str| {
            let value = value.clone().filter(|value| !value.is_empty());
            value.ok_or_else(|| {
                Failure::new(
                    format!("the login server {issuer} needs --{option} too"),
                    format!("give --{option}; tidings serve --help says what it is"),
                )
            })
        };
        let client_id = needed(&self.oidc_client_id, "oidc-client-id")?;
        let console = console_of(&needed(&self.oidc_console, "oidc-console")?)?;
        check_way(issuer, &console)?;
        let secret = self.oidc_secret_file.as_deref().map(read_secret);
        let base = console.trim_end_matches(CONSOLE);
        let scopes = self.oidc_scope.clone().unwrap_or_default();
        let scopes = if scopes.is_empty() {
            vec!["profile".to_owned(), "email".to_owned()]
        } else {
            scopes
        };
        Ok(Some(LoginConfig {
            oidc: Oidc {
                issuer: issuer.clone(),
                name: self.oidc_name.clone().unwrap_or_else(|| host_of(issuer)),
                client_id,
                client_secret: secret.transpose()?,
                callback: format!("{base}/api/v1/login/callback"),
                scopes,
                claim: self.oidc_claim(),
                grants: self.grants()?,
            },
            console,
            lasts_ms: super::resolve::milliseconds(self.oidc_session().of(SECOND)),
            authorities: self.oidc_ca.clone(),
        }))
    }

    /// Settings of a login server without one would do nothing, which nobody wants.
    fn no_login(&self) -> Result<(), Failure> {
        let given = [
            ("oidc-client-id", self.oidc_client_id.is_some()),
            ("oidc-secret-file", self.oidc_secret_file.is_some()),
            ("oidc-console", self.oidc_console.is_some()),
            ("oidc-role", self.oidc_role.is_some()),
        ];
        match given.into_iter().find(|(_, is_given)| *is_given) {
            None => Ok(()),
            Some((option, _)) => Err(Failure::new(
                format!("--{option} is given, but no login server"),
                "give --oidc-issuer too, or leave all of them out",
            )),
        }
    }

    fn grants(&self) -> Result<Vec<Grant>, Failure> {
        let hint = "give --oidc-role GROUP=admin, GROUP=read or GROUP=app:APP";
        let texts = self.oidc_role.clone().unwrap_or_default();
        if texts.is_empty() {
            let what = "with --oidc-issuer and no --oidc-role nobody could log in by it";
            return Err(Failure::new(what, hint));
        }
        let grants = texts.iter().map(|text| {
            let grant = text.parse::<Grant>();
            grant.map_err(|error| Failure::new(format!("--oidc-role {text:?}: {error}"), hint))
        });
        grants.collect()
    }
}

fn host_of(issuer: &str) -> String {
    let rest = issuer.split_once("://").map_or(issuer, |(_, rest)| rest);
    rest.split('/').next().unwrap_or_default().to_owned()
}

/// The console's address, with its slash at the end.
fn console_of(text: &str) -> Result<String, Failure> {
    let console = format!("{}/", text.trim_end_matches('/'));
    let is_plain = console.bytes().all(|byte| byte.is_ascii_graphic());
    let has_more = console.contains(['?', '#', '@', '"', ';', ',', '\\']);
    let is_form_good = console.ends_with(CONSOLE) && is_plain && !has_more;
    if is_form_good && check_issuer(&console).is_ok() {
        return Ok(console);
    }
    Err(Failure::new(
        format!("{text:?} is not the address of a console"),
        "give --oidc-console as browsers have it, for example https://chat.example.com/console/",
    ))
}

/// Without TLS, whoever is on the way could take a login over; on this machine nobody is.
fn check_way(issuer: &str, console: &str) -> Result<(), Failure> {
    for (option, url) in [("oidc-issuer", issuer), ("oidc-console", console)] {
        let host = host_of(url);
        let name = host
            .rsplit_once(':')
            .map_or(host.as_str(), |(name, _)| name);
        let is_here = ["localhost", "127.0.0.1", "[::1]"].contains(&name);
        if !url.starts_with("https://") && !is_here {
            return Err(Failure::new(
                format!("--{option} {url} is http, so that others could take logins over"),
                "give an https:// address; http is for this machine only",
            ));
        }
    }
    Ok(())
}

fn read_secret(path: &Path) -> Result<Secret, Failure> {
    let wrong = |why: String| {
        Failure::new(
            format!(
                "the client secret in {} cannot be used: {why}",
                path.display()
            ),
            "give --oidc-secret-file a file that holds the secret and nothing else",
        )
    };
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    let secret = text.trim();
    if secret.is_empty() {
        return Err(wrong("it is empty".into()));
    }
    if secret.len() > SECRET_BYTES_MAX {
        return Err(wrong(format!("it has more than {SECRET_BYTES_MAX} bytes")));
    }
    Ok(Secret::new(secret.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(extra: &str) -> Result<Option<LoginConfig>, Failure> {
        let settings: Settings = toml::from_str(extra).expect("settings");
        settings.login()
    }

    const GOOD: &str = "oidc-issuer = 'https://login.example.com/realms/ops'\n\
        oidc-client-id = 'tidings'\noidc-console = 'https://chat.example.com/x/console'\n\
        oidc-role = ['ops=admin']\n";

    #[test]
    fn addresses_follow_from_that_of_the_console() {
        let login = settings(GOOD).expect("good").expect("there");
        assert_eq!(login.console, "https://chat.example.com/x/console/");
        let callback = "https://chat.example.com/x/api/v1/login/callback";
        assert_eq!(login.oidc.callback, callback);
        assert_eq!(login.oidc.name, "login.example.com");
        assert_eq!(login.oidc.scopes, ["profile", "email"]);
        assert_eq!(login.lasts_ms, 8 * 3_600_000);
        assert_eq!(settings("").expect("none"), None);
    }

    #[test]
    fn what_is_missing_or_unsafe_is_named() {
        let told = |text: &str| settings(text).expect_err(text).to_string();
        for (from, to, word) in [
            ("oidc-client-id", "oidc-name", "--oidc-client-id"),
            ("oidc-console", "oidc-name", "--oidc-console"),
            ("oidc-role = ['ops=admin']", "", "--oidc-role"),
            ("ops=admin", "ops=boss", "boss"),
            ("https://login", "http://login", "is http"),
            ("https://chat", "http://chat", "is http"),
            ("/x/console", "/x/consol", "not the address"),
            ("/x/console", "/x/console?a=/console/", "not the address"),
            (
                "https://login.example.com/realms/ops",
                "login",
                "no login server",
            ),
            (
                "oidc-issuer = 'https://login.example.com/realms/ops'",
                "",
                "no login server",
            ),
        ] {
            let told = told(&GOOD.replace(from, to));
            assert!(told.contains(word), "{from} → {to}: {told}");
        }
        let local = GOOD.replace("https://login.example.com", "http://127.0.0.1:99");
        let local = local.replace("https://chat.example.com", "http://localhost:7400");
        assert!(settings(&local).is_ok());
        let secret = format!("{GOOD}oidc-secret-file = '/nowhere/secret'\n");
        assert!(told(&secret).contains("/nowhere/secret"));
    }
}
