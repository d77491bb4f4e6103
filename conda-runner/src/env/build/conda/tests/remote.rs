//! Channels behind HTTP: credentials, mirrors, lists that are young, old, or all that there is.

use std::fs;
use std::time::Duration;

use super::fixture::{House, Server, Tiny, chosen, text};

/// A house whose channels are behind a server.
async fn house(authorization: Option<&str>) -> (House, Server) {
    let mut house = House::new();
    house
        .channel("conda-forge")
        .put(&Tiny::new("app", "1.0").file("bin/app", "app"));
    let server = Server::start(house.path("channels"), authorization).await;
    house.config.channel_alias = server.url("");
    (house, server)
}

/// An error without the server's port.
fn shown(house: &House, server: &Server, error: &serving_core::LoadError) -> String {
    let port = format!(":{}", server.address.port());
    house.shown(error).replace(&port, "")
}

#[tokio::test]
async fn packages_come_from_a_server_once() {
    let (house, server) = house(None).await;
    let solved = house.solve(&["conda-forge"], &["app"]).await.unwrap();
    let prefix = house.install(&solved, "one").await.unwrap();
    assert_eq!(text(&prefix.join("bin/app")), "app");
    assert!(server.count() > 0);
    let solved = house.solve(&["conda-forge"], &["app"]).await.unwrap();
    house.install(&solved, "two").await.unwrap();
    assert_eq!(server.count(), 0);
}

#[tokio::test]
async fn a_list_is_asked_for_again_when_it_is_old_or_when_nothing_fits() {
    let (mut house, server) = house(None).await;
    house.solve(&["conda-forge"], &["app"]).await.unwrap();
    house.channel("conda-forge").put(&Tiny::new("app", "2.0"));
    let young = house.solve(&["conda-forge"], &["app"]).await.unwrap();
    assert_eq!(chosen(&young), ["app 1.0 conda-forge"]);
    let newer = house.solve(&["conda-forge"], &["app>=2"]).await.unwrap();
    assert_eq!(chosen(&newer), ["app 2.0 conda-forge"]);
    house.channel("conda-forge").put(&Tiny::new("app", "3.0"));
    house.config.refresh = Duration::ZERO;
    let asked = house.solve(&["conda-forge"], &["app"]).await.unwrap();
    assert_eq!(chosen(&asked), ["app 3.0 conda-forge"]);
    drop(server);
}

#[tokio::test]
async fn a_server_that_is_gone_leaves_the_lists_and_packages_that_were_fetched() {
    let (mut house, server) = house(None).await;
    let solved = house.solve(&["conda-forge"], &["app"]).await.unwrap();
    house.install(&solved, "one").await.unwrap();
    drop(server);
    house.config.refresh = Duration::ZERO;
    let solved = house.solve(&["conda-forge"], &["app"]).await.unwrap();
    let said = house.said().await;
    assert!(
        said.contains("using the lists of packages that were fetched before"),
        "{said}"
    );
    house.install(&solved, "two").await.unwrap();
    let error = house
        .solve(&["conda-forge"], &["app>=2"])
        .await
        .unwrap_err();
    assert_eq!(error.retry, serving_core::Retry::Later, "{error}");
}

#[tokio::test]
async fn a_server_that_nobody_answers_for_is_named() {
    let (house, server) = house(None).await;
    let port = format!(":{}", server.address.port());
    drop(server);
    let error = house.solve(&["conda-forge"], &["app"]).await.unwrap_err();
    insta::assert_snapshot!(house.shown(&error).replace(&port, ""));
}

