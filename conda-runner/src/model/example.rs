//! The logged input example, turned into a request that this version's worker understands.

use std::path::{Component, Path};

use bytes::Bytes;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::Example;
use super::declaration::DeclaredExample;

/// Bytes of an example that is kept in memory: the limit of a request.
const LARGEST: u64 = 16 << 20;

/// The keys of an object that decide what kind of body it is.
#[derive(Deserialize)]
struct Shape<'a> {
    columns: Option<IgnoredAny>,
    data: Option<IgnoredAny>,
    inputs: Option<IgnoredAny>,
    instances: Option<IgnoredAny>,
    messages: Option<IgnoredAny>,
    #[serde(borrow)]
    dataframe_split: Option<&'a serde_json::value::RawValue>,
    #[serde(borrow)]
    dataframe_records: Option<&'a serde_json::value::RawValue>,
}

/// Reads the example of the model in `folder`; `None` if there is none that could be sent.
pub(super) async fn read(
    folder: &Path,
    declared: &DeclaredExample,
    worker_major: u32,
) -> Option<Example> {
    if let Some(body) = text(folder, declared.serving_input_path.as_deref()).await {
        return if worker_major >= 2 {
            modern(body)
        } else {
            unwrapped(&body)
        };
    }
    let body = text(folder, declared.artifact_path.as_deref()).await?;
    from_saved(body, declared, worker_major)
}

/// A file of the model, if it is one: an example is shown to clients, so a name may not lead out of the folder.
async fn text(folder: &Path, name: Option<&str>) -> Option<String> {
    let name = Path::new(name?);
    if !name
        .components()
        .all(|part| matches!(part, Component::Normal(_)))
    {
        return None;
    }
    let folder = tokio::fs::canonicalize(folder).await.ok()?;
    let path = tokio::fs::canonicalize(folder.join(name)).await.ok()?;
    let length = tokio::fs::metadata(&path).await.ok()?.len();
    if !path.starts_with(&folder) || length > LARGEST {
        return None;
    }
    let text = tokio::fs::read_to_string(path).await.ok()?;
    serde_json::from_str::<IgnoredAny>(&text)
        .is_ok()
        .then_some(text)
}

/// The example as it was logged: bodies are built around its bytes, so that no number changes.
fn from_saved(body: String, declared: &DeclaredExample, worker_major: u32) -> Option<Example> {
    let kind = declared.kind.as_deref();
    if kind.is_some_and(|kind| kind.starts_with("sparse")) {
        return None;
    }
    let Ok(shape) = serde_json::from_str::<Shape<'_>>(&body) else {
        // A list: rows of a data frame, or plain data.
        let records = kind.is_none_or(|kind| kind == "dataframe")
            && declared.pandas_orient.as_deref() != Some("split");
        return match (worker_major >= 2, records) {
            (true, true) => wrapped("dataframe_records", &body),
            (true, false) => wrapped("inputs", &body),
            (false, true) => legacy("pandas-records", body),
            (false, false) => None,
        };
    };
    let is_body = shape.inputs.is_some()
        || shape.instances.is_some()
        || shape.messages.is_some()
        || shape.dataframe_split.is_some()
        || shape.dataframe_records.is_some();
    let is_split = shape.columns.is_some() || shape.data.is_some() && kind == Some("dataframe");
    match (worker_major >= 2, is_body, is_split) {
        (true, true, _) => modern(body),
        (true, false, true) => wrapped("dataframe_split", &body),
        (true, false, false) => wrapped("inputs", &body),
        (false, true, _) => unwrapped(&body),
        (false, false, true) => legacy("pandas-split", body),
        (false, false, false) => None,
    }
}

/// A body of the protocol since MLflow 2.0 for an older worker.
fn unwrapped(body: &str) -> Option<Example> {
    let shape: Shape<'_> = serde_json::from_str(body).ok()?;
    if let Some(split) = shape.dataframe_split {
        legacy("pandas-split", split.get().to_owned())
    } else if let Some(records) = shape.dataframe_records {
        legacy("pandas-records", records.get().to_owned())
    } else {
        modern(body.to_owned())
    }
}

