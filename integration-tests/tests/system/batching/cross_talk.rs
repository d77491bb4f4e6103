//! Each row carries its caller's number, and each caller gets its own back, however many share a call.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use anyhow::{Result, ensure};
use futures_util::future::{join, try_join_all};
use integration_tests::{World, until};

use super::{Asked, CALLERS, JSON};

const REQUESTS: usize = 100_000;

/// Asks about a number that nobody else asks about.
async fn echo(asked: &Asked, number: usize) -> Result<()> {
    let body = format!(r#"{{"dataframe_records": [{{"number": {number}}}]}}"#);
    let answer = asked.one(JSON, &body).await?;
    let expected = format!(r#"{{"predictions": [{number}]}}"#);
    ensure!(
        answer.status == 200 && answer.text() == expected,
        "{number} is answered {answer:?}"
    );
    Ok(())
}

pub(super) async fn each_of_a_hundred_thousand_requests_gets_its_own_answer(
    world: Arc<World>,
) -> Result<()> {
    let asked = Asked::rowwise(&world, "echoes").await?;
    let next = AtomicUsize::new(0);
    let callers = (0..CALLERS).map(async |_| {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= REQUESTS {
                return anyhow::Ok(());
            }
            echo(&asked, number).await?;
        }
    });
    try_join_all(callers).await?;
    let went = asked.went().await?;
    let requests = REQUESTS as u64;
    ensure!(went.alone + went.batched == requests, "{went:?}");
    ensure!(went.batched > requests / 2, "{went:?}");
    ensure!(
        went.rows == requests && went.calls < requests / 2,
        "{went:?}"
    );
    asked.gateway.stop().await
}

pub(super) async fn sharing_is_turned_off_and_on_under_load_and_no_request_fails(
    world: Arc<World>,
) -> Result<()> {
    let asked = Asked::rowwise(&world, "turned-off").await?;
    let (next, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let callers = (0..CALLERS).map(async |_| {
        while !is_over.load(Ordering::Relaxed) {
            echo(&asked, next.fetch_add(1, Ordering::Relaxed)).await?;
        }
        anyhow::Ok(())
    });
    let turning = async {
        let turned = turn_off_and_on(&asked).await;
        is_over.store(true, Ordering::Relaxed);
        turned
    };
    let (answered, turned) = join(try_join_all(callers), turning).await;
    answered?;
    turned?;
    asked.gateway.stop().await
}

async fn turn_off_and_on(asked: &Asked) -> Result<()> {
    const FEW: u64 = 200;
    for _ in 0..3 {
        let before = asked.went().await?;
        until("calls are shared", async || {
            let went = asked.went().await?.since(before);
            Ok(if went.batched > FEW {
                Ok(())
            } else {
                Err(format!("{went:?}"))
            })
        })
        .await?;
        asked.set("off").await?;
        // Those who were in company when it was said are through.
        let before = asked.went().await?;
        until("all of them go alone", async || {
            let went = asked.went().await?.since(before);
            Ok(if went.alone > FEW {
                Ok(())
            } else {
                Err(format!("{went:?}"))
            })
        })
        .await?;
        let before = asked.went().await?;
        until("they still do", async || {
            let went = asked.went().await?.since(before);
            ensure!(went.batched == 0, "{went:?}");
            Ok(if went.alone > FEW {
                Ok(())
            } else {
                Err(format!("{went:?}"))
            })
        })
        .await?;
        asked.set("on").await?;
    }
    Ok(())
}
