//! Sends spans to an OpenTelemetry collector over OTLP, as protobuf over HTTP.
//!
//! Spans wait in a queue of bounded length for a thread of their own: a collector that is slow,
//! hangs or is gone costs spans, never the server.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{Protocol, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, SpanData, SpanExporter,
};
use ureq::Agent;

use crate::failure::Failure;

/// Where the spans of a collector are posted if its address names no path. Source: OTLP 1.
const PATH: &str = "/v1/traces";

/// Spans that wait. Bound: one more is lost.
const QUEUE_MAX: usize = 2_048;

/// Spans of one request.
const BATCH_MAX: usize = 512;

/// How long a span waits for others at most.
const DELAY: Duration = Duration::from_secs(1);

/// How long a collector may take to answer.
const ANSWER_WAIT: Duration = Duration::from_secs(5);

/// How long the end waits for the last spans to be sent.
const END_WAIT: Duration = Duration::from_secs(2);

/// Largest answer of a collector that is read, in bytes.
const ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// Which spans go where.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    /// The collector's address.
    pub(crate) endpoint: String,
    /// The share of those spans that nobody has decided about before, 0 to 1.
    pub(crate) sample: f64,
}

/// Spans are being sent, until this is ended.
pub(crate) struct Sending(SdkTracerProvider);

/// Reads the address of a collector: a URL; without a path, that of the protocol.
///
/// # Errors
/// It is none.
pub(crate) fn check_endpoint(endpoint: &str) -> Result<String, Failure> {
    let wrong = |why: &str| {
        Failure::new(
            format!("{endpoint:?} is no address of a collector: {why}"),
            "give --otlp-endpoint a URL such as http://127.0.0.1:4318",
        )
    };
    let uri: ureq::http::Uri = (endpoint.parse()).map_err(|_| wrong("it is no URL"))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(wrong("it begins with neither http:// nor https://"));
    }
    if uri.host().is_none_or(str::is_empty) {
        return Err(wrong("it names no host"));
    }
    if uri.authority().is_some_and(|of| of.as_str().contains('@')) {
        return Err(wrong(
            "it has a user or a password; headers are given by OTEL_EXPORTER_OTLP_HEADERS",
        ));
    }
    let has_path = !matches!(uri.path(), "" | "/");
    Ok(if has_path {
        endpoint.to_owned()
    } else {
        format!("{}{PATH}", endpoint.trim_end_matches('/'))
    })
}

/// Begins to send spans.
///
/// # Errors
/// The address is none.
pub(crate) fn start(plan: &Plan) -> Result<Sending, Failure> {
    let endpoint = check_endpoint(&plan.endpoint)?;
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_http_client(Poster::new())
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(&endpoint)
        .with_timeout(ANSWER_WAIT)
        .build()
        .map_err(|error| {
            Failure::new(
                format!("spans cannot be sent to {endpoint}: {error}"),
                "check --otlp-endpoint and the variables that begin with OTEL_EXPORTER_OTLP_",
            )
        })?;
    let told = Told {
        exporter,
        endpoint: endpoint.clone(),
        is_failing: AtomicBool::new(false),
    };
    let config = BatchConfigBuilder::default()
        .with_max_queue_size(QUEUE_MAX)
        .with_max_export_batch_size(BATCH_MAX)
        .with_scheduled_delay(DELAY)
        .build();
    let name = std::env::var("OTEL_SERVICE_NAME").unwrap_or_else(|_| "tidings".into());
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let resource = Resource::builder()
        .with_service_name(name)
        .with_attribute(version)
        .build();
    let processor = BatchSpanProcessor::builder(told)
        .with_batch_config(config)
        .build();
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(plan.sample)));
    let provider = SdkTracerProvider::builder()
        .with_span_processor(processor)
        .with_sampler(sampler)
        .with_resource(resource)
        .build();
    tidings_spans::install(provider.clone());
    tracing::info!(endpoint, sample = plan.sample, "spans are sent");
    Ok(Sending(provider))
}

impl Sending {
    /// Sends what is left, within a short time.
    pub(crate) fn end(self) {
        if let Err(error) = self.0.shutdown_with_timeout(END_WAIT) {
            tracing::debug!(%error, "the last spans were not sent");
        }
    }
}

/// Posts with the HTTP client of the commands. It blocks, which only its own thread feels.
#[derive(Debug)]
struct Poster {
    agent: Agent,
}

impl Poster {
    fn new() -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(ANSWER_WAIT))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .build();
        Self {
            agent: config.into(),
        }
    }

    fn post(&self, request: Request<Bytes>) -> Result<Response<Bytes>, ureq::Error> {
        let (parts, body) = request.into_parts();
        let request = Request::from_parts(parts, body.to_vec());
        let (parts, mut body) = self.agent.run(request)?.into_parts();
        let body = body.with_config().limit(ANSWER_BYTES_MAX).read_to_vec()?;
        Ok(Response::from_parts(parts, body.into()))
    }
}

#[async_trait::async_trait]
impl HttpClient for Poster {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        Ok(self.post(request)?)
    }
}

/// Tells the log when spans cannot be sent, and when they can again.
#[derive(Debug)]
struct Told<E> {
    exporter: E,
    endpoint: String,
    is_failing: AtomicBool,
}

impl<E: SpanExporter> SpanExporter for Told<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let sent = self.exporter.export(batch).await;
        let endpoint = &self.endpoint;
        match &sent {
            Err(error) => {
                if !self.is_failing.swap(true, Ordering::Relaxed) {
                    tracing::warn!(endpoint, spans, %error, "spans are lost: they cannot be sent");
                }
            }
            Ok(()) => {
                if self.is_failing.swap(false, Ordering::Relaxed) {
                    tracing::info!(endpoint, "spans are sent again");
                }
            }
        }
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_path_gets_that_of_the_protocol() {
        for (given, meant) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("http://[::1]:4318/", "http://[::1]:4318/v1/traces"),
            (
                "https://otlp.example/x/traces",
                "https://otlp.example/x/traces",
            ),
        ] {
            assert_eq!(check_endpoint(given).ok().as_deref(), Some(meant));
        }
        for (wrong, why) in [
            ("", "no URL"),
            ("127.0.0.1:4318", "neither http"),
            ("grpc://127.0.0.1:4317", "neither http"),
            ("http://user:secret@127.0.0.1", "a password"),
        ] {
            let failure = check_endpoint(wrong).expect_err(wrong).to_string();
            assert!(failure.contains(why), "{failure}");
        }
    }
}
