//! One body of several requests' rows.

use bytes::{Bytes, BytesMut};

use super::super::segments::Segments;
use super::mergeable::{Form, Mergeable};

/// Rows of this many bytes are sent from where they are; fewer are copied next to each other, which is less work than
/// handing them on one by one.
const LARGE: usize = 16 << 10;

/// The rows of all `requests` in their order, in a body of the form that they all have. `None` if there is no request, or if
/// their keys differ. The type of the body is the [`content_type`](Mergeable::content_type) of each.
pub fn join(requests: &[Mergeable]) -> Option<Segments> {
    let (first, others) = requests.split_first()?;
    if others.iter().any(|other| other.key != first.key) {
        return None;
    }
    let count = requests.iter().map(|request| request.parts.count).sum();
    let small = |request: &Mergeable| match request.parts.rows.len() {
        size if size < LARGE => size + 2,
        _ => 2,
    };
    let brackets = 64 + first.columns().len() + first.params().len();
    let index = if first.parts.index { 8 * count } else { 0 };
    let capacity = requests.iter().map(small).sum::<usize>() + brackets + index;
    let mut joined = Joined {
        done: Segments::default(),
        open: BytesMut::with_capacity(capacity),
    };
    joined.put(first.head());
    if matches!(first.form, Form::Split | Form::BareSplit) {
        joined.split_head(first, count);
    }
    for (number, request) in requests.iter().enumerate() {
        if number > 0 {
            joined.put(b", ");
        }
        joined.put_shared(request.body.slice(request.parts.rows.clone()));
    }
    joined.put(first.tail());
    if first.parts.params.is_some() {
        joined.put(b", \"params\": ");
        joined.put(first.params());
    }
    if !matches!(first.form, Form::BareRecords | Form::BareSplit) {
        joined.put(b"}");
    }
    Some(joined.finish())
}

impl Mergeable {
    fn head(&self) -> &'static [u8] {
        match self.form {
            Form::Records => b"{\"dataframe_records\": [",
            Form::Split => b"{\"dataframe_split\": {",
            Form::Instances => b"{\"instances\": [",
            Form::Inputs => b"{\"inputs\": [",
            Form::BareRecords => b"[",
            Form::BareSplit => b"{",
        }
    }

    fn tail(&self) -> &'static [u8] {
        match self.form {
            Form::Split | Form::BareSplit => b"]}",
            Form::Records | Form::Instances | Form::Inputs | Form::BareRecords => b"]",
        }
    }

    fn columns(&self) -> &[u8] {
        self.parts
            .columns
            .as_ref()
            .map_or(&[], |columns| &self.body[columns.clone()])
    }

    fn params(&self) -> &[u8] {
        self.parts
            .params
            .as_ref()
            .map_or(&[], |params| &self.body[params.clone()])
    }
}

/// A body that is being put together.
#[derive(Debug)]
struct Joined {
    done: Segments,
    open: BytesMut,
}

impl Joined {
    fn put(&mut self, bytes: &[u8]) {
        self.open.extend_from_slice(bytes);
    }

    fn put_shared(&mut self, bytes: Bytes) {
        if bytes.len() < LARGE {
            self.put(&bytes);
        } else {
            self.done.push(self.open.split().freeze());
            self.done.push(bytes);
        }
    }

    /// What comes before the rows in a split object; the index counts through all of them.
    fn split_head(&mut self, first: &Mergeable, count: usize) {
        if first.parts.columns.is_some() {
            self.put(b"\"columns\": ");
            self.put(first.columns());
            self.put(b", ");
        }
        if first.parts.index {
            self.put(b"\"index\": [");
            for label in 0..count {
                if label > 0 {
                    self.put(b", ");
                }
                self.put(label.to_string().as_bytes());
            }
            self.put(b"], ");
        }
        self.put(b"\"data\": [");
    }

    fn finish(mut self) -> Segments {
        self.done.push(self.open.freeze());
        self.done
    }
}
