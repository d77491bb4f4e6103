//! Whole listings: all pages of a search, without shifted or doubled rows.
//!
//! MLflow's page tokens are offsets into an order that every change shifts (`last_updated_timestamp` for
//! versions). One page that holds all cannot shift. Where one is not enough, the listing starts again in an
//! order that changes do not touch, and rows that come twice are taken once. MLflow 1.30 answers `order_by` of
//! versions with 500 and ignores `max_results`; it never sends a token, so it is never asked to order.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::types::{ModelRow, VersionRow};
use super::{Client, Inner, Usage};
use crate::error::RegistryError;

/// A server that sends a token for ever is not followed for ever.
const MAX_PAGES: usize = 10_000;

/// A search of the registry.
pub(crate) trait Listing {
    /// The call.
    const PATH: &'static str;
    /// Rows that are asked for at once, as text.
    const PAGE_SIZE: &'static str;
    /// An order that no change but creation and deletion touches.
    const STABLE_ORDER: &'static [&'static str];
    /// One row.
    type Row: Send;
    /// One page as it is sent.
    type Reply: DeserializeOwned + Send;

    /// Rows and token of a page.
    fn open(reply: Self::Reply) -> (Vec<Self::Row>, Option<String>);
    /// Whether the last search without a filter had several pages.
    fn was_paged(client: &Inner) -> &AtomicBool;
    /// What makes a row the same as another.
    fn key(row: &Self::Row) -> (&str, &str);
}

/// `registered-models/search`.
pub(crate) struct Models;

/// `model-versions/search`.
pub(crate) struct Versions;

/// All rows of a search.
#[derive(Debug)]
pub(crate) struct Rows<T> {
    /// Each once.
    pub(crate) rows: Vec<T>,
    /// Whether they came in several pages, between which something may have changed.
    pub(crate) paged: bool,
}

/// The reply of `registered-models/search`.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct ModelsReply {
    registered_models: Vec<ModelRow>,
    next_page_token: Option<String>,
}

/// The reply of `model-versions/search`.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct VersionsReply {
    model_versions: Vec<VersionRow>,
    next_page_token: Option<String>,
}

impl Listing for Models {
    const PATH: &'static str = "registered-models/search";
    const PAGE_SIZE: &'static str = "1000"; // The most that any MLflow allows; the default is 100.
    const STABLE_ORDER: &'static [&'static str] = &["name ASC"];
    type Row = ModelRow;
    type Reply = ModelsReply;

    fn open(reply: ModelsReply) -> (Vec<ModelRow>, Option<String>) {
        (reply.registered_models, reply.next_page_token)
    }

    fn was_paged(client: &Inner) -> &AtomicBool {
        &client.models_were_paged
    }

    fn key(row: &ModelRow) -> (&str, &str) {
        (&row.name, "")
    }
}

impl Listing for Versions {
    const PATH: &'static str = "model-versions/search";
    const PAGE_SIZE: &'static str = "10000"; // The default of 2.x and 3.x, said aloud for proxies of them.
    const STABLE_ORDER: &'static [&'static str] = &["name ASC", "version_number ASC"];
    type Row = VersionRow;
    type Reply = VersionsReply;

    fn open(reply: VersionsReply) -> (Vec<VersionRow>, Option<String>) {
        (reply.model_versions, reply.next_page_token)
    }

    fn was_paged(client: &Inner) -> &AtomicBool {
        &client.versions_were_paged
    }

    fn key(row: &VersionRow) -> (&str, &str) {
        (&row.name, &row.version)
    }
}

