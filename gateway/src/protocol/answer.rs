//! What a client gets for what a worker answered: `{"predictions": …}` put on or taken off while it streams by.

use bytes::Bytes;

use super::scan::{Event, ObjectScanner};
use super::segments::Segments;

const PREFIX: &[u8] = b"{\"predictions\": ";
const SUFFIX: &[u8] = b"}";
/// `{"predictions":` is found within this many bytes, or the answer is something else.
const LONGEST_HEAD: usize = 1024;

/// How the client expects the answer, compared with how this worker gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnswerShape {
    /// The same.
    AsItIs,
    /// The worker wraps, the client expects the bare value.
    Bare,
    /// The worker gives the bare value, the client expects it wrapped.
    Wrapped,
}

/// The answer began as `{"predictions": …` and then went on in another way, when its beginning was given away already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the worker's answer is not the object of predictions that it began as")]
pub struct UnexpectedAnswer;

/// Changes an answer chunk by chunk. Nothing but brackets around a value is ever added or taken.
#[derive(Debug)]
pub struct Rewrite(State);

#[derive(Debug)]
enum State {
    Passing,
    Wrapping {
        begun: bool,
    },
    /// Looking for `{"predictions":`; what has come so far may have to pass as it is.
    Head {
        scanner: ObjectScanner,
        held: Segments,
    },
    /// Within the value.
    Value {
        scanner: ObjectScanner,
    },
    /// After the value: the closing bracket and whitespace are dropped.
    Tail {
        scanner: ObjectScanner,
    },
}

impl Rewrite {
    /// The change that leads to `shape`.
    pub fn new(shape: AnswerShape) -> Self {
        Self(match shape {
            AnswerShape::AsItIs => State::Passing,
            AnswerShape::Wrapped => State::Wrapping { begun: false },
            AnswerShape::Bare => State::Head {
                scanner: ObjectScanner::new(),
                held: Segments::default(),
            },
        })
    }

    /// What can be given away after `chunk`; perhaps nothing yet.
    pub fn push(&mut self, chunk: Bytes) -> Result<Segments, UnexpectedAnswer> {
        match &mut self.0 {
            State::Passing => Ok(chunk.into()),
            State::Wrapping { begun } => {
                let mut out = Segments::default();
                if !std::mem::replace(begun, true) {
                    out.push(Bytes::from_static(PREFIX));
                }
                out.push(chunk);
                Ok(out)
            }
            State::Head { .. } => self.push_head(chunk),
            State::Value { .. } => self.push_value(chunk),
            State::Tail { scanner } => {
                tail(scanner, &chunk)?;
                Ok(Segments::default())
            }
        }
    }

    /// What is left when the answer has ended.
    pub fn finish(self) -> Result<Segments, UnexpectedAnswer> {
        match self.0 {
            State::Passing => Ok(Segments::default()),
            State::Wrapping { begun } => {
                let mut out = Segments::default();
                if !begun {
                    out.push(Bytes::from_static(PREFIX));
                }
                out.push(Bytes::from_static(SUFFIX));
                Ok(out)
            }
            State::Head { held, .. } => Ok(held),
            State::Value { .. } => Err(UnexpectedAnswer),
            State::Tail { scanner } => {
                if scanner.is_complete() {
                    Ok(Segments::default())
                } else {
                    Err(UnexpectedAnswer)
                }
            }
        }
    }

    fn push_head(&mut self, chunk: Bytes) -> Result<Segments, UnexpectedAnswer> {
        let State::Head { scanner, held } = &mut self.0 else {
            return Ok(chunk.into());
        };
        let mut input: &[u8] = &chunk;
        let mut is_other = false;
        let mut value = None;
        while let Some(event) = scanner.next(&mut input) {
            match event {
                Event::Key(key) if key.as_deref() == Some("predictions") => {}
                Event::ValueStart(_) => {
                    // The value's first byte has been read.
                    value = Some(chunk.len() - input.len() - 1);
                    break;
                }
                _ => {
                    is_other = true;
                    break;
                }
            }
        }
        if let Some(begin) = value {
            let mut scanner = scanner.clone();
            let end = value_end(&mut scanner, input)?.map(|end| chunk.len() - input.len() + end);
            self.0 = match end {
                Some(_) => State::Tail { scanner },
                None => State::Value { scanner },
            };
            return Ok(chunk.slice(begin..end.unwrap_or(chunk.len())).into());
        }
        let is_other = is_other || scanner.is_broken();
        held.push(chunk);
        if is_other || held.len() > LONGEST_HEAD {
            let held = std::mem::take(held);
            self.0 = State::Passing;
            return Ok(held);
        }
        Ok(Segments::default())
    }

    fn push_value(&mut self, chunk: Bytes) -> Result<Segments, UnexpectedAnswer> {
        let State::Value { scanner } = &mut self.0 else {
            return Ok(chunk.into());
        };
        let Some(end) = value_end(scanner, &chunk)? else {
            return Ok(chunk.into());
        };
        let scanner = scanner.clone();
        self.0 = State::Tail { scanner };
        Ok(chunk.slice(..end).into())
    }
}

/// Where in `input` the value ends, if it does; the rest of `input` is read as the tail then.
fn value_end(scanner: &mut ObjectScanner, input: &[u8]) -> Result<Option<usize>, UnexpectedAnswer> {
    let begin = scanner.offset();
    let mut rest = input;
    match scanner.next(&mut rest) {
        Some(Event::ValueEnd(end)) => {
            tail(scanner, rest)?;
            Ok(Some(end - begin))
        }
        Some(_) => Err(UnexpectedAnswer),
        None if scanner.is_broken() => Err(UnexpectedAnswer),
        None => Ok(None),
    }
}

/// Nothing but the end of the object may follow the value.
fn tail(scanner: &mut ObjectScanner, mut input: &[u8]) -> Result<(), UnexpectedAnswer> {
    while let Some(event) = scanner.next(&mut input) {
        if !matches!(event, Event::ObjectEnd(_)) {
            return Err(UnexpectedAnswer);
        }
    }
    if scanner.is_broken() {
        return Err(UnexpectedAnswer);
    }
    Ok(())
}

/// The change of an answer that is there as a whole: one of an unexpected shape passes as it is.
pub fn rewrite_whole(shape: AnswerShape, answer: Bytes) -> Segments {
    let mut rewrite = Rewrite::new(shape);
    let rewritten = rewrite.push(answer.clone()).and_then(|mut out| {
        out.extend(rewrite.finish()?.into_parts());
        Ok(out)
    });
    rewritten.unwrap_or_else(|UnexpectedAnswer| answer.into())
}
