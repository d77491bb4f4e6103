//! People whom MLflow knows: they sign in as they do there, and have the rights that they have there.

use std::sync::Arc;

use anyhow::{Result, ensure};
use integration_tests::World;

pub(super) async fn a_user_of_mlflow_signs_in_and_a_right_that_is_taken_away_ends(
    world: Arc<World>,
) -> Result<()> {
    const SHOWN: &str = "shown to a user";
    const HIDDEN: &str = "hidden from a user";
    let guarded = world.guarded().await?;
    let gateway = guarded
        .gateway(&world, world.environment().await?, &guarded.server().url())
        .await?
        .variable("SLUICEGATE_AUTH_RIGHTS_AGE", "2s")
        .start()
        .await?;
    guarded.register(SHOWN).await?;
    guarded.register(HIDDEN).await?;
    let users = guarded.users()?;
    let account = users.add("page-user").await?;
    users.give(&account.user, SHOWN, "READ").await?;

    let browser = world.browser().await?;
    browser
        .visit(gateway.client().base(), async |page| {
            page.goto("/").await?;
            page.at("button", "Or with your MLflow user")
                .press()
                .await?;
            page.at("textbox", "User").fill(&account.user).await?;
            page.at("textbox", "Password").fill("a guess").await?;
            page.at("button", "Sign in").press().await?;
            page.at("alert", "").shows("password").await?;

            page.at("textbox", "Password")
                .fill(&account.password)
                .await?;
            page.at("button", "Sign in").press().await?;
            page.at("banner", "").shows(&account.user).await?;
            let row = page.at("row", SHOWN);
            row.there().await?;
            ensure!(page.at("row", HIDDEN).count().await? == 0);
            ensure!(row.clone().at("button", "Enable").count().await? == 0);

            // More may be done, and can be; then nothing may be seen any more, while it is looked at.
            users.take(&account.user, SHOWN).await?;
            users.give(&account.user, SHOWN, "MANAGE").await?;
            row.clone().at("button", "Enable").there().await?;
            row.at("link", SHOWN).press().await?;
            page.at("button", "Enable Serving").there().await?;
            users.take(&account.user, SHOWN).await?;
            page.shows("you may no longer see it").await?;
            ensure!(page.at("button", "Enable Serving").count().await? == 0);
            page.goto("/").await?;
            page.at("banner", "").shows(&account.user).await?;
            page.shows("ask who manages them").await?;
            page.at("row", SHOWN).gone().await
        })
        .await?;
    gateway.stop().await
}
