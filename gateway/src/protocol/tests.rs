//! The format table in both dialects with exact bytes, and properties of cutting and joining.

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

/// Splits `text` into pieces whose lengths follow `cuts`, around and around.
fn segments(text: &[u8], cuts: &[usize]) -> Segments {
    let mut rest = Bytes::copy_from_slice(text);
    let mut cuts = cuts.iter().cycle();
    let mut pieces = Segments::default();
    while !rest.is_empty() {
        let length = cuts.next().copied().unwrap_or(1).clamp(1, rest.len());
        pieces.push(rest.split_to(length));
    }
    pieces
}

fn translated(
    content_type: Option<&str>,
    dialect: Dialect,
    body: &str,
) -> Result<(&'static str, String, AnswerShape), Rejection> {
    let media_type = MediaType::parse(content_type.map(str::as_bytes))?;
    let whole = translate(
        media_type,
        dialect,
        segments(body.as_bytes(), &[body.len()]),
    )?;
    let text = String::from_utf8(whole.body.to_vec()).unwrap();
    for cuts in [[1, 1], [3, 7]] {
        let again = translate(media_type, dialect, segments(body.as_bytes(), &cuts))?;
        assert_eq!(again.body.to_vec(), text.as_bytes());
        assert_eq!(again.answer, whole.answer);
        assert_eq!(again.content_type, whole.content_type);
    }
    Ok((whole.content_type, text, whole.answer))
}

const JSON: &str = "application/json";
const RECORDS: &str = "application/json; format=pandas-records";
const SPLIT: &str = "application/json; format=pandas-split";
const NUMPY: &str = "application/json-numpy-split";

#[test]
fn every_row_of_the_table_holds_for_workers_since_2_0() {
    use AnswerShape::{AsItIs, Bare};
    let list = "[{\"a\": 1.10, \"b\":\"\\u00e9\"}]";
    let split = " {\"columns\":[\"a\"],\"index\":[0],\"data\":[[1e400],[NaN]]}\n";
    for (content_type, body, expected, answer) in [
        (
            Some(RECORDS),
            list,
            format!("{{\"dataframe_records\": {list}}}"),
            Bare,
        ),
        (
            Some(JSON),
            list,
            format!("{{\"dataframe_records\": {list}}}"),
            Bare,
        ),
        (
            None,
            list,
            format!("{{\"dataframe_records\": {list}}}"),
            Bare,
        ),
        (
            Some(SPLIT),
            split,
            format!("{{\"dataframe_split\": {split}}}"),
            Bare,
        ),
        (
            Some(JSON),
            split,
            format!("{{\"dataframe_split\": {split}}}"),
            Bare,
        ),
        (
            Some("APPLICATION/JSON"),
            split,
            format!("{{\"dataframe_split\": {split}}}"),
            Bare,
        ),
        (
            Some(NUMPY),
            split,
            format!("{{\"dataframe_split\": {split}}}"),
            Bare,
        ),
    ] {
        assert_eq!(
            translated(content_type, Dialect::V2, body),
            Ok((JSON, expected, answer)),
            "{content_type:?} {body}"
        );
    }
    for body in [
        "{\"dataframe_records\": [{\"a\": 1}], \"params\": {\"t\": 0.50}}",
        "{\"dataframe_split\": {\"columns\": [\"a\"], \"data\": [[1]]}}",
        "{\"instances\": [[1, 2]], \"params\": null}",
        "{\"params\": {}, \"inputs\": {\"a\": [1]}}",
        "{\"messages\": [{\"role\": \"user\", \"content\": \"hi\"}], \"stream\": true}",
        "{\"prompt\": \"columns\"}",
        "{\"input\": [\"data\"]}",
        // Not only columns and data: none of ours to wrap.
        "{\"columns\": [\"a\"], \"data\": [[1]], \"messages\": []}",
        "{\"index\": [1]}",
        "{}",
        "12",
        "\"text\"",
        "{\"columns\": [1",
        "",
    ] {
        assert_eq!(
            translated(Some(JSON), Dialect::V2, body),
            Ok((JSON, body.to_owned(), AsItIs)),
            "{body}"
        );
    }
    let csv = "a,b\n1,2\n";
    assert_eq!(
        translated(Some("text/csv; charset=utf-8"), Dialect::V2, csv),
        Ok(("text/csv", csv.to_owned(), AsItIs))
    );
}

