//! What a call that is not done is answered: one kind of fault, written as the path's callers
//! expect.

use std::borrow::Cow;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use serde::Serialize;
use serde_json::json;
use tidings_store::events::EventError;
use tidings_wire::codes::Outcome;
use tidings_wire::proto::Error;
use utoipa::ToSchema;

use crate::request_id::RequestId;

/// Why a call is not done. Handlers return it; the router writes it in the convention of the path.
#[derive(Debug, Clone)]
pub struct Fault {
    /// The status of the answer. Source: rest 9.
    pub status: StatusCode,
    /// A stable word for programs.
    pub code: &'static str,
    /// What happened, with values; never a secret.
    pub detail: String,
    /// What to do next.
    pub hint: Cow<'static, str>,
    /// The field, parameter or header at fault, as the caller wrote it.
    pub field: Option<String>,
    /// When to try again, in milliseconds; `None` = not stated.
    pub retry_after_ms: Option<u64>,
}

impl Fault {
    /// A fault without field and time.
    pub fn new(
        status: StatusCode,
        code: &'static str,
        detail: impl Into<String>,
        hint: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            hint: hint.into(),
            field: None,
            retry_after_ms: None,
        }
    }

    /// 400: a parameter or field is not as documented.
    pub fn invalid(field: impl Into<String>, detail: impl Into<String>) -> Self {
        let hint = "Correct the field that is named; the API's description has its form.";
        Self::new(StatusCode::BAD_REQUEST, "invalid_argument", detail, hint).on(field)
    }

    /// 400: a parameter or field is missing.
    pub fn missing(field: impl Into<String>) -> Self {
        let field = field.into();
        let detail = format!("{field} is missing");
        let hint = "Add the field that is named.";
        Self::new(StatusCode::BAD_REQUEST, "missing_field", detail, hint).on(field)
    }

    /// 401: no credentials, or none that are good.
    pub fn unauthorized(code: &'static str, detail: impl Into<String>) -> Self {
        let hint = "Send an API key: Authorization: Bearer tdk_…, or Basic with key id and secret.";
        Self::new(StatusCode::UNAUTHORIZED, code, detail, hint)
    }

    /// 403: the credentials are good, and not for this.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        let hint = "Use a key with the role and the apps that the call needs.";
        Self::new(StatusCode::FORBIDDEN, "not_permitted", detail, hint)
    }

    /// 404: what the path names is not there.
    pub fn not_found(code: &'static str, detail: impl Into<String>) -> Self {
        let hint = "Check the path; the API's description lists what there is.";
        Self::new(StatusCode::NOT_FOUND, code, detail, hint)
    }

    /// 429: over a rate.
    pub fn too_often(detail: impl Into<String>, wait_ms: u64) -> Self {
        let hint = "Wait for the time that Retry-After tells, then go on more slowly.";
        let fault = Self::new(StatusCode::TOO_MANY_REQUESTS, "too_often", detail, hint);
        fault.retry_in(wait_ms)
    }

    /// 503: not now.
    pub fn unavailable(detail: impl Into<String>) -> Self {
        let hint = "Try again after the time that Retry-After tells.";
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self::new(status, "unavailable", detail, hint).retry_in(1_000)
    }

    /// What a hub has refused, as it says it.
    pub fn of_hub(error: &Error) -> Self {
        let is_it = |outcome: &Outcome| *outcome as u32 == error.outcome;
        let outcome = Outcome::ALL.into_iter().find(is_it);
        let outcome = outcome.unwrap_or(Outcome::Unavailable);
        let fault = Self::new(
            status_of(outcome),
            outcome.name(),
            error.text.clone(),
            outcome.remedy(),
        );
        match error.retry_after_ms {
            0 if fault.status == StatusCode::SERVICE_UNAVAILABLE => fault.retry_in(1_000),
            0 => fault,
            ms => fault.retry_in(u64::from(ms)),
        }
    }

    /// The same, about a field, parameter or header.
    #[must_use]
    pub fn on(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// The same, with another hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.hint = hint.into();
        self
    }

    /// The same, to be tried again after some milliseconds.
    #[must_use]
    pub fn retry_in(mut self, ms: u64) -> Self {
        self.retry_after_ms = Some(ms);
        self
    }
}

/// The status of what a hub answers.
fn status_of(outcome: Outcome) -> StatusCode {
    match outcome {
        Outcome::MessageTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Outcome::TooOften | Outcome::SameChannelTooOften => StatusCode::TOO_MANY_REQUESTS,
        Outcome::NotPermitted | Outcome::Banned => StatusCode::FORBIDDEN,
        Outcome::UnknownApp | Outcome::UserNotFound => StatusCode::NOT_FOUND,
        Outcome::SizeOverflow | Outcome::TooManyInvitations | Outcome::NotInChannel => {
            StatusCode::CONFLICT
        }
        Outcome::TimedOut => StatusCode::REQUEST_TIMEOUT,
        Outcome::Unavailable | Outcome::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
        Outcome::Unsupported => StatusCode::NOT_IMPLEMENTED,
        _ => StatusCode::BAD_REQUEST,
    }
}

