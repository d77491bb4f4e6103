//! Makes one environment: the order of the steps, from what is wanted to what is written down about it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use serving_core::LoadError;

use super::INTERPRETER;
use super::build::{self, Conda, Installer, Package, PipSettings, Report, Site, Solved, UvTool};
use super::declared::{Builder, Served, Wanted};
use super::facts::Found;
use super::key::Recipe;
use super::lock::{Chosen, Lock, Locks};
use super::logs::BuildLogs;
use super::marker::Marker;
use super::trouble::Trouble;
use crate::config::CondaConfig;
use crate::process::host::Host;
use crate::shelf::{Finished, Shelf, Staging};
use crate::space;
use crate::time::rfc3339;

/// All that builds share. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Maker {
    /// Starts programs at low priority.
    pub(crate) host: Host,
    pub(crate) conda: Conda,
    pub(crate) channels: Arc<CondaConfig>,
    pub(crate) uv: UvTool,
    pub(crate) pip: Arc<PipSettings>,
    pub(crate) locks: Locks,
    pub(crate) logs: BuildLogs,
    /// For interpreters that environments are made from.
    pub(crate) shelf: Shelf,
}

/// What is to be made.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) key: String,
    pub(crate) wanted: Wanted,
    /// The model's folder.
    pub(crate) folder: PathBuf,
    pub(crate) served: Served,
    /// Whether what was chosen before does not count.
    pub(crate) fresh: bool,
}

impl Order {
    /// Begins the log of an attempt.
    pub(crate) fn heading(&self, name: &str) -> String {
        format!(
            "--- attempt at {}, {}, for {name} ---",
            rfc3339(SystemTime::now()),
            self.wanted.builder.as_str()
        )
    }
}

/// An environment without its Python packages.
struct Begun {
    /// The conda packages in it.
    solved: Option<Solved>,
    /// Who installs into it; `None` if nothing is to be installed.
    installer: Option<Installer>,
    /// The key of the environment whose interpreter it has.
    base: Option<String>,
}

impl Maker {
    /// Makes it in `staging`. What is returned is to be written down when it is in its place.
    pub(crate) async fn make(
        &self,
        order: &Order,
        staging: &Staging,
        report: &Report,
    ) -> Result<Marker, LoadError> {
        space::room(&self.shelf).await?;
        for note in &order.wanted.notes {
            report.line(note).await;
        }
        let site = Site {
            prefix: staging.whole(),
            place: self.shelf.place(&order.key),
            folder: order.folder.clone(),
            host: self.host.clone(),
            report: report.clone(),
        };
        let lock = self.lock(order, report).await;
        let begun = match order.wanted.builder {
            Builder::Conda => Box::pin(self.link(&site, order, &lock)).await?,
            Builder::Uv | Builder::Virtualenv => self.derive(&site, order, staging).await?,
        };
        let installed = self.install(&site, order, &begun, &lock.pip).await?;
        build::relocate(&site.prefix, &site.place).await?;
        let found = self.check(&site, order).await?;
        let packages = packages(begun.solved.as_ref(), &installed.then);
        let lock = Lock {
            conda: begun.solved.as_ref().map(Solved::lock),
            pip: installed.of_releases(),
        };
        self.locks.keep(&order.key, &lock).await?;
        Ok(Marker {
            facts: found.facts.ok(),
            manager: order.wanted.builder.as_str().to_owned(),
            python: found.python,
            built: SystemTime::now(),
            steps: report.steps(),
            base: begun.base,
            variables: order.wanted.variables.clone(),
            packages,
        })
    }

    /// What was chosen before. A choice that cannot be read is made anew.
    async fn lock(&self, order: &Order, report: &Report) -> Lock {
        if order.fresh {
            report.line("choosing all versions anew, as wished").await;
            return Lock::default();
        }
        match self.locks.find(&order.key).await {
            Ok(Some(lock)) => {
                report
                    .line("taking the versions that were chosen when this environment was first built")
                    .await;
                lock
            }
            Ok(None) => Lock::default(),
            Err(error) => {
                report
                    .line(&format!("{error}: choosing all versions anew"))
                    .await;
                Lock::default()
            }
        }
    }

