//! The body of an answer, with the end of its request.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::pace::Pace;

/// The body of an answer: when it is dropped, its request is over.
#[derive(Debug)]
pub(super) struct Answered {
    body: Body,
    pace: Pace,
}

impl Answered {
    pub(super) fn new(pace: Pace) -> Self {
        let body = Body::empty();
        Self { body, pace }
    }

    pub(super) fn take(&mut self, body: Body) {
        self.body = body;
    }
}

impl HttpBody for Answered {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Answered {
    fn drop(&mut self) {
        self.pace.ends_request();
    }
}
