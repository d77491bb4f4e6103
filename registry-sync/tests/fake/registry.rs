//! A registry in this process that answers as MLflow does, and notes how it was asked.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use registry_sync::{RegistryConfig, RegistryCredentials};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use url::Url;

/// Stops when it is dropped.
pub(crate) struct FakeRegistry {
    address: SocketAddr,
    inner: Arc<Mutex<Inner>>,
    _server: JoinSet<()>,
}

/// A script that may answer a call itself, or change what is there before it is answered.
type Hook = Box<dyn FnMut(&Asked, &mut Inner) -> Option<Response> + Send>;

#[derive(Default)]
pub(crate) struct Inner {
    /// Rows in the order in which they are listed unless an order is asked for.
    pub(crate) models: Vec<Value>,
    pub(crate) versions: Vec<Value>,
    /// Files behind the artifact proxy, by path.
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    /// What `get-artifact` finds, by name.
    pub(crate) declaration: BTreeMap<String, String>,
    pub(crate) artifact_uri: String,
    pub(crate) asked: Vec<Asked>,
    /// Rows on a page, however many are asked for.
    pub(crate) page: Option<usize>,
    pub(crate) hook: Option<Hook>,
}

/// One call.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) query: Vec<(String, String)>,
    pub(crate) headers: HeaderMap,
}

