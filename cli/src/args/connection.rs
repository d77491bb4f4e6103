//! Which gateway, and with which token.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use clap::Args;
use serde::Deserialize;
use url::Url;

use super::environment::Environment;
use crate::error::CommandError;

/// Where a gateway listens unless somebody said otherwise.
const DEFAULT_URL: &str = "http://127.0.0.1:8080";

/// Flags of every command that talks to a gateway. There is no flag for the token: it would stay in the shell's history.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct ConnectionArgs {
    /// Address of the gateway [default: SLUICEGATE_URL, the configuration file, http://127.0.0.1:8080].
    #[arg(long, global = true, value_name = "URL", display_order = super::LAST)]
    pub(crate) url: Option<String>,
}

/// A gateway's address and what proves who is asking.
#[derive(Clone)]
pub(crate) struct Connection {
    /// Address of the gateway.
    pub(crate) url: Url,
    /// `None` if nobody gave one.
    pub(crate) token: Option<String>,
}

/// `cli.toml`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    url: Option<String>,
    token: Option<String>,
}

impl ConnectionArgs {
    /// Flag over variable over file over default. The file's token is only for the file's own address: it is never
    /// sent to a gateway that was named elsewhere.
    pub(crate) fn resolve(&self, environment: &Environment) -> Result<Connection, CommandError> {
        let file = environment
            .config_file()
            .map(|path| read(&path))
            .transpose()?
            .unwrap_or_default();
        let file_url = parse(file.url.as_deref().unwrap_or(DEFAULT_URL))?;
        let named = self.url.as_ref().or(environment.url.as_ref());
        let url = match named {
            Some(text) => parse(text)?,
            None => file_url.clone(),
        };
        let file_token = file.token.filter(|_| url == file_url);
        Ok(Connection {
            url,
            token: environment.token.clone().or(file_token),
        })
    }
}

fn read(path: &Path) -> Result<File, CommandError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(File::default()),
        Err(error) => {
            return Err(CommandError::usage(format!(
                "cannot read {}: {error}",
                path.display()
            )));
        }
    };
    // The message of the parser alone: it would quote the line, and the line may hold the token.
    toml::from_str(&text).map_err(|error| {
        CommandError::usage(format!("{}: {}", path.display(), error.message()))
            .next("it may hold two keys: url and token")
    })
}

fn parse(text: &str) -> Result<Url, CommandError> {
    let wrong = |why: &str| {
        CommandError::usage(format!("not the address of a gateway: {text:?} ({why})"))
            .next("write for example http://127.0.0.1:8080")
    };
    let url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("it must start with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("the token belongs into SLUICEGATE_TOKEN"));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(file: &str) -> (tempfile::TempDir, Environment) {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join(".config/sluicegate");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("cli.toml"), file).unwrap();
        let environment = Environment {
            home: Some(home.path().to_owned()),
            ..Environment::default()
        };
        (home, environment)
    }

    fn flag(url: &str) -> ConnectionArgs {
        ConnectionArgs {
            url: Some(url.to_owned()),
        }
    }

    #[test]
    fn a_flag_goes_over_a_variable_over_the_file_over_the_default() {
        let (_home, mut environment) =
            environment("url = \"http://file:1\"\ntoken = \"from file\"");
        let connection = ConnectionArgs::default().resolve(&environment).unwrap();
        assert_eq!(connection.url.as_str(), "http://file:1/");
        assert_eq!(connection.token.as_deref(), Some("from file"));

        environment.url = Some("http://variable:1".into());
        environment.token = Some("from variable".into());
        let connection = ConnectionArgs::default().resolve(&environment).unwrap();
        assert_eq!(connection.url.as_str(), "http://variable:1/");
        assert_eq!(connection.token.as_deref(), Some("from variable"));

        let connection = flag("http://flag:1").resolve(&environment).unwrap();
        assert_eq!(connection.url.as_str(), "http://flag:1/");

        let connection = ConnectionArgs::default()
            .resolve(&Environment::default())
            .unwrap();
        assert_eq!(connection.url.as_str(), "http://127.0.0.1:8080/");
        assert_eq!(connection.token, None);
    }

    #[test]
    fn the_token_of_the_file_is_not_sent_to_another_gateway() {
        let (_home, environment) = environment("url = \"http://file:1\"\ntoken = \"from file\"");
        let connection = flag("http://elsewhere:1").resolve(&environment).unwrap();
        assert_eq!(connection.token, None);
        let connection = flag("http://file:1/").resolve(&environment).unwrap();
        assert_eq!(connection.token.as_deref(), Some("from file"));
    }

    #[test]
    fn a_mistake_in_the_file_is_told_without_the_token() {
        for file in [
            "url = \"http://file:1\"\ntoken = \"sgp_secret",
            "tokne = \"sgp_secret\"",
            "token = [\"sgp_secret\"]",
        ] {
            let (_home, environment) = environment(file);
            let Err(error) = ConnectionArgs::default().resolve(&environment) else {
                panic!("accepted {file:?}");
            };
            let text = error.to_string();
            assert!(!text.contains("sgp_secret"), "{text}");
            assert!(text.contains("cli.toml"), "{text}");
        }
    }

    #[test]
    fn an_address_that_is_none_or_holds_a_credential_is_refused() {
        for url in ["localhost:8080", "ftp://x", "http://token:sgp_x@host"] {
            assert!(flag(url).resolve(&Environment::default()).is_err(), "{url}");
        }
    }
}
