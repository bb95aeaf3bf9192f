//! From which pages browsers may connect (contract SEC-7).

use std::fmt;
use std::str::FromStr;

use tidings_hub::{App, Apps};

/// Longest origin that is looked at, in bytes: a scheme, a name of at most 253 bytes and a port
/// leave room.
const ORIGIN_BYTES_MAX: usize = 300;

/// Where a request says that it comes from, and where it went.
#[derive(Debug, Clone, Copy, Default)]
pub struct Page<'a> {
    /// The header `Origin`; `None` = a program, which sends none.
    pub origin: Option<&'a [u8]>,
    /// The header `Host`.
    pub host: Option<&'a [u8]>,
}

impl Page<'_> {
    /// Whether the page is one of the very host that it connects to. Behind a proxy the scheme may
    /// be another, so it is not compared. Pages of this machine may connect to a server of this
    /// machine, whatever their port: a developer's page is served by another program.
    fn is_own(&self, origin: &str) -> bool {
        let Some((_, page)) = origin.split_once("://") else {
            return false;
        };
        let Some(host) = self.host.and_then(|host| std::str::from_utf8(host).ok()) else {
            return false;
        };
        let is_secure = origin.starts_with("https:");
        let port = if is_secure { ":443" } else { ":80" };
        let plain = |name: &str| {
            let name = name.to_ascii_lowercase();
            name.strip_suffix(port).map(str::to_owned).unwrap_or(name)
        };
        plain(page) == plain(host) || (is_local(page) && is_local(host))
    }
}

/// Whether `host[:port]` names this machine, by a name that no other name server can give away.
fn is_local(authority: &str) -> bool {
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    let is_address = |host: &str| {
        let address = host.parse::<std::net::IpAddr>();
        address.is_ok_and(|address| address.is_loopback())
    };
    host.eq_ignore_ascii_case("localhost") || is_address(host)
}

/// From which pages browsers may connect. Programs send no origin and are not concerned, unless an
/// origin is required.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origins {
    /// From any to apps that ask for a token, and as [`Origins::Own`] to others.
    Auto,
    /// From any: the token is what counts. No cookie is ever looked at.
    Any,
    /// From pages of the server's own host, and of this machine if the server is reached as this
    /// machine: where no token is asked for, a page of anybody else could be any user.
    Own,
    /// Only from these origins.
    Listed(Vec<OriginPattern>),
}

impl Origins {
    /// Whether the page is served.
    pub fn allow(&self, page: Page<'_>) -> bool {
        let Some(origin) = page.origin else {
            return true;
        };
        if matches!(self, Self::Any | Self::Auto) {
            return true;
        }
        let Ok(origin) = std::str::from_utf8(origin) else {
            return false;
        };
        if origin.len() > ORIGIN_BYTES_MAX {
            return false;
        }
        match self {
            Self::Any | Self::Auto => true,
            Self::Own => page.is_own(origin),
            Self::Listed(listed) => listed.iter().any(|one| one.matches(origin)),
        }
    }

    /// Whether a page may log in to an app, by the app's own list or else by the server's rule;
    /// `app` is `None` for one that is not listed, and asks for no token.
    ///
    /// # Errors
    /// It may not; why, for the client.
    pub(crate) fn admit(&self, app: Option<&App>, page: Option<&StatedPage>) -> Result<(), String> {
        let Some(page) = page else {
            return if app.is_some_and(|app| app.requires_origin) {
                Err("programs may not log in to this app, only pages whose origin is listed".into())
            } else {
                Ok(())
            };
        };
        let own_list = app.map(|app| &app.origins).filter(|list| !list.is_empty());
        let asks_for_token = app.is_some_and(App::needs_token);
        let is_admitted = match (own_list, self) {
            // Patterns are checked where they are given; one that is none admits nobody.
            (Some(list), _) => list.iter().any(|text| {
                let pattern = text.parse::<OriginPattern>();
                pattern.is_ok_and(|pattern| pattern.matches(&page.origin))
            }),
            (None, Self::Any) => true,
            (None, Self::Auto) => asks_for_token || page.is_own,
            (None, Self::Own) => page.is_own,
            (None, Self::Listed(listed)) => listed.iter().any(|one| one.matches(&page.origin)),
        };
        if is_admitted {
            Ok(())
        } else {
            Err(format!(
                "pages of {:?} may not log in to this app; add the origin with `tidings app set` or --origin",
                page.origin
            ))
        }
    }
}

/// The page that opened a connection, until the connection has logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StatedPage {
    /// Empty if it was not an origin that browsers write.
    origin: Box<str>,
    is_own: bool,
}

