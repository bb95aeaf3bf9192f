//! One call of a target: resolve, check, connect, TLS, request, answer; all before one deadline.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT};
use hyper::{Method, Request, Response};
use rustls::pki_types::ServerName;
use tidings_wire::limits::WEBHOOK_ANSWER_BYTES_MAX as ANSWER_BYTES_MAX;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use crate::client::Connection;
use crate::error::Refusal;
use crate::guard::{Forbidden, Rules, Target};
use crate::resolve::Resolver;
use crate::slots::NamePermit;

/// Bytes of an answer's head.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Addresses of one name that are tried.
const ADDRESSES_MAX: usize = 3;
/// A connection that was not used for this long is not used again: the target may be closing it.
const IDLE: Duration = Duration::from_secs(15);
const AGENT: &str = concat!("Tidings-Webhooks/", env!("CARGO_PKG_VERSION"));

/// What the target answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// At most [`ANSWER_BYTES_MAX`].
    pub(crate) body: Bytes,
    /// Whether there was more.
    pub(crate) is_cut: bool,
    /// How long the target asks to be left alone.
    pub(crate) retry_after: Option<Duration>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("{0}; {hint}", hint = .0.hint)]
    Refused(Refusal),
    #[error("the name {host} was not resolved: {detail}")]
    Resolve { host: String, detail: String },
    #[error("{0}; {hint}", hint = .0.hint())]
    Forbidden(Forbidden),
    #[error("no connection to {address}: {source}")]
    Connect {
        address: SocketAddr,
        source: std::io::Error,
    },
    #[error("TLS with {host} failed: {source}")]
    Tls {
        host: String,
        source: std::io::Error,
    },
    #[error("no answer in time: the target was {doing}")]
    Timeout { doing: &'static str },
    #[error("the answer is not HTTP or ended early: {0}")]
    Http(hyper::Error),
    #[error("the request cannot be written: {0}")]
    Request(hyper::http::Error),
}

/// A request, and until when it may take.
#[derive(Debug, Clone)]
pub(crate) struct Call<'a> {
    pub(crate) target: &'a Target,
    pub(crate) headers: &'a [(&'static str, String)],
    pub(crate) body: Bytes,
    pub(crate) deadline: Instant,
}

/// Calls targets over HTTP, as far as the rules allow their addresses.
pub(crate) struct Caller {
    pub(crate) rules: Rules,
    pub(crate) resolver: Arc<dyn Resolver>,
    pub(crate) tls: TlsConnector,
}

/// An open connection to a target, to be used again.
#[derive(Debug)]
pub(crate) struct Line {
    target: Target,
    connection: Connection,
    used: Instant,
}

impl Line {
    fn is_usable(&self, target: &Target) -> bool {
        self.target == *target && !self.connection.is_closed() && self.used.elapsed() < IDLE
    }
}

impl Caller {
    /// Makes the call, over `line` if that is open, and leaves the connection there if it can be
    /// used again. `permit` covers the resolving of the name.
    pub(crate) async fn post(
        &self,
        line: &mut Option<Line>,
        call: &Call<'_>,
        permit: impl Future<Output = NamePermit>,
    ) -> Result<Answer, CallError> {
        if let Some(open) = line.take().filter(|open| open.is_usable(call.target)) {
            match self.ask(open, call).await {
                Ok((answer, kept)) => {
                    *line = kept;
                    return Ok(answer);
                }
                // The target may have closed it in this moment: one of our own is opened. A notice
                // that arrives twice has the same id.
                Err(CallError::Http(error)) if !error.is_timeout() => {
                    tracing::debug!(%error, "a connection to a webhook was closed");
                }
                Err(error) => return Err(error),
            }
        }
        let open = self.connect(call, permit).await?;
        let (answer, kept) = self.ask(open, call).await?;
        *line = kept;
        Ok(answer)
    }

    async fn ask(
        &self,
        mut line: Line,
        call: &Call<'_>,
    ) -> Result<(Answer, Option<Line>), CallError> {
        let request = request(call).map_err(CallError::Request)?;
        let asked = async {
            let sender = line.connection.sender();
            sender.ready().await?;
            sender.send_request(request).await
        };
        let response = within(call.deadline, "not answering", asked)
            .await?
            .map_err(CallError::Http)?;
        let status = response.status().as_u16();
        let retry_after = retry_after(&response);
        let (body, is_cut) = read(response, call.deadline).await?;
        line.used = Instant::now();
        let answer = Answer {
            status,
            body,
            is_cut,
            retry_after,
        };
        Ok((answer, (!is_cut).then_some(line)))
    }

