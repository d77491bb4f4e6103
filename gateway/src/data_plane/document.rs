//! `GET /model/{name}/{reference}/openapi.json`: what a client generator needs of one version.

use http::{Response, StatusCode};
use serving_core::{Phase, Reference, ServableId, Unrouted, VersionRoute};

use super::DataPlane;
use super::body::Body;
use super::describe::path;
use super::reply::{Refusal, json, sign};
use super::score::{unknown_model, unknown_reference};
use super::target::Target;
use crate::base_url::without_slash;
use crate::openapi::{VersionFacts, version_document};

impl DataPlane {
    /// From memory, as [`describe`](Self::describe) is. A version that is not ready has a document, too: it says so, and
    /// allows any input.
    pub(super) fn document(
        &self,
        target: &Target,
        references: &[Reference],
    ) -> Result<Response<Body>, Refusal> {
        let version = match self.router.enter(&target.model, references) {
            Ok(entered) => entered.id.version,
            Err(Unrouted::NotReady { version, .. }) => version,
            Err(Unrouted::UnknownModel) => return Err(unknown_model(target)),
            Err(Unrouted::UnknownReference) => return Err(unknown_reference(target)),
        };
        let table = self.router.table();
        let routes = table.models.get(&*target.model);
        let routes = routes.ok_or_else(|| unknown_model(target))?;
        let route = routes.versions.get(&version);
        let (about, trouble) = match route.ok_or_else(|| unknown_reference(target))? {
            VersionRoute::Reachable(route) => (route.target.about(), None),
            VersionRoute::Unreachable(Phase::Failed(failure)) => {
                (None, Some(format!("FAILED: {}", failure.message)))
            }
            VersionRoute::Unreachable(phase) => (None, Some(phase.name().to_owned())),
        };
        let document = version_document(&VersionFacts {
            model: &target.model,
            version: version.0,
            trouble,
            path: path(&target.model, &target.reference),
            server: self.public_url.as_ref().map(without_slash),
            about: about.as_deref(),
        });
        let mut response = json(StatusCode::OK, document.to_string());
        let id = ServableId::new(&*target.model, version);
        sign(response.headers_mut(), &id);
        Ok(response)
    }
}
