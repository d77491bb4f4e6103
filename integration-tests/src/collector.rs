//! A collector of traces: keeps the spans that it is sent over OTLP/HTTP.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// Listens until it is dropped.
#[derive(Debug)]
pub struct Collector {
    address: SocketAddr,
    spans: Arc<Mutex<Vec<Span>>>,
    _tasks: JoinSet<()>,
}

impl Collector {
    /// One on a port of its own.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let spans = Arc::default();
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, Arc::clone(&spans)));
        Ok(Self {
            address,
            spans,
            _tasks: tasks,
        })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What came so far.
    pub fn spans(&self) -> Vec<Span> {
        let spans = self.spans.lock();
        spans.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn accept(listener: TcpListener, spans: Arc<Mutex<Vec<Span>>>) {
    let mut served = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let spans = Arc::clone(&spans);
        served.spawn(async move {
            // A connection that ends, or says what is no export, is over.
            let _ = serve(stream, &spans).await;
        });
    }
}

/// One request after the other, as far as an exporter writes them: with a length, without trailers.
async fn serve(stream: TcpStream, spans: &Mutex<Vec<Span>>) -> Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut length = 0;
        loop {
            let mut line = String::new();
            let read = stream.read_line(&mut line).await?;
            anyhow::ensure!(read > 0, "the connection has ended");
            if line.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().context("a length")?;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        let export = ExportTraceServiceRequest::decode(body.as_slice())?;
        let resources = export.resource_spans.into_iter();
        let scopes = resources.flat_map(|resource| resource.scope_spans);
        let came = scopes.flat_map(|scope| scope.spans);
        spans
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(came);
        let answer =
            "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(answer.as_bytes()).await?;
    }
}