#[test]
fn every_row_of_the_table_holds_for_workers_of_1_x() {
    use AnswerShape::{AsItIs, Wrapped};
    let list = "[{\"a\": 1.10}]";
    let split = "{\"columns\":[\"a\"],\"data\":[[1]]}";
    for (content_type, body) in [
        (RECORDS, list),
        (JSON, list),
        (SPLIT, split),
        (JSON, split),
        (NUMPY, split),
        (JSON, "{\"instances\": [[1, 2]], \"params\": {\"a\": 1}}"),
        (JSON, "{\"params\": {}, \"inputs\": {\"a\": [1]}}"),
        (JSON, "{\"messages\": []}"),
        (JSON, "{\"dataframe_records\": [1"),
        ("text/csv", "a\n1\n"),
    ] {
        assert_eq!(
            translated(Some(content_type), Dialect::V1, body),
            Ok((content_type, body.to_owned(), AsItIs)),
            "{content_type} {body}"
        );
    }
    for (body, content_type, expected) in [
        (
            "{\"dataframe_records\": [ {\"a\": 1.10} ] }",
            RECORDS,
            "[ {\"a\": 1.10} ]",
        ),
        (
            "{\"params\": null , \"dataframe_records\":[1]}",
            RECORDS,
            "[1]",
        ),
        (
            "{\"x\":\"}\\\"\",\"dataframe_split\" : {\"data\": [[\"]\\\\\"]]}}\n",
            SPLIT,
            "{\"data\": [[\"]\\\\\"]]}",
        ),
        (
            "{\"dataframe_records\": 1, \"dataframe_records\":[2]}",
            RECORDS,
            "[2]",
        ),
        ("{\"dataframe\\u005frecords\": [1]}", RECORDS, "[1]"),
    ] {
        assert_eq!(
            translated(Some(JSON), Dialect::V1, body),
            Ok((content_type, expected.to_owned(), Wrapped)),
            "{body}"
        );
    }
}

#[test]
fn what_an_old_worker_cannot_do_is_refused_clearly() {
    for (body, rejection) in [
        (
            "{\"dataframe_records\": [1], \"params\": {}}",
            Rejection::ParamsForV1,
        ),
        (
            "{\"params\": 1, \"dataframe_split\": {}}",
            Rejection::ParamsForV1,
        ),
        (
            "{\"dataframe_records\": [1], \"dataframe_split\": {}}",
            Rejection::SeveralInputs,
        ),
        (
            "{\"dataframe_records\": [1], \"inputs\": []}",
            Rejection::SeveralInputs,
        ),
    ] {
        assert_eq!(
            translated(Some(JSON), Dialect::V1, body),
            Err(rejection),
            "{body}"
        );
    }
    let parquet = Some("application/vnd.apache.parquet");
    assert_eq!(
        translated(parquet, Dialect::V1, "PAR1"),
        Err(Rejection::ParquetForV1)
    );
    assert!(translated(parquet, Dialect::V2, "PAR1").is_ok());
}

#[test]
fn without_a_content_type_only_json_is_understood() {
    for body in ["a,b\n1,2\n", "", "  ", "7"] {
        assert_eq!(
            translated(None, Dialect::V2, body),
            Err(UnsupportedMediaType::Missing.into())
        );
    }
}

#[test]
fn what_goes_as_it_is_is_mostly_told_by_its_beginning() {
    use Dialect::{V1, V2};
    let told = |content_type: &str, dialect, beginning: &str| {
        let media_type = MediaType::parse(Some(content_type.as_bytes())).unwrap();
        passes_as_it_is(media_type, dialect, &segments(beginning.as_bytes(), &[3]))
    };
    for (dialect, beginning, expected) in [
        (V2, "{\"inputs\": [[1", Some(JSON)),
        (V2, " {\"dataframe_split\": {\"columns\": [", Some(JSON)),
        (V2, "{\"columns\": [\"a\"], \"data\": [", None),
        (V2, "{\"index\": [0], \"inputs\": [", None),
        (V2, "{}", None),
        (V2, "{\"inp", None),
        (V2, "[{\"a\": 1", None),
        (V2, "  ", None),
        (V1, "[{\"a\": 1", Some(JSON)),
        (V1, "{\"inputs\": [[1", Some(JSON)),
        (V1, "{\"columns\": [", Some(JSON)),
        (V1, "{\"dataframe_split\": {\"columns\": [", None),
    ] {
        assert_eq!(
            told(JSON, dialect, beginning),
            expected,
            "{dialect:?} {beginning}"
        );
    }
    assert_eq!(told("text/csv", V1, ""), Some("text/csv"));
    assert!(told(RECORDS, V1, "").is_some());
    assert_eq!(told(RECORDS, V2, "[1, 2"), None);
    assert_eq!(told(SPLIT, V2, "{"), None);
    assert_eq!(told("application/vnd.apache.parquet", V1, "PAR1"), None);
}

