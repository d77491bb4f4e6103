//! What the activation scripts of an environment set.

use std::fs;

use super::fixture::{House, host};
use crate::env::build::conda::activation;

fn put(house: &House, files: &[(&str, &str)]) -> std::path::PathBuf {
    let place = house.path("environment");
    fs::create_dir_all(place.join("conda-meta")).unwrap();
    for (path, content) in files {
        let path = place.join("etc/conda").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    place
}

#[tokio::test]
async fn scripts_are_run_in_their_order_and_only_what_they_change_counts() {
    let house = House::new();
    let place = put(
        &house,
        &[
            ("env_vars.d/own.json", r#"{"FROM_LIST": "1"}"#),
            (
                "activate.d/b.sh",
                "export SECOND=\"$FIRST then $FROM_LIST\"\nexport PATH=/elsewhere:$PATH\n",
            ),
            (
                "activate.d/a.sh",
                "export FIRST=\"$CONDA_PREFIX/data\nline\"\nunset NOTHING\nexport KEPT=1\n",
            ),
            ("activate.d/c.fish", "no shell script\n"),
        ],
    );
    let variables = activation(&host(), &place, &house.log()).await.unwrap();
    let first = format!("{}/data\nline", place.display());
    let expected = [
        ("FIRST", first.clone()),
        ("FROM_LIST", "1".to_owned()),
        ("SECOND", format!("{first} then 1")),
    ];
    assert_eq!(
        variables,
        expected
            .map(|(name, value)| (name.to_owned(), value))
            .into()
    );
    assert!(!place.join("conda-meta/.activation").exists());
}

#[tokio::test]
async fn an_environment_without_scripts_sets_nothing() {
    let house = House::new();
    let place = put(&house, &[]);
    let variables = activation(&host(), &place, &house.log()).await;
    assert!(variables.unwrap().is_empty());
}

#[tokio::test]
async fn how_a_script_ends_does_not_matter_but_is_said() {
    let house = House::new();
    let place = put(
        &house,
        &[
            ("env_vars.d/own.json", r#"{"THREADS": 4}"#),
            (
                "activate.d/a.sh",
                "export FIRST=1\n[ -n \"$MISSING\" ] && export OTHER=1\n",
            ),
            ("activate.d/b.sh", "export SECOND=1\nexit 3\n"),
            ("activate.d/c.sh", "export THIRD=1\n"),
        ],
    );
    let variables = activation(&host(), &place, &house.log()).await.unwrap();
    let expected = ["FIRST", "SECOND", "THREADS"];
    assert_eq!(variables.keys().collect::<Vec<_>>(), expected);
    assert_eq!(variables["THREADS"], "4");
    let said = house.said().await;
    assert!(said.contains("a.sh ended with status 1"), "{said}");
    assert!(said.contains("ended the shell"), "{said}");
}

#[tokio::test]
async fn a_shell_that_is_killed_is_worth_another_try() {
    let house = House::new();
    let place = put(
        &house,
        &[("activate.d/broken.sh", "echo no licence\nkill -KILL $$\n")],
    );
    let error = activation(&host(), &place, &house.log()).await.unwrap_err();
    assert_eq!(error.retry, serving_core::Retry::Later);
    assert_eq!(error.code.as_deref(), Some("INSTALL_FAILED"));
    assert_eq!(error.last_lines, ["no licence"]);
}
