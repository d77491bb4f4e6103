//! An MLflow server with basic-auth, reply by reply as MLflow 2.22.5 and 3.17.2 gave them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use auth::{Credentials, HttpCall, HttpCalls, HttpReply, NoReply, Secret};
use tokio::time::sleep;

pub(crate) const NOT_FOUND: &str = "<!doctype html>\n<html lang=en>\n<title>404 Not Found</title>\n<h1>Not Found</h1>\n<p>The requested URL was not found on the server. If you entered the URL manually please check your spelling and try again.</p>\n";
const NOT_AUTHENTICATED: &str = "You are not authenticated. Please see https://www.mlflow.org/docs/latest/auth/index.html#authenticating-to-mlflow on how to authenticate.";
pub(crate) const PERMISSION_DENIED: &str = "Permission denied";

/// What each call takes, about as long as it really does: the server hashes the password each time.
pub(crate) const LATENCY: Duration = Duration::from_millis(400);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Generation {
    /// 2.x to 3.12.
    Old,
    /// 3.13 and later.
    New,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Up,
    /// No connection.
    Down,
    /// Never answers.
    Silent,
    /// Answers everything with this.
    Says(u16, &'static str),
}

pub(crate) struct FakeMlflow(Mutex<State>);

struct State {
    generation: Generation,
    mood: Mood,
    default: &'static str,
    users: HashMap<&'static str, User>,
    models: Vec<String>,
    /// Questions about it are answered with an error.
    broken: Option<&'static str>,
    calls: Vec<String>,
}

#[derive(Default)]
struct User {
    password: String,
    admin: bool,
    given: BTreeMap<String, &'static str>,
    versions: Option<&'static str>,
}

impl FakeMlflow {
    /// With the models `m1` and `m2`, an admin, and a user for each permission on `m1`, named after it.
    pub(crate) fn new(generation: Generation) -> Self {
        let server = Self(Mutex::new(State {
            generation,
            mood: Mood::Up,
            default: "NO_PERMISSIONS",
            users: HashMap::new(),
            models: vec!["m1".to_owned(), "m2".to_owned()],
            broken: None,
            calls: Vec::new(),
        }));
        for user in ["admin", "manager", "editor", "reader", "nobody"] {
            server.add_user(user);
        }
        server.set_admin("admin", true);
        for (user, permission) in [
            ("manager", "MANAGE"),
            ("editor", "EDIT"),
            ("reader", "READ"),
        ] {
            server.give(user, "m1", permission);
        }
        server
    }

    pub(crate) fn add_user(&self, name: &'static str) {
        let user = User {
            password: format!("password of {name}"),
            ..User::default()
        };
        self.state(|state| state.users.insert(name, user));
    }

    pub(crate) fn remove_user(&self, name: &'static str) {
        self.state(|state| state.users.remove(name));
    }

    pub(crate) fn set_admin(&self, name: &'static str, admin: bool) {
        self.user(name, |user| user.admin = admin);
    }

    pub(crate) fn set_password(&self, name: &'static str, password: &str) {
        self.user(name, |user| password.clone_into(&mut user.password));
    }

    /// Gives a permission on a model, or on `*`.
    pub(crate) fn give(&self, name: &'static str, model: &str, permission: &'static str) {
        self.user(name, |user| user.given.insert(model.to_owned(), permission));
    }

    pub(crate) fn take(&self, name: &'static str, model: &str) {
        self.user(name, |user| user.given.remove(model));
    }

    /// A permission on `registered_model_version:*`.
    pub(crate) fn give_on_versions(&self, name: &'static str, permission: &'static str) {
        self.user(name, |user| user.versions = Some(permission));
    }

    pub(crate) fn set_default(&self, permission: &'static str) {
        self.state(|state| state.default = permission);
    }

    pub(crate) fn set_mood(&self, mood: Mood) {
        self.state(|state| state.mood = mood);
    }

    /// From now on no question about `model` is answered.
    pub(crate) fn break_on(&self, model: &'static str) {
        self.state(|state| state.broken = Some(model));
    }

    pub(crate) fn upgrade(&self) {
        self.state(|state| state.generation = Generation::New);
    }

    pub(crate) fn add_models(&self, names: impl IntoIterator<Item = String>) {
        self.state(|state| state.models.extend(names));
    }

    /// The calls since the last time, as `who: call`.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.state(|state| std::mem::take(&mut state.calls))
    }

    fn user<T>(&self, name: &'static str, change: impl FnOnce(&mut User) -> T) -> T {
        self.state(|state| change(state.users.get_mut(name).unwrap()))
    }

    fn state<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.0.lock().unwrap())
    }
}

