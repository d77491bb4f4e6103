//! Users and permissions of an MLflow server with basic-auth, asked as they are: nothing is remembered here.
//!
//! There are two generations, told apart by what they answer, so that an upgrade needs no restart. MLflow 2.x to 3.12 keep
//! permissions by model: `users/get` names all that were given, and not the default. Since 3.13 there are roles, wildcards,
//! USE and DENY: what comes of them is asked of `users/permissions/get`.

mod ask;
mod permission;
mod replies;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;

use crate::http_call::{Credentials, HttpCalls};
use crate::inherited::{Account, Caller, Given, Overview, RightsSource, SourceError};
use crate::permission::Right;

use ask::no_service;
use permission::right;
use replies::{
    Answered, GivenRow, GrantsReply, ModelPermission, ModelPermissionReply, SearchReply, UserReply,
    VersionReply, odd, read,
};

pub use permission::{MlflowPermission, UnknownPermission};

const MODEL: &str = "registered_model";
const MODEL_VERSION: &str = "registered_model_version";

/// Stands for all resources of a type.
const ALL: &str = "*";

/// Pages of 1,000 models that are read of a list, at most.
const MAX_PAGES: usize = 100;

/// The users of one MLflow server.
pub struct MlflowUsers {
    http: Arc<dyn HttpCalls>,
    /// The gateway's own account.
    service: Option<Credentials>,
    default_permission: MlflowPermission,
    /// Whether the server was last seen to be older than 3.13. Only saves calls: a wrong guess is noticed.
    is_old: AtomicBool,
}

impl MlflowUsers {
    /// The users of the server that `http` calls.
    ///
    /// `service` is the gateway's own account there; to tell the rights of callers with tokens it must be an admin.
    /// `default_permission` is the server's setting of that name. MLflow before 3.13 tells nobody what it is, so it counts
    /// there for callers with tokens to whom nothing was given for a model; `NO_PERMISSIONS` is the safe choice.
    pub fn new(
        http: Arc<dyn HttpCalls>,
        service: Option<Credentials>,
        default_permission: MlflowPermission,
    ) -> Self {
        Self {
            http,
            service,
            default_permission,
            is_old: AtomicBool::new(false),
        }
    }

    /// What an effective permission of the caller is, since 3.13; `None` if the server has no such call.
    async fn effective(
        &self,
        caller: &Caller,
        resource_type: &str,
        resource: &str,
    ) -> Result<Option<String>, SourceError> {
        let query = [
            ("username", caller.name()),
            ("resource_type", resource_type),
            ("resource_id", resource),
        ];
        let call = "users/permissions/get";
        match self.ask_v3(caller, call, &query).await? {
            Answered::Done(body) => {
                let reply: replies::EffectiveReply = read(call, &body)?;
                Ok(Some(reply.permission))
            }
            Answered::NoSuchCall => Ok(None),
            // The user is gone, or this version does not know the resource type: nothing is given, nothing denied.
            Answered::Missing | Answered::Invalid => {
                Ok(Some(MlflowPermission::NoPermissions.to_string()))
            }
            Answered::Denied => Err(self.denied(caller, call)),
            other @ Answered::Unauthenticated => Err(odd(call, &other)),
        }
    }

    /// Whether a DENY on all versions keeps the caller from reading any model, since 3.17 or so.
    async fn is_barred(&self, caller: &Caller) -> Result<bool, SourceError> {
        let permission = self.effective(caller, MODEL_VERSION, ALL).await?;
        // NO_PERMISSIONS is what everybody has to whom nothing was given there: then the model's own decides.
        Ok(permission.is_some_and(|name| name == MlflowPermission::Deny.to_string()))
    }

    /// The right of somebody else.
    async fn right_of(&self, caller: &Caller, model: &str) -> Result<Option<Right>, SourceError> {
        if let Some(permission) = self.effective(caller, MODEL, model).await? {
            return Ok(right(&permission));
        }
        let call = "registered-models/permissions/get";
        let query = [("name", model), ("username", caller.name())];
        match self.ask(caller, call, &query).await? {
            Answered::Done(body) => {
                let reply: ModelPermissionReply = read(call, &body)?;
                Ok(right(&reply.registered_model_permission.permission))
            }
            Answered::Missing => Ok(self.default_permission.right()),
            Answered::Denied => Err(self.denied(caller, call)),
            other => Err(odd(call, &other)),
        }
    }