impl Asked {
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        let mut pairs = self.query.iter();
        let pair = pairs.find(|(name, _)| name == key);
        pair.map(|(_, value)| value.as_str())
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

impl FakeRegistry {
    pub(crate) async fn start() -> Self {
        let inner = Arc::new(Mutex::new(Inner::default()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(answer).with_state(inner.clone());
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            address,
            inner,
            _server: server,
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    pub(crate) fn hook(
        &self,
        hook: impl FnMut(&Asked, &mut Inner) -> Option<Response> + Send + 'static,
    ) {
        self.lock().hook = Some(Box::new(hook));
    }

    pub(crate) fn unhook(&self) {
        self.lock().hook = None;
    }

    pub(crate) fn config(&self) -> RegistryConfig {
        let url = format!("http://{}", self.address);
        RegistryConfig::new(Url::parse(&url).unwrap())
    }

    pub(crate) fn config_as(&self, credentials: RegistryCredentials) -> RegistryConfig {
        RegistryConfig {
            credentials,
            ..self.config()
        }
    }
}

impl Inner {
    pub(crate) fn register(&mut self, name: &str, versions: u64, aliases: &[(&str, u64)]) {
        self.models.push(model(name, aliases));
        self.versions
            .extend((1..=versions).map(|number| version(name, number, "None")));
    }

    /// Calls whose path ends so.
    pub(crate) fn calls(&self, end: &str) -> Vec<Asked> {
        let asked = self.asked.iter();
        asked
            .filter(|asked| asked.path.ends_with(end))
            .cloned()
            .collect()
    }
}

/// A row of `registered-models/search` as MLflow 3.17 sends it: no `aliases` if there are none.
pub(crate) fn model(name: &str, aliases: &[(&str, u64)]) -> Value {
    let mut row = json!({
        "name": name,
        "creation_timestamp": 1_795_339_220_192_u64,
        "last_updated_timestamp": 1_795_339_220_500_u64,
        "description": format!("about {name}"),
    });
    if !aliases.is_empty() {
        let aliases = aliases
            .iter()
            .map(|(alias, version)| json!({ "alias": alias, "version": version.to_string() }));
        row["aliases"] = aliases.collect();
    }
    row
}

/// A row of `model-versions/search` as MLflow 3.17 sends it.
pub(crate) fn version(name: &str, number: u64, stage: &str) -> Value {
    json!({
        "name": name,
        "version": number.to_string(),
        "creation_timestamp": 1_795_339_220_300_u64 + number,
        "last_updated_timestamp": 1_795_339_220_300_u64 + number,
        "current_stage": stage,
        "description": "",
        "source": format!("models:/m-{name}-{number}"),
        "run_id": "4012455d201d4c11ab53da7b52c38720",
        "status": "READY",
        "run_link": "",
    })
}

/// A refusal as MLflow's handlers write it.
pub(crate) fn refusal(status: u16, code: &str, message: &str) -> Response {
    let body = json!({ "error_code": code, "message": message });
    let status = StatusCode::from_u16(status).unwrap();
    (status, axum::Json(body)).into_response()
}

/// A text with a status.
pub(crate) fn text(status: u16, text: &'static str) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    (
        status,
        [(header::CONTENT_TYPE, "text/html; charset=utf-8")],
        text,
    )
        .into_response()
}

async fn answer(State(inner): State<Arc<Mutex<Inner>>>, request: Request) -> Response {
    let url = Url::parse("http://fake")
        .unwrap()
        .join(&request.uri().to_string())
        .unwrap();
    let asked = Asked {
        path: request.uri().path().to_owned(),
        query: url.query_pairs().into_owned().collect(),
        headers: request.headers().clone(),
    };
    let mut inner = inner.lock().unwrap();
    inner.asked.push(asked.clone());
    let mut hook = inner.hook.take();
    let scripted = hook.as_mut().and_then(|hook| hook(&asked, &mut inner));
    inner.hook = inner.hook.take().or(hook);
    scripted.unwrap_or_else(|| inner.answer(&asked))
}

impl Inner {
    fn answer(&self, asked: &Asked) -> Response {
        let path = percent_encoding::percent_decode_str(&asked.path)
            .decode_utf8()
            .unwrap();
        let Some((_, call)) = path.split_once("/api/2.0/") else {
            if path.ends_with("/model-versions/get-artifact") {
                return self.declared(asked);
            }
            return text(404, "<!doctype html><title>404 Not Found</title>");
        };
        match call {
            "mlflow/registered-models/search" => {
                self.search("registered_models", &self.models, asked)
            }
            "mlflow/model-versions/search" => self.search("model_versions", &self.versions, asked),
            "mlflow/registered-models/get" => match matching(&self.models, asked).first() {
                Some(row) => axum::Json(json!({ "registered_model": row })).into_response(),
                None => refusal(404, "RESOURCE_DOES_NOT_EXIST", "Registered Model not found"),
            },
            "mlflow/model-versions/get" => match matching(&self.versions, asked).first() {
                Some(row) => axum::Json(json!({ "model_version": row })).into_response(),
                None => refusal(404, "RESOURCE_DOES_NOT_EXIST", "Model Version not found"),
            },
            "mlflow/model-versions/get-download-uri" => {
                axum::Json(json!({ "artifact_uri": self.artifact_uri })).into_response()
            }
            "mlflow-artifacts/artifacts" => self.list(asked.get("path").unwrap_or_default()),
            _ => match call.strip_prefix("mlflow-artifacts/artifacts/") {
                Some(path) => match self.files.get(path) {
                    Some(file) => Body::from(file.clone()).into_response(),
                    None => refusal(404, "RESOURCE_DOES_NOT_EXIST", "No such artifact"),
                },
                None => text(404, "<!doctype html><title>404 Not Found</title>"),
            },
        }
    }

    fn search(&self, key: &str, rows: &[Value], asked: &Asked) -> Response {
        let filter = asked.get("filter").map(|filter| {
            let name = filter.strip_prefix("name=").unwrap();
            name[1..name.len() - 1].to_owned()
        });
        let mut rows: Vec<&Value> = rows
            .iter()
            .filter(|row| filter.as_deref().is_none_or(|name| row["name"] == name))
            .collect();
        if asked.get("order_by").is_some() {
            rows.sort_by_key(|row| {
                let number = row["version"]
                    .as_str()
                    .unwrap_or("0")
                    .parse::<u64>()
                    .unwrap_or(0);
                (row["name"].as_str().unwrap().to_owned(), number)
            });
        }
        let start = asked
            .get("page_token")
            .map_or(0, |token| token.parse().unwrap());
        let end = self
            .page
            .map_or(rows.len(), |page| rows.len().min(start + page));
        let mut reply = json!({});
        if start < end {
            reply[key] = rows[start..end].iter().map(|row| (*row).clone()).collect();
        }
        if end < rows.len() {
            reply["next_page_token"] = json!(end.to_string());
        }
        axum::Json(reply).into_response()
    }

    fn list(&self, folder: &str) -> Response {
        let mut entries: BTreeMap<&str, Option<usize>> = BTreeMap::new();
        for (path, content) in &self.files {
            let Some(rest) = path
                .strip_prefix(folder)
                .and_then(|rest| rest.strip_prefix('/'))
            else {
                continue;
            };
            match rest.split_once('/') {
                None => entries.insert(rest, Some(content.len())),
                Some((folder, _)) => entries.insert(folder, None),
            };
        }
        let files: Vec<Value> = entries
            .into_iter()
            .map(|(name, size)| match size {
                Some(size) => json!({ "path": name, "is_dir": false, "file_size": size }),
                None => json!({ "path": name, "is_dir": true }),
            })
            .collect();
        let reply = if files.is_empty() {
            json!({})
        } else {
            json!({ "files": files })
        };
        axum::Json(reply).into_response()
    }

    /// A missing file is a 500 in MLflow before 3.
    fn declared(&self, asked: &Asked) -> Response {
        match self.declaration.get(asked.get("path").unwrap()) {
            Some(text) => text.clone().into_response(),
            None => text(
                500,
                "<!doctype html><title>500 Internal Server Error</title>",
            ),
        }
    }
}

fn matching<'a>(rows: &'a [Value], asked: &Asked) -> Vec<&'a Value> {
    let is = |row: &Value, key: &str| asked.get(key).is_none_or(|value| row[key] == value);
    let rows = rows.iter();
    rows.filter(|row| is(row, "name") && is(row, "version"))
        .collect()
}
