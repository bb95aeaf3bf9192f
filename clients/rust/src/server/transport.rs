//! One call over HTTP: time limit, retries with growing pauses, one idempotency key for all its
//! attempts.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT,
};
use http::{HeaderName, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::dial::Dial;
use super::error::{Error, NoAnswer, api_error};

/// How a call is made.
pub use http::Method;

/// The first pause; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(8);
/// A server that asks for more patience is answered by failing: the caller knows better what to do.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);
/// An answer is a page of a list at most; this is far more.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REQUEST_ID: &str = "x-request-id";
/// Unreserved characters stay as they are.
const PART: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// Settings of a [`Tidings`](super::Tidings). Those that are not made are taken from the
/// environment: `TIDINGS_ENDPOINT`, `TIDINGS_KEY`, `TIDINGS_APP`.
#[derive(Clone)]
pub struct Builder {
    pub(super) app: Option<String>,
    endpoint: Option<String>,
    key: Option<String>,
    timeout: Duration,
    retries: u32,
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Never the key.
        write!(f, "Builder for {:?}", self.endpoint)
    }
}

impl Builder {
    pub(super) fn new() -> Self {
        Self {
            app: None,
            endpoint: None,
            key: None,
            timeout: Duration::from_secs(10),
            retries: 4,
        }
    }

    /// Such as `https://chat.example.org`.
    #[must_use]
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.endpoint = Some(endpoint.into());
        self
    }

    /// An API key, `tdk_…`.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// The app id.
    #[must_use]
    pub fn app(mut self, app: impl Into<String>) -> Self {
        self.app = Some(app.into());
        self
    }

    /// How long one attempt may take; 10 seconds if not stated.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How often a failed attempt is repeated; 4 if not stated, 0 for never.
    #[must_use]
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// Makes the access. Connections are opened when they are needed.
    ///
    /// # Errors
    /// [`Error::Invalid`] when a setting is missing or wrong.
    pub fn build(self) -> Result<super::Tidings, Error> {
        let app = self.app.clone().or_else(|| from_environment("TIDINGS_APP"));
        let transport = Transport::new(self)?;
        Ok(super::Tidings::new(Arc::new(transport), app))
    }
}

fn from_environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// One call of the HTTP API.
#[derive(Debug, Clone)]
pub struct Request {
    pub(super) method: Method,
    /// Begins with `/`, escaped.
    pub(super) path: String,
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) body: Option<Value>,
    /// More time than others have, for a call that waits on purpose.
    pub(super) wait: Duration,
    /// Whether a second execution does no harm, so that the call is repeated if its answer is lost.
    pub(super) is_repeatable: bool,
    pub(super) idempotency_key: Option<String>,
}

impl Request {
    /// A call: the path begins with `/api/v1/`, its parts are escaped.
    pub fn new(method: Method, path: impl Into<String>) -> Self {
        Self {
            is_repeatable: method != Method::POST,
            method,
            path: path.into(),
            query: Vec::new(),
            body: None,
            wait: Duration::ZERO,
            idempotency_key: None,
        }
    }

    /// With a parameter, unless it is `None`.
    #[must_use]
    pub fn query(mut self, name: &'static str, value: Option<impl ToString>) -> Self {
        self.query
            .extend(value.map(|value| (name, value.to_string())));
        self
    }

    /// With a body.
    #[must_use]
    pub fn body(mut self, body: Value) -> Self {
        self.body = Some(body);
        self
    }

    /// With a key in place of one that is made for this call, at most 64 bytes. The call is
    /// repeated after a lost answer.
    #[must_use]
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.idempotency_key = Some(key.into());
        self.is_repeatable = true;
        self
    }
}

/// A name as one part of a path.
pub(super) fn part(name: &str) -> Result<String, Error> {
    // Every URL parser takes these two for steps, in any spelling.
    if matches!(name, "" | "." | "..") {
        let detail = format!("{name:?} cannot be part of an address");
        return Err(Error::invalid("invalid_name", detail, "Use another name."));
    }
    Ok(utf8_percent_encode(name, PART).to_string())
}

/// Names as one parameter.
pub(super) fn joined(names: &[&str]) -> Result<String, Error> {
    if let Some(wrong) = names.iter().find(|name| name.contains(',')) {
        let hint = "Names are separated by commas; ask for one that has a comma in another way.";
        return Err(Error::invalid(
            "invalid_name",
            format!("{wrong:?} has a comma"),
            hint,
        ));
    }
    Ok(names.join(","))
}

/// The connections to one server.
pub(super) struct Transport {
    base: String,
    authorization: HeaderValue,
    timeout: Duration,
    retries: u32,
    http: Client<Dial, Full<Bytes>>,
}

