//! The arguments as they are typed.

use clap::CommandFactory;

use super::*;

fn help(path: &[&str]) -> String {
    let mut command = Cli::command();
    command.build();
    let mut found = &mut command;
    for name in path {
        found = found.find_subcommand_mut(name).unwrap();
    }
    found.render_help().to_string()
}

#[test]
fn the_flags_make_sense_to_clap() {
    Cli::command().debug_assert();
}

#[test]
fn the_help_of_every_command_is_as_agreed() {
    for path in [
        &[][..],
        &["serve"],
        &["quickstart"],
        &["models"],
        &["models", "enable"],
        &["models", "logs"],
        &["models", "events"],
        &["models", "score"],
        &["models", "settings"],
        &["environments"],
        &["environments", "build"],
        &["environments", "prune"],
        &["tokens"],
        &["tokens", "create"],
        &["tokens", "grants", "revoke"],
        &["doctor"],
        &["config"],
    ] {
        let name = ["help"]
            .iter()
            .chain(path)
            .copied()
            .collect::<Vec<_>>()
            .join("_");
        insta::assert_snapshot!(name, help(path));
    }
}

#[test]
fn the_spellings_that_scripts_rely_on_are_understood() {
    for line in [
        "serve --registry http://mlflow:5000 --listen 127.0.0.1:8080 --data-dir d --config f --poll-interval 5s \
         --env-manager uv --python p --enable a --enable b --enable-all --rights grants",
        "tokens create --principal ada --admin --read iris --read churn --manage fraud-* --lifetime 30d --local --data-dir d",
        "tokens list --output json",
        "tokens revoke 0123",
        "tokens grants list --principal ci",
        "tokens grants revoke --principal ci --admin --read iris --read churn --manage fraud-* --local --data-dir d",
        "models enable iris",
        "models enable iris --wait --timeout 10m",
        "models disable iris",
        "models score iris Production rows.csv",
        "models score iris 1 -",
        "models score iris @champion --example",
        "models logs iris 1 --kind build -f",
        "models logs iris 1 --attempt last-failed --tail 20 --contains Error",
        "models logs iris 1 --attempts --output json",
        "models events iris --version 1 -f",
        "models events iris --type ready,failed --since 2h --until 2026-03-01T12:00Z",
        "models events iris --label Production --at 2026-11-01T12:00Z",
        "models settings iris replicas=2 timeout=30s",
        "models restart iris 1",
        "models uris iris --url http://gateway:8080",
        "environments list --local --data-dir d --config f",
        "environments show 0123 --log",
        "environments build --model iris --version 3 --env-manager uv --fresh",
        "environments build folder --env-manager conda --data-dir d --offline",
        "environments prune 01 02 --unused-for 30d --to-size 20GB --dry-run",
        "environments export 0123 packed.tar.zst --data-dir d",
        "environments import packed.tar.zst --data-dir d",
        "serve --registry http://mlflow:5000 --offline",
        "doctor --config f --data-dir d",
        "quickstart --once",
        "--output json doctor",
        "config show --registry http://mlflow:5000",
        "completions zsh",
    ] {
        let words = ["sluicegate"].into_iter().chain(line.split_whitespace());
        let parsed = Cli::try_parse_from(words);
        assert!(
            parsed.is_ok(),
            "{line}: {:?}",
            parsed.err().map(|error| error.to_string())
        );
    }
}
