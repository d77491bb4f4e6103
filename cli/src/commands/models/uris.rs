//! `models uris`: the URLs that a model answers on now.

use std::collections::BTreeMap;

use gateway::api::{ModelDetail, VersionState};
use serde::Serialize;

use crate::client::Client;
use crate::error::CommandError;
use crate::output::{self, Format};

/// A URL and who answers there.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Uri {
    uri: String,
    version: u64,
}

pub(super) async fn run(client: &Client, name: &str, format: Format) -> Result<(), CommandError> {
    let model = client.model(name).await?;
    let uris = uris(&model);
    if format == Format::Json {
        return output::json(&uris);
    }
    if uris.is_empty() {
        let next = match model.state {
            Some(_) => format!("`sluicegate models show {name}` tells how the versions are"),
            None => format!("`sluicegate models enable {name} --wait`"),
        };
        return Err(CommandError::failed(format!("no version of {name} answers now")).next(next));
    }
    let rows = uris
        .into_iter()
        .map(|uri| vec![uri.version.to_string(), uri.uri]);
    output::line(&output::table(&["VERSION", "URL"], rows))
}

fn uris(model: &ModelDetail) -> Vec<Uri> {
    let of_versions = model
        .versions
        .iter()
        .filter(|version| version.state == VersionState::Ready)
        .flat_map(|version| {
            let owned = version.uris.iter().cloned();
            owned.map(|uri| (uri, version.version))
        });
    let of_labels = model
        .labels
        .iter()
        .filter_map(|label| Some((label.uri.clone(), label.current?)));
    let all: BTreeMap<String, u64> = of_versions.chain(of_labels).collect();
    let mut all: Vec<Uri> = all
        .into_iter()
        .map(|(uri, version)| Uri { uri, version })
        .collect();
    all.sort_by(|one, other| (one.version, &one.uri).cmp(&(other.version, &other.uri)));
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_answers_now_is_listed_and_each_url_once() {
        let version = |version: u64, state: &str, uris: &[&str]| {
            json!({
                "version": version, "state": state, "since": "2026-03-01T12:00:00Z",
                "uris": uris, "replicas": 1, "crashes": 0
            })
        };
        let model = serde_json::from_value(json!({
            "name": "iris", "state": "READY", "permission": "READ", "settings": null,
            "versions": [
                version(3, "BUILDING", &["/3"]),
                version(2, "READY", &["/2"]),
                version(1, "READY", &["/1", "/Production"]),
            ],
            "labels": [
                {"label": "Production", "current": 1, "aspired": 3, "uri": "/Production"},
                {"label": "@next", "aspired": 3, "uri": "/@next"},
                {"label": "@champion", "current": 2, "uri": "/@champion"},
            ]
        }))
        .unwrap();
        let listed: Vec<_> = uris(&model)
            .into_iter()
            .map(|uri| (uri.version, uri.uri))
            .collect();
        let expected = [(1, "/1"), (1, "/Production"), (2, "/2"), (2, "/@champion")];
        assert_eq!(
            listed,
            expected.map(|(version, uri)| (version, uri.to_owned()))
        );
    }
}
