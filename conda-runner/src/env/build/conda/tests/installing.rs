//! Linking for a place, from archives or from the cache, and what is said about the disk.

use std::fs;
use std::os::unix::fs::MetadataExt;

use super::fixture::{House, Tiny, chosen, text};
use crate::env::build::Solved;

const PLACEHOLDER: &str = "/placehold_placehold_placehold_placehold_placehold_placehold";

fn app() -> Tiny {
    let script = format!("#!{PLACEHOLDER}/bin/python\n");
    Tiny::new("app", "1.0")
        .file("bin/app", &script)
        .file("share/app/data", "data")
        .link("share/data", "app/data")
}

#[tokio::test]
async fn files_name_the_place_and_not_where_they_are_linked() {
    let house = House::new();
    house.channel("conda-forge").put(&app());
    let solved = house.solve(&["conda-forge"], &["app"]).await.unwrap();
    let prefix = house.install(&solved, "one").await.unwrap();
    let place = house.site("one").place;
    assert_eq!(
        text(&prefix.join("bin/app")),
        format!("#!{}/bin/python\n", place.display())
    );
    assert_eq!(text(&prefix.join("share/data")), "data");
    let record = text(&prefix.join("conda-meta/app-1.0-0.json"));
    assert!(record.contains("\"sha256\""), "{record}");
}

#[tokio::test]
async fn where_nothing_is_wanted_nothing_is_asked_and_an_empty_environment_is_made() {
    let house = House::new();
    let solved = house.solve(&["no-channel"], &[]).await.unwrap();
    assert!(chosen(&solved).is_empty());
    let prefix = house.install(&solved, "one").await.unwrap();
    assert!(prefix.join("conda-meta").is_dir());
}

#[tokio::test]
async fn a_second_environment_shares_the_files_of_the_cache_and_needs_no_archive() {
    let house = House::new();
    let channel = house.channel("conda-forge");
    let mut new_format = Tiny::new("lib", "1.0").file("lib/lib", "lib");
    new_format.is_new_format = true;
    channel.put(&app().depends(&["lib"])).put(&new_format);
    let solved = house.solve(&["conda-forge"], &["app"]).await.unwrap();
    let one = house.install(&solved, "one").await.unwrap();
    fs::remove_file(channel.archive(&app())).unwrap();
    fs::remove_file(channel.archive(&new_format)).unwrap();
    let two = house.install(&solved, "two").await.unwrap();
    let inode = |path: std::path::PathBuf| fs::metadata(path).unwrap().ino();
    for file in ["share/app/data", "lib/lib"] {
        assert_eq!(inode(one.join(file)), inode(two.join(file)), "{file}");
    }
    assert_ne!(inode(one.join("bin/app")), inode(two.join("bin/app")));
}

#[tokio::test]
async fn a_package_of_python_alone_goes_where_that_python_looks() {
    let house = House::new();
    let mut python = Tiny::new("python", "3.11.7").file("bin/python", "python");
    python.noarch = None;
    let mut pure = Tiny::new("pure", "1.0")
        .depends(&["python"])
        .file("site-packages/pure/__init__.py", "")
        .command("pure = pure:main");
    pure.noarch = Some("python");
    house.channel("conda-forge").put(&python).put(&pure);
    let solved = house.solve(&["conda-forge"], &["pure"]).await.unwrap();
    let prefix = house.install(&solved, "one").await.unwrap();
    let module = prefix.join("lib/python3.11/site-packages/pure/__init__.py");
    assert!(module.is_file());
    let command = text(&prefix.join("bin/pure"));
    let place = house.site("one").place;
    assert!(command.contains(&place.display().to_string()), "{command}");
    assert!(!command.contains(".staging"), "{command}");
}

#[tokio::test]
async fn a_lock_gives_the_same_packages_when_the_channel_has_newer_ones() {
    let house = House::new();
    let channel = house.channel("conda-forge");
    channel.put(&app());
    let solved = house.solve(&["conda-forge"], &["app"]).await.unwrap();
    let lock = solved.lock();
    channel
        .put(&app().build(1))
        .put(&Tiny::new("app", "2.0").file("bin/app", "newer"));
    let newer = house.solve(&["conda-forge"], &["app"]).await.unwrap();
    assert_eq!(chosen(&newer), ["app 2.0 conda-forge"]);
    let written = serde_json::to_string(&lock).unwrap();
    let locked = Solved::from_lock(&serde_json::from_str(&written).unwrap()).unwrap();
    assert_eq!(locked.lock(), lock);
    assert_eq!(chosen(&locked), ["app 1.0 conda-forge"]);
    let prefix = house.install(&locked, "one").await.unwrap();
    assert!(prefix.join("conda-meta/app-1.0-0.json").is_file());
}

