//! A place on the page as a person would say it: "in the row iris, the button Enable".

use std::fmt;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use thirtyfour::WebElement;
use thirtyfour::error::{WebDriverError, WebDriverErrorInner, WebDriverResult};

use super::page::Page;
use crate::wait::{PATIENCE, until_within};

/// Longer than anything that the page does by itself may take, on a busy machine.
pub(super) const SOON: Duration = Duration::from_secs(60);

/// Longer than what the page is told takes to be seen, and shorter than any of its own looks is away.
const LIVE: Duration = Duration::from_secs(10);

/// Finds the elements; ends with them in `found`.
const FIND: &str = include_str!("find.js");

/// Elements by role and name, within others. Looked up anew by each method: the page may have drawn itself again.
#[derive(Clone, Debug)]
pub struct Place<'a> {
    page: &'a Page,
    steps: Vec<(String, String)>,
    patience: Duration,
}

impl<'a> Place<'a> {
    pub(super) fn new(page: &'a Page) -> Self {
        Self {
            page,
            steps: Vec::new(),
            patience: SOON,
        }
    }

    /// Within this: a role (see `find.js`), and the name that is read out for it. One that is called so goes before those
    /// that have it somewhere in their name or text.
    #[must_use]
    pub fn at(mut self, role: &str, name: &str) -> Self {
        self.steps.push((role.to_owned(), name.to_owned()));
        self
    }

    /// Waits as long as a worker may take to come up.
    #[must_use]
    pub fn patiently(mut self) -> Self {
        self.patience = PATIENCE;
        self
    }

    /// Waits no longer than for what is live.
    #[must_use]
    pub fn live(mut self) -> Self {
        self.patience = LIVE;
        self
    }

    /// Waits until it is there.
    pub async fn there(&self) -> Result<()> {
        self.ask("is there", "return found.length > 0 || null;")
            .await
            .map(|_: bool| ())
    }

    /// Waits until it is not there any more.
    pub async fn gone(&self) -> Result<()> {
        self.ask("is gone", "return found.length === 0 || null;")
            .await
            .map(|_: bool| ())
    }

    /// How many there are now.
    pub async fn count(&self) -> Result<usize> {
        self.evaluate("return found.length;").await
    }

    /// The text of the first, once it is there.
    pub async fn text(&self) -> Result<String> {
        self.ask(
            "has a text",
            "return found.length > 0 ? found[0].innerText : null;",
        )
        .await
    }

    /// What stands in the field, once it is there.
    pub async fn value(&self) -> Result<String> {
        self.ask(
            "has a value",
            "return found.length > 0 ? found[0].value : null;",
        )
        .await
    }

    /// All characters of the first, also those that are not seen, once it is there.
    pub async fn characters(&self) -> Result<String> {
        self.ask(
            "has characters",
            "return found.length > 0 ? found[0].textContent : null;",
        )
        .await
    }

    /// An attribute of each that is there now.
    pub async fn attributes(&self, name: &str) -> Result<Vec<String>> {
        let script = format!(
            "return found.map((one) => one.getAttribute({}));",
            json!(name)
        );
        self.evaluate(&script).await
    }

    /// Waits until its text holds `text`.
    pub async fn shows(&self, text: &str) -> Result<()> {
        let script = format!(
            "return found.some((one) => one.innerText.includes({})) || null;",
            json!(text)
        );
        self.ask(&format!("shows {text:?}"), &script)
            .await
            .map(|_: bool| ())
    }

    /// Waits until it can be pressed, and presses it.
    pub async fn press(&self) -> Result<()> {
        self.act("is pressed", async |element| {
            element.scroll_into_view().await?;
            element.click().await
        })
        .await
    }

    /// Types into it, in place of what was there.
    pub async fn fill(&self, text: &str) -> Result<()> {
        self.act("is filled in", async |element| {
            element.clear().await?;
            element.send_keys(text).await
        })
        .await
    }

    /// Chooses from a list the first entry that begins with `text`.
    pub async fn choose(&self, text: &str) -> Result<()> {
        let script = format!(
            "const option = [...found[0]?.options ?? []].find((one) => one.text.startsWith({}));
             if (option === undefined) {{ return null; }}
             found[0].value = option.value;
             found[0].dispatchEvent(new Event('change', {{ bubbles: true }}));
             return true;",
            json!(text)
        );
        self.ask(&format!("offers {text:?}"), &script)
            .await
            .map(|_: bool| ())
    }

    /// Waits until a script about `found` gives anything but null.
    async fn ask<T: DeserializeOwned>(&self, what: &str, script: &str) -> Result<T> {
        let what = format!("{self} {what}");
        until_within(self.patience, &what, async || {
            let value: Value = self.evaluate(script).await?;
            Ok(if value.is_null() {
                Err("not yet")
            } else {
                Ok(serde_json::from_value(value)?)
            })
        })
        .await
    }

    async fn act(
        &self,
        what: &str,
        act: impl AsyncFn(WebElement) -> WebDriverResult<()>,
    ) -> Result<()> {
        let what = format!("{self} {what}");
        until_within(self.patience, &what, async || {
            let script = format!("{FIND}\nreturn found.filter((one) => !one.disabled);");
            let steps = vec![json!(self.steps)];
            let found = self.page.driver().execute(script, steps).await;
            let found = found.context("look on the page")?.elements()?;
            // Two that are called alike would be pressed by chance.
            ensure!(
                found.len() < 2,
                "{self} is ambiguous: {} of it",
                found.len()
            );
            let Some(element) = found.into_iter().next() else {
                return Ok(Err("not there, or disabled".to_owned()));
            };
            match act(element).await {
                Ok(()) => Ok(Ok(())),
                Err(error) if passes(&error) => Ok(Err(error.to_string())),
                Err(error) => Err(error.into()),
            }
        })
        .await
    }

    async fn evaluate<T: DeserializeOwned>(&self, script: &str) -> Result<T> {
        let script = format!("{FIND}\n{script}");
        let answer = self
            .page
            .driver()
            .execute(script, vec![json!(self.steps)])
            .await;
        Ok(answer.context("look on the page")?.convert()?)
    }
}

/// The page has drawn itself again meanwhile, or is about to.
fn passes(error: &WebDriverError) -> bool {
    matches!(
        error.as_inner(),
        WebDriverErrorInner::StaleElementReference(_)
            | WebDriverErrorInner::ElementClickIntercepted(_)
            | WebDriverErrorInner::ElementNotInteractable(_)
    )
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (role, name) in &self.steps {
            write!(formatter, "[{role} {name:?}] ")?;
        }
        Ok(())
    }
}
