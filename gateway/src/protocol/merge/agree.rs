//! Whether rows got the same answers in company as alone.

use std::fmt;

use bytes::Bytes;

use super::super::segments::is_whitespace;

/// Where two answers differ, for people: texts are cut short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disagreement {
    /// Which of the answers, from 0.
    pub row: usize,
    /// Where in it: `predictions[0].score`, or nothing for the answer itself.
    pub path: String,
    /// What is different, without a word of the answers themselves.
    pub kind: Difference,
    /// What stands there alone.
    pub alone: String,
    /// What stands there in company.
    pub together: String,
}

/// What can be different.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// There are not as many answers.
    Count,
    /// Two fractions further apart than arithmetic explains.
    Number,
    /// Two strings, two integers, or values of different types: an integer and a fraction too.
    Value,
    /// Other keys, another order of keys, another length, or no JSON.
    Structure,
}

/// Bytes of a path and of each value that a [`Disagreement`] shows.
const LONGEST_PATH: usize = 60;
const LONGEST_VALUE: usize = 40;

/// Differences that a fraction in double precision may have: relative, and absolute for what is near zero.
const DOUBLE: (f64, f64) = (1e-9, 1e-12);
/// The same for one in single precision.
const SINGLE: (f64, f64) = (1e-5, 1e-5);

/// Compares what each row (or each request) got alone with what it got in company: as JSON, item by item.
///
/// Equal must be: structure, keys and their order (one program printed both, so another order is another answer), strings,
/// integers, `true`, `false`, `null`, and `NaN` and the infinities, which are equal to themselves. An integer is no
/// fraction: if `1` becomes `1.0`, then company changes types. Whitespace between values does not count.
///
/// Fractions may differ by as much as arithmetic does when the same sums are made in another order, as BLAS does for
/// matrices of other heights. That was measured with products of one to ten layers, 4 to 2,000 wide, of 2 to 256 rows: nearly
/// every number differs, in double precision by 4e-12 of itself and 6e-15 at most, in single precision by 4e-6 at most, but
/// by up to half a percent of itself where it is near zero. So two fractions agree within 1e-9 of the larger, or
/// within 1e-12; in single precision within 1e-5, or 1e-5 of the larger. Numbers count as single precision if both
/// fit into it exactly and one is printed with more than nine digits: nothing meant in single precision needs
/// more, but widened to a double nearly everything has more. A whole number printed as a fraction (`1000000.0`: a label, a
/// count) is thus held to the strict rule.
///
/// Of answers with equal bytes nothing else is asked, and none of either is copied but for the error.
///
/// # Errors
///
/// The first [`Disagreement`].
pub fn agree(single: &[Bytes], together: &[Bytes]) -> Result<(), Disagreement> {
    for (row, (alone, company)) in single.iter().zip(together).enumerate() {
        if alone != company {
            compare(alone, company).map_err(|place| place.described(row, alone, company))?;
        }
    }
    if single.len() == together.len() {
        return Ok(());
    }
    Err(Disagreement {
        row: single.len().min(together.len()),
        path: String::new(),
        kind: Difference::Count,
        alone: format!("{} answers", single.len()),
        together: format!("{} answers", together.len()),
    })
}

/// Whether two texts say the same, whitespace between values aside.
pub(super) fn is_alike(one: &[u8], other: &[u8]) -> bool {
    one == other || compare(one, other).is_ok()
}

/// Where two texts differ.
#[derive(Debug)]
struct Place {
    kind: Difference,
    alone: usize,
    together: usize,
}

/// One token of JSON, and of what Python's `json` prints besides: `NaN` and `Infinity`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token<'a> {
    /// A bracket, a comma or a colon.
    Mark(u8),
    /// With its quotes, still escaped.
    Text(&'a [u8]),
    /// Everything else that is not between these.
    Word(&'a [u8]),
    /// A string that has no end.
    Broken,
    End,
}

/// A place in a text.
#[derive(Debug)]
struct Tokens<'a> {
    text: &'a [u8],
    /// Where the token given last begins.
    begin: usize,
    at: usize,
}

