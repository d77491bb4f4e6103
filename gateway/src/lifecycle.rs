//! The gateway's life: open everything, serve, and on a signal end in the opposite order.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use auth::TokenStore;
use futures_util::future::BoxFuture;
use prometheus_client::registry::Registry as MetricsRegistry;
use serving_core::{
    Aspired, Clock, Handle as ManagerHandle, Inputs, Manager, ManagerConfig, SystemClock,
};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::assemble::{RegistryRoom, WorkerRoom};
use crate::config::Config;
use crate::control_plane::{
    self, About, BuildTurns, ControlState, IntentBook, StreamPlaces, Summaries, TagFollower,
    Webhooks,
};
use crate::data_plane::{DataPlane, DataPlaneConfig, DataPlaneMetrics, VersionStack};
use crate::figures::{History, Sampler};
use crate::metrics::{self, LifeMetrics, PREFIX};
use crate::open_files;
use crate::parts::Parts;
use crate::rights;
use crate::run_error::RunError;
use crate::server::{ControlPlane, Cores, Server, ServerConfig};
use crate::store::{
    BatchingNotes, DataDirLock, EventRetention, SecretFile, SeenLabels, Store, keep_last_aspired,
    write_events,
};
use crate::telemetry::{self, AccessLog, Traces, Trails};

/// Threads for everything but scoring: they mostly wait, for disks, for registries, for builds.
const CONTROL_THREADS: usize = 2;
/// Events of the engine that may wait for the disk. A burst of a thousand versions fits; more is dropped and counted.
const EVENT_QUEUE: usize = 8192;
/// How long each last step may take after everything was drained: clearing up after workers, writing the last events.
const LAST_STEP: Duration = Duration::from_secs(15);
/// Scrapers and probes are few.
const ADMIN_CONNECTIONS: usize = 64;
/// For an answer of the admin listener that is under way at the very end.
const ADMIN_DRAIN: Duration = Duration::from_secs(1);

/// Runs a gateway until SIGTERM or SIGINT, drains it, and returns. A second signal ends the draining.
///
/// Scoring has a thread and a runtime for each core ([`Cores`]); another runtime does all the rest, so that builds, SQL and pages
/// can never take a thread from scoring. The calling thread takes connections in. Must not be called from within a runtime.
pub fn run(config: Config) -> Result<(), RunError> {
    let control: Runtime = Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .thread_name("control")
        .enable_all()
        .build()?;
    let accepting = Builder::new_current_thread().enable_all().build()?;
    let outcome = accepting.block_on(live(config, control.handle().clone()));
    drop(accepting);
    control.shutdown_timeout(Duration::from_secs(1));
    outcome
}

/// Everything that runs beside the listener.
struct Household {
    data_plane: Arc<DataPlane>,
    control_plane: axum::Router,
    /// Where health and metrics are answered besides.
    admin: Option<SocketAddr>,
    trails: Trails,
    traces: Option<Traces>,
    workers: WorkerRoom,
    store: Store,
    /// Ends what follows the registry and the manager: workers are drained and stopped.
    drain: CancellationToken,
    /// Ends what keeps state, when nobody has anything to tell any more.
    close: CancellationToken,
    engine: Parts,
    keepers: Parts,
}

async fn live(config: Config, control: Handle) -> Result<(), RunError> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let lock = DataDirLock::claim(&config.local.data_dir)
        .map_err(|error| RunError::Store(error.to_string()))?;
    let listener = TcpListener::bind(config.listen)
        .await
        .map_err(|source| RunError::Listen {
            address: config.listen,
            source,
        })?;
    let address = listener.local_addr()?;
    let admin = match config.admin_listen {
        Some(address) => Some(admin_listener(address, &control).await?),
        None => None,
    };

    let soft = CancellationToken::new();
    let settings = config.clone();
    let stopping = soft.clone();
    let opened =
        control.spawn(async move { Household::open(settings, address, admin, stopping).await });
    let mut household = opened
        .await
        .map_err(|_| RunError::Failed("opening the state"))??;

    let server_config = ServerConfig {
        drain_deadline: config.drain_timeout,
        max_connections: room_for_connections(),
        ..ServerConfig::default()
    };
    let server = Server::new(
        server_config,
        Arc::clone(&household.data_plane),
        ControlPlane::new(household.control_plane.clone(), control.clone()),
    )
    .telling(household.trails.clone())
    .on(Cores::start()?);
    announce(address, household.admin);
    let mut server = std::pin::pin!(server.run(listener, soft.clone()));
    let mut signals = async || {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let failed = tokio::select! {
        () = &mut server => Some("the listener"),
        part = household.engine.ended() => Some(part),
        part = household.keepers.ended() => Some(part),
        () = signals() => None,
    };
    if let Some(part) = failed {
        error!(part, "a part that must not end has ended");
    }
    info!("stopping: requests in flight are finished first");
    soft.cancel();
    let end = async {
        if failed != Some("the listener") {
            server.await;
        }
        household.end().await;
    };
    tokio::select! {
        () = end => {}
        () = signals() => {
            warn!("a second signal: stopping without waiting");
        }
    }
    drop(lock);
    failed.map_or(Ok(()), |part| Err(RunError::Failed(part)))
}

