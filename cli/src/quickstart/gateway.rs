//! The gateway: this program's own `serve`, started as anybody would start it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gateway::api::EnvManager;
use url::Url;

use super::folder::Folder;
use super::ports;
use super::process::{Processes, Program, Running};
use gateway::config::RightsSource;

use crate::args::connection::Connection;
use crate::args::quickstart::QuickstartArgs;
use crate::args::tokens::CreateArgs;
use crate::client::Client;
use crate::commands::tokens::local::LocalTokens;
use crate::error::CommandError;

const START_DEADLINE: Duration = Duration::from_secs(60);

/// Looks at the registry so often that a promotion is seen at once.
const POLL_INTERVAL: &str = "1s";

/// The gateway. Dropping it stops it, and its workers with it.
pub(super) struct Gateway {
    /// Its process.
    pub(super) server: Running,
    /// Where it answers.
    pub(super) url: Url,
    /// The first token: an admin's.
    pub(super) token: String,
    /// A client with that token.
    pub(super) client: Client,
}

impl Gateway {
    /// Makes the first token, starts the gateway and waits until it accepts requests.
    pub(super) async fn start(
        python: &Path,
        registry: &Url,
        args: &QuickstartArgs,
        folder: &Folder,
        processes: &Processes,
    ) -> Result<Self, CommandError> {
        let token = first_token(&folder.gateway()).await?;
        let port = args.port.unwrap_or_else(ports::usual_or_any);
        let program = Program::new("gateway", this_program()?).arguments(serve(
            registry,
            port,
            args.env_manager.unwrap_or(EnvManager::Local),
            python,
            &folder.gateway(),
        ));
        let mut server = processes.start(program)?;
        let url = server.logged(START_DEADLINE, listening_on).await?;
        let client = Client::new(Connection {
            url: url.clone(),
            token: Some(token.clone()),
        })?;
        Ok(Self {
            server,
            url,
            token,
            client,
        })
    }
}

/// The arguments of `serve`. The interpreter is for the environment manager `local`; the others do not look at it.
fn serve(
    registry: &Url,
    port: u16,
    env_manager: EnvManager,
    python: &Path,
    data: &Path,
) -> Vec<OsString> {
    let address = format!("127.0.0.1:{port}");
    let env_manager = env_manager.to_string();
    let texts = [
        ("--listen", address.as_str()),
        ("--registry", registry.as_str()),
        ("--poll-interval", POLL_INTERVAL),
        ("--env-manager", env_manager.as_str()),
    ];
    let texts = texts.map(|(flag, value)| [OsString::from(flag), OsString::from(value)]);
    let paths = [("--python", python), ("--data-dir", data)];
    let paths = paths.map(|(flag, path)| [OsString::from(flag), OsString::from(path)]);
    let flags = texts.into_iter().chain(paths).flatten();
    std::iter::once("serve".into()).chain(flags).collect()
}

/// `listening on http://ADDR`, as the contract has it.
fn listening_on(log: &str) -> Option<Url> {
    let line = log
        .lines()
        .find(|line| line.contains("listening on http"))?;
    let (_, address) = line.split_once("listening on ")?;
    address.split_whitespace().next()?.parse().ok()
}

async fn first_token(data: &Path) -> Result<String, CommandError> {
    let wish = CreateArgs {
        principal: "quickstart".to_owned(),
        admin: true,
        comment: Some("made by sluicegate quickstart".to_owned()),
        ..CreateArgs::default()
    };
    let tokens = LocalTokens::open(data, RightsSource::Grants).await?;
    let created = tokens.create(&wish.into()).await;
    tokens.close().await;
    Ok(created?.token)
}

/// The path of this program.
pub(super) fn this_program() -> Result<PathBuf, CommandError> {
    std::env::current_exe().map_err(|error| {
        CommandError::failed(format!("this program does not know its own path: {error}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_models_run_in_the_environment_of_the_training_or_in_their_own() {
        let registry = "http://127.0.0.1:5000".parse().unwrap();
        let paths = (Path::new("/env/bin/python"), Path::new("/data"));
        for env_manager in [EnvManager::Local, EnvManager::Conda] {
            let arguments = serve(&registry, 8080, env_manager, paths.0, paths.1);
            let chosen = arguments.windows(2).find(|pair| pair[0] == "--env-manager");
            assert_eq!(chosen.unwrap()[1], *env_manager.to_string());
            assert!(arguments.contains(&"/env/bin/python".into()));
        }
    }

    #[test]
    fn the_address_is_read_from_the_line_that_scripts_rely_on() {
        let log = "INFO starting\nlistening on http://127.0.0.1:40123\nINFO more\n";
        assert_eq!(
            listening_on(log).map(String::from).as_deref(),
            Some("http://127.0.0.1:40123/")
        );
        assert_eq!(listening_on("INFO starting\n"), None);
    }
}
