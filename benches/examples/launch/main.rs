//! How soon a further version answers, and what versions take of the memory, by each launcher, beside `mlflow models serve`.
//!
//! The MLflow server, the gateways and the workers are real ones, of the harness of `integration-tests`, whose variables say
//! which: `SLUICEGATE_TEST_PYTHON` and `SLUICEGATE_TEST_BINARY`. `launch FOLDER [--smoke] [--rounds N]` writes its report
//! into the folder.

mod contest;
mod memory;
mod serve;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use benches::report::{Comparison, Figure, Machine, Report, Subject, What};
use integration_tests::World;

const ABOUT: &str = "A real MLflow server, the gateway, and workers in one Python environment that is there from the beginning \
    (`env_manager = local`), as it is for a further version of a model. The model is MLflow's scikit-learn model of iris flowers.";

const STARTS: &str = "All take turns. The gateways: from just before the call that registers the version until \
    `GET /model/<name>/<version>/ping` is answered 200, where another version of the model runs already; the registry tells of \
    the version by a webhook, and its files are fetched and its example is scored meanwhile. `mlflow models serve`: from its \
    start, with the model on the local disk, until `GET /ping` is. Asked each 10 ms.";

const MEMORY: &str = "Proportional set size of the gateway and all that it has started, after each version was scored once; the \
    versions are of five models. The MLflow server runs beside all of them, and shares some pages of libraries with them. A \
    *further version* is what each version more than in the row before has added.";

/// The one that the others are compared with.
const SERVE: &str = "`mlflow models serve`";

/// What is asked for.
#[derive(Clone, Debug)]
struct Wish {
    folder: PathBuf,
    smoke: bool,
    rounds: usize,
}

#[tokio::main]
async fn main() -> Result<()> {
    let wish = wish()?;
    let world = World::default();
    let measured = measure(&world, &wish).await;
    let finished = world.finish().await;
    measured?.write(&wish.folder)?;
    finished
}

fn wish() -> Result<Wish> {
    let usage = "usage: launch FOLDER [--smoke] [--rounds N]";
    let mut arguments = std::env::args().skip(1);
    let mut wish = Wish {
        folder: arguments.next().context(usage)?.into(),
        smoke: false,
        rounds: 5,
    };
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--smoke" => (wish.smoke, wish.rounds) = (true, 1),
            "--rounds" => {
                let number = arguments.next().context(usage)?;
                wish.rounds = number.parse().context(usage)?;
            }
            _ => bail!(usage),
        }
    }
    Ok(wish)
}

async fn measure(world: &World, wish: &Wish) -> Result<Report> {
    let environment = world.environment().await?;
    let machine = Machine::here()
        .with("Python", &environment.python_version().await?)
        .with("MLflow", &environment.mlflow_version().await?);
    let starts = Comparison {
        title: "From registered to answered".to_owned(),
        about: STARTS.to_owned(),
        baseline: Some(SERVE.to_owned()),
        second_baseline: None,
        subjects: contest::run(world, wish).await?,
    };
    let memory = Comparison {
        title: "Memory".to_owned(),
        about: MEMORY.to_owned(),
        baseline: Some(SERVE.to_owned()),
        second_baseline: None,
        subjects: memory::run(world, wish).await?,
    };
    let told = if wish.smoke {
        "--smoke".to_owned()
    } else {
        format!("--rounds {}", wish.rounds)
    };
    Ok(Report {
        name: "launch".to_owned(),
        title: "Further versions: time and memory".to_owned(),
        about: ABOUT.to_owned(),
        command: format!("scripts/bench launch {told}"),
        machine,
        comparisons: vec![starts, memory],
    })
}

/// One row of a report.
fn subject(name: impl Into<String>, figures: Vec<(What, Vec<f64>)>) -> Subject {
    let figures = figures.into_iter();
    Subject {
        name: name.into(),
        figures: figures
            .map(|(what, values)| Figure { what, values })
            .collect(),
        note: None,
    }
}
