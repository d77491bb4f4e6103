//! `environments show`: packages and steps of one environment, or the log of its build.

use gateway::api::EnvironmentDetail;

use super::{Environments, words};
use crate::error::CommandError;
use crate::output::{self, Format};

pub(super) async fn run(
    environments: &Environments,
    key: &str,
    log: bool,
    format: Format,
) -> Result<(), CommandError> {
    if log {
        let text = environments.build_log(key).await?;
        if text.is_empty() {
            output::note("there is no log of its build any more");
        }
        return output::bytes(text.as_bytes());
    }
    let detail = environments.find(key).await?;
    match format {
        Format::Json => output::json(&detail),
        Format::Table => output::line(&text(&detail)),
    }
}

fn text(detail: &EnvironmentDetail) -> String {
    let EnvironmentDetail {
        summary,
        path,
        steps,
        packages,
    } = detail;
    let mut facts = vec![
        ("built by", summary.env_manager.to_string()),
        ("content", words::content(summary)),
        (
            "shared",
            format!("{} of it", words::size(summary.shared_bytes)),
        ),
        ("used by", words::users(summary)),
        ("built", summary.built.to_string()),
        ("last used", summary.last_used.to_string()),
    ];
    facts.extend(
        summary
            .base
            .as_deref()
            .map(|base| ("based on", words::short(base).to_owned())),
    );
    if summary.broken {
        facts.push((
            "broken",
            "its files were changed: it is built again when it is needed".to_owned(),
        ));
    }
    facts.extend(path.clone().map(|path| ("folder", path)));
    let facts = facts.into_iter();
    let facts: Vec<_> = facts
        .map(|(name, value)| format!("{name:<10} {value}"))
        .collect();
    let mut blocks = vec![format!("{}\n{}", summary.key, facts.join("\n"))];
    if !steps.is_empty() {
        let rows = steps
            .iter()
            .map(|step| vec![step.step.clone(), format!("{:.1} s", step.seconds)]);
        blocks.push(output::table(&["STEP", "TOOK"], rows));
    }
    if !packages.is_empty() {
        let rows = packages.iter().map(|package| {
            vec![
                package.name.clone(),
                package.version.clone(),
                package.source.clone(),
            ]
        });
        blocks.push(output::table(&["PACKAGE", "VERSION", "FROM"], rows));
    }
    blocks.join("\n\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_environment_is_shown_with_its_steps_and_packages() {
        let detail = serde_json::from_value(json!({
            "key": "0123456789abcdef0123456789abcdef", "env_manager": "conda", "python": "3.11.7", "mlflow": "3.17.2",
            "size_bytes": 1_503_238_553, "shared_bytes": 734_003_200, "built": "2026-03-01T12:00:00Z",
            "last_used": "2026-03-02T12:00:00Z", "broken": true, "base": "fedcba9876543210fedcba9876543210", "path": "/data/environments/0123456789abcdef0123456789abcdef",
            "steps": [{"step": "solving", "seconds": 0.04}, {"step": "installing Python packages", "seconds": 12.34}],
            "packages": [
                {"name": "mlflow", "version": "3.17.2", "source": "pypi"},
                {"name": "python", "version": "3.11.7", "source": "conda-forge"}
            ]
        }))
        .unwrap();
        insta::assert_snapshot!(text(&detail));
    }
}
