//! A collector that keeps the spans it is sent over OTLP/HTTP.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use url::Url;

/// Listens until it is dropped.
pub(crate) struct Collector {
    url: Url,
    kept: watch::Sender<Kept>,
    _tasks: JoinSet<()>,
}

/// What came.
#[derive(Clone, Default)]
pub(crate) struct Kept {
    pub(crate) spans: Vec<Told>,
    pub(crate) resource: BTreeMap<String, String>,
    pub(crate) paths: Vec<String>,
}

/// A span as it came.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) name: String,
    pub(crate) trace: String,
    pub(crate) id: String,
    pub(crate) parent: String,
    pub(crate) kind: i32,
    pub(crate) failed: bool,
    pub(crate) begin: u64,
    pub(crate) end: u64,
    pub(crate) attributes: BTreeMap<String, String>,
}

impl Collector {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let kept = watch::Sender::new(Kept::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, kept.clone()));
        Self {
            url: url.parse().unwrap(),
            kept,
            _tasks: tasks,
        }
    }

    pub(crate) fn url(&self) -> Url {
        self.url.clone()
    }

    /// All spans, once there are so many.
    pub(crate) async fn spans(&self, count: usize) -> Kept {
        let mut kept = self.kept.subscribe();
        let enough = kept.wait_for(|kept| kept.spans.len() >= count);
        let enough = tokio::time::timeout(std::time::Duration::from_secs(20), enough).await;
        let kept = enough.unwrap_or_else(|_| {
            let names: Vec<_> = self
                .kept
                .borrow()
                .spans
                .iter()
                .map(|span| span.name.clone())
                .collect();
            panic!("only {names:?} came")
        });
        kept.unwrap().clone()
    }
}

impl Kept {
    /// The only span of this name.
    #[track_caller]
    pub(crate) fn only(&self, name: &str) -> &Told {
        let named: Vec<&Told> = self.spans.iter().filter(|span| span.name == name).collect();
        assert_eq!(named.len(), 1, "{name} among {:?}", self.spans);
        named[0]
    }
}

impl Told {
    pub(crate) fn attribute(&self, key: &str) -> &str {
        self.attributes.get(key).map_or("", String::as_str)
    }
}

impl From<Span> for Told {
    fn from(span: Span) -> Self {
        Self {
            name: span.name,
            trace: hex(&span.trace_id),
            id: hex(&span.span_id),
            parent: hex(&span.parent_span_id),
            kind: span.kind,
            failed: span.status.is_some_and(|status| status.code == 2),
            begin: span.start_time_unix_nano,
            end: span.end_time_unix_nano,
            attributes: texts(span.attributes),
        }
    }
}

async fn accept(listener: TcpListener, kept: watch::Sender<Kept>) {
    let mut served = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let kept = kept.clone();
        served.spawn(async move {
            let service = service_fn(|request: Request<hyper::body::Incoming>| {
                let kept = kept.clone();
                async move {
                    let path = request.uri().path().to_owned();
                    let body = request.into_body().collect().await?.to_bytes();
                    let export = ExportTraceServiceRequest::decode(body).unwrap();
                    kept.send_modify(|kept| keep(kept, path, export));
                    Ok::<_, hyper::Error>(Response::new(Full::new(Bytes::new())))
                }
            });
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

fn keep(kept: &mut Kept, path: String, export: ExportTraceServiceRequest) {
    kept.paths.push(path);
    for spans in export.resource_spans {
        kept.resource = texts(spans.resource.unwrap_or_default().attributes);
        let spans = spans.scope_spans.into_iter().flat_map(|scope| scope.spans);
        kept.spans.extend(spans.map(Told::from));
    }
}

fn texts(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value: Value| match value {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    };
    attributes
        .into_iter()
        .filter_map(|pair| Some((pair.key, text(pair.value?.value?))))
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}
