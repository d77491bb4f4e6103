//! The contract's table of formats, whatever the worker speaks.

use anyhow::Result;

use crate::generation::Actors;

const SPLIT: &str = r#"{"columns": ["sepal_length", "sepal_width", "petal_length", "petal_width"],
    "data": [[5.1, 3.5, 1.4, 0.2], [6.7, 3.0, 5.2, 2.3]]}"#;
const ROWS: &str = r#"[
    {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2},
    {"sepal_length": 6.7, "sepal_width": 3.0, "petal_length": 5.2, "petal_width": 2.3}
]"#;
const CSV: &str =
    "sepal_length,sepal_width,petal_length,petal_width\n5.1,3.5,1.4,0.2\n6.7,3.0,5.2,2.3\n";

pub(crate) async fn each_format_is_answered_in_its_own_words(actors: &Actors) -> Result<()> {
    let client = actors.gateway.client();
    let bare = "[0, 2]";
    let wrapped = r#"{"predictions": [0, 2]}"#;
    let translated = [
        (
            "application/json; format=pandas-records",
            ROWS.to_owned(),
            bare,
        ),
        ("application/json", ROWS.to_owned(), bare),
        (
            "application/json; format=pandas-split",
            SPLIT.to_owned(),
            bare,
        ),
        ("application/json", SPLIT.to_owned(), bare),
        (
            "application/json",
            format!(r#"{{"dataframe_records": {ROWS}}}"#),
            wrapped,
        ),
        (
            "application/json",
            format!(r#"{{"dataframe_split": {SPLIT}}}"#),
            wrapped,
        ),
    ];
    for (content_type, body, expected) in translated {
        let answer = client
            .score("iris", "1", content_type, body.clone())
            .await?;
        assert_eq!(answer.text(), expected, "{content_type} {body}");
    }

    // MLflow 1 has this type, for tensors; later ones do not know it.
    let numpy = "application/json-numpy-split";
    let workers = actors.worker.score(numpy, SPLIT).await?;
    let ours = client.score("iris", "1", numpy, SPLIT).await?;
    match workers.status {
        415 => assert_eq!(ours.text(), bare),
        status => assert_eq!(ours.status, status, "{}", ours.text()),
    }

    let passed_on = [
        ("application/json", format!(r#"{{"instances": {ROWS}}}"#)),
        ("application/json", format!(r#"{{"inputs": {ROWS}}}"#)),
        ("text/csv", CSV.to_owned()),
    ];
    for (content_type, body) in passed_on {
        let ours = client
            .score("iris", "1", content_type, body.clone())
            .await?;
        let workers = actors.worker.score(content_type, body.clone()).await?;
        assert_eq!(
            ours.status,
            workers.status,
            "{content_type} {body}: {}",
            ours.text()
        );
        if workers.status == 200 {
            assert_eq!(ours.text(), workers.text(), "{content_type} {body}");
        }
    }
    Ok(())
}
