//! `tidings media`: list and delete the files that users have uploaded.

use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::json;
use tidings_server::{AppId, MediaFile, MediaFiles, UserId};

use crate::command::{MediaCommand, MediaDeleteArguments, MediaListArguments};
use crate::failure::Failure;
use crate::output;

/// Runs the sub-command. A server may be running on the directory.
pub(crate) fn run(command: MediaCommand) -> Result<(), Failure> {
    match command {
        MediaCommand::List(arguments) => list(&arguments),
        MediaCommand::Delete(arguments) => delete(&arguments),
    }
}

fn list(arguments: &MediaListArguments) -> Result<(), Failure> {
    let app = arguments.app.as_deref().map(parse_app).transpose()?;
    let user = arguments.user.as_deref().map(parse_user).transpose()?;
    let path = arguments.place.resolve()?;
    let files = MediaFiles::of(&path)
        .list(app.as_ref(), user.as_ref())
        .map_err(|error| unread(&path.display().to_string(), &error))?;
    if arguments.json {
        let files: Vec<_> = files.iter().map(as_json).collect();
        return output::write_json(&files);
    }
    if files.is_empty() {
        return output::write("no files\n");
    }
    let mut text = format!(
        "{:<32}  {:<26}  {:>10}  {:<20}  user  name\n",
        "app", "id", "bytes", "uploaded"
    );
    for file in &files {
        let _ = writeln!(
            text,
            "{:<32}  {:<26}  {:>10}  {:<20}  {}  {}",
            file.app.as_str(),
            file.id,
            file.bytes,
            uploaded(file),
            file.user.as_ref().map_or("-", UserId::as_str),
            // A name is whatever the uploader wrote.
            file.file_name.escape_debug(),
        );
    }
    output::write(&text)
}

fn delete(arguments: &MediaDeleteArguments) -> Result<(), Failure> {
    let app = parse_app(&arguments.app)?;
    let path = arguments.place.resolve()?;
    let was_there = MediaFiles::of(&path)
        .delete(&app, &arguments.id)
        .map_err(|error| unread(&path.display().to_string(), &error))?;
    if was_there {
        return output::write(&format!("deleted file {} of app {app}\n", arguments.id));
    }
    Err(Failure::new(
        format!(
            "app {app} has no file {} in {}",
            arguments.id,
            path.display()
        ),
        format!("list its files: tidings media list --app {app}"),
    ))
}

fn as_json(file: &MediaFile) -> serde_json::Value {
    json!({
        "app": file.app.as_str(),
        "id": file.id,
        "user": file.user.as_ref().map(UserId::as_str),
        "bytes": file.bytes,
        "content_type": file.content_type,
        "file_name": file.file_name,
        "uploaded": uploaded(file),
    })
}

fn uploaded(file: &MediaFile) -> String {
    let time = UNIX_EPOCH.checked_add(Duration::from_secs(file.uploaded_s));
    time.map_or_else(
        || "-".to_owned(),
        |time| humantime::format_rfc3339_seconds(time).to_string(),
    )
}

fn parse_app(text: &str) -> Result<AppId, Failure> {
    AppId::parse(text).map_err(|name| {
        Failure::new(
            format!("app id {text:?}: {name}"),
            "list the apps: tidings app list",
        )
    })
}

fn parse_user(text: &str) -> Result<UserId, Failure> {
    UserId::parse(text).map_err(|name| {
        Failure::new(
            format!("user id {text:?}: {name}"),
            "give the id as the user logs in with it",
        )
    })
}

fn unread(place: &str, error: &std::io::Error) -> Failure {
    Failure::new(
        format!("the files of {place} cannot be read or changed: {error}"),
        "run the command as the server's user, or as root",
    )
}
