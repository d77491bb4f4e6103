//! What a worker is sent for what a client sent: the contract's table of formats, left to right.

use std::ops::Range;

use super::answer::AnswerShape;
use super::dialect::Dialect;
use super::media_type::{MediaType, UnsupportedMediaType};
use super::scan::{Event, ObjectScanner};
use super::segments::Segments;

/// A request as the worker gets it, and what to do with its answer.
#[derive(Clone, Debug)]
pub struct Translation {
    /// In the spelling that workers know: they compare it with case.
    pub content_type: &'static str,
    /// The client's own bytes, with other brackets around them at most.
    pub body: Segments,
    /// How the client expects the answer.
    pub answer: AnswerShape,
}

/// Why a request cannot be put to this worker.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// Its type says nothing to us.
    #[error(transparent)]
    UnsupportedMediaType(#[from] UnsupportedMediaType),
    /// Workers of MLflow 1.x do not read parquet.
    #[error("this version's worker runs MLflow 1.x, which does not read parquet; send JSON or CSV")]
    ParquetForV1,
    /// Workers of MLflow 1.x know no inference parameters.
    #[error("this version's worker runs MLflow 1.x, which knows no \"params\"; leave them out")]
    ParamsForV1,
    /// More than one of the input fields.
    #[error(
        "the body must hold exactly one of \"dataframe_records\", \"dataframe_split\", \"instances\" and \"inputs\""
    )]
    SeveralInputs,
}

pub(super) const JSON: &str = "application/json";
pub(super) const JSON_RECORDS: &str = "application/json; format=pandas-records";
pub(super) const JSON_SPLIT: &str = "application/json; format=pandas-split";
pub(super) const NUMPY_SPLIT: &str = "application/json-numpy-split";
const CSV: &str = "text/csv";
const PARQUET: &str = "application/vnd.apache.parquet";

/// How the rows of a data frame are laid out in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    Records,
    Split,
}

/// Decides from the type, the dialect and as little of the body as will do. A body that is no JSON, or none that can be
/// cut, goes to the worker as it is: it says best what is wrong.
pub fn translate(
    media_type: MediaType,
    dialect: Dialect,
    body: Segments,
) -> Result<Translation, Rejection> {
    use Dialect::{V1, V2};
    match (media_type, dialect) {
        (MediaType::JsonRecords, V1) => Ok(as_it_is(JSON_RECORDS, body)),
        (MediaType::JsonSplit, V1) => Ok(as_it_is(JSON_SPLIT, body)),
        (MediaType::NumpySplit, V1) => Ok(as_it_is(NUMPY_SPLIT, body)),
        (MediaType::JsonRecords, V2) => Ok(wrapped(Layout::Records, body)),
        (MediaType::JsonSplit | MediaType::NumpySplit, V2) => Ok(wrapped(Layout::Split, body)),
        (MediaType::Csv, _) => Ok(as_it_is(CSV, body)),
        (MediaType::Parquet, V2) => Ok(as_it_is(PARQUET, body)),
        (MediaType::Parquet, V1) => Err(Rejection::ParquetForV1),
        (MediaType::Json, _) => json(dialect, body),
        (MediaType::Missing, _) => match body.first_significant() {
            Some(b'{' | b'[') => json(dialect, body),
            _ => Err(UnsupportedMediaType::Missing.into()),
        },
    }
}

/// The type under which a body that begins with `beginning` goes to the worker as it is, whatever else is to come. `None`
/// if other brackets would be put around it, or more of it must be seen.
pub fn passes_as_it_is(
    media_type: MediaType,
    dialect: Dialect,
    beginning: &Segments,
) -> Option<&'static str> {
    use Dialect::{V1, V2};
    match (media_type, dialect) {
        (MediaType::JsonRecords, V1) => Some(JSON_RECORDS),
        (MediaType::JsonSplit, V1) => Some(JSON_SPLIT),
        (MediaType::NumpySplit, V1) => Some(NUMPY_SPLIT),
        (MediaType::Csv, _) => Some(CSV),
        (MediaType::Parquet, V2) => Some(PARQUET),
        (MediaType::Json | MediaType::Missing, _) => {
            let passes = match (dialect, beginning.first_significant()?) {
                (V1, b'{') => is_bare_field(&first_key(beginning)?),
                (V2, b'{') => !is_split_field(&first_key(beginning)?),
                (V1, b'[') => true,
                (V2, b'[') => false,
                _ => media_type == MediaType::Json,
            };
            passes.then_some(JSON)
        }
        (MediaType::JsonRecords | MediaType::JsonSplit | MediaType::NumpySplit, V2)
        | (MediaType::Parquet, V1) => None,
    }
}

/// Whether a worker of MLflow 1.x takes an object as it is whose first key this is.
fn is_bare_field(key: &str) -> bool {
    matches!(key, "instances" | "inputs") || is_split_field(key)
}

/// Whether an object of such keys alone may be a data frame.
fn is_split_field(key: &str) -> bool {
    matches!(key, "columns" | "index" | "data")
}

/// The first key of an object, if it is there already and one that could mean something.
fn first_key(beginning: &Segments) -> Option<String> {
    let mut first = None;
    scan(beginning, |event| {
        let Event::Key(key) = event else {
            return true;
        };
        first = key;
        false
    });
    first
}

