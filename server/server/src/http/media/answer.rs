//! Answers to requests about files.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use axum::http::header::{
    ACCEPT_RANGES, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY,
    CONTENT_TYPE, ETAG, RETRY_AFTER, VARY, WWW_AUTHENTICATE,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use futures_util::{StreamExt as _, TryStreamExt as _};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;
use tidings_wire::codes::Outcome;
use tidings_wire::limits::MEDIA_ID_BYTES_MAX;
use tidings_wire::names::AppId;

use super::guests::Seat;
use super::range::Wanted;
use crate::media::{About, Media, MediaId, StoreError, Stored};
use crate::origins::Origins;

/// Why a request is not done.
#[derive(Debug)]
pub(super) struct Problem {
    outcome: Outcome,
    text: String,
    retry_after_ms: u32,
}

impl Problem {
    pub(super) fn new(outcome: Outcome, text: String) -> Self {
        Self {
            outcome,
            text,
            retry_after_ms: 0,
        }
    }

    /// An id is repeated only as far as one can be long.
    pub(super) fn missing(app: &AppId, id: &str) -> Self {
        let end = id
            .char_indices()
            .nth(MEDIA_ID_BYTES_MAX)
            .map(|(end, _)| end);
        let (id, more) = match end {
            Some(end) => (&id[..end], "…"),
            None => (id, ""),
        };
        let id = id.escape_debug();
        let text = format!("app {app} has no file `{id}{more}`, or its time is over");
        Self::new(Outcome::MediaNotFound, text)
    }

    pub(super) fn retry_after(mut self, ms: u32) -> Self {
        self.retry_after_ms = ms;
        self
    }

    pub(super) fn outcome(&self) -> Outcome {
        self.outcome
    }

    fn status(&self) -> StatusCode {
        match self.outcome {
            Outcome::InvalidToken | Outcome::TokenExpired => StatusCode::UNAUTHORIZED,
            Outcome::NotPermitted => StatusCode::FORBIDDEN,
            Outcome::UnknownApp | Outcome::MediaNotFound => StatusCode::NOT_FOUND,
            Outcome::MediaNotYours => StatusCode::FORBIDDEN,
            Outcome::MediaTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Outcome::TooManyTransfers => StatusCode::TOO_MANY_REQUESTS,
            Outcome::MediaFull => StatusCode::INSUFFICIENT_STORAGE,
            Outcome::MediaOff => StatusCode::NOT_IMPLEMENTED,
            Outcome::Unavailable | Outcome::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        }
    }

    /// `{ "error": { outcome, name, text, hint, retryAfterMs } }`.
    pub(super) fn response(self) -> Response<Body> {
        let status = self.status();
        let body = json!({ "error": {
            "outcome": self.outcome as u32,
            "name": self.outcome.name(),
            "text": self.text,
            "hint": self.outcome.remedy(),
            "retryAfterMs": self.retry_after_ms,
        }});
        let mut response = json_response(status, &body);
        let headers = response.headers_mut();
        if self.retry_after_ms > 0 {
            let seconds = self.retry_after_ms.div_ceil(1_000);
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Full(_) | StoreError::DiskFull => {
                tracing::warn!(%error, "an upload was refused");
                Self::new(Outcome::MediaFull, error.to_string())
            }
            StoreError::NotOwner => Self::new(Outcome::MediaNotYours, error.to_string()),
            StoreError::NotFound => Self::new(Outcome::MediaNotFound, error.to_string()),
            StoreError::Io(_) => {
                tracing::error!(%error, "the directory of uploaded files failed");
                let text = "the server's disk has failed; its log says how".to_owned();
                Self::new(Outcome::Unavailable, text)
            }
        }
    }
}

fn json_response(status: StatusCode, body: &serde_json::Value) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("{body}\n")));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// `{ mediaId, size, expiresTs }`.
pub(super) fn stored(stored: &Stored, size: u64) -> Response<Body> {
    let body = json!({
        "mediaId": stored.id.as_str(),
        "size": size,
        "expiresTs": stored.expires_s.saturating_mul(1_000),
    });
    json_response(StatusCode::CREATED, &body)
}

