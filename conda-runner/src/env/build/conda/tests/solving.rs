//! What is chosen, and what people read when nothing can be.

use super::fixture::{House, Tiny, chosen};

fn pythons(house: &House) {
    let channel = house.channel("conda-forge");
    for version in ["3.9.18", "3.10.12", "3.10.13", "3.11.7", "3.12.1"] {
        let mut python = Tiny::new("python", version);
        python.noarch = None;
        channel.put(&python);
    }
}

#[tokio::test]
async fn the_newest_packages_that_fit_are_chosen_with_what_they_need() {
    let house = House::new();
    pythons(&house);
    house
        .channel("conda-forge")
        .put(&Tiny::new("app", "1.0").depends(&["lib >=1,<3", "python >=3.10,<3.12"]))
        .put(&Tiny::new("lib", "1.5"))
        .put(&Tiny::new("lib", "2.1").depends(&["__unix"]))
        .put(&Tiny::new("lib", "3.0"));
    let solved = house.solve(&["defaults"], &["app"]).await.unwrap();
    assert_eq!(
        chosen(&solved),
        [
            "app 1.0 conda-forge",
            "lib 2.1 conda-forge",
            "python 3.11.7 conda-forge"
        ]
    );
    let solved = house
        .solve(&["defaults"], &["app=1", "python=3.10", "lib<2"])
        .await
        .unwrap();
    assert_eq!(
        chosen(&solved),
        [
            "app 1.0 conda-forge",
            "lib 1.5 conda-forge",
            "python 3.10.13 conda-forge"
        ]
    );
}

#[tokio::test]
async fn the_first_channel_that_has_a_package_is_the_only_one_for_it() {
    let house = House::new();
    house.channel("first").put(&Tiny::new("lib", "1.0"));
    house
        .channel("second")
        .put(&Tiny::new("lib", "2.0"))
        .put(&Tiny::new("other", "1.0"));
    let solved = house
        .solve(&["first", "second"], &["lib", "other"])
        .await
        .unwrap();
    assert_eq!(chosen(&solved), ["lib 1.0 first", "other 1.0 second"]);
    let solved = house
        .solve(&["first", "second"], &["second::lib"])
        .await
        .unwrap();
    assert_eq!(chosen(&solved), ["lib 2.0 second"]);
    let solved = house.solve(&["first"], &["second::lib"]).await.unwrap();
    assert_eq!(chosen(&solved), ["lib 2.0 second"]);
}

#[tokio::test]
async fn a_package_that_nobody_has_is_named_with_the_channels_and_near_names() {
    let house = House::new();
    house
        .channel("conda-forge")
        .put(&Tiny::new("scikit-learn", "1.0"))
        .put(&Tiny::new("numpy", "1.0"));
    house.channel("own").put(&Tiny::new("numba", "1.0"));
    let error = house
        .solve(&["own", "conda-forge"], &["numpy", "scikit-lern=1.2"])
        .await
        .unwrap_err();
    insta::assert_snapshot!(house.shown(&error));
    let error = house.solve(&["own"], &["mlflow"]).await.unwrap_err();
    insta::assert_snapshot!(house.shown(&error));
}

#[tokio::test]
async fn a_python_that_nobody_has_is_answered_with_those_that_there_are() {
    let house = House::new();
    pythons(&house);
    let wanted = ["python=3.10.99", "python=3.6", "python 3.13.*", "python>=4"];
    let mut all = Vec::new();
    for wanted in wanted {
        let error = house.solve(&["conda-forge"], &[wanted]).await.unwrap_err();
        all.push(format!("{wanted}: {}", house.shown(&error)));
    }
    insta::assert_snapshot!(all.join("\n"));
}

#[tokio::test]
async fn a_version_that_nobody_has_is_answered_with_those_that_there_are() {
    let house = House::new();
    let channel = house.channel("conda-forge");
    for version in ["1.0", "1.1", "1.26.4", "2.0.1"] {
        channel.put(&Tiny::new("numpy", version));
    }
    let error = house
        .solve(&["conda-forge"], &["numpy==1.26.3"])
        .await
        .unwrap_err();
    insta::assert_snapshot!(house.shown(&error));
}

#[tokio::test]
async fn packages_that_do_not_fit_together_are_explained_by_the_solver() {
    let house = House::new();
    house
        .channel("conda-forge")
        .put(&Tiny::new("app", "1.0").depends(&["lib >=2"]))
        .put(&Tiny::new("lib", "1.0"))
        .put(&Tiny::new("lib", "2.0"));
    let error = house
        .solve(&["conda-forge"], &["app", "lib<2"])
        .await
        .unwrap_err();
    insta::assert_snapshot!(house.shown(&error));
}

#[tokio::test]
async fn a_channel_that_is_not_there_is_named() {
    let house = House::new();
    let error = house.solve(&["conda-forg"], &["python"]).await.unwrap_err();
    insta::assert_snapshot!(house.shown(&error));
}

#[tokio::test]
async fn a_specification_that_is_none_is_shown() {
    let house = House::new();
    let error = house
        .solve(&["conda-forge"], &["numpy >>1"])
        .await
        .unwrap_err();
    insta::assert_snapshot!(house.shown(&error));
}
