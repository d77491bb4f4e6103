//! The generator against the fast upstream, and against servers that do what they should not.

use std::sync::Mutex;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use super::*;
use crate::upstream::{self, ANSWER, Listener};

/// The upstream on a port of its own, for as long as it is held.
struct Served {
    endpoint: Endpoint,
    _runtime: Runtime,
}

fn runtime() -> Runtime {
    Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap()
}

/// A port that nobody answers at yet, and what runs who does.
fn listening() -> (Runtime, TcpListener, Endpoint) {
    let runtime = runtime();
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
    let endpoint = Endpoint::Tcp(listener.local_addr().unwrap());
    (runtime, listener, endpoint)
}

fn served() -> Served {
    let runtime = runtime();
    let (listener, address) = runtime.block_on(Listener::tcp()).unwrap();
    runtime.handle().spawn(upstream::serve(listener));
    Served {
        endpoint: Endpoint::Tcp(address),
        _runtime: runtime,
    }
}

fn load(endpoint: Endpoint, pace: Pace) -> Load {
    Load {
        endpoint,
        requests: [Request::post("/invocations", &[], &vec![b'x'; 100_000])].into(),
        check: is_body(ANSWER),
        connections: 3,
        pace,
        duration: Duration::from_millis(200),
        threads: 2,
        patience: PATIENCE,
    }
}

#[test]
fn a_closed_loop_counts_every_answer_once() {
    let served = served();
    let counted = Arc::new(Mutex::new(0));
    let mut load = load(served.endpoint.clone(), Pace::Closed);
    let counts = Arc::clone(&counted);
    load.check = Arc::new(move |number, answer| {
        *counts.lock().unwrap() += 1;
        is_body(ANSWER)(number, answer)
    });
    let outcome = load.run().unwrap();
    assert_eq!((outcome.errors, outcome.first_error.clone()), (0, None));
    assert!(outcome.requests > 0);
    assert_eq!(outcome.requests, *counted.lock().unwrap());
}

#[test]
fn an_open_loop_sends_what_is_due_and_no_more() {
    let served = served();
    let outcome = load(served.endpoint.clone(), Pace::Open { rate: 200.0 })
        .run()
        .unwrap();
    // Each of two threads has a request due at once, and then one every 10 ms, until 200 ms have passed.
    let seen = outcome.requests + outcome.errors;
    assert_eq!(seen, 40, "{:?}", outcome.first_error);
    // How late they were given out is known of each.
    assert_eq!(outcome.given_out(), 40);
}

#[test]
fn the_time_of_a_request_that_had_to_wait_begins_when_it_was_due() {
    let (runtime, listener, endpoint) = listening();
    // The first answer comes late, all others at once.
    runtime.handle().spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut pause = Duration::from_millis(150);
        let mut buffer = [0; 1024];
        while stream.read(&mut buffer).await.unwrap_or(0) > 0 {
            tokio::time::sleep(pause).await;
            pause = Duration::ZERO;
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(answer).await.unwrap();
        }
    });
    let load = Load {
        requests: [Request::get("/", &[])].into(),
        check: is_success(),
        connections: 1,
        threads: 1,
        ..load(endpoint, Pace::Open { rate: 100.0 })
    };
    let outcome = load.run().unwrap();
    assert_eq!(outcome.first_error, None);
    // Those that were due while the first was waited for: counted from when they were sent, they took no time.
    assert!(
        outcome.quantile(0.5) > Duration::from_millis(5),
        "{outcome:?}"
    );
}

#[test]
fn connections_that_hang_are_an_error_each_and_slow_down_nobody_else() {
    let (runtime, listener, endpoint) = listening();
    let answers = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&answers);
    // Two answer once and then never again; the third goes on.
    runtime.handle().spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        for number in 0..3 {
            let (mut stream, _) = listener.accept().await.unwrap();
            let counted = Arc::clone(&counted);
            connections.spawn(async move {
                let mut buffer = [0; 1024];
                let mut count = 0;
                while stream.read(&mut buffer).await.unwrap_or(0) > 0 {
                    if number < 2 && count > 0 {
                        std::future::pending::<()>().await;
                    }
                    count += 1;
                    *counted.lock().unwrap() += 1;
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
                    stream.write_all(answer).await.unwrap();
                }
            });
        }
        connections.join_all().await;
    });
    let load = Load {
        requests: [Request::get("/", &[])].into(),
        check: is_success(),
        threads: 1,
        patience: Duration::from_secs(1),
        ..load(endpoint, Pace::Closed)
    };
    let outcome = load.run().unwrap();
    assert_eq!(outcome.errors, 2, "{:?}", outcome.first_error);
    // Good answers of those that hang are counted as well.
    assert_eq!(outcome.requests, *answers.lock().unwrap());
    // One may have come after the end; the time in which nothing came does not count.
    assert!(outcome.in_time >= outcome.requests - 1);
    let rate = f64::from(u32::try_from(outcome.in_time).unwrap()) / 0.2;
    assert!((outcome.rate() - rate).abs() < 1e-6, "{rate}");
}

#[test]
fn wrong_answers_and_no_answers_are_errors() {
    let served = served();
    let mut wrong = load(served.endpoint.clone(), Pace::Closed);
    wrong.check = is_body(b"something else");
    let outcome = wrong.run().unwrap();
    assert_eq!(outcome.requests, 0);
    let reason = outcome.first_error.unwrap();
    assert!(
        reason.contains(r#"status 200: {"predictions": [0]}"#),
        "{reason}"
    );

    let nobody = Endpoint::Unix("/nobody/listens/here".into());
    let outcome = load(nobody, Pace::Closed).run().unwrap();
    assert!(outcome.errors > 0);
    assert!(outcome.first_error.unwrap().contains("cannot connect"));
}