fn whole(shape: AnswerShape, answer: &str) -> String {
    let rewritten = rewrite_whole(shape, Bytes::copy_from_slice(answer.as_bytes()));
    String::from_utf8(rewritten.to_vec()).unwrap()
}

#[test]
fn predictions_are_taken_out_and_other_shapes_pass() {
    for (answer, expected) in [
        ("{\"predictions\": [0, 2]}", "[0, 2]"),
        (
            "{\"predictions\": [NaN, Infinity, 1.0]}",
            "[NaN, Infinity, 1.0]",
        ),
        (
            " {\n\"predictions\" :\t[{\"0\": 1.5}] }\r\n",
            "[{\"0\": 1.5}]",
        ),
        ("{\"predictions\": \"YWJj\\n\"}", "\"YWJj\\n\""),
        ("{\"predictions\": null}", "null"),
        ("{\"predictions\":5 }", "5"),
        ("[0, 2]", "[0, 2]"),
        ("{\"choices\": []}", "{\"choices\": []}"),
        (
            "{\"predictions\": [1], \"extra\": 2}",
            "{\"predictions\": [1], \"extra\": 2}",
        ),
        ("{\"predictions\": [1]} x", "{\"predictions\": [1]} x"),
        ("{\"predictions\": [1]", "{\"predictions\": [1]"),
        ("{\"predictions\": }", "{\"predictions\": }"),
        ("{}", "{}"),
        ("", ""),
    ] {
        assert_eq!(whole(AnswerShape::Bare, answer), expected, "{answer}");
    }
    assert_eq!(
        whole(AnswerShape::Wrapped, "[0, NaN]"),
        "{\"predictions\": [0, NaN]}"
    );
    assert_eq!(whole(AnswerShape::Wrapped, ""), "{\"predictions\": }");
    assert_eq!(
        whole(AnswerShape::AsItIs, "{\"predictions\": 1}"),
        "{\"predictions\": 1}"
    );
}

#[test]
fn a_long_head_without_predictions_passes() {
    let answer = format!("{}{{\"predictions\": 1}}", " ".repeat(3000));
    let mut rewrite = Rewrite::new(AnswerShape::Bare);
    let mut out = Segments::default();
    for part in segments(answer.as_bytes(), &[500]).into_parts() {
        out.extend(rewrite.push(part).unwrap().into_parts());
    }
    out.extend(rewrite.finish().unwrap().into_parts());
    assert_eq!(out.to_vec(), answer.as_bytes());
}

/// JSON as Python prints it, `NaN` included, with no whitespace around it.
fn json_value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("NaN".to_owned()),
        Just("-Infinity".to_owned()),
        Just("null".to_owned()),
        Just("1e-400".to_owned()),
        any::<f64>().prop_map(|number| number.to_string()),
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
        "[a-z{}\\[\\]:,\"\\\\]{0,6}".prop_map(|text| serde_json::to_string(&text).unwrap()),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            (prop::collection::vec(inner.clone(), 0..6), "[ \n]{0,2}")
                .prop_map(|(items, space)| format!("[{}]", items.join(&format!(",{space}")))),
            prop::collection::vec((any::<String>(), inner), 0..6).prop_map(|fields| {
                let fields: Vec<String> = fields
                    .into_iter()
                    .map(|(key, value)| {
                        format!("{}: {value}", serde_json::to_string(&key).unwrap())
                    })
                    .collect();
                format!("{{{}}}", fields.join(", "))
            }),
        ]
    })
}

