//! Joining and cutting against a reference that parses, and the requests that have to go alone.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

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

/// The type of a column or of a part of a tensor.
#[derive(Clone, Debug)]
enum Kind {
    Integer,
    Fraction,
    Text,
    Boolean,
    Null,
    Array(Box<Kind>, usize),
    Object(Vec<(String, Kind)>),
}

fn kind() -> impl Strategy<Value = Kind> {
    let leaf = prop_oneof![
        Just(Kind::Integer),
        Just(Kind::Fraction),
        Just(Kind::Text),
        Just(Kind::Boolean),
        Just(Kind::Null),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            (inner.clone(), 0..4_usize)
                .prop_map(|(kind, length)| Kind::Array(Box::new(kind), length)),
            prop::collection::btree_map("[a-z\"\\\\é]{1,3}", inner, 0..3)
                .prop_map(|fields| Kind::Object(fields.into_iter().collect())),
        ]
    })
}

fn value_of(kind: &Kind) -> BoxedStrategy<Value> {
    match kind {
        Kind::Integer => any::<i64>().prop_map(|number| json!(number)).boxed(),
        Kind::Fraction => any::<f64>()
            .prop_filter("finite and printed with a fraction", |number| {
                number.is_finite()
            })
            .prop_map(|number| json!(number))
            .boxed(),
        Kind::Text => "[a-zé\\[\\]{},:\"\\\\\n\u{1f600}]{0,12}"
            .prop_map(|text| json!(text))
            .boxed(),
        Kind::Boolean => any::<bool>().prop_map(|it| json!(it)).boxed(),
        Kind::Null => Just(Value::Null).boxed(),
        Kind::Array(kind, length) => prop::collection::vec(value_of(kind), *length)
            .prop_map(Value::Array)
            .boxed(),
        Kind::Object(fields) => {
            let names: Vec<String> = fields.iter().map(|(name, _)| name.clone()).collect();
            let values: Vec<_> = fields.iter().map(|(_, kind)| value_of(kind)).collect();
            values
                .prop_map(move |values| Value::Object(names.iter().cloned().zip(values).collect()))
                .boxed()
        }
    }
}

/// Columns, and the rows of several requests, each of at least one.
fn requests() -> impl Strategy<Value = (Vec<String>, Vec<Vec<Vec<Value>>>)> {
    prop::collection::btree_map("[a-z é\"\\\\]{1,5}", kind(), 1..4).prop_flat_map(|columns| {
        let names: Vec<String> = columns.keys().cloned().collect();
        let row: Vec<_> = columns.values().map(value_of).collect();
        let requests = prop::collection::vec(prop::collection::vec(row, 1..4), 1..5);
        (Just(names), requests)
    })
}

/// Prints with or without whitespace.
fn print(value: &Value, pretty: bool) -> String {
    if pretty {
        serde_json::to_string_pretty(value).unwrap()
    } else {
        value.to_string()
    }
}

