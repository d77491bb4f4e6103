//! What an artifact URI means: whom to ask for the files, and with which credentials.
//!
//! URIs come from whoever registered the version, so none of them may lead the registry's credentials away:
//!
//! | URI | read by | credentials |
//! |---|---|---|
//! | `mlflow-artifacts:/path` | us, from the registry | yes |
//! | `mlflow-artifacts://host:port/path`, both the registry's | us, likewise | yes |
//! | … the registry's host, another port (`mlflow server --artifacts-only`) | us, from there | no |
//! | … another host | nobody | - |
//! | `file:`, an absolute path | us, from this machine | - |
//! | `runs:`, `models:`, `dbfs:` | MLflow's client, through the registry | yes |
//! | any other scheme (`s3:`, `gs:`, `http:` …) | MLflow's client | no |

use std::path::PathBuf;

use percent_encoding::percent_decode_str;
use url::Url;

use super::name;
use crate::client::Authority;
use crate::error::FetchError;
use crate::select::VersionSource;

/// Where the files of a version are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Location {
    /// Behind the artifact proxy of an MLflow server.
    Proxied {
        /// The server.
        root: Url,
        /// Whether it is the registry.
        authority: Authority,
        /// The folder, from the proxy's root.
        path: Vec<String>,
    },
    /// In a folder of this machine.
    Local(PathBuf),
    /// Where only MLflow's client can read.
    Elsewhere {
        /// As the registry gave it.
        uri: String,
        /// Whether that client gets there through the registry, and so needs the registry's credentials.
        trusted: bool,
    },
}

/// Why nothing can be read from a URI.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum LocationError {
    /// It is relative to the folder in which the MLflow server was started.
    #[error(
        "'{0}' is a path that only the MLflow server can resolve: start the server with --serve-artifacts, \
         or with an absolute --default-artifact-root that this machine can read"
    )]
    Relative(String),
    /// Another server's artifact proxy.
    #[error(
        "'{0}' is on another server than the registry, where the registry's credentials are not taken"
    )]
    Stranger(String),
    /// A path that leaves its root, or no URI at all.
    #[error("'{0}' is no artifact location")]
    Malformed(String),
}

impl LocationError {
    /// As the reason why the files of `source` are not there.
    pub(super) fn of(&self, source: &VersionSource) -> FetchError {
        FetchError::permanent(format!(
            "the artifacts of {source} cannot be fetched: {self}"
        ))
    }
}

impl Location {
    /// What `uri` means to clients of the registry at `registry`.
    pub(super) fn parse(uri: &str, registry: &Url) -> Result<Self, LocationError> {
        if uri.starts_with('/') {
            return Ok(Self::Local(PathBuf::from(uri)));
        }
        let Some((scheme, rest)) = uri.split_once(':') else {
            return Err(LocationError::Relative(uri.to_owned()));
        };
        match scheme.to_ascii_lowercase().as_str() {
            "mlflow-artifacts" => proxied(uri, rest, registry),
            "file" => local(uri, rest),
            "runs" | "models" | "dbfs" => Ok(Self::elsewhere(uri, true)),
            scheme if is_scheme(scheme) => Ok(Self::elsewhere(uri, false)),
            _ => Err(LocationError::Relative(uri.to_owned())),
        }
    }

    fn elsewhere(uri: &str, trusted: bool) -> Self {
        Self::Elsewhere {
            uri: uri.to_owned(),
            trusted,
        }
    }
}

fn proxied(uri: &str, rest: &str, registry: &Url) -> Result<Location, LocationError> {
    let (authority, path) = split_authority(rest);
    let malformed = || LocationError::Malformed(uri.to_owned());
    let segments = path.split('/').filter(|segment| !segment.is_empty());
    let path: Vec<String> = segments.map(str::to_owned).collect();
    if !path.iter().all(|segment| name::is_plain(segment)) {
        return Err(malformed());
    }
    let mut root = registry.clone();
    let mut whose = Authority::Registry;
    if !authority.is_empty() {
        // The scheme is the registry's: this is how MLflow's own client resolves such a URI.
        let other = Url::parse(&format!("{}://{authority}/", registry.scheme()));
        let other = other.map_err(|_| malformed())?;
        if !other.username().is_empty() || other.password().is_some() {
            return Err(malformed());
        }
        if other.host() != registry.host() {
            return Err(LocationError::Stranger(uri.to_owned()));
        }
        if other.port_or_known_default() != registry.port_or_known_default() {
            root = other;
            whose = Authority::Stranger;
        }
    }
    Ok(Location::Proxied {
        root,
        authority: whose,
        path,
    })
}

