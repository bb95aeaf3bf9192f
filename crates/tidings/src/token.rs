//! `tidings token`.

use std::io::Read as _;
use std::time::{SystemTime, UNIX_EPOCH};

use tidings_server::UserId;
use tidings_token::{NewAccess007, build_006, build_007, inspect};

use crate::app::AppSpec;
use crate::command::{InspectArguments, IssueArguments, TokenCommand, TokenFormat};
use crate::failure::Failure;

/// Most that is read of a token: more than any format takes, so that what is too long is refused and not cut.
const TOKEN_INPUT_BYTES_MAX: u64 = 64 * 1024;

/// Carries the sub-command out.
pub(crate) fn run(command: TokenCommand) -> Result<(), Failure> {
    let text = match command {
        TokenCommand::Issue(arguments) => issue(&arguments)?,
        TokenCommand::Inspect(arguments) => describe(&arguments)?,
    };
    println!("{text}");
    Ok(())
}

fn issue(arguments: &IssueArguments) -> Result<String, Failure> {
    let app = AppSpec::of_setting(&arguments.app)?;
    let id = app.id.as_str();
    let Some(certificate) = app.certificates.first() else {
        return Err(Failure::new(
            format!("app {id} is given without a certificate, so there is nothing to sign with"),
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
    if arguments.lifetime == 0 {
        return Err(Failure::new(
            "a lifetime of 0 s makes no token",
            "give --lifetime some seconds",
        ));
    }
    let is_old = arguments.format == TokenFormat::Access006;
    if is_old && arguments.permissions.is_restricted() {
        return Err(Failure::new(
            "a token of format 006 cannot say what it permits",
            "leave --format away: tokens of format 007 can",
        ));
    }
    let now_unix_s = now_unix_s()?;
    let salt = getrandom::u32().map_err(|error| {
        Failure::new(
            format!("the system gives no random number: {error}"),
            "try again",
        )
    })?;
    let token = match arguments.format {
        TokenFormat::Access007 => build_007(&NewAccess007 {
            app_id: id,
            certificate,
            issued_at_unix_s: now_unix_s,
            lifetime_s: arguments.lifetime,
            salt,
            services: &[arguments.permissions.service(user, arguments.lifetime)],
        }),
        TokenFormat::Access006 => {
            let ends_at_unix_s = now_unix_s.saturating_add(arguments.lifetime);
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

fn describe(arguments: &InspectArguments) -> Result<String, Failure> {
    let token = match arguments.token.as_str() {
        "-" => read_token()?,
        token => token.to_owned(),
    };
    let inspection = inspect(token.trim()).map_err(|flaw| Failure::of(&flaw, flaw.hint()))?;
    Ok(inspection.to_string().trim_end().to_owned())
}

fn read_token() -> Result<String, Failure> {
    let mut token = String::new();
    std::io::stdin()
        .take(TOKEN_INPUT_BYTES_MAX)
        .read_to_string(&mut token)
        .map_err(|error| {
            Failure::new(
                format!("cannot read the token from the standard input: {error}"),
                "give the token as an argument, or pipe text into the program",
            )
        })?;
    Ok(token)
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
