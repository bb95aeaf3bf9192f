//! The settings of an app in `apps.toml`: their names, forms and ranges.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tidings_server::{App, AppRules, AppSettings, FOR_EVER, Quotas, Rate, RateKind};

use crate::api_rules;
use crate::failure::Failure;
use crate::legacy_rules;
use crate::page_rules;
use crate::quotas;
use crate::service_rules;
use crate::settings::values::{CALLS_MAX, RateValue, Span, WINDOW_MS_MAX};
use crate::token_rules;
use crate::words::{nearest, truth};

const YEAR_MS: u64 = 365 * 86_400_000;
/// A session can be resumed for this long; a longer grace would have no effect.
const GRACE_MS_MAX: u64 = 120_000;
const HINT: &str = "`tidings app show ID` lists the settings and rates, the guide explains them under tokens and apps";

/// A rate, as in the file.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RateEntry {
    /// Calls per window; 0 = unlimited.
    pub(crate) calls: u32,
    pub(crate) window_ms: u32,
}

impl RateEntry {
    /// Reads `CALLS/TIME`, or `unlimited`.
    pub(crate) fn parse(name: &str, text: &str) -> Result<Self, Failure> {
        let rate: RateValue = text.parse().map_err(|error: String| {
            Failure::new(
                format!("rate {name} cannot be {text:?}"),
                error
                    .split_once(": ")
                    .map_or(error.clone(), |(_, hint)| hint.into()),
            )
        })?;
        Ok(Self {
            calls: rate.0.calls,
            window_ms: rate.0.window_ms,
        })
    }
}

/// A setting's value as given on the command line: in the notation of the file, except that texts
/// need no quotes.
pub(crate) fn value(text: &str) -> toml::Value {
    text.parse()
        .unwrap_or_else(|_| toml::Value::String(text.into()))
}

/// All settings, by name.
pub(crate) fn settings(of: &AppSettings) -> Vec<(&'static str, toml::Value)> {
    let number = |number: u64| toml::Value::Integer(i64::try_from(number).unwrap_or(i64::MAX));
    let count = |count: usize| number(u64::try_from(count).unwrap_or(u64::MAX));
    let kept = match of.channel_attributes_keep_ms {
        FOR_EVER => toml::Value::String("forever".into()),
        ms => number(ms),
    };
    vec![
        ("kick_on_token_expiry", of.kick_on_token_expiry.into()),
        ("rate_limits", of.rate_limits.into()),
        ("keep_user_attributes", of.keep_user_attributes.into()),
        ("inbox_messages_max", count(of.inbox_messages_max)),
        ("inbox_age_ms", number(of.inbox_age_ms)),
        ("history_messages_max", count(of.history_messages_max)),
        ("history_age_ms", number(of.history_age_ms)),
        ("presence_grace_ms", number(of.presence_grace_ms)),
        ("channel_attributes_keep_ms", kept),
        ("events", of.events.into()),
        ("peer_message_events", of.peer_message_events.into()),
        ("channel_message_events", of.channel_message_events.into()),
    ]
}

/// Whether a setting, rule or quota has this name.
pub(crate) fn check_name(name: &str) -> Result<(), Failure> {
    let is_setting = settings(&AppSettings::default())
        .iter()
        .any(|(known, _)| *known == name);
    let is_known = is_setting
        || legacy_rules::has(name)
        || quotas::has(name)
        || page_rules::has(name)
        || token_rules::has(name)
        || service_rules::has(name)
        || api_rules::has(name);
    if is_known { Ok(()) } else { Err(unknown(name)) }
}

/// There is no setting with this name.
pub(crate) fn unknown(name: &str) -> Failure {
    let known = settings(&AppSettings::default())
        .into_iter()
        .map(|(name, _)| name);
    let legacy = legacy_rules::settings(&AppRules::default());
    let known = known.chain(legacy.into_iter().map(|(name, _)| name));
    let known = known
        .chain(page_rules::NAMES)
        .chain(token_rules::NAMES)
        .chain(service_rules::NAMES)
        .chain(api_rules::NAMES);
    let quotas = quotas::settings(&Quotas::default());
    let known = known.chain(quotas.into_iter().map(|(name, _)| name));
    let rates = RateKind::named().map(|(_, name)| name);
    let meant = nearest(name, known.chain(rates));
    let meant = meant.map(|known| format!("did you mean {known}? "));
    Failure::new(
        format!("there is no setting {name:?}"),
        format!("{}{HINT}", meant.unwrap_or_default()),
    )
}

