//! The HTTP API as the commands for people call it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use ureq::http::{Method, Request, Response};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Body};

use super::shown::shown;
use crate::failure::Failure;

/// Longest wait for a connection.
const CONNECT_WAIT: Duration = Duration::from_secs(10);

/// Longest wait for a whole answer: more than a call of the server may take.
const ANSWER_WAIT: Duration = Duration::from_secs(60);

/// Longest silence of a stream of events, which says each 15 s that it lives.
const SILENCE_MAX: Duration = Duration::from_secs(45);

/// Longest answer, in bytes: a page of 1,000 events has less than one MiB.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

/// Most items of a page. Source: rest 12.
const PAGE: &str = "100";

/// What stands in a part of a path as it is.
const PART: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'~');

/// How a server is reached.
#[derive(Debug, Clone, Default)]
pub(crate) struct Target {
    /// `http://` or `https://`, host and port, without a path.
    pub(crate) url: String,
    /// The API key; without one only few calls are answered.
    pub(crate) key: Option<String>,
    /// PEM file with the authorities that the server's certificate may come from, in the place of
    /// the public ones.
    pub(crate) ca_file: Option<std::path::PathBuf>,
    /// Whether it is a server on this machine that its control socket has named: its certificate
    /// is for other names, and no proxy is asked.
    pub(crate) is_local: bool,
    /// Longest wait for an answer; `None` = as long as people have patience.
    pub(crate) patience: Option<Duration>,
}

/// A server's API.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    agent: Agent,
    target: Target,
}

/// Why a call has no good answer.
#[derive(Debug)]
pub(crate) struct Trouble {
    /// The answer's status; 0 = there is no answer.
    pub(crate) status: u16,
    /// The server's word for it; empty without one.
    pub(crate) code: String,
    failure: Failure,
}

impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Self {
        trouble.failure
    }
}

impl Trouble {
    /// Whether the same call may be answered later: the server was not reached, or is busy.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(self.status, 0 | 429 | 500..)
    }

    /// What happened, without the hint.
    pub(crate) fn what(&self) -> &str {
        self.failure.what()
    }
}

/// The path of a call below `/api/v1`, each part escaped.
pub(crate) fn path(parts: &[&str]) -> String {
    let parts = parts.iter().map(|part| utf8_percent_encode(part, PART));
    parts.fold("/api/v1".into(), |path, part| format!("{path}/{part}"))
}

impl Api {
    /// # Errors
    /// The file of authorities cannot be used.
    pub(crate) fn new(target: Target) -> Result<Self, Failure> {
        let mut tls = TlsConfig::builder().disable_verification(target.is_local);
        if let Some(file) = &target.ca_file {
            let authorities = Arc::new(authorities(file)?);
            tls = tls.root_certs(RootCerts::Specific(authorities));
        }
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(CONNECT_WAIT))
            .user_agent(concat!("tidings/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls.build());
        if target.is_local {
            config = config.proxy(None);
        }
        Ok(Self {
            agent: config.build().into(),
            target,
        })
    }

    /// How it is reached.
    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    /// Reads something.
    ///
    /// # Errors
    /// The call is not answered, or refused.
    pub(crate) fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, Trouble> {
        self.call(Method::GET, &with_query(path, query), None)
    }

    /// Has something done.
    ///
    /// # Errors
    /// As for [`Api::get`].
    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Value, Trouble> {
        self.call(Method::POST, path, Some(body))
    }

    /// Removes something. An answer without a body is null.
    ///
    /// # Errors
    /// As for [`Api::get`].
    pub(crate) fn delete(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, Trouble> {
        self.call(Method::DELETE, &with_query(path, query), None)
    }

    /// The items of a list, page by page as they are taken.
    pub(crate) fn list<'a>(&'a self, path: &str, query: &[(&'a str, &'a str)]) -> Items<'a> {
        self.list_by("cursor", path, query)
    }