/// The tokens of one text are those of the other, up to fractions. Then one is JSON if the other is.
fn compare(alone: &[u8], together: &[u8]) -> Result<(), Place> {
    let (mut alone, mut together) = (Tokens::new(alone), Tokens::new(together));
    loop {
        let (left, right) = (alone.next(), together.next());
        let kind = match (left, right) {
            (Token::Broken, _) | (_, Token::Broken) => Difference::Structure,
            (Token::End, Token::End) => return Ok(()),
            _ if left == right => continue,
            (Token::Word(left), Token::Word(right)) => {
                match (Fraction::read(left), Fraction::read(right)) {
                    (Some(left), Some(right)) if left.is_near(right) => continue,
                    (Some(_), Some(_)) => Difference::Number,
                    _ => Difference::Value,
                }
            }
            // The key of an object, or a value.
            (Token::Text(_), Token::Text(_)) => {
                let is_key = alone.colon_follows() || together.colon_follows();
                [Difference::Value, Difference::Structure][usize::from(is_key)]
            }
            (Token::Text(_), Token::Word(_)) | (Token::Word(_), Token::Text(_)) => {
                Difference::Value
            }
            _ => Difference::Structure,
        };
        return Err(Place {
            kind,
            alone: alone.begin,
            together: together.begin,
        });
    }
}

/// A number with a fraction or an exponent.
#[derive(Clone, Copy, Debug)]
struct Fraction {
    value: f64,
    /// Has more digits than single precision needs.
    is_long: bool,
}

impl Fraction {
    fn read(word: &[u8]) -> Option<Self> {
        let digits = word.strip_prefix(b"-").unwrap_or(word);
        let is_fraction = digits.first()?.is_ascii_digit()
            && digits.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E'));
        if !is_fraction {
            return None;
        }
        let mantissa = digits.split(|byte| matches!(byte, b'e' | b'E')).next()?;
        let significant = mantissa
            .iter()
            .filter(|byte| byte.is_ascii_digit())
            .skip_while(|byte| **byte == b'0');
        Some(Self {
            value: std::str::from_utf8(word).ok()?.parse().ok()?,
            is_long: significant.count() > 9,
        })
    }

    fn is_near(self, other: Self) -> bool {
        let is_single =
            (self.is_long || other.is_long) && fits_single(self.value) && fits_single(other.value);
        let (relative, absolute) = if is_single { SINGLE } else { DOUBLE };
        let larger = self.value.abs().max(other.value.abs());
        // Beyond the largest double both are infinite, and their difference is no number.
        (self.value - other.value).abs() <= absolute.max(relative * larger) && larger.is_finite()
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::float_cmp,
    reason = "whether anything is lost is the question"
)]
fn fits_single(value: f64) -> bool {
    f64::from(value as f32) == value
}

impl<'a> Tokens<'a> {
    fn new(text: &'a [u8]) -> Self {
        Self {
            text,
            begin: 0,
            at: 0,
        }
    }

    fn next(&mut self) -> Token<'a> {
        let rest = &self.text[self.at..];
        let space = rest.iter().take_while(|byte| is_whitespace(**byte)).count();
        self.begin = self.at + space;
        let rest = &rest[space..];
        let Some(&first) = rest.first() else {
            self.at = self.begin;
            return Token::End;
        };
        let (token, length) = match first {
            b'"' => match string_length(rest) {
                Some(length) => (Token::Text(&rest[..length]), length),
                None => (Token::Broken, rest.len()),
            },
            _ if is_mark(first) => (Token::Mark(first), 1),
            _ => {
                let ends = |byte: &u8| is_mark(*byte) || is_whitespace(*byte) || *byte == b'"';
                let length = rest.iter().position(ends).unwrap_or(rest.len());
                (Token::Word(&rest[..length]), length)
            }
        };
        self.at = self.begin + length;
        token
    }

    fn colon_follows(&self) -> bool {
        let mut rest = self.text[self.at..].iter();
        rest.find(|byte| !is_whitespace(**byte)) == Some(&b':')
    }
}

