//! Whom rights are inherited from: the few questions that a registry with users of its own has to answer.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;

use super::login::Login;
use crate::permission::Right;

/// A registry that knows users and what each may do to models. It answers; remembering is not its work.
#[async_trait]
pub trait RightsSource: Send + Sync {
    /// What there is to know about a caller apart from single models; `None` if there is no such user, or the password
    /// is wrong.
    async fn account(&self, caller: &Caller) -> Result<Option<Account>, SourceError>;

    /// The right of a caller, who is no admin, on one model. It must not depend on earlier answers, because it is
    /// remembered as long as they are.
    async fn right(&self, caller: &Caller, model: &str) -> Result<Option<Right>, SourceError>;

    /// What a caller, who is no admin, may do to models in general: for lists, where a question a model takes too long.
    async fn overview(&self, caller: &Caller) -> Result<Overview, SourceError>;

    /// Whether the gateway's own account can tell the rights of others; the error says what to do if not.
    async fn check_service(&self) -> Result<(), SourceError>;
}

/// About whom a question is, and with whose credentials it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A user who showed a token of ours: asked with the gateway's own account, which must be an admin for that.
    Named(Arc<str>),
    /// A user who showed the password: asked as that user.
    SignedIn(Arc<Login>),
}

/// A user of the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// As the registry spells it.
    pub name: Arc<str>,
    /// Whether the user may do everything.
    pub admin: bool,
    /// Whether the user may read no version of any model, whatever else the models' permissions say.
    pub barred: bool,
    /// All of the user's rights, where the registry tells them at once and no more questions are needed.
    pub given: Option<Arc<Given>>,
}

/// All rights of a user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// On single models.
    pub models: HashMap<Box<str>, Option<Right>>,
    /// On all others, also on those that are yet to be registered.
    pub others: Option<Right>,
}

/// A caller's rights on models in general.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Overview {
    /// Exactly these models can be read, with this right at least.
    Readable(HashMap<Box<str>, Right>),
    /// What holds for every model but some.
    AllBut {
        /// On all others, also on those that are yet to be registered.
        others: Option<Right>,
        /// These can be read whatever `others` is, with this right at least.
        readable: HashMap<Box<str>, Right>,
        /// Each of these is to be asked about.
        unclear: HashSet<Box<str>>,
        /// Whether any model may be out of reach although `others` is not.
        some_are_denied: bool,
    },
    /// The registry has no such answer: each model is to be asked about.
    Unknown,
}

/// Why the registry gave no answer. The text is for people, says what to do, and holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// It does not answer, or not in a way that can be understood; later it may.
    #[error("{0}")]
    Unavailable(String),
    /// It refuses to tell the gateway's account: somebody has to change something.
    #[error("{0}")]
    Misconfigured(String),
    /// It no longer takes the caller's own password.
    #[error("the registry no longer accepts this user name and password")]
    SignedOut,
}

impl Caller {
    /// The name that the caller came with.
    pub fn name(&self) -> &str {
        match self {
            Self::Named(name) => name,
            Self::SignedIn(login) => login.user(),
        }
    }
}

impl Account {
    /// A user of that name, about whom nothing else is known.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self {
            name: name.into(),
            admin: false,
            barred: false,
            given: None,
        }
    }
}

impl Given {
    /// The right on one model.
    pub fn on(&self, model: &str) -> Option<Right> {
        self.models.get(model).copied().unwrap_or(self.others)
    }

    /// The right that holds on every model.
    pub(crate) fn on_all(&self) -> Option<Right> {
        self.models.values().copied().fold(self.others, Ord::min)
    }
}
