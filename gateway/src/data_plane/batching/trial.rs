//! Before anything is shared: the rows of the logged example, alone and together.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use tokio::time::{Instant, sleep};

use super::super::admission::Place;
use super::super::stack::VersionStack;
use super::check::difference;
use super::together::{Failed, together};
use super::turn::Asked;
use crate::protocol::merge::Mergeable;
use crate::protocol::{AnswerShape, Dialect, MediaType, translate};
use crate::telemetry::Trail;

/// Rows that are asked together, at least two different ones if the example has them.
const ROWS: usize = 8;
/// Together they may take this part of the time that they take one after another, at most. A worker computes one request at
/// a time, and most of a short one is spent before the model sees it: that is what company saves. Where more than half
/// remains, the model works, or waits, for each row by itself: then company delays the first for the last, and rows that
/// wait would better do so side by side.
const PAYS: f64 = 0.5;
/// Each time is the shortest of so many.
const TIMED: usize = 3;

/// Rows of the example that are looked at for some that may go together.
const LOOKED_AT: usize = 64;
/// That it does not pay must be seen so often: the first requests may have come many at a time.
const ATTEMPTS: u32 = 2;
const PAUSE: Duration = Duration::from_secs(1);
/// A call that takes longer is too dear to be made any more often than is needed.
const DEAR: Duration = Duration::from_secs(2);

/// What a trial may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Effort {
    rows: usize,
    timed: usize,
    attempts: u32,
}

/// The shortest times of a row alone and of all together.
#[derive(Clone, Copy, Debug)]
struct Measured {
    one: Duration,
    all: Duration,
}

/// How a trial ended.
#[derive(Debug)]
enum Outcome {
    Decided(bool, String),
    /// The worker died or was busy.
    Unknown(String),
}

/// Tries, and decides.
pub(super) async fn run(stack: Arc<VersionStack>) {
    match outcome(&stack).await {
        Outcome::Decided(on, reason) => stack.decide(on, &reason),
        Outcome::Unknown(reason) => {
            if !stack.batcher().verdict.ended_without(&reason) {
                stack.tell(false, &reason);
            }
        }
    }
}

async fn outcome(stack: &Arc<VersionStack>) -> Outcome {
    // The first request may have come to a version that sleeps, or between two workers.
    if stack.can_answer().await.is_none() {
        return Outcome::Unknown("the version is being stopped".to_owned());
    }
    let Some(dialect) = stack.dialect() else {
        return Outcome::Unknown("there was no worker to ask".to_owned());
    };
    let rows = match rows(stack, dialect) {
        Ok(rows) => rows,
        Err(reason) => return Outcome::Decided(false, reason.to_owned()),
    };
    match compare(stack, &rows).await {
        Ok(outcome) => outcome,
        Err(Failed::Unasked | Failed::Unanswered) => {
            Outcome::Unknown("the worker did not answer the logged example".to_owned())
        }
        Err(Failed::Status(status)) if status.is_server_error() => Outcome::Unknown(format!(
            "the worker answered {status} to the logged example"
        )),
        Err(Failed::Status(status)) => Outcome::Decided(
            false,
            format!("the worker answered {status} to the logged example"),
        ),
        Err(Failed::NotByRow) => Outcome::Decided(
            false,
            "the model does not answer one item for each row".to_owned(),
        ),
    }
}

/// The example's rows, each as a request of its own, all of one kind.
fn rows(stack: &VersionStack, dialect: Dialect) -> Result<Vec<Asked>, &'static str> {
    const ELSEWHERE: &str = "the logged example is none of rows that can be joined";
    let about = stack.about();
    let example = about.as_ref().and_then(|about| about.example.as_ref());
    let example = example.ok_or("the model was logged without an input example")?;
    let media_type =
        MediaType::parse(Some(example.content_type.as_bytes())).map_err(|_| ELSEWHERE)?;
    let whole =
        translate(media_type, dialect, example.body.clone().into()).map_err(|_| ELSEWHERE)?;
    let rows = largest_group(Mergeable::one_by_one(dialect, &whole, LOOKED_AT));
    if rows.is_empty() {
        return Err(ELSEWHERE);
    }
    Ok(rows
        .into_iter()
        .take(ROWS)
        .map(|rows| Asked {
            rows,
            dialect,
            shape: AnswerShape::AsItIs,
            headers: HeaderMap::new(),
            trail: Trail::default(),
            memory: Arc::new(()),
        })
        .collect())
}

/// As many as may share a call: in real data, some rows lack what others have.
fn largest_group(rows: Vec<Mergeable>) -> Vec<Mergeable> {
    let alike = |one: &&Mergeable| rows.iter().filter(|row| row.key() == one.key()).count();
    // Of equal groups, the one that comes first.
    let Some(key) = rows.iter().rev().max_by_key(alike).map(Mergeable::key) else {
        return Vec::new();
    };
    let key = key.clone();
    rows.into_iter().filter(|row| *row.key() == key).collect()
}

