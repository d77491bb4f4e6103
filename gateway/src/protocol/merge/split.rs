//! One answer cut into those of the callers whose rows were asked about together.

use std::ops::Range;

use bytes::Bytes;

use super::super::segments::is_whitespace;

/// Cuts `{"predictions": [ … ]}` or `[ … ]` into one body for each of `rows`, which says how many items belong to whom. Each
/// has memory of its own, the brackets, the whitespace and the items that the worker printed. `None` if the answer is anything else, or not
/// exactly one item a row.
///
/// Items are whatever lies between commas at the top: `NaN`, `Infinity` and text with brackets too.
pub fn split(answer: &Bytes, rows: &[usize]) -> Option<Vec<Bytes>> {
    let mut scan = Scan::new(answer);
    let shares = scan.shares(rows)?;
    let (head, tail) = (&answer[..shares.begin], &answer[shares.end..]);
    // Each in memory of its own: a client that reads slowly must not keep what others had.
    let cut = shares
        .items
        .into_iter()
        .map(|items| [head, &answer[items], tail].concat().into());
    Some(cut.collect())
}

/// What belongs to whom.
#[derive(Debug)]
pub(super) struct Shares {
    /// Where the first item begins.
    begin: usize,
    /// Where the last item ends.
    end: usize,
    /// For each caller, from its first item to the end of its last.
    items: Vec<Range<usize>>,
}

/// A place in an answer.
#[derive(Debug)]
pub(super) struct Scan<'a> {
    pub(super) text: &'a [u8],
    pub(super) at: usize,
    /// Bytes looked at so far.
    #[cfg(test)]
    pub(super) looked: usize,
}

impl<'a> Scan<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self {
            text,
            at: 0,
            #[cfg(test)]
            looked: 0,
        }
    }

    /// Where the next items are, between commas.
    pub(super) fn items(&mut self, count: usize) -> Option<Vec<Range<usize>>> {
        let mut items = Vec::with_capacity(count);
        for number in 0..count {
            if number > 0 {
                self.take(b',')?;
            }
            self.peek()?;
            let begin = self.at;
            self.item()?;
            items.push(begin..self.at);
        }
        Some(items)
    }

    pub(super) fn shares(&mut self, rows: &[usize]) -> Option<Shares> {
        let wrapped = self.peek()? == b'{';
        if wrapped {
            self.take(b'{')?;
            self.peek()?;
            for byte in b"\"predictions\"" {
                self.exactly(*byte)?;
            }
            self.take(b':')?;
        }
        self.take(b'[')?;
        self.peek()?;
        let begin = self.at;
        let mut end = begin;
        let mut items = Vec::with_capacity(rows.len());
        let mut is_first = true;
        for count in rows {
            let mut share = end..end;
            for number in 0..*count {
                if !std::mem::take(&mut is_first) {
                    self.take(b',')?;
                }
                self.peek()?;
                if number == 0 {
                    share.start = self.at;
                }
                self.item()?;
                end = self.at;
                share.end = end;
            }
            items.push(share);
        }
        self.take(b']')?;
        if wrapped {
            self.take(b'}')?;
        }
        self.peek()
            .is_none()
            .then_some(Shares { begin, end, items })
    }

    /// Passes over one item.
    fn item(&mut self) -> Option<()> {
        match self.peek()? {
            b'"' => self.string(),
            b'[' | b'{' => self.nested(),
            _ => self.word(),
        }
    }

    /// Brackets must close in the order in which they opened, or this is none that can be cut.
    fn nested(&mut self) -> Option<()> {
        let mut open = Vec::new();
        loop {
            match *self.text.get(self.at)? {
                b'"' => self.string()?,
                byte @ (b'[' | b'{') => {
                    open.push(byte);
                    self.advance();
                }
                byte @ (b']' | b'}') => {
                    // The closing one comes two characters after the opening one.
                    if open.pop()? + 2 != byte {
                        return None;
                    }
                    self.advance();
                    if open.is_empty() {
                        return Some(());
                    }
                }
                _ => self.advance(),
            }
        }
    }

    fn string(&mut self) -> Option<()> {
        self.exactly(b'"')?;
        loop {
            match *self.text.get(self.at)? {
                b'"' => {
                    self.advance();
                    return Some(());
                }
                b'\\' => {
                    self.advance();
                    self.text.get(self.at)?;
                    self.advance();
                }
                _ => self.advance(),
            }
        }
    }

    /// A number, `true`, `false`, `null`, `NaN` or `-Infinity`.
    fn word(&mut self) -> Option<()> {
        let begin = self.at;
        while let Some(b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'+' | b'-' | b'.') =
            self.text.get(self.at)
        {
            self.advance();
        }
        (self.at > begin).then_some(())
    }

    fn peek(&mut self) -> Option<u8> {
        while let Some(&byte) = self.text.get(self.at) {
            if !is_whitespace(byte) {
                return Some(byte);
            }
            self.advance();
        }
        None
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        self.peek()?;
        self.exactly(byte)
    }

    fn exactly(&mut self, byte: u8) -> Option<()> {
        if *self.text.get(self.at)? != byte {
            return None;
        }
        self.advance();
        Some(())
    }

    fn advance(&mut self) {
        self.at += 1;
        #[cfg(test)]
        {
            self.looked += 1;
        }
    }
}
