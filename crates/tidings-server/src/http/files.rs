//! Files that are built into the program: the demonstration, the guide, the SDK bundles and packages.
//!
//! A debug build reads them from the source tree, so that a page can be changed without compiling.

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use rust_embed::{EmbeddedFile, RustEmbed};

/// The built demonstration page.
#[derive(RustEmbed)]
#[folder = "../../demo/dist"]
#[allow_missing = true]
pub(super) struct Demo;

/// The built SDK.
#[derive(RustEmbed)]
#[folder = "../../sdk/js/rtm/dist"]
#[allow_missing = true]
pub(super) struct Sdk;

/// The built legacy SDK.
#[derive(RustEmbed)]
#[folder = "../../sdk/js/signaling/dist"]
#[allow_missing = true]
pub(super) struct Signaling;

/// The JavaScript packages as `npm install` takes them.
#[derive(RustEmbed)]
#[folder = "../../sdk/js/pack"]
#[allow_missing = true]
pub(super) struct Packages;

/// The built guide.
#[derive(RustEmbed)]
#[folder = "../../docs/guide/dist"]
#[allow_missing = true]
pub(super) struct Guide;

/// Answers with a file; `None` when there is none of that name.
pub(super) fn answer<Files: RustEmbed>(path: &str, request: &HeaderMap) -> Option<Response<Body>> {
    let path = if path.is_empty() { "index.html" } else { path };
    // The build's own notes are nobody's page.
    if path.split('/').any(|part| part.starts_with('.')) {
        return None;
    }
    Files::get(path).map(|file| respond(file, request))
}

fn respond(file: EmbeddedFile, request: &HeaderMap) -> Response<Body> {
    use std::fmt::Write as _;
    let mut etag = String::from("\"");
    for byte in &file.metadata.sha256_hash()[..16] {
        let _ = write!(etag, "{byte:02x}");
    }
    etag.push('"');
    let is_known = request
        .get(IF_NONE_MATCH)
        .is_some_and(|known| known == etag.as_str());
    let mut response = if is_known {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        Response::new(Body::from(file.data))
    };
    let headers = response.headers_mut();
    let text = |text: &str| HeaderValue::from_str(text).expect("types and tags are plain text");
    headers.insert(ETAG, text(&etag));
    headers.insert(CONTENT_TYPE, text(file.metadata.mimetype()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
