//! What is joined and cut, with exact bytes; what has to go alone; how often a byte is looked at.

mod reference;

use bytes::Bytes;
use serde_json::Value;

use super::super::dialect::Dialect;
use super::super::media_type::MediaType;
use super::super::request::{Translation, translate};
use super::super::segments::Segments;
use super::*;
use crate::protocol::merge::mergeable::Reading;
use crate::protocol::merge::reader::Reader;
use crate::protocol::merge::split::Scan;

const JSON: &str = "application/json";
const RECORDS: &str = "application/json; format=pandas-records";
const SPLIT: &str = "application/json; format=pandas-split";
const NUMPY: &str = "application/json-numpy-split";

fn request(dialect: Dialect, content_type: &str, body: &str) -> Translation {
    let media_type = MediaType::parse(Some(content_type.as_bytes())).unwrap();
    translate(
        media_type,
        dialect,
        Bytes::copy_from_slice(body.as_bytes()).into(),
    )
    .unwrap()
}

fn read_as(dialect: Dialect, content_type: &str, body: &str) -> Option<Mergeable> {
    Mergeable::read(dialect, &request(dialect, content_type, body))
}

fn read(body: &str) -> Option<Mergeable> {
    read_as(Dialect::V2, JSON, body)
}

fn text(body: &Segments) -> String {
    String::from_utf8(body.to_vec()).unwrap()
}

fn joined(bodies: &[&str]) -> Option<String> {
    let requests: Option<Vec<_>> = bodies.iter().map(|body| read(body)).collect();
    join(&requests?).map(|body| text(&body))
}

#[test]
fn rows_of_every_form_are_joined_as_they_were_printed() {
    for (bodies, expected) in [
        (
            [
                "{\"dataframe_records\": [{\"a\": 1.10, \"b\":\"\\u00e9\"}]}",
                " {\"dataframe_records\":[ {\"a\":2e0,\"b\":\"[\"} , {\"a\":3.0,\"b\":\"]\\\"\"}\n] } ",
            ],
            "{\"dataframe_records\": [{\"a\": 1.10, \"b\":\"\\u00e9\"}, {\"a\":2e0,\"b\":\"[\"} , {\"a\":3.0,\"b\":\"]\\\"\"}\n]}",
        ),
        (
            // Wrapped by the translation and sent so: the same form.
            ["[{\"a\": 1}]", "{\"dataframe_records\": [{\"a\": -0}]}"],
            "{\"dataframe_records\": [{\"a\": 1}, {\"a\": -0}]}",
        ),
        (
            [
                "{\"dataframe_split\": {\"columns\": [\"a\", 7], \"data\": [[1, true]]}}",
                "{\"dataframe_split\": {\"data\": [[2,false],[3,true]],\"columns\":[\"a\",7]}}",
            ],
            "{\"dataframe_split\": {\"columns\": [\"a\", 7], \"data\": [[1, true], [2,false],[3,true]]}}",
        ),
        (
            [
                "{\"columns\": [\"a\"], \"index\": [0, 1], \"data\": [[1], [2]]}",
                "{\"index\":[0],\"columns\":[\"a\"],\"data\":[[3]]}",
            ],
            "{\"dataframe_split\": {\"columns\": [\"a\"], \"index\": [0, 1, 2], \"data\": [[1], [2], [3]]}}",
        ),
        (
            [
                "{\"dataframe_split\": {\"data\": [[1]]}, \"params\": {\"t\": 0.50}}",
                "{\"params\":{\"t\": 0.50},\"dataframe_split\": {\"data\": [[2]]}}",
            ],
            "{\"dataframe_split\": {\"data\": [[1], [2]]}, \"params\": {\"t\": 0.50}}",
        ),
        (
            [
                "{\"instances\": [[1.5, 2], [3, 4]]}",
                "{\"instances\": [[0, 0.25]]}",
            ],
            "{\"instances\": [[1.5, 2], [3, 4], [0, 0.25]]}",
        ),
        (
            [
                "{\"inputs\": [\"a\"], \"params\": null}",
                "{\"inputs\": [\"b\", \"\"], \"params\":null}",
            ],
            "{\"inputs\": [\"a\", \"b\", \"\"], \"params\": null}",
        ),
    ] {
        assert_eq!(joined(&bodies).as_deref(), Some(expected));
        assert!(serde_json::from_str::<Value>(expected).is_ok());
    }
}

