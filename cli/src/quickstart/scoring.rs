//! Scores a flower with the line that callers type, by really running curl.

use std::time::Duration;

use url::Url;

use super::process::{Processes, Program};
use super::training::MODEL;
use crate::args::environment::Environment;
use crate::client::{Client, Rows};
use crate::error::CommandError;

/// A flower of the species setosa.
const FLOWER: &str =
    r#"[{"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}]"#;

const CONTENT_TYPE: &str = "application/json; format=pandas-records";

const DEADLINE: Duration = Duration::from_secs(70);

/// An answer and who gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// The body.
    pub(super) body: String,
    /// `served-model-name`: `iris-1`.
    pub(super) served_by: String,
}

/// The line that scores a flower at `reference`, with `$TOKEN` for the token.
pub(super) fn curl_line(gateway: &Url, reference: &str) -> String {
    let gateway = gateway.as_str().trim_end_matches('/');
    format!(
        "curl -u token:$TOKEN -X POST {gateway}/model/{MODEL}/{reference}/invocations \\\n     \
         -H 'Content-Type: {CONTENT_TYPE}' \\\n     \
         -d '{FLOWER}'"
    )
}

/// Runs that line; without curl, sends the same request.
pub(super) async fn run_curl_line(
    client: &Client,
    token: &str,
    reference: &str,
    environment: &Environment,
    processes: &Processes,
) -> Result<String, CommandError> {
    if environment.find_program("curl").is_none() {
        return Ok(score(client, reference).await?.body);
    }
    // Without the display of its progress, which would be taken for the answer.
    let line = format!(
        "{} --silent --show-error",
        curl_line(client.url(), reference)
    );
    let curl = Program::new("curl", "/bin/sh")
        .arguments(["-c", &line])
        .variable("TOKEN", token);
    processes.run(curl, DEADLINE, |_| {}).await
}

/// Scores the flower at `reference` with our own client.
pub(super) async fn score(client: &Client, reference: &str) -> Result<Answer, CommandError> {
    let rows = Rows {
        content_type: CONTENT_TYPE.to_owned(),
        body: FLOWER.as_bytes().to_vec(),
    };
    let mut response = client.score(MODEL, reference, rows).await?;
    let served_by = response
        .headers()
        .get("served-model-name")
        .and_then(|name| name.to_str().ok())
        .unwrap_or_default()
        .to_owned();
    let mut body = Vec::new();
    while let Some(piece) = client.piece(&mut response).await? {
        body.extend(piece);
    }
    Ok(Answer {
        body: String::from_utf8_lossy(&body).into_owned(),
        served_by,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_is_the_one_that_callers_have_typed_since_the_beginning() {
        let gateway = "http://127.0.0.1:8080".parse().unwrap();
        insta::assert_snapshot!(curl_line(&gateway, "1"));
    }
}
