//! The layer that executes any other POST once per key: those that make, change or start something.

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, Response, StatusCode};
use axum::middleware::Next;
use axum::response::IntoResponse as _;

use super::{AUTOMATIC, HEADER, Keyed, Reply, digest, key, name, once};
use crate::auth::{Caller, Principal};
use crate::problem::Fault;
use crate::{Answer, Shared, body};

/// Longest answer that is remembered: longer than any of these calls gives.
const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Whether a call is one that this layer looks after. Messages are unique by their sender and
/// receiver, and their handlers see to it; questions have no effect.
fn is_meant(method: &Method, path: &str, headers: &HeaderMap) -> bool {
    let is_ours = path.starts_with("/api/v1/") || path.starts_with("/dev/v1/");
    let is_message = path.ends_with("/publish") || path.ends_with("/publish/batch");
    let is_login = path.starts_with("/api/v1/login");
    let is_question = path.ends_with("/query") || path.ends_with("/tokens/inspect");
    method == Method::POST
        && headers.contains_key(HEADER)
        && is_ours
        && !is_message
        && !is_login
        && !is_question
}

/// Whether the answer shows a secret: that of a key, an app, a webhook, a project, or a token.
fn shows_secret(path: &str) -> bool {
    let is_moderate = path.ends_with("/test") || path.ends_with("/retry");
    let places = ["/keys", "/certificates", "/tokens", "/webhooks"];
    let has_place = places.iter().any(|place| path.contains(place));
    (has_place && !is_moderate)
        || path == "/api/v1/apps"
        || path.starts_with("/dev/v1/project")
        || path.starts_with("/dev/v1/signkey")
        || path.starts_with("/dev/v1/reset_signkey")
}

/// The layer around every handler of an operator's POST.
pub(crate) async fn post_once(
    State(api): State<Shared>,
    request: Request,
    next: Next,
) -> Response<Body> {
    let path = request.uri().path();
    if !is_meant(request.method(), path, request.headers()) {
        return next.run(request).await;
    }
    match execute(api, request, next).await {
        Ok(response) => response,
        Err(fault) => fault.into_response(),
    }
}

async fn execute(api: Shared, request: Request, next: Next) -> Answer {
    let (parts, body) = request.into_parts();
    let Some(key) = key(&parts.headers)? else {
        return Err(Fault::missing(HEADER));
    };
    let extensions = &parts.extensions;
    let caller = extensions.get::<Caller>();
    let principal = extensions.get::<Principal>().map_or("", Principal::name);
    let path = parts.uri.path();
    let query = parts.uri.query().unwrap_or_default();
    let bytes = body::read(parts.headers.clone(), body).await?;
    let keyed = Keyed {
        desk: caller.map_or_else(|| api.own_desk.clone(), |caller| caller.desk.clone()),
        app: caller.map_or("", |caller| caller.app.as_str()).to_owned(),
        name: name(&["post", principal, path, query], key),
        body: digest(&[&bytes]),
        is_automatic: key.starts_with(AUTOMATIC),
        has_secret: shows_secret(path),
        api,
    };
    let request = Request::from_parts(parts, Body::from(bytes));
    once(Some(keyed), async move {
        reply_of(next.run(request).await).await
    })
    .await
}

/// What is remembered of an answer.
async fn reply_of(mut response: Response<Body>) -> Result<Reply, Fault> {
    if let Some(fault) = response.extensions_mut().remove::<Fault>() {
        return Err(fault);
    }
    let status = response.status();
    let bytes = to_bytes(response.into_body(), ANSWER_BYTES_MAX).await;
    match bytes {
        Ok(body) => Ok(Reply { status, body }),
        Err(error) => {
            tracing::error!(%error, "an answer could not be remembered");
            let detail = "the call was executed, and its answer was too long to be given";
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            Err(Fault::new(
                status,
                "internal",
                detail,
                "Look at what is there.",
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_with_secrets_are_known_by_their_paths() {
        for (path, shows) in [
            ("/api/v1/keys", true),
            ("/api/v1/keys/abc/rotate", true),
            ("/api/v1/apps", true),
            ("/api/v1/apps/0/certificates", true),
            ("/api/v1/apps/0/tokens", true),
            ("/api/v1/apps/0/webhooks", true),
            ("/api/v1/apps/0/webhooks/1/test", false),
            ("/api/v1/apps/0/bans", false),
            ("/api/v1/apps/0/invitations", false),
            ("/dev/v1/project", true),
            ("/dev/v1/reset_signkey", true),
            ("/dev/v1/kicking-rule", false),
        ] {
            assert_eq!(shows_secret(path), shows, "{path}");
        }
    }
}
