//! `tidings key`: the keys of the server-side API.
//!
//! A running server is asked through its control socket; otherwise the store is opened here.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use tidings_server::Role;
use tidings_server::admin::keys::{Key, NewKey};
use tidings_server::admin::{Audit, AuditEntry, BookError, KeyBook, OVERLAP_MS_MAX};
use tidings_store::embedded::Options;
use tidings_store::records::Records;
use tidings_store::{Committer, EmbeddedEngine};

use crate::command::{
    KeyArguments, KeyCommand, KeyCreateArguments, KeyRole, KeyRotateArguments, ListArguments,
};
use crate::control::{KeyAnswer, KeyLine, KeyRequest, Request, ask};
use crate::failure::Failure;
use crate::{output, ownership};

/// Runs the sub-command.
pub(crate) fn run(command: KeyCommand) -> Result<(), Failure> {
    match command {
        KeyCommand::Create(arguments) => create(&arguments),
        KeyCommand::List(arguments) => list(&arguments),
        KeyCommand::Revoke(arguments) => revoke(&arguments),
        KeyCommand::Rotate(arguments) => rotate(&arguments),
    }
}

fn create(arguments: &KeyCreateArguments) -> Result<(), Failure> {
    let request = KeyRequest::Create {
        name: arguments.name.clone().unwrap_or_default(),
        role: match arguments.role {
            KeyRole::Admin => Role::Admin,
            KeyRole::App => Role::App,
            KeyRole::Read => Role::Read,
        },
        apps: arguments.app.clone(),
        lifetime_ms: arguments
            .lifetime
            .map(|span| milliseconds(span.of(Duration::from_secs(1)))),
    };
    let answer = carried_out(&arguments.place.resolve()?, request)?;
    if arguments.json {
        return output::write_json(&json!({
            "id": answer.keys.first().map(|key| &key.id),
            "key": answer.text,
        }));
    }
    output::write(&shown_once(&answer))
}

fn rotate(arguments: &KeyRotateArguments) -> Result<(), Failure> {
    let request = KeyRequest::Rotate {
        id: arguments.id.clone(),
        overlap_ms: milliseconds(arguments.overlap.of(Duration::from_secs(1))),
    };
    let answer = carried_out(&arguments.place.resolve()?, request)?;
    let until_ms = answer.keys.first().and_then(|key| key.old_secrets_until_ms);
    let old = match until_ms {
        Some(until_ms) => format!("The old secret is good until {}.\n", at(until_ms)),
        None => "The old secret has ended.\n".into(),
    };
    output::write(&(shown_once(&answer) + &old))
}

fn revoke(arguments: &KeyArguments) -> Result<(), Failure> {
    let request = KeyRequest::Revoke {
        id: arguments.id.clone(),
    };
    carried_out(&arguments.place.resolve()?, request)?;
    output::write(&format!(
        "key {} is revoked: calls with it are refused from now on\n",
        arguments.id
    ))
}

fn list(arguments: &ListArguments) -> Result<(), Failure> {
    let answer = carried_out(&arguments.place.resolve()?, KeyRequest::List)?;
    if arguments.json {
        return output::write_json(&answer.keys);
    }
    if answer.keys.is_empty() {
        return output::write("no keys; create one with `tidings key create --role admin`\n");
    }
    let mut text = format!(
        "{:<12}  {:<5}  {:<7}  {:<20}  {:<20}  name\n",
        "id", "role", "state", "made", "last used"
    );
    for key in &answer.keys {
        let used = key.used_ms.map_or("never".into(), at);
        let (made, role) = (at(key.made_ms), role_of(key.role));
        let _ = writeln!(
            text,
            "{:<12}  {role:<5}  {:<7}  {made:<20}  {used:<20}  {}",
            key.id, key.state, key.name
        );
        for app in &key.apps {
            let _ = writeln!(text, "{:14}for app {app}", "");
        }
    }
    output::write(&text)
}

fn role_of(role: Role) -> &'static str {
    role.name()
}

/// What is said about a new secret.
fn shown_once(answer: &KeyAnswer) -> String {
    let text = answer.text.as_deref().unwrap_or_default();
    format!("{text}\nKeep it: it is stored as a hash, and cannot be shown again.\n")
}

