//! `Content-Encoding`: decodes a body as it arrives, and stops at the limit, however much more the rest would become.

use std::io::{self, Write};

use bytes::{Bytes, BytesMut};
use flate2::write::MultiGzDecoder;
use http::{HeaderMap, header};
use zstd::stream::raw::{DParameter, Decoder as ZstdDecoder, InBuffer, Operation, OutBuffer};

use super::body_memory::Reserved;
use crate::protocol::Segments;

/// What decoders are given room for at a time; also how small arrivals are gathered.
const CHUNK: usize = 64 * 1024;
/// Arrivals from this size on are kept as they are; smaller ones are copied together, so that a body of many tiny
/// chunks costs no more memory than its bytes.
pub(super) const KEPT: usize = 8 * 1024;
/// RFC 8878 recommends that decoders need not take windows over 8 MiB; more is memory that a small body could claim.
const ZSTD_WINDOW_LOG: u32 = 23;

/// How a body is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

/// An encoding that nothing here understands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("content encoding {0:?} is not supported; accepted are: gzip, zstd, identity")]
pub(super) struct UnsupportedEncoding(String);

/// Why a body could not be taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum DecodeError {
    /// Longer than the limit once decoded.
    #[error("over the limit")]
    TooLarge,
    /// Too much, together with all others that are being read.
    #[error("no memory for it")]
    NoMemory,
    /// Not what its encoding promised.
    #[error("the body is not valid {0}")]
    Corrupt(&'static str),
}

/// Takes a body piece by piece.
pub(super) enum Decoder {
    Identity(Sink),
    Gzip {
        decoder: Box<MultiGzDecoder<Sink>>,
        begun: bool,
    },
    Zstd {
        decoder: ZstdDecoder<'static>,
        /// For what comes out of it. Kept: a body may arrive byte by byte.
        room: Box<[u8]>,
        sink: Sink,
        frame_ended: bool,
    },
}

/// The decoded body, never longer than the limit.
#[derive(Debug)]
pub(super) struct Sink {
    segments: Segments,
    gathered: BytesMut,
    room: usize,
    reserved: Reserved,
    /// Why it took no more.
    refused: Option<Refused>,
}

/// Why a decoded byte was not taken.
#[derive(Clone, Copy, Debug)]
enum Refused {
    TooLarge,
    NoMemory,
}

impl Encoding {
    /// Reads `Content-Encoding`; `x-gzip` is another word for `gzip` (RFC 9110, section 8.4.1.3).
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, UnsupportedEncoding> {
        let mut encoding = Self::Identity;
        for value in headers.get_all(header::CONTENT_ENCODING) {
            let text = String::from_utf8_lossy(value.as_bytes());
            for name in text.split(',').map(str::trim) {
                let named = match name.to_ascii_lowercase().as_str() {
                    "" | "identity" => continue,
                    "gzip" | "x-gzip" => Self::Gzip,
                    "zstd" => Self::Zstd,
                    _ => return Err(UnsupportedEncoding(name.chars().take(100).collect())),
                };
                if encoding != Self::Identity {
                    return Err(UnsupportedEncoding(text.chars().take(100).collect()));
                }
                encoding = named;
            }
        }
        Ok(encoding)
    }
}

impl Decoder {
    /// A decoder for at most `limit` decoded bytes, each of which is added to `reserved`.
    pub(super) fn new(
        encoding: Encoding,
        limit: usize,
        reserved: Reserved,
    ) -> Result<Self, DecodeError> {
        let sink = Sink::new(limit, reserved);
        Ok(match encoding {
            Encoding::Identity => Self::Identity(sink),
            Encoding::Gzip => Self::Gzip {
                decoder: Box::new(MultiGzDecoder::new(sink)),
                begun: false,
            },
            Encoding::Zstd => {
                let mut decoder = ZstdDecoder::new().map_err(corrupt_zstd)?;
                decoder
                    .set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG))
                    .map_err(corrupt_zstd)?;
                Self::Zstd {
                    decoder,
                    room: vec![0; CHUNK].into_boxed_slice(),
                    sink,
                    frame_ended: false,
                }
            }
        })
    }

    /// Takes the next piece.
    pub(super) fn push(&mut self, piece: Bytes) -> Result<(), DecodeError> {
        if piece.is_empty() {
            return Ok(());
        }
        match self {
            Self::Identity(sink) => sink.push(piece),
            Self::Gzip { decoder, begun } => {
                *begun = true;
                let written = decoder.write_all(&piece);
                written.map_err(|_| decoder.get_ref().reason("gzip"))
            }
            Self::Zstd {
                decoder,
                room,
                sink,
                frame_ended,
            } => {
                let mut input = InBuffer::around(&piece);
                loop {
                    let mut output = OutBuffer::around(&mut **room);
                    let hint = decoder.run(&mut input, &mut output).map_err(corrupt_zstd)?;
                    let decoded = output.pos();
                    sink.write_all(&room[..decoded])
                        .map_err(|_| sink.reason("zstd"))?;
                    let all_read = input.pos() == piece.len();
                    // At the end of a frame nothing is left to come, even where the room was just enough; to ask again
                    // would be to begin another frame.
                    if all_read && (hint == 0 || decoded < CHUNK) {
                        *frame_ended = hint == 0;
                        return Ok(());
                    }
                }
            }
        }
    }

    /// The decoded body, if it was whole, and what it holds of the memory.
    pub(super) fn finish(self) -> Result<(Segments, Reserved), DecodeError> {
        match self {
            Self::Identity(sink) => Ok(sink.finish()),
            Self::Gzip { begun: false, .. } => Err(DecodeError::Corrupt("gzip")),
            Self::Gzip { mut decoder, .. } => match decoder.try_finish() {
                Ok(()) => Ok(decoder
                    .finish()
                    .map_err(|_| DecodeError::Corrupt("gzip"))?
                    .finish()),
                Err(_) => Err(decoder.get_ref().reason("gzip")),
            },
            Self::Zstd {
                sink, frame_ended, ..
            } => {
                if frame_ended {
                    Ok(sink.finish())
                } else {
                    Err(DecodeError::Corrupt("zstd"))
                }
            }
        }
    }
}