#[test]
fn the_forms_of_1_x_are_joined_too() {
    for (content_type, bodies, expected) in [
        (
            RECORDS,
            ["[{\"a\": 1}]", "[{\"a\":2}]"],
            "[{\"a\": 1}, {\"a\":2}]",
        ),
        (
            JSON,
            ["[{\"a\": 1}]", "[{\"a\":2}]"],
            "[{\"a\": 1}, {\"a\":2}]",
        ),
        (
            SPLIT,
            [
                "{\"columns\":[\"a\"],\"data\":[[1]]}",
                "{\"columns\":[\"a\"],\"data\":[[2]]}",
            ],
            "{\"columns\": [\"a\"], \"data\": [[1], [2]]}",
        ),
        (
            NUMPY,
            [
                "{\"columns\":[\"a\"],\"index\":[0],\"data\":[[1]]}",
                "{\"columns\":[\"a\"],\"index\":[0],\"data\":[[2]]}",
            ],
            "{\"columns\": [\"a\"], \"index\": [0, 1], \"data\": [[1], [2]]}",
        ),
        (
            JSON,
            ["{\"data\":[[1]]}", "{\"data\":[[2]]}"],
            "{\"data\": [[1], [2]]}",
        ),
        (
            JSON,
            ["{\"inputs\":[1]}", "{\"inputs\":[2]}"],
            "{\"inputs\": [1, 2]}",
        ),
        // The translation unwraps it.
        (
            JSON,
            [
                "{\"dataframe_records\": [{\"a\": 1}]}",
                "{\"dataframe_records\": [{\"a\": 2}]}",
            ],
            "[{\"a\": 1}, {\"a\": 2}]",
        ),
    ] {
        let requests = bodies.map(|body| read_as(Dialect::V1, content_type, body).unwrap());
        assert_eq!(text(&join(&requests).unwrap()), expected);
    }
    let one = read_as(Dialect::V1, JSON, "[{\"a\": 1}]").unwrap();
    let other = read_as(Dialect::V1, RECORDS, "[{\"a\": 1}]").unwrap();
    assert_ne!(one.key(), other.key(), "sent with different types");
    assert_eq!(other.content_type(), RECORDS);
}

#[test]
fn unlike_requests_have_unlike_keys() {
    let bodies = [
        "{\"dataframe_records\": [{\"a\": 1}]}",
        "{\"dataframe_records\": [{\"a\": 1.0}]}",
        "{\"dataframe_records\": [{\"a\": \"1\"}]}",
        "{\"dataframe_records\": [{\"a\": \"2024-01-02\"}]}",
        "{\"dataframe_records\": [{\"a\": \"2024-01-02T10:00\"}]}",
        "{\"dataframe_records\": [{\"a\": \"2024-01-02T10:00:00\"}]}",
        "{\"dataframe_records\": [{\"a\": true}]}",
        "{\"dataframe_records\": [{\"a\": null}]}",
        "{\"dataframe_records\": [{\"a\": [1]}]}",
        "{\"dataframe_records\": [{\"a\": [1, 2]}]}",
        "{\"dataframe_records\": [{\"a\": [1.0, 2]}]}",
        "{\"dataframe_records\": [{\"a\": [[1]]}]}",
        "{\"dataframe_records\": [{\"a\": []}]}",
        "{\"dataframe_records\": [{\"a\": {}}]}",
        "{\"dataframe_records\": [{\"a\": {\"b\": 1}}]}",
        "{\"dataframe_records\": [{\"b\": 1}]}",
        "{\"dataframe_records\": [{\"a\": 1, \"b\": 1}]}",
        "{\"dataframe_records\": [{\"b\": 1, \"a\": 1}]}",
        "{\"dataframe_records\": [{\"a\": 1, \"b\": 1.0}]}",
        "{\"dataframe_records\": [{\"a\": 1}], \"params\": null}",
        "{\"dataframe_records\": [{\"a\": 1}], \"params\": {}}",
        "{\"dataframe_records\": [{\"a\": 1}], \"params\": { }}",
        "{\"instances\": [{\"a\": 1}]}",
        "{\"inputs\": [{\"a\": 1}]}",
        "{\"dataframe_split\": {\"columns\": [\"a\"], \"data\": [[1]]}}",
        "{\"dataframe_split\": {\"columns\": [\"a\"], \"data\": [[1]], \"index\": [0]}}",
        "{\"dataframe_split\": {\"columns\": [1], \"data\": [[1]]}}",
        "{\"dataframe_split\": {\"data\": [[1]]}}",
        "{\"dataframe_split\": {\"data\": [[1, 1]]}}",
    ];
    for (number, one) in bodies.iter().enumerate() {
        for other in &bodies[..number] {
            assert_eq!(joined(&[one, other]), None, "{one} {other}");
        }
        assert!(joined(&[one, one]).is_some(), "{one}");
    }
    assert!(join(&[]).is_none());
}

