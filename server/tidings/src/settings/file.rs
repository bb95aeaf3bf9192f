//! Settings from a file.

use std::path::Path;

use super::Settings;
use crate::failure::Failure;
use crate::words::nearest;

impl Settings {
    /// Reads a file.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            Failure::new(
                format!(
                    "cannot read the configuration file {}: {error}",
                    path.display()
                ),
                "check the path given to --config or TIDINGS_CONFIG",
            )
        })?;
        let settings = toml::from_str(&text).map_err(|error| {
            // The library's own message would show the line, which may contain a certificate.
            let line = error
                .span()
                .map_or(1, |span| text[..span.start].matches('\n').count() + 1);
            let message = error.message().replace('\n', " ");
            let unknown = unknown_key(&message);
            let what = match &unknown {
                Some(key) => format!("there is no setting {key:?}"),
                None => message.clone(),
            };
            Failure::new(
                format!(
                    "cannot use the configuration file {}, line {line}: {what}",
                    path.display(),
                ),
                hint(&text, unknown.as_deref(), &message),
            )
        });
        settings.map(Self::take_section)
    }
}

/// The unknown key that the library's message names.
fn unknown_key(message: &str) -> Option<String> {
    let rest = message.strip_prefix("unknown field `")?;
    rest.split('`').next().map(str::to_owned)
}

/// How to fix it. A file that is not TOML at all needs another hint than one with a wrong key or
/// value.
fn hint(text: &str, unknown: Option<&str>, message: &str) -> String {
    if let Some(key) = unknown {
        // The message already lists the known keys.
        let known = message.split('`').skip(3).step_by(2);
        let meant = nearest(key, known).map(|known| format!("did you mean {known}? "));
        return format!(
            "{}keys are the options of `tidings serve --help` without the dashes in front",
            meant.unwrap_or_default()
        );
    }
    match text.parse::<toml::Table>() {
        Err(_) => {
            "correct the line; texts are in quotes, lists in brackets: app = [\"ID:CERTIFICATE\"]"
        }
        Ok(_) => "give a value as `tidings serve --help` describes it for the option of that name",
    }
    .into()
}
