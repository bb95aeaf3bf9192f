//! Settings of a client.

use http::Uri;
use tidings_wire::names::{AppId, NameError};
use tokio::sync::{mpsc, watch};

use crate::client::Client;
use crate::driver::Driver;
use crate::events::{self, Events};
use crate::tls::Tls;

/// Calls that may wait for the driver's turn. Larger only hides a driver that does not run.
const COMMANDS_MAX: usize = 256;

/// Why a client could not be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// The endpoint is missing or not a URL of the right kind.
    #[error("endpoint {endpoint:?} is not a ws, wss, http or https URL: {detail}")]
    Endpoint {
        /// What was given.
        endpoint: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The endpoint asks for TLS, which this build does not have.
    #[error("endpoint {endpoint:?} needs TLS, which this build lacks; enable the feature `tls`")]
    TlsMissing {
        /// What was given.
        endpoint: String,
    },
    /// What names the server's authorities cannot be read.
    #[error("the authorities of the server's certificate cannot be used: {detail}")]
    Authorities {
        /// What is wrong with it.
        detail: String,
    },
    /// The app id is missing or not of the documented form.
    #[error("app id {app_id:?}: {source}")]
    AppId {
        /// What was given.
        app_id: String,
        /// What is wrong with it.
        source: NameError,
    },
}

/// Makes a [`Client`].
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct Builder {
    endpoints: Vec<String>,
    app_id: String,
    is_apart: bool,
    #[cfg(feature = "tls")]
    authorities: Option<Vec<u8>>,
}

impl Builder {
    /// Where the service is: `ws`, `wss`, `http` or `https`, a host, perhaps a port and a path.
    ///
    /// `/rtm` is appended to the path unless it is its end already.
    pub fn endpoint(self, endpoint: impl Into<String>) -> Self {
        self.endpoints([endpoint])
    }

    /// Where the nodes of a cluster are, each as in [`Builder::endpoint`].
    ///
    /// The client begins at any of them and stays there. It goes to the next one when it cannot
    /// connect, or when the server sends its clients away, and then first to the address that the
    /// server names; its session goes with it.
    pub fn endpoints<E: Into<String>>(mut self, endpoints: impl IntoIterator<Item = E>) -> Self {
        self.endpoints = endpoints.into_iter().map(Into::into).collect();
        self
    }

    /// The app: 32 ASCII letters or digits.
    pub fn app_id(mut self, app_id: impl Into<String>) -> Self {
        self.app_id = app_id.into();
        self
    }

    /// The authorities that the server's certificate may come from, in PEM, in the place of the
    /// public ones: for a server with a certificate of an authority of your own.
    #[cfg(feature = "tls")]
    pub fn authorities(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.authorities = Some(pem.into());
        self
    }

    /// Makes a client that knows nothing of the other clients of this program, as if each ran on a
    /// device of its own.
    #[cfg(feature = "test-hooks")]
    pub fn apart(mut self) -> Self {
        self.is_apart = true;
        self
    }

    /// Makes the client, not logged in, and the end of its events.
    ///
    /// Must be called within a tokio runtime: a task is spawned, which ends when the last handle
    /// of the client is dropped.
    ///
    /// # Errors
    /// [`BuildError`] when the endpoint, the app id or the authorities are not of the documented
    /// form.
    pub fn build(self) -> Result<(Client, Events), BuildError> {
        let uris = match &self.endpoints[..] {
            [] => vec![parse_endpoint("")?],
            all => all
                .iter()
                .map(|endpoint| parse_endpoint(endpoint))
                .collect::<Result<_, _>>()?,
        };
        if let Err(source) = AppId::parse(&self.app_id) {
            return Err(BuildError::AppId {
                app_id: self.app_id,
                source,
            });
        }
        let tls = self.tls()?;
        let (commands, inbox) = mpsc::channel(COMMANDS_MAX);
        let (sender, events) = events::queue();
        let (state_sender, state) =
            watch::channel(tidings_client_core::ConnectionState::Disconnected);
        let mut names: Vec<String> = uris.iter().map(Uri::to_string).collect();
        names.sort_unstable();
        let endpoint = names.join(",");
        tokio::spawn(Driver::new((uris, tls), inbox, sender, state_sender).run());
        let client = Client::new(&endpoint, self.app_id, self.is_apart, commands, state);
        Ok((client, events))
    }

    #[cfg(feature = "tls")]
    fn tls(&self) -> Result<Tls, BuildError> {
        match &self.authorities {
            Some(pem) => Tls::of(pem).map_err(|detail| BuildError::Authorities { detail }),
            None => Ok(Tls::default()),
        }
    }

    #[cfg(not(feature = "tls"))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "as with TLS")]
    fn tls(&self) -> Result<Tls, BuildError> {
        Ok(Tls::default())
    }
}

fn parse_endpoint(endpoint: &str) -> Result<Uri, BuildError> {
    let wrong = |detail: &str| BuildError::Endpoint {
        endpoint: endpoint.to_owned(),
        detail: detail.to_owned(),
    };
    let uri: Uri = endpoint
        .parse()
        .map_err(|error| wrong(&format!("{error}")))?;
    let scheme = match uri.scheme_str() {
        Some("ws" | "http") => "ws",
        Some("wss" | "https") => "wss",
        Some(other) => return Err(wrong(&format!("the scheme is {other:?}"))),
        None => return Err(wrong("it has no scheme")),
    };
    if scheme == "wss" && !cfg!(feature = "tls") {
        return Err(BuildError::TlsMissing {
            endpoint: endpoint.to_owned(),
        });
    }
    let authority = uri.authority().ok_or_else(|| wrong("it has no host"))?;
    let path = uri.path().trim_end_matches('/');
    let path = if path.ends_with("/rtm") {
        path.to_owned()
    } else {
        format!("{path}/rtm")
    };
    format!("{scheme}://{authority}{path}")
        .parse()
        .map_err(|error: http::uri::InvalidUri| wrong(&error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_of_every_form() {
        for (endpoint, expected) in [
            ("ws://localhost:8080", "ws://localhost:8080/rtm"),
            ("ws://localhost:8080/rtm", "ws://localhost:8080/rtm"),
            ("http://[::1]:80/", "ws://[::1]:80/rtm"),
            ("http://example.org/chat/", "ws://example.org/chat/rtm"),
        ] {
            assert_eq!(
                parse_endpoint(endpoint).expect(endpoint).to_string(),
                expected
            );
        }
        for endpoint in ["", "localhost", "ftp://localhost", "ws:///rtm", "ws://a b"] {
            let error = parse_endpoint(endpoint).expect_err(endpoint);
            assert!(
                matches!(error, BuildError::Endpoint { .. }),
                "{endpoint}: {error}"
            );
        }
        let tls = parse_endpoint("https://example.org");
        assert_eq!(tls.is_ok(), cfg!(feature = "tls"), "{tls:?}");
    }

    #[test]
    fn an_app_id_is_checked_when_the_client_is_made() {
        let error = Client::builder()
            .endpoint("ws://localhost")
            .app_id("short")
            .build();
        assert!(matches!(error, Err(BuildError::AppId { .. })), "{error:?}");
    }
}
