//! The page as a person has it before them: going somewhere, looking, typing, and what the browser noticed meanwhile.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use thirtyfour::{Key, TypingData, WebDriver};
use tokio::sync::Mutex;

use super::guard::{self, Traffic};
use super::place::{Place, SOON};
use crate::client::encoded;
use crate::wait::until_within;

/// Stops of the tabulator in any view.
const MOST_STOPS: usize = 80;

/// What has the focus, as it is read out.
const FOCUSED: &str = "
    const one = document.activeElement;
    const name = one.getAttribute('aria-label')
        ?? (one.labels?.length > 0 ? one.labels[0].textContent : null)
        ?? one.innerText;
    // A row may have the ring of the link in it.
    const rings = (each) => {
        const style = getComputedStyle(each);
        return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0;
    };
    let ringed = one;
    while (ringed !== null && !rings(ringed)) { ringed = ringed.parentElement; }
    return {
        name: (name ?? '').replace(/\\s+/g, ' ').trim(),
        seen: ringed !== null,
    };";

/// A page, shown in a browser of its own.
#[derive(Debug)]
pub struct Page {
    driver: WebDriver,
    base: String,
    axe: PathBuf,
    traffic: Mutex<Traffic>,
}

#[derive(Debug, Deserialize)]
struct Focused {
    name: String,
    seen: bool,
}

impl Page {
    pub(super) async fn open(driver: WebDriver, base: &str, axe: &Path) -> Result<Self> {
        let page = Self {
            driver,
            base: base.to_owned(),
            axe: axe.to_owned(),
            traffic: Mutex::default(),
        };
        page.devtools("Page.enable", json!({})).await?;
        let guard = json!({ "source": guard::SCRIPT });
        page.devtools("Page.addScriptToEvaluateOnNewDocument", guard)
            .await?;
        Ok(page)
    }

    /// From the next document on, the page never asks again by itself after so long a time that a person would not call it
    /// live: whatever it still learns of, it was told.
    pub async fn without_polling(&self) -> Result<()> {
        let deaf = json!({ "source": include_str!("no_polling.js") });
        self.devtools("Page.addScriptToEvaluateOnNewDocument", deaf)
            .await?;
        Ok(())
    }

    /// Goes to a path of the gateway, as by the address bar.
    pub async fn goto(&self, path: &str) -> Result<()> {
        self.driver.goto(format!("{}{path}", self.base)).await?;
        Ok(())
    }

    /// Goes to a view of a model, as by the address bar.
    pub async fn goto_model(&self, model: &str, view: &str) -> Result<()> {
        self.goto(&format!("/ui/models/{}/{view}", encoded(model)))
            .await
    }

    /// Signs in with a token on the first view.
    pub async fn sign_in(&self, token: &str) -> Result<()> {
        self.goto("/").await?;
        self.at("textbox", "Token").fill(token).await?;
        self.at("button", "Sign in").press().await?;
        self.at("heading", "Models").there().await
    }

