//! What `select` promises, by example and over random views.

use proptest::prelude::*;
use serving_core::Source;

use super::*;
use crate::client::AliasRow;

fn model(name: &str, aliases: &[(&str, &str)]) -> ModelRow {
    let aliases = aliases.iter().map(|(alias, version)| AliasRow {
        alias: (*alias).into(),
        version: (*version).into(),
    });
    ModelRow {
        name: name.into(),
        creation_timestamp: 100,
        aliases: aliases.collect(),
        ..ModelRow::default()
    }
}

fn version(name: &str, number: &str, stage: &str) -> VersionRow {
    VersionRow {
        name: name.into(),
        version: number.into(),
        creation_timestamp: 200,
        current_stage: stage.into(),
        source: "mlflow-artifacts:/0/x".into(),
        status: "READY".into(),
        ..VersionRow::default()
    }
}

fn iris(aliases: &[(&str, &str)], versions: Vec<VersionRow>) -> AspiredModel {
    let view = RegistryView {
        models: vec![model("iris", aliases)],
        versions,
    };
    let mut models = select(&view, &Interest::All).aspired.models;
    models.remove("iris").unwrap()
}

fn numbers(model: &AspiredModel) -> Vec<u64> {
    model.versions.keys().map(|version| version.0).collect()
}

fn label(model: &AspiredModel, label: &str) -> Option<u64> {
    model.labels.get(label).map(|version| version.0)
}

#[test]
fn archived_versions_are_left_out_in_any_case() {
    let stages = ["None", "Archived", "archived", "ARCHIVED", "Production", ""];
    let rows = (1..).zip(stages);
    let rows = rows.map(|(number, stage): (u64, _)| version("iris", &number.to_string(), stage));
    assert_eq!(numbers(&iris(&[], rows.collect())), [1, 5, 6]);
}

#[test]
fn a_stage_with_several_versions_means_the_largest_number() {
    let rows = ["9", "10", "2"].map(|number| version("iris", number, "production"));
    let model = iris(&[], rows.to_vec());
    assert_eq!(label(&model, "Production"), Some(10));
    assert_eq!(label(&model, "Staging"), None);
    assert_eq!(label(&model, "None"), None);
}

#[test]
fn an_alias_never_points_at_a_version_that_is_not_served() {
    let aliases = [("live", "1"), ("old", "2"), ("gone", "7"), ("odd", "x")];
    let rows = vec![
        version("iris", "1", "None"),
        version("iris", "2", "Archived"),
    ];
    let model = iris(&aliases, rows);
    assert_eq!(label(&model, "@live"), Some(1));
    assert_eq!(model.labels.len(), 1, "{:?}", model.labels);
}

#[test]
fn an_alias_that_is_named_like_a_stage_is_not_the_stage() {
    let rows = vec![
        version("iris", "1", "Production"),
        version("iris", "2", "None"),
    ];
    let model = iris(&[("Production", "2")], rows);
    assert_eq!(label(&model, "Production"), Some(1));
    assert_eq!(label(&model, "@Production"), Some(2));
}

#[test]
fn the_status_of_a_registration_decides_whether_a_version_can_be_read() {
    let with = |number: &str, status: &str, message: &str| VersionRow {
        status: status.into(),
        status_message: message.into(),
        ..version("iris", number, "Production")
    };
    let model = iris(
        &[],
        vec![
            with("1", "READY", ""),
            with("2", "", ""),
            with("3", "PENDING_REGISTRATION", "copying"),
            with("4", "FAILED_REGISTRATION", "bucket is gone"),
        ],
    );
    assert_eq!(numbers(&model), [1, 2, 4]);
    for number in [1, 2] {
        assert!(matches!(
            model.versions[&Version(number)].source,
            Source::Readable(_)
        ));
    }
    let Source::Unreadable(reason) = &model.versions[&Version(4)].source else {
        panic!("version 4 is readable");
    };
    assert!(reason.contains("bucket is gone"), "{reason}");
    assert_eq!(label(&model, "Production"), Some(4));
}

#[test]
fn a_version_without_a_number_is_skipped_alone_and_said() {
    let view = RegistryView {
        models: vec![model("iris", &[])],
        versions: vec![version("iris", "one", "None"), version("iris", "2", "None")],
    };
    let selection = select(&view, &Interest::All);
    assert_eq!(numbers(&selection.aspired.models["iris"]), [2]);
    assert_eq!(selection.oddities.len(), 1);
}

#[test]
fn rows_of_models_that_are_not_in_the_view_or_not_of_interest_are_skipped() {
    let view = RegistryView {
        models: vec![model("iris", &[]), model("Iris", &[]), model("wine", &[])],
        versions: ["iris", "Iris", "wine", "ghost"]
            .map(|name| version(name, "1", "None"))
            .to_vec(),
    };
    let interest = Interest::Models(["iris", "ghost", "absent"].map(ModelName::from).into());
    let aspired = select(&view, &interest).aspired;
    let names: Vec<_> = aspired.models.keys().map(ModelName::as_str).collect();
    assert_eq!(names, ["iris"]);
}

#[test]
fn a_model_without_versions_is_still_there() {
    assert!(iris(&[("champion", "1")], Vec::new()).versions.is_empty());
}

#[test]
fn prompts_are_no_models() {
    let mut prompt = model("greeting", &[]);
    prompt.tags.push(TagRow {
        key: "mlflow.prompt.is_prompt".into(),
        value: "true".into(),
    });
    let view = RegistryView {
        models: vec![prompt],
        versions: vec![version("greeting", "1", "None")],
    };
    assert!(select(&view, &Interest::All).aspired.models.is_empty());
}

