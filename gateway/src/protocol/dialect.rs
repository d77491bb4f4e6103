//! Which scoring protocol a worker speaks.

/// MLflow changed its scoring protocol once, in 2.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// MLflow 1.x: bare lists and split objects, orientation in the content type, bare answers.
    V1,
    /// MLflow 2.x and 3.x: `dataframe_records`, `dataframe_split`, `instances`, `inputs`; answers under `predictions`.
    V2,
}

impl Dialect {
    /// The dialect of a worker that says `version` of itself (`GET /version`). An unknown text counts as current.
    pub fn of_worker(version: &str) -> Self {
        match version.trim().split('.').next() {
            Some("0" | "1") => Self::V1,
            _ => Self::V2,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_major_version_counts() {
        for (version, dialect) in [
            ("1.30.1", Dialect::V1),
            ("1.0\n", Dialect::V1),
            ("2.0.0rc0", Dialect::V2),
            ("3.17.2", Dialect::V2),
            ("10.1.0", Dialect::V2),
            ("", Dialect::V2),
        ] {
            assert_eq!(Dialect::of_worker(version), dialect, "{version:?}");
        }
    }
}
