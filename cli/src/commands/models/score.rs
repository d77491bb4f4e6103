//! `models score`: rows in, the answer's body alone out.

use std::fs;
use std::io::Read;
use std::path::Path;

use crate::args::models::ScoreArgs;
use crate::client::{Client, Rows};
use crate::error::CommandError;
use crate::output;

pub(super) async fn run(client: &Client, args: ScoreArgs) -> Result<(), CommandError> {
    let mut rows = match &args.file {
        Some(file) => read(file)?,
        None => example(client, &args.name, &args.reference).await?,
    };
    if let Some(content_type) = args.content_type {
        rows.content_type = content_type;
    }
    let mut answer = client.score(&args.name, &args.reference, rows).await?;
    while let Some(piece) = client.piece(&mut answer).await? {
        output::bytes(&piece)?;
    }
    if output::stdout_is_terminal() {
        output::bytes(b"\n")?;
    }
    Ok(())
}

async fn example(client: &Client, name: &str, reference: &str) -> Result<Rows, CommandError> {
    let version = match reference.parse() {
        Ok(version) => version,
        Err(_) => client.resolve(name, reference).await?,
    };
    client.example(name, version).await
}

fn read(file: &str) -> Result<Rows, CommandError> {
    let body = if file == "-" {
        let mut body = Vec::new();
        std::io::stdin()
            .lock()
            .read_to_end(&mut body)
            .map_err(|error| CommandError::failed(format!("cannot read stdin: {error}")))?;
        body
    } else {
        fs::read(file)
            .map_err(|error| CommandError::failed(format!("cannot read {file}: {error}")))?
    };
    Ok(Rows {
        content_type: content_type(file).to_owned(),
        body,
    })
}

fn content_type(file: &str) -> &'static str {
    let extension = Path::new(file).extension();
    if extension.is_some_and(|extension| extension.eq_ignore_ascii_case("csv")) {
        "text/csv"
    } else {
        "application/json"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_by_its_name_what_it_is() {
        assert_eq!(content_type("rows.csv"), "text/csv");
        assert_eq!(content_type("ROWS.CSV"), "text/csv");
        assert_eq!(content_type("rows.json"), "application/json");
        assert_eq!(content_type("-"), "application/json");
    }
}
