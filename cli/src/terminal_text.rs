//! What models print, on its way to a terminal that would obey it: inert text, line by line.

use gateway::control_plane::inert;

/// A longer line is shown in pieces.
const LONGEST: usize = 64 << 10;

/// Text that arrives in pieces, whose last line may not have ended yet.
#[derive(Debug, Default)]
pub(crate) struct TerminalText(Vec<u8>);

impl TerminalText {
    /// The lines that end with `piece`, as they may be shown.
    pub(crate) fn push(&mut self, piece: &[u8]) -> String {
        self.0.extend_from_slice(piece);
        let mut shown = String::new();
        let mut rest = self.0.as_slice();
        while let Some(at) = rest.iter().position(|byte| *byte == b'\n') {
            // Some programs end lines as Windows does.
            let line = rest[..at].strip_suffix(b"\r").unwrap_or(&rest[..at]);
            shown.push_str(&inert(line));
            shown.push('\n');
            rest = &rest[at + 1..];
        }
        if rest.len() > LONGEST {
            shown.push_str(&inert(rest));
            rest = &[];
        }
        self.0 = rest.to_vec();
        shown
    }

    /// What is left when nothing more comes.
    pub(crate) fn end(self) -> String {
        inert(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_obeys_nothing_wherever_the_pieces_are_cut() {
        let printed = "\u{1b}[31mrot\u{1b}[0m ü\r\n\u{1b}]0;title\u{7}\nhalf".as_bytes();
        for cut in 0..printed.len() {
            let mut text = TerminalText::default();
            let mut shown = text.push(&printed[..cut]);
            shown += &text.push(&printed[cut..]);
            shown += &text.end();
            assert_eq!(shown, "rot ü\n\\u{1b}]0;title\\u{7}\nhalf", "{cut}");
        }
    }

    #[test]
    fn an_endless_line_is_not_kept() {
        let mut text = TerminalText::default();
        assert_eq!(text.push(&vec![b'x'; LONGEST + 1]).len(), LONGEST + 1);
        assert_eq!(text.end(), "");
    }
}
