//! What is not as good in company as alone: rows that fail, and models that look at all rows.

use std::sync::Arc;

use anyhow::{Result, ensure};
use futures_util::future::try_join_all;
use integration_tests::{Models, Stage, World, until};
use serde_json::json;

use super::{Asked, CALLERS, JSON, last_event, same};

pub(super) async fn a_bad_row_is_its_owners_trouble_alone(world: Arc<World>) -> Result<()> {
    const ROUNDS: usize = 8;
    let asked = Asked::rowwise(&world, "bad-rows").await?;
    let body = |number: usize| {
        // One of all.
        let done = if number == 40 { "refused" } else { "number" };
        format!(r#"{{"dataframe_records": [{{"number": {number}, "done": "{done}"}}]}}"#)
    };
    let bodies: Vec<String> = (0..CALLERS).map(body).collect();
    asked.set("off").await?;
    let mut alone = Vec::new();
    for body in &bodies {
        alone.push(asked.one(JSON, body).await?);
    }
    let refused = alone.iter().filter(|answer| answer.status == 400).count();
    ensure!(refused == 1, "{alone:?}");
    asked.set("on").await?;
    let before = asked.went().await?;
    for _ in 0..ROUNDS {
        let answers = asked.all(JSON, &bodies).await?;
        for ((answer, alone), body) in answers.iter().zip(&alone).zip(&bodies) {
            if alone.status == 200 {
                same(alone, answer, body)?;
                continue;
            }
            let (alone, answer) = (alone.json()?, answer.json()?);
            for part in ["error_code", "message"] {
                ensure!(alone[part] == answer[part], "{answer} instead of {alone}");
            }
        }
    }
    let went = asked.went().await?.since(before);
    ensure!(went.batched > 0, "{went:?}");
    // At least the row and one that was with it.
    ensure!(went.replayed >= 2, "{went:?}");
    asked.gateway.stop().await
}

pub(super) async fn a_model_that_looks_at_all_rows_is_given_one_at_a_time(
    world: Arc<World>,
) -> Result<()> {
    let (run, environment) = (world.run().await?, world.environment().await?);
    let (server, registry) = (world.mlflow().await?, world.registry().await?);
    let names = ["centred-1", "centred-2"];
    let models = Models::log_these(run, environment, server, &names).await?;
    // A single row and its copies show nothing, so that only rows in service do; two rows show it before any call is shared.
    for (rows, model, seen) in [
        (1, "centred-in-service", "in service"),
        (2, "centred-example", "rows of the logged example"),
    ] {
        registry.register(model, &[models.centred(rows)?]).await?;
        registry.transition(model, 1, Stage::Production).await?;
        let asked = Asked::of(&world, model, json!({})).await?;
        let off = until("calls are not shared", async || {
            let calls = (0..CALLERS).map(async |number| {
                let body = format!(r#"{{"dataframe_records": [{{"number": {number}.5}}]}}"#);
                let answer = asked.one(JSON, &body).await?.succeeded()?;
                // In company it would be something else.
                ensure!(answer.text() == r#"{"predictions": [0.0]}"#, "{answer:?}");
                Ok(())
            });
            try_join_all(calls).await?;
            let event = last_event(&asked, "batching").await?;
            Ok(match event {
                Some(event) if event["details"]["on"] == false => Ok(event),
                other => Err(format!("{other:?}")),
            })
        })
        .await?;
        let reason = off["details"]["reason"].as_str().unwrap_or_default();
        ensure!(reason.starts_with(seen), "{off}");
        let before = asked.went().await?;
        let body = r#"{"dataframe_records": [{"number": 1.5}]}"#.to_owned();
        asked.all(JSON, &[body]).await?;
        let went = asked.went().await?.since(before);
        ensure!(
            went.batched == 0 && went.alone == CALLERS as u64,
            "{went:?}"
        );
        let version = asked.client().version(model, 1).await?;
        ensure!(version["batching"]["on"] == false, "{version}");
        ensure!(version["batching"]["reason"] == off["details"]["reason"]);
        asked.gateway.stop().await?;
    }
    Ok(())
}
