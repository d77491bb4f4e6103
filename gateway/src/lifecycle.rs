//! The gateway's life: open everything, serve, and on a signal end in the opposite order.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use auth::{Authenticator, AuthenticatorConfig, TokenStore};
use prometheus_client::registry::Registry as MetricsRegistry;
use serving_core::{Clock, Inputs, Manager, ManagerConfig, SystemClock};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::assemble::{RegistryRoom, WorkerRoom};
use crate::config::Config;
use crate::control_plane::{self, About, BuildTurns, ControlState, IntentBook};
use crate::data_plane::{DataPlane, DataPlaneConfig, DataPlaneMetrics, VersionStack};
use crate::parts::Parts;
use crate::run_error::RunError;
use crate::server::{ControlPlane, Server, ServerConfig};
use crate::store::{DataDirLock, EventRetention, Store, keep_last_aspired, write_events};

/// Threads for everything but scoring: they mostly wait, for disks, for registries, for builds.
const CONTROL_THREADS: usize = 2;
/// Events of the engine that may wait for the disk. A burst of a thousand versions fits; more is dropped and counted.
const EVENT_QUEUE: usize = 8192;
/// How long each last step may take after everything was drained: clearing up after workers, writing the last events.
const LAST_STEP: Duration = Duration::from_secs(15);

/// Runs a gateway until SIGTERM or SIGINT, drains it, and returns. A second signal ends the draining.
///
/// Makes two runtimes: one scores and nothing else, the other does all the rest, so that builds, SQL and pages can never
/// take a thread from scoring. Must not be called from within a runtime.
pub fn run(config: Config) -> Result<(), RunError> {
    let runtime = |name: &str, threads: Option<usize>| -> io::Result<Runtime> {
        let mut builder = Builder::new_multi_thread();
        if let Some(threads) = threads {
            builder.worker_threads(threads);
        }
        builder.thread_name(name).enable_all().build()
    };
    let control = runtime("control", Some(CONTROL_THREADS))?;
    let scoring = runtime("scoring", None)?;
    let outcome = scoring.block_on(live(config, control.handle().clone()));
    scoring.shutdown_timeout(Duration::from_secs(1));
    control.shutdown_timeout(Duration::from_secs(1));
    outcome
}

/// Everything that runs beside the listener.
struct Household {
    data_plane: Arc<DataPlane>,
    control_plane: axum::Router,
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

    let soft = CancellationToken::new();
    let settings = config.clone();
    let stopping = soft.clone();
    let opened = control.spawn(async move { Household::open(settings, address, stopping).await });
    let mut household = opened
        .await
        .map_err(|_| RunError::Failed("opening the state"))??;

    let server_config = ServerConfig {
        drain_deadline: config.drain_timeout,
        ..ServerConfig::default()
    };
    let server = Server::new(
        server_config,
        Arc::clone(&household.data_plane),
        ControlPlane::new(household.control_plane.clone(), control.clone()),
    );
    announce(address);
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
    /// Opens the state and starts what runs beside the listener, on the current runtime. `stopping` ends answers that
    /// have no end of their own.
    async fn open(
        config: Config,
        listen: SocketAddr,
        stopping: CancellationToken,
    ) -> Result<Self, RunError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let drain = CancellationToken::new();
        let close = CancellationToken::new();
        let mut engine = Parts::default();
        let mut keepers = Parts::default();

        let store = Store::open(&config.local.data_dir).await.map_err(stored)?;
        let tokens: Arc<dyn TokenStore> = Arc::new(store.clone());
        let authenticator = authenticator(&config, &tokens).await?;
        keepers.start("following tokens", {
            let (authenticator, close) = (Arc::clone(&authenticator), close.clone());
            async move { authenticator.run(close).await }
        });

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
        let keeping = keep_last_aspired(
            store.clone(),
            aspired.clone(),
            Arc::clone(&clock),
            close.clone(),
        );
        keepers.start("keeping what the registry said", keeping);

        let mut metrics = MetricsRegistry::with_prefix("sluicegate");
        let data_plane_metrics = DataPlaneMetrics::register(&mut metrics);
        let (events, queued) = mpsc::channel(EVENT_QUEUE);
        let writing = write_events(
            store.clone(),
            queued,
            EventRetention::default(),
            Arc::clone(&clock),
            close.clone(),
        );
        keepers.start("writing events", writing);
        let manager_config = ManagerConfig {
            drain_deadline: config.drain_timeout,
            ..ManagerConfig::default()
        };
        let stack_metrics = Arc::clone(&data_plane_metrics);
        let (manager, handle) = Manager::new(
            manager_config,
            workers.loader(),
            Box::new(move |seed| Arc::new(VersionStack::new(seed, &stack_metrics))),
            Inputs {
                aspired: aspired.clone(),
                intents: intents.subscribe(),
            },
            events,
            Arc::clone(&clock),
        );
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
        let control_plane = control_plane::router(ControlState {
            store: store.clone(),
            intents,
            engine: Arc::new(handle),
            aspired,
            registry: registry_port,
            files: workers.files(),
            environments: workers.environments(),
            builds: BuildTurns::default(),
            authenticator,
            rights,
            tokens,
            metrics: Arc::new(metrics),
            clock,
            shutdown: stopping,
            about: About {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                started: SystemTime::now(),
                registry_url: config.registry.url.clone(),
                public_url: config.public_url.clone(),
                listen,
            },
        });
        Ok(Self {
            data_plane,
            control_plane,
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
        self.close.cancel();
        if timeout(LAST_STEP, self.keepers.all_ended()).await.is_err() {
            warn!("the last events could not be written in time");
        }
        self.store.close().await;
    }
}

async fn authenticator(
    config: &Config,
    tokens: &Arc<dyn TokenStore>,
) -> Result<Arc<Authenticator>, RunError> {
    if !config.auth.enabled {
        warn!(
            "authentication is off (auth.enabled = false): everybody who reaches this address may do everything"
        );
        return Ok(Arc::new(Authenticator::disabled()));
    }
    let kept = tokens.load().await.map_err(stored)?;
    if kept.tokens.is_empty() {
        let data_dir = config.local.data_dir.display();
        warn!(
            "there is no token yet; make the first one on this host: \
             sluicegate tokens create --local --principal NAME --admin --data-dir {data_dir}"
        );
    }
    let clock: auth::Clock = Arc::new(SystemTime::now);
    let opened =
        Authenticator::open(Arc::clone(tokens), clock, AuthenticatorConfig::default()).await;
    Ok(Arc::new(opened.map_err(stored)?))
}

fn stored(error: impl std::fmt::Display) -> RunError {
    RunError::Store(error.to_string())
}

/// The line that scripts wait for.
#[expect(
    clippy::print_stderr,
    reason = "a fixed line of the contract, whatever the log's format and level are"
)]
fn announce(address: SocketAddr) {
    eprintln!("listening on http://{address}");
}
