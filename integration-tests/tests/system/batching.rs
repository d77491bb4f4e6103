//! Requests of many callers in one call of a real worker: each gets what it gets alone, and nobody gets another's.

mod cross_talk;
mod equal;
mod uneven;

use anyhow::{Result, bail};
use futures_util::future::try_join_all;
use integration_tests::{Answer, Client, Gateway, Models, Stage, Test, World, tests};
use serde_json::{Value, json};

use crate::metrics::Scrape;
use cross_talk::{
    each_of_a_hundred_thousand_requests_gets_its_own_answer,
    sharing_is_turned_off_and_on_under_load_and_no_request_fails,
};
use equal::{
    answers_of_a_scikit_learn_model_in_company_are_those_alone,
    answers_of_any_shape_in_company_are_those_alone,
};
use uneven::{
    a_bad_row_is_its_owners_trouble_alone, a_model_that_looks_at_all_rows_is_given_one_at_a_time,
};

/// Who ask at the same time.
const CALLERS: usize = 64;

const JSON: &str = "application/json";

pub(crate) fn tests() -> Vec<Test> {
    tests![
        answers_of_a_scikit_learn_model_in_company_are_those_alone,
        answers_of_any_shape_in_company_are_those_alone,
        a_bad_row_is_its_owners_trouble_alone,
        a_model_that_looks_at_all_rows_is_given_one_at_a_time,
        each_of_a_hundred_thousand_requests_gets_its_own_answer,
        sharing_is_turned_off_and_on_under_load_and_no_request_fails,
    ]
}

/// A gateway that serves one version, asked by many.
struct Asked {
    gateway: Gateway,
    model: &'static str,
}

/// How requests went to workers, so far.
#[derive(Clone, Copy, Debug)]
struct Went {
    /// Requests alone, with others, and alone after that had failed.
    alone: u64,
    batched: u64,
    replayed: u64,
    /// Calls that could be shared, and the rows in them.
    calls: u64,
    rows: u64,
}

impl Asked {
    /// A gateway of its own for the model that treats each row by itself; requests share calls.
    async fn rowwise(world: &World, model: &'static str) -> Result<Self> {
        let (run, environment) = (world.run().await?, world.environment().await?);
        let server = world.mlflow().await?;
        let models = Models::log_these(run, environment, server, &["rowwise"]).await?;
        let registry = world.registry().await?;
        registry.register(model, &[models.rowwise()?]).await?;
        registry.transition(model, 1, Stage::Production).await?;
        Self::of(world, model, json!({ "batching": "on" })).await
    }

    /// A gateway of its own for a registered model.
    async fn of(world: &World, model: &'static str, settings: Value) -> Result<Self> {
        let gateway = world.another_gateway().await?.start().await?;
        gateway.client().enable(model, settings).await?;
        gateway.client().until_ready(model, 1).await?;
        Ok(Self { gateway, model })
    }

    fn client(&self) -> &Client {
        self.gateway.client()
    }

    async fn set(&self, batching: &str) -> Result<()> {
        let settings = json!({ "batching": batching });
        self.client().set(self.model, settings).await
    }

    async fn one(&self, content_type: &str, body: &str) -> Result<Answer> {
        let (client, body) = (self.client(), body.to_owned());
        client.score(self.model, "1", content_type, body).await
    }

    /// The answers to so many requests that come at the same time, in their order; the bodies are taken in turn.
    async fn all(&self, content_type: &str, bodies: &[String]) -> Result<Vec<Answer>> {
        let turns = bodies.iter().cycle().take(CALLERS);
        try_join_all(turns.map(|body| self.one(content_type, body))).await
    }

    async fn went(&self) -> Result<Went> {
        let scrape = Scrape::of(self.client()).await?;
        let model = self.model;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count"
        )]
        let count = |series: &str| scrape.value(series).map(|value| value as u64);
        let way = |way: &str| {
            let labels = format!(r#"{{model="{model}",version="1",way="{way}"}}"#);
            count(&format!("sluicegate_batching_requests_total{labels}"))
        };
        let rows = |what: &str| {
            let labels = format!(r#"{{model="{model}",version="1"}}"#);
            count(&format!("sluicegate_batch_rows_{what}{labels}"))
        };
        Ok(Went {
            alone: way("alone")?,
            batched: way("batched")?,
            replayed: way("replayed")?,
            calls: rows("count")?,
            rows: rows("sum")?,
        })
    }
}

impl Went {
    /// What went since `before`.
    fn since(self, before: Self) -> Self {
        Self {
            alone: self.alone - before.alone,
            batched: self.batched - before.batched,
            replayed: self.replayed - before.replayed,
            calls: self.calls - before.calls,
            rows: self.rows - before.rows,
        }
    }
}

/// Fails unless an answer is what its request is answered alone.
fn same(alone: &Answer, answer: &Answer, body: &str) -> Result<()> {
    let told = |answer: &Answer| {
        let named = |name: &&str| !["date", "x-request-id"].contains(name);
        let names = answer.headers.keys().map(http_name).filter(named);
        let headers: Vec<_> = names
            .map(|name| (name.to_owned(), answer.header(name).to_owned()))
            .collect();
        (answer.status, headers, answer.body.clone())
    };
    if told(alone) != told(answer) {
        bail!("{body} is answered {answer:?} in company and {alone:?} alone");
    }
    Ok(())
}

fn http_name(name: &reqwest::header::HeaderName) -> &str {
    name.as_str()
}

/// The last event of a kind that is told of a version, if there is one.
async fn last_event(asked: &Asked, kind: &str) -> Result<Option<Value>> {
    let events = asked.client().events(asked.model, 1).await?;
    Ok(events.into_iter().find(|event| event["type"] == kind))
}
