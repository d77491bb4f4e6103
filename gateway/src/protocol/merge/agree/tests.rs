//! What is the same answer, what is another, and that any change of anything is noticed.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn bodies(texts: &[&str]) -> Vec<Bytes> {
    let copies = texts
        .iter()
        .map(|text| Bytes::copy_from_slice(text.as_bytes()));
    copies.collect()
}

fn verdict(alone: &str, together: &str) -> Result<(), Disagreement> {
    agree(&bodies(&[alone]), &bodies(&[together]))
}

#[test]
fn the_same_answer_agrees_however_it_is_spaced() {
    for (alone, together) in [
        ("{\"predictions\": [0]}", "{\"predictions\": [0]}"),
        ("{\"predictions\": [0]}", " {\"predictions\":\n[ 0 ]}\n"),
        (
            "[NaN, Infinity, -Infinity, null]",
            "[NaN,Infinity,-Infinity,null]",
        ),
        (
            "[{\"a\": \"x, y\", \"b\": [true]}]",
            "[{\"a\":\"x, y\",\"b\":[true]}]",
        ),
        ("[\"\\\"]\"]", "[ \"\\\"]\" ]"),
        ("", " "),
    ] {
        assert_eq!(verdict(alone, together), Ok(()), "{alone} {together}");
        assert_eq!(verdict(together, alone), Ok(()), "{together} {alone}");
    }
    assert_eq!(agree(&[], &[]), Ok(()));
}

#[test]
fn everything_but_fractions_is_exact() {
    for (alone, together, kind) in [
        ("[1]", "[2]", Difference::Value),
        ("[1]", "[1.0]", Difference::Value),
        ("[1]", "[true]", Difference::Value),
        ("[1]", "[\"1\"]", Difference::Value),
        ("[0]", "[-0]", Difference::Value),
        (
            "[9007199254740993]",
            "[9007199254740992]",
            Difference::Value,
        ),
        (
            "[123456789012345678901234567890]",
            "[123456789012345678901234567891]",
            Difference::Value,
        ),
        ("[null]", "[NaN]", Difference::Value),
        ("[NaN]", "[1.0]", Difference::Value),
        ("[Infinity]", "[-Infinity]", Difference::Value),
        ("[Infinity]", "[1e308]", Difference::Value),
        ("[\"a\"]", "[\"b\"]", Difference::Value),
        ("[\"1.0\"]", "[\"1.0000000000000002\"]", Difference::Value),
        ("[\"a b\"]", "[\"a  b\"]", Difference::Value),
        ("[1]", "[[1]]", Difference::Structure),
        ("[1]", "[1, 2]", Difference::Structure),
        ("[1, 2]", "[1]", Difference::Structure),
        ("[{\"a\": 1}]", "[{\"b\": 1}]", Difference::Structure),
        (
            "[{\"a\": 1, \"b\": 2}]",
            "[{\"b\": 2, \"a\": 1}]",
            Difference::Structure,
        ),
        (
            "[{\"a\": 1}]",
            "[{\"a\": 1, \"b\": 2}]",
            Difference::Structure,
        ),
        ("[{}]", "[[]]", Difference::Structure),
        ("[1]", "[1", Difference::Structure),
        ("[\"a\"]", "[\"a", Difference::Structure),
        ("[\"a\"]", "[\"a\\", Difference::Structure),
        ("[1]", "", Difference::Structure),
    ] {
        let kinds = (
            verdict(alone, together).unwrap_err().kind,
            verdict(together, alone).unwrap_err().kind,
        );
        assert_eq!(kinds, (kind, kind), "{alone} {together}");
    }
}

#[test]
fn fractions_agree_as_closely_as_their_precision_lets_them() {
    for (alone, together, expected) in [
        // Double precision.
        ("0.1", "0.1", true),
        ("0.30000000000000004", "0.3", true),
        ("1e2", "100.0", true),
        ("1e-17", "0.0", true),
        ("0.1", "0.1000000001", true),
        ("0.1", "0.100000001", false),
        ("0.1", "0.10001", false),
        ("1e-11", "1e-5", false),
        ("1e-11", "3e-11", false),
        ("1e300", "1.0000000001e300", true),
        ("1e300", "1.00000001e300", false),
        ("-0.5", "0.5", false),
        ("1e999", "2e999", false),
        // Single precision, widened.
        ("0.20000000298023224", "0.20000001788139343", true),
        ("0.20000000298023224", "0.20002000033855438", false),
        ("1.0", "1.0000001192092896", true),
        ("9.313225746154785e-10", "0.0", true),
        ("-12.300000190734863", "-12.300009727478027", true),
        // One of them is double precision.
        ("0.20000000298023224", "0.2000001", false),
        // Labels and counts that are printed as fractions.
        ("1000000.0", "1000001.0", false),
        ("16777216.0", "16777218.0", false),
        ("1000000.5", "1000000.0", false),
    ] {
        assert_eq!(
            verdict(alone, together).is_ok(),
            expected,
            "{alone} {together}"
        );
        assert_eq!(
            verdict(together, alone).is_ok(),
            expected,
            "{together} {alone}"
        );
    }
    let kind = verdict("[0.1]", "[0.2]").unwrap_err().kind;
    assert_eq!(kind, Difference::Number);
}

