//! Answers are byte for byte the same alone and in company, for every form of a request and every shape of an answer.

use std::sync::Arc;

use anyhow::{Result, ensure};
use integration_tests::{Stage, World, until};
use serde_json::json;

use super::{Asked, CALLERS, JSON, last_event, same};

/// Rows of flowers, as people print numbers.
const FLOWERS: [&str; 8] = [
    "5.1, 3.5, 1.4, 0.2",
    "6.70, 3.0e0, 5.2, 2.3",
    "4.9, 2.4, 3.3, 1.0",
    "6.3, 3.3, 6.0, 2.5",
    "5.0, 2.0, 3.5, 1.00",
    "77e-1, 2.6, 6.9, 2.3",
    "5.7, 2.8, 4.5, 1.3",
    "4.3, 3.0, 1.1, 0.1",
];
const COLUMNS: [&str; 4] = ["sepal_length", "sepal_width", "petal_length", "petal_width"];

/// What is done with a number (see `rowwise.py`), and whether the answer is a data frame.
const SHAPES: [(&str, bool); 7] = [
    ("number", false),
    ("text", false),
    ("dictionary", false),
    ("list", false),
    ("not finite", false),
    ("number", true),
    ("not finite", true),
];

/// A form of a request: its content type, and what surrounds its rows.
#[derive(Clone, Copy, Debug)]
struct Form {
    content_type: &'static str,
    before: &'static str,
    after: &'static str,
    layout: Layout,
}

#[derive(Clone, Copy, Debug)]
enum Layout {
    /// `{"columns": […], "data": [[…]]}`
    Split,
    /// `[{…}]`
    Records,
}

const fn form(
    content_type: &'static str,
    layout: Layout,
    before: &'static str,
    after: &'static str,
) -> Form {
    Form {
        content_type,
        before,
        after,
        layout,
    }
}

