//! Reads a request whose rows may share a call: where they are, how many, and under which key.

use std::ops::Range;

use bytes::Bytes;

use super::super::answer::AnswerShape;
use super::super::dialect::Dialect;
use super::super::request::{JSON, JSON_RECORDS, JSON_SPLIT, NUMPY_SPLIT, Translation};
use super::super::segments::Segments;
use super::date::sounds_like_a_date;
use super::join::join;
use super::key::MergeKey;
use super::reader::Reader;
use super::row_type::{RowShape, RowType, unescape};

/// A request of rows that may be joined with those of others.
#[derive(Clone, Debug)]
pub struct Mergeable {
    pub(super) key: MergeKey,
    pub(super) form: Form,
    pub(super) body: Bytes,
    pub(super) parts: Parts,
    content_type: &'static str,
}

/// How rows are laid out in a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Form {
    /// `{"dataframe_records": [{…}, …]}`
    Records,
    /// `{"dataframe_split": {"columns": […], "data": [[…], …]}}`
    Split,
    /// `{"instances": […]}`
    Instances,
    /// `{"inputs": […]}`
    Inputs,
    /// `[{…}, …]`, for workers of MLflow 1.x.
    BareRecords,
    /// `{"columns": […], "data": [[…], …]}`, for workers of MLflow 1.x.
    BareSplit,
}

/// Where things are in the body.
#[derive(Clone, Debug, Default)]
pub(super) struct Parts {
    /// From the first byte of the first row to the last byte of the last one.
    pub(super) rows: Range<usize>,
    pub(super) count: usize,
    pub(super) columns: Option<Range<usize>>,
    /// Whether there is an index, which is `0, 1, …` then.
    pub(super) index: bool,
    pub(super) params: Option<Range<usize>>,
}

impl Mergeable {
    /// Reads what a worker of `dialect` would be sent. `None` if it has to go alone.
    pub fn read(dialect: Dialect, request: &Translation) -> Option<Self> {
        let body = contiguous(&request.body);
        let mut reader = Reader::new(&body);
        let (form, row_type, parts) =
            Reading::new(&mut reader, dialect).body(request.content_type)?;
        let key = key(form, request.content_type, &row_type, &parts, &body)?;
        Some(Self {
            key,
            form,
            parts,
            content_type: request.content_type,
            body,
        })
    }

    /// The first rows of a request, `most` at most, each as a request of its own, whatever they have in common. Those that have
    /// to go alone are left out.
    pub fn one_by_one(dialect: Dialect, request: &Translation, most: usize) -> Vec<Self> {
        let body = contiguous(&request.body);
        let mut reader = Reader::new(&body);
        let reading = Reading {
            is_lenient: true,
            ..Reading::new(&mut reader, dialect)
        };
        let Some((form, _, parts)) = reading.body(request.content_type) else {
            return Vec::new();
        };
        let whole = Self {
            // Of no use to anybody.
            key: MergeKey::new(&[]),
            form,
            parts,
            content_type: request.content_type,
            body,
        };
        let reread = |row: &Self| {
            let translation = Translation {
                content_type: row.content_type,
                body: join(std::slice::from_ref(row))?,
                answer: AnswerShape::AsItIs,
            };
            Self::read(dialect, &translation)
        };
        whole.apart(most).iter().filter_map(reread).collect()
    }

    /// Rows are joined under equal keys only.
    pub fn key(&self) -> &MergeKey {
        &self.key
    }

    /// Its rows, at least one.
    pub fn rows(&self) -> usize {
        self.parts.count
    }

    /// The bytes of its rows.
    pub fn size(&self) -> usize {
        self.parts.rows.len()
    }

    /// The type of the joined body; the same for equal keys.
    pub fn content_type(&self) -> &'static str {
        self.content_type
    }
}

/// A body that is being read.
#[derive(Debug)]
pub(super) struct Reading<'r, 'a> {
    reader: &'r mut Reader<'a>,
    dialect: Dialect,
    row_type: RowType,
    parts: Parts,
    /// Whether rows may be of different types: then none is learned.
    is_lenient: bool,
}

impl<'r, 'a> Reading<'r, 'a> {
    pub(super) fn new(reader: &'r mut Reader<'a>, dialect: Dialect) -> Self {
        Self {
            reader,
            dialect,
            row_type: RowType::new(),
            parts: Parts::default(),
            is_lenient: false,
        }
    }

    pub(super) fn body(mut self, content_type: &str) -> Option<(Form, RowType, Parts)> {
        let form = match (self.dialect, content_type, self.reader.peek()?) {
            (Dialect::V1, JSON | JSON_RECORDS, b'[') => {
                self.rows(RowShape::Record)?;
                Form::BareRecords
            }
            (_, JSON, b'{') => self.fields()?,
            (Dialect::V1, JSON_SPLIT | NUMPY_SPLIT, b'{') => {
                self.reader.take(b'{')?;
                let first = self.reader.key()?;
                self.split(first)?;
                Form::BareSplit
            }
            _ => return None,
        };
        self.names_are_no_dates()?;
        self.reader
            .is_at_end()
            .then_some((form, self.row_type, self.parts))
    }