    /// The same of a list that goes on by another parameter than `cursor`.
    pub(crate) fn list_by<'a>(
        &'a self,
        parameter: &'static str,
        path: &str,
        query: &[(&'a str, &'a str)],
    ) -> Items<'a> {
        Items {
            api: self,
            parameter,
            path: path.to_owned(),
            query: query.to_vec(),
            page: Vec::new().into_iter(),
            next: Some(None),
        }
    }

    /// Opens a stream of server-sent events.
    ///
    /// # Errors
    /// As for [`Api::get`].
    pub(crate) fn stream(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<impl BufRead + use<>, Trouble> {
        let request = self.request(Method::GET, &with_query(path, query));
        let request = request.header("accept", "text/event-stream").body(());
        let request = request.map_err(|error| self.unsendable(&error))?;
        let request = self.agent.configure_request(request);
        let request = request.timeout_recv_response(Some(ANSWER_WAIT));
        let request = request.timeout_per_read(Some(SILENCE_MAX)).build();
        let response = self.agent.run(request);
        let response = response.map_err(|error| self.unreached(&error))?;
        if response.status().is_success() {
            let body = response.into_body().into_with_config().limit(u64::MAX);
            Ok(BufReader::new(body.reader()))
        } else {
            Err(self.refusal(response))
        }
    }

    fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, Trouble> {
        let request = self.request(method, path);
        let response = match body {
            Some(body) => {
                let request = request.header("content-type", "application/json");
                let request = request.body(body.to_string());
                self.run(request)?
            }
            None => self.run(request.body(()))?,
        };
        if !response.status().is_success() {
            return Err(self.refusal(response));
        }
        let text = text_of(response).map_err(|error| self.unreached(&error))?;
        if text.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).map_err(|_| self.no_api(200, &text))
    }

    fn request(&self, method: Method, path: &str) -> ureq::http::request::Builder {
        let url = format!("{}{path}", self.target.url);
        let request = Request::builder().method(method).uri(url);
        match &self.target.key {
            Some(key) => request.header("authorization", format!("Bearer {key}")),
            None => request,
        }
    }

    fn run<B: ureq::AsSendBody>(
        &self,
        request: Result<Request<B>, ureq::http::Error>,
    ) -> Result<Response<Body>, Trouble> {
        let request = request.map_err(|error| self.unsendable(&error))?;
        let request = self.agent.configure_request(request);
        let request = request
            .timeout_global(self.target.patience.or(Some(ANSWER_WAIT)))
            .build();
        let response = self.agent.run(request);
        response.map_err(|error| self.unreached(&error))
    }

    fn trouble(&self, status: u16, code: &str, what: String, hint: String) -> Trouble {
        Trouble {
            status,
            code: code.into(),
            failure: Failure::new(what, hint),
        }
    }

    /// The library's own error could show the key.
    fn unsendable(&self, error: &ureq::http::Error) -> Trouble {
        let is_key = error.is::<ureq::http::header::InvalidHeaderValue>();
        let (what, hint) = if is_key {
            (
                "the API key has characters that no key has".into(),
                "give the key as it was shown: one line, tdk_ID_SECRET",
            )
        } else {
            (
                format!("{} is no address: {error}", shown(&self.target.url)),
                "give --url as http://HOST:PORT or https://HOST",
            )
        };
        // Not 0: it will not pass.
        self.trouble(400, "", what, hint.into())
    }

    /// There is no answer.
    fn unreached(&self, error: &ureq::Error) -> Trouble {
        let text = reason(error);
        let url = shown(&self.target.url);
        let is_certificate = text.contains("certificate") || text.contains("UnknownIssuer");
        let (status, hint) = if is_certificate {
            let hint = if self.target.ca_file.is_some() {
                "the name in --url must be one of the certificate's, and --ca-file must hold the \
                 authority that has signed it"
            } else {
                "the name in --url must be one of the certificate's; for an authority of your own, \
                 add --ca-file FILE"
            };
            (400, hint.to_owned())
        } else if text.contains("InvalidContentType") || text.contains("corrupt message") {
            let plain = url.replacen("https", "http", 1);
            (400, format!("nothing speaks TLS there; try {plain}"))
        } else if matches!(error, ureq::Error::HostNotFound) || text.contains("lookup address") {
            (0, "check the name of the host in --url".into())
        } else if matches!(error, ureq::Error::Timeout(_)) {
            let hint = "check the address, and the firewall in between; `tidings status` on the \
                server shows how it is";
            (0, hint.into())
        } else {
            let hint = "start it with `tidings serve`, or check --url, its port, and whether the \
                server is ready";
            (0, hint.into())
        };
        self.trouble(status, "", format!("no answer from {url}: {text}"), hint)
    }

    /// An answer that says no.
    fn refusal(&self, response: Response<Body>) -> Trouble {
        let status = response.status().as_u16();
        let header = |name: &str| {
            let value = response.headers().get(name);
            value.and_then(|value| value.to_str().ok()).map(shown)
        };
        let wait = header("retry-after");
        if (300..400).contains(&status) {
            let to = header("location").unwrap_or_default();
            let what = format!("{} answers {status}: look at {to}", shown(&self.target.url));
            let hint = "give --url the address where the API is itself";
            return self.trouble(status, "", what, hint.into());
        }
        let text = match text_of(response) {
            Ok(text) => text,
            Err(error) => return self.unreached(&error),
        };
        let problem: Value = serde_json::from_str(&text).unwrap_or_default();
        let word = |name: &str| problem[name].as_str().unwrap_or_default();
        let (code, detail) = (word("code"), word("detail"));
        if code.is_empty() || detail.is_empty() {
            return self.no_api(status, &text);
        }
        let place = match word("field") {
            field if field.is_empty() || detail.contains(field) => String::new(),
            field => format!("{}: ", shown(field)),
        };
        let what = format!("{place}{} (status {status}, {code})", shown(detail));
        let hint = match (status, wait) {
            (429 | 503, Some(seconds)) => format!("try again in {seconds} s"),
            (401, _) if self.target.key.is_none() => {
                "give a key: --key-file FILE, TIDINGS_KEY, or a context; `tidings key create` on \
                 the server makes one"
                    .into()
            }
            (401, _) => {
                "the key is not this server's, or has ended; `tidings key list` on the server \
                 shows the good ones"
                    .into()
            }
            (404, _) if code == "unknown_app" => {
                "`tidings app list` on the server shows the apps; give one with --app".into()
            }
            (404, _) if code == "unknown_path" => {
                "the server is older than this program; upgrade it, or use the program of its \
                 version"
                    .into()
            }
            _ => shown(word("hint")),
        };
        self.trouble(status, code, what, hint)
    }

    fn no_api(&self, status: u16, text: &str) -> Trouble {
        let begin: String = text.trim().chars().take(60).collect();
        let what = format!(
            "{} answers as no Tidings server does: status {status}, {}",
            shown(&self.target.url),
            if begin.is_empty() {
                "nothing".into()
            } else {
                format!("\"{}\"", shown(&begin))
            }
        );
        let hint = "check --url: it is the server's address, without a path; with --api-listen it \
            is that port";
        self.trouble(status, "", what, hint.into())
    }
}

