//! Each format that clients send, made what each generation of workers expects; and the answers on their way back.

use std::fmt::Write;
use std::hint::black_box;

use bytes::Bytes;
use gateway::protocol::{AnswerShape, Dialect, MediaType, Segments, rewrite_whole, translate};

use super::Operation;

const COLUMNS: [&str; 4] = ["sepal_length", "sepal_width", "petal_length", "petal_width"];
const ROW: &str = "[5.1, 3.5, 1.4, 0.2]";

pub(super) fn operations() -> Vec<Operation> {
    let mut all = Vec::new();
    for header in [
        "application/json",
        "application/json; charset=utf-8",
        "application/json; format=pandas-split",
    ] {
        all.push(Operation::new("content type", header, move || {
            MediaType::parse(Some(black_box(header.as_bytes())))
        }));
    }
    for rows in [1, 256] {
        for (form, media_type, body) in requests(rows) {
            for (worker, dialect) in [("2 and 3", Dialect::V2), ("1", Dialect::V1)] {
                if dialect == Dialect::V1 && media_type == MediaType::Parquet {
                    continue;
                }
                let name = format!("{form}, {}, for MLflow {worker}", counted(rows));
                let body = Segments::from(Bytes::from(body.clone()));
                all.push(Operation::new("request", name, move || {
                    translate(media_type, dialect, black_box(&body).clone())
                }));
            }
        }
        for (form, shape, body) in answers(rows) {
            let name = format!("{form}, {}", counted(rows));
            let body = Bytes::from(body);
            all.push(Operation::new("answer", name, move || {
                rewrite_whole(shape, black_box(&body).clone())
            }));
        }
    }
    all
}

pub(super) fn counted(rows: usize) -> String {
    match rows {
        1 => "1 row".to_owned(),
        _ => format!("{rows} rows"),
    }
}

/// `{"columns": …, "data": …}`.
pub(super) fn split(rows: usize) -> String {
    let data = vec![ROW; rows].join(", ");
    format!("{{\"columns\": {COLUMNS:?}, \"data\": [{data}]}}")
}

/// `[{"sepal_length": 5.1, …}, …]`.
pub(super) fn records(rows: usize) -> String {
    let mut record = String::new();
    for (column, value) in COLUMNS.iter().zip([5.1, 3.5, 1.4, 0.2]) {
        // Writing into a string cannot fail.
        let _ = write!(record, ", \"{column}\": {value}");
    }
    let record = format!("{{{}}}", &record[2..]);
    format!("[{}]", vec![record; rows].join(", "))
}

fn requests(rows: usize) -> Vec<(&'static str, MediaType, String)> {
    let data = vec![ROW; rows].join(", ");
    let header = COLUMNS.join(",");
    vec![
        (
            "`dataframe_records`",
            MediaType::Json,
            format!("{{\"dataframe_records\": {}}}", records(rows)),
        ),
        (
            "`dataframe_split`",
            MediaType::Json,
            format!("{{\"dataframe_split\": {}}}", split(rows)),
        ),
        (
            "`instances`",
            MediaType::Json,
            format!("{{\"instances\": [{data}]}}"),
        ),
        (
            "`inputs`",
            MediaType::Json,
            format!("{{\"inputs\": [{data}]}}"),
        ),
        ("bare records", MediaType::Json, records(rows)),
        ("bare split", MediaType::Json, split(rows)),
        ("no type, bare records", MediaType::Missing, records(rows)),
        ("`pandas-records`", MediaType::JsonRecords, records(rows)),
        ("`pandas-split`", MediaType::JsonSplit, split(rows)),
        ("`json-numpy-split`", MediaType::NumpySplit, split(rows)),
        (
            "CSV",
            MediaType::Csv,
            format!("{header}\n{}", "5.1,3.5,1.4,0.2\n".repeat(rows)),
        ),
        ("parquet", MediaType::Parquet, "PAR1".repeat(512 + 8 * rows)),
    ]
}

fn answers(rows: usize) -> Vec<(&'static str, AnswerShape, String)> {
    let predictions = vec!["0"; rows].join(", ");
    let (bare, wrapped) = (
        format!("[{predictions}]"),
        format!("{{\"predictions\": [{predictions}]}}"),
    );
    vec![
        ("as it is", AnswerShape::AsItIs, wrapped.clone()),
        ("unwrapped", AnswerShape::Bare, wrapped),
        ("wrapped", AnswerShape::Wrapped, bare),
    ]
}
