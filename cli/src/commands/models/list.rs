//! `models list`: registered models and how serving stands.

use gateway::api::ModelSummary;

use crate::args::models::ListArgs;
use crate::client::{Client, ModelQuery};
use crate::error::CommandError;
use crate::output::{self, Format};

pub(super) async fn run(
    client: &Client,
    args: &ListArgs,
    format: Format,
) -> Result<(), CommandError> {
    let query = ModelQuery {
        query: args.query.as_deref(),
        served: args.served.then_some(true),
    };
    let models = client.list_models(query).await?;
    if format == Format::Json {
        return output::json(&models);
    }
    if models.is_empty() {
        output::note("no registered model matches, or none that the token may see");
        return Ok(());
    }
    output::line(&table(&models))
}

fn table(models: &[ModelSummary]) -> String {
    let rows = models.iter().map(|model| {
        let state = model
            .state
            .map_or_else(|| "-".to_owned(), |state| state.to_string());
        vec![model.name.clone(), state, versions(model)]
    });
    output::table(&["NAME", "SERVING", "VERSIONS"], rows)
}

fn versions(model: &ModelSummary) -> String {
    if model.state.is_none() {
        return "-".to_owned();
    }
    let ready = format!("{} of {} ready", model.ready, model.versions);
    match model.failed {
        0 => ready,
        failed => format!("{ready}, {failed} failed"),
    }
}

#[cfg(test)]
mod tests {
    use gateway::api::ModelState;

    use super::*;

    fn model(name: &str, state: Option<ModelState>, numbers: [u32; 3]) -> ModelSummary {
        let [versions, ready, failed] = numbers;
        ModelSummary {
            name: name.into(),
            description: String::new(),
            last_updated: None,
            state,
            versions,
            ready,
            failed,
            permission: gateway::api::Permission::Read,
            labels: Vec::new(),
        }
    }

    #[test]
    fn a_list_tells_what_is_served_and_how_well() {
        insta::assert_snapshot!(table(&[
            model("churn", None, [0, 0, 0]),
            model("iris", Some(ModelState::Ready), [3, 2, 1]),
            model("prices of houses", Some(ModelState::Pending), [0, 0, 0]),
        ]));
    }
}
