//! An app's rules for legacy logins, among its settings in `apps.toml`.

use std::time::Duration;

use tidings_server::{AppRules, NameRule, UserId};

use crate::failure::Failure;
use crate::settings::values::Span;
use crate::words::truth;

const TOKEN_DEBUGGING: &str = "legacy_token_debugging";
const TOKENS: &str = "legacy_tokens";
const TOKEN_MAX_S: &str = "legacy_token_max_s";
const FORCE: &str = "legacy_force";
const SPECIAL_CHANNELS: &str = "legacy_special_channels";
const PHONE_GATEWAY: &str = "phone_gateway";

/// All rules, by name.
pub(crate) fn settings(of: &AppRules) -> Vec<(&'static str, toml::Value)> {
    let gateway = of.phone_gateway.clone().unwrap_or_default();
    vec![
        (TOKEN_DEBUGGING, of.allows_debug_word.into()),
        (TOKENS, of.allows_legacy_tokens.into()),
        (TOKEN_MAX_S, seconds(of.legacy_token_max_s)),
        (FORCE, of.allows_force.into()),
        (SPECIAL_CHANNELS, of.allows_special_channels.into()),
        (PHONE_GATEWAY, gateway.into()),
    ]
}

/// Whether a rule has this name.
pub(crate) fn has(name: &str) -> bool {
    let all = settings(&AppRules::default());
    all.iter().any(|(known, _)| *known == name)
}

/// Sets one rule.
pub(crate) fn apply(to: &mut AppRules, key: &str, value: &toml::Value) -> Result<(), Failure> {
    match key {
        TOKEN_DEBUGGING => to.allows_debug_word = truth(key, value)?,
        TOKENS => to.allows_legacy_tokens = truth(key, value)?,
        TOKEN_MAX_S => to.legacy_token_max_s = lifetime_s(key, value)?,
        FORCE => to.allows_force = truth(key, value)?,
        SPECIAL_CHANNELS => to.allows_special_channels = truth(key, value)?,
        _ => to.phone_gateway = gateway(key, value)?,
    }
    Ok(())
}

fn seconds(value: u64) -> toml::Value {
    i64::try_from(value).unwrap_or(i64::MAX).into()
}

/// A number of seconds, or a time with a unit.
pub(crate) fn lifetime_s(key: &str, value: &toml::Value) -> Result<u64, Failure> {
    let with_unit = value.as_str().map(str::parse::<Span>);
    let number = match with_unit {
        Some(Ok(span)) => Some(span.of(Duration::from_secs(1)).as_secs()),
        _ => value
            .as_integer()
            .and_then(|number| u64::try_from(number).ok()),
    };
    number.ok_or_else(|| {
        Failure::new(
            format!("setting {key} cannot be {value}"),
            "give a number of seconds, a time such as 12h, or 0 for no bound",
        )
    })
}

fn gateway(key: &str, value: &toml::Value) -> Result<Option<String>, Failure> {
    let is_user = |text: &&str| UserId::parse_by(NameRule::Wide, text).is_ok();
    match value.as_str() {
        Some("") => Ok(None),
        text => match text.filter(is_user) {
            Some(user) => Ok(Some(user.into())),
            None => Err(Failure::new(
                format!("setting {key} cannot be {value}"),
                "give the id with which the gateway logs in, or an empty text for none",
            )),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_set_by_name_and_told_again() {
        let mut rules = AppRules::default();
        let mut set = |key: &str, value: toml::Value| apply(&mut rules, key, &value).is_ok();
        for (name, value) in settings(&AppRules::default()) {
            assert!(has(name) && set(name, value), "{name}");
        }
        assert!(set(TOKEN_DEBUGGING, true.into()) && set(PHONE_GATEWAY, "gate".into()));
        assert!(!set(FORCE, "yes".into()) && !set(PHONE_GATEWAY, "a\nb".into()));
        assert!(!set(PHONE_GATEWAY, 5.into()));
        assert!(set(TOKEN_MAX_S, 600.into()) && !set(TOKEN_MAX_S, (-1).into()));
        assert!(rules.allows_debug_word && !rules.allows_force);
        assert_eq!(rules.phone_gateway.as_deref(), Some("gate"));
        assert!(!has("rate_limits"));
    }
}
