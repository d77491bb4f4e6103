//! A control plane around scripts, and callers with tokens.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use auth::{
    Authenticator, AuthenticatorConfig, Grant, InheritedConfig, InheritedRights, NewToken,
    RightsSource, SessionKey, Sessions, TokenStore,
};
use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use bytes::Bytes;
use gateway::api::Settings;
use gateway::config::WebhooksConfig;
use gateway::control_plane::{
    About, BuildTurns, ControlState, IntentBook, StreamPlaces, Summaries, TagFollower, Webhooks,
    admin_router, router,
};
use gateway::data_plane::DataPlaneMetrics;
use gateway::figures::{History, Sampler};
use gateway::metrics::{self, LifeMetrics, PREFIX};
use gateway::ports::{Catalog, RegisteredModel};
use gateway::store::{SecretFile, Store};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use serving_core::{
    Aspired, AspiredModel, AspiredVersion, Clock, Generation, Incarnation, LabelRoute, ModelName,
    ModelSnapshot, Phase, Snapshot, Source, Version, VersionSnapshot,
};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::scripted_engine::{ScriptedEngine, ScriptedProcesses};
use super::scripted_environments::ScriptedEnvironments;
use super::scripted_files::ScriptedFiles;
use super::scripted_registry::ScriptedRegistry;
use super::scripted_webhooks::ScriptedWebhooks;

/// How long sessions hold.
pub(crate) const SESSION: Duration = Duration::from_secs(12 * 3600);

/// 2026-01-01T00:00:00Z: the only time there is in these tests.
pub(crate) fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600)
}

/// Who calls. Rights are on the model `iris` and on names that start with `odd`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    Admin,
    Manager,
    Reader,
    Stranger,
    Anonymous,
}

enum Callers {
    Known,
    Anybody,
}

pub(crate) struct Plane {
    pub(crate) engine: Arc<ScriptedEngine>,
    pub(crate) registry: Arc<ScriptedRegistry>,
    pub(crate) webhooks: Arc<ScriptedWebhooks>,
    pub(crate) files: Arc<ScriptedFiles>,
    pub(crate) processes: Arc<ScriptedProcesses>,
    pub(crate) lives: Arc<LifeMetrics>,
    pub(crate) scoring: Arc<DataPlaneMetrics>,
    /// Takes a sample when a test wants one.
    pub(crate) sampler: Sampler,
    pub(crate) environments: Arc<ScriptedEnvironments>,
    pub(crate) store: Store,
    pub(crate) intents: Arc<IntentBook>,
    pub(crate) aspired: watch::Sender<Option<Arc<Aspired>>>,
    authenticator: Arc<Authenticator>,
    pub(crate) state: Arc<ControlState>,
    pub(crate) session_key: SessionKey,
    /// Seconds after [`now`], for sessions.
    pub(crate) later: Arc<AtomicU64>,
    pub(crate) shutdown: CancellationToken,
    pub(crate) router: Router,
    /// What is answered on the address of those who look after the gateway.
    pub(crate) admin: Router,
    pub(crate) credentials: BTreeMap<&'static str, String>,
    _running: JoinSet<()>,
    _folder: TempDir,
}

/// An answer, read to its end.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> SystemTime {
        now()
    }
}

struct ScriptedRights;

impl metrics::RightsCache for ScriptedRights {
    fn figures(&self) -> metrics::RightsFigures {
        metrics::RightsFigures {
            hits: 90,
            misses: 7,
            refreshes: 2,
            failures: 1,
            entries: 6,
        }
    }
}

impl Plane {
    /// `iris` and `secret` are registered, nothing is enabled.
    pub(crate) async fn new() -> Self {
        Self::over(None, 100, Callers::Known).await
    }

    /// The same with rights from `source`; the tokens of [`Caller`] are there, and their grants count for nothing.
    pub(crate) async fn inheriting(source: Arc<dyn RightsSource>) -> Self {
        Self::inheriting_for(source, InheritedConfig::default().age).await
    }

    /// The same where the registry is asked again after `age`.
    pub(crate) async fn inheriting_for(source: Arc<dyn RightsSource>, age: Duration) -> Self {
        let config = InheritedConfig {
            age,
            denied_age: InheritedConfig::default().denied_age.min(age),
            ..InheritedConfig::default()
        };
        Self::over(
            Some(InheritedRights::new(source, config)),
            100,
            Callers::Known,
        )
        .await
    }

