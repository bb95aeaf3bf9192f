//! The quotas of an app, among its settings in `apps.toml`.

use tidings_server::Quotas;

use crate::failure::Failure;
use crate::settings::values::Size;

const MAX_CONNECTIONS: &str = "max_connections";
const MAX_MESSAGES_PER_S: &str = "max_messages_per_s";
const MAX_FANOUT_PER_S: &str = "max_fanout_per_s";
const MAX_BYTES: &str = "max_bytes";
const MAX_MEDIA_BYTES: &str = "max_media_bytes";

/// All quotas, by name; those that are not set are "default".
pub(crate) fn settings(of: &Quotas) -> Vec<(&'static str, toml::Value)> {
    let value = |quota: Option<u64>| match quota {
        None => toml::Value::String("default".into()),
        Some(0) => toml::Value::String("unlimited".into()),
        Some(max) => toml::Value::Integer(i64::try_from(max).unwrap_or(i64::MAX)),
    };
    vec![
        (MAX_CONNECTIONS, value(of.max_connections)),
        (MAX_MESSAGES_PER_S, value(of.max_messages_per_s)),
        (MAX_FANOUT_PER_S, value(of.max_fanout_per_s)),
        (MAX_BYTES, value(of.max_bytes)),
        (MAX_MEDIA_BYTES, value(of.max_media_bytes)),
    ]
}

/// Whether a quota has this name.
pub(crate) fn has(name: &str) -> bool {
    settings(&Quotas::default())
        .iter()
        .any(|(known, _)| *known == name)
}

/// Sets one quota.
pub(crate) fn apply(to: &mut Quotas, key: &str, value: &toml::Value) -> Result<(), Failure> {
    let quota = match value.as_str() {
        Some("unlimited") => Some(0),
        Some("default") => None,
        _ => Some(number(key, value)?),
    };
    match key {
        MAX_CONNECTIONS => to.max_connections = quota,
        MAX_MESSAGES_PER_S => to.max_messages_per_s = quota,
        MAX_FANOUT_PER_S => to.max_fanout_per_s = quota,
        MAX_BYTES => to.max_bytes = quota,
        _ => to.max_media_bytes = quota,
    }
    Ok(())
}

fn number(key: &str, value: &toml::Value) -> Result<u64, Failure> {
    let with_unit = value.as_str().filter(|_| key.ends_with("_bytes"));
    let number = match with_unit.map(str::parse::<Size>) {
        Some(Ok(size)) => Some(size.0),
        _ => value
            .as_integer()
            .and_then(|number| u64::try_from(number).ok()),
    };
    number.filter(|number| *number > 0).ok_or_else(|| {
        Failure::new(
            format!("setting {key} cannot be {value}"),
            "give a whole number above 0 (of bytes also with a unit, such as 10GiB), or unlimited",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotas_are_set_by_name_and_told_again() {
        let mut quotas = Quotas::default();
        for (name, value) in settings(&Quotas::SHARED) {
            assert!(has(name));
            assert!(apply(&mut quotas, name, &value).is_ok(), "{name}");
        }
        assert_eq!(quotas, Quotas::SHARED);
        let mut set = |value: toml::Value| apply(&mut quotas, MAX_BYTES, &value).is_ok();
        assert!(!set(0.into()) && !set((-5).into()) && !set("many".into()));
        assert!(set("unlimited".into()));
        assert_eq!(quotas.max_bytes, Some(0));
        assert!(!has("max_things"));
    }
}
