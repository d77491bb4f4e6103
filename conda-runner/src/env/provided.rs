//! How a version came by its environment, as it is told in the event log.

use std::time::Duration;

use serving_core::Note;

/// Where an environment was taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Provided {
    /// It was made for whoever asked.
    Built,
    /// It was there.
    Reused,
    /// Somebody else was making it.
    Awaited,
}

impl Provided {
    /// What is worth keeping, `took` after it was asked for.
    pub(super) fn note(self, key: &str, took: Duration) -> Note {
        let short = &key[..key.len().min(8)];
        let seconds = format!("{:.1} s", took.as_secs_f64());
        let (kind, message) = match self {
            Self::Built => (
                "environment_built",
                format!("Environment {short} was built in {seconds}"),
            ),
            Self::Reused => (
                "environment_reused",
                format!("Environment {short} was there and is reused"),
            ),
            Self::Awaited => (
                "environment_reused",
                format!(
                    "Environment {short} was being built for another version, and was there after {seconds}"
                ),
            ),
        };
        Note::new(kind, message)
            .took(took)
            .about("environment", key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_built_and_what_was_reused_are_told_apart() {
        let note = |provided: Provided| provided.note("0123456789abcdef", Duration::from_secs(42));
        let told = [Provided::Built, Provided::Reused, Provided::Awaited].map(|provided| {
            let note = note(provided);
            assert_eq!(note.about["environment"], "0123456789abcdef".into());
            format!("{}: {}", note.kind, note.message)
        });
        insta::assert_snapshot!(told.join("\n"), @r"
        environment_built: Environment 01234567 was built in 42.0 s
        environment_reused: Environment 01234567 was there and is reused
        environment_reused: Environment 01234567 was being built for another version, and was there after 42.0 s
        ");
    }
}
