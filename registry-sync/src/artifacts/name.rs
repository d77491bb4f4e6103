//! Which names from a listing may become names in our folder.

/// Whether `name` is one plain path component on every platform: nothing that leads up, down or elsewhere.
pub(super) fn is_plain(name: &str) -> bool {
    !matches!(name, "" | "." | "..")
        && name.len() <= 255
        && !name.contains(['/', '\\', '\0'])
        && !name.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_single_components_are_plain() {
        for name in ["MLmodel", ".hidden", "a b", "ü", "..a", "%2e%2e"] {
            assert!(is_plain(name), "{name:?}");
        }
        let long = "x".repeat(256);
        for name in [
            "", ".", "..", "/etc", "a/b", "../a", "a\\b", "a\0", "a\nb", &long,
        ] {
            assert!(!is_plain(name), "{name:?}");
        }
    }
}