    /// The same with room for so many streams of events.
    pub(crate) async fn with_streams(most: usize) -> Self {
        Self::over(None, most, Callers::Known).await
    }

    /// The same without authentication.
    pub(crate) async fn open_to_all() -> Self {
        Self::over(None, 100, Callers::Anybody).await
    }

    async fn over(inherited: Option<InheritedRights>, most: usize, callers: Callers) -> Self {
        let folder = TempDir::new().unwrap();
        let store = Store::open(folder.path()).await.unwrap();
        let credentials = issue_tokens(&store).await;
        let tokens: Arc<dyn TokenStore> = Arc::new(store.clone());
        let authenticator = Authenticator::open(
            Arc::clone(&tokens),
            Arc::new(now),
            AuthenticatorConfig::default(),
        )
        .await
        .unwrap();
        let (session_key, later) = (SessionKey::random(), Arc::<AtomicU64>::default());
        let sessions = sessions(&session_key, &later);
        let authenticator = authenticator.with_sessions(Arc::new(sessions));
        let authenticator = match inherited {
            Some(rights) => authenticator.inherit(rights),
            None => authenticator,
        };
        let authenticator = Arc::new(match callers {
            Callers::Known => authenticator,
            Callers::Anybody => {
                let public_url = "http://gate.example:8080".parse().unwrap();
                Authenticator::disabled().reached_at(Some(&public_url))
            }
        });
        let mut running = JoinSet::new();
        let following = Arc::clone(&authenticator);
        running.spawn(async move { following.run(CancellationToken::new()).await });
        let engine = Arc::new(ScriptedEngine {
            snapshot: watch::Sender::default(),
            restarted: Mutex::default(),
            examples: Mutex::default(),
            batching: Mutex::default(),
            behind: watch::Sender::default(),
        });
        let registry = Arc::new(ScriptedRegistry::default());
        let files = Arc::new(ScriptedFiles::new(folder.path().to_owned()));
        let environments = Arc::new(ScriptedEnvironments::default());
        let intents = IntentBook::open(store.clone(), Settings::default(), false)
            .await
            .unwrap();
        let aspired = watch::Sender::new(Some(Arc::default()));
        let tags = TagFollower::new(
            Arc::clone(&intents),
            store.clone(),
            aspired.subscribe(),
            Arc::new(FixedClock),
        );
        let mut metrics = prometheus_client::registry::Registry::default();
        let scripted_webhooks = Arc::new(ScriptedWebhooks::default());
        let config = WebhooksConfig {
            secret: None,
            max_age: Duration::from_secs(300),
        };
        let secret = SecretFile::of_webhooks(folder.path());
        let port = Arc::clone(&scripted_webhooks) as _;
        let figures = metrics.sub_registry_with_prefix(PREFIX);
        let webhooks = Webhooks::open(&config, secret, port, figures).unwrap();
        let scoring = DataPlaneMetrics::register(metrics.sub_registry_with_prefix(PREFIX));
        let processes = Arc::new(ScriptedProcesses::default());
        let figures = Arc::new(History::default());
        let sampled = Arc::clone(&figures);
        let sampler = Sampler::new(sampled, Arc::clone(&scoring), Arc::clone(&processes) as _);
        let lives = LifeMetrics::new();
        lives.register(
            metrics.sub_registry_with_prefix(PREFIX),
            engine.snapshot.subscribe(),
            Box::new(|| 4),
        );
        let sources = metrics::Sources {
            version: "1.2.3".to_owned(),
            started: now(),
            snapshot: engine.snapshot.subscribe(),
            processes: Arc::clone(&processes) as _,
            registry: Arc::clone(&registry) as _,
            authenticator: Arc::clone(&authenticator),
            rights: Some(Arc::new(ScriptedRights)),
        };
        metrics::register(&mut metrics, sources);
        let shutdown = CancellationToken::new();
        running.spawn(tags.run(shutdown.clone()));
        let state = Arc::new(ControlState {
            store: store.clone(),
            intents: Arc::clone(&intents),
            engine: Arc::clone(&engine) as _,
            aspired: aspired.subscribe(),
            registry: Arc::clone(&registry) as _,
            webhooks,
            files: Arc::clone(&files) as _,
            environments: Arc::clone(&environments) as _,
            builds: BuildTurns::default(),
            streams: StreamPlaces::new(most),
            summaries: Summaries::default(),
            rights: authenticator.rights(),
            authenticator: Arc::clone(&authenticator),
            processes: Arc::clone(&processes) as _,
            tokens,
            metrics: metrics::Page::new(metrics),
            figures,
            clock: Arc::new(FixedClock),
            shutdown: shutdown.clone(),
            about: About {
                version: "1.2.3".to_owned(),
                started: now() - Duration::from_secs(90),
                registry_url: "http://mlflow:5000".parse().unwrap(),
                public_url: None,
                listen: ([127, 0, 0, 1], 8080).into(),
            },
        });
        let plane = Self {
            engine,
            registry,
            webhooks: scripted_webhooks,
            files,
            processes,
            lives,
            scoring,
            sampler,
            environments,
            store,
            intents,
            aspired,
            authenticator,
            session_key,
            later,
            shutdown,
            admin: admin_router(Arc::clone(&state)),
            router: router(Arc::clone(&state)),
            state,
            credentials,
            _running: running,
            _folder: folder,
        };
        plane.register(&["iris", "secret"]);
        plane
    }

