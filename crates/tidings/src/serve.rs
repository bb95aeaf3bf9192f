//! `tidings serve`.

use std::io::Write as _;
use std::net::SocketAddr;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tidings_server::{DrainHandle, Server};

use crate::command::ServeArguments;
use crate::failure::Failure;
use crate::log;
use crate::settings::AppSource;

const DEV_NOTICE: &str = "\
******************************************************************
*  --dev: every app id is accepted and nobody needs a token.     *
*  Anyone who can reach this server can be any user.             *
*  Do not use it in production.                                  *
******************************************************************";

/// Exit code of a process that a second signal ended.
const EXIT_INTERRUPTED: i32 = 130;

/// Runs a server until it is told to end.
pub(crate) fn run(arguments: ServeArguments) -> Result<(), Failure> {
    let settings = arguments.serving.read()?;
    let (filter, form) = settings.log();
    log::start(filter, form)?;
    if settings.is_dev() {
        eprintln!("{DEV_NOTICE}");
    }
    let apps = settings.app_source();
    let mut config = settings.resolve()?;
    let is_tls = config.tls.is_some();
    if let Some(files) = raise_file_limit() {
        let strangers = &mut config.limits.preauth_connections_max;
        *strangers = strangers_max(files).min(*strangers);
    }
    let server = Server::start(config).map_err(|error| Failure::of(&error, error.hint()))?;
    watch_signals(server.drain_handle(), apps)?;
    // A program that waits for this line reads a pipe; that it has closed the pipe is no reason to end.
    let _ = writeln!(
        std::io::stdout(),
        "tidings is ready: {}",
        page(server.local_addr(), is_tls)
    );
    server.join();
    Ok(())
}

/// Where a browser on this machine finds the demonstration.
fn page(mut address: SocketAddr, is_tls: bool) -> String {
    if address.ip().is_unspecified() {
        address.set_ip(match address {
            SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
        });
    }
    let scheme = if is_tls { "https" } else { "http" };
    format!("{scheme}://{address}/demo")
}

/// Every connection is an open file, and systems give a process few by default.
fn raise_file_limit() -> Option<u64> {
    match rlimit::increase_nofile_limit(rlimit::INFINITY) {
        Ok(files) => {
            tracing::debug!(files, "the limit on open files");
            Some(files)
        }
        Err(error) => {
            tracing::warn!(%error, "the limit on open files could not be raised");
            None
        }
    }
}

/// How many connections without a login there may be where so many files may be open: a tenth of all (contract 4.1), so
/// that strangers leave room for users.
fn strangers_max(files: u64) -> usize {
    usize::try_from(files / 10).unwrap_or(usize::MAX).max(100)
}

/// SIGTERM and SIGINT end the server, SIGHUP reads its apps anew.
fn watch_signals(control: DrainHandle, apps: AppSource) -> Result<(), Failure> {
    let fault = |error: std::io::Error| {
        Failure::new(
            format!("cannot watch for signals: {error}"),
            "check the system's limits on threads and open files",
        )
    };
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP]).map_err(fault)?;
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            let mut is_ending = false;
            for signal in signals.forever() {
                if signal == SIGHUP {
                    reload(&control, &apps);
                } else if is_ending {
                    tracing::warn!("ended at once by a second signal");
                    std::process::exit(EXIT_INTERRUPTED);
                } else {
                    is_ending = true;
                    tracing::info!(signal, "ending; a second signal ends at once");
                    control.drain();
                }
            }
        })
        .map_err(fault)?;
    Ok(())
}

/// Apps that cannot be read leave the old ones in force, and so does a TLS certificate.
fn reload(control: &DrainHandle, source: &AppSource) {
    control.reload_certificate();
    let read = source.read();
    match read.and_then(|apps| Ok((apps, source.read_legacy_rules()?))) {
        Ok((apps, legacy_rules)) => {
            tracing::info!(apps = apps.listed.len(), "the apps were read anew");
            control.replace_legacy_rules(legacy_rules);
            control.replace_apps(apps);
        }
        Err(failure) => tracing::error!(error = failure.what(), "the apps stay as they were"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_leave_room_for_users() {
        assert_eq!(strangers_max(50_000), 5_000);
        assert_eq!(strangers_max(256), 100);
    }

    #[test]
    fn the_page_is_one_that_a_browser_can_open() {
        let page_of = |address: &str, is_tls| page(address.parse().expect("an address"), is_tls);
        assert_eq!(
            page_of("127.0.0.1:7400", false),
            "http://127.0.0.1:7400/demo"
        );
        assert_eq!(page_of("0.0.0.0:80", false), "http://127.0.0.1:80/demo");
        assert_eq!(page_of("[::]:443", true), "https://[::1]:443/demo");
    }
}
