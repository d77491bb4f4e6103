//! Settings are refused with a sentence that names the key and what is allowed.

use serde_json::json;

use std::time::Duration;

use super::*;

fn apply(changes: Value) -> Result<ModelSettings, String> {
    ModelSettings::default()
        .apply(changes.as_object().unwrap())
        .map_err(|error| error.to_string())
}

#[test]
fn every_key_takes_effect() {
    let settings = apply(json!({
        "replicas": "0..4", "scale_down_after": "90s", "max_concurrency": 4, "max_queue": 0, "timeout": "1m 30s",
        "batching": "on", "max_batch_rows": 64, "max_batch_delay": "1500us",
        "env_manager": "local", "environment": {"A": "1"}, "warm_up": false,
        "memory_limit": "1GB", "versions": {"latest": 2}, "takeover": "resource_preserving",
    }))
    .unwrap();
    let defaults = Settings::default();
    let engine = settings.or(&defaults).to_engine(&defaults);
    assert_eq!(engine.replicas.to_string(), "0..4");
    assert_eq!(engine.scale_down_after, Duration::from_secs(90));
    assert_eq!(engine.max_concurrency.get(), 4);
    assert_eq!(engine.max_queue, 0);
    assert_eq!(engine.timeout, Duration::from_secs(90));
    assert_eq!(engine.batching, serving_core::Batching::On);
    assert_eq!(engine.max_batch_rows.get(), 64);
    assert_eq!(engine.max_batch_delay, Duration::from_micros(1500));
    assert_eq!(engine.loader["env_manager"], "local");
    assert_eq!(engine.loader["environment"], r#"{"A":"1"}"#);
    assert_eq!(engine.loader["warm_up"], "false");
    assert_eq!(engine.loader["memory_limit"], (1 << 30).to_string());
    assert_eq!(
        engine.versions,
        serving_core::VersionPolicy::Latest(NonZeroU32::new(2).unwrap())
    );
    assert_eq!(engine.takeover, serving_core::Takeover::ResourcePreserving);
}

#[test]
fn what_is_not_mentioned_stays_and_null_goes_back_to_the_default() {
    let before = apply(json!({"replicas": 2, "timeout": 5})).unwrap();
    let changes = json!({"replicas": null, "max_queue": 7});
    let after = before.apply(changes.as_object().unwrap()).unwrap();
    assert_eq!(after.replicas, None);
    assert_eq!(after.max_queue, Some(7));
    assert_eq!(after.timeout, Some(HumaneDuration(Duration::from_secs(5))));
}

#[test]
fn defaults_ask_the_loader_for_nothing_special() {
    let defaults = Settings::default();
    assert_eq!(
        ModelSettings::default().or(&defaults).to_engine(&defaults),
        serving_core::Settings::default()
    );
}

#[test]
fn a_refusal_names_the_key_what_is_allowed_and_the_nearest_key() {
    let refusals = [
        json!({"replica": 2}),
        json!({"colour": "red"}),
        json!({"batching": true}),
        json!({"batching": "of"}),
        json!({"max_batch_rows": 0}),
        json!({"max_batch_rows": 10_001}),
        json!({"max_batch_delay": "2s"}),
        json!({"max_batch_delay": -1}),
        json!({"max_batch": 5}),
        json!({"replicas": 0}),
        json!({"replicas": "two"}),
        json!({"replicas": "4..2"}),
        json!({"replicas": "0..0"}),
        json!({"replicas": "1..65"}),
        json!({"scale_down_after": "0s"}),
        json!({"scale_down_after": "2d"}),
        json!({"max_queue": -1}),
        json!({"timeout": "soon"}),
        json!({"timeout": 0}),
        json!({"env_manager": "condo"}),
        json!({"env_manager": 3}),
        json!({"environment": {"A=B": "secret"}}),
        json!({"environment": {"TOKEN": 5}}),
        json!({"warm_up": "yes"}),
        json!({"memory_limit": "lots"}),
        json!({"memory_limit": 2}),
        json!({"versions": "latest"}),
        json!({"versions": []}),
        json!({"takeover": "resource_preservin"}),
        json!({"takeover": 1}),
    ];
    let messages: Vec<_> = refusals
        .into_iter()
        .map(|changes| apply(changes).unwrap_err())
        .collect();
    insta::assert_snapshot!(messages.join("\n"));
}

#[test]
fn settings_of_a_gateway_that_has_no_batching_are_read() {
    let mut told = json!(Settings::default());
    let keys = told.as_object_mut().unwrap();
    for key in ["batching", "max_batch_rows", "max_batch_delay"] {
        assert!(keys.remove(key).is_some(), "{key}");
    }
    let read: Settings = serde_json::from_value(told).unwrap();
    assert_eq!(read, Settings::default());
}

#[test]
fn values_of_variables_can_be_hidden() {
    let settings = apply(json!({"environment": {"TOKEN": "hush"}})).unwrap();
    let shown = settings.or(&Settings::default()).without_values();
    assert_eq!(shown.environment["TOKEN"], "***");
}

#[test]
fn each_setting_tells_where_it_comes_from() {
    let person = apply(json!({"replicas": 2})).unwrap();
    let tags = apply(json!({"replicas": 3, "timeout": "5s"})).unwrap();
    let origins = Origin::of_all(&person, &tags);
    assert_eq!(origins.len(), KNOWN.len());
    let of = |key: &str| origins[key];
    assert_eq!(of("replicas"), Origin::Person);
    assert_eq!(of("timeout"), Origin::Tag);
    assert_eq!(of("versions"), Origin::Default);
    let laid = person.or(&tags.or(&Settings::default()));
    assert_eq!(
        (laid.replicas.most(), laid.timeout.to_string()),
        (2, "5s".to_owned())
    );
}

#[test]
fn a_person_can_lift_a_limit_of_memory_that_a_tag_sets() {
    let tagged = apply(json!({"memory_limit": "1GB"})).unwrap();
    let defaults = tagged.or(&Settings::default());
    let unlimited = apply(json!({"memory_limit": "none"})).unwrap();
    let holds = unlimited.or(&defaults);
    assert_eq!(holds.memory_limit, None);
    let engine = holds.to_engine(&Settings::default());
    assert!(!engine.loader.contains_key("memory_limit"));
    // It is a choice, and as such kept and shown; going back is something else.
    assert_eq!(json!(unlimited), json!({"memory_limit": "none"}));
    let kept: ModelSettings = serde_json::from_value(json!(unlimited)).unwrap();
    assert_eq!(kept, unlimited);
    let origins = Origin::of_all(&unlimited, &tagged);
    assert_eq!(origins["memory_limit"], Origin::Person);
    let back = json!({"memory_limit": null});
    let back = unlimited.apply(back.as_object().unwrap()).unwrap();
    assert_eq!(back.or(&defaults).memory_limit, defaults.memory_limit);
}
