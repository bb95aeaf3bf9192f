//! The two cookies: the session's, and that of a login under way.

use axum::http::HeaderMap;
use axum::http::header::{COOKIE, HeaderValue};

/// How long a login may take at the login server, in seconds.
pub(super) const LOGIN_S: u64 = 600;

/// Where the console is, and what follows from it for cookies.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// With a slash at the end.
    console: String,
    /// The path of the API, for whose calls alone the cookies are.
    api_path: String,
    /// Browsers come by TLS, so that the cookies never go without.
    is_secure: bool,
}

impl Place {
    /// The place of a console's address. Whoever gives it has checked its form.
    pub(super) fn of(console: &str) -> Self {
        let console = format!("{}/", console.trim_end_matches('/'));
        let after_scheme = console.split_once("://").map_or("", |(_, rest)| rest);
        let path = after_scheme.split_once('/').map_or("", |(_, path)| path);
        // The console is one step below what the server is mounted at.
        let base = path.trim_end_matches('/');
        let base = base.rsplit_once('/').map_or("", |(base, _)| base);
        let slash = if base.is_empty() { "" } else { "/" };
        Self {
            api_path: format!("{slash}{base}/api/v1"),
            is_secure: console.starts_with("https://"),
            console,
        }
    }

    /// Where the browser goes after a login.
    pub(super) fn after(&self, failed: Option<&str>) -> String {
        match failed {
            None => self.console.clone(),
            Some(reason) => format!("{}#/login?failed={reason}", self.console),
        }
    }

    fn name(&self, of: &str) -> String {
        // Browsers accept a cookie of this prefix only by TLS.
        let prefix = if self.is_secure { "__Secure-" } else { "" };
        format!("{prefix}tidings-{of}")
    }

    /// Strict: no other site's page makes the browser send it, not even by a link.
    pub(super) fn set_session(&self, secret: &str, lasts_s: u64) -> Option<HeaderValue> {
        self.cookie("session", secret, "Strict", "", lasts_s)
    }

    pub(super) fn end_session(&self) -> Option<HeaderValue> {
        self.cookie("session", "", "Strict", "", 0)
    }

    /// Lax: the browser comes back from the login server's page, which is another site's.
    pub(super) fn set_pending(&self, sealed: &str) -> Option<HeaderValue> {
        self.cookie("login", sealed, "Lax", "/login", LOGIN_S)
    }

    pub(super) fn end_pending(&self) -> Option<HeaderValue> {
        self.cookie("login", "", "Lax", "/login", 0)
    }

    fn cookie(
        &self,
        of: &str,
        value: &str,
        same_site: &str,
        below: &str,
        lasts_s: u64,
    ) -> Option<HeaderValue> {
        let secure = if self.is_secure { "; Secure" } else { "" };
        let text = format!(
            "{}={value}; HttpOnly; SameSite={same_site}; Path={}{below}; Max-Age={lasts_s}{secure}",
            self.name(of),
            self.api_path,
        );
        HeaderValue::try_from(text).ok()
    }

    pub(super) fn session_in<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        value(headers, &self.name("session"))
    }

    pub(super) fn pending_in<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        value(headers, &self.name("login"))
    }
}

fn value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get_all(COOKIE).iter().find_map(|cookies| {
        let mut cookies = cookies.to_str().ok()?.split(';');
        cookies.find_map(|one| {
            let (key, value) = one.trim().split_once('=')?;
            (key == name && !value.is_empty()).then_some(value)
        })
    })
}
