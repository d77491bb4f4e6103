//! What micro-batching does with rows: reading a request's, joining those of 64 callers, cutting their answers.

use std::hint::black_box;

use bytes::Bytes;
use gateway::protocol::merge::{Mergeable, join, split};
use gateway::protocol::{Dialect, MediaType, translate};

use super::Operation;
use super::formats::{self, counted};

/// Callers whose rows go together.
const CALLERS: usize = 64;

pub(super) fn operations() -> Vec<Operation> {
    let mut all = Vec::new();
    for rows in [1, 256] {
        for (form, body) in forms(rows) {
            let translation = translated(body);
            let name = format!("{form}, {}", counted(rows));
            all.push(Operation::new("read rows", name, move || {
                Mergeable::read(Dialect::V2, black_box(&translation))
            }));
        }
    }
    for (form, body) in forms(1) {
        let requests: Vec<Mergeable> = (0..CALLERS).map(|_| mergeable(body.clone())).collect();
        let name = format!("{form}, {CALLERS} callers");
        all.push(Operation::new("join", name, move || {
            join(black_box(&requests))
        }));
    }
    for (form, item) in [
        ("numbers", "1"),
        ("probabilities", "[0.97, 0.02, 0.01]"),
        ("objects", "{\"label\": \"setosa\", \"score\": 0.97}"),
    ] {
        let items = [item; CALLERS].join(", ");
        let answer = Bytes::from(format!("{{\"predictions\": [{items}]}}"));
        let name = format!("{form}, {CALLERS} callers");
        all.push(Operation::new("cut", name, move || {
            split(black_box(&answer), &[1; CALLERS])
        }));
    }
    all
}

fn forms(rows: usize) -> [(&'static str, String); 2] {
    let records = formats::records(rows);
    let split = formats::split(rows);
    [
        (
            "`dataframe_records`",
            format!("{{\"dataframe_records\": {records}}}"),
        ),
        (
            "`dataframe_split`",
            format!("{{\"dataframe_split\": {split}}}"),
        ),
    ]
}

fn translated(body: String) -> gateway::protocol::Translation {
    match translate(MediaType::Json, Dialect::V2, Bytes::from(body).into()) {
        Ok(translation) => translation,
        Err(rejection) => panic!("{rejection}"),
    }
}

fn mergeable(body: String) -> Mergeable {
    match Mergeable::read(Dialect::V2, &translated(body)) {
        Some(mergeable) => mergeable,
        None => panic!("this goes alone"),
    }
}
