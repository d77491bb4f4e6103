//! `sluicegate environments` on a host without a gateway, as in the making of an image.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use integration_tests::{Test, World, command, conda_yaml, output, tests};
use serde_json::Value;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        an_environment_is_built_shown_packed_unpacked_elsewhere_and_pruned,
        what_is_cached_is_built_again_without_a_network_and_nothing_else_is,
        each_environment_manager_builds_what_a_folder_declares,
    ]
}

async fn an_environment_is_built_shown_packed_unpacked_elsewhere_and_pruned(
    world: Arc<World>,
) -> Result<()> {
    let host = Host::new(&world).await?;
    host.environments(&["build", host.model()?]).await?;
    let key = host.only_key().await?;

    let shown = host
        .environments(&["show", &key[..8], "--local", "--output", "json"])
        .await?;
    let shown: Value = serde_json::from_str(&shown)?;
    let packages = shown["packages"].as_array().context("packages")?;
    for (name, source) in [("six", "pypi"), ("python", "conda-forge")] {
        let found = packages.iter().find(|package| package["name"] == name);
        assert_eq!(found.context("a package")?["source"], source, "{name}");
    }
    ensure!(
        !shown["steps"].as_array().context("steps")?.is_empty(),
        "{shown}"
    );

    let file = host.data.with_extension("packed");
    let packed = file.to_str().context("UTF-8")?;
    host.environments(&["export", &key, packed]).await?;
    let elsewhere = Host::new(&world).await?;
    elsewhere.environments(&["import", packed]).await?;
    assert_eq!(elsewhere.only_key().await?, key);

    // Nothing in the copy leads back to where it came from.
    host.environments(&["prune", "--local"]).await?;
    ensure!(!host.place(&key).exists(), "it is pruned");
    for program in ["python", "pip"] {
        let mut version = command(elsewhere.place(&key).join("bin").join(program));
        version.arg("--version");
        output(version).await?;
    }
    let mut six = command(elsewhere.place(&key).join("bin/python"));
    six.args([
        "-I",
        "-c",
        "import six, sys; print(sys.prefix, six.__file__)",
    ]);
    let told = output(six).await?;
    let there = elsewhere.place(&key);
    let there = there.to_str().context("UTF-8")?;
    ensure!(told.matches(there).count() == 2, "{told} is in {there}");

    // What is there is found and not built again.
    elsewhere.environments(&["build", host.model()?]).await?;
    assert_eq!(elsewhere.only_key().await?, key);
    Ok(())
}

async fn what_is_cached_is_built_again_without_a_network_and_nothing_else_is(
    world: Arc<World>,
) -> Result<()> {
    let host = Host::new(&world).await?;
    host.environments(&["build", host.model()?]).await?;
    let key = host.only_key().await?;
    host.environments(&["prune", "--local"]).await?;

    let host = host.offline();
    host.environments(&["build", host.model()?]).await?;
    assert_eq!(host.only_key().await?, key);

    // A channel on the disk can be reached, but not what uv would download.
    let mut empty = Host::new(&world).await?.offline();
    empty.uv_cache = Some(world.run().await?.folder("uv-cache")?);
    empty.is_refused_offline("six").await?;
    let remote = Host::new(&world).await?.offline();
    let path = remote.model.join("conda.yaml");
    let declared = std::fs::read_to_string(&path)?;
    std::fs::write(
        &path,
        declared.replace("conda-forge", "http://127.0.0.1:1/elsewhere"),
    )?;
    remote.is_refused_offline("elsewhere").await
}

async fn each_environment_manager_builds_what_a_folder_declares(world: Arc<World>) -> Result<()> {
    let host = Host::new(&world).await?;
    for manager in ["conda", "uv", "virtualenv"] {
        host.environments(&["build", host.model()?, "--env-manager", manager])
            .await?;
    }
    let listed = host.listed().await?;
    let mut managers: Vec<_> = listed
        .iter()
        .filter_map(|environment| environment["env_manager"].as_str())
        .collect();
    managers.sort_unstable();
    assert_eq!(managers, ["conda", "uv", "virtualenv"]);
    for environment in listed {
        let key = environment["key"].as_str().context("a key")?;
        let mut six = command(host.place(key).join("bin/python"));
        six.args(["-I", "-c", "import six; print(six.__version__)"]);
        assert_eq!(output(six).await?, "1.16.0\n", "{environment}");
    }
    Ok(())
}

/// A host with a data folder of its own, and a folder that declares little: without an MLmodel, nothing has to serve.
struct Host<'a> {
    world: &'a World,
    data: PathBuf,
    model: PathBuf,
    offline: bool,
    uv_cache: Option<PathBuf>,
}

impl<'a> Host<'a> {
    async fn new(world: &'a World) -> Result<Self> {
        let run = world.run().await?;
        let python = world.environment().await?.python_version().await?;
        let model = run.folder("model")?;
        let write = |name: &str, text: &str| std::fs::write(model.join(name), text);
        write("conda.yaml", &conda_yaml(&python, &["six==1.16.0"]))?;
        write(
            "python_env.yaml",
            &format!(
                "python: {python}\nbuild_dependencies:\n- pip\ndependencies:\n- -r requirements.txt\n"
            ),
        )?;
        write("requirements.txt", "six==1.16.0\n")?;
        Ok(Self {
            world,
            data: run.folder("host")?,
            model,
            offline: false,
            uv_cache: None,
        })
    }

    fn offline(self) -> Self {
        Self {
            offline: true,
            ..self
        }
    }

    fn model(&self) -> Result<&str> {
        self.model.to_str().context("UTF-8")
    }

    fn place(&self, key: &str) -> PathBuf {
        self.data.join("environments").join(key)
    }

    async fn environments(&self, arguments: &[&str]) -> Result<String> {
        let mut program = self.world.program().await?;
        program
            .arg("environments")
            .args(arguments)
            .args([OsStr::new("--data-dir"), self.data.as_os_str()]);
        if self.offline {
            program.env("SLUICEGATE_OFFLINE", "true");
        }
        if let Some(folder) = &self.uv_cache {
            program.env("UV_CACHE_DIR", folder);
        }
        output(program).await
    }

    /// Nothing can be built, for want of this.
    async fn is_refused_offline(&self, of: &str) -> Result<()> {
        let refused = self.environments(&["build", self.model()?]).await;
        let refused = refused.err().context("it is not cached")?.to_string();
        ensure!(
            refused.contains("OFFLINE") && refused.contains(of),
            "{refused}"
        );
        Ok(())
    }

    async fn listed(&self) -> Result<Vec<Value>> {
        let listed = self
            .environments(&["list", "--local", "--output", "json"])
            .await?;
        Ok(serde_json::from_str(&listed)?)
    }

    async fn only_key(&self) -> Result<String> {
        let listed = self.listed().await?;
        ensure!(listed.len() == 1, "{listed:?}");
        Ok(listed[0]["key"].as_str().context("a key")?.to_owned())
    }
}
