//! `/api/v1/apps/{app}/files`: what users have uploaded.

use std::io;

use axum::extract::State;
use axum::routing::{delete, get};
use serde::Serialize;
use serde_json::{Value, json};
use tidings_wire::names::{AppId, UserId};

use super::{audited, blocking, state};
use crate::admin::docs;
use crate::auth::Caller;
use crate::params::{PathParams, Query, user};
use crate::problem::Problem;
use crate::routes::Routes;
use crate::{Answer, Fault, Shared};

/// The files of a server. Its calls wait for the disk.
pub trait Files: Send + Sync + 'static {
    /// The files of an app, of one user or all, the oldest first.
    ///
    /// # Errors
    /// They cannot be read.
    fn list(&self, app: &AppId, user: Option<&UserId>) -> io::Result<Vec<FileRecord>>;

    /// Deletes a file; returns whether it was there.
    ///
    /// # Errors
    /// It cannot be removed.
    fn delete(&self, app: &AppId, id: &str) -> io::Result<bool>;
}

/// A server that keeps no files.
#[derive(Debug, Clone, Copy)]
pub struct NoFiles;

impl Files for NoFiles {
    fn list(&self, _: &AppId, _: Option<&UserId>) -> io::Result<Vec<FileRecord>> {
        Ok(Vec::new())
    }

    fn delete(&self, _: &AppId, _: &str) -> io::Result<bool> {
        Ok(false)
    }
}

/// A file that a user has uploaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct FileRecord {
    /// Its id in the app: what messages name it by.
    pub id: String,
    /// Who has uploaded it; null = that was not noted.
    pub user_id: Option<String>,
    /// Bytes of its content.
    pub bytes: u64,
    /// As the upload has stated it.
    pub content_type: String,
    /// As the upload has stated it: no path.
    pub file_name: String,
    /// When it was uploaded, in Unix milliseconds.
    pub uploaded_ms: u64,
}

/// The routes of this area.
pub(super) fn routes() -> Routes {
    Routes::new()
        .route("/api/v1/apps/{app}/files", get(list))
        .route("/api/v1/apps/{app}/files/{id}", delete(remove))
}

/// Lists files that users have uploaded, the oldest first.
#[utoipa::path(
    get, path = "/api/v1/apps/{app}/files", tag = "Files",
    params(
        ("app" = String, Path, description = "App id"),
        ("user" = Option<String>, Query, description = "Only those of this user"),
        ("limit" = Option<u64>, Query, description = "1 to 100"),
        ("cursor" = Option<String>, Query, description = "The `next` of the page before"),
    ),
    responses(
        (status = 200, body = docs::FilePage),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn list(State(api): State<Shared>, caller: Caller, mut query: Query) -> Answer {
    caller.principal.must_be_key()?;
    let of = query
        .take("user")
        .map(|text| user("user", &text))
        .transpose()?;
    let cursor = query.take("cursor");
    let limit = query.number("limit", 1, 100)?.unwrap_or(100);
    query.end()?;
    let files = api.admin().files.clone();
    let all = blocking(move || {
        files
            .list(&caller.app, of.as_ref())
            .map_err(|error| unread(&error))
    })
    .await?;
    // Ids begin with the time, so that a cursor has its place even when its file has gone.
    let rest = all
        .into_iter()
        .skip_while(|file| cursor.as_ref().is_some_and(|cursor| file.id <= *cursor));
    let mut rest = rest.peekable();
    let limit = usize::try_from(limit).unwrap_or(1);
    let items: Vec<_> = rest.by_ref().take(limit).collect();
    let next = rest
        .peek()
        .and_then(|_| items.last().map(|file| file.id.clone()));
    crate::json(&json!({ "items": items, "next": next }))
}

/// Deletes a file.
#[utoipa::path(
    delete, path = "/api/v1/apps/{app}/files/{id}", tag = "Files",
    params(
        ("app" = String, Path, description = "App id"),
        ("id" = String, Path, description = "The id of the file"),
    ),
    responses(
        (status = 204, description = "Done"),
        (status = "4XX", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(crate) async fn remove(State(api): State<Shared>, caller: Caller, path: PathParams) -> Answer {
    caller.principal.must_be_key()?;
    let id = path.text("id").to_owned();
    let files = api.admin().files.clone();
    let found = blocking(move || {
        let all = files
            .list(&caller.app, None)
            .map_err(|error| unread(&error))?;
        let found = all.into_iter().find(|file| file.id == id);
        let was_there = files
            .delete(&caller.app, &id)
            .map_err(|error| unread(&error))?;
        Ok(found.filter(|_| was_there))
    })
    .await?;
    match found {
        Some(file) => audited(crate::no_content(), state(&file), Value::Null),
        None => Err(Fault::not_found("unknown_file", "the app has no such file")
            .hint("GET /api/v1/apps/{app}/files lists its files.")),
    }
}

fn unread(error: &io::Error) -> Fault {
    tracing::error!(%error, "the files of users could not be read or changed");
    Fault::unavailable("the files cannot be read or changed; the server's log says why")
}
