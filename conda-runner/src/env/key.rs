//! The key of an environment: equal for declarations that mean the same, different for all others.

use std::path::Path;

use serde::Serialize;
use serving_core::LoadError;

use super::declared::PythonEnv;
use super::requirements::Requirements;
use crate::names;

/// Raised when environments are built in another way, so that those of the old way are not taken for the new.
const BUILDER: &str = "uv-1";

/// All that decides what is in an environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Recipe {
    builder: &'static str,
    platform: String,
    python: Option<String>,
    first: Requirements,
    then: Requirements,
    constraints: Requirements,
}

impl Recipe {
    /// The recipe for what the model in `folder` declares, under the operator's constraints (the text of their file).
    /// Blocks on the disk.
    pub(crate) fn new(
        folder: &Path,
        declared: &PythonEnv,
        constraints: &str,
    ) -> Result<Self, LoadError> {
        Ok(Self {
            builder: BUILDER,
            platform: format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH),
            python: declared.python.clone(),
            first: Requirements::collect(folder, &declared.build_dependencies)?,
            then: Requirements::collect(folder, &declared.dependencies)?,
            constraints: Requirements::collect_text(folder, constraints)?,
        })
    }

    /// 128 bits as hexadecimal digits, fit for a folder's name.
    pub(crate) fn key(&self) -> String {
        // JSON writes different values differently.
        let written =
            serde_json::to_string(self).expect("a value of texts, lists and maps by text");
        names::digest(&[&written])
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Name and versions of one requirement.
    type Wanted = BTreeMap<String, Vec<(String, u8)>>;

    fn wanted() -> impl Strategy<Value = Wanted> {
        let operator = prop::sample::select(vec!["==", ">=", "<=", "<", ">", "!=", "~="]);
        let versions = prop::collection::btree_map(operator.prop_map(str::to_owned), 0_u8..4, 0..3);
        let versions = versions.prop_map(|versions| versions.into_iter().collect::<Vec<_>>());
        prop::collection::btree_map("[ab]{1,2}-[ab]", versions, 0..4)
    }

    /// How a text is written: bits decide about spaces, case, order and comments.
    fn written(wanted: &Wanted, mut style: u64) -> String {
        let mut choose = || {
            style = style.rotate_left(1);
            style & 1 == 1
        };
        let mut lines = Vec::new();
        for (name, versions) in wanted {
            let mut name = if choose() {
                name.to_uppercase()
            } else {
                name.clone()
            };
            if choose() {
                name = name.replace('-', if choose() { "_" } else { "." });
            }
            let mut versions: Vec<String> = versions
                .iter()
                .map(|(operator, number)| {
                    let space = if choose() { "  " } else { "" };
                    format!("{space}{operator}{space}{number}.0")
                })
                .collect();
            if choose() {
                versions.reverse();
            }
            let comment = if choose() { "  # why" } else { "" };
            lines.push(format!("{name}{}{comment}", versions.join(",")));
            if choose() {
                lines.push(String::new());
            }
            if choose() {
                lines.push("# a comment alone".to_owned());
            }
        }
        if choose() {
            lines.reverse();
        }
        lines.join(if choose() { "\r\n" } else { "\n" })
    }

    fn key(python: &str, requirements: &str, constraints: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("requirements.txt"), requirements).unwrap();
        let declared = PythonEnv {
            python: Some(python.to_owned()),
            dependencies: vec!["-r requirements.txt".to_owned()],
            ..PythonEnv::default()
        };
        Recipe::new(folder.path(), &declared, constraints)
            .unwrap()
            .key()
    }

    proptest! {
        #[test]
        fn keys_are_equal_exactly_when_the_meaning_is(
            one in wanted(), other in wanted(), styles in any::<(u64, u64)>()
        ) {
            let plain = key("3.11", &written(&one, 0), "");
            prop_assert_eq!(&plain, &key("3.11", &written(&one, styles.0), ""));
            let other_key = key("3.11", &written(&other, styles.1), "");
            prop_assert_eq!(one == other, plain == other_key);
        }
    }

    #[test]
    fn python_constraints_and_the_place_of_a_line_count() {
        let keys = [
            key("3.11", "numpy", ""),
            key("3.12", "numpy", ""),
            key("3.11", "numpy", "scipy<2"),
            key("3.11", "numpy\nscipy<2", ""),
            key("3.11", "numpy\n--index-url https://one", ""),
        ];
        let different: std::collections::BTreeSet<_> = keys.iter().collect();
        assert_eq!(different.len(), keys.len());
        assert!(keys[0].len() == 32);
    }
}
