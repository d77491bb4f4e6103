//! A real client against a registry in this process: what is asked, what is published, what is kept.

use std::sync::Arc;
use std::time::Duration;

use crate::registry::{FakeRegistry, model, refusal, text, version};
use registry_sync::{Interest, RegistryConfig, RegistryHandle, RegistrySync};
use serde_json::json;
use serving_core::{Aspired, ModelName};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// A sync at work. It polls when told to: its own interval is an hour.
pub(crate) struct Running {
    pub(crate) handle: RegistryHandle,
    interest: watch::Sender<Interest>,
    _task: JoinSet<()>,
}

impl Running {
    pub(crate) fn start(
        config: RegistryConfig,
        interest: Interest,
        last_known: Option<Aspired>,
    ) -> Self {
        let hour = Duration::from_secs(3600);
        let config = RegistryConfig {
            poll_interval: hour,
            catalog_interval: hour,
            ..config
        };
        let (interest, seen) = watch::channel(interest);
        let (sync, handle) = RegistrySync::new(config, seen, last_known).unwrap();
        let mut task = JoinSet::new();
        task.spawn(sync.run(CancellationToken::new()));
        Self {
            handle,
            interest,
            _task: task,
        }
    }

    /// Waits until the value is known and fits.
    pub(crate) async fn until(&self, fits: impl Fn(&Aspired) -> bool) -> Arc<Aspired> {
        let mut aspired = self.handle.aspired();
        let known = aspired.wait_for(|value| value.as_ref().is_some_and(|value| fits(value)));
        let known = timeout(Duration::from_secs(20), known).await;
        known.expect("in time").unwrap().clone().unwrap()
    }

    /// Polls once more and waits for the outcome.
    async fn poll(&self) -> Result<(), String> {
        let mut status = self.handle.status();
        status.mark_unchanged();
        self.handle.poll_soon();
        timeout(Duration::from_secs(20), status.changed())
            .await
            .expect("in time")
            .unwrap();
        let error = status.borrow().error.clone();
        error.map_or(Ok(()), Err)
    }
}

pub(crate) fn models(names: &[&str]) -> Interest {
    Interest::Models(names.iter().map(|name| ModelName::from(*name)).collect())
}

fn describe(aspired: &Aspired) -> Vec<String> {
    let models = aspired.models.iter();
    models
        .map(|(name, model)| {
            let versions: Vec<_> = model.versions.keys().map(ToString::to_string).collect();
            let labels = model.labels.iter();
            let labels: Vec<_> = labels
                .map(|(label, version)| format!("{label}={version}"))
                .collect();
            format!("{name}: {} [{}]", versions.join(" "), labels.join(" "))
        })
        .collect()
}

#[tokio::test]
async fn versions_stages_and_aliases_are_published_and_followed() {
    let registry = FakeRegistry::start().await;
    {
        let mut inner = registry.lock();
        inner.models = vec![model("iris", &[("champion", 2)]), model("wine", &[])];
        inner.versions = vec![
            version("iris", 1, "Production"),
            version("iris", 2, "None"),
            version("iris", 3, "Archived"),
        ];
    }
    let running = Running::start(registry.config(), Interest::All, None);
    let aspired = running.until(|_| true).await;
    assert_eq!(
        describe(&aspired),
        ["iris: 1 2 [@champion=2 Production=1]", "wine:  []"]
    );

    registry.lock().versions[1]["current_stage"] = json!("Production");
    registry.lock().models[0] = model("iris", &[("champion", 1)]);
    running.poll().await.unwrap();
    let aspired = running.until(|_| true).await;
    assert_eq!(
        describe(&aspired)[0],
        "iris: 1 2 [@champion=1 Production=2]"
    );

    registry.lock().versions.clear();
    registry.lock().models.remove(0);
    running.poll().await.unwrap();
    let aspired = running.until(|_| true).await;
    assert_eq!(describe(&aspired), ["wine:  []"]);
}

#[tokio::test]
async fn a_registry_without_anything_is_an_empty_value() {
    let registry = FakeRegistry::start().await;
    let running = Running::start(registry.config(), Interest::All, None);
    assert_eq!(*running.until(|_| true).await, Aspired::default());
}