fn records(names: &[String], rows: &[Vec<Value>]) -> Vec<Value> {
    let record =
        |row: &Vec<Value>| Value::Object(names.iter().cloned().zip(row.iter().cloned()).collect());
    rows.iter().map(record).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_joined_is_the_concatenation(
        (names, requests) in requests(),
        pretty in any::<bool>(),
        index in any::<bool>(),
    ) {
        let all: Vec<Vec<Value>> = requests.concat();
        let split = |rows: &[Vec<Value>]| {
            let mut split = json!({"columns": names, "data": rows});
            if index {
                split["index"] = (0..rows.len()).collect();
            }
            split
        };
        let params = json!({"temperature": 0.5});
        for (dialect, wrap) in [
            (Dialect::V2, "dataframe_records"),
            (Dialect::V2, "dataframe_split"),
            (Dialect::V1, "records"),
            (Dialect::V1, "split"),
        ] {
            let whole = |rows: &[Vec<Value>]| match wrap {
                "dataframe_records" => json!({wrap: records(&names, rows), "params": params}),
                "dataframe_split" => json!({"params": params, wrap: split(rows)}),
                "records" => json!(records(&names, rows)),
                _ => split(rows),
            };
            let bodies: Vec<String> = requests.iter().map(|rows| print(&whole(rows), pretty)).collect();
            let read: Vec<Mergeable> = bodies
                .iter()
                .map(|body| read_as(dialect, JSON, body).ok_or_else(|| TestCaseError::fail(body.clone())))
                .collect::<Result<_, _>>()?;
            let counts: Vec<usize> = read.iter().map(Mergeable::rows).collect();
            prop_assert_eq!(&counts, &requests.iter().map(Vec::len).collect::<Vec<_>>());
            let joined = text(&join(&read).unwrap());
            let parsed: Value = serde_json::from_str(&joined).unwrap();
            // Through text, for serde's own numbers are not exact.
            let expected: Value = serde_json::from_str(&whole(&all).to_string()).unwrap();
            prop_assert_eq!(parsed, expected);
            // What was joined can be joined again.
            let again = read_as(dialect, JSON, &joined).unwrap();
            prop_assert_eq!(again.rows(), all.len());
            prop_assert_eq!(again.key(), read[0].key());
        }
    }

    #[test]
    fn what_is_cut_is_what_the_worker_would_have_printed(
        shares in prop::collection::vec(prop::collection::vec(kind().prop_flat_map(|kind| value_of(&kind)), 0..4), 1..6),
        wrapped in any::<bool>(),
    ) {
        // As Python prints it.
        let print = |items: &[Value]| {
            let items: Vec<String> = items.iter().map(|item| match item {
                Value::Null => "NaN".to_owned(),
                Value::Bool(true) => "-Infinity".to_owned(),
                item => item.to_string(),
            }).collect();
            let list = items.join(", ");
            if wrapped { format!("{{\"predictions\": [{list}]}}") } else { format!("[{list}]") }
        };
        let rows: Vec<usize> = shares.iter().map(Vec::len).collect();
        let alone: Vec<String> = shares.iter().map(|items| print(items)).collect();
        let all = shares.concat();
        prop_assert_eq!(cut(&print(&all), &rows), Some(alone));
        prop_assert_eq!(cut(&print(&all), &[all.len() + 1]), None);
        if let Some(fewer) = all.len().checked_sub(1) {
            prop_assert_eq!(cut(&print(&all), &[fewer]), None);
        }
    }

    #[test]
    fn equal_keys_mean_equal_types(
        (names, one) in requests(),
        (_, other) in requests(),
    ) {
        let body = |rows: &[Vec<Value>]| json!({"dataframe_split": {"data": rows}}).to_string();
        for other in one.iter().chain(&other) {
            let (Some(first), Some(second)) = (read(&body(&one[0])), read(&body(other))) else { continue };
            let same = types(&one[0]) == types(other);
            prop_assert_eq!(first.key() == second.key(), same, "{:?} {:?} {:?}", names, one[0], other);
        }
    }

    #[test]
    fn any_text_is_refused_or_is_json(
        text in "[\\[\\]{}\":,\\\\ a1.e-]{0,30}|\\{\"(inputs|dataframe_split|dataframe_records)\": ?[\\[\\]{}\":,\\\\ a1e.\"]{0,24}\\}|\\PC{0,20}",
        bytes in prop::collection::vec(any::<u8>(), 0..60),
        rows in prop::collection::vec(0..3_usize, 0..3),
    ) {
        for body in [Bytes::from(text.clone()), Bytes::from(bytes)] {
            for dialect in [Dialect::V1, Dialect::V2] {
                for content_type in [JSON, RECORDS, SPLIT, NUMPY, "text/csv"] {
                    let media_type = MediaType::parse(Some(content_type.as_bytes())).unwrap();
                    let Ok(request) = translate(media_type, dialect, body.clone().into()) else { continue };
                    if let Some(read) = Mergeable::read(dialect, &request) {
                        let parsed: Result<Value, _> = serde_json::from_slice(&body);
                        prop_assert!(parsed.is_ok(), "{:?}", body);
                        prop_assert!(join(&[read.clone(), read]).is_some());
                    }
                }
            }
            if let Some(bodies) = split(&body, &rows) {
                prop_assert_eq!(bodies.len(), rows.len());
            }
        }
    }
}

/// The types of the columns of `rows`, by parsing: the reference for keys.
fn types(rows: &[Vec<Value>]) -> Option<Vec<Value>> {
    let row = |row: &Vec<Value>| row.iter().map(type_of).collect::<Option<Vec<Value>>>();
    let (first, others) = rows.split_first()?;
    others.iter().try_fold(row(first)?, |common, next| {
        common
            .iter()
            .zip(row(next)?)
            .map(|(one, other)| common_type(one, &other))
            .collect()
    })
}

fn type_of(value: &Value) -> Option<Value> {
    Some(match value {
        Value::Null => json!("null"),
        Value::Bool(_) => json!("boolean"),
        Value::Number(number) if number.is_f64() => json!("fraction"),
        Value::Number(_) => json!("integer"),
        Value::String(_) => json!("text"),
        Value::Array(items) => {
            let types: Option<Vec<Value>> = items.iter().map(type_of).collect();
            let mut types = types?.into_iter();
            let common = types
                .next()
                .map(|first| types.try_fold(first, |one, other| common_type(&one, &other)));
            match common {
                None => json!([0]),
                Some(common) => json!([items.len(), common?]),
            }
        }
        Value::Object(fields) => {
            let fields: Option<Vec<Value>> = fields
                .iter()
                .map(|(name, value)| Some(json!({name: type_of(value)?})))
                .collect();
            json!({"fields": fields?})
        }
    })
}

fn common_type(one: &Value, other: &Value) -> Option<Value> {
    match (one, other) {
        (Value::Array(ones), Value::Array(others)) if ones.len() == others.len() => ones
            .iter()
            .zip(others)
            .map(|(one, other)| common_type(one, other))
            .collect(),
        (Value::Object(ones), Value::Object(others)) if ones.keys().eq(others.keys()) => ones
            .iter()
            .zip(others.values())
            .map(|((name, one), other)| Some((name.clone(), common_type(one, other)?)))
            .collect::<Option<serde_json::Map<_, _>>>()
            .map(Value::Object),
        (Value::String(one), Value::String(other)) if one != other => {
            let number = |it: &str| matches!(it, "integer" | "fraction");
            (number(one) && number(other)).then(|| json!("fraction"))
        }
        _ => (one == other).then(|| one.clone()),
    }
}
