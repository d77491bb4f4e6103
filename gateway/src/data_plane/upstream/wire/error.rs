//! What can be wrong with what a worker says.

use std::io;

use super::answer_head::{LONGEST_HEAD, MOST_HEADERS};
use super::decoder::MOST_OVERHEAD;
use super::head_reader::MOST_INTERIM;

/// Something was answered, and no answer can be read from it.
#[derive(Debug, thiserror::Error)]
pub(in crate::data_plane) enum Garbled {
    /// It does not look like one.
    #[error("{0}")]
    NotHttp(httparse::Error),
    /// The head does not end.
    #[error("its head is longer than {LONGEST_HEAD} bytes")]
    LongHead,
    /// The head has no end that is near.
    #[error("it has more than {MOST_HEADERS} headers")]
    ManyHeaders,
    /// There is no such status (RFC 9110, section 15).
    #[error("{0} is no status")]
    Status(u16),
    /// 101, which nobody asked for.
    #[error("it changes the protocol")]
    Upgrade,
    /// Announcements without end (RFC 9110, section 15.2).
    #[error("it has been announced more than {MOST_INTERIM} times")]
    Announced,
    /// Not one length (RFC 9112, section 6.3).
    #[error("its content-length is not one number")]
    Length,
    /// HTTP/1.0 has no transfer codings (RFC 9112, section 6.1).
    #[error("it has a transfer coding, and is HTTP/1.0")]
    Coding,
    /// A value that no header may have.
    #[error("the value of its header {0:?} is none")]
    Value(String),
}

/// An answer began, and its body did not end as it should have.
#[derive(Debug, thiserror::Error)]
pub(in crate::data_plane) enum BrokenOff {
    /// The connection ended first.
    #[error("the worker closed the connection within its answer")]
    Closed,
    /// The connection failed first.
    #[error("the connection to the worker failed within its answer: {0}")]
    Failed(#[from] io::Error),
    /// What should say how long the next part is says something else (RFC 9112, section 7.1).
    #[error("the worker's answer is not chunked as it says")]
    Chunk,
    /// Too much that is no part of the answer.
    #[error("the worker's answer has more than {MOST_OVERHEAD} bytes between and after its chunks")]
    Overhead,
}

impl From<httparse::Error> for Garbled {
    fn from(reason: httparse::Error) -> Self {
        match reason {
            httparse::Error::TooManyHeaders => Self::ManyHeaders,
            other => Self::NotHttp(other),
        }
    }
}