fn is_mark(byte: u8) -> bool {
    matches!(byte, b'[' | b']' | b'{' | b'}' | b',' | b':')
}

/// Of the string that `text` begins with, both quotes included.
fn string_length(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

impl Place {
    fn described(&self, row: usize, alone: &[u8], together: &[u8]) -> Disagreement {
        Disagreement {
            row,
            path: shortened(path(alone, self.alone).as_bytes(), LONGEST_PATH),
            kind: self.kind,
            alone: value(alone, self.alone),
            together: value(together, self.together),
        }
    }
}

/// One step of a path.
#[derive(Debug)]
enum Step<'a> {
    Item(usize),
    /// The key that was read last, and whether the next string is one.
    Key(&'a [u8], bool),
}

/// How to get to what begins at `place`.
fn path(text: &[u8], place: usize) -> String {
    let mut tokens = Tokens::new(text);
    let mut steps: Vec<Step<'_>> = Vec::new();
    loop {
        let token = tokens.next();
        if tokens.begin >= place || matches!(token, Token::End | Token::Broken) {
            break;
        }
        match (token, steps.last_mut()) {
            (Token::Mark(b'['), _) => steps.push(Step::Item(0)),
            (Token::Mark(b'{'), _) => steps.push(Step::Key(b"", true)),
            (Token::Mark(b']' | b'}'), _) => {
                steps.pop();
            }
            (Token::Mark(b','), Some(Step::Item(number))) => *number += 1,
            (Token::Mark(b','), Some(Step::Key(key, expected))) => (*key, *expected) = (b"", true),
            (Token::Text(text), Some(Step::Key(key, expected @ true))) => {
                (*key, *expected) = (&text[1..text.len() - 1], false);
            }
            _ => {}
        }
    }
    let mut path = String::new();
    for step in steps {
        match step {
            Step::Item(number) => {
                path.push('[');
                path.push_str(&number.to_string());
                path.push(']');
            }
            Step::Key(b"", _) => {}
            Step::Key(key, _) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path += &String::from_utf8_lossy(key);
            }
        }
    }
    path
}

/// The string or word at `place`, or what follows there.
fn value(text: &[u8], place: usize) -> String {
    let mut tokens = Tokens::new(text);
    tokens.at = place;
    match tokens.next() {
        Token::Text(text) | Token::Word(text) => shortened(text, LONGEST_VALUE),
        Token::End => "the end".to_owned(),
        Token::Mark(_) | Token::Broken => shortened(&text[place..], LONGEST_VALUE),
    }
}

/// At most `longest` bytes of `text`, and a mark if that is not all.
fn shortened(text: &[u8], longest: usize) -> String {
    const MARK: &str = "…";
    let whole = String::from_utf8_lossy(&text[..text.len().min(longest + 4)]);
    if text.len() <= longest && whole.len() <= longest {
        return whole.into_owned();
    }
    let mut end = longest - MARK.len();
    while !whole.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{MARK}", &whole[..end])
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Count => "not as many answers",
            Self::Number => "another number",
            Self::Value => "another value",
            Self::Structure => "another structure",
        })
    }
}

impl Disagreement {
    /// Where and what, without the values: what a model said to a caller is not for everybody who may see its events.
    /// Neither is the path, for keys may be data too.
    #[must_use]
    pub fn without_values(&self) -> String {
        format!("row {}: {} in company", self.row, self.kind)
    }
}

/// At most 200 bytes.
impl fmt::Display for Disagreement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "row {}", self.row)?;
        if !self.path.is_empty() {
            write!(formatter, " at {}", self.path)?;
        }
        write!(
            formatter,
            ": {} alone, {} together",
            self.alone, self.together
        )
    }
}

#[cfg(test)]
mod tests;