/// A failed attempt.
struct Failure {
    error: Error,
    /// Whether the server may have done what was asked.
    is_uncertain: bool,
}

impl Transport {
    fn new(settings: Builder) -> Result<Self, Error> {
        let endpoint = settings
            .endpoint
            .or_else(|| from_environment("TIDINGS_ENDPOINT"));
        let key = settings.key.or_else(|| from_environment("TIDINGS_KEY"));
        let hint = "Give `endpoint`, or set TIDINGS_ENDPOINT, such as https://chat.example.org.";
        let endpoint =
            endpoint.ok_or_else(|| Error::invalid("no_endpoint", "no endpoint", hint))?;
        let hint = "Give `key`, or set TIDINGS_KEY; `tidings key create` makes one.";
        let key = key.ok_or_else(|| Error::invalid("no_key", "no API key", hint))?;
        let base = check_endpoint(&endpoint)?;
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            let detail = "the API key has characters that no key has";
            let hint = "Copy the key again, without quotes, spaces and line ends.";
            return Err(Error::invalid("bad_key", detail, hint));
        }
        let mut authorization = HeaderValue::try_from(format!("Bearer {key}"))
            .map_err(|_| Error::invalid("bad_key", "the API key is no header", "Copy it again."))?;
        authorization.set_sensitive(true);
        Ok(Self {
            base,
            authorization,
            timeout: settings.timeout,
            retries: settings.retries,
            http: Client::builder(TokioExecutor::new()).build(Dial),
        })
    }

    /// Returns the answer's JSON, `null` when it has none.
    pub(super) async fn call(&self, mut request: Request) -> Result<Value, Error> {
        // One key for all attempts: a retry after a lost answer is the same call to the server.
        if request.method == Method::POST && request.idempotency_key.is_none() {
            // The beginning tells the server that the key is for these attempts only.
            let key = fastrand::u128(..);
            request.idempotency_key = Some(format!("auto-{key:032x}"));
        }
        let mut attempt = 0;
        loop {
            let failure = match self.attempt(&request).await {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            };
            let Some(pause) = self.pause(attempt, &failure, request.is_repeatable) else {
                return Err(failure.error);
            };
            sleep(pause).await;
            attempt += 1;
        }
    }

    /// How long to wait before the next attempt; `None`: there is none.
    fn pause(&self, attempt: u32, failure: &Failure, is_repeatable: bool) -> Option<Duration> {
        if attempt >= self.retries {
            return None;
        }
        let asked = failure.error.retry_after().unwrap_or_default();
        // These say: nothing was done, try again.
        let is_refused = matches!(failure.error.status(), Some(429 | 503));
        let is_retried = is_refused || (failure.is_uncertain && is_repeatable);
        (is_retried && asked <= RETRY_AFTER_MAX)
            .then(|| asked + jittered(PAUSE, attempt, PAUSE_MAX))
    }

    async fn attempt(&self, request: &Request) -> Result<Value, Failure> {
        let limit = self.timeout + request.wait;
        match timeout(limit, self.exchange(request)).await {
            Ok(done) => done,
            Err(_) => Err(Failure {
                error: Error::NoAnswer {
                    kind: NoAnswer::TimedOut,
                    detail: format!("{} has not answered within {limit:?}", self.base),
                },
                is_uncertain: true,
            }),
        }
    }

    async fn exchange(&self, request: &Request) -> Result<Value, Failure> {
        let sent = self.message(request).map_err(certain)?;
        let response = self
            .http
            .request(sent)
            .await
            .map_err(|error| self.unreachable(&error))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| self.unreachable(&*error))?.to_bytes();
        let status = head.status.as_u16();
        if head.status.is_success() {
            return read_json(status, &body).map_err(certain);
        }
        let request_id = head.headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
        let retry_after = retry_after(&head.headers, SystemTime::now());
        let error = api_error(status, request_id, &body, retry_after);
        Err(Failure {
            error: Error::Api(Box::new(error)),
            // A proxy that has lost the server.
            is_uncertain: matches!(status, 502 | 504),
        })
    }

    fn message(&self, request: &Request) -> Result<http::Request<Full<Bytes>>, Error> {
        let mut uri = format!("{}{}", self.base, request.path);
        for (at, (name, value)) in request.query.iter().enumerate() {
            let value = utf8_percent_encode(value, PART);
            uri = format!("{uri}{}{name}={value}", if at == 0 { '?' } else { '&' });
        }
        let body = request
            .body
            .as_ref()
            .map_or(Bytes::new(), |body| body.to_string().into());
        let mut message = http::Request::builder()
            .method(request.method.clone())
            .uri(uri)
            .header(ACCEPT, "application/json")
            .header(AUTHORIZATION, self.authorization.clone())
            .header(
                USER_AGENT,
                concat!("tidings-server-rust/", env!("CARGO_PKG_VERSION")),
            );
        if request.body.is_some() {
            message = message.header(CONTENT_TYPE, "application/json");
        }
        if let Some(key) = &request.idempotency_key {
            message = message.header(IDEMPOTENCY_KEY, key);
        }
        message.body(Full::new(body)).map_err(|error| {
            let hint = "Check the path and the idempotency key.";
            Error::invalid("invalid_argument", format!("no request: {error}"), hint)
        })
    }

    fn unreachable(&self, error: &(dyn std::error::Error + 'static)) -> Failure {
        let mut detail = format!("{} cannot be reached: {error}", self.base);
        let mut source = error.source();
        while let Some(error) = source {
            detail = format!("{detail}: {error}");
            source = error.source();
        }
        Failure {
            error: Error::NoAnswer {
                kind: NoAnswer::Unreachable,
                detail,
            },
            is_uncertain: true,
        }
    }
}