    pub(crate) fn register(&self, names: &[&str]) {
        let model = |name: &&str| {
            let about = RegisteredModel {
                description: format!("The model {name}"),
                last_updated: 1_767_225_600_000,
            };
            (ModelName::from(*name), about)
        };
        let mut catalog = self.registry.catalog.lock().unwrap();
        let mut models = catalog.models.clone();
        models.extend(names.iter().map(model));
        *catalog = Arc::new(Catalog { models });
    }

    /// What the registry wants and the engine sees of a model, as if it were served.
    pub(crate) fn serve(
        &self,
        name: &str,
        versions: &[(u64, Phase)],
        labels: &[(&str, Option<u64>, Option<u64>)],
    ) {
        self.want(
            name,
            &versions
                .iter()
                .map(|(number, _)| *number)
                .collect::<Vec<_>>(),
        );
        let seen = versions
            .iter()
            .map(|(number, phase)| (Version(*number), version(phase.clone())));
        let labels = labels.iter().map(|(label, aspired, current)| {
            let route = LabelRoute {
                aspired: aspired.map(Version),
                current: current.map(Version),
            };
            ((*label).into(), route)
        });
        let model = ModelSnapshot {
            versions: seen.collect(),
            labels: labels.collect(),
        };
        self.engine.snapshot.send_modify(|snapshot| {
            let mut models = snapshot.models.clone();
            models.insert(name.into(), model);
            *snapshot = Arc::new(Snapshot { models });
        });
    }

    /// What the registry wants of a model.
    pub(crate) fn want(&self, name: &str, versions: &[u64]) {
        let versions = versions.iter().map(|number| {
            let version = AspiredVersion {
                incarnation: Incarnation::from("1"),
                source: Source::Readable("source".into()),
            };
            (Version(*number), version)
        });
        let model = AspiredModel {
            incarnation: Incarnation::from("1"),
            versions: versions.collect(),
            labels: BTreeMap::new(),
            tags: BTreeMap::new(),
        };
        self.aspired.send_modify(|aspired| {
            let mut models = aspired
                .as_ref()
                .map(|aspired| aspired.models.clone())
                .unwrap_or_default();
            models.insert(name.into(), model);
            *aspired = Some(Arc::new(Aspired { models }));
        });
    }

    /// What the registry's tags say about a model that it wants.
    pub(crate) fn tag(&self, name: &str, tags: &[(&str, &str)]) {
        self.aspired.send_modify(|aspired| {
            let mut models = aspired.as_ref().unwrap().models.clone();
            let model = models.get_mut(name).unwrap();
            let pair = |(key, text): &(&str, &str)| ((*key).to_owned(), (*text).to_owned());
            model.tags = tags.iter().map(pair).collect();
            *aspired = Some(Arc::new(Aspired { models }));
        });
    }

    /// Changes what is seen of one version.
    pub(crate) fn see(&self, name: &str, number: u64, change: impl Fn(&mut VersionSnapshot)) {
        self.engine.snapshot.send_modify(|snapshot| {
            let mut seen = Snapshot::clone(snapshot);
            let model = seen.models.get_mut(name).unwrap();
            change(model.versions.get_mut(&Version(number)).unwrap());
            *snapshot = Arc::new(seen);
        });
    }