    async fn connect(
        &self,
        call: &Call<'_>,
        permit: impl Future<Output = NamePermit>,
    ) -> Result<Line, CallError> {
        let stream = self.reach(call, permit).await?;
        let target = call.target;
        if !target.is_tls {
            return open(target, stream, call.deadline).await;
        }
        let fault = |source| CallError::Tls {
            host: target.host.clone(),
            source,
        };
        let name = ServerName::try_from(target.host.clone())
            .map_err(|error| fault(std::io::Error::other(error)))?;
        let shaken = within(
            call.deadline,
            "not finishing the TLS handshake",
            self.tls.connect(name, stream),
        );
        let stream = shaken.await?.map_err(fault)?;
        open(target, stream, call.deadline).await
    }

    /// A connection to one of the addresses that were checked: the name is not resolved again, so
    /// that it cannot mean another address by then.
    async fn reach(
        &self,
        call: &Call<'_>,
        permit: impl Future<Output = NamePermit>,
    ) -> Result<TcpStream, CallError> {
        let addresses = self.addresses(call, permit).await?;
        let mut left = addresses.len();
        let mut last = None;
        for address in addresses {
            let address = SocketAddr::new(address, call.target.port);
            // Each address gets its share of what is left, so that a dead one does not use up all.
            let now = Instant::now();
            let share = call.deadline.saturating_duration_since(now)
                / u32::try_from(left).unwrap_or(u32::MAX).max(1);
            let connected = within(
                now + share,
                "not accepting the connection",
                TcpStream::connect(address),
            );
            last = Some(match connected.await {
                Ok(Ok(stream)) => {
                    // A notice is one write: nothing is gained by waiting for more.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Ok(Err(source)) => CallError::Connect { address, source },
                Err(timeout) => timeout,
            });
            left -= 1;
        }
        Err(last.unwrap_or_else(|| CallError::Resolve {
            host: call.target.host.clone(),
            detail: "it has no address".to_owned(),
        }))
    }

    async fn addresses(
        &self,
        call: &Call<'_>,
        permit: impl Future<Output = NamePermit>,
    ) -> Result<Vec<IpAddr>, CallError> {
        let target = call.target;
        let found = if let Ok(address) = target.host.parse() {
            vec![address]
        } else {
            let asked = async {
                let permit = permit.await;
                self.resolver.resolve(target.host.clone(), permit).await
            };
            within(call.deadline, "not found by the resolver", asked)
                .await?
                .map_err(|detail| CallError::Resolve {
                    host: target.host.clone(),
                    detail,
                })?
        };
        let mut forbidden = None;
        let mut allowed = Vec::new();
        for address in found {
            match self.rules.check(target, address) {
                Ok(()) if !allowed.contains(&address) => allowed.push(address),
                Ok(()) => {}
                Err(reason) => forbidden = Some(reason),
            }
        }
        allowed.truncate(ADDRESSES_MAX);
        match forbidden {
            Some(reason) if allowed.is_empty() => Err(CallError::Forbidden(reason)),
            _ => Ok(allowed),
        }
    }
}

async fn open<S>(target: &Target, stream: S, deadline: Instant) -> Result<Line, CallError>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let opened = Connection::open(stream, HEAD_BYTES_MAX);
    let connection = within(deadline, "not answering", opened)
        .await?
        .map_err(CallError::Http)?;
    Ok(Line {
        target: target.clone(),
        connection,
        used: Instant::now(),
    })
}

fn request(call: &Call<'_>) -> Result<Request<Full<Bytes>>, hyper::http::Error> {
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(&call.target.path)
        .header(HOST, &call.target.authority)
        .header(USER_AGENT, AGENT)
        .header(CONTENT_TYPE, "application/json");
    for (name, value) in call.headers {
        request = request.header(*name, value);
    }
    request.body(Full::new(call.body.clone()))
}

/// Reads the answer's body up to the bound. Whether there is more, comes with it.
async fn read(response: Response<Incoming>, deadline: Instant) -> Result<(Bytes, bool), CallError> {
    let mut body = response.into_body();
    let mut read = Vec::new();
    while let Some(frame) = within(deadline, "still sending its answer", body.frame()).await? {
        let frame = frame.map_err(CallError::Http)?;
        let data = frame.into_data().unwrap_or_default();
        let room = ANSWER_BYTES_MAX - read.len();
        if data.len() > room {
            read.extend_from_slice(&data[..room]);
            return Ok((read.into(), true));
        }
        read.extend_from_slice(&data);
    }
    Ok((read.into(), false))
}

fn retry_after(response: &Response<Incoming>) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    seconds.trim().parse().ok().map(Duration::from_secs)
}

async fn within<T>(
    deadline: Instant,
    doing: &'static str,
    step: impl Future<Output = T>,
) -> Result<T, CallError> {
    tokio::time::timeout_at(deadline, step)
        .await
        .map_err(|_| CallError::Timeout { doing })
}
