//! The address service of the legacy protocol. Source: signaling 2.1, 2.5.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_TYPE, HOST, HeaderMap, HeaderValue,
};
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;
use serde_json::{Value, json};
use tidings_wire::names::AppId;

use crate::legacy::LegacyDoor;

/// Addresses in an answer: some clients run past a shorter list. Source: signaling 2.3.
const ADDRESSES: usize = 16;

/// How clients make a URL of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Builds up to 1.3.2 put the text into a URL of their own.
    V13,
    /// Later ones take the URL as it is.
    V14,
}

pub(super) fn routes(legacy: Arc<LegacyDoor>) -> Router {
    let answer = |form: Form| {
        move |State(legacy): State<Arc<LegacyDoor>>,
              headers: HeaderMap,
              RawQuery(query): RawQuery| async move {
            addresses(
                form,
                &legacy,
                &headers,
                query.as_deref().unwrap_or_default(),
            )
        }
    };
    Router::new()
        .route("/getaddr", get(answer(Form::V14)))
        .route("/v14/getaddr", get(answer(Form::V14)))
        .route("/v13/getaddr", get(answer(Form::V13)))
        .with_state(legacy)
}

fn addresses(form: Form, legacy: &LegacyDoor, headers: &HeaderMap, query: &str) -> Response<Body> {
    if !legacy.is_open() {
        let text = "this server does not serve legacy Signaling clients\n\
                    hint: RTM clients connect to /rtm; to serve legacy ones switch the setting legacy on.\n";
        return (StatusCode::NOT_FOUND, text).into_response();
    }
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let bases = legacy.bases(host.unwrap_or("localhost"));
    let bases: Vec<_> = bases.iter().cycle().take(ADDRESSES).collect();
    let app = query.split('&').find_map(|pair| pair.strip_prefix("vid="));
    // Only a real app's id gets into a URL; whoever states another is refused at its login.
    let app = app.filter(|app| AppId::parse(app).is_ok());
    let body = json!({
        "web": bases.iter().map(|base| entry(form, base, app)).collect::<Vec<_>>(),
        "wx_web": [without_scheme(&url(bases[0], app))],
    });
    (
        [
            (ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*")),
            (CACHE_CONTROL, HeaderValue::from_static("no-store")),
            (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        ],
        body.to_string(),
    )
        .into_response()
}

fn url(base: &str, app: Option<&str>) -> String {
    let path = app.map(|app| format!("/{app}")).unwrap_or_default();
    format!("{base}/legacy{path}")
}

fn without_scheme(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, rest)| rest)
}

fn entry(form: Form, base: &str, app: Option<&str>) -> Value {
    let url = url(base, app);
    match form {
        Form::V14 => json!(url),
        Form::V13 => {
            let rest = without_scheme(&url).replace('.', "%2E");
            json!([format!("{rest}?"), 0])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_family_gets_the_form_that_it_can_read() {
        let base = "wss://sig.example.org:8443";
        assert_eq!(
            entry(Form::V14, base, Some("a1")),
            json!("wss://sig.example.org:8443/legacy/a1")
        );
        assert_eq!(
            entry(Form::V13, base, Some("a1")),
            json!(["sig%2Eexample%2Eorg:8443/legacy/a1?", 0])
        );
        assert_eq!(
            entry(Form::V13, base, None),
            json!(["sig%2Eexample%2Eorg:8443/legacy?", 0])
        );
    }
}