/// An error of the library, with its cause in place of its own frame.
fn reason(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Io(error) => error.to_string(),
        ureq::Error::Timeout(_) => "it takes too long".into(),
        error => error.to_string(),
    }
}

fn text_of(response: Response<Body>) -> Result<String, ureq::Error> {
    let mut body = response.into_body();
    let limited = body.with_config().limit(ANSWER_BYTES_MAX);
    limited.lossy_utf8(true).read_to_string()
}

fn with_query(path: &str, query: &[(&str, &str)]) -> String {
    let mut url = path.to_owned();
    for (at, (name, value)) in query.iter().enumerate() {
        let mark = if at == 0 { '?' } else { '&' };
        url = format!("{url}{mark}{name}={}", utf8_percent_encode(value, PART));
    }
    url
}

fn authorities(file: &Path) -> Result<Vec<Certificate<'static>>, Failure> {
    let hint = "give --ca-file a file that begins with -----BEGIN CERTIFICATE-----";
    let fault = |what: String| {
        let place = format!("cannot use the authorities in {}: {what}", file.display());
        Failure::new(place, hint)
    };
    let pem = std::fs::read(file).map_err(|error| fault(error.to_string()))?;
    let mut found = Vec::new();
    for item in parse_pem(&pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| fault(error.to_string()))? {
            found.push(certificate);
        }
    }
    if found.is_empty() {
        return Err(fault("there is no certificate in it".into()));
    }
    Ok(found)
}

/// A list's items.
pub(crate) struct Items<'a> {
    api: &'a Api,
    /// What says where to go on.
    parameter: &'static str,
    path: String,
    query: Vec<(&'a str, &'a str)>,
    page: std::vec::IntoIter<Value>,
    /// The next page's cursor: `Some(None)` = the first page, `None` = there is no more.
    next: Option<Option<String>>,
}

impl Iterator for Items<'_> {
    type Item = Result<Value, Trouble>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(item) = self.page.next() {
                return Some(Ok(item));
            }
            let cursor = self.next.take()?;
            let mut query = self.query.clone();
            query.push(("limit", PAGE));
            if let Some(cursor) = &cursor {
                query.push((self.parameter, cursor));
            }
            let mut page = match self.api.get(&self.path, &query) {
                Ok(page) => page,
                Err(trouble) => return Some(Err(trouble)),
            };
            let next = page["next"].as_str().map(str::to_owned);
            // A server that names the same page again would be asked for ever.
            self.next = next.filter(|next| cursor.as_ref() != Some(next)).map(Some);
            if let Value::Array(items) = page["items"].take() {
                self.page = items.into_iter();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_place_in_a_path() {
        let path = path(&["apps", "a", "users", "../../keys?x=1#y é", "."]);
        assert_eq!(
            path,
            "/api/v1/apps/a/users/%2E%2E%2F%2E%2E%2Fkeys%3Fx%3D1%23y%20%C3%A9/%2E"
        );
        let query = with_query("/x", &[("a", "1&b=2"), ("c", "")]);
        assert_eq!(query, "/x?a=1%26b%3D2&c=");
    }

    #[test]
    fn a_file_without_authorities_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("ca.pem");
        assert!(authorities(&file).is_err());
        std::fs::write(&file, "hello").expect("written");
        let failure = authorities(&file).expect_err("no certificate");
        assert!(failure.what().contains("no certificate"), "{failure}");
    }
}
