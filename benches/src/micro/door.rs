//! Before a body is looked at: the path, the token and the right, the way into a version.

use std::future::Future;
use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::SystemTime;

use auth::{Authenticator, AuthenticatorConfig, Grant, MemoryTokenStore, NewToken, TokenStore};
use gateway::data_plane::read_path;
use http::{HeaderMap, HeaderValue, header};
use serving_core::{
    Generation, Label, LabelRoute, ModelRoutes, Reference, Route, Router, RoutingTable, ServableId,
    Version, VersionRoute,
};

use super::Operation;

const PEER: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

pub(super) fn operations() -> Vec<Operation> {
    let mut all = Vec::new();
    for (name, path) in [
        ("of a version", "/model/iris/7/invocations"),
        ("of a stage", "/model/iris/Production/invocations"),
        ("of an alias", "/model/iris/@champion/invocations"),
        (
            "with escapes",
            "/model/fraud%20detection%2Feu/%40champion/invocations",
        ),
    ] {
        all.push(Operation::new("path", name, move || {
            read_path(black_box(path))
        }));
    }
    for tokens in [1, 1_000] {
        all.extend(credentials(tokens));
    }
    for (models, versions) in [(1, 1), (10, 10), (1_000, 10)] {
        let router = Router::fixed(table(models, versions));
        for (name, reference) in [
            ("by number", Reference::Version(Version(1))),
            ("by stage", Reference::Label(Label::from("Production"))),
        ] {
            let (router, reference) = (router.clone(), [reference]);
            let name = format!("{name}, of {models} × {versions} versions");
            all.push(Operation::new("route entry", name, move || {
                router.enter(black_box("model-0"), &reference).map(drop)
            }));
        }
    }
    all
}

/// Checking one of so many tokens, and the right of whose it is.
fn credentials(tokens: usize) -> Vec<Operation> {
    let store = Arc::new(MemoryTokenStore::default());
    let mut headers = HeaderMap::new();
    for number in 0..tokens {
        let principal = format!("caller-{number}");
        let made = NewToken::new(principal.as_str()).issue(SystemTime::now());
        let Ok((record, token)) = made else {
            panic!("a token can be made");
        };
        let grant = Grant::read(match "model-*".parse() {
            Ok(pattern) => pattern,
            Err(error) => panic!("{error}"),
        });
        let kept = at_once(async {
            store.insert(record).await?;
            store.grant(&principal, &grant).await
        });
        if let Err(error) = kept {
            panic!("{error}");
        }
        if let Ok(value) = HeaderValue::try_from(format!("Bearer {}", token.expose())) {
            headers.insert(header::AUTHORIZATION, value);
        }
    }
    let config = AuthenticatorConfig::default();
    let opened = Authenticator::open(store, Arc::new(SystemTime::now), config);
    // Its deadline is one of the runtime's clock.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let authenticator = match runtime.map(|runtime| runtime.block_on(opened)) {
        Ok(Ok(authenticator)) => authenticator,
        Ok(Err(error)) => panic!("{error}"),
        Err(error) => panic!("{error}"),
    };
    let rights = authenticator.rights();
    let caller = match at_once(authenticator.authenticate(&headers, PEER)) {
        Ok(caller) => caller,
        Err(error) => panic!("{error}"),
    };
    let check = move || at_once(authenticator.authenticate(black_box(&headers), PEER));
    let right = move || at_once(rights.right(black_box(&caller), "model-0"));
    vec![
        Operation::new("token", format!("one of {tokens}"), check),
        Operation::new("right", format!("of one of {tokens} callers"), right),
    ]
}

/// What a future gives that waits for nothing.
fn at_once<F: Future>(future: F) -> F::Output {
    let future = std::pin::pin!(future);
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("this is answered from memory"),
    }
}

fn table(models: u64, versions: u64) -> RoutingTable<()> {
    let models = (0..models).map(|number| {
        let name = format!("model-{number}");
        let reachable = |version| {
            let id = ServableId::new(name.as_str(), Version(version));
            let route = Route::new(id, Generation(1), ());
            (Version(version), VersionRoute::Reachable(Arc::new(route)))
        };
        let newest = LabelRoute {
            aspired: Some(Version(versions)),
            current: Some(Version(versions)),
        };
        let routes = ModelRoutes {
            versions: (1..=versions).map(reachable).collect(),
            labels: [(Label::from("Production"), newest)].into(),
        };
        (name.as_str().into(), Arc::new(routes))
    });
    RoutingTable {
        models: models.collect(),
    }
}