impl Client {
    /// All rows that `filter` lets through; `None` for all there are.
    pub(crate) async fn list<L: Listing>(
        &self,
        filter: Option<&str>,
        usage: &Usage,
    ) -> Result<Rows<L::Row>, RegistryError> {
        // What did not fit into one page last time is not tried in one page again: it costs a page.
        let was_paged = L::was_paged(&self.0);
        if filter.is_some() || !was_paged.load(Ordering::Relaxed) {
            let (rows, token) = self.page::<L>(filter, &[], None, usage).await?;
            if token.is_none() {
                return Ok(Rows { rows, paged: false });
            }
        }
        let rows = self.pages::<L>(filter, usage).await?;
        if filter.is_none() {
            was_paged.store(rows.paged, Ordering::Relaxed);
        }
        Ok(rows)
    }

    /// All pages, in the stable order.
    async fn pages<L: Listing>(
        &self,
        filter: Option<&str>,
        usage: &Usage,
    ) -> Result<Rows<L::Row>, RegistryError> {
        let mut all: Vec<L::Row> = Vec::new();
        let mut token: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let (rows, next) = self
                .page::<L>(filter, L::STABLE_ORDER, token.as_deref(), usage)
                .await?;
            all.extend(rows);
            if next.is_none() {
                return Ok(Rows {
                    rows: once::<L>(all),
                    paged: token.is_some(),
                });
            }
            if next == token {
                break;
            }
            token = next;
        }
        Err(RegistryError::NotMlflow {
            url: self.base().to_owned(),
            reason: format!("{} has no last page", L::PATH),
        })
    }

    /// One page; the token is `None` on the last one.
    async fn page<L: Listing>(
        &self,
        filter: Option<&str>,
        order: &[&str],
        token: Option<&str>,
        usage: &Usage,
    ) -> Result<(Vec<L::Row>, Option<String>), RegistryError> {
        let mut query = vec![("max_results", L::PAGE_SIZE)];
        query.extend(filter.map(|filter| ("filter", filter)));
        query.extend(order.iter().map(|order| ("order_by", *order)));
        query.extend(token.map(|token| ("page_token", token)));
        let reply: L::Reply = self.registry(L::PATH, &query, usage).await?;
        let (rows, token) = L::open(reply);
        Ok((rows, token.filter(|token| !token.is_empty())))
    }
}

/// The filter for exactly this name; `None` for a name that no filter can hold.
///
/// MLflow knows no escape within a quoted value (1.30, 2.22, 3.17: a doubled quote stays doubled, and the
/// search then answers that there is nothing), but it takes either kind of quote.
/// Some databases compare without case, so rows are compared once more.
pub(crate) fn by_name(name: &str) -> Option<String> {
    let quote = ['\'', '"']
        .into_iter()
        .find(|quote| !name.contains(*quote))?;
    Some(format!("name={quote}{name}{quote}"))
}

/// The same rows, of equal keys only the first.
fn once<L: Listing>(mut rows: Vec<L::Row>) -> Vec<L::Row> {
    let mut seen: HashSet<(String, String)> = HashSet::with_capacity(rows.len());
    rows.retain(|row| {
        let (name, version) = L::key(row);
        seen.insert((name.to_owned(), version.to_owned()))
    });
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_quoted_by_the_quote_that_it_does_not_hold() {
        assert_eq!(by_name("iris").unwrap(), "name='iris'");
        assert_eq!(by_name("it's").unwrap(), "name=\"it's\"");
        assert_eq!(by_name("12\"").unwrap(), "name='12\"'");
        assert_eq!(by_name("it's 12\""), None);
    }

    #[test]
    fn an_empty_search_is_an_empty_object() {
        let (rows, token) = Versions::open(serde_json::from_str("{}").unwrap());
        assert!(rows.is_empty() && token.is_none());
    }

    #[test]
    fn a_row_that_comes_twice_is_taken_once() {
        let row = |name: &str, version: &str| VersionRow {
            name: name.into(),
            version: version.into(),
            ..VersionRow::default()
        };
        let rows = once::<Versions>(vec![
            row("a", "1"),
            row("a", "2"),
            row("a", "1"),
            row("b", "1"),
        ]);
        assert_eq!(rows, [row("a", "1"), row("a", "2"), row("b", "1")]);
    }
}
