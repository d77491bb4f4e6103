//! What deliveries and their management share: the secret, the memory of what has come, the figures.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use auth::Secret;
use prometheus_client::registry::Registry as MetricsRegistry;
use tokio::time::Instant;

use super::figures::{Fate, Figures};
use super::message::Hint;
use super::seen::Seen;
use super::signature::Signed;
use crate::api::{DeliveryOutcome, WebhooksState};
use crate::config::WebhooksConfig;
use crate::ports::RegistryWebhooks;
use crate::store::SecretFile;

/// Of deliveries that are refused the log tells this often at most: anybody may send them.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// The gateway's side of the registry's webhooks.
#[derive(Debug)]
pub struct Webhooks {
    pub(super) registry: Port,
    file: SecretFile,
    max_age: Duration,
    known: Mutex<Known>,
    figures: Figures,
    /// Held while webhooks are installed or removed: two who install at once would make two.
    pub(super) turn: tokio::sync::Mutex<()>,
}

/// The registry, which has no words for `Debug`.
pub(super) struct Port(pub(super) Arc<dyn RegistryWebhooks>);

#[derive(Debug, Default)]
struct Known {
    secret: Option<Secret>,
    installed: Option<bool>,
    /// Where the webhook of the default name delivers to, if this process installed it.
    installed_at: Option<String>,
    seen: Seen,
    told: Option<Instant>,
}

/// Why a delivery is refused, in words for the sender. None of them says what the right thing would have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotTaken {
    #[error("no webhook of a registry is set up here")]
    NoSecret,
    #[error(
        "the headers X-MLflow-Delivery-Id, X-MLflow-Timestamp (seconds) and X-MLflow-Signature are needed"
    )]
    Malformed,
    #[error("the signature is not of this body, or made with another secret")]
    Forged,
    #[error("the delivery was signed too long ago, or the clocks of sender and gateway differ")]
    Old,
    #[error("the body is no message of a registry")]
    NoMessage,
}

impl Webhooks {
    /// Takes deliveries that are signed with the configured secret, or with the one that `file` keeps since a webhook was
    /// installed. Blocks on the disk.
    pub fn open(
        config: &WebhooksConfig,
        file: SecretFile,
        registry: Arc<dyn RegistryWebhooks>,
        metrics: &mut MetricsRegistry,
    ) -> io::Result<Self> {
        let secret = match &config.secret {
            Some(secret) => Some(secret.clone()),
            None => file.read()?,
        };
        Ok(Self {
            registry: Port(registry),
            file,
            max_age: config.max_age,
            known: Mutex::new(Known {
                secret,
                ..Known::default()
            }),
            figures: Figures::register(metrics),
            turn: tokio::sync::Mutex::default(),
        })
    }

    /// How deliveries go.
    pub(crate) fn state(&self) -> WebhooksState {
        let known = self.known();
        WebhooksState {
            has_secret: known.secret.is_some(),
            installed: known.installed,
            last_delivery: self.figures.last().map(Into::into),
            accepted: self.figures.taken(),
            repeated: self.figures.repeated(),
            refused: self.figures.refused(),
        }
    }

    /// Remembers whether the registry has a webhook for us.
    pub(super) fn found_installed(&self, installed: bool) {
        self.known().installed = Some(installed);
    }

    /// Remembers where the webhook of the default name delivers to since we installed it.
    pub(super) fn installed_at(&self, url: &str) {
        self.known().installed_at = Some(url.to_owned());
    }

    /// Whether we installed the webhook of the default name with this address.
    pub(super) fn was_installed_at(&self, url: &str) -> bool {
        self.known().installed_at.as_deref() == Some(url)
    }

    /// The secret; one is made and kept if there is none. Blocks on the disk. Whoever calls it holds `turn`: two at once
    /// would make two.
    pub(super) fn secret(&self) -> io::Result<Secret> {
        // Deliveries must not wait for the disk.
        let known = self.known().secret.clone();
        if let Some(secret) = known {
            return Ok(secret);
        }
        let made = self.file.make()?;
        self.known().secret = Some(made.clone());
        Ok(made)
    }

    /// Takes one delivery, and follows it.
    pub(super) fn take(
        &self,
        delivery: Signed<'_>,
        signature: &str,
        now: SystemTime,
    ) -> Result<DeliveryOutcome, NotTaken> {
        let result = self.judge(delivery, signature, now);
        let fate = match result {
            Ok(DeliveryOutcome::Accepted) => Fate::Accepted,
            Ok(DeliveryOutcome::Ignored) => Fate::Ignored,
            Ok(DeliveryOutcome::Repeated) => Fate::Repeated,
            Err(reason) => {
                self.tell(reason);
                Fate::Refused
            }
        };
        self.figures.count(fate, now);
        result
    }

    /// Counts and tells a delivery that was refused before it was read.
    pub(super) fn refuse(&self, reason: NotTaken, now: SystemTime) -> NotTaken {
        self.tell(reason);
        self.figures.count(Fate::Refused, now);
        reason
    }

    fn judge(
        &self,
        delivery: Signed<'_>,
        signature: &str,
        now: SystemTime,
    ) -> Result<DeliveryOutcome, NotTaken> {
        let secret = self.known().secret.clone().ok_or(NotTaken::NoSecret)?;
        let signed_at: i64 = delivery
            .timestamp
            .parse()
            .map_err(|_| NotTaken::Malformed)?;
        // Before anything that a stranger could learn from.
        if !delivery.is_by(&secret, signature) {
            return Err(NotTaken::Forged);
        }
        let now = seconds(now);
        let max_age = i64::try_from(self.max_age.as_secs()).unwrap_or(i64::MAX);
        let end = signed_at.saturating_add(max_age);
        if now > end || signed_at > now.saturating_add(max_age) {
            return Err(NotTaken::Old);
        }
        let hint = Hint::read(delivery.body).ok_or(NotTaken::NoMessage)?;
        if !self.known().seen.is_new(delivery.id, end, now) {
            return Ok(DeliveryOutcome::Repeated);
        }
        self.known().installed = Some(true);
        let followed = match hint {
            Hint::NewModel(model) => {
                self.registry.0.catalog_soon();
                self.registry.0.hint(&model);
                true
            }
            Hint::Model(model) => self.registry.0.hint(&model),
            Hint::Nothing => false,
        };
        Ok(if followed {
            DeliveryOutcome::Accepted
        } else {
            DeliveryOutcome::Ignored
        })
    }

    fn tell(&self, reason: NotTaken) {
        let now = Instant::now();
        let mut known = self.known();
        if known.told.is_some_and(|told| now - told < TELL_EVERY) {
            return;
        }
        known.told = Some(now);
        drop(known);
        match reason {
            NotTaken::NoSecret => tracing::warn!(
                "a webhook delivered something, but this gateway has no secret to check it with: run `sluicegate webhooks \
                 install`, or set webhooks.secret to the secret of that webhook"
            ),
            NotTaken::Forged => tracing::warn!(
                "a webhook's delivery was refused: {reason}. If it is the registry's own, run `sluicegate webhooks install` \
                 again"
            ),
            _ => tracing::warn!("a webhook's delivery was refused: {reason}"),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Port {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("RegistryWebhooks")
    }
}

/// Seconds since the epoch.
fn seconds(time: SystemTime) -> i64 {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
