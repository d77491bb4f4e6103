//! Both token APIs: made once, shown once, gone when revoked.

use std::time::Duration;

use auth::{NewToken, Permission, Right, Scopes};
use axum::body::Body;
use serde_json::{Value, json};

use super::harness::{Answer, Caller, Plane};

async fn with_token(plane: &Plane, token: &str, path: &str) -> u16 {
    let request = plane
        .request(Caller::Anonymous, "GET", path)
        .header("authorization", format!("Bearer {token}"));
    plane
        .send(request.body(Body::empty()).unwrap())
        .await
        .status
        .as_u16()
}

async fn create(plane: &Plane, caller: Caller, body: &Value) -> Answer {
    plane
        .call(caller, "POST", "/api/v1/tokens", &body.to_string())
        .await
}

#[tokio::test]
async fn a_new_token_with_rights_works_at_once_and_a_revoked_one_no_longer() {
    let plane = Plane::new().await;
    let answer = create(
        &plane,
        Caller::Admin,
        &json!({"principal": "eve", "comment": "dashboard", "lifetime": "30d", "read": ["iri*"], "manage": ["odd*"]}),
    )
    .await;
    assert_eq!(answer.status, 201);
    let created = answer.json();
    insta::assert_json_snapshot!(created, {".token" => "[token]", ".info.id" => "[id]"});
    let token = created["token"].as_str().unwrap();
    assert!(token.starts_with("sgp_"));
    assert_eq!(with_token(&plane, token, "/api/v1/models/iris").await, 200);
    assert_eq!(
        with_token(&plane, token, "/api/v1/models/secret").await,
        404
    );
    let id = created["info"]["id"].as_str().unwrap();
    let path = format!("/api/v1/tokens/{id}");
    assert_eq!(
        plane
            .call(Caller::Stranger, "DELETE", &path, "")
            .await
            .refusal()
            .0,
        404
    );
    assert_eq!(
        plane.call(Caller::Admin, "DELETE", &path, "").await.status,
        204
    );
    assert_eq!(with_token(&plane, token, "/api/v1/models/iris").await, 401);
    assert_eq!(
        plane
            .call(Caller::Admin, "DELETE", &path, "")
            .await
            .refusal()
            .0,
        404
    );
}

#[tokio::test]
async fn a_caller_makes_tokens_for_itself_and_only_an_admin_gives_rights() {
    let plane = Plane::new().await;
    assert_eq!(create(&plane, Caller::Reader, &json!({})).await.status, 201);
    assert_eq!(
        create(&plane, Caller::Reader, &json!({"principal": "rea"}))
            .await
            .status,
        201
    );
    for body in [
        json!({"principal": "mel"}),
        json!({"admin": true}),
        json!({"manage": ["*"]}),
        json!({"read": ["iris"]}),
    ] {
        let answer = create(&plane, Caller::Reader, &body).await;
        assert_eq!(
            answer.refusal(),
            (403, "PERMISSION_DENIED".to_owned()),
            "{body}"
        );
    }
    for body in [
        json!({"read": ["*-prod"]}),
        json!({"lifetime": "soon"}),
        json!({"lifetime": "1000y"}),
        json!({"lifetime": 0}),
        json!({"principal": ""}),
        json!({"principl": "eve"}),
    ] {
        assert_eq!(
            create(&plane, Caller::Admin, &body).await.refusal().0,
            400,
            "{body}"
        );
    }
}

#[tokio::test]
async fn tokens_are_listed_without_themselves_to_those_they_concern() {
    let plane = Plane::new().await;
    let principals = async |caller| {
        let answer = plane.get(caller, "/api/v1/tokens").await;
        assert!(!answer.text().contains("sgp_"));
        let page = answer.json();
        let tokens = page["tokens"].as_array().unwrap();
        let mut names: Vec<_> = tokens
            .iter()
            .map(|token| token["principal"].as_str().unwrap().to_owned())
            .collect();
        names.sort();
        names
    };
    assert_eq!(
        principals(Caller::Admin).await,
        ["ada", "mel", "rea", "sam"]
    );
    assert_eq!(principals(Caller::Reader).await, ["rea"]);
}

#[tokio::test]
async fn the_other_token_api_has_its_own_shapes() {
    let plane = Plane::new().await;
    let body = r#"{"comment": "notebook", "lifetime_seconds": 3600, "unknown": 1}"#;
    let created = plane
        .call(Caller::Reader, "POST", "/api/2.0/token/create", body)
        .await;
    assert_eq!(created.status, 200);
    let created = created.json();
    insta::assert_json_snapshot!(created, {".token_value" => "[token]", ".token_info.token_id" => "[id]"});
    let forever = plane
        .call(Caller::Reader, "POST", "/api/2.0/token/create", "")
        .await
        .json();
    assert_eq!(forever["token_info"]["expiry_time"], -1);
    assert_eq!(forever["token_info"]["comment"], "");
    let list = plane
        .get(Caller::Reader, "/api/2.0/token/list")
        .await
        .json();
    assert_eq!(list["token_infos"].as_array().unwrap().len(), 3);
    let token = created["token_value"].as_str().unwrap();
    assert_eq!(with_token(&plane, token, "/api/v1/models/iris").await, 200);
    let delete = json!({"token_id": created["token_info"]["token_id"]}).to_string();
    let answer = plane
        .call(Caller::Stranger, "POST", "/api/2.0/token/delete", &delete)
        .await;
    assert_eq!(answer.refusal().0, 404, "somebody else's");
    let answer = plane
        .call(Caller::Reader, "POST", "/api/2.0/token/delete", &delete)
        .await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({})));
    assert_eq!(with_token(&plane, token, "/api/v1/models/iris").await, 401);
    let answer = plane
        .call(
            Caller::Reader,
            "POST",
            "/api/2.0/token/create",
            r#"{"lifetime_seconds": -5}"#,
        )
        .await;
    assert_eq!(answer.refusal().0, 400);
    let answer = plane
        .call(Caller::Reader, "POST", "/api/2.0/token/delete", "{}")
        .await;
    assert_eq!(answer.refusal().0, 400);
}

