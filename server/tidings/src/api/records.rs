//! Apps as the API shows them, and settings as it gives them.

use std::collections::BTreeMap;

use serde_json::Value;
use tidings_server::registry::{
    AppRecord, AppSource, CertificateRecord, RateRecord, Refused, RefusedKind,
};
use tidings_server::{AppRules, RateKind};

use super::{conflict, invalid};
use crate::failure::Failure;
use crate::registry::Entry;
use crate::revocations::now_unix_s;
use crate::tuning::RateEntry;
use crate::{page_rules, quotas, service_rules, token_rules, tuning};

/// An app of the file.
pub(super) fn of_file(entry: &Entry) -> Result<AppRecord, Failure> {
    of(entry, AppSource::File)
}

/// An app that an option names.
pub(super) fn of_options(entry: &Entry) -> Result<AppRecord, Failure> {
    of(entry, AppSource::Options)
}

fn of(entry: &Entry, source: AppSource) -> Result<AppRecord, Failure> {
    let app = entry.app()?;
    let rules = entry.legacy_rules(&AppRules::default())?;
    let settings = tuning::settings(&app.settings)
        .into_iter()
        .chain(crate::legacy_rules::settings(&rules))
        .chain(quotas::settings(&app.quotas))
        .chain(page_rules::settings(&app))
        .chain(token_rules::settings(&app))
        .chain(service_rules::settings(&app))
        .chain(entry.api_rules()?.settings())
        .map(|(name, value)| (name.to_owned(), json(value)))
        .collect();
    let rates = RateKind::named().map(|(kind, name)| {
        let rate = app.rates.get(kind);
        let record = RateRecord {
            calls: rate.calls,
            window_ms: rate.window_ms,
        };
        (name.to_owned(), record)
    });
    let set = entry.settings.keys().chain(entry.rates.keys());
    Ok(AppRecord {
        id: entry.id.clone(),
        name: entry.name.clone(),
        enabled: !entry.disabled,
        source,
        created_ms: Some(entry.created)
            .filter(|created| *created > 0)
            .map(|created| created.saturating_mul(1_000)),
        certificates: certificates(entry)?,
        settings,
        rates: rates.collect(),
        set: set.cloned().collect(),
        banned: entry.banned.clone(),
        services: entry.services.clone(),
        jwt: entry.jwt.as_ref().map(|jwt| {
            let shown = jwt.shown().into_iter();
            shown
                .map(|(name, value)| (name.to_owned(), json(value)))
                .collect()
        }),
    })
}

fn certificates(entry: &Entry) -> Result<Vec<CertificateRecord>, Failure> {
    let now_s = now_unix_s()?;
    let records = (1..).zip(&entry.certificates).map(|(number, certificate)| {
        let added_s = entry.certificate_added_s(certificate);
        CertificateRecord {
            number,
            added_ms: added_s.map(|added_s| added_s.saturating_mul(1_000)),
            age_ms: added_s.map(|added_s| now_s.saturating_sub(added_s).saturating_mul(1_000)),
        }
    });
    Ok(records.collect())
}

fn json(value: toml::Value) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}

/// The place of the certificate with this number.
pub(super) fn certificate_at(entry: &Entry, number: usize) -> Result<usize, Refused> {
    let count = entry.certificates.len();
    match number.checked_sub(1).filter(|at| *at < count) {
        Some(at) => Ok(at),
        None => Err(Refused {
            kind: RefusedKind::NotFound,
            what: format!(
                "app {} has no certificate {number}: it has {count}",
                entry.id
            ),
            hint: "GET /api/v1/apps/{app}/certificates lists them".into(),
        }),
    }
}

/// Sets everything that a new app is to have.
pub(super) fn set_all(
    entry: &mut Entry,
    settings: BTreeMap<String, Value>,
    rates: &BTreeMap<String, RateRecord>,
) -> Result<(), Refused> {
    let rates = rates.iter().map(|(name, rate)| (name.clone(), Some(*rate)));
    change_all(entry, settings, &rates.collect())
}

/// Changes settings and rates; null, or `None`, takes one back to its default.
pub(super) fn change_all(
    entry: &mut Entry,
    settings: BTreeMap<String, Value>,
    rates: &BTreeMap<String, Option<RateRecord>>,
) -> Result<(), Refused> {
    for (name, value) in settings {
        let field = format!("settings.{}", shown(&name));
        if RateKind::named().any(|(_, known)| known == name) {
            let failure = Failure::new(
                format!("{name} is a rate, not a setting"),
                "give it in rates, as {\"calls\": 60, \"window_ms\": 1000}",
            );
            return Err(invalid(&field)(failure));
        }
        let value = match value {
            Value::Null => toml::Value::String("default".into()),
            value => toml::Value::try_from(&value).map_err(|error| {
                let failure = Failure::new(
                    format!("{name} cannot have this value: {error}"),
                    "GET /api/v1/apps/{app} shows the present one",
                );
                invalid(&field)(failure)
            })?,
        };
        entry.set(&name, value).map_err(invalid(&field))?;
        // A wrong value is reported with its name.
        entry.app().map_err(invalid(&field))?;
    }
    for (name, rate) in rates {
        let field = format!("rates.{}", shown(name));
        if !RateKind::named().any(|(_, known)| known == name) {
            let failure = tuning::unknown(name);
            return Err(invalid(&field)(failure));
        }
        match rate {
            None => drop(entry.rates.remove(name)),
            Some(rate) => {
                let rate = RateEntry {
                    calls: rate.calls,
                    window_ms: rate.window_ms,
                };
                entry.rates.insert(name.clone(), rate);
            }
        }
        entry.app().map_err(invalid(&field))?;
    }
    entry.app().map_err(conflict)?;
    Ok(())
}

/// Changes how JSON Web Tokens are taken; `None` = they are not any more.
pub(super) fn change_jwt(
    entry: &mut Entry,
    settings: Option<BTreeMap<String, Value>>,
) -> Result<(), Refused> {
    let Some(settings) = settings else {
        entry.jwt = None;
        return Ok(());
    };
    let jwt = entry.jwt.get_or_insert_default();
    for (name, value) in settings {
        let field = format!("jwt.{}", shown(&name));
        let text = match value {
            Value::Null => "default".into(),
            Value::String(text) => text,
            value => toml::Value::try_from(&value).map_or(String::new(), |value| value.to_string()),
        };
        jwt.set(&name, &text).map_err(invalid(&field))?;
    }
    if jwt.is_empty() {
        entry.jwt = None;
    }
    entry.app().map_err(invalid("jwt"))?;
    Ok(())
}

/// A text of a caller, as an answer may repeat it.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(64).collect()
}
