//! Spans of calls, and what they bring along.

use std::future::Future;

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderMap, Response};
use tidings_spans::{Kind, Span, TraceContext, begin};

use crate::request_id::RequestId;

tokio::task_local! {
    /// Where the call that this task answers stands in a trace.
    static CONTEXT: TraceContext;
}

/// Where the call that is being answered stands in a trace, if it does.
pub(crate) fn current() -> Option<TraceContext> {
    CONTEXT.try_with(|context| *context).ok()
}

/// Does the work of a call, which may ask for [`current`].
pub(crate) async fn within<F: Future>(context: Option<TraceContext>, work: F) -> F::Output {
    match context {
        Some(context) => CONTEXT.scope(context, work).await,
        None => work.await,
    }
}

fn brought(headers: &HeaderMap) -> Option<TraceContext> {
    let mut headers = headers.get_all(TraceContext::HEADER).iter();
    let header = headers.next()?.to_str().ok()?;
    // Two of them contradict each other.
    let is_one = headers.next().is_none();
    is_one.then(|| TraceContext::parse(header)).flatten()
}

/// A call begins.
pub(crate) fn begin_call(request: &Request, id: &RequestId) -> Span {
    let parent = brought(request.headers());
    if !tidings_spans::is_on() {
        return begin("", Kind::Server, parent.as_ref());
    }
    let path = request.extensions().get::<MatchedPath>();
    // Without names of users and channels, which paths have.
    let route = path.map_or("unknown path", MatchedPath::as_str).to_owned();
    let method = request.method().as_str().to_owned();
    let mut span = begin(format!("{method} {route}"), Kind::Server, parent.as_ref());
    span.set("http.request.method", method);
    span.set("http.route", route);
    span.set("tidings.request_id", id.as_str().to_owned());
    if let Some(app) = crate::reach::app_of(request.uri().path()) {
        span.set("tidings.app", app);
    }
    span
}

/// A call is answered.
pub(crate) fn end_call<B>(mut span: Span, response: &Response<B>) {
    let status = response.status();
    span.set("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        span.fail(status.canonical_reason().unwrap_or("error"));
    }
}