#[tokio::test]
async fn a_token_that_ends_makes_none_that_lasts_longer() {
    let plane = Plane::new().await;
    let end = "2026-01-01T01:00:00.000Z";
    for principal in ["rea", "ada"] {
        let token = NewToken {
            lifetime: Some(Duration::from_secs(3600)),
            ..NewToken::new(principal)
        };
        let (_, token) = plane.keep(token).await;
        for (asked, expires) in [
            ("{}", end),
            (r#"{"lifetime": "30d"}"#, end),
            (r#"{"lifetime": "60s"}"#, "2026-01-01T00:01:00.000Z"),
        ] {
            let made = plane
                .call_with(&token, "POST", "/api/v1/tokens", asked)
                .await;
            assert_eq!(made.json()["info"]["expires"], expires, "{asked}");
        }
        let made = plane
            .call_with(&token, "POST", "/api/2.0/token/create", "")
            .await
            .json();
        // Milliseconds since the epoch.
        assert_eq!(made["token_info"]["expiry_time"], 1_767_229_200_000_i64);
    }
}

#[tokio::test]
async fn a_token_with_scopes_neither_sees_nor_revokes_its_principals_others() {
    let plane = Plane::new().await;
    let narrowed = NewToken {
        scopes: Scopes::only([Permission::new("iris".parse().unwrap(), Right::Read)]),
        ..NewToken::new("mel")
    };
    let (own, token) = plane.keep(narrowed).await;
    let (whole, _) = plane.keep(NewToken::new("mel")).await;
    let page = plane.get_with(&token, "/api/v1/tokens").await.json();
    let ids: Vec<_> = page["tokens"].as_array().unwrap().iter().collect();
    assert_eq!(ids.len(), 1, "{page}");
    assert_eq!(ids[0]["id"], *own);
    let revoke = async |id: &str| {
        let path = format!("/api/v1/tokens/{id}");
        let answer = plane.call_with(&token, "DELETE", &path, "").await;
        answer.status.as_u16()
    };
    assert_eq!(revoke(&whole).await, 404);
    let grants = plane.get_with(&token, "/api/v1/grants").await.json();
    assert_eq!(grants, json!({"grants": []}));
    assert_eq!(revoke(&own).await, 204);
}

#[tokio::test]
async fn a_right_that_was_given_by_mistake_is_taken_back_at_once() {
    let plane = Plane::new().await;
    let wish = json!({"principal": "ci", "admin": true, "read": ["iris"]});
    let made = create(&plane, Caller::Admin, &wish).await.json();
    assert_eq!(
        made["grants"],
        json!([
            {"principal": "ci", "right": "ADMIN"},
            {"principal": "ci", "right": "READ", "model": "iris"},
        ])
    );
    let token = made["token"].as_str().unwrap();
    assert_eq!(with_token(&plane, token, "/metrics").await, 200);
    let revoke = async |caller, query: &str| {
        let path = format!("/api/v1/grants?principal=ci&{query}");
        let answer = plane.call(caller, "DELETE", &path, "").await;
        answer.status.as_u16()
    };
    assert_eq!(revoke(Caller::Manager, "right=ADMIN").await, 403);
    assert_eq!(with_token(&plane, token, "/metrics").await, 200);
    assert_eq!(revoke(Caller::Admin, "right=ADMIN").await, 204);
    assert_eq!(with_token(&plane, token, "/metrics").await, 403);
    assert_eq!(with_token(&plane, token, "/api/v1/models/iris").await, 200);
    assert_eq!(revoke(Caller::Admin, "right=ADMIN").await, 404);
    assert_eq!(revoke(Caller::Admin, "right=READ&model=iri*").await, 404);
    assert_eq!(revoke(Caller::Admin, "right=READ&model=iris").await, 204);
    assert_eq!(with_token(&plane, token, "/api/v1/models/iris").await, 404);
    for wrong in ["right=OWNER", "right=READ", "right=ADMIN&model=iris", ""] {
        assert_eq!(revoke(Caller::Admin, wrong).await, 400, "{wrong}");
    }
}

#[tokio::test]
async fn rights_are_listed_to_those_they_concern() {
    let plane = Plane::new().await;
    let listed = async |caller, query: &str| {
        let path = format!("/api/v1/grants{query}");
        let page = plane.get(caller, &path).await.json();
        let grants = page["grants"].as_array().unwrap().clone();
        let shown = grants.iter().map(|grant| {
            let model = grant["model"].as_str().unwrap_or("-");
            format!("{} {} {model}", grant["principal"], grant["right"]).replace('"', "")
        });
        shown.collect::<Vec<_>>()
    };
    let own = ["mel MANAGE iris", "mel MANAGE odd*"];
    let all = [&["ada ADMIN -"], &own[..], &["rea READ iris"]].concat();
    assert_eq!(listed(Caller::Admin, "").await, all);
    assert_eq!(listed(Caller::Admin, "?principal=mel").await, own);
    assert_eq!(listed(Caller::Manager, "").await, own);
    assert!(listed(Caller::Manager, "?principal=rea").await.is_empty());
    assert!(listed(Caller::Stranger, "").await.is_empty());
}
