//! Where environments come from: can the conda channels be reached, and what does every build obey.

use std::path::Path;
use std::time::Duration;

use gateway::api::EnvManager;
use gateway::config::{Address, LocalConfig};
use url::Url;

use super::Finding;
use crate::client::http_client;

/// For the channels' host to say anything.
const DEADLINE: Duration = Duration::from_secs(10);

pub(super) async fn run(config: &LocalConfig) -> Vec<Finding> {
    let mut findings = Vec::new();
    match config.env_manager {
        EnvManager::Conda if config.offline => findings.push(Finding::ok(
            "channels",
            "offline: builds have to do with what is cached",
        )),
        EnvManager::Conda => findings.push(channels(&config.conda.channel_alias).await),
        EnvManager::Uv | EnvManager::Virtualenv | EnvManager::Local => {}
    }
    findings.extend(config.constraints.as_deref().map(constraints));
    findings
}

/// Whether anything answers where named channels are looked for. What it answers does not matter: many refuse to list.
async fn channels(alias: &Address) -> Finding {
    let next = "let this host reach it, or name another place with `conda.channel_alias` or `conda.mirrors`; \
                `env_manager = \"uv\"` needs PyPI only";
    let unreachable = |why: String| {
        Finding::fail(
            "channels",
            format!("conda channels at {alias} cannot be reached: {why}"),
            next,
        )
    };
    let Ok(url) = Url::parse(alias.expose()) else {
        return unreachable("it is no address".to_owned());
    };
    let reached = Finding::ok("channels", format!("{alias} answers"));
    if let Ok(folder) = url.to_file_path() {
        return match folder.read_dir() {
            Ok(_) => reached,
            Err(error) => unreachable(error.to_string()),
        };
    }
    let asked = async {
        http_client(&url)?
            .head(url.clone())
            .timeout(DEADLINE)
            .send()
            .await
    };
    match asked.await {
        Ok(_) => reached,
        Err(error) if error.is_timeout() => unreachable("no answer in time".to_owned()),
        Err(error) => unreachable(innermost(&error.without_url())),
    }
}

/// It was readable when the configuration was read, and it holds for every model.
fn constraints(path: &Path) -> Finding {
    Finding::warn(
        "pip",
        format!("every environment obeys {}", path.display()),
        "a model whose requirements do not fit it cannot be built: look there first when pip finds no versions",
    )
}

fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use gateway::config::{Config, Overrides};

    use super::super::Level;
    use super::*;

    fn config(pairs: &[(&str, &str)]) -> LocalConfig {
        let variables = [("HOME", "/")].iter().chain(pairs);
        let variables = variables.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Config::load_local(Overrides::default(), variables).unwrap()
    }

    async fn level(pairs: &[(&str, &str)]) -> Option<(Level, String)> {
        let findings = run(&config(pairs)).await;
        let finding = findings.into_iter().next()?;
        Some((finding.level, finding.message))
    }

    #[tokio::test]
    async fn a_channel_folder_is_there_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let there = format!("file://{}", folder.path().display());
        let (found, _) = level(&[("SLUICEGATE_CONDA_CHANNEL_ALIAS", &there)])
            .await
            .unwrap();
        assert_eq!(found, Level::Ok);
        let gone = format!("{there}/gone");
        let (found, message) = level(&[("SLUICEGATE_CONDA_CHANNEL_ALIAS", &gone)])
            .await
            .unwrap();
        assert_eq!(found, Level::Fail);
        assert!(message.contains("No such file"), "{message}");
    }

    #[tokio::test]
    async fn a_host_that_refuses_is_told_without_its_password() {
        // A port that nobody listens on any more.
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .unwrap()
            .port();
        let alias = format!("http://ada:hunter2@127.0.0.1:{port}");
        let (found, message) = level(&[("SLUICEGATE_CONDA_CHANNEL_ALIAS", &alias)])
            .await
            .unwrap();
        assert_eq!(found, Level::Fail);
        assert!(!message.contains("hunter2"), "{message}");
    }

    #[tokio::test]
    async fn nothing_is_asked_where_nothing_would_be_fetched() {
        assert_eq!(level(&[("SLUICEGATE_ENV_MANAGER", "uv")]).await, None);
        let (found, message) = level(&[("SLUICEGATE_OFFLINE", "true")]).await.unwrap();
        assert_eq!(found, Level::Ok);
        assert!(message.contains("offline"), "{message}");
    }

    #[tokio::test]
    async fn constraints_for_everybody_are_a_warning() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        let pairs = [
            ("SLUICEGATE_ENV_MANAGER", "uv"),
            ("SLUICEGATE_CONSTRAINTS", path),
        ];
        let (found, message) = level(&pairs).await.unwrap();
        assert_eq!(found, Level::Warn);
        assert!(message.contains(path));
    }
}