fn local(uri: &str, rest: &str) -> Result<Location, LocationError> {
    let (authority, path) = split_authority(rest);
    if !matches!(authority, "" | "localhost") {
        return Err(LocationError::Malformed(uri.to_owned()));
    }
    if !path.starts_with('/') {
        return Err(LocationError::Relative(uri.to_owned()));
    }
    let path = percent_decode_str(path).decode_utf8();
    match path {
        Ok(path) if !path.contains('\0') => Ok(Location::Local(PathBuf::from(path.as_ref()))),
        _ => Err(LocationError::Malformed(uri.to_owned())),
    }
}

/// `//authority/path` in its two parts; the authority is empty where there is none.
fn split_authority(rest: &str) -> (&str, &str) {
    match rest.strip_prefix("//") {
        None => ("", rest),
        Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(uri: &str) -> Result<Location, LocationError> {
        Location::parse(uri, &Url::parse("https://mlflow.corp/prefix").unwrap())
    }

    fn proxied_by(root: &str, authority: Authority) -> Location {
        Location::Proxied {
            root: Url::parse(root).unwrap(),
            authority,
            path: vec!["1".into(), "models".into(), "m-1".into()],
        }
    }

    #[test]
    fn the_registrys_own_proxy_keeps_its_path_prefix() {
        let own = proxied_by("https://mlflow.corp/prefix", Authority::Registry);
        for uri in [
            "mlflow-artifacts:/1/models/m-1",
            "mlflow-artifacts:///1/models//m-1/",
            "mlflow-artifacts://mlflow.corp/1/models/m-1",
            "mlflow-artifacts://MLflow.corp:443/1/models/m-1",
        ] {
            assert_eq!(parse(uri).as_ref(), Ok(&own), "{uri}");
        }
    }

    #[test]
    fn credentials_go_to_no_other_port_and_no_other_host() {
        let other = proxied_by("https://mlflow.corp:8082/", Authority::Stranger);
        assert_eq!(
            parse("mlflow-artifacts://mlflow.corp:8082/1/models/m-1"),
            Ok(other)
        );
        for uri in [
            "mlflow-artifacts://evil/1",
            "mlflow-artifacts://mlflow.corp.evil/1",
        ] {
            assert_eq!(
                parse(uri),
                Err(LocationError::Stranger(uri.into())),
                "{uri}"
            );
        }
        let uri = "mlflow-artifacts://u:p@mlflow.corp/1";
        assert_eq!(parse(uri), Err(LocationError::Malformed(uri.into())));
        for (uri, expected) in [
            ("s3://bucket/model", false),
            ("http://evil/model", false),
            ("wasbs://c@a.blob/x", false),
            ("dbfs:/databricks/mlflow-registry/x", true),
            ("runs:/0123/model", true),
        ] {
            let Ok(Location::Elsewhere { trusted, .. }) = parse(uri) else {
                panic!("{uri} is not elsewhere");
            };
            assert_eq!(trusted, expected, "{uri}");
        }
    }

    #[test]
    fn local_folders_are_absolute_paths_and_file_uris() {
        for uri in [
            "/srv/my models/1",
            "file:///srv/my%20models/1",
            "file:/srv/my%20models/1",
        ] {
            assert_eq!(
                parse(uri),
                Ok(Location::Local("/srv/my models/1".into())),
                "{uri}"
            );
        }
        assert!(parse("file://other/srv").is_err());
    }

    #[test]
    fn a_relative_path_is_refused_with_advice() {
        for uri in ["./mlruns/0/x/artifacts/model", "mlruns/0", "file:mlruns/0"] {
            let error = parse(uri).unwrap_err();
            assert!(error.to_string().contains("--serve-artifacts"), "{error}");
        }
    }

    #[test]
    fn a_path_cannot_leave_the_proxys_root() {
        for uri in [
            "mlflow-artifacts:/../x",
            "mlflow-artifacts:/1/./x",
            "mlflow-artifacts:/1/..\\x",
        ] {
            assert_eq!(
                parse(uri),
                Err(LocationError::Malformed(uri.into())),
                "{uri}"
            );
        }
    }
}