    /// Elements of a role (see `find.js`), by the name that is read out for them. The empty name is any.
    pub fn at(&self, role: &str, name: &str) -> Place<'_> {
        Place::new(self).at(role, name)
    }

    /// Types keys into what has the focus.
    pub async fn keys(&self, keys: impl Into<TypingData>) -> Result<()> {
        let typed = self.driver.action_chain().send_keys(keys);
        typed.perform().await?;
        Ok(())
    }

    /// Presses a key while another is held.
    pub async fn keys_with(&self, held: Key, key: Key) -> Result<()> {
        let typed = self.driver.action_chain().key_down(held.clone());
        typed.send_keys(key).key_up(held).perform().await?;
        Ok(())
    }

    /// Presses the tabulator until what is called `name` has the focus; fails if some stop on the way cannot be seen.
    pub async fn tab_to(&self, name: &str) -> Result<()> {
        self.step_to(name, async || self.keys(Key::Tab).await).await
    }

    /// The same backwards.
    pub async fn tab_back_to(&self, name: &str) -> Result<()> {
        self.step_to(name, async || self.keys_with(Key::Shift, Key::Tab).await)
            .await
    }

    /// Waits until what is called `name` has the focus.
    pub async fn focus_is(&self, name: &str) -> Result<()> {
        until_within(SOON, &format!("the focus is on {name:?}"), async || {
            let focused: Focused = self.run(FOCUSED, vec![]).await?;
            Ok(if focused.name == name {
                Ok(())
            } else {
                Err(focused.name)
            })
        })
        .await
    }

    async fn step_to(&self, name: &str, step: impl AsyncFn() -> Result<()>) -> Result<()> {
        let mut passed = Vec::new();
        for _ in 0..MOST_STOPS {
            step().await?;
            let focused: Focused = self.run(FOCUSED, vec![]).await?;
            ensure!(focused.seen, "the focus on {:?} is not seen", focused.name);
            if focused.name == name {
                return Ok(());
            }
            passed.push(focused.name);
        }
        bail!("the tabulator does not lead to {name:?}, but to {passed:?}")
    }

    /// All text that is shown.
    pub async fn text(&self) -> Result<String> {
        self.run("return document.body.innerText;", vec![]).await
    }

    /// Waits until a text is shown anywhere.
    pub async fn shows(&self, text: &str) -> Result<()> {
        self.at("main", "").shows(text).await
    }

    /// The path of the address.
    pub async fn path(&self) -> Result<String> {
        Ok(self.driver.current_url().await?.path().to_owned())
    }

    /// Marks the document, to find out later whether it is still the same.
    pub async fn mark(&self) -> Result<()> {
        let _: Value = self
            .run("window.marked = true; return null;", vec![])
            .await?;
        Ok(())
    }

    /// Whether the document is still the marked one: nothing was loaded anew.
    pub async fn is_marked(&self) -> Result<bool> {
        self.run("return window.marked === true;", vec![]).await
    }

    /// Waits until a script gives true.
    pub async fn holds(&self, what: &str, script: &str) -> Result<()> {
        until_within(SOON, what, async || {
            let holds: Value = self.run(script, vec![]).await?;
            Ok(if holds == true { Ok(()) } else { Err(holds) })
        })
        .await
    }

    /// Runs the body of a function in the page.
    pub async fn run<T: DeserializeOwned>(&self, script: &str, arguments: Vec<Value>) -> Result<T> {
        let answer = self.driver.execute(script, arguments).await;
        Ok(answer.context("run a script in the page")?.convert()?)
    }

    /// The same for one that gives its value to the last of its arguments.
    pub async fn run_async<T: DeserializeOwned>(&self, script: &str) -> Result<T> {
        let answer = self.driver.execute_async(script, Vec::new()).await;
        Ok(answer.context("run a script in the page")?.convert()?)
    }

    /// What was asked for so far.
    pub async fn traffic(&self) -> Result<Traffic> {
        let mut traffic = self.traffic.lock().await;
        traffic.read(&self.driver).await?;
        Ok(traffic.clone())
    }

    /// Fails if anything ran, was asked of somebody else, or went wrong.
    pub async fn guarded(&self) -> Result<()> {
        let errors = guard::errors(&self.driver).await?;
        ensure!(errors.is_empty(), "the console says: {errors:#?}");
        self.traffic().await?.check(&self.base)
    }

    /// An error with what is to be seen.
    pub(super) async fn explained(&self, error: anyhow::Error) -> anyhow::Error {
        let text = self.text().await.unwrap_or_else(|error| error.to_string());
        let errors = guard::errors(&self.driver).await.unwrap_or_default();
        error.context(format!(
            "The page shows:\n{text}\nIts console says: {errors:#?}\nWhat failed"
        ))
    }

    pub(super) fn driver(&self) -> &WebDriver {
        &self.driver
    }

    pub(super) fn axe(&self) -> &Path {
        &self.axe
    }

    /// A command of the browser's developer tools.
    pub(super) async fn devtools(&self, method: &str, parameters: Value) -> Result<Value> {
        let answer = self.driver.cdp().send_raw(method, parameters).await;
        answer.with_context(|| method.to_owned())
    }
}
