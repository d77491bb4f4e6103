//! `doctor`: is everything well, and what to do where it is not. Works when nothing is running, too.

mod gateway_checks;
mod host_checks;
mod package_checks;
mod places;
mod rights_check;

use gateway::config::{Config, Overrides, process_environment};
use serde::Serialize;

use crate::args::DoctorArgs;
use crate::args::environment::Environment;
use crate::client::Client;
use crate::error::CommandError;
use crate::output::{self, Format};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Level {
    Ok,
    Warn,
    Fail,
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Finding {
    check: &'static str,
    level: Level,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

pub(super) async fn run(
    args: DoctorArgs,
    environment: &Environment,
    format: Format,
) -> Result<(), CommandError> {
    let client = Client::new(args.connection.resolve(environment)?)?;
    let mut findings = gateway_checks::run(&client).await;
    let overrides = Overrides {
        config: args.config,
        data_dir: args.data_dir,
        ..Overrides::default()
    };
    match Config::load_local(overrides.clone(), process_environment()) {
        Ok(config) => {
            findings.extend(rights_check::run(overrides).await);
            findings.extend(host_checks::run(&config, environment));
            findings.extend(package_checks::run(&config).await);
        }
        Err(error) => findings.push(Finding::fail(
            "config",
            error.to_string(),
            "docs/configuration.md lists the keys",
        )),
    }
    match format {
        Format::Json => output::json(&findings)?,
        Format::Table => output::line(&text(&findings))?,
    }
    let failed = findings
        .iter()
        .filter(|finding| finding.level == Level::Fail)
        .count();
    match failed {
        0 => Ok(()),
        1 => Err(CommandError::failed("one check failed")),
        more => Err(CommandError::failed(format!("{more} checks failed"))),
    }
}

fn text(findings: &[Finding]) -> String {
    let lines = findings.iter().map(|finding| {
        let level = match finding.level {
            Level::Ok => "ok  ",
            Level::Warn => "warn",
            Level::Fail => "FAIL",
        };
        let next = finding
            .next
            .iter()
            .map(|next| format!("\n{:18}next: {next}", ""));
        format!(
            "{level}  {:<10}  {}{}",
            finding.check,
            finding.message,
            next.collect::<String>()
        )
    });
    lines.collect::<Vec<_>>().join("\n")
}

impl Finding {
    fn ok(check: &'static str, message: impl Into<String>) -> Self {
        Self {
            check,
            level: Level::Ok,
            message: message.into(),
            next: None,
        }
    }

    fn warn(check: &'static str, message: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            level: Level::Warn,
            next: Some(next.into()),
            ..Self::ok(check, message)
        }
    }

    fn fail(check: &'static str, message: impl Into<String>, next: impl Into<String>) -> Self {
        Self {
            level: Level::Fail,
            ..Self::warn(check, message, next)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_well_is_told_with_the_next_step() {
        insta::assert_snapshot!(text(&[
            Finding::ok("gateway", "http://127.0.0.1:8080/ answers"),
            Finding::warn("uv", "there is no uv on the PATH", "install it"),
            Finding::fail(
                "registry",
                "the gateway cannot reach it",
                "check its address"
            ),
        ]));
    }
}
