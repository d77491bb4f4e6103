//! The client commands against a scripted gateway: what they send, what they print, how they end.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::thread::JoinHandle;

/// What a client asked.
#[derive(Debug)]
struct Asked {
    /// `GET /path`.
    line: String,
    /// Lower case names.
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Asked {
    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(header, _)| header == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// Answers the requests of one command, one connection each, in the order of the script.
struct Gateway {
    url: String,
    asked: JoinHandle<Vec<Asked>>,
}

impl Gateway {
    fn answering(script: &[(&'static str, &'static str, &'static str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let script = script.to_vec();
        let asked = std::thread::spawn(move || {
            let answer = |(status, content_type, body): (&str, &str, &str)| {
                let (stream, _) = listener.accept().unwrap();
                let asked = read(&stream);
                let length = body.len();
                write!(
                    &stream,
                    "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
                )
                .unwrap();
                asked
            };
            script.into_iter().map(answer).collect()
        });
        Self { url, asked }
    }

    /// Runs `sluicegate` with `stdin` and returns its exit code, stdout and stderr, and what it asked.
    #[expect(
        clippy::disallowed_methods,
        reason = "these tests are about the process"
    )]
    fn run(self, arguments: &[&str], stdin: &str) -> (Option<i32>, String, String, Vec<Asked>) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sluicegate"))
            .args(arguments)
            .env_clear()
            .env("SLUICEGATE_URL", &self.url)
            .env("SLUICEGATE_TOKEN", "sgp_test")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = child.stdin.take().unwrap();
        input.write_all(stdin.as_bytes()).unwrap();
        drop(input);
        let output = child.wait_with_output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let asked = self.asked.join().unwrap();
        (
            output.status.code(),
            text(output.stdout),
            text(output.stderr),
            asked,
        )
    }
}

fn read(stream: &TcpStream) -> Asked {
    let mut reader = BufReader::new(stream);
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    };
    let first = line().trim_end_matches(" HTTP/1.1").to_owned();
    let mut headers = Vec::new();
    loop {
        let header = line();
        let Some((name, value)) = header.split_once(':') else {
            break;
        };
        headers.push((name.to_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.map_or(0, |(_, length)| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    Asked {
        line: first,
        headers,
        body,
    }
}

const REFUSAL: &str =
    r#"{"error_code": "BAD_REQUEST", "message": "Model is missing inputs", "request_id": "r1"}"#;

#[test]
fn score_sends_the_rows_as_they_are_and_prints_the_answer_alone() {
    let gateway = Gateway::answering(&[("200 OK", "application/json", "[0,  1.50]")]);
    let rows = "[{\"sepal_length\": 5.10}]";
    let arguments = ["models", "score", "my model/ü", "@champion", "-"];
    let (code, stdout, stderr, asked) = gateway.run(&arguments, rows);
    assert_eq!(
        (code, stdout.as_str(), stderr.as_str()),
        (Some(0), "[0,  1.50]", "")
    );
    let asked = &asked[0];
    assert_eq!(
        asked.line,
        "POST /model/my%20model%2F%C3%BC/@champion/invocations"
    );
    assert_eq!(asked.header("authorization"), Some("Bearer sgp_test"));
    assert_eq!(asked.header("content-type"), Some("application/json"));
    assert_eq!(asked.body, rows.as_bytes());
}

#[test]
fn a_refused_score_prints_nothing_on_stdout_and_ends_with_1() {
    let gateway = Gateway::answering(&[("400 Bad Request", "application/json", REFUSAL)]);
    let arguments = [
        "models",
        "score",
        "iris",
        "1",
        "-",
        "--content-type",
        "text/csv",
    ];
    let (code, stdout, stderr, asked) = gateway.run(&arguments, "a,b\n1,2\n");
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert_eq!(stderr, "error: BAD_REQUEST: Model is missing inputs\n");
    assert_eq!(asked[0].header("content-type"), Some("text/csv"));
}

#[test]
fn the_example_of_a_label_is_the_example_of_its_version() {
    let gateway = Gateway::answering(&[
        (
            "200 OK",
            "application/json",
            r#"{"name": "iris", "version": 2, "state": "READY"}"#,
        ),
        ("200 OK", "application/json", r#"{"dataframe_split": {}}"#),
        ("200 OK", "application/json", r#"{"predictions": [0]}"#),
    ]);
    let arguments = ["models", "score", "iris", "Production", "--example"];
    let (code, stdout, _, asked) = gateway.run(&arguments, "");
    assert_eq!(
        (code, stdout.as_str()),
        (Some(0), r#"{"predictions": [0]}"#)
    );
    let lines: Vec<_> = asked.iter().map(|asked| asked.line.as_str()).collect();
    assert_eq!(
        lines,
        [
            "GET /model/iris/Production",
            "GET /api/v1/models/iris/versions/2/example",
            "POST /model/iris/Production/invocations",
        ]
    );
    assert_eq!(asked[2].body, br#"{"dataframe_split": {}}"#);
}

#[test]
fn what_is_no_gateway_is_told_apart_from_a_refusal() {
    for (status, body) in [("404 Not Found", "<html>"), ("200 OK", "<html>")] {
        let gateway = Gateway::answering(&[(status, "text/html", body)]);
        let (code, stdout, stderr, _) = gateway.run(&["models", "list"], "");
        assert_eq!((code, stdout.as_str()), (Some(1), ""));
        assert!(stderr.contains("next: check the address"), "{stderr}");
        assert!(!stderr.contains("sgp_test"), "{stderr}");
    }
}

#[test]
fn waiting_ends_with_1_when_a_version_has_failed_and_shows_why() {
    let settled = r#"{
        "name": "iris", "state": "READY", "permission": "MANAGE", "settings": null, "labels": [],
        "versions": [
            {"version": 2, "state": "FAILED", "since": "2026-03-01T12:00:00Z", "uris": [], "replicas": 0, "crashes": 0,
             "last_error": {"kind": "permanent", "message": "it raises on load", "last_lines": ["ValueError"]}},
            {"version": 1, "state": "READY", "since": "2026-03-01T12:00:00Z", "uris": ["/1"], "replicas": 1, "crashes": 0}
        ]
    }"#;
    let gateway = Gateway::answering(&[
        ("200 OK", "application/json", STATUS),
        ("200 OK", "application/json", settled),
    ]);
    let (code, stdout, stderr, asked) = gateway.run(&["models", "enable", "iris", "--wait"], "");
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(stderr.contains("✓ iris@1 ready"), "{stderr}");
    assert!(stderr.contains("✗ iris@2"), "{stderr}");
    assert!(
        stderr.contains("version 2 of iris failed: it raises on load\n  | ValueError\n"),
        "{stderr}"
    );
    assert_eq!(
        asked[1].line,
        "PUT /api/v1/models/iris/serving?wait=ready&timeout=45000ms"
    );
}

/// A gateway whose registry does not answer any more.
const STATUS: &str = r#"{
    "version": "1", "started": "2026-03-01T12:00:00Z", "uptime": "90s", "principal": "ada", "admin": false,
    "routes_published": true, "models_enabled": 1, "versions_ready": 1, "versions_failed": 0,
    "registry": {
        "url": "http://mlflow", "reachable": false, "last_success": "2026-03-01T12:00:00Z", "error": "connection refused"
    }
}"#;

#[test]
fn what_was_ready_before_counts_only_once_the_registry_has_answered() {
    let late = r#"{"error_code": "DEADLINE_EXCEEDED", "message": "not all are ready", "request_id": "r1"}"#;
    let ready = r#"{
        "name": "iris", "state": "READY", "permission": "MANAGE", "settings": null, "labels": [],
        "versions": [
            {"version": 1, "state": "READY", "since": "2026-03-01T12:00:00Z", "uris": [], "replicas": 1, "crashes": 0}
        ]
    }"#;
    let gateway = Gateway::answering(&[
        ("200 OK", "application/json", STATUS),
        ("504 Gateway Timeout", "application/json", late),
        ("200 OK", "application/json", ready),
        ("200 OK", "application/json", STATUS),
    ]);
    let wait = ["models", "enable", "iris", "--wait", "--timeout", "1ms"];
    let (code, stdout, stderr, _) = gateway.run(&wait, "");
    assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
    assert!(stderr.contains("connection refused"), "{stderr}");
}

#[test]
fn waiting_enables_once_and_ends_when_somebody_disables() {
    let late = r#"{"error_code": "DEADLINE_EXCEEDED", "message": "not all are ready", "request_id": "r1"}"#;
    let building = r#"{
        "name": "iris", "state": "READY", "permission": "MANAGE", "settings": null, "labels": [],
        "versions": [
            {"version": 1, "state": "BUILDING", "since": "2026-03-01T12:00:00Z", "uris": [], "replicas": 0, "crashes": 0}
        ]
    }"#;
    let disabled = r#"{"name": "iris", "state": null, "permission": "MANAGE", "settings": null, "labels": [], "versions": []}"#;
    let gateway = Gateway::answering(&[
        ("200 OK", "application/json", STATUS),
        ("504 Gateway Timeout", "application/json", late),
        ("200 OK", "application/json", building),
        ("200 OK", "application/json", disabled),
    ]);
    let (code, stdout, stderr, asked) = gateway.run(&["models", "enable", "iris", "--wait"], "");
    assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
    assert!(stderr.contains("was disabled meanwhile"), "{stderr}");
    let lines: Vec<_> = asked.iter().map(|asked| asked.line.as_str()).collect();
    assert_eq!(
        lines,
        [
            "GET /api/v1/status",
            "PUT /api/v1/models/iris/serving?wait=ready&timeout=45000ms",
            "GET /api/v1/models/iris",
            "GET /api/v1/models/iris",
        ]
    );
}

/// A page of the event log with `ids`, newest first, and the way to older ones.
fn page(ids: impl DoubleEndedIterator<Item = i64>, next: Option<i64>) -> &'static str {
    let event = |id| {
        format!(
            r#"{{"id": {id}, "at": "2026-03-01T12:00:00Z", "model": "iris", "type": "ready", "message": "event {id}"}}"#
        )
    };
    let events: Vec<_> = ids.rev().map(event).collect();
    let next = next.map_or("null".to_owned(), |id| format!("\"{id}\""));
    let events = events.join(", ");
    format!(r#"{{"events": [{events}], "next_page_token": {next}}}"#).leak()
}

#[test]
fn events_are_read_page_after_page() {
    let gateway = Gateway::answering(&[
        ("200 OK", "application/json", page(3..=4, Some(3))),
        ("200 OK", "application/json", page(1..=2, None)),
    ]);
    let (code, stdout, stderr, asked) = gateway.run(&["models", "events", "iris"], "");
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let shown: Vec<_> = stdout.lines().map(|line| &line[line.len() - 1..]).collect();
    assert_eq!(shown, ["1", "2", "3", "4"]);
    assert_eq!(
        asked[1].line,
        "GET /api/v1/models/iris/events?max_results=500&page_token=3"
    );
}

#[test]
fn events_that_are_left_out_are_spoken_of() {
    let pages = (0..10).rev().map(|number| {
        let first = number * 500 + 1000;
        let body = page(first..first + 500, Some(first));
        ("200 OK", "application/json", body)
    });
    let gateway = Gateway::answering(&pages.collect::<Vec<_>>());
    let (code, stdout, stderr, _) = gateway.run(&["models", "events", "iris"], "");
    assert_eq!((code, stdout.lines().count()), (Some(0), 5000));
    assert_eq!(stderr, "events before these are left out\n");
}

#[test]
fn who_asks_for_events_that_are_not_there_is_told_so_and_one_who_asks_for_no_type_of_event_which_there_are()
 {
    let of = |arguments: &[&str]| {
        let gateway = Gateway::answering(&[("200 OK", "application/json", page(1..1, None))]);
        gateway.run(&[&["models", "events", "iris"], arguments].concat(), "")
    };
    let (code, stdout, stderr, asked) = of(&["--type", "failed"]);
    assert_eq!((code, stdout.as_str()), (Some(0), ""));
    assert_eq!(stderr, "no events match\n");
    assert_eq!(
        asked[0].line,
        "GET /api/v1/models/iris/events?type=failed&max_results=500"
    );
    assert_eq!(of(&[]).2, "nothing has happened to it yet\n");

    let refusal =
        r#"{"error_code": "INVALID_PARAMETER_VALUE", "message": "\"faild\" is no type of event"}"#;
    let gateway = Gateway::answering(&[("400 Bad Request", "application/json", refusal)]);
    let (code, stdout, stderr, _) =
        gateway.run(&["models", "events", "iris", "-f", "--type", "faild"], "");
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(stderr.contains("\"faild\" is no type of event"), "{stderr}");
}

#[test]
fn rights_are_taken_back_one_call_each() {
    let gateway = Gateway::answering(&[
        ("204 No Content", "application/json", ""),
        ("204 No Content", "application/json", ""),
    ]);
    let line = "tokens grants revoke --principal ci --admin --manage fraud-*";
    let arguments: Vec<&str> = line.split(' ').collect();
    let (code, stdout, _, asked) = gateway.run(&arguments, "");
    assert_eq!((code, stdout.as_str()), (Some(0), ""));
    let lines: Vec<_> = asked.iter().map(|asked| asked.line.as_str()).collect();
    assert_eq!(
        lines,
        [
            "DELETE /api/v1/grants?principal=ci&right=ADMIN",
            "DELETE /api/v1/grants?principal=ci&right=MANAGE&model=fraud-*",
        ]
    );
}

#[test]
fn settings_are_changed_only_where_serving_is_enabled() {
    let resting = r#"{"name": "iris", "state": null, "permission": "MANAGE", "settings": null, "labels": [], "versions": []}"#;
    let gateway = Gateway::answering(&[("200 OK", "application/json", resting)]);
    let arguments = ["models", "settings", "iris", "replicas=2"];
    let (code, _, stderr, asked) = gateway.run(&arguments, "");
    assert_eq!(code, Some(1));
    assert!(
        stderr.contains("next: `sluicegate models enable iris`"),
        "{stderr}"
    );
    assert_eq!(asked.len(), 1, "nothing but a look: {asked:?}");
}

const ENVIRONMENT: &str = r#"{"key": "0123456789abcdef0123456789abcdef", "env_manager": "conda", "python": "3.11.7",
 "mlflow": "3.17.2", "size_bytes": 734003200, "shared_bytes": 0, "used_by": [], "built": "2026-03-01T12:00:00Z",
 "last_used": "2026-03-01T12:00:00Z"}"#;

#[test]
fn a_build_tells_its_steps_on_stderr_and_prints_the_key_alone() {
    let environment = ENVIRONMENT.replace('\n', "");
    let lines = format!(
        "{{\"step\": \"solving\"}}\n{{\"step\": \"solving\"}}\n{{\"step\": \"linking\"}}\n{{\"environment\": {environment}}}\n"
    );
    let gateway = Gateway::answering(&[("200 OK", "application/x-ndjson", lines.leak())]);
    let arguments = [
        "environments",
        "build",
        "--model",
        "iris",
        "--version",
        "3",
        "--env-manager",
        "uv",
        "--fresh",
    ];
    let (code, stdout, stderr, asked) = gateway.run(&arguments, "");
    assert_eq!(
        (code, stdout.as_str()),
        (Some(0), "0123456789abcdef0123456789abcdef\n"),
        "{stderr}"
    );
    assert_eq!(stderr.matches("solving").count(), 1, "{stderr}");
    assert!(stderr.contains("iris@3: linking"), "{stderr}");
    assert!(
        stderr.contains("Python 3.11.7, MLflow 3.17.2, 700 MB"),
        "{stderr}"
    );
    assert_eq!(asked[0].line, "POST /api/v1/environments");
    let body: serde_json::Value = serde_json::from_slice(&asked[0].body).unwrap();
    let expected =
        serde_json::json!({"model": "iris", "version": 3, "env_manager": "uv", "fresh": true});
    assert_eq!(body, expected);
}

#[test]
fn a_failed_build_ends_with_1_and_names_code_last_lines_and_the_log() {
    let lines = r#"{"step": "solving"}
{"error": {"error_code": "PACKAGE_NOT_FOUND", "message": "no channel has skikit-learn", "last_lines": ["near: scikit-learn"]}}
"#;
    let gateway = Gateway::answering(&[("200 OK", "application/x-ndjson", lines)]);
    let arguments = ["environments", "build", "--model", "iris", "--version", "3"];
    let (code, stdout, stderr, _) = gateway.run(&arguments, "");
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    let error = "error: PACKAGE_NOT_FOUND: no channel has skikit-learn\n  | near: scikit-learn\n next: correct the name";
    assert!(stderr.contains(error), "{stderr}");
    let log = "`sluicegate models logs iris 3 --kind build`";
    assert!(stderr.contains(log), "{stderr}");
}

#[test]
fn a_build_that_breaks_off_is_a_failure() {
    let gateway = Gateway::answering(&[(
        "200 OK",
        "application/x-ndjson",
        "{\"step\": \"solving\"}\n",
    )]);
    let arguments = ["environments", "build", "--model", "iris", "--version", "3"];
    let (code, stdout, stderr, _) = gateway.run(&arguments, "");
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(stderr.contains("broke off"), "{stderr}");
}

#[test]
fn pruning_prints_the_keys_that_went_and_fails_for_those_in_use() {
    const PRUNED: &str = r#"{"environments": ["0123"], "freed_bytes": 1073741824, "in_use": [{"key": "4567", "reasons": ["used by iris@3"]}]}"#;
    let gateway = Gateway::answering(&[("200 OK", "application/json", PRUNED)]);
    let arguments = [
        "environments",
        "prune",
        "01",
        "45",
        "--unused-for",
        "30d",
        "--to-size",
        "20GB",
        "--dry-run",
    ];
    let (code, stdout, stderr, asked) = gateway.run(&arguments, "");
    assert_eq!((code, stdout.as_str()), (Some(1), "0123\n"));
    assert!(
        stderr.contains("would remove 1 environment and free 1.0 GB"),
        "{stderr}"
    );
    let kept = "kept: 4567 (used by iris@3)";
    assert!(stderr.contains(kept), "{stderr}");
    assert_eq!(asked[0].line, "POST /api/v1/environments/prune");
    let body: serde_json::Value = serde_json::from_slice(&asked[0].body).unwrap();
    let expected = serde_json::json!(
        {"keys": ["01", "45"], "unused_for": "2592000s", "to_size": "20GB", "dry_run": true}
    );
    assert_eq!(body, expected);
}

#[test]
fn an_unknown_key_leads_to_the_list_of_environments() {
    const MISSING: &str = r#"{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "there is no environment 99", "request_id": "r1"}"#;
    let gateway = Gateway::answering(&[("404 Not Found", "application/json", MISSING)]);
    let (code, stdout, stderr, asked) = gateway.run(&["environments", "show", "99", "--log"], "");
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(
        stderr.contains("next: `sluicegate environments list`"),
        "{stderr}"
    );
    assert_eq!(asked[0].line, "GET /api/v1/environments/99/log");
}

const STREAM: &str = "text/event-stream";

/// The gateway goes away and does not come back as it was: the end of every test.
const GONE: (&str, &str, &str) = (
    "404 Not Found",
    "application/json",
    r#"{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "there is no registered model \"iris\", or you may not see it"}"#,
);

#[test]
fn events_are_followed_from_one_gateway_to_the_next_each_once() {
    let record = |id: i64| {
        format!(
            "id: {id}\nevent: event\ndata: {{\"id\": {id}, \"at\": \"2026-03-01T12:00:00Z\", \"model\": \"iris\", \"type\": \"ready\", \"message\": \"event {id}\"}}\n\n"
        )
    };
    let first = format!("retry: 2000\n\n: still here\n\n{}{}", record(2), record(3));
    // One that the client has seen comes again, and what is no event is passed over.
    let second = format!("event: status\ndata: {{}}\n\n{}{}", record(3), record(4));
    let gateway = Gateway::answering(&[
        ("200 OK", "application/json", page(1..=1, None)),
        ("200 OK", STREAM, first.leak()),
        ("503 Service Unavailable", "text/plain", "starting"),
        ("200 OK", STREAM, second.leak()),
        GONE,
    ]);
    let (code, stdout, stderr, asked) = gateway.run(&["models", "events", "iris", "-f"], "");
    assert_eq!(code, Some(1));
    let shown: Vec<_> = stdout.lines().map(|line| &line[line.len() - 1..]).collect();
    assert_eq!(shown, ["1", "2", "3", "4"]);
    let last: Vec<_> = asked
        .iter()
        .map(|asked| asked.header("last-event-id"))
        .collect();
    assert_eq!(last, [None, Some("1"), Some("3"), Some("3"), Some("4")]);
    // Told once for each time that it broke off, not for each attempt.
    assert_eq!(
        stderr.matches("the gateway broke off").count(),
        2,
        "{stderr}"
    );
    assert!(!stderr.contains("starting"), "{stderr}");
    assert!(stderr.contains("there is no registered model"), "{stderr}");
}

#[test]
fn a_log_is_followed_from_one_gateway_to_the_next_to_its_end() {
    let first = "retry: 1000\n\nevent: attempt\ndata: {\"attempt\":3,\"kind\":\"build\"}\n\n\
                 id: 3:5\ndata: solved\n\nid: 3:5\ndata: \n\nid: 3:9\nevent: part\ndata: lin\n\n";
    let second = "retry: 1000\n\nevent: lost\ndata: {\"attempt\":3,\"bytes\":7}\n\nid: 3:20\ndata: ked\n\nevent: end\ndata: {}\n\n";
    let gateway = Gateway::answering(&[
        ("200 OK", STREAM, first),
        ("503 Service Unavailable", "text/plain", "starting"),
        ("200 OK", STREAM, second),
    ]);
    let arguments = ["models", "logs", "iris", "1", "--kind", "build", "-f"];
    let (code, stdout, stderr, asked) = gateway.run(&arguments, "");
    assert_eq!((code, stdout.as_str()), (Some(0), "solved\n\nlinked\n"));
    let notes: Vec<_> = stderr.lines().collect();
    assert_eq!(
        notes,
        [
            "-- build attempt 3:",
            "-- the gateway broke off; going on where it stopped as soon as it answers",
            "-- 7 bytes were removed before they could be read",
        ]
    );
    assert_eq!(asked[0].header("last-event-id"), None);
    assert_eq!(asked[2].header("last-event-id"), Some("3:9"));
}
