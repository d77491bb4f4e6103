//! What a caller gets is the same alone and in company.

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt};
use serving_core::Batching;

use super::scorer::{Model, Scorer, dicts, lists, not_finite, numbers, one_for_all, strings};
use crate::fixture::{Answer, INVOCATIONS, Setup, peer, post, read};

const MODELS: [(&str, Model); 5] = [
    ("numbers", numbers),
    ("strings", strings),
    ("dicts", dicts),
    ("lists", lists),
    ("not finite", not_finite),
];

/// Each form with three requests of one kind, and a version of workers that it is for.
const FORMS: [(&str, [&str; 3]); 6] = [
    (
        "3.17.2",
        [
            r#"{"dataframe_records": [{"x": 1.50, "y": "a"}]}"#,
            r#"{"dataframe_records": [{"x": 2.25, "y": "b"}, {"x": 3.5, "y": "]"}]}"#,
            r#" {"dataframe_records" : [ {"x": 7.0, "y": "c"} ] } "#,
        ],
    ),
    (
        "3.17.2",
        [
            r#"{"dataframe_split": {"columns": ["x"], "data": [[1], [2]]}}"#,
            r#"{"dataframe_split": {"columns": ["x"], "data": [[3]]}}"#,
            r#"{"dataframe_split": {"columns": ["x"], "data": [[4]]}}"#,
        ],
    ),
    (
        "3.17.2",
        [
            r#"{"instances": [[1, 2], [3, 4]], "params": {"k": 1}}"#,
            r#"{"instances": [[5, 6]], "params": {"k": 1}}"#,
            r#"{"instances": [[7, 8]], "params": {"k": 1}}"#,
        ],
    ),
    (
        "3.17.2",
        [
            r#"{"inputs": [1, 2]}"#,
            r#"{"inputs": [3]}"#,
            r#"{"inputs": [4]}"#,
        ],
    ),
    // Of old clients, for new workers: the answer is a bare list.
    (
        "3.17.2",
        [r#"[{"x": 1}]"#, r#"[{"x": 2}, {"x": 3}]"#, r#"[{"x": 4}]"#],
    ),
    (
        "1.30.1",
        [
            r#"{"columns": ["x"], "data": [[1]]}"#,
            r#"{"columns": ["x"], "data": [[2], [3]]}"#,
            r#"{"columns": ["x"], "data": [[4]]}"#,
        ],
    ),
];

fn same(one: &Answer, other: &Answer) {
    assert_eq!(one.status, other.status);
    assert_eq!(one.text(), other.text());
    for (name, value) in &one.headers {
        if name != "x-request-id" {
            assert_eq!(other.headers.get(name), Some(value), "{name}");
        }
    }
    assert_eq!(one.headers.len(), other.headers.len());
}

#[tokio::test]
async fn answers_in_company_are_byte_for_byte_those_alone() {
    for (name, model) in MODELS {
        for (mlflow_version, bodies) in FORMS {
            let mut scorer = Scorer::speaking(mlflow_version, model);
            let upstream = || {
                let keep_alive = std::time::Duration::from_secs(5);
                scorer.worker.upstream_of(mlflow_version, keep_alive)
            };
            let alone = Setup::default().batching(Batching::Off).over([upstream()]);
            let shared = Setup::default().batching(Batching::On).over([upstream()]);
            let expected = join_all(bodies.map(|body| alone.score(body))).await;
            let (answers, calls) = scorer.together(&shared, &bodies).await;
            assert_eq!(calls, 1, "{name} {mlflow_version} {}", bodies[0]);
            for (expected, answer) in expected.iter().zip(&answers) {
                assert_eq!(expected.status, 200, "{}", expected.text());
                same(expected, answer);
            }
        }
    }
}

#[tokio::test]
async fn unlike_requests_are_not_asked_together() {
    let mut scorer = Scorer::of(numbers);
    let gateway = Setup::default()
        .batching(Batching::On)
        .over([scorer.worker.upstream()]);
    let (answers, calls) = scorer
        .together(
            &gateway,
            &[
                r#"{"instances": [1]}"#,
                r#"{"instances": [1.5]}"#,
                r#"{"instances": [2], "params": {"k": 1}}"#,
                r#"{"instances": [2], "params": {"k": 2}}"#,
                r#"{"dataframe_records": [{"x": 3}]}"#,
                r#"{"dataframe_records": [{"y": 4}]}"#,
                r#"{"instances": [5]}"#,
            ],
        )
        .await;
    assert_eq!(calls, 6);
    let texts: Vec<_> = answers.iter().map(Answer::text).collect();
    assert_eq!(texts[6], "{\"predictions\": [10]}");
    assert_eq!(texts[1], "{\"predictions\": [3]}");
}

#[tokio::test]
async fn a_bad_row_is_its_owners_trouble_alone() {
    let mut scorer = Scorer::of(numbers);
    let upstream = || scorer.worker.upstream();
    let alone = Setup::default().batching(Batching::Off).over([upstream()]);
    let gateway = Setup::default().batching(Batching::On).over([upstream()]);
    let bad = r#"{"inputs": [-1]}"#;
    let expected = alone.score(bad).await;
    let bodies = [r#"{"inputs": [1]}"#, bad, r#"{"inputs": [2]}"#];
    let (answers, calls) = scorer.together(&gateway, &bodies).await;
    assert_eq!(calls, 4);
    assert_eq!(answers[0].text(), "{\"predictions\": [2]}");
    assert_eq!(answers[2].text(), "{\"predictions\": [4]}");
    let message = answers[1].is(400, "BAD_REQUEST");
    assert_eq!(message, expected.is(400, "BAD_REQUEST"));
    let metrics = gateway.metrics();
    for counted in [r#"way="replayed"} 3"#, r#"way="alone"} 1"#] {
        assert!(metrics.contains(counted), "{metrics}");
    }
}

#[tokio::test]
async fn a_row_that_kills_workers_costs_nobody_else_an_answer() {
    let mut scorer = Scorer::of(numbers);
    let gateway = Setup::default()
        .batching(Batching::On)
        .over([scorer.worker.upstream()]);
    let bodies = [
        r#"{"inputs": [1]}"#,
        r#"{"inputs": [-13]}"#,
        r#"{"inputs": [2]}"#,
    ];
    let (answers, _) = scorer.together(&gateway, &bodies).await;
    assert_eq!(answers[0].text(), "{\"predictions\": [2]}");
    answers[1].is(502, "WORKER_DIED");
    assert_eq!(answers[2].text(), "{\"predictions\": [4]}");
}

#[tokio::test]
async fn an_answer_that_is_not_one_item_a_row_is_nobodys() {
    let mut scorer = Scorer::of(one_for_all);
    let gateway = Setup::default()
        .batching(Batching::On)
        .over([scorer.worker.upstream()]);
    let bodies = [r#"{"inputs": [1, 2]}"#, r#"{"inputs": [3]}"#];
    let (answers, _) = scorer.together(&gateway, &bodies).await;
    assert_eq!(answers[0].text(), "{\"predictions\": [3]}");
    assert_eq!(answers[1].text(), "{\"predictions\": [3]}");
}

/// Requests, over so many connections: each row carries its caller's number.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_never_cross_between_callers() {
    const REQUESTS: u64 = 100_000;
    const CALLERS: usize = 64;
    let scorer = Scorer::of(numbers);
    let gateway = Setup::default()
        .batching(Batching::On)
        .over([scorer.worker.upstream(), scorer.worker.upstream()]);
    let plane = std::sync::Arc::clone(&gateway.plane);
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..CALLERS as u64 {
        let plane = std::sync::Arc::clone(&plane);
        callers.spawn(async move {
            let mine = (caller..REQUESTS).step_by(CALLERS);
            stream::iter(mine)
                .for_each(|number| {
                    let body = format!("{{\"instances\": [[{number}, 1], [{number}, 2]]}}");
                    let request = post(INVOCATIONS, body);
                    let plane = std::sync::Arc::clone(&plane);
                    async move {
                        let answer = read(plane.handle(request, peer()).await).await;
                        let twice = number * 2;
                        let expected = format!("{{\"predictions\": [{twice}, {twice}]}}");
                        assert_eq!(answer.text(), expected);
                    }
                })
                .await;
        });
    }
    while let Some(ended) = callers.join_next().await {
        ended.unwrap();
    }
    let calls = scorer.worker.seen().len();
    assert!(calls < 50_000, "{calls} calls: nothing was shared");
}
