//! `tidings app`: create, list and change apps, ban users, revoke tokens.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::json;
use tidings_server::{AppRules, RateKind};

use crate::changes::{check_certificate, check_name, check_user, secret};
use crate::command::{
    AppArguments, AppCommand, BanArguments, CreateArguments, ListArguments, RevokeArguments,
    RotateArguments, SetArguments, ShowArguments,
};
use crate::control::Change;
use crate::failure::Failure;
use crate::jwt_rules;
use crate::registry::{Entry, Held, Registry};
use crate::tuning;
use crate::words::counted;
use crate::{
    input, legacy_rules, output, ownership, page_rules, quotas, revocations, service_rules, status,
    token_rules,
};

/// Runs the sub-command.
pub(crate) fn run(command: AppCommand) -> Result<(), Failure> {
    match command {
        AppCommand::Create(arguments) => create(&arguments),
        AppCommand::List(arguments) => list(&arguments),
        AppCommand::Rotate(arguments) => rotate(&arguments),
        AppCommand::Show(arguments) => show(&arguments),
        AppCommand::Set(arguments) => set(&arguments),
        AppCommand::Ban(arguments) => ban(&arguments),
        AppCommand::Unban(arguments) => unban(&arguments),
        AppCommand::Revoke(arguments) => revoke(&arguments),
        AppCommand::Disable(arguments) => switch(&arguments, Switching::Off),
        AppCommand::Enable(arguments) => switch(&arguments, Switching::On),
        AppCommand::Delete(arguments) => delete(&arguments),
    }
}

/// The apps of a data directory, while they are being changed.
struct Workplace {
    data_dir: PathBuf,
    registry: Registry,
    /// Nobody else changes them meanwhile.
    _held: Held,
}

impl Workplace {
    fn open(data_dir: PathBuf) -> Result<Self, Failure> {
        let held = Held::of(&data_dir)?;
        let registry = Registry::read(&data_dir)?;
        Ok(Self {
            data_dir,
            registry,
            _held: held,
        })
    }

    /// Writes the changes and notifies the server. Returns the outcome, in words.
    fn finish(&self, command: &str, app: &str, detail: &str) -> Result<String, Failure> {
        let is_new = !self.data_dir.exists();
        self.registry.write()?;
        let told = status::tell(&self.data_dir, Change::new(command, app, detail))?;
        if is_new && ownership::is_root() {
            Ok(format!("{told}\n{}", roots_own(&self.data_dir)))
        } else {
            Ok(told)
        }
    }
}

/// A directory that root has made belongs to root.
fn roots_own(directory: &Path) -> String {
    format!(
        "{0} belongs to root now; give it to the service's user: chown -R USER: {0}",
        directory.display()
    )
}

fn create(arguments: &CreateArguments) -> Result<(), Failure> {
    let mut place = Workplace::open(arguments.place.resolve()?)?;
    let id = match &arguments.id {
        Some(id) => id.clone(),
        None => secret()?,
    };
    let mut entry = Entry {
        id,
        name: arguments.name.clone().unwrap_or_default(),
        created: revocations::now_unix_s()?,
        ..Entry::default()
    };
    check_name(&entry.name)?;
    if !arguments.open {
        entry.add_certificate(certificate(arguments.certificate.as_deref())?)?;
    }
    for change in &arguments.jwt {
        let (name, value) = change.split_once('=').ok_or_else(|| no_change(change))?;
        set_jwt(&mut entry, name, value)?;
    }
    entry.app()?;
    place.registry.add(entry.clone())?;
    let told = place.finish("app create", &entry.id, "")?;
    let certificate = entry.certificates.first();
    if arguments.json {
        return output::write_json(&json!({ "id": entry.id, "certificate": certificate }));
    }
    let certificate = match certificate {
        Some(certificate) => certificate.as_str(),
        None if entry.jwt.is_some() => "none: logins need a JWT",
        None => "none: whoever knows the id can be any user",
    };
    output::write(&format!(
        "app id       {}\ncertificate  {certificate}\n{told}\n",
        entry.id
    ))
}

fn list(arguments: &ListArguments) -> Result<(), Failure> {
    let registry = Registry::read(&arguments.place.resolve()?)?;
    let entries = registry.entries();
    if arguments.json {
        let apps: Vec<_> = entries
            .iter()
            .map(|entry| {
                json!({
                    "id": entry.id,
                    "name": entry.name,
                    "certificates": entry.certificates.len(),
                    "enabled": !entry.disabled,
                    "banned": entry.banned.len(),
                })
            })
            .collect();
        return output::write_json(&apps);
    }
    if entries.is_empty() {
        return output::write("no apps; create one with `tidings app create`\n");
    }
    let mut text = format!("{:<32}  certificates  name\n", "app id");
    for entry in entries {
        let state = if entry.disabled { " (disabled)" } else { "" };
        let count = entry.certificates.len();
        let _ = writeln!(text, "{:<32}  {count:<12}  {}{state}", entry.id, entry.name);
    }
    output::write(&text)
}

