//! A registry that has its pages ready: what it costs to read them is the reader's own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Versions of each model.
pub(crate) const VERSIONS: u64 = 10;

/// Stops when it is dropped.
pub(crate) struct FakeRegistry {
    address: SocketAddr,
    _server: JoinSet<()>,
}

/// All pages, before and after the change.
struct Pages {
    models: Vec<Bytes>,
    versions: [Vec<Bytes>; 2],
    changed: AtomicBool,
}

#[derive(Default, serde::Deserialize)]
struct Search {
    page_token: Option<usize>,
}

impl FakeRegistry {
    /// One with so many versions.
    pub(crate) async fn start(versions: u64) -> Result<Self> {
        let names: Vec<String> = (0..versions.div_ceil(VERSIONS))
            .map(|number| format!("some-model-{number}"))
            .collect();
        let models: Vec<Value> = names.iter().map(|name| model(name)).collect();
        let of = |changed| {
            let rows = (0..versions).map(|number| {
                let name = &names[usize::try_from(number / VERSIONS).unwrap_or(0)];
                let stage = if changed && number == 0 {
                    "Staging"
                } else {
                    "None"
                };
                version(name, number % VERSIONS + 1, stage)
            });
            // MLflow's most for models, and what it sends of versions unless asked for more.
            pages("model_versions", &rows.collect::<Vec<_>>(), 10_000)
        };
        let pages = Pages {
            models: pages("registered_models", &models, 1_000),
            versions: [of(false), of(true)],
            changed: AtomicBool::new(false),
        };
        let router = Router::new()
            .route(
                "/api/2.0/mlflow/registered-models/search",
                get(search_models),
            )
            .route(
                "/api/2.0/mlflow/model-versions/search",
                get(search_versions),
            )
            .route("/change", post(change))
            .with_state(Arc::new(pages));
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let mut server = JoinSet::new();
        server.spawn(async move {
            // It ends with the task.
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self {
            address,
            _server: server,
        })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn search_models(
    State(pages): State<Arc<Pages>>,
    Query(search): Query<Search>,
) -> impl IntoResponse {
    page(&pages.models, &search)
}

async fn search_versions(
    State(pages): State<Arc<Pages>>,
    Query(search): Query<Search>,
) -> impl IntoResponse {
    let changed = pages.changed.load(Ordering::SeqCst);
    page(&pages.versions[usize::from(changed)], &search)
}

/// Moves one version to another stage, or back.
async fn change(State(pages): State<Arc<Pages>>) {
    pages.changed.fetch_not(Ordering::SeqCst);
}

fn page(pages: &[Bytes], search: &Search) -> impl IntoResponse + use<> {
    let page = pages.get(search.page_token.unwrap_or(0)).cloned();
    (
        [(header::CONTENT_TYPE, "application/json")],
        page.unwrap_or_default(),
    )
}

fn pages(key: &str, rows: &[Value], size: usize) -> Vec<Bytes> {
    let count = rows.len().div_ceil(size);
    let pages = rows.chunks(size).enumerate().map(|(number, rows)| {
        let mut page = json!({ key: rows });
        if number + 1 < count {
            page["next_page_token"] = json!((number + 1).to_string());
        }
        Bytes::from(page.to_string())
    });
    pages.collect()
}

/// A row of `registered-models/search` of the shape and size that MLflow 3.17 sends, its latest versions included.
fn model(name: &str) -> Value {
    json!({
        "name": name,
        "creation_timestamp": 1_795_339_220_192_u64,
        "last_updated_timestamp": 1_795_339_220_500_u64,
        "description": format!("what {name} is good for"),
        "latest_versions": [version(name, VERSIONS, "None")],
        "aliases": [{ "alias": "champion", "version": "1" }],
        "tags": [{ "key": "team", "value": "fraud" }],
    })
}

/// A row of `model-versions/search`.
fn version(name: &str, number: u64, stage: &str) -> Value {
    json!({
        "name": name,
        "version": number.to_string(),
        "creation_timestamp": 1_795_339_220_300_u64 + number,
        "last_updated_timestamp": 1_795_339_220_300_u64 + number,
        "current_stage": stage,
        "description": "",
        "source": format!("models:/m-4012455d201d4c11ab53da7b52c3{number:04}"),
        "run_id": "4012455d201d4c11ab53da7b52c38720",
        "status": "READY",
        "run_link": "",
    })
}
