//! The file `conda.yaml`, as MLflow 1, 2 and 3 write it and as people edit it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_yaml_ng::{Mapping, Value};
use serving_core::LoadError;

use super::text::{self, not_yaml, wrong};
use crate::env::secrets::redacted;

const NAME: &str = "conda.yaml";
/// Where conda looks if the file names no channel.
const DEFAULTS: &str = "defaults";
/// Not a channel: says that `defaults` is not to be added.
const NO_DEFAULTS: &str = "nodefaults";
/// Keys that say nothing about what is in the environment.
const WITHOUT_MEANING: [&str; 2] = ["name", "prefix"];

/// What it says, each entry as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CondaFile {
    /// In the order of their priority; `defaults` and URLs as they are written.
    pub(crate) channels: Vec<String>,
    /// Match specs: `python=3.11.7`, `conda-forge::numpy >=1.2`.
    pub(crate) packages: Vec<String>,
    /// Lines of a requirements file, installed afterwards.
    pub(crate) pip: Vec<String>,
    /// Variables that its activation sets.
    pub(crate) variables: BTreeMap<String, String>,
    /// What people should know about how it was understood.
    pub(crate) notes: Vec<String>,
}

/// Read on its own, since only so a number keeps the digits that it is written with: `VERSION: 3.10`.
#[derive(Deserialize)]
struct Variables {
    variables: Option<BTreeMap<String, Option<String>>>,
}

impl CondaFile {
    /// Reads it from a model folder; `None` if there is no such file.
    pub(crate) async fn read(folder: &Path) -> Result<Option<Self>, LoadError> {
        let text = text::read(folder, NAME).await?;
        text.map(|text| Self::parse(&text)).transpose()
    }

    /// Understands its text.
    pub(crate) fn parse(text: &str) -> Result<Self, LoadError> {
        let mut file = Self::default();
        let mut channels = None;
        for (key, value) in mapping(text)? {
            match key.as_str() {
                "channels" => channels = Some(texts("channels", value)?),
                "dependencies" => file.dependencies(value)?,
                "variables" => file.variables = variables(text)?,
                known if WITHOUT_MEANING.contains(&known) => {}
                unknown => file.notes.push(format!(
                    "{NAME} has the key {}, which is ignored",
                    redacted(unknown)
                )),
            }
        }
        file.channels = chosen(channels.unwrap_or_default());
        if file.channels.is_empty() && !file.packages.is_empty() {
            return Err(wrong(
                NAME,
                "`nodefaults` leaves no channel to take packages from: name one, such as conda-forge, under `channels`",
            ));
        }
        Ok(file)
    }

    fn dependencies(&mut self, value: Value) -> Result<(), LoadError> {
        let entries = match value {
            Value::Null => Vec::new(),
            Value::Sequence(entries) => entries,
            single @ Value::String(_) => vec![single],
            _ => {
                return Err(wrong(
                    NAME,
                    "`dependencies` is not a list: write one package a line, each after a dash",
                ));
            }
        };
        for (at, entry) in entries.into_iter().enumerate() {
            match entry {
                Value::Null => {}
                Value::String(package) => self.packages.extend(words(&package)),
                Value::Mapping(group) => self.group(at, group)?,
                other => {
                    return Err(wrong(
                        NAME,
                        format!(
                            "entry {} of `dependencies` is {}, which is no package: write `name=version`",
                            at + 1,
                            shown(&other)
                        ),
                    ));
                }
            }
        }
        Ok(())
    }

    /// Takes `pip: […]`; another mapping is most likely `python: 3.10`, written with the wrong sign.
    fn group(&mut self, at: usize, group: Mapping) -> Result<(), LoadError> {
        for (key, value) in group {
            let key = key.as_str().map_or_else(|| shown(&key), str::to_owned);
            if key.trim() != "pip" {
                return Err(wrong(
                    NAME,
                    format!(
                        "entry {} of `dependencies` is `{key}: …`, and only `pip:` may have something below it: \
                         write a package as `{key}=VERSION`",
                        at + 1
                    ),
                ));
            }
            self.pip.extend(texts("pip", value)?);
        }
        Ok(())
    }
}

