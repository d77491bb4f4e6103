//! The client against a server of a few lines: what is sent, and what is never done.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::*;

/// Answers each connection with `reply`, and keeps what was sent.
async fn server(reply: &'static str) -> (Url, JoinSet<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/prefix/", listener.local_addr().unwrap());
    let mut running = JoinSet::new();
    running.spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 4096];
        let length = connection.read(&mut request).await.unwrap();
        connection.write_all(reply.as_bytes()).await.unwrap();
        // Until the client has read and closed, so that nothing is lost to a reset.
        let _ = connection.read(&mut [0; 1]).await;
        String::from_utf8_lossy(&request[..length]).into_owned()
    });
    (Url::parse(&url).unwrap(), running)
}

fn account() -> Credentials {
    Credentials::Basic {
        user: "alice".to_owned(),
        password: "hunter2".into(),
    }
}

async fn get(url: Url, deadline: Duration) -> Result<HttpReply, NoReply> {
    let client = HttpClient::new(url, deadline).unwrap();
    let credentials = account();
    let call = HttpCall {
        path: "api/2.0/mlflow/model-versions/get",
        query: &[("name", "a b&c/d?=é"), ("version", "1")],
        credentials: &credentials,
    };
    client.get(call).await
}

const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_call_goes_below_the_address_with_its_parameters_encoded_and_its_credentials() {
    let (url, mut sent) =
        server("HTTP/1.1 403 Forbidden\r\ncontent-length: 17\r\nconnection: close\r\n\r\nPermission denied").await;
    let reply = get(url, PATIENCE).await.unwrap();
    assert_eq!(
        (reply.status, &*reply.body),
        (403, &b"Permission denied"[..])
    );
    let sent = sent.join_next().await.unwrap().unwrap();
    let line = "GET /prefix/api/2.0/mlflow/model-versions/get?name=a+b%26c%2Fd%3F%3D%C3%A9&version=1 HTTP/1.1";
    assert!(sent.starts_with(line), "{sent}");
    // The pair `alice:hunter2`.
    assert!(
        sent.contains("authorization: Basic YWxpY2U6aHVudGVyMg=="),
        "{sent}"
    );
}

#[tokio::test]
async fn a_redirect_is_not_followed_because_it_would_take_the_credentials_along() {
    let elsewhere = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let reply = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://{}/?secret=1\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        elsewhere.local_addr().unwrap()
    );
    let (url, _sent) = server(reply.leak()).await;
    let error = get(url, PATIENCE).await.unwrap_err().to_string();
    assert!(
        error.contains("redirects") && !error.contains("secret"),
        "{error}"
    );
    let nobody = tokio::time::timeout(Duration::ZERO, elsewhere.accept()).await;
    assert!(nobody.is_err());
}

#[tokio::test]
async fn errors_name_the_server_and_no_secret() {
    // Bound and dropped: nobody listens there.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let url = Url::parse(&format!("http://{address}")).unwrap();
    let error = get(url, PATIENCE).await.unwrap_err().to_string();
    assert!(error.contains(&address.to_string()), "{error}");
    for secret in ["hunter2", "alice", "YWxpY2U6", "name="] {
        assert!(!error.contains(secret), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up_at_the_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let error = get(url, Duration::from_millis(50)).await.unwrap_err();
    assert!(error.to_string().contains("in time"), "{error}");
}

#[tokio::test]
async fn more_than_a_sane_answer_is_not_kept() {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n",
        LARGEST_BODY + 1
    );
    let body = " ".repeat(LARGEST_BODY + 1);
    let (url, _sent) = server((head + &body).leak()).await;
    let error = get(url, PATIENCE).await.unwrap_err();
    assert!(error.to_string().contains("bytes"), "{error}");
}

#[test]
fn an_address_is_http_without_credentials_and_query() {
    let new = |url: &str| HttpClient::new(Url::parse(url).unwrap(), PATIENCE).map(|_| ());
    assert_eq!(new("http://mlflow:5000"), Ok(()));
    assert_eq!(new("https://host/mlflow/"), Ok(()));
    for url in [
        "sqlite:///x",
        "http://u:p@h",
        "http://u@h",
        "http://h/?a=b",
        "http://h/#a",
    ] {
        assert_eq!(new(url), Err(InvalidAddress::NotABase), "{url}");
    }
}
