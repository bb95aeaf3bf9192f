//! Spans: what the server's crates tell of their work, for OpenTelemetry.
//!
//! **What it is.** A thin layer over the OpenTelemetry API: [`begin`] and [`record`] make spans,
//! [`TraceContext`] is what a caller brings along and a webhook takes away. Where spans go is
//! decided by the program, which [`install`]s a tracer; without one, a span costs a look at a
//! static, and contexts are still passed on.
//!
//! **What it is not.** It knows no endpoint and sends nothing. It is not for the way of a message
//! through the hubs: that is message tracing, in `tidings-hub`.
//!
//! Reading order: [`TraceContext`] (`context`), then this file.
//!
//! ```
//! use tidings_spans::{Kind, TraceContext, begin};
//!
//! let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
//! let parent = TraceContext::parse(header).expect("a context");
//! let mut span = begin("a call", Kind::Server, Some(&parent));
//! span.set("tidings.app", "an app");
//! // Nobody takes spans: what the caller has brought along is passed on as it is.
//! assert_eq!(span.context().map(|context| context.to_string()), Some(header.to_owned()));
//! ```

mod context;

use std::borrow::Cow;
use std::sync::OnceLock;
use std::time::SystemTime;

use opentelemetry::global::{BoxedSpan, BoxedTracer};
use opentelemetry::trace::{Span as _, SpanBuilder, SpanKind, Status, TraceContextExt as _};
use opentelemetry::trace::{Tracer as _, TracerProvider};
use opentelemetry::{Context, KeyValue, global};

pub use self::context::TraceContext;
pub use opentelemetry::Value;

static TRACER: OnceLock<BoxedTracer> = OnceLock::new();

/// From now on, spans go to this provider. Only the first call counts.
pub fn install<P>(provider: P)
where
    P: TracerProvider + Send + Sync + 'static,
    P::Tracer: Send + Sync + 'static,
    <P::Tracer as opentelemetry::trace::Tracer>::Span: Send + Sync + 'static,
{
    global::set_tracer_provider(provider);
    let _ = TRACER.set(global::tracer("tidings"));
}

/// Whether somebody takes spans.
pub fn is_on() -> bool {
    TRACER.get().is_some()
}

/// Which part a span has in a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Work within the server.
    Internal,
    /// It answers somebody.
    Server,
    /// It asks somebody.
    Client,
    /// It tells somebody later of what has happened.
    Producer,
}

impl From<Kind> for SpanKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Internal => Self::Internal,
            Kind::Server => Self::Server,
            Kind::Client => Self::Client,
            Kind::Producer => Self::Producer,
        }
    }
}

/// A piece of work that is under way. It ends when it is dropped.
#[derive(Debug)]
pub struct Span {
    /// `None` = nobody takes spans.
    span: Option<BoxedSpan>,
    /// What it was begun with.
    parent: Option<TraceContext>,
}

/// Begins a span. `parent`: what has caused it.
pub fn begin(
    name: impl Into<Cow<'static, str>>,
    kind: Kind,
    parent: Option<&TraceContext>,
) -> Span {
    let span = TRACER.get().map(|tracer| {
        let builder = SpanBuilder::from_name(name).with_kind(kind.into());
        start(tracer, builder, parent)
    });
    Span {
        span,
        parent: parent.copied(),
    }
}

/// A span of work that has just ended.
pub fn record(
    name: &'static str,
    kind: Kind,
    began: SystemTime,
    attributes: &[(&'static str, Value)],
    failure: Option<&str>,
) {
    let Some(tracer) = TRACER.get() else {
        return;
    };
    let builder = SpanBuilder::from_name(name)
        .with_kind(kind.into())
        .with_start_time(began);
    let mut span = start(tracer, builder, None);
    for (key, value) in attributes {
        span.set_attribute(KeyValue::new(*key, value.clone()));
    }
    if let Some(failure) = failure {
        span.set_status(Status::error(failure.to_owned()));
    }
    span.end();
}

fn start(tracer: &BoxedTracer, builder: SpanBuilder, parent: Option<&TraceContext>) -> BoxedSpan {
    // A context of its own: what the thread has at hand is somebody else's.
    let mut context = Context::new();
    if let Some(parent) = parent {
        context = context.with_remote_span_context(parent.into());
    }
    tracer.build_with_context(builder, &context)
}

impl Span {
    /// Whether somebody takes it.
    pub fn is_recording(&self) -> bool {
        self.span.as_ref().is_some_and(BoxedSpan::is_recording)
    }

    /// Notes something of it. Never a name of a user, nor a payload: whoever reads spans need not
    /// be allowed to read those.
    pub fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        if let Some(span) = &mut self.span {
            span.set_attribute(KeyValue::new(key, value));
        }
    }

    /// Gives it another name, once that is known.
    pub fn rename(&mut self, name: impl Into<Cow<'static, str>>) {
        if let Some(span) = &mut self.span {
            span.update_name(name);
        }
    }

    /// It has failed.
    pub fn fail(&mut self, why: impl Into<Cow<'static, str>>) {
        if let Some(span) = &mut self.span {
            span.set_status(Status::error(why));
        }
    }

    /// What those need who go on with the work: this span, or what it was begun with if nobody
    /// takes spans.
    pub fn context(&self) -> Option<TraceContext> {
        let own = self.span.as_ref().map(BoxedSpan::span_context);
        let own = own.filter(|own| own.is_valid());
        own.map(TraceContext::from).or(self.parent)
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        if let Some(span) = &mut self.span {
            span.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TraceId;
    use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};

    use super::*;

    #[test]
    fn spans_have_their_parents_and_what_was_noted() {
        let exporter = InMemorySpanExporter::default();
        let provider = SdkTracerProvider::builder()
            .with_simple_exporter(exporter.clone())
            .build();
        install(provider);
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let parent = TraceContext::parse(parent).expect("a context");
        let mut call = begin("call", Kind::Server, Some(&parent));
        call.set("tidings.app", "an app");
        let child = begin("child", Kind::Internal, call.context().as_ref());
        assert!(child.is_recording());
        drop(child);
        call.fail("no");
        drop(call);
        record("old", Kind::Internal, SystemTime::UNIX_EPOCH, &[], None);
        let spans = exporter.get_finished_spans().expect("spans");
        let [child, call, old] = &spans[..] else {
            panic!("{spans:?}");
        };
        let trace = TraceId::from_hex("4bf92f3577b34da6a3ce929d0e0e4736").expect("an id");
        assert_eq!(call.span_context.trace_id(), trace);
        assert_eq!(format!("{}", call.parent_span_id), "00f067aa0ba902b7");
        assert_eq!(child.parent_span_id, call.span_context.span_id());
        assert_eq!(call.attributes, [KeyValue::new("tidings.app", "an app")]);
        assert_eq!(call.status, Status::error("no"));
        assert_eq!(old.start_time, SystemTime::UNIX_EPOCH);
        assert_ne!(old.span_context.trace_id(), trace);
    }
}
