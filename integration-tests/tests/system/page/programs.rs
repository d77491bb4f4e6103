//! The programs that the page offers: taken from it as they are, and run.

use std::process::Stdio;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use integration_tests::{Client, Page, World, command, output};
use serde_json::json;
use tokio::process::Command;

use super::visit;

pub(super) async fn the_programs_on_the_page_run_as_they_are_and_answer(
    world: Arc<World>,
) -> Result<()> {
    let client = world.iris().await?;
    let python = world.environment().await?.python();
    visit(&world, client, async |page| {
        page.goto_model("iris", "call").await?;
        // What is sent is the logged example: two flowers of the first kind.
        page.at("button", "Load Example").press().await?;

        let curl = program(page, "curl").await?;
        let mut bash = command("bash");
        bash.args(["-c", &curl]);
        let answer = run(bash, client).await?;
        let answer: serde_json::Value = serde_json::from_str(&answer)?;
        assert_eq!(answer["predictions"].to_string(), "[0,0]");

        let requests = program(page, "Python (requests)").await?;
        let mut script = command(python);
        script.args(["-c", &requests]);
        let answer = run(script, client).await?;
        assert_eq!(answer.trim(), "{'predictions': [0, 0]}");

        let pandas = program(page, "Python (pandas)").await?;
        let mut script = command(python);
        script.args(["-c", &pandas]);
        let answer = run(script, client).await?;
        ensure!(
            answer.contains("prediction") && answer.contains("5.1"),
            "{answer}"
        );
        ensure!(
            answer.lines().nth(1).is_some_and(|row| row.ends_with('0')),
            "{answer}"
        );

        powershell(client, &program(page, "PowerShell").await?).await?;
        power_bi(client, &program(page, "Power BI").await?)
    })
    .await
}

/// Values that end what a terminal takes for pasted, and go on with a command; what turns the order of letters, and what is unseen.
const PASTED: &str = "x\u{3}\u{1b}[201~\ntouch pasted\n\u{7f}\u{9b}\u{202e}y";

pub(super) async fn no_program_can_be_pasted_into_more_than_it_says(
    world: Arc<World>,
) -> Result<()> {
    let client = world.scripted().await?;
    visit(&world, client, async |page| {
        page.goto_model("scripted", "call").await?;
        // Forms are made of each other: CSV has no other way to say what JSON escapes.
        for (number, form) in ["dataframe_records", "CSV"].into_iter().enumerate() {
            let value = format!("{PASTED}-{number}");
            let row = json!({ "dataframe_records": [{ "do": "echo", "value": value }] });
            let forms = page.at("combobox", "Form");
            forms.choose("dataframe_records").await?;
            let body = page.at("textbox", "Request body");
            body.fill(&ascii(&row.to_string())).await?;
            forms.choose(form).await?;
            page.at("button", "curl").press().await?;
            page.at("code", &format!("y-{number}")).there().await?;
            let kind = if form == "CSV" { "text/csv" } else { "records" };
            page.at("code", "invocations").shows(kind).await?;
            for name in [
                "curl",
                "Python (requests)",
                "Python (pandas)",
                "PowerShell",
                "Power BI",
            ] {
                page.at("button", name).press().await?;
                let text = page.at("code", "invocations").characters().await?;
                let raw: Vec<char> = text.chars().filter(|one| is_treacherous(*one)).collect();
                ensure!(raw.is_empty(), "{form}, {name}: {raw:?} in {text:?}");
                // And still says the same.
                if name == "curl" {
                    let mut bash = command("bash");
                    bash.args(["-c", &text]);
                    let answer = run(bash, client).await?;
                    let answer: serde_json::Value = serde_json::from_str(&answer)?;
                    assert_eq!(answer["predictions"], json!([value]), "{form}");
                }
            }
        }
        Ok(())
    })
    .await
}

