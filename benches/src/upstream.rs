//! A trivially fast scoring server: reads a request, and gives every one the same answer. What stands before it is what
//! is measured.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result};
use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinSet;

/// What it answers to whatever is scored.
pub const ANSWER: &[u8] = br#"{"predictions": [0]}"#;
/// What it says it is.
pub const VERSION: &str = "3.17.2";

/// Bytes that are read at once.
const CHUNK: usize = 256 * 1024;
const MAX_HEADERS: usize = 64;

/// Where it listens.
pub enum Listener {
    /// A port.
    Tcp(TcpListener),
    /// A socket file.
    Unix(UnixListener),
}

impl Listener {
    /// A port of the loopback that the system chooses.
    pub async fn tcp() -> Result<(Self, SocketAddr)> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        Ok((Self::Tcp(listener), address))
    }

    /// A socket at a path.
    pub fn unix(path: &Path) -> Result<Self> {
        let listener = UnixListener::bind(path);
        Ok(Self::Unix(listener.with_context(|| {
            format!("listen at {}", path.display())
        })?))
    }
}

/// Serves until it is dropped, or cannot accept any more.
pub async fn serve(listener: Listener) -> Result<()> {
    let mut connections = JoinSet::new();
    loop {
        match &listener {
            Listener::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                connections.spawn(answer(stream));
            }
            Listener::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                connections.spawn(answer(stream));
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

/// Answers one connection until it closes, or says something that is no HTTP.
async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let answers = Answers::new();
    let mut buffer = BytesMut::with_capacity(CHUNK);
    loop {
        let asked = loop {
            match Asked::read(&buffer) {
                Ok(Some(asked)) => break asked,
                Ok(None) => {}
                Err(()) => return,
            }
            buffer.reserve(CHUNK);
            if !matches!(stream.read_buf(&mut buffer).await, Ok(count) if count > 0) {
                return;
            }
        };
        // The body is thrown away as it comes: it is never held whole.
        let mut left = asked.length;
        loop {
            let taken = left.min(buffer.len());
            buffer.advance(taken);
            left -= taken;
            if left == 0 {
                break;
            }
            buffer.reserve(CHUNK);
            if !matches!(stream.read_buf(&mut buffer).await, Ok(count) if count > 0) {
                return;
            }
        }
        if stream.write_all(answers.to(asked.what)).await.is_err() {
            return;
        }
    }
}

/// A request, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Asked {
    what: What,
    /// Bytes of head and body.
    length: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Score,
    Ping,
    Version,
}

/// All that is ever answered.
struct Answers {
    score: Vec<u8>,
    ping: Vec<u8>,
    version: Vec<u8>,
}

impl Asked {
    fn read(bytes: &[u8]) -> Result<Option<Self>, ()> {
        let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        let httparse::Status::Complete(head) = request.parse(bytes).map_err(drop)? else {
            return Ok(None);
        };
        let length = request
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case("content-length"));
        let body: usize = match length {
            Some(header) => std::str::from_utf8(header.value)
                .map_err(drop)?
                .parse()
                .map_err(drop)?,
            None => 0,
        };
        let what = match request.path {
            Some("/ping" | "/health") => What::Ping,
            Some("/version") => What::Version,
            _ => What::Score,
        };
        Ok(Some(Self {
            what,
            length: head + body,
        }))
    }
}

impl Answers {
    /// With the headers that MLflow's server sends.
    fn new() -> Self {
        let answer = |body: &[u8]| {
            let length = body.len();
            let head = format!(
                "HTTP/1.1 200 OK\r\ndate: Mon, 23 Nov 2026 00:00:00 GMT\r\nserver: uvicorn\r\n\
                 content-length: {length}\r\ncontent-type: application/json\r\n\r\n"
            );
            [head.as_bytes(), body].concat()
        };
        Self {
            score: answer(ANSWER),
            ping: answer(b"\n"),
            version: answer(VERSION.as_bytes()),
        }
    }

    fn to(&self, what: What) -> &[u8] {
        match what {
            What::Score => &self.score,
            What::Ping => &self.ping,
            What::Version => &self.version,
        }
    }
}
