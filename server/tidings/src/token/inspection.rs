//! `tidings token inspect`: what a token contains, and how a server would judge it.

use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

use serde_json::{Value, json};
use tidings_server::load_key_set;
use tidings_token::jwt::claimed_user;
use tidings_token::{
    AppKeys, Door, Format, Granted, Inspection, JwtInspection, Policy, Refusal, check, inspect,
};

use super::now_unix_s;
use crate::app::AppSpec;
use crate::command::InspectArguments;
use crate::failure::Failure;
use crate::registry::{Entry, Registry};
use crate::{input, output};

/// Describes a token.
pub(crate) fn run(arguments: &InspectArguments) -> Result<(), Failure> {
    let token = match arguments.token.as_str() {
        "-" => input::secret("the token")?,
        token => token.trim().to_owned(),
    };
    let inspection = inspect(&token).map_err(|flaw| Failure::of(&flaw, flaw.hint()))?;
    let now_s = u64::from(now_unix_s()?);
    let verdict = verdict(arguments, &inspection, &token, now_s)?;
    if arguments.json {
        output::write_json(&as_json(&inspection, &verdict, now_s))
    } else {
        output::write(&as_text(&inspection, &verdict, now_s))
    }
}

/// The judgement of a server that knows the app.
pub(crate) enum Verdict {
    /// The token lets this user in.
    Good { user: String },
    /// The token is refused.
    Refused { reason: &'static str, text: String },
    /// The certificate or the user is unknown, so nothing can be said.
    Unknown(&'static str),
}

fn verdict(
    arguments: &InspectArguments,
    inspection: &Inspection,
    token: &str,
    now_s: u64,
) -> Result<Verdict, Failure> {
    if inspection.format == Format::Jwt {
        return jwt_verdict(arguments, token, now_s);
    }
    let Some(certificates) = certificates(arguments, &inspection.app_id)? else {
        return Ok(Verdict::Unknown(
            "not checked: give --app ID:CERTIFICATE, or --data-dir with the server's apps",
        ));
    };
    let user = arguments.user.as_deref();
    let app = match &arguments.data_dir {
        None => None,
        Some(data_dir) => {
            let mut registry = Registry::read(data_dir)?;
            let entry = registry.find(&inspection.app_id).ok();
            entry.map(|entry| entry.app()).transpose()?
        }
    };
    let policy = app.unwrap_or_default().token_policy();
    let token = (user, inspection, token);
    Ok(judge((&certificates, policy.max_lifetime_s), token, now_s))
}

/// The user whom a token lets in, if it says so.
pub(crate) fn user_of(inspection: &Inspection) -> Option<String> {
    inspection.services.iter().find_map(|service| {
        let is_login = ["RTM", "RTM2"].contains(&service.name);
        service.user.clone().filter(|_| is_login)
    })
}

/// How an app with these certificates judges a token.
pub(crate) fn judge(
    (certificates, lifetime_max_s): (&[String], u64),
    (user, inspection, token): (Option<&str>, &Inspection, &str),
    now_s: u64,
) -> Verdict {
    if certificates.is_empty() {
        return Verdict::Unknown(
            "not checked: the app has no certificate, so that it asks for no token",
        );
    }
    let Some(user) = user.map(str::to_owned).or_else(|| user_of(inspection)) else {
        return Verdict::Unknown(match inspection.format {
            Format::Access007 => "not checked: the token logs nobody in",
            _ => "not checked: the token does not name its user; give it too",
        });
    };
    let certificates: Vec<&str> = certificates.iter().map(String::as_str).collect();
    let keys = AppKeys {
        app_id: &inspection.app_id,
        certificates: &certificates,
        jwt: None,
    };
    let policy = Policy {
        max_lifetime_s: lifetime_max_s,
        legacy_signaling_tokens: true,
        ..Policy::login()
    };
    let door = match inspection.format {
        Format::Signaling => Door::Legacy,
        _ => Door::Rtm,
    };
    Verdict::of(check(door, &keys, &policy, &user, now_s, token), user)
}

impl Verdict {
    fn of(checked: Result<Granted, Refusal>, user: String) -> Self {
        match checked {
            Ok(_) => Self::Good { user },
            Err(refusal) => Self::Refused {
                reason: refusal.reason(),
                text: refusal.to_string(),
            },
        }
    }
}

/// The judgement of a JSON Web Token, which need not name its app: that is the one of `--app`, or
/// the only one that takes such tokens.
fn jwt_verdict(arguments: &InspectArguments, token: &str, now_s: u64) -> Result<Verdict, Failure> {
    let Some(data_dir) = &arguments.data_dir else {
        return Ok(Verdict::Unknown(
            "not checked: give --data-dir with the server's apps, and --app ID if several take JWT",
        ));
    };
    let mut registry = Registry::read(data_dir)?;
    let named = arguments.app.first().map(|text| AppSpec::of_setting(text));
    let id = match named.transpose()? {
        Some(app) => app.id.as_str().to_owned(),
        None => {
            let mut with_jwt = registry
                .entries()
                .iter()
                .filter(|entry| entry.jwt.is_some());
            match (with_jwt.next(), with_jwt.next()) {
                (Some(entry), None) => entry.id.clone(),
                (None, _) => return Ok(Verdict::Unknown("not checked: no app takes JWT")),
                _ => {
                    return Ok(Verdict::Unknown(
                        "not checked: several apps take JWT; give --app ID",
                    ));
                }
            }
        }
    };
    judge_jwt(registry.find(&id)?, arguments.user.as_deref(), token, now_s)
}

/// How an app judges a JSON Web Token. Loads its key set, which may take ten seconds.
pub(crate) fn judge_jwt(
    entry: &Entry,
    user: Option<&str>,
    token: &str,
    now_s: u64,
) -> Result<Verdict, Failure> {
    let mut jwt = entry.app()?.jwt;
    if let Some(jwt) = &mut jwt
        && let Some(source) = jwt.source().cloned()
    {
        let set = load_key_set(&source).map_err(|error| {
            Failure::new(
                format!("the key set of app {} cannot be loaded: {error}", entry.id),
                "check jwt.jwks_url with `tidings app show`, and the network",
            )
        })?;
        jwt.load(set.keys);
    }
    let verifier = jwt.as_ref().map(|jwt| jwt.verifier());
    let claimed = || claimed_user(token, &verifier?.rules);
    let Some(user) = user.map(str::to_owned).or_else(claimed) else {
        return Ok(Verdict::Unknown(
            "not checked: the token does not name its user; give --user",
        ));
    };
    let keys = AppKeys {
        app_id: &entry.id,
        certificates: &[],
        jwt: verifier,
    };
    let checked = check(Door::Rtm, &keys, &Policy::login(), &user, now_s, token);
    Ok(Verdict::of(checked, user))
}

/// The app's certificates, from any source; `None` = no source was given.
fn certificates(
    arguments: &InspectArguments,
    app_id: &str,
) -> Result<Option<Vec<String>>, Failure> {
    let given = arguments.app.iter().map(|text| AppSpec::of_setting(text));
    let given = given.collect::<Result<Vec<_>, _>>()?;
    let found = given.iter().find(|app| app.id.as_str() == app_id);
    if let Some(app) = found {
        return Ok(Some(app.certificates.clone()));
    }
    if let Some(data_dir) = &arguments.data_dir {
        let mut registry = Registry::read(data_dir)?;
        return registry
            .find(app_id)
            .map(|entry| Some(entry.certificates.clone()))
            .map_err(|failure| failure.within("the token is for another app"));
    }
    match given.first() {
        None => Ok(None),
        Some(app) => Err(Failure::new(
            format!("the token is for app {app_id}, not for {}", app.id.as_str()),
            "give the app that the token is for, or make a token for this one",
        )),
    }
}

/// A Unix second, formatted for people.
fn at(unix_s: u64) -> String {
    // Beyond the calendar's range, the number itself has to do.
    let time = UNIX_EPOCH.checked_add(Duration::from_secs(unix_s));
    match time.filter(|_| unix_s < 253_402_300_800) {
        Some(time) => humantime::format_rfc3339_seconds(time).to_string(),
        None => format!("{unix_s} s since 1970"),
    }
}

/// The distance of a second from now, in its two largest units.
fn from_now(unix_s: u64, now_s: u64) -> String {
    let apart = humantime::format_duration(Duration::from_secs(unix_s.abs_diff(now_s)));
    let apart = apart.to_string();
    let apart: Vec<_> = apart.split(' ').take(2).collect();
    if unix_s > now_s {
        format!("in {}", apart.join(" "))
    } else {
        format!("{} ago", apart.join(" "))
    }
}

fn as_text(inspection: &Inspection, verdict: &Verdict, now_s: u64) -> String {
    let mut text = format!("format      {}\n", inspection.format);
    match &inspection.jwt {
        Some(jwt) => text += &jwt.to_string(),
        None => {
            let _ = writeln!(text, "app id      {}", inspection.app_id);
        }
    }
    if let Some(issued_s) = inspection.issued_at_unix_s {
        let _ = writeln!(
            text,
            "issued      {} ({})",
            at(issued_s),
            from_now(issued_s, now_s)
        );
    }
    let ends_s = inspection.expires_at_unix_s;
    let ended = if ends_s <= now_s {
        "expired"
    } else {
        "expires"
    };
    let _ = writeln!(
        text,
        "{ended:<11} {} ({})",
        at(ends_s),
        from_now(ends_s, now_s)
    );
    if let Some(salt) = inspection.salt {
        let _ = writeln!(text, "salt        {salt}");
    }
    if let Some((channel, uid)) = inspection.crc32 {
        let _ = writeln!(
            text,
            "user        CRC-32 {channel:08x}, call uid CRC-32 {uid:08x}"
        );
    }
    for (privilege, expiry) in &inspection.privileges {
        let until = match expiry {
            0 => "the token ends".into(),
            expiry => at(u64::from(*expiry)),
        };
        let _ = writeln!(text, "privilege   {privilege} until {until}");
    }
    for service in &inspection.services {
        let _ = write!(text, "{service}");
    }
    if inspection.format != Format::Signaling && !inspection.has_rtm_login {
        let _ = writeln!(text, "note        carries no RTM login privilege");
    }
    let _ = match verdict {
        Verdict::Good { user } => writeln!(text, "signature   good: it lets {user:?} in"),
        Verdict::Refused {
            reason: "invalid_signature",
            text: why,
        } => writeln!(text, "signature   wrong: {why}"),
        Verdict::Refused { reason, text: why } => {
            writeln!(text, "verdict     refused ({reason}): {why}")
        }
        Verdict::Unknown(why) => writeln!(text, "signature   {why}"),
    };
    text
}

/// What `tidings token inspect --json` prints.
pub(crate) fn as_json(inspection: &Inspection, verdict: &Verdict, now_s: u64) -> Value {
    let services: Vec<_> = inspection
        .services
        .iter()
        .map(|service| {
            json!({
                "type": service.number,
                "name": service.name,
                "channel": service.channel,
                "user": service.user,
                "privileges": service.privileges,
                "permissions": service.permissions.as_ref().map(ToString::to_string),
            })
        })
        .collect();
    let verdict = match verdict {
        Verdict::Good { user } => json!({ "verdict": "good", "user": user }),
        Verdict::Refused { reason, text } => json!({ "verdict": reason, "text": text }),
        Verdict::Unknown(why) => json!({ "verdict": "unknown", "text": why }),
    };
    json!({
        "format": inspection.format.to_string(),
        "app_id": inspection.app_id,
        "issued_at": inspection.issued_at_unix_s,
        "issued": inspection.issued_at_unix_s.map(at),
        "expires_at": inspection.expires_at_unix_s,
        "expires": at(inspection.expires_at_unix_s),
        "is_expired": inspection.expires_at_unix_s <= now_s,
        "salt": inspection.salt,
        "has_rtm_login": inspection.has_rtm_login,
        "privileges": inspection.privileges,
        "services": services,
        "jwt": inspection.jwt.as_ref().map(jwt_json),
        "check": verdict,
    })
}

fn jwt_json(jwt: &JwtInspection) -> Value {
    let claims = jwt.claims.iter().map(|(name, text)| {
        let value = serde_json::from_str(text).unwrap_or(Value::Null);
        (name.clone(), value)
    });
    json!({
        "algorithm": jwt.algorithm.to_string(),
        "key_id": jwt.key_id,
        "claims": claims.collect::<serde_json::Map<_, _>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_as_people_say_them() {
        assert_eq!(at(1_700_000_000), "2023-11-14T22:13:20Z");
        assert_eq!(at(u64::MAX), format!("{} s since 1970", u64::MAX));
        assert_eq!(from_now(1_000, 1_300), "5m ago");
        assert_eq!(from_now(90_061, 0), "in 1day 1h");
    }
}
