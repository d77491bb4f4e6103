//! Where environments come from: can the conda channels be reached, and what does every build obey.

use std::path::Path;
use std::time::Duration;

use gateway::api::EnvManager;
use gateway::config::{Address, CondaConfig, LocalConfig};
use url::Url;

use super::Finding;
use super::places::{self, Channel};
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
        EnvManager::Conda => findings.extend(channels(&config.conda).await),
        EnvManager::Uv | EnvManager::Virtualenv | EnvManager::Local => {}
    }
    findings.extend(config.constraints.as_deref().map(constraints));
    findings
}

/// One finding for each channel that builds begin with, and for those that the operator names.
async fn channels(conda: &CondaConfig) -> Vec<Finding> {
    let mut findings = Vec::new();
    for channel in places::of_channels(conda) {
        findings.push(reach(&channel).await);
    }
    findings
}

/// Whether anything answers in one of the places of a channel. What it answers does not matter: many refuse to list.
async fn reach(channel: &Channel) -> Finding {
    let mut silent = Vec::new();
    for place in &channel.places {
        match ask(place).await {
            Ok(()) => return Finding::ok("channels", format!("{place} answers")),
            Err(why) => silent.push(format!("{place} cannot be reached: {why}")),
        }
    }
    let message = format!("conda channels: {}", silent.join("; "));
    let next = "let this host reach it, or name another place with `conda.channel_alias`, `conda.channels` or \
                `conda.mirrors`; `env_manager = \"uv\"` needs PyPI only";
    if channel.is_needed {
        Finding::fail("channels", message, next)
    } else {
        Finding::warn("channels", message, next)
    }
}

async fn ask(place: &Address) -> Result<(), String> {
    let Ok(url) = Url::parse(place.expose()) else {
        return Err("it is no address".to_owned());
    };
    if let Ok(folder) = url.to_file_path() {
        let read = folder.read_dir();
        return read.map(|_| ()).map_err(|error| error.to_string());
    }
    let asked = async {
        http_client(&url)?
            .head(url.clone())
            .timeout(DEADLINE)
            .send()
            .await
    };
    match asked.await {
        Ok(_) => Ok(()),
        Err(error) if error.is_timeout() => Err("no answer in time".to_owned()),
        Err(error) => Err(innermost(&error.without_url())),
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
    use std::io::{Read, Write};
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
        std::fs::create_dir(folder.path().join("conda-forge")).unwrap();
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

    /// The address of a port that nobody listens on any more.
    fn nobody() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("127.0.0.1:{}", listener.local_addr().unwrap().port())
    }

    #[tokio::test]
    async fn a_host_that_refuses_is_told_without_its_password() {
        let alias = format!("http://ada:hunter2@{}", nobody());
        let (found, message) = level(&[("SLUICEGATE_CONDA_CHANNEL_ALIAS", &alias)])
            .await
            .unwrap();
        assert_eq!(found, Level::Fail);
        assert!(!message.contains("hunter2"), "{message}");
    }

    #[tokio::test]
    async fn a_mirror_is_asked_in_the_stead_of_a_channel() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mirror = format!("http://{}/mirror", listener.local_addr().unwrap());
        let answering = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let length = stream.read(&mut request).unwrap();
            stream
                .write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
                .unwrap();
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        let origin = format!("http://{}", nobody());
        let silent = format!("http://{}/silent", nobody());
        let mirrors = format!(r#"{{"{origin}": ["{silent}", "{mirror}"]}}"#);
        let (found, message) = level(&[
            ("SLUICEGATE_CONDA_CHANNEL_ALIAS", &origin),
            ("SLUICEGATE_CONDA_MIRRORS", &mirrors),
        ])
        .await
        .unwrap();
        assert_eq!(found, Level::Ok, "{message}");
        let request = answering.join().unwrap();
        assert!(request.starts_with("HEAD /mirror/conda-forge"), "{request}");
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
