//! `tidings token`: issue tokens and inspect them.

pub(crate) mod inspection;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tidings_server::UserId;
use tidings_token::{NewAccess007, build_006, build_007};

use crate::app::AppSpec;
use crate::command::{IssueArguments, TokenCommand, TokenFormat};
use crate::failure::Failure;
use crate::output;

/// Runs the sub-command.
pub(crate) fn run(command: TokenCommand) -> Result<(), Failure> {
    match command {
        TokenCommand::Issue(arguments) => output::write(&format!("{}\n", issue(&arguments)?)),
        TokenCommand::Inspect(arguments) => inspection::run(&arguments),
    }
}

fn issue(arguments: &IssueArguments) -> Result<String, Failure> {
    let app = AppSpec::of_setting(&arguments.app)?;
    let id = app.id.as_str();
    let Some(certificate) = app.certificates.first() else {
        return Err(Failure::new(
            format!("app {id} has no certificate, so there is nothing to sign with"),
            "give it as --app ID:CERTIFICATE",
        ));
    };
    let user = &arguments.user;
    UserId::parse(user).map_err(|error| {
        Failure::new(
            format!("user id {user:?} cannot be used: {error}"),
            "use 1 to 64 letters, digits, spaces or common punctuation",
        )
    })?;
    let lifetime = arguments.lifetime.of(Duration::from_secs(1)).as_secs();
    let lifetime_s = match u32::try_from(lifetime) {
        Ok(0) | Err(_) => {
            return Err(Failure::new(
                format!("a lifetime of {lifetime} s is too short for a token"),
                "give --lifetime a time of a second or more, for example 3600, 12h or 1d",
            ));
        }
        Ok(lifetime_s) => lifetime_s,
    };
    let is_old = arguments.format == TokenFormat::Access006;
    if is_old && arguments.permissions.is_restricted() {
        return Err(Failure::new(
            "a token of format 006 cannot say what it permits",
            "leave --format out: tokens of format 007 can",
        ));
    }
    let now_unix_s = now_unix_s()?;
    let salt = getrandom::u32().map_err(|error| {
        Failure::new(
            format!("the system provides no random numbers: {error}"),
            "try again",
        )
    })?;
    let token = match arguments.format {
        TokenFormat::Access007 => build_007(&NewAccess007 {
            app_id: id,
            certificate,
            issued_at_unix_s: now_unix_s,
            lifetime_s,
            salt,
            services: &[arguments.permissions.service(user, lifetime_s)],
        }),
        TokenFormat::Access006 => {
            let ends_at_unix_s = now_unix_s.saturating_add(lifetime_s);
            build_006(id, certificate, user, salt, ends_at_unix_s, ends_at_unix_s)
        }
    };
    token.map_err(|error| {
        Failure::new(
            error.to_string(),
            "give id and certificate as 32 hexadecimal characters each",
        )
    })
}

fn now_unix_s() -> Result<u32, Failure> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok();
    now.and_then(|now| u32::try_from(now.as_secs()).ok())
        .ok_or_else(|| {
            Failure::new(
                "the system's clock shows a time that tokens cannot state",
                "set the clock to the present time",
            )
        })
}