/// The keys of the file. An empty file has none.
fn mapping(text: &str) -> Result<Vec<(String, Value)>, LoadError> {
    let pairs = match serde_yaml_ng::from_str(text).map_err(not_yaml(NAME))? {
        Value::Null => Mapping::new(),
        Value::Mapping(pairs) => pairs,
        _ => {
            return Err(wrong(
                NAME,
                "it is not a mapping: it should have the keys `channels` and `dependencies`",
            ));
        }
    };
    Ok(pairs
        .into_iter()
        .map(|(key, value)| {
            (
                key.as_str().map_or_else(|| shown(&key), str::to_owned),
                value,
            )
        })
        .collect())
}

/// A list of texts, or one text that stands for a list of one. A text of several lines is several entries.
fn texts(key: &str, value: Value) -> Result<Vec<String>, LoadError> {
    let entries = match value {
        Value::Null => return Ok(Vec::new()),
        Value::String(text) => return Ok(words(&text)),
        Value::Sequence(entries) => entries,
        other => {
            let shown = shown(&other);
            return Err(wrong(
                NAME,
                format!("`{key}` is {shown}: write a list, each entry after a dash"),
            ));
        }
    };
    let mut all = Vec::with_capacity(entries.len());
    for (at, entry) in entries.into_iter().enumerate() {
        match entry {
            Value::Null => {}
            Value::String(text) => all.extend(words(&text)),
            other => {
                return Err(wrong(
                    NAME,
                    format!(
                        "entry {} of `{key}` is {}, which is no text: put it into quotes",
                        at + 1,
                        shown(&other)
                    ),
                ));
            }
        }
    }
    Ok(all)
}

fn words(text: &str) -> Vec<String> {
    let lines = text.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

fn variables(text: &str) -> Result<BTreeMap<String, String>, LoadError> {
    let read: Variables = serde_yaml_ng::from_str(text).map_err(not_yaml(NAME))?;
    let mut all = BTreeMap::new();
    for (name, value) in read.variables.unwrap_or_default() {
        let value = value.unwrap_or_default();
        // What the operating system cannot pass on would fail every start with a riddle.
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            return Err(wrong(
                NAME,
                format!("`variables` cannot set {name:?}: no program could see it"),
            ));
        }
        all.insert(name, value);
    }
    Ok(all)
}

fn chosen(mut channels: Vec<String>) -> Vec<String> {
    if channels.is_empty() {
        return vec![DEFAULTS.to_owned()];
    }
    channels.retain(|channel| channel != NO_DEFAULTS);
    channels
}

