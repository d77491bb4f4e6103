//! Older generations of MLflow as registry and as worker. `scripts/compat` makes their environments and runs this.

mod formats;
mod generation;

use std::process::ExitCode;

use integration_tests::{Test, run};

use generation::Generation;

fn main() -> ExitCode {
    run(Generation::all().into_iter().map(test).collect())
}

/// One test a generation: its server and its worker are started once.
fn test(generation: Generation) -> Test {
    let name = format!("compat::a_gateway_serves_models_of_{}", generation.name());
    Test::new(name, move |world| {
        Box::pin(async move {
            let actors = generation.start(&world).await?;
            formats::each_format_is_answered_in_its_own_words(&actors).await?;
            generation::a_name_with_a_slash_is_reached_encoded(&actors).await?;
            actors.nothing_outlives_a_killed_gateway(&world).await
        })
    })
}
