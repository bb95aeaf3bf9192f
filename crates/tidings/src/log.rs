//! Where the log goes, and what a panic leaves in it.

use tracing_subscriber::EnvFilter;

use crate::failure::Failure;

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Form {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Logs to the standard error stream from now on.
pub(crate) fn start(filter: &str, form: Form) -> Result<(), Failure> {
    let filter: EnvFilter = filter.parse().map_err(|error| {
        Failure::new(
            format!("the log filter {filter:?} cannot be used: {error}"),
            "use error, warn, info, debug or trace, or for example info,tidings_server=debug",
        )
    })?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match form {
        Form::Text => lines.init(),
        Form::Json => lines.json().init(),
    }
    std::panic::set_hook(Box::new(|panic| {
        let location = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        let thread = std::thread::current();
        let backtrace = std::backtrace::Backtrace::capture();
        tracing::error!(
            thread = thread.name().unwrap_or("unnamed"),
            location,
            %backtrace,
            "panic: {}",
            panic.payload_as_str().unwrap_or("no text")
        );
    }));
    Ok(())
}
