//! That the guard over every visit sees what it is there for: a guard that sees nothing would let every other test pass.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use integration_tests::{Page, World};
use serde_json::json;

use super::visit;

/// What a page may not do, by what is told of it.
const MISDEEDS: [(&str, &str); 4] = [
    (
        "GUARD policy: style-src-elem",
        "const style = document.createElement('style');
         style.textContent = '* { color: red }';
         document.head.append(style);",
    ),
    ("GUARD dialog: alert 1", "setTimeout(() => alert(1));"),
    (
        "Uncaught (in promise) Error: nobody",
        "Promise.reject(new Error('nobody'));",
    ),
    (
        "Uncaught Error: nobody",
        "setTimeout(() => { throw new Error('nobody'); });",
    ),
];

/// What can be seen and is wrong, by what is told of it.
const FLAWS: [(&str, &str); 2] = [
    (
        "can be moved sideways",
        "const flaw = document.createElement('div');
         flaw.id = 'flaw';
         flaw.style.width = '3000px';
         flaw.textContent = 'wide';
         document.querySelector('main').append(flaw);",
    ),
    (
        "image-alt (critical)",
        "const flaw = document.createElement('img');
         flaw.id = 'flaw';
         flaw.src = '/ui/icon.svg';
         document.querySelector('main').append(flaw);",
    ),
];

pub(super) async fn a_misdeed_of_the_page_fails_the_visit(world: Arc<World>) -> Result<()> {
    let client = world.client().await?;
    let elsewhere = format!("{}/health", world.mlflow().await?.url());
    let pictures = world.run().await?.folder("pictures")?;
    let outcome = visit(&world, client, async |page| {
        for (told, misdeed) in MISDEEDS {
            page.guarded().await?;
            fails(told, async || {
                act(page, misdeed).await?;
                page.guarded().await
            })
            .await?;
        }
        for (told, flaw) in FLAWS {
            act(page, flaw).await?;
            fails(told, async || page.look(&pictures, "flaw").await).await?;
            act(page, "document.getElementById('flaw').remove();").await?;
        }
        page.guarded().await?;
        // Last, for it is never forgotten: somebody else is asked.
        let leave = "setTimeout(() => { location.href = arguments[0]; }); return null;";
        let () = page.run(leave, vec![json!(elsewhere)]).await?;
        let left = "return location.href.endsWith('/health');";
        page.holds("the page was left", left).await
    })
    .await;
    let error = outcome.err().context("the visit fails")?;
    let said = format!("{error:#}");
    ensure!(
        said.contains("another origin") && said.contains(&elsewhere),
        "{said}"
    );
    Ok(())
}

/// Does it, and waits until its consequences have been told.
async fn act(page: &Page, script: &str) -> Result<()> {
    let script = format!(
        "const done = arguments[arguments.length - 1];
         {script}
         setTimeout(() => requestAnimationFrame(() => done(true)), 50);"
    );
    let _: bool = page.run_async(&script).await?;
    Ok(())
}

/// Fails unless `attempt` does, with these words.
async fn fails(told: &str, attempt: impl AsyncFn() -> Result<()>) -> Result<()> {
    let error = attempt().await.err().context(told.to_owned())?;
    let said = format!("{error:#}");
    ensure!(said.contains(told), "{told} is not in: {said}");
    Ok(())
}