impl Household {
    /// Opens the state and starts what runs beside the listener, on the current runtime. Health and metrics are answered
    /// at `admin` besides; `stopping` ends answers that have no end of their own.
    async fn open(
        config: Config,
        listen: SocketAddr,
        admin: Option<TcpListener>,
        stopping: CancellationToken,
    ) -> Result<Self, RunError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let drain = CancellationToken::new();
        let close = CancellationToken::new();
        let mut engine = Parts::default();
        let mut keepers = Parts::default();

        // What can be refused is refused before anything runs.
        let traces = Traces::open(&config.observing.traces, Handle::current())?;
        let store = Store::open(&config.local.data_dir).await.map_err(stored)?;
        let tokens: Arc<dyn TokenStore> = Arc::new(store.clone());
        let authenticator = rights::open(&config, &tokens, &store).await?;
        let following = rights::follow(Arc::clone(&authenticator), close.clone());
        keepers.start("following tokens", following);

        let defaults = config.model_defaults();
        let intents = IntentBook::open(store.clone(), defaults, config.enable_all)
            .await
            .map_err(stored)?;
        let rested = intents
            .enable_configured(&config.enable, &clock)
            .await
            .map_err(stored)?;
        for model in rested {
            warn!(%model, "is not served although it is configured to be: somebody disabled it");
        }

        let last_known = store.last_aspired().await.map_err(stored)?;
        let registry = RegistryRoom::open(&config, intents.subscribe(), last_known)?;
        let workers = WorkerRoom::open(&config, &registry)?;
        let aspired = registry.aspired();
        let registry_port = registry.port();
        let tags = TagFollower::new(
            Arc::clone(&intents),
            store.clone(),
            aspired.clone(),
            Arc::clone(&clock),
        );
        let heeded = tags.aspired();
        keepers.start("following the registry's tags", tags.run(close.clone()));
        let keeping = keep_last_aspired(
            store.clone(),
            aspired.clone(),
            Arc::clone(&clock),
            close.clone(),
        );
        keepers.start("keeping what the registry said", keeping);

        let mut metrics = MetricsRegistry::default();
        let data_plane_metrics =
            DataPlaneMetrics::register(metrics.sub_registry_with_prefix(PREFIX));
        let life_metrics = LifeMetrics::new();
        let webhooks = Webhooks::open(
            &config.observing.webhooks,
            SecretFile::of_webhooks(&config.local.data_dir),
            registry.webhooks(),
            metrics.sub_registry_with_prefix(PREFIX),
        )
        .map_err(|error| {
            RunError::Store(format!("the secret of webhooks cannot be read: {error}"))
        })?;
        let (events, queued) = mpsc::channel(EVENT_QUEUE);
        let kept = config.observing.events;
        let manager_config = ManagerConfig {
            drain_deadline: config.drain_timeout,
            ..ManagerConfig::default()
        };
        let figures = Arc::new(History::default());
        let sampler = Sampler::new(
            Arc::clone(&figures),
            Arc::clone(&data_plane_metrics),
            workers.processes(),
        );
        keepers.start("sampling figures", sampler.run(close.clone()));
        let stack_metrics = Arc::clone(&data_plane_metrics);
        let batching = Arc::new(BatchingNotes::new(events.clone(), Arc::clone(&clock)));
        let told = Arc::clone(&batching);
        let (manager, handle) = Manager::new(
            manager_config,
            workers.loader(),
            Box::new(move |seed| {
                let stack = VersionStack::new(seed, &stack_metrics);
                Arc::new(stack.telling(Arc::clone(&told) as _))
            }),
            Inputs {
                aspired: heeded.clone(),
                intents: intents.subscribe(),
            },
            events,
            Arc::clone(&clock),
        );
        let writing = write_events(
            store.clone(),
            queued,
            SeenLabels {
                snapshot: handle.snapshot(),
                known: wanted_is_shown(heeded, handle.clone()),
                ending: drain.clone(),
            },
            Arc::clone(&life_metrics) as _,
            EventRetention::new(kept.keep, kept.keep_per_model),
            Arc::clone(&clock),
            close.clone(),
        );
        keepers.start("writing events", writing);
        engine.start("the manager", manager.run(drain.clone()));
        engine.start("following the registry", registry.run(drain.clone()));

