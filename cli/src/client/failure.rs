//! Turns what went wrong with a call into words and a next step.

use std::error::Error;

use gateway::api::ErrorBody;
use reqwest::{Response, StatusCode};
use url::Url;

use crate::error::CommandError;

const GET_A_TOKEN: &str = "on the gateway's host, `sluicegate tokens create --local --principal NAME --admin` \
                           prints a token: export it as SLUICEGATE_TOKEN";

/// The gateway could not be asked, or broke off.
pub(super) fn no_answer(url: &Url, error: reqwest::Error) -> CommandError {
    let error = error.without_url();
    let cause = innermost(&error);
    if error.is_connect() {
        CommandError::failed(format!("no gateway answers at {url} ({cause})")).next(
            "start one with `sluicegate serve --registry URL`, or say where it is with SLUICEGATE_URL or --url",
        )
    } else if error.is_timeout() {
        CommandError::failed(format!("the gateway at {url} did not answer in time"))
            .next("`sluicegate doctor` looks for the reason")
    } else {
        CommandError::failed(format!("the gateway at {url} broke off: {cause}"))
            .next("`sluicegate doctor` looks for the reason")
    }
}

/// Something answers there that is no gateway, or one of another time.
pub(super) fn not_ours(url: &Url, error: &serde_json::Error) -> CommandError {
    CommandError::failed(format!(
        "what answers at {url} does not speak this command's language ({error})"
    ))
    .next("check the address; the versions of gateway and command line should be equal")
}

/// The gateway refused.
pub(super) async fn refusal(response: Response, had_token: bool) -> CommandError {
    let status = response.status();
    let url = response.url().clone();
    let body = response.bytes().await.unwrap_or_default();
    let Ok(body) = serde_json::from_slice::<ErrorBody>(&body) else {
        return CommandError::failed(format!(
            "{} answered {status}, and not as a gateway does",
            url.origin().ascii_serialization()
        ))
        .next("check the address: SLUICEGATE_URL or --url");
    };
    explain(status, &body, had_token)
}

fn explain(status: StatusCode, body: &ErrorBody, had_token: bool) -> CommandError {
    let ErrorBody {
        error_code,
        message,
        request_id,
    } = body;
    if status == StatusCode::UNAUTHORIZED {
        return if had_token {
            CommandError::failed(format!("the gateway does not accept the token: {message}"))
                .next(GET_A_TOKEN)
        } else {
            CommandError::failed("the gateway wants a token, and SLUICEGATE_TOKEN is not set")
                .next(GET_A_TOKEN)
        };
    }
    let error = CommandError::failed(format!("{error_code}: {message}"));
    match status {
        StatusCode::FORBIDDEN => error
            .next("ask an admin of the gateway for the right: `sluicegate tokens create --principal NAME --manage MODEL`; where rights \
                   come from the registry, ask its admin"),
        StatusCode::NOT_FOUND => {
            error.next("`sluicegate models list` shows what there is, `sluicegate models show NAME` one model")
        }
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            error.next("try again shortly; `sluicegate models show NAME` tells how the versions are")
        }
        _ if status.is_server_error() => error.next(match request_id {
            Some(id) => format!("look for request {id} in the gateway's log"),
            None => "look into the gateway's log".to_owned(),
        }),
        _ => error,
    }
}

fn innermost(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(status: u16, code: &str, had_token: bool) -> String {
        let body = ErrorBody {
            error_code: code.into(),
            message: "the message".into(),
            request_id: Some("4711".into()),
        };
        explain(StatusCode::from_u16(status).unwrap(), &body, had_token).to_string()
    }

    #[test]
    fn every_refusal_names_the_next_step() {
        let all = [
            explained(401, "UNAUTHENTICATED", false),
            explained(401, "UNAUTHENTICATED", true),
            explained(403, "PERMISSION_DENIED", true),
            explained(404, "RESOURCE_DOES_NOT_EXIST", true),
            explained(429, "RESOURCE_EXHAUSTED", true),
            explained(500, "INTERNAL_ERROR", true),
            explained(400, "INVALID_PARAMETER_VALUE", true),
        ];
        insta::assert_snapshot!(all.join("\n\n"));
    }
}
