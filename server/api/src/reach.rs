//! Whom a call is from, and which apps it reaches.

use std::net::IpAddr;

use axum::http::StatusCode;
use percent_encoding::percent_decode_str;
use tidings_wire::names::AppId;

use crate::Api;
use crate::auth::Principal;
use crate::problem::Fault;

/// The source of a request, as whoever serves it knows it. Found among the request's extensions, as
/// `Arc<dyn Stranger>`.
pub trait Stranger: Send + Sync {
    /// # Errors
    /// The source has shown too many wrong credentials of late: the wait in milliseconds.
    fn check(&self) -> Result<(), u64>;

    /// Its credentials were wrong.
    fn note_failure(&self);

    /// Its credentials were good: what it does from now on is no stranger's.
    fn note_welcome(&self);

    /// Where it comes from, if that is known.
    fn address(&self) -> Option<IpAddr> {
        None
    }
}

/// The app of this id, if the caller may ask about it.
///
/// # Errors
/// 403, the same for an app that is another's and for one that does not exist.
pub(crate) fn reachable(principal: &Principal, text: &str) -> Result<AppId, Fault> {
    let named = AppId::parse(text).map_err(|_| text.to_owned());
    reachable_named(principal, named)
}

/// # Errors
/// The app is not served; who asks reaches it.
pub(crate) fn served(api: &Api, path: &str, app: &AppId) -> Result<(), Fault> {
    if api.apps().has(app) {
        Ok(())
    } else {
        Err(unknown_app(path, app))
    }
}

/// The app that a path names, as text.
pub(crate) fn app_of(path: &str) -> Option<String> {
    let app = app_in(path)?.ok()?;
    Some(app.as_str().to_owned())
}

/// As [`reachable`], of an id that has been read: an error is its text.
///
/// # Errors
/// As there.
pub(crate) fn reachable_named(
    principal: &Principal,
    named: Result<AppId, String>,
) -> Result<AppId, Fault> {
    // The same for an app that is another's and for one that does not exist.
    let app = named.and_then(|app| {
        if principal.reaches(&app) {
            Ok(app)
        } else {
            Err(app.as_str().to_owned())
        }
    });
    app.map_err(|named| {
        let shown: String = named.chars().take(80).collect();
        let detail = format!("app {shown:?} is not one that these credentials reach");
        let hint = "Check the app id, and the apps of the key.";
        Fault::new(StatusCode::FORBIDDEN, "app_not_permitted", detail, hint)
    })
}

/// The answer to a call about an app that is not served, in the words of the path's own convention.
pub(crate) fn unknown_app(path: &str, app: &AppId) -> Fault {
    let detail = format!("app {app} is not known to this server");
    let hint = "Check the app id; the operator's list of apps has it.";
    if path.starts_with("/api/") {
        Fault::not_found("unknown_app", detail)
    } else {
        // Source: rest 9, newest table.
        Fault::new(StatusCode::FORBIDDEN, "unknown_app", detail, hint)
    }
}

/// The app that a path names, or what stands in its place; `None` = the path has no such place.
pub(crate) fn app_in(path: &str) -> Option<Result<AppId, String>> {
    // Order: a place before those that it begins with.
    let places = [
        "/dev/v1/channel/user/property/",
        "/dev/v1/channel/user/",
        "/dev/v1/channel/",
        "/dev/v2/project/",
        "/api/v1/apps/",
        "/rtm/v2/publish/",
        "/rtm/v2/history/",
    ];
    let rest = places.iter().find_map(|place| path.strip_prefix(place))?;
    let named = rest.split('/').next().filter(|named| !named.is_empty())?;
    let named = percent_decode_str(named).decode_utf8_lossy();
    Some(AppId::parse(&named).map_err(|_| named.into_owned()))
}