#[async_trait]
impl HttpCalls for FakeMlflow {
    async fn get(&self, call: HttpCall<'_>) -> Result<HttpReply, NoReply> {
        let Credentials::Basic { user, password } = call.credentials else {
            return Ok(html(401, NOT_AUTHENTICATED));
        };
        let (_, short) = call.path.split_once("mlflow/").unwrap();
        let mood = self.state(|state| {
            state.calls.push(format!("{user}: {short}"));
            state.mood
        });
        match mood {
            Mood::Silent => std::future::pending().await,
            Mood::Down => return Err(NoReply("the registry does not answer".to_owned())),
            Mood::Says(status, body) => return Ok(html(status, body)),
            Mood::Up => sleep(LATENCY).await,
        }
        Ok(self.state(|state| state.answer(user, password, call.path, call.query)))
    }
}

impl State {
    fn answer(
        &self,
        asker: &str,
        password: &Secret,
        path: &str,
        query: &[(&str, &str)],
    ) -> HttpReply {
        let parameter = |name: &str| {
            let found = query.iter().find(|(key, _)| *key == name);
            found.map_or("", |(_, value)| value)
        };
        let is_about = |model| query.iter().any(|(_, value)| *value == model);
        if self.broken.is_some_and(is_about) {
            return html(500, "Internal Server Error");
        }
        let Some(asking) = self.users.get(asker) else {
            return html(401, NOT_AUTHENTICATED);
        };
        if *asking.password != *password.expose() {
            return html(401, NOT_AUTHENTICATED);
        }
        let (model, about) = (parameter("name"), parameter("username"));
        let about_user = self.users.get(about);
        let trusted = asking.admin || asker == about;
        match (path, self.generation) {
            ("api/2.0/mlflow/users/get", _) if !trusted => html(403, PERMISSION_DENIED),
            ("api/2.0/mlflow/users/get", generation) => match about_user {
                None => self.missing(&format!("User with username={about} not found")),
                Some(user) => json(&user.describe(about, generation)),
            },
            ("api/2.0/mlflow/model-versions/get", _) => {
                if self.may_read_versions(asking, model) {
                    if parameter("version") == "1" {
                        json(&format!(
                            "{{\n  \"model_version\": {{\n    \"name\": \"{model}\",\n    \"version\": \"1\"\n  }}\n}}"
                        ))
                    } else {
                        let text = format!("Model Version (name={model}, version=99) not found");
                        self.missing(&text)
                    }
                } else {
                    html(403, PERMISSION_DENIED)
                }
            }
            ("api/2.0/mlflow/registered-models/permissions/get", Generation::Old) => {
                let managing = asking.admin || self.effective(asking, model) == "MANAGE";
                if !managing {
                    return html(403, PERMISSION_DENIED);
                }
                match about_user {
                    None => self.missing(&format!("User with username={about} not found")),
                    Some(user) => match user.given.get(model) {
                        Some(permission) => json(&format!(
                            r#"{{"registered_model_permission":{{"name":"{model}","permission":"{permission}","user_id":2}}}}"#
                        )),
                        None => self.missing(&format!(
                            "Registered model permission with name={model} and username={about} not found"
                        )),
                    },
                }
            }
            // Since 3.13 the old path fails closed.
            ("api/2.0/mlflow/registered-models/permissions/get", Generation::New)
                if !asking.admin =>
            {
                html(403, PERMISSION_DENIED)
            }
            ("api/2.0/mlflow/registered-models/search", _) => {
                self.search(asking, parameter("page_token"))
            }
            ("api/3.0/mlflow/users/permissions/get", Generation::New) => {
                if !trusted {
                    return html(403, PERMISSION_DENIED);
                }
                let Some(user) = about_user else {
                    return self.missing(&format!("User with username={about} not found"));
                };
                let permission = match parameter("resource_type") {
                    "registered_model_version" => user.versions.unwrap_or(self.default),
                    _ => self.effective(user, parameter("resource_id")),
                };
                let allowed = ["USE", "EDIT", "MANAGE"].contains(&permission);
                json(&format!(
                    "{{\"allowed\":{allowed},\"permission\":\"{permission}\"}}\n"
                ))
            }
            ("api/3.0/mlflow/users/permissions/list", Generation::New) => match about_user {
                _ if !trusted => html(403, PERMISSION_DENIED),
                None => self.missing(&format!("User with username={about} not found")),
                Some(user) => json(&user.list()),
            },
            _ => html(404, NOT_FOUND),
        }
    }