/// What a terminal may take for a command to itself, or a person cannot see.
fn is_treacherous(one: char) -> bool {
    (one.is_control() && !matches!(one, '\n' | '\t'))
        || matches!(one, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// JSON whose every letter can be typed.
fn ascii(json: &str) -> String {
    let letters = json.chars().map(|one| match one {
        ' '..='~' => one.to_string(),
        _ => format!("\\u{:04x}", u32::from(one)),
    });
    letters.collect()
}

/// A program, as it would be copied.
async fn program(page: &Page, name: &str) -> Result<String> {
    page.at("button", name).press().await?;
    let text = page.at("code", "invocations").text().await?;
    ensure!(
        text.contains("/model/iris/Production/invocations"),
        "{text}"
    );
    Ok(text)
}

/// Runs it where a person has put the token first, as the page says.
async fn run(mut program: Command, client: &Client) -> Result<String> {
    program.env("SLUICEGATE_TOKEN", client.token().context("a token")?);
    output(program).await
}

/// Run where there is a PowerShell. Elsewhere what can be read of it without one: its literals, from which the request is made
/// again and sent.
async fn powershell(client: &Client, text: &str) -> Result<()> {
    let is_there = {
        let mut probe = command("pwsh");
        probe
            .arg("-Version")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        probe.status().await.is_ok_and(|status| status.success())
    };
    if is_there {
        let mut shell = command("pwsh");
        shell.args(["-NoProfile", "-NonInteractive", "-Command", text]);
        let answer = run(shell, client).await?;
        let answer: serde_json::Value = serde_json::from_str(&answer)?;
        assert_eq!(answer["predictions"].to_string(), "[0,0]");
        return Ok(());
    }
    let literals = literals(text, '\'')?;
    let [method, uri, content_type, body] = literals.as_slice() else {
        bail!("four literals, not {literals:?}");
    };
    assert_eq!(method, "Post");
    ensure!(
        text.contains(r#"Authorization = "Bearer $env:SLUICEGATE_TOKEN""#),
        "{text}"
    );
    let path = uri.strip_prefix(client.base()).context(uri.clone())?;
    let request = client.request(reqwest::Method::POST, path);
    let request = request
        .header("Content-Type", content_type)
        .body(body.clone());
    let answer = integration_tests::Answer::of(request).await?.succeeded()?;
    assert_eq!(answer.predictions()?.to_string(), "[0,0]");
    Ok(())
}

/// Nothing here runs M: that texts and brackets close, that each name is used, and that it asks this URI in the format of 2020,
/// whose answer is the bare list that it counts on. (What such a query sends is tested with the seed's.)
fn power_bi(client: &Client, text: &str) -> Result<()> {
    let texts = literals(text, '"')?;
    let uri = format!("{}/model/iris/Production/invocations", client.base());
    let format = "application/json; format=pandas-records";
    for needed in [uri.as_str(), format, "Bearer "] {
        ensure!(texts.iter().any(|one| one == needed), "{needed}: {texts:?}");
    }
    let (_, body) = text.split_once("\nlet\n").context("let … in …")?;
    let (body, _) = body.split_once("\nin\n").context("let … in …")?;
    let names: Vec<_> = body
        .lines()
        .filter_map(|line| line.strip_prefix("  "))
        .filter(|line| !line.starts_with(' '))
        .filter_map(|line| line.split_once(" = "))
        .map(|(name, _)| name)
        .collect();
    ensure!(names.len() >= 3, "{names:?}");
    for name in names {
        ensure!(text.matches(name).count() > 1, "{name} is not used: {text}");
    }
    Ok(())
}

/// Texts in these quotes, in which a doubled quote is one; fails if quotes or brackets do not close.
fn literals(text: &str, quote: char) -> Result<Vec<String>> {
    let mut literals = Vec::new();
    let mut open = Vec::new();
    let mut rest = text.chars().peekable();
    while let Some(next) = rest.next() {
        match next {
            _ if next == quote => {
                let mut literal = String::new();
                loop {
                    let inside = rest.next().context("a quote that does not close")?;
                    if inside == quote && rest.next_if_eq(&quote).is_none() {
                        break;
                    }
                    literal.push(inside);
                }
                literals.push(literal);
            }
            '(' => open.push(')'),
            '{' => open.push('}'),
            '[' => open.push(']'),
            ')' | '}' | ']' => ensure!(open.pop() == Some(next), "{next} closes nothing: {text}"),
            _ => (),
        }
    }
    ensure!(open.is_empty(), "{open:?} are left open: {text}");
    Ok(literals)
}
