//! `models settings`: show how a model is served, or change it.

use gateway::api::ModelDetail;
use serde_json::{Map, Value};

use super::show::settings_table;
use super::wait;
use crate::args::models::{SettingsArgs, WaitArgs};
use crate::client::Client;
use crate::error::CommandError;
use crate::output::{self, Format};
use crate::progress::Progress;

pub(super) async fn run(
    client: &Client,
    args: &SettingsArgs,
    format: Format,
) -> Result<(), CommandError> {
    let name = &args.name;
    let changes = changes(&args.changes)?;
    let mut model = client.model(name).await?;
    // A change alone must not enable serving, which the call would do.
    if model.settings.is_some() && !changes.is_empty() {
        let WaitArgs { wait, timeout } = &args.waiting;
        model = if *wait {
            wait::until_ready(client, name, &changes, timeout.0, &Progress::new()).await?
        } else {
            client.serve_model(name, &changes).await?
        };
    }
    print(&model, format)
}

fn print(model: &ModelDetail, format: Format) -> Result<(), CommandError> {
    let name = &model.name;
    let Some(settings) = &model.settings else {
        return Err(
            CommandError::failed(format!("serving of {name} is not enabled"))
                .next(format!("`sluicegate models enable {name}`")),
        );
    };
    match format {
        Format::Json => output::json(settings),
        Format::Table => output::line(&settings_table(model, settings)),
    }
}

fn changes(typed: &[String]) -> Result<Map<String, Value>, CommandError> {
    typed
        .iter()
        .map(|change| {
            change
                .split_once('=')
                .map(|(key, text)| (key.trim().to_owned(), value(text)))
                .ok_or_else(|| {
                    CommandError::usage(format!("not a change of a setting: {change:?}"))
                        .next("write KEY=VALUE, for example replicas=2 timeout=30s warm_up=false")
                })
        })
        .collect()
}

/// What is JSON counts as JSON, anything else as text, nothing as the default.
fn value(text: &str) -> Value {
    if text.is_empty() {
        return Value::Null;
    }
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_typed_change_is_json_or_else_text_or_else_the_default() {
        let typed = [
            "replicas=0..2",
            "timeout=30s",
            "warm_up=false",
            "environment={\"OMP_NUM_THREADS\": \"2\", \"A\": \"b=c\"}",
            "max_queue=",
            "versions=latest:2",
            "memory_limit=1GB",
        ]
        .map(str::to_owned);
        assert_eq!(
            Value::Object(changes(&typed).unwrap()),
            json!({
                "replicas": "0..2",
                "timeout": "30s",
                "warm_up": false,
                "environment": {"OMP_NUM_THREADS": "2", "A": "b=c"},
                "max_queue": null,
                "versions": "latest:2",
                "memory_limit": "1GB",
            })
        );
        assert!(changes(&["replicas".to_owned()]).is_err());
    }
}
