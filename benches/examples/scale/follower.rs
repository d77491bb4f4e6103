//! Follows a registry in a process of its own, and tells what each poll took.
//!
//! The first poll finds everything new, the last finds one change, those between find nothing.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use registry_sync::{Interest, RegistryConfig, RegistryHandle, RegistrySync};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::thread_time::{microseconds, thread_time};

/// Prints a line of JSON a poll.
pub(crate) fn run(url: &str, polls: u32) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(follow(&Url::parse(url)?, polls))
}

#[expect(clippy::print_stdout, reason = "another process reads it")]
async fn follow(url: &Url, polls: u32) -> Result<()> {
    let config = RegistryConfig {
        poll_interval: Duration::from_secs(3600),
        catalog_interval: Duration::from_secs(3600),
        ..RegistryConfig::new(url.clone())
    };
    let (_interest, interest) = watch::channel(Interest::All);
    let began = thread_time();
    let (sync, handle) = RegistrySync::new(config, interest, None)?;
    let (shutdown, mut task) = (CancellationToken::new(), JoinSet::new());
    task.spawn(sync.run(shutdown.clone()));
    let mut before = began;
    for number in 1..=polls {
        let last = number == polls && polls > 1;
        if last {
            change(url).await?;
        }
        // The wish for the first poll is fulfilled by it.
        handle.polled().await;
        let status = handle.status().borrow().clone();
        ensure!(status.error.is_none(), "the poll failed: {status:?}");
        let now = thread_time();
        let told = json!({
            "versions": versions(&handle)?,
            "wall_us": microseconds(status.took),
            "cpu_us": microseconds(now.saturating_sub(before)),
            "calls": status.calls,
            "bytes": status.bytes,
        });
        println!("{told}");
        before = thread_time();
    }
    shutdown.cancel();
    task.join_all().await;
    Ok(())
}

fn versions(handle: &RegistryHandle) -> Result<usize> {
    let aspired = handle.aspired().borrow().as_ref().map(Arc::clone);
    let aspired = aspired.context("something is aspired")?;
    Ok(aspired
        .models
        .values()
        .map(|model| model.versions.len())
        .sum())
}

/// Has one version moved to another stage.
async fn change(url: &Url) -> Result<()> {
    let port = url.port().context("a port")?;
    let mut connection = TcpStream::connect(("127.0.0.1", port)).await?;
    let request = b"POST /change HTTP/1.1\r\nhost: registry\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    connection.write_all(request).await?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await?;
    ensure!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    Ok(())
}
