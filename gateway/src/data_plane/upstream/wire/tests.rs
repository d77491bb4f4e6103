//! Answers cut at every place, and into any pieces.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::{AnswerHead, BrokenOff, Garbled, HeadReader, Piece};

/// How an answer was heard.
#[derive(Debug)]
struct Heard {
    head: AnswerHead,
    body: Vec<u8>,
    /// What came after it.
    rest: Bytes,
}

/// Why it was not.
#[derive(Debug)]
enum Lost {
    Garbled(Garbled),
    /// The connection ended before the head did.
    Unanswered,
    BrokenOff(BrokenOff),
}

/// Reads an answer that comes in these pieces, and after which the connection ends.
fn hear<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Heard, Lost> {
    let mut bytes = BytesMut::new();
    let mut reader = HeadReader::default();
    let mut head = None;
    let mut body = Vec::new();
    for piece in pieces {
        bytes.extend_from_slice(piece);
        if head.is_none() {
            head = reader.read(&mut bytes).map_err(Lost::Garbled)?;
        }
        if let Some(head) = &mut head {
            take_all(head, &mut bytes, &mut body)?;
        }
    }
    let Some(mut head) = head else {
        HeadReader::ended(&bytes).map_err(Lost::Garbled)?;
        return Err(Lost::Unanswered);
    };
    head.body.ended().map_err(Lost::BrokenOff)?;
    let rest = bytes.freeze();
    Ok(Heard { head, body, rest })
}

fn take_all(head: &mut AnswerHead, bytes: &mut BytesMut, body: &mut Vec<u8>) -> Result<(), Lost> {
    loop {
        match head.body.take(bytes).map_err(Lost::BrokenOff)? {
            Piece::Data(data) => {
                assert!(!data.is_empty());
                body.extend_from_slice(&data);
            }
            Piece::More => return Ok(()),
            Piece::End => {
                assert!(head.body.is_done());
                return Ok(());
            }
        }
    }
}