fn certain(error: Error) -> Failure {
    Failure {
        error,
        is_uncertain: false,
    }
}

/// A pause that doubles with each attempt. Half of it is chance, so that those who were refused
/// together do not come back together.
pub(super) fn jittered(first: Duration, attempt: u32, most: Duration) -> Duration {
    let pause = first.saturating_mul(1 << attempt.min(16)).min(most);
    pause.mul_f64(0.5 + fastrand::f64() / 2.0)
}

fn check_endpoint(endpoint: &str) -> Result<String, Error> {
    let wrong = |hint| {
        Error::invalid(
            "bad_endpoint",
            format!("the endpoint is {endpoint:?}"),
            hint,
        )
    };
    let uri: Uri = endpoint
        .parse()
        .map_err(|_| wrong("Give the scheme and the host, such as https://chat.example.org."))?;
    let scheme = uri.scheme_str().unwrap_or_default();
    if scheme == "https" && !cfg!(feature = "tls") {
        return Err(wrong("Build tidings-client with its feature `tls`."));
    }
    match uri.authority() {
        Some(authority) if matches!(scheme, "http" | "https") && matches!(uri.path(), "" | "/") => {
            Ok(format!("{scheme}://{authority}"))
        }
        _ => Err(wrong(
            "Give the scheme and the host, such as https://chat.example.org.",
        )),
    }
}

fn read_json(status: u16, body: &[u8]) -> Result<Value, Error> {
    if body.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(body).map_err(|error| {
        let text: String = String::from_utf8_lossy(body).chars().take(100).collect();
        Error::bad_answer(format!(
            "the answer ({status}) is not JSON: {error}: {text:?}"
        ))
    })
}

/// What a `Retry-After` asks for: seconds, or a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let at = httpdate::parse_http_date(text).ok()?;
    Some(at.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_of_every_form() {
        for (endpoint, base) in [
            ("http://127.0.0.1:7400", "http://127.0.0.1:7400"),
            ("http://[::1]:7400/", "http://[::1]:7400"),
        ] {
            assert_eq!(check_endpoint(endpoint).expect(endpoint), base);
        }
        for endpoint in [
            "",
            "chat.example.org",
            "ws://host",
            "http://host/api",
            "http://a b",
        ] {
            let error = check_endpoint(endpoint).expect_err(endpoint);
            assert_eq!(error.code(), "bad_endpoint", "{endpoint}");
        }
        assert_eq!(
            check_endpoint("https://host").is_ok(),
            cfg!(feature = "tls")
        );
    }

    #[test]
    fn a_wait_is_told_in_seconds_or_as_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770);
        for (text, expected) in [
            ("7", Some(7)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(7)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0)),
            ("-3", None),
            ("soon", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_static(text));
            let waited = retry_after(&headers, now);
            assert_eq!(waited, expected.map(Duration::from_secs), "{text}");
        }
    }

    #[test]
    fn pauses_grow_and_have_an_end() {
        for (attempt, most_ms) in [(0, 250), (1, 500), (4, 4_000), (5, 8_000), (40, 8_000)] {
            let most = Duration::from_millis(most_ms);
            let pause = jittered(PAUSE, attempt, PAUSE_MAX);
            assert!(pause >= most / 2 && pause <= most, "{attempt}: {pause:?}");
        }
    }

    #[test]
    fn names_are_escaped_and_steps_refused() {
        assert_eq!(part("a b/ü?#").expect("a name"), "a%20b%2F%C3%BC%3F%23");
        for name in ["", ".", ".."] {
            assert_eq!(part(name).expect_err("no part").code(), "invalid_name");
        }
        assert_eq!(joined(&["a", "b"]).expect("names"), "a,b");
        assert_eq!(
            joined(&["a,b"]).expect_err("a comma").code(),
            "invalid_name"
        );
    }
}
