//! The binary as a script sees it: exit codes, what is on stdout and what on stderr.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

struct Sluicegate {
    home: tempfile::TempDir,
}

impl Sluicegate {
    fn new() -> Self {
        Self {
            home: tempfile::tempdir().unwrap(),
        }
    }

    fn data_dir(&self) -> String {
        self.home.path().join("data").display().to_string()
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "these tests are about the process"
    )]
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sluicegate"));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.home.path())
            .env("PATH", "/usr/bin:/bin")
            .stdin(Stdio::null());
        command
    }

    /// The same, where the shell's `ulimit` says how many files may be open.
    #[expect(
        clippy::disallowed_methods,
        reason = "these tests are about the process"
    )]
    fn command_with_few_files(&self, arguments: &[&str]) -> Command {
        let inner = self.command(arguments);
        let mut command = Command::new("/bin/sh");
        command
            .args([
                "-c",
                r#"ulimit -S -n 300 && ulimit -H -n 1024 && exec "$0" "$@""#,
            ])
            .arg(inner.get_program())
            .args(inner.get_args())
            .env_clear()
            .env("HOME", self.home.path())
            .env("PATH", "/usr/bin:/bin")
            .stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        Ran::from(self.command(arguments).output().unwrap())
    }
}

#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

#[test]
fn wrong_usage_ends_with_2_and_says_what_would_be_right() {
    let sluicegate = Sluicegate::new();
    for arguments in [
        &["frobnicate"][..],
        &["models", "score", "iris", "1"],
        &["models", "score", "iris", "1", "rows.json", "--example"],
        &["models", "enable", "iris", "--timeout", "1m"],
        &["models", "logs", "iris", "one"],
        &["tokens", "create"],
        &["tokens", "list", "--data-dir", "/tmp"],
        &["environments", "build"],
        &["environments", "build", "--model", "iris"],
        &["environments", "build", "--version", "3"],
        &[
            "environments",
            "build",
            "folder",
            "--model",
            "iris",
            "--version",
            "3",
        ],
        &[
            "environments",
            "build",
            "--model",
            "iris",
            "--version",
            "3",
            "--local",
        ],
        &[
            "environments",
            "build",
            "--model",
            "iris",
            "--version",
            "3",
            "--env-manager",
            "condo",
        ],
        &["environments", "list", "--data-dir", "/tmp"],
        &["environments", "prune", "--to-size", "much"],
        &["environments", "prune", "--unused-for", "long"],
        &["environments", "export", "0123"],
        &["tokens", "grants", "revoke", "--principal", "ci"],
        &["models", "list", "--output", "xml"],
        &["models", "list", "--url", "localhost"],
        &["serve", "--registry", "no address"],
        &[
            "serve",
            "--registry",
            "http://localhost:1",
            "--poll-interval",
            "soon",
        ],
        &["completions", "cobol"],
    ] {
        let ran = sluicegate.run(arguments);
        assert_eq!(ran.code, Some(2), "{arguments:?}: {ran:?}");
        assert_eq!(ran.stdout, "", "{arguments:?}");
        assert!(!ran.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_gateway_that_is_not_there_ends_with_1_and_names_the_next_step() {
    let ran = Sluicegate::new().run(&["models", "list", "--url", "http://127.0.0.1:1"]);
    assert_eq!(ran.code, Some(1));
    assert_eq!(ran.stdout, "");
    assert!(
        ran.stderr
            .contains("no gateway answers at http://127.0.0.1:1/"),
        "{ran:?}"
    );
    assert!(
        ran.stderr
            .contains("next: start one with `sluicegate serve"),
        "{ran:?}"
    );
}

#[test]
fn the_first_token_is_made_without_a_gateway_and_stands_alone_on_stdout() {
    let sluicegate = Sluicegate::new();
    let data_dir = sluicegate.data_dir();
    let create = [
        "tokens",
        "create",
        "--local",
        "--data-dir",
        &data_dir,
        "--principal",
        "ada",
        "--admin",
    ];
    let made = sluicegate.run(&create);
    assert_eq!(made.code, Some(0), "{made:?}");
    let token = made.stdout.strip_suffix('\n').unwrap();
    assert!(
        token.starts_with("sgp_") && !token.contains(char::is_whitespace),
        "{token}"
    );
    assert!(!made.stderr.contains(token), "the hint repeats the token");

    let list = [
        "tokens",
        "list",
        "--local",
        "--data-dir",
        &data_dir,
        "--output",
        "json",
    ];
    let listed = sluicegate.run(&list);
    assert_eq!(listed.code, Some(0), "{listed:?}");
    assert!(!listed.stdout.contains(token));
    let tokens: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap();
    assert_eq!(tokens[0]["principal"], "ada");
    assert_eq!(tokens[0]["admin"], true);

    let id = tokens[0]["id"].as_str().unwrap();
    let revoke = ["tokens", "revoke", id, "--local", "--data-dir", &data_dir];
    assert_eq!(sluicegate.run(&revoke).code, Some(0));
    let again = sluicegate.run(&revoke);
    assert_eq!(again.code, Some(1), "{again:?}");
    assert_eq!(sluicegate.run(&list).stdout.trim(), "[]");
}

#[test]
fn rights_are_told_when_a_token_is_made_and_can_be_taken_back() {
    let sluicegate = Sluicegate::new();
    let data_dir = sluicegate.data_dir();
    let run = |line: &str| {
        let mut arguments: Vec<&str> = line.split(' ').collect();
        arguments.extend(["--local", "--data-dir", &data_dir]);
        sluicegate.run(&arguments)
    };
    let made = run("tokens create --principal ci --admin");
    assert!(made.stderr.contains("ci now holds: admin\n"), "{made:?}");
    // A further token tells what the mistake before it left behind.
    let made = run("tokens create --principal ci --read iris");
    assert!(
        made.stderr.contains("ci now holds: admin; read iris\n"),
        "{made:?}"
    );
    let revoke = "tokens grants revoke --principal ci --admin";
    assert_eq!(run(revoke).code, Some(0));
    let listed = run("tokens grants list");
    assert_eq!(
        listed.stdout,
        "PRINCIPAL  RIGHT  MODEL\nci         read   iris\n"
    );
    let listed = run("tokens list --output json");
    let tokens: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap();
    assert_eq!(tokens[0]["admin"], false);
    let again = run(revoke);
    assert_eq!(again.code, Some(1), "{again:?}");
    assert!(
        again
            .stderr
            .contains("ci was not given the right \"admin\""),
        "{again:?}"
    );
}

#[test]
fn a_token_that_cannot_be_made_is_refused_with_1() {
    let sluicegate = Sluicegate::new();
    let data_dir = sluicegate.data_dir();
    for wrong in [
        &["--principal", " ada"][..],
        &["--principal", "ada", "--lifetime", "0s"],
    ] {
        let create = ["tokens", "create", "--local", "--data-dir", &data_dir];
        let ran = sluicegate.run(&[&create, wrong].concat());
        assert_eq!(ran.code, Some(1), "{wrong:?}: {ran:?}");
        assert_eq!(ran.stdout, "");
    }
}

#[test]
fn a_configuration_is_checked_and_shown_with_its_secrets_hidden() {
    let sluicegate = Sluicegate::new();
    let file = sluicegate.home.path().join("gateway.toml");
    let file = file.to_str().unwrap();
    fs::write(file, "registry = 'http://mlflow:5000'\nregistry_username = 'ada'\nregistry_password = 'hunter2'\n").unwrap();
    let checked = sluicegate.run(&["config", "check", "--config", file]);
    assert_eq!(
        (checked.code, checked.stdout.as_str()),
        (Some(0), ""),
        "{checked:?}"
    );

    let shown = sluicegate.run(&[
        "config",
        "show",
        "--config",
        file,
        "--listen",
        "127.0.0.1:9000",
    ]);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    assert!(!shown.stdout.contains("hunter2"), "{shown:?}");
    assert!(
        shown
            .stdout
            .contains("listen = \"127.0.0.1:9000\"  # --listen\n"),
        "{shown:?}"
    );

    fs::write(file, "regisrty = 'http://mlflow:5000'\n").unwrap();
    let checked = sluicegate.run(&["config", "check", "--config", file]);
    assert_eq!(checked.code, Some(1));
    assert!(
        checked.stderr.contains("did you mean \"registry\"?"),
        "{checked:?}"
    );
}

#[test]
fn doctor_works_when_nothing_is_running() {
    let sluicegate = Sluicegate::new();
    let data_dir = sluicegate.data_dir();
    let arguments = [
        "doctor",
        "--url",
        "http://127.0.0.1:1",
        "--data-dir",
        &data_dir,
        "--output",
        "json",
    ];
    let ran = sluicegate.run(&arguments);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let findings: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    let level = |check: &str| {
        let finding = findings
            .as_array()
            .unwrap()
            .iter()
            .find(|finding| finding["check"] == check);
        finding.map(|finding| finding["level"].clone())
    };
    assert_eq!(level("gateway"), Some("fail".into()));
    assert_eq!(level("data"), Some("ok".into()));
    assert!(
        !Path::new(&data_dir).exists(),
        "looking must not make the folder"
    );
}

#[test]
fn completions_are_made_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = Sluicegate::new().run(&["completions", shell]);
        assert_eq!(ran.code, Some(0));
        assert!(ran.stdout.contains("quickstart"), "{shell}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let sluicegate = Sluicegate::new();
    let mut child = sluicegate
        .command(&["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ran = Ran::from(child.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
}

#[test]
fn quickstart_says_exactly_what_is_missing() {
    let sluicegate = Sluicegate::new();
    let data_dir = sluicegate.data_dir();
    let ran = sluicegate.run(&[
        "quickstart",
        "--once",
        "--data-dir",
        &data_dir,
        "--python",
        "/bin/false",
    ]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.stderr.contains("/bin/false is no Python that runs"),
        "{ran:?}"
    );
    assert!(ran.stderr.contains("python3-venv"), "{ran:?}");
}

#[test]
fn who_only_looks_or_removes_makes_no_data_folder() {
    let sluicegate = Sluicegate::new();
    let gone = format!("{}/gone", sluicegate.data_dir());
    for verb in [
        &["list"][..],
        &["show", "0123"],
        &["prune"],
        &["export", "0123", "/tmp/never"],
    ] {
        let host = ["--local", "--data-dir", &gone];
        let ran = sluicegate.run(&[&["environments"], verb, &host].concat());
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{ran:?}");
        assert!(ran.stderr.contains("no data folder at"), "{ran:?}");
        assert!(!Path::new(&gone).exists(), "{ran:?}");
    }
}

#[test]
fn environments_of_this_host_are_listed_without_a_gateway_and_a_registry() {
    let sluicegate = Sluicegate::new();
    let data_dir = sluicegate.data_dir();
    fs::create_dir_all(Path::new(&data_dir).join("environments")).unwrap();
    let ran = sluicegate.run(&["environments", "list", "--local", "--data-dir", &data_dir]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.stdout, "");
    assert!(ran.stderr.contains("no environment is built yet"));
    let list = ["environments", "list", "--local", "--data-dir", &data_dir];
    let json = sluicegate.run(&[&list[..], &["--output", "json"]].concat());
    assert_eq!(json.stdout, "[]\n");
    let show = [
        "environments",
        "show",
        "0123",
        "--local",
        "--data-dir",
        &data_dir,
    ];
    let ran = sluicegate.run(&show);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""));
    assert!(ran.stderr.contains("next: "), "{ran:?}");
}

#[test]
fn a_build_of_what_is_no_folder_ends_with_1_and_of_nothing_at_all_with_2() {
    let sluicegate = Sluicegate::new();
    let data_dir = sluicegate.data_dir();
    let build = |folder: &str, manager: &str| {
        let build = ["environments", "build", folder, "--data-dir", &data_dir];
        sluicegate.run(&[&build[..], &["--env-manager", manager]].concat())
    };
    let ran = build("/nowhere", "conda");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("/nowhere is no folder"), "{ran:?}");
    let ran = build("/", "local");
    assert_eq!(ran.code, Some(2), "{ran:?}");
}

#[test]
fn quickstart_without_a_python_and_without_channels_says_both_and_what_to_install() {
    let sluicegate = Sluicegate::new();
    let nothing = sluicegate.home.path().join("nothing");
    fs::create_dir(&nothing).unwrap();
    let ran = Ran::from(
        sluicegate
            .command(&["quickstart", "--once"])
            .env("PATH", &nothing)
            .env(
                "SLUICEGATE_CONDA_CHANNEL_ALIAS",
                format!("file://{}", nothing.display()),
            )
            .output()
            .unwrap(),
    );
    assert_eq!(ran.code, Some(1), "{ran:?}");
    for told in [
        "taking Python 3.11 from conda packages",
        "there is no python3 on the PATH, and none could be made from conda packages",
        "conda-forge",
        "python3-venv",
        "uv python install",
        "SLUICEGATE_CONDA_CHANNEL_ALIAS",
    ] {
        assert!(ran.stderr.contains(told), "{told}: {ran:?}");
    }
}

/// A gateway that is killed if the test has not ended it.
struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether the gateway is alive, says itself; `false` while nobody listens.
fn is_alive(address: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else {
        return false;
    };
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    stream.write_all(request.as_bytes()).is_ok()
        && stream.read_to_string(&mut answer).is_ok()
        && answer.starts_with("HTTP/1.1 200 ")
}

#[test]
fn a_gateway_whose_standard_error_cannot_be_written_serves_and_drains_all_the_same() {
    // Whoever read it is gone, or the disk of its log is full.
    for disk_is_full in [false, true] {
        let sluicegate = Sluicegate::new();
        let probe = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = probe.local_addr().unwrap();
        drop(probe);
        let mut command = sluicegate.command(&["serve", "--registry", "http://127.0.0.1:1"]);
        command
            .args(["--listen", &address.to_string()])
            .args(["--data-dir", &sluicegate.data_dir()])
            .env("SLUICEGATE_AUTH_ENABLED", "false")
            .env("SLUICEGATE_ACCESS_LOG_CONTROL_PLANE", "true");
        if disk_is_full {
            command.stderr(fs::File::options().write(true).open("/dev/full").unwrap());
        } else {
            command.stderr(Stdio::piped());
        }
        let mut serving = Serving(command.spawn().unwrap());
        drop(serving.0.stderr.take());
        let mut looks = 0;
        while !is_alive(address) {
            looks += 1;
            assert!(looks < 1200 && serving.0.try_wait().unwrap().is_none());
            std::thread::sleep(Duration::from_millis(50));
        }
        // Told of one by one, these are written within the access log's pause or at the end.
        for _ in 0..20 {
            assert!(is_alive(address), "full: {disk_is_full}");
        }
        let id = rustix::process::Pid::from_child(&serving.0);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        let ended = serving.0.wait().unwrap();
        assert_eq!(ended.code(), Some(0), "full: {disk_is_full}");
    }
}

#[test]
fn a_gateway_takes_the_files_that_it_may_have_and_no_more_connections_than_they_allow() {
    let sluicegate = Sluicegate::new();
    let mut command = sluicegate.command_with_few_files(&[
        "serve",
        "--registry",
        "http://127.0.0.1:1",
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
        &sluicegate.data_dir(),
    ]);
    let mut serving = Serving(command.stderr(Stdio::piped()).spawn().unwrap());
    let stderr = serving.0.stderr.take().unwrap();
    let mut said = String::new();
    for line in BufReader::new(stderr).lines() {
        let line = line.unwrap();
        said.push_str(&line);
        if line.contains("listening on") {
            break;
        }
    }
    let limits = fs::read_to_string(format!("/proc/{}/limits", serving.0.id())).unwrap();
    let files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    let words: Vec<&str> = files.unwrap().split_ascii_whitespace().collect();
    assert_eq!(words[3..5], ["1024", "1024"]);
    assert!(said.contains("fewer connections are taken"), "{said}");
    assert!(said.contains("connections=384 open_files=1024"), "{said}");
}
