//! Finds the keys and values at the top level of a JSON object, byte by byte, in one pass and without recursion.
//!
//! It does not judge what is inside a value: brackets are counted, strings are skipped, everything else (`NaN` too) is
//! somebody else's to understand. Text that cannot be cut ends the scan early.

use super::segments::is_whitespace;

/// Longer keys mean nothing to us, whatever they say.
const LONGEST_KEY: usize = 64;

/// One thing found. Offsets count from the first byte ever fed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A key, unescaped; `None` if it is too long or no valid text.
    Key(Option<String>),
    /// Its value begins here.
    ValueStart(usize),
    /// Its value ended before this offset.
    ValueEnd(usize),
    /// The object ended before this offset.
    ObjectEnd(usize),
}

/// Where in the object the scan is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    BeforeObject,
    BeforeKey,
    InKey { escaped: bool },
    BeforeColon,
    BeforeValue,
    InString { escaped: bool },
    InScalar,
    InNested { depth: usize },
    InNestedString { depth: usize, escaped: bool },
    AfterValue,
    AfterObject,
    Broken,
}

/// The scan of one object, fed in pieces of any size.
#[derive(Clone, Debug)]
pub(super) struct ObjectScanner {
    state: State,
    offset: usize,
    key: Vec<u8>,
}

impl ObjectScanner {
    pub(super) fn new() -> Self {
        Self {
            state: State::BeforeObject,
            offset: 0,
            key: Vec::new(),
        }
    }

    /// The next event in `input`, which is advanced past what was read; `None` when all of it was.
    pub(super) fn next(&mut self, input: &mut &[u8]) -> Option<Event> {
        loop {
            self.skip(input);
            let (&byte, rest) = input.split_first()?;
            let (state, event, consumed) = self.step(byte);
            self.state = state;
            if consumed {
                self.offset += 1;
                *input = rest;
            }
            if event.is_some() {
                return event;
            }
        }
    }

    /// How many bytes were read so far.
    pub(super) fn offset(&self) -> usize {
        self.offset
    }

    /// Whether the object ended and only whitespace followed.
    pub(super) fn is_complete(&self) -> bool {
        self.state == State::AfterObject
    }

    /// Whether this is no object, or none that can be cut.
    pub(super) fn is_broken(&self) -> bool {
        self.state == State::Broken
    }

    /// Passes quickly over bytes that change nothing.
    fn skip(&mut self, input: &mut &[u8]) {
        let dull = match self.state {
            State::InString { escaped: false } | State::InNestedString { escaped: false, .. } => {
                input.iter().position(|byte| matches!(byte, b'"' | b'\\'))
            }
            State::InNested { .. } => input
                .iter()
                .position(|byte| matches!(byte, b'"' | b'[' | b']' | b'{' | b'}')),
            State::Broken => None,
            _ => Some(0),
        };
        let dull = dull.unwrap_or(input.len());
        self.offset += dull;
        *input = &input[dull..];
    }

    /// What `byte` at the current offset means: the next state, an event, and whether the byte is used up.
    fn step(&mut self, byte: u8) -> (State, Option<Event>, bool) {
        let at = self.offset;
        match (self.state, byte) {
            (State::InKey { escaped }, _) => {
                if byte == b'"' && !escaped {
                    return (State::BeforeColon, Some(Event::Key(self.take_key())), true);
                }
                if self.key.len() <= LONGEST_KEY {
                    self.key.push(byte);
                }
                let escaped = byte == b'\\' && !escaped;
                (State::InKey { escaped }, None, true)
            }
            (State::InString { escaped }, _) => {
                if byte == b'"' && !escaped {
                    return (State::AfterValue, Some(Event::ValueEnd(at + 1)), true);
                }
                let escaped = byte == b'\\' && !escaped;
                (State::InString { escaped }, None, true)
            }
            (State::InNestedString { depth, escaped }, _) => {
                if byte == b'"' && !escaped {
                    return (State::InNested { depth }, None, true);
                }
                let escaped = byte == b'\\' && !escaped;
                (State::InNestedString { depth, escaped }, None, true)
            }
            (State::InNested { depth }, _) => match byte {
                b'"' => (
                    State::InNestedString {
                        depth,
                        escaped: false,
                    },
                    None,
                    true,
                ),
                b'[' | b'{' => (State::InNested { depth: depth + 1 }, None, true),
                b']' | b'}' if depth == 1 => {
                    (State::AfterValue, Some(Event::ValueEnd(at + 1)), true)
                }
                b']' | b'}' => (State::InNested { depth: depth - 1 }, None, true),
                _ => (self.state, None, true),
            },
            (State::InScalar, b',' | b'}') => (State::AfterValue, Some(Event::ValueEnd(at)), false),
            (State::InScalar, _) if is_whitespace(byte) => {
                (State::AfterValue, Some(Event::ValueEnd(at)), true)
            }
            // A quote or a bracket within a scalar: this is no JSON.
            (State::InScalar, b'"' | b'[' | b'{' | b']' | b':') => (State::Broken, None, true),
            (State::InScalar, _) => (State::InScalar, None, true),
            (state, _) if is_whitespace(byte) => (state, None, true),
            (State::BeforeObject, b'{') | (State::AfterValue, b',') => {
                (State::BeforeKey, None, true)
            }
            (State::BeforeKey, b'"') => (State::InKey { escaped: false }, None, true),
            (State::BeforeColon, b':') => (State::BeforeValue, None, true),
            (State::BeforeValue, b'"') => (
                State::InString { escaped: false },
                Some(Event::ValueStart(at)),
                true,
            ),
            (State::BeforeValue, b'[' | b'{') => (
                State::InNested { depth: 1 },
                Some(Event::ValueStart(at)),
                true,
            ),
            (State::BeforeValue, b',' | b'}' | b']' | b':') => (State::Broken, None, true),
            (State::BeforeValue, _) => (State::InScalar, Some(Event::ValueStart(at)), true),
            // `{}` ends before its first key; after a comma Python would refuse it, and so will the worker.
            (State::BeforeKey | State::AfterValue, b'}') => {
                (State::AfterObject, Some(Event::ObjectEnd(at + 1)), true)
            }
            _ => (State::Broken, None, true),
        }
    }

    fn take_key(&mut self) -> Option<String> {
        let raw = std::mem::take(&mut self.key);
        if raw.len() > LONGEST_KEY {
            return None;
        }
        if !raw.contains(&b'\\') {
            return String::from_utf8(raw).ok();
        }
        let quoted = [b"\"", raw.as_slice(), b"\""].concat();
        serde_json::from_slice(&quoted).ok()
    }
}
