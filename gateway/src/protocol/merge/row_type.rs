//! The type of a row: learned from the first one, and looked for in all others.
//!
//! Types are written in a compact form of their own, in which equal types are equal bytes. Integers that turn out to share
//! their place with fractions become fractions, in place: pandas and NumPy make floats of both, whichever comes first.

use super::date::{Text, look};
use super::reader::{DEEPEST, Number, Reader};

const INTEGER: u8 = b'i';
const FRACTION: u8 = b'f';
const STRING: u8 = b's';
/// With its details in the lower bits.
const DATE: u8 = 0x80;
const BOOLEAN: u8 = b'b';
const NULL: u8 = b'n';
/// Then a count and, unless it is 0, the type that all items have.
const ARRAY: u8 = b'[';
/// Then a count and that many types.
const TUPLE: u8 = b'(';
/// Then a count and that many keys (length and text, as they were sent) with their types.
const OBJECT: u8 = b'{';

/// What a row may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RowShape {
    /// An object with at least one key: a column for each.
    Record,
    /// A list of at least one cell: a column for each.
    Cells,
    /// Anything whose parts have one type: a piece of a tensor, or an object.
    Item,
}

/// A type that is being learned.
#[derive(Debug)]
pub(super) struct RowType(Vec<u8>);

impl RowType {
    pub(super) fn new() -> Self {
        // As long as most become.
        Self(Vec::with_capacity(256))
    }

    /// Reads all rows of a list that has begun, at least one. Gives their number.
    pub(super) fn rows(&mut self, reader: &mut Reader<'_>, shape: RowShape) -> Option<usize> {
        self.learn_row(reader, shape)?;
        let mut rows = 1;
        while reader.goes_on(b']')? {
            let end = match shape {
                RowShape::Cells => self.match_tuple(reader)?,
                RowShape::Record | RowShape::Item => self.match_value(reader, 0)?,
            };
            debug_assert_eq!(end, self.0.len());
            rows += 1;
        }
        Some(rows)
    }

    /// The cells of a row.
    pub(super) fn width(&self) -> Option<usize> {
        Some(self.count(0)?.1)
    }

    /// The keys of a record, or none.
    pub(super) fn keys(&self) -> Keys<'_> {
        let record = match self.0.first() {
            Some(&OBJECT) => self.count(0),
            _ => None,
        };
        let (at, left) = record.unwrap_or_default();
        Keys { of: self, at, left }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn learn_row(&mut self, reader: &mut Reader<'_>, shape: RowShape) -> Option<()> {
        match (shape, reader.peek()?) {
            (RowShape::Record, b'{') => self.learn_object(reader, DEEPEST)?,
            (RowShape::Cells, b'[') => return self.learn_tuple(reader),
            (RowShape::Item, _) => return self.learn(reader, DEEPEST),
            _ => return None,
        }
        (self.width()? > 0).then_some(())
    }

    fn learn(&mut self, reader: &mut Reader<'_>, depth: usize) -> Option<()> {
        match reader.peek()? {
            b'[' => self.learn_array(reader, depth.checked_sub(1)?),
            b'{' => self.learn_object(reader, depth.checked_sub(1)?),
            _ => {
                self.0.push(scalar(reader)?);
                Some(())
            }
        }
    }

    fn learn_tuple(&mut self, reader: &mut Reader<'_>) -> Option<()> {
        reader.take(b'[')?;
        let counted = self.begin(TUPLE);
        let mut count = 0;
        loop {
            self.learn(reader, DEEPEST)?;
            count += 1;
            if !reader.goes_on(b']')? {
                return self.end(counted, count);
            }
        }
    }

    fn learn_array(&mut self, reader: &mut Reader<'_>, depth: usize) -> Option<()> {
        reader.take(b'[')?;
        let counted = self.begin(ARRAY);
        if reader.peek()? == b']' {
            reader.take(b']')?;
            return Some(());
        }
        let item = self.0.len();
        self.learn(reader, depth)?;
        let mut count = 1;
        while reader.goes_on(b']')? {
            self.match_value(reader, item)?;
            count += 1;
        }
        self.end(counted, count)
    }

    fn learn_object(&mut self, reader: &mut Reader<'_>, depth: usize) -> Option<()> {
        reader.take(b'{')?;
        let counted = self.begin(OBJECT);
        if reader.peek()? == b'}' {
            reader.take(b'}')?;
            return Some(());
        }
        let mut keys = Vec::new();
        loop {
            let key = reader.key()?;
            keys.push(key);
            self.0.extend(u32::try_from(key.len()).ok()?.to_le_bytes());
            self.0.extend(key);
            self.learn(reader, depth)?;
            if !reader.goes_on(b'}')? {
                break;
            }
        }
        let count = keys.len();
        all_differ(keys)?;
        self.end(counted, count)
    }

