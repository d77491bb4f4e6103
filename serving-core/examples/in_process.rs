//! Serves models inside of a program, without a network: a model is a function, its source is a number
//! to multiply by. Registers two versions, moves a label from one to the other, archives the first one,
//! and prints who answers on the way.
//!
//! `cargo run -p serving-core --example in_process`

#![expect(clippy::print_stdout, reason = "an example is there to be read")]

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serving_core::{
    Aspired, AspiredModel, AspiredVersion, Exit, Handle, Inputs, Instance, Intent, Intents, Label,
    LoadError, LoadJob, Loader, Manager, ManagerConfig, Prepared, Reference, ReplicaId, Replicas,
    Settings, Source, Stop, SystemClock, Version,
};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// What a replica offers: here the model itself.
type Model = Arc<dyn Fn(f64) -> f64 + Send + Sync>;

/// What callers of a version reach: here nothing but its replicas. A server would put a queue and
/// limits around them.
type Stack = Replicas<Model>;

struct Multiplications;

struct Multiplication {
    factor: f64,
}

struct NothingToStop;

#[async_trait]
impl Loader<Model> for Multiplications {
    async fn prepare(&self, job: LoadJob) -> Result<Arc<dyn Prepared<Model>>, LoadError> {
        job.progress.step("reading the factor");
        let Source::Readable(text) = &job.spec.source else {
            return Err(LoadError::permanent("there is nothing to read"));
        };
        let factor = text
            .parse()
            .map_err(|error| LoadError::permanent(format!("{text:?} is no factor: {error}")))?;
        Ok(Arc::new(Multiplication { factor }))
    }
}

#[async_trait]
impl Prepared<Model> for Multiplication {
    async fn load(&self, _replica: ReplicaId) -> Result<Instance<Model>, LoadError> {
        let factor = self.factor;
        Ok(Instance {
            servable: Arc::new(move |input| factor * input),
            exit: Box::pin(std::future::pending::<Exit>()),
            give_up: Box::pin(std::future::pending()),
            stop: Box::new(NothingToStop),
        })
    }
}

#[async_trait]
impl Stop for NothingToStop {
    async fn stop(self: Box<Self>) {}
}

fn registry(versions: &[(u64, &str)], production: u64) -> Arc<Aspired> {
    let version = |(number, factor): &(u64, &str)| {
        let version = AspiredVersion {
            incarnation: "first".into(),
            source: Source::Readable((*factor).into()),
        };
        (Version(*number), version)
    };
    let model = AspiredModel {
        incarnation: "first".into(),
        versions: versions.iter().map(version).collect(),
        labels: BTreeMap::from([(Label::from("Production"), Version(production))]),
        tags: BTreeMap::new(),
    };
    let models = BTreeMap::from([("multiply".into(), model)]);
    Arc::new(Aspired { models })
}

fn ask(handle: &Handle<Stack>, reference: Reference) -> String {
    let entered = match handle.router().enter("multiply", &[reference]) {
        Ok(entered) => entered,
        Err(unrouted) => return unrouted.to_string(),
    };
    match entered.target.current().live.first() {
        Some(replica) => format!("{} says {}", entered.id, (replica.servable)(21.0)),
        None => "no replica lives".to_owned(),
    }
}

/// Waits until the label points at `version`.
async fn promoted(handle: &Handle<Stack>, version: u64) -> Result<(), Box<dyn Error>> {
    let mut snapshot = handle.snapshot();
    let there = snapshot.wait_for(|snapshot| {
        let model = snapshot.models.get("multiply");
        let label = model.and_then(|model| model.labels.get("Production"));
        label.is_some_and(|label| label.current == Some(Version(version)))
    });
    timeout(Duration::from_secs(10), there).await??;
    Ok(())
}

/// Waits until `version` is gone.
async fn gone(handle: &Handle<Stack>, version: u64) -> Result<(), Box<dyn Error>> {
    let mut snapshot = handle.snapshot();
    let there = snapshot.wait_for(|snapshot| {
        let model = snapshot.models.get("multiply");
        model.is_none_or(|model| !model.versions.contains_key(&Version(version)))
    });
    timeout(Duration::from_secs(10), there).await??;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // People: serve this model.
    let serve = Intent::Serve(Arc::new(Settings::default()));
    let intents = Intents {
        models: BTreeMap::from([("multiply".into(), serve)]),
        otherwise: None,
    };
    let (_people, intents) = watch::channel(Arc::new(intents));
    // The registry: nothing is known of it yet.
    let (source, aspired) = watch::channel(None);
    let (events, mut log) = mpsc::channel(256);

    let (manager, handle) = Manager::new(
        ManagerConfig::default(),
        Arc::new(Multiplications),
        Box::new(|seed| seed.replicas),
        Inputs { aspired, intents },
        events,
        Arc::new(SystemClock),
    );
    let shutdown = CancellationToken::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(manager.run(shutdown.clone()));

    let production = || Reference::Label(Label::from("Production"));
    let number = |version| Reference::Version(Version(version));

    source.send_replace(Some(registry(&[(1, "2.0")], 1)));
    promoted(&handle, 1).await?;
    println!(
        "version 1 is in production:  {}",
        ask(&handle, production())
    );

    source.send_replace(Some(registry(&[(1, "2.0"), (2, "three")], 2)));
    println!(
        "version 2 cannot be loaded:  {}",
        ask(&handle, production())
    );

    source.send_replace(Some(registry(&[(1, "2.0"), (2, "3.0")], 2)));
    promoted(&handle, 2).await?;
    println!(
        "version 2 is in production:  {}",
        ask(&handle, production())
    );
    println!("version 1 by its number:     {}", ask(&handle, number(1)));

    source.send_replace(Some(registry(&[(2, "3.0")], 2)));
    gone(&handle, 1).await?;
    println!("version 1 is archived:       {}", ask(&handle, number(1)));
    println!(
        "the newest one:              {}",
        ask(&handle, Reference::Latest)
    );

    shutdown.cancel();
    while tasks.join_next().await.is_some() {}
    println!("\nwhat happened:");
    while let Some(event) = log.recv().await {
        let version = event.version.map(|version| version.to_string());
        println!(
            "  {}@{} {:?}",
            event.model,
            version.unwrap_or_default(),
            event.fact
        );
    }
    Ok(())
}
