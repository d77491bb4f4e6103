//! How long an answer of the registry counts: while it answers, and while it does not.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use integration_tests::{Guarded, Wire, World, until};
use tokio::time::{Instant, sleep};

use super::{BOTH, caller, deploy, reader, score};

const AGE: Duration = Duration::from_secs(4);
const OUTAGE: Duration = Duration::from_secs(30);

pub(super) async fn what_the_registry_takes_away_ends_within_the_age_and_its_outage_is_bridged_for_a_while(
    world: Arc<World>,
) -> Result<()> {
    let guarded = world.guarded().await?;
    let mut wire = Wire::to(guarded.server().address()).await?;
    let gateway = guarded
        .gateway(&world, world.environment().await?, &wire.url())
        .await?
        .variable("SLUICEGATE_AUTH_RIGHTS_AGE", "4s")
        .variable("SLUICEGATE_AUTH_RIGHTS_DENIED_AGE", "1s")
        .variable("SLUICEGATE_AUTH_RIGHTS_OUTAGE", "30s")
        .start()
        .await?;
    deploy(guarded, &gateway, "taken").await?;
    a_right_ends(guarded, &gateway).await?;
    an_outage_is_bridged(guarded, &gateway, &mut wire).await?;
    gateway.stop().await
}

async fn a_right_ends(guarded: &Guarded, gateway: &integration_tests::Gateway) -> Result<()> {
    let users = guarded.users()?;
    let account = reader(&users, "taken-reader", "taken").await?;
    for by in BOTH {
        let client = caller(gateway, &account, by).await?;
        until("the right is seen", async || {
            let answer = score(&client, "taken").await?;
            Ok(if answer.status == 200 {
                Ok(())
            } else {
                Err(answer.text())
            })
        })
        .await?;
        users.take(&account.user, "taken").await?;
        let taken = Instant::now();
        until("the right has ended", async || {
            let asked = Instant::now();
            let answer = score(&client, "taken").await?;
            assert!(
                answer.status == 404 || asked < taken + AGE,
                "{by:?}: {} was answered {:?} after the right had been taken away",
                answer.status,
                asked - taken
            );
            Ok(if answer.status == 404 {
                Ok(())
            } else {
                Err(answer.text())
            })
        })
        .await?;
        users.give(&account.user, "taken", "READ").await?;
    }
    Ok(())
}

async fn an_outage_is_bridged(
    guarded: &Guarded,
    gateway: &integration_tests::Gateway,
    wire: &mut Wire,
) -> Result<()> {
    let users = guarded.users()?;
    let account = reader(&users, "bridged-reader", "taken").await?;
    let unknown = reader(&users, "bridged-late", "taken").await?;
    let (mut known, mut late) = (Vec::new(), Vec::new());
    for by in BOTH {
        known.push(caller(gateway, &account, by).await?);
        late.push(caller(gateway, &unknown, by).await?);
    }
    let asked = Instant::now();
    for client in &known {
        score(client, "taken").await?.succeeded()?;
    }
    let answered = Instant::now();
    wire.cut().await;
    for client in &late {
        // Who was not known before is not known now, and hears that it may come again.
        for refused in [
            score(client, "taken").await?,
            client.get("/api/v1/models/taken").await?,
        ] {
            assert_eq!(refused.refused(503)?, "TEMPORARILY_UNAVAILABLE");
            assert_eq!(refused.header("retry-after"), "5");
        }
    }
    // The answers have grown too old, but there are no newer ones.
    while answered.elapsed() < AGE * 2 {
        for client in &known {
            let answer = score(client, "taken").await?;
            // What was known when it was asked for counts no shorter than that.
            let is_bridged = asked.elapsed() < OUTAGE;
            assert!(answer.status == 200 || !is_bridged, "{}", answer.text());
        }
        sleep(Duration::from_millis(200)).await;
    }
    for client in &known {
        until("the last answer stands no longer", async || {
            let asked = Instant::now();
            let answer = score(client, "taken").await?;
            assert!(
                answer.status == 503 || asked < answered + AGE + OUTAGE,
                "{} was answered {:?} after the last answer",
                answer.status,
                asked - answered
            );
            Ok(if answer.status == 503 {
                Ok(())
            } else {
                Err(answer.text())
            })
        })
        .await?;
    }
    wire.mend()?;
    for client in known.iter().chain(&late) {
        until("the registry is asked again", async || {
            let answer = score(client, "taken").await?;
            Ok(if answer.status == 200 {
                Ok(())
            } else {
                Err(answer.text())
            })
        })
        .await?;
    }
    Ok(())
}
