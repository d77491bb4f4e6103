//! Finds what somebody probably meant.

/// Up to this many wrong letters still count as a slip.
const MAX_SLIPS: usize = 3;

/// The word of `known` that `typed` is probably a slip of, if any is near.
pub fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let typed = typed.to_lowercase().replace('-', "_");
    known
        .into_iter()
        .map(|word| (strsim::damerau_levenshtein(&typed, word), word))
        .filter(|(slips, word)| *slips <= MAX_SLIPS.min(word.len() / 2))
        .min_by_key(|(slips, _)| *slips)
        .map(|(_, word)| word)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_slip_finds_its_word_and_another_word_finds_nothing() {
        let known = ["replicas", "timeout", "max_queue"];
        assert_eq!(nearest("replica", known), Some("replicas"));
        assert_eq!(nearest("Max-Queue", known), Some("max_queue"));
        assert_eq!(nearest("tiemout", known), Some("timeout"));
        assert_eq!(nearest("colour", known), None);
    }
}