impl StatedPage {
    /// `None` = a program, which has stated none.
    pub(crate) fn of(page: Page<'_>) -> Option<Self> {
        let stated = page.origin?;
        let text = std::str::from_utf8(stated).ok();
        let origin = text
            .filter(|text| text.len() <= ORIGIN_BYTES_MAX)
            .unwrap_or_default();
        Some(Self {
            origin: origin.into(),
            is_own: page.is_own(origin),
        })
    }
}

/// Whether an app has a rule of its own: then only its login shows whether a page may connect.
pub(crate) fn has_own_rules(apps: &Apps) -> bool {
    apps.listed.values().any(|app| !app.origins.is_empty())
}

/// One origin: `https://chat.example.org`, `http://localhost:5173`, or `https://*.example.org` for
/// all names of one more label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginPattern {
    scheme: String,
    /// The name in lower case, with the port if it is not the scheme's own.
    authority: String,
    is_wild: bool,
}

/// Why a text is not an origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// It has no scheme.
    #[error("origin {0:?} has no scheme")]
    Scheme(String),
    /// It has more than scheme, host and port.
    #[error("origin {0:?} has more than a scheme, a host and a port")]
    Rest(String),
    /// Its host is not valid.
    #[error("origin {0:?} has no host that a browser could state")]
    Host(String),
    /// Its port is not valid.
    #[error("origin {0:?} has a port that is no number from 1 to 65535")]
    Port(String),
    /// A star in a place where it is not allowed.
    #[error("origin {0:?} has a `*` other than as its first label")]
    Wildcard(String),
}

impl OriginPattern {
    /// Whether a page states an origin that is meant. Browsers write scheme and host in lower case
    /// and leave the scheme's own port away, so the comparison is exact.
    fn matches(&self, origin: &str) -> bool {
        let Some((scheme, authority)) = origin.split_once("://") else {
            return false;
        };
        if scheme != self.scheme {
            return false;
        }
        if self.is_wild {
            authority
                .split_once('.')
                .is_some_and(|(label, rest)| !label.is_empty() && rest == self.authority)
        } else {
            authority == self.authority
        }
    }
}

impl FromStr for OriginPattern {
    type Err = OriginError;

    fn from_str(text: &str) -> Result<Self, OriginError> {
        let told = || text.to_owned();
        let (scheme, rest) = text
            .split_once("://")
            .ok_or_else(|| OriginError::Scheme(told()))?;
        let scheme = scheme.to_ascii_lowercase();
        let is_scheme = |c: char| c.is_ascii_alphanumeric() || "+-.".contains(c);
        if !scheme.starts_with(|c: char| c.is_ascii_alphabetic()) || !scheme.chars().all(is_scheme)
        {
            return Err(OriginError::Scheme(told()));
        }
        if rest.contains(['/', '?', '#', '@']) {
            return Err(OriginError::Rest(told()));
        }
        let (is_wild, rest) = match rest.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        if rest.contains('*') {
            return Err(OriginError::Wildcard(told()));
        }
        // The port stands after the last colon, unless that is one of an IPv6 address.
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (rest, None),
        };
        let host = host.to_ascii_lowercase();
        if !is_host(&host) || (is_wild && !host.contains('.')) {
            return Err(OriginError::Host(told()));
        }
        let own = match scheme.as_str() {
            "http" => Some(80),
            "https" => Some(443),
            _ => None,
        };
        let port: Option<u16> = match port {
            None => None,
            Some(port) => match port.parse() {
                Ok(0) | Err(_) => return Err(OriginError::Port(told())),
                Ok(port) => Some(port),
            },
        };
        let authority = match port.filter(|port| Some(*port) != own) {
            Some(port) => format!("{host}:{port}"),
            None => host,
        };
        Ok(Self {
            scheme,
            authority,
            is_wild,
        })
    }
}

fn is_host(host: &str) -> bool {
    if let Some(v6) = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        return v6.parse::<std::net::Ipv6Addr>().is_ok();
    }
    let is_label = |label: &str| {
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        !label.is_empty() && label.len() <= 63 && label.chars().all(is_part)
    };
    host.len() <= 253 && host.split('.').all(is_label)
}