pub(super) fn deleted() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// A file never changes, so its id says it all.
pub(super) fn etag(id: &MediaId) -> String {
    format!("\"{}\"", id.as_str())
}

/// The file, or the part of it that is wanted. `sent`: where its bytes are counted.
pub(super) fn content(
    id: &MediaId,
    media: Media,
    wanted: Wanted,
    (seat, sent): (Seat, Arc<AtomicU64>),
) -> Response<Body> {
    let Media {
        about,
        size,
        content,
        ..
    } = media;
    let (status, part, range) = match wanted {
        Wanted::Whole => (StatusCode::OK, 0..size, None),
        Wanted::Part(part) => {
            let range = format!("bytes {}-{}/{size}", part.start, part.end - 1);
            (StatusCode::PARTIAL_CONTENT, part, Some(range))
        }
        Wanted::Nothing => {
            let range = format!("bytes */{size}");
            (StatusCode::RANGE_NOT_SATISFIABLE, 0..0, Some(range))
        }
    };
    let length = part.end - part.start;
    let chunks = content.read(part).inspect_ok(move |chunk| {
        sent.fetch_add(chunk.len() as u64, Ordering::Relaxed);
    });
    let chunks: crate::media::Chunks = Box::pin(chunks);
    let mut response = Response::new(Body::from_stream(seated(chunks, 0..length, seat)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    describe(headers, &about);
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    for (name, text) in [(ETAG, Some(etag(id))), (CONTENT_RANGE, range)] {
        if let Some(value) = text.and_then(|text| HeaderValue::from_str(&text).ok()) {
            headers.insert(name, value);
        }
    }
    response
}

/// Gives the seat back with the last byte, before the client can have it.
fn seated(
    chunks: crate::media::Chunks,
    mut left: Range<u64>,
    seat: Seat,
) -> impl futures_util::Stream<Item = std::io::Result<bytes::Bytes>> + Send {
    let mut seat = Some(seat);
    chunks.map(move |chunk| {
        left.start += chunk.as_ref().map_or(0, |bytes| bytes.len() as u64);
        if left.is_empty() {
            seat.take();
        }
        chunk
    })
}

/// What a stranger has uploaded must never run as a page of this server.
fn describe(headers: &mut HeaderMap, about: &About) {
    let name = utf8_percent_encode(about.file_name(), NON_ALPHANUMERIC);
    let texts = [
        (CONTENT_TYPE, about.content_type().to_owned()),
        (
            CONTENT_DISPOSITION,
            format!("attachment; filename*=UTF-8''{name}"),
        ),
    ];
    let octets = HeaderValue::from_static("application/octet-stream");
    for (name, text) in texts {
        let value = HeaderValue::from_str(&text).ok();
        let value = value.filter(|value| !value.is_empty());
        headers.insert(name, value.unwrap_or_else(|| octets.clone()));
    }
    let fixed = [
        (ACCEPT_RANGES, "bytes"),
        (CACHE_CONTROL, "no-store"),
        (CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// Lets pages read the answer.
pub(super) fn share(headers: &mut HeaderMap, origin: Option<HeaderValue>, origins: &Origins) {
    let allowed = match (origins, origin) {
        (Origins::Any | Origins::Auto, _) => HeaderValue::from_static("*"),
        (Origins::Own | Origins::Listed(_), Some(origin)) => origin,
        (Origins::Own | Origins::Listed(_), None) => return,
    };
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, allowed);
    headers.insert(VARY, HeaderValue::from_static("Origin"));
    let exposed = "Content-Range, ETag, Retry-After, Accept-Ranges, Content-Disposition";
    let exposed = HeaderValue::from_static(exposed);
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
}

/// What pages may ask for.
pub(super) fn preflight() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let fixed: [(HeaderName, &str); 3] = [
        (ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, DELETE"),
        (
            ACCESS_CONTROL_ALLOW_HEADERS,
            "Authorization, Content-Type, If-Range, Range, Tidings-File-Name, Tidings-User",
        ),
        (ACCESS_CONTROL_MAX_AGE, "86400"),
    ];
    for (name, value) in fixed {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}