    /// Whether the caller may read the versions of a model: asked by reading one, as that is what MLflow itself checks.
    async fn can_read(&self, caller: &Caller, model: &str) -> Result<bool, SourceError> {
        let call = "model-versions/get";
        // Which version does not matter: who may not read hears 403 whether it exists or not.
        match self
            .ask(caller, call, &[("name", model), ("version", "1")])
            .await?
        {
            Answered::Done(body) => read::<VersionReply>(call, &body).map(|_| true),
            Answered::Missing => Ok(true),
            Answered::Denied => Ok(false),
            other => Err(odd(call, &other)),
        }
    }

    /// Whether the caller, asking about itself, has MANAGE.
    async fn can_manage(&self, caller: &Caller, model: &str) -> Result<bool, SourceError> {
        if !self.is_old.load(Ordering::Relaxed)
            && let Some(permission) = self.effective(caller, MODEL, model).await?
        {
            return Ok(right(&permission) == Some(Right::Manage));
        }
        let call = "registered-models/permissions/get";
        let query = [("name", model), ("username", caller.name())];
        match self.ask(caller, call, &query).await? {
            Answered::Done(body) => {
                let reply: ModelPermissionReply = read(call, &body)?;
                let permission = reply.registered_model_permission.permission;
                Ok(right(&permission) == Some(Right::Manage))
            }
            // The call needs MANAGE and let the caller through; nothing was given, so it is the default.
            Answered::Missing => Ok(true),
            Answered::Denied | Answered::NoSuchCall => Ok(false),
            other => Err(odd(call, &other)),
        }
    }

    /// The models that the caller may read, asked as the caller, and what of more was given for them.
    async fn readable(&self, caller: &Caller) -> Result<Overview, SourceError> {
        let (names, given) = tokio::join!(self.readable_names(caller), self.given(caller));
        let given = given?;
        let with_right = |name: Box<str>| {
            let right = given.get(&name).copied().flatten();
            (name, right.unwrap_or(Right::Read))
        };
        Ok(Overview::Readable(
            names?.into_iter().map(with_right).collect(),
        ))
    }

    /// What was given to the caller for single models, before 3.13; later servers tell it elsewhere.
    async fn given(
        &self,
        caller: &Caller,
    ) -> Result<HashMap<Box<str>, Option<Right>>, SourceError> {
        let call = "users/get";
        let query = [("username", caller.name())];
        let Answered::Done(body) = self.ask(caller, call, &query).await? else {
            return Ok(HashMap::new());
        };
        let given = read::<UserReply>(call, &body)?.user;
        let given = given.registered_model_permissions.unwrap_or_default();
        let row = |row: ModelPermission| (row.name.into(), right(&row.permission));
        Ok(given.into_iter().map(row).collect())
    }

    /// The search for models is filtered in all versions; that for versions was not in 2.x.
    async fn readable_names(&self, caller: &Caller) -> Result<HashSet<Box<str>>, SourceError> {
        let call = "registered-models/search";
        let mut names = HashSet::new();
        let mut page_token = String::new();
        for _ in 0..MAX_PAGES {
            let query = [("max_results", "1000"), ("page_token", &*page_token)];
            let query = if page_token.is_empty() {
                &query[..1]
            } else {
                &query[..]
            };
            let page: SearchReply = match self.ask(caller, call, query).await? {
                Answered::Done(body) => read(call, &body)?,
                other => return Err(odd(call, &other)),
            };
            names.extend(
                page.registered_models
                    .into_iter()
                    .map(|model| model.name.into()),
            );
            if page.next_page_token.is_empty() {
                break;
            }
            page_token = page.next_page_token;
        }
        Ok(names)
    }
}

