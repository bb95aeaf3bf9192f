//! Which services of an app may have several sessions at once, among its settings in `apps.toml`.

use tidings_server::{App, NameRule, Replicas, UserId};

use crate::failure::Failure;
use crate::words::between_commas;

const SHARING: &str = "services_sharing";
const ALL: &str = "services_all";

/// All rules, by name, with what they mean.
const RULES: [(&str, Replicas); 2] = [(SHARING, Replicas::Share), (ALL, Replicas::All)];

/// Services of one app that may have several sessions.
const SERVICES_MAX: usize = 100;

/// All rules, by name.
pub(crate) const NAMES: [&str; 2] = [SHARING, ALL];

/// Whether a rule has this name.
pub(crate) fn has(name: &str) -> bool {
    NAMES.contains(&name)
}

/// The rules of an app, by name.
pub(crate) fn settings(of: &App) -> Vec<(&'static str, toml::Value)> {
    let of_mode = |mode: Replicas| {
        let named = of.replicas.iter().filter(move |(_, of)| **of == mode);
        let names = named.map(|(user, _)| toml::Value::String(user.to_string()));
        toml::Value::Array(names.collect())
    };
    RULES.map(|(name, mode)| (name, of_mode(mode))).to_vec()
}

/// A value as given on the command line: users separated by commas.
pub(crate) fn value(name: &str, text: &str) -> Option<toml::Value> {
    if !has(name) || text.starts_with('[') {
        return None;
    }
    Some(between_commas(text))
}

/// Sets the rules that are given.
pub(crate) fn apply(to: &mut App, settings: &toml::Table) -> Result<(), Failure> {
    for (name, mode) in RULES {
        let Some(value) = settings.get(name) else {
            continue;
        };
        for user in users(name, value)? {
            if to
                .replicas
                .insert(user.clone(), mode)
                .is_some_and(|other| other != mode)
            {
                return Err(Failure::new(
                    format!("user {user:?} is in {SHARING} and in {ALL}"),
                    "leave it in one of them",
                ));
            }
        }
    }
    if to.replicas.len() > SERVICES_MAX {
        return Err(Failure::new(
            format!("{} services may have several sessions", to.replicas.len()),
            format!("name at most {SERVICES_MAX} in {SHARING} and {ALL} together"),
        ));
    }
    Ok(())
}

fn users(name: &str, value: &toml::Value) -> Result<Vec<UserId>, Failure> {
    let wrong = || {
        Failure::new(
            format!("setting {name} cannot be {value}"),
            "give a list of user ids, for example [\"worker\"]",
        )
    };
    let user = |value: &toml::Value| {
        let text = value.as_str().ok_or_else(wrong)?;
        UserId::parse_by(NameRule::Native, text).map_err(|error| {
            Failure::new(
                format!("user {text:?} in {name} cannot be a service: {error}"),
                "give the id with which the service logs in",
            )
        })
    };
    match value {
        toml::Value::String(_) => Ok(vec![user(value)?]),
        toml::Value::Array(list) => list.iter().map(user).collect(),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> Result<App, String> {
        let mut app = App::default();
        let settings = text.parse().expect("TOML");
        apply(&mut app, &settings).map_err(|failure| failure.to_string())?;
        Ok(app)
    }

    #[test]
    fn services_are_read_and_told_again() {
        let app = set("services_sharing = [\"worker\", \"mailer\"]\nservices_all = \"cache\"");
        let app = app.expect("good");
        assert_eq!(app.replicas.len(), 3);
        let again: toml::Table = settings(&app)
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        let mut copy = App::default();
        assert_eq!(apply(&mut copy, &again), Ok(()));
        assert_eq!(copy, app);
        for wrong in [
            "services_all = 5",
            "services_all = [5]",
            "services_sharing = [\"a\\nb\"]",
            "services_sharing = [\"a\"]\nservices_all = [\"a\"]",
        ] {
            assert!(set(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_command_line_gives_users_between_commas() {
        let list = value(SHARING, "worker, mailer").expect("a list");
        assert_eq!(list.as_array().map(Vec::len), Some(2));
        assert_eq!(value("origins", "a"), None);
    }
}
