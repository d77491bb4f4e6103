//! What it costs a request to find its version and to enter it, with few and with many versions in the table.

use std::sync::Arc;

use benches::time_of;
use serving_core::{
    Generation, Label, LabelRoute, ModelRoutes, Reference, Route, Router, RoutingTable, ServableId,
    Version, VersionRoute,
};

fn main() {
    for (models, versions) in [(1, 1), (10, 10), (1_000, 10)] {
        let router = Router::fixed(table(models, versions));
        let label = [Reference::Label(Label::from("Production"))];
        let took = time_of(100_000, || router.enter("model-0", &label).map(drop));
        report(models, versions, took);
    }
}

#[expect(clippy::print_stdout, reason = "figures are for stdout")]
fn report(models: u64, versions: u64, took: std::time::Duration) {
    println!("enter by stage, {models} models of {versions} versions: {took:?}");
}

fn table(models: u64, versions: u64) -> RoutingTable<()> {
    let models = (0..models).map(|number| {
        let name = format!("model-{number}");
        let routes = ModelRoutes {
            versions: (1..=versions)
                .map(|version| reachable(&name, Version(version)))
                .collect(),
            labels: [(Label::from("Production"), points_at(Version(versions)))].into(),
        };
        (name.into(), Arc::new(routes))
    });
    RoutingTable {
        models: models.collect(),
    }
}

fn reachable(model: &str, version: Version) -> (Version, VersionRoute<()>) {
    let id = ServableId::new(model, version);
    let route = Route::new(id, Generation(1), ());
    (version, VersionRoute::Reachable(Arc::new(route)))
}

fn points_at(version: Version) -> LabelRoute {
    LabelRoute {
        aspired: Some(version),
        current: Some(version),
    }
}
