//! Answers that are no faults.

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderValue};
use axum::http::{Response, StatusCode};
use bytes::Bytes;
use serde::Serialize;

use crate::problem::Fault;

/// The content type of answers. Source: rest 1.
pub(crate) const JSON: &str = "application/json;charset=utf-8";

/// What a handler returns.
pub type Answer = Result<Response<Body>, Fault>;

/// 200 with this as JSON.
///
/// # Errors
/// A map with keys that are no text: never, with the types of this crate.
pub fn json<T: Serialize + ?Sized>(body: &T) -> Answer {
    json_with(StatusCode::OK, body)
}

/// The same with another status.
///
/// # Errors
/// As [`json`].
pub fn json_with<T: Serialize + ?Sized>(status: StatusCode, body: &T) -> Answer {
    let bytes = serde_json::to_vec(body).map_err(|error| {
        tracing::error!(%error, "an answer could not be written");
        Fault::unavailable("the answer could not be written")
    })?;
    Ok(raw_json(status, bytes.into()))
}

/// JSON that is written already.
pub fn raw_json(status: StatusCode, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static(JSON);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// Status 204: done, and there is nothing to say.
pub fn no_content() -> Answer {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}
