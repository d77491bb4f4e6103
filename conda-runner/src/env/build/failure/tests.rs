//! Real outputs of uv and pip, two releases of each, and what becomes of them. Passwords in the fixtures are made up.

use std::fmt::Write;

use serving_core::Retry;

use super::*;

const ASKED: &str = "https://pypi.org/simple";

fn failed(program: &str, output: &str, of: impl FnOnce(&mut Ended)) -> LoadError {
    let mut ended = Ended {
        success: false,
        code: Some(1),
        reason: "exit code 1".to_owned(),
        model_raised: false,
        lines: output.lines().map(str::to_owned).collect(),
    };
    of(&mut ended);
    attempt(program, &ended).error()
}

fn attempt<'a>(program: &'a str, ended: &'a Ended) -> Attempt<'a> {
    Attempt {
        program,
        ended,
        more: &[],
        asked: ASKED,
        offline: false,
    }
}

/// Each case of a file of outputs: its name, and the error that people see.
fn all(program: &str, outputs: &str) -> String {
    let mut seen = String::new();
    for case in outputs.split("=== ").skip(1) {
        let (name, output) = case.split_once('\n').unwrap();
        let lines: Vec<String> = output.lines().map(str::to_owned).collect();
        let ended = Ended {
            success: false,
            code: Some(1),
            reason: "exit code 1".to_owned(),
            model_raised: false,
            lines,
        };
        let error = Attempt {
            offline: name == "offline",
            ..attempt(program, &ended)
        }
        .error();
        let code = error.code.as_deref().unwrap();
        let retry = match error.retry {
            Retry::Later => "again later",
            Retry::Never => "waits for a change",
        };
        writeln!(seen, "{name}: {code}, {retry}\n    {}\n", error.message).unwrap();
        assert!(!error.last_lines.is_empty(), "{name}");
        assert!(!error.message.contains("secret"), "{error}");
        assert!(
            !error.last_lines.concat().contains("me:secret"),
            "{error:?}"
        );
    }
    seen
}

#[test]
fn people_read_what_is_wrong_and_what_to_do_whatever_version_of_uv_failed() {
    insta::assert_snapshot!("uv 0.13", all("uv", include_str!("outputs/uv-0.13.txt")));
    insta::assert_snapshot!("uv 0.9", all("uv", include_str!("outputs/uv-0.9.txt")));
}

#[test]
fn people_read_what_is_wrong_and_what_to_do_whatever_version_of_pip_failed() {
    insta::assert_snapshot!("pip 23.2", all("pip", include_str!("outputs/pip-23.2.txt")));
    insta::assert_snapshot!("pip 26.0", all("pip", include_str!("outputs/pip-26.0.txt")));
}

#[test]
fn whatever_the_machine_did_to_a_build_may_pass() {
    for output in [
        "error: The build backend returned an error\n  gcc: fatal error: Killed signal terminated program cc1plus",
        "error: failed to open file `/cache/x`: Too many open files (os error 24)",
        "error: Failed to build `x`\n  OSError: [Errno 12] Cannot allocate memory",
        "sh: 0: Cannot fork",
        "error: something that is not known here",
        "",
    ] {
        assert_eq!(failed("uv", output, |_| {}).retry, Retry::Later, "{output}");
    }
    let killed = |ended: &mut Ended| ended.code = None;
    let error = failed("uv", "error: No solution found", killed);
    assert_eq!(error.retry, Retry::Later);
}

#[test]
fn a_program_that_cannot_be_run_is_a_missing_tool() {
    let error = failed("uv", "nice: '/opt/uv': Permission denied", |ended| {
        ended.code = Some(126);
    });
    assert_eq!(error.code.as_deref(), Some(Trouble::ToolMissing.code()));
}
