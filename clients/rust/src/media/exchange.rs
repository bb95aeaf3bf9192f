//! One request over a connection of its own.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use tidings_wire::codes::Outcome;
use tidings_wire::limits::MEDIA_BYTES_MAX;
use tokio::task::JoinSet;

use super::error::Cause;
use super::meter::Meter;
use crate::access::Access;
use crate::connection::dial;

/// Bytes handed to the socket in one go; progress is told in such steps.
const PIECE_BYTES: usize = 64 * 1024;
/// An answer that is no file is short.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

const USER: HeaderName = HeaderName::from_static("tidings-user");
const FILE_NAME: HeaderName = HeaderName::from_static("tidings-file-name");

/// What is uploaded.
pub(super) struct Outgoing {
    pub(super) data: Bytes,
    pub(super) content_type: String,
    pub(super) file_name: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored {
    media_id: String,
}

#[derive(Deserialize)]
struct Refusal {
    error: Problem,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Problem {
    outcome: u32,
    text: String,
    #[serde(default)]
    retry_after_ms: u32,
}

/// A request to come.
pub(super) struct Exchange {
    access: Access,
    meter: Meter,
}

impl Exchange {
    pub(super) fn new(access: Access, meter: Meter) -> Self {
        Self { access, meter }
    }

    /// Returns the media id.
    pub(super) async fn upload(self, outgoing: Outgoing) -> Result<String, Cause> {
        let Outgoing {
            data,
            content_type,
            file_name,
        } = outgoing;
        let mut headers = self.headers()?;
        headers.insert(CONTENT_TYPE, header(&content_type)?);
        headers.insert(FILE_NAME, header(&percent(&file_name))?);
        let body = Counted {
            left: data,
            meter: Some(self.meter.clone()),
        };
        let (response, _connection) = self.send(Method::POST, "", headers, body).await?;
        let status = response.status();
        let answer = read(response.into_body(), ANSWER_BYTES_MAX, |_| ()).await?;
        if !status.is_success() {
            return Err(refusal(status, &answer));
        }
        let stored: Stored = serde_json::from_slice(&answer).map_err(broken)?;
        Ok(stored.media_id)
    }

    /// Returns the file.
    pub(super) async fn download(self, media_id: &str) -> Result<Bytes, Cause> {
        let path = format!("/{}", percent(media_id));
        let headers = self.headers()?;
        let body = Counted {
            left: Bytes::new(),
            meter: None,
        };
        let (response, _connection) = self.send(Method::GET, &path, headers, body).await?;
        let status = response.status();
        if !status.is_success() {
            let answer = read(response.into_body(), ANSWER_BYTES_MAX, |_| ()).await?;
            return Err(refusal(status, &answer));
        }
        let total = response.headers().get(CONTENT_LENGTH);
        let total = total.and_then(|total| total.to_str().ok()?.parse().ok());
        self.meter.set_total(total.unwrap_or(0));
        read(response.into_body(), MEDIA_BYTES_MAX, |bytes| {
            self.meter.moved(bytes);
        })
        .await
    }

    fn headers(&self) -> Result<HeaderMap, Cause> {
        let Access {
            uri,
            user_id,
            token,
            ..
        } = &self.access;
        let mut headers = HeaderMap::new();
        let host = uri.authority().map_or("", |authority| authority.as_str());
        headers.insert(HOST, header(host)?);
        headers.insert(USER, header(&percent(user_id))?);
        if !token.is_empty() {
            let mut value = header(&format!("Bearer {token}"))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        Ok(headers)
    }

    /// Returns the beginning of the answer, and the connection, which ends when it is dropped.
    async fn send(
        &self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: Counted,
    ) -> Result<(Response<Incoming>, JoinSet<()>), Cause> {
        let Access {
            uri, tls, app_id, ..
        } = &self.access;
        let base = uri.path().trim_end_matches("/rtm");
        let target = format!("{base}/v1/media/{app_id}{path}");
        let stream = dial(uri, tls).await.map_err(broken)?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream));
        let (mut sender, connection) = handshake.await.map_err(broken)?;
        let mut tasks = JoinSet::new();
        tasks.spawn(async {
            // What goes wrong on the connection, the request is told too.
            let _ = connection.await;
        });
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = target.parse().map_err(broken)?;
        *request.headers_mut() = headers;
        let response = sender.send_request(request).await.map_err(broken)?;
        Ok((response, tasks))
    }
}

async fn read(
    mut body: Incoming,
    bytes_max: usize,
    mut moved: impl FnMut(usize),
) -> Result<Bytes, Cause> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(broken)?.into_data() else {
            continue;
        };
        if bytes.len() + data.len() > bytes_max {
            let text = format!("the answer has more than {bytes_max} bytes");
            return Err(broken(io::Error::other(text)));
        }
        bytes.extend_from_slice(&data);
        moved(data.len());
    }
    Ok(bytes.freeze())
}

fn refusal(status: StatusCode, answer: &[u8]) -> Cause {
    match serde_json::from_slice(answer) {
        Ok(Refusal {
            error:
                Problem {
                    outcome,
                    text,
                    retry_after_ms,
                },
        }) => Cause::Refused {
            outcome,
            text,
            retry_after_ms,
        },
        // Something between here and the server has answered.
        Err(_) => broken(io::Error::other(format!("HTTP {status}"))),
    }
}

fn broken(error: impl std::error::Error) -> Cause {
    use std::fmt::Write as _;
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let _ = write!(text, ": {error}");
        source = error.source();
    }
    Cause::Broken(text)
}

fn percent(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn header(text: &str) -> Result<HeaderValue, Cause> {
    HeaderValue::from_str(text).map_err(|_| {
        let text = format!("{text:?} has characters that no header may have");
        Cause::refused(Outcome::InvalidArgument, text)
    })
}

/// A body that counts what has been taken of it.
struct Counted {
    left: Bytes,
    meter: Option<Meter>,
}

impl Body for Counted {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.left.is_empty() {
            return Poll::Ready(None);
        }
        let count = self.left.len().min(PIECE_BYTES);
        let piece = self.left.split_to(count);
        if let Some(meter) = &self.meter {
            meter.moved(count);
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left.len() as u64)
    }
}
