//! How soon a further version answers, and what versions take of the memory, by each launcher, beside `mlflow models serve`.
//!
//! The MLflow server, the gateways and the workers are real ones of the harness of `integration-tests`, whose variables say
//! which: `SLUICEGATE_TEST_PYTHON` and `SLUICEGATE_TEST_BINARY`. Workers run in the Python of the tests (`env_manager = local`),
//! so that the environment is there from the beginning. A gateway hears of a new version by a webhook.
//!
//! `launch FOLDER [--smoke] [--rounds N]` writes `launch.md` and `launch.json` into the folder.

mod contest;
mod memory;
mod processes;
mod serve;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use benches::figures::{Spread, Table};
use integration_tests::World;
use serde_json::json;

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
    measured?;
    finished
}

fn wish() -> Result<Wish> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments
        .next()
        .context("usage: launch FOLDER [--smoke] [--rounds N]")?;
    let mut wish = Wish {
        folder: folder.into(),
        smoke: false,
        rounds: 7,
    };
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--smoke" => (wish.smoke, wish.rounds) = (true, 1),
            "--rounds" => {
                let number = arguments.next().context("--rounds takes a number")?;
                wish.rounds = number.parse().context("--rounds takes a number")?;
            }
            other => bail!("{other} is unknown"),
        }
    }
    Ok(wish)
}

#[expect(clippy::print_stdout, reason = "figures are for stdout")]
async fn measure(world: &World, wish: &Wish) -> Result<()> {
    let starts = contest::run(world, wish).await?;
    let serve = &starts[0].seconds;
    let mut times = Table::new(["started by", "seconds", "sooner than `mlflow models serve`"]);
    for start in &starts {
        let ratios = serve
            .iter()
            .zip(&start.seconds)
            .map(|(serve, ours)| serve / ours);
        times.row([
            start.what.clone(),
            Spread::of(&start.seconds).text(2),
            format!("{} times", Spread::of(&ratios.collect::<Vec<_>>()).text(1)),
        ]);
    }
    println!("{}", times.markdown());
    let memories = memory::run(world, wish).await?;
    let mut memory = Table::new([
        "versions",
        "started by",
        "MB",
        "MB a further version",
        "÷ `mlflow models serve`",
    ]);
    for one in &memories.ours {
        memory.row([
            one.versions.to_string(),
            one.launcher.to_owned(),
            format!("{:.0}", one.megabytes),
            one.further
                .map_or_else(|| "–".to_owned(), |further| format!("{further:.0}")),
            one.further.map_or_else(
                || "–".to_owned(),
                |further| format!("{:.2}", further / memories.serve),
            ),
        ]);
    }
    let text = format!(
        "## From the registration of a further version to its first answer\n\nThe environment is there, and other versions run \
         already. Median (least–most) of {rounds} rounds, in which all take turns; ratios of the same round. Ours: from just \
         before the call that registers the version until `GET /model/<name>/<version>/ping` is answered 200, with a webhook \
         to tell of it. `mlflow models serve`: from its start, its model on the disk already, until `GET /ping` is.\n\n{}\n\
         ## Memory\n\nProportional set size of the gateway with all that it has started, each version scored once. Versions of \
         five models, the same scikit-learn model of iris flowers in each. One `mlflow models serve`: {:.0} MB.\n\n{}",
        times.markdown(),
        memories.serve,
        memory.markdown(),
        rounds = wish.rounds,
    );
    println!("{text}");
    std::fs::create_dir_all(&wish.folder)?;
    std::fs::write(wish.folder.join("launch.md"), text)?;
    let starts: Vec<_> = starts
        .iter()
        .map(|start| json!({ "started_by": start.what, "seconds": start.seconds }))
        .collect();
    let ours = memories.ours.iter().map(|one| {
        json!({ "launcher": one.launcher, "versions": one.versions, "megabytes": one.megabytes, "further": one.further })
    });
    let all = json!({
        "starts": starts,
        "memory": { "mlflow_models_serve": memories.serve, "gateway": ours.collect::<Vec<_>>() },
    });
    std::fs::write(
        wish.folder.join("launch.json"),
        serde_json::to_string_pretty(&all)?,
    )?;
    Ok(())
}
