//! Loads a key set from its place.
//!
//! Bounds: [`BYTES_MAX`] of answer, [`TIME`] for everything. Redirects are not followed: the
//! operator has said where the keys are, and nobody else may say otherwise.

use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use hyper::header::{ACCEPT, CONTENT_ENCODING, HOST, HeaderValue, USER_AGENT};
use hyper::{Request, Response, StatusCode, Uri};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tidings_hub::jwt::KeySource;
use tidings_token::jwt::KeySet;
use tidings_webhooks::client::{self, Connection, RequestBody};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// Largest key set, in bytes.
const BYTES_MAX: usize = 64 * 1024;

/// Longest time for a fetch, from the look-up of the name to the last byte.
const TIME: Duration = Duration::from_secs(10);

/// Checks the form of a key set's address.
///
/// # Errors
/// Why it cannot be one.
pub fn check_key_url(url: &str, allows_http: bool) -> Result<(), String> {
    let address = Address::parse(url)?;
    if address.is_tls || allows_http {
        Ok(())
    } else {
        Err("it is http, which anybody on the way can change".into())
    }
}

struct Address {
    uri: Uri,
    is_tls: bool,
    /// Without the brackets of an IPv6 address.
    host: String,
    port: u16,
}

impl Address {
    fn parse(url: &str) -> Result<Self, String> {
        let uri: Uri = url
            .parse()
            .map_err(|error| format!("it is no URL: {error}"))?;
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            Some(other) => return Err(format!("its scheme is {other}, not https")),
            None => return Err("it does not begin with https://".into()),
        };
        let authority = uri.authority().ok_or("it names no host")?;
        if authority.as_str().contains('@') {
            return Err("it contains a user name, which would be sent to nobody".into());
        }
        let host = authority
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']');
        if host.is_empty() {
            return Err("it names no host".into());
        }
        let port = authority
            .port_u16()
            .unwrap_or(if is_tls { 443 } else { 80 });
        let host = host.to_owned();
        Ok(Self {
            uri,
            is_tls,
            host,
            port,
        })
    }
}

/// Loads a key set now, for a command: within ten seconds, and waits for it.
///
/// # Errors
/// Why it could not be loaded.
pub fn load_key_set(source: &KeySource) -> Result<KeySet, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(|error| error.to_string())?;
    let loaded = runtime.block_on(load(source));
    // A look-up of a name that does not end is not waited for.
    runtime.shutdown_background();
    loaded.map(|(set, _)| set)
}

/// Loads a key set. Returns its bytes, too.
pub(super) async fn load(source: &KeySource) -> Result<(KeySet, Vec<u8>), String> {
    let bytes = match source {
        KeySource::File(path) => read(path)?,
        KeySource::Url { url, authorities } => {
            let fetched = fetch(url, authorities.as_deref());
            match tokio::time::timeout(TIME, fetched).await {
                Ok(fetched) => fetched?,
                Err(_) => return Err(format!("no answer within {} s", TIME.as_secs())),
            }
        }
    };
    let set = KeySet::parse(&bytes).map_err(|error| error.to_string())?;
    Ok((set, bytes))
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    // Whoever writes a pipe could let the reader wait.
    let found = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if !found.is_file() {
        return Err("it is no file".into());
    }
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let most = u64::try_from(BYTES_MAX).unwrap_or(u64::MAX) + 1;
    let read = file.take(most).read_to_end(&mut bytes);
    read.map_err(|error| error.to_string())?;
    if bytes.len() > BYTES_MAX {
        return Err(format!("it has more than {BYTES_MAX} bytes"));
    }
    Ok(bytes)
}

async fn fetch(url: &str, authorities: Option<&Path>) -> Result<Vec<u8>, String> {
    let request = Request::get(url)
        .header(ACCEPT, "application/jwk-set+json, application/json")
        .body(Vec::new());
    let request = request.map_err(|error| format!("it is no URL: {error}"))?;
    let response = call(request, authorities).await?;
    let status = response.status();
    if status.is_redirection() {
        return Err(format!(
            "the answer is {status}; redirects are not followed"
        ));
    }
    if status != StatusCode::OK {
        return Err(format!("the answer is {status}"));
    }
    Ok(response.into_body())
}