#[tokio::test]
async fn a_server_that_wants_a_credential_gets_the_one_of_the_file_and_says_no_without() {
    // me:word
    let (mut house, server) = house(Some("Basic bWU6d29yZA==")).await;
    let error = house.solve(&["conda-forge"], &["app"]).await.unwrap_err();
    insta::assert_snapshot!(shown(&house, &server, &error));
    let credentials = r#"{"127.0.0.1": {"BasicHTTP": {"username": "me", "password": "word"}}}"#;
    fs::create_dir_all(house.path("home/.rattler")).unwrap();
    fs::write(house.path("home/.rattler/credentials.json"), credentials).unwrap();
    let solved = house.solve(&["conda-forge"], &["app"]).await.unwrap();
    house.install(&solved, "one").await.unwrap();

    house.config.credentials = Some(house.path("elsewhere.json"));
    let error = house.install(&solved, "two").await.unwrap_err();
    insta::assert_snapshot!(shown(&house, &server, &error));
    fs::rename(
        house.path("home/.rattler/credentials.json"),
        house.path("elsewhere.json"),
    )
    .unwrap();
    house.install(&solved, "two").await.unwrap();
    fs::write(house.path("elsewhere.json"), "{\"127.0.0.1\": \"word\"}").unwrap();
    let error = house.install(&solved, "three").await.unwrap_err();
    assert!(!error.message.contains("word"), "{error}");
}

#[tokio::test]
async fn a_credential_may_be_in_netrc_or_in_the_address_and_is_in_no_lock() {
    let (mut house, server) = house(Some("Basic bWU6d29yZA==")).await;
    fs::create_dir_all(house.path("home")).unwrap();
    fs::write(
        house.path("home/.netrc"),
        "machine 127.0.0.1 login me password word\n",
    )
    .unwrap();
    house.solve(&["conda-forge"], &["app"]).await.unwrap();
    fs::remove_file(house.path("home/.netrc")).unwrap();
    house.config.refresh = Duration::ZERO;
    let channel = format!("http://me:word@{}/conda-forge", server.address);
    let solved = house.solve(&[&channel], &["app"]).await.unwrap();
    house.install(&solved, "one").await.unwrap();
    let lock = solved.lock().to_string();
    assert!(
        !lock.contains("word") && lock.contains("127.0.0.1"),
        "{lock}"
    );
    assert!(!format!("{solved:?}").contains("word"));
    assert!(!house.said().await.contains("word"));
}

#[tokio::test]
async fn what_was_locked_is_fetched_with_the_credentials_of_its_channels() {
    let (mut house, server) = house(Some("Basic bWU6d29yZA==")).await;
    let address = format!("http://me:word@{}", server.address);
    let plain = server.url("");
    let full = format!("{address}/conda-forge");
    for (alias, channel) in [(&address, "conda-forge"), (&plain, full.as_str())] {
        house.config.channel_alias.clone_from(alias);
        let solved = house.solve(&[channel], &["app"]).await.unwrap();
        let lock = solved.lock();
        assert!(!lock.to_string().contains("word"));
        fs::remove_dir_all(house.path("data")).unwrap();
        let locked = house.locked(&lock, &[channel], &["app"]).unwrap();
        house.install(&locked, "one").await.unwrap();
        fs::remove_dir_all(house.path("data")).unwrap();
    }
}

#[tokio::test]
async fn mirrors_are_asked_in_their_order_in_the_place_of_the_original() {
    let (mut house, server) = house(None).await;
    let gone = Server::start(house.path("nothing"), None).await;
    let dead = gone.url("");
    drop(gone);
    house.config.channel_alias = "https://conda.anaconda.org".to_owned();
    let mirrors = vec![dead, server.url("none"), server.url("")];
    house.config.mirrors = [("https://conda.anaconda.org/".to_owned(), mirrors)].into();
    let solved = house.solve(&["defaults"], &["app"]).await.unwrap();
    let prefix = house.install(&solved, "one").await.unwrap();
    assert_eq!(text(&prefix.join("bin/app")), "app");
    let lock = solved.lock().to_string();
    assert!(
        lock.contains("https://conda.anaconda.org/conda-forge/noarch/app-1.0-0.tar.bz2"),
        "{lock}"
    );
    let asked = server.requests.lock().unwrap().clone();
    let none = asked.iter().find(|(path, _)| path.starts_with("/none/"));
    assert_eq!(none.map(|(_, status)| *status), Some(404));
}