fn stream(shape: AnswerShape, answer: &[u8], cuts: &[usize]) -> Result<Vec<u8>, UnexpectedAnswer> {
    let mut rewrite = Rewrite::new(shape);
    let mut out = Segments::default();
    for part in segments(answer, cuts).into_parts() {
        out.extend(rewrite.push(part)?.into_parts());
    }
    out.extend(rewrite.finish()?.into_parts());
    Ok(out.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn taking_off_what_was_put_on_gives_the_same_bytes(
        value in json_value(),
        first in prop::collection::vec(1_usize..20, 1..5),
        second in prop::collection::vec(1_usize..20, 1..5),
    ) {
        let wrapped = stream(AnswerShape::Wrapped, value.as_bytes(), &first).unwrap();
        prop_assert_eq!(
            String::from_utf8_lossy(&wrapped),
            format!("{{\"predictions\": {value}}}")
        );
        let bare = stream(AnswerShape::Bare, &wrapped, &second).unwrap();
        prop_assert_eq!(String::from_utf8_lossy(&bare), value);
    }

    #[test]
    fn an_old_worker_gets_exactly_the_value_that_was_sent(
        value in json_value(),
        before in json_value(),
        after in json_value(),
        cuts in prop::collection::vec(1_usize..20, 1..5),
    ) {
        let body = format!(
            "{{\"before\": {before}, \"dataframe_records\" :\n{value} , \"after\":{after}}}"
        );
        let pieces = segments(body.as_bytes(), &cuts);
        let translation = translate(MediaType::Json, Dialect::V1, pieces).unwrap();
        prop_assert_eq!(translation.body.to_vec(), value.as_bytes());
        prop_assert_eq!(translation.answer, AnswerShape::Wrapped);
    }

    #[test]
    fn slices_of_segments_are_slices_of_the_text(
        text in prop::collection::vec(any::<u8>(), 0..200),
        cuts in prop::collection::vec(1_usize..20, 1..5),
        range in (0_usize..200, 0_usize..200),
    ) {
        let from = range.0.min(range.1).min(text.len());
        let to = range.0.max(range.1).min(text.len());
        let pieces = segments(&text, &cuts);
        prop_assert_eq!(pieces.len(), text.len());
        prop_assert_eq!(pieces.slice(from..to).to_vec(), &text[from..to]);
    }

    #[test]
    fn what_passes_by_its_beginning_passes_whole(
        text in "[\\[\\]{}\":,\\\\ a1]{0,40}|[ \n]{0,2}\\{\"(columns|index|data|dataframe_split|inputs|instances|prompt)\": ?[\\[\\]{}\",\\\\ a1]{0,20}",
        begun in 0_usize..40,
        cuts in prop::collection::vec(1_usize..8, 1..5),
    ) {
        use MediaType::*;
        let begun = begun.min(text.len());
        let beginning = segments(&text.as_bytes()[..begun], &cuts);
        for dialect in [Dialect::V1, Dialect::V2] {
            for media_type in [Missing, Json, JsonRecords, JsonSplit, NumpySplit, Csv, Parquet] {
                let Some(content_type) = passes_as_it_is(media_type, dialect, &beginning) else {
                    continue;
                };
                let whole = Bytes::from(text.clone()).into();
                let translation = translate(media_type, dialect, whole).unwrap();
                prop_assert_eq!(translation.content_type, content_type);
                prop_assert_eq!(translation.body.to_vec(), text.as_bytes());
                prop_assert_eq!(translation.answer, AnswerShape::AsItIs);
            }
        }
    }

    #[test]
    fn any_text_in_any_pieces_is_treated_as_it_is_in_one(
        text in "[\\[\\]{}\":,\\\\ a1]{0,40}|\\{\"(columns|dataframe_split|predictions)\": ?[\\[\\]{}\",\\\\ a1]{0,20}",
        cuts in prop::collection::vec(1_usize..8, 1..5),
    ) {
        for dialect in [Dialect::V1, Dialect::V2] {
            let one = translate(MediaType::Json, dialect, Bytes::from(text.clone()).into());
            let many = translate(MediaType::Json, dialect, segments(text.as_bytes(), &cuts));
            prop_assert_eq!(
                one.map(|it| (it.content_type, it.body.to_vec(), it.answer)),
                many.map(|it| (it.content_type, it.body.to_vec(), it.answer))
            );
        }
        let whole = rewrite_whole(AnswerShape::Bare, Bytes::from(text.clone())).to_vec();
        if let Ok(streamed) = stream(AnswerShape::Bare, text.as_bytes(), &cuts) {
            prop_assert_eq!(streamed, whole);
        } else {
            // Too late to let it pass: an error then, never other bytes.
            prop_assert_eq!(whole, text.as_bytes());
        }
    }
}
