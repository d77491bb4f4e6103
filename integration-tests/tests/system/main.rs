//! The whole system: the real binary, a real MLflow server, real workers. One module per theme.

mod asleep;
mod batching;
mod big_bodies;
mod conda_environments;
mod crashes;
mod describing;
mod enabling;
mod environment_commands;
mod environment_failures;
mod event_stream;
mod failed_promotion;
mod following;
mod formats;
mod interrupted_builds;
mod launchers;
mod logs;
mod many_versions;
mod memory_limit;
mod metrics;
mod names;
mod observing;
mod openapi;
mod outside_callers;
mod page;
mod registry_down;
mod registry_rights;
mod seed_snippets;
mod sessions;
mod settings;
mod status_codes;
mod uv_environment;
mod webhooks;
mod workers;
mod zero_downtime;

fn main() -> std::process::ExitCode {
    let themes = [
        seed_snippets::tests(),
        outside_callers::tests(),
        formats::tests(),
        describing::tests(),
        status_codes::tests(),
        big_bodies::tests(),
        names::tests(),
        observing::tests(),
        sessions::tests(),
        openapi::tests(),
        workers::tests(),
        enabling::tests(),
        following::tests(),
        failed_promotion::tests(),
        zero_downtime::tests(),
        settings::tests(),
        crashes::tests(),
        launchers::tests(),
        asleep::tests(),
        batching::tests(),
        event_stream::tests(),
        logs::tests(),
        registry_down::tests(),
        registry_rights::tests(),
        webhooks::tests(),
        many_versions::tests(),
        memory_limit::tests(),
        metrics::tests(),
        page::tests(),
        // Last: builds run at low priority, so that what runs beside them would only make them late.
        uv_environment::tests(),
        conda_environments::tests(),
        interrupted_builds::tests(),
        environment_failures::tests(),
        environment_commands::tests(),
    ];
    integration_tests::run(themes.into_iter().flatten().collect())
}