#[tokio::test]
async fn a_cached_package_that_lost_something_is_unpacked_anew() {
    let house = House::new();
    house.channel("conda-forge").put(&app());
    let solved = house.solve(&["conda-forge"], &["app"]).await.unwrap();
    house.install(&solved, "one").await.unwrap();
    let cached = house.path("data/packages/packages/app-1.0-0");
    let damages: [(&str, &dyn Fn()); 4] = [
        ("cut", &|| {
            // As a power failure leaves it; what shares the file is not to be changed.
            fs::remove_file(cached.join("share/app/data")).unwrap();
            fs::write(cached.join("share/app/data"), "").unwrap();
        }),
        ("gone", &|| {
            fs::remove_file(cached.join("share/app/data")).unwrap();
        }),
        ("undescribed", &|| {
            fs::write(cached.join("info/paths.json"), "{").unwrap();
        }),
        ("unfinished", &|| {
            fs::remove_dir_all(&cached).unwrap();
            fs::create_dir_all(cached.join("info")).unwrap();
        }),
    ];
    for (name, damage) in damages {
        damage();
        let prefix = house.install(&solved, name).await.unwrap();
        assert_eq!(text(&prefix.join("share/app/data")), "data", "{name}");
    }
}

#[tokio::test]
async fn what_a_killed_build_left_half_unpacked_is_removed() {
    let house = House::new();
    house.channel("conda-forge").put(&app());
    let solved = house.solve(&["conda-forge"], &["app"]).await.unwrap();
    let left = house.path("data/packages/packages/.app-1.0-0abc/share");
    fs::create_dir_all(&left).unwrap();
    house.install(&solved, "one").await.unwrap();
    assert!(!left.parent().unwrap().exists());
}

#[tokio::test]
async fn a_build_that_nobody_waits_for_any_more_leaves_nothing_that_counts() {
    let house = House::new();
    house.channel("conda-forge").put(&app());
    let solved = house.solve(&["conda-forge"], &["app"]).await.unwrap();
    let mut seen = house.seen.clone();
    seen.mark_unchanged();
    {
        let mut install = Box::pin(house.install(&solved, "dropped"));
        tokio::select! {
            // It may be through before the progress is seen.
            result = &mut install => { result.unwrap(); }
            changed = seen.changed() => changed.unwrap(),
        }
    }
    let prefix = house.install(&solved, "one").await.unwrap();
    assert_eq!(text(&prefix.join("share/app/data")), "data");
}

#[tokio::test]
async fn people_see_the_downloads_and_the_linking() {
    let house = House::new();
    house.channel("conda-forge").put(&app());
    let solved = house.solve(&["conda-forge"], &["app"]).await.unwrap();
    house.install(&solved, "one").await.unwrap();
    let last = house.seen.borrow().clone();
    assert_eq!(last.as_deref(), Some("linking conda packages"));
}

#[tokio::test]
async fn no_room_is_said_before_anything_is_downloaded() {
    let house = House::new();
    let mut huge = app();
    huge.size = Some(1 << 60);
    house.channel("conda-forge").put(&huge);
    let solved = house.solve(&["conda-forge"], &["app"]).await.unwrap();
    let error = house.install(&solved, "one").await.unwrap_err();
    let shown = house.shown(&error);
    let (before, after) = shown
        .split_once("/house/data/packages/packages has ")
        .unwrap();
    let (_, after) = after.split_once(" left").unwrap();
    insta::assert_snapshot!(format!(
        "{before}/house/data/packages/packages has … left{after}"
    ));
    assert!(!house.path("data/packages/packages/app-1.0-0").exists());
}

#[tokio::test]
async fn scripts_of_packages_are_not_run_and_this_is_said() {
    let house = House::new();
    let script = "#!/bin/sh\ntouch \"$PREFIX/ran\"\n";
    let app = app().file("bin/.app-post-link.sh", script);
    house.channel("conda-forge").put(&app);
    let solved = house.solve(&["conda-forge"], &["app"]).await.unwrap();
    let prefix = house.install(&solved, "one").await.unwrap();
    assert!(!prefix.join("ran").exists());
    let said = house.said().await;
    assert!(
        said.contains("app-1.0-0.tar.bz2 has a link script, which is not run"),
        "{said}"
    );
}

#[tokio::test]
async fn different_environments_are_installed_at_the_same_time() {
    let house = House::new();
    house.channel("conda-forge").put(&app());
    let solved = house.solve(&["conda-forge"], &["app"]).await.unwrap();
    let (one, two, three, four) = tokio::join!(
        house.install(&solved, "one"),
        house.install(&solved, "two"),
        house.install(&solved, "three"),
        house.install(&solved, "four"),
    );
    for prefix in [one, two, three, four] {
        assert_eq!(text(&prefix.unwrap().join("share/app/data")), "data");
    }
}
