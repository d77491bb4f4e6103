//! `tokens list`: what may be told about tokens.

use gateway::api::TokenInfo;

use super::Tokens;
use crate::error::CommandError;
use crate::output::{self, Format};

pub(super) async fn run(tokens: &Tokens, format: Format) -> Result<(), CommandError> {
    let tokens = tokens.list().await?;
    if format == Format::Json {
        return output::json(&tokens);
    }
    if tokens.is_empty() {
        output::note("there is no token; `sluicegate tokens create --principal NAME` makes one");
        return Ok(());
    }
    output::line(&table(&tokens))
}

fn table(tokens: &[TokenInfo]) -> String {
    let rows = tokens.iter().map(|token| {
        vec![
            token.id.clone(),
            token.principal.clone(),
            if token.admin { "yes" } else { "-" }.to_owned(),
            token.created.to_string(),
            token
                .expires
                .map_or_else(|| "never".to_owned(), |end| end.to_string()),
            token.comment.clone(),
        ]
    });
    output::table(
        &["ID", "PRINCIPAL", "ADMIN", "CREATED", "EXPIRES", "COMMENT"],
        rows,
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_list_of_tokens_tells_whose_they_are_and_when_they_end() {
        let tokens: Vec<TokenInfo> = serde_json::from_value(json!([
            {"id": "9f3c", "principal": "ada", "created": "2026-03-01T12:00:00Z", "admin": true},
            {
                "id": "a01b", "principal": "power-bi", "created": "2026-03-02T12:00:00Z",
                "expires": "2026-04-01T12:00:00Z", "comment": "the dashboard"
            }
        ]))
        .unwrap();
        insta::assert_snapshot!(table(&tokens));
    }
}
