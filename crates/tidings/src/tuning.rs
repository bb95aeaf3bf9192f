//! The settings of an app in `apps.toml`: their names, forms and ranges.

use serde::{Deserialize, Serialize};
use tidings_server::{App, AppSettings, FOR_EVER, Rate, RateKind};

use crate::failure::Failure;

const YEAR_MS: u64 = 365 * 86_400_000;
/// A session can be resumed for so long: a longer grace would not count.
const GRACE_MS_MAX: u64 = 120_000;
const CALLS_MAX: u32 = 1_000_000;
const WINDOW_MS_MAX: u32 = 3_600_000;
const HINT: &str = "the settings are listed in the guide, under tokens and apps";

/// A rate, as it stands in the file.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RateEntry {
    /// 0 = unlimited.
    pub(crate) calls: u32,
    pub(crate) window_ms: u32,
}

/// Sets one setting of an app.
pub(crate) fn apply(to: &mut AppSettings, key: &str, value: &toml::Value) -> Result<(), Failure> {
    match key {
        "kick_on_token_expiry" => to.kick_on_token_expiry = word(key, value)?,
        "rate_limits" => to.rate_limits = word(key, value)?,
        "keep_user_attributes" => to.keep_user_attributes = word(key, value)?,
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
        _ => return Err(Failure::new(format!("there is no setting {key:?}"), HINT)),
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

fn word(key: &str, value: &toml::Value) -> Result<bool, Failure> {
    value.as_bool().ok_or_else(|| {
        let text = format!("setting {key} cannot be {value}");
        Failure::new(text, "give true or false")
    })
}

fn number(key: &str, value: &toml::Value, (least, most): (u64, u64)) -> Result<u64, Failure> {
    let number = value.as_integer().and_then(|n| u64::try_from(n).ok());
    number
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| {
            let text = format!("setting {key} cannot be {value}");
            Failure::new(text, format!("give a number from {least} to {most}"))
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
