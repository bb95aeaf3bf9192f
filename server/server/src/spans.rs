//! Spans of logins, for OpenTelemetry.

use tidings_spans::{Kind, Value};
use tidings_wire::codes::Outcome;
use tidings_wire::proto::Error;

use crate::connection::Connection;

/// A login or a resume has ended: with a session, however that is named, or with a refusal.
pub(crate) fn login(connection: &Connection, hub: u16, end: Result<&'static str, &str>) {
    if !tidings_spans::is_on() {
        return;
    }
    let claimed = connection.extra.as_ref();
    let claimed = claimed.and_then(|extra| extra.claimed.as_ref());
    let Some((claimed, began)) = claimed.and_then(|claimed| Some((claimed, claimed.began?))) else {
        return;
    };
    let protocol = if connection.flags.is_legacy {
        "legacy"
    } else {
        "native"
    };
    let (Ok(outcome) | Err(outcome)) = end;
    let id = i64::try_from(connection.id.0).unwrap_or(i64::MAX);
    let noted: [(&'static str, Value); 5] = [
        ("tidings.app", known(&claimed.app).into()),
        ("tidings.protocol", protocol.into()),
        ("tidings.outcome", outcome.to_owned().into()),
        ("tidings.connection", id.into()),
        ("tidings.hub", i64::from(hub).into()),
    ];
    tidings_spans::record("login", Kind::Server, began, &noted, end.err());
}

/// An app id as a client has stated it, if it has the form of one: other texts are a stranger's.
fn known(app: &str) -> String {
    let is_id = tidings_wire::names::AppId::parse(app).is_ok();
    if is_id {
        app.to_owned()
    } else {
        "other".to_owned()
    }
}

/// The name of a refusal.
pub(crate) fn reason(error: &Error) -> &'static str {
    let mut outcomes = Outcome::ALL.into_iter();
    let outcome = outcomes.find(|outcome| *outcome as u32 == error.outcome);
    outcome.map_or("refused", Outcome::name)
}