fn at(unix_ms: u64) -> String {
    let time = UNIX_EPOCH.checked_add(Duration::from_millis(unix_ms));
    match time.filter(|_| unix_ms < 253_402_300_800_000) {
        Some(time) => humantime::format_rfc3339_seconds(time).to_string(),
        None => format!("{unix_ms} ms since 1970"),
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Asks the running server, or does it on the store.
fn carried_out(data_dir: &Path, request: KeyRequest) -> Result<KeyAnswer, Failure> {
    let asked = Request::Key {
        key: request.clone(),
    };
    if let Some(answer) = ask(data_dir, asked)? {
        return Ok(answer.keys.unwrap_or_default());
    }
    let is_missing = !data_dir.join("FORMAT").exists();
    if is_missing && !matches!(request, KeyRequest::Create { .. }) {
        return Err(Failure::new(
            format!("there is no store in {}", data_dir.display()),
            "give --data-dir the directory that the server uses",
        ));
    }
    // Whatever is created is accessible to its owner only.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let engine = EmbeddedEngine::open(data_dir, &Options::default())
        .map_err(|error| Failure::of(&error, error.hint()))?;
    let done = on_store(engine, &request);
    ownership::settle(data_dir).map_err(|error| {
        Failure::new(
            format!("cannot give {} to its owner: {error}", data_dir.display()),
            "check the disk",
        )
    })?;
    done
}

fn on_store(engine: EmbeddedEngine, request: &KeyRequest) -> Result<KeyAnswer, Failure> {
    let committer = Committer::open(engine, |_, _| ()).map_err(|error| {
        Failure::new(
            format!("cannot start the store's thread: {error}"),
            "check the system's limits on threads",
        )
    })?;
    let records = Records::new(committer.submitter());
    let book = KeyBook::open(records.clone()).map_err(|error| failed(&error))?;
    let done = carry_out(&book, &Audit::new(records), request);
    committer.close();
    done
}

/// Does what is asked, on the keys of a store.
pub(crate) fn carry_out(
    book: &KeyBook,
    audit: &Audit,
    request: &KeyRequest,
) -> Result<KeyAnswer, Failure> {
    let now_ms = now_ms();
    let one = |key: Key, text: Option<String>| KeyAnswer {
        keys: vec![KeyLine::of(key, now_ms)],
        text,
    };
    let answer = match request {
        KeyRequest::List => {
            let keys = book.list(now_ms).into_iter();
            return Ok(KeyAnswer {
                keys: keys.map(|key| KeyLine::of(key, now_ms)).collect(),
                text: None,
            });
        }
        KeyRequest::Create {
            name,
            role,
            apps,
            lifetime_ms,
        } => {
            let wish = NewKey {
                name: name.clone(),
                role: *role,
                apps: apps.clone(),
                expires_ms: lifetime_ms.map(|ms| now_ms.saturating_add(ms)),
            };
            let (key, text) = book.create(wish, now_ms).map_err(|error| failed(&error))?;
            one(key, Some(text.reveal().to_owned()))
        }
        KeyRequest::Revoke { id } => {
            let key = book.revoke(id, now_ms).map_err(|error| failed(&error))?;
            one(key, None)
        }
        KeyRequest::Rotate { id, overlap_ms } => {
            if *overlap_ms > OVERLAP_MS_MAX {
                return Err(Failure::new(
                    format!("the old secret cannot stay good for {overlap_ms} ms"),
                    "give --overlap at most 30d",
                ));
            }
            let rotated = book.rotate(id, *overlap_ms, now_ms);
            let (key, text) = rotated.map_err(|error| failed(&error))?;
            one(key, Some(text.reveal().to_owned()))
        }
    };
    note(audit, request, &answer, now_ms);
    Ok(answer)
}

/// Writes the audit log, as calls of the API do.
fn note(audit: &Audit, request: &KeyRequest, answer: &KeyAnswer, now_ms: u64) {
    let action = match request {
        KeyRequest::Create { .. } => "tidings key create",
        KeyRequest::Revoke { .. } => "tidings key revoke",
        KeyRequest::Rotate { .. } => "tidings key rotate",
        KeyRequest::List => return,
    };
    let entry = AuditEntry {
        after: serde_json::to_value(&answer.keys).unwrap_or_default(),
        ..AuditEntry::of_command(action, now_ms)
    };
    if let Err(error) = audit.write(entry).wait() {
        tracing::error!(%error, action, "the audit log could not be written");
    }
}

fn failed(error: &BookError) -> Failure {
    let hint = match error {
        BookError::Key(error) => match error.field() {
            Some("apps") => {
                "name the apps with --app ID, as `tidings app list` shows them; a key of role admin names none"
            }
            _ => error.hint(),
        },
        BookError::Unknown(_) => "`tidings key list` lists the keys",
        _ => "check the disk; `tidings store verify` says more",
    };
    Failure::of(error, hint)
}

/// The time by the system's clock, in Unix milliseconds.
pub(crate) fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, milliseconds)
}
