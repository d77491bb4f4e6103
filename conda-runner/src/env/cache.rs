//! Finds or provides the environment of a model.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serving_core::{LoadError, LoadJob, Progress, WorkPermits};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::advice;
use super::background::Background;
use super::build::{self, Conda, PipSettings, Report, UvTool};
use super::builds::Builds;
use super::declared::{Builder, Served, Wanted};
use super::environment::Environment;
use super::facts::Facts;
use super::key::Recipe;
use super::loading::Loading;
use super::lock::Locks;
use super::logs::BuildLogs;
use super::maker::{Maker, Order};
use super::marker::Marker;
use super::provided::Provided;
use super::trouble::Trouble;
use crate::config::{EnvManager, RunnerConfig};
use crate::error::RunnerError;
use crate::process::host::Host;
use crate::process::logs::{Log, LogWriter};
use crate::shelf::{Finished, Hold, Shelf, Staging};

/// All environments.
pub(crate) struct Environments {
    python: Option<PathBuf>,
    constraints: Option<PathBuf>,
    /// For what somebody waits for.
    host: Host,
    maker: Maker,
    shelf: Shelf,
    loading: Loading,
    builds: Builds,
    background: Arc<Background>,
}

/// Whose environment is wanted.
#[derive(Clone, Debug)]
pub(crate) struct Wish<'a> {
    pub(crate) manager: EnvManager,
    /// The model's folder.
    pub(crate) folder: &'a Path,
    pub(crate) care: Care,
    /// Whether what was chosen and built before does not count.
    pub(crate) fresh: bool,
}

/// What keeps a model's folder where it is: a build goes on for others when its first caller has gone, and still needs
/// the folder then.
#[derive(Clone, Debug)]
#[expect(dead_code, reason = "what is in it is only held")]
pub(crate) enum Care {
    /// It is being made.
    Staging(Staging),
    /// It is on a shelf.
    Shelf(Hold),
    /// It is somebody else's.
    Owner,
}

/// A built environment, which stays as long as this value lives.
#[derive(Clone, Debug)]
pub(crate) struct Built {
    pub(crate) key: String,
    pub(crate) path: PathBuf,
    pub(crate) marker: Marker,
    /// Its own, then that of the environment whose interpreter it has.
    pub(crate) hold: Vec<Hold>,
}

/// In whose name a build is asked for.
struct Asker<'a> {
    name: String,
    /// The arguments with which the build is asked for on the command line.
    again: String,
    work: WorkPermits,
    progress: &'a Progress,
    /// Told of the build besides the log of the environment.
    log: Option<&'a Log>,
}

impl Environments {
    /// Built ones are kept on `shelf`; `host` starts the programs that build.
    pub(crate) fn new(
        config: &RunnerConfig,
        host: Host,
        shelf: Shelf,
        writer: LogWriter,
    ) -> Result<Self, RunnerError> {
        let below = |name: &str| config.data_dir.join(name);
        // Where hard links to it are possible, a quota sees it, and it moves along with the folder.
        let cache = |name: &str| below("packages").join(name).display().to_string();
        let builder = host
            .gentle()
            .for_built()
            .with_default("UV_CACHE_DIR", &cache("uv"))
            .with_default("PIP_CACHE_DIR", &cache("pip"));
        let maker = Maker {
            conda: Conda::new(
                &config.conda,
                &below("packages"),
                config.offline,
                host.variable("HOME").map(Path::new),
            )?,
            channels: Arc::new(config.conda.clone()),
            uv: UvTool {
                configured: config.uv.clone(),
                tools: below("tools"),
            },
            pip: Arc::new(PipSettings {
                constraints: config.pip.constraints.clone(),
                index_url: config.pip.index_url.clone(),
                extra_index_urls: config.pip.extra_index_urls.clone(),
                offline: config.offline,
            }),
            locks: Locks::new(below("locks")),
            logs: BuildLogs::new(below("logs/environments"), writer),
            host: builder,
            shelf: shelf.clone(),
        };
        Ok(Self {
            python: config.python.clone(),
            constraints: config.pip.constraints.clone(),
            host,
            loading: Loading::new(maker.host.clone()),
            maker,
            shelf,
            builds: Builds::default(),
            background: Arc::new(Background::new()),
        })
    }

