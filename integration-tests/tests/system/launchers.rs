//! The ways to start a worker, compared: what each answers, byte by byte, and how each ends.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use integration_tests::{
    Client, Gateway, Test, World, command, kill, output, process_lives, tests, until,
};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        each_launcher_gives_the_same_answers_and_the_same_end,
        workers_of_a_template_speak_http_as_uvicorn_does,
        forks_of_one_template_draw_different_numbers,
        nothing_of_a_template_outlives_a_killed_gateway,
    ]
}

/// For what has to happen some time.
const PATIENCE: Duration = Duration::from_secs(60);
const LAUNCHERS: [&str; 3] = ["mlflow-serve", "direct", "template"];

const SPLIT: &str = r#"{"columns": ["sepal_length", "sepal_width", "petal_length", "petal_width"],
    "data": [[5.1, 3.5, 1.4, 0.2], [6.70, 3.0e0, 5.2, 2.3]]}"#;
const ROW: &str =
    r#"{"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2}"#;
const CSV: &str = "sepal_length,sepal_width,petal_length,petal_width\n5.1,3.5,1.4,0.2\n";

/// Method, path, content type and body.
type Question = (&'static str, &'static str, Option<&'static str>, String);

/// What can be asked of the iris model's worker.
fn of_iris() -> Vec<Question> {
    let json = |body: String| ("POST", "/invocations", Some("application/json"), body);
    let typed = |content_type, body: &str| ("POST", "/invocations", content_type, body.to_owned());
    vec![
        json(format!(r#"{{"dataframe_records": [{ROW}, {ROW}]}}"#)),
        json(format!(r#"{{"dataframe_split": {SPLIT}}}"#)),
        json(format!(r#"{{"instances": [{ROW}]}}"#)),
        json(format!(r#"{{"inputs": [{ROW}]}}"#)),
        json(format!(
            r#"{{"inputs": [{ROW}], "params": {{"unknown": 1}}}}"#
        )),
        json(format!(r#"{{"inputs": [{ROW}], "params": 1}}"#)),
        json(format!("[{ROW}]")),
        json(r#"{"dataframe_records": [{"sepal_length": 5.1}]}"#.to_owned()),
        json(r#"{"dataframe_records": [{"sepal_length": "x"}]}"#.to_owned()),
        json(format!(
            r#"{{"dataframe_records": [{}]}}"#,
            ROW.replace("5.1", "null")
        )),
        json(r#"{"dataframe_records": []}"#.to_owned()),
        json("{".to_owned()),
        json(String::new()),
        typed(Some("text/csv"), CSV),
        typed(Some("text/csv; charset=utf-8"), CSV),
        typed(Some("text/csv; charset=latin-1"), CSV),
        typed(Some("text/csv"), "a,b\n1,2\n"),
        typed(Some("text/plain"), "5.1"),
        typed(Some("application/json; format=pandas-records"), ROW),
        typed(None, ROW),
        ("GET", "/ping", None, String::new()),
        ("HEAD", "/ping", None, String::new()),
        ("GET", "/health", None, String::new()),
        ("GET", "/version", None, String::new()),
        ("GET", "/invocations", None, String::new()),
        ("GET", "/nowhere", None, String::new()),
        ("GET", "/openapi.json", None, String::new()),
    ]
}

/// What can be asked of the scripted model's worker: what a model may answer.
fn of_scripted() -> Vec<Question> {
    let script = |body: Value| {
        let body = json!({ "dataframe_records": [body] }).to_string();
        ("POST", "/invocations", Some("application/json"), body)
    };
    vec![
        script(json!({"do": "which"})),
        script(json!({"do": "echo", "value": "ü \" 1"})),
        script(json!({"do": "echo", "value": 1.5})),
        script(json!({"do": "raise", "value": "of its own"})),
        script(json!({"do": "unknown"})),
        script(json!({"do": "not_a_number"})),
        script(json!({"do": "big", "value": 2000})),
        script(json!({"do": "python"})),
        (
            "POST",
            "/invocations",
            Some("application/json"),
            r#"{"messages": [{"role": "user", "content": "hello"}]}"#.to_owned(),
        ),
    ]
}

async fn each_launcher_gives_the_same_answers_and_the_same_end(world: Arc<World>) -> Result<()> {
    // Both models are registered by their sharers.
    world.iris().await?;
    world.scripted().await?;
    let mut seen = Vec::new();
    for launcher in LAUNCHERS {
        let gateway = world.another_gateway().await?;
        let gateway = gateway
            .variable("SLUICEGATE_LAUNCHER", launcher)
            .start()
            .await?;
        let client = gateway.client();
        for model in ["iris", "scripted"] {
            // Python's own chance, which the order of words in a message depends on.
            let settings = json!({ "environment": { "PYTHONHASHSEED": "0" } });
            client.enable(model, settings).await?;
        }
        for model in ["iris", "scripted"] {
            client.until_ready(model, 1).await?;
            ensure!(
                started_by(client, model).await? == launcher,
                "{model} was started by {launcher}"
            );
        }
        let (iris, scripted) = (
            socket(client, "iris").await?,
            socket(client, "scripted").await?,
        );
        let data = gateway.data().display().to_string();
        let mut told = Vec::new();
        for (place, questions) in [(&iris, of_iris()), (&scripted, of_scripted())] {
            for question in questions {
                let answer = ask(place, &question).await?.replace(&data, "DATA");
                if question.0 == "POST" {
                    let kept = ask_in_turn(place, &question).await;
                    let kept = kept.with_context(|| format!("{question:?}"))?;
                    let kept = kept.replace(&data, "DATA");
                    told.push((format!("{question:?}, as the gateway asks"), kept));
                }
                told.push((format!("{question:?}"), answer));
            }
        }
        let variables = variables(client).await?.replace(&data, "DATA");
        told.push(("variables".to_owned(), variables));
        told.push((
            "a stop".to_owned(),
            stopped_in_flight(&world, &gateway).await?,
        ));
        told.push(("exits".to_owned(), exits(client).await?));
        gateway.stop().await?;
        seen.push(told);
    }
    for (launcher, told) in LAUNCHERS.iter().zip(&seen).skip(1) {
        assert_eq!(told.len(), seen[0].len());
        let pairs = told.iter().zip(&seen[0]);
        let differences: Vec<_> = pairs.filter(|(ours, first)| ours != first).collect();
        ensure!(
            differences.is_empty(),
            "{launcher}, unlike {}: {differences:#?}",
            LAUNCHERS[0]
        );
    }
    Ok(())
}

async fn workers_of_a_template_speak_http_as_uvicorn_does(world: Arc<World>) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut compare = command(world.environment().await?.python());
    compare
        .arg(root.join("python/plain_http.py"))
        .arg(root.join("../conda-runner/src/template/plain_http.py"));
    let told = output(compare).await?;
    ensure!(told.ends_with(" streams, 0 differ\n"), "{told}");
    Ok(())
}

async fn forks_of_one_template_draw_different_numbers(world: Arc<World>) -> Result<()> {
    world.scripted().await?;
    let gateway = world.another_gateway().await?;
    let gateway = gateway
        .variable("SLUICEGATE_LAUNCHER", "template")
        .start()
        .await?;
    let client = gateway.client();
    client.enable("scripted", json!({ "replicas": 3 })).await?;
    until("three forks are ready", async || {
        let version = client.version("scripted", 1).await?;
        Ok(if version["replicas"] == 3 {
            Ok(())
        } else {
            Err(version.to_string())
        })
    })
    .await?;
    let mut drawn = BTreeMap::new();
    until("each worker has drawn", async || {
        let answer = client.script("scripted", "1", "draw", Value::Null).await?;
        let Value::Array(numbers) = answer.succeeded()?.predictions()? else {
            bail!("no list");
        };
        drawn.entry(numbers[0].to_string()).or_insert(numbers);
        Ok(if drawn.len() == 3 {
            Ok(())
        } else {
            Err(format!("{drawn:?}"))
        })
    })
    .await?;
    for place in 1..3 {
        let mut numbers: Vec<_> = drawn
            .values()
            .map(|drawn| drawn[place].to_string())
            .collect();
        numbers.sort();
        numbers.dedup();
        assert_eq!(numbers.len(), 3, "{drawn:?}");
    }
    let said = templates_said(gateway.data())?;
    ensure!(!said.contains("own HTTP is used"), "{said}");
    gateway.stop().await
}

async fn nothing_of_a_template_outlives_a_killed_gateway(world: Arc<World>) -> Result<()> {
    world.scripted().await?;
    let gateway = world.another_gateway().await?;
    let mut gateway = gateway
        .variable("SLUICEGATE_LAUNCHER", "template")
        .start()
        .await?;
    gateway.client().enable("scripted", json!({})).await?;
    gateway
        .client()
        .until_answered_by("scripted", "1", "a")
        .await?;
    let worker = gateway.client().worker("scripted", "1").await?;
    let template = parent(worker)?;
    let run = world.run().await?;
    let seen = run.processes_of(gateway.data());
    ensure!(
        seen.iter()
            .any(|(id, line)| *id == template && line.contains("template.py")),
        "the template is seen: {seen:?}"
    );
    gateway.kill().await?;
    until("no process of the killed gateway is left", async || {
        let left = run.processes_of(gateway.data());
        Ok(if left.is_empty() {
            Ok(())
        } else {
            Err(format!("{left:?}"))
        })
    })
    .await?;
    ensure!(
        !process_lives(worker) && !process_lives(template),
        "both are dead"
    );
    Ok(())
}

/// The logs of all templates.
fn templates_said(data: &Path) -> Result<String> {
    let mut said = String::new();
    for folder in std::fs::read_dir(data.join("logs/templates"))? {
        said += &std::fs::read_to_string(folder?.path().join("template.log"))?;
    }
    Ok(said)
}

/// From the first line of the worker's log.
async fn started_by(client: &Client, model: &str) -> Result<&'static str> {
    let begins = last_line(client, model, "--- attempt at").await?;
    Ok(if begins.contains("a fork of template") {
        "template"
    } else if begins.contains("-m uvicorn") {
        "direct"
    } else {
        "mlflow-serve"
    })
}

/// Where a model's newest worker listens, as its server says.
async fn socket(client: &Client, model: &str) -> Result<PathBuf> {
    let line = last_line(client, model, "running on unix socket").await?;
    let (_, rest) = line.split_once("socket ").context("a socket")?;
    Ok(rest.split(" (").next().unwrap_or(rest).into())
}

/// The last line of the workers' logs with this in it.
async fn last_line(client: &Client, model: &str, part: &str) -> Result<String> {
    let path = format!("/api/v1/models/{model}/versions/1/logs?kind=worker");
    let log = client.get(&path).await?.succeeded()?.text();
    let line = log.lines().rfind(|line| line.contains(part));
    Ok(line.with_context(|| format!("{part} in {log}"))?.to_owned())
}

/// Asks a worker directly: status, headers but the date, body.
async fn ask(socket: &Path, question: &Question) -> Result<String> {
    let (method, path, content_type, body) = question;
    let mut stream = UnixStream::connect(socket).await?;
    let typed = content_type
        .map(|of| format!("Content-Type: {of}\r\n"))
        .unwrap_or_default();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{typed}Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    shown(&answer)
}

/// Asks twice over one connection, as the gateway does: both answers, or the first and that the worker closes it then.
async fn ask_in_turn(socket: &Path, question: &Question) -> Result<String> {
    let mut stream = UnixStream::connect(socket).await?;
    let first = ask_over(&mut stream, question).await?;
    let second = ask_over(&mut stream, question).await;
    Ok(format!(
        "{first}\n\n{}",
        second.as_deref().unwrap_or("closed")
    ))
}

/// Asks over a connection that is to stay open.
async fn ask_over(stream: &mut UnixStream, question: &Question) -> Result<String> {
    let (method, path, content_type, body) = question;
    let typed = content_type
        .map(|of| format!("content-type: {of}\r\n"))
        .unwrap_or_default();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\n{typed}content-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    while !is_whole(&answer)? {
        let read = timeout(PATIENCE, stream.read_buf(&mut answer)).await??;
        ensure!(read > 0, "it ends after {answer:?}");
    }
    shown(&answer)
}

/// Whether an answer has come that is as long as it says.
fn is_whole(answer: &[u8]) -> Result<bool> {
    let answer = String::from_utf8_lossy(answer);
    let Some((head, body)) = answer.split_once("\r\n\r\n") else {
        return Ok(false);
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    Ok(body.len() >= length.context("a length")?.parse()?)
}

/// An answer without what the clock says.
fn shown(answer: &[u8]) -> Result<String> {
    let answer = String::from_utf8_lossy(answer);
    let (head, body) = answer.split_once("\r\n\r\n").context("a head")?;
    let head: Vec<_> = head
        .lines()
        .filter(|line| !line.starts_with("date:"))
        .collect();
    Ok(format!("{}\n\n{body}", head.join("\n")))
}

/// The worker's variables, but those of its own folder.
async fn variables(client: &Client) -> Result<String> {
    let own = socket(client, "scripted").await?;
    let own = own.parent().context("a folder")?.display().to_string();
    let answer = client
        .script("scripted", "1", "environment", Value::Null)
        .await?;
    let answer = answer.succeeded()?.predictions()?;
    let variables = answer.as_object().context("variables")?.iter();
    let text = variables
        // What a shell sets for itself.
        .filter(|(name, _)| !["_", "PWD", "OLDPWD", "SHLVL"].contains(&name.as_str()))
        // What scikit-learn sets: another model's worker, or its template, has imported it.
        .filter(|(name, _)| !name.starts_with("KMP_"))
        .map(|(name, value)| format!("{name}={value}"))
        .filter(|line| !line.contains(&own));
    let mut lines: Vec<_> = text.collect();
    // A shell passes them on in an order of its own.
    lines.sort();
    Ok(lines.join("\n"))
}

/// A request is answered although its worker is asked to end meanwhile.
async fn stopped_in_flight(world: &World, gateway: &Gateway) -> Result<String> {
    let client = gateway.client();
    let begun = world.run().await?.fresh("begun");
    let waiting = begun.to_str().context("UTF-8")?;
    let (worker, request) = (
        client.worker("scripted", "1").await?,
        client.script("scripted", "1", "wait", waiting),
    );
    let stopping = async {
        until("the request is in the worker's hands", async || {
            Ok(if begun.exists() {
                Ok(())
            } else {
                Err("not yet")
            })
        })
        .await?;
        let restart = "/api/v1/models/scripted/versions/1/restart";
        client
            .send(Method::POST, restart, json!({}))
            .await?
            .succeeded()?;
        std::fs::write(begun.with_extension("go"), "")?;
        anyhow::Ok(())
    };
    let (answer, stopped) = tokio::join!(request, stopping);
    stopped?;
    let answer = answer?.succeeded()?;
    until("the old worker is gone", async || {
        Ok(if process_lives(worker) {
            Err("it lives")
        } else {
            Ok(())
        })
    })
    .await?;
    client.until_answered_by("scripted", "1", "a").await?;
    Ok(answer.text())
}

/// What events tell of a worker that was killed, and of one whose model ends it.
async fn exits(client: &Client) -> Result<String> {
    kill(client.worker("scripted", "1").await?);
    let told = |count: usize| {
        until("the death is told", async move || {
            let mut events = client.events("scripted", 1).await?;
            events.retain(|event| event["type"] == "replica_crashed");
            Ok(if events.len() >= count {
                Ok(events)
            } else {
                Err(format!("{events:?}"))
            })
        })
    };
    told(1).await?;
    client.until_answered_by("scripted", "1", "a").await?;
    let place = socket(client, "scripted").await?;
    let exit = json!({ "dataframe_records": [{"do": "exit", "value": 3}] }).to_string();
    let exit = ("POST", "/invocations", Some("application/json"), exit);
    ensure!(ask(&place, &exit).await.is_err(), "it was cut off");
    let events = told(2).await?;
    client.until_answered_by("scripted", "1", "a").await?;
    let reasons = events
        .iter()
        .map(|event| event["details"]["reason"].to_string());
    Ok(reasons.collect::<Vec<_>>().join(", "))
}

fn parent(process: u32) -> Result<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let (_, rest) = stat.rsplit_once(") ").context("a stat")?;
    Ok(rest.split(' ').nth(1).context("a parent")?.parse()?)
}
