//! What a scoring URL tells about itself.

use std::sync::Arc;

use anyhow::{Context, Result};
use integration_tests::{Answer, Test, World, tests};
use reqwest::Method;

pub(crate) fn tests() -> Vec<Test> {
    tests![a_version_describes_itself_and_its_example_can_be_scored]
}

async fn a_version_describes_itself_and_its_example_can_be_scored(world: Arc<World>) -> Result<()> {
    let client = world.iris().await?;
    let described = client
        .get("/model/iris/Production")
        .await?
        .succeeded()?
        .json()?;
    assert_eq!(described["name"], "iris");
    assert_eq!(described["version"], 1);
    assert_eq!(described["state"], "READY");
    assert!(
        described["signature"]["inputs"]
            .to_string()
            .contains("sepal_length"),
        "{described}"
    );

    let example = &described["example"];
    let content_type = example["content_type"].as_str().context("a content type")?;
    let body = example["body"].as_str().context("a body")?;
    let answer = client
        .score("iris", "Production", content_type, body.to_owned())
        .await?;
    assert_eq!(answer.succeeded()?.text(), r#"{"predictions": [0, 0]}"#);

    for (path, status) in [
        ("/model/iris/1/ping", 200),
        ("/model/iris/99/ping", 404),
        ("/model/iris/99", 404),
    ] {
        let answer = Answer::of(client.request(Method::GET, path)).await?;
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
    }
    Ok(())
}