impl Sink {
    /// Room for `limit` bytes, each of which is added to `reserved`.
    pub(super) fn new(limit: usize, reserved: Reserved) -> Self {
        Self {
            segments: Segments::default(),
            gathered: BytesMut::new(),
            room: limit,
            reserved,
            refused: None,
        }
    }

    /// What there is of the body, but for what [`Self::gathered`] counts.
    pub(super) fn segments(&self) -> &Segments {
        &self.segments
    }

    /// Takes one more piece.
    pub(super) fn push(&mut self, piece: Bytes) -> Result<(), DecodeError> {
        if piece.len() < KEPT {
            return self.write_all(&piece).map_err(|_| self.reason("identity"));
        }
        self.claim(piece.len())
            .map_err(|_| self.reason("identity"))?;
        self.close_chunk();
        self.segments.push(piece);
        Ok(())
    }

    fn claim(&mut self, length: usize) -> io::Result<()> {
        let Some(room) = self.room.checked_sub(length) else {
            self.refused = Some(Refused::TooLarge);
            return Err(io::ErrorKind::FileTooLarge.into());
        };
        if self.reserved.add(length).is_err() {
            self.refused = Some(Refused::NoMemory);
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        self.room = room;
        Ok(())
    }

    /// Adds what was gathered to the segments.
    pub(super) fn close_chunk(&mut self) {
        self.segments.push(self.gathered.split().freeze());
    }

    fn reason(&self, encoding: &'static str) -> DecodeError {
        match self.refused {
            Some(Refused::TooLarge) => DecodeError::TooLarge,
            Some(Refused::NoMemory) => DecodeError::NoMemory,
            None => DecodeError::Corrupt(encoding),
        }
    }

    fn finish(mut self) -> (Segments, Reserved) {
        self.take()
    }

    /// All that there is, and what it holds of the memory.
    pub(super) fn take(&mut self) -> (Segments, Reserved) {
        self.close_chunk();
        (std::mem::take(&mut self.segments), self.reserved.take())
    }
}

impl Write for Sink {
    fn write(&mut self, decoded: &[u8]) -> io::Result<usize> {
        self.claim(decoded.len())?;
        if !self.gathered.is_empty() && self.gathered.len() + decoded.len() > CHUNK {
            self.close_chunk();
        }
        self.gathered.extend_from_slice(decoded);
        Ok(decoded.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn corrupt_zstd(_: io::Error) -> DecodeError {
    DecodeError::Corrupt("zstd")
}

#[cfg(test)]
mod tests {
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;

    use super::super::body_memory::BodyMemory;
    use super::*;

    fn decoder(encoding: Encoding, limit: usize) -> Decoder {
        let memory = BodyMemory::new(usize::MAX);
        Decoder::new(encoding, limit, memory.reserve()).unwrap()
    }

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(text: &[u8]) -> Vec<u8> {
        zstd::encode_all(text, 3).unwrap()
    }

    fn decode(
        encoding: Encoding,
        body: &[u8],
        piece: usize,
        limit: usize,
    ) -> Result<Vec<u8>, DecodeError> {
        let mut decoder = decoder(encoding, limit);
        for piece in body.chunks(piece) {
            decoder.push(Bytes::copy_from_slice(piece))?;
        }
        Ok(decoder.finish()?.0.to_vec())
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn a_body_is_the_same_after_any_encoding_in_any_pieces(
            text in prop::collection::vec(any::<u8>(), 1..5000),
            // Whole chunks are lengths of their own: the last one fills its room and leaves nothing to ask for.
            length in prop_oneof![0_usize..300_000, (1_usize..5).prop_map(|chunks| chunks * CHUNK)],
            piece in 1_usize..30_000,
        ) {
            let text: Vec<u8> = text.iter().copied().cycle().take(length).collect();
            for (encoding, body) in [
                (Encoding::Identity, text.clone()),
                (Encoding::Gzip, gzip(&text)),
                (Encoding::Zstd, zstd(&text)),
            ] {
                let decoded = decode(encoding, &body, piece, text.len()).unwrap();
                prop_assert_eq!(&decoded, &text);
                if !text.is_empty() {
                    let limited = decode(encoding, &body, piece, text.len() - 1);
                    prop_assert!(matches!(limited, Err(DecodeError::TooLarge)));
                }
            }
        }
    }

    #[test]
    fn a_body_of_whole_chunks_has_ended_when_its_frame_has() {
        for chunks in 1..4 {
            let text = b"0123456789abcdef".repeat(chunks * CHUNK / 16);
            for piece in [1 << 20, 100, 1] {
                let decoded = decode(Encoding::Zstd, &zstd(&text), piece, text.len());
                assert!(
                    decoded.is_ok_and(|decoded| decoded == text),
                    "{chunks} {piece}"
                );
            }
        }
    }

    #[test]
    fn a_bomb_is_stopped_at_the_limit() {
        let zeros = vec![0; 64 << 20];
        for (encoding, bomb) in [
            (Encoding::Gzip, gzip(&zeros)),
            (Encoding::Zstd, zstd(&zeros)),
        ] {
            assert!(bomb.len() < 200_000);
            let mut decoder = decoder(encoding, 1 << 20);
            assert!(matches!(
                decoder.push(bomb.into()),
                Err(DecodeError::TooLarge)
            ));
            let kept = match &decoder {
                Decoder::Identity(sink) | Decoder::Zstd { sink, .. } => sink,
                Decoder::Gzip { decoder, .. } => decoder.get_ref(),
            };
            assert!(kept.segments.len() + kept.gathered.len() <= 1 << 20);
        }
    }

    #[test]
    fn a_body_pays_for_its_decoded_bytes_as_they_come() {
        let zeros = vec![0; 1 << 20];
        for (encoding, body) in [
            (Encoding::Identity, zeros.clone()),
            (Encoding::Gzip, gzip(&zeros)),
            (Encoding::Zstd, zstd(&zeros)),
        ] {
            let memory = BodyMemory::new((3 << 20) / 2);
            let read = || {
                let mut decoder = Decoder::new(encoding, 1 << 20, memory.reserve())?;
                decoder.push(Bytes::copy_from_slice(&body))?;
                decoder.finish()
            };
            let first = read();
            assert!(first.is_ok());
            assert!(matches!(read(), Err(DecodeError::NoMemory)), "{encoding:?}");
            drop(first);
            assert!(read().is_ok());
        }
    }

    #[test]
    fn a_truncated_or_foreign_body_is_corrupt() {
        let text = b"some text, some text".repeat(100);
        for (encoding, body) in [(Encoding::Gzip, gzip(&text)), (Encoding::Zstd, zstd(&text))] {
            for wrong in [&b""[..], &body[..body.len() - 1], &body[..10], b"[1, 2, 3]"] {
                let decoded = decode(encoding, wrong, 1000, 1 << 20);
                assert!(
                    matches!(decoded, Err(DecodeError::Corrupt(_))),
                    "{encoding:?} {wrong:?}"
                );
            }
        }
    }

    #[test]
    fn members_and_frames_in_a_row_are_one_body() {
        for (encoding, one, two) in [
            (Encoding::Gzip, gzip(b"one "), gzip(b"two")),
            (Encoding::Zstd, zstd(b"one "), zstd(b"two")),
        ] {
            let body = [one, two].concat();
            assert_eq!(decode(encoding, &body, 3, 100).unwrap(), b"one two");
            assert_eq!(decode(encoding, &body, 1000, 100).unwrap(), b"one two");
        }
    }

    #[test]
    fn tiny_pieces_are_gathered() {
        let mut decoder = decoder(Encoding::Identity, 1 << 20);
        for _ in 0..100_000 {
            decoder.push(Bytes::from_static(b"x")).unwrap();
        }
        let (body, _reserved) = decoder.finish().unwrap();
        assert_eq!(body.len(), 100_000);
        assert!(body.parts().len() <= 2);
    }

    #[test]
    fn one_encoding_is_understood_and_two_are_not() {
        let of = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(
                    header::CONTENT_ENCODING,
                    http::HeaderValue::from_static(value),
                );
            }
            Encoding::of(&headers).ok()
        };
        assert_eq!(of(&[]), Some(Encoding::Identity));
        assert_eq!(of(&["identity"]), Some(Encoding::Identity));
        assert_eq!(of(&["GZIP"]), Some(Encoding::Gzip));
        assert_eq!(of(&["x-gzip, identity"]), Some(Encoding::Gzip));
        assert_eq!(of(&["zstd"]), Some(Encoding::Zstd));
        assert_eq!(of(&["br"]), None);
        assert_eq!(of(&["gzip, zstd"]), None);
        assert_eq!(of(&["gzip", "gzip"]), None);
    }
}