    /// The environment that is wished for the version of `job`.
    pub(crate) async fn provide(
        &self,
        wish: Wish<'_>,
        job: &LoadJob,
        log: &Log,
    ) -> Result<Environment, LoadError> {
        let Some(builder) = Builder::of(wish.manager) else {
            return self.local(log).await;
        };
        let asker = Asker {
            name: job.spec.id.to_string(),
            again: advice::of_version(&job.spec.id),
            work: job.work.clone(),
            progress: &job.progress,
            log: Some(log),
        };
        let built = self.built(builder, wish, asker).await?;
        self.environment(built, log).await
    }

    /// Builds what the files in `folder` declare, or finds it built. The folder need be no model, and then the
    /// environment need have no MLflow. Compiling goes on in the background: [`Environments::compiled`] waits for it.
    pub(crate) async fn build_folder(
        &self,
        folder: &Path,
        manager: EnvManager,
        fresh: bool,
        progress: &Progress,
    ) -> Result<Built, LoadError> {
        let builder = Builder::of(manager).ok_or_else(|| {
            LoadError::permanent(
                "nothing is built for env_manager local: use conda, uv or virtualenv",
            )
        })?;
        let wish = Wish {
            manager,
            folder,
            care: Care::Owner,
            fresh,
        };
        let asker = Asker {
            name: folder.display().to_string(),
            again: advice::of_folder(folder),
            work: WorkPermits::unlimited(),
            progress,
            log: None,
        };
        self.built(builder, wish, asker).await
    }

    /// The files of the log of all attempts to build this environment, oldest first. They need not exist.
    pub(crate) fn build_log(&self, key: &str) -> Vec<PathBuf> {
        self.maker.logs.files(key)
    }

    /// What was chosen for environments.
    pub(crate) fn locks(&self) -> &Locks {
        &self.maker.locks
    }

    /// Returns when all environments that were built are compiled.
    pub(crate) async fn compiled(&self) {
        self.background.done().await;
    }

    /// Told whenever an environment that was built has grown in the background.
    pub(crate) fn grown(&self) -> Arc<Notify> {
        self.background.grown()
    }

    /// Breaks off what nobody waits for, and returns when nothing of it is left.
    pub(crate) async fn stop(&self) {
        self.background.stop().await;
    }

    /// Asked anew each time: its owner may change it, and the question is cheap.
    async fn local(&self, log: &Log) -> Result<Environment, LoadError> {
        let Some(python) = &self.python else {
            return Err(Trouble::ToolMissing.error(
                "no interpreter is configured for env_manager local: start with --python /path/to/python, \
                 the interpreter of an environment that has MLflow and what the models need",
            ));
        };
        if !python.is_absolute() || !python.is_file() {
            return Err(Trouble::ToolMissing.error(format!(
                "{} is not the absolute path of an interpreter: start with --python /path/to/python",
                python.display()
            )));
        }
        log.line(&format!("using the interpreter {}", python.display()))
            .await;
        let facts = Facts::ask(&self.host, python, log).await?;
        Ok(Environment::local(python.clone(), facts))
    }

