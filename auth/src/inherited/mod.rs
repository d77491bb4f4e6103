//! Rights that are inherited from the registry: its users, its permissions, asked seldom and remembered briefly.

mod answers;
mod config;
mod decisions;
mod desk;
mod figures;
mod login;
mod silence;
mod source;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::permission::Right;
use crate::principal::Principal;
use crate::rights::RightsError;
use crate::secret::Secret;
use crate::sign_in_places::SignInPlace;

use decisions::{Ages, Answer, Decisions, Key};
use desk::Desk;
use figures::Counters;
use login::{LoginDigest, Salt};
use silence::Silence;

pub use config::InheritedConfig;
pub use figures::RightsFigures;
pub use login::Login;
pub use source::{Account, Caller, Given, Overview, RightsSource, SourceError};

/// Answers what callers may do from what the registry says. Cheap to clone.
///
/// A caller whose rights are known waits for nothing. [`Authenticator::run`](crate::Authenticator::run) has to run
/// somewhere: it is what asks the registry.
#[derive(Clone)]
pub struct InheritedRights(Arc<Inner>);

struct Inner {
    source: Arc<dyn RightsSource>,
    config: InheritedConfig,
    salt: Salt,
    named: Arc<Decisions<Identity, Option<Account>>>,
    signed_in: Arc<Decisions<Identity, Option<Account>>>,
    models: Arc<Decisions<OnModel, Option<Right>>>,
    overviews: Arc<Decisions<Identity, Arc<Overview>>>,
    questions: Arc<Desk>,
    /// Apart from the other questions: who tries passwords delays nobody who has signed in.
    sign_ins: Arc<Desk>,
    /// Whether the last question failed: said once when that starts and once when it is over.
    failing: Arc<AtomicBool>,
    counters: Arc<Counters>,
}

/// A caller as answers are remembered for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Identity {
    Named(Arc<str>),
    SignedIn(LoginDigest),
}

/// A caller and a model.
type OnModel = (Identity, Box<str>);

/// What a caller's account alone says.
enum Standing {
    Nothing,
    Admin,
    Given(Arc<Given>),
    /// Too little: the registry has to be asked about models.
    Asked,
}

impl Answer for Arc<Overview> {
    fn denies(&self) -> bool {
        false
    }
}

impl Key for Identity {
    fn caller(&self) -> &Identity {
        self
    }
}

impl Key for OnModel {
    fn caller(&self) -> &Identity {
        &self.0
    }
}

impl InheritedRights {
    /// Rights inherited from `source`.
    pub fn new(source: Arc<dyn RightsSource>, config: InheritedConfig) -> Self {
        let ages = Ages {
            allowed: config.age,
            denied: config.denied_age.min(config.age),
            outage: config.outage,
            pause: PAUSE,
            deadline: config.deadline,
        };
        let questions = Arc::new(Desk::new(config.at_a_time, config.waiting));
        let sign_ins = Arc::new(Desk::new(config.at_a_time / 2, config.waiting));
        let size = config.remembered;
        let counters = Arc::<Counters>::default();
        let (question, sign_in) = (|| Arc::clone(&questions), || Arc::clone(&sign_ins));
        let silence = Arc::<Silence>::default();
        let (hear, count) = (|| Arc::clone(&silence), || Arc::clone(&counters));
        Self(Arc::new(Inner {
            source,
            config,
            salt: Salt::random(),
            named: Arc::new(Decisions::new(ages, size, question(), hear(), count())),
            signed_in: Arc::new(Decisions::new(ages, size, sign_in(), hear(), count())),
            models: Arc::new(Decisions::new(ages, size, question(), hear(), count())),
            // One may hold the names of all models.
            overviews: Arc::new(Decisions::new(
                ages,
                size / 100,
                question(),
                hear(),
                count(),
            )),
            questions,
            sign_ins,
            failing: Arc::default(),
            counters,
        }))
    }

