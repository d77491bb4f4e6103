//! The whole system: the real binary, a real MLflow server, real workers. One module per theme.

mod big_bodies;
mod conda_environments;
mod crashes;
mod describing;
mod enabling;
mod environment_commands;
mod environment_failures;
mod failed_promotion;
mod following;
mod formats;
mod interrupted_builds;
mod many_versions;
mod names;
mod openapi;
mod registry_down;
mod seed_snippets;
mod status_codes;
mod uv_environment;
mod workers;
mod zero_downtime;

fn main() -> std::process::ExitCode {
    let themes = [
        seed_snippets::tests(),
        formats::tests(),
        describing::tests(),
        status_codes::tests(),
        big_bodies::tests(),
        names::tests(),
        openapi::tests(),
        workers::tests(),
        enabling::tests(),
        following::tests(),
        failed_promotion::tests(),
        zero_downtime::tests(),
        crashes::tests(),
        registry_down::tests(),
        many_versions::tests(),
        // Last: builds run at low priority, so that what runs beside them would only make them late.
        uv_environment::tests(),
        conda_environments::tests(),
        interrupted_builds::tests(),
        environment_failures::tests(),
        environment_commands::tests(),
    ];
    integration_tests::run(themes.into_iter().flatten().collect())
}
