//! `environments list`: what was built, how large it is, who uses it.

use gateway::api::EnvironmentSummary;

use super::{Environments, words};
use crate::error::CommandError;
use crate::output::{self, Format};

pub(super) async fn run(environments: &Environments, format: Format) -> Result<(), CommandError> {
    let list = environments.list().await?;
    if format == Format::Json {
        return output::json(&list);
    }
    if list.is_empty() {
        output::note(
            "no environment is built yet; `sluicegate environments build` makes one ahead of time, and enabling a model \
             makes its own",
        );
        return Ok(());
    }
    output::line(&table(&list))
}

fn table(list: &[EnvironmentSummary]) -> String {
    let rows = list.iter().map(|environment| {
        let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        vec![
            words::short(&environment.key).to_owned(),
            manager(environment),
            or_dash(&environment.python),
            or_dash(&environment.mlflow),
            words::size(environment.size_bytes),
            words::size(environment.shared_bytes),
            words::users(environment),
            environment.last_used.to_string(),
        ]
    });
    output::table(
        &[
            "KEY",
            "MANAGER",
            "PYTHON",
            "MLFLOW",
            "SIZE",
            "SHARED",
            "USED BY",
            "LAST USED",
        ],
        rows,
    )
}

fn manager(environment: &EnvironmentSummary) -> String {
    let manager = environment.env_manager;
    if environment.broken {
        format!("{manager} (broken)")
    } else {
        manager.to_string()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_tells_how_large_environments_are_and_who_uses_them() {
        let list: Vec<EnvironmentSummary> = serde_json::from_value(json!([
            {
                "key": "0123456789abcdef0123456789abcdef", "env_manager": "conda", "python": "3.11.7", "mlflow": "3.17.2",
                "size_bytes": 1_503_238_553, "shared_bytes": 734_003_200, "built": "2026-03-01T12:00:00Z",
                "last_used": "2026-03-02T12:00:00Z",
                "used_by": [{"model": "iris", "version": 3}, {"model": "fraud cards", "version": 12}]
            },
            {
                "key": "fedcba9876543210fedcba9876543210", "env_manager": "virtualenv", "size_bytes": 52_428_800,
                "shared_bytes": 0, "built": "2026-02-01T12:00:00Z", "last_used": "2026-02-01T12:00:00Z",
                "broken": true, "base": "00112233445566778899aabbccddeeff"
            },
            {
                "key": "00112233445566778899aabbccddeeff", "env_manager": "conda", "python": "3.12.1", "size_bytes": 157_286_400,
                "shared_bytes": 157_286_400, "built": "2026-02-01T11:59:00Z", "last_used": "2026-02-01T12:00:00Z",
                "base_of": ["fedcba9876543210fedcba9876543210"]
            }
        ]))
        .unwrap();
        insta::assert_snapshot!(table(&list));
    }
}
