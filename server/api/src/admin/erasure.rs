//! `DELETE /api/v1/apps/{app}/users/{user}/data`: a user asks to be forgotten.

use axum::extract::State;
use axum::routing::delete;
use serde_json::{Value, json};
use tidings_hub::ids::UserKey;
use tidings_wire::proto::{AttributeWrite, WriteUserAttributes, request};

use super::{audited, blocking};
use crate::admin::docs;
use crate::auth::Caller;
use crate::params::{PathParams, Query};
use crate::problem::Problem;
use crate::routes::Routes;
use crate::{Answer, Fault, Shared};

/// The routes of this area.
pub(super) fn routes() -> Routes {
    Routes::new().route("/api/v1/apps/{app}/users/{user}/data", delete(erase))
}

/// Forgets a user: what waits for it, its histories, its attributes, its files, its name in events.
#[utoipa::path(
    delete, path = "/api/v1/apps/{app}/users/{user}/data", tag = "Users",
    params(
        ("app" = String, Path, description = "App id"),
        ("user" = String, Path, description = "User id"),
    ),
    responses(
        (status = 200, body = docs::ErasedView),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn erase(
    State(api): State<Shared>,
    caller: Caller,
    path: PathParams,
    query: Query,
) -> Answer {
    caller.principal.must_be_key()?;
    query.end()?;
    let user = path.user("user")?;
    let admin = api.admin();
    // Attributes of somebody who is there are known to hubs: they are told first, as by the user
    // itself.
    let clear = WriteUserAttributes {
        how: AttributeWrite::Clear.into(),
        ..WriteUserAttributes::default()
    };
    let call = request::Call::WriteUserAttributes(clear);
    let had_session = api.ask_as(&caller, &user, call).await.is_ok();
    let (erasure, files, app) = (admin.erasure.clone(), admin.files.clone(), caller.app);
    let webhooks = api.webhooks.get();
    let dead_letters = match webhooks {
        Some(webhooks) => webhooks
            .erase(app.as_str(), user.as_str())
            .await
            .map_err(|refusal| Fault::unavailable(refusal.detail))?,
        None => 0,
    };
    let erased = blocking(move || {
        let key = UserKey {
            app: app.clone(),
            user: user.clone(),
        };
        let erased = erasure.erase(&key)?;
        let broken = |error: std::io::Error| {
            Fault::unavailable(format!("the user's files cannot be deleted: {error}"))
        };
        let mut deleted = 0;
        for file in files.list(&app, Some(&user)).map_err(broken)? {
            deleted += u64::from(files.delete(&app, &file.id).map_err(broken)?);
        }
        Ok(json!({
            "offline_messages": erased.inbox_messages,
            "conversations": erased.conversations,
            "channel_messages": erased.channel_messages,
            "attributes": erased.had_attributes || had_session,
            "files": deleted,
            "dead_letters": dead_letters,
        }))
    })
    .await?;
    audited(crate::json(&erased), Value::Null, erased.clone())
}
