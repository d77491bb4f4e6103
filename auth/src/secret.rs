//! A text that must not be seen: hides itself wherever values are printed, and tells nothing by the time a comparison takes.

use std::fmt;

use subtle::ConstantTimeEq;

/// A token or a password. It has no `Serialize` and no `Hash`, and prints as `***`; only [`Secret::expose`] shows it.
#[derive(Clone)]
pub struct Secret(Box<str>);

impl Secret {
    /// Hides `text` from now on.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The text itself: to be shown once, or to be digested. Never for a log.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is nothing to hide.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Takes the same time wherever two texts of one length differ; the length itself is not hidden.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(***)")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_seen_only_on_request() {
        let secret = Secret::new("hunter2");
        assert_eq!(
            format!("{secret:?} {secret:#?} {secret}"),
            "Secret(***) Secret(***) ***"
        );
        assert_eq!(secret.expose(), "hunter2");
    }

    #[test]
    fn what_is_printed_does_not_even_tell_the_length() {
        assert_eq!(
            format!("{:?}", Secret::new("")),
            format!("{:?}", Secret::new("a long one"))
        );
    }

    #[test]
    fn secrets_are_equal_when_their_texts_are() {
        assert_eq!(Secret::new("abc"), Secret::from("abc".to_owned()));
        assert_ne!(Secret::new("abc"), Secret::new("abd"));
        assert_ne!(Secret::new("abc"), Secret::new("ab"));
        assert_ne!(Secret::new("abc"), Secret::new(""));
        assert_eq!(Secret::new(""), Secret::new(""));
        assert!(Secret::new("").is_empty());
    }
}