    /// Who signs in with this name and password; `None` if the registry does not accept them. The registry is asked about
    /// somebody whom it has not accepted lately only once there is a `place` for that.
    pub(crate) async fn sign_in(
        &self,
        user: &str,
        password: Secret,
        place: impl Future<Output = Option<SignInPlace>>,
    ) -> Result<Option<Principal>, RightsError> {
        // The registry would refuse them, too.
        if user.is_empty() || password.is_empty() {
            return Ok(None);
        }
        let caller = Caller::SignedIn(Arc::new(Login::new(user, password, &self.0.salt)));
        let place = if self.0.signed_in.is_at_hand(&identity(&caller)) {
            None
        } else {
            let place = place.await.ok_or_else(|| {
                let reason = "too many sign-ins from this address are waiting already";
                RightsError::Unavailable(reason.to_owned())
            })?;
            Some(place)
        };
        let account = self.account_in(&caller, place).await?;
        let Caller::SignedIn(login) = caller else {
            return Ok(None);
        };
        Ok(account.map(|account| Principal {
            admin: account.admin,
            login: Some(login),
            ..Principal::new(account.name)
        }))
    }

    /// Whether the user of that name may do everything.
    pub(crate) async fn is_admin(&self, name: &Arc<str>) -> Result<bool, RightsError> {
        let account = self.account(&Caller::Named(Arc::clone(name))).await?;
        Ok(account.is_some_and(|account| account.admin))
    }

    /// Which of the users of these names may do everything. Those about whom nobody answers within `patience` count as
    /// none.
    pub async fn admins(
        &self,
        names: impl IntoIterator<Item = Arc<str>>,
        patience: Duration,
    ) -> HashSet<Arc<str>> {
        let deadline = Instant::now() + patience;
        let mut names = names.into_iter();
        let (mut asked, mut admins) = (JoinSet::new(), HashSet::new());
        loop {
            // No more at a time than are asked at a time: the queue is for those who call.
            while asked.len() < self.0.config.at_a_time.max(1)
                && let Some(name) = names.next()
            {
                let rights = self.clone();
                asked.spawn(
                    async move { (rights.is_admin(&name).await == Ok(true)).then_some(name) },
                );
            }
            match timeout_at(deadline, asked.join_next()).await {
                Ok(Some(answered)) => admins.extend(answered.ok().flatten()),
                Ok(None) | Err(_) => return admins,
            }
        }
    }

    /// Whether the gateway's own account can tell the rights of callers with tokens; the error says what to do if not.
    pub async fn check_service(&self) -> Result<(), SourceError> {
        self.0.source.check_service().await
    }

    /// Whether the registry's last answer, if there was one yet, was an answer.
    pub fn is_answered(&self) -> bool {
        !self.0.failing.load(Ordering::Relaxed)
    }

    /// How often answers were remembered and how often the registry was asked.
    pub fn figures(&self) -> RightsFigures {
        let inner = &*self.0;
        let entries = inner.named.entries()
            + inner.signed_in.entries()
            + inner.models.entries()
            + inner.overviews.entries();
        inner.counters.figures(entries)
    }

    /// Asks the registry what has to be asked, until `shutdown`.
    pub(crate) async fn run(&self, shutdown: &CancellationToken) {
        let (questions, sign_ins) = (&self.0.questions, &self.0.sign_ins);
        tokio::join!(questions.run(shutdown), sign_ins.run(shutdown));
    }

    async fn account(&self, caller: &Caller) -> Result<Option<Account>, RightsError> {
        self.account_in(caller, None).await
    }

    async fn account_in(
        &self,
        caller: &Caller,
        place: Option<SignInPlace>,
    ) -> Result<Option<Account>, RightsError> {
        let decisions = match caller {
            Caller::Named(_) => &self.0.named,
            Caller::SignedIn(_) => &self.0.signed_in,
        };
        let key = identity(caller);
        let answer = decisions.get(&key, || {
            let (source, caller) = (Arc::clone(&self.0.source), caller.clone());
            self.watched(async move {
                // Held until the answer, also if the caller leaves before.
                let _place = place;
                match source.account(&caller).await {
                    // For this question that is an answer like any other.
                    Err(SourceError::SignedOut) => Ok(None),
                    answered => answered,
                }
            })
        });
        Ok(answer.await?)
    }