/// Status, body, what follows, and whether the connection may be used again.
type Expected = (&'static str, u16, &'static str, &'static str, bool);

const ANSWERS: [Expected; 14] = [
    (
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        200,
        "hello",
        "",
        true,
    ),
    (
        "HTTP/1.1 200 OK\ncontent-length: 5\n\nhello",
        200,
        "hello",
        "",
        true,
    ),
    (
        "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
        200,
        "",
        "",
        true,
    ),
    (
        "\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na",
        200,
        "a",
        "",
        true,
    ),
    (
        "HTTP/1.1 204 No\r\ncontent-length: 5\r\n\r\n",
        204,
        "",
        "",
        false,
    ),
    (
        "HTTP/1.1 304 No\r\ntransfer-encoding: chunked\r\n\r\n5\r\n",
        304,
        "",
        "5\r\n",
        false,
    ),
    (
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhiHTTP/1.1",
        200,
        "hi",
        "HTTP/1.1",
        true,
    ),
    (
        "HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 102 On\r\na: b\r\n\r\nHTTP/1.1 201 OK\r\ncontent-length: 1\r\n\r\na",
        201,
        "a",
        "",
        true,
    ),
    (
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n",
        200,
        "abc0123456789",
        "",
        true,
    ),
    (
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n003 ; a=\"b\"\r\nabc\r\n1;\r\nd\r\n0;z\r\nx: y\r\nz:\r\n\r\nmore",
        200,
        "abcd",
        "more",
        true,
    ),
    (
        "HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
        200,
        "a",
        "",
        false,
    ),
    (
        "HTTP/1.1 500 Oh\r\n\r\nuntil the end",
        500,
        "until the end",
        "",
        false,
    ),
    (
        "HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\na",
        200,
        "a",
        "",
        false,
    ),
    (
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\nconnection: close\r\n\r\na",
        200,
        "a",
        "",
        false,
    ),
];

fn assert_heard(heard: &Heard, (text, status, body, rest, keeps_open): Expected) {
    assert_eq!(heard.head.status, status, "{text:?}");
    assert_eq!(heard.body, body.as_bytes(), "{text:?}");
    assert_eq!(heard.rest, rest, "{text:?}");
    assert_eq!(heard.head.keeps_open, keeps_open, "{text:?}");
}

#[test]
fn an_answer_is_the_same_wherever_it_is_cut() {
    for expected in ANSWERS {
        let text = expected.0.as_bytes();
        for first in 0..=text.len() {
            for second in first..=text.len() {
                let pieces = [&text[..first], &text[first..second], &text[second..]];
                assert_heard(&hear(pieces).unwrap(), expected);
            }
        }
        assert_heard(&hear(text.chunks(1)).unwrap(), expected);
    }
}

#[test]
fn an_answer_that_ends_too_early_is_never_taken_for_a_whole_one() {
    for expected @ (text, _, _, rest, _) in ANSWERS {
        let (text, is_open) = (text.as_bytes(), !expected.0.contains("until the end"));
        let head = text.len() - rest.len();
        for length in 0..head {
            let heard = hear([&text[..length]]);
            let head_is_whole = !matches!(heard, Err(Lost::Unanswered));
            match heard {
                Err(Lost::Unanswered | Lost::BrokenOff(BrokenOff::Closed)) => {}
                Ok(heard) if !is_open => assert!(expected.2.as_bytes().starts_with(&heard.body)),
                other => panic!("{:?} cut at {length}: {other:?}", expected.0),
            }
            if length < 12 {
                assert!(!head_is_whole);
            }
        }
    }
}

#[test]
fn chunks_that_are_none_are_refused_at_once_wherever_they_are_cut() {
    let long = format!("1;{}", "x".repeat(16 * 1024));
    let many = "1;0123456789abcdef\r\na\r\n".repeat(1024);
    let trailers = format!("0\r\n{}", "a: b\r\n".repeat(4 * 1024));
    let trailer = format!("0\r\na: {}", "b".repeat(16 * 1024));
    for (body, expected) in [
        ("x", "chunked"),
        ("\r\n", "chunked"),
        ("-1\r\n", "chunked"),
        (";\r\n", "chunked"),
        (" 1\r\n", "chunked"),
        ("1x", "chunked"),
        ("1 x\r\n", "chunked"),
        ("1\na\r\n", "chunked"),
        ("1;\ra\r\na", "chunked"),
        ("0x1\r\n", "chunked"),
        ("11111111111111111", "chunked"),
        ("1\r\nab", "chunked"),
        ("1\r\na\n", "chunked"),
        ("1\r\na\rb", "chunked"),
        ("0\r\na: b\n\r\n", "chunked"),
        ("0\r\n\n", "chunked"),
        (long.as_str(), "bytes between"),
        (many.as_str(), "bytes between"),
        (trailers.as_str(), "bytes between"),
        (trailer.as_str(), "bytes between"),
    ] {
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        let text = format!("{head}{body}");
        let short = if text.len() < 1000 { 1 } else { 61 };
        for size in [short, 7 * short, text.len()] {
            let shown = &body[..body.len().min(40)];
            match hear(text.as_bytes().chunks(size)) {
                Err(Lost::BrokenOff(reason)) => {
                    assert!(reason.to_string().contains(expected), "{shown:?}: {reason}");
                }
                other => panic!("{shown:?} in pieces of {size}: {other:?}"),
            }
        }
    }
}

#[test]
fn what_is_no_answer_is_found_out_however_slowly_it_comes() {
    let endless = "a".repeat(70 * 1024);
    let announced = "HTTP/1.1 100 Go\r\n\r\n".repeat(17);
    let head = format!("HTTP/1.1 200 OK\r\n{endless}");
    for text in [
        "SSH-2.0-OpenSSH_9\r\n",
        "HTTP/1.1 OK\r\n\r\n",
        "HTTP/3.0",
        "{\"predictions\": [1]}",
        endless.as_str(),
        head.as_str(),
        announced.as_str(),
    ] {
        for size in [1, 1000, text.len()] {
            let heard = hear(text.as_bytes().chunks(size));
            let shown = &text[..text.len().min(40)];
            let Err(Lost::Garbled(reason)) = heard else {
                panic!("{shown}: {heard:?}")
            };
            assert!(!reason.to_string().is_empty());
        }
    }
}

#[test]
fn a_long_piece_is_handed_on_and_a_short_one_is_not_kept_alive_by_the_buffer() {
    let mut bytes = BytesMut::from(&b"HTTP/1.1 200 OK\r\n\r\n"[..]);
    let mut head = HeadReader::default().read(&mut bytes).unwrap().unwrap();
    for (length, is_handed_on) in [(16 * 1024, true), (16 * 1024 - 1, false)] {
        let mut bytes = BytesMut::from(&vec![b'a'; length][..]);
        let begin = bytes.as_ptr();
        let Piece::Data(data) = head.body.take(&mut bytes).unwrap() else {
            panic!("there is a piece")
        };
        assert_eq!(data.len(), length);
        assert_eq!(data.as_ptr() == begin, is_handed_on, "{length}");
    }
}

/// How a body is carried.
#[derive(Clone, Debug)]
enum Carried {
    Length,
    UntilEnd,
    /// Sizes of chunks, their extensions, and trailers.
    Chunked(Vec<(usize, String)>, Vec<String>),
}

fn carried() -> impl Strategy<Value = Carried> {
    let extension = "( ;|;)[a-z]{0,8}(=\"[ -!#-~]{0,8}\")?|";
    let chunk = (1_usize..20_000, extension);
    let trailers = prop::collection::vec("[A-Za-z-]{1,12}: [ -~]{0,30}", 0..4);
    prop_oneof![
        Just(Carried::Length),
        Just(Carried::UntilEnd),
        (prop::collection::vec(chunk, 1..12), trailers)
            .prop_map(|(chunks, trailers)| Carried::Chunked(chunks, trailers)),
    ]
}

fn written(status: u16, headers: &[String], body: &[u8], carried: &Carried) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {status} Some words\r\n{}", headers.concat()).into_bytes();
    match carried {
        Carried::Length => {
            text.extend(format!("Content-Length: {}\r\n\r\n", body.len()).bytes());
            text.extend(body);
        }
        Carried::UntilEnd => {
            text.extend(b"\r\n");
            text.extend(body);
        }
        Carried::Chunked(chunks, trailers) => {
            text.extend(b"Transfer-Encoding: chunked\r\n\r\n");
            let mut rest = body;
            for (size, extension) in chunks.iter().cycle() {
                let (chunk, after) = rest.split_at(rest.len().min(*size));
                if chunk.is_empty() {
                    break;
                }
                text.extend(format!("{:x}{extension}\r\n", chunk.len()).bytes());
                text.extend(chunk);
                text.extend(b"\r\n");
                rest = after;
                if text.len() > body.len() + 8 * 1024 {
                    // Enough of extensions: the rest in one.
                    text.extend(format!("{:X}\r\n", rest.len()).bytes());
                    break;
                }
            }
            if text.len() > body.len() + 8 * 1024 && !rest.is_empty() {
                text.extend(rest);
                text.extend(b"\r\n");
            }
            text.extend(b"0\r\n");
            for trailer in trailers {
                text.extend(format!("{trailer}\r\n").bytes());
            }
            text.extend(b"\r\n");
        }
    }
    text
}

