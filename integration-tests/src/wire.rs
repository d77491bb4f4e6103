//! A TCP line to a server that tests can cut and mend, and that notes the requests passing over it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A line from a port of its own to a server. Dropping it cuts it.
#[derive(Debug)]
pub struct Wire {
    address: SocketAddr,
    server: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    /// Whether answers are kept back.
    held: watch::Sender<bool>,
    /// The task that accepts and, inside of it, those that carry; empty while the line is cut.
    carriers: JoinSet<()>,
}

impl Wire {
    /// A line to `server`.
    pub async fn to(server: SocketAddr) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let mut wire = Self {
            address: listener.local_addr()?,
            server,
            requests: Arc::default(),
            held: watch::Sender::new(false),
            carriers: JoinSet::new(),
        };
        wire.carry(listener);
        Ok(wire)
    }

    /// `http://127.0.0.1:PORT` of this end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Cuts it: open connections end, new ones are refused.
    pub async fn cut(&mut self) {
        self.carriers.shutdown().await;
    }

    /// Keeps answers back from now on, or lets them through again; requests still pass.
    pub fn hold(&self, held: bool) {
        self.held.send_replace(held);
    }

    /// Mends it, on the same port, to a server that took the place of the first.
    pub fn mend_to(&mut self, server: SocketAddr) -> Result<()> {
        self.server = server;
        self.mend()
    }

    /// Mends it, on the same port.
    pub fn mend(&mut self) -> Result<()> {
        let socket = TcpSocket::new_v4()?;
        // Connections of before the cut linger in TIME_WAIT on this port.
        socket.set_reuseaddr(true)?;
        socket
            .bind(self.address)
            .with_context(|| format!("listen on {} again", self.address))?;
        self.carry(socket.listen(64)?);
        Ok(())
    }

    /// `GET /path?query` of the requests since the last call, in order.
    pub fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut self.requests.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn carry(&mut self, listener: TcpListener) {
        let server = self.server;
        let requests = Arc::clone(&self.requests);
        let held = self.held.subscribe();
        self.carriers.spawn(async move {
            let mut lines = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                lines.spawn(line(client, server, Arc::clone(&requests), held.clone()));
                while lines.try_join_next().is_some() {}
            }
        });
    }
}

/// Carries both directions of one connection until either side ends it.
async fn line(
    client: TcpStream,
    server: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    mut held: watch::Receiver<bool>,
) {
    let Ok(server) = TcpStream::connect(server).await else {
        return;
    };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let upward = async {
        let mut buffer = vec![0; 16 * 1024];
        let mut reader = Reader::default();
        while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
            for &byte in &buffer[..length] {
                if let Some(request) = reader.read(byte) {
                    let mut requests = requests.lock().unwrap_or_else(PoisonError::into_inner);
                    requests.push(request);
                }
            }
            if to_server.write_all(&buffer[..length]).await.is_err() {
                break;
            }
        }
    };
    let downward = async {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(length @ 1..) = from_server.read(&mut buffer).await {
            let passed = held.wait_for(|held| !held).await.is_ok();
            if !passed || to_client.write_all(&buffer[..length]).await.is_err() {
                break;
            }
        }
    };
    tokio::select! {
        () = upward => {}
        () = downward => {}
    }
}

/// Reads just enough of HTTP/1.1 to find the request lines: no chunked bodies.
#[derive(Debug, Default)]
struct Reader {
    line: Vec<u8>,
    /// What the head said of the body that follows it.
    content_length: usize,
    /// What is left of a body.
    body: usize,
}

impl Reader {
    /// The request line, without its version, when `byte` ends one.
    fn read(&mut self, byte: u8) -> Option<String> {
        if self.body > 0 {
            self.body -= 1;
            return None;
        }
        self.line.push(byte);
        if byte != b'\n' {
            return None;
        }
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
        if line == "\r\n" {
            self.body = std::mem::take(&mut self.content_length);
        } else if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            self.content_length = value.trim().parse().unwrap_or_default();
        }
        Some(line.strip_suffix(" HTTP/1.1\r\n")?.to_owned())
    }
}