#[test]
fn integers_beside_fractions_are_fractions() {
    for (mixed, plain) in [
        (
            "{\"dataframe_records\": [{\"a\": 1}, {\"a\": 2.5}]}",
            "{\"dataframe_records\": [{\"a\": 1e0}]}",
        ),
        (
            "{\"dataframe_split\": {\"data\": [[1, 2.5], [1, 2], [1, 3]]}}",
            "{\"dataframe_split\": {\"data\": [[1, 2.5]]}}",
        ),
        (
            "{\"instances\": [[[1, 2], [3, 4]], [[1, 2], [3, 4.5]]]}",
            "{\"instances\": [[[1.5, 2], [3, 4]]]}",
        ),
    ] {
        assert!(joined(&[mixed, plain]).is_some(), "{mixed}");
    }
    assert!(
        joined(&[
            "{\"dataframe_split\": {\"data\": [[1, 2.5]]}}",
            "{\"dataframe_split\": {\"data\": [[1, 2]]}}",
        ])
        .is_none()
    );
}

#[test]
fn what_is_not_surely_understood_goes_alone() {
    let deep = format!("{{\"inputs\": [{}1{}]}}", "[".repeat(99), "]".repeat(99));
    for body in [
        "",
        "{",
        "{}",
        "[]",
        "7",
        "null",
        "\"a\"",
        &deep,
        "{\"dataframe_records\": []}",
        "{\"dataframe_records\": {}}",
        "{\"dataframe_records\": [{}]}",
        "{\"dataframe_records\": [1]}",
        "{\"dataframe_records\": [[1]]}",
        "{\"dataframe_records\": [{\"a\": 1}, {\"b\": 1}]}",
        "{\"dataframe_records\": [{\"a\": 1, \"b\": 2}, {\"b\": 1, \"a\": 2}]}",
        "{\"dataframe_records\": [{\"a\": 1}, {\"a\": 1, \"b\": 2}]}",
        "{\"dataframe_records\": [{\"a\": 1, \"b\": 2}, {\"a\": 1}]}",
        "{\"dataframe_records\": [{\"a\": 1}, {\"a\": null}]}",
        "{\"dataframe_records\": [{\"a\": 1}, {\"a\": true}]}",
        "{\"dataframe_records\": [{\"a\": 1}, {\"a\": \"1\"}]}",
        "{\"dataframe_records\": [{\"a\": 1}, {}]}",
        "{\"dataframe_records\": [{\"a\": [1]}, {\"a\": []}]}",
        "{\"dataframe_records\": [{\"a\": []}, {\"a\": [1]}]}",
        "{\"dataframe_records\": [{\"a\": [1]}, {\"a\": [1, 2]}]}",
        "{\"dataframe_records\": [{\"a\": [1, \"b\"]}]}",
        "{\"dataframe_records\": [{\"a\": {\"b\": 1}}, {\"a\": {}}]}",
        "{\"dataframe_records\": [{\"a\": 1, \"a\": 1}]}",
        "{\"dataframe_records\": [{\"a\": 1, \"b\": 1, \"\\u0061\": 1}]}",
        "{\"dataframe_records\": [{\"a\": {\"b\": 1, \"b\": 1}}]}",
        "{\"dataframe_records\": [{\"a\": NaN}]}",
        "{\"dataframe_records\": [{\"a\": -Infinity}]}",
        "{\"dataframe_records\": [{\"a\": 9223372036854775808}]}",
        "{\"dataframe_records\": [{\"a\": 100000000000000000000000}]}",
        "{\"dataframe_records\": [{\"a\": \"\\ud800\"}]}",
        "{\"dataframe_records\": [{\"a\": \"01/02/2024\"}]}",
        "{\"dataframe_records\": [{\"a\": 1}]} x",
        "{\"dataframe_records\": [{\"a\": 1}]}}",
        "{\"dataframe_records\": [{\"a\": 1}]",
        "{\"dataframe_records\": [{\"a\": 1},]}",
        "{\"dataframe_records\": [{\"a\": 1}],}",
        "{\"dataframe_records\": [{\"a\": 1}], \"dataframe_records\": [{\"a\": 1}]}",
        "{\"dataframe_records\": [{\"a\": 1}], \"inputs\": [{\"a\": 1}]}",
        "{\"dataframe_records\": [{\"a\": 1}], \"extra\": 1}",
        "{\"dataframe_records\": [{\"a\": 1}], \"params\": 1, \"params\": 1}",
        "{\"dataframe_records\": [{\"a\": 1}], \"params\": NaN}",
        "{\"dataframe\\u005frecords\": [{\"a\": 1}]}",
        "{\"params\": 1}",
        "\u{feff}{\"dataframe_records\": [{\"a\": 1}]}",
        "{\"dataframe_split\": {\"columns\": [\"a\"]}}",
        "{\"dataframe_split\": {\"data\": []}}",
        "{\"dataframe_split\": {}}",
        "{\"dataframe_split\": {\"data\": [1]}}",
        "{\"dataframe_split\": {\"data\": [[]]}}",
        "{\"dataframe_split\": {\"data\": [{\"a\": 1}]}}",
        "{\"dataframe_split\": {\"data\": [[1], [1, 2]]}}",
        "{\"dataframe_split\": {\"data\": [[1, 2], [1]]}}",
        "{\"dataframe_split\": {\"columns\": [\"a\", \"b\"], \"data\": [[1]]}}",
        "{\"dataframe_split\": {\"columns\": [[\"a\"]], \"data\": [[1]]}}",
        "{\"dataframe_split\": {\"columns\": [], \"data\": [[1]]}}",
        "{\"dataframe_split\": {\"data\": [[1]], \"data\": [[1]]}}",
        "{\"dataframe_split\": {\"data\": [[1]], \"extra\": 1}}",
        "{\"dataframe_split\": {\"data\": [[1]], \"index\": [1]}}",
        "{\"dataframe_split\": {\"data\": [[1]], \"index\": [0, 1]}}",
        "{\"dataframe_split\": {\"data\": [[1]], \"index\": [\"0\"]}}",
        "{\"dataframe_split\": {\"data\": [[1]], \"index\": []}}",
        "{\"dataframe_split\": {\"data\": [[1]], \"index\": [0.0]}}",
        "{\"inputs\": {\"a\": [1]}}",
        "{\"inputs\": \"a\"}",
        "{\"inputs\": [1, \"a\"]}",
        "{\"inputs\": [[1, true]]}",
        "{\"inputs\": []}",
        "{\"messages\": [{\"role\": \"user\"}]}",
        "{\"prompt\": [\"a\"]}",
    ] {
        assert!(read(body).is_none(), "{body}");
    }
    assert!(read_as(Dialect::V2, "text/csv", "a\n1\n").is_none());
    assert!(read_as(Dialect::V1, "text/csv", "a\n1\n").is_none());
    let split = "{\"columns\": [\"a\"], \"data\": [[1]]}";
    for (content_type, body) in [
        (JSON, "{\"inputs\": [1], \"params\": {}}"),
        (JSON, "{\"inputs\": [1], \"data\": [[1]]}"),
        (RECORDS, split),
        (SPLIT, "[{\"a\": 1}]"),
        (RECORDS, "[{\"created_at\": 1}]"),
        (RECORDS, "[{\"\\u0064ate\": 1}]"),
        (SPLIT, "{\"columns\": [\"modified\"], \"data\": [[1]]}"),
        (SPLIT, "{\"columns\": [\"a\"], \"data\": [[1]], \"x\": 1}"),
    ] {
        assert!(read_as(Dialect::V1, content_type, body).is_none(), "{body}");
    }
    assert!(read_as(Dialect::V1, SPLIT, split).is_some());
    let mut bytes = b"{\"inputs\": [\"".to_vec();
    bytes.extend([0xc3, 0x28]);
    bytes.extend(b"\"]}");
    let invalid = Translation {
        body: Bytes::from(bytes).into(),
        ..request(Dialect::V2, JSON, "{\"inputs\": [1]}")
    };
    assert!(Mergeable::read(Dialect::V2, &invalid).is_none());
}