/// The pieces of `text` between these places, which are taken modulo its length.
fn pieces<'a>(text: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut % (text.len() + 1)).collect();
    places.extend([0, text.len()]);
    places.sort_unstable();
    let pieces = places.windows(2).map(|pair| &text[pair[0]..pair[1]]);
    pieces.collect()
}

proptest! {
    #[test]
    fn any_answer_is_heard_as_it_was_said(
        status in (200_u16..600).prop_filter("has a body", |status| *status != 204 && *status != 304),
        headers in prop::collection::vec("x-[a-z]{1,8}: [!-~]{0,20}\r\n", 0..6),
        body in prop::collection::vec(any::<u8>(), 0..40_000),
        carried in carried(),
        cuts in prop::collection::vec(any::<usize>(), 0..24),
    ) {
        let text = written(status, &headers, &body, &carried);
        let heard = hear(pieces(&text, &cuts)).unwrap();
        prop_assert_eq!(heard.head.status.as_u16(), status);
        prop_assert!(heard.body == body);
        prop_assert!(heard.rest.is_empty());
        prop_assert_eq!(heard.head.keeps_open, !matches!(carried, Carried::UntilEnd));
    }

    #[test]
    fn whatever_comes_is_read_to_an_end(
        text in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..2_000),
            "(HTTP/1\\.[01] [0-9]{3} [a-z\r\n]{0,4}\r\n)?([a-zC-T-]{0,16}: ?[ -~]{0,12}\r?\n){0,8}\r\n[0-9a-f\r\n;]{0,60}"
                .prop_map(String::into_bytes),
            "HTTP/1\\.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n[0-9a-f\r\n; ]{0,60}"
                .prop_map(String::into_bytes),
        ],
        cuts in prop::collection::vec(any::<usize>(), 0..8),
    ) {
        let heard = hear(pieces(&text, &cuts));
        // However it is cut, it means the same.
        let at_once = hear([&text[..]]);
        match (heard, at_once) {
            (Ok(heard), Ok(at_once)) => {
                prop_assert_eq!(heard.body, at_once.body);
                prop_assert_eq!(heard.rest, at_once.rest);
            }
            (Err(heard), Err(at_once)) => {
                prop_assert_eq!(
                    std::mem::discriminant(&heard),
                    std::mem::discriminant(&at_once)
                );
            }
            (heard, at_once) => prop_assert!(false, "{:?} but {:?}", heard, at_once),
        }
    }
}