    async fn link(&self, site: &Site, order: &Order, lock: &Lock) -> Result<Begun, LoadError> {
        let report = &site.report;
        let locked = self.locked(order, lock, report).await;
        let solved = if let Some(solved) = locked {
            solved
        } else {
            let solving = Box::pin(self.conda.solve(&order.wanted.conda, report));
            report.step("solving", solving).await?
        };
        let installing = self.conda.install(&solved, site);
        report
            .step("downloading and linking conda packages", installing)
            .await?;
        let installer = if wants_packages(&order.wanted) {
            let python = site.prefix.join(INTERPRETER);
            Some(self.installer(site, &python).await)
        } else {
            None
        };
        Ok(Begun {
            solved: Some(solved),
            installer,
            base: None,
        })
    }

    async fn locked(&self, order: &Order, lock: &Lock, report: &Report) -> Option<Solved> {
        match self.conda.locked(lock.conda.as_ref()?, &order.wanted.conda) {
            Ok(solved) => Some(solved),
            Err(error) => {
                report
                    .line(&format!("the lock cannot be used ({error}): solving anew"))
                    .await;
                None
            }
        }
    }

    async fn installer(&self, site: &Site, python: &Path) -> Installer {
        let uv = self
            .uv
            .provide(&site.host, python, &self.pip, &site.report)
            .await;
        uv.map_or(Installer::Pip, Installer::Uv)
    }

    /// Makes a virtual environment.
    async fn derive(
        &self,
        site: &Site,
        order: &Order,
        staging: &Staging,
    ) -> Result<Begun, LoadError> {
        let is_alone = order.wanted.builder == Builder::Virtualenv;
        let report = &site.report;
        let looking = self.interpreter(order, is_alone, staging, report);
        let (mut interpreter, mut base) = looking.await?;
        let installer = if is_alone {
            Installer::Pip
        } else {
            self.installer(site, &interpreter).await
        };
        if installer == Installer::Pip && !is_alone {
            // Without uv the interpreter has to do it, and this one need not be able to.
            (interpreter, base) = self.interpreter(order, true, staging, report).await?;
        }
        let uv = match &installer {
            Installer::Uv(uv) => Some(uv.as_path()),
            Installer::Pip => None,
        };
        let making = build::make_venv(site, &interpreter, uv);
        site.report
            .step("making a virtual environment", making)
            .await?;
        Ok(Begun {
            solved: None,
            installer: wants_packages(&order.wanted).then_some(installer),
            base,
        })
    }

    /// An installed interpreter, or else one of conda's with the key of its environment. `venv` if it has to make
    /// virtual environments by itself.
    async fn interpreter(
        &self,
        order: &Order,
        venv: bool,
        staging: &Staging,
        report: &Report,
    ) -> Result<(PathBuf, Option<String>), LoadError> {
        let python = order.wanted.python.as_deref();
        let looked_for = build::Wanted {
            version: python,
            venv,
        };
        let looking = build::installed(&self.host, looked_for, report);
        let found = report.step("looking for installed interpreters", looking);
        if let Some(interpreter) = found.await {
            report
                .line(&format!("using the interpreter {}", interpreter.display()))
                .await;
            return Ok((interpreter, None));
        }
        let name = format!("Python {}", python.unwrap_or_default());
        let name = name.trim_end();
        report
            .line(&format!("{name} is not installed: taking it from conda"))
            .await;
        let exactly = self.base(order, python, report).await;
        let minor = python.and_then(minor_of);
        let (key, finished) = match (exactly, minor) {
            (Err(error), Some(minor)) if is_not_there(&error) => {
                report
                    .line(&format!(
                        "{name} is not to be had from conda: taking another {minor}"
                    ))
                    .await;
                let other = self.base(order, Some(minor), report).await;
                // What was wanted is what is missing.
                other.map_err(|next| if is_not_there(&next) { error } else { next })
            }
            (exactly, _) => exactly,
        }
        .map_err(|error| LoadError {
            message: format!("{name} is not installed, and could not be had from conda: {error}")
                .into(),
            ..error
        })?;
        staging.keep(finished.hold);
        Ok((finished.path.join(INTERPRETER), Some(key)))
    }

