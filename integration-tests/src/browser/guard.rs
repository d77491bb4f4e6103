//! What no visit may see: anything that ran though it was text, an error, a dialog, a request to somebody else.

use std::collections::HashMap;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use thirtyfour::WebDriver;

/// Tells the console of violations of the policy and of dialogs; of errors that nobody handled, the browser does.
pub(super) const SCRIPT: &str = include_str!("guard.js");

/// What the browser asked for, and how much it got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Addresses, in the order of asking.
    pub requests: Vec<String>,
    /// Files of the page that were not there.
    pub missing: Vec<String>,
    /// Addresses of answers that have ended.
    pub answered: Vec<String>,
    /// Address and bytes of each answer, by what it is known by.
    answers: HashMap<String, (String, u64)>,
}

/// What the console says that is an error; that a request failed is the page's to handle.
pub(super) async fn errors(driver: &WebDriver) -> Result<Vec<String>> {
    let log = driver.get_log("browser").await;
    let log = log.context("read the browser's log")?;
    let errors = log
        .into_iter()
        .filter(|entry| entry.level == "SEVERE" && entry.source.as_deref() != Some("network"));
    Ok(errors.map(|entry| entry.message).collect())
}

impl Traffic {
    /// Adds what happened since it was last asked.
    pub(super) async fn read(&mut self, driver: &WebDriver) -> Result<()> {
        let log = driver.get_log("performance").await;
        for entry in log.context("read the log of requests")? {
            let told: Value = serde_json::from_str(&entry.message)?;
            let message = &told["message"];
            self.add(message["method"].as_str().unwrap_or(""), &message["params"]);
        }
        Ok(())
    }

    fn add(&mut self, method: &str, told: &Value) {
        let text = |key: &str| told[key].as_str().unwrap_or_default().to_owned();
        match method {
            "Network.requestWillBeSent" => {
                // The empty page of its own that a browser begins with.
                if text("documentURL").starts_with("chrome") {
                    return;
                }
                let url = told["request"]["url"].as_str().unwrap_or_default();
                self.requests.push(url.to_owned());
                self.answers.insert(text("requestId"), (url.to_owned(), 0));
            }
            "Network.responseReceived" => {
                let url = told["response"]["url"].as_str().unwrap_or_default();
                let status = told["response"]["status"].as_u64();
                if url.contains("/ui/") && status.is_some_and(|status| status >= 400) {
                    self.missing.push(url.to_owned());
                }
                self.grow(&text("requestId"), &told["response"]["encodedDataLength"]);
            }
            // Streams do not end: what came of them counts as it comes.
            "Network.dataReceived" => {
                let length = [&told["encodedDataLength"], &told["dataLength"]];
                let length = length.into_iter().find(|one| length_of(one) > 0);
                self.grow(&text("requestId"), length.unwrap_or(&Value::Null));
            }
            "Network.loadingFinished" => {
                if let Some((url, bytes)) = self.answers.get_mut(&text("requestId")) {
                    *bytes = length_of(&told["encodedDataLength"]);
                    self.answered.push(url.clone());
                }
            }
            _ => (),
        }
    }

    /// Bytes that came over the line: headers, and bodies as they were compressed.
    pub fn bytes(&self) -> u64 {
        self.answers.values().map(|(_, bytes)| bytes).sum()
    }

    /// The bytes of each answer, most first.
    pub fn largest(&self) -> Vec<(u64, &str)> {
        let answers = self.answers.values();
        let mut sizes: Vec<_> = answers.map(|(url, bytes)| (*bytes, url.as_str())).collect();
        sizes.sort_unstable_by(|one, other| other.cmp(one));
        sizes
    }

    fn grow(&mut self, request: &str, length: &Value) {
        if let Some((_, bytes)) = self.answers.get_mut(request) {
            *bytes += length_of(length);
        }
    }

    /// Fails if anything but the gateway at `base` was asked, or a file of the page was not there.
    pub(super) fn check(&self, base: &str) -> Result<()> {
        let own = format!("{base}/");
        let foreign: Vec<_> = self
            .requests
            .iter()
            .filter(|url| {
                !url.starts_with(&own) && !url.starts_with("blob:") && *url != "about:blank"
            })
            .collect();
        ensure!(foreign.is_empty(), "asked of another origin: {foreign:?}");
        ensure!(self.missing.is_empty(), "not there: {:?}", self.missing);
        Ok(())
    }
}

/// A length, which is told as a number with a fraction that is always zero.
fn length_of(told: &Value) -> u64 {
    let length = told.as_f64().unwrap_or_default();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a length"
    )]
    let length = length as u64;
    length
}
