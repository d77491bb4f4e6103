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
async fn a_script_that_fails_is_named_with_its_last_lines() {
    let house = House::new();
    let place = put(
        &house,
        &[("activate.d/broken.sh", "echo no licence\nexit 3\n")],
    );
    let error = activation(&host(), &place, &house.log()).await.unwrap_err();
    insta::assert_snapshot!(house.shown(&error));
}
