//! A stand-in for an MLflow registry: one registered model, whose only version is a folder of this machine.
//!
//! It lets the real gateway serve the fast upstream, with nothing in it replaced. What is measured never asks it.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

/// How long one call may take to arrive.
const PATIENCE: Duration = Duration::from_secs(5);

/// A registry that answers until it is dropped.
#[derive(Debug)]
pub struct StandInRegistry {
    address: SocketAddr,
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What it knows.
struct Known {
    model: Value,
    version: Value,
    source: String,
}

impl StandInRegistry {
    /// One that knows version 1 of the model `name`, with these settings as tags.
    pub fn start(name: &str, folder: &Path, settings: &[(&str, &str)]) -> Result<Self> {
        let tags = settings.iter().map(
            |(setting, value)| json!({"key": format!("sluicegate.{setting}"), "value": value}),
        );
        let source = folder.display().to_string();
        let known = Known {
            model: json!({
                "name": name,
                "creation_timestamp": 1_700_000_000_000_u64,
                "last_updated_timestamp": 1_700_000_000_000_u64,
                "tags": tags.collect::<Vec<_>>(),
            }),
            version: json!({
                "name": name,
                "version": "1",
                "creation_timestamp": 1_700_000_000_000_u64,
                "current_stage": "None",
                "source": source,
                "status": "READY",
            }),
            source,
        };
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let ended = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ended);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if end.load(Ordering::Acquire) {
                    return;
                }
                // Who asks and breaks off asks again.
                let _ = stream.map(|stream| known.answer(&stream));
            }
        });
        Ok(Self {
            address,
            ended,
            thread: Some(thread),
        })
    }

    /// Its address, as a gateway wants it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for StandInRegistry {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Release);
        // It waits for a connection.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Known {
    fn answer(&self, mut stream: &TcpStream) -> std::io::Result<()> {
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut reader = BufReader::new(stream);
        let mut first = String::new();
        reader.read_line(&mut first)?;
        let mut line = String::new();
        while reader.read_line(&mut line)? > 2 {
            line.clear();
        }
        let target = first.split(' ').nth(1).unwrap_or_default();
        let path = target.split('?').next().unwrap_or_default();
        let call = path.trim_start_matches("/api/2.0/mlflow/");
        let (status, body) = match call {
            "registered-models/search" => ("200 OK", json!({"registered_models": [self.model]})),
            "registered-models/get" => ("200 OK", json!({"registered_model": self.model})),
            "model-versions/search" => ("200 OK", json!({"model_versions": [self.version]})),
            "model-versions/get" => ("200 OK", json!({"model_version": self.version})),
            "model-versions/get-download-uri" => ("200 OK", json!({"artifact_uri": self.source})),
            _ => (
                "404 Not Found",
                json!({"error_code": "ENDPOINT_NOT_FOUND", "message": path}),
            ),
        };
        let body = body.to_string();
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }
}