impl From<EventError> for Fault {
    fn from(error: EventError) -> Self {
        match error {
            EventError::Unavailable { reason } => Self::unavailable(reason),
            EventError::Foreign { .. } | EventError::Newer { .. } => {
                let hint = "Begin without a cursor, or with one that this app's events have given.";
                Self::new(StatusCode::GONE, "cursor_gone", error.to_string(), hint).on("after")
            }
        }
    }
}

impl IntoResponse for Fault {
    /// Carries the fault to the router, which knows the path's convention.
    fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status;
        response.extensions_mut().insert(self);
        response
    }
}

/// A fault in our own convention: RFC 9457, with some members of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Problem {
    /// Always `about:blank`: `code` tells problems apart.
    r#type: &'static str,
    /// The status in words.
    title: &'static str,
    /// The HTTP status of the answer, repeated as RFC 9457 has it.
    status: u16,
    /// A stable word for programs.
    code: &'static str,
    /// What happened, with values.
    detail: String,
    /// What to do next.
    hint: String,
    /// The field, parameter or header at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// Names the call in the server's log.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
}

impl Problem {
    pub(crate) fn of(fault: &Fault, id: Option<&RequestId>) -> Self {
        Self {
            r#type: "about:blank",
            title: fault.status.canonical_reason().unwrap_or("Error"),
            status: fault.status.as_u16(),
            code: fault.code,
            detail: fault.detail.clone(),
            hint: fault.hint.to_string(),
            field: fault.field.clone(),
            request_id: id.map(|id| id.as_str().to_owned()),
        }
    }
}

/// How answers of a path are written. Source: rest 11.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Convention {
    /// `/api/v1`: RFC 9457 problems.
    Ours,
    /// 1.x: `result`, `request_id`, `code`, `reason`.
    Hosted,
    /// 2.x: the envelope of rest 5, with the operation that it names.
    Envelope(&'static str),
    /// `/dev/v1` but for projects: an object with `message` alone.
    Message,
    /// `/dev/v1` about projects: `error_msg`.
    Project,
}

impl Convention {
    /// Of a path.
    pub fn of(path: &str) -> Self {
        let project = [
            "/dev/v1/project",
            "/dev/v1/signkey",
            "/dev/v1/reset_signkey",
        ];
        if path.starts_with("/dev/v2/") {
            Self::Hosted
        } else if path.starts_with("/rtm/v2/publish/") {
            Self::Envelope("publish")
        } else if path.starts_with("/rtm/v2/") {
            Self::Envelope("history")
        } else if project.iter().any(|prefix| path.starts_with(prefix)) {
            Self::Project
        } else if path.starts_with("/dev/") {
            Self::Message
        } else {
            Self::Ours
        }
    }

    /// Writes a fault.
    pub fn render(self, fault: &Fault, id: &RequestId) -> Response<Body> {
        let (status, detail) = (fault.status, &fault.detail);
        let body = match self {
            Self::Ours => json!(Problem::of(fault, Some(id))),
            Self::Hosted => json!({
                "result": "failed",
                "request_id": id.as_str(),
                "code": fault.code,
                "reason": detail,
            }),
            Self::Envelope(operation) => json!({
                "data": null,
                "error": true,
                "errorCode": status.as_u16(),
                "operation": operation,
                "reason": detail,
                "requestId": id.as_str(),
                "timestamp": crate::unix_ms(),
            }),
            Self::Message => json!({ "message": detail }),
            Self::Project => json!({ "error_msg": detail }),
        };
        let kind = match self {
            Self::Ours => "application/problem+json",
            _ => crate::answer::JSON,
        };
        let mut response = Response::new(Body::from(body.to_string()));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        add_headers(&mut response, fault);
        response
    }
}

/// The status and the headers that a fault has in every convention.
pub(crate) fn add_headers(response: &mut Response<Body>, fault: &Fault) {
    *response.status_mut() = fault.status;
    let headers = response.headers_mut();
    if let Some(ms) = fault.retry_after_ms {
        headers.insert(RETRY_AFTER, HeaderValue::from(ms.div_ceil(1_000).max(1)));
    }
    if fault.status == StatusCode::UNAUTHORIZED {
        let ways = HeaderValue::from_static("Basic realm=\"tidings\", charset=\"UTF-8\"");
        headers.append(WWW_AUTHENTICATE, ways);
        headers.append(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
}
