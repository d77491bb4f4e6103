//! One connection: sends a request, reads its answer.

use std::io;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::runtime::Builder;
use tokio::time::timeout;

use super::answer::{Answer, Head};
use super::{Endpoint, Request};

/// What is read at once.
const CHUNK: usize = 16 * 1024;

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A connection that is kept open, and opened anew where the other side closed it.
pub struct Connection {
    endpoint: Endpoint,
    stream: Option<Box<dyn Stream>>,
    buffer: BytesMut,
    /// Bytes of the last answer, which are still in the buffer.
    used: usize,
}

/// One request over a connection of its own. Blocks; must not be called in a runtime.
pub fn call(endpoint: &Endpoint, request: &Request, patience: Duration) -> Result<(u16, Vec<u8>)> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("make a runtime")?;
    runtime.block_on(async {
        let mut connection = Connection::new(endpoint.clone());
        let answer = timeout(patience, connection.send(request)).await;
        let answer = answer.with_context(|| format!("no answer within {patience:?}"))?;
        let answer = answer.map_err(|reason| anyhow!(reason))?;
        Ok((answer.status, answer.body.into_owned()))
    })
}

impl Connection {
    /// One that opens with its first request.
    pub fn new(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            stream: None,
            buffer: BytesMut::with_capacity(CHUNK),
            used: 0,
        }
    }

    /// Opens it, if it is not.
    pub async fn open(&mut self) -> io::Result<()> {
        if self.stream.is_none() {
            self.buffer.clear();
            self.used = 0;
            self.stream = Some(match &self.endpoint {
                Endpoint::Tcp(address) => {
                    let stream = TcpStream::connect(address).await?;
                    stream.set_nodelay(true)?;
                    Box::new(stream)
                }
                Endpoint::Unix(path) => Box::new(UnixStream::connect(path).await?),
            });
        }
        Ok(())
    }

    /// Sends a request and reads the whole answer. Dropping the future leaves the connection unusable: drop it too.
    pub async fn send(&mut self, request: &Request) -> Result<Answer<'_>, String> {
        self.buffer.advance(self.used);
        self.used = 0;
        let opened = self.open().await;
        opened.map_err(|error| format!("cannot connect: {error}"))?;
        let Some(stream) = self.stream.as_mut() else {
            return Err("not connected".to_owned());
        };
        // Who answers before all has arrived may not take the rest: then the answer tells why.
        let sent = stream.write_all(request.as_bytes()).await;
        let head = match read(stream.as_mut(), &mut self.buffer).await {
            Ok(head) => head,
            Err(reason) => {
                self.stream = None;
                return Err(match sent {
                    Ok(()) => reason,
                    Err(error) => format!("cannot send: {error}; {reason}"),
                });
            }
        };
        // It was whole a moment ago.
        let answer = head.answer(&self.buffer, true)?;
        let answer = answer.ok_or("half an answer")?;
        self.used = answer.length;
        if !answer.reusable || sent.is_err() {
            self.stream = None;
        }
        Ok(answer)
    }
}

/// Reads until the buffer begins with a whole answer.
async fn read(stream: &mut dyn Stream, buffer: &mut BytesMut) -> Result<Head, String> {
    let mut head = None;
    loop {
        buffer.reserve(CHUNK);
        let count = stream.read_buf(buffer).await;
        let count = count.map_err(|error| format!("cannot read: {error}"))?;
        if head.is_none() {
            head = Head::read(buffer)?;
        }
        if let Some(head) = head
            && head.answer(buffer, count == 0)?.is_some()
        {
            return Ok(head);
        }
        if count == 0 {
            return Err("the connection was closed before the answer had ended".to_owned());
        }
    }
}