#[async_trait]
impl RightsSource for MlflowUsers {
    /// One call, and one more about callers with tokens since 3.13.
    async fn account(&self, caller: &Caller) -> Result<Option<Account>, SourceError> {
        // Of oneself, everybody may ask this in all versions: it is how a password is checked, too.
        let call = "users/get";
        let user = match self
            .ask(caller, call, &[("username", caller.name())])
            .await?
        {
            Answered::Done(body) => read::<UserReply>(call, &body)?.user,
            Answered::Missing => return Ok(None),
            Answered::Denied => match caller {
                Caller::Named(_) => return Err(self.denied(caller, call)),
                // Signed in, but under a name that is not spelled like this.
                Caller::SignedIn(_) => return Ok(None),
            },
            Answered::NoSuchCall => {
                return Err(SourceError::Misconfigured(
                    "the registry has no users: start the MLflow server with --app-name basic-auth, or set auth.rights to \
                     \"grants\""
                        .to_owned(),
                ));
            }
            other => return Err(odd(call, &other)),
        };
        let given = user.registered_model_permissions;
        self.is_old.store(given.is_some(), Ordering::Relaxed);
        let mut account = Account {
            admin: user.is_admin,
            ..Account::new(user.username)
        };
        if let (Caller::Named(_), false) = (caller, account.admin) {
            match given {
                Some(given) => {
                    let models = given
                        .into_iter()
                        .map(|row| (row.name.into(), right(&row.permission)));
                    account.given = Some(Arc::new(Given {
                        models: models.collect(),
                        others: self.default_permission.right(),
                    }));
                }
                None => account.barred = self.is_barred(caller).await?,
            }
        }
        Ok(Some(account))
    }

    /// One call about callers with tokens; two at a time as a caller with a password.
    async fn right(&self, caller: &Caller, model: &str) -> Result<Option<Right>, SourceError> {
        match caller {
            Caller::Named(_) => self.right_of(caller, model).await,
            Caller::SignedIn(_) => {
                let (can_read, can_manage) =
                    tokio::join!(self.can_read(caller, model), self.can_manage(caller, model));
                Ok(match (can_read?, can_manage?) {
                    // Managing without reading is possible in MLflow (DENY on versions), but not here.
                    (false, _) => None,
                    (true, false) => Some(Right::Read),
                    (true, true) => Some(Right::Manage),
                })
            }
        }
    }

    /// Since 3.13: what holds for a model that nothing was given for, and for which models something was. What comes of
    /// that is MLflow's to say.
    async fn overview(&self, caller: &Caller) -> Result<Overview, SourceError> {
        let call = "users/permissions/list";
        let query = [("username", caller.name())];
        let given: GrantsReply = match (self.ask_v3(caller, call, &query).await?, caller) {
            (Answered::Done(body), _) => read(call, &body)?,
            (_, Caller::SignedIn(_)) => return self.readable(caller).await,
            (Answered::Denied, Caller::Named(_)) => return Err(self.denied(caller, call)),
            (_, Caller::Named(_)) => return Ok(Overview::Unknown),
        };
        let (others, barred) =
            tokio::join!(self.effective(caller, MODEL, ALL), self.is_barred(caller));
        if barred? {
            return Ok(Overview::Readable(HashMap::new()));
        }
        let Some(others) = others? else {
            return Ok(Overview::Unknown);
        };
        Ok(sum_up(given.permissions, right(&others)))
    }

    async fn check_service(&self) -> Result<(), SourceError> {
        let Some(Credentials::Basic { user, .. }) = &self.service else {
            // A bearer token belongs to some other way of signing in, which may well tell: only asking shows.
            return self.service.as_ref().map(|_| ()).ok_or_else(no_service);
        };
        let account = self.account(&Caller::Named(user.as_str().into())).await?;
        match account {
            Some(account) if account.admin => Ok(()),
            _ => Err(self.not_admin()),
        }
    }
}

/// MLflow lets the largest permission count that was given on a model or on all, unless one of them is DENY. So what was
/// given on a model alone makes it readable where nothing was denied; the rest is MLflow's to say.
fn sum_up(rows: Vec<GivenRow>, others: Option<Right>) -> Overview {
    let rows: Vec<_> = rows
        .into_iter()
        .filter(|row| row.resource_type == MODEL)
        .collect();
    let clear = |row: &GivenRow| right(&row.permission).filter(|_| row.is_in_default_workspace());
    let some_are_denied = rows.iter().any(|row| right(&row.permission).is_none());
    let all_are_unclear = rows
        .iter()
        .any(|row| row.resource_pattern == ALL && clear(row).is_none());
    let mut readable = HashMap::<Box<str>, Right>::new();
    let mut unclear = HashSet::<Box<str>>::new();
    for row in rows.iter().filter(|row| row.resource_pattern != ALL) {
        let name = row.resource_pattern.as_str().into();
        match clear(row).filter(|_| !all_are_unclear) {
            None => {
                unclear.insert(name);
            }
            Some(right) => {
                let least = readable.entry(name).or_insert(right);
                *least = right.max(*least);
            }
        }
    }
    Overview::AllBut {
        others,
        readable,
        unclear,
        some_are_denied,
    }
}