#[tokio::test]
async fn offline_what_is_cached_has_to_do() {
    let (mut house, server) = house(None).await;
    let solved = house.solve(&["conda-forge"], &["app"]).await.unwrap();
    house.install(&solved, "one").await.unwrap();
    // Newer than what is cached, and listed by now.
    house.channel("conda-forge").put(&Tiny::new("app", "2.0"));
    house.config.refresh = Duration::ZERO;
    house.solve(&["conda-forge"], &["app"]).await.unwrap();
    server.count();
    house.offline = true;
    let solved = house.solve(&["conda-forge"], &["app"]).await.unwrap();
    assert_eq!(chosen(&solved), ["app 1.0 conda-forge"]);
    house.install(&solved, "two").await.unwrap();
    let error = house
        .solve(&["conda-forge"], &["app>=2"])
        .await
        .unwrap_err();
    insta::assert_snapshot!(shown(&house, &server, &error));
    assert_eq!(server.count(), 0);
}

#[tokio::test]
async fn offline_what_is_not_cached_is_named() {
    let (mut house, server) = house(None).await;
    let solved = house.solve(&["conda-forge"], &["app"]).await.unwrap();
    fs::remove_dir_all(house.path("data")).unwrap();
    house.offline = true;
    let error = house.solve(&["conda-forge"], &["app"]).await.unwrap_err();
    insta::assert_snapshot!(shown(&house, &server, &error));
    let error = house.install(&solved, "one").await.unwrap_err();
    insta::assert_snapshot!(shown(&house, &server, &error));
}

#[tokio::test]
async fn offline_folders_are_channels_as_ever() {
    let mut house = House::new();
    house.offline = true;
    house.channel("conda-forge").put(&Tiny::new("app", "1.0"));
    let solved = house.solve(&["conda-forge"], &["app"]).await.unwrap();
    house.install(&solved, "one").await.unwrap();
}

#[tokio::test]
async fn a_channel_without_packages_for_this_platform_is_as_good_as_others() {
    let (mut house, server) = house(None).await;
    let platform = rattler_conda_types::Subdir::current().unwrap();
    fs::remove_dir_all(house.path("channels/conda-forge").join(platform.as_str())).unwrap();
    let solved = house.solve(&["conda-forge"], &["app"]).await.unwrap();
    house.install(&solved, "one").await.unwrap();
    server.count();
    house.offline = true;
    let offline = house.solve(&["conda-forge"], &["app"]).await.unwrap();
    assert_eq!(offline.lock(), solved.lock());
    assert_eq!(server.count(), 0);
}

#[tokio::test]
async fn a_channel_that_a_server_does_not_have_is_named() {
    let (house, server) = house(None).await;
    let error = house.solve(&["conda-forg"], &["app"]).await.unwrap_err();
    insta::assert_snapshot!(shown(&house, &server, &error));
}

#[tokio::test]
async fn a_package_that_a_server_lists_and_does_not_have_may_come() {
    let (house, server) = house(None).await;
    let solved = house.solve(&["conda-forge"], &["app"]).await.unwrap();
    fs::remove_file(
        house
            .channel("conda-forge")
            .archive(&Tiny::new("app", "1.0")),
    )
    .unwrap();
    let error = house.install(&solved, "one").await.unwrap_err();
    insta::assert_snapshot!(shown(&house, &server, &error));
}

#[tokio::test]
async fn an_archive_that_a_server_changed_is_refused() {
    let (house, server) = house(None).await;
    let solved = house.solve(&["conda-forge"], &["app"]).await.unwrap();
    let other = Tiny::new("app", "1.0").file("bin/app", "evil");
    house.channel("conda-forge").put(&other);
    let error = house.install(&solved, "one").await.unwrap_err();
    assert_eq!(error.code.as_deref(), Some("HASH_MISMATCH"), "{error}");
    assert!(!house.path("data/packages/packages/app-1.0-0").exists());
    drop(server);
}

#[tokio::test]
async fn nothing_is_made_before_it_is_needed() {
    let house = House::new();
    let conda = house.conda();
    assert!(!house.path("data").exists());
    drop(conda);
}
