//! The manager's handle as the control plane's engine.

use std::sync::Arc;

use async_trait::async_trait;
use gateway::control_plane::Engine;
use gateway::data_plane::{DataPlaneMetrics, Upstream, VersionStack};
use prometheus_client::registry::Registry;
use serving_core::{
    Aspired, AspiredModel, Incarnation, Inputs, Intent, Intents, LoadError, LoadJob, Loader,
    Manager, ManagerConfig, Prepared, Settings, SystemClock,
};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

struct NoLoader;

#[async_trait]
impl Loader<Upstream> for NoLoader {
    async fn prepare(&self, _: LoadJob) -> Result<Arc<dyn Prepared<Upstream>>, LoadError> {
        Err(LoadError::permanent("there is nothing to load"))
    }
}

#[tokio::test]
async fn who_has_caught_up_shows_what_was_wanted_before_the_question() {
    let model = AspiredModel {
        incarnation: Incarnation::from("1"),
        versions: [].into(),
        labels: [].into(),
        tags: [].into(),
    };
    let models = [("iris".into(), model)].into();
    let aspired = watch::Sender::new(Some(Arc::new(Aspired { models })));
    let intents = watch::Sender::new(Arc::new(Intents::default()));
    let (events, _log) = mpsc::channel(8);
    let metrics = DataPlaneMetrics::register(&mut Registry::default());
    let (manager, handle) = Manager::new(
        ManagerConfig::default(),
        Arc::new(NoLoader),
        Box::new(move |seed| Arc::new(VersionStack::new(seed, &metrics))),
        Inputs {
            aspired: aspired.subscribe(),
            intents: intents.subscribe(),
        },
        events,
        Arc::new(SystemClock),
    );
    let (mut tasks, shutdown) = (JoinSet::new(), CancellationToken::new());
    tasks.spawn(manager.run(shutdown.clone()));
    let engine: &dyn Engine = &handle;
    engine.caught_up().await;
    assert!(engine.snapshot().borrow().models.is_empty());

    let serve = Intent::Serve(Arc::new(Settings::default()));
    intents.send_replace(Arc::new(Intents {
        models: [("iris".into(), serve)].into(),
        otherwise: None,
    }));
    engine.caught_up().await;
    assert!(engine.snapshot().borrow().models.contains_key("iris"));
    shutdown.cancel();
    tasks.join_all().await;
}
