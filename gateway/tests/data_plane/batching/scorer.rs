//! A worker that scores as MLflow's server does: rows in, one item for each row out.

#![expect(
    clippy::unnecessary_wraps,
    reason = "models are of one type, and some refuse rows"
)]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "rows are few and small"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;
use gateway::data_plane::{About, Example, Upstream};
use serde_json::Value;
use tokio::sync::{Semaphore, mpsc};

use crate::fixture::{Answer, Gateway, INVOCATIONS, post};
use crate::worker::{Died, FakeWorker, Seen, WorkerResponse, answer};

/// What a model answers to its rows: as many items as it likes, as JSON; or an error.
pub(crate) type Model = fn(&[f64]) -> Answers;
pub(crate) type Answers = Result<Vec<String>, &'static str>;

/// A model behind a scoring server, which a test can hold back.
pub(crate) struct Scorer {
    pub(crate) worker: FakeWorker,
    is_held: Arc<AtomicBool>,
    go: Arc<Semaphore>,
    arrivals: mpsc::Receiver<()>,
}

impl Scorer {
    pub(crate) fn of(model: Model) -> Self {
        Self::speaking("3.17.2", model)
    }

    pub(crate) fn speaking(mlflow_version: &'static str, model: Model) -> Self {
        Self::start(mlflow_version, move |_, rows| model(rows))
    }

    /// A model that looks at the parameters, too.
    pub(crate) fn of_params(model: fn(&Value, &[f64]) -> Answers) -> Self {
        Self::start("3.17.2", move |body, rows| model(&body["params"], rows))
    }

    fn start(
        mlflow_version: &'static str,
        model: impl Fn(&Value, &[f64]) -> Answers + Copy + Send + Sync + 'static,
    ) -> Self {
        let is_held = Arc::new(AtomicBool::new(false));
        let go = Arc::new(Semaphore::new(0));
        let (arrived, arrivals) = mpsc::channel(100_000);
        let (held, waiting) = (Arc::clone(&is_held), Arc::clone(&go));
        let worker = FakeWorker::start(move |seen| {
            let (held, waiting, arrived) =
                (Arc::clone(&held), Arc::clone(&waiting), arrived.clone());
            async move {
                if held.load(Ordering::SeqCst) {
                    arrived.try_send(()).unwrap();
                    waiting.acquire().await.unwrap().forget();
                }
                score(mlflow_version, &seen, model)
            }
        });
        Self {
            worker,
            is_held,
            go,
            arrivals,
        }
    }

    /// As the gateway knows it: logged with this example.
    pub(crate) fn with_example(&self, body: &str) -> Upstream {
        self.worker.upstream_about(About {
            example: Some(Example {
                content_type: "application/json".to_owned(),
                body: body.to_owned().into(),
            }),
            ..About::default()
        })
    }

    pub(crate) fn hold(&self) {
        self.go.forget_permits(usize::MAX);
        self.is_held.store(true, Ordering::SeqCst);
    }

    /// Waits until one more call has come while calls are held.
    pub(crate) async fn arrival(&mut self) {
        self.arrivals.recv().await.unwrap();
    }

    /// Lets so many calls go that are held.
    pub(crate) fn go_on(&self, calls: usize) {
        self.go.add_permits(calls);
    }

    pub(crate) fn release(&self) {
        self.is_held.store(false, Ordering::SeqCst);
        self.go.add_permits(1000);
    }

    /// Sends `bodies` while the slot is taken by a request of another kind, so that those of them that may go together do.
    /// Returns their answers, and how many calls they took.
    pub(crate) async fn together(
        &mut self,
        gateway: &Gateway,
        bodies: &[&str],
    ) -> (Vec<Answer>, usize) {
        let before = self.worker.seen().len();
        self.hold();
        let plug = "{\"inputs\": [0.5]}";
        let mut plugs = join_all([gateway.score(plug)]);
        tokio::select! {
            _ = &mut plugs => panic!("it was not allowed to answer"),
            () = self.arrival() => {}
        }
        let requests = bodies
            .iter()
            .map(|body| gateway.send(post(INVOCATIONS, (*body).to_owned())));
        let mut requests = Box::pin(join_all(requests));
        assert!(futures_util::poll!(&mut requests).is_pending());
        self.release();
        let (_, answers) = tokio::join!(plugs, requests);
        (answers, self.worker.seen().len() - before - 1)
    }
}