/// Today's forms and those of 2020.
const FORMS: [Form; 11] = [
    form(JSON, Layout::Records, r#"{"dataframe_records": "#, "}"),
    form(
        JSON,
        Layout::Records,
        r#"{"dataframe_records": "#,
        r#", "params": {"unknown": 1}}"#,
    ),
    form(JSON, Layout::Split, r#"{"dataframe_split": "#, "}"),
    form(JSON, Layout::Records, r#"{"instances": "#, "}"),
    form(JSON, Layout::Records, r#"{"inputs": "#, "}"),
    form(JSON, Layout::Records, "", ""),
    form(JSON, Layout::Split, "", ""),
    form(
        "application/json; format=pandas-records",
        Layout::Records,
        "",
        "",
    ),
    form(
        "application/json; format=pandas-split",
        Layout::Split,
        "",
        "",
    ),
    form("application/json-numpy-split", Layout::Split, "", ""),
    form(
        JSON,
        Layout::Split,
        r#" {"params": {"unknown": [1.50]}, "dataframe_split" : "#,
        "\n}",
    ),
];

impl Form {
    /// A request of these rows, each of which is a list of cells as they are written.
    fn body(self, columns: &[&str], rows: &[Vec<String>]) -> String {
        let rows: Vec<String> = rows
            .iter()
            .map(|cells| match self.layout {
                Layout::Split => format!("[{}]", cells.join(", ")),
                Layout::Records => {
                    let cells = columns.iter().zip(cells);
                    let cells: Vec<_> = cells
                        .map(|(key, cell)| format!("{key:?}: {cell}"))
                        .collect();
                    format!("{{{}}}", cells.join(", "))
                }
            })
            .collect();
        let rows = format!("[{}]", rows.join(", "));
        let rows = match self.layout {
            Layout::Split => format!(r#"{{"columns": {columns:?}, "data": {rows}}}"#),
            Layout::Records => rows,
        };
        format!("{}{rows}{}", self.before, self.after)
    }
}

/// Requests of one, two and three rows of these.
fn in_requests(form: Form, columns: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let (mut bodies, mut left) = (Vec::new(), rows);
    for take in [1, 2, 3].into_iter().cycle() {
        if left.is_empty() {
            return bodies;
        }
        let (some, rest) = left.split_at(take.min(left.len()));
        bodies.push(form.body(columns, some));
        left = rest;
    }
    bodies
}

/// Asks each alone and then all at the same time.
async fn alone_and_together(asked: &Asked, requests: &[(&str, Vec<String>)]) -> Result<()> {
    asked.set("off").await?;
    let mut alone = Vec::new();
    for (content_type, bodies) in requests {
        let mut answers = Vec::new();
        for body in bodies {
            answers.push(asked.one(content_type, body).await?.succeeded()?);
        }
        alone.push(answers);
    }
    ensure!(asked.went().await?.batched == 0);
    asked.set("on").await?;
    for ((content_type, bodies), alone) in requests.iter().zip(&alone) {
        let before = asked.went().await?;
        let answers = asked.all(content_type, bodies).await?;
        for (place, answer) in answers.iter().enumerate() {
            let place = place % bodies.len();
            same(&alone[place], answer, &bodies[place])?;
        }
        let went = asked.went().await?.since(before);
        let told = format!("{content_type} {}: {went:?}", bodies[0]);
        if *content_type == "text/csv" {
            ensure!(went.batched == 0 && went.calls == 0, "{told}");
        } else {
            // Most of them: those who come first have nobody to share a call with.
            ensure!(went.batched > CALLERS as u64 / 2, "{told}");
            ensure!(went.rows > 2 * went.calls, "{told}");
        }
        ensure!(went.replayed == 0, "{told}");
    }
    Ok(())
}

pub(super) async fn answers_of_a_scikit_learn_model_in_company_are_those_alone(
    world: Arc<World>,
) -> Result<()> {
    const MODEL: &str = "flowers-in-company";
    let (registry, models) = (world.registry().await?, world.models().await?);
    registry.register(MODEL, &[models.iris()?]).await?;
    registry.transition(MODEL, 1, Stage::Production).await?;
    let asked = Asked::of(&world, MODEL, json!({})).await?;

    // By itself, because its example says so.
    let first = FORMS[0].body(&COLUMNS, &flowers()[..1]);
    let decided = until("it is decided whether calls are shared", async || {
        asked.one(JSON, &first).await?.succeeded()?;
        Ok(last_event(&asked, "batching").await?.ok_or("not yet"))
    })
    .await?;
    ensure!(decided["details"]["on"] == true, "{decided}");

    let mut requests: Vec<_> = FORMS
        .into_iter()
        .map(|form| (form.content_type, in_requests(form, &COLUMNS, &flowers())))
        .collect();
    let csv = FLOWERS.map(|cells| format!("{}\n{}\n", COLUMNS.join(","), cells.replace(' ', "")));
    requests.push(("text/csv", csv.to_vec()));
    alone_and_together(&asked, &requests).await?;
    asked.gateway.stop().await
}

fn flowers() -> Vec<Vec<String>> {
    let cells = |row: &str| row.split(", ").map(str::to_owned).collect();
    FLOWERS.into_iter().map(cells).collect()
}

pub(super) async fn answers_of_any_shape_in_company_are_those_alone(
    world: Arc<World>,
) -> Result<()> {
    let asked = Asked::rowwise(&world, "shapes-in-company").await?;
    let mut requests = Vec::new();
    for (done, is_framed) in SHAPES {
        let rows: Vec<Vec<String>> = (1..=23)
            .map(|number: u32| {
                let mut cells = vec![number.to_string(), format!("{done:?}")];
                cells.extend(is_framed.then(|| "true".to_owned()));
                cells
            })
            .collect();
        let columns: &[&str] = if is_framed {
            &["number", "done", "framed"]
        } else {
            &["number", "done"]
        };
        for form in FORMS {
            requests.push((form.content_type, in_requests(form, columns, &rows)));
        }
    }
    // Tensors, of which a model without a signature gets arrays.
    for key in ["instances", "inputs"] {
        let body = |number: u32| format!(r#"{{"{key}": [[{number}, 0], [{number}00, 1]]}}"#);
        requests.push((JSON, (1..24).map(body).collect()));
    }
    alone_and_together(&asked, &requests).await?;
    asked.gateway.stop().await
}