    async fn standing(&self, caller: &Caller) -> Result<Standing, RightsError> {
        Ok(match self.account(caller).await? {
            None => Standing::Nothing,
            Some(account) if account.admin => Standing::Admin,
            Some(account) if account.barred => Standing::Nothing,
            Some(Account { given, .. }) => given.map_or(Standing::Asked, Standing::Given),
        })
    }

    async fn on_model(&self, caller: &Caller, model: &str) -> Result<Option<Right>, RightsError> {
        let key = (identity(caller), Box::from(model));
        let answer = self.0.models.get(&key, || {
            let (source, caller) = (Arc::clone(&self.0.source), caller.clone());
            let model = model.to_owned();
            self.watched(async move { source.right(&caller, &model).await })
        });
        self.or_sign_out(caller, answer.await, None)
    }

    async fn overview(&self, caller: &Caller) -> Result<Arc<Overview>, RightsError> {
        let key = identity(caller);
        let answer = self.0.overviews.get(&key, || {
            let (source, caller) = (Arc::clone(&self.0.source), caller.clone());
            self.watched(async move { source.overview(&caller).await.map(Arc::new) })
        });
        let nothing = Arc::new(Overview::Readable(HashMap::new()));
        self.or_sign_out(caller, answer.await, nothing)
    }

    /// A password that the registry no longer takes: nothing is allowed, and the next request has to sign in again.
    fn or_sign_out<A>(
        &self,
        caller: &Caller,
        answer: Result<A, SourceError>,
        nothing: A,
    ) -> Result<A, RightsError> {
        match answer {
            Err(SourceError::SignedOut) => {
                self.0.signed_in.forget(&identity(caller));
                Ok(nothing)
            }
            answer => Ok(answer?),
        }
    }

    /// Says in the log when the registry stops answering, and when it answers again.
    fn watched<A>(
        &self,
        question: impl Future<Output = Result<A, SourceError>> + Send + 'static,
    ) -> impl Future<Output = Result<A, SourceError>> + Send + 'static {
        let failing = Arc::clone(&self.0.failing);
        async move {
            let answered = question.await;
            match &answered {
                Err(error @ (SourceError::Unavailable(_) | SourceError::Misconfigured(_))) => {
                    if !failing.swap(true, Ordering::Relaxed) {
                        warn!(%error, "rights cannot be asked of the registry: the last answers stand for a while");
                    }
                }
                Ok(_) | Err(SourceError::SignedOut) => {
                    if failing.swap(false, Ordering::Relaxed) {
                        info!("rights can be asked of the registry again");
                    }
                }
            }
            answered
        }
    }
}

/// After no answer, the pause before the same is asked again.
const PAUSE: Duration = Duration::from_secs(2);

impl From<SourceError> for RightsError {
    fn from(error: SourceError) -> Self {
        match error {
            SourceError::Misconfigured(reason) => Self::Misconfigured(reason),
            SourceError::Unavailable(_) | SourceError::SignedOut => {
                Self::Unavailable(error.to_string())
            }
        }
    }
}

fn caller(principal: &Principal) -> Caller {
    match &principal.login {
        Some(login) => Caller::SignedIn(Arc::clone(login)),
        None => Caller::Named(Arc::clone(&principal.name)),
    }
}

fn identity(caller: &Caller) -> Identity {
    match caller {
        Caller::Named(name) => Identity::Named(Arc::clone(name)),
        Caller::SignedIn(login) => Identity::SignedIn(login.digest()),
    }
}

impl fmt::Debug for InheritedRights {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("InheritedRights")
            .field("config", &self.0.config)
            .finish_non_exhaustive()
    }
}