#[tokio::test]
async fn one_model_of_a_large_registry_costs_two_small_calls_a_poll() {
    let registry = FakeRegistry::start().await;
    registry.lock().register("iris", 3, &[]);
    for number in 0..100 {
        registry.lock().register(&format!("m{number}"), 10, &[]);
    }
    let running = Running::start(registry.config(), models(&["iris"]), None);
    running.until(|_| true).await;
    running.poll().await.unwrap();
    let status = running.handle.status().borrow().clone();
    assert_eq!(status.calls, 2);
    assert!(
        (500..5000).contains(&status.bytes),
        "{} bytes",
        status.bytes
    );
}

#[tokio::test]
async fn many_models_are_read_at_once_and_of_them_only_those_of_interest_are_published() {
    let registry = FakeRegistry::start().await;
    for number in 0..20 {
        registry.lock().register(&format!("m{number:02}"), 1, &[]);
    }
    let names: Vec<String> = (0..12).map(|number| format!("m{number:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let running = Running::start(registry.config(), models(&names), None);
    assert_eq!(running.until(|_| true).await.models.len(), 12);
    running.poll().await.unwrap();
    assert_eq!(running.handle.status().borrow().calls, 2);
    assert_eq!(running.handle.catalog().borrow().models.len(), 20);
}

#[tokio::test]
async fn while_nothing_is_of_interest_one_call_tells_whether_the_registry_is_there() {
    let registry = FakeRegistry::start().await;
    registry.lock().register("iris", 3, &[]);
    let running = Running::start(registry.config(), models(&[]), None);
    assert_eq!(*running.until(|_| true).await, Aspired::default());
    running.poll().await.unwrap();
    assert_eq!(running.handle.status().borrow().calls, 1);

    running.interest.send_replace(models(&["iris"]));
    running.until(|aspired| aspired.models.len() == 1).await;
}

#[tokio::test]
async fn names_with_quotes_are_found() {
    let registry = FakeRegistry::start().await;
    let names = ["it's", "12\" record", "both ' and \"", "a/b ü 🚀", "iris"];
    for name in names {
        registry.lock().register(name, 1, &[]);
    }
    for name in names {
        let running = Running::start(registry.config(), models(&[name]), None);
        let aspired = running.until(|_| true).await;
        assert!(aspired.models[name].versions.len() == 1, "{name}");
    }
}

#[tokio::test]
async fn a_poll_of_which_one_call_fails_changes_nothing() {
    let registry = FakeRegistry::start().await;
    registry.lock().register("iris", 2, &[]);
    registry.lock().register("wine", 2, &[]);
    for interest in [Interest::All, models(&["iris", "wine"])] {
        let running = Running::start(registry.config(), interest, None);
        let before = running.until(|_| true).await;
        registry.hook(|asked, inner| {
            inner.models.truncate(1);
            let fails = asked.path.ends_with("model-versions/search");
            fails.then(|| refusal(500, "INTERNAL_ERROR", "database is locked"))
        });
        let error = running.poll().await.unwrap_err();
        assert!(error.contains("database is locked"), "{error}");
        assert_eq!(running.until(|_| true).await, before);
        assert_eq!(running.handle.status().borrow().consecutive_failures, 1);
        registry.unhook();
        registry.lock().models = vec![model("iris", &[]), model("wine", &[])];
    }
}

#[tokio::test]
async fn models_that_the_gateway_may_not_see_any_more_are_kept_and_deleted_ones_are_not() {
    let registry = FakeRegistry::start().await;
    for name in ["iris", "wine", "cider"] {
        registry.lock().register(name, 1, &[]);
    }
    for interest in [Interest::All, models(&["iris", "wine"])] {
        let rows = registry.lock().models.clone();
        let running = Running::start(registry.config(), interest, None);
        let before = running.until(|_| true).await;
        registry.lock().models.clear();
        registry.hook(|asked, _| {
            let get = asked.path.ends_with("registered-models/get");
            get.then(|| text(403, "Permission denied"))
        });
        running.poll().await.unwrap();
        assert_eq!(running.until(|_| true).await, before);
        // A 400 says nothing of a model that was registered.
        registry.hook(|asked, _| {
            let get = asked.path.ends_with("registered-models/get");
            get.then(|| refusal(400, "INVALID_PARAMETER_VALUE", "no such workspace"))
        });
        running.poll().await.unwrap_err();
        assert_eq!(running.until(|_| true).await, before);
        registry.hook(|asked, _| {
            let get = asked.path.ends_with("registered-models/get");
            get.then(|| text(403, "Permission denied"))
        });
        // Nothing is kept that is not of interest any more.
        running.interest.send_replace(models(&["wine"]));
        running.until(|aspired| aspired.models.len() == 1).await;

        registry.unhook();
        running.poll().await.unwrap();
        assert_eq!(*running.until(|_| true).await, Aspired::default());
        registry.lock().models = rows;
    }
}

#[tokio::test]
async fn what_was_last_known_stands_until_the_registry_answers() {
    let registry = FakeRegistry::start().await;
    registry.lock().register("iris", 2, &[]);
    let known = Running::start(registry.config(), Interest::All, None);
    let known = Aspired::clone(&*known.until(|_| true).await);

    registry.lock().register("wine", 1, &[]);
    registry.hook(|_, _| Some(text(502, "<html><title>Bad gateway</title>")));
    let running = Running::start(registry.config(), Interest::All, Some(known.clone()));
    let mut status = running.handle.status();
    status
        .wait_for(|status| status.consecutive_failures > 0)
        .await
        .unwrap();
    assert_eq!(running.handle.aspired().borrow().as_deref(), Some(&known));
    registry.unhook();
    running.until(|aspired| aspired.models.len() == 2).await;
}

#[tokio::test]
async fn all_pages_are_read_in_an_order_that_does_not_shift() {
    let registry = FakeRegistry::start().await;
    for number in 0..7 {
        registry.lock().register(&format!("m{number}"), 12, &[]);
    }
    registry.lock().page = Some(5);
    // A change of stage moves a row to the front of the default order, as in MLflow.
    registry.hook(|asked, inner| {
        if asked.path.ends_with("model-versions/search") {
            inner.versions.rotate_right(1);
        }
        None
    });
    let running = Running::start(registry.config(), Interest::All, None);
    let aspired = running.until(|_| true).await;
    assert_eq!(aspired.models.len(), 7);
    assert!(
        aspired
            .models
            .values()
            .all(|model| model.versions.len() == 12)
    );
    let ordered = registry.lock().calls("model-versions/search");
    let ordered = ordered
        .iter()
        .find(|asked| asked.get("page_token").is_some())
        .unwrap()
        .clone();
    let orders = ordered.query.iter().filter(|(name, _)| name == "order_by");
    assert_eq!(
        orders.map(|(_, order)| order.as_str()).collect::<Vec<_>>(),
        ["name ASC", "version_number ASC"]
    );
}

#[tokio::test]
async fn what_needs_pages_is_not_tried_in_one_page_again() {
    let registry = FakeRegistry::start().await;
    registry.lock().register("iris", 12, &[]);
    registry.lock().page = Some(5);
    let running = Running::start(registry.config(), Interest::All, None);
    running.until(|_| true).await;
    running.poll().await.unwrap();
    assert_eq!(running.handle.status().borrow().calls, 1 + 3);
    // It shrank: the next poll finds it in one page, the one after reads one page.
    registry.lock().page = None;
    for _ in 0..2 {
        running.poll().await.unwrap();
        assert_eq!(running.handle.status().borrow().calls, 2);
    }
}

#[tokio::test]
async fn no_order_is_asked_for_while_one_page_holds_all() {
    let registry = FakeRegistry::start().await;
    registry.lock().register("iris", 30, &[]);
    let running = Running::start(registry.config(), Interest::All, None);
    running.until(|_| true).await;
    assert!(
        registry
            .lock()
            .asked
            .iter()
            .all(|asked| asked.get("order_by").is_none())
    );
}

#[tokio::test]
async fn a_row_that_slips_between_two_pages_retires_nothing() {
    let registry = FakeRegistry::start().await;
    for number in 0..4 {
        registry.lock().register(&format!("m{number}"), 5, &[]);
    }
    registry.lock().page = Some(5);
    let running = Running::start(registry.config(), Interest::All, None);
    running.until(|_| true).await;
    // Deleting a row of the first page moves all later ones up: the first of the next page is never seen.
    let mut deleted = false;
    registry.hook(move |asked, inner| {
        let second =
            asked.path.ends_with("model-versions/search") && asked.get("page_token") == Some("5");
        if second && !deleted {
            deleted = true;
            inner.versions.remove(0);
        }
        None
    });
    running.poll().await.unwrap();
    let aspired = running.until(|_| true).await;
    let counts: Vec<_> = aspired
        .models
        .values()
        .map(|model| model.versions.len())
        .collect();
    assert_eq!(counts, [4, 5, 5, 5]);
}

#[tokio::test]
async fn old_aliases_never_meet_the_versions_of_a_model_that_was_registered_again() {
    let registry = FakeRegistry::start().await;
    registry.lock().register("iris", 1, &[("champion", 1)]);
    let running = Running::start(registry.config(), models(&["iris"]), None);
    running.until(|_| true).await;
    let mut again = false;
    registry.hook(move |asked, inner| {
        if asked.path.ends_with("model-versions/search") && !again {
            again = true;
            inner.models[0] = model("iris", &[]);
            inner.models[0]["creation_timestamp"] = json!(1_795_400_000_000_u64);
            inner.versions[0]["creation_timestamp"] = json!(1_795_400_000_001_u64);
        }
        None
    });
    let mut aspired = running.handle.aspired();
    aspired.mark_unchanged();
    running.poll().await.unwrap();
    assert!(aspired.has_changed().unwrap());
    assert_eq!(describe(&*running.until(|_| true).await), ["iris: 1 []"]);
}

#[tokio::test]
async fn an_alias_that_moves_to_a_version_made_during_the_poll_keeps_its_target() {
    let registry = FakeRegistry::start().await;
    registry.lock().register("iris", 1, &[("champion", 1)]);
    let running = Running::start(registry.config(), models(&["iris"]), None);
    running.until(|_| true).await;
    let mut moved = false;
    registry.hook(move |asked, inner| {
        if asked.path.ends_with("model-versions/search") && !moved {
            moved = true;
            inner.versions.push(version("iris", 2, "None"));
            inner.models[0] = model("iris", &[("champion", 2)]);
        }
        None
    });
    running.poll().await.unwrap();
    let aspired = running.until(|_| true).await;
    assert_eq!(describe(&aspired), ["iris: 1 2 [@champion=1]"]);
    running.poll().await.unwrap();
    assert_eq!(
        describe(&*running.until(|_| true).await),
        ["iris: 1 2 [@champion=2]"]
    );
}

#[tokio::test]
async fn the_catalog_lists_all_models_but_no_prompts() {
    let registry = FakeRegistry::start().await;
    registry.lock().register("iris", 1, &[]);
    registry.lock().register("wine", 1, &[]);
    let mut prompt = model("greeting", &[]);
    prompt["tags"] = json!([{ "key": "mlflow.prompt.is_prompt", "value": "true" }]);
    registry.lock().models.push(prompt);
    registry.lock().page = Some(1);
    let running = Running::start(registry.config(), models(&["iris"]), None);
    let mut catalog = running.handle.catalog();
    catalog
        .wait_for(|catalog| catalog.models.len() == 2)
        .await
        .unwrap();
    let wine = catalog.borrow().models["wine"].clone();
    assert_eq!(
        (wine.description.as_str(), wine.last_updated),
        ("about wine", 1_795_339_220_500)
    );

    registry.lock().register("cider", 1, &[]);
    running.handle.poll_soon();
    catalog
        .wait_for(|catalog| catalog.models.contains_key("cider"))
        .await
        .unwrap();
}

#[tokio::test]
async fn who_waits_for_a_poll_sees_what_was_registered_before() {
    let registry = FakeRegistry::start().await;
    let running = Running::start(registry.config(), Interest::All, None);
    running.until(|_| true).await;
    registry.lock().register("iris", 1, &[]);
    timeout(Duration::from_secs(20), running.handle.polled())
        .await
        .expect("in time");
    let aspired = running.handle.aspired().borrow().clone().unwrap();
    assert!(aspired.models.contains_key("iris"));
}
