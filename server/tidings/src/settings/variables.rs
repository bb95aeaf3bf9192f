//! Detects unknown environment variables.

use clap::CommandFactory as _;

use crate::command::Cli;
use crate::failure::Failure;
use crate::output;
use crate::words::nearest;

const PREFIX: &str = "TIDINGS_";

/// Variables of our other programs: the SDKs read the first, tests and tools the next two, commands
/// for people the others.
const OTHERS: [&str; 6] = [
    "TIDINGS_ENDPOINT",
    "TIDINGS_BIN",
    "TIDINGS_NATS_SERVER",
    "TIDINGS_URL",
    "TIDINGS_KEY",
    "TIDINGS_CONTEXT",
];

/// Finds variables that look like settings and are not: a near miss of a known one is an error, any
/// other a warning.
pub(crate) fn check() -> Result<(), Failure> {
    let given = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let mut given: Vec<_> = given.filter(|name| name.starts_with(PREFIX)).collect();
    given.sort();
    for name in unknown(&given) {
        if let Some(known) = meant(name) {
            return Err(Failure::new(
                format!("the variable {name} is set, but there is no such setting"),
                format!("did you mean {known}? unset {name} otherwise"),
            ));
        }
        output::notice(format_args!(
            "warning: the variable {name} is set, but there is no such setting"
        ));
    }
    Ok(())
}

fn unknown(given: &[String]) -> impl Iterator<Item = &String> {
    let known = known();
    given
        .iter()
        .filter(move |name| !known.contains(name) && !OTHERS.contains(&name.as_str()))
}

/// The most similar known variable. The common prefix does not count.
fn meant(name: &str) -> Option<String> {
    let known = known();
    let bare = |name: &str| name.trim_start_matches(PREFIX).to_owned();
    let bares: Vec<_> = known.iter().map(|known| bare(known)).collect();
    let found = nearest(&bare(name), bares.iter().map(String::as_str))?;
    Some(format!("{PREFIX}{found}"))
}

/// The variables of all commands.
fn known() -> Vec<String> {
    let mut command = Cli::command();
    command.build();
    let mut names = Vec::new();
    let mut all = vec![&command];
    while let Some(command) = all.pop() {
        all.extend(command.get_subcommands());
        let variables = command.get_arguments().filter_map(clap::Arg::get_env);
        names.extend(variables.map(|name| name.to_string_lossy().into_owned()));
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_told_from_what_is_none_of_ours() {
        let given = [
            "TIDINGS_LISTN",
            "TIDINGS_LOG",
            "TIDINGS_ENDPOINT",
            "TIDINGS_QQQ",
        ];
        let given = given.map(str::to_owned);
        let found: Vec<_> = unknown(&given).map(String::as_str).collect();
        assert_eq!(found, ["TIDINGS_LISTN", "TIDINGS_QQQ"]);
        assert_eq!(meant("TIDINGS_LISTN").as_deref(), Some("TIDINGS_LISTEN"));
        assert_eq!(
            meant("TIDINGS_DATADIR").as_deref(),
            Some("TIDINGS_DATA_DIR")
        );
        assert_eq!(meant("TIDINGS_QQQ"), None);
    }
}