    pub(crate) fn request(
        &self,
        caller: Caller,
        method: &str,
        path: &str,
    ) -> http::request::Builder {
        let builder = Request::builder()
            .method(Method::from_bytes(method.as_bytes()).unwrap())
            .uri(path)
            .header("host", "gate.example:8080")
            .header("x-request-id", "test-1")
            .extension(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 50_000))));
        match self.credentials.get(caller.name()) {
            Some(token) => builder.header("authorization", format!("Bearer {token}")),
            None => builder,
        }
    }

    /// Sends a request without waiting for the end of its answer.
    pub(crate) async fn begin(&self, request: Request<Body>) -> axum::response::Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let (parts, body) = self.begin(request).await.into_parts();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }

    pub(crate) async fn call(
        &self,
        caller: Caller,
        method: &str,
        path: &str,
        body: &str,
    ) -> Answer {
        let request = self
            .request(caller, method, path)
            .body(Body::from(body.to_owned()));
        self.send(request.unwrap()).await
    }

    pub(crate) async fn get(&self, caller: Caller, path: &str) -> Answer {
        self.call(caller, "GET", path, "").await
    }

    /// A token of a principal who holds `grants`.
    pub(crate) async fn token(&self, principal: &str, grants: &[Grant]) -> String {
        for grant in grants {
            self.store.grant(principal, grant).await.unwrap();
        }
        self.keep(NewToken::new(principal)).await.1
    }

    /// Credentials that were refused so far.
    pub(crate) fn refused(&self) -> u64 {
        self.authenticator.refused()
    }

    /// Lets changes of tokens and grants be seen at once.
    pub(crate) async fn reload(&self) {
        self.authenticator.reload().await.unwrap();
    }

    /// A token made beside the API, and its id.
    pub(crate) async fn keep(&self, token: NewToken) -> (String, String) {
        let (record, token) = token.issue(now()).unwrap();
        let id = record.id.to_string();
        self.store.insert(record).await.unwrap();
        (id, token.expose().to_owned())
    }

    pub(crate) async fn call_with(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: &str,
    ) -> Answer {
        let request = self
            .request(Caller::Anonymous, method, path)
            .header("authorization", format!("Bearer {token}"))
            .body(Body::from(body.to_owned()));
        self.send(request.unwrap()).await
    }

    pub(crate) async fn get_with(&self, token: &str, path: &str) -> Answer {
        self.call_with(token, "GET", path, "").await
    }
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The code of a refusal, which must have the shape of one.
    pub(crate) fn refusal(&self) -> (u16, String) {
        let body = self.json();
        assert_eq!(body["request_id"], "test-1");
        assert!(
            body["message"]
                .as_str()
                .is_some_and(|message| !message.is_empty())
        );
        (
            self.status.as_u16(),
            body["error_code"].as_str().unwrap().to_owned(),
        )
    }
}

impl Caller {
    pub(crate) const ALL: [Self; 5] = [
        Self::Admin,
        Self::Manager,
        Self::Reader,
        Self::Stranger,
        Self::Anonymous,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Admin => "ada",
            Self::Manager => "mel",
            Self::Reader => "rea",
            Self::Stranger => "sam",
            Self::Anonymous => "",
        }
    }
}

/// Sessions as the gateway has them, and as it would have them again after a start.
pub(crate) fn sessions(key: &SessionKey, later: &Arc<AtomicU64>) -> Sessions {
    let later = Arc::clone(later);
    let clock = move || now() + Duration::from_secs(later.load(Ordering::Relaxed));
    Sessions::new(key, SESSION, Arc::new(clock))
}

async fn issue_tokens(store: &Store) -> BTreeMap<&'static str, String> {
    let pattern = |text: &str| text.parse().unwrap();
    for (name, grant) in [
        ("ada", Grant::Admin),
        ("mel", Grant::manage(pattern("iris"))),
        ("mel", Grant::manage(pattern("odd*"))),
        ("rea", Grant::read(pattern("iris"))),
    ] {
        store.grant(name, &grant).await.unwrap();
    }
    let mut credentials = BTreeMap::new();
    for name in ["ada", "mel", "rea", "sam"] {
        let (record, token) = NewToken::new(name).issue(now()).unwrap();
        store.insert(record).await.unwrap();
        credentials.insert(name, token.expose().to_owned());
    }
    credentials
}

fn version(phase: Phase) -> VersionSnapshot {
    let ready = phase == Phase::Ready;
    VersionSnapshot {
        generation: Generation(1),
        step: (phase == Phase::Building).then(|| "installing 12 packages".into()),
        step_since: (phase == Phase::Building).then(now),
        phase,
        since: now(),
        replicas: u32::from(ready),
        replicas_wanted: 1,
        asleep: false,
        crashes: 0,
        renewing: false,
        renewal_failure: None,
    }
}