fn rotate(arguments: &RotateArguments) -> Result<(), Failure> {
    let mut place = Workplace::open(arguments.place.resolve()?)?;
    let entry = place.registry.find(&arguments.id)?;
    if arguments.drop_old {
        return drop_old(place, arguments);
    }
    let was_open = entry.certificates.is_empty();
    let certificate = certificate(arguments.certificate.as_deref())?;
    entry.add_certificate(certificate.clone())?;
    let told = place.finish("app rotate", &arguments.id, "new certificate")?;
    let old = if was_open {
        "From now on, logins need tokens.".into()
    } else {
        format!(
            "The old one stays valid until `tidings app rotate {} --drop-old`.",
            arguments.id
        )
    };
    output::write(&format!("new certificate  {certificate}\n{old}\n{told}\n"))
}

fn drop_old(mut place: Workplace, arguments: &RotateArguments) -> Result<(), Failure> {
    let entry = place.registry.find(&arguments.id)?;
    if entry.certificates.len() < 2 {
        return Err(Failure::new(
            format!(
                "app {} has {}, so there is no old one",
                entry.id,
                counted(entry.certificates.len(), "certificate", "certificates")
            ),
            "add a new one first: `tidings app rotate` without --drop-old",
        ));
    }
    while entry.certificates.len() > 1 {
        entry.drop_certificate(1, arguments.disconnect);
    }
    let told = place.finish(
        "app rotate --drop-old",
        &arguments.id,
        if arguments.disconnect {
            "and its logins end"
        } else {
            ""
        },
    )?;
    let logins = if arguments.disconnect {
        ", and sessions that logged in with it end"
    } else {
        "; sessions that logged in with it continue until their tokens expire"
    };
    output::write(&format!("the old certificate is gone{logins}\n{told}\n"))
}

fn show(arguments: &ShowArguments) -> Result<(), Failure> {
    let mut registry = Registry::read(&arguments.place.resolve()?)?;
    let entry = registry.find(&arguments.id)?;
    let app = entry.app()?;
    let rules = entry.legacy_rules(&AppRules::default())?;
    let settings: Vec<_> = tuning::settings(&app.settings)
        .into_iter()
        .chain(legacy_rules::settings(&rules))
        .chain(quotas::settings(&app.quotas))
        .chain(page_rules::settings(&app))
        .chain(token_rules::settings(&app))
        .chain(service_rules::settings(&app))
        .chain(entry.api_rules()?.settings())
        .collect();
    if arguments.json {
        let settings: toml::Table = settings
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        let rates = RateKind::named().map(|(kind, name)| {
            let rate = app.rates.get(kind);
            (
                name.to_owned(),
                json!({ "calls": rate.calls, "window_ms": rate.window_ms }),
            )
        });
        return output::write_json(&json!({
            "id": entry.id,
            "name": entry.name,
            "enabled": !entry.disabled,
            "certificates": entry.certificates.len(),
            "jwt": entry.jwt.as_ref().map(|jwt| jwt.shown().into_iter().collect::<BTreeMap<_, _>>()),
            "settings": settings,
            "rates": rates.collect::<serde_json::Map<_, _>>(),
            "banned": entry.banned,
        }));
    }
    let origin = |is_set: bool| if is_set { "set" } else { "default" };
    let mut text = format!(
        "app id        {}\nname          {}\nenabled       {}\ncertificates  {}\n\nsettings\n",
        entry.id,
        entry.name,
        !entry.disabled,
        entry.certificates.len()
    );
    for (name, value) in settings {
        let value = value.to_string();
        let origin = origin(entry.settings.contains_key(name));
        let _ = writeln!(text, "  {name:<28} {value:<12} {origin}");
    }
    text += &jwt_text(entry);
    text += "\nrates: calls/milliseconds\n";
    for (kind, name) in RateKind::named() {
        let rate = app.rates.get(kind);
        let value = match rate.calls {
            0 => "unlimited".into(),
            calls => format!("{calls}/{}", rate.window_ms),
        };
        let origin = origin(entry.rates.contains_key(name));
        let _ = writeln!(text, "  {name:<28} {value:<12} {origin}");
    }
    text += "\nbanned\n";
    if entry.banned.is_empty() {
        text += "  nobody\n"
    } else {
        for user in &entry.banned {
            let _ = writeln!(text, "  {user}");
        }
    }
    output::write(&text)
}

fn set(arguments: &SetArguments) -> Result<(), Failure> {
    let mut place = Workplace::open(arguments.place.resolve()?)?;
    let entry = place.registry.find(&arguments.id)?;
    let mut names = Vec::new();
    for change in &arguments.changes {
        let (name, value) = change.split_once('=').ok_or_else(|| no_change(change))?;
        names.push(name);
        if let Some(name) = name.strip_prefix(jwt_rules::PREFIX) {
            set_jwt(entry, name, value)?;
            continue;
        }
        if name == "jwt" && value == "default" {
            entry.jwt = None;
            continue;
        }
        let is_rate = RateKind::named().any(|(_, known)| known == name);
        let value = if is_rate || value == "default" {
            toml::Value::String(value.into())
        } else {
            page_rules::value(name, value)
                .or_else(|| service_rules::value(name, value))
                .unwrap_or_else(|| tuning::value(value))
        };
        entry.set(name, value)?;
    }
    // A wrong value is reported now, not at the server's next start.
    entry.app()?;
    let told = place.finish("app set", &arguments.id, &names.join(" "))?;
    output::write(&format!("{told}\n"))
}

