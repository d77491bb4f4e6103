//! Archives that are not what was announced, or reach out of their folder.

use std::fs;

use super::fixture::{House, Tiny};

/// Installs it; shows the error, after having looked that nothing was put anywhere.
async fn refused(tiny: &Tiny) -> String {
    let house = House::new();
    house.channel("conda-forge").put(tiny);
    let solved = house.solve(&["conda-forge"], &["app"]).await.unwrap();
    fs::create_dir_all(house.path("outside")).unwrap();
    let error = house.install(&solved, "one").await.unwrap_err();
    let found: Vec<_> = walk(&house.path("data"))
        .into_iter()
        .filter(|path| path.ends_with("evil"))
        .collect();
    assert!(found.is_empty(), "{found:?}");
    assert_eq!(fs::read_dir(house.path("outside")).unwrap().count(), 0);
    let prefix = house.site("one").prefix;
    assert!(!prefix.join("bin").exists() && !prefix.join("share").exists());
    house.shown(&error)
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(walk(&entry.path()));
        }
        found.push(entry.path());
    }
    found
}

#[tokio::test]
async fn an_archive_with_another_digest_is_refused() {
    let mut app = Tiny::new("app", "1.0").file("bin/evil", "evil");
    app.sha256 = Some("0".repeat(64));
    let shown = refused(&app).await;
    let (before, after) = shown.split_once("its digest is ").unwrap();
    let (_, after) = after.split_once(',').unwrap();
    insta::assert_snapshot!(format!("{before}its digest is …,{after}"));
}

#[tokio::test]
async fn a_file_beside_its_folder_is_refused() {
    let app = Tiny::new("app", "1.0")
        .stray("../../evil", "evil")
        .lie("../../evil");
    insta::assert_snapshot!(refused(&app).await);
}

#[tokio::test]
async fn a_file_beside_its_folder_that_is_announced_as_another_is_refused() {
    let app = Tiny::new("app", "1.0")
        .stray("../evil", "evil")
        .lie("bin/x");
    let shown = refused(&app).await;
    assert!(shown.starts_with("HASH_MISMATCH"), "{shown}");
}

#[tokio::test]
async fn links_out_of_the_environment_are_refused() {
    let mut all = String::new();
    for target in ["/etc/passwd", "../../outside"] {
        let app = Tiny::new("app", "1.0")
            .file("bin/app", "app")
            .link("share/evil-link", target);
        all.push_str(&refused(&app).await);
        all.push('\n');
    }
    insta::assert_snapshot!(all);
}

#[tokio::test]
async fn a_file_behind_a_link_that_leads_out_is_refused() {
    let app = Tiny::new("app", "1.0")
        .link("lib", "/tmp")
        .stray("lib/evil", "evil")
        .lie("lib/evil");
    let shown = refused(&app).await;
    assert!(shown.starts_with("HASH_MISMATCH"), "{shown}");
}

#[tokio::test]
async fn a_command_outside_of_the_folder_for_commands_is_refused() {
    let house = House::new();
    let mut python = Tiny::new("python", "3.11.7");
    python.noarch = None;
    let mut app = Tiny::new("app", "1.0")
        .depends(&["python"])
        .command("../../../evil = app:main");
    app.noarch = Some("python");
    house.channel("conda-forge").put(&python).put(&app);
    let solved = house.solve(&["conda-forge"], &["app"]).await.unwrap();
    let error = house.install(&solved, "one").await.unwrap_err();
    assert_eq!(error.code.as_deref(), Some("INSTALL_FAILED"), "{error}");
    assert!(error.message.contains("entry point"), "{error}");
}

#[tokio::test]
async fn an_archive_that_is_none_is_refused() {
    let house = House::new();
    let mut app = Tiny::new("app", "1.0");
    let channel = house.channel("conda-forge");
    // The digest of the text below.
    app.sha256 = Some("b2c4d6e8".repeat(8));
    channel.put(&app);
    fs::write(channel.archive(&app), "no archive").unwrap();
    let solved = house.solve(&["conda-forge"], &["app"]).await.unwrap();
    let error = house.install(&solved, "one").await.unwrap_err();
    assert_eq!(error.code.as_deref(), Some("HASH_MISMATCH"), "{error}");
}

#[tokio::test]
async fn an_archive_that_the_channel_only_names_is_told() {
    let house = House::new();
    let app = Tiny::new("app", "1.0");
    let channel = house.channel("conda-forge");
    channel.put(&app);
    fs::remove_file(channel.archive(&app)).unwrap();
    let solved = house.solve(&["conda-forge"], &["app"]).await.unwrap();
    let error = house.install(&solved, "one").await.unwrap_err();
    insta::assert_snapshot!(house.shown(&error));
}
