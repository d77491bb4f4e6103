//! Random rows against a reference that parses: `serde_json` for what is joined and for types, and Python's spacing for what
//! is cut.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

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