    /// The object around the rows: one field with them, and perhaps parameters.
    fn fields(&mut self) -> Option<Form> {
        self.reader.take(b'{')?;
        let mut form = None;
        loop {
            let key = self.reader.key()?;
            let seen = match (self.dialect, key) {
                (Dialect::V1, b"columns" | b"index" | b"data") if form.is_none() => {
                    self.split(key)?;
                    return Some(Form::BareSplit);
                }
                (Dialect::V2, b"dataframe_records") => {
                    self.rows(RowShape::Record)?;
                    Form::Records
                }
                (Dialect::V2, b"dataframe_split") => {
                    self.reader.take(b'{')?;
                    let first = self.reader.key()?;
                    self.split(first)?;
                    Form::Split
                }
                (_, b"instances") => {
                    self.rows(RowShape::Item)?;
                    Form::Instances
                }
                (_, b"inputs") => {
                    self.rows(RowShape::Item)?;
                    Form::Inputs
                }
                (Dialect::V2, b"params") => {
                    let params = self.value()?;
                    if self.parts.params.replace(params).is_some() {
                        return None;
                    }
                    if self.reader.goes_on(b'}')? {
                        continue;
                    }
                    return form;
                }
                _ => return None,
            };
            if form.replace(seen).is_some() {
                return None;
            }
            if !self.reader.goes_on(b'}')? {
                return form;
            }
        }
    }

    /// The rest of a split object, after its first key.
    fn split(&mut self, first: &[u8]) -> Option<()> {
        let mut key = first;
        let mut index = None;
        loop {
            match key {
                b"columns" if self.parts.columns.is_none() => {
                    self.parts.columns = Some(self.value()?);
                }
                b"index" if index.is_none() => index = Some(self.index()?),
                b"data" if self.parts.count == 0 => self.rows(RowShape::Cells)?,
                _ => return None,
            }
            if !self.reader.goes_on(b'}')? {
                break;
            }
            key = self.reader.key()?;
        }
        self.parts.index = index.is_some();
        let fits = index.is_none_or(|index| index == self.parts.count);
        (self.parts.count > 0 && fits).then_some(())
    }

    fn rows(&mut self, shape: RowShape) -> Option<()> {
        if self.parts.count > 0 {
            return None;
        }
        self.reader.take(b'[')?;
        self.reader.peek()?;
        let begin = self.reader.offset();
        self.parts.count = if self.is_lenient {
            self.any_rows()?
        } else {
            self.row_type.rows(self.reader, shape)?
        };
        // Without the closing bracket.
        self.parts.rows = begin..self.reader.offset() - 1;
        Some(())
    }

    fn any_rows(&mut self) -> Option<usize> {
        let mut count = 0;
        loop {
            self.reader.any()?;
            count += 1;
            if !self.reader.goes_on(b']')? {
                return Some(count);
            }
        }
    }

    /// The length of an index `0, 1, …`.
    fn index(&mut self) -> Option<usize> {
        self.reader.take(b'[')?;
        let mut length: usize = 0;
        loop {
            self.reader.peek()?;
            let begin = self.reader.offset();
            self.reader.number()?;
            let label = std::str::from_utf8(self.reader.since(begin)).ok()?;
            if label.parse() != Ok(length) {
                return None;
            }
            length += 1;
            if !self.reader.goes_on(b']')? {
                return Some(length);
            }
        }
    }

    fn value(&mut self) -> Option<Range<usize>> {
        self.reader.peek()?;
        let begin = self.reader.offset();
        self.reader.any()?;
        Some(begin..self.reader.offset())
    }

    fn names_are_no_dates(&self) -> Option<()> {
        if self.dialect == Dialect::V2 {
            return Some(());
        }
        for name in self.row_type.keys() {
            if sounds_like_a_date(&unescape(name)?) {
                return None;
            }
        }
        Some(())
    }
}

/// Everything from which types are inferred, and everything that the joined request has but once.
fn key(
    form: Form,
    content_type: &str,
    row_type: &RowType,
    parts: &Parts,
    body: &[u8],
) -> Option<MergeKey> {
    let columns = parts.columns.as_ref().map_or(0, Range::len);
    let mut key = Vec::with_capacity(row_type.as_bytes().len() + columns + 64);
    key.push(match form {
        Form::Records => b'r',
        Form::Split => b's',
        Form::Instances => b'n',
        Form::Inputs => b'p',
        Form::BareRecords => b'R',
        Form::BareSplit => b'S',
    });
    key.push(u8::from(parts.index));
    key.extend(content_type.as_bytes());
    key.push(0);
    // Nothing can be taken for anything else: the type says itself where it ends, columns end with their bracket, and
    // parameters are the last.
    key.extend(row_type.as_bytes());
    match &parts.columns {
        Some(columns) => {
            key.push(b'c');
            columns_into(&mut key, &body[columns.clone()], form, row_type)?;
        }
        None => key.push(b'-'),
    }
    match &parts.params {
        Some(params) => {
            key.push(b'p');
            key.extend(&body[params.clone()]);
        }
        None => key.push(b'-'),
    }
    Some(MergeKey::new(&key))
}

/// The names of columns without the whitespace between them. As many as a row has cells; text and integers only.
fn columns_into(key: &mut Vec<u8>, columns: &[u8], form: Form, row_type: &RowType) -> Option<()> {
    let mut reader = Reader::new(columns);
    reader.take(b'[')?;
    let mut width = 0;
    loop {
        let is_text = reader.peek()? == b'"';
        let begin = reader.offset();
        if is_text {
            let name = reader.string()?;
            if form == Form::BareSplit && sounds_like_a_date(&unescape(name)?) {
                return None;
            }
        } else {
            reader.number()?;
        }
        key.extend(reader.since(begin));
        width += 1;
        if !reader.goes_on(b']')? {
            key.push(b']');
            return (row_type.width()? == width).then_some(());
        }
        key.push(b',');
    }
}

/// The body in one piece, which it mostly is.
fn contiguous(body: &Segments) -> Bytes {
    match body.parts() {
        [whole] => whole.clone(),
        _ => body.to_vec().into(),
    }
}
