//! An engine that shows what tests want it to show, and the workers that it seems to have.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use gateway::control_plane::Engine;
use gateway::data_plane::{BatchingState, Example};
use gateway::ports::{GatewayProcess, Processes, TemplateProcess, WorkerProcess};
use serving_core::{ServableId, Snapshot, UnknownServable};
use tokio::sync::watch;

pub(crate) struct ScriptedEngine {
    pub(crate) snapshot: watch::Sender<Arc<Snapshot>>,
    pub(crate) restarted: Mutex<Vec<ServableId>>,
    pub(crate) examples: Mutex<BTreeMap<ServableId, Example>>,
    pub(crate) batching: Mutex<BTreeMap<ServableId, BatchingState>>,
    /// Whether it is behind what is wanted until this is `false`.
    pub(crate) behind: watch::Sender<bool>,
}

/// The workers that run.
#[derive(Default)]
pub(crate) struct ScriptedProcesses(pub(crate) Mutex<Vec<WorkerProcess>>);

impl Processes for ScriptedProcesses {
    fn workers(&self) -> Vec<WorkerProcess> {
        self.0.lock().unwrap().clone()
    }

    fn templates(&self) -> Vec<TemplateProcess> {
        vec![TemplateProcess {
            key: "0a1b".to_owned(),
            environment: None,
            workers: 3,
            memory_bytes: Some(200 << 20),
            cpu: Some(Duration::from_millis(4500)),
        }]
    }

    fn gateway(&self) -> Option<GatewayProcess> {
        Some(GatewayProcess {
            resident_memory: 50 << 20,
            virtual_memory: 1 << 30,
            cpu: Duration::from_millis(1500),
            threads: 9,
            open_files: 30,
            max_files: Some(1024),
        })
    }
}

#[async_trait]
impl Engine for ScriptedEngine {
    fn snapshot(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshot.subscribe()
    }

    async fn restart(&self, id: &ServableId) -> Result<(), UnknownServable> {
        let snapshot = self.snapshot.borrow();
        let model = snapshot.models.get(&id.model);
        if model.is_some_and(|model| model.versions.contains_key(&id.version)) {
            self.restarted.lock().unwrap().push(id.clone());
            Ok(())
        } else {
            Err(UnknownServable(id.clone()))
        }
    }

    async fn caught_up(&self) {
        let mut behind = self.behind.subscribe();
        behind.wait_for(|behind| !behind).await.unwrap();
    }

    fn example(&self, id: &ServableId) -> Option<Example> {
        self.examples.lock().unwrap().get(id).cloned()
    }

    fn batching(&self, id: &ServableId) -> Option<BatchingState> {
        self.batching.lock().unwrap().get(id).cloned()
    }
}