#[test]
fn a_model_that_was_registered_again_is_another_one() {
    let before = iris(&[], vec![version("iris", "1", "None")]);
    let mut again = version("iris", "1", "None");
    again.creation_timestamp += 1;
    let after = iris(&[], vec![again]);
    assert_ne!(
        before.versions[&Version(1)].incarnation,
        after.versions[&Version(1)].incarnation
    );
    assert_ne!(
        before.versions[&Version(1)].source,
        after.versions[&Version(1)].source
    );
}

#[test]
fn what_does_not_concern_serving_does_not_change_a_version() {
    let before = iris(&[], vec![version("iris", "1", "None")]);
    let after = iris(&[], vec![version("iris", "1", "Staging")]);
    assert_eq!(before.versions, after.versions);
}

fn any_view() -> impl Strategy<Value = RegistryView> {
    let names = || prop::sample::select(vec!["a", "b", "c", "gone"]);
    let stages = prop::sample::select(vec![
        "None",
        "Staging",
        "Production",
        "production",
        "Archived",
        "ARCHIVED",
    ]);
    let numbers = prop_oneof![
        (1..12u64).prop_map(|number| number.to_string()),
        Just("x".to_owned())
    ];
    let statuses = prop::sample::select(vec![
        "READY",
        "READY",
        "PENDING_REGISTRATION",
        "FAILED_REGISTRATION",
    ]);
    let alias = (
        prop::sample::select(vec!["champion", "Production", "v"]),
        1..12u64,
    );
    let aliases = prop::collection::btree_map(
        prop::sample::select(vec!["a", "b", "c"]),
        prop::collection::vec(alias, 0..3),
        0..3,
    );
    let versions = prop::collection::btree_map((names(), numbers), (stages, statuses), 0..20);
    (aliases, versions).prop_map(|(models, versions)| RegistryView {
        models: models
            .into_iter()
            .map(|(name, aliases)| {
                // The registry holds each alias of a model once.
                let aliases: BTreeMap<_, _> = aliases.into_iter().collect();
                let aliases: Vec<_> = aliases
                    .into_iter()
                    .map(|(alias, number)| (alias, number.to_string()))
                    .collect();
                let aliases: Vec<_> = aliases
                    .iter()
                    .map(|(alias, number)| (*alias, number.as_str()))
                    .collect();
                model(name, &aliases)
            })
            .collect(),
        versions: versions
            .into_iter()
            .map(|((name, number), (stage, status))| VersionRow {
                status: status.into(),
                ..version(name, &number, stage)
            })
            .collect(),
    })
}

fn any_view_and_shuffle() -> impl Strategy<Value = (RegistryView, RegistryView)> {
    any_view().prop_flat_map(|view| {
        let models = Just(view.models.clone()).prop_shuffle();
        let versions = Just(view.versions.clone()).prop_shuffle();
        let shuffled =
            (models, versions).prop_map(|(models, versions)| RegistryView { models, versions });
        (Just(view), shuffled)
    })
}

proptest! {
    #[test]
    fn the_order_of_rows_does_not_matter((view, shuffled) in any_view_and_shuffle()) {
        prop_assert_eq!(select(&view, &Interest::All), select(&shuffled, &Interest::All));
    }

    #[test]
    fn exactly_the_active_versions_of_known_models_are_in(view in any_view()) {
        let aspired = select(&view, &Interest::All).aspired;
        for row in &view.versions {
            let known = view.models.iter().any(|model| model.name == row.name);
            let active = !row.current_stage.eq_ignore_ascii_case("archived")
                && row.status != "PENDING_REGISTRATION"
                && row.version != "x";
            let found = row.version.parse().is_ok_and(|number: Version| {
                let model = aspired.models.get(row.name.as_str());
                model.is_some_and(|model| model.versions.contains_key(&number))
            });
            prop_assert_eq!(found, known && active, "{:?}", row);
        }
    }

    #[test]
    fn labels_point_into_the_versions_and_stages_at_the_largest(view in any_view()) {
        let aspired = select(&view, &Interest::All).aspired;
        for (name, model) in &aspired.models {
            for target in model.labels.values() {
                prop_assert!(model.versions.contains_key(target));
            }
            let in_production = view.versions.iter().filter(|row| {
                row.name == name.as_str()
                    && row.current_stage.eq_ignore_ascii_case("production")
                    && row.status != "PENDING_REGISTRATION"
            });
            let largest = in_production.filter_map(|row| row.version.parse::<Version>().ok()).max();
            prop_assert_eq!(model.labels.get("Production").copied(), largest);
        }
    }
}

#[test]
fn only_tags_that_are_settings_are_passed_on() {
    let tag = |key: &str, value: &str| TagRow {
        key: key.into(),
        value: value.into(),
    };
    let row = ModelRow {
        tags: vec![
            tag("sluicegate.replicas", "2"),
            tag("sluicegate.", "nothing"),
            tag("sluicegate", "nothing"),
            tag("team", "flowers"),
        ],
        ..model("iris", &[])
    };
    let view = RegistryView {
        models: vec![row],
        versions: Vec::new(),
    };
    let models = select(&view, &Interest::All).aspired.models;
    let expected = [("replicas".to_owned(), "2".to_owned())];
    assert_eq!(models["iris"].tags, expected.into());
}
