//! Single decisions that the stories of the manager do not reach one by one.

use super::*;
use crate::id::ServableId;
use crate::settings::Settings;

fn spec(version: u64, incarnation: &str, source: Source) -> Arc<VersionSpec> {
    Arc::new(VersionSpec {
        id: ServableId::new("iris", Version(version)),
        model_incarnation: "model".into(),
        incarnation: incarnation.into(),
        source,
        settings: Arc::default(),
    })
}

fn readable(version: u64) -> Arc<VersionSpec> {
    spec(version, "first", Source::Readable("files".into()))
}

fn wanted<const N: usize>(versions: [Arc<VersionSpec>; N], labels: &[(&str, u64)]) -> WantedModel {
    WantedModel {
        incarnation: Some("model".into()),
        settings: Arc::default(),
        versions: versions.map(|spec| (spec.id.version, spec)).into(),
        left_out: BTreeMap::new(),
        labels: labels
            .iter()
            .map(|(label, version)| ((*label).into(), Version(*version)))
            .collect(),
    }
}

fn seen<const N: usize>(
    versions: [(u64, Standing); N],
    labels: &[(&str, Option<u64>)],
) -> SeenModel {
    let life = |(version, standing)| {
        let spec = readable(version);
        (Version(version), SeenVersion { spec, standing })
    };
    let route = |current: &Option<u64>| LabelRoute {
        aspired: None,
        current: current.map(Version),
    };
    SeenModel {
        versions: versions.map(life).into(),
        labels: labels
            .iter()
            .map(|(label, current)| ((*label).into(), route(current)))
            .collect(),
    }
}

fn current(plan: &Plan, label: &str) -> Option<u64> {
    plan.labels[label].current.map(|version| version.0)
}

#[test]
fn what_is_as_wanted_needs_nothing() {
    let wanted = wanted([readable(1)], &[("Production", 1)]);
    let seen = seen([(1, Standing::Ready)], &[("Production", Some(1))]);
    assert_eq!(plan(Some(&wanted), &seen).actions, []);
}

#[test]
fn a_label_does_not_leave_an_answering_version_for_one_that_keeps_dying() {
    let wanted = wanted(
        [readable(1), readable(2)],
        &[("Production", 2), ("@new", 2)],
    );
    let lives = [(1, Standing::Ready), (2, Standing::Faltering)];
    let plan = plan(Some(&wanted), &seen(lives, &[("Production", Some(1))]));
    assert_eq!(current(&plan, "Production"), Some(1));
    // One that pointed nowhere has nothing to lose.
    assert_eq!(current(&plan, "@new"), Some(2));
}

#[test]
fn a_label_stays_with_a_version_that_began_to_die() {
    let wanted = wanted([readable(1), readable(2)], &[("Production", 2)]);
    let lives = [(1, Standing::Faltering), (2, Standing::Unserved)];
    let plan = plan(Some(&wanted), &seen(lives, &[("Production", Some(1))]));
    assert_eq!(current(&plan, "Production"), Some(1));
}

#[test]
fn a_label_points_at_nothing_rather_than_at_what_drains() {
    let wanted = wanted([readable(1)], &[("Production", 1)]);
    let seen = seen([(1, Standing::Draining)], &[("Production", Some(1))]);
    let plan = plan(Some(&wanted), &seen);
    assert_eq!(current(&plan, "Production"), None);
    assert_eq!(plan.actions, []);
}

#[test]
fn a_label_does_not_move_to_a_version_that_only_another_label_keeps() {
    let wanted = wanted([readable(3)], &[("Production", 1), ("Staging", 3)]);
    let lives = [(1, Standing::Ready), (3, Standing::Unserved)];
    let plan = plan(Some(&wanted), &seen(lives, &[("Staging", Some(1))]));
    assert_eq!(current(&plan, "Production"), None);
    assert_eq!(current(&plan, "Staging"), Some(1));
    assert_eq!(plan.actions, []);
}

#[test]
fn a_protected_version_obeys_the_settings_of_its_model() {
    let mut wanted = wanted([readable(2)], &[("Production", 2)]);
    wanted.settings = Arc::new(Settings {
        max_queue: 7,
        ..Settings::default()
    });
    let lives = [(1, Standing::Ready), (2, Standing::Unserved)];
    let plan = plan(Some(&wanted), &seen(lives, &[("Production", Some(1))]));
    let [Action::Update(spec)] = plan.actions.as_slice() else {
        unreachable!("{:?}", plan.actions);
    };
    assert_eq!((spec.id.version, spec.settings.max_queue), (Version(1), 7));
}

#[test]
fn a_version_or_model_that_was_re_created_is_retired_though_a_label_points_at_it() {
    let other = spec(1, "second", Source::Readable("files".into()));
    let labels = [("Production", 1)];
    let lives = || seen([(1, Standing::Ready)], &[("Production", Some(1))]);
    let version = plan(Some(&wanted([other], &labels)), &lives());
    let mut re_created = wanted([], &labels);
    re_created.incarnation = Some("another".into());
    let model = plan(Some(&re_created), &lives());
    for plan in [version, model] {
        assert_eq!(plan.actions, [Action::Retire(Version(1))]);
        assert_eq!(current(&plan, "Production"), None);
    }
}

#[test]
fn what_was_never_ready_is_told_that_it_cannot_be_read_and_what_was_ready_is_not() {
    let unreadable = || spec(1, "first", Source::Unreadable("gone".into()));
    let actions = |standing| {
        let wanted = wanted([unreadable()], &[]);
        plan(Some(&wanted), &seen([(1, standing)], &[])).actions
    };
    assert_eq!(actions(Standing::Unserved), [Action::Update(unreadable())]);
    assert_eq!(actions(Standing::Ready), []);
    assert_eq!(actions(Standing::Faltering), []);
}