fn cut(answer: &str, rows: &[usize]) -> Option<Vec<String>> {
    let bodies = split(&Bytes::copy_from_slice(answer.as_bytes()), rows)?;
    Some(
        bodies
            .iter()
            .map(|body| String::from_utf8(body.to_vec()).unwrap())
            .collect(),
    )
}

#[test]
fn answers_are_cut_between_items_with_the_workers_own_bytes() {
    for (answer, rows, expected) in [
        (
            "{\"predictions\": [0, 2, 1]}",
            &[1, 2][..],
            &["{\"predictions\": [0]}", "{\"predictions\": [2, 1]}"][..],
        ),
        ("[0, 2]", &[1, 1], &["[0]", "[2]"]),
        (
            " {\n\"predictions\" :\t[ NaN , -Infinity,1e-05 ] }\n",
            &[1, 1, 1],
            &[
                " {\n\"predictions\" :\t[ NaN ] }\n",
                " {\n\"predictions\" :\t[ -Infinity ] }\n",
                " {\n\"predictions\" :\t[ 1e-05 ] }\n",
            ],
        ),
        (
            "{\"predictions\": [{\"0\": 1.5, \"b\": \"],{\\\"\"}, \"\\\\\", [[1], [\"}\"]], null]}",
            &[1, 2, 1],
            &[
                "{\"predictions\": [{\"0\": 1.5, \"b\": \"],{\\\"\"}]}",
                "{\"predictions\": [\"\\\\\", [[1], [\"}\"]]]}",
                "{\"predictions\": [null]}",
            ],
        ),
        ("[]", &[0, 0], &["[]", "[]"]),
        ("[7]", &[0, 1, 0], &["[]", "[7]", "[]"]),
    ] {
        let expected: Vec<String> = expected.iter().map(ToString::to_string).collect();
        assert_eq!(cut(answer, rows), Some(expected), "{answer}");
    }
}

