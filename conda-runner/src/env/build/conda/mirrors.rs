//! Asks other places in the stead of the one that an address names.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use http::{Extensions, StatusCode};
use reqwest::{Request, Response};
use reqwest_middleware::{Middleware, Next};
use url::Url;

use super::settings::Mirrored;

/// For the requests of one build: it remembers who did not answer, and asks them last from then on.
pub(super) struct Mirrors(Vec<(String, Vec<Mirror>)>);

struct Mirror {
    url: Url,
    is_dead: AtomicBool,
}

impl Mirrors {
    pub(super) fn new(mirrored: &[Mirrored]) -> Self {
        let mirror = |url: &Url| Mirror {
            url: url.clone(),
            is_dead: AtomicBool::new(false),
        };
        let all = mirrored
            .iter()
            .map(|of| (of.prefix.clone(), of.mirrors.iter().map(mirror).collect()));
        Self(all.collect())
    }

    /// What takes the place of an address, and what of the address comes after it.
    fn of<'a>(&'a self, url: &'a Url) -> Option<(&'a [Mirror], &'a str)> {
        self.0.iter().find_map(|(prefix, mirrors)| {
            let rest = url.as_str().strip_prefix(prefix.as_str())?;
            (!mirrors.is_empty()).then_some((mirrors.as_slice(), rest))
        })
    }
}

impl Mirror {
    fn place(&self, rest: &str) -> Option<Url> {
        let base = self.url.as_str().trim_end_matches('/');
        Url::parse(&format!("{base}/{rest}")).ok()
    }
}

#[async_trait]
impl Middleware for Mirrors {
    async fn handle(
        &self,
        request: Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<Response> {
        let url = request.url().clone();
        let Some((mirrors, rest)) = self.of(&url) else {
            return next.run(request, extensions).await;
        };
        let is_dead = |mirror: &&Mirror| mirror.is_dead.load(Ordering::Relaxed);
        let (dead, alive): (Vec<&Mirror>, Vec<&Mirror>) = mirrors.iter().partition(is_dead);
        let mut result = None;
        for mirror in alive.into_iter().chain(dead) {
            // Requests for packages and lists have no body, so they can be repeated.
            let (Some(place), Some(mut attempt)) = (mirror.place(rest), request.try_clone()) else {
                continue;
            };
            *attempt.url_mut() = place;
            let answer = next.clone().run(attempt, extensions).await;
            mirror.is_dead.store(answer.is_err(), Ordering::Relaxed);
            match &answer {
                Ok(response) if is_final(response.status()) => return answer,
                // Rather the answer of one than the silence of another.
                Err(_) if matches!(result, Some(Ok(_))) => {}
                _ => result = Some(answer),
            }
        }
        match result {
            Some(result) => result,
            None => next.run(request, extensions).await,
        }
    }
}

/// Whether no other mirror could say better.
fn is_final(status: StatusCode) -> bool {
    status != StatusCode::NOT_FOUND && !status.is_server_error()
}
