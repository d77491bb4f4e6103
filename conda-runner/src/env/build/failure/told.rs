//! What a program said, as one text: older versions of uv break lines at 80 columns and draw lines beside them.

use crate::env::build::indexes::without_secrets;

/// Beside the causes of an error.
const DRAWN: [char; 6] = ['×', '│', '├', '╰', '─', '▶'];

/// An output without its layout.
pub(super) struct Told {
    /// All words, each apart from the next by one space.
    pub(super) text: String,
    /// The lines without indentation and drawing.
    pub(super) lines: Vec<String>,
}

impl Told {
    /// Whatever may be secret in an address is cut out.
    pub(super) fn new<'a>(lines: impl Iterator<Item = &'a String>) -> Self {
        let is_layout = |character: char| character.is_whitespace() || DRAWN.contains(&character);
        let lines: Vec<String> = lines
            .map(|line| without_secrets(line.trim_start_matches(is_layout).trim_end()))
            .collect();
        let words = lines.iter().flat_map(|line| line.split_whitespace());
        Self {
            text: words.collect::<Vec<_>>().join(" "),
            lines,
        }
    }

    /// Whether one of the parts is in the text.
    pub(super) fn has(&self, parts: &[&str]) -> bool {
        parts.iter().any(|part| self.text.contains(part))
    }

    /// What comes after `start`, up to the end of the word.
    pub(super) fn word_after(&self, start: &str) -> Option<&str> {
        let (_, rest) = self.text.split_once(start)?;
        let word = rest.split_whitespace().next()?;
        let word = word.trim_matches(['`', '\'', '"', '(', ')', ',', ';', ':']);
        (!word.is_empty()).then_some(word)
    }

    /// What comes first between `start` and the `end` after it.
    pub(super) fn between(&self, start: &str, end: &str) -> Option<&str> {
        let (_, rest) = self.text.split_once(start)?;
        Some(rest.split_once(end)?.0.trim())
    }

    /// What comes before `end`, from the last `start` on.
    pub(super) fn between_last(&self, start: &str, end: &str) -> Option<&str> {
        let (before, _) = self.text.split_once(end)?;
        Some(before.rsplit_once(start)?.1.trim())
    }

    /// The first line that begins like this, without that beginning.
    pub(super) fn line_after(&self, start: &str) -> Option<&str> {
        self.lines.iter().find_map(|line| line.strip_prefix(start))
    }
}

/// As much of a text as people read: cut after a word, with a sign that there is more.
pub(super) fn shortened(text: &str, longest: usize) -> String {
    if text.chars().count() <= longest {
        return text.to_owned();
    }
    let cut: String = text.chars().take(longest).collect();
    let end = cut.rfind(' ').unwrap_or(cut.len());
    format!("{} …", &cut[..end])
}

/// What follows in the last line that begins like this.
pub(super) fn last_after<'a>(lines: &'a [String], start: &str) -> Option<&'a str> {
    lines.iter().rev().find_map(|line| line.strip_prefix(start))
}
