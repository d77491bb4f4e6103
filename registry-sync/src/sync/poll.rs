//! One poll: reads as little as the interest allows, and trusts nothing that changed under its eyes.

use std::collections::BTreeSet;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use serving_core::{Aspired, ModelName};

use super::Interest;
use super::catalog::Catalog;
use super::follow::{Reading, Registry};
use crate::client::{Client, Models, Usage, Versions, by_name};
use crate::error::RegistryError;
use crate::select::{RegistryView, Selection, births, select};

/// Up to this many models are asked for one by one: two calls each, and a call costs the registry about 13 ms
/// where reading 1,000 versions costs 200 ms (MLflow 3.18 on SQLite).
const FEW: usize = 8;

/// Models that are asked for at the same time.
const AT_ONCE: usize = 4;

/// How often a registry that keeps changing is read again within one poll.
const LOOKS: usize = 4;

/// A view and how it was read.
struct Look {
    view: RegistryView,
    /// It came in pages, between which rows may have shifted out of sight.
    paged: bool,
}

impl Registry for Client {
    /// Reads until the value is the known one, or two looks in a row agree.
    ///
    /// A look is several calls, and the registry may change between them. Models are read before versions, so
    /// that the version that an alias names is there already when versions are read. Two things are left: a
    /// model that is deleted and registered again in between, so that its old aliases meet its new versions, and
    /// rows that shift between pages, so that a version seems to be gone. Both show in a second look, which only
    /// a changed value needs.
    async fn read(
        &self,
        interest: &Interest,
        known: Option<&Aspired>,
        usage: &Usage,
    ) -> Result<Reading, RegistryError> {
        let mut look = look(self, interest, usage).await?;
        let mut selection = select(&look.view, interest);
        for _ in 1..LOOKS {
            if known == Some(&selection.aspired) {
                return Ok(reading(&look, interest, selection));
            }
            let again = self::look(self, interest, usage).await?;
            let selection_again = select(&again.view, interest);
            let whole = births(&look.view) == births(&again.view);
            let agreed = !look.paged || selection == selection_again;
            if whole && agreed {
                keep_unless_gone(self, &mut selection, interest, known, usage).await?;
                return Ok(reading(&look, interest, selection));
            }
            (look, selection) = (again, selection_again);
        }
        Err(RegistryError::Unsettled)
    }
}

/// Whether a poll for this interest sees all registered models.
pub(super) fn reads_everything(interest: &Interest) -> bool {
    match interest {
        Interest::All => true,
        Interest::Models(names) => filters(names).is_none(),
    }
}

/// Puts back the known models that are of interest and were not found, unless the registry says that they are
/// gone. A search shows only what its caller may read (MLflow's `basic-auth`): without this, a right that is
/// taken from the gateway's account would look as if all models had been deleted.
async fn keep_unless_gone(
    client: &Client,
    selection: &mut Selection,
    interest: &Interest,
    known: Option<&Aspired>,
    usage: &Usage,
) -> Result<(), RegistryError> {
    let models = &mut selection.aspired.models;
    let known = known.into_iter().flat_map(|known| &known.models);
    let vanished = known.filter(|(name, _)| interest.contains(name.as_str()));
    let mut denied = false;
    for (name, model) in vanished {
        if models.contains_key(name) {
            continue;
        }
        if !denied {
            match client.is_registered(name.as_str(), usage).await {
                Ok(false) => continue,
                // It is there again; the next poll reads it.
                Ok(true) => {}
                // One refusal tells enough about all that follow.
                Err(RegistryError::Denied { .. }) => denied = true,
                Err(error) => return Err(error),
            }
        }
        if denied {
            selection.oddities.insert(format!(
                "'{name}' is not shown any more, and the registry does not say whether it was deleted (403): it is \
                 served as before. Grant the account of this gateway READ on it, or disable its serving"
            ));
        }
        models.insert(name.clone(), model.clone());
    }
    Ok(())
}

fn reading(look: &Look, interest: &Interest, selection: Selection) -> Reading {
    let catalog = reads_everything(interest).then(|| Catalog::of(&look.view.models));
    Reading { selection, catalog }
}

/// One filter a model, if they are few and filters can hold their names.
fn filters(names: &BTreeSet<ModelName>) -> Option<Vec<String>> {
    if names.len() > FEW {
        return None;
    }
    names.iter().map(|name| by_name(name.as_str())).collect()
}

async fn look(client: &Client, interest: &Interest, usage: &Usage) -> Result<Look, RegistryError> {
    let filters = match interest {
        Interest::All => None,
        Interest::Models(names) => filters(names),
    };
    match filters {
        None => search(client, None, usage).await,
        Some(filters) if filters.is_empty() => nothing(client, usage).await,
        Some(filters) => {
            let looks = filters
                .into_iter()
                .map(|filter| async move { search(client, Some(&filter), usage).await });
            let looks: Vec<Look> = stream::iter(looks).buffered(AT_ONCE).try_collect().await?;
            let mut all = Look {
                view: RegistryView::default(),
                paged: false,
            };
            for look in looks {
                all.view.models.extend(look.view.models);
                all.view.versions.extend(look.view.versions);
                all.paged |= look.paged;
            }
            Ok(all)
        }
    }
}

async fn search(
    client: &Client,
    filter: Option<&str>,
    usage: &Usage,
) -> Result<Look, RegistryError> {
    let models = client.list::<Models>(filter, usage).await?;
    let versions = client.list::<Versions>(filter, usage).await?;
    Ok(Look {
        paged: models.paged || versions.paged,
        view: RegistryView {
            models: models.rows,
            versions: versions.rows,
        },
    })
}

/// Nothing is of interest; the cheapest call still tells whether the registry is there.
async fn nothing(client: &Client, usage: &Usage) -> Result<Look, RegistryError> {
    let query = [("max_results", "1")];
    let _: serde::de::IgnoredAny = client
        .registry("registered-models/search", &query, usage)
        .await?;
    Ok(Look {
        view: RegistryView::default(),
        paged: false,
    })
}