fn modern(body: String) -> Option<Example> {
    example("application/json", body)
}

fn wrapped(key: &str, body: &str) -> Option<Example> {
    modern(format!("{{\"{key}\": {body}}}"))
}

/// How MLflow before 2.0 is told what a body is.
fn legacy(format: &str, body: String) -> Option<Example> {
    example(&format!("application/json; format={format}"), body)
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "every caller answers with an option"
)]
fn example(content_type: &str, body: String) -> Option<Example> {
    Some(Example {
        content_type: content_type.to_owned(),
        body: Bytes::from(body),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(kind: &str) -> DeclaredExample {
        DeclaredExample {
            kind: Some(kind.to_owned()),
            pandas_orient: (kind == "dataframe").then(|| "split".to_owned()),
            ..DeclaredExample::default()
        }
    }

    fn shown(example: Option<Example>) -> Option<(String, String)> {
        example.map(|example| {
            (
                example.content_type,
                String::from_utf8(example.body.to_vec()).unwrap(),
            )
        })
    }

    #[test]
    fn a_saved_example_becomes_a_body_of_the_workers_protocol() {
        let json = "application/json";
        for (kind, saved, major, content_type, body) in [
            (
                "dataframe",
                r#"{"columns":["a"],"data":[[1.50]]}"#,
                3,
                json,
                r#"{"dataframe_split": {"columns":["a"],"data":[[1.50]]}}"#,
            ),
            (
                "dataframe",
                r#"{"columns":["a"],"data":[[1.50]]}"#,
                1,
                "application/json; format=pandas-split",
                r#"{"columns":["a"],"data":[[1.50]]}"#,
            ),
            (
                "dataframe",
                r#"{"data":[[1]]}"#,
                2,
                json,
                r#"{"dataframe_split": {"data":[[1]]}}"#,
            ),
            (
                "ndarray",
                r#"{"inputs": [[1]]}"#,
                2,
                json,
                r#"{"inputs": [[1]]}"#,
            ),
            (
                "ndarray",
                r#"{"inputs": [[1]]}"#,
                1,
                json,
                r#"{"inputs": [[1]]}"#,
            ),
            ("ndarray", "[[1]]", 2, json, r#"{"inputs": [[1]]}"#),
            (
                "json_object",
                r#"{"messages": []}"#,
                2,
                json,
                r#"{"messages": []}"#,
            ),
            (
                "json_object",
                r#"{"question": 1}"#,
                2,
                json,
                r#"{"inputs": {"question": 1}}"#,
            ),
        ] {
            let example = from_saved(saved.to_owned(), &declared(kind), major);
            assert_eq!(
                shown(example),
                Some((content_type.to_owned(), body.to_owned())),
                "{saved} for {major}"
            );
        }
        assert_eq!(
            from_saved("{}".to_owned(), &declared("sparse_matrix_csr"), 3),
            None
        );
    }

    #[test]
    fn a_serving_example_is_unwrapped_for_an_old_worker() {
        let example = unwrapped("{\"dataframe_split\": {\"columns\": [1.0]}}");
        let expected = (
            "application/json; format=pandas-split".to_owned(),
            "{\"columns\": [1.0]}".to_owned(),
        );
        assert_eq!(shown(example), Some(expected));
    }

    #[tokio::test]
    async fn an_example_outside_of_the_model_is_not_read() {
        let outside = tempfile::tempdir().unwrap();
        let folder = outside.path().join("model");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(outside.path().join("secret.json"), "{\"inputs\": 1}").unwrap();
        std::os::unix::fs::symlink(outside.path().join("secret.json"), folder.join("link.json"))
            .unwrap();
        let absolute = outside.path().join("secret.json").display().to_string();
        for name in ["../secret.json", "link.json", &absolute, "missing.json"] {
            assert_eq!(text(&folder, Some(name)).await, None, "{name}");
        }
    }
}
