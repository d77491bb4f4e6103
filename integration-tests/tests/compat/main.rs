//! Older generations of MLflow as registry and as worker. `scripts/compat` makes their environments and runs this.

mod formats;
mod generation;
mod rights;

use std::process::ExitCode;

use integration_tests::{Test, run};

use generation::Generation;

fn main() -> ExitCode {
    let mut tests: Vec<_> = Generation::all().into_iter().map(test).collect();
    let with_users = Generation::all().into_iter().filter(Generation::has_users);
    tests.extend(with_users.map(test_of_rights));
    run(tests)
}

/// One test a generation whose server can know its users.
fn test_of_rights(generation: Generation) -> Test {
    let name = format!(
        "compat::users_of_{}_may_what_it_lets_them",
        generation.name()
    );
    Test::new(name, move |world| {
        Box::pin(async move {
            rights::users_may_here_what_the_registry_lets_them(generation, &world).await
        })
    })
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
