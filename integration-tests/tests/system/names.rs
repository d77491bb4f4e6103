//! Names that need care in a URL.

use std::sync::Arc;

use anyhow::Result;
use integration_tests::{Answer, Test, World, tests};
use reqwest::Method;
use serde_json::json;

pub(crate) fn tests() -> Vec<Test> {
    tests![names_with_spaces_percent_signs_unicode_and_slashes_work]
}

async fn names_with_spaces_percent_signs_unicode_and_slashes_work(world: Arc<World>) -> Result<()> {
    // The last one holds no slash, but the three characters of an encoded one. (A server of MLflow 3 refuses slashes
    // in names; those of MLflow 2 and 1 are asked by the compatibility tests.)
    let names = [
        ("fleurs d'été 100% #1? 🌸 & +", "a"),
        ("invocations", "b"),
        ("a%2Fb", "c"),
    ];
    let (registry, models) = (world.registry().await?, world.models().await?);
    let client = world.client().await?;
    for (name, tag) in names {
        registry.register(name, &[models.scripted(tag)?]).await?;
        registry.set_alias(name, "champion", 1).await?;
        client.enable(name, json!({})).await?;
    }
    for (name, tag) in names {
        client.until_answered_by(name, "1", tag).await?;
        client.until_answered_by(name, "@champion", tag).await?;
        let answer = client.script(name, "1", "which", ()).await?.succeeded()?;
        // A header holds no unicode, so the name may be written otherwise there; the version may not.
        assert_eq!(answer.header("x-sluicegate-version"), "1");
        assert_eq!(client.model(name).await?["name"], name);
    }

    // Decoded once, and once only.
    let row = r#"{"dataframe_records": [{"do": "which"}]}"#;
    for (path, status) in [
        ("/model/a%252Fb/1/invocations", 200),
        ("/model/a%2Fb/1/invocations", 404),
        ("/model/a/b/1/invocations", 404),
        ("/model/invocations/1/invocations", 200),
    ] {
        let request = client
            .request(Method::POST, path)
            .header("Content-Type", "application/json")
            .body(row);
        assert_eq!(Answer::of(request).await?.status, status, "{path}");
    }
    for (name, _) in names {
        client.disable(name).await?;
    }
    Ok(())
}