/// Plain `application/json`: the first significant byte and the first key decide nearly always.
fn json(dialect: Dialect, body: Segments) -> Result<Translation, Rejection> {
    match (dialect, body.first_significant()) {
        (Dialect::V2, Some(b'[')) => Ok(wrapped(Layout::Records, body)),
        (Dialect::V2, Some(b'{')) if is_bare_split(&body) => Ok(wrapped(Layout::Split, body)),
        (Dialect::V1, Some(b'{')) => object_for_v1(body),
        _ => Ok(as_it_is(JSON, body)),
    }
}

/// Whether the body is an object of `columns`, `index` and `data` alone. Another first key ends the search.
fn is_bare_split(body: &Segments) -> bool {
    let mut columns_or_data = false;
    let complete = scan(body, |event| match event {
        Event::Key(Some(key)) if matches!(key.as_str(), "columns" | "data") => {
            columns_or_data = true;
            true
        }
        Event::Key(key) => key.as_deref() == Some("index"),
        _ => true,
    });
    complete && columns_or_data
}

/// Workers of MLflow 1.x take the value of `dataframe_*` with its layout in the content type, and anything else as it is.
fn object_for_v1(body: Segments) -> Result<Translation, Rejection> {
    let mut first = true;
    let mut fields = Fields::default();
    scan(&body, |event| {
        if let Event::Key(Some(key)) = &event
            && std::mem::take(&mut first)
            && is_bare_field(key)
        {
            return false;
        }
        fields.see(event);
        true
    });
    let Some((layout, value)) = fields.frame()? else {
        return Ok(as_it_is(JSON, body));
    };
    if fields.has_params(&body) {
        return Err(Rejection::ParamsForV1);
    }
    Ok(Translation {
        content_type: match layout {
            Layout::Records => JSON_RECORDS,
            Layout::Split => JSON_SPLIT,
        },
        body: body.slice(value),
        answer: AnswerShape::Wrapped,
    })
}

fn as_it_is(content_type: &'static str, body: Segments) -> Translation {
    Translation {
        content_type,
        body,
        answer: AnswerShape::AsItIs,
    }
}

/// The body as a field of the object that workers since MLflow 2.0 expect. Who sends the old form gets the old answer.
fn wrapped(layout: Layout, body: Segments) -> Translation {
    let prefix: &[u8] = match layout {
        Layout::Records => b"{\"dataframe_records\": ",
        Layout::Split => b"{\"dataframe_split\": ",
    };
    Translation {
        content_type: JSON,
        body: body.between(prefix, b"}"),
        answer: AnswerShape::Bare,
    }
}

/// Shows each event to `see` until it says enough. True if the object ended as an object should.
fn scan(body: &Segments, mut see: impl FnMut(Event) -> bool) -> bool {
    let mut scanner = ObjectScanner::new();
    for part in body.parts() {
        let mut input: &[u8] = part;
        while let Some(event) = scanner.next(&mut input) {
            if !see(event) {
                return false;
            }
        }
        if scanner.is_broken() {
            return false;
        }
    }
    scanner.is_complete()
}

/// The fields of an object that matter to a worker of MLflow 1.x. Of a repeated key the last counts, as in Python.
#[derive(Debug, Default)]
struct Fields {
    current: Option<Field>,
    begin: usize,
    records: Option<Range<usize>>,
    split: Option<Range<usize>>,
    params: Option<Range<usize>>,
    tensors: bool,
    complete: bool,
}

#[derive(Clone, Copy, Debug)]
enum Field {
    Records,
    Split,
    Params,
    Tensors,
}

impl Fields {
    fn see(&mut self, event: Event) {
        match event {
            Event::Key(key) => {
                self.current = match key.as_deref() {
                    Some("dataframe_records") => Some(Field::Records),
                    Some("dataframe_split") => Some(Field::Split),
                    Some("params") => Some(Field::Params),
                    Some("instances" | "inputs") => Some(Field::Tensors),
                    _ => None,
                };
            }
            Event::ValueStart(begin) => self.begin = begin,
            Event::ValueEnd(end) => {
                let value = Some(self.begin..end);
                match self.current {
                    Some(Field::Records) => self.records = value,
                    Some(Field::Split) => self.split = value,
                    Some(Field::Params) => self.params = value,
                    Some(Field::Tensors) => self.tensors = true,
                    None => {}
                }
            }
            Event::ObjectEnd(_) => self.complete = true,
        }
    }

    fn frame(&self) -> Result<Option<(Layout, Range<usize>)>, Rejection> {
        if !self.complete {
            return Ok(None);
        }
        match (&self.records, &self.split, self.tensors) {
            (Some(value), None, false) => Ok(Some((Layout::Records, value.clone()))),
            (None, Some(value), false) => Ok(Some((Layout::Split, value.clone()))),
            (None, None, _) => Ok(None),
            _ => Err(Rejection::SeveralInputs),
        }
    }

    fn has_params(&self, body: &Segments) -> bool {
        // Only a value as long as `null` is worth joining into one buffer.
        self.params.as_ref().is_some_and(|value| {
            value.len() != b"null".len() || body.slice(value.clone()).to_vec() != b"null"
        })
    }
}
