//! The web page in a real browser, used as a person uses it: by what can be seen and what is read out.

mod catching_up;
mod failing_build;
mod guarding;
mod hostile;
mod keyboard;
mod operating;
mod programs;
mod reading;
mod rights;
mod signing_in;
mod users;
mod views;
mod whole_way;

use std::path::PathBuf;

use anyhow::{Context, Result};
use integration_tests::{Client, Logged, Page, Test, World, tests};
use serde_json::json;

use catching_up::the_page_catches_up_after_a_cut_connection_and_a_restart_of_the_gateway;
use failing_build::a_newcomer_finds_out_why_a_build_failed_in_two_clicks;
use guarding::a_misdeed_of_the_page_fails_the_visit;
use hostile::nothing_runs_of_what_names_tags_logs_and_answers_hold;
use keyboard::the_keyboard_alone_leads_from_signing_in_to_an_answer;
use operating::settings_are_saved_or_refused_at_their_field_and_workers_replaced;
use programs::{
    no_program_can_be_pasted_into_more_than_it_says,
    the_programs_on_the_page_run_as_they_are_and_answer,
};
use reading::events_are_filtered_logs_followed_and_taken_along_and_charts_hold_values;
use rights::{a_reader_sees_nothing_that_would_be_refused, who_has_no_rights_is_told_what_to_do};
use signing_in::{
    a_person_signs_in_finds_a_model_and_signs_out, the_first_view_of_twenty_models_is_small,
};
use users::a_user_of_mlflow_signs_in_and_a_right_that_is_taken_away_ends;
use views::each_view_is_usable_by_all_wide_and_narrow_light_and_dark;
use whole_way::a_person_goes_the_whole_way_from_enabling_to_stopping;

pub(crate) fn tests() -> Vec<Test> {
    tests![
        // The longest first: none of them is waited for alone at the end.
        each_view_is_usable_by_all_wide_and_narrow_light_and_dark,
        a_user_of_mlflow_signs_in_and_a_right_that_is_taken_away_ends,
        a_person_goes_the_whole_way_from_enabling_to_stopping,
        settings_are_saved_or_refused_at_their_field_and_workers_replaced,
        the_page_catches_up_after_a_cut_connection_and_a_restart_of_the_gateway,
        events_are_filtered_logs_followed_and_taken_along_and_charts_hold_values,
        a_misdeed_of_the_page_fails_the_visit,
        a_person_signs_in_finds_a_model_and_signs_out,
        the_first_view_of_twenty_models_is_small,
        a_newcomer_finds_out_why_a_build_failed_in_two_clicks,
        a_reader_sees_nothing_that_would_be_refused,
        who_has_no_rights_is_told_what_to_do,
        nothing_runs_of_what_names_tags_logs_and_answers_hold,
        the_programs_on_the_page_run_as_they_are_and_answer,
        no_program_can_be_pasted_into_more_than_it_says,
        the_keyboard_alone_leads_from_signing_in_to_an_answer,
    ]
}

/// Where the pictures of all views are kept: build output.
fn pictures() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_TARGET_TMPDIR"), "/screenshots"))
}

/// A person visits the gateway of `client` and is signed in with its token.
async fn visit(
    world: &World,
    client: &Client,
    visit: impl AsyncFnOnce(&Page) -> Result<()>,
) -> Result<()> {
    let browser = world.browser().await?;
    browser
        .visit(client.base(), async |page| {
            page.sign_in(client.token().context("a token")?).await?;
            visit(page).await
        })
        .await
}

/// The same, where the page learns only what it is told: a page that asks again and again looks live, too.
async fn visit_without_polling(
    world: &World,
    client: &Client,
    visit: impl AsyncFnOnce(&Page) -> Result<()>,
) -> Result<()> {
    let browser = world.browser().await?;
    browser
        .visit(client.base(), async |page| {
            page.without_polling().await?;
            page.sign_in(client.token().context("a token")?).await?;
            visit(page).await
        })
        .await
}

/// A model of its own whose only version is Ready on the shared gateway.
async fn deployed<'a>(world: &'a World, model: &str, logged: &Logged) -> Result<&'a Client> {
    let (registry, client) = (world.registry().await?, world.client().await?);
    registry.register(model, &[logged]).await?;
    client.enable(model, json!({})).await?;
    client.until_ready(model, 1).await?;
    Ok(client)
}

/// The same gateway, called with a new token that has these rights.
async fn with_rights(client: &Client, wish: serde_json::Value) -> Result<Client> {
    let made = client
        .send(reqwest::Method::POST, "/api/v1/tokens", wish)
        .await?;
    let made = made.succeeded()?.json()?;
    let token = made["token"].as_str().context("a token")?;
    Ok(client.with_token(Some(token)))
}
