//! Names that a shell completes: the shell runs the program for each press of Tab, and the program
//! asks the server that the command line is about.
//!
//! Nothing may be printed here, and nothing may take long: without an answer in time there is
//! nothing to complete.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use clap_complete::engine::CompletionCandidate;

use super::contexts::Contexts;
use super::reach::{AppDoor, AppReach, Reach};
use super::shown::is_hidden;

/// Longest wait for the server: people wait for the shell meanwhile.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// Most names that are offered.
const NAMES_MAX: usize = 100;

/// Names of contexts.
pub(crate) fn contexts(current: &OsStr) -> Vec<CompletionCandidate> {
    let all = Contexts::read().unwrap_or_default().all;
    candidates(current, all.into_keys())
}

/// Ids of apps, with their names beside them.
pub(crate) fn apps(current: &OsStr) -> Vec<CompletionCandidate> {
    let Ok(door) = server().open() else {
        return Vec::new();
    };
    let begin = current.to_string_lossy();
    let apps = door.api.list("/api/v1/apps", &[]).map_while(Result::ok);
    let named = apps.filter_map(|app| {
        let id = app["id"].as_str().filter(|id| id.starts_with(&*begin))?;
        let name = app["name"].as_str().unwrap_or_default();
        let help =
            (!name.is_empty() && !name.chars().any(is_hidden)).then(|| name.to_owned().into());
        Some(CompletionCandidate::new(id).help(help))
    });
    named.take(NAMES_MAX).collect()
}

/// Users who are logged in.
pub(crate) fn users(current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(door) = app() else {
        return Vec::new();
    };
    candidates(current, users_of(&door))
}

/// Channels that have members.
pub(crate) fn channels(current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(door) = app() else {
        return Vec::new();
    };
    candidates(current, channels_of(&door, &current.to_string_lossy()))
}

/// Users who are banned.
pub(crate) fn banned(current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(door) = app() else {
        return Vec::new();
    };
    let bans = door.api.list(&door.path(&["bans"]), &[]);
    let bans = bans.take(1_000).map_while(Result::ok);
    let users = bans.filter_map(|ban| ban["user_id"].as_str().map(str::to_owned));
    candidates(current, users.collect::<BTreeSet<_>>())
}

/// Channels and users.
pub(crate) fn channels_and_users(current: &OsStr) -> Vec<CompletionCandidate> {
    let Some(door) = app() else {
        return Vec::new();
    };
    let mut names = channels_of(&door, &current.to_string_lossy());
    names.extend(users_of(&door));
    candidates(current, names)
}

fn users_of(door: &AppDoor) -> BTreeSet<String> {
    let list = door.api.list(&door.path(&["sessions"]), &[]);
    // Bound: the names of ten pages; the users of a large server cannot all be looked at.
    let sessions = list.take(1_000).map_while(Result::ok);
    let users = sessions.filter_map(|session| session["user"].as_str().map(str::to_owned));
    users.collect()
}

fn channels_of(door: &AppDoor, prefix: &str) -> BTreeSet<String> {
    let query: &[(&str, &str)] = if prefix.is_empty() {
        &[]
    } else {
        &[("prefix", prefix)]
    };
    let list = door.api.list(&door.path(&["channels"]), query);
    let channels = list.take(NAMES_MAX).map_while(Result::ok);
    let names = channels.filter_map(|channel| channel["name"].as_str().map(str::to_owned));
    names.collect()
}

/// What begins as the word does. Names with characters that a shell or a terminal would obey are
/// left out.
fn candidates(
    current: &OsStr,
    names: impl IntoIterator<Item = String>,
) -> Vec<CompletionCandidate> {
    let begin = current.to_string_lossy();
    let fitting = names
        .into_iter()
        .filter(|name| name.starts_with(&*begin) && !name.chars().any(is_hidden));
    fitting
        .take(NAMES_MAX)
        .map(CompletionCandidate::new)
        .collect()
}

fn app() -> Option<AppDoor> {
    let reach = AppReach {
        app: given("--app"),
        server: server(),
    };
    reach.open().ok()
}

/// The server that the words typed so far are about.
fn server() -> Reach {
    let path = |name: &str| given(name).map(PathBuf::from);
    Reach {
        context: given("--context"),
        url: given("--url"),
        // A key on the standard input would be taken from the shell.
        key_file: path("--key-file").filter(|file| file.as_os_str() != "-"),
        ca_file: path("--ca-file"),
        data_dir: path("--data-dir"),
        config: path("--config"),
        patience: Some(PATIENCE),
    }
}

/// The value that an option has among the words typed so far.
fn given(option: &str) -> Option<String> {
    let words: Vec<String> = std::env::args_os()
        .filter_map(|word| word.into_string().ok())
        .collect();
    value_of(option, &words)
}

fn value_of(option: &str, words: &[String]) -> Option<String> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == option {
            return words.next().cloned();
        }
        let value = word
            .strip_prefix(option)
            .and_then(|rest| rest.strip_prefix('='));
        if let Some(value) = value {
            return Some(value.to_owned());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_found_among_the_words() {
        let words = [
            "tidings",
            "--",
            "tidings",
            "who",
            "--app",
            "a1",
            "--url=http://x",
        ];
        let words = words.map(str::to_owned);
        assert_eq!(value_of("--app", &words).as_deref(), Some("a1"));
        assert_eq!(value_of("--url", &words).as_deref(), Some("http://x"));
        assert_eq!(value_of("--context", &words), None);
    }

    #[test]
    fn names_that_a_shell_would_obey_are_not_offered() {
        let names = ["al\u{1b}[0m", "alice", "bob"].map(str::to_owned);
        let found = candidates(OsStr::new("al"), names);
        let found: Vec<_> = found.iter().map(CompletionCandidate::get_value).collect();
        assert_eq!(found, ["alice"]);
    }
}
