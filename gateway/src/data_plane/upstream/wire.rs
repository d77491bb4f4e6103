//! HTTP/1.1 as it is spoken to workers: bytes in and out, without a socket (RFC 9112).

mod answer_head;
mod decoder;
mod error;
mod framing;
mod head_reader;
mod kept_headers;
mod request_head;
#[cfg(test)]
mod tests;

pub(super) use answer_head::AnswerHead;
pub(super) use decoder::{Decoder, Piece};
pub(in crate::data_plane) use error::{BrokenOff, Garbled};
pub(super) use head_reader::HeadReader;
pub(in crate::data_plane) use request_head::RequestHead;