    /// The environment of an interpreter of conda's, with its key.
    async fn base(
        &self,
        order: &Order,
        python: Option<&str>,
        report: &Report,
    ) -> Result<(String, Finished), LoadError> {
        let wanted = Wanted::interpreter(python);
        let base = Order {
            key: Recipe::interpreter(&wanted, &self.channels).key(),
            wanted,
            folder: PathBuf::from("/"),
            served: Served::default(),
            // One that is there is taken all the same; one that is not is chosen anew.
            fresh: order.fresh,
        };
        let key = base.key.clone();
        let report = report.of_another(&self.logs.of(&key));
        let maker = self.clone();
        let make = async move |staging: Staging| maker.make_base(base, staging, report).await;
        let finished = self.shelf.find_or_make(&key, make).await?;
        Ok((key, finished))
    }

    /// Boxed, since a build may need a build. Takes no permit: the one who asks has one.
    fn make_base(
        self,
        order: Order,
        staging: Staging,
        report: Report,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<String, LoadError>> + Send>> {
        Box::pin(async move {
            let own = self.logs.of(&order.key);
            own.line(&order.heading("environments that need it")).await;
            let made = self.make(&order, &staging, &report).await;
            match made.and_then(|marker| marker.written()) {
                Ok(marker) => Ok(marker),
                Err(error) => {
                    own.line(&format!("failed: {error}")).await;
                    Err(error)
                }
            }
        })
    }

    /// Installs the Python packages; returns all that are there after each installation. Each has a lock of its own:
    /// the last one's would keep the first from installing what only builds.
    async fn install(
        &self,
        site: &Site,
        order: &Order,
        begun: &Begun,
        locked: &Chosen,
    ) -> Result<Chosen, LoadError> {
        let mut chosen = Chosen::default();
        let Some(installer) = &begun.installer else {
            return Ok(chosen);
        };
        if !order.wanted.first.is_empty() {
            let lines = &order.wanted.first;
            let installing = installer.install(site, lines, &locked.first, &self.pip);
            site.report
                .step("installing what builds Python packages", installing)
                .await?;
            chosen.first = installer.installed(site).await?;
        }
        if !order.wanted.then.is_empty() {
            let lines = &order.wanted.then;
            let installing = installer.install(site, lines, &locked.then, &self.pip);
            site.report
                .step("installing Python packages", installing)
                .await?;
        }
        chosen.then = installer.installed(site).await?;
        Ok(chosen)
    }

    /// Looks whether it can do what it is made for.
    async fn check(&self, site: &Site, order: &Order) -> Result<Found, LoadError> {
        let python = site.prefix.join(INTERPRETER);
        let name = "the environment that the model declares";
        let asking = Found::ask(&site.host, &python, name, &site.report.log);
        let found = site
            .report
            .step("looking at what was installed", asking)
            .await?;
        match &found.facts {
            Ok(_) => {
                // Others with the same declaration may be of another flavour: each is asked for its own.
                let importing = build::import_check(site, None);
                site.report.step("checking imports", importing).await?;
            }
            Err(error) if order.served.is_model => return Err(error.clone()),
            // Not for a model: a tool, or an interpreter.
            Err(_) => {}
        }
        Ok(found)
    }
}

/// `3.11` of `3.11.7`; `None` of what names no patch.
fn minor_of(python: &str) -> Option<&str> {
    let (second, _) = python.match_indices('.').nth(1)?;
    Some(&python[..second])
}

/// Whether the channels could be asked, and do not have it.
fn is_not_there(error: &LoadError) -> bool {
    [
        Trouble::PackageNotFound,
        Trouble::Unsatisfiable,
        Trouble::PythonNotAvailable,
    ]
    .iter()
    .any(|trouble| error.code.as_deref() == Some(trouble.code()))
}

fn wants_packages(wanted: &Wanted) -> bool {
    !(wanted.first.is_empty() && wanted.then.is_empty())
}

/// conda's packages, then those that came from a package index: what conda brought is known to both.
fn packages(solved: Option<&Solved>, installed: &[String]) -> Vec<Package> {
    let mut all = solved.map(Solved::packages).unwrap_or_default();
    let conda: std::collections::BTreeSet<String> = all
        .iter()
        .map(|package| package.name.replace(['_', '.'], "-"))
        .collect();
    let lines = installed.iter().filter_map(|line| line.split_once("=="));
    let others = lines.filter(|(name, _)| !conda.contains(*name));
    all.extend(others.map(|(name, version)| Package {
        name: name.to_owned(),
        version: version.to_owned(),
        source: "pypi".to_owned(),
    }));
    all.sort_by(|one, other| one.name.cmp(&other.name));
    all
}