    async fn built(
        &self,
        builder: Builder,
        wish: Wish<'_>,
        asker: Asker<'_>,
    ) -> Result<Built, LoadError> {
        let served = Served::read(wish.folder).await?;
        let module = served.loader_module.clone();
        let wanted = Wanted::read(builder, wish.folder, &served).await?;
        let key = self.key(wish.folder, &wanted).await?;
        let order = Order {
            key: key.clone(),
            wanted,
            folder: wish.folder.to_owned(),
            served,
            fresh: wish.fresh,
        };
        let short = &key[..8];
        let asked = Instant::now();
        let was_there = !wish.fresh && self.shelf.find(&key).await.is_some();
        if was_there {
            asker.progress.step(format!("reusing environment {short}"));
        } else {
            asker.progress.step(format!("building environment {short}"));
        }
        let build = self.builds.join(&key);
        let report = {
            let own = self.maker.logs.of(&key);
            let log = asker.log.map_or_else(|| own.clone(), |log| log.tee(&own));
            Report::new(log, asker.progress.clone())
        };
        let (permits, again) = (asker.work.clone(), asker.again);
        let is_mine = Arc::new(AtomicBool::new(false));
        let make = {
            let (maker, build, is_mine) =
                (self.maker.clone(), Arc::clone(&build), Arc::clone(&is_mine));
            let own = maker.logs.of(&key);
            let log = asker.log.map_or_else(|| own.clone(), |log| log.tee(&own));
            let (name, work, care) = (asker.name, asker.work, wish.care);
            let background = Arc::clone(&self.background);
            async move |staging: Staging| {
                let _care = care;
                let _permit = work.permit().await;
                is_mine.store(true, Ordering::Relaxed);
                own.line(&order.heading(&name)).await;
                log.line(&format!("building environment {}", order.key))
                    .await;
                let report = Report::new(log, build.progress.clone());
                let made = Box::pin(maker.make(&order, &staging, &report)).await;
                if order.fresh {
                    // What it replaces may have been built while this one waited.
                    background.leave(&order.key).await;
                }
                match made.and_then(|marker| marker.written()) {
                    Ok(marker) => {
                        build.done();
                        Ok(marker)
                    }
                    Err(error) => {
                        own.line(&format!("failed: {error}")).await;
                        Err(error)
                    }
                }
            }
        };
        let waiting = {
            let (progress, short) = (build.progress.clone(), short.to_owned());
            move || {
                progress.step(format!(
                    "waiting for another process that builds environment {short}"
                ));
            }
        };
        let making = async {
            if !wish.fresh {
                return self.shelf.find_or_make_telling(&key, waiting, make).await;
            }
            self.background.leave(&key).await;
            self.shelf.make_anew(&key, make).await
        };
        let finished = tokio::select! {
            finished = making => finished,
            never = build.tell(asker.progress) => never,
        };
        let finished = match finished {
            Ok(finished) => finished,
            Err(error) => return Err(self.advised(error, &key, &again, wish.fresh).await),
        };
        if let (false, Some(log)) = (is_mine.load(Ordering::Relaxed), asker.log) {
            log.line(&format!("reusing environment {key}")).await;
        }
        let built = self.held(key, finished).await?;
        let provided = match (is_mine.load(Ordering::Relaxed), was_there) {
            (true, _) => Provided::Built,
            (false, true) => Provided::Reused,
            (false, false) => Provided::Awaited,
        };
        asker
            .progress
            .note(provided.note(&built.key, asked.elapsed()));
        if build.take_new() {
            self.background.compile(
                &built.key,
                self.maker.host.clone(),
                built.path.clone(),
                built.hold.clone(),
                self.maker.logs.of(&built.key),
            );
        }
        if let Some(module) = module {
            self.loading.check(&built, &module, permits, report).await?;
        }
        Ok(built)
    }

    /// Names what to build to whoever asked: others who wait for the same build have other models.
    async fn advised(&self, error: LoadError, key: &str, again: &str, fresh: bool) -> LoadError {
        let locked = self.maker.locks.find(key).await;
        if fresh || !matches!(locked, Ok(Some(_))) {
            return error;
        }
        advice::chosen_before(error, again)
    }

    /// With the hold of what it is made from.
    async fn held(&self, key: String, finished: Finished) -> Result<Built, LoadError> {
        let marker = Marker::read(&finished.marker).ok_or_else(|| {
            LoadError::permanent(format!(
                "the environment {} was tampered with: remove it, and it is built again",
                finished.path.display()
            ))
        })?;
        let mut hold = vec![finished.hold];
        if let Some(base) = &marker.base {
            let base = self.shelf.find(base).await.ok_or_else(|| {
                LoadError::transient(format!(
                    "the environment {base}, whose interpreter is needed, was removed just now"
                ))
            })?;
            hold.push(base.hold);
        }
        Ok(Built {
            key,
            path: finished.path,
            marker,
            hold,
        })
    }

    async fn environment(&self, built: Built, log: &Log) -> Result<Environment, LoadError> {
        let facts = if let Some(facts) = built.marker.facts {
            facts
        } else {
            // Built for something else than a model: its interpreter says what is missing.
            let python = built.path.join(super::INTERPRETER);
            Facts::ask(&self.host.for_built(), &python, log).await?
        };
        let mut activation = built.marker.variables;
        activation.extend(build::activation(&self.host, &built.path, log).await?);
        Ok(Environment::built(
            built.key,
            &built.path,
            facts,
            activation,
            built.hold,
        ))
    }

    /// Reads requirements files and packages of the model, some of them large.
    async fn key(&self, folder: &Path, wanted: &Wanted) -> Result<String, LoadError> {
        let (folder, wanted) = (folder.to_owned(), wanted.clone());
        let conda = Arc::clone(&self.maker.channels);
        let constraints = self.constraints.clone();
        let recipe = move || {
            Recipe::new(&folder, &wanted, &conda, constraints.as_deref()).map(|recipe| recipe.key())
        };
        let done = tokio::task::spawn_blocking(recipe).await;
        done.unwrap_or_else(|error| {
            Err(LoadError::transient(format!(
                "cannot read the requirements: {error}"
            )))
        })
    }
}