fn score(
    mlflow_version: &str,
    seen: &Seen,
    model: impl Fn(&Value, &[f64]) -> Answers,
) -> Result<WorkerResponse, Died> {
    let refuse = |message: &str| {
        let body = format!("{{\"error_code\": \"BAD_REQUEST\", \"message\": \"{message}\"}}");
        Ok(answer(400, "application/json", body))
    };
    let Ok(body) = serde_json::from_slice(&seen.body) else {
        return refuse("not JSON");
    };
    let Some(rows) = rows(&body) else {
        return refuse("not a scoring request");
    };
    if rows.contains(&KILLS) {
        return Err(Died);
    }
    match model(&body, &rows) {
        Err(message) => refuse(message),
        Ok(items) => {
            let items = items.join(", ");
            let body = if mlflow_version.starts_with('1') {
                format!("[{items}]")
            } else {
                format!("{{\"predictions\": [{items}]}}")
            };
            Ok(answer(200, "application/json", body))
        }
    }
}

/// A row that no worker survives.
pub(crate) const KILLS: f64 = -13.0;

/// The number of each row: its first cell.
fn rows(body: &Value) -> Option<Vec<f64>> {
    let rows = ["dataframe_records", "instances", "inputs"]
        .iter()
        .find_map(|field| body.get(field))
        .or_else(|| body.get("dataframe_split")?.get("data"))
        .or_else(|| body.get("data"))
        .unwrap_or(body);
    rows.as_array()?.iter().map(number).collect()
}

fn number(row: &Value) -> Option<f64> {
    match row {
        Value::Number(number) => number.as_f64(),
        Value::Array(cells) => number(cells.first()?),
        Value::Object(cells) => number(cells.values().next()?),
        _ => None,
    }
}

/// Models.
pub(crate) fn numbers(rows: &[f64]) -> Answers {
    if rows.iter().any(|row| *row < 0.0) {
        return Err("a row is negative");
    }
    Ok(rows.iter().map(|row| format!("{}", row * 2.0)).collect())
}

pub(crate) fn strings(rows: &[f64]) -> Answers {
    Ok(rows
        .iter()
        .map(|row| format!("\"no. {row}, \\\"]\""))
        .collect())
}

pub(crate) fn dicts(rows: &[f64]) -> Answers {
    Ok(rows
        .iter()
        .map(|row| format!("{{\"a\": {row}, \"b\": [1, {{}}]}}"))
        .collect())
}

pub(crate) fn lists(rows: &[f64]) -> Answers {
    Ok(rows
        .iter()
        .map(|row| format!("[{row}, [0.10, 1e5]]"))
        .collect())
}

pub(crate) fn not_finite(rows: &[f64]) -> Answers {
    let odd = ["NaN", "Infinity", "-Infinity", "null"];
    Ok(rows
        .iter()
        .map(|row| odd[(*row as usize) % 4].to_owned())
        .collect())
}

pub(crate) fn less_the_mean(rows: &[f64]) -> Answers {
    let mean = rows.iter().sum::<f64>() / rows.len() as f64;
    Ok(rows.iter().map(|row| format!("{}", row - mean)).collect())
}

pub(crate) fn one_for_all(rows: &[f64]) -> Answers {
    Ok(vec![format!("{}", rows.iter().sum::<f64>())])
}

/// Much text for each row above 1.
pub(crate) fn much(rows: &[f64]) -> Answers {
    let text = |row: &f64| {
        let length = if *row > 1.0 { 300_000 } else { 3 };
        format!("\"{}\"", "x".repeat(length))
    };
    Ok(rows.iter().map(text).collect())
}
