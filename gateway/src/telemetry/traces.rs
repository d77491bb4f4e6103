//! Spans: made by the SDK, exported from a thread of its own over OTLP/HTTP. A collector that is slow or dead loses spans,
//! and nothing else.

use std::time::{Duration, SystemTime};

use opentelemetry::trace::{
    SpanBuilder, SpanContext, SpanKind, TraceContextExt, Tracer, TracerProvider,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider,
};
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tracing::warn;
use url::Url;

use super::collector::{Collector, DEADLINE};
use crate::config::TracesConfig;

/// Ended spans on their way; more are lost.
const QUEUE: usize = 4096;
/// Between two exports, if the queue does not fill up before.
const PAUSE: Duration = Duration::from_secs(1);
/// Where OTLP/HTTP takes spans, below a collector's address.
const PATH: &str = "/v1/traces";

/// Makes spans and sends them to a collector. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

/// Spans cannot be exported at all.
#[derive(Debug, thiserror::Error)]
#[error("traces cannot be sent to {collector}: {reason}")]
pub struct TracesError {
    collector: Url,
    reason: String,
}

impl Traces {
    /// Traces as configured: `None` without a collector. Requests to it run on `runtime`.
    pub fn open(config: &TracesConfig, runtime: Handle) -> Result<Option<Self>, TracesError> {
        let Some(collector) = &config.endpoint else {
            return Ok(None);
        };
        let exporter = exporter(collector, runtime).map_err(|reason| TracesError {
            collector: collector.clone(),
            reason,
        })?;
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE)
            .with_max_export_batch_size(QUEUE / 8)
            .with_scheduled_delay(PAUSE)
            .build();
        let processor = BatchSpanProcessor::builder(exporter)
            .with_batch_config(batches)
            .build();
        let chosen = Sampler::TraceIdRatioBased(config.sample);
        let about = [
            KeyValue::new("service.name", "sluicegate"),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        ];
        let provider = SdkTracerProvider::builder()
            .with_span_processor(processor)
            .with_sampler(Sampler::ParentBased(Box::new(chosen)))
            .with_resource(Resource::builder_empty().with_attributes(about).build())
            .build();
        let tracer = provider.tracer("sluicegate");
        Ok(Some(Self { provider, tracer }))
    }

    /// Begins a span below the one of `parent`, if that has one, as of `since`. It ends when it is told to, or with the
    /// context's last clone.
    pub(super) fn begin(
        &self,
        name: &'static str,
        kind: SpanKind,
        attributes: Vec<KeyValue>,
        parent: &Context,
        since: SystemTime,
    ) -> Context {
        let span = SpanBuilder::from_name(name)
            .with_kind(kind)
            .with_start_time(since)
            .with_attributes(attributes);
        Context::new().with_span(self.tracer.build_with_context(span, parent))
    }

    /// Sends what is left, within a few seconds. Spans that end later are lost.
    pub async fn close(self) {
        // It waits for the exporter's thread.
        let closing = spawn_blocking(move || self.provider.shutdown_with_timeout(DEADLINE));
        if let Ok(Err(reason)) = closing.await {
            warn!(%reason, "the last spans could not be sent");
        }
    }
}

fn exporter(collector: &Url, runtime: Handle) -> Result<SpanExporter, String> {
    let client = Collector::new(collector, runtime).map_err(|error| error.to_string())?;
    SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(address(collector))
        .with_timeout(DEADLINE)
        .with_http_client(client)
        .build()
        .map_err(|error| error.to_string())
}

/// Where spans go, of a collector that is named with or without the path for them.
fn address(collector: &Url) -> String {
    let base = collector.as_str().trim_end_matches('/');
    match base.strip_suffix(PATH) {
        Some(_) => base.to_owned(),
        None => format!("{base}{PATH}"),
    }
}

/// The name of the trace, where there is one.
pub(super) fn trace_id(span: &SpanContext) -> Option<String> {
    span.is_valid().then(|| span.trace_id().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_is_named_with_or_without_the_path_of_its_traces() {
        for (named, expected) in [
            ("http://otel:4318", "http://otel:4318/v1/traces"),
            ("http://otel:4318/", "http://otel:4318/v1/traces"),
            ("http://otel:4318/v1/traces", "http://otel:4318/v1/traces"),
            (
                "https://x.example/otlp/",
                "https://x.example/otlp/v1/traces",
            ),
        ] {
            assert_eq!(address(&named.parse().unwrap()), expected);
        }
    }
}