#[test]
fn an_answer_that_is_not_one_item_a_row_is_not_cut() {
    for answer in [
        "",
        "0",
        "null",
        "{}",
        "[",
        "[1",
        "[1,",
        "[1, ]",
        "[1, 2",
        "[1]",
        "[1, 2, 3]",
        "[1 2]",
        "[1, 2]]",
        "[1, 2] x",
        "{\"predictions\": [1, 2]",
        "{\"predictions\": [1, 2], \"x\": 1}",
        "{\"predictions\": {\"a\": [1, 2]}}",
        "{\"predictions\": \"ab\"}",
        "{\"predictions\": 1}",
        "{\"x\": [1, 2]}",
        "[[1}, 2]",
        "[[1, 2]",
        "[\"a, 2]",
        "[\"a\\",
        "[, 2]",
        "[1, 2}",
        "{\"predictions\" [1, 2]}",
        "{\"predictionsx\": [1, 2]}",
        "[1:2, 3]",
    ] {
        assert_eq!(cut(answer, &[1, 1]), None, "{answer}");
    }
    assert_eq!(cut("[1]", &[]), None);
}

#[test]
fn each_byte_is_looked_at_a_bounded_number_of_times() {
    const SIZE: usize = 16 << 20;
    let many = |item: &str| {
        let mut items = vec![item; SIZE / (item.len() + 1)].join(",");
        items.insert(0, '[');
        items + "]"
    };
    let keys: Vec<String> = (0..500_000)
        .map(|key| format!("\"key number {key}\":{key}"))
        .collect();
    let wide = format!("[{{{}}}]", keys.join(","));
    let bodies = [
        format!(
            "{{\"dataframe_records\":{}}}",
            many("{\"a\":1,\"b\":\"x\",\"c\":[1,2,3]}")
        ),
        format!(
            "{{\"dataframe_split\":{{\"data\":{}}}}}",
            many("[1.5,\"x\\n\",null]")
        ),
        format!("{{\"inputs\":{}}}", many("[[[[[[1]]]],[[[[2]]]]]]")),
        format!("{{\"inputs\":[{}]}}", many("9")),
        format!("{{\"inputs\":[\"{}\"]}}", "é".repeat(SIZE / 2)),
        format!("{{\"inputs\":[1], \"params\":{}}}", many("{\"a\":[]}")),
        format!("{{\"dataframe_records\":{wide}}}"),
        format!("{{\"dataframe_records\":{}", " ".repeat(SIZE)),
    ];
    for body in &bodies {
        let mut reader = Reader::new(body.as_bytes());
        let form = Reading::new(&mut reader, Dialect::V2).body(JSON);
        assert_eq!(form.is_some(), body.ends_with('}'));
        let looked = reader.looked;
        assert!(looked <= 2 * body.len(), "{looked} of {}", body.len());
    }
    for answer in [
        many("[[\"a\\\"\"],{\"b\":[]}]"),
        many("NaN"),
        many("\"abc\""),
    ] {
        let rows = answer.len()
            / answer
                .find(",[[\"")
                .or(answer.find(",N"))
                .or(answer.find(",\""))
                .unwrap();
        let mut scan = Scan {
            text: answer.as_bytes(),
            at: 0,
            looked: 0,
        };
        assert!(scan.shares(&vec![1; rows]).is_some());
        assert!(scan.looked <= answer.len());
    }
}

