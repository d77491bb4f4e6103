//! What those see who look after the gateway: the admin listener's answers, and the access log of the control plane.

use axum::body::Body;
use gateway::config::AccessLogConfig;
use gateway::server::{ControlPlane, Server, ServerConfig};
use gateway::telemetry::{AccessLog, AccessRecord, Trails};
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::harness::{Caller, Plane};

/// An answer of the admin listener.
async fn admin(plane: &Plane, method: &str, path: &str) -> (StatusCode, String) {
    let request = Request::builder().method(method).uri(path);
    let request = request.body(Body::empty()).unwrap();
    let answer = plane.admin.clone().oneshot(request).await.unwrap();
    let status = answer.status();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn the_admin_listener_tells_health_and_figures_to_everybody_and_nothing_else() {
    let plane = Plane::new().await;
    assert_eq!(admin(&plane, "GET", "/healthz").await.0, 200);
    assert_eq!(admin(&plane, "GET", "/readyz").await.0, 200);
    let (status, figures) = admin(&plane, "GET", "/metrics").await;
    assert_eq!(status, 200);
    let same = plane.get(Caller::Admin, "/metrics").await;
    assert_eq!(figures, same.text());
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/api/v1/models"),
        ("GET", "/api/v1/status"),
        ("POST", "/api/v1/tokens"),
        ("PUT", "/api/v1/models/iris/serving"),
        ("GET", "/api/2.0/mlflow/endpoints/list"),
        ("GET", "/model/iris/1/ping"),
        ("POST", "/model/iris/1/invocations"),
        ("GET", "/metrics/"),
    ] {
        let (status, body) = admin(&plane, method, path).await;
        assert_eq!(status, 404, "{method} {path}");
        assert!(body.contains("RESOURCE_DOES_NOT_EXIST"), "{body}");
    }
    assert_eq!(admin(&plane, "POST", "/metrics").await.0, 405);
}

#[tokio::test]
async fn nobody_is_sent_to_a_gateway_that_stops() {
    let plane = Plane::new().await;
    plane.shutdown.cancel();
    assert_eq!(admin(&plane, "GET", "/readyz").await.0, 503);
    assert_eq!(admin(&plane, "GET", "/healthz").await.0, 200);
}

/// Sends requests to a server over the control plane, and gives the records of them.
async fn records(control_plane: bool, requests: &[&str]) -> (Plane, Vec<AccessRecord>) {
    let plane = Plane::new().await;
    let (log, writer) = AccessLog::new(AccessLogConfig {
        enabled: true,
        sample: 1.0,
        control_plane,
    });
    let (sender, mut records) = mpsc::channel(64);
    let (stop, closed) = (CancellationToken::new(), CancellationToken::new());
    let routes = ControlPlane::new(plane.router.clone(), Handle::current());
    let server = Server::without_scoring(ServerConfig::default(), routes);
    let server = server.telling(Trails::new(Some(log), None));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(server.run(listener, stop.clone()));
    tasks.spawn(writer.run(closed.clone(), move |record: &AccessRecord| {
        sender.blocking_send(record.clone()).unwrap();
    }));
    for request in requests {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let token = plane.credentials["rea"].clone();
        let request = format!(
            "{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {token}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
    }
    stop.cancel();
    tasks.join_next().await.unwrap().unwrap();
    closed.cancel();
    let mut told = Vec::new();
    while let Some(record) = records.recv().await {
        told.push(record);
    }
    (plane, told)
}

#[tokio::test]
async fn calls_of_the_control_plane_are_told_where_that_is_wanted_but_never_probes() {
    let requests = [
        "GET /api/v1/models/iris?view=1",
        "GET /healthz",
        "DELETE /api/v1/models/iris/serving",
        "GET /readyz",
        "GET /metrics",
        "GET /nothing/here",
    ];
    let (_, told) = records(true, &requests).await;
    let told: Vec<_> = told
        .iter()
        .map(|record| {
            (
                record.route.as_deref(),
                record.status,
                record.error_code.as_deref(),
                record.principal.as_deref(),
            )
        })
        .collect();
    let expected = [
        (Some("/api/v1/models/{name}"), Some(200), None, Some("rea")),
        (
            Some("/api/v1/models/{name}/serving"),
            Some(403),
            Some("PERMISSION_DENIED"),
            Some("rea"),
        ),
        (None, Some(404), Some("RESOURCE_DOES_NOT_EXIST"), None),
    ];
    assert_eq!(told, expected);
    assert!(records(false, &requests).await.1.is_empty());
}