fn no_change(change: &str) -> Failure {
    Failure::new(
        format!("{change:?} is no NAME=VALUE"),
        "for example keep_user_attributes=true, or message=60/1s for a rate",
    )
}

/// An app's rules for JSON Web Tokens, in lines.
fn jwt_text(entry: &Entry) -> String {
    let mut text = "\nJSON Web Tokens\n".to_owned();
    match &entry.jwt {
        None => text += "  not taken; give a key: tidings app set ID jwt.NAME=VALUE\n",
        Some(jwt) => {
            for (name, value) in jwt.shown() {
                let _ = writeln!(text, "  jwt.{name:<24} {value}");
            }
        }
    }
    text
}

/// Sets one of the rules for JSON Web Tokens; with the last of them, they go.
fn set_jwt(entry: &mut Entry, name: &str, value: &str) -> Result<(), Failure> {
    let mut jwt = entry.jwt.take().unwrap_or_default();
    jwt.set(name, value)?;
    entry.jwt = Some(jwt).filter(|jwt| !jwt.is_empty());
    Ok(())
}

fn ban(arguments: &BanArguments) -> Result<(), Failure> {
    let mut place = Workplace::open(arguments.place.resolve()?)?;
    let entry = place.registry.find(&arguments.id)?;
    entry.ban(&arguments.users)?;
    entry.app()?;
    let told = place.finish("app ban", &arguments.id, &arguments.users.join(" "))?;
    output::write(&format!("{told}\n"))
}

fn unban(arguments: &BanArguments) -> Result<(), Failure> {
    let mut place = Workplace::open(arguments.place.resolve()?)?;
    let entry = place.registry.find(&arguments.id)?;
    for user in &arguments.users {
        let before = entry.banned.len();
        entry.banned.retain(|banned| banned != user);
        if entry.banned.len() == before {
            return Err(Failure::new(
                format!("user {user:?} is not banned from app {}", entry.id),
                "`tidings app show` lists them",
            ));
        }
    }
    let told = place.finish("app unban", &arguments.id, &arguments.users.join(" "))?;
    output::write(&format!("{told}\n"))
}

/// Revokes tokens: one, or all of a user, or all of everybody.
fn revoke(arguments: &RevokeArguments) -> Result<(), Failure> {
    let mut place = Workplace::open(arguments.place.resolve()?)?;
    let entry = place.registry.find(&arguments.id)?;
    let now_s = revocations::now_unix_s()?;
    let what = if let Some(token) = &arguments.token {
        let token = match token.as_str() {
            "-" => input::secret("the token")?,
            token => token.trim().to_owned(),
        };
        entry.revoked.add_token(&arguments.id, &token, now_s)?;
        "the token is revoked".to_owned()
    } else if let Some(jti) = &arguments.jti {
        let app = entry.app()?;
        entry.revoked.add_jti(&app, jti, now_s)?;
        format!("all tokens with the jti {jti:?} are revoked")
    } else if let Some(user) = &arguments.user {
        check_user(user)?;
        entry.revoked.add_user(user, now_s)?;
        format!("all tokens of {user} until now are revoked")
    } else {
        entry.revoked.add_everybody(now_s);
        "all tokens until now are revoked".to_owned()
    };
    entry.app()?;
    let told = place.finish(
        "app revoke",
        &arguments.id,
        arguments.user.as_deref().unwrap_or_default(),
    )?;
    output::write(&format!("{what}; its sessions end\n{told}\n"))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Switching {
    On,
    Off,
}

fn switch(arguments: &AppArguments, to: Switching) -> Result<(), Failure> {
    let mut place = Workplace::open(arguments.place.resolve()?)?;
    let entry = place.registry.find(&arguments.id)?;
    let (command, state) = match to {
        Switching::On => ("app enable", "is served"),
        Switching::Off => ("app disable", "is not served; its logins have ended"),
    };
    entry.disabled = to == Switching::Off;
    let told = place.finish(command, &arguments.id, "")?;
    output::write(&format!("app {} {state}\n{told}\n", arguments.id))
}

fn delete(arguments: &AppArguments) -> Result<(), Failure> {
    let mut place = Workplace::open(arguments.place.resolve()?)?;
    place.registry.remove(&arguments.id)?;
    let kept = place.registry.keep_copy()?;
    let told = place.finish("app delete", &arguments.id, "")?;
    output::write(&format!(
        "app {} is deleted; its users' stored data are not\nA copy of the previous apps is in {}.\n{told}\n",
        arguments.id,
        kept.display()
    ))
}

/// The given certificate, or a new one.
fn certificate(given: Option<&str>) -> Result<String, Failure> {
    let certificate = match given {
        None => return secret(),
        Some("-") => input::secret("the certificate")?,
        Some(certificate) => certificate.to_owned(),
    };
    check_certificate(&certificate)?;
    Ok(certificate)
}
