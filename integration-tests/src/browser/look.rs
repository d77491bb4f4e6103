//! A view as it looks: sizes, light and dark, pictures, and axe-core's judgement.

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::page::Page;

/// Width and height of the window, in CSS pixels.
pub type Size = (u32, u32);

/// A desk.
pub const WIDE: Size = (1280, 900);

/// A telephone.
pub const NARROW: Size = (380, 800);

/// What the system prefers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Dark on light.
    Light,
    /// Light on dark.
    Dark,
}

/// What axe-core objects to.
#[derive(Debug, Deserialize)]
struct Violation {
    id: String,
    impact: Option<String>,
    help: String,
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    html: String,
    #[serde(rename = "failureSummary")]
    summary: Option<String>,
}

/// Answers when what was drawn last is to be seen, and what moves has stopped or goes on for ever.
const SETTLED: &str = "
    const done = arguments[arguments.length - 1];
    requestAnimationFrame(() => requestAnimationFrame(() => done(true)));";

/// All of the page, unless it is endless.
const WHOLE: &str = "
    const root = document.scrollingElement;
    return { x: 0, y: 0, width: innerWidth, height: Math.min(root.scrollHeight, 4000), scale: 1 };";

const AXE: &str = "
    const done = arguments[arguments.length - 1];
    const tags = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'];
    axe.run(document, { runOnly: tags, resultTypes: ['violations'] })
        .then((result) => done(result.violations), (error) => done(String(error)));";

/// What reaches beyond the right edge, innermost first; nothing if the page cannot be moved sideways.
const TOO_WIDE: &str = "
    const root = document.scrollingElement;
    if (root.scrollWidth <= innerWidth) { return []; }
    return [...document.querySelectorAll('body *')].reverse()
        .filter((one) => one.getBoundingClientRect().right > innerWidth + 1)
        .slice(0, 5).map((one) => one.cloneNode(false).outerHTML);";

impl Page {
    /// Resizes the window, and sets what the system prefers.
    pub async fn set_look(&self, size: Size, scheme: Scheme) -> Result<()> {
        self.set_sharp_look(size, scheme, 1.0).await
    }

    /// A picture for people who read about the page: with `scale` dots for each pixel of CSS, without scroll bars, and with
    /// nothing that is pointed at or has the focus.
    pub async fn portrait(
        &self,
        folder: &Path,
        name: &str,
        (size, scale): (Size, f64),
        scheme: Scheme,
    ) -> Result<()> {
        let hidden = json!({ "hidden": true });
        self.devtools("Emulation.setScrollbarsHidden", hidden)
            .await?;
        let away = self.driver().action_chain().move_to(1, 1);
        away.perform().await?;
        let blur = "document.activeElement?.blur(); scrollTo(0, 0); return null;";
        let () = self.run(blur, vec![]).await?;
        self.set_sharp_look(size, scheme, scale).await?;
        self.picture(folder, name).await
    }

    async fn set_sharp_look(
        &self,
        (width, height): Size,
        scheme: Scheme,
        scale: f64,
    ) -> Result<()> {
        let size = json!({
            "width": width, "height": height, "deviceScaleFactor": scale, "mobile": false,
        });
        self.devtools("Emulation.setDeviceMetricsOverride", size)
            .await?;
        let features = json!([
            { "name": "prefers-color-scheme", "value": scheme.to_string() },
            { "name": "prefers-reduced-motion", "value": "reduce" },
        ]);
        self.devtools(
            "Emulation.setEmulatedMedia",
            json!({ "features": features }),
        )
        .await?;
        self.settled().await
    }

    /// Looks at the view at each size, light and dark: keeps the pictures in `folder`, and fails if the page can be moved
    /// sideways, or if axe-core finds a serious violation. Leaves the window wide and light.
    pub async fn look(&self, folder: &Path, view: &str) -> Result<()> {
        let mut complaints = Vec::new();
        // Each size and each scheme is judged once, which takes a second each.
        for (size, scheme, judged) in [
            (NARROW, Scheme::Dark, true),
            (NARROW, Scheme::Light, false),
            (WIDE, Scheme::Dark, false),
            (WIDE, Scheme::Light, true),
        ] {
            self.set_look(size, scheme).await?;
            let name = format!("{view}-{}-{scheme}", size.0);
            self.picture(folder, &name).await?;
            let wide: Vec<String> = self.run(TOO_WIDE, vec![]).await?;
            if !wide.is_empty() {
                complaints.push(format!("{name} can be moved sideways: {wide:#?}"));
            }
            if judged {
                let violations = self.violations().await?;
                complaints.extend(violations.iter().map(|one| format!("{name}: {one}")));
            }
        }
        ensure!(complaints.is_empty(), "{}", complaints.join("\n"));
        Ok(())
    }

    /// A picture of the view, also of what is to be scrolled to.
    pub async fn picture(&self, folder: &Path, name: &str) -> Result<()> {
        self.settled().await?;
        std::fs::create_dir_all(folder)?;
        let clip: Value = self.run(WHOLE, vec![]).await?;
        let whole = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let picture = self.devtools("Page.captureScreenshot", whole).await?;
        let picture = picture["data"].as_str().context("a picture")?;
        let picture = BASE64_STANDARD.decode(picture)?;
        std::fs::write(folder.join(format!("{name}.png")), picture)?;
        Ok(())
    }

    /// Serious and critical violations that axe-core finds.
    async fn violations(&self) -> Result<Vec<Violation>> {
        let is_there: bool = self.run("return window.axe !== undefined;", vec![]).await?;
        if !is_there {
            let source = std::fs::read_to_string(self.axe()).context("read axe-core")?;
            let evaluate = json!({ "expression": source, "silent": true });
            self.devtools("Runtime.evaluate", evaluate).await?;
        }
        let found: Value = self.run_async(AXE).await?;
        let found: Vec<Violation> =
            serde_json::from_value(found.clone()).with_context(|| found.to_string())?;
        let is_serious =
            |one: &Violation| matches!(one.impact.as_deref(), Some("serious" | "critical"));
        Ok(found.into_iter().filter(is_serious).collect())
    }

    async fn settled(&self) -> Result<()> {
        let _: bool = self.run_async(SETTLED).await?;
        Ok(())
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Light => "light",
            Self::Dark => "dark",
        })
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let impact = self.impact.as_deref().unwrap_or("?");
        write!(formatter, "{} ({impact}): {}", self.id, self.help)?;
        for node in self.nodes.iter().take(4) {
            let summary = node.summary.as_deref().unwrap_or_default();
            write!(formatter, "\n    {}\n      {summary}", node.html)?;
        }
        Ok(())
    }
}