/// A value on one line, for people.
fn shown(value: &Value) -> String {
    // Its digits are lost: 3.10 was read as 3.1.
    if value.is_number() {
        return "a number".to_owned();
    }
    let text = serde_yaml_ng::to_string(value).unwrap_or_default();
    // Before it is cut: of a part nobody knows any more that it is secret.
    let text = redacted(&text.trim().replace('\n', " "));
    let start: String = text.chars().take(60).collect();
    format!("`{start}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> CondaFile {
        CondaFile::parse(text).unwrap()
    }

    fn wrong_in(text: &str) -> String {
        let error = CondaFile::parse(text).unwrap_err();
        assert_eq!(error.code.as_deref(), Some("INVALID_DECLARATION"), "{text}");
        assert_eq!(error.retry, serving_core::Retry::Never, "{text}");
        error.message.to_string()
    }

    #[test]
    fn what_mlflow_3_writes_is_read() {
        let file = parse(
            "channels:\n- conda-forge\ndependencies:\n- python=3.11.7\n- pip<=23.2.1\n- pip:\n  - mlflow==3.17.2\n  - cloudpickle==2.2.1\nname: mlflow-env\n",
        );
        assert_eq!(file.channels, ["conda-forge"]);
        assert_eq!(file.packages, ["python=3.11.7", "pip<=23.2.1"]);
        assert_eq!(file.pip, ["mlflow==3.17.2", "cloudpickle==2.2.1"]);
        assert_eq!(file.notes, [""; 0]);
    }

    #[test]
    fn what_mlflow_1_writes_is_read() {
        let file = parse(
            "channels:\n- defaults\n- conda-forge\ndependencies:\n- python=3.8.18\n- scikit-learn=0.23\n- pip\n- pip:\n  - mlflow\n  - cloudpickle==1.6.0\nname: mlflow-env\n",
        );
        assert_eq!(file.channels, ["defaults", "conda-forge"]);
        assert_eq!(file.packages, ["python=3.8.18", "scikit-learn=0.23", "pip"]);
        assert_eq!(file.pip, ["mlflow", "cloudpickle==1.6.0"]);
    }

    #[test]
    fn what_people_write_is_read() {
        let file = parse(
            r#"# the environment of the credit model
name: 7
prefix: /home/anna/conda/envs/credit
channels: conda-forge   # one string
dependencies:
  - "conda-forge::numpy >=1.2,<2"
  - libgomp  # [linux]
  -
  - pip:
      - mlflow[extras]
      - -r requirements.txt
      - 'importlib-metadata ; python_version < "3.9"'
  - pip: --index-url https://index/simple
variables:
  OMP_NUM_THREADS: 1
  VERSION: 3.10
  FLAG: true
  NOTHING:
platforms: [linux-64]
"#,
        );
        assert_eq!(file.channels, ["conda-forge"]);
        assert_eq!(file.packages, ["conda-forge::numpy >=1.2,<2", "libgomp"]);
        assert_eq!(
            file.pip,
            [
                "mlflow[extras]",
                "-r requirements.txt",
                "importlib-metadata ; python_version < \"3.9\"",
                "--index-url https://index/simple"
            ]
        );
        let variables = [
            ("OMP_NUM_THREADS", "1"),
            ("VERSION", "3.10"),
            ("FLAG", "true"),
            ("NOTHING", ""),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(file.variables, BTreeMap::from(variables));
        assert_eq!(
            file.notes,
            ["conda.yaml has the key platforms, which is ignored"]
        );
    }

    #[test]
    fn without_channels_it_means_defaults_and_nodefaults_is_none() {
        for text in ["dependencies: [numpy]", "channels:\n", "channels: []", ""] {
            assert_eq!(parse(text).channels, ["defaults"], "{text}");
        }
        let file = parse("channels: [conda-forge, nodefaults]");
        assert_eq!(file.channels, ["conda-forge"]);
    }

    #[test]
    fn lists_that_are_empty_or_null_hold_nothing() {
        for text in ["dependencies:", "dependencies: []", "dependencies: [pip: ]"] {
            let file = parse(text);
            assert_eq!((file.packages.len(), file.pip.len()), (0, 0), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_where_and_what_to_do() {
        let all = [
            "dependencies:\n- python: 3.10\n",
            "dependencies:\n- numpy\n- 3.10\n",
            "dependencies: {python: 3.10}",
            "dependencies:\n- pip:\n  - 1.0\n",
            "dependencies:\n- pip: {mlflow: 3}\n",
            "channels: {a: b}",
            "channels: [nodefaults]\ndependencies: [numpy]",
            "- python=3.11",
            "channels: [\n",
            "variables: {'A=B': 1}",
            "variables: {A: [1]}",
            "dependencies: []\ndependencies: []",
        ];
        let told = all.map(|text| format!("{text}\n  => {}\n", wrong_in(text)));
        insta::assert_snapshot!(told.join("\n"));
    }

    #[test]
    fn what_is_wrong_is_said_without_the_passwords_in_it() {
        let long = "sEcret".repeat(20);
        for text in [
            format!("dependencies: [['https://me:{long}@host/own::x']]"),
            "dependencies: [{'https://me:sEcret@host/own': 1}]".to_owned(),
            "channels: {'https://host/t/sEcret/own': 1}".to_owned(),
            "dependencies: []\nvariables: 'https://me:sEcret@host'".to_owned(),
        ] {
            let told = wrong_in(&text);
            assert!(!told.contains("sEcret"), "{told}");
        }
        let file = parse("https://me:sEcret@host: 1");
        assert!(!file.notes.concat().contains("sEcret"), "{file:?}");
    }

    #[tokio::test]
    async fn what_is_no_text_or_too_large_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        assert_eq!(CondaFile::read(folder.path()).await, Ok(None));
        for (content, says) in [
            (b"\xff\xfe".to_vec(), "not UTF-8"),
            (vec![b' '; 17 << 20], "larger than 16 MB"),
        ] {
            std::fs::write(&path, content).unwrap();
            let error = CondaFile::read(folder.path()).await.unwrap_err();
            assert!(error.message.contains(says), "{error}");
        }
    }

    #[test]
    fn aliases_that_would_fill_the_memory_are_refused() {
        let level = |level: usize| {
            let last = format!("*a{}", level - 1);
            format!("a{level}: &a{level} [{}]\n", vec![last; 9].join(", "))
        };
        let levels: String = (1..12).map(level).collect();
        let bomb = format!("a0: &a0 [x, x, x, x, x, x, x, x, x]\n{levels}");
        wrong_in(&bomb);
    }
}
