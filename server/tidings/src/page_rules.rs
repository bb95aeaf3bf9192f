//! An app's rules for the pages that may connect, among its settings in `apps.toml`.

use tidings_server::App;

use crate::failure::Failure;
use crate::settings::parse_origins;
use crate::words::{between_commas, truth};

const ORIGINS: &str = "origins";
const REQUIRE_ORIGIN: &str = "require_origin";

/// All rules, by name.
pub(crate) const NAMES: [&str; 2] = [ORIGINS, REQUIRE_ORIGIN];

/// Whether a rule has this name.
pub(crate) fn has(name: &str) -> bool {
    NAMES.contains(&name)
}

/// The rules that an app has set, by name.
pub(crate) fn settings(of: &App) -> Vec<(&'static str, toml::Value)> {
    let origins = of.origins.iter().cloned().map(toml::Value::String);
    vec![
        (ORIGINS, toml::Value::Array(origins.collect())),
        (REQUIRE_ORIGIN, of.requires_origin.into()),
    ]
}

/// A value as given on the command line: origins separated by commas.
pub(crate) fn value(name: &str, text: &str) -> Option<toml::Value> {
    if name != ORIGINS || text.starts_with('[') {
        return None;
    }
    Some(between_commas(text))
}

/// Sets the rules that are given.
pub(crate) fn apply(to: &mut App, settings: &toml::Table) -> Result<(), Failure> {
    if let Some(value) = settings.get(ORIGINS) {
        to.origins = origins(value)?;
    }
    if let Some(value) = settings.get(REQUIRE_ORIGIN) {
        to.requires_origin = truth(REQUIRE_ORIGIN, value)?;
    }
    Ok(())
}

fn origins(value: &toml::Value) -> Result<Vec<String>, Failure> {
    let texts = match value {
        toml::Value::String(one) => Some(vec![one.clone()]),
        toml::Value::Array(list) => {
            let texts = list.iter().map(|one| one.as_str().map(str::to_owned));
            texts.collect()
        }
        _ => None,
    };
    let texts = texts.ok_or_else(|| {
        Failure::new(
            format!("setting {ORIGINS} cannot be {value}"),
            "give a list of origins, for example [\"https://chat.example.org\"]",
        )
    })?;
    let origins = parse_origins(&texts)?;
    Ok(origins.iter().map(ToString::to_string).collect())
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
    fn origins_are_read_and_told_again() {
        let app = set(
            "origins = [\"HTTPS://a.example:443\", \"https://*.b.example\"]\nrequire_origin = true",
        );
        let app = app.expect("good");
        assert_eq!(app.origins, ["https://a.example", "https://*.b.example"]);
        assert!(app.requires_origin);
        let again: toml::Table = settings(&app)
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        let mut copy = App::default();
        assert_eq!(apply(&mut copy, &again), Ok(()));
        assert_eq!(copy, app);
        for wrong in [
            "origins = 5",
            "origins = [5]",
            "origins = [\"a.example\"]",
            "require_origin = 1",
        ] {
            assert!(set(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_command_line_gives_origins_between_commas() {
        let value = value(ORIGINS, "https://a.example, https://b.example").expect("a list");
        assert_eq!(value.as_array().map(Vec::len), Some(2));
        assert_eq!(super::value("inbox_age_ms", "7d"), None);
    }
}
