//! What a process printed last, in lines.

use std::collections::VecDeque;

/// Lines that are kept: enough for a Python traceback and the launcher's own below it.
const KEPT: usize = 200;
/// Lines that people are shown.
const SHOWN: usize = 20;
/// Bytes of one line that are kept.
const LONGEST: usize = 2000;

/// Is told each line as it ends. Must not wait.
pub(crate) type Listener = Box<dyn FnMut(&str) + Send>;

/// The last lines of an output that arrives in pieces.
#[derive(Default)]
pub(crate) struct Tail {
    lines: VecDeque<String>,
    /// The line that is not ended yet.
    open: Vec<u8>,
    listener: Option<Listener>,
}

impl Tail {
    /// One that tells each line to `listener`.
    pub(crate) fn told_to(listener: Option<Listener>) -> Self {
        Self {
            listener,
            ..Self::default()
        }
    }

    /// Takes the next piece.
    pub(crate) fn push(&mut self, piece: &[u8]) {
        let mut lines = piece.split(|byte| *byte == b'\n');
        if let Some(first) = lines.next() {
            self.extend(first);
        }
        for next in lines {
            self.end_line();
            self.extend(next);
        }
    }

    /// All kept lines, oldest first.
    pub(crate) fn into_lines(mut self) -> Vec<String> {
        if !self.open.is_empty() {
            self.end_line();
        }
        self.lines.into()
    }

    fn extend(&mut self, bytes: &[u8]) {
        let room = LONGEST.saturating_sub(self.open.len());
        self.open.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    fn end_line(&mut self) {
        if self.lines.len() == KEPT {
            self.lines.pop_front();
        }
        let line = String::from_utf8_lossy(&self.open);
        let line = line.trim_end();
        if let Some(tell) = &mut self.listener {
            tell(line);
        }
        self.lines.push_back(line.to_owned());
        self.open.clear();
    }
}

/// The last of `lines`, as many as people are shown.
pub(crate) fn last(lines: &[String]) -> Vec<String> {
    lines[lines.len().saturating_sub(SHOWN)..].to_vec()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_last_lines_are_kept_and_long_ones_are_cut() {
        let mut tail = Tail::default();
        for number in 0..1000 {
            tail.push(format!("line {number}\n").as_bytes());
        }
        tail.push(&[b'x'; 10_000]);
        let lines = tail.into_lines();
        assert_eq!(lines.len(), KEPT);
        assert_eq!(lines[KEPT - 2], "line 999");
        assert_eq!(lines[KEPT - 1].len(), LONGEST);
        assert_eq!(last(&lines).len(), SHOWN);
    }

    #[test]
    fn each_line_is_told_once_it_has_ended() {
        let (told, hears) = std::sync::mpsc::sync_channel(8);
        let mut tail = Tail::told_to(Some(Box::new(move |line| {
            told.try_send(line.to_owned()).unwrap();
        })));
        tail.push(b"Resolved 3 pack");
        assert!(hears.try_recv().is_err());
        tail.push(b"ages\nInst");
        assert_eq!(hears.try_recv().unwrap(), "Resolved 3 packages");
        assert_eq!(tail.into_lines().len(), 2);
        assert_eq!(hears.try_recv().unwrap(), "Inst");
    }

    proptest! {
        #[test]
        fn it_does_not_matter_where_the_pieces_are_cut(text in "[a-c\n]{0,60}", cut in 0_usize..60) {
            let cut = cut.min(text.len());
            let (mut whole, mut pieces) = (Tail::default(), Tail::default());
            whole.push(text.as_bytes());
            pieces.push(&text.as_bytes()[..cut]);
            pieces.push(&text.as_bytes()[cut..]);
            let lines = whole.into_lines();
            prop_assert_eq!(&lines, &text.lines().map(str::to_owned).collect::<Vec<_>>());
            prop_assert_eq!(lines, pieces.into_lines());
        }
    }
}