#[test]
fn whoever_keeps_a_share_keeps_nothing_of_the_others() {
    let answer = Bytes::from_static(b"{\"predictions\": [[1, 2], [3, 4], [5, 6]]}");
    let shares = split(&answer, &[1, 2]).unwrap();
    assert_eq!(shares[0], "{\"predictions\": [[1, 2]]}");
    assert!(shares.iter().all(Bytes::is_unique));
}

#[test]
fn rows_that_have_nothing_in_common_are_still_rows_one_by_one() {
    let body = "{\"dataframe_split\": {\"columns\": [\"a\"], \"index\": [0, 1, 2, 3], \
                \"data\": [[1], [null], [\"x\"], [01/02]]}}";
    assert!(read(body).is_none());
    let body = body.replace("[01/02]", "[\"01/02/2024\"]");
    assert!(read(&body).is_none());
    let request = request(Dialect::V2, JSON, &body);
    let rows = Mergeable::one_by_one(Dialect::V2, &request, 9);
    // The last one has to go alone.
    let data: Vec<String> = rows
        .iter()
        .map(|row| text(&join(std::slice::from_ref(row)).unwrap()))
        .collect();
    let expected = ["1", "null", "\"x\""].map(|cell| {
        format!("{{\"dataframe_split\": {{\"columns\": [\"a\"], \"index\": [0], \"data\": [[{cell}]]}}}}")
    });
    assert_eq!(data, expected);
    assert_eq!(Mergeable::one_by_one(Dialect::V2, &request, 2).len(), 2);
}
