//! What micro-batching costs a row: reading a request, joining 64 single rows, cutting their answers; and a row's way through
//! the queue. `-- --quick` for a first look.

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput};
use gateway::protocol::merge::{Mergeable, join, split};
use gateway::protocol::{Dialect, MediaType, Translation, translate};
use serving_core::batch::{BatchLimits, BatchQueue};

/// Callers whose rows go together.
const CALLERS: usize = 64;

const RECORDS: &str = "{\"dataframe_records\": [{\"sepal_length\": 5.1, \"sepal_width\": 3.5, \
     \"petal_length\": 1.4, \"petal_width\": 0.2}]}";
const SPLIT: &str = "{\"dataframe_split\": {\"columns\": [\"sepal_length\", \"sepal_width\", \
     \"petal_length\", \"petal_width\"], \"data\": [[5.1, 3.5, 1.4, 0.2]]}}";
const INSTANCES: &str = "{\"instances\": [[5.1, 3.5, 1.4, 0.2]]}";

fn request(body: String) -> Translation {
    match translate(MediaType::Json, Dialect::V2, Bytes::from(body).into()) {
        Ok(translation) => translation,
        Err(rejection) => panic!("{rejection}"),
    }
}

fn mergeable(request: &Translation) -> Mergeable {
    match Mergeable::read(Dialect::V2, request) {
        Some(mergeable) => mergeable,
        None => panic!("this goes alone"),
    }
}

fn reading(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("read one row");
    for (name, body) in [
        ("records", RECORDS),
        ("split", SPLIT),
        ("instances", INSTANCES),
    ] {
        let request = request(body.to_owned());
        group.bench_function(name, |bencher| {
            bencher.iter(|| mergeable(black_box(&request)));
        });
    }
    group.finish();
    let mut group = criterion.benchmark_group("read 256 rows");
    group.throughput(Throughput::Elements(256));
    let row = "[5.1, 3.5, 1.4, 0.2]";
    let rows = SPLIT.replace(row, &vec![row; 256].join(", "));
    let request = request(rows);
    group.bench_function("split", |bencher| {
        bencher.iter(|| mergeable(black_box(&request)));
    });
    group.finish();
}

fn joining(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("join 64 single rows");
    group.throughput(Throughput::Elements(CALLERS as u64));
    for (name, body) in [("records", RECORDS), ("split", SPLIT)] {
        let requests: Vec<Mergeable> = (0..CALLERS)
            .map(|_| mergeable(&request(body.to_owned())))
            .collect();
        group.bench_function(name, |bencher| {
            bencher.iter(|| join(black_box(&requests)));
        });
    }
    group.finish();
}

fn cutting(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cut 64 answers");
    group.throughput(Throughput::Elements(CALLERS as u64));
    let rows = [1; CALLERS];
    for (name, item) in [
        ("numbers", "1"),
        ("probabilities", "[0.97, 0.02, 0.01]"),
        ("objects", "{\"label\": \"setosa\", \"score\": 0.97}"),
    ] {
        let items = [item; CALLERS].join(", ");
        let answer = Bytes::from(format!("{{\"predictions\": [{items}]}}"));
        group.bench_function(name, |bencher| {
            bencher.iter(|| split(black_box(&answer), &rows));
        });
    }
    group.finish();
}

fn queueing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("queue 64 items");
    group.throughput(Throughput::Elements(CALLERS as u64));
    let runtime = match tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
    {
        Ok(runtime) => runtime,
        Err(reason) => panic!("{reason}"),
    };
    let key = mergeable(&request(RECORDS.to_owned())).key().clone();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(3600);
    group.bench_function("offer, pull, answer", |bencher| {
        let queue = BatchQueue::new(BatchLimits {
            max_items: CALLERS,
            max_weight: CALLERS,
            max_delay: Duration::ZERO,
        });
        bencher.to_async(&runtime).iter_batched(
            || vec![key.clone(); CALLERS],
            |keys| {
                let queue = &queue;
                async move {
                    let mut callers = Vec::with_capacity(CALLERS);
                    for key in keys {
                        callers.extend(queue.offer((), Some(key), 1, deadline));
                    }
                    for member in queue.next().await.into_iter().flat_map(|it| it.members) {
                        member.answer(());
                    }
                    for caller in callers {
                        let _ = black_box(caller.answer().await);
                    }
                }
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    reading(&mut criterion);
    joining(&mut criterion);
    cutting(&mut criterion);
    queueing(&mut criterion);
    criterion.final_summary();
}