        let rights = authenticator.rights();
        let data_plane = DataPlane::new(
            handle.router(),
            Arc::clone(&authenticator),
            Arc::clone(&rights),
            workers.files(),
            DataPlaneConfig {
                max_body: config.body_limit,
                body_memory: config.body_memory,
                show_stack_traces: config.show_stack_traces,
            },
            data_plane_metrics,
        );
        let data_plane = Arc::new(data_plane.reached_at(config.public_url.clone()));
        let about = About {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: SystemTime::now(),
            registry_url: config.registry.url.clone(),
            public_url: config.public_url.clone(),
            listen,
        };
        let seen_by = handle.clone();
        life_metrics.register(
            metrics.sub_registry_with_prefix(PREFIX),
            handle.snapshot(),
            Box::new(move || seen_by.dropped_events() + batching.dropped()),
        );
        let sources = metrics::Sources {
            version: about.version.clone(),
            started: about.started,
            snapshot: handle.snapshot(),
            processes: workers.processes(),
            registry: Arc::clone(&registry_port),
            authenticator: Arc::clone(&authenticator),
            rights: authenticator
                .inherited()
                .map(|rights| Arc::new(rights.clone()) as _),
        };
        metrics::register(&mut metrics, sources);
        let state = Arc::new(ControlState {
            store: store.clone(),
            intents,
            engine: Arc::new(handle),
            aspired,
            registry: registry_port,
            webhooks,
            files: workers.files(),
            processes: workers.processes(),
            environments: workers.environments(),
            builds: BuildTurns::default(),
            streams: StreamPlaces::default(),
            summaries: Summaries::default(),
            authenticator,
            rights,
            tokens,
            metrics: metrics::Page::new(metrics),
            figures,
            clock,
            shutdown: stopping,
            about,
        });
        let admin = match admin {
            Some(listener) => {
                let server = admin_server(Arc::clone(&state));
                let address = listener.local_addr()?;
                // To the last: whoever watches wants to see it stop.
                keepers.start("the admin listener", server.run(listener, close.clone()));
                Some(address)
            }
            None => None,
        };
        let access_log = config.observing.access_log;
        let access_log = access_log.enabled.then(|| {
            let what = "writing the access log";
            if telemetry::are_json() {
                let (log, writer) = AccessLog::of_lines(access_log);
                keepers.start(what, writer.run_all(close.clone(), telemetry::write_lines));
                return log;
            }
            let (log, writer) = AccessLog::new(access_log);
            keepers.start(what, writer.run(close.clone(), telemetry::emit));
            log
        });
        Ok(Self {
            data_plane,
            control_plane: control_plane::router(state),
            admin,
            trails: Trails::new(access_log, traces.clone()),
            traces,
            workers,
            store,
            drain,
            close,
            engine,
            keepers,
        })
    }

    /// Drains and stops all workers, then lets the last facts be written.
    async fn end(mut self) {
        self.drain.cancel();
        self.engine.all_ended().await;
        if timeout(LAST_STEP, self.workers.idle()).await.is_err() {
            warn!("some workers are still being cleared up");
        }
        if let Some(traces) = self.traces {
            traces.close().await;
        }
        self.close.cancel();
        if timeout(LAST_STEP, self.keepers.all_ended()).await.is_err() {
            warn!("the last events could not be written in time");
        }
        self.store.close().await;
    }
}

/// Resolves when the manager shows what is wanted, after that is known. `aspired` is what the manager itself reads: what
/// the registry said may be known a moment earlier.
fn wanted_is_shown(
    mut aspired: watch::Receiver<Option<Arc<Aspired>>>,
    manager: ManagerHandle<Arc<VersionStack>>,
) -> BoxFuture<'static, ()> {
    Box::pin(async move {
        if aspired.wait_for(Option::is_some).await.is_err() {
            // It will never be known.
            std::future::pending::<()>().await;
        }
        manager.caught_up().await;
    })
}

/// How many connections there may be, by how many files may be open.
fn room_for_connections() -> usize {
    let wished = ServerConfig::default().max_connections;
    let limit = open_files::raise();
    let connections = open_files::connections(limit, wished);
    if connections < wished {
        warn!(
            connections,
            open_files = limit,
            "fewer connections are taken than {wished}, because few files may be open: raise the limit (ulimit -n, \
             LimitNOFILE=)"
        );
    }
    connections
}

/// Where questions after health and figures come in, on the runtime that answers them.
async fn admin_listener(address: SocketAddr, control: &Handle) -> Result<TcpListener, RunError> {
    let bound = control.spawn(TcpListener::bind(address)).await;
    bound
        .map_err(|_| RunError::Failed("opening the admin listener"))?
        .map_err(|source| RunError::AdminListen { address, source })
}

/// What answers them.
fn admin_server(state: Arc<ControlState>) -> Server {
    let config = ServerConfig {
        max_connections: ADMIN_CONNECTIONS,
        drain_deadline: ADMIN_DRAIN,
        ..ServerConfig::default()
    };
    let routes = ControlPlane::new(control_plane::admin_router(state), Handle::current());
    Server::without_scoring(config, routes)
}

fn stored(error: impl std::fmt::Display) -> RunError {
    RunError::Store(error.to_string())
}

/// The lines that scripts wait for: fixed ones of the contract, whatever the log's format and level are.
fn announce(address: SocketAddr, admin: Option<SocketAddr>) {
    let mut stderr = io::stderr();
    // Whoever reads them may be gone, or the disk full: no reason not to serve.
    if let Some(admin) = admin {
        let _ = writeln!(
            stderr,
            "health and metrics, without credentials, on http://{admin}"
        );
    }
    let _ = writeln!(stderr, "listening on http://{address}");
}