/// Sets one setting of an app.
pub(crate) fn apply(to: &mut AppSettings, key: &str, value: &toml::Value) -> Result<(), Failure> {
    match key {
        "kick_on_token_expiry" => to.kick_on_token_expiry = truth(key, value)?,
        "rate_limits" => to.rate_limits = truth(key, value)?,
        "keep_user_attributes" => to.keep_user_attributes = truth(key, value)?,
        "events" => to.events = truth(key, value)?,
        "peer_message_events" => to.peer_message_events = truth(key, value)?,
        "channel_message_events" => to.channel_message_events = truth(key, value)?,
        "inbox_messages_max" => to.inbox_messages_max = count(key, value, 100_000)?,
        "inbox_age_ms" => to.inbox_age_ms = number(key, value, (1_000, YEAR_MS))?,
        "history_messages_max" => to.history_messages_max = count(key, value, 10_000_000)?,
        "history_age_ms" => to.history_age_ms = number(key, value, (1_000, 10 * YEAR_MS))?,
        "presence_grace_ms" => to.presence_grace_ms = number(key, value, (1_000, GRACE_MS_MAX))?,
        "channel_attributes_keep_ms" if value.as_str() == Some("forever") => {
            to.channel_attributes_keep_ms = FOR_EVER;
        }
        "channel_attributes_keep_ms" => {
            to.channel_attributes_keep_ms = number(key, value, (0, 10 * YEAR_MS))?;
        }
        _ => return Err(unknown(key)),
    }
    Ok(())
}

/// Sets one rate of an app.
pub(crate) fn apply_rate(to: &mut App, name: &str, rate: &RateEntry) -> Result<(), Failure> {
    let Some((kind, _)) = RateKind::named().find(|(_, known)| *known == name) else {
        let known: Vec<_> = RateKind::named().map(|(_, name)| name).collect();
        let text = format!("there is no rate {name:?}");
        return Err(Failure::new(
            text,
            format!("rates are {}", known.join(", ")),
        ));
    };
    let RateEntry { calls, window_ms } = *rate;
    if calls > CALLS_MAX || !(1..=WINDOW_MS_MAX).contains(&window_ms) {
        return Err(Failure::new(
            format!("rate {name} cannot be {calls} calls in {window_ms} ms"),
            format!("give 0 (unlimited) to {CALLS_MAX} calls in 1 to {WINDOW_MS_MAX} ms"),
        ));
    }
    to.rates.set(kind, Rate { calls, window_ms });
    Ok(())
}

fn number(key: &str, value: &toml::Value, (least, most): (u64, u64)) -> Result<u64, Failure> {
    // A time may have a unit; every setting that can have one counts milliseconds.
    let with_unit = value.as_str().filter(|_| key.ends_with("_ms"));
    let with_unit = with_unit.and_then(|text| text.parse::<Span>().ok());
    let of_unit = with_unit.map(|span| span.of(Duration::from_millis(1)).as_millis());
    let number = match of_unit {
        Some(ms) => u64::try_from(ms).ok(),
        None => value.as_integer().and_then(|n| u64::try_from(n).ok()),
    };
    number
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| {
            let text = format!("setting {key} cannot be {value}");
            let unit = if key.ends_with("_ms") {
                " milliseconds, or a time such as 90s or 7d within that"
            } else {
                ""
            };
            Failure::new(text, format!("give a number from {least} to {most}{unit}"))
        })
}

fn count(key: &str, value: &toml::Value, most: u64) -> Result<usize, Failure> {
    let count = number(key, value, (0, most))?;
    Ok(usize::try_from(count).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(key: &str, value: impl Into<toml::Value>) -> Result<AppSettings, String> {
        let mut settings = AppSettings::default();
        apply(&mut settings, key, &value.into()).map_err(|failure| failure.to_string())?;
        Ok(settings)
    }

    #[test]
    fn settings_have_ranges() {
        let grace = |ms: i64| set("presence_grace_ms", ms).map(|set| set.presence_grace_ms);
        assert_eq!(grace(1_000), Ok(1_000));
        assert_eq!(grace(120_000), Ok(120_000));
        for wrong in [-1, 0, 999, 120_001] {
            let told = grace(wrong).expect_err("out of range");
            assert!(told.contains(&wrong.to_string()), "{told}");
        }
        assert!(set("rate_limits", "no").is_err());
        assert!(set("presence_grace", 1_000).is_err());
        let kept = set("channel_attributes_keep_ms", "forever").expect("a setting");
        assert_eq!(kept.channel_attributes_keep_ms, FOR_EVER);
    }

    #[test]
    fn every_setting_that_is_shown_can_be_set() {
        for (name, value) in settings(&AppSettings::default()) {
            let mut to = AppSettings::default();
            let told = apply(&mut to, name, &value).map_err(|failure| failure.to_string());
            assert_eq!(told, Ok(()), "{name}");
            assert_eq!(to, AppSettings::default(), "{name}");
        }
    }

    #[test]
    fn rates_have_names_and_ranges() {
        let mut app = App::default();
        let mut set = |name: &str, calls, window_ms| {
            apply_rate(&mut app, name, &RateEntry { calls, window_ms }).is_ok()
        };
        assert!(set("message", 0, 3_000));
        assert!(set("login", 5, 1_000));
        assert!(!set("messages", 5, 1_000));
        assert!(!set("message", 5, 0));
        assert_eq!(app.rates.get(RateKind::Login).calls, 5);
    }
}