#[test]
fn a_disagreement_says_where() {
    let answer = |score: &str| {
        format!("{{\"predictions\": [[1, {{\"a\": {{\"x\": []}}, \"score\": {score}}}]]}}")
    };
    let same = answer("0.25");
    let found = agree(
        &bodies(&[&same, &same, &same]),
        &bodies(&[&same, &same, &answer("0.5")]),
    );
    let found = found.unwrap_err();
    assert_eq!(
        found.to_string(),
        "row 2 at predictions[0][1].score: 0.25 alone, 0.5 together"
    );
    assert_eq!(found.without_values(), "row 2: another number in company");
    for (alone, together, expected) in [
        ("[1, 2]", "[1]", "row 0 at [0]: , 2] alone, ] together"),
        ("[1]", "", "row 0: [1] alone, the end together"),
        (
            "[{\"a\": 1}]",
            "[{\"b\": 1}]",
            "row 0 at [0]: \"a\" alone, \"b\" together",
        ),
        (
            "[{\"a\": 1, \"b\": 1}]",
            "[{\"a\": 1, \"c\": 1}]",
            "row 0 at [0]: \"b\" alone, \"c\" together",
        ),
        (
            "[[], [0]]",
            "[[], [1]]",
            "row 0 at [1][0]: 0 alone, 1 together",
        ),
    ] {
        assert_eq!(verdict(alone, together).unwrap_err().to_string(), expected);
    }
}

#[test]
fn another_number_of_answers_is_a_disagreement() {
    for (single, together, row) in [(1, 0, 0), (0, 1, 0), (2, 3, 2)] {
        let found = agree(
            &bodies(&vec!["[1]"; single]),
            &bodies(&vec!["[1]"; together]),
        );
        let found = found.unwrap_err();
        assert_eq!((found.row, found.kind), (row, Difference::Count));
    }
    let found = agree(&bodies(&["[1]"]), &[]).unwrap_err();
    assert_eq!(
        found.to_string(),
        "row 0: 1 answers alone, 0 answers together"
    );
}

#[test]
fn what_is_shown_is_short_and_text() {
    let key = "é".repeat(300);
    let long = |fill: &str| format!("{{\"{key}\": [\"{}\"]}}", fill.repeat(300));
    for (alone, together) in [
        (long("ü"), long("日")),
        (long("ü"), format!("{{\"{key}\": {}", "[".repeat(500))),
    ] {
        let text = verdict(&alone, &together).unwrap_err().to_string();
        assert!(text.len() <= 200, "{}: {text}", text.len());
        assert!(text.contains('…'));
    }
    let broken = [Bytes::from_static(
        b"[\"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\"]",
    )];
    let text = agree(&broken, &bodies(&["[\"a\"]"]))
        .unwrap_err()
        .to_string();
    assert!(text.len() <= 200, "{text}");
}

#[test]
fn deep_answers_are_compared_without_a_stack() {
    let deep = |value: u8| format!("{}{value}{}", "[".repeat(200_000), "]".repeat(200_000));
    assert_eq!(verdict(&deep(1), &format!(" {}", deep(1))), Ok(()));
    assert_eq!(
        verdict(&deep(1), &deep(2)).unwrap_err().kind,
        Difference::Value
    );
}

/// Any JSON without fractions.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-c\"\\\\,:\\[\\]{} é]{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-c\"]{0,2}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn answers_agree_exactly_if_they_are_the_same_values(left in value(), right in value()) {
        let compact = left.to_string();
        let spaced = serde_json::to_string_pretty(&left).unwrap();
        prop_assert_eq!(verdict(&compact, &spaced), Ok(()));
        let other = serde_json::to_string_pretty(&right).unwrap();
        prop_assert_eq!(verdict(&compact, &other).is_ok(), left == right);
    }

    #[test]
    fn a_double_agrees_with_its_neighbours_and_not_with_what_is_far(
        value in prop::num::f64::NORMAL.prop_filter("not at the ends", |value| (1e-8..1e300).contains(&value.abs())),
        ulps in 0_u64..64,
    ) {
        let text = |value: f64| json!([value]).to_string();
        let near = f64::from_bits(value.to_bits() + ulps);
        prop_assert_eq!(verdict(&text(value), &text(near)), Ok(()));
        prop_assert!(verdict(&text(value), &text(value * 1.001)).is_err());
    }

    #[test]
    fn a_single_agrees_with_its_neighbours_and_not_with_what_is_far(
        value in 0.01_f32..1000.0,
        ulps in 0_u32..16,
    ) {
        let text = |value: f32| json!([f64::from(value)]).to_string();
        let near = f32::from_bits(value.to_bits() + ulps);
        prop_assume!(text(value).len() > 14 || text(near).len() > 14);
        prop_assert_eq!(verdict(&text(value), &text(near)), Ok(()));
        prop_assert!(verdict(&text(value), &text(value * 1.01)).is_err());
    }

    #[test]
    fn no_bytes_make_it_fail(left in prop::collection::vec(any::<u8>(), 0..40), right in "[\\[\\]{}\":,\\\\ a1e.\\-]{0,24}") {
        let (left, right) = ([Bytes::from(left)], [Bytes::from(right)]);
        let forth = agree(&left, &right);
        prop_assert_eq!(forth.is_ok(), agree(&right, &left).is_ok());
        if let Err(found) = forth {
            prop_assert!(found.to_string().len() <= 200);
        }
    }
}