impl fmt::Display for OriginPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let star = if self.is_wild { "*." } else { "" };
        write!(f, "{}://{star}{}", self.scheme, self.authority)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page<'a>(origin: &'a str, host: &'a str) -> Page<'a> {
        Page {
            origin: Some(origin.as_bytes()),
            host: Some(host.as_bytes()),
        }
    }

    #[test]
    fn an_origin_is_compared_exactly_or_by_one_label() {
        let listed = [
            "https://chat.example.org",
            "https://*.example.com",
            "http://localhost:5173",
        ];
        let listed = listed.map(|text| text.parse().expect("an origin"));
        let origins = Origins::Listed(listed.into());
        let allowed = |origin| origins.allow(page(origin, "a"));
        for good in [
            "https://chat.example.org",
            "https://a.example.com",
            "http://localhost:5173",
        ] {
            assert!(allowed(good), "{good}");
        }
        for bad in [
            "http://chat.example.org",
            "https://chat.example.org:8443",
            "https://chat.example.org.evil.test",
            "https://xchat.example.org",
            "https://example.com",
            "https://a.b.example.com",
            "https://.example.com",
            "https://evilexample.com",
            "http://localhost",
            "null",
            "",
        ] {
            assert!(!allowed(bad), "{bad}");
        }
        assert!(origins.allow(Page::default()), "a program states none");
    }

    #[test]
    fn own_is_the_host_itself_or_this_machine() {
        let own = |origin, host| Origins::Own.allow(page(origin, host));
        assert!(own("http://chat.test:7400", "chat.test:7400"));
        assert!(own("https://chat.test", "CHAT.test"));
        assert!(own("https://chat.test", "chat.test:443"));
        assert!(own("http://localhost:5173", "127.0.0.1:7400"));
        assert!(own("http://127.0.0.1:9", "[::1]:7400"));
        assert!(!own("http://evil.test", "127.0.0.1:7400"));
        assert!(!own("http://chat.test:81", "chat.test:7400"));
        assert!(!own("http://localhost:5173", "chat.test"));
        assert!(!own("http://localhost.evil.test", "localhost:7400"));
        assert!(!own("null", "127.0.0.1:7400"));
        assert!(!Origins::Own.allow(Page {
            host: None,
            ..page("http://a", "")
        }));
    }

    #[test]
    fn an_app_may_have_a_list_of_its_own() {
        let stated = |origin, host| StatedPage::of(page(origin, host));
        let foreign = stated("https://foreign.test", "chat.test");
        let own = stated("https://chat.test", "chat.test");
        let open = App::default();
        let closed = App {
            certificates: vec!["c".into()],
            ..App::default()
        };
        let listing = App {
            origins: vec!["https://foreign.test".into()],
            requires_origin: true,
            ..closed.clone()
        };
        let admit = |origins: &Origins, app: Option<&App>, page: &Option<StatedPage>| {
            origins.admit(app, page.as_ref()).is_ok()
        };
        for app in [None, Some(&open)] {
            assert!(
                !admit(&Origins::Auto, app, &foreign),
                "anybody could be any user"
            );
            assert!(admit(&Origins::Auto, app, &own) && admit(&Origins::Auto, app, &None));
            assert!(admit(&Origins::Any, app, &foreign));
        }
        assert!(admit(&Origins::Auto, Some(&closed), &foreign));
        let strict = Origins::Listed(vec!["https://chat.test".parse().expect("an origin")]);
        assert!(!admit(&strict, Some(&closed), &foreign) && admit(&strict, Some(&closed), &own));
        assert!(
            admit(&strict, Some(&listing), &foreign),
            "its own list counts"
        );
        assert!(!admit(&strict, Some(&listing), &own) && !admit(&strict, Some(&listing), &None));
        let odd = StatedPage::of(Page {
            origin: Some(b"\xff"),
            host: Some(b""),
        });
        assert!(!admit(&Origins::Auto, None, &odd) && !admit(&strict, Some(&listing), &odd));
    }

    #[test]
    fn what_is_no_origin_is_told() {
        let parse = |text: &str| text.parse::<OriginPattern>().map(|one| one.to_string());
        let good = |text: &str| parse(text).expect("an origin");
        assert_eq!(
            good("HTTPS://Chat.Example.org:443"),
            "https://chat.example.org"
        );
        assert_eq!(good("http://[::1]:5173"), "http://[::1]:5173");
        assert_eq!(good("capacitor://localhost"), "capacitor://localhost");
        assert_eq!(good("https://*.example.com"), "https://*.example.com");
        let told = |text: &str| text.to_owned();
        for (text, error) in [
            (
                "app.example.org",
                OriginError::Scheme(told("app.example.org")),
            ),
            ("https://x/", OriginError::Rest(told("https://x/"))),
            ("https://", OriginError::Host(told("https://"))),
            ("https://a b", OriginError::Host(told("https://a b"))),
            ("https://x:0", OriginError::Port(told("https://x:0"))),
            ("https://x:http", OriginError::Port(told("https://x:http"))),
            ("https://*", OriginError::Wildcard(told("https://*"))),
            ("https://*.com", OriginError::Host(told("https://*.com"))),
            (
                "https://a.*.com",
                OriginError::Wildcard(told("https://a.*.com")),
            ),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
    }
}