    /// Reads a value that must be of the type at `at`. Gives where that type ends.
    fn match_value(&mut self, reader: &mut Reader<'_>, at: usize) -> Option<usize> {
        match *self.0.get(at)? {
            ARRAY => self.match_array(reader, at),
            OBJECT => self.match_object(reader, at),
            kind => {
                let seen = scalar(reader)?;
                if seen != kind {
                    if !matches!((seen, kind), (INTEGER, FRACTION) | (FRACTION, INTEGER)) {
                        return None;
                    }
                    self.0[at] = FRACTION;
                }
                Some(at + 1)
            }
        }
    }

    fn match_tuple(&mut self, reader: &mut Reader<'_>) -> Option<usize> {
        reader.take(b'[')?;
        let (mut at, count) = self.count(0)?;
        for left in (0..count).rev() {
            at = self.match_value(reader, at)?;
            if reader.goes_on(b']')? != (left > 0) {
                return None;
            }
        }
        Some(at)
    }

    fn match_array(&mut self, reader: &mut Reader<'_>, at: usize) -> Option<usize> {
        reader.take(b'[')?;
        let (item, count) = self.count(at)?;
        if count == 0 {
            reader.take(b']')?;
        }
        let mut end = item;
        for left in (0..count).rev() {
            end = self.match_value(reader, item)?;
            if reader.goes_on(b']')? != (left > 0) {
                return None;
            }
        }
        Some(end)
    }

    fn match_object(&mut self, reader: &mut Reader<'_>, at: usize) -> Option<usize> {
        reader.take(b'{')?;
        let (mut at, count) = self.count(at)?;
        if count == 0 {
            reader.take(b'}')?;
        }
        for left in (0..count).rev() {
            let key = reader.key()?;
            let (known, value) = self.text(at)?;
            reader.look(known.len());
            if key != known {
                return None;
            }
            at = self.match_value(reader, value)?;
            if reader.goes_on(b'}')? != (left > 0) {
                return None;
            }
        }
        Some(at)
    }

    /// Begins a type with a count that is not known yet: gives the place for it.
    fn begin(&mut self, kind: u8) -> usize {
        self.0.push(kind);
        self.0.extend([0; 4]);
        self.0.len() - 4
    }

    fn end(&mut self, counted: usize, count: usize) -> Option<()> {
        let count = u32::try_from(count).ok()?.to_le_bytes();
        self.0[counted..counted + 4].copy_from_slice(&count);
        Some(())
    }

    /// The count of the type at `at`, and where it goes on.
    fn count(&self, at: usize) -> Option<(usize, usize)> {
        Some((at + 5, self.length(at + 1)?))
    }

    /// The key at `at`, and where its type begins.
    fn text(&self, at: usize) -> Option<(&[u8], usize)> {
        let end = at + 4 + self.length(at)?;
        Some((self.0.get(at + 4..end)?, end))
    }

    fn length(&self, at: usize) -> Option<usize> {
        let bytes = self.0.get(at..at + 4)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(bytes)).ok()
    }

    /// Where the type at `at` ends.
    fn skip(&self, at: usize) -> Option<usize> {
        match *self.0.get(at)? {
            ARRAY => match self.count(at)? {
                (end, 0) => Some(end),
                (item, _) => self.skip(item),
            },
            OBJECT => {
                let (mut at, count) = self.count(at)?;
                for _ in 0..count {
                    at = self.skip(self.text(at)?.1)?;
                }
                Some(at)
            }
            _ => Some(at + 1),
        }
    }
}

/// The keys of a record, as they were sent.
#[derive(Debug)]
pub(super) struct Keys<'a> {
    of: &'a RowType,
    at: usize,
    left: usize,
}

impl<'a> Iterator for Keys<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        self.left = self.left.checked_sub(1)?;
        let (key, value) = self.of.text(self.at)?;
        self.at = self.of.skip(value)?;
        Some(key)
    }
}

/// Text without its escapes; what stands between two quotes.
pub(super) fn unescape(text: &[u8]) -> Option<String> {
    if !text.contains(&b'\\') {
        return String::from_utf8(text.to_vec()).ok();
    }
    let quoted = [b"\"", text, b"\""].concat();
    serde_json::from_slice(&quoted).ok()
}

fn scalar(reader: &mut Reader<'_>) -> Option<u8> {
    match reader.peek()? {
        b'"' => match look(reader.string()?) {
            Text::Plain => Some(STRING),
            Text::Date(details) => Some(DATE | details),
            Text::Doubtful => None,
        },
        b't' => reader.word(b"true").map(|()| BOOLEAN),
        b'f' => reader.word(b"false").map(|()| BOOLEAN),
        b'n' => reader.word(b"null").map(|()| NULL),
        _ => reader.number().map(|number| match number {
            Number::Integer => INTEGER,
            Number::Fraction => FRACTION,
        }),
    }
}

/// No two keys may be the same, however they are escaped.
fn all_differ(mut keys: Vec<&[u8]>) -> Option<()> {
    if keys.iter().any(|key| key.contains(&b'\\')) {
        let keys: Option<Vec<String>> = keys.into_iter().map(unescape).collect();
        let mut keys = keys?;
        keys.sort_unstable();
        return keys.is_sorted_by(|one, next| one < next).then_some(());
    }
    keys.sort_unstable();
    keys.is_sorted_by(|one, next| one < next).then_some(())
}