    /// As MLflow does it. Before 3.13: what was given on the model, else the default. Since: DENY if it was given on the model
    /// or on all, else the largest of both and, if there is one, the default. Being an admin is not folded in.
    fn effective(&self, user: &User, model: &str) -> &'static str {
        let rank = |name: &&str| {
            ["NO_PERMISSIONS", "READ", "USE", "EDIT", "MANAGE", "DENY"]
                .iter()
                .position(|known| known == name)
        };
        let given = [user.given.get(model), user.given.get("*")]
            .into_iter()
            .flatten()
            .copied();
        match self.generation {
            Generation::Old => user.given.get(model).copied().unwrap_or(self.default),
            Generation::New => {
                let largest = given.max_by_key(rank);
                largest.map_or(self.default, |name| {
                    if name == "NO_PERMISSIONS" {
                        name
                    } else {
                        [name, self.default].into_iter().max_by_key(rank).unwrap()
                    }
                })
            }
        }
    }

    fn may_read_versions(&self, user: &User, model: &str) -> bool {
        let readable = ["READ", "USE", "EDIT", "MANAGE"].contains(&self.effective(user, model));
        let exists =
            self.generation == Generation::Old || self.models.iter().any(|name| name == model);
        user.admin || (readable && exists && user.versions != Some("DENY"))
    }

    /// Two models a page; empty fields are left out.
    fn search(&self, user: &User, page_token: &str) -> HttpReply {
        let readable = |model: &&String| {
            user.admin || !["DENY", "NO_PERMISSIONS"].contains(&self.effective(user, model))
        };
        let names: Vec<_> = self.models.iter().filter(readable).collect();
        let start: usize = page_token.parse().unwrap_or(0);
        let page: Vec<_> = names
            .iter()
            .skip(start)
            .take(2)
            .map(|name| format!(r#"{{"name": "{name}"}}"#))
            .collect();
        if page.is_empty() {
            return json("{}");
        }
        let next = if start + 2 < names.len() {
            format!(r#", "next_page_token": "{}""#, start + 2)
        } else {
            String::new()
        };
        json(&format!(
            r#"{{"registered_models": [{}]{next}}}"#,
            page.join(", ")
        ))
    }

    fn missing(&self, message: &str) -> HttpReply {
        let more = match self.generation {
            Generation::Old => "",
            Generation::New => r#", "sqlstate": "KAM00", "error_class": "RESOURCE_NOT_FOUND""#,
        };
        HttpReply {
            status: 404,
            ..json(&format!(
                r#"{{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "{message}"{more}}}"#
            ))
        }
    }
}

impl User {
    fn describe(&self, name: &str, generation: Generation) -> String {
        let admin = self.admin;
        match generation {
            Generation::Old => {
                let given: Vec<_> = self
                    .given
                    .iter()
                    .map(|(model, permission)| {
                        format!(r#"{{"name":"{model}","permission":"{permission}","user_id":2}}"#)
                    })
                    .collect();
                let given = given.join(",");
                format!(
                    "{{\"user\":{{\"experiment_permissions\":[],\"id\":2,\"is_admin\":{admin},\"registered_model_permissions\":[{given}],\"username\":\"{name}\"}}}}\n"
                )
            }
            Generation::New => {
                format!("{{\"user\":{{\"id\":2,\"is_admin\":{admin},\"username\":\"{name}\"}}}}\n")
            }
        }
    }

    fn list(&self) -> String {
        let row = |kind: &str, pattern: &str, permission: &str| {
            format!(
                r#"{{"permission":"{permission}","resource_pattern":"{pattern}","resource_type":"{kind}","role_id":2,"role_name":"__user_2__","workspace":"default"}}"#
            )
        };
        let models = self
            .given
            .iter()
            .map(|(model, permission)| row("registered_model", model, permission));
        let versions = self
            .versions
            .map(|permission| row("registered_model_version", "*", permission));
        let rows: Vec<_> = models.chain(versions).collect();
        format!(
            "{{\"is_admin\":{},\"permissions\":[{}]}}\n",
            self.admin,
            rows.join(",")
        )
    }
}

pub(crate) fn html(status: u16, body: &str) -> HttpReply {
    HttpReply {
        status,
        body: body.as_bytes().to_vec(),
    }
}

pub(crate) fn json(body: &str) -> HttpReply {
    html(200, body)
}
