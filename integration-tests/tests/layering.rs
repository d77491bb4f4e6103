//! The structure that ARCHITECTURE.md draws holds: who may use whom, who may name whom, and how long a file may be.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// The most lines of a source file; tests beside the code count, files of tests do not.
const LONGEST_FILE: usize = 600;

/// Crate by crate: what it may use, in the order of the floors.
const EDGES: [(&str, &[&str]); 8] = [
    ("serving-core", &[]),
    ("auth", &[]),
    ("registry-sync", &["serving-core"]),
    ("conda-runner", &["serving-core"]),
    (
        "gateway",
        &["serving-core", "auth", "registry-sync", "conda-runner"],
    ),
    ("cli", &["gateway"]),
    ("integration-tests", EVERYTHING),
    (
        "benches",
        &[
            "serving-core",
            "auth",
            "registry-sync",
            "conda-runner",
            "gateway",
            "cli",
            // The harness that starts a real MLflow server and a real gateway is one for both yards.
            "integration-tests",
        ],
    ),
];

const EVERYTHING: &[&str] = &[
    "serving-core",
    "auth",
    "registry-sync",
    "conda-runner",
    "gateway",
    "cli",
];

/// The one module of the gateway that may name the rooms: its file, and the folder of its parts.
const ASSEMBLY: [&str; 2] = ["gateway/src/assemble.rs", "gateway/src/assemble"];

#[test]
fn each_crate_uses_only_the_crates_of_the_ground_plan() {
    let metadata = MetadataCommand::new()
        .no_deps()
        .exec()
        .expect("cargo metadata");
    let allowed: BTreeMap<&str, BTreeSet<&str>> = EDGES
        .iter()
        .map(|(name, uses)| (*name, uses.iter().copied().collect()))
        .collect();
    let members: BTreeSet<&str> = metadata
        .packages
        .iter()
        .map(|package| package.name.as_str())
        .collect();
    assert_eq!(
        members,
        allowed.keys().copied().collect(),
        "the crates of the workspace"
    );
    for package in &metadata.packages {
        let uses: BTreeSet<&str> = package
            .dependencies
            .iter()
            .map(|dependency| dependency.name.as_str())
            .filter(|name| members.contains(name))
            .collect();
        let forbidden: Vec<_> = uses.difference(&allowed[package.name.as_str()]).collect();
        assert!(
            forbidden.is_empty(),
            "{} must not use {forbidden:?}",
            package.name
        );
    }
}

#[test]
fn the_engine_knows_no_http_no_sql_and_no_processes() {
    let metadata = MetadataCommand::new()
        .no_deps()
        .exec()
        .expect("cargo metadata");
    let engine = metadata
        .packages
        .iter()
        .find(|package| package.name.as_str() == "serving-core")
        .expect("serving-core");
    let foreign: Vec<&str> = engine
        .dependencies
        .iter()
        .filter(|dependency| dependency.kind == DependencyKind::Normal)
        .map(|dependency| dependency.name.as_str())
        .filter(|name| {
            [
                "http", "hyper", "axum", "reqwest", "tower", "sqlx", "rustix", "url",
            ]
            .contains(name)
        })
        .collect();
    assert!(foreign.is_empty(), "serving-core uses {foreign:?}");
    for (path, text) in sources("serving-core/src") {
        for foreign in ["net", "process", "fs"] {
            let named = ["tokio", "std"]
                .into_iter()
                .any(|library| text.contains(&format!("{library}::{foreign}")));
            assert!(!named, "{} uses {foreign}", path.display());
        }
    }
}

#[test]
fn only_the_assembly_names_the_rooms() {
    for (path, text) in sources("gateway/src") {
        let named = ["registry_sync", "conda_runner"].into_iter().find(|room| {
            text.contains(&format!("{room}::")) || text.contains(&format!("use {room}"))
        });
        if let Some(room) = named {
            let is_assembly = ASSEMBLY.iter().any(|part| path.starts_with(part));
            assert!(is_assembly, "{} names {room}", path.display());
        }
    }
}

#[test]
fn no_file_is_longer_than_the_limit() {
    let long: Vec<_> = EDGES
        .iter()
        .flat_map(|(name, _)| sources(name))
        .map(|(path, text)| (text.lines().count(), path))
        .filter(|(lines, path)| *lines > LONGEST_FILE && !holds_only_tests(path))
        .collect();
    assert!(
        long.is_empty(),
        "longer than {LONGEST_FILE} lines: {long:#?}"
    );
}

#[test]
fn each_module_starts_by_saying_what_it_is() {
    let silent: Vec<_> = EDGES
        .iter()
        .flat_map(|(name, _)| sources(name))
        .filter(|(_, text)| !text.starts_with("//! "))
        .map(|(path, _)| path)
        .collect();
    assert!(
        silent.is_empty(),
        "without a first line `//! …`: {silent:#?}"
    );
}

fn holds_only_tests(path: &Path) -> bool {
    path.iter()
        .any(|part| part == "tests" || part == "tests.rs")
}

/// The Rust files below a folder of the project, by their paths in it.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the project");
    let mut folders = vec![root.join(folder)];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("UTF-8");
                let path = path.strip_prefix(root).expect("below the root").to_owned();
                found.push((path, text));
            }
        }
    }
    assert!(!found.is_empty(), "no Rust files below {folder}");
    found
}