/// Sends a request, and reads its answer whatever its status. Whoever calls it bounds the time.
pub(crate) async fn call(
    request: Request<Vec<u8>>,
    authorities: Option<&Path>,
) -> Result<Response<Vec<u8>>, String> {
    let address = Address::parse(&request.uri().to_string())?;
    let request = addressed(&address, request)?;
    let stream = TcpStream::connect((address.host.as_str(), address.port)).await;
    let stream = stream.map_err(|error| format!("no connection: {error}"))?;
    if !address.is_tls {
        return exchange(request, stream).await;
    }
    let name = ServerName::try_from(address.host.clone());
    let name = name.map_err(|error| format!("its host cannot have a certificate: {error}"))?;
    let connector = client::connector(roots(authorities)?).map_err(|error| error.to_string())?;
    let stream = connector.connect(name, stream).await;
    let stream = stream.map_err(|error| format!("no TLS: {error}"))?;
    exchange(request, stream).await
}

/// The authorities in a PEM file; `None` = those that browsers trust.
pub(crate) fn roots(authorities: Option<&Path>) -> Result<RootCertStore, String> {
    let Some(path) = authorities else {
        return Ok(client::public_roots());
    };
    let mut roots = RootCertStore::empty();
    let cannot = |error: String| format!("the authorities in {}: {error}", path.display());
    let certificates = CertificateDer::pem_file_iter(path);
    for certificate in certificates.map_err(|error| cannot(error.to_string()))? {
        let certificate = certificate.map_err(|error| cannot(error.to_string()))?;
        let added = roots.add(certificate);
        added.map_err(|error| cannot(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(cannot("there is no certificate".into()));
    }
    Ok(roots)
}

async fn exchange<S>(request: Request<RequestBody>, stream: S) -> Result<Response<Vec<u8>>, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broken = |error: hyper::Error| format!("no answer: {error}");
    let opened = Connection::open(stream, BYTES_MAX).await;
    let mut connection = opened.map_err(broken)?;
    let response = connection.sender().send_request(request).await;
    read_answer(response.map_err(broken)?.map(Body::new)).await
}

/// The request as it goes to its host.
fn addressed(address: &Address, request: Request<Vec<u8>>) -> Result<Request<RequestBody>, String> {
    let (mut parts, body) = request.into_parts();
    let uri = &address.uri;
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let host = HeaderValue::from_str(authority).map_err(|error| error.to_string())?;
    parts.headers.insert(HOST, host);
    let program = HeaderValue::from_static(concat!("tidings/", env!("CARGO_PKG_VERSION")));
    parts.headers.insert(USER_AGENT, program);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    parts.uri = path
        .parse()
        .map_err(|error: hyper::http::uri::InvalidUri| error.to_string())?;
    Ok(Request::from_parts(parts, RequestBody::from(body)))
}

async fn read_answer(response: Response<Body>) -> Result<Response<Vec<u8>>, String> {
    if response.headers().contains_key(CONTENT_ENCODING) {
        return Err("the answer is compressed, which was not asked for".into());
    }
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, BYTES_MAX).await;
    let bytes = bytes.map_err(|error| {
        let is_large = std::error::Error::source(&error)
            .is_some_and(|source| source.to_string().contains("length limit"));
        if is_large {
            format!("the answer has more than {BYTES_MAX} bytes")
        } else {
            format!("the answer breaks off: {error}")
        }
    })?;
    Ok(Response::from_parts(parts, bytes.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_https_unless_http_is_allowed_and_names_a_host() {
        let told = |url: &str| check_key_url(url, false).expect_err(url);
        assert_eq!(
            check_key_url("https://login.example.org/jwks.json?x=1", false),
            Ok(())
        );
        assert_eq!(check_key_url("http://[::1]:8080/", true), Ok(()));
        for (url, why) in [
            ("http://login.example.org/", "http"),
            ("file:///etc/passwd", "URL"),
            ("ftp://login.example.org/x", "scheme"),
            ("login.example.org/jwks", "URL"),
            ("/jwks", "https://"),
            ("", "URL"),
            ("https://", "URL"),
            ("https://user:word@login.example.org/", "user name"),
            ("https://login.example.org/a b", "URL"),
        ] {
            assert!(told(url).contains(why), "{url}: {}", told(url));
        }
        let address = Address::parse("https://[2001:db8::1]/x").expect("good");
        assert_eq!((address.host.as_str(), address.port), ("2001:db8::1", 443));
    }
}
