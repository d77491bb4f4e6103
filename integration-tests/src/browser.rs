//! A real browser, driven over WebDriver: one ChromeDriver for a test binary, and a session of its own for each visit.

mod guard;
mod look;
mod page;
mod place;
mod tools;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result, bail};
use serde_json::json;
use thirtyfour::common::capabilities::chromium::ChromiumLikeCapabilities;
use thirtyfour::{CapabilitiesHelper, ChromeCapabilities, WebDriver, WebDriverRunError};
use tokio::sync::Semaphore;

use crate::environment::Environment;
use crate::process::{Process, command};
use crate::run::Run;
use crate::wait::until;
use tools::Tools;

pub use look::{NARROW, Scheme, Size, WIDE};
pub use page::Page;
pub use place::Place;

/// Browsers at a time: each takes a processor while it starts, and the workers of the tests want one, too.
const AT_ONCE: usize = 2;

/// ChromeDriver, and what it needs to start browsers.
#[derive(Debug)]
pub struct Browser {
    tools: Tools,
    driver: Process,
    url: String,
    profiles: PathBuf,
    visits: AtomicU32,
    places: Semaphore,
}

impl Browser {
    /// Starts ChromeDriver on a port that the system chooses. Where there is no browser, the test is left out.
    pub async fn start(run: &Run, environment: &Environment) -> Result<Self> {
        let tools = Tools::find().await?;
        let home = run.folder("browser")?;
        let mut start = command(&tools.chromedriver);
        start
            // What the browser keeps for its user is the run's, and its processes are known by that.
            .env("HOME", &home)
            .env("PATH", environment.path())
            .current_dir(&home)
            .args(["--port=0", "--log-level=WARNING"]);
        let log = home.join("chromedriver.log");
        let mut driver = Process::spawn(start, &log)?;
        let port = until("ChromeDriver listens", async || {
            let text = std::fs::read_to_string(&log)?;
            if let Some(status) = driver.ended()? {
                bail!("ChromeDriver ended with {status}:\n{text}");
            }
            let port = text
                .lines()
                .find_map(|line| line.split_once("started successfully on port "))
                .and_then(|(_, port)| port.trim_end_matches('.').parse::<u16>().ok());
            Ok(port.ok_or(text))
        })
        .await?;
        Ok(Self {
            tools,
            driver,
            url: format!("http://127.0.0.1:{port}"),
            profiles: home,
            visits: AtomicU32::new(0),
            places: Semaphore::new(AT_ONCE),
        })
    }

    /// A person with a fresh browser visits the page of the gateway at `base`. Fails if the visit does, or if anything
    /// ran, was asked of somebody else, or went wrong in the page meanwhile. Ends the browser in any case.
    pub async fn visit<T>(
        &self,
        base: &str,
        visit: impl AsyncFnOnce(&Page) -> Result<T>,
    ) -> Result<T> {
        let _place = self.places.acquire().await?;
        let driver = self.open().await?;
        let result = driver
            .run_and_quit(|driver| async move {
                let page = Page::open(driver, base, &self.tools.axe).await?;
                let outcome = visit(&page).await;
                let told = page.guarded().await;
                match outcome {
                    Ok(value) => told.map(|()| value),
                    Err(error) => Err(page.explained(error).await),
                }
            })
            .await;
        result.map_err(|error| match error {
            WebDriverRunError::Body(error) => error,
            other => anyhow::anyhow!("{other:?}"),
        })
    }

    /// Ends it.
    pub async fn stop(mut self) -> Result<()> {
        self.driver.terminate().await.map(drop)
    }

    async fn open(&self) -> Result<WebDriver> {
        let number = self.visits.fetch_add(1, Ordering::Relaxed);
        let profile = self.profiles.join(format!("profile{number:03}"));
        let mut wishes = ChromeCapabilities::new();
        wishes.set_binary(self.tools.chromium.to_str().context("UTF-8")?)?;
        for argument in [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--disable-breakpad",
            "--disable-component-update",
            "--disable-crash-reporter",
            "--disable-default-apps",
            "--disable-extensions",
            "--disable-quic",
            "--disable-sync",
            "--no-first-run",
            "--password-store=basic",
            // Whatever it still wants from elsewhere, it does not find.
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            "--window-size=1280,900",
        ] {
            wishes.add_arg(argument)?;
        }
        wishes.add_arg(&format!("--user-data-dir={}", profile.display()))?;
        let logs = json!({ "browser": "ALL", "performance": "ALL" });
        wishes.set("goog:loggingPrefs", logs)?;
        let driver = WebDriver::new(&self.url, wishes).await;
        driver.with_context(|| {
            let log = std::fs::read_to_string(self.driver.log());
            format!("open a browser: {}", log.unwrap_or_default())
        })
    }
}
