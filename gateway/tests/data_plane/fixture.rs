//! A data plane over one model, `iris`: version 7 answers, 8 is being built, 9 failed.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use auth::{AllowAll, Authenticator, Rights};
use bytes::Bytes;
use gateway::data_plane::{
    Body, DataPlane, DataPlaneConfig, DataPlaneMetrics, Upstream, VersionStack,
};
use gateway::ports::{Attempt, BatchingEvents, LogKind, WorkerFiles};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use prometheus_client::registry::Registry;
use serde_json::Value;
use serving_core::testing::HandMadeReplicas;
use serving_core::{
    Failure, FailureKind, Generation, Label, LabelRoute, ModelName, ModelRoutes, Phase, Route,
    Router, RoutingTable, ServableId, Settings, Version, VersionRoute,
};

pub(crate) const MIB: usize = 1 << 20;
pub(crate) const INVOCATIONS: &str = "/model/iris/7/invocations";

/// What a test wants otherwise than usual.
pub(crate) struct Setup {
    pub(crate) settings: Settings,
    pub(crate) config: DataPlaneConfig,
    pub(crate) authenticator: Authenticator,
    pub(crate) rights: Arc<dyn Rights>,
    pub(crate) name: &'static str,
    pub(crate) batching_events: Arc<dyn BatchingEvents>,
}

/// The data plane and the hands that the engine would have on it.
pub(crate) struct Gateway {
    pub(crate) plane: Arc<DataPlane>,
    pub(crate) replicas: HandMadeReplicas<Upstream>,
    pub(crate) notes: Arc<Notes>,
    pub(crate) counted: Arc<DataPlaneMetrics>,
    pub(crate) stack: Arc<VersionStack>,
    registry: Registry,
}

/// What was written into worker logs.
#[derive(Default)]
pub(crate) struct Notes(Mutex<Vec<(ServableId, String)>>);

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            settings: Settings {
                timeout: Duration::from_secs(20),
                ..Settings::default()
            },
            config: DataPlaneConfig::default(),
            authenticator: Authenticator::disabled(),
            rights: Arc::new(AllowAll),
            name: "iris",
            batching_events: Arc::new(()),
        }
    }
}

impl Setup {
    pub(crate) fn timeout(mut self, millis: u64) -> Self {
        self.settings.timeout = Duration::from_millis(millis);
        self
    }

    pub(crate) fn places(mut self, max_concurrency: u32, max_queue: u32) -> Self {
        self.settings.max_concurrency = NonZeroU32::new(max_concurrency).unwrap();
        self.settings.max_queue = max_queue;
        self
    }

    pub(crate) fn over(self, workers: impl IntoIterator<Item = Upstream>) -> Gateway {
        let id = ServableId::new(self.name, Version(7));
        let (mut replicas, seed) = HandMadeReplicas::new(id.clone(), self.settings);
        for worker in workers {
            replicas.add(worker);
        }
        let mut registry = Registry::default();
        let metrics = DataPlaneMetrics::register(&mut registry);
        let stack = VersionStack::new(seed, &metrics).telling(self.batching_events);
        let stack = Arc::new(stack);
        let notes = Arc::new(Notes::default());
        let plane = DataPlane::new(
            Router::fixed(table(id, Arc::clone(&stack))),
            Arc::new(self.authenticator),
            self.rights,
            Arc::clone(&notes) as Arc<dyn WorkerFiles>,
            self.config,
            Arc::clone(&metrics),
        );
        Gateway {
            plane: Arc::new(plane),
            replicas,
            notes,
            counted: metrics,
            stack,
            registry,
        }
    }
}

fn table(id: ServableId, stack: Arc<VersionStack>) -> RoutingTable<Arc<VersionStack>> {
    let label = |current| LabelRoute {
        aspired: current,
        current,
    };
    let model = ModelName::from(id.model.as_str());
    let routes = ModelRoutes {
        versions: BTreeMap::from([
            (
                Version(7),
                VersionRoute::Reachable(Arc::new(Route::new(id, Generation(1), stack))),
            ),
            (Version(8), VersionRoute::Unreachable(Phase::Building)),
            (
                Version(9),
                VersionRoute::Unreachable(Phase::Failed(failure("no module named skops"))),
            ),
        ]),
        labels: BTreeMap::from([
            (Label::from("Production"), label(Some(Version(7)))),
            (Label::from("@champion"), label(Some(Version(7)))),
            (Label::from("Staging"), label(Some(Version(8)))),
        ]),
    };
    RoutingTable {
        models: HashMap::from([(model, Arc::new(routes))]),
    }
}

pub(crate) fn failure(message: &str) -> Failure {
    Failure {
        kind: FailureKind::CrashLoop,
        code: None,
        message: message.into(),
        last_lines: Vec::new(),
        next_try: Some(SystemTime::now() + Duration::from_secs(120)),
        attempts: 3,
    }
}

pub(crate) fn peer() -> SocketAddr {
    "192.0.2.1:4242".parse().unwrap()
}

/// A request that scores, with a JSON body.
pub(crate) fn post(path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::post(path)
        .header("content-type", "application/json")
        .body(Full::new(body.into()))
        .unwrap()
}

pub(crate) fn get(path: &str) -> Request<Full<Bytes>> {
    Request::get(path).body(Full::default()).unwrap()
}

impl Gateway {
    /// Over one worker, as it is by default.
    pub(crate) fn over(worker: Upstream) -> Self {
        Setup::default().over([worker])
    }

    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        read(self.plane.handle(request, peer()).await).await
    }

    pub(crate) async fn score(&self, body: impl Into<Bytes>) -> Answer {
        self.send(post(INVOCATIONS, body)).await
    }

    pub(crate) fn metrics(&self) -> String {
        encode(&self.registry)
    }

    /// The version is gone. What is left of its figures.
    pub(crate) fn retire(self) -> String {
        drop((self.plane, self.replicas, self.stack));
        encode(&self.registry)
    }
}

fn encode(registry: &Registry) -> String {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
    text
}

pub(crate) async fn read(response: Response<Body>) -> Answer {
    let (parts, body) = response.into_parts();
    Answer {
        status: parts.status,
        headers: parts.headers,
        body: body.collect().await.unwrap().to_bytes(),
    }
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self
            .headers
            .get(name)
            .unwrap_or_else(|| panic!("no {name}"));
        value.to_str().unwrap()
    }

    /// It is an error of this kind, in the shape of the contract. Returns its message.
    #[track_caller]
    pub(crate) fn is(&self, status: u16, error_code: &str) -> String {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        let body = self.json();
        assert_eq!(body["error_code"], error_code);
        assert_eq!(body["request_id"], self.header("x-request-id"));
        assert_eq!(self.header("content-type"), "application/json");
        body["message"].as_str().unwrap().to_owned()
    }

    pub(crate) fn retry_after(&self) -> u64 {
        self.header("retry-after").parse().unwrap()
    }
}

impl WorkerFiles for Notes {
    fn attempts(&self, _: &ServableId, _: LogKind) -> io::Result<Vec<Attempt>> {
        Ok(Vec::new())
    }

    fn note(&self, id: &ServableId, text: &str) {
        self.0.lock().unwrap().push((id.clone(), text.to_owned()));
    }
}

impl Notes {
    pub(crate) fn taken(&self) -> Vec<(ServableId, String)> {
        self.0.lock().unwrap().clone()
    }
}
