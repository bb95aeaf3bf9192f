//! Login tokens, made where the app's certificate is known, without a call to the server.

use std::time::{SystemTime, UNIX_EPOCH};

use tidings_token::{NewAccess007, Service, build_007};

use super::error::Error;

const TTL_MAX: u32 = 86_400;
const SALT_MAX: u32 = 99_999_999;

/// What a token says.
#[derive(Clone, Copy)]
pub struct NewToken<'a> {
    /// 32 hexadecimal characters.
    pub app: &'a str,
    /// 32 hexadecimal characters: the secret, which stays in the backend.
    pub certificate: &'a str,
    /// Who may log in.
    pub user: &'a str,
    /// Seconds until it ends, 1 to 86,400.
    pub ttl: u32,
}

/// A token of format 007, made now.
///
/// # Errors
/// [`Error::Invalid`]
pub fn build_token(token: &NewToken<'_>) -> Result<String, Error> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let now = u32::try_from(now.as_secs()).unwrap_or(u32::MAX);
    build_at(token, now, fastrand::u32(1..=SALT_MAX))
}

fn build_at(token: &NewToken<'_>, issued_at_unix_s: u32, salt: u32) -> Result<String, Error> {
    if token.user.is_empty() {
        let hint = "Name the user who will log in.";
        return Err(Error::invalid(
            "invalid_argument",
            "the user id is empty",
            hint,
        ));
    }
    if !(1..=TTL_MAX).contains(&token.ttl) {
        let detail = format!("`ttl` is {}", token.ttl);
        let hint = "Use whole seconds from 1 to 86400.";
        return Err(Error::invalid("invalid_argument", detail, hint));
    }
    let built = build_007(&NewAccess007 {
        app_id: token.app,
        certificate: token.certificate,
        issued_at_unix_s,
        lifetime_s: token.ttl,
        salt,
        services: &[Service::rtm(token.user, token.ttl)],
    });
    built.map_err(|error| {
        let hint = "Copy app id and certificate from `tidings app show`.";
        Error::invalid("invalid_argument", error.to_string(), hint)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: NewToken<'_> = NewToken {
        app: "0123456789abcdef0123456789abcdef",
        certificate: "fedcba9876543210fedcba9876543210",
        user: "alice",
        ttl: 3600,
    };

    #[test]
    fn a_token_has_what_the_format_says() {
        // Source: tokens 4.1, the worked example; compressors differ, so the fields are compared.
        let published = concat!(
            "007eJxTYDDM/8YqdOMgR4iMMjNrQVLvW8vVde8+nTA4Mrv4QcPpNEkFBgNDI2MTUzNzC8vEpOSU1DR0",
            "PsPH4FQBPgYG/8Q9DIwMTAyMDIwMID4rQ2JOZnIqAKopHUk=",
        );
        let ours = build_at(&TOKEN, 1_700_000_000, 0x00bc_614f).expect("a token");
        let told = |token: &str| format!("{:?}", tidings_token::inspect(token).expect("a token"));
        assert_eq!(told(&ours), told(published));
    }

    #[test]
    fn wrong_fields_are_told() {
        for wrong in [
            NewToken {
                app: "short",
                ..TOKEN
            },
            NewToken {
                certificate: "",
                ..TOKEN
            },
            NewToken { user: "", ..TOKEN },
            NewToken { ttl: 0, ..TOKEN },
            NewToken {
                ttl: 86_401,
                ..TOKEN
            },
        ] {
            let error = build_token(&wrong).expect_err("a wrong field");
            assert_eq!(error.code(), "invalid_argument");
            assert!(!error.hint().is_empty());
        }
    }
}
