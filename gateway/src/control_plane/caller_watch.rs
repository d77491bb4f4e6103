//! A caller of an answer that may last for days: whether it is still known, and may still see what it sees.

use std::time::Duration;

use auth::Right;
use serving_core::ModelName;
use tokio::time::Instant;

use super::authentication::Credential;
use super::{Access, Refused};

/// Asks again who is calling, and for its right.
pub(super) struct CallerWatch {
    access: Access,
    credential: Credential,
    /// The one model that the answer is about, if it is about one.
    model: Option<ModelName>,
    every: Duration,
    next: Instant,
}

impl CallerWatch {
    /// Of a caller that may see `model` now; its credential is asked about at the first look, and then
    /// `every` so often.
    pub(super) fn new(
        access: Access,
        credential: Credential,
        model: Option<ModelName>,
        every: Duration,
    ) -> Self {
        Self {
            access,
            credential,
            model,
            every,
            next: Instant::now(),
        }
    }

    /// The caller as it was known last.
    pub(super) fn access(&self) -> &Access {
        &self.access
    }

    pub(super) fn credential(&self) -> &Credential {
        &self.credential
    }

    pub(super) fn model(&self) -> Option<&ModelName> {
        self.model.as_ref()
    }

    /// When the credential is asked about next.
    pub(super) fn next(&self) -> Instant {
        self.next
    }

    pub(super) fn is_due(&self) -> bool {
        Instant::now() >= self.next
    }

    /// The right on the one model, of the principal that the credential stands for by now; refuses who has none any
    /// more, and while that cannot be asked.
    pub(super) async fn checked(&mut self) -> Result<Right, Refused> {
        if self.is_due() {
            self.next = Instant::now() + self.every;
            // Who was an admin may be none now.
            self.access.principal = self.credential.principal(&self.access.state).await?;
        }
        match &self.model {
            Some(model) => self.access.to_see(model.as_str()).await,
            None => Ok(Right::Read),
        }
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.access.state.shutdown.is_cancelled()
    }

    /// Resolves when the gateway stops.
    pub(super) async fn shutdown(&self) {
        self.access.state.shutdown.cancelled().await;
    }
}
