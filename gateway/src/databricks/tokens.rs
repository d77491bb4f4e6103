//! The token API: a caller manages its own tokens, an admin everybody's.

use std::time::{Duration, SystemTime};

use axum::Json;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::control_plane::{Access, Body, Known, Refused, Wish};

#[derive(Debug, Deserialize)]
struct Create {
    #[serde(default)]
    comment: Option<String>,
    #[serde(default)]
    lifetime_seconds: Option<i64>,
    #[serde(default)]
    scopes: Option<Vec<String>>,
    #[serde(default)]
    autoscope_enabled: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct Delete {
    token_id: String,
}

/// `POST create`.
pub(super) async fn create(access: Access, body: Body) -> Result<Json<Value>, Refused> {
    let asked: Create = body.read()?;
    // Whoever asks for less must not be given everything.
    if asked.scopes.is_some_and(|scopes| !scopes.is_empty())
        || asked.autoscope_enabled == Some(true)
    {
        return Err(Refused::invalid(
            "\"scopes\" and \"autoscope_enabled\" are not known here; `sluicegate tokens create` gives rights by model",
        ));
    }
    let lifetime = match asked.lifetime_seconds {
        // -1 is how an answer says "never", so it may come back as a question.
        None | Some(-1) => None,
        Some(seconds) => {
            let seconds = u64::try_from(seconds)
                .map_err(|_| Refused::invalid("\"lifetime_seconds\" must not be negative"))?;
            Some(Duration::from_secs(seconds))
        }
    };
    let wish = Wish {
        comment: asked.comment.unwrap_or_default(),
        lifetime,
        ..Wish::default()
    };
    let (known, token) = access.create_token(wish).await?;
    Ok(Json(
        json!({ "token_value": token.expose(), "token_info": info(&known) }),
    ))
}

/// `GET list`.
pub(super) async fn list(access: Access, _: Body) -> Result<Json<Value>, Refused> {
    let known = access.tokens().await?;
    let infos: Vec<_> = known.iter().map(info).collect();
    Ok(Json(json!({ "token_infos": infos })))
}

/// `POST delete`.
pub(super) async fn delete(access: Access, body: Body) -> Result<Json<Value>, Refused> {
    let asked: Delete = body.read()?;
    access.revoke_token(&asked.token_id).await?;
    Ok(Json(json!({})))
}

fn info(known: &Known) -> Value {
    let record = &known.record;
    json!({
        "token_id": record.id.as_str(),
        "creation_time": millis(record.created),
        "expiry_time": record.expires.map_or(-1, millis),
        "comment": record.comment,
    })
}

fn millis(time: SystemTime) -> i64 {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