impl Effort {
    /// For a model whose first call took so long.
    fn after(first: Duration) -> Self {
        if first > DEAR {
            return Self {
                rows: 2,
                timed: 1,
                attempts: 1,
            };
        }
        Self {
            rows: ROWS,
            timed: TIMED,
            attempts: ATTEMPTS,
        }
    }
}

async fn compare(stack: &Arc<VersionStack>, rows: &[Asked]) -> Result<Outcome, Failed> {
    let mut attempt = 1;
    loop {
        let (effort, measured) = measure(stack, rows).await?;
        let Measured { one, all } = match measured {
            Ok(measured) => measured,
            Err(difference) => {
                let reason = format!(
                    "rows of the logged example are answered otherwise in company: {difference}"
                );
                return Ok(Outcome::Decided(false, reason));
            }
        };
        let told = format!(
            "{ROWS} rows take {:.1} ms together and {:.1} ms each alone",
            milliseconds(all),
            milliseconds(one)
        );
        if pays(one, all, ROWS) {
            let reason =
                format!("rows of the logged example are answered alike alone and together; {told}");
            return Ok(Outcome::Decided(true, reason));
        }
        if attempt >= effort.attempts {
            return Ok(Outcome::Decided(false, format!("it would not pay: {told}")));
        }
        attempt += 1;
        sleep(PAUSE).await;
    }
}

/// Asks about the rows, each alone and all together. The times, or the first difference.
async fn measure(
    stack: &Arc<VersionStack>,
    rows: &[Asked],
) -> Result<(Effort, Result<Measured, String>), Failed> {
    let Some(first) = rows.first() else {
        return Err(Failed::NotByRow);
    };
    let (mut expected, mut one) = timed(stack, std::slice::from_ref(first)).await?;
    let effort = Effort::after(one);
    let rows = &rows[..rows.len().min(effort.rows)];
    let alone = rows.iter().cycle().take(rows.len().max(effort.timed));
    for row in alone.skip(1) {
        let (answer, time) = timed(stack, std::slice::from_ref(row)).await?;
        expected.extend(answer);
        one = one.min(time);
    }
    let company: Vec<Asked> = rows.iter().cycle().take(ROWS).cloned().collect();
    let expected: Vec<Bytes> = expected
        .iter()
        .take(rows.len())
        .cycle()
        .take(ROWS)
        .cloned()
        .collect();
    let mut all = Duration::MAX;
    for _ in 0..effort.timed {
        let (answer, time) = timed(stack, &company).await?;
        if let Some(difference) = difference(&expected, &answer) {
            return Ok((effort, Err(difference)));
        }
        all = all.min(time);
    }
    Ok((effort, Ok(Measured { one, all })))
}

/// Whether so many rows that take `all` together and `one` each alone are better asked together.
fn pays(one: Duration, all: Duration, rows: usize) -> bool {
    let rows = u32::try_from(rows).unwrap_or(u32::MAX);
    all <= one.saturating_mul(rows).mul_f64(PAYS)
}

/// Asks about rows that are one request each; their answers, and how long they took with the place that they waited for
/// left out.
async fn timed(
    stack: &Arc<VersionStack>,
    rows: &[Asked],
) -> Result<(Vec<Bytes>, Duration), Failed> {
    let deadline = Instant::now() + stack.settings().timeout;
    let permit = stack.admit_again(deadline).await;
    let permit = permit.map_err(|_| Failed::Unasked)?;
    let began = Instant::now();
    let shares = together(stack, rows, Place::new(permit, None), deadline).await?;
    let time = began.elapsed();
    Ok((shares.into_iter().map(|share| share.body).collect(), time))
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dear_model_is_asked_three_times_and_no_more() {
        let dear = Effort::after(Duration::from_secs(20));
        assert_eq!(
            (dear.rows.max(dear.timed) + dear.timed, dear.attempts),
            (3, 1)
        );
        let usual = Effort::after(Duration::from_millis(20));
        assert!(usual.rows > dear.rows && usual.attempts > 1);
    }

    #[test]
    fn company_pays_where_at_least_half_of_the_time_is_saved() {
        for (one, all, rows, expected) in [
            // Most of a request is spent before the model sees it.
            (5_000, 5_200, 8, true),
            (5_000, 20_000, 8, true),
            (5_000, 20_001, 8, false),
            // The model works, or waits, for each row.
            (100_000, 800_000, 8, false),
            (100_000, 100_000, 1, false),
            (0, 1, 8, false),
            (0, 0, 8, true),
        ] {
            let (one_took, all_took) = (Duration::from_micros(one), Duration::from_micros(all));
            let told = format!("{rows} rows, {one} us each, {all} us together");
            assert_eq!(pays(one_took, all_took, rows), expected, "{told}");
        }
        assert!(pays(Duration::MAX, Duration::from_secs(1), usize::MAX));
    }
}
